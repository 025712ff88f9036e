"""LLaMA: a model file, made ready to evaluate tokens and generate text."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from operator import index as as_integer
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from ggmlkit import _core
from ggmlkit.arch.gguf_keys import from_gguf_keys
from ggmlkit.arch.hparams import Hparams
from ggmlkit.arch.tensor_names import EMBEDDINGS
from ggmlkit.arguments import path_text, shown, thread_count, whole
from ggmlkit.arrays import integer_row
from ggmlkit.engine.generation import Stats, pieces, until
from ggmlkit.engine.loading import gguf_view, load, naming, start, tell_unpacked
from ggmlkit.engine.sampling import GenerationSettings, sampler, stop_strings
from ggmlkit.errors import (
    ArgumentError,
    ArgumentTypeError,
    ClosedError,
    ModelError,
    OutOfRangeError,
)
from ggmlkit.io.base import ModelFile
from ggmlkit.io.pages import release

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from typing_extensions import Self, Unpack  # in typing from Python 3.11 on

    from ggmlkit.conversion.lora.adapter import AdapterPath, Scaled
    from ggmlkit.text.tokenizer import Tokenizer

# Cache memory is proportional to the context: models trained for 128k tokens start smaller.
DEFAULT_CONTEXT = 4096
KV_TYPES = ("f16", "q8_0")
ACTIVATION_BITS = (8, 16)


class Llama:
    """A LLaMA-family model and its contexts: one, or several sequences that don't see each other.

    Methods that name no sequence work on sequence 0. ``with gk.Llama(path) as llm:`` closes it at
    the end; a closed one raises :class:`ggmlkit.ClosedError` whatever it is asked.

    Args:
        model: a file of any container with hyper-parameters (gguf, ggjt, ggmf, ggml), or one
            already open.
        context: context length in tokens; the default is what the model was trained for, at most
            4096.
        sequences: how many sequences there are, each of this context length.
        threads: at most this many; the default is all that the process may use.
        kv_type: how keys and values are cached: "f16", or "q8_0" in about half the memory.
        activation_bits: what quantized weights are multiplied with: activations of 8 bits for 32
            elements, but 16 where few are far larger than the others, or, sixteen tokens at a
            time on AMX, bfloat16 (logits within 1e-3 nats of float32 activations'); or 16
            everywhere (float32's for all that can be measured), and prompts take two to four
            times as long.
        repack: copy quantized weights into the layout that computes fastest. Without, they are
            used as they lie in the mapped file, whose memory processes share; slower.
        mlock: keep the weights from being swapped out.
        lora: adapters to apply, each a path or a pair of a path and a scale (or one path): PEFT
            folders, gguf or ggla files. What they add is computed in float32 beside the weights,
            which stay as they are. DoRA and whole tensors need ``gk.apply_lora``.

    Raises:
        FormatError: the file, or an adapter, is damaged.
        ModelError: the file is no model that this decoder can run, an adapter is not for it, its
            contexts do not fit into memory, or the system refuses to lock the weights.
        ArgumentError: ``context``, ``sequences`` or ``threads`` below 1, an unknown ``kv_type`` or
            ``activation_bits``, or an adapter's scale that is no number up to a million.
    """

    config: Hparams
    stats: Stats

    def __init__(
        self,
        model: str | os.PathLike[str] | ModelFile,
        *,
        context: int | None = None,
        sequences: int = 1,
        threads: int | None = None,
        kv_type: str = "f16",
        activation_bits: int = 8,
        repack: bool = True,
        mlock: bool = False,
        lora: AdapterPath | Sequence[Scaled] = (),
    ) -> None:
        if kv_type not in KV_TYPES:
            raise ArgumentError(f"kv_type is {kv_type!r}, not one of {', '.join(KV_TYPES)}")
        if activation_bits not in ACTIVATION_BITS:
            raise ArgumentError(f"activation_bits is {activation_bits!r}, not 8 or 16")
        sequences = whole(sequences, "sequences", least=1)
        if context is not None:
            context = whole(context, "context", least=1)
        count = thread_count(threads)
        self._owns_file = not isinstance(model, ModelFile)
        if isinstance(model, ModelFile):
            file = model
        else:
            from ggmlkit.io import open as open_model

            path_text(model, "model")
            file = open_model(model)
        self._file = file
        self._session: _core.LlamaSession | None = None
        metadata, tensors = gguf_view(file)
        self._metadata: Mapping[str, Any] = metadata
        self._tokenizer: Tokenizer | None = None
        self.stats = Stats()
        with naming(file):
            self.config = from_gguf_keys(metadata, tensors)
            room = context or min(self.config.context, DEFAULT_CONTEXT)
            tell_unpacked(file, tensors)
            session = load(self.config, tensors, count, repack)
            if lora:
                from ggmlkit.engine.adapters import add_adapters

                add_adapters(session, file, self.config, lora)
            start(session, room, sequences, kv_type, activation_bits)
        self._session = session
        release(tensors[EMBEDDINGS].data)  # read in full if it is the output matrix too
        if mlock:
            self._lock()

    def close(self) -> None:
        """Free the weights and caches, and close the file if it was opened here.

        Twice is no error. Work of another thread that has begun goes on to its end.
        """
        self._session = None
        self._tokenizer = None
        if self._owns_file:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        raise ArgumentTypeError("a Llama can't be copied or pickled; open its file again instead")

    def __repr__(self) -> str:
        name, architecture = str(self._file.path), self.config.architecture
        if self._session is None:
            return f"Llama({name!r}, {architecture}, closed)"
        return (
            f"Llama({name!r}, {architecture}, {self.config.layers} layers, "
            f"context={self.context}, sequences={self.sequences})"
        )

    def _live(self) -> _core.LlamaSession:
        session = self._session
        if session is None:
            raise ClosedError(f"the model {self._file.path} is closed; open it again")
        return session

    def _lock(self) -> None:
        error = self._live().lock()
        if error:
            raise ModelError(
                f"the system refuses to lock the weights in memory ({os.strerror(error)}); "
                "raise the limit (ulimit -l) or leave mlock out"
            )

    # ------------------------------------------------------------------ tokens

    @property
    def tokenizer(self) -> Tokenizer:
        """The file's own vocabulary."""
        self._live()
        if self._tokenizer is None:
            from ggmlkit.text.tokenizer import Tokenizer

            with naming(self._file):
                self._tokenizer = Tokenizer.from_metadata(self._metadata)
        return self._tokenizer

    def tokenize(
        self, text: str, add_special: bool = True, parse_special: bool = False
    ) -> list[int]:
        """Token ids of ``text``; see :meth:`Tokenizer.encode`."""
        return self.tokenizer.encode(text, add_special=add_special, parse_special=parse_special)

    def detokenize(self, tokens: Sequence[int]) -> str:
        """Text of ``tokens``; see :meth:`Tokenizer.decode`."""
        return self.tokenizer.decode(tokens)

    # -------------------------------------------------------------- evaluation

    @property
    def context(self) -> int:
        """Context length of each sequence, in tokens."""
        return int(self._live().context)

    @property
    def sequences(self) -> int:
        """How many sequences there are."""
        return int(self._live().sequences)

    @property
    def nbytes(self) -> int:
        """Memory taken beyond the mapped file: packed weights, cache and scratch."""
        return int(self._live().nbytes)

    @property
    def tokens(self) -> tuple[int, ...]:
        """The tokens in the context."""
        return self.tokens_of(0)

    def tokens_of(self, sequence: int) -> tuple[int, ...]:
        """The tokens in a sequence.

        Raises:
            OutOfRangeError: there is no such sequence.
        """
        return tuple(self._live().tokens(self._checked(sequence)).tolist())

    def reset(self) -> None:
        """Forget all tokens of all sequences."""
        for sequence in range(self.sequences):
            self.truncate(0, sequence)

    def truncate(self, n: int, sequence: int = 0) -> None:
        """Forget a sequence's tokens after the first ``n``.

        Raises:
            ArgumentError: ``n`` is negative, or there is no such sequence.
        """
        self._live().truncate(self._checked(sequence), whole(n, "n", least=0))

    def logits(self, tokens: Sequence[int] | NDArray[np.integer[Any]]) -> NDArray[np.float32]:
        """Logits after each of ``tokens``, read into an empty context: float32 ``(n, vocab)``.

        Raises:
            ArgumentError: no tokens, a token outside the vocabulary, or more than the context
                holds.
        """
        self.truncate(0)
        return self._eval(tokens, 0, every=True)

    def eval(
        self, tokens: Sequence[int] | NDArray[np.integer[Any]], sequence: int = 0
    ) -> NDArray[np.float32]:
        """Append ``tokens`` to a sequence; logits after the last: float32 ``(vocab,)``.

        Raises:
            ArgumentError: no tokens, a token outside the vocabulary, more than the context length
                leaves, or no such sequence; the sequence then is as before.
        """
        return self._eval(tokens, sequence, every=False)

    def decode_batch(
        self,
        tokens: Sequence[int] | NDArray[np.integer[Any]],
        sequences: Sequence[int] | NDArray[np.integer[Any]] | None = None,
    ) -> NDArray[np.float32]:
        """Append one token to each of several sequences, reading the weights once for all.

        Each sequence gets the logits that :meth:`eval` would give it.

        Args:
            tokens: one for each sequence.
            sequences: which; the default is all of them, in order.

        Returns:
            float32 ``(len(tokens), vocab)``: logits after each token.

        Raises:
            ArgumentError: not one token a sequence, a token outside the vocabulary, a sequence that
                is full, named twice or not there; all sequences then are as before.
        """
        ids = self._ids(tokens)
        session = self._live()
        places = integer_row(range(self.sequences) if sequences is None else sequences, "sequences")
        if places.shape != ids.shape:
            raise ArgumentError(f"{ids.size} tokens for {places.size} sequences: each takes one")
        for place in places.tolist():
            self._checked(place)
        out = np.empty((ids.size, self.config.vocab), np.float32)
        with _argument_errors():
            session.eval_each(places.astype(np.uint64), ids, out)
        self._file.check()  # the embeddings, and more without repacking, are read as they are used
        return out

    def _checked(self, sequence: int) -> int:
        number = whole(sequence, "sequence")
        if not 0 <= number < self.sequences:
            raise OutOfRangeError(f"there is no sequence {number} of {self.sequences}")
        return number

    def _ids(self, tokens: Sequence[int] | NDArray[np.integer[Any]]) -> NDArray[np.int32]:
        ids = integer_row(tokens, "tokens")
        # Checked before narrowing: 2**32 must not turn into token 0.
        bad = ids[(ids < 0) | (ids >= self.config.vocab)]
        if bad.size:
            raise OutOfRangeError(
                f"token {bad[0]} is not in the vocabulary of {self.config.vocab} tokens"
            )
        return ids.astype(np.int32)

    def _eval(
        self, tokens: Sequence[int] | NDArray[np.integer[Any]], sequence: int, *, every: bool
    ) -> NDArray[np.float32]:
        session = self._live()
        ids = self._ids(tokens)
        place = self._checked(sequence)
        if ids.size > self.context:  # before the logits take memory
            raise ArgumentError(f"{ids.size} tokens do not fit the context of {self.context}")
        vocab = self.config.vocab
        out = np.empty((ids.size, vocab) if every else (vocab,), np.float32)
        with _argument_errors():
            session.eval(place, ids, out, every)
        self._file.check()
        return out

    # --------------------------------------------------------------- generation

    def generate(
        self,
        prompt: str | Sequence[int] | NDArray[np.integer[Any]],
        *,
        max_tokens: int | None = None,
        temperature: float = 0.8,
        top_k: int = 40,
        top_p: float = 0.95,
        min_p: float = 0.05,
        repeat_penalty: float = 1.0,
        frequency_penalty: float = 0.0,
        presence_penalty: float = 0.0,
        seed: int | None = None,
        stop: str | Sequence[str] = (),
        ignore_eos: bool = False,
    ) -> Iterator[str]:
        """Continue a prompt, yielding text as it comes; each piece is whole characters.

        The part of the prompt that the context holds already is not evaluated again.

        Args:
            prompt: text, or token ids as they are.
            max_tokens: to generate at most; the default is what the context has room for.
            temperature: divides the logits; 0 always takes the likeliest token.
            top_k: draw among so many likeliest tokens; 0 for all.
            top_p: draw among the likeliest tokens that together have this probability.
            min_p: leave out tokens less likely than this share of the likeliest.
            repeat_penalty: divides the logits of recent tokens (multiplies negative ones).
            frequency_penalty: subtracted for each time a recent token occurred.
            presence_penalty: subtracted once for a recent token.
            seed: the same seed gives the same text; the default is another one each time.
            stop: end before the first of these strings.
            ignore_eos: go on where the model would end, never generating the ending token.

        Raises:
            ModelError: the prompt does not fit the context.
            ArgumentError: a setting or a token is out of range or of a wrong type.
        """
        self._live()
        stops = stop_strings(stop)
        if max_tokens is not None:
            max_tokens = whole(max_tokens, "max_tokens", least=0)
        draw = sampler(
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            min_p=min_p,
            repeat_penalty=repeat_penalty,
            frequency_penalty=frequency_penalty,
            presence_penalty=presence_penalty,
            seed=seed,
        )
        ids = self._prompt_ids(prompt)
        if len(ids) > self.context:
            raise ModelError(
                f"the prompt of {len(ids)} tokens does not fit the context of {self.context}"
            )
        return until(stops, pieces(self, ids, draw, max_tokens, ignore_eos))

    def _prompt_ids(self, prompt: str | Sequence[int] | NDArray[np.integer[Any]]) -> list[int]:
        try:
            if isinstance(prompt, (bytes, bytearray)):  # which would pass for ids
                raise TypeError
            if isinstance(prompt, str):
                ids = self.tokenize(prompt)
            else:
                ids = list(map(as_integer, prompt))
        except TypeError:
            raise ArgumentTypeError(
                f"prompt must be a str or token ids, not {shown(prompt)}"
            ) from None
        if not ids:
            raise ArgumentError("there is nothing to continue: the prompt has no tokens")
        self._ids(ids)
        return ids

    def chat(
        self, messages: Iterable[Mapping[str, Any]], **settings: Unpack[GenerationSettings]
    ) -> Iterator[str]:
        """Answer a conversation, with the model's own chat template.

        Args:
            messages: ``{"role": "system" | "user" | "assistant", "content": text}``, in order. A
                content may be None, or a list of parts ``{"type": "text", "text": text}``.
            settings: as for :meth:`generate`.

        Raises:
            ArgumentError: a message is no mapping, a part of a content is no text, or a setting is
                out of range.
            ModelError: the file has no chat template, it fails or takes too much time or memory, or
                the conversation does not fit.
        """
        from ggmlkit.text.chat import render  # deferred, like the next: they start processes
        from ggmlkit.text.messages import text_messages

        template = self.tokenizer.chat_template
        if template is None:
            raise ModelError("the file has no chat template; use generate with a text of your own")
        given = text_messages(messages, template, self.tokenizer)
        prompt = render(template, given, self.tokenizer, add_generation_prompt=True)
        # Templates write the special tokens, the first one included where there is to be one.
        ids = self.tokenize(prompt, add_special=False, parse_special=True)
        return self.generate(ids, **settings)


@contextmanager
def _argument_errors() -> Iterator[None]:
    """What the compiled decoder refuses is an argument's fault."""
    try:
        yield
    except ValueError as error:
        raise ArgumentError(str(error)) from None

"""Llama: a loaded model that evaluates tokens and generates text."""

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
from ggmlkit.engine.loading import gguf_view, load, naming, start, warn_of_unpacked
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
    """A LLaMA-family model and its contexts: one or several independent sequences.

    Methods without a sequence argument use sequence 0. ``with gk.Llama(path) as llm:`` closes it at
    the end; all methods of a closed one raise :class:`ggmlkit.ClosedError`.

    Args:
        model: a file of any container with hyper-parameters (gguf, ggjt, ggmf, ggml), or one
            already open.
        context: context length in tokens; the default is what the model was trained for, at most
            4096.
        sequences: number of sequences, each with this context length.
        threads: the most to use; the default is all that the process may use.
        kv_type: type of the KV cache: "f16", or "q8_0" with about half the memory.
        activation_bits: bits of the activations that are multiplied by quantized weights. 8: each
            32 elements have 8 bits, or 16 if a few are much larger than the others; sixteen tokens
            at a time on AMX are bfloat16 (logits within 1e-3 nats of those of float32
            activations). 16: always 16 bits (no measurable difference to float32), but prompts take
            two to four times as long.
        repack: copy quantized weights into the fastest layout. Without it, they are used directly
            from the mapped file, whose memory processes share; this is slower.
        mlock: keep the weights from being swapped out.
        lora: adapters to apply: one path, or a list of paths or pairs of a path and a scale. PEFT
            folders, gguf and ggla files are supported. Their updates are computed in float32 beside
            the weights, which are not changed. DoRA and whole tensors need ``gk.apply_lora``.

    Raises:
        FormatError: the file, or an adapter, is damaged.
        ModelError: this decoder can't run the model, an adapter is not for it, its contexts do not
            fit into memory, or the system refuses to lock the weights.
        ArgumentError: ``context``, ``sequences`` or ``threads`` is below 1, ``kv_type`` or
            ``activation_bits`` is not known, or an adapter's scale is not a number up to a million.
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
            warn_of_unpacked(file, tensors)
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

        Closing twice is allowed. A call that is running in another thread continues to its end.
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
        """Number of sequences."""
        return int(self._live().sequences)

    @property
    def nbytes(self) -> int:
        """Memory in bytes in addition to the mapped file: packed weights, KV cache and scratch."""
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
        """Logits after each of ``tokens``, evaluated in an empty context: float32 ``(n, vocab)``.

        Raises:
            ArgumentError: there are no tokens, one is outside the vocabulary, or they exceed the
                context length.
        """
        self.truncate(0)
        return self._eval(tokens, 0, every=True)

    def eval(
        self, tokens: Sequence[int] | NDArray[np.integer[Any]], sequence: int = 0
    ) -> NDArray[np.float32]:
        """Append ``tokens`` to a sequence; returns the logits after the last: float32 ``(vocab,)``.

        Raises:
            ArgumentError: there are no tokens, one is outside the vocabulary, they exceed the
                context length, or there is no such sequence; the sequence is not changed then.
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
            sequences: the sequences; by default all, in order.

        Returns:
            float32 ``(len(tokens), vocab)``: logits after each token.

        Raises:
            ArgumentError: there is not exactly one token for each sequence, a token is outside the
                vocabulary, or a sequence is full, given twice or doesn't exist; no sequence is
                changed then.
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
        self._file.check()  # embeddings, and weights without repacking, are read on use
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
        if ids.size > self.context:  # checked before memory is allocated for the logits
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
        """Continue a prompt; yields pieces of text that consist of complete characters.

        The part of the prompt that is already in the context is not evaluated again.

        Args:
            prompt: text, or token ids.
            max_tokens: the most tokens to generate; the default is the room in the context.
            temperature: divides the logits; 0 always takes the most likely token.
            top_k: sample from this number of most likely tokens; 0 for all.
            top_p: sample from the most likely tokens that together have this probability.
            min_p: leave out tokens below this share of the most likely token's probability.
            repeat_penalty: divides the logits of recent tokens (multiplies negative ones).
            frequency_penalty: subtracted for each time that a recent token occurred.
            presence_penalty: subtracted once for a recent token.
            seed: the same seed gives the same text; random by default.
            stop: end before the first of these strings.
            ignore_eos: never generate an end token, so that generation continues.

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
            if isinstance(prompt, (bytes, bytearray)):  # would be read as ids
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
                content can be None, or a list of parts ``{"type": "text", "text": text}``.
            settings: as in :meth:`generate`.

        Raises:
            ArgumentError: a message is not a mapping, a part of a content is not text, or a setting
                is out of range.
            ModelError: the file has no chat template, it fails or takes too much time or memory, or
                the conversation does not fit.
        """
        from ggmlkit.text.chat import render  # deferred, like the next: they import jinja2
        from ggmlkit.text.messages import text_messages

        template = self.tokenizer.chat_template
        if template is None:
            raise ModelError("the file has no chat template; use generate with your own prompt")
        given = text_messages(messages, template, self.tokenizer)
        prompt = render(template, given, self.tokenizer, add_generation_prompt=True)
        # Templates write all special tokens, including the first one if the model needs it.
        ids = self.tokenize(prompt, add_special=False, parse_special=True)
        return self.generate(ids, **settings)


@contextmanager
def _argument_errors() -> Iterator[None]:
    """Turns ValueErrors of the compiled decoder into ArgumentErrors."""
    try:
        yield
    except ValueError as error:
        raise ArgumentError(str(error)) from None

"""LLaMA: a model with some sequences of its own, text in and text out."""

from __future__ import annotations

import os
from collections import abc
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from ggmlkit.arch.hparams import Hparams
from ggmlkit.arguments import whole
from ggmlkit.arrays import integer_row
from ggmlkit.engine.answering import Answering
from ggmlkit.engine.completion import Token
from ggmlkit.engine.measuring import Measuring
from ggmlkit.engine.model import Model
from ggmlkit.engine.sampling import GenerationSettings, SamplingParams
from ggmlkit.engine.sequence import Chunk, Sequence, TokenIds
from ggmlkit.engine.shared_scheduler import SharedScheduler
from ggmlkit.engine.speculation.choice import Speculation, speculator_of
from ggmlkit.engine.stats import Stats
from ggmlkit.errors import ArgumentError, ArgumentTypeError, OutOfRangeError
from ggmlkit.io.base import ModelFile

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from typing_extensions import Unpack  # in typing from Python 3.11 on

    from ggmlkit.conversion.lora.adapter import AdapterPath, Scaled
    from ggmlkit.text.tokenizer import Tokenizer


class Llama(Answering, Measuring):
    """A LLaMA-family model: generate text, or compute the logits of tokens.

    ``with gk.Llama(path) as llm:`` closes it at the end; a closed one raises
    :class:`ggmlkit.ClosedError` whatever it is asked. Threads may share it: each ``generate`` and
    ``chat`` has a sequence of its own. ``model`` is the :class:`ggmlkit.Model` below, for work on
    many sequences.

    Args:
        model: a file of any container with hyper-parameters (gguf, ggjt, ggmf, ggml), or one
            already open.
        context: context length in tokens; the default is what the model was trained for, at most
            4096.
        sequences: how many numbered sequences there are for :meth:`eval` and :meth:`decode_batch`;
            methods that name none work on sequence 0.
        threads: at most this many; the default is all that the process may use.
        kv_type: how keys and values are cached: "f16", "q8_0" in about half the memory, "q4_0" in
            little more than a quarter, or "q8_0/q4_0": keys and values; the less, the more error.
        activation_bits: 8 or 16, see :class:`ggmlkit.Model`.
        repack: copy quantized weights into the layout that computes fastest. Without, they are
            used as they lie in the mapped file, whose memory processes share; slower.
        mlock: keep the weights from being swapped out.
        lora: adapters to apply, see :meth:`ggmlkit.Model.load_adapter`.
        speculation: compute tokens that are guessed in one step, which changes none of them:
            "lookup" guesses what followed the last tokens before, in the text or in one generated
            earlier; a :class:`ggmlkit.Model` with the same vocabulary, a small one, decodes ahead.
            Guesses are made as long as they save time.

    Raises:
        FormatError: the file, or an adapter, is damaged.
        ModelError: the file is not a model that this decoder can run, an adapter is not for it, its
            contexts do not fit into memory, or the system refuses to lock the weights.
        ArgumentError: ``context``, ``sequences`` or ``threads`` below 1, an unknown ``kv_type`` or
            ``activation_bits``, or an adapter's scale that is not a number up to a million.
    """

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
        lora: AdapterPath | abc.Sequence[Scaled] = (),
        speculation: Speculation = None,
    ) -> None:
        count = whole(sequences, "sequences", least=1)
        self.model = Model(
            model,
            context=context,
            contexts=count + 1,  # one is for generation
            threads=threads,
            kv_type=kv_type,
            activation_bits=activation_bits,
            repack=repack,
            mlock=mlock,
        )
        self._adapter = self.model.load_adapter(lora) if lora else None
        self._sequences = [self.model.sequence(adapter=self._adapter) for _ in range(count)]
        self._speculator = speculator_of(speculation, self.model)
        self._shared = SharedScheduler(self.model, speculation)
        self.stats = Stats()

    def close(self) -> None:
        """Free the weights and caches, and close the file if it was opened here.

        Twice is no error. Work of another thread that has begun goes on to its end, but batches and
        streams of coroutines end with a ClosedError.
        """
        self._shared.close()
        if self._speculator:
            self._speculator.close()
        for sequence in self._sequences:
            sequence.close()
        self.model.close()

    def __reduce__(self) -> NoReturn:
        raise ArgumentTypeError("a Llama can't be copied or pickled; open its file again instead")

    def __repr__(self) -> str:
        name, architecture = str(self.model.file.path), self.config.architecture
        if self.model.is_closed:
            return f"Llama({name!r}, {architecture}, closed)"
        return (
            f"Llama({name!r}, {architecture}, {self.config.layers} layers, "
            f"context={self.context}, sequences={self.sequences})"
        )

    @property
    def config(self) -> Hparams:
        """The model's hyper-parameters."""
        return self.model.config

    # ------------------------------------------------------------------ tokens

    @property
    def tokenizer(self) -> Tokenizer:
        """The file's own vocabulary."""
        return self.model.tokenizer

    def tokenize(
        self, text: str, add_special: bool = True, parse_special: bool = False
    ) -> list[int]:
        """Token ids of ``text``; see :meth:`Tokenizer.encode`."""
        return self.tokenizer.encode(text, add_special=add_special, parse_special=parse_special)

    def detokenize(self, tokens: abc.Sequence[int]) -> str:
        """Text of ``tokens``; see :meth:`Tokenizer.decode`."""
        return self.tokenizer.decode(tokens)

    # -------------------------------------------------------------- evaluation

    @property
    def context(self) -> int:
        """Context length of each sequence, in tokens."""
        return self.model.context

    @property
    def sequences(self) -> int:
        """How many numbered sequences there are."""
        self.model.check_open()
        return len(self._sequences)

    @property
    def nbytes(self) -> int:
        """Memory taken beyond the mapped file: packed weights, scratch, and the cache so far."""
        return self.model.nbytes + (self._adapter.nbytes if self._adapter else 0)

    @property
    def tokens(self) -> tuple[int, ...]:
        """The tokens of sequence 0."""
        return self.tokens_of(0)

    def tokens_of(self, sequence: int) -> tuple[int, ...]:
        """The tokens in a numbered sequence.

        Raises:
            OutOfRangeError: there is no such sequence.
        """
        return self._numbered(sequence).tokens

    def reset(self) -> None:
        """Forget all tokens of all numbered sequences."""
        for sequence in range(self.sequences):
            self.truncate(0, sequence)

    def truncate(self, n: int, sequence: int = 0) -> None:
        """Forget a sequence's tokens after the first ``n``; see :meth:`Sequence.truncate`.

        Raises:
            ArgumentError: ``n`` is negative, or there is no such sequence.
        """
        self._numbered(sequence).truncate(n)

    def logits(self, tokens: TokenIds) -> NDArray[np.float32]:
        """Logits after each of ``tokens``, read into an empty sequence 0: float32 ``(n, vocab)``.

        Raises:
            ArgumentError: no tokens, a token outside the vocabulary, or more than the context
                holds.
        """
        self.truncate(0)
        (found,) = self.model.step([Chunk(self._numbered(0), tokens, "all")])
        return found

    def eval(self, tokens: TokenIds, sequence: int = 0) -> NDArray[np.float32]:
        """Append ``tokens`` to a sequence; logits after the last: float32 ``(vocab,)``.

        Raises:
            ArgumentError: no tokens, a token outside the vocabulary, more than the context length
                leaves, or no such sequence; the sequence then is as before.
        """
        (found,) = self.model.step([Chunk(self._numbered(sequence), tokens)])
        return found

    def decode_batch(
        self,
        tokens: TokenIds,
        sequences: abc.Sequence[int] | NDArray[np.integer[Any]] | None = None,
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
        ids = self.model.ids(tokens)
        places = integer_row(range(self.sequences) if sequences is None else sequences, "sequences")
        if places.shape != ids.shape:
            raise ArgumentError(f"{ids.size} tokens for {places.size} sequences: each takes one")
        work = [self._numbered(place) for place in places.tolist()]
        out = np.empty((ids.size, self.config.vocab), np.float32)
        self.model.append(work, list(ids.reshape(-1, 1)), ["last"] * len(work), out)
        return out

    def _numbered(self, sequence: int) -> Sequence:
        count = self.sequences
        number = whole(sequence, "sequence")
        if not 0 <= number < count:
            raise OutOfRangeError(f"there is no sequence {number} of {count}")
        return self._sequences[number]

    def apply_template(
        self,
        messages: Iterable[Mapping[str, Any]],
        *,
        tools: Iterable[Mapping[str, Any]] | None = None,
        add_generation_prompt: bool = True,
        template: str | None = None,
        **variables: object,
    ) -> str:
        """The text that the model's own chat template makes of a conversation.

        It contains the special tokens, so its token ids are ``tokenize(text, add_special=False,
        parse_special=True)``; :meth:`ggmlkit.Model.chat_prompt` gives those at once.

        Args:
            messages: as for :meth:`ggmlkit.Model.chat_prompt`.
            tools: functions that the model may call, each as a mapping (JSON schema).
            add_generation_prompt: end with the start of the assistant's turn.
            template: a jinja2 template; the default is the file's own.
            variables: more for the template, such as ``enable_thinking``. A template ignores what
                it does not know.

        Raises:
            ArgumentError: a message or a tool is not a mapping, a part of a content is not text, or
                a variable is an argument of transformers that no template reads.
            ModelError: there is no chat template, it fails or takes too much time or memory, or a
                variable is of a type that it can't get.
        """
        from ggmlkit.text.messages import chat_text  # deferred: it starts processes

        return chat_text(
            messages,
            self.tokenizer,
            template,
            tools=tools,
            add_generation_prompt=add_generation_prompt,
            variables=variables,
        )

    # --------------------------------------------------------------- generation

    def generate(
        self,
        prompt: str | TokenIds,
        params: SamplingParams | None = None,
        **settings: Unpack[GenerationSettings],
    ) -> Iterator[str]:
        """Continue a prompt, yielding text as it comes; each piece is whole characters.

        The whole pages of the prompt that the cache holds already are not computed again. What is
        generated leaves the numbered sequences as they are.

        Args:
            prompt: text, or token ids as they are.
            params: the settings of :class:`ggmlkit.SamplingParams`, or
            settings: its fields, by keyword.

        Raises:
            ModelError: the prompt does not fit the context.
            ArgumentError: a setting or a token is out of range or of a wrong type.
        """
        tokens = self.generate_tokens(prompt, params, **settings)
        return (token.text for token in tokens if token.text)

    def generate_tokens(
        self,
        prompt: str | TokenIds,
        params: SamplingParams | None = None,
        **settings: Unpack[GenerationSettings],
    ) -> Iterator[Token]:
        """:meth:`generate`, but for tokens: their ids, log-probabilities, and why the last is last.

        Args:
            prompt: as for :meth:`generate`; :meth:`ggmlkit.Model.chat_prompt` makes one of chat
                messages.
            params: as for :meth:`generate`; with ``logprobs``, each token has its ``logprob``.
            settings: as for :meth:`generate`.

        Raises:
            ModelError: the prompt does not fit the context.
            ArgumentError: a setting or a token is out of range or of a wrong type.
        """
        tokens, self.stats = self._begun(prompt, params, settings)
        return tokens

    def chat(
        self,
        messages: Iterable[Mapping[str, Any]],
        params: SamplingParams | None = None,
        **settings: Unpack[GenerationSettings],
    ) -> Iterator[str]:
        """Answer a conversation, with the model's own chat template.

        Args:
            messages: as for :meth:`ggmlkit.Model.chat_prompt`.
            params: as for :meth:`generate`.
            settings: as for :meth:`generate`.

        Raises:
            ArgumentError: a message is not a mapping, a part of a content is not text, or a setting
                is out of range.
            ModelError: the file has no chat template, it fails or takes too much time or memory, or
                the conversation does not fit.
        """
        return self.generate(self.model.chat_prompt(messages), params, **settings)

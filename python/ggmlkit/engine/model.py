"""A model file's weights, ready to compute, and the sequences that share them."""

from __future__ import annotations

import os
from collections import abc
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from ggmlkit import _core
from ggmlkit.arch.gguf_keys import from_gguf_keys
from ggmlkit.arch.hparams import Hparams
from ggmlkit.arch.tensor_names import EMBEDDINGS, OUTPUT
from ggmlkit.arguments import path_text, thread_count, whole
from ggmlkit.closing import Closing
from ggmlkit.engine import loading, sequence_file
from ggmlkit.engine.batch import LOGITS_OF, adapter_of, cache_full, chunks_of, rows_of
from ggmlkit.engine.in_step import refuse_in_observer, stepping
from ggmlkit.engine.kv_types import KvTypes
from ggmlkit.engine.observer import Observer, Observing
from ggmlkit.engine.sequence import Adapter, Chunk, LogitsOf, Sequence, TokenIds
from ggmlkit.engine.token_ids import is_empty, prompt_ids, token_ids
from ggmlkit.errors import ArgumentError, ArgumentTypeError, ClosedError, ModelError
from ggmlkit.io.base import ModelFile
from ggmlkit.io.pages import release

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ggmlkit.conversion.lora.adapter import AdapterPath, Scaled
    from ggmlkit.text.tokenizer import Tokenizer

# Cache memory is proportional to the context: models trained for 128k tokens start smaller.
DEFAULT_CONTEXT = 4096
_MOST = 2**62  # positions, which no machine has memory for
ACTIVATION_BITS = (8, 16)


class Model(Closing):
    """A LLaMA-family model: const weights, and a cache of keys and values for many sequences.

    ``with`` closes it; a closed one raises :class:`ggmlkit.ClosedError`. Threads may share it.

    Args:
        model: a file of any container with hyper-parameters (gguf, ggjt, ggmf, ggml), or one
            already open.
        context: tokens of a sequence at most; default: what the model was trained for, up to 4096.
        cache_tokens: tokens of all sequences together that the cache has room for. Memory is taken
            as it is used.
        cache_bytes: the same in bytes; give one of the two.
        contexts: where neither is given, for how many sequences of the whole context there is room.
        threads: at most this many; the default is all that the process may use.
        kv_type: how keys and values are cached: "f16", "q8_0" in about half the memory, "q4_0" in
            little more than a quarter, or "q8_0/q4_0": keys and values; the less, the more error.
        activation_bits: what quantized weights are multiplied with: activations of 8 bits for 32
            elements, but 16 where few are far larger than the others, or, sixteen tokens at a
            time on AMX, bfloat16 (logits within 1e-3 nats of float32 activations'); or 16
            everywhere (float32's for all that can be measured), and prompts take two to four
            times as long.
        repack: copy quantized weights into the layout that computes fastest. Without, they are
            used as they lie in the mapped file, whose memory processes share; slower.
        mlock: keep the weights from being swapped out.
        prefix_cache: keep the pages of ended sequences while there is room: one that begins alike
            takes them instead of computing them again.
        batch_invariant: give the same bits however tokens are cut into chunks on AMX too, where
            otherwise sixteen at a time are multiplied as bfloat16. Prompts then run at the speed of
            AVX-512 VNNI. Other processors always do.

    Raises:
        FormatError: the file is damaged.
        ModelError: the file is not a model that this decoder can run, its cache does not fit into
            memory, or the system refuses to lock the weights.
        ArgumentError: a number below 1, an unknown ``kv_type`` or ``activation_bits``.
    """

    config: Hparams

    def __init__(
        self,
        model: str | os.PathLike[str] | ModelFile,
        *,
        context: int | None = None,
        cache_tokens: int | None = None,
        cache_bytes: int | None = None,
        contexts: int = 1,
        threads: int | None = None,
        kv_type: str = "f16",
        activation_bits: int = 8,
        repack: bool = True,
        mlock: bool = False,
        prefix_cache: bool = True,
        batch_invariant: bool = False,
    ) -> None:
        kv_types = KvTypes.named(kv_type)
        if activation_bits not in ACTIVATION_BITS:
            raise ArgumentError(f"activation_bits is {activation_bits!r}, not 8 or 16")
        if context is not None:
            context = min(whole(context, "context", least=1), _MOST)
        if cache_tokens is not None:
            cache_tokens = whole(cache_tokens, "cache_tokens", least=1)
            if cache_bytes is not None:
                raise ArgumentError("give either cache_tokens or cache_bytes, not both")
        if cache_bytes is not None:
            cache_bytes = whole(cache_bytes, "cache_bytes", least=1)
        contexts = whole(contexts, "contexts", least=1)
        count = thread_count(threads)
        self._owns_file = not isinstance(model, ModelFile)
        if isinstance(model, ModelFile):
            file = model
        else:
            from ggmlkit.io import open as open_model  # deferred: it imports every reader

            path_text(model, "model")
            file = open_model(model)
        self._file = file
        self._settings = {"kv_type": str(kv_types), "activation_bits": activation_bits}
        self._engine: _core.Engine | None = None
        metadata, self._tensors = loading.gguf_view(file)
        self._metadata: Mapping[str, Any] = metadata
        self._tokenizer: Tokenizer | None = None
        with loading.naming(file):
            self.config = from_gguf_keys(metadata, self._tensors)
            length = context or min(self.config.context, DEFAULT_CONTEXT)
            loading.warn_of_unpacked(file, self._tensors)
            self._weights = loading.load(self.config, self._tensors, count, bool(repack))
            if cache_bytes is not None:
                cache_tokens = loading.tokens_in(self._weights, cache_bytes, kv_types)
            self._engine = loading.new_engine(
                self._weights,
                length,
                min(cache_tokens or contexts * -(-length // _core.KV_PAGE) * _core.KV_PAGE, _MOST),
                kv_types,
                int(activation_bits),
                bool(prefix_cache),
                bool(batch_invariant),
            )
        release(self._tensors[EMBEDDINGS].data)  # read in full if it is the output matrix too
        if mlock:
            self._lock()

    def close(self) -> None:
        """Free the weights and the cache, and close the file if it was opened here.

        Twice is no error. Work of another thread that has begun goes on to its end, and sequences
        keep the memory until they are gone too.
        """
        self._engine = None
        self._tokenizer = None
        if self._owns_file:
            self._file.close()

    def __reduce__(self) -> NoReturn:
        raise ArgumentTypeError("a Model can't be copied or pickled; open its file again instead")

    def __repr__(self) -> str:
        name, architecture = str(self.file.path), self.config.architecture
        if self._engine is None:
            return f"Model({name!r}, {architecture}, closed)"
        return (
            f"Model({name!r}, {architecture}, {self.config.layers} layers, context={self.context})"
        )

    @property
    def engine(self) -> _core.Engine:
        """The compiled engine.

        Raises:
            ClosedError: the model is closed.
        """
        if self._engine is None:
            raise ClosedError(f"the model {self.file.path} is closed; open it again")
        return self._engine

    def check_open(self) -> None:
        """Raise ClosedError if it is closed."""
        self.engine  # noqa: B018

    @property
    def is_closed(self) -> bool:
        """Whether :meth:`close` was called."""
        return self._engine is None

    def _lock(self) -> None:
        error = self._weights.lock()
        if error:
            raise ModelError(
                f"the system refuses to lock the weights in memory ({os.strerror(error)}); "
                "raise the limit (ulimit -l) or leave mlock out"
            )

    @property
    def file(self) -> ModelFile:
        """The file that the weights are from."""
        return self._file

    @property
    def tokenizer(self) -> Tokenizer:
        """The file's own vocabulary."""
        self.check_open()
        if self._tokenizer is None:
            from ggmlkit.text.tokenizer import Tokenizer  # deferred: evaluation needs none

            with loading.naming(self._file):
                self._tokenizer = Tokenizer.from_metadata(self._metadata)
        return self._tokenizer

    @property
    def context(self) -> int:
        """Tokens of a sequence at most."""
        return self.engine.context

    @property
    def cache_tokens(self) -> int:
        """Tokens of all sequences together that the cache has room for, in whole pages."""
        return self.engine.positions

    @property
    def free_cache_tokens(self) -> int:
        """Those of them that no sequence has."""
        return self.engine.free_positions

    @property
    def nbytes(self) -> int:
        """Memory taken beyond the mapped file: packed weights, scratch, and the cache so far."""
        refuse_in_observer()
        return self._weights.nbytes + self.engine.nbytes

    def load_adapter(self, lora: AdapterPath | abc.Sequence[Scaled]) -> Adapter:
        """LoRA adapters for sequences of this model.

        Args:
            lora: adapters, each a path or a pair of a path and a scale (or one path): PEFT
                folders, gguf or ggla files. What they add is computed in float32 beside the
                weights, which stay as they are. DoRA and whole tensors need ``gk.apply_lora``.

        Raises:
            ModelError: one is not for this model, or can't be applied at run time.
            FormatError: one is damaged.
            ArgumentError: a scale is not a number up to a million.
        """
        from ggmlkit.engine.adapters import load_adapters  # deferred: few need it

        self.check_open()
        with loading.naming(self._file):
            compiled, digest = load_adapters(self._weights, self._file, self.config, lora)
        return Adapter(self, compiled, digest)

    def sequence(self, tokens: TokenIds = (), adapter: Adapter | None = None) -> Sequence:
        """A new sequence.

        It holds the beginning of ``tokens`` as far as the cache knows it, in whole pages and
        never the last token: :meth:`step` goes on from ``len(sequence)``. It is empty without
        ``tokens``.

        Raises:
            ArgumentError: a token outside the vocabulary, or an adapter of another model.
        """
        own = adapter_of(self, adapter)
        ids = np.empty(0, np.int32) if is_empty(tokens) else self.ids(tokens)
        compiled = self.engine.sequence(own, ids)
        return Sequence(self, compiled, adapter)

    def load_sequence(
        self, path: str | os.PathLike[str], adapter: Adapter | None = None
    ) -> Sequence:
        """A sequence that :meth:`Sequence.save` wrote.

        Args:
            path: of the file.
            adapter: the adapter that the sequence had; None if it had none.

        Raises:
            FormatError: the file does not hold a sequence, or is damaged.
            ModelError: it is another model's, or was made with other settings or another adapter.
            CacheFullError: the cache has too few free pages.
        """
        own = adapter_of(self, adapter)
        compiled, tokens = sequence_file.read(
            path, self.engine, own, self.fingerprint(adapter), self.config.vocab
        )
        sequence = Sequence(self, compiled, adapter)
        rest = tokens[len(sequence) :]
        if rest.size:
            self.append([sequence], [rest], ["none"])
        return sequence

    def save_sequence(self, sequence: Sequence, path: str | os.PathLike[str]) -> None:
        """What :meth:`Sequence.save` does."""
        compiled = sequence.compiled.fork()  # which no other thread goes on with meanwhile
        sequence_file.write(path, compiled, self.fingerprint(sequence.adapter))

    def fingerprint(self, adapter: Adapter | None = None) -> str:
        """A digest of what the keys and values of a sequence depend on, beside its tokens.

        That is hyper-parameters, weights (samples of them), ``kv_type``, ``activation_bits`` and
        the adapter.
        """
        own = None if adapter is None else adapter.digest
        return sequence_file.fingerprint(
            self.config, self.context, self._tensors, self._settings, own
        )

    def step(
        self, batch: Iterable[Chunk], observer: Observer | None = None
    ) -> list[NDArray[np.float32]]:
        """Append chunks of tokens to their sequences, reading the weights once for all.

        A sequence's logits depend on its own tokens alone: not on the other chunks, on threads,
        nor on how its tokens are cut into chunks. (On AMX that takes ``batch_invariant``.)

        Args:
            batch: the chunks; each sequence at most once.
            observer: is called with the names of matrices that multiply the same activations, and
                these: float32 ``(tokens, columns)``, of all tokens of a pass of at most 256.

        Returns:
            for each chunk float32 ``(vocab,)`` after the last token, ``(tokens, vocab)`` after
            each, or ``(0, vocab)``, as its ``logits`` says.

        Raises:
            CacheFullError: the cache has too few free pages; all sequences are as before.
            ArgumentError: no tokens, a token outside the vocabulary, more than the context holds, a
                sequence named twice or of another model; all sequences are as before.
        """
        return self._stepped(batch, self.config.vocab, observer, hidden=False)

    def hidden_states(self, batch: Iterable[Chunk]) -> list[NDArray[np.float32]]:
        """:meth:`step`, but for the last layer's output, normed, in place of logits.

        Returns:
            for each chunk float32 ``(dim,)``, ``(tokens, dim)`` or ``(0, dim)``, as its ``logits``
            says.
        """
        return self._stepped(batch, self.config.dim, None, hidden=True)

    def _stepped(
        self, batch: Iterable[Chunk], columns: int, observer: Observer | None, *, hidden: bool
    ) -> list[NDArray[np.float32]]:
        chunks = chunks_of(batch)
        ids = [self.ids(chunk.tokens) for chunk in chunks]
        for own in ids:  # before the results take memory
            if own.size > self.context:
                raise ArgumentError(f"{own.size} tokens do not fit the context of {self.context}")
        rows = [rows_of(chunk, own.size) for chunk, own in zip(chunks, ids, strict=True)]
        out = np.empty((sum(rows), columns), np.float32)
        self.append(
            [chunk.sequence for chunk in chunks],
            ids,
            [chunk.logits for chunk in chunks],
            None if hidden else out,
            hidden=out if hidden else None,
            observer=observer,
        )
        found: list[NDArray[np.float32]] = []
        begin = 0
        for chunk, count in zip(chunks, rows, strict=True):
            results = out[begin : begin + count]
            found.append(results[0] if chunk.logits == "last" else results)
            begin += count
        return found

    def append(
        self,
        sequences: list[Sequence],
        ids: list[NDArray[np.int32]],
        logits: list[LogitsOf],
        out: NDArray[np.float32] | None = None,
        *,
        hidden: NDArray[np.float32] | None = None,
        observer: Observer | None = None,
    ) -> None:
        """:meth:`step` with checked ids, to arrays of all rows wanted.

        Args:
            sequences: each at most once.
            ids: of the tokens, for each sequence.
            logits: which of them give rows.
            out: logits, float32 ``(rows, vocab)``.
            hidden: the last layer's output, normed: float32 ``(rows, dim)``.
            observer: as for :meth:`step`.
        """
        engine = self.engine
        refuse_in_observer()
        if not sequences:
            return
        for sequence in sequences:
            if sequence.model is not self:
                raise ArgumentError("a sequence is another model's")
        tokens = ids[0] if len(ids) == 1 else np.concatenate(ids)
        observing = None if observer is None else Observing(observer, OUTPUT in self._tensors)
        counts = [own.size for own in ids]
        wanted = [LOGITS_OF[each] for each in logits]
        with stepping(sequences) as compiled:
            try:
                engine.step(compiled, tokens, counts, wanted, out, hidden, observing)
            except _core.OutOfPages as error:
                raise cache_full(error) from None
            except ValueError as error:
                if observing is not None and observing.error is error:
                    raise
                raise ArgumentError(str(error)) from None  # what the engine refuses
        self._file.check()  # the embeddings, and more without repacking, are read as they are used

    def ids(self, tokens: TokenIds) -> NDArray[np.int32]:
        """Token ids as the engine takes them: int32 ``(tokens,)``.

        Raises:
            ArgumentError: they are not whole numbers of the vocabulary, or none.
        """
        return token_ids(tokens, self.config.vocab)

    def prompt_ids(self, prompt: str | TokenIds) -> list[int]:
        """Token ids of a prompt: text, or ids as they are.

        Raises:
            ArgumentError: it has no tokens, one is outside the vocabulary, or it is another thing.
        """
        return prompt_ids(prompt, self.config.vocab, lambda: self.tokenizer)

    def chat_prompt(
        self,
        messages: Iterable[Mapping[str, Any]],
        *,
        template: str | None = None,
        tools: abc.Sequence[Mapping[str, Any]] | None = None,
        **variables: object,
    ) -> list[int]:
        """Token ids that ask for an answer to a conversation, by the model's own chat template.

        For :meth:`Scheduler.submit` and :meth:`Llama.generate`.

        Args:
            messages: ``{"role": "system" | "user" | "assistant" | "tool", "content": text}``, in
                order. A content may be None, or a list of parts ``{"type": "text", "text": text}``.
            template: a jinja2 template, or the name of one, ``"chatml"``; default: the file's own.
            tools: JSON schemas of functions that the model may call, if the template has tools.
            variables: more for the template: ``documents=[…]``, ``enable_thinking=False``, ….

        Raises:
            ArgumentError: a message is not a mapping, or a part of a content is not text.
            ModelError: there is no chat template, or it fails or takes too much time or memory.
        """
        from ggmlkit.text.messages import chat_ids  # deferred: it starts processes

        return chat_ids(messages, self.tokenizer, template, tools=tools, **variables)

"""Reads LLaMA files older than gguf: ggml, ggmf v1, ggjt v1 to v3."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from ggmlkit.io.base import ARRAY_OF, LostTensor, ModelFile
from ggmlkit.io.legacy import vocabulary as legacy_vocabulary
from ggmlkit.io.legacy.joined_files import first_part_of, joined_tensors, other_parts
from ggmlkit.io.legacy.one_file import LegacyPart

# Not stored in the files: the values that the code of that time assumed.
CONTEXT_LENGTH = 2048
NORM_EPSILON = 1e-6
ROPE_BASE = 10000.0
# Files can add 1000 times the version of the quantized layouts to their file type.
_FILE_TYPE_FACTOR = 1000

_U32, _I32, _F32, _STRING = 4, 5, 6, 8


class LegacyFile(ModelFile):
    """A ggml, ggmf or ggjt file; a model in several files can be opened by any of them.

    Args:
        path: the file.
        lost: collects the tensors that are cut off, instead of raising an error; other files of
            the model are not opened then.

    Attributes:
        hyperparameters: as stored.

    Raises:
        FormatError: the file is damaged, truncated, an adapter or a session.
    """

    def __init__(self, path: str | os.PathLike[str], lost: list[LostTensor] | None = None) -> None:
        first = LegacyPart(Path(path), lost)
        self._parts = [first]
        try:
            if lost is None and (before := first_part_of(first)) is not None:
                first.file.close()
                first = LegacyPart(before)
                self._parts = [first]
            super().__init__(Path(path), first.container, version=first.version)
            self.hyperparameters = first.hyperparameters
            if lost is None:
                self._parts += [LegacyPart(name) for name in other_parts(first)]
            self._tensors = joined_tensors(self._parts)
        except BaseException:
            self.close()
            raise
        self._describe(first)

    def check(self) -> None:
        """Raise FormatError if one of the files has been cut short since it was opened."""
        for part in self._parts:
            part.file.check()

    @property
    def paths(self) -> list[Path]:
        """All files of the model."""
        return [part.path for part in self._parts]

    def close(self) -> None:
        """Unmap the file; tensors that were not read yet become unreadable."""
        super().close()
        for part in self._parts:
            part.file.close()

    def _describe(self, part: LegacyPart) -> None:
        h = self.hyperparameters
        self._set("general.architecture", "llama", _STRING)
        self._set("general.file_type", h.file_type % _FILE_TYPE_FACTOR, _U32)
        self._set("llama.context_length", CONTEXT_LENGTH, _U32)
        self._set("llama.embedding_length", h.n_embd, _U32)
        self._set("llama.block_count", h.n_layer, _U32)
        self._set("llama.feed_forward_length", self._rows("feed_forward.w1", h.n_ff), _U32)
        self._set("llama.attention.head_count", h.n_head, _U32)
        # Grouped-query attention came later and was never stored; the matrix's shape shows it.
        key_rows = self._rows("attention.wk", h.n_embd)
        self._set(
            "llama.attention.head_count_kv",
            max(1, key_rows * h.n_head // h.n_embd),
            _U32,
        )
        self._set("llama.attention.layer_norm_rms_epsilon", NORM_EPSILON, _F32)
        self._set("llama.rope.dimension_count", h.n_rot, _U32)
        self._set("llama.rope.freq_base", ROPE_BASE, _F32)
        self._set("llama.vocab_size", h.n_vocab, _U32)
        pieces, kinds = legacy_vocabulary.to_gguf(part.vocabulary)
        self._set("tokenizer.ggml.model", "llama", _STRING)
        self._set("tokenizer.ggml.tokens", pieces, ARRAY_OF + _STRING)
        if part.scores is not None:
            self._set("tokenizer.ggml.scores", part.scores, ARRAY_OF + _F32)
        self._set("tokenizer.ggml.token_type", np.array(kinds, np.int32), ARRAY_OF + _I32)
        self._set("tokenizer.ggml.bos_token_id", 1, _U32)
        self._set("tokenizer.ggml.eos_token_id", 2, _U32)
        self._set("tokenizer.ggml.unknown_token_id", 0, _U32)

    def _set(self, key: str, value: Any, kind: int) -> None:
        self.metadata[key] = value
        self.value_types[key] = kind

    def _rows(self, matrix: str, otherwise: int) -> int:
        tensor = self._tensors.get(f"layers.0.{matrix}.weight")
        return tensor.shape[0] if tensor is not None and len(tensor.shape) == 2 else otherwise

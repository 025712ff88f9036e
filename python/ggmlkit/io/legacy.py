"""Reads the LLaMA files from before gguf: ggml, ggmf v1, ggjt v1 to v3."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ggmlkit.errors import FormatError
from ggmlkit.io import legacy_vocabulary
from ggmlkit.io.base import ARRAY_OF, ModelFile
from ggmlkit.io.mapped import Cursor, MappedFile
from ggmlkit.io.mapped_tensor import mapped_tensor
from ggmlkit.tensor import Tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

# As they lie in the file: little-endian numbers whose hexadecimal spells the name.
MAGICS = {
    b"lmgg": "ggml",
    b"fmgg": "ggmf",
    b"tjgg": "ggjt",
    b"algg": "ggla",
    b"nsgg": "ggsn",
}
VERSIONS: dict[str, tuple[int | None, ...]] = {
    "ggml": (None,),
    "ggmf": (1,),
    "ggjt": (1, 2, 3),
}
_REFUSED = {"ggla": "a LoRA adapter", "ggsn": "a saved session"}

ALIGNMENT = 32
# Not stored: what LLaMA's code of that time took for granted.
CONTEXT_LENGTH = 2048
NORM_EPSILON = 1e-6
ROPE_BASE = 10000.0

_MAX_SIZES = 4
# Files may add 1000 times a version of the quantized layouts to their file type.
_FILE_TYPE_FACTOR = 1000
# Matrices of which each part of a model in several files holds some columns; of others, rows.
_SPLIT_BY_COLUMNS = (
    "tok_embeddings.weight",
    "attention.wo.weight",
    "feed_forward.w2.weight",
)

_U32, _I32, _F32, _STRING = 4, 5, 6, 8


def generation(container: str, version: int | None) -> str:
    """Whose block layouts a file uses, as :func:`ggmlkit.types.by_id` wants it."""
    if container == "ggjt" and version in (2, 3):
        return "ggjt-v2" if version == 2 else "gguf"
    return "ggjt-v1"


@dataclass(frozen=True)
class Hyperparameters:
    """The seven numbers at the start of a file, in their order."""

    n_vocab: int
    n_embd: int
    n_mult: int
    n_head: int
    n_layer: int
    n_rot: int
    file_type: int

    @property
    def n_ff(self) -> int:
        """Feed-forward width as it follows from these."""
        least = 2 * (4 * self.n_embd) // 3
        return -(-least // self.n_mult) * self.n_mult


class LegacyFile(ModelFile):
    """A ggml, ggmf or ggjt file; a model in several files opens by its first.

    Attributes:
        hyperparameters: as stored.

    Raises:
        FormatError: damaged, truncated, an adapter or a session.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        first = _Part(Path(path))
        self._parts = [first]
        try:
            super().__init__(Path(path), first.container, version=first.version)
            self.hyperparameters = first.hyperparameters
            self._parts += [_Part(name) for name in _other_parts(first)]
            self._tensors = _joined(self._parts)
        except BaseException:
            self.close()
            raise
        self._describe(first)

    @property
    def tensors(self) -> dict[str, Tensor]:
        """All tensors by Meta's names, lazy."""
        return self._tensors

    def check(self) -> None:
        """Raise FormatError if one of the files has been cut short since it was opened."""
        for part in self._parts:
            part.file.check()

    def close(self) -> None:
        """Unmap the file; tensors not yet read can't be any more."""
        for part in self._parts:
            part.file.close()

    def _describe(self, part: _Part) -> None:
        h = self.hyperparameters
        self._set("general.architecture", "llama", _STRING)
        self._set("general.file_type", h.file_type % _FILE_TYPE_FACTOR, _U32)
        self._set("llama.context_length", CONTEXT_LENGTH, _U32)
        self._set("llama.embedding_length", h.n_embd, _U32)
        self._set("llama.block_count", h.n_layer, _U32)
        self._set("llama.feed_forward_length", self._rows("feed_forward.w1", h.n_ff), _U32)
        self._set("llama.attention.head_count", h.n_head, _U32)
        # Grouped keys came later and were never stored; the matrix shows them.
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


class _Part:
    """One file: its header, vocabulary and tensors."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = MappedFile(path)
        try:
            cursor = Cursor(self.file)
            self.container, self.version = _container(cursor)
            self.hyperparameters = _hyperparameters(cursor)
            self._read_vocabulary(cursor)
            self.tensors = self._read_tensors(cursor)
            self.file.check()
        except BaseException:
            self.file.close()
            raise

    def _read_vocabulary(self, cursor: Cursor) -> None:
        scored = self.container != "ggml"
        count, place = self.hyperparameters.n_vocab, cursor.offset
        cursor.check_count(count, 8 if scored else 4, "vocabulary entries", place)
        self.vocabulary: list[bytes] = []
        raw_scores = bytearray()
        for _ in range(count):
            length = cursor.u32("the length of a token")
            self.vocabulary.append(cursor.raw(length, "a token"))
            if scored:
                raw_scores += cursor.raw(4, "the score of a token")
        self.scores: NDArray[np.float32] | None = (
            np.frombuffer(raw_scores, "<f4").astype(np.float32) if scored else None
        )

    def _read_tensors(self, cursor: Cursor) -> dict[str, Tensor]:
        layouts = generation(self.container, self.version)
        tensors: dict[str, Tensor] = {}
        while cursor.left:
            place = cursor.offset
            dimensions = cursor.i32("a tensor's number of sizes")
            name_length = cursor.i32("the length of a tensor's name")
            type_id = cursor.i32("a tensor's type")
            if not 1 <= dimensions <= _MAX_SIZES:
                raise cursor.fail(f"a tensor has {dimensions} sizes", place)
            sizes = [cursor.i32("a tensor's size") for _ in range(dimensions)]
            cursor.check_count(name_length, 1, "bytes of a tensor's name", place + 4)
            name = self._name(cursor.raw(name_length, "a tensor's name"), place)
            if min(sizes) < 0:
                raise cursor.fail(f"tensor {name!r} has the negative size {min(sizes)}", place)
            if name in tensors:
                raise cursor.fail(f"tensor {name!r} is there twice", place)
            if self.container == "ggjt":
                cursor.align(ALIGNMENT)
            tensors[name] = tensor = mapped_tensor(
                self.file,
                name,
                type_id,
                tuple(reversed(sizes)),
                cursor.offset,
                place,
                generation=layouts,
            )
            cursor.skip(tensor.nbytes, f"tensor {name!r}")
        return tensors

    def _name(self, raw: bytes, place: int) -> str:
        try:
            return raw.decode()
        except UnicodeDecodeError:
            raise FormatError(self.path, place, f"the tensor name {raw!r} is no UTF-8") from None


def _container(cursor: Cursor) -> tuple[str, int | None]:
    container = MAGICS.get(cursor.raw(4, "the magic number"))
    if container is None:
        raise cursor.fail("this is no ggml, ggmf or ggjt file", 0)
    if container in _REFUSED:
        raise cursor.fail(f"this is {_REFUSED[container]} ({container}), not a model", 0)
    version = None if container == "ggml" else cursor.u32("the version")
    if version not in VERSIONS[container]:
        raise cursor.fail(f"{container} version {version} is not known", 4)
    return container, version


def _hyperparameters(cursor: Cursor) -> Hyperparameters:
    place = cursor.offset
    found = Hyperparameters(*(cursor.i32("a hyper-parameter") for _ in range(7)))
    for name in ("n_vocab", "n_embd", "n_mult", "n_head", "n_layer"):
        if getattr(found, name) < 1:
            raise cursor.fail(f"{name} is {getattr(found, name)}", place)
    if found.n_rot < 0 or found.file_type < 0:
        raise cursor.fail("a hyper-parameter is negative", place)
    return found


def _other_parts(first: _Part) -> list[Path]:
    """The files NAME.1, NAME.2, … that belong to a model, as the width of the first tells."""
    embeddings = first.tensors.get("tok_embeddings.weight")
    if first.container == "ggjt" or embeddings is None or not embeddings.shape[-1]:
        return []
    count, rest = divmod(first.hyperparameters.n_embd, embeddings.shape[-1])
    if rest or not count:
        raise FormatError(
            first.path,
            None,
            f"the embeddings are {embeddings.shape[-1]} wide, which is no part of "
            f"{first.hyperparameters.n_embd}",
        )
    paths: list[Path] = []
    for number in range(1, count):
        path = first.path.with_name(f"{first.path.name}.{number}")
        if not path.exists():
            raise FormatError(
                first.path,
                None,
                f"the model has {count} files, but {path.name} isn't beside it",
            )
        paths.append(path)
    return paths


def _joined(parts: list[_Part]) -> dict[str, Tensor]:
    first = parts[0]
    if len(parts) == 1:
        return first.tensors
    for part in parts[1:]:
        same = replace(part.hyperparameters, file_type=first.hyperparameters.file_type)
        if part.container != first.container or same != first.hyperparameters:
            raise FormatError(part.path, 0, f"this is no part of the model in {first.path.name}")
    joined: dict[str, Tensor] = {}
    for name, tensor in first.tensors.items():
        slices = [tensor]
        for part in parts[1:]:
            found = part.tensors.get(name)
            if found is None or (found.type, found.shape) != (
                tensor.type,
                tensor.shape,
            ):
                raise FormatError(part.path, None, f"tensor {name!r} doesn't fit its other parts")
            slices.append(found)
        joined[name] = tensor if len(tensor.shape) == 1 else _join(name, slices)
    return joined


def _join(name: str, slices: list[Tensor]) -> Tensor:
    """A lazy tensor of slices beside or below each other."""
    rows, *columns = slices[0].shape
    by_columns = name.endswith(_SPLIT_BY_COLUMNS)
    if by_columns:
        shape = (rows, *columns[:-1], columns[-1] * len(slices))
    else:
        shape = (rows * len(slices), *columns)

    def data() -> NDArray[np.uint8]:
        parts = [part.data for part in slices]
        if not by_columns:
            return np.concatenate(parts)
        return np.concatenate([part.reshape(slices[0].rows, -1) for part in parts], axis=1).ravel()

    return Tensor(slices[0].type, shape, data, name)

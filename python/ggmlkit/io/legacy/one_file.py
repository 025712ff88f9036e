"""One file of the containers before gguf: header, vocabulary and tensors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ggmlkit.io.base import LostTensor
from ggmlkit.io.legacy.tensors import read_tensors
from ggmlkit.io.mapped_file import Cursor, mapped_while_read

if TYPE_CHECKING:
    from numpy.typing import NDArray

# The bytes in the file, which spell the name backwards: the magic is a little-endian number.
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


def generation(container: str, version: int | None) -> str:
    """The generation of a file's block layouts, as :func:`ggmlkit.types.by_id` takes it."""
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
        """The feed-forward width, computed from these numbers."""
        least = 2 * (4 * self.n_embd) // 3
        return -(-least // self.n_mult) * self.n_mult


class LegacyPart:
    """A file: its header, vocabulary and tensors.

    Args:
        path: the file.
        lost: collects the tensors that are cut off, instead of raising an error.

    Raises:
        FormatError: the file is damaged, truncated, or not a model.
    """

    def __init__(self, path: Path, lost: list[LostTensor] | None = None) -> None:
        self.path = path
        with mapped_while_read(path) as self.file:
            cursor = Cursor(self.file)
            self.container, self.version = _container(cursor)
            self.hyperparameters = _hyperparameters(cursor)
            self._read_vocabulary(cursor)
            self.tensors = read_tensors(
                cursor,
                generation(self.container, self.version),
                aligned=self.container == "ggjt",
                lost=lost,
            )

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


def _container(cursor: Cursor) -> tuple[str, int | None]:
    container = MAGICS.get(cursor.raw(4, "the magic number"))
    if container is None:
        raise cursor.fail("this is not a ggml, ggmf or ggjt file", 0)
    if container == "ggsn":
        raise cursor.fail("this is a saved session (ggsn), not a model", 0)
    if container == "ggla":
        raise cursor.fail("this is a LoRA adapter (ggla), not a model", 0)
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

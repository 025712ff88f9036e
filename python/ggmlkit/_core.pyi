"""The compiled core: kernels and decoder. Arrays are C-contiguous; every size is checked."""

from collections.abc import Iterable, Sequence
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

def type_table() -> list[tuple[str, int, int, int, str, int, bool, bool, bool, bool]]: ...
def isa() -> str: ...
def available_threads() -> int: ...
def dequantize(
    type: int, src: NDArray[np.uint8], dst: NDArray[np.float32], threads: int
) -> None: ...
def convert(
    source: int, src: NDArray[np.uint8], target: int, dst: NDArray[np.uint8], threads: int
) -> int: ...
def convert_weighted(
    source: int,
    src: NDArray[np.uint8],
    target: int,
    dst: NDArray[np.uint8],
    importance: NDArray[np.float32],
    threads: int,
) -> int: ...
def first_not_finite_half(halves: NDArray[np.uint8]) -> int: ...
def put_in_row_order(
    src: NDArray[np.uint8],
    dst: NDArray[np.uint8],
    rows: int,
    piece: int,
    flipped: int,
    swapped: bool,
    blocks: int,
) -> None: ...
def start_writeback(descriptor: int) -> None: ...

class MappingGuard:
    has_lost_pages: bool
    def __init__(self, mapped: NDArray[np.uint8]) -> None: ...

class PackedMatrix:
    nbytes: int
    def __init__(
        self, type: int, data: NDArray[np.uint8], rows: int, cols: int, threads: int
    ) -> None: ...
    def matmul(self, x: NDArray[np.float32], y: NDArray[np.float32], threads: int) -> None: ...

def matmul(
    type: int,
    data: NDArray[np.uint8],
    rows: int,
    cols: int,
    x: NDArray[np.float32],
    y: NDArray[np.float32],
    threads: int,
) -> None: ...
def kv_groups(type: str, x: NDArray[np.float32], as_keys: bool) -> bytes: ...
def kv_scores(
    type: str, q: NDArray[np.float32], keys: NDArray[np.float32], scores: NDArray[np.float32]
) -> None: ...
def kv_add_values(
    type: str,
    weights: NDArray[np.float32],
    values: NDArray[np.float32],
    out: NDArray[np.float32],
) -> None: ...

class LlamaSession:
    def __init__(self, config: dict[str, Any], threads: int, repack: bool) -> None: ...
    def set_matrix(
        self, name: str, type: int, rows: int, cols: int, data: NDArray[np.uint8]
    ) -> bool: ...
    def pack(self) -> None: ...
    def set_vector(self, name: str, data: NDArray[np.float32]) -> None: ...
    def set_adapter_update(
        self, name: str, a: NDArray[np.float32], b: NDArray[np.float32]
    ) -> None: ...
    def start(self, context: int, sequences: int, kv_type: str, activation_bits: int) -> None: ...
    def eval(
        self, sequence: int, tokens: NDArray[np.int32], out: NDArray[np.float32], all: bool
    ) -> None: ...
    def eval_each(
        self,
        sequences: NDArray[np.uint64],
        tokens: NDArray[np.int32],
        out: NDArray[np.float32],
    ) -> None: ...
    def truncate(self, sequence: int, position: int) -> None: ...
    def tokens(self, sequence: int) -> NDArray[np.int32]: ...
    def lock(self) -> int: ...
    @property
    def sequences(self) -> int: ...
    @property
    def context(self) -> int: ...
    @property
    def nbytes(self) -> int: ...

class Sampler:
    def __init__(
        self,
        *,
        temperature: float,
        top_k: int,
        top_p: float,
        min_p: float,
        repeat_penalty: float,
        frequency_penalty: float,
        presence_penalty: float,
        penalty_window: int,
        seed: int,
    ) -> None: ...
    def accept(self, token: int) -> None: ...
    def sample(self, logits: NDArray[np.float32]) -> int: ...

def read_strings(
    data: Any, offset: int, count: int, wide: bool, big_endian: bool
) -> tuple[list[str | bytes], int]: ...
def stored_strings(
    data: Any, offset: int, count: int, wide: bool, big_endian: bool
) -> tuple[StoredStrings, int]: ...

class StoredStrings(Sequence[str | bytes]):
    def __len__(self) -> int: ...
    def __getitem__(self, index: int) -> str | bytes: ...  # type: ignore[override]
    def list(self) -> list[str | bytes]: ...
    def find(self, texts: Sequence[str]) -> dict[str, int]: ...

class Fallback:
    def __init__(self, bytes: Sequence[tuple[int, int]], unknown: int, fuse: bool) -> None: ...

class WordSplitter:
    def __init__(self, expressions: Sequence[str]) -> None: ...
    def words(self, text: str, letters: bool) -> list[str]: ...

class Unigram:
    def __init__(
        self,
        pieces: Sequence[str | bytes],
        tokens: NDArray[np.int32],
        scores: NDArray[np.float64],
        unknown_score: float,
        unknown: int,
        byte_tokens: list[int],
        single_precision: bool,
    ) -> None: ...
    def encode(self, words: Iterable[str]) -> list[int]: ...

class WordPieces:
    def __init__(
        self,
        pieces: Sequence[str | bytes],
        tokens: NDArray[np.int32],
        mark: str,
        strict: bool,
        unknown: int,
        most: int,
    ) -> None: ...
    def encode(self, words: Iterable[str]) -> list[int]: ...

class CompiledNormalizer:
    def __init__(
        self,
        charsmap: bytes,
        pieces: Sequence[str | bytes],
        kept: NDArray[np.int32],
        before: bool,
        after: bool,
        collapse: bool,
        by_words: bool,
    ) -> None: ...
    def normalized(self, text: str) -> str: ...

class Bpe:
    def __init__(
        self,
        pieces: Sequence[str | bytes],
        merges: Sequence[str | bytes],
        whole_words: bool,
        fallback: Fallback = ...,
    ) -> None: ...
    def encode(self, words: Iterable[str]) -> list[int]: ...
    def encode_bytes(self, text: str, splitter: WordSplitter) -> list[int]: ...

class Ties(Enum):
    LEFTMOST = 0
    SHORT_LEFT = 1
    LONG_LEFT = 2

class SentencePieces:
    def __init__(
        self,
        pieces: Sequence[str | bytes],
        joinable: NDArray[np.uint8],
        scores: NDArray[np.float32],
        fallback: Fallback,
        ties: Ties,
    ) -> None: ...
    def encode(self, words: Iterable[str]) -> list[int]: ...

class TokenFinder:
    def __init__(self, patterns: Sequence[tuple[str, int, bool, bool, bool, bool]]) -> None: ...
    def split(self, text: str, special: bool, longest_first: bool) -> list[str | int]: ...

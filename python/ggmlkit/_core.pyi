"""The compiled core: kernels and decoder. Arrays are C-contiguous; every size is checked."""

from collections import abc
from collections.abc import Iterable
from enum import Enum
from typing import Any, ClassVar

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
def can_calibrate(type: int) -> bool: ...
def scale_group(type: int) -> int: ...
def calibrate(
    target: int,
    weights: NDArray[np.float32],
    dst: NDArray[np.uint8],
    order: NDArray[np.uint32],
    diagonal: NDArray[np.float32],
    upper: NDArray[np.float32] | None,
    hessian: NDArray[np.float32] | None,
    passes: int,
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

class RopeScaling(Enum):
    NONE = 0
    LINEAR = 1
    YARN = 2

class RopePairs(Enum):
    NEIGHBOURS = 0
    HALVES = 1

class Gate(Enum):
    SILU = 0
    GELU = 1

class RopeConfig:
    dims: int
    pairs: RopePairs
    base: float
    scaling: RopeScaling
    factor: float
    original_context: float
    attention_factor: float
    beta_fast: float
    beta_slow: float
    freq_factors: list[float]
    long_freq_factors: list[float]

class ModelConfig:
    layers: int
    dim: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn: int
    vocab: int
    norm_eps: float
    rope: RopeConfig
    sliding_rope: RopeConfig | None
    gate: Gate
    embedding_scale: float
    query_scale: float
    attn_softcap: float
    final_softcap: float
    has_head_norms: bool
    has_post_norms: bool
    windows: list[int]
    has_output: bool  # without, results are hidden states, normed only by an output norm

class ModelWeights:
    def __init__(self, config: ModelConfig, threads: int, repack: bool) -> None: ...
    def set_matrix(
        self, name: str, type: int, rows: int, cols: int, data: NDArray[np.uint8]
    ) -> bool: ...
    def set_vector(self, name: str, data: NDArray[np.float32]) -> None: ...
    def pack(self) -> None: ...
    def finish(self) -> None: ...
    def lock(self) -> int: ...
    @property
    def nbytes(self) -> int: ...

class Adapter:
    def __init__(self, weights: ModelWeights) -> None: ...
    def set(self, name: str, a: NDArray[np.float32], b: NDArray[np.float32]) -> None: ...
    @property
    def nbytes(self) -> int: ...

KV_PAGE: int  # positions of a page of the cache

def kv_page_bytes(weights: ModelWeights, key_type: str, value_type: str) -> int: ...

class OutOfPages(RuntimeError): ...

class Input(Enum):
    ATTN_NORM = 0
    ATTENDED = 1
    FFN_NORM = 2
    HIDDEN = 3
    OUTPUT_NORM = 4

class LogitsOf(Enum):
    NONE = 0
    LAST = 1
    ALL = 2

class Sequence:
    def fork(self) -> Sequence: ...
    def truncate(self, length: int) -> int: ...
    def save(self) -> NDArray[np.uint8]: ...
    @property
    def window_begin(self) -> int: ...
    @property
    def tokens(self) -> NDArray[np.int32]: ...
    def __len__(self) -> int: ...

class Engine:
    def __init__(
        self,
        weights: ModelWeights,
        context: int,
        positions: int,
        key_type: str,
        value_type: str,
        activation_bits: int,
        keeps_prefixes: bool,
        batch_invariant: bool,
    ) -> None: ...
    def sequence(self, adapter: Adapter | None, tokens: NDArray[np.int32]) -> Sequence: ...
    def step(
        self,
        sequences: list[Sequence],
        tokens: NDArray[np.int32],
        counts: list[int],
        logits: list[LogitsOf],
        out: NDArray[np.float32] | None,
        hidden: NDArray[np.float32] | None,
        observer: abc.Callable[[int, Input, NDArray[np.float32]], object] | None,
    ) -> None: ...
    def load(
        self,
        adapter: Adapter | None,
        tokens: NDArray[np.int32],
        window_begin: int,
        data: NDArray[np.uint8],
    ) -> Sequence: ...
    @property
    def context(self) -> int: ...
    @property
    def positions(self) -> int: ...
    @property
    def free_positions(self) -> int: ...
    @property
    def nbytes(self) -> int: ...

class SamplingStep:
    __members__: ClassVar[dict[str, SamplingStep]]

class SamplingParams:
    steps: list[SamplingStep]
    temperature: float
    dynatemp_range: float
    dynatemp_exponent: float
    top_k: int
    top_p: float
    min_p: float
    typical_p: float
    top_n_sigma: float
    xtc_probability: float
    xtc_threshold: float
    min_keep: int
    mirostat: int
    mirostat_tau: float
    mirostat_eta: float
    repeat_penalty: float
    frequency_penalty: float
    presence_penalty: float
    repeat_last_n: int
    dry_multiplier: float
    dry_base: float
    dry_allowed_length: int
    dry_penalty_last_n: int
    dry_sequence_breakers: list[int]
    seed: int
    logit_bias: list[tuple[int, float]]

class Sampler:
    def __init__(self, params: SamplingParams) -> None: ...
    def accept(self, token: int) -> None: ...
    def copy(self) -> Sampler: ...

def sample_rows(
    samplers: list[Sampler],
    logits: NDArray[np.float32],
    allowed: NDArray[np.uint32] | None = None,
) -> NDArray[np.int32]: ...
def log_probability(logits: NDArray[np.float32], token: int) -> float: ...
def top_log_probabilities(logits: NDArray[np.float32], top: int) -> list[tuple[int, float]]: ...
def read_strings(
    data: Any, offset: int, count: int, wide: bool, big_endian: bool
) -> tuple[list[str | bytes], int]: ...
def stored_strings(
    data: Any, offset: int, count: int, wide: bool, big_endian: bool
) -> tuple[StoredStrings, int]: ...

class StoredStrings(abc.Sequence[str | bytes]):
    def __len__(self) -> int: ...
    def __getitem__(self, index: int) -> str | bytes: ...  # type: ignore[override]
    def list(self) -> list[str | bytes]: ...
    def find(self, texts: abc.Sequence[str]) -> dict[str, int]: ...

class Fallback:
    def __init__(self, bytes: abc.Sequence[tuple[int, int]], unknown: int, fuse: bool) -> None: ...

class WordSplitter:
    def __init__(self, expressions: abc.Sequence[str]) -> None: ...
    def words(self, text: str, letters: bool) -> list[str]: ...

class Unigram:
    def __init__(
        self,
        pieces: abc.Sequence[str | bytes],
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
        pieces: abc.Sequence[str | bytes],
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
        pieces: abc.Sequence[str | bytes],
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
        pieces: abc.Sequence[str | bytes],
        merges: abc.Sequence[str | bytes],
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
        pieces: abc.Sequence[str | bytes],
        joinable: NDArray[np.uint8],
        scores: NDArray[np.float32],
        fallback: Fallback,
        ties: Ties,
    ) -> None: ...
    def encode(self, words: Iterable[str]) -> list[int]: ...

class TokenFinder:
    def __init__(self, patterns: abc.Sequence[tuple[str, int, bool, bool, bool, bool]]) -> None: ...
    def split(self, text: str, special: bool, longest_first: bool) -> list[str | int]: ...

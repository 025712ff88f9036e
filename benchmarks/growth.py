"""How a token's cost grows with the model and with the context."""

from __future__ import annotations

from functools import partial

from bench import Bench, Outcome, Step, compared, few, in_words
from inputs import REAL, cost
from measure import Comparison
from shapes import SHAPES
from tokens_per_second import Work, systems

# In addition to those that `speed` measures.
_DEPTHS = (0, 512, 4096)


def steps(bench: Bench) -> list[Step]:
    """Shapes, then depths, with all threads and the first type."""
    type, threads = bench.types[0], max(bench.threads)
    return [
        *(
            Step(
                f"growth {size} {type} {in_words(threads)}",
                partial(_size, bench, size, type, threads),
            )
            for size in SHAPES
        ),
        *(
            Step(
                f"growth depth {depth} {type} {in_words(threads)}",
                partial(_depth, bench, depth, type, threads),
            )
            for depth in _DEPTHS
        ),
    ]


def _size(bench: Bench, size: str, type: str, threads: int) -> Outcome:
    path = bench.inputs.model(size, type)
    spent = cost(path)
    # A small model makes more tokens, so that its run is long enough to time.
    n_gen = 16 if spent.weights > 500_000_000 else 64

    def line(kind: str, samples: dict[str, list[float]]) -> Comparison:
        decode = kind == "decode"
        amount = spent.decode_bytes if decode else spent.prompt_macs
        name = f"{size} {type}, {f'decode of {n_gen}' if decode else f'prompt of {kind}'}"
        x = {"bytes" if decode else "multiply-adds": float(amount)}
        return Comparison("Growth with model size", name, "tokens/s", threads, samples, x=x)

    work = Work(path, threads, (128,), n_gen)
    return compared(systems(bench.peers, work), few(bench), line)


def _depth(bench: Bench, depth: int, type: str, threads: int) -> Outcome:
    path = bench.inputs.model(REAL, type)

    def line(_: str, samples: dict[str, list[float]]) -> Comparison:
        name = f"{REAL} {type}, behind {depth} tokens"
        return Comparison(
            "Growth with context", name, "tokens/s", threads, samples, x={"tokens": float(depth)}
        )

    work = Work(path, threads, n_gen=16, depth=depth)
    return compared(systems(bench.peers, work), few(bench), line)

"""Speed of models: prefill, decode, long contexts, several sequences in a batch."""

from __future__ import annotations

from functools import partial

from bench import Bench, Outcome, Step, compared, few, in_words
from inputs import REAL, cost
from measure import Comparison, Roof
from peers import LLAMA_CPP
from tokens_per_second import Together, Work, systems, systems_together

_PROMPTS = (256, 512)
_BIG = 500_000_000  # with more weights, prompts take a peer many seconds
_DEPTHS = (2048, 8192)
_LONG = 4096  # tokens; deeper contexts take peers long to fill, so only one type is measured
_SEQUENCES = 8


def steps(bench: Bench) -> list[Step]:
    """Decode and prefill are measured by the same processes."""
    each = [(type, threads) for threads in bench.threads for type in bench.types]
    most = max(bench.threads)
    return [
        *(
            Step(
                f"speed {size} {type} {in_words(threads)}",
                partial(_speed, bench, size, type, threads),
            )
            for size in bench.sizes
            for type, threads in each
        ),
        *(
            Step(
                f"together {type} {in_words(threads)}",
                partial(_together, bench, type, threads),
            )
            for type, threads in each
        ),
        *(
            Step(
                f"depth {depth} {type} {in_words(most)}", partial(_depth, bench, type, most, depth)
            )
            for depth in _DEPTHS
            for type in (bench.types if depth < _LONG else bench.types[:1])
        ),
    ]


def _speed(bench: Bench, size: str, type: str, threads: int) -> Outcome:
    """Fewer tokens and rounds for a big model, whose runs are longer and vary less."""
    path = bench.inputs.model(size, type)
    spent = cost(path)
    big = spent.weights > _BIG
    short = Work(path, threads, _PROMPTS[:1], n_gen=24 if big else 64, warmup=not big)
    long = Work(path, threads, _PROMPTS[1:], warmup=not big)

    def line(kind: str, samples: dict[str, list[float]]) -> Comparison:
        where = f"{size} {type}"
        if kind == "decode":
            roof = Roof("read", spent.decode_bytes, goal=0.8 if big else None)
            return Comparison(
                "Decode, one sequence", f"{where}, {short.n_gen} tokens", "tokens/s", threads,
                samples, goal=1.4, roof=roof,
            )  # fmt: skip
        roof = Roof("multiply_add", spent.prompt_macs, goal=0.45)
        return Comparison(
            "Prefill", f"{where}, {kind} tokens", "tokens/s", threads, samples, goal=2.0, roof=roof
        )

    first = compared(systems(bench.peers, short), bench.rounds, line)
    rounds = few(bench) if big else bench.rounds
    second = compared(systems(bench.peers, long), rounds, line)
    return Outcome(first.comparisons + second.comparisons, first.notes + second.notes)


def _together(bench: Bench, type: str, threads: int) -> Outcome:
    path = bench.inputs.model(REAL, type)
    work = Together(path, threads, _SEQUENCES, n_gen=32)

    def line(_: str, samples: dict[str, list[float]]) -> Comparison:
        name = f"{REAL} {type}, {_SEQUENCES} sequences of {work.n_gen} tokens"
        return Comparison(
            "Decode together", name, "tokens/s", threads, samples, goal=2.0, against=LLAMA_CPP
        )

    return compared(systems_together(bench.peers, work), bench.rounds, line)


def _depth(bench: Bench, type: str, threads: int, depth: int) -> Outcome:
    path = bench.inputs.model(REAL, type)
    work = Work(path, threads, n_gen=16, depth=depth, warmup=False)

    def line(_: str, samples: dict[str, list[float]]) -> Comparison:
        name = f"{REAL} {type}, behind {depth} tokens"
        return Comparison(
            "Decode in a long context", name, "tokens/s", threads, samples, goal=1.4,
            x={"tokens": float(depth)} if type == bench.types[0] else {},
        )  # fmt: skip

    return compared(systems(bench.peers, work), few(bench), line)

"""Speed of the types with nested scales or short lists of values.

SmolLM2's widths are not multiples of their block size of 256, so a random model is measured.
"""

from __future__ import annotations

from functools import partial

from bench import Bench, Outcome, Step, compared, few, in_words
from inputs import cost
from measure import Comparison, Roof
from tokens_per_second import Work, systems

SIZE = "213M"
_TYPES = ("q2_K", "q3_K", "q4_K", "q5_K", "q6_K", "iq4_nl", "iq4_xs", "mxfp4", "q2_0")
_PROMPT = 256


def steps(bench: Bench) -> list[Step]:
    """Each type and thread count."""
    return [
        Step(f"grouped {SIZE} {type} {in_words(threads)}", partial(_grouped, bench, type, threads))
        for threads in bench.threads
        for type in _TYPES
    ]


def _grouped(bench: Bench, type: str, threads: int) -> Outcome:
    path = bench.inputs.model(SIZE, type)
    spent = cost(path)
    work = Work(path, threads, (_PROMPT,), n_gen=64)

    def line(kind: str, samples: dict[str, list[float]]) -> Comparison:
        decode = kind == "decode"
        name = f"{SIZE} {type}, {work.n_gen if decode else kind} tokens"
        read, multiply_add = spent.decode_bytes, spent.prompt_macs
        roof = Roof("read", read) if decode else Roof("multiply_add", multiply_add)
        group = f"{'Decode' if decode else 'Prefill'}, nested scales and lists of values"
        return Comparison(group, name, "tokens/s", threads, samples, roof=roof)

    return compared(systems(bench.peers, work), few(bench), line)

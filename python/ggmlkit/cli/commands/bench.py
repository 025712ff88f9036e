"""`ggmlkit bench`: tokens per second of prefill and of decoding."""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ggmlkit.cli import llama_cpp, options, values
from ggmlkit.cli.usage import UsageError

if TYPE_CHECKING:
    from ggmlkit.engine.llama import Llama

EXAMPLES = """\
  ggmlkit bench -m model.gguf -p 512 -n 128
  ggmlkit bench -m model.gguf -p 0 -n 32 --parallel 8 --json"""


@dataclass(frozen=True)
class Result:
    """One measurement; exactly one of `n_prompt` and `n_gen` isn't 0.

    The names are llama-bench's; `n_parallel` sequences decode `n_gen` tokens each, and `avg_ts`
    counts the tokens of all.
    """

    n_prompt: int
    n_gen: int
    n_depth: int
    n_parallel: int
    n_threads: int
    avg_ts: float
    stddev_ts: float
    model_type: str
    model_size: int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    options.add_model(parser)
    work = parser.add_argument_group("work")
    count = values.whole_number(0)
    work.add_argument(
        "-p",
        "--n-prompt",
        type=count,
        action="append",
        metavar="N",
        help="Tokens of a prompt; 0: none. May be repeated. Default: 256.",
    )
    work.add_argument(
        "-n", "--n-gen", type=count, default=64, metavar="N", help="Tokens to decode; 0: none."
    )
    work.add_argument(
        "-d",
        "--depth",
        "--n-depth",
        type=count,
        default=0,
        metavar="N",
        help="Tokens in the context before each measurement.",
    )
    work.add_argument(
        "--parallel",
        type=values.whole_number(1),
        default=1,
        metavar="N",
        help="Sequences that decode together.",
    )
    work.add_argument(
        "-r",
        "--repetitions",
        type=values.whole_number(1),
        default=5,
        metavar="N",
        help="Repetitions of each measurement.",
    )
    options.add_switch(work, "warmup", "Don't run once before measuring.")
    model = parser.add_argument_group("model")
    options.add_decoder(model)
    options.add_threads(model)
    options.add_json(parser)
    llama_cpp.add_bench_options(parser)


def run(args: argparse.Namespace) -> int:
    """Measure, and print the speeds."""
    if args.depth and args.parallel > 1:
        raise UsageError("--parallel starts from an empty context: leave --depth out")
    prompts = [n for n in args.n_prompt or [256] if n]
    if not prompts and not args.n_gen:
        raise UsageError("there is nothing to measure: -p and -n are 0")
    from ggmlkit.cli.decoder import open_decoder
    from ggmlkit.cli.threads import thread_count

    threads = thread_count(args.threads)
    context = args.depth + max([*prompts, args.n_gen]) + 1
    llama = open_decoder(args, context=context, threads=threads, sequences=args.parallel)
    results = list(_results(args, llama, prompts, threads))
    if args.json:
        print(json.dumps([asdict(result) for result in results], indent=1))
        return 0
    kind, size = _described(args.model)
    print(f"{args.model}: {kind}, {size / 1e6:.1f} MB, {threads} threads")
    for result in results:
        print(f"  {_work(result):12} {result.avg_ts:9.2f} ± {result.stddev_ts:.2f} tokens/s")
    return 0


def _results(
    args: argparse.Namespace, llama: Llama, prompts: list[int], threads: int
) -> Iterator[Result]:
    """Each prompt's measurement, then that of decoding."""
    kind, size = _described(args.model)

    def measured(n_prompt: int, n_gen: int, sequences: int, work: Callable[[], None]) -> Result:
        def timed() -> float:
            _fill(llama, args.depth)
            start = time.perf_counter()
            work()
            return time.perf_counter() - start

        if args.warmup:
            timed()  # loads the pages of the file
        tokens = n_prompt + n_gen * sequences
        speeds = [tokens / timed() for _ in range(args.repetitions)]
        spread = statistics.stdev(speeds) if len(speeds) > 1 else 0.0
        mean = statistics.mean(speeds)
        return Result(n_prompt, n_gen, args.depth, sequences, threads, mean, spread, kind, size)

    for n in prompts:
        yield measured(n, 0, 1, partial(_prefill, llama, n))
    if args.n_gen and args.parallel > 1:
        together = partial(_decode_together, llama, args.n_gen, args.parallel)
        yield measured(0, args.n_gen, args.parallel, together)
    elif args.n_gen:
        yield measured(0, args.n_gen, 1, partial(_decode, llama, args.n_gen))


def _fill(llama: Llama, depth: int) -> None:
    """Leave `depth` tokens in the context; they are computed only if they aren't there."""
    for sequence in range(llama.sequences):
        llama.truncate(depth, sequence)
    missing = range(len(llama.tokens), depth)
    if missing:
        llama.eval([_token(llama, i) for i in missing])


def _prefill(llama: Llama, n: int) -> None:
    llama.eval([_token(llama, i) for i in range(n)])


def _decode(llama: Llama, n: int) -> None:
    for i in range(n):
        llama.eval([_token(llama, i)])


def _decode_together(llama: Llama, n: int, sequences: int) -> None:
    """`n` tokens for each sequence, one of every sequence at a time."""
    for i in range(n):
        llama.decode_batch([_token(llama, i * sequences + s) for s in range(sequences)])


def _token(llama: Llama, i: int) -> int:
    """Scattered ids, so that the embedding rows don't sit in the cache; the same every time."""
    return (7919 * i + 1) % llama.config.vocab


def _work(result: Result) -> str:
    work = f"prompt {result.n_prompt}" if result.n_prompt else f"decode {result.n_gen}"
    if result.n_parallel > 1:
        work += f" × {result.n_parallel}"
    return f"{work} at {result.n_depth}" if result.n_depth else work


def _described(path: Path) -> tuple[str, int]:
    """The model's kind, such as `llama 135M q4_0`, and the bytes of its tensors."""
    from ggmlkit import io

    with io.open(path) as file:
        tensors = list(file.tensors.values())
        architecture = file.metadata.get("general.architecture", "llama")
    weights = sum(tensor.size for tensor in tensors)
    nbytes: dict[str, int] = {}
    for tensor in tensors:
        nbytes[tensor.type.name] = nbytes.get(tensor.type.name, 0) + tensor.nbytes
    amount = f"{weights / 1e9:.1f}B" if weights >= 1e9 else f"{weights / 1e6:.0f}M"
    return f"{architecture} {amount} {max(nbytes, key=lambda t: nbytes[t])}", sum(nbytes.values())

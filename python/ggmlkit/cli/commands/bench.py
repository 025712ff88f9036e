"""`ggmlkit bench`: tokens per second of a prompt, and of making text."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from ggmlkit.cli.command_line import Option, UsageError
from ggmlkit.cli.options import (
    ActivationBits,
    BitsChoice,
    Json,
    KvChoice,
    KvType,
    Model,
    Repack,
    Threads,
)

if TYPE_CHECKING:
    from ggmlkit.engine.llama import Llama


@dataclass(frozen=True)
class Result:
    """One measurement; exactly one of `n_prompt` and `n_gen` isn't 0.

    The names are llama-bench's; `n_parallel` sequences made `n_gen` tokens each, and `avg_ts`
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


def bench(
    model: Model,
    n_prompt: Annotated[
        list[int] | None,
        Option("-p", "--n-prompt", metavar="N", min=0, help="Prompt tokens, 256; may be repeated."),
    ] = None,
    n_gen: Annotated[int, Option("-n", "--n-gen", min=0, help="Tokens to make.")] = 64,
    depth: Annotated[int, Option("-d", "--depth", min=0, help="In the context before each.")] = 0,
    parallel: Annotated[
        int, Option("--parallel", min=1, help="Sequences that tokens are made for together.")
    ] = 1,
    threads: Threads = None,
    kv_type: KvType = KvChoice.f16,
    activation_bits: ActivationBits = BitsChoice.eight,
    repack: Repack = True,
    repetitions: Annotated[int, Option("-r", "--repetitions", min=1, help="Of each.")] = 5,
    warmup: Annotated[
        bool, Option("--warmup/--no-warmup", help="Run once before measuring.")
    ] = True,
    as_json: Json = False,
) -> None:
    """Measure how fast a model reads a prompt and makes text."""
    from ggmlkit.cli.decoder import open_decoder
    from ggmlkit.cli.threads import thread_count

    if depth and parallel > 1:
        raise UsageError("--parallel starts from an empty context: leave --depth out")
    prompts = [n for n in ([256] if n_prompt is None else n_prompt) if n]
    used = thread_count(threads)
    room = depth + max([*prompts, n_gen]) + 1
    llama = open_decoder(
        model,
        context=room,
        sequences=parallel,
        threads=used,
        kv_type=kv_type,
        activation_bits=activation_bits,
        repack=repack,
    )
    kind, size = _described(model)

    def measured(n_prompt: int, n_gen: int, sequences: int, work: Callable[[], None]) -> Result:
        def timed() -> float:
            _fill(llama, depth)
            start = time.perf_counter()
            work()
            return time.perf_counter() - start

        if warmup:
            timed()  # faults the pages of the file in
        tokens = n_prompt + n_gen * sequences
        speeds = [tokens / timed() for _ in range(repetitions)]
        spread = statistics.stdev(speeds) if repetitions > 1 else 0.0
        mean = statistics.mean(speeds)
        return Result(n_prompt, n_gen, depth, sequences, used, mean, spread, kind, size)

    results = [measured(n, 0, 1, partial(_read, llama, n)) for n in prompts]
    if n_gen and parallel > 1:
        results.append(
            measured(0, n_gen, parallel, lambda: _write_together(llama, n_gen, parallel))
        )
    elif n_gen:
        results.append(measured(0, n_gen, 1, lambda: _write(llama, n_gen)))
    if as_json:
        print(json.dumps([asdict(result) for result in results], indent=1))
        return
    print(f"{model}: {kind}, {size / 1e6:.1f} MB, {used} threads")
    for result in results:
        print(f"  {_work(result):12} {result.avg_ts:9.2f} ± {result.stddev_ts:.2f} tokens/s")


def _fill(llama: Llama, depth: int) -> None:
    """Leave `depth` tokens in the context, read only if they aren't there."""
    for sequence in range(llama.sequences):
        llama.truncate(depth, sequence)
    missing = range(len(llama.tokens), depth)
    if missing:
        llama.eval([_token(llama, i) for i in missing])


def _read(llama: Llama, n: int) -> None:
    llama.eval([_token(llama, i) for i in range(n)])


def _write(llama: Llama, n: int) -> None:
    for i in range(n):
        llama.eval([_token(llama, i)])


def _write_together(llama: Llama, n: int, sequences: int) -> None:
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

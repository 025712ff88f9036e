"""`ggmlkit bench`: tokens per second of a prompt, and of making text."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ggmlkit.cli.options import Json, Model, Threads

if TYPE_CHECKING:
    from ggmlkit.model.llama import Llama


@dataclass(frozen=True)
class Result:
    """One measurement; exactly one of `n_prompt` and `n_gen` isn't 0."""

    n_prompt: int
    n_gen: int
    n_threads: int
    avg_ts: float
    stddev_ts: float
    model_type: str
    model_size: int


def bench(
    model: Model,
    n_prompt: Annotated[int, typer.Option("-p", "--n-prompt", min=0, help="Prompt tokens.")] = 256,
    n_gen: Annotated[int, typer.Option("-n", "--n-gen", min=0, help="Tokens to make.")] = 64,
    threads: Threads = None,
    repetitions: Annotated[int, typer.Option("-r", "--repetitions", min=1, help="Of each.")] = 5,
    as_json: Json = False,
) -> None:
    """Measure how fast a model reads a prompt and makes text."""
    from ggmlkit.cli.threads import thread_count
    from ggmlkit.model.llama import Llama

    used = thread_count(threads)
    llama = Llama(model, context=max(n_prompt, n_gen, 1) + 1, threads=used)
    kind, size = _described(model)

    def measured(n_prompt: int, n_gen: int, work: Callable[[], None]) -> Result:
        work()  # faults the pages of the file in
        speeds = [(n_prompt + n_gen) / _seconds(work) for _ in range(repetitions)]
        spread = statistics.stdev(speeds) if repetitions > 1 else 0.0
        return Result(n_prompt, n_gen, used, statistics.mean(speeds), spread, kind, size)

    results = []
    if n_prompt:
        results.append(measured(n_prompt, 0, lambda: _read(llama, n_prompt)))
    if n_gen:
        results.append(measured(0, n_gen, lambda: _write(llama, n_gen)))
    if as_json:
        print(json.dumps([asdict(result) for result in results], indent=1))
        return
    print(f"{model}: {kind}, {size / 1e6:.1f} MB, {used} threads")
    for result in results:
        work = f"prompt {n_prompt}" if result.n_prompt else f"decode {n_gen}"
        print(f"  {work:12} {result.avg_ts:9.2f} ± {result.stddev_ts:.2f} tokens/s")


def _seconds(work: Callable[[], None]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _read(llama: Llama, n: int) -> None:
    llama.reset()
    llama.eval([_token(llama, i) for i in range(n)])


def _write(llama: Llama, n: int) -> None:
    llama.reset()
    for i in range(n):
        llama.eval([_token(llama, i)])


def _token(llama: Llama, i: int) -> int:
    """Scattered ids, so that the embedding rows don't sit in the cache; the same every time."""
    return (7919 * i + 1) % llama.config.vocab


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

"""Servers beside each other: tokens a second of several clients, waits and gaps."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

import ggmlkit as gk
from bench import Bench, Outcome, Step, compared, few, ours
from http_load import Plan, Times
from inputs import REAL
from measure import OURS, Comparison
from peers import FOLDER, LLAMA_CPP, llama_cpp

_CLIENTS = (1, 4, 8, 16)
_REQUESTS = 3  # of each client
_SHARED = 1000  # tokens of a system prompt
_LONG = 4000  # of a prompt that comes while another answer is written
_STREAM = 300  # tokens of that answer
# Guesses would end a stream before the long prompt comes, and make two streams unlike.
_PLAIN = ("--no-lookup",)
_LOAD = Path(__file__).with_name("http_load.py")
_IN_PYTHON = "generate in Python"


def steps(bench: Bench) -> list[Step]:
    """With most threads and the first type."""
    found = []
    for size in bench.sizes:
        counts = _CLIENTS if size == REAL else (1, 8)
        found += [Step(f"serve {size} {n}", partial(_clients, bench, size, n)) for n in counts]
    return [
        *found,
        Step("serve shared prompt", partial(_shared_prompt, bench)),
        Step("serve long prompt", partial(_long_prompt, bench)),
        *(
            Step(f"serve one stream {size}", partial(_one_stream, bench, size))
            for size in bench.sizes
        ),
    ]


def _clients(bench: Bench, size: str, clients: int) -> Outcome:
    """All answers' tokens a second, and how long the first token took for 19 of 20 requests."""
    path = bench.inputs.model(size, bench.types[0])

    def plan(turn: int) -> list[list[dict[str, Any]]]:
        random = np.random.default_rng([turn, clients])
        return [
            [_request(random, int(random.integers(128, 513)), int(random.integers(64, 129)))
             for _ in range(_REQUESTS)]
            for _ in range(clients)
        ]  # fmt: skip

    def measured(
        times: Sequence[list[Times]], asked: list[list[dict[str, Any]]]
    ) -> dict[str, float]:
        tokens = sum(body["max_tokens"] for own in asked for body in own)
        ends = [each["parts"][-1] for own in times for each in own]
        return {"speed": tokens / max(ends), "first": 1e3 * _first_token(times)}

    goal = 2.0 if clients in (1, 4) or size != REAL else 2.5
    if size != REAL and clients == 1:
        goal = 1.3
    name = f"{size} {bench.types[0]}, {clients} at once"
    lines = {
        "speed": _line(bench, name, "tokens/s", goal),
        "first": _line(bench, f"{name}: first token of 95 %", "ms", 0.5, less=True),
    }
    return _compared(bench, path, max(8, clients), 768, plan, measured, lines)


def _shared_prompt(bench: Bench) -> Outcome:
    """Eight clients whose prompts begin alike."""
    path = bench.inputs.model(REAL, bench.types[0])

    def plan(turn: int) -> list[list[dict[str, Any]]]:
        random = np.random.default_rng([turn, 99])
        system = random.integers(1000, 30000, _SHARED).tolist()
        requests = [[_request(random, 40, 64) for _ in range(_REQUESTS)] for _ in range(8)]
        for own in requests:
            for body in own:
                body["prompt"] = system + body["prompt"]
        return requests

    def measured(times: Sequence[list[Times]], _: list[list[dict[str, Any]]]) -> dict[str, float]:
        return {"first": 1e3 * _first_token(times)}

    work = f"{REAL} {bench.types[0]}, 8 at once that share {_SHARED} tokens: first token of 95 %"
    lines = {"first": _line(bench, work, "ms", 0.5, less=True)}
    return _compared(bench, path, 8, 1536, plan, measured, lines)


def _long_prompt(bench: Bench) -> Outcome:
    """The longest gap of an answer while a long prompt comes."""
    path = bench.inputs.model(REAL, bench.types[0])

    def plan(turn: int) -> list[list[dict[str, Any]]]:
        random = np.random.default_rng([turn, 7])
        return [[_request(random, 64, _STREAM)], [_request(random, _LONG, 1)]]

    def measured(times: Sequence[list[Times]], _: list[list[dict[str, Any]]]) -> dict[str, float]:
        (stream,), (long,) = times
        parts = stream["parts"]
        gaps = [
            later - earlier
            for earlier, later in pairwise(parts)
            if later > long["sent"] and earlier < long["parts"][0]
        ]
        return {"gap": 1e3 * max(gaps)}

    work = f"{REAL} {bench.types[0]}, longest gap while a prompt of {_LONG} tokens comes"
    lines = {"gap": _line(bench, work, "ms", 0.3, less=True)}
    return _compared(bench, path, 2, 4608, plan, measured, lines, [0.0, 0.7], _PLAIN)


def _one_stream(bench: Bench, size: str) -> Outcome:
    """A stream over HTTP beside one in Python."""
    path = bench.inputs.model(size, bench.types[0])
    llama = gk.Llama(path, context=1024, threads=max(bench.threads))

    def in_python(turn: int) -> dict[str, float]:
        random = np.random.default_rng(turn)
        body = _request(random, 64, 256)
        times = []
        for _ in llama.generate_tokens(body["prompt"], max_tokens=256, ignore_eos=True, seed=turn):
            times.append(time.perf_counter())
        return {"": (len(times) - 1) / (times[-1] - times[0])}

    with server(_our_server(bench, path, 8, 1024, _PLAIN)) as (port, _):

        def served(turn: int) -> dict[str, float]:
            random = np.random.default_rng(turn)
            ((times,),) = _load(port, [[_request(random, 64, 256)]])
            return {"": 255 / (times["parts"][-1] - times["parts"][0])}

        work = f"{size} {bench.types[0]}, one stream of 256 tokens over HTTP"
        line = _line(bench, work, "tokens/s", 0.97, against=_IN_PYTHON)
        return compared(
            {OURS: served, _IN_PYTHON: in_python}, bench.rounds, lambda _, s: line(samples=s)
        )


def _request(random: np.random.Generator, prompt: int, answer: int) -> dict[str, Any]:
    return {
        "prompt": random.integers(1000, 30000, prompt).tolist(),
        "max_tokens": answer,
        "stream": True,
        "ignore_eos": True,
        "temperature": 0.8,
        "seed": int(random.integers(1 << 30)),
    }


def _first_token(times: Sequence[list[Times]]) -> float:
    waits = [each["parts"][0] - each["sent"] for own in times for each in own]
    return float(np.quantile(waits, 0.95)) if len(waits) > 1 else waits[0]


def _line(
    bench: Bench, work: str, unit: str, goal: float, *, less: bool = False, against: str = LLAMA_CPP
) -> Callable[..., Comparison]:
    return partial(
        Comparison, "Server", work, unit, max(bench.threads),
        goal=goal, less=less, against=against,
    )  # fmt: skip


def _compared(
    bench: Bench,
    path: Path,
    parallel: int,
    context: int,
    plan: Callable[[int], list[list[dict[str, Any]]]],
    measured: Callable[[Sequence[list[Times]], list[list[dict[str, Any]]]], dict[str, float]],
    lines: dict[str, Callable[..., Comparison]],
    delays: list[float] | None = None,
    more: Sequence[str] = (),
) -> Outcome:
    """Both servers run all the time; in each round they get the same requests in turn."""
    commands = {OURS: _our_server(bench, path, parallel, context, more)}
    notes = []
    try:
        folder = llama_cpp(FOLDER, ["llama-server"])
        commands[LLAMA_CPP] = _their_server(folder, bench, path, parallel, context)
    except (OSError, subprocess.CalledProcessError) as error:
        notes.append(f"{LLAMA_CPP}: {error}")
    with ExitStack() as servers:
        ports = {name: servers.enter_context(server(own))[0] for name, own in commands.items()}

        def measure(turn: int, *, port: int) -> dict[str, float]:
            asked = plan(turn)
            return measured(_load(port, asked, delays), asked)

        systems = {name: partial(measure, port=port) for name, port in ports.items()}
        outcome = compared(systems, few(bench), lambda kind, s: lines[kind](samples=s))
    return Outcome(outcome.comparisons, [*outcome.notes, *notes])


def _our_server(
    bench: Bench, path: Path, parallel: int, context: int, more: Sequence[str] = ()
) -> list[str]:
    return ours(
        "serve", "-m", path, "--parallel", str(parallel), "-c", str(context),
        "-t", str(max(bench.threads)), "--kv-size", str(parallel * context), *more,
    )  # fmt: skip


def _their_server(folder: Path, bench: Bench, path: Path, parallel: int, context: int) -> list[str]:
    return [
        str(folder / "llama-server"), "-m", str(path), "-np", str(parallel),
        "-c", str(parallel * context), "-t", str(max(bench.threads)), "--no-webui",
    ]  # fmt: skip


@contextmanager
def server(command: list[str]) -> Iterator[tuple[int, int]]:
    """A server that answers: its port and its process id."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    process = subprocess.Popen(
        [*command, "--port", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _wait(process, f"http://127.0.0.1:{port}/health")
        yield port, process.pid
    finally:
        process.terminate()
        process.wait(60)


def _wait(process: subprocess.Popen[bytes], url: str) -> None:
    for _ in range(600):
        if process.poll() is not None:
            raise OSError(f"{process.args!r} ended with {process.returncode}")
        try:
            with urllib.request.urlopen(url):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise OSError(f"{process.args!r} does not answer")


def _load(
    port: int, clients: list[list[dict[str, Any]]], delays: list[float] | None = None
) -> list[list[Times]]:
    plan: Plan = {"port": port, "clients": clients, "delays": delays or [0.0] * len(clients)}
    done = subprocess.run(
        [sys.executable, str(_LOAD)],
        input=json.dumps(plan).encode(),
        capture_output=True,
        check=True,
    )
    found: list[list[Times]] = json.loads(done.stdout)
    return found

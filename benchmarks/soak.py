"""Many requests of many clients for a long time, some cut off, some read slowly: `make soak`.

Fails if a request fails that was not meant to, if pages of the cache are lost, if memory grows by
more than 1 % after the first fifth, or if the last tenth of the requests is slower than 0.98 times
the tenth after the first fifth. Memory and speed are judged over 1000 requests and more.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import statistics
import sys
import time
import urllib.request
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import ours
from machine import commit, facts
from serving import server

_SYSTEM = "You are a helpful assistant who answers in one short sentence. " * 6
_WARM_UP = 0.2  # of the requests
_JUDGED = 1000  # requests, from which on memory and speed are judged
_GROWTH, _SPEED = 1.01, 0.98
_WORDS = ("red", "green", "blue", "small", "large", "old", "new", "quick", "slow", "bright", "dark")


@dataclass
class Log:
    """What happened.

    Attributes:
        kinds: of requests that ended as they should.
        failures: of the others, what was wrong.
        ends: seconds since the start, of each request.
        memory: bytes of the server, with the number of requests before.
    """

    kinds: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)
    memory: list[tuple[int, int]] = field(default_factory=list)


def main() -> int:
    """Run it, print what happened."""
    options = _arguments()
    command = ours(
        "serve", "-m", options.model, "--parallel", "16", "-c", "1024", "--kv-size", "12288",
        "--max-waiting", str(2 * options.clients),
    )  # fmt: skip
    with server(command) as (port, pid):
        log = asyncio.run(_run(options, port, pid))
        time.sleep(1.0)
        left = _cache_used(port)
    report = _report(log, left, options)
    print(json.dumps(report, indent=1))
    if options.record:
        options.record.write_text(json.dumps(report, indent=1) + "\n")
    return 1 if report["wrong"] else 0


async def _run(options: argparse.Namespace, port: int, pid: int) -> Log:
    log = Log()
    start = time.perf_counter()
    left: int = options.requests

    seconds: float = 3600 * options.hours

    def next_number() -> int | None:
        nonlocal left
        is_over = time.perf_counter() - start > seconds if seconds else left <= 0
        if is_over:
            return None
        left -= 1
        return int(options.requests) - left

    async def client() -> None:
        while (number := next_number()) is not None:
            try:
                kind = await asyncio.wait_for(_request(port, number, options), 300)
                log.kinds[kind] += 1
            except Exception as error:
                log.failures.append(f"request {number}: {error!r}")
            log.ends.append(time.perf_counter() - start)
            if number % 200 == 0:
                log.memory.append((number, _memory(pid)))
                print(number, f"{log.ends[-1]:.0f} s", log.memory[-1][1] >> 20, "MiB",
                      len(log.failures), "failures", file=sys.stderr, flush=True)  # fmt: skip

    await asyncio.gather(*(client() for _ in range(options.clients)))
    return log


async def _request(port: int, number: int, options: argparse.Namespace) -> str:
    """Send one; what kind it was. Raises if it does not end as its kind should."""
    chosen = random.Random(number)
    body = _body(chosen, options.tokens)
    kind = chosen.choices(
        ("stream", "whole", "cut off", "slow reader", "refused"), (60, 20, 10, 8, 2)
    )[0]
    body["stream"] = kind in ("stream", "cut off", "slow reader")
    if kind == "refused":
        body["temperature"] = "hot"
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        await _send(writer, body)
        if kind == "cut off":
            await reader.read(chosen.choice((1, 600)))
            writer.transport.abort()
            return kind
        answer = b""
        while part := await reader.read(64 if kind == "slow reader" else 65536):
            answer += part
            if kind == "slow reader":
                await asyncio.sleep(0.005)
    finally:
        writer.close()
    _check(kind, answer, body)
    return kind


def _check(kind: str, answer: bytes, body: dict[str, Any]) -> None:
    """Raise if an answer isn't what its request asked for."""
    status = int(answer.split(b" ", 2)[1]) if answer else 0
    expected = 400 if kind == "refused" else 200
    if status != expected:
        raise ValueError(f"{kind}: status {status}: {answer[-300:]!r}")
    if kind == "refused":
        return
    if body["stream"] and b"data: [DONE]" not in answer:
        raise ValueError(f"{kind}: cut short: {answer[-300:]!r}")
    found = re.findall(rb'"completion_tokens": ?(\d+)', answer)
    if not found or int(found[-1]) != body["max_tokens"]:
        raise ValueError(f"{kind}: {found} tokens, not {body['max_tokens']}: {answer[-300:]!r}")


def _body(chosen: random.Random, most: int) -> dict[str, Any]:
    words = " ".join(chosen.choices(_WORDS, k=chosen.randint(3, 60)))
    prompt = f"{_SYSTEM if chosen.random() < 0.7 else ''}Make a sentence of: {words}."
    return {
        "prompt": prompt,
        "max_tokens": chosen.randint(1, most),
        "ignore_eos": True,
        "temperature": chosen.choice((0, 0.8)),
        "seed": chosen.randint(0, 1 << 30),
        "stream_options": {"include_usage": True},
    }


async def _send(writer: asyncio.StreamWriter, body: dict[str, Any]) -> None:
    if not body["stream"]:
        body.pop("stream_options")
    data = json.dumps(body).encode()
    writer.write(
        b"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(data) + data
    )
    await writer.drain()


def _memory(pid: int) -> int:
    """Bytes that a process holds by itself."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    found = re.search(r"^Private_Dirty: +(\d+) kB", text, re.MULTILINE)
    return int(found[1]) << 10 if found else 0


def _cache_used(port: int) -> float:
    """The share of the cache that requests hold, by the server's metrics."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        text = answer.read().decode()
    return float(re.findall(r"^ggmlkit_cache_used_ratio\{.*\} (\S+)$", text, re.MULTILINE)[0])


def _report(log: Log, left: float, options: argparse.Namespace) -> dict[str, Any]:
    ends = sorted(log.ends)
    count = len(ends)
    warm, tenth = int(_WARM_UP * count), count // 10
    first = tenth / (ends[warm + tenth - 1] - ends[warm - 1])
    last = tenth / (ends[-1] - ends[-tenth - 1])
    after = [size for number, size in log.memory if number > warm]
    growth = statistics.mean(after[-3:]) / statistics.mean(after[:3]) if after else 1.0
    wrong = log.failures[:20]
    if left:
        wrong.append(f"{left:.3f} of the cache is still held")
    if count >= _JUDGED and growth > _GROWTH:
        wrong.append(f"memory grew {growth:.3f} times")
    if count >= _JUDGED and last / first < _SPEED:
        wrong.append(f"the last tenth ran at {last / first:.3f} of the speed of an earlier one")
    return {
        "commit": commit(),
        "cpu": facts({})["cpu"],
        "model": Path(options.model).name,
        "clients": options.clients,
        "requests": count,
        "seconds": round(ends[-1], 1),
        "kinds": dict(log.kinds),
        "failures": len(log.failures),
        "cache held after": left,
        "memory, MiB": [size >> 20 for _, size in log.memory[:: max(1, len(log.memory) // 20)]],
        "memory growth after warm-up": round(growth, 4),
        "requests a second, after warm-up": round(first, 2),
        "requests a second, last": round(last, 2),
        "speed of the last": round(last / first, 4),
        "wrong": wrong,
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="build/bench/135M-q4_0.gguf")
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--hours", type=float, default=0.0, help="run so long instead")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=8, help="of an answer at most")
    parser.add_argument("--record", type=Path, metavar="FILE", help="write the report there too")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

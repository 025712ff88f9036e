"""One launch of each system's own benchmark: tokens/s of prompts and of decoding, by kind."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench import ours
from measure import OURS, Measure
from peers import IK_LLAMA, LLAMA_CPP, Peers

# A repacked file's products are ik_llama.cpp's fastest.
_IK_REPACKED = ("-rtr", "1")


@dataclass(frozen=True)
class Work:
    """Prompts to read and tokens to make, each behind `depth` tokens, once per launch.

    `warmup` is for short work: a peer's runs the whole prompt, which takes long on a big model
    and changes little there.
    """

    model: Path
    threads: int
    prompts: tuple[int, ...] = ()
    n_gen: int = 0
    depth: int = 0
    warmup: bool = True


def systems(peers: Peers, work: Work) -> dict[str, Measure]:
    """Ours, and every peer at hand; all take `-r 1`, as the rounds repeat."""
    found: dict[str, Measure] = {OURS: lambda _: launch(our_command(work))}
    if LLAMA_CPP in peers.folders:
        found[LLAMA_CPP] = lambda _: launch(_llama_cpp_command(peers, work))
    if IK_LLAMA in peers.folders:
        found[IK_LLAMA] = lambda _: launch(_ik_llama_command(peers, work))
    return found


def our_command(work: Work) -> list[str]:
    """Our own benchmark of `work`."""
    options = [*_common(work), "--json", "-d", str(work.depth)]
    return ours("bench", *options, *(() if work.warmup else ("--no-warmup",)))


def _llama_cpp_command(peers: Peers, work: Work) -> list[str]:
    options = [*_common(work), "-o", "json", "-d", str(work.depth)]
    warmup = () if work.warmup else ("--no-warmup",)
    return [peers.tool(LLAMA_CPP, "llama-bench"), *options, *warmup]


def _ik_llama_command(peers: Peers, work: Work) -> list[str]:
    """It has no depth, but decoding behind a prompt of that length: `-gp`."""
    options = ["-o", "json", *_IK_REPACKED, "-w", str(int(work.warmup))]
    if work.depth:
        if work.prompts:
            raise ValueError("ik_llama.cpp reads no prompt behind another")
        options += [*_common(replace(work, n_gen=0)), "-gp", f"{work.depth},{work.n_gen}"]
    else:
        options += _common(work)
    return [peers.tool(IK_LLAMA, "llama-bench"), *options]


def _common(work: Work) -> list[str]:
    prompts = [text for n in work.prompts or (0,) for text in ("-p", str(n))]
    return [
        "-m", str(work.model), *prompts, "-n", str(work.n_gen), "-t", str(work.threads), "-r", "1",
    ]  # fmt: skip


def launch(command: Sequence[str]) -> dict[str, float]:
    """Run a system's benchmark that prints JSON: tokens/s by kind."""
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return {_kind(result): float(result["avg_ts"]) for result in json.loads(done.stdout)}


def _kind(result: dict[str, Any]) -> str:
    """`decode`, or the length of the prompt."""
    return "decode" if result["n_gen"] else str(result["n_prompt"])


@dataclass(frozen=True)
class Together:
    """`n_gen` tokens for each of several sequences, one of every sequence at a time."""

    model: Path
    threads: int
    sequences: int
    n_gen: int


def systems_together(peers: Peers, work: Together) -> dict[str, Measure]:
    """Ours, and every peer at hand: tokens/s of all sequences."""
    options = ["-m", str(work.model), "-t", str(work.threads)]
    found: dict[str, Measure] = {OURS: lambda _: launch(our_command_together(work))}
    # A first token each, as their prompts can't be empty.
    options += ["-npp", "1", "-ntg", str(work.n_gen), "-npl", str(work.sequences), "-c", "2048"]
    if LLAMA_CPP in peers.folders:
        theirs = [peers.tool(LLAMA_CPP, "llama-batched-bench"), *options]
        found[LLAMA_CPP] = lambda _: _batched(theirs)
    if IK_LLAMA in peers.folders:
        repacked = [peers.tool(IK_LLAMA, "llama-batched-bench"), *options, _IK_REPACKED[0]]
        found[IK_LLAMA] = lambda _: _batched(repacked)
    return found


def our_command_together(work: Together) -> list[str]:
    """Our own benchmark of `work`."""
    options = ["-m", str(work.model), "-t", str(work.threads), "-p", "0", "-n", str(work.n_gen)]
    return ours("bench", *options, "-r", "1", "--json", "--parallel", str(work.sequences))


def _batched(command: Sequence[str]) -> dict[str, float]:
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return {"decode": batched_speed(done.stdout + done.stderr)}


def batched_speed(table: str) -> float:
    """The column `S_TG t/s` of the table that llama-batched-bench prints."""
    rows = [re.findall(r"[^|\s][^|]*", line) for line in table.splitlines() if "|" in line]
    head = next(row for row in rows if any("S_TG" in cell for cell in row))
    column = next(i for i, cell in enumerate(head) if "S_TG" in cell)
    (values,) = [row for row in rows if len(row) == len(head) and row[0].strip().isdigit()]
    return float(values[column])

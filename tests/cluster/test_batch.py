"""Batches on a cluster: every line answered once and in order, also when a worker is killed."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import ray

from command import ggmlkit
from ggmlkit.batch.batch import Batch
from ggmlkit.batch.lines import Line, read_lines
from ggmlkit.distributed.batch import RayBatch
from ggmlkit.engine.model import Model
from ggmlkit.errors import GgmlkitError, ModelError

COUNT = 120
SETTINGS = {"max_tokens": 24, "temperature": 0.0, "ignore_eos": True}

ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers can't import tests


def opened(path: Path) -> Batch:
    """Runs in the workers."""
    return Batch(Model(path, context=128, contexts=2, threads=1), SETTINGS, parallel=2)


def crashing(_: Path) -> Batch:
    os._exit(3)


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    path = tmp_path / "in.jsonl"
    lines = [json.dumps({"prompt": f"Number {n}", "id": n}) for n in range(COUNT)]
    lines[3] = "{"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def lines(prompts: Path) -> Iterator[Iterator[Line]]:
    with prompts.open("rb") as file:
        yield read_lines(file)


def expected(model: Path, prompts: Path) -> list[bytes]:
    """The answers without Ray."""
    with opened(model) as batch, prompts.open("rb") as file:
        return [answer.data for answer in batch.answers(read_lines(file))]


def test_a_worker_killed_in_the_middle(
    cluster: str, chat_gguf: Path, prompts: Path, lines: Iterator[Line]
) -> None:
    del cluster
    found = []
    killed: set[int] = set()
    with RayBatch(partial(opened, chat_gguf), "auto", parallel=2, workers=2) as batch:
        for answer in batch.answers(lines):
            found.append(answer.data)
            if len(found) in (10, 50):
                worker = next(pid for pid in batch.pool.pids() if pid not in killed)
                os.kill(worker, signal.SIGKILL)
                killed.add(worker)
        assert batch.pool.workers == 2
        assert len(killed) == 2
    assert found == expected(chat_gguf, prompts)


def test_what_a_worker_raises_is_raised(cluster: str, tmp_path: Path) -> None:
    del cluster
    (tmp_path / "no.gguf").write_bytes(b"GGUF")
    with pytest.raises(GgmlkitError, match=r"no\.gguf"):
        RayBatch(partial(opened, tmp_path / "no.gguf"), "auto", parallel=2, workers=1)
    with pytest.raises(ModelError, match="3 workers died before they began"):
        RayBatch(partial(crashing, tmp_path), "auto", parallel=2, workers=1)


def test_run_goes_on_where_it_stopped(
    cluster: str, chat_gguf: Path, prompts: Path, tmp_path: Path
) -> None:
    settings = ["-n", "8", "--temp", "0", "-c", "64", "-t", "1", "-np", "2"]
    words = ["run", "-m", str(chat_gguf), *settings, "--jsonl", str(prompts)]
    here, there = tmp_path / "here.jsonl", tmp_path / "there.jsonl"
    ggmlkit(*words, str(here), code=1)
    data = here.read_bytes()
    there.write_bytes(data[: len(data) // 2])
    told = ggmlkit(*words, str(there), "--ray", cluster, "--workers", "2", code=1)
    assert "of them before" in told.stderr
    assert there.read_bytes() == data

"""`ggmlkit serve --ray` as a program."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from queue import Empty, Queue
from threading import Thread

import httpx
import pytest
from ray import serve

from ggmlkit.distributed.connection import connected
from ggmlkit.errors import ModelError
from paths import ROOT
from small_ray import free_port


def program(*words: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "ggmlkit", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT / "python")},
    )


def first_line(process: subprocess.Popen[str]) -> str:
    """Of its output."""
    assert process.stdout is not None
    lines: Queue[str] = Queue()
    Thread(target=lambda: lines.put(process.stdout.readline()), daemon=True).start()
    try:
        return lines.get(timeout=240)
    except Empty:
        process.kill()
        raise AssertionError(process.communicate()) from None


def test_it_serves_until_a_signal(cluster: str, chat_gguf: Path) -> None:
    serve.shutdown()
    port = free_port()
    words = ["serve", "-m", f"tiny={chat_gguf}", "--ray", cluster, "-t", 1, "-c", 256]
    with program(*words, "--port", port) as process:
        line = first_line(process)
        assert line.startswith(f"serving on http://127.0.0.1:{port}"), line
        body = {"prompt": "Hello", "max_tokens": 4}
        answer = httpx.post(f"http://127.0.0.1:{port}/v1/completions", json=body, timeout=60)
        assert answer.json()["usage"]["completion_tokens"] > 0
        with program(*words, "--port", port + 1) as other:
            _, said = other.communicate(timeout=240)
        assert other.returncode == 1
        assert f"listens on 127.0.0.1:{port}: give that" in said
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=120)
    assert (process.returncode, out) == (0, "")


def test_importing_the_package_and_its_commands_loads_no_ray() -> None:
    modules = "ggmlkit, ggmlkit.cli.app, ggmlkit.cli.jsonl, ggmlkit.cli.files, ggmlkit.server.ray"
    code = f"import sys, {modules}; ggmlkit.Llama; assert 'ray' not in sys.modules"
    env = os.environ | {"PYTHONPATH": str(ROOT / "python")}
    subprocess.run([sys.executable, "-c", code], check=True, env=env)


def test_where_no_cluster_is_that_is_said_at_once() -> None:
    with program("serve", "-m", "x", "--ray", f"127.0.0.1:{free_port()}", "-t", 1) as process:
        _, said = process.communicate(timeout=120)
    assert "there is no Ray cluster at 127.0.0.1:" in said
    assert process.returncode == 1
    assert "Traceback" not in said


@pytest.mark.parametrize("address", ["nowhere", "ray://127.0.0.1:1", "127.0.0.1:x"])
def test_other_forms_of_addresses(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    with (
        pytest.raises(ModelError, match=r"there is no Ray cluster at|HOST:PORT"),
        connected(address),
    ):
        pass

"""`ggmlkit serve` as a program: its address, its signals, its options."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from command import ggmlkit
from ggmlkit.cli.app import command_parser
from ggmlkit.cli.commands.serve import settings_of
from ggmlkit.server.settings import ModelSource, ServerSettings

ENDLESS: dict[str, Any] = {
    "messages": [{"role": "user", "content": "hi"}],
    "ignore_eos": True,
    "stream": True,
    "max_tokens": 100_000,
}


@contextmanager
def serving(*words: str | Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The program on a free port, and its address."""
    command = [sys.executable, "-m", "ggmlkit", "serve", "--port", "0", "-t", "1", *map(str, words)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1
    )
    try:
        assert process.stdout is not None
        found = re.fullmatch(r"serving on (http://.*:\d+)\n", process.stdout.readline())
        assert found is not None, process.communicate()[1]
        yield process, found[1]
    finally:
        process.kill()
        process.communicate()


def is_ready(url: str) -> None:
    end = time.monotonic() + 20
    while httpx.get(f"{url}/health").status_code != 200:
        assert time.monotonic() < end
        time.sleep(0.02)


def test_it_answers_and_drains(chat_gguf: Path) -> None:
    words = ["-m", f"tiny={chat_gguf}", "-c", "2048", "--drain", "0.8", "--api-key", "secret"]
    headers = {"Authorization": "Bearer secret", "X-Request-Id": "mine"}
    with serving(*words) as (process, url):
        is_ready(url)  # /health is answered while the model is loaded
        assert process.stdout is not None
        assert process.stdout.readline().startswith("loaded tiny: llama, ")
        with (
            httpx.Client(base_url=url, headers=headers) as client,
            client.stream("POST", "/v1/chat/completions", json=ENDLESS) as response,
            httpx.Client(base_url=url, headers=headers) as other,
        ):
            assert response.headers["X-Request-Id"] == "mine"
            lines = response.iter_lines()
            next(lines)
            other.get("/health")
            process.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            refused = other.post("/v1/chat/completions", json={**ENDLESS, "stream": False})
            assert refused.status_code == 503
            rest = [line for line in lines if line]
        assert rest[-1] == "data: [DONE]"
        assert (
            json.loads(rest[-2].removeprefix("data: "))["choices"][0]["finish_reason"] == "length"
        )
        assert process.wait(10) == 0
        assert process.stderr is not None
        log = process.stderr.read()
    assert "secret" not in log
    assert str(chat_gguf) not in log
    told = [json.loads(line) for line in log.splitlines()]
    (line,) = [
        line for line in told if line["path"].endswith("chat/completions") and line["status"] == 200
    ]
    assert line["id"] == "mine"
    assert line["tokens"] > 1


def test_interrupted_twice_it_ends_at_once(chat_gguf: Path) -> None:
    with serving("-m", chat_gguf, "-c", "2048") as (process, url):
        is_ready(url)
        with httpx.stream("POST", f"{url}/v1/chat/completions", json=ENDLESS) as response:
            lines = response.iter_lines()
            next(lines)
            process.send_signal(signal.SIGINT)
            time.sleep(0.2)
            assert process.poll() is None
            process.send_signal(signal.SIGINT)
            assert process.wait(5) == 130


def settings(*words: str) -> ServerSettings:
    return settings_of(command_parser("serve").parsed(words))


def test_names_of_models() -> None:
    found = settings("-m", "a/b.c.gguf", "-m", "x=d.gguf", "-m", "y=d.gguf", "-m", "hf:o/n:e.gguf")
    assert found.models == (
        ModelSource("b.c", "a/b.c.gguf"),
        ModelSource("x", "d.gguf", ("y",)),
        ModelSource("e", "hf:o/n:e.gguf"),
    )


def test_what_all_requests_share() -> None:
    assert settings("-m", "a").engine.cache_tokens is None
    assert settings("-m", "a", "--kv-size", "8192").engine.cache_tokens == 8192
    engine = settings("-m", "a", "--kv-size", "2G", "-c", "100", "-np", "3").engine
    assert (engine.cache_bytes, engine.context, engine.parallel) == (2 * 10**9, 100, 3)


def test_the_page_may_be_left_out() -> None:
    assert settings("-m", "a").page
    assert not settings("-m", "a", "--no-page").page


def test_keys_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("# ours\none\n\n two \n")
    found = settings("-m", "a", "--api-key", "zero", "--api-key-file", str(file))
    assert found.keys == ("zero", "one", "two")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-m", "a/m.gguf", "-m", "b/m.gguf"], "two models are called 'm'"),
        (["-m", "a", "--kv-size", "2X"], "--kv-size must be tokens, such as 8192, or bytes"),
        (["-m", "a", "--port", "70000"], "--port must be from 0 to 65535"),
        (["-m", "a", "--api-key-file", "/dev/null"], "/dev/null has no key"),
        (["-m", "a", "--chat-template", "nothing"], "is neither a file nor one of"),
        ([], "-m/--model"),
    ],
)
def test_a_wrong_command_line_is_2(words: list[str], said: str) -> None:
    assert said in ggmlkit("serve", *words, code=2).stderr


def test_an_address_in_use_is_said(chat_gguf: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = ggmlkit("serve", "-m", chat_gguf, "--port", str(port), code=1).stderr
    assert said == (
        f"ggmlkit: 127.0.0.1:{port}: Address already in use; another program listens there: "
        "choose another with --port, 0 for a free one\n"
    )


def test_a_draft_that_is_missing_is_said_before_the_address(chat_gguf: Path) -> None:
    told = ggmlkit("serve", "-m", chat_gguf, "--port", "0", "-md", "missing.gguf", code=1)
    assert told.stdout == ""
    assert told.stderr == "ggmlkit: missing.gguf: No such file or directory\n"


def test_a_host_that_is_not_of_this_machine_is_said(chat_gguf: Path) -> None:
    for host, said in (("nowhere.invalid", "--host takes"), ("192.0.2.1", "--host takes")):
        told = ggmlkit("serve", "-m", chat_gguf, "--port", "0", "--host", host, code=1).stderr
        assert said in told
        assert "Unknown error" not in told


def test_responses_outlive_a_server_that_is_killed(chat_gguf: Path, tmp_path: Path) -> None:
    words = ["-m", chat_gguf, "-c", "512", "--store", tmp_path / "store.db"]
    body: dict[str, Any] = {"input": "hi", "max_output_tokens": 2}
    with serving(*words) as (process, url):
        is_ready(url)
        first = httpx.post(f"{url}/v1/responses", json=body, timeout=20)
        process.kill()
        process.wait()
    with serving(*words) as (_, url):
        is_ready(url)
        again = httpx.get(f"{url}/v1/responses/{first.json()['id']}")
        assert again.text == first.text
        body["previous_response_id"] = first.json()["id"]
        assert httpx.post(f"{url}/v1/responses", json=body, timeout=20).status_code == 200


def test_where_responses_are_kept(chat_gguf: Path) -> None:
    assert settings("-m", "a").store.path is None
    found = settings("-m", "a", "--store", "b.db", "--store-size", "2G").store
    assert (found.path, found.size) == ("b.db", 2 * 10**9)
    said = ggmlkit("serve", "-m", chat_gguf, "--store", chat_gguf, code=1).stderr
    assert "no file of stored responses" in said
    assert "Traceback" not in said


def test_a_library_that_is_missing_is_named(chat_gguf: Path) -> None:
    code = (
        "import sys\n"
        "sys.modules['uvicorn'] = None\n"
        "from ggmlkit.cli.app import run\n"
        f"sys.exit(run(['serve', '-m', {str(chat_gguf)!r}, '--port', '0']))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "serving needs the extra server, the package uvicorn" in done.stderr
    assert 'pip install ".[server]"' in done.stderr


def test_other_commands_load_none_of_its_libraries() -> None:
    code = (
        "import sys, ggmlkit, ggmlkit.cli.app as app\n"
        "app.program(app.COMMANDS)\n"
        "ggmlkit.Llama\n"
        "names = {'starlette', 'uvicorn', 'pydantic', 'prometheus_client', 'asyncio'}\n"
        "sys.exit(', '.join(names & sys.modules.keys()))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.strip() == ""

"""Errors have the API's shape, and say nothing of the machine."""

from __future__ import annotations

import json
import logging
import threading
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from ggmlkit.chat.errors import RequestError, as_request_error
from ggmlkit.errors import ArgumentError, CacheFullError, ClosedError, ModelError
from ggmlkit.server import errors
from ggmlkit.server.app import create_app
from ggmlkit.server.errors import error_response
from running_server import RunningServer, dictate, settings_for, until


def test_other_paths_and_methods(server: RunningServer) -> None:
    found = server.client.get("/nothing")
    assert found.status_code == 404
    assert found.json()["error"]["type"] == "not_found_error"
    found = server.client.get("/v1/chat/completions")
    assert found.status_code == 405
    assert found.headers["Allow"] == "POST"
    assert found.json()["error"]["message"] == "this endpoint takes POST, not GET"
    assert server.client.delete("/props").headers["Allow"] == "GET, HEAD, POST"


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/v1/chat/completion", "did you mean '/v1/chat/completions'"),
        ("/v1/moderations", "/openapi.json lists what there is"),
        ("/xyzzy", "/openapi.json lists what there is"),
        ("/" + "x" * 500, "…'; /openapi.json"),
    ],
)
def test_a_path_that_there_is_not_gets_a_way_out(
    server: RunningServer, path: str, said: str
) -> None:
    message = server.post(path, {}).json()["error"]["message"]
    assert said in message
    assert len(message) < 200


def test_endpoints_have_llama_servers_short_paths_too(server: RunningServer) -> None:
    body = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 2}
    assert server.post("/chat/completions", body).json()["object"] == "chat.completion"
    assert server.post("/responses", {"input": "hi", "max_output_tokens": 2}).status_code == 200


@pytest.mark.parametrize(
    ("name", "value"), [("grammar", "root ::= foo"), ("regex", "("), ("json_schema", {"not": {}})]
)
def test_a_form_at_fault_is_named(server: RunningServer, name: str, value: object) -> None:
    found = server.chat("hi", **{name: value})
    assert found.status_code == 400
    assert found.json()["error"]["param"] == name


def test_a_prompt_that_is_too_long_gets_a_way_out(server: RunningServer) -> None:
    error = server.chat("hi " * 10_000).json()["error"]
    assert error["code"] == "context_length_exceeded"
    assert "start with a larger -c" in error["message"]


def test_the_log_says_why_a_request_was_refused(
    server: RunningServer, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "ggmlkit.server.requests"):
        server.chat("hi", top_p=3)
        server.chat("hi", max_tokens=1, temprature=0, secret=1)
        server.post("/nothing", {})
        until(lambda: len(caplog.records) == 3)  # a line may come after its response
    refused, misspelt, missing = (json.loads(record.message) for record in caplog.records)
    assert (refused["error"], refused["param"]) == ("invalid_value", "top_p")
    assert misspelt["misspelt"] == {"temprature": "temperature"}
    assert missing["error"] == "not_found"
    assert "secret" not in caplog.text


def test_errors_have_the_apis_shape_where_the_server_is_mounted(chat_gguf: Path) -> None:
    app = create_app(settings_for(chat_gguf))
    outer = Starlette(routes=[Mount("/llm", app)])
    with TestClient(outer) as client:
        assert client.post("/llm/v1/messages", json={}).json()["type"] == "error"
        assert client.post("/llm/tokenize", json={"content": 3}).json()["error"]["code"] == 400
        missing = client.post("/llm/xyzzy", json={}).json()["error"]["message"]
    assert missing.startswith("there is no endpoint '/xyzzy'")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ArgumentError("/a/b.gguf: no"), 400),
        (ModelError("/a/b.gguf: no"), 400),
        (CacheFullError("no"), 503),
        (ClosedError("the model /a/b.gguf is closed"), 503),
    ],
)
def test_no_error_tells_a_path(error: Exception, status: int) -> None:
    found = as_request_error(error, "/a/b.gguf", "tiny")  # type: ignore[arg-type]
    assert found.status == status
    assert "/a/b.gguf" not in found.message


def test_an_api_writes_errors_in_its_own_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(errors.SHAPES, "/other", lambda error: {"said": error.message})
    found = error_response(RequestError(400, "no"), "/other/path")
    assert json.loads(bytes(found.body)) == {"said": "no"}
    found = error_response(RequestError(400, "no"), "/v1/models")
    assert "error" in json.loads(bytes(found.body))


def test_a_defect_is_told_to_the_log_alone(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr("ggmlkit.server.openai.chat.chat_job", fails)
    with caplog.at_level(logging.ERROR, "ggmlkit.server"):
        found = server.chat("hi")
    assert found.status_code == 500
    assert "secret" not in found.text
    assert "Traceback" not in found.text
    assert "RuntimeError: secret" in caplog.text
    assert "hi" not in caplog.text.split()


def test_a_stream_that_fails_says_so(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    dictate(monkeypatch, "hello")
    monkeypatch.setattr("ggmlkit.server.openai.chat._Chunks._delta", lambda *_: 1 / 0)
    found = server.chat("hi", stream=True)
    assert found.status_code == 200
    last = found.text.split("\n\n")[-2]
    assert json.loads(last.removeprefix("data: "))["error"]["code"] == "internal_error"
    assert "ZeroDivisionError" in caplog.text


def test_a_model_file_is_not_named(server: RunningServer, chat_gguf: Path) -> None:
    for body in (
        {"messages": [{"role": "user", "content": "x" * 5000}]},
        {"messages": [{"role": 1}]},
    ):
        said = server.post("/v1/chat/completions", body).text
        assert str(chat_gguf) not in said
        assert chat_gguf.name not in said


@pytest.mark.parametrize("stream", [False, True])
def test_too_little_memory_is_no_defect(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        if stream:
            dictate(patch, "hello")
            patch.setattr("ggmlkit.server.openai.chat._Chunks._delta", fails)
            last = server.chat("hi", stream=True).text.split("\n\n")[-2]
            error = json.loads(last.removeprefix("data: "))["error"]
        else:
            patch.setattr("ggmlkit.server.openai.chat.chat_job", fails)
            found = server.chat("hi")
            assert found.status_code == 503
            assert found.headers["retry-after"]
            error = found.json()["error"]
    assert error["code"] == "out_of_memory"
    assert server.chat("hi").status_code == 200


def test_a_grammar_without_a_thread_to_read_it_is_too_little_memory(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = threading.Thread.start

    def refused(thread: threading.Thread) -> None:
        if thread.name == "ggmlkit grammar":
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refused)
    assert server.chat("hi", regex="ab").json()["error"]["code"] == "out_of_memory"

"""Errors have the API's shape, and say nothing of the machine."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from ggmlkit.errors import ArgumentError, CacheFullError, ClosedError, ModelError
from ggmlkit.server import errors
from ggmlkit.server.errors import RequestError, as_request_error, error_response
from running_server import RunningServer, dictate


def test_other_paths_and_methods(server: RunningServer) -> None:
    found = server.client.get("/nothing")
    assert found.status_code == 404
    assert found.json()["error"]["type"] == "not_found_error"
    found = server.client.get("/v1/chat/completions")
    assert found.status_code == 405
    assert found.headers["Allow"] == "POST"
    assert found.json()["error"]["message"] == "this endpoint has other methods"
    assert server.client.delete("/props").headers["Allow"] == "GET, HEAD, POST"


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
    def fails(*_: object) -> None:
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

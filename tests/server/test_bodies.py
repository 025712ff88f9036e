"""Bodies of requests, which come from anyone."""

from __future__ import annotations

import json
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from ggmlkit.chat.errors import RequestError
from ggmlkit.chat.json_text import parsed
from ggmlkit.engine import constraint
from running_server import RunningServer, running, settings_for, until

CHAT = "/v1/chat/completions"
JSON = {"Content-Type": "application/json"}


def test_an_object_is_parsed() -> None:
    assert parsed(b'{"a": [1, 2.5, null, "\xc3\xa9"]}') == {"a": [1, 2.5, None, "é"]}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "not valid JSON"),
        (b"[1]", "must be a JSON object"),
        (b'{"a": 1', "not valid JSON"),
        (b'{"a": NaN}', "NaN is not a number of JSON"),
        (b'{"a": -Infinity}', "-Infinity is not a number"),
        (b'{"a": 1e999}', "a number is too large"),
        (b'{"a": ' + b"9" * 5000 + b"}", "too many digits"),
        (b'{"a": 1, "a": 2}', "a key is there twice"),
        (b'{"a": "\xff"}', "not UTF-8"),
        (b'{"a": ' + b"[" * 200 + b"]" * 200 + b"}", "nested more than 100"),
        (b'{"a": ' + b'{"a": ' * 99_000 + b"0" + b"}" * 99_000 + b"}", "nested more than 100"),
        (b'{"a": [' + b"{}," * 300_000 + b"0]}", "more than 200000 objects"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(RequestError, match=said) as error:
        parsed(data)
    assert error.value.status == 400


def test_brackets_in_a_text_are_no_lists() -> None:
    assert len(parsed(b'{"a": "' + b"[" * 300_000 + b'"}')["a"]) == 300_000


def test_halves_of_surrogate_pairs_are_replaced() -> None:
    found = parsed(b'{"a": ["\\ud800", "\\uD83D\\uDE00", "x"], "\\udfff": 1}')
    assert found == {"a": ["�", "😀", "x"], "�": 1}
    json.dumps(found, ensure_ascii=False).encode()


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", None])
def test_another_content_type_is_refused(server: RunningServer, kind: str | None) -> None:
    headers = {} if kind is None else {"Content-Type": kind}
    found = server.client.post(CHAT, content=b"{}", headers=headers)
    assert found.status_code == 415
    assert found.json()["error"]["code"] == "unsupported_content_type"


def test_a_large_body_is_refused_before_it_is_read(chat_gguf: Path) -> None:
    with running(settings_for(chat_gguf, limits={"body_bytes": 1000})) as server:
        body: Any = {"messages": [{"role": "user", "content": "x" * 2000}]}
        found = server.post(CHAT, body)
        assert found.status_code == 413
        assert found.json()["error"]["code"] == "request_too_large"

        def chunks() -> Any:
            for _ in range(100):
                yield b"x" * 100

        found = server.client.post(CHAT, content=chunks(), headers=JSON)
        assert found.status_code == 413
        assert server.chat("hi").status_code == 200


def test_a_slow_body_is_given_up(chat_gguf: Path) -> None:
    with running(settings_for(chat_gguf, limits={"body_seconds": 0.2})) as server:
        host, port = server.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=10) as slow:
            slow.sendall(
                b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n"
                b"Content-Type: application/json\r\n\r\n{"
            )
            start = time.monotonic()
            assert slow.recv(100).startswith(b"HTTP/1.1 408 ")
            assert time.monotonic() - start < 5


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": [{"content": "hi"}]}, "messages[0].role"),
        ({"messages": [{"role": 1, "content": "hi"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 1}]}, "messages[0].content"),
        ({"n": 129}, "n"),
        ({"n": 0}, "n"),
        ({"n": 100}, "n"),  # more than may wait here
        ({"max_tokens": "5"}, "max_tokens"),
        ({"stream": "yes"}, "stream"),
        ({"stop": ["a"] * 100}, "stop"),
        ({"stop": "a" * 5000}, "stop"),
        ({"top_logprobs": 21}, "top_logprobs"),
        ({"logit_bias": {str(i): 1 for i in range(5000)}}, "logit_bias"),
        ({"logit_bias": {"5": 1e300}}, "logit_bias"),
        ({"logit_bias": [[5, 1, 2]]}, "logit_bias"),
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
        ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools[0].function.name"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema.schema"),
        ({"mirostat": 3}, "mirostat"),
        ({"top_p": 2}, "top_p"),
        ({"temperature": -1}, "temperature"),
        ({"grammar": "root ::= \"a", "json_schema": {}}, None),
        ({"chat_template_kwargs": {"messages": []}}, "chat_template_kwargs"),
        ({"model": "x" * 2000}, "model"),
    ],
    ids=str,
)  # fmt: skip
def test_a_wrong_field_is_named(server: RunningServer, body: Any, param: str | None) -> None:
    messages = [{"role": "user", "content": "hi"}]
    whole = body if "messages" in body or not body else {"messages": messages, **body}
    found = server.post(CHAT, whole)
    assert found.status_code == 400, found.text
    error = found.json()["error"]
    assert (error["param"], error["type"]) == (param, "invalid_request_error")
    assert len(error["message"]) < 400


@pytest.mark.parametrize(
    "fields",
    [
        {"grammar": "nothing"},
        {"json_schema": {"type": "nothing"}},
        {"json_schema": {"$ref": "#/a"}},
        {"regex": "("},
    ],
    ids=str,
)
def test_a_wrong_grammar_is_refused(server: RunningServer, fields: dict[str, Any]) -> None:
    found = server.chat(**fields)
    assert found.status_code == 400
    assert found.json()["error"]["type"] == "invalid_request_error"
    assert server.is_free()


def test_a_grammar_that_becomes_too_complex_is_the_requests_fault(server: RunningServer) -> None:
    found = server.chat(grammar='root ::= "a"{1000000000}')
    assert found.status_code == 400, found.text
    assert "too complex" in found.json()["error"]["message"]
    assert server.is_free()


def test_others_are_served_while_a_grammar_is_too_complex(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constraint, "_SECONDS", 1.0)
    parts = [{"type": "string", "pattern": "a.{%d}b" % i} for i in range(10, 60)]  # noqa: UP031
    found: list[int] = []

    def bomb() -> None:
        found.append(server.chat(json_schema={"allOf": parts}).status_code)

    thread = threading.Thread(target=bomb)
    thread.start()
    until(lambda: server.serving.admission.answers == 1)
    start = time.monotonic()
    assert server.chat().status_code == 200
    assert time.monotonic() - start < 0.9
    assert not found
    thread.join()
    assert found == [400]

"""Wrong requests, and errors in the shape of Anthropic's API."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ggmlkit.chat.errors import RequestError
from ggmlkit.server.anthropic.errors import anthropic_shape
from running_server import RunningServer, dictate, named_events, running, settings_for

PATH = "/v1/messages"
USER = {"role": "user", "content": "hi"}


def with_block(**block: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [block]}]}


def deep(levels: int) -> Any:
    found: Any = 1
    for _ in range(levels):
        found = [found]
    return found


def error_of(response: Any, status: int) -> dict[str, str]:
    """What an error says; its shape is checked."""
    assert response.status_code == status, response.text
    found = response.json()
    assert found.keys() == {"type", "error", "request_id"}
    assert found["error"].keys() == {"type", "message"}
    assert found["type"] == "error"
    assert found["request_id"] == response.headers["request-id"]
    error: dict[str, str] = found["error"]
    assert len(error["message"]) < 400
    return error


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"max_tokens": None}, "max_tokens: "),
        ({"max_tokens": 0}, "max_tokens: "),
        ({"max_tokens": 1.5}, "max_tokens: "),
        ({"messages": None}, "messages: "),
        ({"messages": []}, "messages: "),
        ({"messages": "hi"}, "messages: "),
        ({"messages": [5]}, "messages[0]: "),
        ({"messages": [{"role": "user"}]}, "messages[0].content: "),
        ({"messages": [{"role": "tool", "content": "a"}]}, "messages[0].role: "),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content: "),
        ({"messages": [{"role": "user", "content": []}]}, "no messages"),
        ({"messages": [{"role": "user", "content": [None]}]}, "a block must be an object"),
        (with_block(), "messages[0].content[0].type: field required"),
        (with_block(type="image", source={}), "blocks of type 'image' have no place here"),
        (with_block(type="document"), "blocks of type 'document'"),
        (with_block(type=5), "messages[0].content[0].type: "),
        (with_block(type="text"), "messages[0].content[0].text: "),
        (with_block(type="tool_use", id="a", name="b", input="c"), "content[0].input: "),
        (
            with_block(type="tool_result", tool_use_id="a", content=[{"type": "image"}]),
            "messages[0].content[0].content[0].type: blocks of type 'image'",
        ),
        ({"system": 5}, "system: "),
        ({"system": [{"type": "image"}]}, "blocks of type 'image'"),
        ({"tools": [{"name": "a b", "input_schema": {}}]}, "tools[0].name: "),
        ({"tools": [{"name": "a"}]}, "tools[0].input_schema: "),
        ({"tools": [{"type": "bash_20250124", "name": "bash"}]}, "tools[0].type: "),
        ({"tool_choice": {"type": "any"}}, "there are no tools"),
        ({"tool_choice": "any"}, "tool_choice: "),
        ({"thinking": True}, "thinking: "),
        ({"thinking": {"type": "on"}}, "thinking.type: "),
        ({"stop_sequences": "a"}, "stop_sequences: "),
        ({"stop_sequences": ["a"] * 100}, "stop_sequences may have"),
        ({"temperature": -1}, "temperature: "),
        ({"top_k": 1.5}, "top_k: "),
        ({"top_p": 2}, "top_p: "),
        ({"stream": 1}, "stream: "),
        ({"output_config": {"format": {"type": "json_schema"}}}, "output_config.format.schema: "),
        ({"metadata": deep(120)}, "nested more than"),
        ({"messages": [{"role": "user", "content": "x" * 5000}]}, "prompt is too long"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_wrong_body_is_refused(server: RunningServer, fields: Any, said: str) -> None:
    response = server.post(PATH, {"max_tokens": 4, "messages": [USER], **fields})
    error = error_of(response, 400)
    assert error["type"] == "invalid_request_error"
    assert said in error["message"]
    assert server.is_free()


def test_huge_numbers_end_where_the_context_is_full(server: RunningServer) -> None:
    fields = {"max_tokens": 10**15, "top_k": 10**30, "ignore_eos": True, "unknown": {"a": [1]}}
    found = server.post(PATH, {"messages": [USER], **fields})
    assert found.status_code == 200
    assert found.json()["stop_reason"] == "max_tokens"


def test_statuses_and_types(server: RunningServer) -> None:
    body = {"max_tokens": 4, "messages": [USER]}
    assert error_of(server.post(PATH, {**body, "model": "claude"}), 404)["type"] == (
        "not_found_error"
    )
    assert error_of(server.client.get(PATH), 405)["type"] == "invalid_request_error"
    assert error_of(server.post(f"{PATH}/batches", {}), 404)["type"] == "not_found_error"
    assert error_of(server.client.post(PATH, content=b"{}"), 415)["type"] == (
        "invalid_request_error"
    )
    assert error_of(server.post(PATH, [1]), 400)["message"] == "the body must be a JSON object"
    for status, kind in ((413, "request_too_large"), (429, "rate_limit_error"), (500, "api_error")):
        assert anthropic_shape(RequestError(status, "no"))["error"]["type"] == kind
    count = server.post(f"{PATH}/count_tokens", {"messages": 5})
    assert error_of(count, 400)["type"] == "invalid_request_error"


def test_keys_and_ends(chat_gguf: Path) -> None:
    body = {"max_tokens": 4, "messages": [USER]}
    with running(settings_for(chat_gguf, keys=("secret",))) as server:
        for headers in ({}, {"x-api-key": "other"}):
            refused = error_of(server.post(PATH, body, headers=headers), 401)
            assert refused["type"] == "authentication_error"
        for headers in ({"x-api-key": "secret"}, {"Authorization": "Bearer secret"}):
            assert server.post(PATH, body, headers=headers).status_code == 200
        server.serving.admission.is_draining = True
        refused = error_of(server.post(PATH, body, headers={"x-api-key": "secret"}), 529)
        assert refused["type"] == "overloaded_error"


def test_a_stream_that_fails_says_so(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    dictate(monkeypatch, "hello")
    monkeypatch.setattr("ggmlkit.server.anthropic.answers.Answer._grown", lambda *_: 1 / 0)
    found = server.post(PATH, {"max_tokens": 4, "messages": [USER], "stream": True})
    last = named_events(found)[-1]
    assert last["error"]["type"] == "api_error"
    assert last["request_id"] == found.headers["request-id"]
    assert "ZeroDivisionError" in caplog.text

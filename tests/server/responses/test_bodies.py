"""Wrong requests of the Responses API, and responses that fail."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from running_server import RunningServer, dictate, named_events, running, settings_for

PATH = "/v1/responses"
TOOL = {"type": "function", "name": "a"}


def with_item(**item: Any) -> dict[str, Any]:
    return {"input": [item]}


def with_part(**part: Any) -> dict[str, Any]:
    return with_item(role="user", content=[part])


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"input": 5}, "input"),
        ({"input": {}}, "input"),
        ({"input": [5]}, "input[0]"),
        ({"input": [[]]}, "input[0]"),
        (with_item(), "input[0].type"),
        (with_item(type="web_search_call"), "input[0].type"),
        (with_item(type="item_reference", id="a"), "input[0].type"),
        (with_item(type="x" * 10_000), "input[0].type"),
        (with_item(role="tool", content="a"), "input[0].role"),
        (with_item(role="user"), "input[0].content"),
        (with_item(role="user", content=5), "input[0].content"),
        (with_part(type="input_image", image_url="a"), "input[0].content[0].type"),
        (with_part(type="input_file"), "input[0].content[0].type"),
        (with_part(type="input_text"), "input[0].content[0]"),
        (with_part(type="input_text", text=1), "input[0].content[0].text"),
        (with_item(type="function_call", call_id="a", name="b"), "input[0].arguments"),
        (with_item(type="function_call_output", call_id="a", output=5), "input[0].output"),
        (with_item(type="reasoning", summary="a"), "input[0].summary"),
        ({"previous_response_id": "x"}, "previous_response_id"),
        ({"previous_response_id": "x" * 2000}, "previous_response_id"),
        ({"instructions": ["a"]}, "instructions"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"max_output_tokens": "8"}, "max_output_tokens"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tools": [{"type": "function", "name": "a b"}]}, "tools[0].name"),
        ({"tools": [TOOL] * 300}, "tools"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tool_choice": {"type": "function", "name": "b"}, "tools": [TOOL]}, "tool_choice"),
        ({"tool_choice": {"type": "other"}}, "tool_choice.type"),
        ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
        ({"text": {"format": {"type": "json_schema"}}}, "text.format.schema"),
        ({"reasoning": {"effort": "much"}}, "reasoning.effort"),
        ({"top_logprobs": 21}, "top_logprobs"),
        ({"metadata": {"a": 1}}, "metadata.a"),
        ({"metadata": {"a": "b" * 513}}, "metadata.a"),
        ({"metadata": {str(n): "a" for n in range(17)}}, "metadata"),
        ({"store": "no"}, "store"),
        ({"stream": 1}, "stream"),
        ({"background": True}, "background"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"prompt": {"id": "a"}}, "prompt"),
        ({"temperature": -1}, "temperature"),
        ({"top_p": 2}, "top_p"),
        ({"model": 5}, "model"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_wrong_field_is_named(server: RunningServer, fields: Any, param: str) -> None:
    found = server.post(PATH, {"input": "hi", **fields})
    assert found.status_code == 400, found.text
    error = found.json()["error"]
    assert (error["param"], error["type"]) == (param, "invalid_request_error")
    assert len(error["message"]) < 400
    assert server.is_free()


def test_unknown_fields_are_ignored(server: RunningServer) -> None:
    fields = {"prompt_cache_key": "a", "service_tier": "flex", "other": {"a": [1]}}
    body = {"input": "hi", "max_output_tokens": 10**15, "truncation": "auto", **fields}
    found = server.post(PATH, {**body, "ignore_eos": True})
    assert found.status_code == 200
    assert found.json()["incomplete_details"] == {"reason": "max_output_tokens"}


def test_a_prompt_that_is_too_long(server: RunningServer) -> None:
    found = server.post(PATH, {"input": "x" * 5000})
    assert found.status_code == 400
    assert found.json()["error"]["code"] == "context_length_exceeded"


def test_other_models_paths_and_methods(server: RunningServer) -> None:
    assert server.post(PATH, {"input": "hi", "model": "gpt"}).status_code == 404
    for method, path in (
        ("GET", f"{PATH}/resp_x"),
        ("DELETE", f"{PATH}/resp_x"),
        ("GET", f"{PATH}/resp_x/input_items"),
        ("GET", f"{PATH}/{'x' * 3000}"),
        ("GET", f"{PATH}/resp_x/other"),
    ):
        found = server.client.request(method, path)
        assert found.status_code == 404
        assert len(found.json()["error"]["message"]) < 200
    found = server.client.get(f"{PATH}/resp_x?stream=true")
    assert (found.status_code, found.json()["error"]["param"]) == (400, "stream")
    assert server.client.get(PATH).status_code == 405


def test_a_stream_that_fails_ends_with_a_failed_response(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    dictate(monkeypatch, "ab")
    monkeypatch.setattr("ggmlkit.server.responses.answers.Answer._ended_block", lambda *_: 1 / 0)
    events = named_events(server.post(PATH, {"input": "hi", "stream": True}))
    last = events[-1]
    assert (last["type"], last["sequence_number"]) == ("response.failed", len(events) - 1)
    response = last["response"]
    assert response["id"] == events[0]["response"]["id"]
    assert response["status"] == "failed"
    assert response["error"]["code"] == "server_error"
    assert response["output"][0]["content"][0]["text"] == "ab"
    assert "ZeroDivisionError" in caplog.text


def test_an_answer_whose_turn_does_not_come_fails(chat_gguf: Path) -> None:
    settings = settings_for(chat_gguf, engine={"parallel": 1}, limits={"seconds": 0.2})
    with running(settings) as server:
        other = server.served.scheduler.submit(
            "a",
            max_tokens=400,
            ignore_eos=True,
            logits_processor=lambda *_: time.sleep(0.01),
        )
        assert server.post(PATH, {"input": "hi"}).status_code == 503
        *_, last = named_events(server.post(PATH, {"input": "hi", "stream": True}))
        assert last["type"] == "response.failed"
        assert "no token came" in last["response"]["error"]["message"]
        other.close()

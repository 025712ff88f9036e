"""`/v1/messages`: answers, whole and as events."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from running_server import RunningServer, dictate, named_events, running, settings_for, until

PATH = "/v1/messages"
THINKING = (
    "{% for m in messages %}{{ m.role ~ ': ' ~ m.content ~ '\\n' }}{% endfor %}"
    "{% if enable_thinking %}<think>{% else %}<think></think>{% endif %}"
)
WEATHER: dict[str, Any] = {
    "name": "weather",
    "description": "The weather in a city.",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"enum": ["Paris", "Rome"]}},
        "required": ["city"],
        "additionalProperties": False,
    },
}
CALL = '{"name": "weather", "arguments": {"city": "Rome"}}'


def body(text: str = "hi", **fields: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": text}]
    return {"model": "tiny", "max_tokens": 8, "messages": messages, "temperature": 0, **fields}


def asked(server: RunningServer, **fields: Any) -> dict[str, Any]:
    """The whole message; its stream, put together, is the same."""
    response = server.post(PATH, body(**fields))
    assert response.status_code == 200, response.text
    whole: dict[str, Any] = response.json()
    streamed = put_together(named_events(server.post(PATH, body(**fields, stream=True))))
    assert shape(streamed) == shape(whole)
    return whole


def put_together(events: list[dict[str, Any]]) -> dict[str, Any]:
    """The message that events say."""
    assert [events[0]["type"], events[1]["type"]] == ["message_start", "ping"]
    assert [events[-2]["type"], events[-1]["type"]] == ["message_delta", "message_stop"]
    message: dict[str, Any] = events[0]["message"]
    assert message["stop_reason"] is None
    for event in events[2:-2]:
        if event["type"] == "content_block_start":
            assert event["index"] == len(message["content"])
            message["content"].append(event["content_block"])
            pieces = ""
        elif event["type"] == "content_block_delta":
            delta = event["delta"]
            (kind,) = delta.keys() - {"type"}
            block = message["content"][event["index"]]
            if kind == "partial_json":
                pieces += delta[kind]
                block["input"] = json.loads(pieces)
            else:
                block[kind] += delta[kind]
        else:
            assert event == {"type": "content_block_stop", "index": len(message["content"]) - 1}
    return {**message, **events[-2]["delta"], "usage": events[-2]["usage"]}


def shape(message: dict[str, Any]) -> dict[str, Any]:
    """A message without ids and what the cache changes."""
    content = [{**block, "id": None} for block in message["content"]]
    return {**message, "id": None, "content": content, "usage": message["usage"]["output_tokens"]}


@pytest.fixture(scope="module")
def thinking(chat_gguf: Path) -> Iterator[RunningServer]:
    with running(settings_for(chat_gguf, chat_template=THINKING)) as found:
        yield found


def test_an_answer(server: RunningServer) -> None:
    found = asked(server)
    assert found["id"].startswith("msg_")
    assert (found["type"], found["role"], found["model"]) == ("message", "assistant", "tiny")
    (block,) = found["content"]
    assert block["type"] == "text"
    assert block["text"]
    assert (found["stop_reason"], found["stop_sequence"]) == ("max_tokens", None)
    assert found["usage"]["output_tokens"] == 8
    chat = server.chat(temperature=0).json()["choices"][0]["message"]["content"]
    assert block["text"] == chat


def test_tokens_that_the_cache_had_are_counted_apart(server: RunningServer) -> None:
    count = server.post(f"{PATH}/count_tokens", {"messages": body("of " * 60)["messages"]})
    whole = count.json()["input_tokens"]
    first, second = (asked(server, text="of " * 60)["usage"] for _ in range(2))
    assert first["cache_read_input_tokens"] == 0
    assert first["input_tokens"] == whole
    assert second["cache_read_input_tokens"] >= 64
    assert second["input_tokens"] + second["cache_read_input_tokens"] == whole


def test_a_stop_sequence_is_told(server: RunningServer) -> None:
    text = asked(server, max_tokens=30)["content"][0]["text"]
    stop = text[5:8]
    found = asked(server, max_tokens=30, stop_sequences=["never", stop])
    assert found["content"][0]["text"] == text[: text.index(stop)]
    assert (found["stop_reason"], found["stop_sequence"]) == ("stop_sequence", stop)


def test_the_models_end_is_the_end_of_its_turn(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    dictate(monkeypatch, "yes")
    found = asked(server, stop_sequences=["never"])
    assert (found["stop_reason"], found["stop_sequence"]) == ("end_turn", None)


@pytest.mark.parametrize(
    "choice", [{"type": "any"}, {"type": "tool", "name": "weather"}], ids=lambda each: each["type"]
)
def test_a_tool_that_must_be_called(server: RunningServer, choice: dict[str, str]) -> None:
    found = asked(server, max_tokens=200, tools=[WEATHER], tool_choice=choice)
    (block,) = found["content"]
    assert block["type"] == "tool_use"
    assert block["id"].startswith("toolu_")
    assert (block["name"], found["stop_reason"]) == ("weather", "tool_use")
    assert block["input"]["city"] in ("Paris", "Rome")


def test_a_tool_that_may_be_called(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    dictate(monkeypatch, CALL)
    found = asked(server, tools=[WEATHER])
    assert [block["type"] for block in found["content"]] == ["tool_use"]
    assert found["stop_reason"] == "tool_use"
    none = asked(server, tools=[WEATHER], tool_choice={"type": "none"})
    assert none["content"][0]["text"] == CALL
    dictate(monkeypatch, CALL + CALL)
    one = {"type": "auto", "disable_parallel_tool_use": True}
    assert len(asked(server, tools=[WEATHER])["content"]) == 2
    assert len(asked(server, tools=[WEATHER], tool_choice=one)["content"]) == 1


def test_thoughts_are_blocks_of_their_own(
    thinking: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = dictate(monkeypatch, "hm</think>\n\nyes")
    on = {"type": "enabled", "budget_tokens": 1024}
    found = asked(thinking, thinking=on)
    assert found["content"] == [
        {"type": "thinking", "thinking": "hm", "signature": ""},
        {"type": "text", "text": "yes", "citations": None},
    ]
    hidden = asked(thinking, thinking={**on, "display": "omitted"})
    assert hidden["content"][0] == {"type": "thinking", "thinking": "", "signature": ""}
    ends = [thinking.served.tokenizer.decode(prompt)[-8:] for prompt in prompts]
    assert set(ends) == {"\n<think>"}
    prompts.clear()
    for off in (None, {"type": "disabled"}):
        asked(thinking, thinking=off)
    ends = [thinking.served.tokenizer.decode(prompt)[-8:] for prompt in prompts]
    assert set(ends) == {"</think>"}


def test_an_answer_of_a_schema(server: RunningServer) -> None:
    config = {"format": {"type": "json_schema", "schema": {"enum": ["yes", "no"]}}}
    found = asked(server, max_tokens=50, output_config=config)
    assert found["content"][0]["text"] in ('"yes"', '"no"')
    assert found["stop_reason"] == "end_turn"


def test_an_answer_goes_on_from_the_assistants_last_message(
    thinking: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = dictate(monkeypatch, "B")
    messages = [*body()["messages"], {"role": "assistant", "content": "The best is ("}]
    found = asked(thinking, messages=messages, thinking={"type": "adaptive"})
    assert found["content"][0]["text"] == "B"
    prompt = thinking.served.tokenizer.decode(prompts[0])
    assert prompt.endswith("user: hi\n<think></think>\n\nThe best is (")
    refused = thinking.post(
        PATH, body(messages=messages, tools=[WEATHER], tool_choice={"type": "any"})
    )
    assert refused.status_code == 400


def test_a_stream_that_is_cut_off_frees_its_pages(server: RunningServer) -> None:
    fields = body(max_tokens=400, ignore_eos=True, stream=True)
    with (
        httpx.Client() as client,
        client.stream("POST", f"{server.url}{PATH}", json=fields) as response,
    ):
        lines = response.iter_lines()
        while "text_delta" not in next(lines):
            pass
    until(lambda: server.is_free() and server.serving.admission.answers == 0, 2)


def test_a_stream_that_waits_pings(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ggmlkit.server.sse._QUIET_SECONDS", 0.03)
    dictate(monkeypatch, "ab", pause=0.12)
    found = server.post(PATH, body(stream=True))
    kinds = [event["type"] for event in named_events(found)]
    assert kinds[0] == "ping"  # the message begins with its first token
    assert kinds.count("ping") > 3

"""The `anthropic` package as a client of the Messages API."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, Literal

import anthropic
import pytest
from pydantic import BaseModel

MESSAGES: Any = [{"role": "user", "content": "hi"}]
ASKED: dict[str, Any] = {"model": "tiny", "max_tokens": 8, "messages": MESSAGES}
GREEDY: dict[str, Any] = {**ASKED, "extra_body": {"temperature": 0}}
WEATHER: Any = {
    "name": "weather",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"enum": ["Paris", "Rome"]}},
        "required": ["city"],
        "additionalProperties": False,
    },
}


@pytest.fixture(scope="module")
def client(server: str) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=server, api_key="secret", max_retries=0) as found:
        yield found


def test_a_message_streamed_and_not_is_the_same(client: anthropic.Anthropic) -> None:
    whole = client.messages.create(**GREEDY)
    assert whole.stop_reason == "max_tokens"
    assert whole.usage.output_tokens == 8
    assert whole._request_id is not None
    with client.messages.stream(**GREEDY) as stream:
        text = "".join(stream.text_stream)
        last = stream.get_final_message()
    assert whole.content[0].type == "text"
    assert text == whole.content[0].text
    assert last.content[0].text == text
    assert last.usage.output_tokens == 8
    kinds = [event.type for event in client.messages.create(**GREEDY, stream=True)]
    assert kinds[:2] == ["message_start", "content_block_start"]  # pings are kept from us
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]


def test_stop_sequences(client: anthropic.Anthropic) -> None:
    whole = client.messages.create(**{**GREEDY, "max_tokens": 30})
    assert whole.content[0].type == "text"
    stop = whole.content[0].text[5:8]
    found = client.messages.create(**{**GREEDY, "max_tokens": 30}, stop_sequences=[stop])
    assert (found.stop_reason, found.stop_sequence) == ("stop_sequence", stop)


def test_system_and_tokens_are_counted(client: anthropic.Anthropic) -> None:
    system: Any = [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]
    count = client.messages.count_tokens(model="tiny", messages=MESSAGES, system=system)
    found = client.messages.create(**ASKED, system=system)
    assert count.input_tokens == found.usage.input_tokens + found.usage.cache_read_input_tokens
    plain = client.messages.count_tokens(model="tiny", messages=MESSAGES)
    assert plain.input_tokens < count.input_tokens


def test_a_tool_is_called_and_its_result_read(client: anthropic.Anthropic) -> None:
    asked: Any = {**ASKED, "max_tokens": 200, "tools": [WEATHER], "tool_choice": {"type": "any"}}
    found = client.messages.create(**asked)
    (call,) = found.content
    assert found.stop_reason == "tool_use"
    assert call.type == "tool_use"
    assert call.input["city"] in ("Paris", "Rome")
    with client.messages.stream(**asked) as stream:
        pieces = [event.partial_json for event in stream if event.type == "input_json"]
        (streamed,) = stream.get_final_message().content
    assert streamed.type == "tool_use"
    assert streamed.input["city"] in ("Paris", "Rome")
    assert pieces
    result: Any = {"type": "tool_result", "tool_use_id": call.id, "content": "21 degrees"}
    messages: Any = [
        *MESSAGES,
        {"role": "assistant", "content": found.content},
        {"role": "user", "content": [result]},
    ]
    client.messages.create(**{**ASKED, "messages": messages}, tools=[WEATHER])


class Mood(BaseModel):
    """Of a structured answer."""

    mood: Literal["good", "bad"]


def test_structured_answers(client: anthropic.Anthropic) -> None:
    asked: dict[str, Any] = {**ASKED, "max_tokens": 200, "extra_body": {"seed": 1}}
    found = client.messages.parse(**asked, output_format=Mood)
    assert found.parsed_output is not None
    assert found.parsed_output.mood in ("good", "bad")


def test_coroutines(server: str) -> None:
    async def asked() -> None:
        async with anthropic.AsyncAnthropic(base_url=server, api_key="secret") as client:
            asked: dict[str, Any] = {**ASKED, "extra_body": {"ignore_eos": True}}
            found = await asyncio.gather(*(client.messages.create(**asked) for _ in range(4)))
            assert [message.usage.output_tokens for message in found] == [8] * 4

    asyncio.run(asked())


def test_error_classes(client: anthropic.Anthropic, server: str) -> None:
    image: Any = {"type": "base64", "media_type": "image/png", "data": "AAAA"}
    with pytest.raises(anthropic.BadRequestError, match="this server reads text only"):
        client.messages.create(
            model="tiny",
            max_tokens=4,
            messages=[{"role": "user", "content": [{"type": "image", "source": image}]}],
        )
    with pytest.raises(anthropic.NotFoundError) as error:
        client.messages.create(**{**ASKED, "model": "other"})
    assert error.value.body["error"]["type"] == "not_found_error"
    assert error.value.request_id is not None
    with (
        anthropic.Anthropic(base_url=server, api_key="wrong", max_retries=0) as other,
        pytest.raises(anthropic.AuthenticationError),
    ):
        other.messages.create(**ASKED)

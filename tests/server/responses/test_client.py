"""The `openai` package as a client of the Responses API."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import openai
import pytest
from pydantic import BaseModel

from running_server import RunningServer, dictate, running, settings_for

GREEDY: dict[str, Any] = {"model": "tiny", "temperature": 0, "max_output_tokens": 8}
WEATHER: Any = {
    "type": "function",
    "name": "weather",
    "strict": True,
    "parameters": {
        "type": "object",
        "properties": {"city": {"enum": ["Paris", "Rome"]}},
        "required": ["city"],
        "additionalProperties": False,
    },
}
CALL = '{"name": "weather", "arguments": {"city": "Rome"}}'


@pytest.fixture(scope="module")
def client(server: RunningServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="x", max_retries=0) as found:
        yield found


def test_a_response_streamed_and_not_is_the_same(
    client: openai.OpenAI, server: RunningServer
) -> None:
    whole = client.responses.create(input="hi", **GREEDY)
    assert (
        whole.output_text == server.chat(temperature=0).json()["choices"][0]["message"]["content"]
    )
    assert whole.status == "incomplete"
    assert whole.incomplete_details is not None
    assert whole.incomplete_details.reason == "max_output_tokens"
    assert whole.usage is not None
    assert whole.usage.output_tokens == 8
    events = list(client.responses.create(input="hi", stream=True, **GREEDY))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    kinds = [event.type for event in events]
    assert kinds[:4] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
    ]
    assert kinds[-4:] == [
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.incomplete",
    ]
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(deltas) == whole.output_text
    last = events[-1]
    assert last.type == "response.incomplete"
    assert last.response.output_text == whole.output_text
    assert client.responses.retrieve(last.response.id) == last.response


def test_a_response_that_the_model_ends_is_completed(
    client: openai.OpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    dictate(monkeypatch, "yes")
    found = client.responses.create(model="tiny", input="hi", metadata={"a": "b"}, user="me")
    assert (found.status, found.output_text, found.metadata) == ("completed", "yes", {"a": "b"})
    assert found.output[0].type == "message"
    assert found.output[0].status == "completed"
    assert found.completed_at is not None
    with client.responses.stream(model="tiny", input="hi") as stream:
        kinds = [event.type for event in stream]
        assert kinds[-1] == "response.completed"
        assert stream.get_final_response().output_text == "yes"


def test_coroutines_are_answered_at_once(server: RunningServer) -> None:
    async def asked() -> None:
        async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="x") as client:

            async def text(seed: int) -> str:
                response = await client.responses.create(
                    model="tiny", input="hi", max_output_tokens=16, extra_body={"seed": seed}
                )
                return response.output_text

            found = await asyncio.gather(*map(text, [1, 2, 1]))
            assert found[0] == found[2] != found[1]

    asyncio.run(asked())


def test_a_conversation_goes_on_from_a_response(
    client: openai.OpenAI, server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = dictate(monkeypatch, "yes")
    one = client.responses.create(model="tiny", input="first", instructions="be brief")
    two = client.responses.create(model="tiny", input="second", previous_response_id=one.id)
    three = client.responses.create(
        model="tiny", input="third", previous_response_id=two.id, instructions="be long"
    )
    assert three.previous_response_id == two.id
    texts = [server.served.tokenizer.decode(prompt) for prompt in prompts]
    assert texts[0].startswith("system: be brief\nuser: first\nassistant:")
    # Instructions are those of the last request alone.
    assert "system" not in texts[1]
    assert texts[2].startswith(
        "system: be long\nuser: first\nassistant: yes\nuser: second\nassistant: yes\nuser: third\n"
    )


def test_a_conversation_is_computed_once(client: openai.OpenAI) -> None:
    one = client.responses.create(input="of " * 60, **GREEDY)
    two = client.responses.create(input="and", previous_response_id=one.id, **GREEDY)
    assert two.usage is not None
    assert two.usage.input_tokens_details.cached_tokens >= 64


@pytest.mark.parametrize(
    "choice",
    [
        "required",
        {"type": "function", "name": "weather"},
        {
            "type": "allowed_tools",
            "mode": "required",
            "tools": [{"type": "function", "name": "weather"}],
        },
    ],
    ids=lambda each: each if isinstance(each, str) else each["type"],
)
def test_a_function_that_must_be_called(client: openai.OpenAI, choice: Any) -> None:
    asked: dict[str, Any] = {"tools": [{**WEATHER, "name": "other"}, WEATHER]}
    if choice == "required":
        asked["tools"] = [WEATHER]
    found = client.responses.create(
        model="tiny", input="hi", max_output_tokens=200, tool_choice=choice, **asked
    )
    (call,) = found.output
    assert call.type == "function_call"
    assert (call.name, call.status, found.status) == ("weather", "completed", "completed")
    assert call.call_id.startswith("call_")
    assert json.loads(call.arguments)["city"] in ("Paris", "Rome")


def test_a_function_is_called_and_its_output_read(
    client: openai.OpenAI, server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = dictate(monkeypatch, CALL)
    events = list(client.responses.create(model="tiny", input="hi", tools=[WEATHER], stream=True))
    assert [event.type.removeprefix("response.") for event in events[2:]] == [
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ]
    last = events[-1]
    assert last.type == "response.completed"
    (call,) = last.response.output
    assert call.type == "function_call"
    output: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "21 degrees"}
    client.responses.create(model="tiny", input=[output], previous_response_id=last.response.id)
    by_hand: Any = [{"role": "user", "content": "hi"}, call.model_dump(exclude_none=True), output]
    client.responses.create(model="tiny", input=by_hand)
    assert prompts[1] == prompts[2]
    assert "tool: 21 degrees" in server.served.tokenizer.decode(prompts[1])
    none = client.responses.create(model="tiny", input="hi", tools=[WEATHER], tool_choice="none")
    assert none.output_text == CALL


class Person(BaseModel):
    """Of a structured answer."""

    name: Literal["Ann", "Bob"]
    is_old: bool


def test_structured_answers(client: openai.OpenAI) -> None:
    found = client.responses.parse(
        model="tiny",
        input="hi",
        text_format=Person,
        max_output_tokens=200,
        extra_body={"seed": 1},
    )
    assert found.output_parsed is not None
    assert found.output_parsed.name in ("Ann", "Bob")
    anything = client.responses.create(
        model="tiny", input="hi", text={"format": {"type": "json_object"}}, max_output_tokens=1
    )
    assert anything.output_text.startswith("{")


def test_log_probabilities(client: openai.OpenAI) -> None:
    found = client.responses.create(
        input="hi", top_logprobs=2, include=["message.output_text.logprobs"], **GREEDY
    )
    assert found.output[0].type == "message"
    part = found.output[0].content[0]
    assert part.type == "output_text"
    assert part.logprobs is not None
    assert len(part.logprobs) == 8
    assert part.logprobs[0].logprob == part.logprobs[0].top_logprobs[0].logprob


def test_thoughts_are_items_of_their_own(chat_gguf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    template = (
        "{% for m in messages %}{{ m.role ~ ': ' ~ m.content ~ '|' ~ m.reasoning_content }}"
        "{% endfor %}{% if enable_thinking %}<think>{% endif %}{# </think> #}"
    )
    prompts = dictate(monkeypatch, "hm</think>yes")
    with (
        running(settings_for(chat_gguf, chat_template=template)) as server,
        openai.OpenAI(base_url=f"{server.url}/v1", api_key="x") as client,
    ):
        asked: Any = {"model": "tiny", "input": "hi", "reasoning": {"effort": "low"}}
        found = client.responses.create(**asked)
        thoughts, message = found.output
        assert thoughts.type == "reasoning"
        assert thoughts.content is not None
        assert thoughts.content[0].text == "hm"
        assert message.type == "message"
        assert found.output_text == "yes"
        events = list(client.responses.create(**asked, stream=True))
        deltas = [e.delta for e in events if e.type == "response.reasoning_text.delta"]
        assert "".join(deltas) == "hm"
        client.responses.create(
            model="tiny", input="so", previous_response_id=found.id, reasoning={"effort": "none"}
        )
        text = server.served.tokenizer.decode(prompts[-1])
        assert "assistant: yes|hm" in text
        assert not text.endswith("<think>")


def test_kept_responses(client: openai.OpenAI) -> None:
    found = client.responses.create(input="hi", **GREEDY)
    assert client.responses.retrieve(found.id) == found
    (item,) = client.responses.input_items.list(found.id)
    assert item.type == "message"
    assert item.content[0].type == "input_text"
    client.responses.delete(found.id)
    with pytest.raises(openai.NotFoundError) as error:
        client.responses.retrieve(found.id)
    assert error.value.code == "response_not_found"
    with pytest.raises(openai.BadRequestError) as refused:
        client.responses.create(input="hi", previous_response_id=found.id, **GREEDY)
    assert refused.value.code == "previous_response_not_found"
    unkept = client.responses.create(input="hi", store=False, **GREEDY)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(unkept.id)

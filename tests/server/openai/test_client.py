"""The `openai` package as a client, and `curl`."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any, Literal

import openai
import pytest
from pydantic import BaseModel

from running_server import RunningServer, dictate

MESSAGES: Any = [{"role": "user", "content": "hi"}]
GREEDY: dict[str, Any] = {"temperature": 0, "max_tokens": 8}
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"enum": ["Paris", "Rome"]}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}


@pytest.fixture(scope="module")
def client(server: RunningServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="x", max_retries=0) as found:
        yield found


def test_models(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["tiny"]
    assert client.models.retrieve("alias").id == "tiny"
    with pytest.raises(openai.NotFoundError) as error:
        client.models.retrieve("../../etc/passwd")
    assert error.value.code == "model_not_found"


def test_a_chat_streamed_and_not_is_the_same(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(model="tiny", messages=MESSAGES, **GREEDY)
    assert whole.usage is not None
    assert whole.usage.completion_tokens == 8
    assert whole.choices[0].finish_reason == "length"
    chunks = list(
        client.chat.completions.create(
            model="tiny",
            messages=MESSAGES,
            stream=True,
            stream_options={"include_usage": True},
            **GREEDY,
        )
    )
    *parts, end, last = chunks
    assert parts[0].choices[0].delta.role == "assistant"
    text = "".join(part.choices[0].delta.content or "" for part in parts)
    assert text == whole.choices[0].message.content
    assert end.choices[0].finish_reason == "length"
    assert last.choices == []
    assert last.usage is not None
    assert last.usage.total_tokens == whole.usage.total_tokens
    assert {chunk.id for chunk in chunks} == {chunks[0].id}


def test_it_answers_coroutines_at_once(server: RunningServer) -> None:
    async def asked() -> None:
        async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="x") as client:

            async def text(seed: int) -> str:
                stream = await client.chat.completions.create(
                    model="tiny", messages=MESSAGES, stream=True, seed=seed, max_tokens=16
                )
                return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

            found = await asyncio.gather(*map(text, [1, 2, 3, 1]))
            assert found[0] == found[3]
            assert len(set(found)) == 3

    asyncio.run(asked())


def test_several_choices(client: openai.OpenAI) -> None:
    asked: Any = {"seed": 3, "n": 3, "max_tokens": 12, "extra_body": {"ignore_eos": True}}
    one = client.chat.completions.create(model="tiny", messages=MESSAGES, **asked)
    texts = [choice.message.content for choice in one.choices]
    assert [choice.index for choice in one.choices] == [0, 1, 2]
    assert len(set(texts)) == 3
    assert one.usage is not None
    assert one.usage.completion_tokens == 36
    again = client.chat.completions.create(model="tiny", messages=MESSAGES, **asked)
    assert [choice.message.content for choice in again.choices] == texts


def test_log_probabilities(client: openai.OpenAI) -> None:
    found = client.chat.completions.create(
        model="tiny", messages=MESSAGES, logprobs=True, top_logprobs=2, **GREEDY
    )
    logprobs = found.choices[0].logprobs
    assert logprobs is not None
    assert logprobs.content is not None
    assert len(logprobs.content) == 8
    for token in logprobs.content:
        assert token.logprob == token.top_logprobs[0].logprob  # the likeliest is taken
        assert token.top_logprobs[0].logprob >= token.top_logprobs[1].logprob
        assert token.bytes is not None
    streamed = client.chat.completions.create(
        model="tiny", messages=MESSAGES, logprobs=True, top_logprobs=2, stream=True, **GREEDY
    )
    parts = [c.choices[0].logprobs for c in streamed if c.choices[0].logprobs]
    assert [p.content[0] for p in parts if p.content] == logprobs.content


class Person(BaseModel):
    """Of a structured answer."""

    name: Literal["Ann", "Bob"]
    is_old: bool


def test_structured_answers(client: openai.OpenAI) -> None:
    found = client.chat.completions.parse(
        model="tiny", messages=MESSAGES, response_format=Person, max_tokens=400
    )
    parsed = found.choices[0].message.parsed
    assert parsed is not None
    assert parsed.name in ("Ann", "Bob")
    anything = client.chat.completions.create(
        model="tiny", messages=MESSAGES, response_format={"type": "json_object"}, max_tokens=1
    )
    assert (anything.choices[0].message.content or "").startswith("{")


@pytest.mark.parametrize(
    "choice", ["required", {"type": "function", "function": {"name": "weather"}}]
)
def test_a_tool_that_must_be_called(client: openai.OpenAI, choice: Any) -> None:
    found = client.chat.completions.create(
        model="tiny", messages=MESSAGES, tools=[WEATHER], tool_choice=choice, max_tokens=200
    )
    (only,) = found.choices
    assert only.finish_reason == "tool_calls"
    assert only.message.content is None
    (call,) = only.message.tool_calls or []
    assert call.type == "function"
    assert call.id.startswith("call_")
    assert call.function.name == "weather"
    assert json.loads(call.function.arguments)["city"] in ("Paris", "Rome")
    streamed = client.chat.completions.create(
        model="tiny",
        messages=MESSAGES,
        tools=[WEATHER],
        tool_choice=choice,
        max_tokens=200,
        stream=True,
    )
    *parts, end = streamed
    deltas = [call for part in parts for call in part.choices[0].delta.tool_calls or []]
    assert [delta.index for delta in deltas] == [0]
    assert deltas[0].function is not None
    assert json.loads(deltas[0].function.arguments or "")["city"] in ("Paris", "Rome")
    assert end.choices[0].finish_reason == "tool_calls"


def test_a_tool_that_may_be_called(client: openai.OpenAI, monkeypatch: pytest.MonkeyPatch) -> None:
    prompts = dictate(monkeypatch, '{"name": "weather", "arguments": {"city": "Rome"}}')
    found = client.chat.completions.create(model="tiny", messages=MESSAGES, tools=[WEATHER])
    assert found.choices[0].finish_reason == "tool_calls"
    (call,) = found.choices[0].message.tool_calls or []
    assert call.type == "function"
    said: Any = [
        *MESSAGES,
        found.choices[0].message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": call.id, "content": "21 degrees"},
    ]
    client.chat.completions.create(model="tiny", messages=said, tools=[WEATHER])
    assert len(prompts[1]) > len(prompts[0])
    off = client.chat.completions.create(
        model="tiny", messages=MESSAGES, tools=[WEATHER], tool_choice="none"
    )
    assert off.choices[0].message.tool_calls is None
    assert (off.choices[0].message.content or "").startswith("{")


def test_completions(client: openai.OpenAI) -> None:
    found = client.completions.create(
        model="tiny", prompt=["hello", "good day"], n=2, logprobs=1, echo=True, max_tokens=4
    )
    assert [choice.index for choice in found.choices] == [0, 1, 2, 3]
    assert [choice.text.startswith("hello") for choice in found.choices] == [
        True,
        True,
        False,
        False,
    ]
    logprobs = found.choices[0].logprobs
    assert logprobs is not None
    assert logprobs.token_logprobs is not None
    assert logprobs.token_logprobs[0] is None
    assert len(logprobs.token_logprobs) == len(logprobs.tokens or [])
    for token, its, top in zip(
        logprobs.tokens or [], logprobs.token_logprobs, logprobs.top_logprobs or [], strict=True
    ):
        assert its is None or top[token] >= its  # the token itself is there, too
    ids = client.completions.create(model="tiny", prompt=[[5, 6], [7]], max_tokens=1)
    assert ids.usage is not None
    assert ids.usage.prompt_tokens == 3
    streamed = client.completions.create(
        model="tiny", prompt="hello", temperature=0, max_tokens=6, stream=True
    )
    text = "".join(chunk.choices[0].text for chunk in streamed)
    whole = client.completions.create(model="tiny", prompt="hello", temperature=0, max_tokens=6)
    assert text == whole.choices[0].text


def test_embeddings(client: openai.OpenAI, server: RunningServer) -> None:
    found = client.embeddings.create(model="tiny", input=["hello", "good day"])  # as base64
    plain = client.embeddings.create(model="tiny", input="hello", encoding_format="float")
    assert found.data[0].embedding == pytest.approx(plain.data[0].embedding, abs=1e-6)
    assert len(plain.data[0].embedding) == server.served.model.config.dim
    assert sum(value**2 for value in plain.data[0].embedding) == pytest.approx(1, abs=1e-4)
    assert client.embeddings.create(model="tiny", input=[[5, 6], [7]]).usage.prompt_tokens == 3
    with pytest.raises(openai.BadRequestError) as error:
        client.embeddings.create(model="tiny", input="hello", dimensions=3)
    assert error.value.param == "dimensions"


def test_error_classes(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="other", messages=MESSAGES)
    with pytest.raises(openai.BadRequestError) as error:
        client.chat.completions.create(
            model="tiny", messages=[{"role": "user", "content": "x" * 900}]
        )
    assert error.value.code == "context_length_exceeded"
    assert "this model's maximum context length is 512 tokens" in str(error.value)
    with pytest.raises(openai.BadRequestError) as error:
        client.chat.completions.create(model="tiny", messages=MESSAGES, temperature=-1)
    assert error.value.param == "temperature"
    with pytest.raises(openai.BadRequestError) as error:
        client.chat.completions.create(model="tiny", messages=MESSAGES, n="2")  # type: ignore[arg-type]
    assert error.value.param == "n"
    image: Any = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    with pytest.raises(openai.BadRequestError, match="parts of type 'text' only"):
        client.chat.completions.create(
            model="tiny", messages=[{"role": "user", "content": [image]}]
        )


def test_curl(server: RunningServer) -> None:
    assert shutil.which("curl") is not None
    body = json.dumps({"messages": MESSAGES, "max_tokens": 2, "stream": True})
    done = subprocess.run(
        ["curl", "-sN", f"{server.url}/v1/chat/completions", "-H",
         "Content-Type: application/json", "-d", body],
        capture_output=True, text=True, check=True, timeout=20,
    )  # fmt: skip
    assert done.stdout.startswith('data: {"id":"chatcmpl-')
    assert done.stdout.endswith("data: [DONE]\n\n")

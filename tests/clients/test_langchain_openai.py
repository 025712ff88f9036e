"""The `langchain-openai` package."""

from __future__ import annotations

import asyncio
from typing import Any, Literal

import pytest
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAI, OpenAIEmbeddings

from asked import KEY, MODEL, Mood

QUESTION = "Why is the sky blue?"


@tool
def weather(city: Literal["Paris", "Rome"]) -> str:
    """The weather in a city."""
    return f"21 degrees in {city}"


@pytest.fixture(scope="module")
def chat(url: str) -> ChatOpenAI:
    more: Any = {"max_tokens": 60}
    return ChatOpenAI(model=MODEL, base_url=url, api_key=KEY, temperature=0, max_retries=0, **more)


def test_whole_and_streamed_answers_are_the_same(chat: ChatOpenAI) -> None:
    whole = chat.invoke(QUESTION)
    assert whole.content
    assert whole.usage_metadata["output_tokens"] > 0
    parts = list(chat.stream(QUESTION, stream_usage=True))
    assert "".join(str(part.content) for part in parts) == whole.content
    total = parts[0]
    for part in parts[1:]:
        total += part
    assert total.usage_metadata["total_tokens"] == whole.usage_metadata["total_tokens"]
    assert asyncio.run(chat.ainvoke(QUESTION)).content == whole.content
    assert [each.content for each in chat.batch([QUESTION] * 3)] == [whole.content] * 3


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_structured_answers(chat: ChatOpenAI, method: Any) -> None:
    assert isinstance(chat.with_structured_output(Mood, method=method).invoke(QUESTION), Mood)


def test_a_round_trip_of_tools(chat: ChatOpenAI) -> None:
    called = chat.bind_tools([weather], tool_choice="any", strict=True).invoke(QUESTION)
    (call,) = called.tool_calls
    assert call["name"] == "weather"
    said = ToolMessage(weather.invoke(call["args"]), tool_call_id=call["id"])
    last = chat.bind_tools([weather], tool_choice="none")
    assert last.invoke([HumanMessage(QUESTION), called, said]).content
    streamed = chat.bind_tools([weather], tool_choice="weather", strict=True).stream(QUESTION)
    chunks = [chunk for part in streamed for chunk in part.tool_call_chunks]
    assert chunks[0]["name"] == "weather"


def test_the_responses_api(chat: ChatOpenAI) -> None:
    other = chat.model_copy(update={"use_responses_api": True})
    assert other.invoke(QUESTION).text


def test_completions(url: str) -> None:
    model = OpenAI(model=MODEL, base_url=url, api_key=KEY, max_tokens=8, temperature=0)
    assert "".join(model.stream("Once upon a time")) == model.invoke("Once upon a time")


def test_vectors(url: str) -> None:
    made = OpenAIEmbeddings(
        model=MODEL, base_url=url, api_key=KEY, check_embedding_ctx_length=False
    )
    one = made.embed_query("a cat")
    first, second = made.embed_documents(["a cat", "a bridge"])
    assert first == pytest.approx(one, abs=1e-5)
    assert len(second) == 576

"""The `litellm` package."""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

import pytest

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # or the import asks the network
import litellm

from asked import KEY, MESSAGES, MODEL, WEATHER, Mood


@pytest.fixture
def asked(url: str) -> dict[str, Any]:
    return {
        "model": f"openai/{MODEL}", "api_base": url, "api_key": KEY, "messages": MESSAGES,
        "max_tokens": 60, "temperature": 0,
    }  # fmt: skip


def test_whole_and_streamed_answers_are_the_same(asked: dict[str, Any]) -> None:
    whole = litellm.completion(**asked)
    assert whole.usage.completion_tokens > 0
    parts = litellm.completion(**asked, stream=True)
    text = "".join(part.choices[0].delta.content or "" for part in parts)
    assert text == whole.choices[0].message.content
    later = asyncio.run(litellm.acompletion(**asked))
    assert later.choices[0].message.content == text


def test_tools(asked: dict[str, Any]) -> None:
    found = litellm.completion(**asked, tools=[WEATHER], tool_choice="required")
    (call,) = found.choices[0].message.tool_calls
    assert json.loads(call.function.arguments)["city"] in ("Paris", "Rome")
    parts = list(litellm.completion(**asked, tools=[WEATHER], tool_choice="required", stream=True))
    built = litellm.stream_chunk_builder(parts, messages=MESSAGES)
    assert built.choices[0].message.tool_calls[0].function.name == "weather"


def test_structured_answers(asked: dict[str, Any]) -> None:
    found = litellm.completion(**asked, response_format=Mood)
    Mood.model_validate_json(found.choices[0].message.content)


def test_completions_and_vectors(url: str) -> None:
    place = {"api_base": url, "api_key": KEY}
    text = litellm.text_completion(
        model=f"text-completion-openai/{MODEL}", prompt="Once upon", max_tokens=4, **place
    )
    assert text.choices[0].text
    found = litellm.embedding(
        model=f"openai/{MODEL}", input=["a", "b"], encoding_format="float", **place
    )
    assert [len(each["embedding"]) for each in found.data] == [576, 576]


def test_errors(asked: dict[str, Any]) -> None:
    with pytest.raises(litellm.AuthenticationError):
        litellm.completion(**{**asked, "api_key": "wrong"}, num_retries=0)
    with pytest.raises(litellm.NotFoundError):
        litellm.completion(**{**asked, "model": "openai/other"}, num_retries=0)
    long: Any = [{"role": "user", "content": "word " * 3000}]
    with pytest.raises(litellm.ContextWindowExceededError):
        litellm.completion(**{**asked, "messages": long}, num_retries=0)

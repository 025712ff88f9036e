"""The `instructor` package, in each of its modes that hold an answer to a schema."""

from __future__ import annotations

import asyncio
from typing import Any

import instructor
import openai
import pytest

from asked import KEY, MESSAGES, MODEL, Mood

ASKED: dict[str, Any] = {
    "model": MODEL, "messages": MESSAGES, "max_tokens": 80, "response_model": Mood
}  # fmt: skip
MODES = [instructor.Mode.TOOLS, instructor.Mode.JSON_SCHEMA]


@pytest.mark.parametrize("mode", MODES)
def test_values(url: str, mode: instructor.Mode) -> None:
    with openai.OpenAI(base_url=url, api_key=KEY) as plain:
        client = instructor.from_openai(plain, mode=mode)
        assert isinstance(client.chat.completions.create(**ASKED, max_retries=0), Mood)
        value, answer = client.chat.completions.create_with_completion(**ASKED)
        assert isinstance(value, Mood)
        assert answer.usage.completion_tokens > 0
        *_, last = client.chat.completions.create_partial(**ASKED)
        assert last.mood in ("good", "bad")


def test_coroutines(url: str) -> None:
    async def value() -> Any:
        async with openai.AsyncOpenAI(base_url=url, api_key=KEY) as plain:
            return await instructor.from_openai(plain).chat.completions.create(**ASKED)

    assert isinstance(asyncio.run(value()), Mood)

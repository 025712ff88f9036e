"""Bodies are checked in little time and memory, whatever is wrong with them."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from ggmlkit.chat.errors import RequestError
from ggmlkit.chat.shapes import ChatBody, CompletionBody
from ggmlkit.chat.validation import misspelt, validated
from ggmlkit.server.openai.shapes import EmbeddingBody

CHAT: dict[str, Any] = {"messages": [{"role": "user", "content": "a"}]}
MANY = 10_000


@pytest.mark.parametrize(
    ("model", "body"),
    [
        (CompletionBody, {"prompt": [-1] * MANY}),
        (CompletionBody, {"prompt": [[-1]] * MANY}),
        (CompletionBody, {"prompt": [None] * MANY}),
        (EmbeddingBody, {"input": [-1] * MANY}),
        (ChatBody, {"messages": [5] * MANY}),
        (ChatBody, {"messages": [{"role": "user", "content": [5] * MANY}]}),
        (ChatBody, {**CHAT, "stop": [5] * MANY}),
        (ChatBody, {**CHAT, "samplers": [5] * MANY}),
        (ChatBody, {**CHAT, "dry_sequence_breakers": [5] * MANY}),
        (ChatBody, {**CHAT, "logit_bias": [5] * MANY}),
        (ChatBody, {**CHAT, "logit_bias": {str(id): "a" for id in range(MANY)}}),
        (ChatBody, {**CHAT, "tools": [5] * MANY}),
    ],
    ids=lambda value: next(reversed(value)) if isinstance(value, dict) else "",
)
def test_many_faults_are_not_all_written_down(model: type[BaseModel], body: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        model.model_validate(body)
    assert caught.value.error_count() < 600


def test_names_like_known_ones_are_found_and_others_are_not() -> None:
    body = {**CHAT, "max_token": 3, "temprature": 1, "topk": 2, "user": "a", "n_keep": 3}
    assert misspelt(ChatBody, body) == {
        "max_token": "max_tokens",
        "temprature": "temperature",
        "topk": "top_k",
    }
    assert misspelt(ChatBody, {**CHAT, "max_tokens": 1, "max_token": 1}) == {}
    assert misspelt(ChatBody, {**CHAT, "service_tier": "a", "reasoning_effort": "low"}) == {}


def test_empty_lists_are_refused_in_plain_words() -> None:
    with pytest.raises(RequestError, match=r"^messages: must not be empty$"):
        validated(ChatBody, {"messages": []})

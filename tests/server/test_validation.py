"""Bodies are checked in little time and memory, whatever is wrong with them."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from ggmlkit.server.openai.shapes import ChatBody, CompletionBody, EmbeddingBody

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

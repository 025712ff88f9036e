"""What a response says of its request: the same in each of its events, so written once."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from ggmlkit.chat.json_text import as_json

if TYPE_CHECKING:
    from ggmlkit.engine.sampling import SamplingParams
    from ggmlkit.server.responses.shapes import ResponseBody


@dataclass(frozen=True)
class Head:
    """A response without its answer.

    Attributes:
        id: of the response.
        text: JSON, but for the last brace.
    """

    id: str
    text: str

    def response(self, answer: Mapping[str, Any]) -> str:
        """The response with an answer, as JSON."""
        return f"{self.text},{as_json(answer)[1:]}"


def head_of(body: ResponseBody, model: str, params: SamplingParams) -> Head:
    """The head of the response to a body; takes a moment for large ones.

    Args:
        model: its name.
        params: how its tokens are drawn.
    """
    id = f"resp_{token_hex(24)}"
    choice = body.tool_choice or "auto"
    wanted = body.text.format if body.text else None
    values = {
        "id": id,
        "object": "response",
        "created_at": int(time.time()),
        "background": False,
        "instructions": body.instructions,
        "max_output_tokens": body.max_output_tokens,
        "max_tool_calls": None,
        "metadata": body.metadata or {},
        "model": model,
        "parallel_tool_calls": body.parallel_tool_calls is not False,
        "previous_response_id": body.previous_response_id,
        "reasoning": {
            "effort": body.reasoning.effort if body.reasoning else None,
            "summary": None,
        },
        "service_tier": "default",
        "temperature": params.temperature,
        "text": {
            "format": (
                wanted.model_dump(exclude_none=True, by_alias=True) if wanted else {"type": "text"}
            )
        },
        "tool_choice": choice if isinstance(choice, str) else choice.model_dump(),
        "tools": [_tool(tool.model_dump()) for tool in body.tools or ()],
        "top_logprobs": body.top_logprobs or 0,
        "top_p": params.top_p,
        "truncation": "disabled",
        "user": body.user,
    }
    return Head(id, as_json(values)[:-1])


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    return {**tool, "strict": bool(tool["strict"])}

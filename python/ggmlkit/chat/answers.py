"""What answers to chats and completions have in common: ids, usage, log-probabilities."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import isfinite
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Final

from ggmlkit.chat.json_text import as_json

if TYPE_CHECKING:
    from ggmlkit.engine.completion import Token
    from ggmlkit.engine.result import Usage
    from ggmlkit.text.tokenizer import Tokenizer
    from ggmlkit.text.tool_calls import ToolCall

_LEAST_LOGPROB: Final = -9999.0  # what OpenAI writes for a token that can't come


@dataclass(frozen=True)
class Answer:
    """What each part of an answer says of it.

    Attributes:
        model: its name.
        kind: "chat.completion", "chat.completion.chunk" or "text_completion".
        id: of the answer.
        created: seconds since 1970.
    """

    model: str
    kind: str
    id: str
    created: int = field(default_factory=lambda: int(time.time()))

    def part(self, choices: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
        """An answer, or a chunk of it, with these choices."""
        return {
            "id": self.id,
            "object": self.kind,
            "created": self.created,
            "model": self.model,
            "choices": choices,
            **more,
        }


def new_id(kind: str) -> str:
    """An id such as ``chatcmpl-…`` that nobody guesses."""
    return f"{kind}{token_hex(12)}"


def new_call_id() -> str:
    """The id of a call of a tool."""
    return new_id("call_")


def usage_shape(usage: Usage, reasoning_tokens: int) -> dict[str, Any]:
    """The tokens of a request, of which so many are of thoughts."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": reasoning_tokens},
    }


def call_shape(call: ToolCall, id: str) -> dict[str, Any]:
    """A call of a tool."""
    return {
        "id": id,
        "type": "function",
        "function": {"name": call.name, "arguments": as_json(call.arguments)},
    }


def token_text(tokenizer: Tokenizer, id: int) -> tuple[str, bytes]:
    """Text and bytes of a token; of control tokens, those of their names."""
    data = b"" if id >= tokenizer.vocab_size else tokenizer.token_bytes(id, special=True)
    return data.decode("utf-8", "replace"), data


def finite(logprob: float | None) -> float | None:
    """A log-probability as JSON has it."""
    return logprob if logprob is None or isfinite(logprob) else _LEAST_LOGPROB


def chat_logprobs(tokenizer: Tokenizer, tokens: Iterable[Token]) -> dict[str, Any]:
    """The log-probabilities of a chat's tokens."""
    return {
        "content": [
            {
                **_chat_logprob(tokenizer, token.id, token.logprob),
                "top_logprobs": [
                    _chat_logprob(tokenizer, id, logprob) for id, logprob in token.top_logprobs
                ],
            }
            for token in tokens
        ],
        "refusal": None,
    }


def _chat_logprob(tokenizer: Tokenizer, id: int, logprob: float | None) -> dict[str, Any]:
    text, data = token_text(tokenizer, id)
    return {"token": text, "logprob": finite(logprob), "bytes": list(data)}


def completion_logprobs(
    tokenizer: Tokenizer, tokens: Iterable[Token], offset: int
) -> dict[str, Any]:
    """The log-probabilities of a completion's tokens, from a place of its text on."""
    texts: list[str] = []
    logprobs: list[float | None] = []
    top: list[dict[str, float | None] | None] = []
    offsets: list[int] = []
    for token in tokens:
        text, _ = token_text(tokenizer, token.id)
        texts.append(text)
        logprobs.append(finite(token.logprob))
        likeliest = {
            token_text(tokenizer, id)[0]: finite(logprob)
            for id, logprob in reversed(token.top_logprobs)
        }
        likeliest = dict(reversed(likeliest.items()))
        if token.logprob is not None:  # as OpenAI does: the token itself, too
            likeliest.setdefault(text, finite(token.logprob))
        top.append(None if token.logprob is None else likeliest)
        offsets.append(offset)
        offset += len(text)
    return {
        "tokens": texts,
        "token_logprobs": logprobs,
        "top_logprobs": top,
        "text_offset": offsets,
    }

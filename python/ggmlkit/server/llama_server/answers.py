"""What llama-server's answers have in common."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from ggmlkit.chat.answers import finite, token_text
from ggmlkit.chat.json_text import as_json

if TYPE_CHECKING:
    from ggmlkit.engine.completion import Token
    from ggmlkit.text.tokenizer import Tokenizer


def json_answer(value: object) -> Response:
    """A response of JSON."""
    return Response(as_json(value).encode(), media_type="application/json")


def probabilities(tokenizer: Tokenizer, tokens: Iterable[Token]) -> list[dict[str, Any]]:
    """Log-probabilities of tokens, before any setting changed them."""
    return [
        {
            **_shape(tokenizer, token.id, token.logprob),
            "top_logprobs": [_shape(tokenizer, id, logprob) for id, logprob in token.top_logprobs],
        }
        for token in tokens
    ]


def _shape(tokenizer: Tokenizer, id: int, logprob: float | None) -> dict[str, Any]:
    text, data = token_text(tokenizer, id)
    return {"id": id, "token": text, "bytes": list(data), "logprob": finite(logprob)}


def only_fields(answer: Mapping[str, Any], fields: Sequence[str]) -> dict[str, Any]:
    """Some fields of an answer; ``a/b`` is field ``b`` of the object ``a``."""
    found: dict[str, Any] = {}
    for name in fields:
        value: Any = answer
        for part in name.split("/"):
            if not isinstance(value, Mapping) or part not in value:
                break
            value = value[part]
        else:
            found[name] = value
    return found


def stopping_word(
    tokenizer: Tokenizer, tokens: Iterable[Token], content: str, stops: Sequence[str]
) -> str:
    """The stop string that ended an answer; empty if it was none.

    Args:
        content: of the answer, which the stop string follows.
    """
    stream = tokenizer.stream()
    raw = "".join(stream.push(token.id) for token in tokens) + stream.flush()
    rest = raw[len(content) :]
    return next((stop for stop in stops if rest.startswith(stop)), "")

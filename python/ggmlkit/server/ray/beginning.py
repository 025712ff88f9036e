"""How a prompt begins: what decides which replica gets a request."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

# A page of the cache has 64 tokens, some 250 characters. With less in common, prompts share little.
LENGTH: Final = 1024
_PARTS: Final = 64  # messages that are looked at


def beginning_of(path: str, body: bytes) -> str:
    """The first characters of a request's prompt, after the model's name; "" if it has none.

    They end with the first message of the user, so all turns of a conversation begin alike, however
    short it is.

    Args:
        path: of the request.
        body: of the request, from anyone. What is wrong with it is for the endpoint to say.
    """
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(given, dict):
        return ""
    text, rest = "", LENGTH
    for part in _parts(given):
        text += part[:rest]
        rest = LENGTH - len(text)
        if rest <= 0:
            break
    if not text:
        return ""
    model = given.get("model")
    return f"{path.rstrip('/')}\0{model if isinstance(model, str) else ''}\0{text}"


def _parts(body: Mapping[str, Any]) -> Iterator[str]:
    """The texts of a prompt in their order, up to the first message of the user."""
    yield from _texts(body.get("instructions"))
    yield from _texts(body.get("system"))
    messages = body.get("messages")
    if not isinstance(messages, list):
        yield from _texts(body.get("prompt", body.get("input")))
        return
    for message in messages[:_PARTS]:
        if isinstance(message, dict):
            role = message.get("role")
            yield f"\0{role}\0" if isinstance(role, str) else "\0"
            yield from _texts(message.get("content"))
            if role == "user":
                return


def _texts(content: object) -> Iterator[str]:
    """The texts of a prompt or a content: text, token ids, or a list of parts."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, list):
        for part in content[:LENGTH]:
            if isinstance(part, str):
                yield part
            elif isinstance(part, int):
                yield f"{part},"
            elif isinstance(part, dict):
                text = part.get("text", part.get("content"))
                if isinstance(text, str):
                    yield text

"""Messages of one side that follow each other, which many chat templates refuse."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any


def joined(
    messages: Sequence[dict[str, Any]], roles: Collection[str] = ("system",)
) -> list[dict[str, Any]]:
    """The messages; those of one of these roles that follow each other are one.

    Args:
        messages: as OpenAI's API has them.
        roles: whose messages are joined.
    """
    found: list[dict[str, Any]] = []
    for message in messages:
        last = found[-1] if found else {}
        if message["role"] in roles and last.get("role") == message["role"]:
            found[-1] = _both(last, message)
        else:
            found.append(message)
    return found


def _both(one: dict[str, Any], two: dict[str, Any]) -> dict[str, Any]:
    content = [*_parts(one.get("content")), *_parts(two.get("content"))]
    calls = [*one.get("tool_calls", ()), *two.get("tool_calls", ())]
    thoughts = [each["reasoning_content"] for each in (one, two) if each.get("reasoning_content")]
    both: dict[str, Any] = {"role": one["role"], "content": content or None}
    if calls:
        both["tool_calls"] = calls
    if thoughts:
        both["reasoning_content"] = "\n".join(thoughts)
    return both


def _parts(content: Any) -> list[Any]:
    """A content as a list of parts."""
    if not content:
        return []
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content)

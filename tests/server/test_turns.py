"""Messages that follow each other."""

from __future__ import annotations

from typing import Any

from ggmlkit.server.turns import joined


def said(role: str, content: Any, **more: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **more}


def part(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}


def test_messages_of_some_roles_are_joined() -> None:
    messages = [said("system", "a"), said("system", [part("b")]), said("user", "c")]
    assert joined([*messages, said("user", "d")]) == [
        said("system", [part("a"), part("b")]),
        said("user", "c"),
        said("user", "d"),
    ]


def test_calls_and_thoughts_are_kept() -> None:
    one = said("assistant", None, tool_calls=[1], reasoning_content="x")
    two = said("assistant", "a", tool_calls=[2], reasoning_content="y")
    (both,) = joined([one, two], ["assistant"])
    assert both == said("assistant", [part("a")], tool_calls=[1, 2], reasoning_content="x\ny")
    assert one["tool_calls"] == [1]


def test_results_of_tools_stay_apart() -> None:
    results = [said("tool", "1", tool_call_id="a"), said("tool", "2", tool_call_id="b")]
    assert joined(results, ["system", "user", "assistant"]) == results

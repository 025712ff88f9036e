"""Functions in place of tools: the form of OpenAI's API before there were tools."""

from __future__ import annotations

import json
from typing import Any

import pytest

from running_server import RunningServer, dictate, events

CALL = '{"name": "f", "arguments": {"a": 5}}'
FUNCTION = {"name": "f", "parameters": {"type": "object"}}


def test_a_call_of_a_function(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    dictate(monkeypatch, f"{CALL} {CALL}")
    found = server.chat(functions=[FUNCTION]).json()["choices"][0]
    assert found["message"]["function_call"] == {"name": "f", "arguments": '{"a":5}'}
    assert found["message"]["content"] is None
    assert "tool_calls" not in found["message"]
    assert found["finish_reason"] == "function_call"
    parts: list[dict[str, Any]] = [
        json.loads(part)["choices"][0]
        for part in events(server.chat(functions=[FUNCTION], stream=True))[:-1]
    ]
    deltas = [part["delta"] for part in parts]
    assert [each["function_call"]["name"] for each in deltas if "function_call" in each] == ["f"]
    assert parts[-1]["finish_reason"] == "function_call"
    free = server.chat(functions=[FUNCTION], function_call="none").json()["choices"][0]
    assert free["message"]["content"] == f"{CALL} {CALL}"


def test_a_function_that_must_be_called(server: RunningServer) -> None:
    asked = {"functions": [FUNCTION], "function_call": {"name": "g"}}
    error = server.chat(**asked).json()["error"]
    assert "which is no tool" in error["message"]
    tools = [{"type": "function", "function": {**FUNCTION, "name": "t"}}]
    both = server.chat(functions=[FUNCTION], tools=tools, tool_choice="none")
    assert both.status_code == 200

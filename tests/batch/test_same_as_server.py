"""A body gets the same answer as a line of a batch as from the server."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ggmlkit.batch.batch import Batch
from ggmlkit.batch.lines import read_lines
from ggmlkit.engine.model import Model
from running_server import ENGINE, RunningServer, running, settings_for

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
MESSAGES = [{"role": "user", "content": "Hi"}]
TOOL = {
    "type": "function",
    "function": {"name": "f", "parameters": {"properties": {"a": {"const": 5}}, "required": ["a"]}},
}
SCHEMA = {"type": "json_schema", "json_schema": {"schema": {"enum": ["ab", "cd"]}}}
# Made anew for each answer, or of one of the two alone.
OWN = ("id", "created", "model", "timings")


@pytest.fixture(scope="module")
def server(chat_gguf: Path) -> Iterator[RunningServer]:
    with running(settings_for(chat_gguf)) as found:
        yield found


@pytest.fixture(scope="module")
def batch(chat_gguf: Path) -> Iterator[Batch]:
    model = Model(chat_gguf, context=ENGINE.context, cache_tokens=ENGINE.cache_tokens, threads=1)
    with Batch(model) as found:
        yield found


def of_batch(batch: Batch, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    line = {"custom_id": "a", "method": "POST", "url": path, "body": body}
    (answer,) = batch.answers(read_lines(io.BytesIO(json.dumps(line).encode())))
    response = json.loads(answer.data)["response"]
    return response["status_code"], response["body"]


def without_own(body: dict[str, Any]) -> dict[str, Any]:
    found = {name: value for name, value in body.items() if name not in OWN}
    for choice in found.get("choices", ()):
        for call in choice.get("message", {}).get("tool_calls", ()):
            assert call.pop("id").startswith("call_")
    if usage := found.get("usage"):
        usage["prompt_tokens_details"].pop("cached_tokens")  # which depends on what came before
    return found


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (CHAT, {}),
        (CHAT, {"n": 2, "logprobs": True, "top_logprobs": 2}),
        (CHAT, {"logit_bias": {"66": 100, "a": False}, "n_probs": 1}),
        (CHAT, {"regex": "aab+c", "stop": ["b", "c"], "max_completion_tokens": 20}),
        (CHAT, {"response_format": SCHEMA, "max_tokens": 40}),
        (CHAT, {"response_format": {"type": "json_object"}, "max_tokens": 20}),
        (CHAT, {"tools": [TOOL], "max_tokens": 60}),
        (CHAT, {"tools": [TOOL], "tool_choice": "required", "max_tokens": 80}),
        (CHAT, {"tools": [TOOL], "tool_choice": "none"}),
        (CHAT, {"tools": [TOOL], "response_format": SCHEMA, "max_tokens": 80}),
        (CHAT, {"functions": [TOOL["function"]], "function_call": {"name": "f"}, "max_tokens": 80}),
        (CHAT, {"functions": [TOOL["function"]], "function_call": "none", "cache_prompt": False}),
        (CHAT, {"max_tokens": 600, "context_shift": True, "n_keep": 4}),
        (CHAT, {"samplers": "kt", "mirostat": 2, "dry_multiplier": 0.5, "top_p": 0}),
        (COMPLETIONS, {"prompt": "ab"}),
        (COMPLETIONS, {"prompt": ["ab", "cd"], "n": 2, "logprobs": 2, "max_tokens": 4}),
        (COMPLETIONS, {"prompt": [[1, 66, 67], [1]], "max_tokens": 4}),
        (COMPLETIONS, {"prompt": "a<unk></s>", "max_tokens": 4, "echo": True, "logprobs": 1}),
        (COMPLETIONS, {"prompt": "ab", "echo": True, "max_tokens": 0}),
        (COMPLETIONS, {"prompt": "ab", "max_tokens": -1, "regex": "[ab]{20}"}),
        # What is refused.
        (CHAT, {"messages": []}),
        (CHAT, {"messages": [{"role": "user"}]}),
        (CHAT, {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}),
        (CHAT, {"messages": [{"role": "user", "content": "a" * 3000}]}),
        (CHAT, {"messages": MESSAGES, "temperature": "x"}),
        (CHAT, {"messages": MESSAGES, "temperature": -1}),
        (CHAT, {"messages": MESSAGES, "n": 0}),
        (CHAT, {"messages": MESSAGES, "tool_choice": "required"}),
        (CHAT, {"messages": MESSAGES, "tools": [{"type": "function"}]}),
        (CHAT, {"messages": MESSAGES, "response_format": {"type": "x"}}),
        (CHAT, {"messages": MESSAGES, "response_format": {"type": "json_schema"}}),
        (CHAT, {"messages": MESSAGES, "json_schema": {"type": "x"}}),
        (CHAT, {"messages": MESSAGES, "grammar": 'root ::= "a', "response_format": SCHEMA}),
        (CHAT, {"messages": MESSAGES, "regex": "("}),
        (CHAT, {"messages": MESSAGES, "logit_bias": {"1": "x"}}),
        (CHAT, {"messages": MESSAGES, "chat_template_kwargs": {"messages": 1}}),
        (CHAT, {"messages": MESSAGES, "stop": [str(i) for i in range(99)]}),
        (COMPLETIONS, {}),
        (COMPLETIONS, {"prompt": ""}),
        (COMPLETIONS, {"prompt": [10**9]}),
        (COMPLETIONS, {"prompt": "a", "suffix": "b"}),
        (COMPLETIONS, {"prompt": "a", "best_of": 2}),
    ],
    ids=lambda _: None,
)
def test_a_body_gets_the_same_answer(
    server: RunningServer, batch: Batch, path: str, body: dict[str, Any]
) -> None:
    if "messages" not in body and path == CHAT:
        body = {"messages": MESSAGES, **body}
    body = {"seed": 3, "temperature": 1.0, "ignore_eos": True, **body}
    if path == CHAT:
        body = {"max_tokens": 6, **body}
    response = server.post(path, body)
    status, answer = of_batch(batch, path, body)
    assert (status, without_own(answer)) == (response.status_code, without_own(response.json()))

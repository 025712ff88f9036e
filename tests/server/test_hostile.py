"""Bodies with anything in any field: each is answered or refused, and nothing else happens."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from pydantic import BaseModel

from ggmlkit.chat.shapes import ChatBody, CompletionBody
from ggmlkit.server.anthropic.shapes import CountBody, MessageBody
from ggmlkit.server.llama_server.embedding import NativeEmbeddingBody
from ggmlkit.server.llama_server.rerank import RerankBody
from ggmlkit.server.llama_server.shapes import NativeCompletionBody
from ggmlkit.server.llama_server.tokens import DetokenizeBody, TokenizeBody
from ggmlkit.server.openai.shapes import EmbeddingBody
from ggmlkit.server.responses.shapes import ResponseBody
from running_server import RunningServer, until

TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 2, 0.5, 10**30, 1e300, "", "a", "auto", "required", "x" * 300,
    "\ud800", [], [1], ["a"], [[1, 2]], [["a", 1]], {}, {"a": 1}, [TOOL], {"include_usage": True},
    {"type": "json_object"}, {"type": "json_schema", "json_schema": {"schema": {"type": 5}}},
    {"type": "function", "function": {"name": "f"}}, [{"role": "user", "content": "\udfff"}],
    [{"role": "assistant", "content": None, "tool_calls": [{"id": 1, "function": {"name": 5}}]}],
    [{"role": "tool", "content": ["x", {"type": "text", "text": "y"}]}],
    [{"role": "user", "content": [{"type": "text"}]}],
    [{"role": "user", "content": [{"type": "text", "text": "x"}, {"type": "image"}]}],
    [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": [1]}]}],
    [{"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "b", "input": {}}]}],
    [{"type": "function_call", "call_id": "a", "name": "b", "arguments": "{"}],
    [{"type": "function_call_output", "call_id": "a", "output": []}, {"type": "reasoning"}],
    [{"type": "function", "name": "f", "parameters": {"$ref": "#/x"}}], {"type": "any"},
    [{"name": "f", "input_schema": {"type": 5}}], {"format": {"type": "json_schema", "schema": {}}},
    {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "f"}]},
]  # fmt: skip
ENDPOINTS: dict[str, tuple[type[BaseModel], dict[str, Any]]] = {
    "/v1/chat/completions": (ChatBody, {"messages": [{"role": "user", "content": "hi"}]}),
    "/v1/completions": (CompletionBody, {"prompt": "a"}),
    "/v1/embeddings": (EmbeddingBody, {"input": "a"}),
    "/v1/messages": (MessageBody, {"messages": [{"role": "user", "content": "hi"}]}),
    "/v1/messages/count_tokens": (CountBody, {"messages": [{"role": "user", "content": "hi"}]}),
    "/v1/responses": (ResponseBody, {"input": "hi", "max_output_tokens": 3}),
    "/completion": (NativeCompletionBody, {"prompt": "a"}),
    "/embedding": (NativeEmbeddingBody, {"content": "a"}),
    "/v1/rerank": (RerankBody, {"query": "a", "documents": ["b"]}),
    "/tokenize": (TokenizeBody, {"content": "a"}),
    "/detokenize": (DetokenizeBody, {"tokens": [5]}),
    "/apply-template": (ChatBody, {"messages": [{"role": "user", "content": "hi"}]}),
}


@pytest.mark.parametrize("path", ENDPOINTS)
def test_no_body_is_a_defect(server: RunningServer, path: str) -> None:
    shape, base = ENDPOINTS[path]
    chance = random.Random(3)
    statuses = set()
    for _ in range(80):
        body = {**base, "max_tokens": 3}
        for name in chance.sample(list(shape.model_fields), chance.choice([1, 1, 2])):
            body[name] = chance.choice(VALUES)
        if body.get("max_tokens") not in (3, 0, 1, 2):
            body["max_tokens"] = 2
        found = server.client.post(
            path, content=json.dumps(body), headers={"Content-Type": "application/json"}
        )
        statuses.add(found.status_code)
        assert found.status_code in (200, 400, 404, 501), (body, found.text)
        assert "internal_error" not in found.text, body
        if found.status_code != 200:
            assert found.json()["error"]["message"], body
    assert {200, 400} <= statuses
    until(lambda: server.is_free() and server.serving.admission.answers == 0)

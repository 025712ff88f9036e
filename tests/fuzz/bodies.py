"""The body of a request to the server, and what the server makes of it before it computes."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import ggmlkit as gk
from ggmlkit.chat.errors import RequestError
from ggmlkit.chat.json_text import parsed
from ggmlkit.chat.prompts import plain_message
from ggmlkit.chat.sampling_fields import SamplingFields, sampling_params, settings_of
from ggmlkit.chat.shapes import ChatBody, CompletionBody
from ggmlkit.chat.tool_grammar import rebased
from ggmlkit.chat.validation import validated
from ggmlkit.server.anthropic.conversation import conversation
from ggmlkit.server.anthropic.shapes import MessageBody
from ggmlkit.server.llama_server.embedding import NativeEmbeddingBody
from ggmlkit.server.llama_server.rerank import RerankBody
from ggmlkit.server.llama_server.shapes import InfillBody, NativeCompletionBody
from ggmlkit.server.llama_server.tokens import DetokenizeBody, TokenizeBody
from ggmlkit.server.openai.shapes import EmbeddingBody
from ggmlkit.server.responses.items import messages_of, plain_items
from ggmlkit.server.responses.shapes import ResponseBody
from paths import GOLDEN

SHAPES = (ChatBody, CompletionBody, EmbeddingBody, MessageBody, ResponseBody)
NATIVE_SHAPES = (
    NativeCompletionBody,
    InfillBody,
    NativeEmbeddingBody,
    RerankBody,
    TokenizeBody,
    DetokenizeBody,
)
_TOOL = {"name": "f", "parameters": {"type": "object", "$defs": {"a": {}}, "$ref": "#/$defs/a"}}
_CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
_BODY = {
    "model": "m",
    "messages": [
        {"role": "system", "content": [{"type": "text", "text": "a"}]},
        {"role": "assistant", "content": None, "tool_calls": [_CALL]},
        {"role": "tool", "tool_call_id": "c", "content": "b"},
    ],
    "prompt": [[1, 2], [3]],
    "input": ["a", "b"],
    "tools": [{"type": "function", "function": _TOOL}],
    "tool_choice": {"type": "function", "function": {"name": "f"}},
    "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {}}},
    "logit_bias": {"1": 2.5, "a": False},
    "stop": ["x"],
    "samplers": ["top_k"],
    "temperature": 0.5,
    "n": 2,
    "stream_options": {"include_usage": True},
}


_USE = {"type": "tool_use", "id": "c", "name": "f", "input": {"a": 1}}
_RESULT = {"type": "tool_result", "tool_use_id": "c", "content": [{"type": "text", "text": "b"}]}
_MESSAGES_BODY = {
    "max_tokens": 4,
    "system": [{"type": "text", "text": "a"}],
    "messages": [
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "t"}, _USE]},
        {"role": "user", "content": [_RESULT, {"type": "text", "text": "d"}]},
    ],
    "tools": [{"name": "f", "input_schema": {"type": "object"}}],
    "tool_choice": {"type": "tool", "name": "f"},
    "thinking": {"type": "enabled", "budget_tokens": 1024},
    "output_config": {"format": {"type": "json_schema", "schema": {}}},
}
_RESPONSES_BODY = {
    "input": [
        {"role": "user", "content": [{"type": "input_text", "text": "a"}]},
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "t"}]},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "b"},
    ],
    "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}}],
    "tool_choice": {
        "type": "allowed_tools",
        "mode": "auto",
        "tools": [{"type": "function", "name": "f"}],
    },
    "text": {"format": {"type": "json_schema", "name": "n", "schema": {}}},
    "metadata": {"a": "b"},
}


def _writer(body: dict[str, Any]) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_text(json.dumps(body))

    return write


# What writes a body with many fields, of each API.
KINDS = {
    "request-body": _writer(_BODY),
    "messages-body": _writer(_MESSAGES_BODY),
    "responses-body": _writer(_RESPONSES_BODY),
}


@cache
def _tokenizer() -> gk.Tokenizer:
    with gk.open(GOLDEN / "gguf-v1-f16.bin") as file:
        return gk.Tokenizer.from_metadata(file.metadata)


def read_body(path: Path) -> None:
    """Check a body, and make settings and messages of it; it may be refused in the API's way."""
    try:
        body = parsed(path.read_bytes())
    except RequestError:
        return
    for shape in (*SHAPES, *NATIVE_SHAPES):
        with suppress(RequestError):
            found = validated(shape, body)
            if isinstance(found, SamplingFields):
                sampling_params(settings_of(found, _tokenizer()))
            if isinstance(found, ChatBody):
                for message in found.messages:
                    plain_message(message.model_dump(exclude_unset=True))
                for tool in found.tools or ():
                    rebased(tool.function.parameters or {}, "#/x")
            if isinstance(found, MessageBody):
                conversation(found, {})
            if isinstance(found, ResponseBody):
                messages_of(plain_items(found.input))

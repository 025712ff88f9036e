"""The body of a request to the server, and what the server makes of it before it computes."""

from __future__ import annotations

import json
from contextlib import suppress
from functools import cache
from pathlib import Path

import ggmlkit as gk
from ggmlkit.server.bodies import parsed
from ggmlkit.server.errors import RequestError
from ggmlkit.server.openai.shapes import ChatBody, CompletionBody, EmbeddingBody
from ggmlkit.server.prompts import plain_message
from ggmlkit.server.sampling_fields import sampling_params, settings_of
from ggmlkit.server.tool_grammar import rebased
from ggmlkit.server.validation import validated
from paths import GOLDEN

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


def write_body(path: Path) -> None:
    """A body with many fields."""
    path.write_text(json.dumps(_BODY))


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
    for shape in (ChatBody, CompletionBody, EmbeddingBody):
        with suppress(RequestError):
            found = validated(shape, body)
            if isinstance(found, (ChatBody, CompletionBody)):
                sampling_params(settings_of(found, _tokenizer()))
            if isinstance(found, ChatBody):
                for message in found.messages:
                    plain_message(message.model_dump(exclude_unset=True))
                for tool in found.tools or ():
                    rebased(tool.function.parameters or {}, "#/x")

"""Lines of OpenAI's batch API, and answers in its form."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import ggmlkit as gk
from ggmlkit.batch.batch import Batch
from ggmlkit.batch.lines import read_lines
from ggmlkit.batch.openai import CHAT, COMPLETIONS
from ggmlkit.engine.model import Model

SETTINGS: dict[str, Any] = {"max_tokens": 5, "seed": 3, "temperature": 1.0, "ignore_eos": True}
USER = [{"role": "user", "content": "Hi"}]


@pytest.fixture(scope="module")
def batch(chat_gguf: Path) -> Iterator[Batch]:
    with Batch(Model(chat_gguf, context=128, contexts=3), SETTINGS) as found:
        yield found


def answer(batch: Batch, url: str, body: object, **more: Any) -> dict[str, Any]:
    line = {"custom_id": "r1", "method": "POST", "url": url, "body": body} | more
    lines = read_lines(io.BytesIO(json.dumps(line).encode()))
    (found,) = batch.answers(lines)
    value: dict[str, Any] = json.loads(found.data)
    assert value.keys() == {"id", "custom_id", "response", "error"}
    assert value["id"].startswith("batch_req_")
    assert value["error"] is None
    assert found.is_failure == (value["response"]["status_code"] != 200)
    return value


def body_of(batch: Batch, url: str, **body: Any) -> dict[str, Any]:
    found = answer(batch, url, body)
    assert found["response"]["status_code"] == 200, found
    inner: dict[str, Any] = found["response"]["body"]
    return inner


def test_a_chat_completion(batch: Batch, chat_gguf: Path) -> None:
    llama = gk.Llama(chat_gguf, context=128)
    found = body_of(batch, CHAT, model="m", messages=USER, max_completion_tokens=7, user="x")
    wanted = llama.chat_complete(USER, **{**SETTINGS, "max_tokens": 7})
    assert found["object"] == "chat.completion"
    assert found["model"] == "m"
    (choice,) = found["choices"]
    assert choice["message"] == {"role": "assistant", "content": wanted.text, "refusal": None}
    assert choice["finish_reason"] == "length"
    assert choice["logprobs"] is None
    usage = found["usage"]
    assert usage["prompt_tokens"] == wanted.usage.prompt_tokens
    assert usage["completion_tokens"] == 7
    assert usage["total_tokens"] == wanted.usage.prompt_tokens + 7


def test_log_probabilities(batch: Batch) -> None:
    chat = body_of(batch, CHAT, messages=USER, logprobs=True, top_logprobs=2)
    content = chat["choices"][0]["logprobs"]["content"]
    assert len(content) == 5
    assert all(len(token["top_logprobs"]) == 2 for token in content)
    assert bytes(content[0]["bytes"]).decode(errors="replace") == content[0]["token"]
    text = body_of(batch, COMPLETIONS, prompt="a", logprobs=1)["choices"][0]["logprobs"]
    assert len(text["tokens"]) == len(text["token_logprobs"]) == len(text["top_logprobs"]) == 5
    assert text["text_offset"][0] == 0


def test_choices_and_prompts(batch: Batch) -> None:
    found = body_of(batch, COMPLETIONS, prompt=["ab", "cd"], n=2, max_tokens=4)
    texts = [choice["text"] for choice in found["choices"]]
    assert [choice["index"] for choice in found["choices"]] == [0, 1, 2, 3]
    assert texts[0] != texts[1]
    assert found["usage"]["completion_tokens"] == 16
    again = body_of(batch, COMPLETIONS, prompt="ab", seed=4, max_tokens=4)
    assert again["choices"][0]["text"] == texts[1]


def test_forms(batch: Batch) -> None:
    schema = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"const": [1]}}}
    for body in ({"response_format": schema}, {"json_schema": {"const": [1]}}):
        found = body_of(batch, CHAT, messages=USER, max_tokens=40, **body)
        assert json.loads(found["choices"][0]["message"]["content"]) == [1]
    free = body_of(batch, CHAT, messages=USER, response_format={"type": "text"}, stop=None)
    assert free["choices"][0]["finish_reason"] == "length"
    bound = body_of(batch, CHAT, messages=USER, response_format={"type": "json_object"})
    assert bound["choices"][0]["message"]["content"].lstrip()[:1] in ("{", "")


@pytest.mark.parametrize(
    ("url", "body", "said"),
    [
        ("/v1/embeddings", {}, "url must be /v1/chat/completions or /v1/completions"),
        (CHAT, None, "body must be an object, not None"),
        (CHAT, {}, "messages: field required"),
        (COMPLETIONS, {}, "prompt: field required"),
        (CHAT, {"messages": USER, "n": 0}, "n: input should be greater than or equal to 1"),
        (CHAT, {"messages": USER, "n": 129}, "n: input should be less than or equal to 128"),
        (CHAT, {"messages": USER, "stream": True}, "stream is not supported in a batch"),
        (CHAT, {"messages": USER, "tool_choice": "required"}, "tool_choice asks for a call"),
        (CHAT, {"messages": USER, "temperature": "x"}, "temperature: input should be"),
        (CHAT, {"messages": USER, "response_format": {"type": "x"}}, "response_format.type: input"),
        (CHAT, {"messages": USER, "response_format": {"type": "json_schema"}}, "wants a JSON"),
        (COMPLETIONS, {"prompt": "a" * 500}, "maximum context length is 128 tokens"),
    ],
)  # fmt: skip
def test_what_can_not_be_answered(batch: Batch, url: str, body: object, said: str) -> None:
    found = answer(batch, url, body)
    assert found["custom_id"] == "r1"
    assert found["response"]["status_code"] == 400
    error = found["response"]["body"]["error"]
    assert said in error["message"]
    assert error["type"] == "invalid_request_error"


def test_a_line_without_a_custom_id_fails(batch: Batch) -> None:
    found = answer(batch, CHAT, {"messages": USER}, custom_id=None)
    assert found["response"]["body"]["error"]["message"] == "custom_id must be text, not None"

"""Lines in the form of OpenAI's batch API, and the answers in its form."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ggmlkit.arguments import shown, whole
from ggmlkit.batch.conversations import ChatPrompt
from ggmlkit.batch.jobs import Asking, Job, finite, token_text, usage_json
from ggmlkit.batch.settings import SETTING_NAMES, params_of
from ggmlkit.engine.result import GenerationResult
from ggmlkit.engine.sampling import SamplingParams
from ggmlkit.errors import ArgumentError, ArgumentTypeError

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
ID_PREFIX = "batch_req_"
_MOST_CHOICES = 128
_REFUSED = ("echo", "suffix", "audio", "functions", "function_call", "web_search_options")
_OWN_MEANING = frozenset({"logprobs", "top_logprobs", "max_tokens"})


def is_openai(line: Mapping[str, Any]) -> bool:
    """Whether a line is in OpenAI's form."""
    return "custom_id" in line or ("body" in line and "url" in line)


class OpenAIJob(Job):
    """A request to ``/v1/chat/completions`` or ``/v1/completions``.

    What the body has beside the fields known here is ignored, as by OpenAI's API; settings of ours
    that it lacks, such as ``top_k``, count too.

    Args:
        line: with ``custom_id``, ``method``, ``url`` and ``body``.
        fingerprint: of the line.
        asking: what it is asked with.

    Raises:
        ArgumentError: something is missing, not supported, or of a wrong type.
        ModelError: there is no chat template, or it fails.
    """

    def __init__(self, line: Mapping[str, Any], fingerprint: str, asking: Asking) -> None:
        self._custom_id, self._fingerprint = line.get("custom_id"), fingerprint
        self._model = asking.model
        if not isinstance(self._custom_id, str):
            raise ArgumentTypeError(f"custom_id must be text, not {shown(self._custom_id)}")
        if line.get("method", "POST") != "POST":
            raise ArgumentError(f"method must be POST, not {shown(line['method'])}")
        self._url, body = line.get("url"), line.get("body")
        if self._url not in (CHAT, COMPLETIONS):
            raise ArgumentError(f"url must be {CHAT} or {COMPLETIONS}, not {shown(self._url)}")
        if not isinstance(body, dict):
            raise ArgumentTypeError(f"body must be an object, not {shown(body)}")
        self._name = body.get("model") or asking.model.file.path.stem
        for field in (*_REFUSED, "stream"):
            if body.get(field):
                raise ArgumentError(f"{field} is not supported in a batch")
        self._n = whole(1 if body.get("n") is None else body["n"], "n", least=1)
        self._chat: ChatPrompt | None = None
        own = _settings(body, is_chat=self._url == CHAT)
        self._params = params_of(asking.settings, own)
        prompts = self._chat_prompts(body, asking) if self._url == CHAT else self._prompts(body)
        if len(prompts) * self._n > _MOST_CHOICES:
            raise ArgumentError(f"a line may ask for {_MOST_CHOICES} choices at most")
        self._prompt_count = len(prompts)
        self.requests = [
            (ids, self._nth_params(place)) for ids in prompts for place in range(self._n)
        ]

    def _nth_params(self, place: int) -> SamplingParams:
        """The params of a choice: each has another seed."""
        seed = self._params.seed
        if not place or seed is None:
            return self._params
        return replace(self._params, seed=seed + place)

    def _chat_prompts(self, body: Mapping[str, Any], asking: Asking) -> list[list[int]]:
        tools = body.get("tools")
        choice = body.get("tool_choice")
        if choice not in (None, "auto", "none"):
            raise ArgumentError(f"tool_choice must be 'auto' or 'none', not {shown(choice)}")
        if "messages" not in body:
            raise ArgumentError("body must have messages")
        self._chat = asking.conversations.prompt(
            body["messages"],
            None if choice == "none" else tools,
            body.get("chat_template_kwargs"),
        )
        self._params = asking.conversations.params(self._params)
        return [self._chat.ids]

    def _prompts(self, body: Mapping[str, Any]) -> list[list[int]]:
        if "prompt" not in body:
            raise ArgumentError("body must have a prompt")
        given = body["prompt"]
        is_list = isinstance(given, list) and given and isinstance(given[0], (str, list))
        return [self._model.prompt_ids(each) for each in (given if is_list else [given])]

    def answer(self, results: Sequence[GenerationResult]) -> dict[str, Any]:
        """The line of output of a request that was answered."""
        choices = [self._choice(place, result) for place, result in enumerate(results)]
        is_chat = self._chat is not None
        usages = [
            usage_json([result.usage for result in results[first : first + self._n]])
            for first in range(0, len(results), self._n)
        ]
        body = {
            "id": f"{'chatcmpl' if is_chat else 'cmpl'}-{self._fingerprint}",
            "object": "chat.completion" if is_chat else "text_completion",
            "created": int(time.time()),
            "model": self._name,
            "choices": choices,
            "usage": _sum(usages),
        }
        return _line(self._fingerprint, self._custom_id, 200, body)

    def _choice(self, place: int, result: GenerationResult) -> dict[str, Any]:
        reason: str = result.finish_reason
        if self._chat is None:
            text = {"text": result.text, "logprobs": self._text_logprobs(result)}
            return {"index": place, **text, "finish_reason": reason}
        parts = self._chat.parts(result, self._params)
        message: dict[str, Any] = {"role": "assistant", "content": parts.content, "refusal": None}
        if parts.reasoning is not None:
            message["reasoning_content"] = parts.reasoning
        if parts.calls:
            message["tool_calls"] = parts.calls_as_json(f"call_{self._fingerprint}_{place}")
            message["content"] = parts.content or None
            reason = "tool_calls"
        return {
            "index": place,
            "message": message,
            "logprobs": self._chat_logprobs(result),
            "finish_reason": reason,
        }

    def _chat_logprobs(self, result: GenerationResult) -> dict[str, Any] | None:
        if not self._params.logprobs:
            return None
        content = [
            {
                **self._logprob(token.id, token.logprob),
                "top_logprobs": [self._logprob(*each) for each in token.top_logprobs],
            }
            for token in result.tokens
        ]
        return {"content": content, "refusal": None}

    def _logprob(self, id: int, logprob: float | None) -> dict[str, Any]:
        data = self._model.tokenizer.token_bytes(id, special=True)
        return {
            "token": data.decode(errors="replace"),
            "logprob": finite(logprob or 0.0),
            "bytes": list(data),
        }

    def _text_logprobs(self, result: GenerationResult) -> dict[str, Any] | None:
        if not self._params.logprobs:
            return None
        texts = [token_text(self._model, token.id) for token in result.tokens]
        offsets, end = [], 0
        for text in texts:
            offsets.append(end)
            end += len(text)
        tops = [
            {token_text(self._model, id): finite(logprob) for id, logprob in token.top_logprobs}
            for token in result.tokens
        ]
        return {
            "tokens": texts,
            "token_logprobs": [finite(token.logprob or 0.0) for token in result.tokens],
            "top_logprobs": tops if self._params.top_logprobs else None,
            "text_offset": offsets,
        }


def openai_failure(fingerprint: str, custom_id: object, message: str) -> dict[str, Any]:
    """The line of output of a request that can't be answered."""
    error = {
        "message": message, "type": "invalid_request_error", "param": None, "code": None,
    }  # fmt: skip
    return _line(fingerprint, custom_id, 400, {"error": error})


def _line(fingerprint: str, custom_id: object, code: int, body: dict[str, Any]) -> dict[str, Any]:
    response = {"status_code": code, "request_id": f"req_{fingerprint}", "body": body}
    id = f"{ID_PREFIX}{fingerprint}"
    return {"id": id, "custom_id": custom_id, "response": response, "error": None}


def _settings(body: Mapping[str, Any], *, is_chat: bool) -> dict[str, Any]:
    """The settings of a body by our names; null is OpenAI's default, so none."""
    given = {name: value for name, value in body.items() if value is not None}
    found = {name: given[name] for name in SETTING_NAMES - _OWN_MEANING if name in given}
    most = given.get("max_completion_tokens", given.get("max_tokens"))
    if most is not None:
        found["max_tokens"] = most
    if is_chat:
        found |= {name: given[name] for name in ("logprobs", "top_logprobs") if name in given}
    elif "logprobs" in given:
        found |= {"logprobs": True, "top_logprobs": whole(given["logprobs"], "logprobs", least=0)}
    schema = _schema(given.get("response_format"))
    return found if schema is None else found | {"json_schema": schema}


def _schema(wanted: object) -> object:
    """The JSON Schema of a ``response_format``; None for free text."""
    kind = wanted.get("type") if isinstance(wanted, dict) else wanted
    if kind in (None, "text"):
        return None
    if kind == "json_object":
        return {"type": "object"}
    if kind == "json_schema" and isinstance(wanted, dict):
        inner = wanted.get("json_schema")
        schema = inner.get("schema") if isinstance(inner, dict) else None
        if isinstance(schema, dict):
            return schema
        raise ArgumentError("response_format must have an object json_schema.schema")
    raise ArgumentError(
        "the type of response_format must be text, json_object or json_schema, not " + shown(kind)
    )


def _sum(usages: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The usage of all prompts of a line."""
    counts = ("prompt_tokens", "completion_tokens", "total_tokens")
    found: dict[str, Any] = {name: sum(usage[name] for usage in usages) for name in counts}
    cached = sum(usage["prompt_tokens_details"]["cached_tokens"] for usage in usages)
    return found | {"prompt_tokens_details": {"cached_tokens": cached}}

"""What a line of a batch asks for, in our own form, and what its line of output says."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from ggmlkit.arguments import did_you_mean, shown
from ggmlkit.batch.conversations import ChatPrompt, Conversations
from ggmlkit.batch.lines import LONGEST_LINE, Line
from ggmlkit.batch.settings import SETTING_NAMES, params_of
from ggmlkit.engine.completion import Token
from ggmlkit.engine.model import Model
from ggmlkit.engine.result import GenerationResult, Usage
from ggmlkit.engine.sampling import SamplingParams
from ggmlkit.errors import ArgumentError, ArgumentTypeError

LEAST_LOGPROB = -9999.0  # JSON has no infinities
FINGERPRINT = "fingerprint"
_OTHER_KEYS = ("id", "prompt", "messages", "tools", "chat_template_kwargs")


@dataclass(frozen=True)
class Asking:
    """What jobs are made with.

    Attributes:
        model: that answers.
        settings: of the whole batch.
        conversations: makes prompts of messages.
    """

    model: Model
    settings: Mapping[str, Any]
    conversations: Conversations


class Job(ABC):
    """What a line asks for."""

    requests: Sequence[tuple[list[int], SamplingParams]]  # prompts as token ids, at least one

    @abstractmethod
    def answer(self, results: Sequence[GenerationResult]) -> dict[str, Any]:
        """The line of output; one result for each request."""


class PlainJob(Job):
    """A prompt, or messages, and settings by their names in the API.

    Args:
        line: as JSON.
        id: of the answer.
        fingerprint: of the line.
        asking: what it is asked with.

    Raises:
        ArgumentError: something in the line is unknown, missing, or of a wrong type.
        ModelError: there is no chat template, or it fails.
    """

    def __init__(
        self, line: Mapping[str, Any], id: object, fingerprint: str, asking: Asking
    ) -> None:
        self._head = {FINGERPRINT: fingerprint, "id": id}
        self._model = asking.model
        own = {name: value for name, value in line.items() if name not in _OTHER_KEYS}
        if wrong := next((name for name in own if name not in SETTING_NAMES), None):
            names = [*_OTHER_KEYS, *SETTING_NAMES]
            raise ArgumentTypeError(f"there is no setting {wrong!r}{did_you_mean(wrong, names)}")
        self._params = params_of(asking.settings, own)
        self._chat: ChatPrompt | None = None
        if ("prompt" in line) == ("messages" in line):
            raise ArgumentError("a line must have either prompt or messages")
        if "messages" in line:
            self._chat = asking.conversations.prompt(
                line["messages"], line.get("tools"), line.get("chat_template_kwargs")
            )
            self._params = asking.conversations.params(self._params)
            ids = self._chat.ids
        else:
            for name in ("tools", "chat_template_kwargs"):
                if line.get(name) is not None:
                    raise ArgumentError(f"{name} goes with messages, not with prompt")
            ids = asking.model.prompt_ids(line["prompt"])
        self.requests = [(ids, self._params)]

    def answer(self, results: Sequence[GenerationResult]) -> dict[str, Any]:
        """Text, why it ended, how many tokens; what else the line asked for."""
        (result,) = results
        found: dict[str, Any] = {"text": result.text}
        reason: str = result.finish_reason
        if self._chat is not None:
            parts = self._chat.parts(result, self._params)
            found["text"] = parts.content
            if parts.reasoning is not None:
                found["reasoning_content"] = parts.reasoning
            if parts.calls:
                found["tool_calls"] = parts.calls_as_json(f"call_{self._head[FINGERPRINT]}")
                reason = "tool_calls"
        found |= {"finish_reason": reason, "usage": usage_json([result.usage])}
        if self._params.logprobs or self._params.top_logprobs:
            found["tokens"] = [self._token(token) for token in result.tokens]
        return self._head | found

    def _token(self, token: Token) -> dict[str, Any]:
        found: dict[str, Any] = {"id": token.id, "text": token_text(self._model, token.id)}
        if token.logprob is not None:
            found["logprob"] = finite(token.logprob)
        if token.top_logprobs:
            found["top_logprobs"] = [
                {"id": id, "text": token_text(self._model, id), "logprob": finite(logprob)}
                for id, logprob in token.top_logprobs
            ]
        return found


def plain_failure(fingerprint: str, id: object, message: str) -> dict[str, Any]:
    """The line of output of a line that can't be answered."""
    return {FINGERPRINT: fingerprint, "id": id, "error": message}


def as_json(line: Line) -> dict[str, Any]:
    """A line's object.

    Raises:
        ArgumentError: it is none.
    """
    if line.is_too_long:
        raise ArgumentError(f"a line has at most {LONGEST_LINE} bytes")
    try:
        found = json.loads(line.data.decode(), parse_constant=_number, parse_float=_number)
    except ArgumentError:
        raise
    except UnicodeDecodeError as error:
        raise ArgumentError(f"the line is not UTF-8 at byte {error.start}") from None
    except RecursionError:
        raise ArgumentError("the line is JSON that is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise ArgumentError(f"the line is not JSON at byte {_byte(error)}: {error.msg}") from None
    except ValueError:  # a number of thousands of digits
        raise ArgumentError("the line has a number that is too long") from None
    if not isinstance(found, dict):
        raise ArgumentError(f"the line must be a JSON object, not {shown(found)}")
    return found


def _number(text: str) -> float:
    """The value of a number; the line of output may have to repeat it as JSON."""
    value = float(text)
    if not isfinite(value):
        raise ArgumentError(f"the line is not JSON: {text[:20]} is not a finite number")
    return value


def usage_json(usages: Sequence[Usage]) -> dict[str, Any]:
    """Tokens of results of one prompt, as OpenAI's API has them."""
    prompt = usages[0].prompt_tokens
    completion = sum(usage.completion_tokens for usage in usages)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": usages[0].cached_tokens},
    }


def token_text(model: Model, id: int) -> str:
    """A token's text; of one that is part of a character, U+FFFD."""
    return model.tokenizer.token_bytes(id, special=True).decode(errors="replace")


def finite(logprob: float) -> float:
    """A log-probability as JSON can say it."""
    return max(logprob, LEAST_LOGPROB)


def _byte(error: json.JSONDecodeError) -> int:
    """Where a line is not JSON: bytes before that place."""
    return len(error.doc[: error.pos].encode(errors="replace"))

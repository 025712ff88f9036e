"""What a line of a batch asks for, in our own form, and what its line of output says."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any

from ggmlkit.arguments import did_you_mean, shown
from ggmlkit.batch.lines import LONGEST_LINE, Line
from ggmlkit.batch.settings import SETTING_NAMES, params_of
from ggmlkit.chat.answer_reader import PLAIN, Reading
from ggmlkit.chat.answers import call_shape, finite, token_text, usage_shape
from ggmlkit.chat.json_text import why_not_json, with_unique_keys
from ggmlkit.chat.model import ChatModel
from ggmlkit.chat.prompts import ChatPrompt, Conversation, Tools, chat_prompt
from ggmlkit.chat.whole import Whole
from ggmlkit.engine.completion import Token
from ggmlkit.engine.result import Usage
from ggmlkit.engine.sampling import SamplingParams
from ggmlkit.engine.sampling_checks import strings
from ggmlkit.errors import ArgumentError, ArgumentTypeError
from ggmlkit.text.messages import listed_tools

FINGERPRINT = "fingerprint"
_OTHER_KEYS = ("id", "prompt", "messages", "tools", "chat_template_kwargs")


@dataclass(frozen=True)
class Asking:
    """What jobs are made with.

    Attributes:
        served: the model that answers.
        settings: of the whole batch.
        variables: for the chat template.
    """

    served: ChatModel
    settings: Mapping[str, Any]
    variables: Mapping[str, Any]


class Job(ABC):
    """What a line asks for.

    Attributes:
        requests: prompts as token ids, at least one, and how tokens are drawn after them.
        reading: how the answers are taken apart.
        uses_cache: whether prompts are taken from the cache, as far as they are there.
    """

    requests: Sequence[tuple[list[int], SamplingParams]]
    reading: Reading = PLAIN
    uses_cache: bool = True

    @abstractmethod
    def answer(self, wholes: Sequence[Whole], usages: Sequence[Usage]) -> dict[str, Any]:
        """The line of output; an answer, and its tokens, for each request."""


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
        self._model = asking.served.model
        own = {name: value for name, value in line.items() if name not in _OTHER_KEYS}
        if wrong := next((name for name in own if name not in SETTING_NAMES), None):
            names = [*_OTHER_KEYS, *SETTING_NAMES]
            raise ArgumentTypeError(f"there is no setting {wrong!r}{did_you_mean(wrong, names)}")
        self._params = params_of(asking.settings, own)
        self._is_chat = "messages" in line
        if ("prompt" in line) == self._is_chat:
            raise ArgumentError("a line must have either prompt or messages")
        if self._is_chat:
            prompt = _chat_prompt(line, asking, is_bound=self._params.wanted_grammar() is not None)
            stops = (*strings(self._params.stop, "stop"), *prompt.settings.get("stop", ()))
            self._params = replace(self._params, stop=stops)
            self.reading, ids = prompt.reading, prompt.ids
        else:
            for name in ("tools", "chat_template_kwargs"):
                if line.get(name) is not None:
                    raise ArgumentError(f"{name} goes with messages, not with prompt")
            ids = self._model.prompt_ids(line["prompt"])
        self.requests = [(ids, self._params)]

    def answer(self, wholes: Sequence[Whole], usages: Sequence[Usage]) -> dict[str, Any]:
        """Text, why it ended, how many tokens; what else the line asked for."""
        (whole,), (usage,) = wholes, usages
        found: dict[str, Any] = {"text": whole.content}
        if whole.reasoning:
            found["reasoning_content"] = whole.reasoning
        if whole.calls:
            id = f"call_{self._head[FINGERPRINT]}"
            found["tool_calls"] = [
                call_shape(call, f"{id}_{place}") for place, call in enumerate(whole.calls)
            ]
        found["finish_reason"] = whole.reason
        found["usage"] = usage_shape(usage, whole.reasoning_tokens)
        if self._params.logprobs or self._params.top_logprobs:
            found["tokens"] = [self._token(token) for token in whole.tokens]
        return self._head | found

    def _token(self, token: Token) -> dict[str, Any]:
        found: dict[str, Any] = {"id": token.id, "text": self._text(token.id)}
        if token.logprob is not None:
            found["logprob"] = finite(token.logprob)
        if token.top_logprobs:
            found["top_logprobs"] = [
                {"id": id, "text": self._text(id), "logprob": finite(logprob)}
                for id, logprob in token.top_logprobs
            ]
        return found

    def _text(self, id: int) -> str:
        return token_text(self._model.tokenizer, id)[0]


def _chat_prompt(line: Mapping[str, Any], asking: Asking, *, is_bound: bool) -> ChatPrompt:
    """The prompt of a line with messages."""
    variables = line.get("chat_template_kwargs") or {}
    if not isinstance(variables, dict):
        raise ArgumentTypeError(f"chat_template_kwargs must be an object, not {shown(variables)}")
    tools = Tools(listed_tools(line.get("tools")) or ())
    asked = Conversation(line["messages"], tools, None, {**asking.variables, **variables})
    return chat_prompt(asking.served, asked, is_bound=is_bound)


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
        found = json.loads(
            line.data.decode(),
            object_pairs_hook=with_unique_keys,
            parse_constant=_number,
            parse_float=_number,
        )
    except ArgumentError:
        raise
    except UnicodeDecodeError as error:
        raise ArgumentError(f"the line is not UTF-8 at byte {error.start}") from None
    except RecursionError:
        raise ArgumentError("the line is JSON that is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise ArgumentError(f"the line is not JSON at byte {_byte(error)}: {error.msg}") from None
    except ValueError as error:
        raise ArgumentError(f"the line is not JSON: {why_not_json(error)}") from None
    if not isinstance(found, dict):
        raise ArgumentError(f"the line must be a JSON object, not {shown(found)}")
    return found


def _number(text: str) -> float:
    """The value of a number; the line of output may have to repeat it as JSON."""
    value = float(text)
    if not isfinite(value):
        raise ArgumentError(f"the line is not JSON: {text[:20]} is not a finite number")
    return value


def _byte(error: json.JSONDecodeError) -> int:
    """Where a line is not JSON: bytes before that place."""
    return len(error.doc[: error.pos].encode(errors="replace"))

"""Lines in the form of OpenAI's batch API: each gets the answer that a server gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any, Final

from ggmlkit.arguments import shown
from ggmlkit.batch.envelope import openai_line
from ggmlkit.batch.jobs import Asking, Job
from ggmlkit.chat.answers import Answer, usage_shape
from ggmlkit.chat.chats import chat_choice, chat_job
from ggmlkit.chat.completions import Echo, completion_job, echoes_of, text_choice
from ggmlkit.chat.errors import bad_request
from ggmlkit.chat.jobs import Terms
from ggmlkit.chat.json_text import checked
from ggmlkit.chat.shapes import ChatBody, CompletionBody
from ggmlkit.chat.validation import validated
from ggmlkit.chat.whole import Whole
from ggmlkit.engine.result import Usage

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
_BODIES: Final[dict[object, type[ChatBody] | type[CompletionBody]]] = {
    CHAT: ChatBody,
    COMPLETIONS: CompletionBody,
}
_MOST_CHOICES: Final = 128


class OpenAIJob(Job):
    """A request to ``/v1/chat/completions`` or ``/v1/completions``.

    Args:
        line: with ``custom_id``, ``method``, ``url`` and ``body``.
        fingerprint: of the line.
        asking: what it is asked with.

    Raises:
        RequestError: something is missing, not supported, or of a wrong type.
    """

    def __init__(self, line: Mapping[str, Any], fingerprint: str, asking: Asking) -> None:
        self._custom_id, self._fingerprint = line.get("custom_id"), fingerprint
        self._served = served = asking.served
        self._url, self._body = line.get("url"), _body(line)
        terms = Terms(asking.settings, asking.variables)
        if isinstance(self._body, ChatBody):
            self._job = chat_job(terms, served, self._body)
        else:
            self._job = completion_job(terms, served, self._body)
        if self._job.count > _MOST_CHOICES:
            raise bad_request(f"a line may ask for {_MOST_CHOICES} choices at most", "n")
        for prompt in self._job.prompts:
            served.check_fits(prompt)
        self._echoes = [Echo()] * len(self._job.prompts)
        if isinstance(self._body, CompletionBody):
            self._echoes = echoes_of(served, self._job, self._body)
        self.reading, self.uses_cache = self._job.reading, self._job.uses_cache
        self.requests = [
            (ids, self._job.params_of(place))
            for ids in self._job.prompts
            for place in range(self._job.choices)
        ]

    def answer(self, wholes: Sequence[Whole], usages: Sequence[Usage]) -> dict[str, Any]:
        """The line of output of a request that was answered."""
        kind, prefix = "text_completion", "cmpl-"
        if isinstance(self._body, ChatBody):
            kind, prefix = "chat.completion", "chatcmpl-"
        name = self._body.model or self._served.name
        answer = Answer(name, kind, f"{prefix}{self._fingerprint}")
        choices = [self._choice(place, whole) for place, whole in enumerate(wholes)]
        firsts = usages[:: self._job.choices]  # a prompt counts once for all its choices
        usage = Usage(
            sum(each.prompt_tokens for each in firsts),
            sum(each.cached_tokens for each in firsts),
            sum(each.completion_tokens for each in usages),
        )
        shape = usage_shape(usage, sum(whole.reasoning_tokens for whole in wholes))
        body = answer.part(choices, usage=shape)
        return openai_line(self._fingerprint, self._custom_id, 200, body)

    def _choice(self, place: int, whole: Whole) -> dict[str, Any]:
        tokenizer, logprobs = self._served.tokenizer, self._job.params.logprobs
        if isinstance(self._body, ChatBody):
            numbers = count()
            return chat_choice(
                tokenizer,
                self._body,
                place,
                whole,
                logprobs=logprobs,
                new_id=lambda: f"call_{self._fingerprint}_{place}_{next(numbers)}",
            )
        echo = self._echoes[place // self._job.choices]
        return text_choice(
            tokenizer,
            place,
            echo.text + whole.content,
            whole.reason,
            [*echo.tokens, *whole.tokens],
            logprobs=logprobs,
        )


def _body(line: Mapping[str, Any]) -> ChatBody | CompletionBody:
    """The body of a line; raises RequestError if it is none of a request that can be answered."""
    custom_id, url, body = line.get("custom_id"), line.get("url"), line.get("body")
    if not isinstance(custom_id, str):
        raise bad_request(f"custom_id must be text, not {shown(custom_id)}", "custom_id")
    if line.get("method", "POST") != "POST":
        raise bad_request(f"method must be POST, not {shown(line['method'])}", "method")
    shape = _BODIES.get(url) if isinstance(url, str) else None
    if shape is None:
        raise bad_request(f"url must be {CHAT} or {COMPLETIONS}, not {shown(url)}", "url")
    if not isinstance(body, dict):
        raise bad_request(f"body must be an object, not {shown(body)}", "body")
    found = validated(shape, checked(body))
    if found.stream:
        raise bad_request("stream is not supported in a batch", "stream")
    return found

"""``/v1/completions``: what a body asks for, and how an answer is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ggmlkit.chat.answers import completion_logprobs
from ggmlkit.chat.errors import as_request_error, bad_request
from ggmlkit.chat.jobs import Job, Terms
from ggmlkit.chat.sampling_fields import sampling_params, settings_of
from ggmlkit.chat.scoring import scored
from ggmlkit.errors import GgmlkitError

if TYPE_CHECKING:
    from ggmlkit.chat.model import ChatModel
    from ggmlkit.chat.shapes import CompletionBody
    from ggmlkit.engine.completion import Token
    from ggmlkit.text.tokenizer import Tokenizer

_MAX_TOKENS: Final = 16  # OpenAI's, where a completion does not say
_MOST_PROMPTS: Final = 1024


@dataclass(frozen=True)
class Echo:
    """A prompt that is written before its continuation.

    Attributes:
        text: of the prompt.
        tokens: of it, with log-probabilities where they are asked for.
    """

    text: str = ""
    tokens: Sequence[Token] = ()


def prompts_of(body: CompletionBody) -> list[str | list[int]]:
    """Each prompt, a text or token ids.

    Raises:
        RequestError: the body asks for what there is not.
    """
    if body.suffix:
        raise bad_request("suffix is not supported: the model continues texts", "suffix")
    if (body.best_of or 1) > (body.n or 1):
        raise bad_request("best_of above n is not supported", "best_of")
    given = body.prompt
    if isinstance(given, str):
        return [given]
    if isinstance(given[0], int):
        return [given]
    if len(given) > _MOST_PROMPTS:
        raise bad_request(f"prompt may have {_MOST_PROMPTS} prompts", "prompt")
    return given  # type: ignore[return-value]


def completion_job(terms: Terms, served: ChatModel, body: CompletionBody) -> Job:
    """What is to be generated for a body; takes a moment.

    Raises:
        RequestError: a prompt is empty, or a field has no meaning.
    """
    own = settings_of(body, served.tokenizer)
    if _wants_logprobs(body):
        own |= {"logprobs": True, "top_logprobs": _top(body)}
    asked = body.max_tokens if body.max_tokens is not None else body.n_predict
    return Job(
        [prompt_ids(served, prompt) for prompt in prompts_of(body)],
        sampling_params(terms.settled(own, asked, _MAX_TOKENS)),
        body.n or 1,
        uses_cache=body.uses_cache,
        seconds=terms.seconds,
    )


def prompt_ids(served: ChatModel, prompt: str | list[int]) -> list[int]:
    """Token ids of a prompt; control tokens may stand in a text by their names.

    Raises:
        RequestError: it has no tokens, or one outside the vocabulary.
    """
    if isinstance(prompt, str):
        prompt = served.tokenizer.encode(prompt, parse_special=True)
    try:
        return served.model.prompt_ids(prompt)
    except GgmlkitError as error:
        raise as_request_error(error) from None


def _wants_logprobs(body: CompletionBody) -> bool:
    is_asked = body.logprobs is not None and body.logprobs is not False
    return is_asked or bool(body.n_probs)


def _top(body: CompletionBody) -> int:
    """Likeliest tokens that are told of each."""
    asked = body.n_probs if body.logprobs is None else body.logprobs
    return int(asked or 0)


def echoes_of(served: ChatModel, job: Job, body: CompletionBody) -> list[Echo]:
    """The prompts as they are written before their continuations; takes a moment.

    Raises:
        GgmlkitError: there is no room in the cache to compute their log-probabilities.
    """
    if not body.echo:
        return [Echo()] * len(job.prompts)
    return [
        Echo(
            served.tokenizer.decode(ids) if not isinstance(text, str) else text,
            scored(served, ids, job.params.top_logprobs) if job.params.logprobs else (),
        )
        for ids, text in zip(job.prompts, prompts_of(body), strict=True)
    ]


def text_choice(
    tokenizer: Tokenizer,
    place: int,
    text: str,
    reason: str | None,
    tokens: Sequence[Token],
    *,
    offset: int = 0,
    logprobs: bool,
) -> dict[str, Any]:
    """A continuation among those of a request, or a part of it.

    Args:
        tokens: of it.
        offset: of its text, where it is a part.
        logprobs: whether the log-probabilities of its tokens are told.
    """
    found = completion_logprobs(tokenizer, tokens, offset) if logprobs and tokens else None
    return {"text": text, "index": place, "logprobs": found, "finish_reason": reason}

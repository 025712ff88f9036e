"""Jobs of conversations: what the chats of all APIs make of their bodies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from ggmlkit.server.answer_reader import Reading
from ggmlkit.server.errors import bad_request
from ggmlkit.server.generating import Job
from ggmlkit.server.prompts import Conversation, Tools, chat_prompt
from ggmlkit.server.sampling_fields import sampling_params

if TYPE_CHECKING:
    from ggmlkit.server.loading import ServedModel
    from ggmlkit.server.serving import Serving

_GRAMMARS: Final = ("grammar", "json_schema", "regex")


def conversation_job(
    serving: Serving,
    served: ServedModel,
    asked: Conversation,
    own: Mapping[str, Any],
    *,
    most_tokens: int | None,
    client: str,
    choices: int = 1,
    splits_thoughts: bool = True,
) -> Job:
    """What is to be generated for a conversation; takes a moment.

    Args:
        own: the request's settings, as :func:`ggmlkit.server.sampling_fields.settings_of` has them.
        most_tokens: of an answer that the request wants; None for any number.
        client: who asks.
        choices: answers.
        splits_thoughts: whether thoughts are taken out of the content.

    Raises:
        RequestError: a setting has no meaning, or the template refuses the messages.
    """
    is_bound = any(own.get(name) is not None for name in _GRAMMARS)
    prompt = chat_prompt(served, asked, is_bound=is_bound)
    settings = {**own, **prompt.settings}
    settings["stop"] = (*own["stop"], *prompt.settings.get("stop", ()))
    settings["max_tokens"] = serving.most_tokens(most_tokens)
    for name in _GRAMMARS:
        if name in own and any(key in prompt.settings for key in _GRAMMARS):
            raise bad_request(
                f"{name} can't be given together with a schema of the answer or tool_choice", name
            )
    reading = prompt.reading
    if not splits_thoughts:
        reading = Reading(None, False, reading.form, reading.marks, reading.most_calls)
    return Job(
        [prompt.ids],
        sampling_params(settings),
        choices,
        reading,
        client,
        serving.settings.limits.seconds,
    )


def tools_of(
    described: Sequence[Mapping[str, Any]], choice: str = "auto", *, parallel: bool = True
) -> Tools:
    """The tools of a request.

    Args:
        described: each as ``{"type": "function", "function": {…}}``.
        choice: see :class:`ggmlkit.server.prompts.Tools`.

    Raises:
        RequestError: a call is wanted, but there is nothing to call.
    """
    if described:
        return Tools(described, choice, parallel)
    if choice not in ("none", "auto"):
        raise bad_request("tool_choice asks for a call, but there are no tools", "tool_choice")
    return Tools()

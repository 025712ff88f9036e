"""Jobs: prompts, how tokens are drawn after them, and how their answers are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from ggmlkit.chat.answer_reader import PLAIN, Reading
from ggmlkit.chat.errors import bad_request
from ggmlkit.chat.prompts import Conversation, Tools, chat_prompt
from ggmlkit.chat.sampling_fields import sampling_params
from ggmlkit.engine.sampling_checks import strings

if TYPE_CHECKING:
    from ggmlkit.chat.model import ChatModel
    from ggmlkit.engine.sampling import SamplingParams

_FORMS: Final = ("grammar", "json_schema", "regex")


@dataclass(frozen=True)
class Terms:
    """What holds for all requests of a server, or of a batch.

    Attributes:
        settings: of `SamplingParams`, by name, for requests that have none of their own.
        variables: for the chat template; a request's own come before them.
        most_tokens: of an answer; None for any number.
        seconds: that an answer may take; None for any time.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    variables: Mapping[str, Any] = field(default_factory=dict)
    most_tokens: int | None = None
    seconds: float | None = None

    def settled(
        self, own: Mapping[str, Any], asked: int | None, otherwise: int | None = None
    ) -> dict[str, Any]:
        """The settings of a request, with what it leaves open.

        Args:
            own: the settings that it has.
            asked: tokens of an answer; -1 for any number, None where the request does not say.
            otherwise: tokens of an answer where nobody says.
        """
        common = dict(self.settings)
        if has_form(own):  # it is the request's, not that of all
            common = _without_forms(common)
        most = common.get("max_tokens", otherwise) if asked is None else asked
        bounds = [each for each in (most, self.most_tokens) if each is not None and each != -1]
        return {**common, **own, "max_tokens": min(bounds, default=None)}


@dataclass(frozen=True)
class Job:
    """What is to be generated.

    Attributes:
        prompts: the token ids of each.
        params: how tokens are drawn.
        choices: answers to each prompt.
        reading: how answers are taken apart.
        uses_cache: whether prompts are taken from the cache, as far as they are there.
        seconds: after which the answers end, or fail where nothing was generated.
    """

    prompts: Sequence[list[int]]
    params: SamplingParams
    choices: int = 1
    reading: Reading = PLAIN
    uses_cache: bool = True
    seconds: float | None = None

    @property
    def count(self) -> int:
        """Answers to all prompts."""
        return len(self.prompts) * self.choices

    def params_of(self, choice: int) -> SamplingParams:
        """The params of an answer; those to one prompt draw with a seed each."""
        place, seed = choice % self.choices, self.params.seed
        if not place or seed is None:
            return self.params
        return replace(self.params, seed=seed + place)


def conversation_job(
    terms: Terms,
    served: ChatModel,
    asked: Conversation,
    own: Mapping[str, Any],
    *,
    most_tokens: int | None,
    choices: int = 1,
    splits_thoughts: bool = True,
    uses_cache: bool = True,
) -> Job:
    """What is to be generated for a conversation; takes a moment.

    Args:
        own: the request's settings, as :func:`ggmlkit.chat.sampling_fields.settings_of` has them.
        most_tokens: of an answer that the request wants; see :meth:`Terms.settled`.
        choices: answers.
        splits_thoughts: whether thoughts are taken out of the content.
        uses_cache: see :class:`Job`.

    Raises:
        RequestError: a setting has no meaning, or the template refuses the messages.
    """
    settings = terms.settled(own, most_tokens)
    prompt = chat_prompt(served, asked, is_bound=has_form(settings))
    if has_form(prompt.settings):
        if name := next((name for name in _FORMS if own.get(name) is not None), None):
            raise bad_request(
                f"{name} can't be given together with a schema of the answer or tool_choice", name
            )
        settings = _without_forms(settings)
    stops = strings(settings.get("stop", ()), "stop")
    settings |= {**prompt.settings, "stop": (*stops, *prompt.settings.get("stop", ()))}
    reading = prompt.reading if splits_thoughts else replace(prompt.reading, tags=None)
    params = sampling_params(settings)
    return Job([prompt.ids], params, choices, reading, uses_cache, terms.seconds)


def has_form(settings: Mapping[str, Any]) -> bool:
    """Whether some settings say what the text must be like."""
    return any(settings.get(name) is not None for name in _FORMS)


def _without_forms(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name not in _FORMS}


def tools_of(
    described: Sequence[Mapping[str, Any]], choice: str = "auto", *, parallel: bool = True
) -> Tools:
    """The tools of a request.

    Args:
        described: each as ``{"type": "function", "function": {…}}``.
        choice: see :class:`ggmlkit.chat.prompts.Tools`.

    Raises:
        RequestError: a call is wanted, but there is nothing to call.
    """
    if described:
        return Tools(described, choice, parallel)
    if choice not in ("none", "auto"):
        raise bad_request("tool_choice asks for a call, but there are no tools", "tool_choice")
    return Tools()

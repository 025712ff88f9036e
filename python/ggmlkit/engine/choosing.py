"""Which of several texts is the likeliest after a prompt."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import takewhile
from math import exp, fsum, inf
from typing import TYPE_CHECKING

from ggmlkit.engine.full_context import check_fits
from ggmlkit.engine.log_probabilities import log_probabilities
from ggmlkit.engine.sequence import Chunk
from ggmlkit.engine.text_lists import listed, text_ids
from ggmlkit.engine.token_ids import prompt_ids
from ggmlkit.errors import ArgumentError

if TYPE_CHECKING:
    from ggmlkit.engine.model import Model
    from ggmlkit.engine.sequence import Adapter, TokenIds


@dataclass(frozen=True)
class Choice:
    """The likeliest of some options, and how likely each is.

    Attributes:
        index: of the option whose ``logprobs`` is the highest; of equal ones the first.
        option: that option, as it was given.
        logprobs: of each option, the sum of the natural log-probabilities of its tokens.
        token_counts: of each option, how many tokens that are. ``logprobs`` are not divided by
            them, so a longer option tends to have a lower one.
    """

    index: int
    option: str | TokenIds = field(compare=False)
    logprobs: tuple[float, ...]
    token_counts: tuple[int, ...]

    @property
    def probabilities(self) -> tuple[float, ...]:
        """Of each option, if it must be one of them: they sum to 1."""
        highest = max(self.logprobs)
        if highest == -inf:
            return (1 / len(self.logprobs),) * len(self.logprobs)
        shares = [exp(logprob - highest) for logprob in self.logprobs]
        return tuple(share / fsum(shares) for share in shares)


def choice_of(
    model: Model,
    adapter: Adapter | None,
    prompt: str | TokenIds,
    options: Iterable[str | TokenIds],
) -> Choice:
    """The likeliest option.

    Raises:
        ArgumentError: there are no options, one has no tokens, or nothing is before them.
        ModelError: the prompt and an option do not fit the context, or logits are not finite.
    """
    given = listed(options, "options")
    shared, rests = branches(model, prompt, given)
    with model.sequence(shared, adapter) as sequence:
        (logits,) = model.step([Chunk(sequence, shared[len(sequence) :])])
        found = list(log_probabilities(model, sequence, logits, rests))
    sums = tuple(map(fsum, found))
    index = sums.index(max(sums))
    return Choice(index, given[index], sums, tuple(map(len, rests)))


def branches(
    model: Model, prompt: str | TokenIds, options: list[str | TokenIds]
) -> tuple[list[int], list[list[int]]]:
    """The tokens that come before all options, and for each what follows them.

    Text after text is tokenized as one: a token may lie across their border. So what comes before
    ends where the first of these tokens begins, for all options alike.
    """
    if not options:
        raise ArgumentError("options has none to choose from")
    before = text_ids(model, prompt, "prompt")
    wholes = [
        _whole(model, prompt, before, option, f"options[{place}]")
        for place, option in enumerate(options)
    ]
    alike = takewhile(lambda ids: len(set(ids)) == 1, zip(before, *wholes, strict=False))
    common = min(len(list(alike)), *(len(whole) - 1 for whole in wholes))  # each has a token
    if common < 1:
        raise ArgumentError(
            "the prompt has no token that stays the same before all options; give a longer one"
        )
    return before[:common], [whole[common:] for whole in wholes]


def _whole(
    model: Model, prompt: str | TokenIds, before: list[int], option: str | TokenIds, name: str
) -> list[int]:
    """Token ids of the prompt and an option."""
    if not isinstance(option, str):
        found = before + prompt_ids(option, model.config.vocab, lambda: model.tokenizer, name)
    elif not option:
        raise ArgumentError(f"{name} is empty")
    elif isinstance(prompt, str):
        found = model.tokenizer.encode(prompt + option)
    else:
        found = before + model.tokenizer.encode(option, add_special=False)
    check_fits(model, len(found), f"the prompt with {name}")
    return found

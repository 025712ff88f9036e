"""Tokens that users defined, found in text as they are before the rest is encoded."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from ggmlkit.model.carried_steps import CarriedSteps


class FixedTokens:
    """Tokens by the texts that they are found by."""

    def __init__(self, ids: Mapping[str, int]) -> None:
        self._ids = ids
        longest_first = sorted(ids, key=len, reverse=True)
        self._pattern = re.compile("(" + "|".join(map(re.escape, longest_first)) + ")")

    def encode(
        self, text: str, first: bool, between: Callable[[str, bool], list[int]]
    ) -> list[int]:
        """Ids of a text; ``between`` encodes what lies between these tokens.

        Its second argument says whether nothing comes before a part, as ``first`` does of the text.
        """
        if not self._ids:
            return between(text, first)
        ids: list[int] = []
        for number, part in enumerate(self._pattern.split(text)):
            if number % 2:
                ids.append(self._ids[part])
            elif part:
                ids += between(part, first and number == 0)
        return ids


def fixed_tokens(
    ids: Mapping[str, int], steps: CarriedSteps | None
) -> tuple[FixedTokens, FixedTokens]:
    """Those of these tokens that are found in a text as it is, and as its normalizer leaves it."""
    late = (
        {} if steps is None else {text: ids[own] for text, own in steps.late.items() if own in ids}
    )
    numbers = set(late.values())
    return FixedTokens({t: n for t, n in ids.items() if n not in numbers}), FixedTokens(late)

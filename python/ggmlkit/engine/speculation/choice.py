"""The kinds of speculation that callers name."""

from __future__ import annotations

from typing import Literal, TypeAlias

from ggmlkit.arguments import shown
from ggmlkit.engine.model import Model
from ggmlkit.engine.speculation.draft_model import DraftModel
from ggmlkit.engine.speculation.lookup import PromptLookup
from ggmlkit.engine.speculation.speculator import Speculator
from ggmlkit.errors import ArgumentTypeError

Speculation: TypeAlias = Literal["lookup"] | Model | None


def speculator_of(speculation: Speculation, model: Model) -> Speculator | None:
    """What guesses for a model; None for None.

    Raises:
        ArgumentError: it is no kind of speculation, or a draft model with another vocabulary.
    """
    if speculation is None:
        return None
    if isinstance(speculation, Model):
        return Speculator(DraftModel(speculation, model))
    if speculation == "lookup":
        return Speculator(PromptLookup())
    raise ArgumentTypeError(
        f"speculation must be 'lookup', a draft model (gk.Model) or None, not {shown(speculation)}"
    )

"""The settings of a line: those of the whole batch, and its own, which count more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from ggmlkit.arguments import shown
from ggmlkit.engine.sampling import GenerationSettings, SamplingParams, chosen_params
from ggmlkit.errors import ArgumentError, ArgumentTypeError

_FORMS = ("json_schema", "regex", "grammar")
SETTING_NAMES = frozenset(GenerationSettings.__annotations__) - {"logits_processor"}


def params_of(common: Mapping[str, Any], own: Mapping[str, Any]) -> SamplingParams:
    """The params of a line.

    Args:
        common: settings of the whole batch.
        own: settings of the line, as JSON has them.

    Raises:
        ArgumentError: there is no such setting, or it is out of range or of a wrong type.
    """
    if "logits_processor" in own:
        raise ArgumentTypeError("logits_processor is a function, which a line can't hold")
    settings = {**common, **own}
    if any(own.get(name) is not None for name in _FORMS):  # it is the line's, not the batch's
        settings |= {name: own.get(name) for name in _FORMS}
    if isinstance(own.get("logit_bias"), Mapping):
        settings["logit_bias"] = _by_id(own["logit_bias"])
    return chosen_params(None, cast(GenerationSettings, settings))


def _by_id(biases: Mapping[str, Any]) -> dict[int, Any]:
    """Biases by token ids, which are text in JSON."""
    for key in biases:
        if not (key.isascii() and key.isdigit() and len(key) < 20):
            raise ArgumentError(f"a key of logit_bias must be a token's id, not {shown(key)}")
    return {int(key): value for key, value in biases.items()}

"""The models of an evaluation, opened as it needs them."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from typing import Any

from ggmlkit.arguments import did_you_mean, mapping, path_text, shown
from ggmlkit.engine.model import Model
from ggmlkit.errors import ArgumentError, ArgumentTypeError
from ggmlkit.evaluation.logit_blocks import chunks_together, room_for_chunks
from ggmlkit.io.base import ModelFile

AnyModel = str | os.PathLike[str] | Model

# Settings of a model that decide how it is computed; what it has room for, the evaluation says.
SETTINGS = ("activation_bits", "batch_invariant", "kv_type", "mlock", "repack", "threads")


def checked_settings(
    settings: Mapping[str, Any], threads: int | None, allowed: Collection[str] = SETTINGS
) -> dict[str, Any]:
    """Settings for a model that is opened; ``threads`` where they do not say how many.

    Raises:
        ArgumentTypeError: they are no mapping, or have another one than those allowed.
    """
    for name in mapping(settings, "settings"):
        if name not in allowed:
            meant = did_you_mean(name, allowed) or f"; there are {', '.join(allowed)}"
            raise ArgumentTypeError(f"settings has {name!r}, which is none of a model{meant}")
    return {"threads": threads, **settings}


def check_model(model: object, name: str) -> None:
    """Raise ArgumentTypeError if it is no path of a model."""
    try:
        path_text(model, name)
    except ArgumentTypeError:
        raise ArgumentTypeError(
            f"{name} must be a path or a gk.Model, not {shown(model)}"
        ) from None


def opened_model(
    model: AnyModel | ModelFile,
    context: int,
    settings: Mapping[str, Any],
    opened: ExitStack,
    name: str = "model",
) -> Model:
    """A model whose sequences have room for ``context`` tokens; one of a path is closed later.

    Raises:
        ArgumentError: it is open with a shorter context, or no model.
    """
    if isinstance(model, Model):
        if model.context < context:
            raise ArgumentError(
                f"{name} is open with a context of {model.context} tokens: open it with at least "
                f"{context}"
            )
        return model
    if not isinstance(model, ModelFile):
        check_model(model, name)
    contexts = chunks_together(context)
    return opened.enter_context(
        Model(model, context=context, contexts=contexts, prefix_cache=False, **settings)
    )


def together(models: list[Model], context: int) -> int:
    """How many chunks are computed at a time, each by all models.

    Raises:
        ArgumentError: the cache of an open model has no room for one.
    """
    count = chunks_together(context)
    for model in models:
        room = room_for_chunks(model, context) // sum(each is model for each in models)
        if room < 1:
            raise ArgumentError(
                f"{model.file.path} is open with a cache of {model.cache_tokens} tokens, too few "
                f"for chunks of {context}: open it with contexts=2 or a larger cache_tokens"
            )
        count = min(count, room)
    return count

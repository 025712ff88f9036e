"""The decoder as the options that commands share set it."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from ggmlkit.cli.options import kv_type
from ggmlkit.cli.usage import UsageError

if TYPE_CHECKING:
    from ggmlkit.engine.llama import Llama
    from ggmlkit.engine.model import Model
    from ggmlkit.engine.sequence import Adapter
    from ggmlkit.engine.speculation.choice import Speculation
    from ggmlkit.errors import ModelError


def open_generator(args: argparse.Namespace) -> Llama:
    """The model that a command generates with, opened; raises as :class:`Llama` does.

    A context longer than the model was trained for is a warning.
    """
    llama = open_decoder(
        args,
        context=args.ctx_size,
        threads=args.threads,
        speculation=draft_model(args) or ("lookup" if args.lookup else None),
    )
    _warn_of_length(llama.model)
    return llama


def open_model(args: argparse.Namespace, parallel: int) -> tuple[Model, Adapter | None]:
    """The model that a command answers many prompts with, and its adapter; as `open_generator`.

    The cache has room for a quarter of the contexts, as few prompts need a whole one.
    """
    settings = model_settings(args)
    from ggmlkit.engine.model import Model

    try:
        model = Model(
            args.model,
            context=args.ctx_size,
            contexts=1 + -(-parallel // 4),
            threads=args.threads,
            **settings,
        )
        _warn_of_length(model)
        return model, model.load_adapter(args.lora) if args.lora else None
    except ValueError as error:  # such as an adapter's scale out of range
        raise UsageError(str(error)) from None


def _warn_of_length(model: Model) -> None:
    if model.context > model.config.context:
        print(
            f"ggmlkit: warning: the context of -c {model.context} is longer than the "
            f"{model.config.context} tokens that the model was trained for; text beyond them may "
            "make no sense",
            file=sys.stderr,
        )


def draft_model(args: argparse.Namespace) -> Model | None:
    """The model that guesses for the one that a command generates with, opened; None: none."""
    if args.draft is None:
        return None
    from ggmlkit.engine.model import Model

    return Model(args.draft, context=args.ctx_size, threads=args.threads)


def too_long(llama: Llama, what: str, tokens: int) -> ModelError:
    """The error about a prompt of more tokens than the context has."""
    from ggmlkit.errors import ModelError

    return ModelError(
        f"{what} of {tokens} tokens does not fit the context of {llama.context}; -c sets a longer "
        f"one (the model was trained for {llama.config.context})"
    )


def open_decoder(
    args: argparse.Namespace,
    *,
    context: int | None,
    threads: int | None,
    sequences: int = 1,
    speculation: Speculation = None,
) -> Llama:
    """The model that a command names, opened; raises as :class:`Llama` does."""
    settings = model_settings(args)
    from ggmlkit.engine.llama import Llama

    try:
        return Llama(
            args.model,
            context=context,
            sequences=sequences,
            threads=threads,
            lora=getattr(args, "lora", []),
            speculation=speculation,
            **settings,
        )
    except ValueError as error:  # such as an adapter's scale out of range
        raise UsageError(str(error)) from None


def model_settings(args: argparse.Namespace) -> dict[str, Any]:
    """How the model is computed. UsageError where options contradict each other."""
    return {
        "kv_type": kv_type(args),
        "activation_bits": int(args.activation_bits),
        "repack": args.repack,
        "mlock": getattr(args, "mlock", False),
    }

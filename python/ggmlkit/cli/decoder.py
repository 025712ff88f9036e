"""The decoder as the options that commands share set it."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from ggmlkit.cli.options import kv_type
from ggmlkit.cli.usage import UsageError

if TYPE_CHECKING:
    from ggmlkit.engine.llama import Llama
    from ggmlkit.engine.model import Model
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
    if llama.context > llama.config.context:
        print(
            f"ggmlkit: warning: the context of -c {llama.context} is longer than the "
            f"{llama.config.context} tokens that the model was trained for; text beyond them may "
            "make no sense",
            file=sys.stderr,
        )
    return llama


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
    cached = kv_type(args)
    from ggmlkit.engine.llama import Llama

    try:
        return Llama(
            args.model,
            context=context,
            sequences=sequences,
            threads=threads,
            kv_type=cached,
            activation_bits=int(args.activation_bits),
            repack=args.repack,
            mlock=getattr(args, "mlock", False),
            lora=getattr(args, "lora", []),
            speculation=speculation,
        )
    except ValueError as error:  # such as an adapter's scale out of range
        raise UsageError(str(error)) from None

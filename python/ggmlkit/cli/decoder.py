"""The decoder as the options that commands share set it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ggmlkit.cli.options import kv_type
from ggmlkit.cli.usage import UsageError

if TYPE_CHECKING:
    from ggmlkit.engine.llama import Llama


def open_decoder(
    args: argparse.Namespace,
    *,
    context: int | None,
    threads: int | None,
    sequences: int = 1,
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
        )
    except ValueError as error:  # such as an adapter's scale out of range
        raise UsageError(str(error)) from None

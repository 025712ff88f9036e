"""Text printed as it comes, and the speed of making it."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ggmlkit.engine.llama import Llama


def print_stream(pieces: Iterable[str]) -> str:
    """Print each piece at once and end the line; returns the text. Ctrl-C ends it early."""
    text = ""
    try:
        for piece in pieces:
            sys.stdout.write(piece)
            sys.stdout.flush()
            text += piece
    except KeyboardInterrupt:
        pass
    sys.stdout.write("\n")
    sys.stdout.flush()
    return text


def print_summary(llama: Llama) -> None:
    """Tokens, seconds and tokens per second of the last run, on stderr."""
    stats = llama.stats
    print(
        f"\nprompt: {stats.prompt_tokens} tokens in {stats.prompt_seconds:.3f} s,"
        f" {stats.prompt_tps:.1f} tokens/s"
        f"\ndecode: {stats.decode_tokens} tokens in {stats.decode_seconds:.3f} s,"
        f" {stats.decode_tps:.1f} tokens/s",
        file=sys.stderr,
    )

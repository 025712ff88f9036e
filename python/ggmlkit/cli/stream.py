"""Text printed as it comes, and the speed of making it."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ggmlkit.engine.llama import Llama


# What a terminal would obey, as it is commonly written: ^[ is the escape character.
_CONTROLS = {code: f"^{chr(code ^ 64)}" for code in (*range(32), 127) if chr(code) not in "\n\t"}
_CONTROLS |= {code: rf"\x{code:x}" for code in range(128, 160)}


def print_stream(pieces: Iterable[str]) -> bool:
    """Print each piece at once and end the line; whether Ctrl-C ended it early.

    On a terminal, control characters of a model's text are shown and not obeyed.

    Raises:
        KeyboardInterrupt: Ctrl-C came before the first piece.
    """
    is_interrupted = False
    has_begun = False
    is_terminal = sys.stdout.isatty()
    try:
        for piece in pieces:
            has_begun = True
            sys.stdout.write(piece.translate(_CONTROLS) if is_terminal else piece)
            sys.stdout.flush()
    except KeyboardInterrupt:
        if not has_begun:
            raise KeyboardInterrupt("interrupted while the prompt was processed") from None
        is_interrupted = True
    sys.stdout.write("\n")
    sys.stdout.flush()
    return is_interrupted


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

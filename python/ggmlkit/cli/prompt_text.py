"""The prompt: of an option, a file or standard input; escapes in it."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from ggmlkit.cli.usage import UsageError

STDIN = Path("-")
_ESCAPE = re.compile(r"\\(x[0-9A-Fa-f]{1,2}|.)", re.DOTALL)
_MEANT = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", '"': '"', "'": "'"}


def prompt_text(args: argparse.Namespace) -> str:
    """The text of ``-p`` or ``-f``; without both, what is piped into the program.

    Raises:
        UsageError: there is no prompt, or there are two.
        FormatError: the text is not UTF-8.
    """
    text = given_text(args)
    if text is None:
        if sys.stdin.isatty():
            raise UsageError("give the prompt with -p, -f or through standard input")
        text = _text_of_stdin()
        if not text:
            raise UsageError("standard input is empty: give the prompt there, or with -p or -f")
        return unescaped(text) if args.escape else text
    return text


def given_text(args: argparse.Namespace) -> str | None:
    """The text of ``-p`` or ``-f``, None without both; raises as :func:`prompt_text`."""
    if args.prompt is not None and args.file is not None:
        raise UsageError("give the prompt with either -p or -f")
    text = args.prompt
    if args.file is not None:
        text = _text_of_stdin() if args.file == STDIN else text_of(args.file)
    return unescaped(text) if text is not None and args.escape else text


def unescaped(text: str) -> str:
    r"""The text with ``\n``, ``\x41`` and the like replaced; unknown escapes stay."""
    return _ESCAPE.sub(_character, text)


def decoded(data: bytes, source: Path | str, start: int = 0, what: str = "a prompt") -> str:
    """UTF-8 that is at byte ``start`` of the source, as text; ``what`` is what it is for.

    Raises:
        FormatError: it is not UTF-8.
    """
    from ggmlkit.errors import FormatError

    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise FormatError(source, start + error.start, f"{what} must be UTF-8 text") from None


def text_of(file: Path) -> str:
    """The text of a file, without a line break at its end; FormatError if it is not UTF-8."""
    return _without_last_break(decoded(file.read_bytes(), file))


def evaluated_text(file: Path) -> str:
    """The text of a file, or of standard input, that a model is evaluated on.

    It comes without one line feed at its end, as in llama-perplexity.

    Raises:
        FormatError: it is not UTF-8.
    """
    if file == STDIN:
        binary = getattr(sys.stdin, "buffer", None)
        data = sys.stdin.read().encode() if binary is None else binary.read()
        text = decoded(data, "standard input", what="the text")
    else:
        text = decoded(file.read_bytes(), file, what="the text")
    return text.removesuffix("\n")


def _text_of_stdin() -> str:
    binary = getattr(sys.stdin, "buffer", None)
    text = sys.stdin.read() if binary is None else decoded(binary.read(), "standard input")
    return _without_last_break(text)


def _without_last_break(text: str) -> str:
    """Without the line break that editors and ``echo`` put at the end of a text."""
    return text.removesuffix("\n").removesuffix("\r") if text.endswith("\n") else text


def _character(escape: re.Match[str]) -> str:
    code = escape[1]
    if code[0] == "x" and len(code) > 1:
        return chr(int(code[1:], 16))
    return _MEANT.get(code, escape[0])

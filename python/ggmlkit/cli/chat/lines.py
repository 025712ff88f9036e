"""Messages as plain lines: of a pipe, or of a terminal that can do no more."""

from __future__ import annotations

import sys

from ggmlkit.cli.prompt_text import decoded

CONTINUATION = "… "
_GOES_ON = "\\"


def prompt_with_gauge(used: int, context: int) -> str:
    """What invites a message: how much of the context the conversation takes."""
    return f"[{100 * used // context} %] > "


class Lines:
    """Reads messages from standard input, one a line; a backslash at the end joins the next.

    Args:
        is_prompting: somebody types the lines, and sees how much of the context is used.
    """

    def __init__(self, is_prompting: bool) -> None:
        self._is_prompting = is_prompting
        self._read = 0

    def message(self, used: int, context: int) -> str | None:
        """The next message; None at the end of the input.

        Raises:
            FormatError: the input is not UTF-8.
            KeyboardInterrupt: Ctrl-C; the line is forgotten.
        """
        prompt = prompt_with_gauge(used, context)
        lines: list[str] = []
        while (line := self._line(prompt)) is not None:
            lines.append(line.removesuffix(_GOES_ON))
            if not line.endswith(_GOES_ON):
                break
            prompt = CONTINUATION
        return "\n".join(lines) if lines else None

    def _line(self, prompt: str) -> str | None:
        if self._is_prompting:
            print(prompt, end="", file=sys.stderr, flush=True)
        binary = getattr(sys.stdin, "buffer", None)
        if binary is None:
            line = sys.stdin.readline()
        else:
            data = binary.readline()
            start, self._read = self._read, self._read + len(data)
            line = decoded(data, "standard input", start)
        return line.rstrip("\r\n") if line else None

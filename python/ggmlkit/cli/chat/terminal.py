"""Messages typed in a terminal: editing, history, pasted lines, a gauge of the context."""

from __future__ import annotations

import os
import sys

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import WordCompleter
from prompt_toolkit.enums import DEFAULT_BUFFER
from prompt_toolkit.filters import has_focus
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.output.vt100 import Vt100_Output
from prompt_toolkit.shortcuts import CompleteStyle

from ggmlkit.cli.chat.history import KeptHistory, history_file
from ggmlkit.cli.chat.lines import CONTINUATION, prompt_with_gauge
from ggmlkit.cli.chat.slash_commands import COMMANDS

_GOES_ON = "\\"


class Terminal:
    """Reads messages that are typed; what it shows is on stderr, as stdout has the answers."""

    def __init__(self) -> None:
        # Without asking for the cursor's position: some terminals don't answer, and others answer
        # when the program no longer listens.
        output = Vt100_Output.from_pty(sys.stderr, term=os.environ.get("TERM"))
        output.enable_cpr = False
        self._session: PromptSession[str] = PromptSession(
            multiline=True,
            prompt_continuation=CONTINUATION,
            key_bindings=_keys(),
            history=KeptHistory(history_file()),
            completer=WordCompleter(list(COMMANDS), sentence=True),
            complete_while_typing=False,
            complete_style=CompleteStyle.READLINE_LIKE,
            reserve_space_for_menu=0,
            output=output,
        )

    def message(self, used: int, context: int) -> str | None:
        """The next message; None where the user ends the conversation with Ctrl-D."""
        try:
            typed = self._session.prompt(prompt_with_gauge(used, context))
        except EOFError:
            return None
        return typed.encode(errors="replace").decode()  # bytes that are no text: question marks


def _keys() -> KeyBindings:
    keys = KeyBindings()
    in_message = has_focus(DEFAULT_BUFFER)  # not in the search of the history

    @keys.add("enter", filter=in_message)
    def send(event: KeyPressEvent) -> None:
        """Send the message, or go on in the next line behind a backslash."""
        buffer = event.current_buffer
        if buffer.document.is_cursor_at_the_end and buffer.text.endswith(_GOES_ON):
            buffer.delete_before_cursor()
            buffer.insert_text("\n")
        else:
            buffer.validate_and_handle()

    @keys.add("escape", "enter", filter=in_message)
    def go_on(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    @keys.add("c-c", filter=in_message)
    def clear(event: KeyPressEvent) -> None:
        """Clear what was typed, which stays in the history."""
        event.current_buffer.append_to_history()
        event.current_buffer.reset()

    return keys

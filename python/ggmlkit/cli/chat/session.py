"""The turns of a conversation: a message or a command, then an answer."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator, Iterator
from contextlib import closing, nullcontext
from typing import Protocol

from ggmlkit.cli.app import say_error
from ggmlkit.cli.chat import slash_commands
from ggmlkit.cli.chat.conversation import Conversation, Piece
from ggmlkit.cli.chat.interrupts import Interrupts
from ggmlkit.cli.chat.lines import Lines
from ggmlkit.cli.chat.thoughts import without_thoughts
from ggmlkit.cli.stream import print_stream
from ggmlkit.errors import GgmlkitError

_DUMB = ("", "dumb", "unknown")


class Reader(Protocol):
    """Where messages come from."""

    def message(self, used: int, context: int) -> str | None:
        """The next message, None at the end; the gauge shows how much of the context is used."""
        ...


def is_interactive() -> bool:
    """Whether somebody types the messages."""
    return sys.stdin.isatty()


def reader(is_simple: bool) -> Reader:
    """What reads the messages: an editor in a terminal, lines elsewhere or if asked for."""
    is_dumb = os.environ.get("TERM", "") in _DUMB
    if is_simple or is_dumb or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return Lines(is_prompting=is_interactive())
    from ggmlkit.cli.chat.terminal import Terminal  # deferred: prompt_toolkit takes a while

    return Terminal()


def say(text: str) -> None:
    """Tell the user something that is not the model's."""
    print(text, file=sys.stderr, flush=True)


class Session:
    """A conversation and where its messages come from.

    Without somebody who types, Ctrl-C and errors end it. With, neither does.
    """

    def __init__(self, conversation: Conversation, source: Reader) -> None:
        self._conversation = conversation
        self._source = source
        self._is_interactive = is_interactive()
        self._interrupts = Interrupts()

    def run(self, first: str | None, single_turn: bool) -> None:
        """Answer the ``first`` message if there is one, then others until the user ends it."""
        with self._interrupts.handled() if self._is_interactive else nullcontext():
            if first is not None:
                if self._is_interactive:
                    say(f"> {first}")
                self._guarded_answer(first)
                if single_turn:
                    return
            while (text := self._message()) is not None:
                is_answered = self._take(text)
                if is_answered is None or (is_answered and single_turn):
                    return

    def _message(self) -> str | None:
        """What the user writes next; empty where it was cleared."""
        conversation = self._conversation
        used = conversation.used() if self._is_interactive else 0
        try:
            with self._interrupts.allowed():
                return self._source.message(used, conversation.context)
        except KeyboardInterrupt:
            if not self._is_interactive:
                raise
            say("")
            return ""
        except GgmlkitError as error:
            if not self._is_interactive:
                raise
            say_error(error)
            return ""

    def _take(self, text: str) -> bool | None:
        """Answer a message or run a command; whether there was an answer, None at ``/quit``."""
        command = slash_commands.split(text)
        if command is None:
            if not text.strip():
                return False
            self._guarded_answer(text.strip())
            return True
        if command[0] == "/quit":
            return None
        try:
            again = slash_commands.run(self._conversation, *command, say)
        except (GgmlkitError, OSError) as error:
            if not self._is_interactive:
                raise
            say_error(error)
            return False
        if again is None:
            return False
        self._guarded_answer(again)
        return True

    def _shown(self, pieces: Iterator[Piece]) -> Generator[str, None, None]:
        """What of the pieces of an answer the user sees."""
        if self._conversation.shows_thoughts:
            return (piece.text for piece in pieces)
        return without_thoughts(pieces)

    def _guarded_answer(self, text: str) -> None:
        """Answer; an error or Ctrl-C doesn't end a conversation that somebody types."""
        try:
            with (
                closing(self._conversation.answer(text)) as pieces,
                closing(self._shown(pieces)) as shown,
                self._interrupts.allowed(),
            ):
                is_interrupted = print_stream(shown)
        except KeyboardInterrupt:
            if not self._is_interactive:
                raise
            is_interrupted = True
            say("")
        except GgmlkitError as error:
            if not self._is_interactive:
                raise
            say_error(error)
            return
        finally:
            self._conversation.tell_notes()
        if is_interrupted:
            if not self._is_interactive:
                raise KeyboardInterrupt
            say("(stopped; /retry answers again)")

"""Commands within a conversation: words that begin with a slash."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ggmlkit.cli.chat import files
from ggmlkit.cli.chat.conversation import Conversation
from ggmlkit.cli.usage import did_you_mean

COMMANDS = {
    "/help": "show this",
    "/reset": "start again, with the same system prompt",
    "/system": 'show the system prompt; /system TEXT sets it, /system "" removes it',
    "/retry": "answer the last message again",
    "/undo": "forget the last message and its answer",
    "/think": "show what the model thinks, or hide it again",
    "/save": "/save FILE writes the conversation to a file",
    "/load": "/load FILE goes on with a saved conversation",
    "/quit": "end; so does Ctrl-D",
}
_FORM = re.compile(r"(/[^\W\d_][\w-]*|/\?)(?:\s+(.*))?", re.DOTALL)
_SHOWN = 60  # characters of a message
_NO_TEXT = '""'
# What other programs call them.
_ALSO = {"/?": "/help", "/clear": "/reset", "/regen": "/retry", "/exit": "/quit", "/bye": "/quit"}


def split(text: str) -> tuple[str, str] | None:
    """A command and its argument; None for a message.

    A path or a comment, such as ``/usr/bin`` or ``/* … */``, is no command; neither is what begins
    with a space.
    """
    match = _FORM.fullmatch(text.rstrip())
    if match is None:
        return None
    return _ALSO.get(match[1], match[1]), (match[2] or "").strip()


def run(
    conversation: Conversation, name: str, argument: str, say: Callable[[str], None]
) -> str | None:
    """Carry out a command other than ``/quit``; returns a message to answer, if it leads to one.

    Raises:
        GgmlkitError: a file is not a conversation.
        OSError: a file can't be read or written.
    """
    if name == "/help":
        _help(say)
    elif name == "/reset":
        conversation.reset()
        say("a new conversation begins")
    elif name == "/system":
        _set_system(conversation, argument, say)
    elif name == "/retry":
        text = conversation.take_back()
        if text is None:
            say("there is no message to answer again")
        return text
    elif name == "/undo":
        text = conversation.undo()
        say("there is no message to forget" if text is None else f"forgotten: {_beginning(text)}")
    elif name == "/think":
        _toggle_thoughts(conversation, say)
    elif name in ("/save", "/load"):
        _transfer(conversation, name, argument, say)
    else:
        meant = did_you_mean(name, COMMANDS) or "; /help lists them"
        say(f"there is no command {name}{meant} (a message may begin with a space)")
    return None


def _beginning(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}…"


def _help(say: Callable[[str], None]) -> None:
    for name, purpose in COMMANDS.items():
        say(f"{name:<8} {purpose}")
    say("Ctrl-C stops an answer or clears the line. A line that ends with \\ goes on in the next.")


def _toggle_thoughts(conversation: Conversation, say: Callable[[str], None]) -> None:
    conversation.shows_thoughts = not conversation.shows_thoughts
    said = "shown" if conversation.shows_thoughts else "hidden"
    none = "" if conversation.has_thoughts else " (the chat template has none)"
    say(f"thoughts are {said}{none}")


def _set_system(conversation: Conversation, text: str, say: Callable[[str], None]) -> None:
    if text:
        conversation.system = None if text == _NO_TEXT else text
    system = conversation.system
    say("there is no system prompt" if system is None else f"system prompt: {system}")


def _transfer(
    conversation: Conversation, name: str, argument: str, say: Callable[[str], None]
) -> None:
    if not argument or "\0" in argument:
        say(f"{name} needs the name of a file")
        return
    path = Path(argument)
    with suppress(RuntimeError):  # of a user who doesn't exist
        path = path.expanduser()
    if name == "/save":
        files.save(path, conversation.system, conversation.messages)
        say(f"saved {len(conversation.messages)} messages in {path}")
    else:
        conversation.resume(*files.load(path))
        say(f"loaded {len(conversation.messages)} messages")

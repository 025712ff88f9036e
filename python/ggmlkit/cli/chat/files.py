"""Conversations in files: JSON with OpenAI's list of messages."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

from ggmlkit.cli.chat.conversation import Message
from ggmlkit.errors import FormatError
from ggmlkit.io.writing.atomic import replacing

_ROLES = ("system", "user", "assistant")
_LARGEST = 64 << 20  # bytes


def save(path: Path, system: str | None, messages: list[Message]) -> None:
    """Write a conversation; only a file with another conversation is replaced.

    Raises:
        FormatError: the file exists, and is no conversation.
        OSError: it can't be written.
    """
    if path.exists():
        try:
            load(path)
        except FormatError:
            raise FormatError(
                path, None, "the file exists and is not a conversation; name another"
            ) from None
    first = [] if system is None else [{"role": "system", "content": system}]
    text = json.dumps({"messages": [*first, *messages]}, ensure_ascii=False, indent=1)
    with replacing(path) as file:
        file.write(text.encode(errors="replace") + b"\n")


def load(path: Path) -> tuple[str | None, list[Message]]:
    """The system prompt, None without one, and the messages of a file.

    Raises:
        FormatError: it is not a conversation.
        OSError: it can't be read.
    """
    data = _bytes_of(path)
    try:
        found = json.loads(data[:_LARGEST].decode())
    except (ValueError, RecursionError):
        raise FormatError(path, None, "a saved conversation must be JSON") from None
    listed = found.get("messages") if isinstance(found, dict) else found
    if not isinstance(listed, list):
        raise FormatError(path, None, "a saved conversation must have a list of messages")
    messages = [_message(path, each) for each in listed]
    system = None
    if messages and messages[0]["role"] == "system":
        system = messages.pop(0)["content"]
    roles = [message["role"] for message in messages]
    if roles != ["user", "assistant"] * (len(roles) // 2):
        raise FormatError(path, None, "after the system prompt, user and assistant must take turns")
    return system, messages


def _bytes_of(path: Path) -> bytes:
    """The beginning of a file. A pipe, on which to wait could last for ever, is none."""
    with open(path, "rb", opener=_without_waiting) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise FormatError(path, None, "a saved conversation must be a file")
        try:
            return file.read(_LARGEST + 1)
        except OSError as error:
            error.filename = os.fspath(path)
            raise


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)


def _message(path: Path, found: Any) -> Message:
    role = found.get("role") if isinstance(found, dict) else None
    content = found.get("content") if isinstance(found, dict) else None
    if role not in _ROLES or not isinstance(content, str):
        raise FormatError(path, None, "each message must have a role and a text as its content")
    return {"role": role, "content": content}

"""The messages between the library and the process that renders chat templates.

A message is a header and as many bytes as it says. Requests use Python's ``marshal``, since they
come from the library. Answers are plain text, because the library does not trust the process.
"""

from __future__ import annotations

import signal
import struct
from typing import NamedTuple

READY, TEXT, FAILURE = b"r", b"t", b"f"
REQUEST = struct.Struct("<Q")  # bytes that follow
ANSWER = struct.Struct("<c?Q")  # kind, whether the process ends after it, bytes that follow
OUT_OF_MEMORY = 77  # the process's exit status
OVERTIME = signal.SIGPROF  # the signal that ends it


class Bounds(NamedTuple):
    """The limits of a request.

    Attributes:
        seconds: processor time.
        megabytes: memory (2²⁰ bytes each), including that of Python itself.
    """

    seconds: float = 1.0
    megabytes: int = 200


def encoded(text: str) -> bytes:
    """The text in UTF-8, including lone surrogates."""
    return text.encode("utf-8", "surrogatepass")


def decoded(text: bytes | bytearray) -> str:
    """The text of :func:`encoded` bytes; invalid bytes become U+FFFD."""
    try:
        return text.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return text.decode("utf-8", "replace")

"""The messages between the library and the process that renders chat templates.

A message is a header and that many bytes. Requests are in Python's own ``marshal``, since they come
from the library; answers are text, and the library trusts nothing else that comes back.
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
    """What a request may take.

    Attributes:
        seconds: of processor time.
        megabytes: of memory (2²⁰ bytes), that of Python itself included.
    """

    seconds: float = 1.0
    megabytes: int = 200


def encoded(text: str) -> bytes:
    """UTF-8, of lone surrogates too."""
    return text.encode("utf-8", "surrogatepass")


def decoded(text: bytes | bytearray) -> str:
    """The text of :func:`encoded` bytes; of others as much as can be read."""
    try:
        return text.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return text.decode("utf-8", "replace")

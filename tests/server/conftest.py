"""A server that many tests use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from running_server import RunningServer, running, settings_for


@pytest.fixture(scope="module")
def server(chat_gguf: Path) -> Iterator[RunningServer]:
    """A server of the tiny model with a chat template."""
    with running(settings_for(chat_gguf)) as found:
        yield found

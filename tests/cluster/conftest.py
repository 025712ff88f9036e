"""One cluster for all tests that `make ray` runs, as it takes a while to begin."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from chat_model import chat_model
from small_ray import small_cluster


@pytest.fixture(scope="session")
def cluster() -> Iterator[str]:
    """Its address."""
    with small_cluster() as address:
        yield address


@pytest.fixture(scope="session")
def chat_gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model with a chat template."""
    return chat_model(tmp_path_factory.mktemp("chat"))

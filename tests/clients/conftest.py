"""Servers for client libraries. `make clients` runs these tests in an environment of those; the
suite, in which the libraries are not, leaves them out.

GGMLKIT_PYTHON    the python that has ggmlkit
GGMLKIT_MODEL     a real model file
GGMLKIT_CLIENTS   folder of the environments that clients have of their own
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

PYTHON = os.environ.get("GGMLKIT_PYTHON", "")
TESTS = Path(__file__).parents[1]
collect_ignore_glob = [] if PYTHON else ["test_*.py"]
KEY = "secret"
_MODEL = "import sys; from pathlib import Path; from chat_model import chat_model; "
_MODEL += "print(chat_model(Path(sys.argv[1])))"


@contextmanager
def served(*options: str) -> Iterator[str]:
    """The address of a server with some options of `ggmlkit serve`."""
    command = [PYTHON, "-m", "ggmlkit", "serve", "--port", "0", *options]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout is not None
        found = re.fullmatch(r"serving on (http://.*:\d+)\n", process.stdout.readline())
        assert found is not None
        assert process.stdout.readline().startswith("loaded ")
        yield found[1]
    finally:
        process.terminate()
        process.communicate()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server of the model "tiny", whose key is KEY."""
    environment: dict[str, Any] = {**os.environ, "PYTHONPATH": str(TESTS)}
    made = subprocess.run(
        [PYTHON, "-c", _MODEL, str(tmp_path_factory.mktemp("model"))],
        env=environment, check=True, capture_output=True, text=True,
    )  # fmt: skip
    model = f"tiny={made.stdout.strip()}"
    with served("-m", model, "-c", "512", "-t", "1", "--api-key", KEY) as address:
        yield address


@pytest.fixture(scope="session")
def model_file() -> Path:
    """A real model."""
    return Path(os.environ["GGMLKIT_MODEL"])


@pytest.fixture(scope="session")
def address(model_file: Path) -> Iterator[str]:
    """The address of a server of a real model, "smollm", whose key is KEY."""
    with served("-m", f"smollm={model_file}", "-c", "2048", "--api-key", KEY) as found:
        yield found


@pytest.fixture(scope="session")
def url(address: str) -> str:
    """The same, as OpenAI's clients want it."""
    return f"{address}/v1"


@pytest.fixture(scope="session")
def environments() -> Path:
    """The folder of the environments that clients have of their own."""
    return Path(os.environ["GGMLKIT_CLIENTS"])

"""A server for client libraries. `make clients` runs these tests in an environment of those; the
suite, in which the libraries are not, leaves them out.

GGMLKIT_PYTHON    the python that has ggmlkit
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PYTHON = os.environ.get("GGMLKIT_PYTHON")
TESTS = Path(__file__).parents[1]
collect_ignore_glob = [] if PYTHON else ["test_*.py"]
KEY = "secret"
_MODEL = "import sys; from pathlib import Path; from chat_model import chat_model; "
_MODEL += "print(chat_model(Path(sys.argv[1])))"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server of the model "tiny", whose key is KEY."""
    assert PYTHON is not None
    environment: dict[str, Any] = {**os.environ, "PYTHONPATH": str(TESTS)}
    made = subprocess.run(
        [PYTHON, "-c", _MODEL, str(tmp_path_factory.mktemp("model"))],
        env=environment, check=True, capture_output=True, text=True,
    )  # fmt: skip
    command = [PYTHON, "-m", "ggmlkit", "serve", "-m", f"tiny={made.stdout.strip()}"]
    command += ["--port", "0", "-c", "512", "-t", "1", "--api-key", KEY]
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

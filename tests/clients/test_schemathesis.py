"""`schemathesis` against the served OpenAPI document, with all of its checks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from asked import KEY

# Thousands of requests, so the tiny model answers them.
# A schema can't say what holds between fields, or which ids a vocabulary has, so 400 and 404 are
# answers to valid data, too. 501 is what llama-server answers, too, where it can't do a thing.
SETTINGS = """
[checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx", 501]
[checks.positive_data_acceptance]
expected-statuses = ["2xx", 400, 404, 501]
"""


@pytest.mark.parametrize(
    "paths", ["^/v1/(chat|completions)", "^/v1/(messages|responses)", "^/(?!v1/)", "^/v1/[^cmr]"]
)
def test_no_check_fails(server: str, tmp_path: Path, paths: str) -> None:
    (tmp_path / "schemathesis.toml").write_text(SETTINGS)
    command = [
        str(Path(sys.executable).with_name("schemathesis")),
        "--config-file", str(tmp_path / "schemathesis.toml"),
        "run", f"{server}/openapi.json", "--checks", "all", "--max-examples", "5",
        "--include-path-regex", paths, "--continue-on-failure", "--seed", "1",
        "--request-timeout", "60", "--header", f"Authorization: Bearer {KEY}",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-20_000:]

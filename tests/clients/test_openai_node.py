"""The npm package `openai`, under Node: each test of openai.mjs."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from asked import KEY

SCRIPT = Path(__file__).with_name("openai.mjs")


def test_all_of_the_script(url: str, environments: Path) -> None:
    command = ["node", str(SCRIPT), str(environments / "node"), url, KEY]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"^. (?:pass) (\d+)$", done.stdout, re.MULTILINE)
    assert passed is not None, done.stdout
    assert int(passed[1]) == SCRIPT.read_text().count('\ntest("')

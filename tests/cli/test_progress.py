"""Progress on a terminal and elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from paths import GOLDEN

F16 = GOLDEN / "gguf-v1-f16.bin"


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_a_terminal_gets_a_bar(tmp_path: Path) -> None:
    ours, theirs = os.openpty()
    command = [sys.executable, "-m", "ggmlkit", "quantize", str(F16), str(tmp_path / "o.gguf")]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    done = subprocess.run(
        [*command, "q4_0"],
        stdout=subprocess.PIPE,
        stderr=theirs,
        env=environment,
        check=False,
        timeout=120,
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            block = os.read(ours, 4096)
        except OSError:  # Linux ends a pseudo-terminal with an error
            break
        if not block:
            break
        shown += block
    os.close(ours)
    assert done.returncode == 0
    assert done.stdout == b""
    assert b"\x1b[" in shown
    assert b"quantize to q4_0" in shown

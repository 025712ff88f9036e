"""Batches without the packages of the extra server."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_PROGRAM = """\
import io, json, sys
sys.modules["pydantic"] = None
from ggmlkit.batch.batch import Batch
from ggmlkit.batch.lines import read_lines
from ggmlkit.engine.model import Model
chat = {"messages": [{"role": "user", "content": "Hi"}]}
def answers(line):
    return list(batch.answers(read_lines(io.BytesIO(json.dumps(line).encode()))))
with Batch(Model(sys.argv[1], context=64), {"max_tokens": 2}) as batch:
    assert not answers(chat)[0].is_failure
    try:
        answers({"custom_id": "a", "url": "/v1/chat/completions", "body": chat})
    except ImportError as error:
        print(error)
"""


def test_lines_of_openai_alone_need_the_extra(chat_gguf: Path) -> None:
    command = [sys.executable, "-c", _PROGRAM, str(chat_gguf)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "need the extra server, the package pydantic" in done.stdout

"""The `llm` program, with an entry of an OpenAI-compatible model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from asked import KEY, MODEL, Mood


@pytest.fixture
def folder(tmp_path: Path, url: str) -> Path:
    """The program's folder, with the entry."""
    entry = {
        "model_id": "local", "model_name": MODEL, "api_base": url, "api_key_name": "local",
        "supports_schema": True, "supports_tools": True,
    }  # fmt: skip
    (tmp_path / "extra-openai-models.yaml").write_text(json.dumps([entry]))  # YAML as well
    (tmp_path / "keys.json").write_text(json.dumps({"local": KEY}))
    return tmp_path


def llm(folder: Path, *words: str) -> str:
    """What the program prints."""
    environment = {**os.environ, "LLM_USER_PATH": str(folder)}
    command = [sys.executable, "-m", "llm", *words]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=60,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_whole_and_streamed_answers_are_the_same(folder: Path) -> None:
    asked = ["-m", "local", "Say hi.", "-o", "temperature", "0", "-o", "max_tokens", "12"]
    assert "local" in llm(folder, "models")
    assert llm(folder, *asked) == llm(folder, *asked, "--no-stream") != ""
    assert llm(folder, "-c", "Again.", "-m", "local", "-o", "max_tokens", "8")
    assert len(json.loads(llm(folder, "logs", "--json", "-n", "0"))) == 3


def test_a_schema(folder: Path) -> None:
    schema = json.dumps(Mood.model_json_schema())
    said = llm(folder, "-m", "local", "My mood?", "--schema", schema, "-o", "max_tokens", "60")
    Mood.model_validate_json(said)


def test_a_tool_is_offered(folder: Path) -> None:
    words = ["-m", "local", "What time is it?", "-T", "llm_time", "-o", "max_tokens", "8"]
    llm(folder, *words)

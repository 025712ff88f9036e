"""`curl`: whole answers and streams."""

from __future__ import annotations

import json
import subprocess
import time
from typing import Any

from asked import KEY, MESSAGES

BODY: dict[str, Any] = {"messages": MESSAGES, "max_tokens": 16, "temperature": 0}


def curl(*words: str) -> str:
    """What it prints."""
    command = ["curl", "--silent", "--show-error", "--max-time", "60", *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def posted(url: str, body: Any) -> list[str]:
    """Words that post a body."""
    headers = ["-H", "Content-Type: application/json", "-H", f"Authorization: Bearer {KEY}"]
    return [f"{url}/chat/completions", *headers, "-d", json.dumps(body)]


def test_whole_and_streamed_answers_are_the_same(url: str) -> None:
    whole = json.loads(curl(*posted(url, BODY)))["choices"][0]["message"]["content"]
    lines = curl("-N", *posted(url, {**BODY, "stream": True})).split("\n\n")
    assert lines[-2:] == ["data: [DONE]", ""]
    parts = [json.loads(line.removeprefix("data: ")) for line in lines[:-2]]
    assert "".join(p["choices"][0]["delta"].get("content") or "" for p in parts) == whole


def test_a_stream_comes_piece_by_piece(url: str) -> None:
    command = ["curl", "-sN", *posted(url, {**BODY, "stream": True, "max_tokens": 100})]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        times = [time.monotonic() for line in process.stdout if line.strip()]
    assert times[-1] - times[0] > 0.05


def test_statuses(url: str) -> None:
    status = ["-o", "/dev/null", "-w", "%{http_code}"]
    assert curl(*status, *posted(url, BODY)) == "200"
    assert curl(*status, *posted(url, {})) == "400"
    assert curl(*status, f"{url}/models") == "401"
    assert curl(*status, f"{url}/models/other", "-H", f"Authorization: Bearer {KEY}") == "404"
    assert curl(*status, "-X", "DELETE", f"{url}/chat/completions") == "405"

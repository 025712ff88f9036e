"""The endpoints of llama-server beside llama-server itself: the same bodies, the same answers."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from ggmlkit import io
from running_server import RunningServer, running, settings_for, until

# Tokens of SmolLM2 that stand for those of a code model.
GAP = {"fim_pre": 10, "fim_suf": 11, "fim_mid": 12, "fim_rep": 3, "fim_sep": 5}
FRANCE = "The capital of France is"
GREEDY = {"temperature": 0, "n_predict": 5}
TEXT = {"response_fields": ["content", "prompt", "tokens_evaluated", "stop_type"]}
COUNTS = ["content", "stop_type", "stopping_word", "tokens_predicted", "tokens_cached"]
# Of its fields, those that say what only it has.
MISSING = {
    "adaptive_decay", "adaptive_target", "aliases", "architecture", "backend_sampling",
    "chat_format", "chat_template_caps", "cors_proxy_enabled", "generation_prompt", "grammar_lazy",
    "grammar_triggers", "media_marker", "meta", "model_ftype", "models", "preserved_tokens",
    "reasoning_format", "reasoning_in_content", "speculative.types", "tags", "ui", "ui_settings",
}  # fmt: skip


@pytest.fixture(scope="module")
def gap_gguf(smollm2_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real model whose vocabulary has tokens for gaps."""
    path = tmp_path_factory.mktemp("gap") / "gap.gguf"
    keys = {f"tokenizer.ggml.{name}_token_id": id for name, id in GAP.items()}
    with io.open(smollm2_gguf) as file:
        io.save(path, file.tensors, {**file.metadata, **keys})
    return path


@pytest.fixture(scope="module")
def theirs(llama_bin: Path, gap_gguf: Path) -> Iterator[httpx.Client]:
    """A client of llama-server."""
    program = llama_bin / "llama-server"
    if not program.exists():
        pytest.skip("LLAMA_CPP_BIN has no llama-server")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [str(program), "-m", str(gap_gguf), "--port", str(port)]
    command += ["-c", "8192", "-np", "2", "-t", "2", "--no-warmup"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            until(lambda: process.poll() is not None or is_ready(client), 60)
            assert process.poll() is None
            yield client
    finally:
        process.terminate()
        process.wait()


def is_ready(client: httpx.Client) -> bool:
    try:
        return client.get("/health").status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture(scope="module")
def ours(gap_gguf: Path) -> Iterator[RunningServer]:
    engine = {"context": 4096, "cache_tokens": 8192, "parallel": 2, "threads": 2}
    with running(settings_for(gap_gguf, engine=engine)) as server:
        yield server


def kinds(value: Any, place: str = "") -> dict[str, str]:
    """The type of each field, by its place."""
    if isinstance(value, dict):
        return {
            inner: kind
            for name, part in value.items()
            if name not in MISSING
            for inner, kind in kinds(part, f"{place}.{name}").items()
        }
    if isinstance(value, list):
        return {f"{place}[]": "list", **(kinds(value[0], f"{place}[]") if value else {})}
    return {place: "number" if type(value) in (int, float) else type(value).__name__}


def parts(response: httpx.Response) -> list[Any]:
    """The values of an answer, or of its events."""
    if response.headers["Content-Type"].startswith("text/event-stream"):
        lines = response.text.splitlines()
        return [json.loads(line.removeprefix("data: ")) for line in lines if line]
    return [response.json()]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/completion", {"prompt": FRANCE, **GREEDY}),
        ("/completion", {"prompt": FRANCE, **GREEDY, "n_probs": 2, "return_tokens": True}),
        ("/completion", {"prompt": FRANCE, **GREEDY, "n_probs": 2, "stream": True}),
        ("/completion", {"prompt": FRANCE, **GREEDY, "timings_per_token": True, "stream": True}),
        ("/completion", {"prompt": ["a", [5, 6], ["b", 7]], **GREEDY}),
        ("/completion", {"prompt": FRANCE, "json_schema": {"type": "object"}, "n_predict": 2}),
        ("/completion", {"prompt": []}),
        ("/completion", {"prompt": 5}),
        ("/completion", {"prompt": [10**8]}),
        ("/completion", {"prompt": FRANCE, "n_predict": "x"}),
        ("/completion", {"prompt": FRANCE, "grammar": "root ::= ("}),
        ("/completion", {"prompt": "word " * 9000}),
        ("/completions", {}),
        ("/infill", {"input_prefix": "a = ", "input_suffix": "\n", **GREEDY}),
        ("/infill", {"input_prefix": "a", "input_suffix": "b", "input_extra": [{}]}),
        ("/apply-template", {}),
        ("/props", None),
        ("/slots", None),
        ("/models", None),
        ("/lora-adapters", None),
    ],
    ids=str,
)
def test_fields_and_types(
    theirs: httpx.Client, ours: RunningServer, path: str, body: dict[str, Any] | None
) -> None:
    answers = [
        client.get(path) if body is None else client.post(path, json=body)
        for client in (theirs, ours.client)
    ]
    wanted, found = answers
    assert found.status_code == wanted.status_code
    for one, other in zip(parts(wanted), parts(found), strict=True):
        here = kinds(other)
        # An idle slot of llama-server remembers its last answer.
        known = {".n_ctx", ".id"} if path == "/slots" else kinds(one).keys()
        assert {place: here.get(place) for place in known if place in kinds(one)} == {
            place: kind for place, kind in kinds(one).items() if place in known
        }


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/completion", {"prompt": FRANCE, **GREEDY, **TEXT}),
        ("/completion", {"prompt": [FRANCE, [504, 3575]], **GREEDY, **TEXT}),
        ("/completion", {"prompt": "1, 2, 3,", "temperature": 0, "n_predict": 10,
                         "stop": ["6"], "response_fields": COUNTS}),
        ("/completion", {"prompt": FRANCE, **GREEDY, "logit_bias": [[2, 100]],
                         "return_tokens": True, "response_fields": [*COUNTS, "tokens"]}),
        ("/completion", {"prompt": "a", "grammar": 'root ::= "yes"',
                         "response_fields": ["content"]}),
        ("/infill", {"input_prefix": "def add(a, b):\n    ", "input_suffix": "\n",
                     **GREEDY, **TEXT}),
        ("/infill", {"input_prefix": "x = ", "input_suffix": "\n", "prompt": "1 +",
                     **GREEDY, **TEXT,
                     "input_extra": [{"filename": "a.py", "text": "y = 2\n"}, {"text": "z"}]}),
        ("/tokenize", {"content": "Hello á <|im_end|>", "with_pieces": True, "add_special": True}),
        ("/tokenize", {"content": "Hello <|im_end|>", "parse_special": False}),
        ("/tokenize", {"content": ["a", 5, "b"]}),
        ("/tokenize", {}),
        ("/detokenize", {"tokens": [1, 504, 19556, 2]}),
        ("/apply-template", {"messages": [{"role": "user", "content": "hi"}]}),
    ],
    ids=lambda value: str(value)[:50],
)  # fmt: skip
def test_answers_are_the_same(
    theirs: httpx.Client, ours: RunningServer, path: str, body: dict[str, Any]
) -> None:
    wanted, found = (client.post(path, json=body) for client in (theirs, ours.client))
    assert found.json() == wanted.json()

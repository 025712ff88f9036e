"""``/infill``: prompts of gaps, and their answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ggmlkit import io
from ggmlkit.server.llama_server.infill import infill_ids
from ggmlkit.server.llama_server.shapes import InfillBody
from paths import GOLDEN
from running_server import RunningServer, events, running, settings_for

PRE, SUF, MID, REP, SEP = range(4, 9)  # bytes that no text here has
GAP = {"fim_pre": PRE, "fim_suf": SUF, "fim_mid": MID}
Gap = Callable[..., list[int]]


def gap_model(folder: Path, **tokens: int) -> Path:
    """A tiny model whose vocabulary has some tokens for gaps."""
    path = folder / "gap.gguf"
    keys = {f"tokenizer.ggml.{name}_token_id": id for name, id in tokens.items()}
    with io.open(GOLDEN / "gguf-v1-f16.bin") as file:
        io.save(path, file.tensors, {**file.metadata, **keys})
    return path


@pytest.fixture(scope="module")
def gaps(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server of a model with tokens for gaps and files."""
    model = gap_model(tmp_path_factory.mktemp("gap"), **GAP, fim_rep=REP, fim_sep=SEP)
    with running(settings_for(model)) as server:
        yield server


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server of a model with tokens for gaps alone, under their older names."""
    model = gap_model(tmp_path_factory.mktemp("gap"), prefix=PRE, suffix=SUF, middle=MID)
    with running(settings_for(model)) as server:
        yield server


def prompt(server: RunningServer, **fields: Any) -> list[int]:
    body = {"input_prefix": "", "input_suffix": "", **fields}
    return infill_ids(server.served, InfillBody.model_validate(body))


def encode(server: RunningServer, text: str) -> list[int]:
    return server.served.tokenizer.encode(text, add_special=False)


def test_what_is_before_and_after_a_gap(plain: RunningServer) -> None:
    ids = prompt(plain, input_prefix="def </s>", input_suffix="return", prompt="x")
    assert ids == [
        1,
        PRE,
        *encode(plain, "def </s>"),
        *encode(plain, "x"),
        SUF,
        *encode(plain, "return"),
        MID,
    ]
    assert 2 not in ids  # control tokens in the texts are plain text


def test_other_files_come_first(gaps: RunningServer, plain: RunningServer) -> None:
    extra = [{"filename": "a.py", "text": "one"}, {"text": "two"}]
    assert prompt(gaps, input_extra=extra) == [
        1,
        REP, *encode(gaps, "myproject\n"),
        SEP, *encode(gaps, "a.py\n"), *encode(gaps, "one"),
        SEP, *encode(gaps, "tmp\n"), *encode(gaps, "two"),
        SEP, *encode(gaps, "filename\n"),
        PRE, SUF, MID,
    ]  # fmt: skip
    between = encode(plain, "\n\n--- snippet ---\n\n")
    assert prompt(plain, input_extra=extra) == [
        1, *between, *encode(plain, "one"), *between, *encode(plain, "two"), PRE, SUF, MID,
    ]  # fmt: skip


def test_what_is_near_the_gap_stays(gaps: RunningServer) -> None:
    before = "".join(f" a{number}" for number in range(400))
    after = "".join(f" b{number}" for number in range(400))
    extra = [{"text": "".join(f" c{number}" for number in range(400))}]
    ids = prompt(gaps, input_prefix=before, input_suffix=after, input_extra=extra, n_predict=100)
    room = 512 - 100
    assert room - 4 <= len(ids) <= room
    start, middle = ids.index(PRE), ids.index(SUF)
    assert ids[start + 1 : middle] == encode(gaps, before)[-3 * (room // 4 - 1) :]
    assert ids[middle + 1 : -1] == encode(gaps, after)[: room // 4 - 3]
    assert ids[-1] == MID
    alone = prompt(gaps, input_prefix=before, input_extra=extra, n_predict=100)
    other = alone[1 : alone.index(PRE)]
    ending = [*encode(gaps, extra[0]["text"]), SEP, *encode(gaps, "filename\n")]
    assert len(alone) == room
    assert other == ending[-len(other) :]


def test_a_gap_is_filled(gaps: RunningServer) -> None:
    body = {"input_prefix": "The ", "input_suffix": " end", "n_predict": 5, "temperature": 0}
    found = gaps.post("/infill", body).json()
    ids = prompt(gaps, input_prefix="The ", input_suffix=" end")
    assert found["tokens_evaluated"] == len(ids)
    same = gaps.post("/completion", {"prompt": ids, "n_predict": 5, "temperature": 0}).json()
    assert found["content"] == same["content"]
    *parts, last = map(json.loads, events(gaps.post("/infill", {**body, "stream": True})))
    assert "".join(part["content"] for part in parts) == found["content"]
    assert last["stop"] is True


def test_a_model_without_the_tokens_says_so(server: RunningServer) -> None:
    found = server.post("/infill", {"input_prefix": "a", "input_suffix": "b"})
    assert found.status_code == 501
    assert found.json()["error"] == {
        "code": 501,
        "message": "the model 'tiny' can't fill gaps: its vocabulary has no prefix or suffix or "
        "middle token; serve a code model that has them",
        "type": "not_supported_error",
    }


@pytest.mark.parametrize(
    "fields",
    [
        {"input_suffix": "b"},
        {"input_prefix": 5},
        {"input_extra": "a"},
        {"input_extra": [{"filename": "a"}]},
        {"input_extra": [{"text": 5}]},
        {"input_extra": [{"text": "a", "filename": 5}]},
        {"input_extra": [{"text": "a"}] * 2000},
        {"prompt": 5},
        {"prompt": "a " * 600},
        {"input_prefix": [2**31 - 1]},
    ],
    ids=lambda fields: str(fields)[:40],
)
def test_what_is_refused(gaps: RunningServer, fields: dict[str, Any]) -> None:
    base = {} if "input_suffix" in fields else {"input_prefix": "a", "input_suffix": "b"}
    found = gaps.post("/infill", {**base, "n_predict": 1, **fields})
    assert found.status_code == 400, found.text
    assert found.json()["error"]["code"] == 400
    assert gaps.is_free()

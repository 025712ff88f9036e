"""An evaluation that was stopped goes on, to the same figures."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ggmlkit as gk
from ggmlkit.evaluation.evaluating import perplexity
from ggmlkit.evaluation.results import Perplexity

# The chunks are computed one at a time: 256 tokens are a pass of the engine.
CONTEXT = 16
_KILLED = """
import os, signal, sys
from ggmlkit.evaluation import logit_blocks
from ggmlkit.evaluation.evaluating import perplexity
logit_blocks._PASS = 32
model, base, text, folder, chunks = sys.argv[1:]
def stop(done, total, what):
    if done >= int(chunks):
        os.kill(os.getpid(), signal.SIGKILL)
perplexity(model, text, context=16, base=base, state=f"{folder}/state", save_top=f"{folder}/top",
           save_all=f"{folder}/all", progress=stop)
"""


@pytest.fixture(autouse=True)
def _two_chunks_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ggmlkit.evaluation.logit_blocks._PASS", 2 * CONTEXT)


def evaluated(model: Path, base: Path, text: str, folder: Path, **more: Any) -> Perplexity:
    return perplexity(
        model, text, context=CONTEXT, base=base, state=folder / "state", save_top=folder / "top",
        save_all=folder / "all", **more,
    )  # fmt: skip


def kill(model: Path, base: Path, text: str, folder: Path, chunks: int) -> None:
    command = [sys.executable, "-c", _KILLED, str(model), str(base), text, str(folder), str(chunks)]
    environment = {**os.environ, "PYTHONPATH": str(Path(gk.__file__).parents[1])}
    done = subprocess.run(command, env=environment, capture_output=True, timeout=60)
    assert done.returncode == -signal.SIGKILL, done.stderr


def test_a_killed_evaluation_goes_on_to_the_same_figures(
    base: Path, quantized: Path, text: str, tmp_path: Path
) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir()
    broken.mkdir()
    expected = evaluated(quantized, base, text, whole)
    kill(quantized, base, text, broken, 6)
    assert sorted(path.name for path in broken.iterdir()) == ["all.partial", "state", "top.partial"]
    with (broken / "state").open("ab") as file:
        file.write(b"part of a record")
    kill(quantized, base, text, broken, 12)
    told: list[int] = []
    found = evaluated(quantized, base, text, broken, progress=lambda done, *_: told.append(done))
    assert told[:2] == [12, 14]
    assert found == expected
    assert np.array_equal(found.nll, expected.nll)
    for name in ("state", "top", "all"):
        assert (broken / name).read_bytes() == (whole / name).read_bytes(), name
    assert not list(broken.glob("*.partial"))
    again: list[int] = []
    assert evaluated(quantized, base, text, broken, progress=lambda *n: again.append(n[0])) == found
    assert again == [found.chunks]


def test_predictions_that_are_gone_are_made_again(
    base: Path, quantized: Path, text: str, tmp_path: Path
) -> None:
    found = evaluated(quantized, base, text, tmp_path)
    before = (tmp_path / "top").read_bytes()
    (tmp_path / "top").unlink()
    assert evaluated(quantized, base, text, tmp_path) == found
    assert (tmp_path / "top").read_bytes() == before


def test_more_chunks_go_on_from_fewer(base: Path, text: str, tmp_path: Path) -> None:
    state = tmp_path / "state"
    perplexity(base, text, context=CONTEXT, chunks=5, state=state)
    told: list[int] = []
    found = perplexity(
        base, text, context=CONTEXT, state=state, progress=lambda done, *_: told.append(done)
    )
    assert told[0] == 4  # those that are computed together
    assert found == perplexity(base, text, context=CONTEXT)
    assert perplexity(base, text, context=CONTEXT, chunks=2, state=state).chunks == 2
    assert perplexity(base, text, context=CONTEXT, state=state) == found


def test_a_state_of_other_work_is_refused(
    base: Path, quantized: Path, text: str, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    perplexity(base, text, context=CONTEXT, chunks=2, state=state)
    kept = state.read_bytes()
    other = "of another model, base or context, or of other settings"
    for model, given, message in (
        (quantized, {}, other),
        (base, {"context": 32}, other),
        (base, {"base": quantized}, other),
        (base, {"settings": {"activation_bits": 16}}, other),
        (base, {"text": "x" + text}, "of another text: chunk 0 has other tokens"),
    ):
        with pytest.raises(gk.FormatError, match=message):
            perplexity(
                model,
                **{"text": text, "context": CONTEXT, "state": state, **given},  # type: ignore[arg-type]
            )
        assert state.read_bytes() == kept


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"precious notes\n", "holds no state of an evaluation"),
        (b"[" * 5000, "holds no state of an evaluation"),
        (b'{"kind": "ggmlkit evaluation"}\n', "of another model, base or context"),
    ],
)
def test_other_files_are_left_as_they_are(
    base: Path, text: str, tmp_path: Path, data: bytes, message: str
) -> None:
    state = tmp_path / "state"
    state.write_bytes(data)
    with pytest.raises(gk.FormatError, match=message):
        perplexity(base, text, context=CONTEXT, state=state)
    assert state.read_bytes() == data


def test_a_damaged_record_is_an_error(base: Path, text: str, tmp_path: Path) -> None:
    state = tmp_path / "state"
    perplexity(base, text, context=CONTEXT, chunks=4, state=state)
    raw = bytearray(state.read_bytes())
    raw[-9] ^= 1
    state.write_bytes(raw)
    with pytest.raises(gk.FormatError, match="the state is damaged; delete it to begin anew"):
        perplexity(base, text, context=CONTEXT, state=state)


def test_one_process_writes_a_state(base: Path, text: str, tmp_path: Path) -> None:
    state = tmp_path / "state"

    def second(*_: object) -> None:
        with pytest.raises(gk.ArgumentError, match="is being written by another process"):
            perplexity(base, text, context=CONTEXT, state=state)

    perplexity(base, text, context=CONTEXT, chunks=2, state=state, progress=second)


def test_predictions_of_another_model_are_replaced(
    base: Path, quantized: Path, text: str, tmp_path: Path
) -> None:
    evaluated(base, base, text, tmp_path)
    (tmp_path / "other").mkdir()
    evaluated(quantized, base, text, tmp_path / "other")
    for name in ("top", "all"):
        expected = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes((tmp_path / "other" / name).read_bytes())
        evaluated(base, base, text, tmp_path)
        assert (tmp_path / name).read_bytes() == expected
    (tmp_path / "state").unlink()  # which alone knows of what they are
    (tmp_path / "top").write_bytes((tmp_path / "other" / "top").read_bytes())
    evaluated(base, base, text, tmp_path, chunks=4)
    assert (tmp_path / "top").read_bytes() != (tmp_path / "other" / "top").read_bytes()


def test_a_state_without_predictions_makes_them(base: Path, text: str, tmp_path: Path) -> None:
    state, top = tmp_path / "state", tmp_path / "top"
    perplexity(base, text, context=CONTEXT, state=state)
    found = perplexity(base, text, context=CONTEXT, state=state, save_top=top)
    own = perplexity(base, base=top).base
    assert own is not None
    assert own.base_perplexity.value == pytest.approx(found.perplexity.value, rel=1e-5)

"""The steps that measure calibrated files: what they compare, and with what."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import calibration
import dithered
import ggmlkit as gk
from bench import Bench
from inputs import Inputs
from peers import Peers


def bench_of(folder: Path) -> Bench:
    return Bench(Inputs(folder, folder / "f16.gguf"), Peers(), folder, 1, [2], [], [], folder)


def test_weights_are_moved_within_their_steps() -> None:
    values = np.random.default_rng(0).standard_normal((6, 64), np.float32)
    tensor = gk.quantize(values, "q4_1", name="w")
    found = dithered._dithered(tensor, np.random.default_rng(1))
    assert found.type.name == "f16"
    steps = tensor.data.reshape(6, 2, 20)[..., :2].copy().view(np.float16)
    moved = np.abs(found.dequantize() - tensor.dequantize()).reshape(6, 2, 32) / steps
    assert 0.45 < moved.max() < 0.52
    assert 0.2 < moved.mean() < 0.3


def test_another_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "there.gguf").write_bytes(b"other")
    with pytest.raises(ValueError, match=r"there\.gguf has SHA-256 d9298a10.*delete it"):
        dithered.dithered(tmp_path / "source.gguf", tmp_path / "there.gguf")


def test_a_step_compares_seeds_with_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[tuple[Path, int]] = []

    def quantized(source: Path, out: Path, *_: str, **settings: Any) -> list[str]:
        assert settings["pure"]
        made.append((source, settings["calibrate"].seed))
        out.write_bytes(b"made")
        return ["no error on 4 tokens that were held out", "another note"]

    others = {
        calibration.REFERENCE: {"our engine": 0.4},
        calibration.IMATRIX: {"our engine": 0.3},
    }
    (tmp_path / "others-q4_0.json").write_text(json.dumps(others))
    monkeypatch.setattr(calibration, "dithered", lambda _, out: out)
    monkeypatch.setattr(calibration.peers, "llama_cpp", lambda *_: tmp_path)
    monkeypatch.setattr(calibration.gk, "quantize_file", quantized)
    monkeypatch.setattr(
        calibration._Files, "divergences", lambda *_: iter([("our engine", 0.1 * len(made))])
    )
    steps = calibration.steps(bench_of(tmp_path))
    step = next(step for step in steps if step.name == "calibration q4_0 descent")
    outcome = step.measure()
    assert [seed for _, seed in made] == [0, 1, 2]
    (line,) = outcome.comparisons
    assert line.work == "q4_0, descent: by our engine"
    assert line.samples["ggmlkit"] == pytest.approx([0.1, 0.2, 0.3])
    assert line.ratios() == pytest.approx([0.25, 0.5, 0.75])  # to the reference
    assert outcome.notes[1:] == ["no error on 4 tokens that were held out"]
    assert not list(tmp_path.glob("*.gguf"))

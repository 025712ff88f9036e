"""The notebook about quantizing runs, here without Jupyter and on the tiny model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from paths import GOLDEN, ROOT

NOTEBOOK: dict[str, Any] = json.loads((ROOT / "examples/quantize_well.ipynb").read_text("utf-8"))
CELLS = [cell for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]


def test_its_cells_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("GGMLKIT_MODEL", str(GOLDEN / "gguf-v1-f16.bin"))
    monkeypatch.setenv("GGMLKIT_TUNE", "1")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    names: dict[str, Any] = {"__name__": "__main__"}
    for place, cell in enumerate(CELLS):
        code = "".join(cell["source"])
        exec(compile(code, f"cell {place}", "exec", dont_inherit=True), names)
    assert list(names["divergences"]) == ["plain", "importance", "calibrated", "tuned"]
    assert names["divergences"]["calibrated"] < names["divergences"]["plain"]
    assert (names["folder"] / "report.html").stat().st_size > 1000
    assert "% of plain" in capsys.readouterr().out


def test_it_is_kept_without_outputs() -> None:
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in CELLS)

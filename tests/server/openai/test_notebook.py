"""The notebook of examples/ runs, here without Jupyter and on the tiny model."""

from __future__ import annotations

import json
from typing import Any

import pytest

from paths import ROOT
from running_server import RunningServer

NOTEBOOK: dict[str, Any] = json.loads((ROOT / "examples/openai_client.ipynb").read_text("utf-8"))
CELLS = [cell for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]


def test_its_cells_run(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GGMLKIT_URL", f"{server.url}/v1")
    names: dict[str, Any] = {"__name__": "__main__"}
    for place, cell in enumerate(CELLS):
        code = "".join(cell["source"])
        exec(compile(code, f"cell {place}", "exec", dont_inherit=True), names)
    names["client"].close()
    assert names["mood"].mood in ("good", "bad")
    assert "a suspension bridge: " in capsys.readouterr().out


def test_it_is_kept_without_outputs() -> None:
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in CELLS)

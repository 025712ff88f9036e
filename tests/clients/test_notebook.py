"""The notebook of examples/, as Jupyter runs it."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from asked import KEY

NOTEBOOK = Path(__file__).parents[2] / "examples" / "openai_client.ipynb"


def test_it_runs(url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GGMLKIT_URL", url)
    monkeypatch.setenv("GGMLKIT_KEY", KEY)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=100, kernel_name="python3", resources=resources).execute()
    printed = [cell.outputs[0].text for cell in notebook.cells if cell.get("outputs")]
    assert len(printed) == 4

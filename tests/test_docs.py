"""The documentation's Python blocks run, on the tiny golden model."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import ggmlkit as gk

ROOT = Path(__file__).parent.parent
PAGES = ["README.md", "docs/formats.md", "docs/python-api.md"]


@pytest.mark.parametrize("page", PAGES)
def test_python_blocks_run(
    page: str, golden: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The README's first example opens model.gguf in the current folder.
    gk.convert(golden / "ggjt-v3-f16.bin", tmp_path / "model.gguf", type="f16")
    monkeypatch.chdir(tmp_path)
    code = "\n".join(re.findall(r"^```python\n(.*?)^```", _text(page), re.MULTILINE | re.DOTALL))
    assert code, "no Python on this page"
    exec(compile(code, page, "exec"), {"golden": golden, "tmp_path": tmp_path})


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", _text(page)):
        assert (ROOT / target).exists(), target


def _text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")

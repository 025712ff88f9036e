"""The documentation's Python blocks run, on the tiny golden model."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

import pytest

import ggmlkit as gk

ROOT = Path(__file__).parents[2]
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


LINKING = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/how-the-kernels-work.md"]


@pytest.mark.parametrize("page", LINKING)
def test_links_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", _text(page)):
        assert ((ROOT / page).parent / target).exists(), target


def test_pictures_are_what_the_script_draws() -> None:
    folder = ROOT / "docs/pictures"
    spec = importlib.util.spec_from_file_location("draw", folder / "draw.py")
    assert spec is not None
    assert spec.loader is not None
    draw = importlib.util.module_from_spec(spec)
    sys.modules["draw"] = draw  # dataclasses look their module up
    spec.loader.exec_module(draw)
    assert {path.stem for path in folder.glob("*.svg")} == set(draw.PICTURES)
    for name, picture in draw.PICTURES.items():
        assert (folder / f"{name}.svg").read_text(encoding="utf-8") == picture().svg()


def test_every_command_is_described_as_it_says_of_itself() -> None:
    from command import ggmlkit
    from ggmlkit.cli.app import NAMES

    shown = dict(
        re.findall(r"^\$ ggmlkit (\w+) --help\n(.*?)^```", _text("docs/cli.md"), re.M | re.DOTALL)
    )
    assert shown == {name: ggmlkit(name, "--help").stdout for name in NAMES}


def _text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")

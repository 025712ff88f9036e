"""The pages' links, tables and pictures are what they should be."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import ggmlkit as gk
from layouts import LAYOUTS
from paths import ROOT

PAGES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("docs/*.md"))
LINKING = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "vendor/README.md", *PAGES]


@pytest.mark.parametrize("page", LINKING)
def test_links_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", _text(page)):
        assert ((ROOT / page).parent / target).exists(), target


def test_the_readme_leads_to_every_page() -> None:
    assert set(re.findall(r"\]\((docs/[\w-]+\.md)\)", _text("README.md"))) == set(PAGES)


def test_each_mark_in_the_table_of_formats_is_a_test() -> None:
    rows = [line for line in _text("docs/formats.md").splitlines() if line.startswith("| ")]
    table = rows[: next(n for n, row in enumerate(rows) if row.startswith("| NumPy")) + 1]
    assert len(table) > 20
    for row in table[2:]:
        marks = re.findall(r"\[✔\]\(([^)#]+)#(\w+)\)", row)
        assert marks, row
        for path, name in marks:
            source = (ROOT / "docs" / path).read_text(encoding="utf-8")
            assert re.search(rf"^def {name}\(", source, re.MULTILINE), (path, name)


def test_pictures_are_what_the_script_draws() -> None:
    folder = ROOT / "docs/pictures"
    draw = _script("docs/pictures/draw.py")
    assert {path.stem for path in folder.glob("*.svg")} == set(draw.PICTURES)
    for name, picture in draw.PICTURES.items():
        assert (folder / f"{name}.svg").read_text(encoding="utf-8") == picture().svg()


def test_pictures_of_blocks_show_the_types_as_they_are() -> None:
    draw = _script("docs/pictures/draw.py")
    shown = {name: fields for family in draw.FAMILIES.values() for name, fields in family.items()}
    for name, fields in shown.items():
        assert sum(size for _, size in fields) == gk.types.get(name).block_bytes, name
        stored = np.dtype(LAYOUTS[name]).fields
        assert stored is not None
        ends = {offset + dtype.itemsize for dtype, offset in stored.values()}
        assert ends <= set(np.cumsum([size for _, size in fields]).tolist()), name
    blocks = {t.name for t in gk.types.ALL if t.is_quantized and t.generation == "gguf"}
    assert blocks - shown.keys() == {"q8_1", "q8_K"}  # of activations, not files


def test_tables_of_types_say_what_is_so() -> None:
    page = _text("docs/types.md")
    assert _script("docs/tables.py").filled(page) == page


def test_every_command_is_described_as_it_says_of_itself() -> None:
    from ggmlkit.cli.app import COMMANDS

    page = _text("docs/cli.md")
    shown = re.findall(r"^\$ ggmlkit ?([\w-]*) --help$", page, re.MULTILINE)
    assert sorted(shown) == sorted(["", *COMMANDS])
    assert _script("docs/command_help.py").filled(page) == page


def _script(path: str) -> ModuleType:
    name = Path(path).stem
    spec = importlib.util.spec_from_file_location(name, ROOT / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def _text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")

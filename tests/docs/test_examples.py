"""The pages' examples run as a reader pastes them, here on a tiny model."""

from __future__ import annotations

import codeop
import importlib.util
import os
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import pytest

from command import ggmlkit
from paths import ROOT


def script(path: str) -> ModuleType:
    """A script of the repository, as a module."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


pages = script("docs/pages.py")
NAMES = [page.relative_to(ROOT).as_posix() for page in pages.pages()]
START = re.compile(r"^The examples start from a model, .*?^```console\n.*?^```\n", re.M | re.S)


def in_this_process(words: Sequence[str]) -> None:
    ggmlkit(*words, code=pages.expected_code(words))


@pytest.mark.parametrize("name", NAMES)
def test_they_run(
    name: str, chat_gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copyfile(chat_gguf, tmp_path / "model.gguf")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "fsync", lambda _: None)  # takes time, and no crash is expected here
    pages.run(ROOT / name, in_this_process)


def test_every_page_with_python_is_run() -> None:
    files = [ROOT / "README.md", *ROOT.glob("docs/**/*.md")]
    fenced = re.compile(r"^ *(```|~~~) *(py|python|python3|pycon)\b", re.MULTILINE)
    having = {file.relative_to(ROOT).as_posix() for file in files if fenced.search(text(file))}
    assert having == set(NAMES)
    for name in NAMES:
        shown = set(re.findall(r"^ *(?:```|~~~) *(\S+)", text(ROOT / name), re.MULTILINE))
        assert shown <= {"python", "console", "sh"}, name  # others would not be run


@pytest.mark.parametrize("name", NAMES)
def test_they_need_nothing_of_the_tests(name: str) -> None:
    used = "".join(block.text for block in pages.blocks(ROOT / name))
    assert re.search(r"\b(golden|tmp_path|pytest)\b", used) is None
    assert re.search(r"`(golden|tmp_path|pytest)`", text(ROOT / name)) is None


def test_pages_say_alike_and_first_how_to_get_the_model() -> None:
    said = set()
    for name in NAMES:
        page = text(ROOT / name)
        blocks = pages.blocks(ROOT / name)
        using = [block.line for block in blocks if re.search(r"[\" ]model\.gguf", block.text)]
        if not using:
            continue
        found = START.search(page)
        assert found is not None, name
        said.add(found[0])
        assert page.count("\n", 0, found.end()) > using[0] >= page.count("\n", 0, found.start())
    (words,) = said
    demo = script("examples/demo.py")
    for part in (demo.PACKAGE, demo.WHEEL, Path(demo.MEMBER).name):
        assert part in words


@pytest.mark.parametrize("name", NAMES)
def test_they_can_be_pasted_into_an_interpreter(name: str) -> None:
    for block in pages.blocks(ROOT / name):
        lines: list[str] = []
        for line in [*block.text.splitlines(), ""] if block.language == "python" else []:
            lines.append(line)
            # A statement with a body ends at an empty line there: without one this is an error.
            if codeop.compile_command("\n".join(lines), symbol="single") is not None:
                lines = []
        assert not any(lines), (block.line, lines)


def page_of(folder: Path, *blocks: str) -> Path:
    page = folder / "page.md"
    page.write_text("# Page\n\n" + "\n".join(f"```{block}```\n" for block in blocks))
    return page


def test_names_and_commands_follow_each_other(tmp_path: Path) -> None:
    said: list[list[str]] = []
    page = page_of(
        tmp_path,
        "python\nassert set(globals()) == {'__name__', '__builtins__'}\none = 1\n",
        "console\n$ ggmlkit run -p 'a b'\nsomething\n$ ggmlkit run hf:a/b\n$ other\n",
        "python\nprint(one, 'and more')  # 1 … more\n",
    )
    pages.run(page, said.append)
    assert said == [["run", "-p", "a b"]]


@pytest.mark.parametrize("shown", ["1", "1 2 3", "2\nprint(1)  # 1"])
def test_a_comment_that_is_not_what_is_printed_fails(shown: str, tmp_path: Path) -> None:
    page = page_of(tmp_path, f"python\nprint(1, 2)  # {shown}\n")
    with pytest.raises(AssertionError, match=r"page\.md:4: nothing prints"):
        pages.run(page, print)


def test_an_error_names_the_line_of_the_page(tmp_path: Path) -> None:
    page = page_of(tmp_path, "python\none = 1\nprint(two)\n")
    with pytest.raises(NameError) as error:
        pages.run(page, print)
    assert (error.traceback[-1].path, error.traceback[-1].lineno) == (page, 4)  # counted from 0


def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")

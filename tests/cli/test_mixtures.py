"""`quantize --size` and `recommend`: what they print, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from command import ggmlkit
from ggmlkit import io
from paths import GOLDEN
from random_text import text_file

F16 = GOLDEN / "gguf-v1-f16.bin"
QUICK = ("--method", "search", "--samples", 3, "-t", 1)


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return text_file(tmp_path_factory.mktemp("text"), 9000)


def test_recommend_prints_a_curve(text: Path, tmp_path: Path) -> None:
    picture = tmp_path / "a.svg"
    words = ("recommend", "-m", F16, "-f", text, *QUICK, "--points", 4)
    document = json.loads(ggmlkit(*words, "--json", "--plot", picture).stdout)
    sizes = [each["bytes"] for each in document["sizes"]]
    assert len(sizes) == 4
    assert sizes == sorted(sizes)
    assert "q4_K_M" in document["recipes"]
    assert picture.read_text().startswith("<?xml")
    shown = ggmlkit(*words).stdout
    assert "expected KL" in shown
    assert shown.rstrip().endswith("q8_0")


def test_a_choice_is_shown_and_written(text: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.gguf"
    words = ("quantize", F16, out, "--size", "6bpw", "--calibrate", text, *QUICK)
    shown = ggmlkit(*words, "--dry-run").stdout
    assert "nothing was written" in shown
    assert not out.exists()
    ggmlkit(*words)
    types = dict(line.split() for line in shown.split("\n\n")[0].splitlines())
    with io.open(out) as made:
        assert {name: made[name].type.name for name in types} == types


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a.gguf", "b.gguf"], "required: TYPE (or --size)"),
        (["a.gguf", "b.gguf", "--size", "6bpw"], "--size needs --calibrate TEXT"),
        (["a.gguf", "b.gguf", "q4_K_M", "--size", "6bpw"], "give either TYPE or --size"),
        (["a.gguf", "b.gguf", "--size", "large"], "--size must be as in 4.5bpw, 800MB or 2GB"),
        (["a.gguf", "b.gguf", "q9"], "TYPE must be a type that can be written, not 'q9'"),
        (["a.gguf", "b.gguf", "q4_0", "--dry-run"], "--dry-run needs --size"),
        (
            ["a.gguf", "b.gguf", "--size", "6bpw", "--pure", "--calibrate", "t.txt"],
            "--pure gives every matrix the same type",
        ),
    ],
)
def test_words_that_do_not_go_together(words: list[str], message: str) -> None:
    assert message in ggmlkit("quantize", *words, code=2).stderr


def test_a_size_too_small_is_one_sentence(text: Path, tmp_path: Path) -> None:
    words = ("quantize", F16, tmp_path / "out.gguf", "--size", 99, "--calibrate", text, *QUICK)
    assert "99 is too small for this model: the smallest file" in ggmlkit(*words, code=1).stderr

"""`ggmlkit perplexity`, `multiple-choice` and `report`."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import ggmlkit as gk
from command import ggmlkit
from paths import GOLDEN

F16 = GOLDEN / "gguf-v1-f16.bin"
TEXT = "Some words that a tiny model reads, again and again. " * 8


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a text and a quantized model."""
    (tmp_path / "t.txt").write_text(TEXT + "\n")
    gk.quantize_file(F16, tmp_path / "q.gguf", "q4_0")
    return tmp_path


def test_a_base_is_saved_and_compared_with(folder: Path) -> None:
    text, saved = folder / "t.txt", folder / "base.top"
    words = ["-f", text, "-c", "32", "--save-base", saved, "--top", "380", "--state", folder / "s"]
    first = ggmlkit("perplexity", "-m", F16, *words)
    assert "chunks of 32 tokens" in first.stdout
    assert "perplexity" in first.stdout
    assert ggmlkit("perplexity", "-m", F16, *words).stdout == first.stdout
    compared = ggmlkit("perplexity", "-m", folder / "q.gguf", "--base", saved).stdout
    assert f"beside {saved}\n" in compared
    direct = ggmlkit(
        "perplexity", "-m", folder / "q.gguf", "-f", text, "-c", "32", "--base", F16, "--json",
        "--plot", folder / "p.png",
    )  # fmt: skip
    document = json.loads(direct.stdout)
    shown = re.search(r"KL divergence +([\d.]+)", compared)
    assert shown is not None
    assert float(shown[1]) == pytest.approx(document["base"]["kl"]["value"], rel=0.01)
    assert document["tokens"] == 15 * document["chunks"]
    assert (folder / "p.png").read_bytes().startswith(b"\x89PNG")


def test_the_text_is_read_as_llama_perplexity_reads_it(folder: Path) -> None:
    words = ["-m", F16, "-c", "32", "--json", "-f"]
    found = json.loads(ggmlkit("perplexity", *words, folder / "t.txt").stdout)
    piped = json.loads(ggmlkit("perplexity", *words, "-", text=TEXT + "\n").stdout)
    assert piped == found
    own = gk.evaluation.perplexity(F16, TEXT, context=32)
    assert found["perplexity"]["value"] == own.perplexity.value


@pytest.mark.parametrize(
    ("data", "words", "message"),
    [
        (b"", [], "the text is empty"),
        (b"\n", [], "the text is empty"),
        (b"few", [], "too few for a context of 512: two contexts, 1024 tokens, are the least"),
        (b"ab\xff", [], "at byte 2: the text must be UTF-8 text"),
        (b"ab", ["--base", "{folder}/none"], "none: No such file or directory"),
        (
            TEXT.encode(),
            ["-c", "32", "--base", "{folder}/t.txt"],
            "no known model file begins with",
        ),
    ],
)
def test_input_at_fault(folder: Path, data: bytes, words: list[str], message: str) -> None:
    (folder / "t.txt").write_bytes(data)
    given = [word.format(folder=folder) for word in words]
    said = ggmlkit("perplexity", "-m", F16, "-f", folder / "t.txt", *given, code=1)
    assert said.stdout == ""
    assert message in said.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "give the text with -f"),
        (["--base", "{folder}/q.gguf"], "give the text with -f: {folder}/q.gguf is a model"),
        (["-f", "{folder}/t.txt", "--chunks", "0"], "--chunks must be at least 1"),
        (["-f", "{folder}/t.txt", "-c", "2"], "must be at least 3"),
        (["-f", "{folder}/t.txt", "--state", "{folder}/t.txt"], "would be written over"),
        (["-f", "{folder}/t.txt", "--save-base", "{folder}/q.gguf"], "would be written over"),
        (["-f", "{folder}/t.txt", "--state", "a", "--plot", "a"], "a is given for two files"),
        (["-f", "{folder}/t.txt", "--kl-divergence"], "--base FILE compares"),
        (["-f", "{folder}/t.txt", "--hellaswag"], "use 'ggmlkit multiple-choice'"),
    ],
)
def test_command_line_at_fault(folder: Path, words: list[str], message: str) -> None:
    given = [word.format(folder=folder) for word in words]
    said = ggmlkit("perplexity", "-m", folder / "q.gguf", *given, code=2).stderr
    assert message.format(folder=folder) in said


def test_a_plot_that_can_not_be_drawn_is_said_first(folder: Path) -> None:
    words = ["-m", F16, "-f", folder / "t.txt", "--plot", folder / "p.jpeg"]
    assert "must end in .png" in ggmlkit("perplexity", *words, code=1).stderr


def test_multiple_choice(folder: Path) -> None:
    questions = folder / "q.jsonl"
    lines = [{"ctx": "Some", "endings": ["words", "wrds"], "label": n} for n in (0, 1, 0)]
    questions.write_text("\n".join(map(json.dumps, lines)))
    words = ["multiple-choice", "-m", F16, "-f", questions, "-c", "64"]
    shown = ggmlkit(*words, "--tasks", "2").stdout
    assert ": 2 questions\n" in shown
    assert "acc           50.00 ± 50.00 %" in shown
    document = json.loads(ggmlkit(*words, "--json").stdout)
    assert document["questions"] == 3
    questions.write_text("{}")
    assert "line 1: 'endings' must be" in ggmlkit(*words, code=1).stderr


def test_report(folder: Path) -> None:
    out = folder / "r.html"
    words = ["report", folder / "q.gguf", "--base", F16, "-f", folder / "t.txt", "-c", "32"]
    said = ggmlkit(*words, "-o", out, "--chunks", "3", "--part-chunks", "1", "--json")
    document = json.loads(said.stdout)
    assert document["models"][0]["costs"]["layer 0"]["value"] > 0
    assert "<svg" in out.read_text("utf-8")
    assert sorted(path.name for path in folder.iterdir()) == ["q.gguf", "r.html", "t.txt"]
    for target in ("q.gguf", "t.txt"):
        assert "would be written over" in ggmlkit(*words, "-o", folder / target, code=2).stderr

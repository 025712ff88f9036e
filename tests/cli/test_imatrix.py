"""`ggmlkit imatrix`: files of both forms, joining, figures, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import ggmlkit as gk
from command import ggmlkit
from paths import GOLDEN

F16 = GOLDEN / "gguf-v1-f16.bin"


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text("once upon a time, in a village by the sea, " * 10)
    return path


def test_a_matrix_is_made_joined_shown_and_used(tmp_path: Path, text: Path) -> None:
    out, old, both = (tmp_path / name for name in ("i.gguf", "i.dat", "both.gguf"))
    measured = ("imatrix", "-m", F16, "-f", text, "-c", 32)
    said = ggmlkit(*measured, "-o", out)
    assert said.stdout == ""
    ggmlkit(*measured, "-o", old, "-ngl", 0, "--no-ppl")
    one, other = gk.read_imatrix(out), gk.read_imatrix(old)
    assert one.datasets == other.datasets == [str(text)]
    for name, entry in one.entries.items():
        np.testing.assert_allclose(entry.means, other.entries[name].means, rtol=1e-6)
    ggmlkit("imatrix", "--in-file", out, "--in-file", old, "-c", 32, "-o", both)
    joined = gk.read_imatrix(both)
    assert joined.chunk_count == 2 * one.chunk_count
    shown = ggmlkit("imatrix", "--in-file", both, "--show-statistics").stdout
    assert "blk.0.attn_q.weight" in shown
    assert "similar: cosine" in shown
    document = json.loads(
        ggmlkit("imatrix", "--in-file", both, "--show-statistics", "--json").stdout
    )
    assert document["chunk_size"] == 32
    assert {each["name"] for each in document["matrices"]} == set(joined.entries)
    ggmlkit("quantize", F16, tmp_path / "q.gguf", "q4_0", "--imatrix", both)
    ggmlkit(*measured, "-o", tmp_path / "more.gguf", "--in-file", both)
    assert gk.read_imatrix(tmp_path / "more.gguf").chunk_count == 3 * one.chunk_count
    ggmlkit(*measured, "-o", out, "--resume")
    assert gk.read_imatrix(out).entries.keys() == one.entries.keys()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("-m", "M"), "give both a model with -m and a text with -f"),
        (("-f", "T"), "give both a model with -m and a text with -f"),
        ((), "or files to join with --in-file"),
        (("-m", "M", "-f", "T", "--chunks", 0), "--chunks must be at least 1"),
        (("-m", "M", "-f", "T", "--json"), "--json goes with --show-statistics"),
        (("-m", "M", "-f", "T", "-o", "M"), "would be written over"),
        (("-m", "M", "-f", "T", "-o", "T"), "would be written over"),
        (("--show-statistics",), "shows one --in-file"),
        (("-m", "M", "-f", "T", "-p", "x"), "give the text as a file with -f"),
    ],
)
def test_commands_that_make_no_sense(
    tmp_path: Path, text: Path, words: tuple[object, ...], reason: str
) -> None:
    model = tmp_path / "m.gguf"
    model.write_bytes(F16.read_bytes())
    paths = {"M": str(model), "T": str(text)}
    arguments = [paths.get(str(word), str(word)) for word in words]
    assert reason in ggmlkit("imatrix", *arguments, code=2).stderr


def test_texts_at_fault(tmp_path: Path, text: Path) -> None:
    out = tmp_path / "i.gguf"
    for raw, reason in (
        (b"", "ggmlkit: the text is empty"),
        (b"short", "too few for one chunk of 512"),
        (b"ab\xff" * 9, f"{text}: at byte 2: the text is not UTF-8"),
    ):
        text.write_bytes(raw)
        assert reason in ggmlkit("imatrix", "-m", F16, "-f", text, "-o", out, code=1).stderr
    assert not out.exists()


def test_an_importance_matrix_of_another_model(tmp_path: Path, text: Path) -> None:
    imatrix = gk.make_imatrix(F16, text.read_text(), chunk_size=32)
    entries = {f"other.{name}": entry for name, entry in imatrix.entries.items()}
    gk.save_imatrix(tmp_path / "i.gguf", type(imatrix)(entries))
    words = ("quantize", F16, tmp_path / "q.gguf", "q4_0", "--imatrix", tmp_path / "i.gguf")
    said = ggmlkit(*words, code=1).stderr
    assert "the importance matrix is another model's" in said
    assert not (tmp_path / "q.gguf").exists()

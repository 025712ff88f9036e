"""Samples of a text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import ggmlkit as gk
from ggmlkit.calibration.samples import Samples, check_vocabulary, read_samples
from ggmlkit.errors import ArgumentError, FormatError, ModelError
from ggmlkit.text.tokenizer import Tokenizer
from paths import GOLDEN


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.from_file(GOLDEN / "gguf-v1-f16.bin")


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text(" ".join(map(str, range(2000))))
    return path


def test_samples_are_pieces_of_the_text(text: Path, tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode(text.read_text(), add_special=False)
    found = read_samples(text, tokenizer, 16, 50, 0)
    assert (found.name, found.used.shape, found.held_out.shape) == ("text.txt", (14, 50), (2, 50))
    begins = []
    for sample in found.all:
        assert tokenizer.add_bos
        assert sample[0] == tokenizer.bos_id
        begins += [at for at in range(0, len(ids), 50) if ids[at + 1 : at + 50] == list(sample[1:])]
    assert len(set(begins)) == 16
    assert np.ptp(begins) > len(ids) / 2  # from all over it
    again, other = (read_samples(text, tokenizer, 16, 50, seed) for seed in (0, 1))
    np.testing.assert_array_equal(again.all, found.all)
    assert not np.array_equal(other.all, found.all)


def test_a_short_text_gives_fewer(text: Path, tokenizer: Tokenizer) -> None:
    text.write_text("a" * 119)
    ids = tokenizer.encode(text.read_text(), add_special=False)
    found = read_samples(text, tokenizer, 100, len(ids) // 2, 0)
    assert (len(found.used), len(found.held_out)) == (1, 1)
    with pytest.raises(
        ArgumentError,
        match=rf"text\.txt has {len(ids)} tokens, but calibration needs at least {len(ids) + 2};",
    ):
        read_samples(text, tokenizer, 100, len(ids) // 2 + 1, 0)


@pytest.mark.parametrize("data", [b"", b" \n\t"])
def test_an_empty_text_is_refused(text: Path, tokenizer: Tokenizer, data: bytes) -> None:
    text.write_bytes(data)
    with pytest.raises(ArgumentError, match=r"text\.txt is empty; calibration needs some text"):
        read_samples(text, tokenizer, 4, 100, 0)


def test_a_text_that_is_not_utf8_is_refused(text: Path, tokenizer: Tokenizer) -> None:
    text.write_bytes(b"abc\xff\xfe")
    with pytest.raises(FormatError, match=r"text\.txt: at byte 3: the text is not UTF-8"):
        read_samples(text, tokenizer, 4, 100, 0)


def test_a_missing_text_is_named(tmp_path: Path, tokenizer: Tokenizer) -> None:
    with pytest.raises(FileNotFoundError, match=r"gone\.txt"):
        read_samples(tmp_path / "gone.txt", tokenizer, 4, 100, 0)


def test_a_vocabulary_of_another_model_is_refused() -> None:
    ids = np.array([[1, 9]], np.int32)
    check_vocabulary(Samples("a", ids, ids), 10, "m.gguf")
    with pytest.raises(ModelError, match=r"m\.gguf: its vocabulary gives token 9, but it has 9"):
        check_vocabulary(Samples("a", ids, ids), 9, "m.gguf")


def test_settings_are_checked() -> None:
    with pytest.raises(ArgumentError, match="method is 'best', not one of search, feedback"):
        gk.Calibration("a", "best")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="samples must be at least 2, not 1"):
        gk.Calibration("a", samples=1)
    with pytest.raises(ArgumentError, match="drift is 2, not between 0 and 1"):
        gk.Calibration("a", drift=2)
    with pytest.raises(ArgumentError, match="text"):
        gk.Calibration(b"a")  # type: ignore[arg-type]

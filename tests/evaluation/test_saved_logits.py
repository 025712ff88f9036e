"""Files of predictions: their bytes, the same figures from them, and damaged ones."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

import ggmlkit as gk
from ggmlkit.evaluation.all_logits import packed, row_bytes
from ggmlkit.evaluation.bases import open_saved
from ggmlkit.evaluation.distributions import likeliest, log_softmax
from ggmlkit.evaluation.evaluating import perplexity
from ggmlkit.evaluation.results import Divergence

CONTEXT, CHUNKS, POSITIONS, VOCAB = 16, 3, 7, 384
ALL, TOP = "all", "top"


@pytest.fixture(scope="module")
def saved(base: Path, text: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both forms of the base's predictions; top keeps all tokens but four."""
    folder = tmp_path_factory.mktemp("saved")
    perplexity(
        base, text, context=CONTEXT, chunks=CHUNKS, save_top=folder / TOP, top=VOCAB - 4,
        save_all=folder / ALL,
    )  # fmt: skip
    return folder


def beside(model: Path, base: Path) -> Divergence:
    found = perplexity(model, base=base).base
    assert found is not None
    return found


@pytest.mark.parametrize("form", [ALL, TOP])
def test_a_saved_base_gives_the_figures_of_the_model(
    saved: Path, base: Path, quantized: Path, text: str, form: str
) -> None:
    direct = perplexity(quantized, text, context=CONTEXT, chunks=CHUNKS, base=base).base
    found = beside(quantized, saved / form)
    assert direct is not None
    assert found.kl.value == pytest.approx(direct.kl.value, rel=2e-3)
    assert found.kl_by_position == pytest.approx(direct.kl_by_position, rel=0.02, abs=1e-5)
    assert found.base_perplexity.value == pytest.approx(direct.base_perplexity.value, rel=1e-4)
    assert found.p_difference_rms.value == pytest.approx(direct.p_difference_rms.value, rel=0.01)
    assert found.top_1 == direct.top_1
    own = beside(base, saved / form)
    assert own.kl.value == pytest.approx(0, abs=1e-6)
    assert own.top_1.value == 1


def test_few_top_tokens_give_a_smaller_divergence(
    saved: Path, base: Path, quantized: Path, text: str, tmp_path: Path
) -> None:
    small = tmp_path / "small"
    perplexity(base, text, context=CONTEXT, chunks=CHUNKS, save_top=small, top=8)
    assert 0 < beside(quantized, small).kl.value < beside(quantized, saved / TOP).kl.value
    assert beside(quantized, small).top_5 == beside(quantized, saved / TOP).top_5
    assert small.stat().st_size < (saved / TOP).stat().st_size / 20


def test_bytes_of_all_logits(saved: Path, base: Path, text: str) -> None:
    data = (saved / ALL).read_bytes()
    assert struct.unpack_from("<8sIii", data) == (b"_logits_", CONTEXT, VOCAB, CHUNKS)
    tokens = np.frombuffer(data, "<i4", CHUNKS * CONTEXT, 20)
    with gk.Llama(base, context=CONTEXT) as llama:
        ids = llama.tokenizer.encode(text)[: CHUNKS * CONTEXT]
        logits = llama.logits([llama.tokenizer.bos_id or 0, *ids[1:CONTEXT]])
    assert tokens.tolist() == ids
    rows = data[20 + tokens.nbytes :]
    assert len(rows) == CHUNKS * POSITIONS * (8 + 2 * VOCAB)
    step, lowest = struct.unpack_from("<ff", rows)
    numbers = np.frombuffer(rows, "<u2", VOCAB, 8)
    expected = log_softmax(logits[8:9])[0]
    assert step * numbers.astype(np.float64) + lowest == pytest.approx(expected, abs=1e-3)
    assert (numbers.min(), numbers.max()) == (0, 65535)


def test_bytes_of_top_logits(saved: Path) -> None:
    data = (saved / TOP).read_bytes()
    head = struct.unpack_from("<6sHIIII", data)
    assert head == (b"GGKTOP", 1, CONTEXT, VOCAB, CHUNKS, VOCAB - 4)
    start = 24 + 32 + 4 * CHUNKS * CONTEXT
    row = 8 * (VOCAB - 4) + 8
    chunk = data[start : start + POSITIONS * row]
    assert struct.unpack_from("<I", data, start + len(chunk))[0] == zlib.crc32(chunk)
    assert len(data) == start + CHUNKS * (POSITIONS * row + 4)
    ids = np.frombuffer(chunk, "<u4", VOCAB - 4)
    kept = np.frombuffer(chunk, "<f4", VOCAB - 4, 4 * (VOCAB - 4))
    target, rest = struct.unpack_from("<ff", chunk, row - 8)
    tokens = np.frombuffer(data, "<i4", CONTEXT, 56)
    assert len(set(ids.tolist())) == VOCAB - 4
    assert (np.diff(kept) <= 0).all()
    assert np.exp(kept.astype(float)).sum() + rest == pytest.approx(1, abs=1e-5)
    (place,) = np.flatnonzero(ids == tokens[9])
    assert kept[place] == pytest.approx(target)


def reference_row(log_probs: list[float]) -> bytes:
    """A row of llama-perplexity's file, one number after the other."""
    highest = np.float32(max(log_probs))
    lowest = max(np.float32(min(log_probs)), highest - np.float32(16))
    step = (highest - lowest) / np.float32(65535)
    numbers = [
        int(np.rint((np.float32(1) / step) * (np.float32(p) - lowest)))
        if p > lowest and step
        else 0
        for p in log_probs
    ]
    row = struct.pack(f"<ff{len(numbers)}H", step, lowest, *numbers)
    return row + b"\0\0" * (len(numbers) % 2)


@pytest.mark.parametrize("vocab", [4, 5, 301])
def test_rows_are_packed_as_defined(vocab: int) -> None:
    logits = np.random.default_rng(vocab).normal(0, 9, (6, vocab)).astype(np.float32)
    logits[0] = 1  # all alike: no step
    log_probs = log_softmax(logits)
    rows = packed(log_probs)
    assert rows.shape == (6, row_bytes(vocab))
    assert [row.tobytes() for row in rows] == [reference_row(r.tolist()) for r in log_probs]


def test_likeliest_prefers_low_ids_among_equals() -> None:
    rows = np.array([[0, 2, 1, 1, 1], [3, 3, 3, 3, 3]], np.float32)
    assert likeliest(rows, 3).tolist() == [[1, 2, 3], [0, 1, 2]]
    assert likeliest(rows, 9).tolist() == [[1, 2, 3, 4, 0], [0, 1, 2, 3, 4]]


# -------------------------------------------------------------------- what doesn't fit


@pytest.mark.parametrize("form", [ALL, TOP])
def test_a_base_must_be_of_the_same_work(saved: Path, base: Path, text: str, form: str) -> None:
    path = saved / form
    for given, message in (
        ({"context": 32}, "was made with a context of 16, not 32: give that one"),
        ({"chunks": 9}, r"has 3 chunks, fewer than the 9 of the text: evaluate 3"),
        ({"text": "x" + text}, "was made of another text or vocabulary: chunk 0 has other tokens"),
    ):
        with pytest.raises(gk.ArgumentError, match=message):
            perplexity(base, **{"text": text, **given}, base=path)  # type: ignore[arg-type]


def test_a_base_of_another_vocabulary(saved: Path, base: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.gguf"
    with gk.open(base) as file:
        tokens = list(file.metadata["tokenizer.ggml.tokens"])
        tokens[300], tokens[301] = tokens[301], tokens[300]
        gk.save(other, file.tensors, {**file.metadata, "tokenizer.ggml.tokens": tokens})
    with pytest.raises(gk.ArgumentError, match=r"other\.gguf has other tokens than its base"):
        perplexity(other, base=saved / TOP)
    raw = bytearray((saved / ALL).read_bytes())
    raw[12:16] = struct.pack("<i", VOCAB + 1)
    rows = CHUNKS * POSITIONS * (row_bytes(VOCAB + 1) - row_bytes(VOCAB))
    (tmp_path / "wide").write_bytes(raw + b"\0" * rows)
    with pytest.raises(gk.ArgumentError, match=r"has 384 tokens, but its base .* has 385"):
        perplexity(base, base=tmp_path / "wide")


@pytest.mark.parametrize(
    ("form", "offset", "data", "message"),
    [
        (ALL, 8, struct.pack("<I", 2), "a context of 2 tokens has no scored positions"),
        (ALL, 8, b"\xff\xff\xff\xff", "a context of 4294967295 tokens"),
        (ALL, 12, struct.pack("<i", -1), "a vocabulary of -1 tokens is none"),
        (ALL, 16, struct.pack("<i", 0), "the file holds 0 chunks"),
        (ALL, 16, struct.pack("<i", 2**31 - 1), "was cut short, or its writer was stopped"),
        (ALL, 16, struct.pack("<i", 2), "bytes are left behind 2 chunks"),
        (ALL, 20, struct.pack("<i", VOCAB), "token 384 is not in a vocabulary of 384"),
        (ALL, 20 + 4 * CHUNKS * CONTEXT, b"\0\0\xc0\x7f", "a position has no log-prob"),
        (ALL, 20 + 4 * CHUNKS * CONTEXT, struct.pack("<f", 3e38), "a position has no log-prob"),
        (ALL, 24 + 4 * CHUNKS * CONTEXT, struct.pack("<f", -3e38), "a position has no log-prob"),
        (TOP, 6, b"\2\0", "the file is of version 2; this build reads 1"),
        (TOP, 20, struct.pack("<I", 0), "0 tokens of a vocabulary of 384 are kept"),
        (TOP, 20, struct.pack("<I", 385), "385 tokens of a vocabulary of 384 are kept"),
        (TOP, 300, b"\xff", "the chunk is damaged: its checksum is another"),
    ],
)
def test_damaged_files_get_one_sentence(
    saved: Path, base: Path, tmp_path: Path, form: str, offset: int, data: bytes, message: str
) -> None:
    raw = bytearray((saved / form).read_bytes())
    raw[offset : offset + len(data)] = data
    path = tmp_path / "damaged"
    path.write_bytes(raw)
    with pytest.raises(gk.FormatError, match=message) as caught:
        perplexity(base, base=path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("cut", [9, 30, -1])
@pytest.mark.parametrize("form", [ALL, TOP])
def test_files_that_were_cut_short(
    saved: Path, base: Path, tmp_path: Path, form: str, cut: int
) -> None:
    path = tmp_path / "cut"
    path.write_bytes((saved / form).read_bytes()[:cut])
    with pytest.raises(gk.FormatError, match="bytes"):
        perplexity(base, base=path)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("ids", VOCAB),
        ("log_probs", np.nan),
        ("log_probs", 0.5),
        ("rest", -1),
        ("rest", np.inf),
        ("target", np.nan),
        ("target", 1),
    ],
)
def test_rows_that_are_no_probabilities(
    saved: Path, base: Path, tmp_path: Path, field: str, value: float
) -> None:
    path = tmp_path / "made"
    raw = bytearray((saved / TOP).read_bytes())
    with open_saved(saved / TOP) as found:  # type: ignore[union-attr]
        row = found._row  # type: ignore[union-attr]
    start, size = 56 + 4 * CHUNKS * CONTEXT, POSITIONS * row.itemsize
    rows = np.frombuffer(raw, row, POSITIONS, start)
    rows[field][2] = value
    raw[start + size : start + size + 4] = struct.pack("<I", zlib.crc32(raw[start : start + size]))
    path.write_bytes(raw)
    with pytest.raises(gk.FormatError, match="position 2 of the chunk holds no probabilities"):
        perplexity(base, base=path)


def test_no_file_is_left_where_it_fails(base: Path, text: str, tmp_path: Path) -> None:
    def stop(done: int, *_: object) -> None:
        if done:
            raise KeyboardInterrupt

    (tmp_path / "old").write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt):
        perplexity(
            base, text, context=200, save_top=tmp_path / "old", save_all=tmp_path / "new",
            progress=stop,
        )  # fmt: skip
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    assert (tmp_path / "old").read_bytes() == b"old"

"""Importance matrices made here: what is summed, what is saved, and what is refused."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest

import ggmlkit as gk
from ggmlkit.calibration.imatrix import make_imatrix
from ggmlkit.calibration.saving import Saving
from ggmlkit.calibration.sums import ColumnSums
from ggmlkit.calibration.text import text_of, token_chunks
from ggmlkit.engine.model import Model
from ggmlkit.io import imatrix as io_imatrix
from ggmlkit.io.imatrix import Imatrix, ImatrixEntry, read_imatrix
from paths import GOLDEN

F16 = GOLDEN / "gguf-v1-f16.bin"
TEXT = "the quick brown fox jumps over the lazy dog " * 12
SIZE = 32


@pytest.fixture(scope="module")
def model() -> Model:
    return Model(F16, context=64)


def same(one: Imatrix, other: Imatrix) -> bool:
    return one.entries.keys() == other.entries.keys() and all(
        np.array_equal(one.entries[name].sums, other.entries[name].sums)
        and np.array_equal(one.entries[name].counts, other.entries[name].counts)
        for name in one.entries
    )


def made(model: Model, **settings: object) -> Imatrix:
    return make_imatrix(model, TEXT, chunk_size=SIZE, **settings)  # type: ignore[arg-type]


def test_squares_of_what_enters_each_matrix_are_summed(model: Model) -> None:
    chunks = token_chunks(model, TEXT, SIZE)
    expected: dict[str, np.ndarray] = {}

    def observe(names: tuple[str, ...], x: np.ndarray) -> None:
        for name in names:
            expected[name] = expected.get(name, 0) + np.square(x.astype(np.float64)).sum(0)

    for chunk in chunks:
        model.step([gk.Chunk(model.sequence(), chunk, "all")], observe)
    found = made(model, output=True, dataset="some.txt")
    assert found.entries.keys() == expected.keys()
    for name, entry in found.entries.items():
        assert entry.counts.tolist() == [chunks.size]
        np.testing.assert_allclose(entry.sums, expected[name][None], rtol=1e-5)
    assert (found.chunk_count, found.chunk_size) == (len(chunks), SIZE)
    assert found.datasets == ["some.txt"]


def test_the_output_matrix_is_measured_on_request_only(model: Model) -> None:
    assert made(model, output=True).entries.keys() - made(model).entries.keys() == {"output.weight"}


def test_each_chunk_begins_as_texts_do(model: Model) -> None:
    tokenizer = model.tokenizer
    ids = tokenizer.encode(TEXT)
    assert tokenizer.add_bos
    chunks = token_chunks(model, TEXT, SIZE, skip=1, most=2)
    assert chunks[:, 0].tolist() == [tokenizer.bos_id] * 2
    assert chunks[:, 1:].tolist() == [ids[SIZE + 1 : 2 * SIZE], ids[2 * SIZE + 1 : 3 * SIZE]]
    assert token_chunks(model, ids, SIZE).reshape(-1).tolist() == ids[: len(ids) // SIZE * SIZE]


def test_a_fused_tensor_has_one_entry(tmp_path: Path) -> None:
    with gk.open(F16) as file:
        tensors = dict(file.tensors)
        parts = [tensors.pop(f"blk.0.attn_{part}.weight") for part in "qkv"]
        rows = np.concatenate([part.dequantize() for part in parts])
        tensors["blk.0.attn_qkv.weight"] = gk.quantize(rows, "f16")
        gk.save(tmp_path / "fused.gguf", tensors, file.metadata)
    fused = make_imatrix(tmp_path / "fused.gguf", TEXT, chunk_size=SIZE)
    plain = make_imatrix(F16, TEXT, chunk_size=SIZE)
    entry, expected = fused.entries["blk.0.attn_qkv.weight"], plain.entries["blk.0.attn_q.weight"]
    assert "blk.0.attn_q.weight" not in fused.entries
    np.testing.assert_array_equal(entry.counts, expected.counts)
    np.testing.assert_allclose(entry.sums, expected.sums, rtol=1e-5)


def test_experts_are_summed_apart() -> None:
    x = np.array([[1, 2], [3, 4], [5, 6]], np.float32)
    sums = ColumnSums()
    sums.add(("e",), x, np.array([[0, 2], [2, 3], [2, 0]]), 4)
    own = np.stack([x, 10 * x], axis=1)  # another input for each of a token's experts
    sums.add(("own",), own, np.array([[0, 2], [2, 3], [2, 0]]), 4)
    sums.commit()
    entry = sums.entries["e"]
    assert entry.sums.tolist() == [[26, 40], [0, 0], [35, 56], [9, 16]]
    assert entry.counts.tolist() == [2, 0, 3, 1]
    assert sums.entries["own"].sums.tolist() == [[2501, 3604], [0, 0], [134, 452], [900, 1600]]


def test_work_can_be_resumed_and_comes_to_the_same_bits(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = made(model)
    path = tmp_path / "i.gguf"
    assert same(made(model, saving=Saving(path, every=1)), whole)
    assert same(read_imatrix(path), whole)
    path.unlink()
    steps = []

    def stopped(*arguments: object) -> None:
        steps.append(arguments)
        if len(steps) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr("ggmlkit.calibration.imatrix._TOGETHER", SIZE)
    with pytest.raises(KeyboardInterrupt, match=r"holds 1 of \d+ chunks"):
        made(model, saving=Saving(path, every=0), progress=stopped)
    part = read_imatrix(path)
    assert part.work is not None
    assert part.work.done == part.chunk_count == 1
    assert same(made(model, saving=Saving(path, resume=True)), whole)
    said: list[int] = []
    made(model, saving=Saving(path, resume=True), progress=lambda done, *_: said.append(done))
    assert len(said) == 1  # there was nothing left to do


def test_copies_stay(model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ggmlkit.calibration.imatrix._TOGETHER", SIZE)
    made(model, chunks=5, saving=Saving(tmp_path / "i.dat", copies_every=2))
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["i.dat", "i.dat.at_2", "i.dat.at_4"]
    assert read_imatrix(tmp_path / "i.dat.at_4").chunk_count == 4


def test_what_was_added_before_is_kept(model: Model) -> None:
    chunks = token_chunks(model, TEXT, SIZE)
    half = len(chunks) // 2
    first = make_imatrix(model, chunks[:half].reshape(-1), chunk_size=SIZE, dataset="a")
    both = make_imatrix(model, chunks[half:].reshape(-1), chunk_size=SIZE, start=first, dataset="b")
    assert same(both, made(model))
    assert both.datasets == ["a", "b"]
    assert both.chunk_count == len(chunks)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"text": ""}, "the text is empty"),
        ({"text": "too short"}, r"the text has \d+ tokens, too few for one chunk of 32"),
        ({"skip": 1000}, "too few for one chunk of 32 after the 1000 to skip"),
        ({"chunk_size": 65}, "chunks of 65 tokens do not fit the model's context of 64"),
        ({"chunk_size": 0}, "chunk_size"),
        ({"chunks": 0}, "chunks"),
    ],
)
def test_texts_and_numbers_that_are_refused(
    model: Model, settings: dict[str, object], reason: str
) -> None:
    with pytest.raises(gk.ArgumentError, match=reason):
        make_imatrix(model, **{"text": TEXT, "chunk_size": SIZE, **settings})  # type: ignore[arg-type]


def test_other_work_is_not_resumed(model: Model, tmp_path: Path) -> None:
    path = tmp_path / "i.gguf"
    made(model, saving=Saving(path))
    before = path.read_bytes()
    for change in ({"chunks": 2}, {"skip": 1}, {"output": True}, {"start": made(model)}):
        with pytest.raises(gk.ArgumentError, match="can't be resumed: it was made of another"):
            made(model, saving=Saving(path, resume=True), **change)
    assert path.read_bytes() == before
    gk.save_imatrix(path, Imatrix(made(model).entries))
    with pytest.raises(gk.ArgumentError, match="can't be resumed"):
        made(model, saving=Saving(path, resume=True))
    with pytest.raises(gk.ArgumentError, match="can't be resumed; save as gguf"):
        Saving(tmp_path / "i.dat", resume=True)


def test_a_matrix_of_another_model_is_not_added_to(model: Model) -> None:
    ones = np.ones(1, np.float32)
    narrow = Imatrix({"blk.0.attn_q.weight": ImatrixEntry(np.ones((1, 7), np.float32), ones)})
    with pytest.raises(gk.ImportanceError, match=r"another model's: blk\.0\.attn_q\.weight has 7"):
        made(model, start=narrow)
    foreign = Imatrix({"blk.99.attn_q.weight": ImatrixEntry(np.ones((1, 7), np.float32), ones)})
    with pytest.raises(gk.ImportanceError, match="the model has none of its matrices, such as blk"):
        made(model, start=foreign)


def test_a_full_disk_loses_nothing(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "i.gguf"
    writes = []

    def written(target: object, *rest: object) -> None:
        writes.append(target)
        if len(writes) == 2:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        io_imatrix.save_imatrix(target, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr("ggmlkit.calibration.imatrix._TOGETHER", SIZE)
    monkeypatch.setattr("ggmlkit.calibration.saving.save_imatrix", written)
    with pytest.raises(OSError, match=r"No space left on device; .*i\.gguf still holds 1 chunk"):
        made(model, saving=Saving(path, every=1))
    assert same(read_imatrix(path), made(model, chunks=1))
    assert same(made(model, saving=Saving(path, every=1, resume=True)), made(model))


def test_a_folder_that_cannot_be_written_is_an_error_at_once(model: Model, tmp_path: Path) -> None:
    steps: list[object] = []
    with pytest.raises(FileNotFoundError):
        made(
            model,
            saving=Saving(tmp_path / "no" / "i.gguf"),
            progress=lambda *arguments: steps.append(arguments),
        )
    assert steps == []


def test_activations_that_are_not_finite_are_named() -> None:
    sums = ColumnSums()
    with pytest.raises(gk.ModelError, match=r"what enters blk\.0\.attn_q\.weight is not finite"):
        sums.add(("blk.0.attn_q.weight",), np.full((2, 3), np.inf, np.float32))


def test_a_text_is_utf_8(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_bytes(b"ab\xff")
    with pytest.raises(gk.FormatError, match="at byte 2: the text is not UTF-8"):
        text_of(tmp_path / "t.txt")
    (tmp_path / "t.txt").write_text("a line\n\n")
    assert text_of(tmp_path / "t.txt") == "a line\n"

"""Importance matrices and the models they are for: what fits, what doesn't, and the notes."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import ggmlkit as gk
from ggmlkit.cli.app import run
from ggmlkit.errors import FormatError, ImportanceError
from ggmlkit.io.imatrix import Imatrix, ImatrixEntry, read_imatrix, save_imatrix

Floats = NDArray[np.float32]
Q, EXPERTS = "blk.0.attn_q.weight", "blk.0.ffn_gate_exps.weight"
COLUMNS = 512


def normal(*shape: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    values = {
        "token_embd.weight": normal(8, COLUMNS, seed=1),
        Q: normal(8, COLUMNS, seed=2),
        EXPERTS: normal(4, 6, COLUMNS, seed=3),
    }
    tensors = {name: gk.quantize(x, "f32") for name, x in values.items()}
    gk.save(tmp_path / "model.gguf", tensors, {"general.architecture": "llama"})
    return tmp_path / "model.gguf"


def entry(sums: Floats, *counts: float) -> ImatrixEntry:
    return ImatrixEntry(np.atleast_2d(sums), np.array(counts, np.float32))


def quantized(model: Path, entries: dict[str, ImatrixEntry], type: str = "q4_K") -> list[str]:
    path = model.with_name("imatrix.gguf")
    save_imatrix(path, Imatrix(entries))
    out = model.with_name("out.gguf")
    return gk.quantize_file(model, out, type, pure=True, importance=read_imatrix(path).importance)


def blocks(model: Path, name: str) -> NDArray[np.uint8]:
    with gk.open(model.with_name("out.gguf")) as file:
        return file[name].data.copy()


@pytest.mark.parametrize("part", [1 << 20, 3 * COLUMNS])  # runs of three rows cross experts
def test_each_expert_is_weighted_by_its_own_counts(
    model: Path, monkeypatch: pytest.MonkeyPatch, part: int
) -> None:
    monkeypatch.setattr("ggmlkit.quantization.file._PART", part)
    sums = normal(4, COLUMNS, seed=5) ** 4
    notes = quantized(model, {EXPERTS: entry(sums, 4, 9, 0, 1)})
    assert any("no importance was counted for" in note and "(experts 2)" in note for note in notes)
    with gk.open(model) as file:
        values = file[EXPERTS].dequantize()
    alone = [
        gk.quantize(x, "q4_K", importance=None if not count else sums[i] / np.float32(count)).data
        for i, (x, count) in enumerate(zip(values, (4, 9, 0, 1), strict=True))
    ]
    assert np.array_equal(blocks(model, EXPERTS), np.concatenate(alone))


def test_the_binary_form_has_experts_in_one_row(model: Path) -> None:
    sums = (normal(4, COLUMNS, seed=5) ** 4).reshape(-1)
    name = EXPERTS.encode()
    raw = struct.pack("<ii", 1, len(name)) + name + struct.pack("<ii", 2, sums.size)
    path = model.with_name("imatrix.dat")
    path.write_bytes(raw + (2 * sums).tobytes())
    out = model.with_name("out.gguf")
    gk.quantize_file(model, out, "q4_K", pure=True, importance=read_imatrix(path).importance)
    with gk.open(model) as file:
        expected = gk.quantize(file[EXPERTS], "q4_K", importance=sums.reshape(4, -1))
    assert np.array_equal(blocks(model, EXPERTS), expected.data)


@pytest.mark.parametrize("counts", [0, 5])
def test_an_entry_of_zeros_counts_as_no_entry(model: Path, counts: int) -> None:
    notes = quantized(model, {Q: entry(np.zeros(COLUMNS, np.float32), counts)})
    assert f"no importance was counted for {Q}: quantized without it" in notes
    with gk.open(model) as file:
        assert np.array_equal(blocks(model, Q), gk.quantize(file[Q], "q4_K").data)


@pytest.mark.parametrize("power", [-38, -20, 20, 37])
def test_only_ratios_of_importance_matter(model: Path, power: int) -> None:
    sums = normal(COLUMNS, seed=6) ** 2
    quantized(model, {Q: entry(sums * np.float32(10.0**power), 1)})
    with gk.open(model.with_name("out.gguf")) as file, gk.open(model) as source:
        assert np.abs(file[Q].dequantize() - source[Q].dequantize()).max() < 0.5


def test_an_entry_of_another_width(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for sums in (normal(500) ** 2, normal(4, COLUMNS) ** 2):
        entries = {Q: entry(sums, *[1] * len(np.atleast_2d(sums)))}
        with pytest.raises(ImportanceError, match=r"importance of blk\.0\.attn_q\.weight has sha"):
            quantized(model, entries)
    out, imatrix = str(model.with_name("x.gguf")), str(model.with_name("imatrix.gguf"))
    assert run(["quantize", str(model), out, "q4_K", "--imatrix", imatrix]) == 1
    message = capsys.readouterr().err
    assert message.startswith("ggmlkit: the importance of blk.0.attn_q.weight has shape (4, 512)")
    assert not Path(out).exists()


def test_entries_of_tensors_that_the_model_lacks(model: Path) -> None:
    ones = np.ones(COLUMNS, np.float32)
    names = [f"blk.{n}.attn_q.weight" for n in range(7)]
    notes = quantized(model, {name: entry(ones, 1) for name in names})
    assert (
        "6 of 7 entries of the importance matrix are for tensors that the model doesn't have: "
        "blk.1.attn_q.weight, blk.2.attn_q.weight, blk.3.attn_q.weight, blk.4.attn_q.weight and 2 "
        "more"
    ) in notes


@pytest.mark.parametrize("bad", [np.nan, -1.0, np.inf])
def test_invalid_importance(model: Path, bad: float) -> None:
    sums = np.ones(COLUMNS, np.float32)
    sums[7] = bad
    with pytest.raises(FormatError, match=rf"attn_q\.weight\.in_sum2' holds {bad} at 7"):
        quantized(model, {Q: entry(sums, 1)})
    with pytest.raises(ImportanceError, match=rf"attn_q\.weight must be finite.* is {bad} at 7"):
        gk.quantize_file(model, model.with_name("o.gguf"), "q4_K", importance={Q: sums})
    assert not model.with_name("o.gguf").exists()


def test_notes_name_matrices_that_get_no_importance(model: Path) -> None:
    some = entry(np.ones(COLUMNS, np.float32), 1)
    notes = quantized(model, {Q: some})
    with gk.open(model) as file:
        others = [name for name, tensor in file.tensors.items() if len(tensor.shape) > 1]
    others.remove(Q)
    assert (
        f"{len(others)} of {len(others) + 1} matrices have no entry in the importance" in notes[-1]
    )
    assert others[0] in notes[-1]
    useless = gk.quantize_file(
        model, model.with_name("o.gguf"), "q8_0", importance={Q: np.ones(COLUMNS, np.float32)}
    )
    assert "q8_0 can't use importance: such matrices are made without it" in useless
    assert "importance" not in str(gk.quantize_file(model, model.with_name("o.gguf"), "q4_K"))


@pytest.mark.parametrize("type", ["iq1_s", "iq2_m", "iq3_xxs"])
def test_types_of_few_bits_need_importance(model: Path, type: str) -> None:
    out = model.with_name("o.gguf")
    reason = rf"{EXPERTS.replace('.', '[.]')} can't be made iq.* without the importance"
    for importance in (None, {Q: np.ones(COLUMNS, np.float32)}):
        with pytest.raises(ImportanceError, match=reason if importance else "without the importan"):
            gk.quantize_file(model, out, type, importance=importance)
    with pytest.raises(ImportanceError, match="make an importance matrix of this model"):
        gk.quantize_file(model, out, type, tensor_types=[("attn_q", "iq2_s")])
    assert not out.exists()
    everything = {name: np.ones(COLUMNS, np.float32) for name in (Q, EXPERTS)}
    gk.quantize_file(model, out, type, importance=everything)
    with gk.open(out) as file:
        assert file["token_embd.weight"].type.name in ("q5_K", "q6_K")  # it makes the logits


def test_types_with_more_bits_do_not(model: Path) -> None:
    for type in ("iq3_s", "iq3_m", "q2_K"):
        gk.quantize_file(model, model.with_name("o.gguf"), type)

"""Every writer refuses values that its file can't hold, and names tensor, place and value."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ggmlkit as gk
from ggmlkit.errors import UnstorableError
from ggmlkit.io.gguf.split import split_file
from ggmlkit.io.gguf_view import as_gguf

Q = "blk.1.attn_q.weight"
LAST = (63, 63)
Write = Callable[[Path, Path], object]


def model(golden: Path, path: Path, value: float, **settings: Any) -> Path:
    """The golden model with a large weight at the end of a matrix."""
    with gk.open(golden / "ggjt-v3-f16.bin") as file:
        metadata, tensors = as_gguf(file)
        values = tensors[Q].dequantize()
        values[LAST] = value
        tensors[Q] = gk.quantize(values, "f32", name=Q)
        gk.save(path, tensors, metadata, **settings)
    return path


def adapter(path: Path, size: float) -> Path:
    tensors = {
        f"{Q}.lora_a": gk.quantize(np.full((1, 64), size, np.float32), "f32"),
        f"{Q}.lora_b": gk.quantize(np.full((64, 1), size, np.float32), "f32"),
    }
    metadata = {
        "general.architecture": "llama",
        "general.type": "adapter",
        "adapter.type": "lora",
        "adapter.lora.alpha": 1.0,
    }
    gk.save(path, tensors, metadata)
    return path


WRITERS: dict[str, tuple[float, Write]] = {
    "quantize": (1e6, lambda a, out: gk.quantize_file(a, out / "m.gguf", "q4_0")),
    "quantize to ggjt": (1e6, lambda a, out: gk.quantize_file(a, out / "m.bin", "q4_0")),
    "quantize to f16": (-7e4, lambda a, out: gk.quantize_file(a, out / "m.gguf", "f16")),
    "quantize to bf16": (3.4e38, lambda a, out: gk.quantize_file(a, out / "m.gguf", "bf16")),
    "convert": (2e6, lambda a, out: gk.convert(a, out / "m.gguf", type="q4_K_M", pure=True)),
    "convert to ggjt": (7e4, lambda a, out: gk.convert(a, out / "m.bin")),
    "convert big-endian": (
        1e6,
        lambda a, out: gk.convert(a, out / "m.gguf", type="q4_0", byte_order="big"),
    ),
    "export": (7e4, lambda a, out: gk.export(a, out / "hf", type="f16")),
    "export to bf16": (-3.4e38, lambda a, out: gk.export(a, out / "hf", type="bf16")),
    "export for Meta": (7e4, lambda a, out: gk.export(a, out / "meta", "meta", "f16")),
    "export for numpy": (7e4, lambda a, out: gk.export(a, out / "a.npz", "npz", "f16")),
    "apply-lora": (
        3e38,
        lambda a, out: gk.apply_lora(a, adapter(a.with_name("a.gguf"), 1.5e19), out / "m.gguf"),
    ),
    "apply-lora to a type": (
        1e6,
        lambda a, out: gk.apply_lora(
            a, adapter(a.with_name("a.gguf"), 1e-3), out / "m.gguf", type="q4_0"
        ),
    ),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_nothing_is_written(golden: Path, tmp_path: Path, writer: str) -> None:
    value, write = WRITERS[writer]
    out = tmp_path / "out"
    out.mkdir()
    source = model(golden, tmp_path / "source.gguf", value)
    with pytest.raises(UnstorableError) as caught:
        write(source, out)
    error = caught.value
    assert error.index == LAST
    assert "attn_q" in error.tensor or "self_attn.q_proj" in error.tensor or ".wq." in error.tensor
    assert not [path for path in out.rglob("*") if path.is_file()]
    if "lora" not in writer:
        assert error.value == np.float32(value)
        assert "f32" in error.holders


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_the_first_place_is_named_whatever_the_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    monkeypatch.setattr("ggmlkit.quantization.file._PART", 3 * 64)
    values = np.zeros((4, 100, 64), np.float32)
    values[3, 99, 63], values[1, 50, 7], values[2, 0, 0] = 1e9, -1e8, np.nan
    tensors = {name: gk.quantize(values, "f32") for name in ("blk.0.b.weight", "blk.0.a.weight")}
    gk.save(tmp_path / "m.gguf", tensors, {"general.architecture": "llama"})
    for _ in range(5):
        with pytest.raises(UnstorableError, match=r"b\.weight' holds -100000000 at \(1, 50, 7\)"):
            gk.quantize_file(tmp_path / "m.gguf", tmp_path / "o.gguf", "q8_0", threads=threads)


@pytest.mark.parametrize("layout", ["big", "split", "v1"])
def test_whatever_file_it_comes_from(golden: Path, tmp_path: Path, layout: str) -> None:
    settings = {"big": {"byte_order": "big"}, "v1": {"version": 1}}.get(layout, {})
    source = model(golden, tmp_path / "m.gguf", 1e6, **settings)
    if layout == "split":
        source = split_file(source, tmp_path / "part", max_tensors=4)[1]
    with pytest.raises(UnstorableError, match=rf"{Q}' holds 1000000 at \(63, 63\), too large"):
        gk.quantize_file(source, tmp_path / "out.gguf", "q4_0")
    assert not (tmp_path / "out.gguf").exists()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_files_of_float16_hold_finite_numbers(golden: Path, tmp_path: Path, value: float) -> None:
    source = model(golden, tmp_path / "m.gguf", value)
    for write in (gk.convert, gk.quantize_file):
        with pytest.raises(UnstorableError, match=rf"holds {value} at \(63, 63\), but f16 needs"):
            write(source, tmp_path / "out.gguf", type="f16")
        write(source, tmp_path / "kept.gguf", type="bf16")  # verify reports it
        with gk.open(tmp_path / "kept.gguf") as kept:
            assert not np.isfinite(kept[Q].dequantize()[LAST])


def test_float16_weights_that_are_not_converted_are_checked_too(
    golden: Path, tmp_path: Path
) -> None:
    with gk.open(golden / "ggjt-v3-f16.bin") as file:
        metadata, tensors = as_gguf(file)
        halves = tensors[Q].numpy().copy()
        halves[LAST] = -np.inf
        tensors[Q] = gk.quantize(halves, "f16", name=Q)
        gk.save(tmp_path / "m.gguf", tensors, metadata)  # as it is: nothing is converted
    writers: list[Write] = [
        lambda a, out: gk.convert(a, out / "m.gguf"),
        lambda a, out: gk.quantize_file(a, out / "m.gguf", "f16"),
        lambda a, out: gk.export(a, out / "hf"),
    ]
    (tmp_path / "out").mkdir()
    for write in writers:
        with pytest.raises(UnstorableError, match=r"holds -inf at \(63, 63\), but f16 needs"):
            write(tmp_path / "m.gguf", tmp_path / "out")


def test_a_vector_beyond_float16_stays_float32_in_a_checkpoint(
    golden: Path, tmp_path: Path
) -> None:
    with gk.open(golden / "ggjt-v3-f16.bin") as file:
        metadata, tensors = as_gguf(file)
        norm = gk.quantize(np.full(64, 1e5, np.float32), "f32", name="output_norm.weight")
        gk.save(tmp_path / "m.gguf", {**tensors, "output_norm.weight": norm}, metadata)
    gk.export(tmp_path / "m.gguf", tmp_path / "hf")
    with gk.open(tmp_path / "hf" / "model.safetensors") as file:
        assert file["model.norm.weight"].type.name == "f32"
        assert file["lm_head.weight"].type.name == "f16"


def test_doubles_and_parts_of_a_tensor(golden: Path, tmp_path: Path) -> None:
    with gk.open(golden / "ggjt-v3-f16.bin") as file:
        metadata, tensors = as_gguf(file)
        wide = tensors[Q].dequantize().astype(np.float64)
        wide[LAST] = 1e300
        tensors[Q] = gk.Tensor("f64", wide.shape, wide.reshape(-1).view(np.uint8), Q)
        gk.save(tmp_path / "m.gguf", tensors, metadata)
    for type in ("f32", "q8_0", "f16"):
        with pytest.raises(UnstorableError, match=rf"holds 1e\+300 at \(63, 63\).* for {type}"):
            gk.quantize_file(tmp_path / "m.gguf", tmp_path / "out.gguf", type)

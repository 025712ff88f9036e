"""Whole files quantized: the bytes, the metadata, and the errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ggmlkit as gk
import gguf
from ggmlkit import io, types
from ggmlkit.errors import ConversionError, FormatError, UnsupportedTypeError
from ggmlkit.io.gguf_view import as_gguf
from ggmlkit.quantization import file as quantize_module
from ggmlkit.quantization import quantize_file
from ggmlkit.tensor import Tensor
from paths import GOLDEN

F16 = GOLDEN / "gguf-v1-f16.bin"
GENERATIONS = ["ggml", "ggmf-v1", "ggjt-v1", "ggjt-v2", "ggjt-v3", "gguf-v1"]


def source_of(generation: str) -> Path:
    path = GOLDEN / f"{generation}-f16.bin"
    return path if path.exists() else GOLDEN / f"{generation}-q5_0.bin"


def reference(tensor: Tensor, type: str) -> bytes:
    """The tensor's bytes as the gguf package quantizes them."""
    kind = gguf.GGMLQuantizationType[type.upper()]
    return gguf.quants.quantize(tensor.dequantize(), kind).tobytes()


def same(a: Any, b: Any) -> bool:
    return bool(np.array_equal(a, b)) if isinstance(a, np.ndarray) else bool(a == b)


@pytest.mark.parametrize("type", ["q4_0", "q5_0", "q8_0"])
@pytest.mark.parametrize("generation", GENERATIONS)
def test_pure_bytes_equal_the_reference(tmp_path: Path, generation: str, type: str) -> None:
    quantize_file(source_of(generation), tmp_path / "out.gguf", type, pure=True)
    with io.open(source_of(generation)) as source, io.open(tmp_path / "out.gguf") as out:
        _, tensors = as_gguf(source)
        assert out.names
        assert set(out.names) == set(tensors)
        for name, tensor in tensors.items():
            wanted = type if len(tensor.shape) == 2 else "f32"
            assert (out[name].type.name, out[name].shape) == (wanted, tensor.shape), name
            assert out[name].data.tobytes() == reference(tensor, wanted), name


@pytest.mark.parametrize("type", ["f32", "f16", "bf16", "q4_0", "q4_1", "q5_0", "q5_1", "q8_0"])
def test_another_reader_gets_the_same_values(tmp_path: Path, type: str) -> None:
    out = tmp_path / "out.gguf"
    quantize_file(F16, out, type)
    with io.open(out) as ours:
        theirs = {t.name: t for t in gguf.GGUFReader(out).tensors}
        assert set(theirs) == set(ours.names)
        for name, tensor in theirs.items():
            values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
            assert np.array_equal(values, ours[name].dequantize()), name


def test_default_keeps_the_logits_matrix_at_eight_bits(tmp_path: Path) -> None:
    quantize_file(F16, tmp_path / "out.gguf", "q4_0")
    with io.open(tmp_path / "out.gguf") as out:
        assert out["output.weight"].type.name == "q8_0"
        assert out["token_embd.weight"].type.name == "q4_0"


def test_metadata_is_kept_and_the_file_type_is_set(tmp_path: Path) -> None:
    quantize_file(F16, tmp_path / "out.gguf", "q5_0")
    new_keys = {"general.file_type", "general.quantization_version"}
    with io.open(F16) as source, io.open(tmp_path / "out.gguf") as out:
        for key in source.metadata.keys() - new_keys:
            assert same(out.metadata[key], source.metadata[key]), key
            assert out.value_types[key] == source.value_types[key], key
        assert out.metadata.keys() - source.metadata.keys() <= new_keys
        assert out.metadata["general.file_type"] == 8
        assert out.metadata["general.quantization_version"] == 2


def test_a_ggjt_file_can_be_written(tmp_path: Path) -> None:
    quantize_file(F16, tmp_path / "out.bin", "q4_0", pure=True)
    quantize_file(F16, tmp_path / "out.gguf", "q4_0", pure=True)
    with io.open(tmp_path / "out.bin") as ggjt, io.open(tmp_path / "out.gguf") as out:
        assert (ggjt.container, ggjt.version) == ("ggjt", 3)
        _, tensors = as_gguf(ggjt)
        assert set(tensors) == set(out.names)
        for name, tensor in tensors.items():
            assert tensor.data.tobytes() == out[name].data.tobytes(), name


def test_container_can_be_named(tmp_path: Path) -> None:
    quantize_file(F16, tmp_path / "out.model", "q4_0", container="ggjt")
    with io.open(tmp_path / "out.model") as out:
        assert out.container == "ggjt"


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("part", [1, 200, 1 << 30])
def test_parts_and_threads_do_not_change_the_bytes(
    monkeypatch: pytest.MonkeyPatch, part: int, threads: int
) -> None:
    values = np.random.default_rng(1).standard_normal((7, 96), np.float32)
    tensor = Tensor("f32", values.shape, values.reshape(-1).view(np.uint8), "w")
    monkeypatch.setattr(quantize_module, "_PART", part)
    q4_0 = quantize_module.in_type(tensor, types.get("q4_0"), threads)
    assert q4_0.data.tobytes() == reference(tensor, "q4_0")


def test_progress_ends_at_the_whole(tmp_path: Path) -> None:
    calls: list[tuple[int, int, str]] = []
    quantize_file(F16, tmp_path / "out.gguf", "q4_0", progress=lambda *call: calls.append(call))
    done, total, _ = calls[-1]
    assert done == total > 0


def test_a_weight_that_is_not_finite_is_named_and_nothing_written(tmp_path: Path) -> None:
    with io.open(F16) as source:
        metadata, tensors = as_gguf(source)
        name = "blk.1.attn_q.weight"
        values = tensors[name].dequantize()
        values[5, 3] = np.nan
        tensors[name] = Tensor("f32", values.shape, values.reshape(-1).view(np.uint8), name)
        io.save(tmp_path / "bad.gguf", tensors, metadata)
    (tmp_path / "out.gguf").write_bytes(b"before")
    with pytest.raises(ConversionError, match=r"blk\.1\.attn_q\.weight.*nan.*\(5, 3\)"):
        quantize_file(tmp_path / "bad.gguf", tmp_path / "out.gguf", "q4_0")
    assert (tmp_path / "out.gguf").read_bytes() == b"before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.gguf", "out.gguf"]


def test_unknown_types_and_damaged_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedTypeError):
        quantize_file(F16, tmp_path / "out.gguf", "q9_9")
    (tmp_path / "cut.gguf").write_bytes(F16.read_bytes()[:5000])
    with pytest.raises(FormatError):
        quantize_file(tmp_path / "cut.gguf", tmp_path / "out.gguf", "q4_0")
    assert not (tmp_path / "out.gguf").exists()


def test_no_package_hides_a_function_of_the_library(tmp_path: Path) -> None:
    gk.quantize_file(F16, tmp_path / "out.gguf", "q4_0")
    gk.convert(F16, tmp_path / "out.gguf", type="q8_0")
    assert gk.quantize(np.zeros(32), "q4_0").type.name == "q4_0"

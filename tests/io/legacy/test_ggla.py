"""ggla: reads the golden adapter, compares it with its PEFT twin, writes it; reports faults."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

import ggmlkit as gk
from ggmlkit import io
from ggmlkit.io.legacy.ggla import LoraFile
from ggmlkit.tensor import Tensor
from paths import GOLDEN

ADAPTER = GOLDEN / "lora-ggla.bin"


def floats(*shape: int) -> Tensor:
    return gk.quantize(np.arange(np.prod(shape), dtype=np.float32).reshape(shape), "f32")


def open_lora(path: Path) -> LoraFile:
    file = io.open(path)
    assert isinstance(file, LoraFile)
    return file


def test_the_golden_adapter_is_read() -> None:
    with open_lora(ADAPTER) as file:
        assert (file.container, file.version, file.rank, file.alpha) == ("ggla", 1, 4, 8)
        assert file.metadata == {
            "general.type": "adapter",
            "adapter.type": "lora",
            "adapter.lora.alpha": 8.0,
            "adapter.lora.rank": 4,
        }
        assert set(file.pairs) == {
            f"layers.{n}.attention.{m}.weight" for n in (0, 1) for m in ("wq", "wv")
        }
        for first, second in file.pairs.values():
            assert first.shape == second.shape == (64, 4)
            assert np.isfinite(first.numpy()).all()
            assert np.abs(second.numpy()).max() > 0


def test_the_golden_adapter_equals_its_peft_twin() -> None:
    """The same numbers in PEFT's form, with loraA transposed and rows in PEFT's order."""
    names = {"wq": "q_proj", "wv": "v_proj"}
    with open_lora(ADAPTER) as file, io.open(GOLDEN / "lora-peft" / "adapter_model.bin") as peft:
        assert len(peft) == len(file)
        for name, (first, second) in file.pairs.items():
            _, layer, _, matrix, _ = name.split(".")
            twin = f"base_model.model.model.layers.{layer}.self_attn.{names[matrix]}"
            assert np.array_equal(first.numpy().T, peft[f"{twin}.lora_A.weight"].numpy())
            assert np.array_equal(second.numpy(), peft[f"{twin}.lora_B.weight"].numpy())


def test_the_merged_model_gives_the_logits_of_its_time(tmp_path: Path) -> None:
    """The weight is W + alpha / rank * loraB @ loraA.T, as in the old program."""
    import json

    with io.open(GOLDEN / "ggjt-v3-f16.bin") as model, open_lora(ADAPTER) as adapter:
        tensors = dict(model.tensors)
        for name, (first, second) in adapter.pairs.items():
            change = adapter.alpha / adapter.rank * second.numpy() @ first.numpy().T
            tensors[name] = gk.quantize(model[name].dequantize() + change, "f32", name=name)
        io.save(tmp_path / "merged.bin", tensors, model.metadata)
    tokens = json.loads((GOLDEN / "manifest.json").read_text())["tokens"]
    logits = gk.Llama(tmp_path / "merged.bin", threads=1).logits(tokens)
    wanted = np.load(GOLDEN / "ggjt-v3-f16+lora.logits.npy")
    plain = np.load(GOLDEN / "ggjt-v3-f16.logits.npy")
    assert np.abs(logits - wanted).max() < 0.05 * np.abs(plain - wanted).max()


def test_an_adapter_is_written_again(tmp_path: Path) -> None:
    with io.open(ADAPTER) as file:
        io.save(tmp_path / "a.bin", file.tensors, file.metadata, container="ggla")
    assert (tmp_path / "a.bin").read_bytes() == ADAPTER.read_bytes()


def test_an_adapter_is_not_a_model(tmp_path: Path) -> None:
    with pytest.raises(gk.ConversionError, match=r"lora-ggla\.bin is a LoRA adapter"):
        gk.quantize_file(ADAPTER, tmp_path / "out.gguf", "q4_0")


@pytest.mark.parametrize("length", range(0, 200, 7))
def test_a_truncated_adapter_is_reported(tmp_path: Path, length: int) -> None:
    path = tmp_path / "cut"
    path.write_bytes(ADAPTER.read_bytes()[:length])
    with pytest.raises(gk.FormatError):
        io.open(path)


def entry(name: str, *sizes: int) -> bytes:
    return struct.pack(f"<3i{len(sizes)}i", len(sizes), len(name), 0, *sizes) + name.encode()


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (struct.pack("<Iii", 2, 4, 8), "version 2"),
        (struct.pack("<Iii", 1, 0, 8), "r is 0"),
        (struct.pack("<Iii", 1, -4, 8), "r is -4"),
        (struct.pack("<I", 1), "file ends"),
        (struct.pack("<Iii", 1, 4, 8) + entry("w.loraA", 2**31 - 1, 9), "has only"),
        (struct.pack("<Iii", 1, 4, 8) + entry("w.loraA", 4, 0), "no partner 'w.loraB'"),
        (struct.pack("<Iii", 1, 4, 8) + entry("weight", 4, 0), "neither .loraA nor .loraB"),
        (struct.pack("<Iii", 1, 4, 8) + entry("w.loraA", -4, 1), "negative size"),
    ],
)
def test_each_fault_has_its_reason(tmp_path: Path, raw: bytes, reason: str) -> None:
    path = tmp_path / "bad.bin"
    data = b"algg" + raw
    path.write_bytes(data + bytes(-len(data) % 32) * (len(raw) > 12))
    with pytest.raises(gk.FormatError, match=reason):
        io.open(path)


@pytest.mark.parametrize(
    ("tensors", "alpha", "reason"),
    [
        ({"w.loraA": floats(8, 4)}, 8, "no partner"),
        ({"w.loraA": floats(8, 4), "w.loraB": floats(8, 2)}, 8, "but r is 4"),
        ({"w.loraA": floats(8, 4), "w.loraB": floats(4)}, 8, "but r is 4"),
        ({"w": floats(8, 4)}, 8, "neither"),
        ({"w.loraA": floats(8, 4), "w.loraB": floats(8, 4)}, 0.5, "as an integer"),
        ({"w.loraA": floats(8, 4), "w.loraB": floats(8, 4)}, None, "as an integer"),
        ({}, 8, "no rank"),
    ],
)
def test_values_that_ggla_cannot_store_are_refused(
    tmp_path: Path, tensors: dict[str, Tensor], alpha: float | None, reason: str
) -> None:
    metadata = {} if alpha is None else {"adapter.lora.alpha": alpha}
    with pytest.raises(gk.ConversionError, match=reason):
        io.save(tmp_path / "a.bin", tensors, metadata, container="ggla")
    assert list(tmp_path.iterdir()) == []

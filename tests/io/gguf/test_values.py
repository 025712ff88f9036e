"""GGUF types of metadata: the types of new values, and that values from a file keep theirs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ggmlkit as gk
import gguf
from ggmlkit.io.base import ARRAY_OF
from ggmlkit.io.gguf.metadata_edit import edit_metadata
from ggmlkit.io.gguf.split import merge_files, split_file
from ggmlkit.io.gguf.values import TYPE_NAMES, natural_type

F32, F64 = TYPE_NAMES["f32"], TYPE_NAMES["f64"]
EXACT = [0.0, -0.0, 0.5, 1e6, float(np.float32(0.1)), 2.0**-149, float("inf"), float("nan")]
INEXACT = [0.1, 1e300, -1e300, 1e-310, 1 / 3, 16777217.0]


@pytest.mark.parametrize("value", EXACT)
def test_a_float_that_f32_holds(value: float) -> None:
    assert natural_type("own.key", value) == F32
    assert natural_type("own.key", [value, 1]) == ARRAY_OF + F32


@pytest.mark.parametrize("value", INEXACT)
def test_a_float_that_needs_f64(tmp_path: Path, value: float) -> None:
    assert natural_type("own.key", [0.5, value]) == ARRAY_OF + F64
    for order in ("little", "big"):
        gk.save(tmp_path / "a.gguf", {}, {"own.key": value, "own.list": [value]}, byte_order=order)
        with gk.open(tmp_path / "a.gguf") as file:
            assert file.metadata["own.key"] == value
            assert file.metadata["own.list"].tolist() == [value]


@pytest.mark.parametrize(
    "key",
    [
        "llama.rope.freq_base", "gemma3.rope.freq_base_swa", "adapter.lora.alpha",
        "qwen2.attention.layer_norm_rms_epsilon", "phi3.rope.scaling.attn_factor",
        "gemma2.final_logit_softcapping", "general.sampling.temp",
    ],
)  # fmt: skip
def test_keys_that_readers_expect_as_f32(key: str) -> None:
    assert natural_type(key, 0.1) == F32
    assert natural_type(key, 10000) == F32
    assert natural_type(key, np.float64(0.1)) == F32
    assert natural_type(key, 1e300) == F64  # not f32 infinity
    assert natural_type(key, "8") == TYPE_NAMES["str"]
    assert natural_type(key, True) == TYPE_NAMES["bool"]
    assert natural_type("tokenizer.ggml.scores", [0.1, -3]) == ARRAY_OF + F32


@pytest.mark.parametrize("folder", ["meta", "hf"])
def test_our_converters_write_the_types_that_readers_expect(
    tmp_path: Path, golden: Path, folder: str
) -> None:
    source = golden / "meta"
    if folder == "hf":
        gk.export(source, tmp_path / "hf")
        source = tmp_path / "hf"
    gk.convert(source, tmp_path / "m.gguf")
    fields = gguf.GGUFReader(tmp_path / "m.gguf").fields
    for key in ("llama.attention.layer_norm_rms_epsilon", "llama.rope.freq_base"):
        assert fields[key].types == [gguf.GGUFValueType.FLOAT32], key
    for name, field in fields.items():
        assert gguf.GGUFValueType.FLOAT64 not in field.types, name


def every_type(path: Path) -> None:
    """A model written by the gguf package, with a key of each type, single and in an array."""
    kinds = gguf.GGUFValueType
    writer = gguf.GGUFWriter(path, "llama")
    for name, value in {
        "UINT8": 3, "INT8": 3, "UINT16": 4, "INT16": 4, "UINT32": 5, "INT32": 5, "UINT64": 6,
        "INT64": 6, "FLOAT32": 0.1, "FLOAT64": 0.5, "BOOL": True, "STRING": "x",
    }.items():  # fmt: skip
        kind = kinds[name]
        writer.add_key_value(f"one.{name}", value, kind)
        writer.add_key_value(f"some.{name}", [value, value], kinds.ARRAY, sub_type=kind)
    for tensor in ("token_embd.weight", "output.weight"):
        writer.add_tensor(tensor, np.ones((4, 32), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def typed(path: Path) -> dict[str, tuple[int, Any]]:
    with gk.open(path) as file:
        return {
            key: (kind, np.asarray(file.metadata[key]).tolist())
            for key, kind in file.value_types.items()
            if key.startswith(("one.", "some."))
        }


def _saved(source: Path, out: Path, **settings: Any) -> Path:
    with gk.open(source) as file:
        gk.save(out, file, file.metadata, **settings)
    return out


def _saved_with_more(source: Path, out: Path) -> Path:
    with gk.open(source) as file:
        gk.save(out, file, file.metadata | {"general.name": "other"})
    return out


def _edited(source: Path, out: Path) -> Path:
    out.write_bytes(source.read_bytes())
    edit_metadata(out, {"general.name": "a" * 500})
    edit_metadata(out, {"general.name": "b"}, in_place=False)
    return out


def _merged(source: Path, out: Path) -> Path:
    merge_files(split_file(source, out.with_name("part"), max_tensors=1)[0], out)
    return out


def _quantized(source: Path, out: Path) -> Path:
    gk.quantize_file(source, out, "q8_0")
    return out


def _converted(source: Path, out: Path, **settings: Any) -> Path:
    from ggmlkit.conversion.open_source import open_source
    from ggmlkit.conversion.pipeline import write_model
    from ggmlkit.conversion.plan import conversion_plan

    opened = open_source(source)
    write_model(conversion_plan(opened, out, "f16", **settings))
    opened.close()
    return out


WAYS: dict[str, Callable[[Path, Path], Path]] = {
    "saved": _saved,
    "saved big-endian": lambda a, b: _saved(a, b, byte_order="big"),
    "saved as v1": lambda a, b: _saved(a, b, version=1),
    "saved with more": _saved_with_more,
    "edited": _edited,
    "split and merged": _merged,
    "quantized": _quantized,
    "converted": _converted,
    "converted to big-endian": lambda a, b: _converted(a, b, byte_order="big"),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("order", ["little", "big"])
def test_what_was_read_keeps_its_type(tmp_path: Path, way: str, order: Any) -> None:
    every_type(tmp_path / "made.gguf")
    expected = typed(tmp_path / "made.gguf")
    assert len({kind for kind, _ in expected.values()}) == 24
    source = _saved(tmp_path / "made.gguf", tmp_path / "source.gguf", byte_order=order)
    assert typed(source) == expected
    assert typed(WAYS[way](source, tmp_path / "out.gguf")) == expected


def test_a_vocabulary_of_another_file_keeps_its_types(tmp_path: Path, golden: Path) -> None:
    kinds = {"tokenizer.ggml.add_space_prefix": 7, "tokenizer.own": 0, "tokenizer.wide": F64}
    vocab = tmp_path / "vocab.gguf"
    gk.convert(golden / "meta", vocab)
    edit_metadata(vocab, {"tokenizer.own": 7, "tokenizer.wide": 0.5}, value_types=kinds)
    gk.convert(golden / "ggjt-v3-f16.bin", tmp_path / "m.gguf", vocab=vocab)
    with gk.open(tmp_path / "m.gguf") as file:
        assert file.value_types["tokenizer.own"] == 0
        assert file.value_types["tokenizer.wide"] == F64


def test_a_type_gives_way_to_a_number_it_would_make_infinite(tmp_path: Path) -> None:
    gk.save(tmp_path / "a.gguf", {}, {"x": 0.5, "y": [0.5]})
    edit_metadata(tmp_path / "a.gguf", {"x": 1e300, "y": [0.1]})
    with gk.open(tmp_path / "a.gguf") as file:
        assert (file.value_types["x"], file.metadata["x"]) == (F64, 1e300)
        assert file.value_types["y"] == ARRAY_OF + F32  # unchanged: 0.1 has a nearest f32

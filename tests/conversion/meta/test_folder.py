"""Meta folders: the golden checkpoint, whole and cut into shards."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import ggmlkit as gk
from ggmlkit.conversion.convert import convert
from ggmlkit.errors import ConversionError, FormatError

BY_COLUMNS = ("attention.wo.weight", "feed_forward.w2.weight")


def test_ggjt_f16_equals_the_file_of_its_time(golden: Path, tmp_path: Path) -> None:
    convert(golden / "meta", tmp_path / "m.bin", type="f16")
    ours, theirs = gk.open(tmp_path / "m.bin"), gk.open(golden / "ggjt-v3-f16.bin")
    assert set(ours.names) == set(theirs.names)
    for name, tensor in theirs.tensors.items():
        assert ours[name].type == tensor.type
        assert ours[name].shape == tensor.shape
        assert np.array_equal(ours[name].data, tensor.data), name
    for key, value in theirs.metadata.items():
        assert np.array_equal(ours.metadata[key], value), key


def test_gguf_f16_equals_the_first_gguf_writer(golden: Path, tmp_path: Path) -> None:
    convert(golden / "meta", tmp_path / "m.gguf", type="f16")
    ours, theirs = gk.open(tmp_path / "m.gguf"), gk.open(golden / "gguf-v1-f16.bin")
    assert set(ours.names) == set(theirs.names)
    for name, tensor in theirs.tensors.items():
        assert np.array_equal(ours[name].data, tensor.data), name
    for key in ("block_count", "embedding_length", "feed_forward_length", "attention.head_count"):
        assert ours.metadata[f"llama.{key}"] == theirs.metadata[f"llama.{key}"]


@pytest.mark.parametrize("type", ["f32", "bf16", "q8_0", "q5_0", "q5_1", "q4_0", "q4_1"])
def test_matrices_get_the_type_and_vectors_stay_float(
    golden: Path, tmp_path: Path, type: str
) -> None:
    convert(golden / "meta", tmp_path / "m.gguf", type=type, pure=True)
    source = gk.open(golden / "gguf-v1-f16.bin")
    for name, tensor in gk.open(tmp_path / "m.gguf").tensors.items():
        assert tensor.type.name == (type if len(tensor.shape) == 2 else "f32")
        assert np.array_equal(tensor.data, source[name].astype(tensor.type).data)


def cut(folder: Path, shards: int, embedding_axis: int) -> None:
    import torch

    whole = torch.load(folder / "consolidated.00.pth", weights_only=True)
    for number in range(shards):
        part = {"rope.freqs": torch.ones(16)}
        for name, tensor in whole.items():
            axis = embedding_axis if name.startswith("tok_") else int(name.endswith(BY_COLUMNS))
            piece = tensor if tensor.ndim == 1 else tensor.chunk(shards, axis)[number]
            part[name] = piece.clone()
        torch.save(part, folder / f"consolidated.{number:02}.pth")


@pytest.mark.parametrize("shards", [2, 4])
@pytest.mark.parametrize("embedding_axis", [0, 1])
def test_shards_equal_the_single_file(
    golden: Path, meta_copy: Path, tmp_path: Path, shards: int, embedding_axis: int
) -> None:
    cut(meta_copy, shards, embedding_axis)
    convert(meta_copy, tmp_path / "sharded.gguf", type="q8_0")
    convert(golden / "meta", tmp_path / "single.gguf", type="q8_0")
    sharded, single = gk.open(tmp_path / "sharded.gguf"), gk.open(tmp_path / "single.gguf")
    assert sharded.names == single.names
    for name in single:
        assert np.array_equal(sharded[name].data, single[name].data), name


def test_a_missing_shard_is_named(meta_copy: Path, tmp_path: Path) -> None:
    cut(meta_copy, 4, 1)
    (meta_copy / "consolidated.02.pth").unlink()
    with pytest.raises(ConversionError, match=r"consolidated\.02\.pth is missing"):
        convert(meta_copy, tmp_path / "m.gguf")
    (meta_copy / "consolidated.03.pth").unlink()
    with pytest.raises(ConversionError, match="but the hyper-parameters give"):
        convert(meta_copy, tmp_path / "m.gguf")


def test_the_tokenizer_can_lie_one_folder_up(meta_copy: Path, tmp_path: Path) -> None:
    (meta_copy / "tokenizer.model").rename(tmp_path / "tokenizer.model")
    convert(meta_copy, tmp_path / "m.gguf")
    assert len(gk.open(tmp_path / "m.gguf").metadata["tokenizer.ggml.tokens"]) == 384
    (tmp_path / "tokenizer.model").unlink()
    with pytest.raises(ConversionError, match=r"has no tokenizer\.model, .* --vocab"):
        convert(meta_copy, tmp_path / "m.gguf")


def test_a_tiktoken_file_is_distinguished_from_a_sentencepiece_model(
    meta_copy: Path, tmp_path: Path
) -> None:
    (meta_copy / "tokenizer.model").write_text("IQ== 0\nIg== 1\n")
    convert(meta_copy, tmp_path / "m.gguf")
    metadata = gk.open(tmp_path / "m.gguf").metadata
    assert metadata["tokenizer.ggml.model"] == "gpt2"
    assert metadata["tokenizer.ggml.tokens"][:3] == ["!", '"', "<|begin_of_text|>"]
    assert metadata["tokenizer.ggml.bos_token_id"] == 2


@pytest.mark.parametrize("text", ["", "{", "[1]", "\xff", "[" * 100_000])
def test_damaged_params(meta_copy: Path, tmp_path: Path, text: str) -> None:
    (meta_copy / "params.json").write_text(text, encoding="latin-1")
    with pytest.raises(FormatError, match=r"params\.json"):
        convert(meta_copy, tmp_path / "m.gguf")


@pytest.mark.parametrize("change", [{"dim": 128}, {"n_layers": 3}, {"n_heads": 0}, {"dim": "64"}])
def test_params_that_do_not_fit_the_tensors(
    meta_copy: Path, tmp_path: Path, change: dict[str, object]
) -> None:
    path = meta_copy / "params.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ConversionError):
        convert(meta_copy, tmp_path / "m.gguf")
    assert not (tmp_path / "m.gguf").exists()

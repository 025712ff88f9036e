"""ggml, ggmf and ggjt: vocabulary, writing, models in several files, and refused input."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ggmlkit as gk
from ggmlkit import io
from ggmlkit.io.legacy import vocabulary as legacy_vocabulary
from ggmlkit.tensor import Tensor
from paths import GOLDEN


def source() -> tuple[dict[str, Tensor], dict[str, Any]]:
    with io.open(GOLDEN / "ggjt-v3-f16.bin") as file:
        tensors = {
            name: Tensor(tensor.type, tensor.shape, tensor.data.copy(), name)
            for name, tensor in file.tensors.items()
        }
        return tensors, dict(file.metadata)


def test_vocabulary_becomes_gguf_pieces_and_goes_back() -> None:
    entries = [" ⁇ ".encode(), b"", b"", *(bytes([n]) for n in range(256))]
    entries += [b" ", b"  the", "grüße".encode(), b"\xe2\x96", b"<0x41>", b""]
    pieces, kinds = legacy_vocabulary.to_gguf(entries)
    assert pieces[:4] == ["<unk>", "<s>", "</s>", "<0x00>"]
    assert kinds[:4] == [2, 3, 3, 6]
    assert pieces[258] == "<0xFF>"
    assert pieces[259:] == ["▁", "▁▁the", "grüße", b"\xe2\x96", "<0x41>", ""]
    assert kinds[259:] == [1] * 6
    assert legacy_vocabulary.from_gguf(pieces, kinds) == entries


def test_ggjt_v3_is_the_default_and_aligns_to_32(tmp_path: Path) -> None:
    tensors, metadata = source()
    path = tmp_path / "model.bin"
    io.save(path, tensors, metadata)
    with io.open(path) as file:
        assert (file.container, file.version) == ("ggjt", 3)
        raw = path.read_bytes()
        for name, tensor in file.tensors.items():
            data = tensor.data.tobytes()
            assert data == tensors[name].data.tobytes()
            assert data == raw[(start := raw.index(data)) : start + len(data)]
            assert start % 32 == 0


def test_gguf_becomes_ggjt_under_metas_names(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    with io.open(GOLDEN / "gguf-v1-q5_0.bin") as file:
        io.save(path, file.tensors, file.metadata)
        with io.open(path) as ggjt, io.open(GOLDEN / "ggjt-v3-q5_0.bin") as wanted:
            assert set(ggjt.names) == set(wanted.names)
            assert ggjt.metadata["general.file_type"] == wanted.metadata["general.file_type"]
            assert ggjt["layers.1.attention.wq.weight"].type.name == "q5_0"
            assert ggjt.metadata["tokenizer.ggml.tokens"] == file.metadata["tokenizer.ggml.tokens"]


def test_tied_embeddings_are_written_twice(tmp_path: Path) -> None:
    tensors, metadata = source()
    del tensors["output.weight"]
    io.save(tmp_path / "model.bin", tensors, metadata)
    with io.open(tmp_path / "model.bin") as file:
        assert np.array_equal(file["output.weight"].data, file["tok_embeddings.weight"].data)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"general.architecture": "gpt2"}, "gpt2"),
        ({"tokenizer.ggml.model": "gpt2"}, "SentencePiece"),
        ({"llama.rope.freq_base": 500000.0}, "RoPE"),
        ({"llama.rope.scaling.type": "linear"}, "linear"),
        ({"tokenizer.ggml.tokens": ["a"]}, "token types"),
        ({"llama.feed_forward_length": 5}, "feed-forward"),
    ],
)
def test_settings_that_ggjt_cannot_store_are_refused(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    tensors, metadata = source()
    with pytest.raises(gk.ConversionError, match=message):
        io.save(tmp_path / "model.bin", tensors, metadata | change)
    assert list(tmp_path.iterdir()) == []


def test_another_epsilon_is_warned_about(tmp_path: Path) -> None:
    tensors, metadata = source()
    metadata["llama.attention.layer_norm_rms_epsilon"] = 1e-5
    with pytest.warns(UserWarning, match="epsilon"):
        io.save(tmp_path / "model.bin", tensors, metadata)


@pytest.mark.parametrize(
    ("type_name", "version"), [("q4_0_v1", 3), ("q4_0", 1), ("q8_0", 2), ("q4_2", 2)]
)
def test_a_type_of_another_version_is_refused(tmp_path: Path, type_name: str, version: int) -> None:
    tensors, metadata = source()
    kind = gk.types.get(type_name)
    data = np.zeros(384 * kind.row_bytes(64), np.uint8)
    tensors["output.weight"] = Tensor(kind, (384, 64), data)
    with pytest.raises(gk.ConversionError, match=f"is {type_name}, which ggjt v{version}"):
        io.save(tmp_path / "model.bin", tensors, metadata, version=version)


def test_sessions_are_refused_by_name(tmp_path: Path) -> None:
    session = tmp_path / "session"
    session.write_bytes(b"nsgg" + struct.pack("<I", 1))
    with pytest.raises(gk.FormatError, match=r"a saved session \(ggsn\), not a model"):
        io.open(session)


def split(tensor: Tensor, number: int, count: int) -> Tensor:
    """One part's slice of a tensor, as the converters split models of 13B and more."""
    if len(tensor.shape) == 1:
        return tensor
    rows, columns = tensor.shape
    blocks = tensor.data.reshape(rows, -1)
    by_columns = any(part in tensor.name for part in ("tok_embeddings", ".wo.", ".w2."))
    if by_columns:
        piece = np.split(blocks, count, axis=1)[number]
        shape = (rows, columns // count)
    else:
        piece = np.split(blocks, count, axis=0)[number]
        shape = (rows // count, columns)
    return Tensor(tensor.type, shape, np.ascontiguousarray(piece).reshape(-1), tensor.name)


@pytest.mark.parametrize("stem", ["ggml-q4_0", "ggmf-v1-f16"])
def test_a_model_in_two_files_is_one(tmp_path: Path, stem: str) -> None:
    with io.open(GOLDEN / f"{stem}.bin") as whole:
        for number, name in enumerate(["model.bin", "model.bin.1"]):
            parts = {n: split(t, number, 2) for n, t in whole.tensors.items()}
            io.save(tmp_path / name, parts, whole.metadata, container=whole.container)
        with io.open(tmp_path / "model.bin.1") as joined:
            assert joined.names == whole.names
        with io.open(tmp_path / "model.bin") as joined:
            assert joined.names == whole.names
            for name, tensor in whole.tensors.items():
                assert joined[name].shape == tensor.shape
                assert np.array_equal(joined[name].data, tensor.data), name
            wanted = {k: v for k, v in whole.metadata.items() if k.startswith("llama.")}
            assert {k: joined.metadata[k] for k in wanted} == wanted
    (tmp_path / "model.bin.1").unlink()
    with pytest.raises(gk.FormatError, match=r"model\.bin\.1"):
        io.open(tmp_path / "model.bin")


def test_a_part_with_more_or_other_tensors_is_reported(tmp_path: Path) -> None:
    with io.open(GOLDEN / "ggml-f16.bin") as whole:
        parts = [{n: split(t, number, 2) for n, t in whole.tensors.items()} for number in (0, 1)]
        del parts[0]["norm.weight"]
        for name, tensors in zip(["model.bin", "model.bin.1"], parts, strict=True):
            io.save(tmp_path / name, tensors, whole.metadata, container="ggml")
        with pytest.raises(gk.FormatError, match=r"model\.bin\.1: tensor 'norm.weight' isn't in"):
            io.open(tmp_path / "model.bin")
        del parts[0]["output.weight"], parts[1]["norm.weight"]
        for at in (0, 1):
            parts[at]["output.weight"] = Tensor("f16", (1, 64), np.zeros(128, np.uint8))
        parts[1]["output.weight"] = Tensor("f16", (2, 64), np.zeros(256, np.uint8))
        for name, tensors in zip(["model.bin", "model.bin.1"], parts, strict=True):
            io.save(tmp_path / name, tensors, whole.metadata, container="ggml")
        with pytest.raises(gk.FormatError, match=r"'output\.weight' doesn't fit"):
            io.open(tmp_path / "model.bin")


def test_a_whole_model_can_have_the_name_of_a_part(tmp_path: Path) -> None:
    for name in ("model", "model.1"):
        (tmp_path / name).write_bytes((GOLDEN / "ggml-q4_0.bin").read_bytes())
    with io.open(tmp_path / "model.1") as file:
        assert file.path.name == "model.1"
        assert len(file) == 21


def test_grouped_query_attention_is_found_by_the_matrix(tmp_path: Path) -> None:
    tensors, metadata = source()
    for layer in range(2):
        for matrix in ("wk", "wv"):
            name = f"layers.{layer}.attention.{matrix}.weight"
            whole = tensors[name]
            tensors[name] = Tensor(whole.type, (32, 64), whole.data[: whole.nbytes // 2], name)
    io.save(tmp_path / "model.bin", tensors, metadata)
    with io.open(tmp_path / "model.bin") as file:
        assert file.metadata["llama.attention.head_count_kv"] == 1

"""Commands that read and write files: inspect, quantize, convert, export, tokenize."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ggmlkit as gk
import other_checkpoints as others
from command import ggmlkit
from ggmlkit import io
from ggmlkit.tensor import Tensor
from paths import GOLDEN

F16 = GOLDEN / "gguf-v1-f16.bin"


def inspected(path: Path) -> dict[str, Any]:
    document = json.loads(ggmlkit("inspect", path, "--json").stdout)
    assert isinstance(document, dict)
    return document


@pytest.mark.parametrize(
    ("name", "container", "version", "type"),
    [
        ("ggml-q4_0.bin", "ggml", None, "q4_0_v1"),
        ("ggmf-v1-q4_1.bin", "ggmf", 1, "q4_1_v1"),
        ("ggjt-v1-q4_2.bin", "ggjt", 1, "q4_2"),
        ("ggjt-v2-q8_0.bin", "ggjt", 2, "q8_0_v2"),
        ("ggjt-v3-q5_1.bin", "ggjt", 3, "q5_1"),
        ("gguf-v1-q5_0.bin", "gguf", 1, "q5_0"),
        ("gguf-v3-be-f16.bin", "gguf", 3, "f16"),
    ],
)
def test_inspect_tells_what_a_file_is(
    name: str, container: str, version: int | None, type: str
) -> None:
    document = inspected(GOLDEN / name)
    assert (document["container"], document["version"]) == (container, version)
    assert document["byte_order"] == ("big" if "-be-" in name else "little")
    assert document["metadata"]["llama.block_count"] == 2
    assert len(document["metadata"]["tokenizer.ggml.tokens"]) == 384
    assert type in document["types"]
    assert sum(row["nbytes"] for row in document["types"].values()) == sum(
        tensor["nbytes"] for tensor in document["tensors"]
    )
    with io.open(GOLDEN / name) as file:
        assert [(t["name"], tuple(t["shape"])) for t in document["tensors"]] == [
            (own, tensor.shape) for own, tensor in file.tensors.items()
        ]


def test_inspect_shows_every_key_and_tensor() -> None:
    shown = ggmlkit("inspect", F16).stdout
    document = inspected(F16)
    for name in [*document["metadata"], *(tensor["name"] for tensor in document["tensors"])]:
        assert name in shown


def test_quantize_and_convert_between_containers(tmp_path: Path) -> None:
    ggmlkit("convert", F16, tmp_path / "f16.bin", "--type", "f16")
    ggmlkit("quantize", tmp_path / "f16.bin", tmp_path / "q4_0.gguf", "q4_0", "--pure", "-t", "1")
    ggmlkit("quantize", F16, tmp_path / "direct.gguf", "q4_0", "--pure")
    with io.open(tmp_path / "q4_0.gguf") as two, io.open(tmp_path / "direct.gguf") as one:
        assert set(two.names) == set(one.names)
        for name in one.names:
            assert two[name].type == one[name].type
            assert two[name].data.tobytes() == one[name].data.tobytes()


def test_progress_is_plain_lines_when_stderr_is_no_terminal(tmp_path: Path) -> None:
    result = ggmlkit("quantize", F16, tmp_path / "out.gguf", "q5_0")
    assert result.stdout == ""
    assert "quantize to q5_0" in result.stderr
    assert "\x1b" not in result.stderr


def test_quantize_calibrates(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("the sea is calm, " * 200)
    words = ("--calibrate", tmp_path / "text.txt", "--method", "search", "--samples", 3, "-t", 1)
    done = ggmlkit("quantize", F16, tmp_path / "out.gguf", "q4_0", "--pure", *words)
    assert "ggmlkit: note: 15 matrices are calibrated: on 512 tokens" in done.stderr
    assert "MB in" not in done.stderr  # bytes say little of this work
    keys = inspected(tmp_path / "out.gguf")["metadata"]
    assert keys["quantize.calibration.method"] == "search"
    assert keys["quantize.calibration.dataset"] == "text.txt"
    assert keys["quantize.calibration.chunks_count"] == 2


def test_quantize_tunes(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("the sea is calm, " * 200)
    words = ("--calibrate", tmp_path / "text.txt", "--method", "search", "--samples", 3, "-t", 1)
    done = ggmlkit("quantize", F16, tmp_path / "out.gguf", "q4_0", "--pure", *words, "--tune", 1)
    assert "ggmlkit: note: tun" in done.stderr
    assert "the KL divergence from the float model" in done.stderr or "no better" in done.stderr


def test_quantize_searches_by_an_importance_matrix(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("the sea is calm, " * 200)
    matrix = tmp_path / "imatrix.gguf"
    ggmlkit("imatrix", "-m", F16, "-f", tmp_path / "text.txt", "-o", matrix, "-c", 64)
    words = ("--imatrix", matrix, "--method", "search", "-t", 1)
    done = ggmlkit("quantize", F16, tmp_path / "out.gguf", "q4_0", "--pure", *words)
    assert "ggmlkit: note: the scales of 14 matrices are searched for" in done.stderr
    keys = inspected(tmp_path / "out.gguf")["metadata"]
    assert keys["quantize.calibration.method"] == "search"


@pytest.mark.parametrize("format", ["hf", "meta"])
def test_an_exported_folder_converts_back_to_the_same_values(tmp_path: Path, format: str) -> None:
    source = GOLDEN / "gguf-v1-q5_0.bin"
    ggmlkit("export", source, tmp_path / "folder", "--format", format, "--dtype", "f32")
    ggmlkit("convert", tmp_path / "folder", tmp_path / "back.gguf", "--type", "f32")
    with io.open(source) as one, io.open(tmp_path / "back.gguf") as two:
        assert set(one.names) == set(two.names)
        for name in one.names:
            assert (one[name].dequantize() == two[name].dequantize()).all(), name


def test_tokenize_prints_ids_and_pieces() -> None:
    ids = json.loads(ggmlkit("tokenize", "-m", F16, "Hello", "--json").stdout)
    lines = ggmlkit("tokenize", "-m", F16, "Hello").stdout.splitlines()
    assert ids[0] == 1  # the token every text starts with
    assert [int(line.split()[0]) for line in lines] == ids
    assert (
        json.loads(ggmlkit("tokenize", "-m", F16, "Hello", "--no-special", "--json").stdout)
        == (ids[1:])
    )


@pytest.mark.parametrize(
    ("limit", "parts"), [(["--max-tensors", "8"], 3), (["--max-size", "100K"], 4)]
)
def test_split_and_merge(tmp_path: Path, limit: list[str], parts: int) -> None:
    printed = ggmlkit("split", F16, tmp_path / "part", *limit).stdout.splitlines()
    assert printed == [
        str(tmp_path / f"part-0000{n + 1}-of-0000{parts}.gguf") for n in range(parts)
    ]
    assert len(inspected(Path(printed[1]))["tensors"]) == 21
    ggmlkit("merge", printed[0], tmp_path / "whole.gguf")
    assert inspected(tmp_path / "whole.gguf")["tensors"] == inspected(F16)["tensors"]


def other_files(folder: Path) -> dict[str, Path]:
    """A file of each container that isn't a model's own."""
    from ggmlkit.io.foreign.safetensors import safetensors_header
    from ggmlkit.io.imatrix import read_imatrix, save_imatrix
    from ggmlkit.io.torch.writer import write_torch
    from ggmlkit.io.writing.atomic import replacing

    tensor = Tensor("f32", (2, 3), np.ones(24, np.uint8), "w")
    files = {name: folder / name for name in ("a.safetensors", "a.pth", "a.dat", "a.gguf")}
    header = safetensors_header([("w", "f32", (2, 3))], {"format": "pt"})
    files["a.safetensors"].write_bytes(header + tensor.data.tobytes())
    with replacing(files["a.pth"]) as file:
        write_torch(file, {"w": tensor})
    entry = struct.pack("<ii8sii2f", 1, 8, b"w.weight", 3, 2, 1.0, 2.0)
    files["a.dat"].write_bytes(entry + struct.pack("<ii4s", 9, 4, b"text"))
    save_imatrix(files["a.gguf"], read_imatrix(files["a.dat"]))
    others.flax_tree(folder / "a.msgpack")
    others.onnx_model(folder)
    others.tensorflow(folder)
    others.hdf5(folder / "a.h5")
    files |= {name: folder / name for name in ("a.msgpack", "m.onnx", "m.index", "a.h5")}
    return files | {"lora": GOLDEN / "lora-ggla.bin"}


@pytest.mark.parametrize(
    ("name", "container", "tensors", "shown"),
    [
        ("a.safetensors", "safetensors", {"w": [2, 3]}, "format = 'pt'"),
        ("a.pth", "torch", {"w": [2, 3]}, "24 bytes"),
        ("a.dat", "imatrix", {"w.weight.in_sum2": [1, 2]}, "imatrix.datasets = ['text'] (1)"),
        ("a.gguf", "gguf", {"w.weight.in_sum2": [1, 2]}, "imatrix.chunk_count = 9"),
        ("a.msgpack", "flax", {"params/a/kernel": [2, 3], "params/c": [4, 3]}, "96 bytes"),
        ("m.onnx", "onnx", {"a": [2, 3], "b": [3], "c": [2]}, "onnx v"),
        ("m.index", "tensorflow", {"model.norm.weight": [2, 3]}, "m.data-00000-of-00001"),
        ("a.h5", "hdf5", {"model/norm/weight": [2, 3]}, "48 bytes"),
        ("lora", "ggla", {"layers.0.attention.wq.weight.loraB": [64, 4]}, "lora.rank = 4"),
    ],
)
def test_inspect_shows_any_file_without_its_data(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    container: str,
    tensors: dict[str, list[int]],
    shown: str,
) -> None:
    path = other_files(tmp_path)[name]
    monkeypatch.setattr(Tensor, "data", property(lambda _: pytest.fail("data was read")))
    document = inspected(path)
    assert document["container"] == container
    found = {tensor["name"]: tensor["shape"] for tensor in document["tensors"]}
    assert found | tensors == found
    assert shown in ggmlkit("inspect", path).stdout


@pytest.mark.parametrize("name", ["a.msgpack", "m.onnx", "m.index", "a.h5"])
def test_checkpoints_of_other_libraries_are_verified_and_compared(
    tmp_path: Path, name: str
) -> None:
    path = other_files(tmp_path)[name]
    assert "nothing is wrong" in ggmlkit("verify", path, "--sha256").stdout
    assert ggmlkit("compare", path, path).stdout.startswith("the same:")


def test_inspect_lists_the_parts_of_a_model(tmp_path: Path) -> None:
    parts = ggmlkit("split", F16, tmp_path / "part", "--max-tensors", "8").stdout.splitlines()
    assert inspected(Path(parts[2]))["parts"] == parts
    assert inspected(F16)["parts"] == []
    assert parts[0] in ggmlkit("inspect", parts[1]).stdout


def test_metadata_is_read_and_changed(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(F16.read_bytes())
    ggmlkit("metadata", "set", path, "general.name", "café")
    assert ggmlkit("metadata", "get", path, "general.name").stdout == "café\n"
    ggmlkit("metadata", "set", path, "llama.block_count", "3")
    assert ggmlkit("metadata", "get", path, "llama.block_count").stdout == "3\n"
    ggmlkit("metadata", "set", path, "my.list", "[1, 2]", "--type", "u8[]")
    assert ggmlkit("metadata", "get", path, "my.list").stdout == "[1, 2]\n"
    ggmlkit("metadata", "set", path, "my.number", "--", "-5")
    with io.open(path) as file:
        assert file.metadata["my.number"] == -5
        assert file.value_types["my.list"] == 256
        assert file.value_types["llama.block_count"] == 4
    inode = path.stat().st_ino
    ggmlkit("metadata", "set", path, "my.number", "6")
    assert path.stat().st_ino == inode
    ggmlkit("metadata", "set", path, "my.number", "7", "--rewrite")
    assert path.stat().st_ino != inode
    ggmlkit("metadata", "rm", path, "my.list")
    assert "my.list" not in inspected(path)["metadata"]
    assert inspected(path)["tensors"] == inspected(F16)["tensors"]


def test_metadata_of_other_containers_is_read() -> None:
    path = GOLDEN / "ggjt-v1-q4_0.bin"
    assert ggmlkit("metadata", "get", path, "llama.block_count").stdout == "2\n"


def test_compare_measures_and_names() -> None:
    q4 = GOLDEN / "gguf-v1-q4_0.bin"
    document = json.loads(ggmlkit("compare", F16, q4, "--json", code=1).stdout)
    assert document["same"] is False
    assert document["changed"]["general.file_type"] == [1, 2]
    pair = next(p for p in document["tensors"] if p["name"] == "blk.0.attn_q.weight")
    assert pair["types"] == ["f16", "q4_0"]
    assert pair["shapes"] == [[64, 64], [64, 64]]
    assert 0 < pair["errors"]["rms"] < pair["errors"]["maximum"] < 1
    shown = ggmlkit("compare", F16, q4, code=1).stdout
    assert "general.file_type = 1 | 2" in shown
    assert "f16 | q4_0" in shown
    assert ggmlkit("compare", F16, F16).stdout.startswith("the same: 21 tensors")


def test_verify_shows_statistics_and_check_sums() -> None:
    document = json.loads(ggmlkit("verify", F16, "--json", "--sha256").stdout)
    assert document["sound"] is True
    assert document["problems"] == []
    assert document["sha256"] == {str(F16): hashlib.sha256(F16.read_bytes()).hexdigest()}
    tensor = document["tensors"][0]
    assert tensor["statistics"]["minimum"] < tensor["statistics"]["maximum"]
    assert len(tensor["sha256"]) == 64
    assert "nothing is wrong" in ggmlkit("verify", F16).stdout


def test_verify_counts_problems(tmp_path: Path) -> None:
    gk.save(tmp_path / "m.gguf", {"a": np.full(32, np.nan, np.float32)})
    assert "1 tensor, 1 problem\n" in ggmlkit("verify", tmp_path / "m.gguf", code=1).stdout


def test_repair_lists_what_is_lost(tmp_path: Path) -> None:
    (tmp_path / "cut.gguf").write_bytes(F16.read_bytes()[:-10])
    result = ggmlkit("repair", tmp_path / "cut.gguf", tmp_path / "out.gguf")
    with io.open(F16) as file:
        last = file.names[-1]
    assert result.stdout == ""
    assert f"lost: {last}: " in result.stderr
    assert "20 tensors saved, 1 lost" in result.stderr
    assert len(inspected(tmp_path / "out.gguf")["tensors"]) == 20
    again = ggmlkit("repair", tmp_path / "out.gguf", tmp_path / "again.gguf")
    assert "20 tensors saved, nothing is lost" in again.stderr

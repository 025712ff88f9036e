"""`ggmlkit convert` and `export`: the plan, and what the options change in the file."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from command import ggmlkit
from ggmlkit import io
from ggmlkit.io.gguf_view import as_gguf
from paths import GOLDEN

META = GOLDEN / "meta"


def plan(*words: str | Path) -> dict[str, Any]:
    document = json.loads(ggmlkit("convert", *words, "--dry-run", "--json").stdout)
    assert isinstance(document, dict)
    return document


@pytest.mark.parametrize("type", ["f16", "q4_0"])
@pytest.mark.parametrize("name", ["m.gguf", "m.bin"])
def test_the_plan_is_what_is_then_written(tmp_path: Path, type: str, name: str) -> None:
    out = tmp_path / name
    planned = plan(META, out, "--type", type)
    assert list(tmp_path.iterdir()) == []
    ggmlkit("convert", META, out, "--type", type)
    with io.open(out) as file:
        metadata, tensors = as_gguf(file)
        assert planned["container"] == file.container
        assert {
            t["name"]: (t["type"], tuple(t["shape"]), t["nbytes"]) for t in planned["tensors"]
        } == {name: (t.type.name, t.shape, t.nbytes) for name, t in tensors.items()}
        assert planned["nbytes"] == sum(t.nbytes for t in tensors.values())
        if file.container == "gguf":
            assert planned["metadata"].keys() == metadata.keys()
    assert {t["source_type"] for t in planned["tensors"]} == {"f16"}


def test_the_plan_as_a_person_reads_it(tmp_path: Path) -> None:
    shown = ggmlkit("convert", META, tmp_path / "m.gguf", "--type", "q8_0", "--dry-run").stdout
    document = plan(META, tmp_path / "m.gguf", "--type", "q8_0")
    for tensor in document["tensors"]:
        (line,) = (line for line in shown.splitlines() if line.split()[:1] == [tensor["name"]])
        assert f"→ {tensor['type']}" in line
        assert f"{tensor['nbytes']:,}" in line
    for key in document["metadata"]:
        assert f"  {key} = " in shown
    assert f"{len(document['tensors'])} tensors, {document['nbytes']:,} bytes" in shown


def test_byte_order_and_version(tmp_path: Path) -> None:
    ggmlkit("convert", META, tmp_path / "little.gguf")
    ggmlkit("convert", META, tmp_path / "big.gguf", "--byte-order", "big")
    ggmlkit("convert", META, tmp_path / "v1.gguf", "--gguf-version", "1")
    with io.open(tmp_path / "little.gguf") as little:
        for name, version, order in (("big", 3, "big"), ("v1", 1, "little")):
            with io.open(tmp_path / f"{name}.gguf") as other:
                assert (other.version, other.byte_order) == (version, order)
                assert other.names == little.names
                for tensor in little:
                    assert np.array_equal(other[tensor].data, little[tensor].data), tensor


@pytest.mark.parametrize(
    "words",
    [
        ["m.bin", "--gguf-version", "2"],
        ["m.gguf", "--gguf-version", "4"],
        ["m.gguf", "--json"],
        ["m.gguf", "--byte-order", "middle"],
    ],
    ids=" ".join,
)
def test_options_that_make_no_sense(tmp_path: Path, words: list[str]) -> None:
    out, *options = words
    done = run("convert", META, tmp_path / out, *options)
    assert done.returncode == 2, done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["m.gguf", "--byte-order", "big", "--gguf-version", "2"], "v2 is little-endian"),
        (["m.bin", "--byte-order", "big"], "ggjt files are little-endian"),
        (["m.gguf", "--vocab", "nowhere"], "nowhere: No such file"),
    ],
)
def test_what_cannot_be_is_one_sentence(tmp_path: Path, words: list[str], message: str) -> None:
    out, *options = words
    done = run("convert", META, tmp_path / out, *options)
    assert done.returncode == 1
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_export_in_shards_and_as_an_archive(tmp_path: Path) -> None:
    ggmlkit("export", GOLDEN / "ggjt-v3-f16.bin", tmp_path / "hf", "--shard-size", "50K")
    names = {path.name for path in (tmp_path / "hf").iterdir()}
    assert {"config.json", "model.safetensors.index.json", "tokenizer.json"} < names
    with io.open(GOLDEN / "ggjt-v3-f16.bin") as file:
        assert len(names) > 4 + sum(t.size * 2 for t in file.tensors.values()) // 50_000
    ggmlkit("export", GOLDEN / "ggjt-v3-f16.bin", tmp_path / "m.npz", "--format", "npz")
    with np.load(tmp_path / "m.npz") as archive:
        assert archive["model.norm.weight"].shape == (64,)
    assert run("export", META, tmp_path / "x", "--shard-size", "many").returncode == 2


def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ggmlkit", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

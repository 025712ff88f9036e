"""Converting to a type is converting to floats and quantizing: the same types, the same bytes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ggmlkit as gk
from command import ggmlkit
from ggmlkit.quantization import NAMES

MakeHf = Callable[..., tuple[Path, Any]]
WIDE = {"hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 9}


def contents(path: Path) -> dict[str, tuple[str, bytes]]:
    with gk.open(path) as file:
        return {name: (tensor.type.name, tensor.data.tobytes()) for name, tensor in file.items()}


@pytest.mark.parametrize("type", ["q4_K_M", "q2_K_S", "iq4_xs", "Q4_0", "q5_1", "tq2_0", "q8_0"])
def test_converted_or_quantized(tiny_hf: MakeHf, tmp_path: Path, type: str) -> None:
    folder, _ = tiny_hf(**WIDE)
    gk.convert(folder, tmp_path / "f32.gguf", type="f32")
    gk.quantize_file(tmp_path / "f32.gguf", tmp_path / "quantized.gguf", type)
    gk.convert(folder, tmp_path / "converted.gguf", type=type)
    converted = contents(tmp_path / "converted.gguf")
    assert converted == contents(tmp_path / "quantized.gguf")
    assert len({kind for kind, _ in converted.values()}) > 2 or type == "q8_0"
    with gk.open(tmp_path / "converted.gguf") as one, gk.open(tmp_path / "quantized.gguf") as two:
        key = "general.file_type"
        assert one.metadata[key] == two.metadata[key]


def test_pure_is_one_type(golden: Path, tmp_path: Path) -> None:
    gk.convert(golden / "meta", tmp_path / "m.gguf", type="q4_0", pure=True)
    kinds = {kind for kind, _ in contents(tmp_path / "m.gguf").values()}
    assert kinds == {"q4_0", "f32"}


def test_both_commands_say_what_fell_back(golden: Path, tmp_path: Path) -> None:
    out = tmp_path / "m.gguf"
    notes = gk.convert(golden / "meta", out, type="q4_K_M")
    assert sum("q5_0 instead of q4_K" in note for note in notes) == 1
    for command in (
        ("quantize", golden / "ggjt-v3-f16.bin", out, "q4_K_M"),
        ("convert", golden / "meta", out, "--type", "q4_K_M"),
        ("convert", golden / "meta", out, "--type", "q4_K_M", "--dry-run"),
    ):
        assert all(f"ggmlkit: note: {note}\n" in ggmlkit(*command).stderr for note in notes)


def test_both_commands_say_what_loses_precision_twice(golden: Path, tmp_path: Path) -> None:
    source, out = golden / "ggjt-v3-q5_1.bin", tmp_path / "m.gguf"
    note = "quantized already (q5_1), and lose precision a second time"
    assert note in ggmlkit("quantize", source, out, "q4_0").stderr
    assert note in ggmlkit("convert", source, out, "--type", "q4_0").stderr
    assert note not in ggmlkit("convert", source, out, "--type", "f16").stderr


def test_the_help_lists_every_type() -> None:
    help_text = ggmlkit("convert", "--help").stdout
    for name in set(NAMES) - {"q3_K", "q4_K", "q5_K"}:  # which mean the mixtures with _M
        assert name in re.split(r"\W+", help_text)


def test_a_dry_run_shows_the_mixtures_types(golden: Path, tmp_path: Path) -> None:
    out = tmp_path / "m.gguf"
    plan = ("convert", golden / "meta", out, "--type", "q4_0", "--dry-run", "--json")
    shown = {t["name"]: t["type"] for t in json.loads(ggmlkit(*plan).stdout)["tensors"]}
    gk.convert(golden / "meta", out, type="q4_0")
    assert shown == {name: kind for name, (kind, _) in contents(out).items()}

"""Files of a size: which types their matrices get, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import ggmlkit as gk
from ggmlkit import io
from ggmlkit.calibration.choosing import Sensitivities
from ggmlkit.calibration.recommending import recipes_of
from ggmlkit.errors import ArgumentError
from paths import GOLDEN
from random_text import text_file

F16 = GOLDEN / "gguf-v1-f16.bin"
FEW: dict[str, Any] = {"samples": 9, "tokens": 48}


@pytest.fixture(scope="module")
def calibration(tmp_path_factory: pytest.TempPathFactory) -> gk.Calibration:
    path = text_file(tmp_path_factory.mktemp("text"), 3000)
    return gk.Calibration(path, "search", **FEW)


@pytest.fixture(scope="module")
def measured(calibration: gk.Calibration) -> Sensitivities:
    return gk.sensitivities(F16, calibration, threads=1)


def test_every_matrix_is_measured(measured: Sensitivities) -> None:
    with io.open(F16) as file:
        matrices = {name for name, tensor in file.items() if tensor.ndim == 2}
    assert set(measured.matrices) == matrices
    for name, matrix in measured.matrices.items():
        more = "q5_0" if "q5_0" in matrix.types else "q5_K"
        costs = [matrix.kl(kind) for kind in ("q4_0", more, "q8_0")]
        assert costs == sorted(costs, reverse=True), name
        assert costs[-1] >= 0


def test_larger_files_cost_less(measured: Sensitivities) -> None:
    curve = measured.curve(6)
    assert [each.nbytes for each in curve] == sorted(each.nbytes for each in curve)
    costs = [each.kl for each in curve]
    assert costs == sorted(costs, reverse=True)
    assert curve[0].nbytes == measured.least
    assert curve[-1].nbytes == measured.most


def test_a_mixture_costs_no_more_than_a_recipe_of_its_size(measured: Sensitivities) -> None:
    recipes = recipes_of(F16, measured)
    assert {"q4_0", "q8_0", "q4_K_M"} <= set(recipes)
    for name, recipe in recipes.items():
        assert measured.choose(recipe.nbytes).kl <= recipe.kl * 1.001, name


def test_a_file_is_no_larger(
    measured: Sensitivities, calibration: gk.Calibration, tmp_path: Path
) -> None:
    size = (measured.least + measured.most) // 2
    out = tmp_path / "out.gguf"
    notes = gk.quantize_file(F16, out, size=size, calibrate=calibration, threads=1)
    assert size * 0.9 < out.stat().st_size <= size
    assert any("expected KL divergence" in note for note in notes), notes
    with io.open(out) as made:
        expected = measured.choose(size).types
        assert {name: made[name].type for name in expected} == expected
        assert made.metadata["quantize.mixture.size"] == str(size)
        assert made.metadata["quantize.mixture.expected_kl"] > 0
        assert made.metadata["quantize.calibration.method"] == "search"


def test_a_file_of_another_alignment_is_no_larger(
    calibration: gk.Calibration, tmp_path: Path
) -> None:
    source, out = tmp_path / "source.gguf", tmp_path / "out.gguf"
    with io.open(F16) as file:
        io.save(source, dict(file), {**file.metadata, "general.alignment": 4096})
    measured = gk.sensitivities(source, calibration, threads=1)
    size = measured.least
    gk.quantize_file(source, out, size=size, calibrate=calibration, threads=1)
    assert out.stat().st_size <= size


def test_bits_are_those_of_the_tensors(calibration: gk.Calibration, tmp_path: Path) -> None:
    out = tmp_path / "out.gguf"
    gk.quantize_file(
        F16, out, size="7bpw", calibrate=calibration, threads=1,
        tensor_types=[("ffn_down", "f16")],
    )  # fmt: skip
    with io.open(out) as made:
        data = sum(tensor.nbytes for tensor in made.values())
        assert 8 * data / sum(tensor.size for tensor in made.values()) <= 7
        assert made["blk.0.ffn_down.weight"].type.name == "f16"


def test_too_small(calibration: gk.Calibration, tmp_path: Path, measured: Sensitivities) -> None:
    out = tmp_path / "out.gguf"
    with pytest.raises(
        ArgumentError, match=f"smallest file that can be made has .*{measured.least % 1000:03}"
    ):
        gk.quantize_file(F16, out, size=1000, calibrate=calibration, threads=1)
    with pytest.raises(ArgumentError, match=r"2bpw is too small .* bits a weight"):
        measured.choose("2bpw")
    assert not out.exists()


def test_more_than_the_best_file(
    calibration: gk.Calibration, tmp_path: Path, measured: Sensitivities
) -> None:
    notes = gk.quantize_file(
        F16, tmp_path / "out.gguf", size="1GB", calibrate=calibration, threads=1
    )
    assert any(f"would not be better than this one of {measured.most:,}" in n for n in notes)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "give a type, or a size"),
        ({"size": "4bpw"}, "size needs calibrate"),
        ({"size": "4bpw", "type": "q4_0"}, "either a type or a size"),
        ({"size": "4bpw", "pure": True}, "either a type or a size"),
        ({"size": "much"}, "size must be as in"),
        ({"size": "6bpw", "calibrate": "", "container": "ggjt"}, "gguf files alone"),
    ],
)
def test_what_does_not_go_together(
    calibration: gk.Calibration, tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    if "calibrate" in settings:
        settings = {**settings, "calibrate": calibration}
    with pytest.raises(ArgumentError, match=message):
        gk.quantize_file(F16, tmp_path / "out.gguf", **settings)

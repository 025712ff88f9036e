"""Whole files, calibrated: what is in them, and what is refused."""

from __future__ import annotations

import errno
import os
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from threadpoolctl import threadpool_info, threadpool_limits

import ggmlkit as gk
from ggmlkit import io, types
from ggmlkit.calibration import calibration as module
from ggmlkit.calibration import matrices
from ggmlkit.calibration.hessians import Hessian
from ggmlkit.calibration.methods import METHODS
from ggmlkit.calibration.rounding import can_calibrate, rounded
from ggmlkit.errors import ArgumentError, ModelError, UnstorableError
from ggmlkit.tensor import Tensor
from paths import GOLDEN
from random_text import text_file

F16 = GOLDEN / "gguf-v1-f16.bin"
Floats = NDArray[np.float32]
quantize_file = partial(gk.quantize_file, threads=1)
FEW: dict[str, Any] = {"samples": 9, "tokens": 48}


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return text_file(tmp_path_factory.mktemp("text"), 3000)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out.gguf"


def tied(folder: Path) -> Path:
    """The golden model with its output matrix left out."""
    path = folder / "tied.gguf"
    with io.open(F16) as file:
        tensors = {name: t for name, t in file.items() if name != "output.weight"}
        io.save(path, tensors, file.metadata)
    return path


def entered(model: Path, samples: NDArray[np.int32]) -> dict[str, Floats]:
    """What enters each matrix of a model."""
    seen: dict[str, list[Floats]] = defaultdict(list)

    def observe(names: tuple[str, ...], x: Floats) -> None:
        for name in names:
            seen[name].append(x)

    with gk.Model(model, context=samples.shape[1], activation_bits=16) as engine:
        for sample in samples:
            engine.step([gk.Chunk(engine.sequence(), sample, "all")], observe)
    return {name: np.concatenate(parts).astype(np.float64) for name, parts in seen.items()}


def hessian_of(x: NDArray[Any]) -> NDArray[np.float64]:
    wide = x.astype(np.float64)
    return wide.T @ wide / len(wide)


@pytest.mark.parametrize("method", METHODS)
def test_blocks_are_those_of_what_enters(text: Path, out: Path, method: Any) -> None:
    calibration = gk.Calibration(text, method, **FEW)
    notes = quantize_file(F16, out, "q4_0", pure=True, calibrate=calibration)
    assert any("15 matrices are calibrated" in note for note in notes), notes
    tokenizer = gk.Tokenizer.from_file(F16)
    samples = module.read_samples(text, tokenizer, 9, 48, 0)
    # The first layer reads the embeddings as they are in the new file.
    with io.open(F16) as file, io.open(out) as made:
        mixed = {**file.tensors, "token_embd.weight": made["token_embd.weight"]}
        io.save(out.parent / "mixed.gguf", mixed, file.metadata)
    seen = entered(out.parent / "mixed.gguf", samples.used)
    kind = types.get("q4_0")
    with io.open(F16) as file, io.open(out) as made:
        for part in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"):
            name = f"blk.0.{part}.weight"
            weights = file[name].dequantize()
            blocks = rounded(weights, hessian_of(seen[name]), kind, method)
            found = made[name].data
            same = (found.reshape(-1, 18) == blocks.reshape(-1, 18)).all(1).mean()
            assert same > 0.98, (name, same)  # float32 sums in another order
        reference = gk.quantize(file["token_embd.weight"], "q4_0").data
        np.testing.assert_array_equal(made["token_embd.weight"].data, reference)


def output_error(exact: Path, other: Path, held_out: NDArray[np.int32]) -> float:
    """Mean square of the difference of normed hidden states, which the output matrix gets."""
    ends = [entered(path, held_out)["output.weight"] for path in (exact, other)]
    return float(np.square(ends[0] - ends[1]).mean())


def test_the_error_is_smaller_on_another_text(text: Path, out: Path) -> None:
    other = gk.Tokenizer.from_file(F16).encode("hello, a bead of jade. " * 30)[:400]
    ids = np.array(other, np.int32).reshape(-1, 50)
    quantize_file(F16, out, "q4_0", pure=True)
    reference = output_error(F16, out, ids)
    errors = {}
    for method in METHODS:
        quantize_file(F16, out, "q4_0", pure=True, calibrate=gk.Calibration(text, method, **FEW))
        errors[method] = output_error(F16, out, ids)
    assert errors["search"] < reference
    assert errors["feedback"] < 0.8 * reference
    assert errors["descent"] < 0.8 * reference


def test_metadata_says_how_it_was_made(text: Path, out: Path) -> None:
    quantize_file(F16, out, "q4_K_M", calibrate=gk.Calibration(text, "search", **FEW))
    with io.open(out) as made:
        prefix = "quantize.calibration."
        found = {k.removeprefix(prefix): v for k, v in made.metadata.items() if prefix in k}
        assert found.pop("version").startswith("ggmlkit ")
        assert found.pop("entries_count") > 5
        expected = {"method": "search", "dataset": "text.txt", "chunks_count": 8, "chunk_size": 48}
        assert found == expected


@pytest.mark.parametrize("type", ["q4_0", "q5_1", "q4_K_M", "q8_0"])
def test_types_are_those_of_the_recipe(text: Path, out: Path, type: str) -> None:
    chosen: list[tuple[str, Any]] = [("attn_v", "q8_0"), ("ffn_up", "f16")]
    quantize_file(F16, out, type, tensor_types=chosen)
    with io.open(out) as made:
        expected = {name: (t.type, t.shape) for name, t in made.items()}
    calibration = gk.Calibration(text, "search", **FEW)
    quantize_file(F16, out, type, tensor_types=chosen, calibrate=calibration)
    with io.open(out) as made:
        assert {name: (t.type, t.shape) for name, t in made.items()} == expected


def test_tied_embeddings_are_calibrated_for_the_output(
    text: Path, out: Path, tmp_path: Path
) -> None:
    source = tied(tmp_path)
    quantize_file(source, out, "q4_0", pure=True, calibrate=gk.Calibration(text, "search", **FEW))
    name = "token_embd.weight"
    samples = module.read_samples(text, gk.Tokenizer.from_file(F16), 9, 48, 0)
    hessian = hessian_of(entered(source, samples.used)[name])
    hessian += 0.3 * np.eye(len(hessian)) * np.diagonal(hessian).mean()
    with io.open(source) as file, io.open(out) as made:
        blocks = rounded(file[name].dequantize(), hessian, types.get("q4_0"), "search")
        same = (made[name].data.reshape(-1, 18) == blocks.reshape(-1, 18)).all(1).mean()
        assert same > 0.98


def test_drift_is_made_good_for(text: Path, out: Path) -> None:
    quantize_file(F16, out, "q4_0", pure=True, calibrate=gk.Calibration(text, **FEW))
    without = out.read_bytes()
    calibration = gk.Calibration(text, drift=0.5, **FEW)
    notes = quantize_file(F16, out, "q4_0", pure=True, calibrate=calibration)
    assert out.read_bytes() != without
    assert any("matrices are calibrated" in note for note in notes), notes


def test_sums_in_files_give_the_same(
    monkeypatch: pytest.MonkeyPatch, text: Path, out: Path
) -> None:
    calibration = gk.Calibration(text, "feedback", **FEW)
    quantize_file(F16, out, "q4_0", calibrate=calibration)
    expected = out.read_bytes()
    monkeypatch.setattr(module, "_MEMORY", 0)
    monkeypatch.setattr(matrices, "_PART", 10_000)
    quantize_file(F16, out, "q4_0", calibrate=calibration)
    assert out.read_bytes() == expected
    assert [path.name for path in out.parent.iterdir()] == ["out.gguf"]


@pytest.mark.parametrize("fault", ["worse", "refused"])
def test_what_is_no_better_gets_the_references_rounding(
    monkeypatch: pytest.MonkeyPatch, text: Path, out: Path, fault: str
) -> None:
    def worse(
        weights: Floats, hessian: Any, type: gk.TensorType, method: Any, **settings: Any
    ) -> NDArray[np.uint8]:
        if len(weights) != 128 or type.name == "q8_0":  # no half of gate or up
            return rounded(weights, hessian, type, method, **settings)
        if fault == "refused":
            raise UnstorableError("", (0, 0), 1e9, "q4_0")
        return gk.quantize(1.5 * weights, "q4_0").data.reshape(len(weights), -1)

    monkeypatch.setattr(matrices, "rounded", worse)
    monkeypatch.setattr(matrices, "_PART", 128 * 64)
    calibration = gk.Calibration(text, "search", **FEW)
    notes = quantize_file(F16, out, "q4_0", calibrate=calibration)
    name = "blk.0.ffn_gate.weight"
    assert any(
        name in note and note.endswith("no better on the tokens held out: rounded as without it")
        for note in notes
    ), notes
    with io.open(F16) as file, io.open(out) as made:
        reference = gk.quantize(file[name], "q4_0").data
        np.testing.assert_array_equal(made[name].data, reference)
        name = "blk.0.attn_q.weight"
        assert (made[name].data != gk.quantize(file[name], "q4_0").data).any()


def changed(folder: Path, change: Callable[[dict[str, Any], dict[str, Tensor]], None]) -> Path:
    path = folder / "changed.gguf"
    with io.open(F16) as file:
        metadata, tensors = dict(file.metadata), dict(file.tensors)
        change(metadata, tensors)
        io.save(path, tensors, metadata)
    return path


def other_architecture(metadata: dict[str, Any], _: dict[str, Tensor]) -> None:
    metadata["general.architecture"] = "mamba"


def experts(_: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    name = "blk.1.ffn_gate_exps.weight"
    tensors[name] = gk.quantize(np.zeros((2, 64, 64), np.float32), "f16", name=name)


def no_vocabulary(metadata: dict[str, Any], _: dict[str, Tensor]) -> None:
    for key in [key for key in metadata if key.startswith("tokenizer.")]:
        del metadata[key]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (other_architecture, "changed.gguf: architecture 'mamba' is not supported"),
        (experts, "does not run tensor blk.1.ffn_gate_exps.weight of this llama model"),
        (no_vocabulary, "changed.gguf: "),
    ],
)
def test_a_model_that_the_engine_does_not_run_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: Path, change: Any, said: str
) -> None:
    monkeypatch.setattr(module, "Staging", None)  # before any work
    path, out = changed(tmp_path, change), tmp_path / "out.gguf"
    with pytest.raises(ModelError, match=said):
        quantize_file(path, out, "q4_0", calibrate=gk.Calibration(text))
    assert not out.exists()


def enormous(_: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    name = "blk.0.ffn_down.weight"
    tensors[name] = gk.quantize(np.full((64, 256), 3e38, np.float32), "f32", name=name)


def test_activations_that_are_not_finite_are_an_error(
    tmp_path: Path, text: Path, out: Path
) -> None:
    path = changed(tmp_path, enormous)
    calibration = gk.Calibration(text, "search", **FEW)
    chosen: list[tuple[str, Any]] = [("blk.0.ffn_down", "f32")]
    with pytest.raises(ModelError, match=r"what enters blk\.1\.attn_q\.weight is not finite"):
        quantize_file(path, out, "q4_0", tensor_types=chosen, calibrate=calibration)
    assert not out.exists()


def test_a_type_that_can_not_be_calibrated_is_refused(text: Path, out: Path) -> None:
    assert not can_calibrate(types.get("f16"))
    with pytest.raises(ArgumentError, match="no matrix gets a type that can be calibrated, only b"):
        quantize_file(F16, out, "bf16", calibrate=gk.Calibration(text))
    with pytest.raises(ArgumentError, match=r"calibrate must be .* gk\.Calibration.*, not 'text'"):
        quantize_file(F16, out, "q4_0", calibrate="text")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="either importance or calibrate"):
        quantize_file(F16, out, "q4_0", calibrate=gk.Calibration(text), importance={})


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.ENOSPC, "no room")])
@pytest.mark.parametrize("after", [0, 9])
def test_a_failure_loses_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, text: Path, out: Path, error: BaseException, after: int
) -> None:
    written = 0

    def failing(*arguments: Any) -> int:
        nonlocal written
        written += 1
        if written > after:
            raise error
        return pwrite(*arguments)

    pwrite = os.pwrite
    out.write_bytes(b"before")
    monkeypatch.setattr(os, "pwrite", failing)
    with pytest.raises(type(error)) as caught:
        quantize_file(F16, out, "q4_0", calibrate=gk.Calibration(text, "search", **FEW))
    if isinstance(caught.value, OSError):
        assert caught.value.filename == str(out)
    assert out.read_bytes() == b"before"
    assert [path.name for path in out.parent.iterdir()] == ["out.gguf"]


def test_progress_ends_at_the_whole(text: Path, tmp_path: Path, out: Path) -> None:
    calls: list[tuple[int, int, str]] = []
    quantize_file(
        tied(tmp_path), out, "q4_0", calibrate=gk.Calibration(text, "search", **FEW),
        progress=lambda *call: calls.append(call),
    )  # fmt: skip
    done = [call[0] for call in calls]
    assert done == sorted(done)
    assert calls[-1] == (calls[0][1], calls[0][1], "")
    assert {"token_embd.weight", "blk.1.ffn_down.weight"} <= {call[2] for call in calls}
    assert done[-2] == done[-1]  # all was counted


def test_numpy_takes_as_many_threads_as_asked(
    text: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: set[int] = set()
    add = Hessian.add

    def watched(self: Hessian, x: Floats) -> None:
        seen.update(each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas")
        add(self, x)

    monkeypatch.setattr(Hessian, "add", watched)
    with threadpool_limits(2, "blas"):
        quantize_file(F16, out, "q4_0", calibrate=gk.Calibration(text, "search", **FEW))
    assert seen == {1}

"""Logits compared with the numpy oracle's, and with those of each generation's own library."""

from __future__ import annotations

import argparse
import decimal
import inspect
import json
import pdb
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import ggmlkit as gk
from decoder_models import (
    F16_MAX,
    F16_RMS,
    FLOAT_FILES,
    K_MAX,
    K_RMS,
    Q8_MAX,
    Q8_RMS,
    QUANTIZED_FILES,
    TOKENS,
    assert_exact,
    golden_logits,
    random_model,
    rms,
)
from ggmlkit.engine.llama import Llama
from ggmlkit.io.gguf_view import as_gguf
from oracle import Oracle
from paths import GOLDEN


@pytest.mark.parametrize("path", FLOAT_FILES, ids=lambda p: p.stem)
def test_float_file_equals_the_oracle(path: Path) -> None:
    with gk.open(path) as file:
        expected = Oracle(*as_gguf(file)).logits(TOKENS)
    assert_exact(Llama(path).logits(TOKENS), expected)


@pytest.mark.parametrize("path", FLOAT_FILES, ids=lambda p: p.stem)
def test_float_file_gives_its_generations_logits(path: Path) -> None:
    error = Llama(path).logits(TOKENS) - golden_logits(path)
    assert np.abs(error).max() < F16_MAX
    assert rms(error) < F16_RMS


@pytest.mark.filterwarnings("ignore:.*unpacked to float16")
@pytest.mark.parametrize("path", QUANTIZED_FILES, ids=lambda p: p.stem)
def test_quantized_file_gives_its_generations_logits(path: Path) -> None:
    error = Llama(path).logits(TOKENS) - golden_logits(path)
    assert np.abs(error).max() < Q8_MAX
    assert rms(error) < Q8_RMS


K_FILES = sorted((GOLDEN.parent / "golden-k").glob("*.bin"))


@pytest.mark.parametrize("path", K_FILES, ids=lambda p: p.stem)
def test_k_quants_of_the_last_ggjt_give_their_own_logits(path: Path) -> None:
    tokens = json.loads((path.parent / "manifest.json").read_text())["tokens"]
    expected = np.load(path.with_suffix(".logits.npy"))
    error = (Llama(path).logits(tokens) - expected) / expected.std()
    assert np.abs(error).max() < K_MAX
    assert rms(error) < K_RMS
    with gk.open(path) as file:
        exact = Oracle(*as_gguf(file)).logits(tokens)
    fine = Llama(path, activation_bits=16).logits(tokens)
    # The weights are the file's; only activations are rounded, to 16 bits. Measured 2.0e-4.
    assert rms(fine - exact) < 5e-4 * exact.std()


def test_types_without_products_give_one_warning() -> None:
    with pytest.warns(UserWarning, match=r"matrices of type q4_2 are unpacked to float16"):
        Llama(GOLDEN / "ggjt-v1-q4_2.bin")


def test_every_generation_is_tested() -> None:
    assert len(QUANTIZED_FILES) == 23
    assert len(FLOAT_FILES) == 6


@pytest.mark.parametrize("kind", ["f32", "f16", "bf16"])
@pytest.mark.parametrize("tied", [True, False])
def test_grouped_heads_and_output_equal_the_oracle(kind: str, tied: bool) -> None:
    model = random_model(kind, tied=tied)
    tokens = list(np.random.default_rng(1).integers(0, 101, 70))
    expected = Oracle(model.metadata, model.tensors).logits(tokens)
    assert_exact(Llama(model).logits(tokens), expected)


@pytest.mark.parametrize("kind", ["q4_0", "q4_1", "q5_0", "q5_1", "q8_0"])
def test_quantized_weights_equal_the_oracle_that_rounds_activations(kind: str) -> None:
    model = random_model(kind)
    tokens = list(np.random.default_rng(1).integers(0, 101, 70))
    rounding = Oracle(model.metadata, model.tensors, round_activations=True).logits(tokens)
    exact = Oracle(model.metadata, model.tensors).logits(tokens)
    got = Llama(model).logits(tokens)
    # A value between two steps can be rounded the other way, and the difference then propagates; it
    # stays far below the effect of rounding itself.
    assert rms(got - rounding) < 0.35 * rms(exact - rounding)


@pytest.mark.parametrize(
    "keys",
    [
        {"rope.scaling.type": "linear", "rope.scaling.factor": 4.0},
        {"rope.scaling.type": "none", "rope.scaling.factor": 4.0},
        {
            "rope.scaling.type": "yarn",
            "rope.scaling.factor": 8.0,
            "rope.scaling.original_context_length": 128,
        },
        {
            "rope.scaling.type": "yarn",
            "rope.scaling.factor": 2.0,
            "rope.scaling.original_context_length": 256,
            "rope.scaling.attn_factor": 1.25,
            "rope.scaling.yarn_beta_fast": 16.0,
            "rope.scaling.yarn_beta_slow": 2.0,
        },
    ],
    ids=["linear", "none", "yarn", "yarn-tuned"],
)
def test_rope_scaling_equals_the_oracle(keys: dict[str, Any]) -> None:
    model = random_model(**keys)
    tokens = list(np.random.default_rng(2).integers(0, 101, 90))
    expected = Oracle(model.metadata, model.tensors).logits(tokens)
    assert_exact(Llama(model).logits(tokens), expected)


@pytest.mark.parametrize("kind", ["q4_0", "q4_1", "q5_0", "q5_1", "q8_0"])
@pytest.mark.parametrize("repack", [True, False])
def test_16_bit_activations_equal_the_oracle_that_rounds_none(kind: str, repack: bool) -> None:
    model = random_model(kind)
    tokens = list(np.random.default_rng(6).integers(0, 101, 70))
    expected = Oracle(model.metadata, model.tensors).logits(tokens)
    fine = Llama(model, activation_bits=16, repack=repack)
    # A relative error of 2**-15 in activations, which changes a few percent of the cached values by
    # a float16 step: less than the effect of the cache itself, and far less than that of 8 bits.
    few = tokens[:15]  # not a whole panel: 8 bits on every processor
    rounding = Oracle(model.metadata, model.tensors, round_activations=True).logits(few)
    bound = min(1e-3 * expected.std(), 0.05 * rms(rounding - expected[:15]))
    assert rms(fine.logits(tokens) - expected) < bound
    fine.reset()
    assert rms(fine.eval(tokens[:-1]) - expected[-2]) < bound  # several tokens
    assert rms(fine.eval(tokens[-1:]) - expected[-1]) < bound  # and a single one


def test_rounding_activations_costs_less_than_a_thousandth_of_a_nat(
    smollm2_gguf: Path, tmp_path: Path
) -> None:
    path = tmp_path / "q4_0.gguf"
    gk.quantize_file(smollm2_gguf, path, "q4_0")
    text = "\n".join(inspect.getdoc(thing) or "" for thing in (argparse, decimal, tarfile, pdb))
    coarse = Llama(path, context=512)
    tokens = coarse.tokenize(text)[:512]
    assert len(tokens) == 512
    exact = Llama(path, context=512, activation_bits=16).logits(tokens)
    found = coarse.logits(tokens)
    p, q = (log_softmax(logits.astype(np.float64)) for logits in (exact, found))
    # Measured 0.95e-3; three times as much without second parts.
    assert (np.exp(p) * (p - q)).sum(-1).mean() < 1.1e-3


def log_softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    shifted = logits - logits.max(-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(-1, keepdims=True)))


def test_rope_scaling_changes_something() -> None:
    tokens = list(range(50))
    plain = Llama(random_model()).logits(tokens)
    scaled: dict[str, Any] = {"rope.scaling.type": "linear", "rope.scaling.factor": 4.0}
    assert np.abs(Llama(random_model(**scaled)).logits(tokens) - plain).max() > 0.01


def test_rope_frequencies_of_the_file_equal_the_oracle() -> None:
    model = random_model(freqs=True)
    tokens = list(np.random.default_rng(3).integers(0, 101, 90))
    expected = Oracle(model.metadata, model.tensors).logits(tokens)
    assert_exact(Llama(model).logits(tokens), expected)

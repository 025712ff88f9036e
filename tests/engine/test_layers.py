"""Layers run one after another give what the whole model gives."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from numpy.typing import NDArray

from decoder_models import WINDOW, Memory, random_of
from ggmlkit.arch.gguf_keys import from_gguf_keys
from ggmlkit.arch.tensor_names import EMBEDDINGS
from ggmlkit.engine import layers as module
from ggmlkit.engine.layers import embedded, run_layer
from ggmlkit.engine.model import Model
from ggmlkit.engine.sequence import Chunk
from ggmlkit.errors import ModelError
from ggmlkit.quantizing import quantize

ARCHITECTURES = ["llama", "qwen2", "qwen3", "gemma", "gemma2", "gemma3"]
SAMPLES, TOKENS = 3, WINDOW + 60
Floats = NDArray[np.float32]


@pytest.fixture
def ids() -> NDArray[np.int32]:
    return np.random.default_rng(3).integers(0, 101, (SAMPLES, TOKENS), np.int32)


def by_layers(file: Memory, ids: NDArray[np.int32]) -> tuple[Floats, dict[str, Floats]]:
    """Normed hidden states of the last layer, and what entered each matrix."""
    hparams = from_gguf_keys(file.metadata, file.tensors)
    states = embedded(hparams, file.tensors[EMBEDDINGS], ids)
    seen: dict[str, list[Floats]] = defaultdict(list)
    for layer in range(hparams.layers):
        last = layer == hparams.layers - 1
        steps = run_layer(
            hparams, file.tensors, layer, states, out=states, observes=True, normed=last
        )
        for inputs in steps:
            for names, x in inputs.items():
                for name in names:
                    seen[name].append(x)
    return states, {name: np.concatenate(parts) for name, parts in seen.items()}


@pytest.mark.parametrize("kind", ["f32", "q8_0"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_results_are_the_whole_models(
    architecture: str, kind: str, ids: NDArray[np.int32]
) -> None:
    file = random_of(architecture, kind)
    states, seen = by_layers(file, ids)
    model = Model(file, context=TOKENS, contexts=SAMPLES)
    observed: dict[str, list[Floats]] = defaultdict(list)

    def observe(names: tuple[str, ...], x: Floats) -> None:
        for name in names:
            observed[name].append(x)

    def chunks() -> list[Chunk]:
        return [Chunk(model.sequence(), sample, "all") for sample in ids]

    np.testing.assert_array_equal(states, np.stack(model.hidden_states(chunks())))
    model.step(chunks(), observe)
    (end,) = (name for name in observed if not name.startswith("blk."))
    np.testing.assert_array_equal(
        states.reshape(-1, states.shape[-1]), np.concatenate(observed.pop(end))
    )
    assert seen.keys() == observed.keys()
    for name, parts in observed.items():
        np.testing.assert_array_equal(seen[name], np.concatenate(parts), name)


def test_steps_of_other_sizes_give_the_same(
    monkeypatch: pytest.MonkeyPatch, ids: NDArray[np.int32]
) -> None:
    file = random_of("gemma3")
    expected, seen = by_layers(file, ids)
    monkeypatch.setattr(module, "_STEP_TOKENS", 1)
    found, others = by_layers(file, ids)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    for name, x in others.items():
        np.testing.assert_allclose(x, seen[name], rtol=1e-3, atol=1e-3)


def test_without_a_place_for_results_the_states_stay(ids: NDArray[np.int32]) -> None:
    file = random_of("llama")
    hparams = from_gguf_keys(file.metadata, file.tensors)
    states = embedded(hparams, file.tensors[EMBEDDINGS], ids)
    before = states.copy()
    (inputs,) = run_layer(hparams, file.tensors, 1, states, observes=True)
    np.testing.assert_array_equal(states, before)
    assert [list(names) for names in inputs] == [
        ["blk.1.attn_q.weight", "blk.1.attn_k.weight", "blk.1.attn_v.weight"],
        ["blk.1.attn_output.weight"],
        ["blk.1.ffn_gate.weight", "blk.1.ffn_up.weight"],
        ["blk.1.ffn_down.weight"],
    ]
    assert list(run_layer(hparams, file.tensors, 1, states)) == [{}]


def test_parts_of_a_fused_matrix_are_named(ids: NDArray[np.int32]) -> None:
    file = random_of("llama")
    tensors = dict(file.tensors)
    names = [f"blk.0.attn_{part}.weight" for part in "qkv"]
    values = np.concatenate([tensors.pop(name).dequantize() for name in names])
    tensors["blk.0.attn_qkv.weight"] = quantize(values, "f32")
    hparams = from_gguf_keys(file.metadata, file.tensors)
    states = embedded(hparams, file.tensors[EMBEDDINGS], ids)
    expected, found = np.empty_like(states), np.empty_like(states)
    assert list(run_layer(hparams, file.tensors, 0, states, out=expected)) == [{}]
    (inputs,) = run_layer(hparams, tensors, 0, states, out=found, observes=True)
    np.testing.assert_array_equal(found, expected)
    assert tuple(names) in inputs


def test_a_missing_matrix_is_named(ids: NDArray[np.int32]) -> None:
    file = random_of("llama")
    tensors = dict(file.tensors)
    del tensors["blk.1.ffn_up.weight"]
    hparams = from_gguf_keys(file.metadata, file.tensors)
    states = embedded(hparams, file.tensors[EMBEDDINGS], ids)
    with pytest.raises(ModelError, match=r"blk\.1\.ffn_up\.weight is missing"):
        list(run_layer(hparams, tensors, 1, states))

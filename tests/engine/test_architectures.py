"""Features of architectures other than LLaMA, compared with the numpy oracle."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ggmlkit as gk
from decoder_models import WINDOW, Memory, assert_exact, random_of, rms
from ggmlkit.arch.architectures import ARCHITECTURES
from ggmlkit.arch.gguf_keys import from_gguf_keys
from ggmlkit.arch.hparams import Hparams
from ggmlkit.arch.rope import LinearScaling, Rope
from ggmlkit.engine.config import model_config
from ggmlkit.engine.llama import Llama
from ggmlkit.quantizing import quantize
from ggmlkit.tensor import Tensor
from oracle import Oracle

TOKENS = list(np.random.default_rng(8).integers(0, 101, 600))


def expected(model: Memory, tokens: list[int]) -> Any:
    return Oracle(model.metadata, model.tensors).logits(tokens)


def assert_near(got: Any, exact: Any) -> None:
    """In a short window, a key or value that is rounded the other way has more effect.

    Measured: 3e-4 rms at most; a window that is one position off gives 0.3.
    """
    assert rms(got - exact) < 1e-3 * exact.std()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("threads", [1, 2])
def test_every_architecture_equals_the_oracle(architecture: str, threads: int) -> None:
    model = random_of(architecture)
    exact = expected(model, TOKENS[:150])
    llama = Llama(model, threads=threads)
    assert_exact(llama.logits(TOKENS[:150]), exact)
    llama.reset()
    llama.eval(TOKENS[:140])
    one_by_one = [llama.eval([token]) for token in TOKENS[140:150]]
    assert_exact(np.stack(one_by_one), exact[140:])


@pytest.mark.parametrize("window", [1, 15, 16, WINDOW, 599, 600])
@pytest.mark.parametrize("tail", [1, 2, 8, 9, 30])
def test_any_split_of_a_text_longer_than_the_window(window: int, tail: int) -> None:
    model = random_of("qwen2", **{"attention.sliding_window": window})
    exact = expected(model, TOKENS)
    llama = Llama(model)
    llama.eval(TOKENS[:-tail])
    assert_near(llama.eval(TOKENS[-tail:])[None], exact[-1:])
    assert_near(llama.logits(TOKENS), exact)


@pytest.mark.parametrize("threads", [1, 2])
def test_sequences_with_windows_equal_separate_runs_bit_for_bit(threads: int) -> None:
    model = random_of("gemma2", "q8_0", **{"attention.sliding_window": WINDOW})
    batch = Llama(model, context=400, sequences=4, threads=threads)
    alone = Llama(model, context=400, threads=1)
    texts = [TOKENS[: 1 + 110 * i] for i in range(4)]
    for i, text in enumerate(texts):
        batch.eval(text, i)
    steps = np.array(TOKENS[-12:]).reshape(3, 4)
    got = np.stack([batch.decode_batch(tokens) for tokens in steps])
    for i, text in enumerate(texts):
        alone.reset()
        alone.eval(text)
        for step, token in enumerate(steps[:, i]):
            np.testing.assert_array_equal(got[step, i], alone.eval([token]))


@pytest.mark.parametrize("window", [16, WINDOW])
@pytest.mark.parametrize("tail", [1, 9, 30])
def test_any_split_of_a_text_if_sliding_layers_have_another_rope(window: int, tail: int) -> None:
    model = random_of("gemma3", **{"attention.sliding_window": window})
    exact = expected(model, TOKENS)
    llama = Llama(model, threads=2)
    llama.eval(TOKENS[:-tail])
    assert_near(llama.eval(TOKENS[-tail:])[None], exact[-1:])


def test_without_a_window_gemma3_has_one_rotation() -> None:
    keys = {"attention.sliding_window": 0}
    one, other = (random_of("gemma3", **{**keys, "rope.freq_base_swa": b}) for b in (300.0, 7e4))
    np.testing.assert_array_equal(Llama(one).logits(TOKENS[:50]), Llama(other).logits(TOKENS[:50]))


def test_defaults_of_gemma_3() -> None:
    model = random_of("gemma3", **{"attention.sliding_window": 512, "rope.freq_base": 1e6})
    for key in ("attention.sliding_window_pattern", "rope.freq_base_swa", "rope.scaling.type"):
        del model.metadata[f"gemma3.{key}"]
    config = from_gguf_keys(model.metadata, model.tensors)
    assert config.windows == (512, 512)  # the sixth would see everything
    assert config.sliding_rope == Rope(24, 10000.0)
    assert config.rope == Rope(24, 1e6, LinearScaling(8.0))
    six = {"attention.sliding_window_pattern": 6}
    assert config_of("gemma3", 12, **six).windows[5::6] == (0, 0)
    wide = model_config(config_of("gemma3", 62, **six))
    assert wide.query_scale == pytest.approx((96 / 4) ** -0.5)  # 27 B


def test_a_window_hides_what_lies_before_it() -> None:
    model = random_of("llama", **{"attention.sliding_window": 8, "block_count": 1})
    for name in [name for name in model.tensors if name.startswith("blk.1.")]:
        del model.tensors[name]
    llama = Llama(model)
    last = [5, 6, 7, 8, 9, 10, 11, 12]
    np.testing.assert_allclose(llama.logits([1, 2, *last])[-1], llama.logits([3, 4, *last])[-1])
    seen = llama.logits([2, *last[1:]])[-1]
    assert np.abs(seen - llama.logits(last)[-1]).max() > 1e-3


@pytest.mark.parametrize(
    ("keys", "windows"),
    [
        ({}, (0, 0)),
        ({"attention.sliding_window": 7}, (7, 7)),
        ({"attention.sliding_window": 0}, (0, 0)),
        ({"attention.sliding_window": 7, "attention.sliding_window_pattern": 2}, (7, 0)),
        ({"attention.sliding_window": 7, "attention.sliding_window_pattern": 1}, (0, 0)),
        (
            {"attention.sliding_window": 7, "attention.sliding_window_pattern": [False, True]},
            (0, 7),
        ),
        (
            {
                "attention.sliding_window": 7,
                "attention.sliding_window_pattern": np.array([False, True]),
            },
            (0, 7),
        ),
    ],
)
def test_windows_of_the_layers(keys: dict[str, Any], windows: tuple[int, ...]) -> None:
    config = Llama(random_of("phi3", **keys)).config
    assert config.windows == windows


def config_of(architecture: str, layers: int = 2, **keys: Any) -> Hparams:
    model = random_of(architecture, block_count=layers, **keys)
    padding = {f"p{i}": quantize(np.ones(1), "f32") for i in range(layers)}
    return from_gguf_keys(model.metadata, {**model.tensors, **padding})


def test_defaults_of_gemma_2() -> None:
    model = random_of("gemma2")
    for key in (
        "attention.sliding_window",
        "attn_logit_softcapping",
        "final_logit_softcapping",
    ):
        del model.metadata[f"gemma2.{key}"]
    config = from_gguf_keys(model.metadata, model.tensors)
    assert (config.attn_softcap, config.final_softcap, config.windows) == (50.0, 30.0, (4096, 0))
    assert model_config(config).query_scale == 0  # by the head size
    wide = model_config(config_of("gemma2", 46))
    assert wide.query_scale == pytest.approx((96 / 4) ** -0.5)
    assert config_of("gemma2", **{"attention.scale": 0.25}).query_scale == 0.25


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"attention.sliding_window_pattern": [True]}, "has 1 values for 2 layers"),
        ({"attention.sliding_window": "far"}, "sliding_window"),
        ({"attention.sliding_window": 2**64 - 1}, "sliding_window"),
        ({"attn_logit_softcapping": -1.0}, "attn_logit_softcapping"),
        ({"attention.causal": False}, r"qwen2\.attention\.causal is False"),
        ({"attention.clamp_kqv": 8.0}, "clamp_kqv"),
        ({"residual_scale": 0.5}, "residual_scale"),
        ({"logit_scale": 0.5}, "logit_scale"),
        ({"expert_count": 4}, "experts"),
        ({"rope.scaling.type": "longrope"}, "longrope"),
    ],
)
def test_unsupported_features_are_named(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(gk.ModelError, match=message):
        Llama(random_of("qwen2", **keys))


def fused(model: Memory) -> Memory:
    """The same model with q, k and v in one tensor, and gate and up in another."""
    tensors = dict(model.tensors)

    def join(layer: int, whole: str, *parts: str) -> None:
        taken = [tensors.pop(f"blk.{layer}.{part}.weight") for part in parts]
        shape = (sum(t.shape[0] for t in taken), taken[0].shape[1])
        data = np.concatenate([t.data for t in taken])
        tensors[f"blk.{layer}.{whole}.weight"] = Tensor(taken[0].type, shape, data)

    for layer in range(2):
        join(layer, "attn_qkv", "attn_q", "attn_k", "attn_v")
        join(layer, "ffn_up", "ffn_gate", "ffn_up")
    return Memory(model.metadata, tensors)


@pytest.mark.parametrize("kind", ["f32", "q8_0", "q4_0"])
@pytest.mark.parametrize("repack", [True, False])
def test_fused_tensors_give_the_same_as_their_parts(kind: str, repack: bool) -> None:
    model = random_of("phi3", kind)
    apart, joined = (Llama(each, repack=repack) for each in (model, fused(model)))
    np.testing.assert_array_equal(apart.logits(TOKENS[:40]), joined.logits(TOKENS[:40]))


def test_fused_tensors_of_the_wrong_shape_are_named() -> None:
    for name in ("attn_qkv", "ffn_up"):
        model = fused(random_of("phi3"))
        model.tensors[f"blk.1.{name}.weight"] = quantize(np.ones((32, 96)), "f32")
        with pytest.raises(gk.ModelError, match=rf"blk\.1\.{name}"):
            Llama(model)


@pytest.mark.parametrize("name", ["post_ffw_norm", "post_attention_norm"])
def test_a_missing_norm_is_named(name: str) -> None:
    model = random_of("gemma2")
    del model.tensors[f"blk.1.{name}.weight"]
    with pytest.raises(gk.ModelError, match=rf"blk\.1\.{name}\.weight is missing"):
        Llama(model)


def test_a_bias_of_the_wrong_size_is_named() -> None:
    model = random_of("qwen2")
    model.tensors["blk.0.attn_k.bias"] = quantize(np.ones(63), "f32")
    with pytest.raises(gk.ModelError, match=r"blk\.0\.attn_k\.bias has 63 elements.* 64"):
        Llama(model)


def with_factors(short: list[float], long: list[float]) -> Memory:
    model = random_of("phi3", **{"rope.scaling.original_context_length": 64})
    for name, values in (("short", short), ("long", long)):
        model.tensors[f"rope_factors_{name}.weight"] = quantize(np.array(values), "f32")
    return model


def test_the_context_length_decides_the_factors() -> None:
    short, long = [1.0 + i / 10 for i in range(12)], [2.0 + i for i in range(12)]
    model = with_factors(short, long)
    for context, factors in ((64, short), (65, long)):
        plain = random_of("phi3")
        plain.tensors["rope_freqs.weight"] = quantize(np.array(factors), "f32")
        assert_exact(
            Llama(model, context=context).logits(TOKENS[:50]), expected(plain, TOKENS[:50])
        )


@pytest.mark.parametrize(
    ("short", "message"), [([1.0] * 11, "half as many"), ([0.0] * 12, "rope_factors_short")]
)
def test_factors_that_do_not_fit_are_refused(short: list[float], message: str) -> None:
    with pytest.raises(gk.ModelError, match=message):
        Llama(with_factors(short, [1.0] * 12))

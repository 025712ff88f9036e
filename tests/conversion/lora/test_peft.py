"""Adapters that PEFT made: merged, converted and applied at run time, they give PEFT's logits."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ggmlkit as gk
import torch
from ggmlkit.errors import ConversionError, FormatError, ModelError
from lora_models import ATTENTION, LINEAR, TOKENS, distance, edited, logits, saved_adapter
from tiny_models import save_variant

MakeHf = Callable[..., tuple[Path, Any]]
VARIANTS: dict[str, dict[str, Any]] = {
    "linear": {},
    "queries and keys": {"target_modules": ["q_proj", "k_proj"], "r": 1, "lora_alpha": 2},
    "rank-stabilised": {"use_rslora": True, "r": 9},
    "patterns": {
        "target_modules": LINEAR,
        "rank_pattern": {
            "q_proj": 8,
            r"layers\.1\.mlp\.down_proj": 2,
            "layers.0.self_attn.k_proj": 3,
        },
        "alpha_pattern": {"(k|v)_proj": 20, r"model.layers.\d+.mlp.up_proj": 1, "o_proj": 0},
    },
    "some layers": {"layers_to_transform": [1], "target_modules": ATTENTION},
    "embeddings and output": {"target_modules": ["embed_tokens", "lm_head", "v_proj"]},
    "fan in, fan out": {"fan_in_fan_out": True},
}
# The only difference is that keys and values are kept in float16: see test_logits_transformers.
BOUND = 1e-3


def run(model: Path, *lora: Any, **settings: Any) -> Any:
    return gk.Llama(model, lora=lora, threads=2, **settings).logits(TOKENS)


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_way_to_apply_an_adapter_gives_pefts_logits(
    base: tuple[Path, Any], tmp_path: Path, variant: str
) -> None:
    folder, model = base
    adapted = saved_adapter(tmp_path / "adapter", model, **VARIANTS[variant])
    expected = logits(adapted)
    assert distance(logits(model), expected) > 50 * BOUND

    gk.apply_lora(folder, [tmp_path / "adapter"], tmp_path / "merged.gguf", type="f32")
    assert distance(run(tmp_path / "merged.gguf"), expected) < BOUND
    assert distance(run(tmp_path / "base.gguf", tmp_path / "adapter"), expected) < BOUND
    for name in ("adapter.gguf", "adapter.ggla"):
        gk.convert(tmp_path / "adapter", tmp_path / name, base=folder)
        assert distance(run(tmp_path / "base.gguf", tmp_path / name), expected) < BOUND


def test_a_pytorch_file_is_the_same_adapter(base: tuple[Path, Any], tmp_path: Path) -> None:
    saved_adapter(tmp_path / "a", base[1])
    saved_adapter(tmp_path / "b", base[1], safe=False)
    assert (tmp_path / "b" / "adapter_model.bin").is_file()
    one, other = (run(tmp_path / "base.gguf", tmp_path / name) for name in "ab")
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("type", ["f16", "bf16"])
def test_matrices_can_have_16_bits(base: tuple[Path, Any], tmp_path: Path, type: str) -> None:
    dtype = {"f16": torch.float16, "bf16": torch.bfloat16}[type]
    adapted = saved_adapter(tmp_path / "a", base[1])
    state = {
        name: value.to(dtype) for name, value in adapted.state_dict().items() if ".lora_" in name
    }
    adapted.load_state_dict(state, strict=False)
    gk.convert(tmp_path / "a", tmp_path / "a.gguf", type=type, base=base[0])
    with gk.open(tmp_path / "a.gguf") as file:
        assert {tensor.type.name for tensor in file.values()} == {type}
    assert distance(run(tmp_path / "base.gguf", tmp_path / "a.gguf"), logits(adapted)) < BOUND


@pytest.mark.parametrize("type", ["q8_0", "f16"])
def test_the_base_can_be_quantized(base: tuple[Path, Any], tmp_path: Path, type: str) -> None:
    """As far from PEFT's logits as the rounded base is from the base's own."""
    gk.convert(base[0], tmp_path / "small.gguf", type=type)
    expected = logits(saved_adapter(tmp_path / "a", base[1]))
    rounding = distance(run(tmp_path / "small.gguf", activation_bits=16), logits(base[1]))
    got = run(tmp_path / "small.gguf", tmp_path / "a", activation_bits=16)
    assert distance(got, expected) < 2 * rounding + BOUND


def test_several_adapters_with_scales_add_up(base: tuple[Path, Any], tmp_path: Path) -> None:
    _, model = base
    adapted = saved_adapter(tmp_path / "a", model)
    saved_adapter(tmp_path / "b", model, seed=1, r=7, target_modules=ATTENTION)
    adapted.load_adapter(tmp_path / "b", "b")
    adapted.add_weighted_adapter(["default", "b"], [0.5, -1.5], "both", combination_type="cat")
    adapted.set_adapter("both")
    expected = logits(adapted)
    lora = [(tmp_path / "a", 0.5), (tmp_path / "b", -1.5)]
    assert distance(run(tmp_path / "base.gguf", *lora), expected) < BOUND
    gk.apply_lora(tmp_path / "base.gguf", lora, tmp_path / "merged.gguf")
    assert distance(run(tmp_path / "merged.gguf"), expected) < BOUND


def test_the_number_of_heads_comes_from_a_config_on_this_machine(
    base: tuple[Path, Any], tmp_path: Path
) -> None:
    folder, model = base
    saved_adapter(tmp_path / "a", model)
    for known in (folder / "config.json", folder, tmp_path / "base.gguf"):
        gk.convert(tmp_path / "a", tmp_path / f"{known.name}.ggla", base=known)
    written = {path.read_bytes() for path in tmp_path.glob("*.ggla")}
    settings = tmp_path / "a" / "adapter_config.json"
    config = json.loads(settings.read_text())
    settings.write_text(json.dumps(config | {"base_model_name_or_path": str(folder)}))
    gk.convert(tmp_path / "a", tmp_path / "named.ggla")
    written.add((tmp_path / "named.ggla").read_bytes())
    assert len(written) == 1
    settings.write_text(json.dumps(config | {"base_model_name_or_path": "org/model"}))
    with pytest.raises(ConversionError, match=r"depends on the model it is for.*give the base"):
        gk.convert(tmp_path / "a", tmp_path / "out.gguf")


def test_the_number_of_heads_comes_from_a_model_that_was_downloaded_before(
    base: tuple[Path, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    saved_adapter(tmp_path / "a", base[1])
    edited(tmp_path / "a", lambda config: config.update(base_model_name_or_path="org/model"))
    cached = tmp_path / "cache" / "models--org--model"
    (cached / "snapshots" / "abc").mkdir(parents=True)
    shutil.copy(base[0] / "config.json", cached / "snapshots" / "abc")
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text("abc")
    gk.convert(tmp_path / "a", tmp_path / "a.gguf")
    gk.convert(tmp_path / "a", tmp_path / "b.gguf", base=base[0])
    assert (tmp_path / "a.gguf").read_bytes() == (tmp_path / "b.gguf").read_bytes()


# ------------------------------------------------------------------- other architectures

FUSED = ["qkv_proj", "gate_up_proj", "o_proj", "down_proj"]
OTHERS: list[tuple[str, dict[str, Any]]] = [
    ("qwen2", {"target_modules": ["gate_proj", "up_proj", "down_proj"]}),
    ("qwen2-tied", {"target_modules": ["v_proj", "q_proj"], "use_rslora": True}),
    ("gemma2", {"target_modules": ["o_proj"]}),
    ("gemma3", {"target_modules": ["q_proj", "down_proj"]}),
    ("phi3", {"target_modules": FUSED, "rank_pattern": {"qkv_proj": 8}}),
    ("phi3", {"target_modules": ["qkv_proj"], "alpha_pattern": {"qkv_proj": 3}}),
    ("phi3-part", {"target_modules": ["gate_up_proj"]}),
]


@pytest.mark.parametrize(("variant", "settings"), OTHERS)
def test_adapters_of_every_architecture_give_pefts_logits(
    tmp_path: Path, variant: str, settings: dict[str, Any]
) -> None:
    model = save_variant(variant, tmp_path / "base")
    base, adapter, written = (tmp_path / name for name in ("base.gguf", "a", "a.gguf"))
    gk.convert(tmp_path / "base", base, type="f32")
    expected = logits(saved_adapter(adapter, model, **settings))
    assert distance(logits(model), expected) > 50 * BOUND

    assert distance(run(base, adapter), expected) < BOUND
    gk.convert(adapter, written, base=tmp_path / "base")
    with gk.open(written) as file:
        assert file.metadata["general.architecture"] == variant.partition("-")[0]
    assert distance(run(base, written), expected) < BOUND
    gk.apply_lora(base, [adapter], tmp_path / "merged.gguf")
    assert distance(run(tmp_path / "merged.gguf"), expected) < BOUND
    with pytest.raises(ConversionError, match="ggla holds only adapters of llama, not of"):
        gk.convert(adapter, tmp_path / "a.ggla", base=base)


def test_an_adapter_whose_model_is_not_found_asks_for_it(
    base: tuple[Path, Any], tmp_path: Path
) -> None:
    """The architecture is not guessed, even where the heads don't matter."""
    saved_adapter(tmp_path / "a", base[1], target_modules=["v_proj", "down_proj"])
    for name in ("a.gguf", "a.ggla"):
        with pytest.raises(ConversionError, match=r"which architecture .*\(--base\)"):
            gk.convert(tmp_path / "a", tmp_path / name)
    gk.convert(tmp_path / "a", tmp_path / "a.gguf", base=base[0] / "config.json")
    one, other = (run(tmp_path / "base.gguf", tmp_path / name) for name in ("a", "a.gguf"))
    np.testing.assert_allclose(one, other, atol=1e-6)

    model = save_variant("phi3", tmp_path / "phi3")
    saved_adapter(tmp_path / "b", model, target_modules=["qkv_proj"])
    with pytest.raises(ConversionError, match=r"qkv_proj\.lora_A.* depends on the model.*--base"):
        gk.convert(tmp_path / "b", tmp_path / "b.gguf")
    with pytest.raises(ConversionError, match=r"no place for .*qkv_proj.* architecture 'llama'"):
        gk.apply_lora(base[0], [tmp_path / "b"], tmp_path / "b.gguf")


def test_wrappers_of_training_are_left_out_of_names(base: tuple[Path, Any], tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    saved_adapter(tmp_path / "a", base[1])
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    weights = tmp_path / "b" / "adapter_model.safetensors"
    wrapped = {
        name.replace(".layers.0.", ".layers.0._fsdp_wrapped_module."): values
        for name, values in load_file(weights).items()
    }
    save_file(wrapped, weights)
    one, other = (run(tmp_path / "base.gguf", tmp_path / name) for name in "ab")
    np.testing.assert_array_equal(one, other)


def test_a_model_without_its_head_has_shorter_names(base: tuple[Path, Any], tmp_path: Path) -> None:
    """PEFT on the model that AutoModel loads."""
    saved_adapter(tmp_path / "a", base[1])
    saved_adapter(tmp_path / "b", base[1].model)
    one, other = (run(tmp_path / "base.gguf", tmp_path / name) for name in "ab")
    np.testing.assert_array_equal(one, other)


# --------------------------------------------------- DoRA, whole modules, trained biases


def trained(folder: Path, model: Any, **settings: Any) -> Any:
    """An adapter whose magnitudes, biases and whole modules differ from their initial values."""
    adapted = saved_adapter(folder, model, **settings)
    with torch.no_grad():
        for name, values in adapted.named_parameters():
            if values.requires_grad and "lora_A" not in name and "lora_B" not in name:
                values *= 1 + 0.5 * torch.rand_like(values)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of embeddings that are saved too
        adapted.save_pretrained(folder)
    return adapted


MERGED: list[tuple[str, dict[str, Any], str]] = [
    ("llama", {"use_dora": True, "use_rslora": True, "rank_pattern": {"q_proj": 8}}, "use_dora"),
    ("llama", {"use_dora": True, "target_modules": ["lm_head", "k_proj"]}, "use_dora"),
    ("phi3", {"use_dora": True, "target_modules": FUSED}, "use_dora"),
    ("llama", {"modules_to_save": ["lm_head", "q_proj", "norm"]}, "modules_to_save"),
    ("gemma2", {"modules_to_save": ["input_layernorm", "post_attention_layernorm"]}, "whole blk"),
    ("gemma3", {"modules_to_save": ["q_norm", "pre_feedforward_layernorm"]}, "whole blk"),
    ("qwen2", {"bias": "all", "use_dora": True}, "a trained bias"),
    ("qwen2", {"bias": "lora_only", "target_modules": ["k_proj"]}, "a trained bias"),
    ("qwen2-tied", {"modules_to_save": ["embed_tokens"]}, r"whole token_embd\.weight"),
    ("qwen2-tied", {"modules_to_save": ["lm_head", "embed_tokens"]}, r"whole output\.weight"),
    ("qwen2-tied", {"target_modules": ["embed_tokens"]}, "output matrix too; add it .*apply-lora"),
    ("qwen2-tied", {"target_modules": ["lm_head"]}, r"in this model is token_embd.*; add it"),
]


@pytest.mark.parametrize(("variant", "settings", "named"), MERGED)
def test_dora_and_whole_tensors_are_merged_but_not_run_or_converted(
    tmp_path: Path, variant: str, settings: dict[str, Any], named: str
) -> None:
    model = save_variant(variant, tmp_path / "base")
    targets = [name for name in LINEAR if name not in settings.get("modules_to_save", ())]
    adapter, merged = tmp_path / "a", tmp_path / "merged.gguf"
    expected = logits(trained(adapter, model, **{"target_modules": targets} | settings))
    assert distance(logits(model), expected) > 50 * BOUND

    gk.convert(tmp_path / "base", tmp_path / "base.gguf", type="f32")
    for base in (tmp_path / "base", tmp_path / "base.gguf"):
        gk.apply_lora(base, [adapter], merged, type="f32")
        assert distance(run(merged), expected) < BOUND
    with pytest.raises(ModelError, match=named):
        run(tmp_path / "base.gguf", adapter)
    with pytest.raises(ConversionError, match=named):
        gk.convert(adapter, tmp_path / "a.gguf", base=tmp_path / "base")


def test_an_adapter_that_sets_whole_weights_needs_scale_1_and_no_other(
    base: tuple[Path, Any], tmp_path: Path
) -> None:
    out = tmp_path / "out.gguf"
    saved_adapter(tmp_path / "dora", base[1], use_dora=True)
    saved_adapter(tmp_path / "head", base[1], modules_to_save=["lm_head"])
    saved_adapter(tmp_path / "plain", base[1], target_modules=["lm_head", "q_proj"])
    dora, head, plain = (tmp_path / name for name in ("dora", "head", "plain"))
    for one in (dora, head):
        with pytest.raises(ConversionError, match=r"its scale must be 1, not 0\.5"):
            gk.apply_lora(base[0], [(one, 0.5)], out)
        for pair in ([one, plain], [plain, one]):
            with pytest.raises(ConversionError, match="and another adapter both change"):
                gk.apply_lora(base[0], pair, out)
    assert not out.exists()


def test_embeddings_stay_tied_if_files_hold_one_matrix(tmp_path: Path) -> None:
    model = save_variant("gemma2", tmp_path / "base")
    saved_adapter(tmp_path / "a", model, target_modules=["embed_tokens"])
    with pytest.raises(ConversionError, match="files of the architecture 'gemma2' have one matrix"):
        gk.apply_lora(tmp_path / "base", [tmp_path / "a"], tmp_path / "out.gguf")


def test_dora_settings_that_contradict_the_tensors(base: tuple[Path, Any], tmp_path: Path) -> None:
    saved_adapter(tmp_path / "a", base[1], use_dora=True)
    edited(tmp_path / "a", lambda config: config.update(use_dora=False))
    with pytest.raises(FormatError, match=r"use_dora is False, but .* has a lora_magnitude_vector"):
        gk.apply_lora(base[0], [tmp_path / "a"], tmp_path / "out.gguf")
    saved_adapter(tmp_path / "b", base[1])
    edited(tmp_path / "b", lambda config: config.update(use_dora=True))
    with pytest.raises(FormatError, match=r"use_dora is True, but .* has no lora_magnitude_vector"):
        gk.apply_lora(base[0], [tmp_path / "b"], tmp_path / "out.gguf")
    saved_adapter(tmp_path / "c", base[1], use_dora=True, target_modules=["embed_tokens"])
    with pytest.raises(ConversionError, match=r"DoRA .* of embeddings is not supported"):
        gk.apply_lora(base[0], [tmp_path / "c"], tmp_path / "out.gguf")
    edited(tmp_path / "b", lambda config: config.update(use_dora=None, modules_to_save=["score"]))
    with pytest.raises(
        ConversionError, match="modules_to_save has 'score', but the adapter has no tensors of it"
    ):
        gk.apply_lora(base[0], [tmp_path / "b"], tmp_path / "out.gguf")

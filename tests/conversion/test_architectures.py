"""Models of each architecture: converted, run, and written back, they compute what transformers
computes with the same weights."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import transformers

import ggmlkit as gk
import torch
from ggmlkit.arch.hf_config import from_hf_config
from ggmlkit.arch.hf_families import FAMILIES
from ggmlkit.conversion.convert import convert
from ggmlkit.conversion.export import export
from ggmlkit.errors import ConversionError
from tiny_models import VARIANTS, save_tiny, save_variant

Floats = np.ndarray[Any, Any]
# Longer than a chunk of a prompt, and than every window below.
TOKENS = np.random.default_rng(4).integers(0, 320, 280).tolist()
# The only difference is that keys and values are kept in float16 (11 bits): 2⁻¹² of each.
BOUND = 1e-3

Make = Callable[[str], tuple[Path, Any]]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Makes the folder of a variant; returns it and the model."""

    def made(variant: str) -> tuple[Path, Any]:
        return tmp_path / "tiny", save_variant(variant, tmp_path / "tiny")

    return made


def logits(model: Any, tokens: list[int] = TOKENS) -> Floats:
    with torch.no_grad():
        return np.asarray(model(torch.tensor([tokens])).logits[0].float().numpy())


def error(ours: Floats, theirs: Floats) -> float:
    """Root mean square of the difference, relative to the spread of the logits."""
    return float(np.sqrt(np.mean((ours - theirs) ** 2)) / theirs.std())


HALVES = ["llama-biases", "qwen2", "qwen3", "phi3", "gemma2", "gemma3"]


@pytest.mark.parametrize(
    ("variant", "type"), [*((v, "f32") for v in VARIANTS), *((v, "f16") for v in HALVES)]
)
def test_logits_equal_transformers(make: Make, tmp_path: Path, variant: str, type: str) -> None:
    folder, model = make(variant)
    convert(folder, tmp_path / "m.gguf", type=type)
    for weights in model.parameters():
        if weights.ndim == 2 and type == "f16":
            weights.data = weights.data.half().float()
    llama = gk.Llama(tmp_path / "m.gguf", threads=1)
    assert llama.config.architecture == VARIANTS[variant][1]
    assert error(llama.logits(TOKENS), logits(model)) < BOUND


@pytest.mark.parametrize("variant", VARIANTS)
def test_tokens_one_by_one_in_several_sequences(make: Make, tmp_path: Path, variant: str) -> None:
    folder, model = make(variant)
    convert(folder, tmp_path / "m.gguf", type="f32")
    llama = gk.Llama(tmp_path / "m.gguf", threads=2, sequences=3)
    texts = [TOKENS, TOKENS[100:150], TOKENS[7:11]]
    if variant == "phi3-longrope":  # transformers uses the long factors only for long texts
        texts = [TOKENS, TOKENS[:200], TOKENS[80:]]
    for i, text in enumerate(texts):
        llama.eval(text[:-3], i)
    ours = np.stack([llama.decode_batch([text[at] for text in texts]) for at in (-3, -2, -1)])
    for i, text in enumerate(texts):
        assert error(ours[:, i], logits(model, text)[-3:]) < BOUND


@pytest.mark.parametrize("variant", VARIANTS)
def test_an_exported_model_computes_the_same(make: Make, tmp_path: Path, variant: str) -> None:
    folder, model = make(variant)
    convert(folder, tmp_path / "m.gguf", type="f32")
    export(tmp_path / "m.gguf", tmp_path / "out")
    again = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path / "out", attn_implementation="eager"
    )
    assert error(logits(again), logits(model)) < 1e-6
    convert(tmp_path / "out", tmp_path / "again.gguf", type="f32")
    one, other = gk.open(tmp_path / "m.gguf"), gk.open(tmp_path / "again.gguf")
    assert one.names == other.names
    for name in one:
        assert np.allclose(one[name].dequantize(), other[name].dequantize(), atol=1e-7), name
    for key in set(one.metadata) - {"general.name"}:
        assert np.array_equal(one.metadata[key], other.metadata[key]), key


@pytest.mark.parametrize("variant", ["qwen2", "qwen3", "phi3", "gemma2", "gemma3"])
def test_a_quantized_model_computes_with_the_values_of_its_blocks(
    make: Make, tmp_path: Path, variant: str
) -> None:
    folder, _ = make(variant)
    convert(folder, tmp_path / "q.gguf", type="q8_0")
    convert(tmp_path / "q.gguf", tmp_path / "f.gguf", type="f32")
    exact = gk.Llama(tmp_path / "f.gguf").logits(TOKENS)
    fine = gk.Llama(tmp_path / "q.gguf", activation_bits=16).logits(TOKENS)
    assert error(fine, exact) < BOUND
    mapped = gk.Llama(tmp_path / "q.gguf", activation_bits=16, repack=False).logits(TOKENS)
    np.testing.assert_array_equal(mapped, fine)


@pytest.mark.parametrize("variant", ["qwen2", "phi3", "gemma", "llama-biases", "mistral-window"])
def test_what_ggjt_and_meta_cannot_hold_is_named(make: Make, tmp_path: Path, variant: str) -> None:
    named = {"llama-biases": "biases", "mistral-window": "sliding window"}
    match = named.get(variant, variant)
    folder, _ = make(variant)
    with pytest.raises(ConversionError, match=f"ggjt cannot hold .*{match}"):
        convert(folder, tmp_path / "m.bin")
    with pytest.raises(ConversionError, match=f"no field for .*{match}"):
        export(folder, tmp_path / "out", format="meta")


@pytest.mark.parametrize("family", ["Gemma2", "Phi3"])
def test_a_model_with_a_sentencepiece_vocabulary_generates_text(
    golden: Path, tmp_path: Path, family: str
) -> None:
    folder = tmp_path / "tiny"
    sizes = {"vocab_size": 384, "pad_token_id": 0}
    save_tiny(family, folder, **({**sizes, "head_dim": 256} if family == "Gemma2" else sizes))
    (folder / "tokenizer.json").unlink()
    shutil.copy(golden / "meta" / "tokenizer.model", folder)
    convert(folder, tmp_path / "m.gguf")
    assert gk.open(tmp_path / "m.gguf").metadata["tokenizer.ggml.model"] == "llama"
    llama = gk.Llama(tmp_path / "m.gguf")
    pieces = list(llama.generate("the quick", max_tokens=8, seed=1, ignore_eos=True))
    assert llama.stats.decode_tokens == 8
    assert "".join(pieces)


# ------------------------------------------------------------ types that are not known


def renamed(folder: Path, model_type: str, **settings: Any) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "model_type": model_type, **settings}))


@pytest.mark.parametrize(
    ("model_type", "own_class", "settings"),
    [
        ("ministral", "MinistralForCausalLM", {"sliding_window": 24}),
        ("internlm3", "InternLM3ForCausalLM", {}),
        ("iquestcoder", "IQuestCoderForCausalLM", {"attention_bias": True, "mlp_bias": True}),
    ],
)
def test_model_types_that_compute_what_llama_does(
    tmp_path: Path, model_type: str, own_class: str, settings: dict[str, Any]
) -> None:
    folder = tmp_path / "tiny"
    family = "Ministral" if model_type == "ministral" else "Llama"
    save_tiny(
        family, folder, **{"initializer_range": 0.12, "pad_token_id": None}, head_dim=16, **settings
    )
    renamed(folder, model_type, architectures=[own_class])
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager")
    convert(folder, tmp_path / "m.gguf", type="f32")
    ours = gk.Llama(tmp_path / "m.gguf").logits(TOKENS[:200])
    assert error(ours, logits(model, TOKENS[:200])) < BOUND


def test_a_type_with_llama_s_names_and_another_rotation_is_refused_by_name(tmp_path: Path) -> None:
    """Helium's settings and tensors have llama's names, but its rotation is another."""
    save_tiny("Helium", tmp_path / "tiny", head_dim=16, pad_token_id=None)
    with pytest.raises(ConversionError, match="model_type 'helium' is not supported, only llama,"):
        convert(tmp_path / "tiny", tmp_path / "m.gguf")
    assert not (tmp_path / "m.gguf").exists()


def test_every_causal_model_of_transformers_is_known_or_refused_by_name() -> None:
    """Each with only llama's settings, which don't show what it does differently."""
    from transformers.models.auto import modeling_auto

    settings = {
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "vocab_size": 320,
    }
    known = set(FAMILIES)
    for kind in {
        *modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
        "baichuan",
        "yi",
        "deci",
    } - known:
        with pytest.raises(ConversionError, match=f"model_type '{kind}' is not supported"):
            from_hf_config({**settings, "model_type": kind})


def test_a_bias_that_the_config_does_not_have_is_named(make: Make, tmp_path: Path) -> None:
    folder, _ = make("llama-biases")
    renamed(folder, "llama", attention_bias=False)
    with pytest.raises(ConversionError, match=r"no place for the tensor .*_proj\.bias"):
        convert(folder, tmp_path / "m.gguf")


def test_a_bias_that_is_missing_is_named(make: Make, tmp_path: Path) -> None:
    folder, model = make("qwen2")
    (folder / "model.safetensors").unlink()
    state = model.state_dict()
    del state["model.layers.1.self_attn.k_proj.bias"]
    torch.save(state, folder / "pytorch_model.bin")
    with pytest.raises(ConversionError, match=r"no tensor blk\.1\.attn_k\.bias"):
        convert(folder, tmp_path / "m.gguf")

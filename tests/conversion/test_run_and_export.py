"""A file's keys mean the same for running a model and for exporting it."""

from __future__ import annotations

from collections.abc import Callable
from math import log
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import transformers

import ggmlkit as gk
from ggmlkit.conversion.base_model import hparams_of
from ggmlkit.conversion.hf.export import hf_tensors
from ggmlkit.conversion.open_source import open_source
from ggmlkit.quantizing import quantize
from lora_models import TOKENS, distance, logits
from tiny_models import save_tiny

Make = Callable[..., Path]
LINEAR_4 = {"rope_type": "linear", "factor": 4.0}
YARN: dict[str, Any] = {"rope.scaling.type": "yarn", "rope.scaling.factor": 4.0}
# Keys, and the rope_scaling of the exported config.json.
ROWS: dict[str, tuple[dict[str, Any], dict[str, Any] | None]] = {
    "a factor without a type": ({"rope.scaling.factor": 4.0}, LINEAR_4),
    "scale_linear, of 2023": ({"rope.scale_linear": 4.0}, LINEAR_4),
    "linear without a factor": ({"rope.scaling.type": "linear"}, None),
    "yarn with attn_factor": (
        {**YARN, "rope.scaling.original_context_length": 64, "rope.scaling.attn_factor": 1.25},
        {
            "rope_type": "yarn",
            "factor": 4.0,
            "original_max_position_embeddings": 64,
            "attention_factor": 1.25 * (1 + 0.1 * log(4)),
        },
    ),
    "yarn without an original context": (
        YARN,
        {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 256},
    ),
    "one number of key/value heads a layer": ({"attention.head_count_kv": [2, 2]}, None),
    "one context length a layer": ({"context_length": [256, 256]}, None),
    "norms without an epsilon": ({"attention.layer_norm_rms_epsilon": 0.0}, None),
    "the scale of queries that follows from the sizes": ({"attention.scale": 0.25}, None),
    "one width a layer": ({"feed_forward_length": np.array([96, 96], np.int32)}, None),
}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LLaMA in f32 without anything unusual."""
    folder = tmp_path_factory.mktemp("plain")
    save_tiny("Llama", folder / "tiny", initializer_range=0.12)
    gk.convert(folder / "tiny", folder / "m.gguf", type="f32")
    return folder / "m.gguf"


@pytest.fixture
def with_keys(plain: Path, tmp_path: Path) -> Make:
    """The same with other keys, and tensors added."""

    def made(keys: dict[str, Any], **tensors: Any) -> Path:
        with gk.open(plain) as file:
            own = {f"llama.{key}": value for key, value in keys.items()}
            added = {name.replace("__", "."): quantize(v, "f32") for name, v in tensors.items()}
            gk.save(tmp_path / "m.gguf", {**file.tensors, **added}, {**file.metadata, **own})
        return tmp_path / "m.gguf"

    return made


@pytest.mark.parametrize("row", ROWS)
def test_what_runs_is_what_is_exported(
    plain: Path, with_keys: Make, tmp_path: Path, row: str
) -> None:
    keys, rope_scaling = ROWS[row]
    path = with_keys(keys)
    gk.export(path, tmp_path / "out")
    exported = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    ours = gk.Llama(path, threads=1).logits(TOKENS)
    assert distance(ours, logits(exported)) < 1e-3
    if rope_scaling is not None:  # the key means something
        assert distance(ours, gk.Llama(plain, threads=1).logits(TOKENS)) > 0.02
    assert hparams_of(tmp_path / "out") == hparams_of(path)
    config = gk.conversion.json_file.read_json(tmp_path / "out" / "config.json")
    assert config["rope_scaling"] == (rope_scaling and pytest.approx(rope_scaling))


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"residual_scale": 0.5}, r"llama\.residual_scale is 0\.5, which is not supported"),
        ({"embedding_scale": 12.0}, "embedding_scale"),
        ({"logit_scale": 0.5}, "logit_scale"),
        ({"expert_count": 4}, "expert_count is 4 .*experts"),
        ({"attention.clamp_kqv": 8.0}, "clamp_kqv"),
        ({"attention.causal": False}, "causal"),
        ({"attention.output_scale": 2.0}, "output_scale"),
        ({"attention.temperature_length": 8192}, "temperature_length"),
        ({"attention.value_length": 8}, r"value_length is 8 where .*key_length is 16"),
        ({"rope.freq_base_swa": 5e5}, "freq_base_swa is 500000 where .*freq_base is 10000"),
        ({"rope.dimension_sections": [4, 4, 0, 0]}, "dimension_sections differs"),
        ({"rope.scaling.type": "longrope"}, "longrope"),
        ({**YARN, "rope.scaling.yarn_ext_factor": 0.5}, "yarn_ext_factor"),
        ({"rope.scaling.factor": 4.0, "rope.scaling.yarn_ext_factor": 1.0}, "yarn_ext_factor is 1"),
        ({**YARN, "rope.scaling.yarn_beta_fast": 0.0}, "yarn_beta_fast is 0"),
        ({**YARN, "rope.scaling.yarn_beta_slow": 0.0}, "yarn_beta_slow is 0"),
        (
            {"attention.sliding_window": 8, "attention.sliding_window_pattern": ["no", "yes"]},
            "sliding_window_pattern is .* not true or false",
        ),
        ({**YARN, "rope.scaling.factor": 0.5}, "yarn scaling by 0.5"),
        ({"attention.head_count_kv": [2, 1]}, "head_count_kv differs between layers"),
        ({"vocab_size": 7}, "vocab_size is 7"),
        ({"block_count": 3000}, "more than there are tensors"),
    ],
)
def test_keys_that_no_field_holds_are_refused_by_both(
    with_keys: Make, tmp_path: Path, keys: dict[str, Any], message: str
) -> None:
    path = with_keys(keys)
    with pytest.raises(gk.ModelError, match=message) as run:
        gk.Llama(path)
    with pytest.raises(gk.ConversionError, match=message) as exported:
        gk.export(path, tmp_path / "out")
    assert str(run.value) == str(exported.value)
    assert str(path) in str(run.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "keys", [{"residual_scale": 1.0}, {"expert_count": 0}, {"rope.dimension_sections": [0, 0]}]
)
def test_keys_of_features_that_are_off_are_accepted(with_keys: Make, keys: dict[str, Any]) -> None:
    path = with_keys(keys)
    assert gk.Llama(path).config == hparams_of(path)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"rope.scaling.attn_factor": 1.25}, "no setting for rope.scaling.attn_factor = 1.25"),
        ({"attention.scale": 0.5}, "no scale of queries"),
        ({"final_logit_softcapping": 30.0}, "no final_logit_softcapping"),
        (
            {"attention.sliding_window": 8, "attention.sliding_window_pattern": [True, False]},
            "same window in every layer",
        ),
    ],
)
def test_a_model_that_no_class_of_transformers_computes_runs_but_is_not_exported(
    with_keys: Make, tmp_path: Path, keys: dict[str, Any], message: str
) -> None:
    path = with_keys(keys)
    gk.Llama(path).eval([1, 2])
    with pytest.raises(gk.ConversionError, match=message) as refused:
        gk.export(path, tmp_path / "out")
    assert str(path) in str(refused.value)


def test_a_factor_beside_the_tensors_of_longrope_is_refused_by_both(
    with_keys: Make, tmp_path: Path
) -> None:
    ones = np.ones(8, np.float32)
    keys = {"rope.scaling.type": "longrope", "rope.scaling.factor": 4.0}
    path = with_keys(keys, rope_factors_long__weight=ones, rope_factors_short__weight=ones)
    for act in (gk.Llama, lambda file: gk.export(file, tmp_path / "out")):
        with pytest.raises(gk.GgmlkitError, match=r"rope\.scaling\.factor is 4 beside"):
            act(path)


@pytest.mark.parametrize("format", ["hf", "meta", "npz"])
def test_tensors_of_other_sizes_are_refused_by_both(
    with_keys: Make, tmp_path: Path, format: str
) -> None:
    path = with_keys({"attention.head_count_kv": 1})
    for act in (gk.Llama, lambda file: gk.export(file, tmp_path / "out", format)):
        with pytest.raises(gk.GgmlkitError, match=r"attn_k\.weight is 32 × 64, .* needs 16 × 64"):
            act(path)


def test_a_matrix_where_a_vector_belongs_is_refused_by_both(
    with_keys: Make, tmp_path: Path
) -> None:
    path = with_keys({}, blk__0__attn_norm__weight=np.ones((1, 64), np.float32))
    for act in (gk.Llama, lambda file: gk.export(file, tmp_path / "out")):
        with pytest.raises(gk.GgmlkitError, match=r"blk\.0\.attn_norm\.weight"):
            act(path)


def test_factors_that_no_formula_gives_run_and_are_not_exported(
    with_keys: Make, plain: Path, tmp_path: Path
) -> None:
    factors = np.linspace(1, 3, 8, dtype=np.float32)
    path = with_keys({}, rope_freqs__weight=factors)
    assert distance(gk.Llama(path).logits(TOKENS), gk.Llama(plain).logits(TOKENS)) > 0.02
    with pytest.raises(gk.ConversionError, match=r"rope_freqs\.weight"):
        gk.export(path, tmp_path / "out")


def test_a_bias_of_only_one_layer_is_not_dropped_silently(with_keys: Make, tmp_path: Path) -> None:
    path = with_keys({}, blk__1__attn_q__bias=np.ones(64, np.float32))
    gk.Llama(path).eval([1, 2])
    with pytest.raises(gk.ConversionError, match=r"blk\.1\.attn_q\.bias"):
        gk.export(path, tmp_path / "out")


def test_llama3_factors_run_as_the_file_has_them(tmp_path: Path) -> None:
    llama3 = {
        "rope_type": "llama3",
        "rope_theta": 1e4,
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64,
    }
    save_tiny("Llama", tmp_path / "tiny", rope_parameters=llama3)
    gk.convert(tmp_path / "tiny", tmp_path / "m.gguf", type="f32")
    with gk.open(tmp_path / "m.gguf") as file:
        ours = file["rope_freqs.weight"].dequantize()
        other = np.nextafter(ours, np.float32(9))  # as another program could round it
        tensors = {**file.tensors, "rope_freqs.weight": quantize(other, "f32")}
        gk.save(tmp_path / "other.gguf", tensors, file.metadata)
    hparams = hparams_of(tmp_path / "other.gguf")
    assert hparams == hparams_of(tmp_path / "m.gguf")  # its settings are known
    assert hparams.rope.freq_factors() == tuple(other.tolist())


def test_names_of_every_tensor_that_the_description_has(plain: Path) -> None:
    source = open_source(plain)
    assert set(dict(source.hparams().shapes())) == set(source.tensors)
    assert len(hf_tensors(source, source.tensors)) == len(source.tensors)
    source.close()

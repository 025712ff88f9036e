"""PEFT adapters that can't be read or applied are refused, with an error that names the reason."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ggmlkit as gk
from ggmlkit.conversion.lora.open_adapter import open_adapter
from ggmlkit.errors import ConversionError, FormatError, ModelError
from ggmlkit.io.torch.writer import write_torch
from lora_models import edited, saved_adapter

MakeHf = Callable[..., tuple[Path, Any]]


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"lora_bias": True}, "lora_bias = True"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights = pissa"),
        ({"trainable_token_indices": [1, 2]}, "trainable_token_indices"),
        ({"layer_replication": [[0, 2], [1, 2]]}, "layer_replication"),
    ],
)
def test_settings_beyond_lora_are_refused_by_name(
    base: tuple[Path, Any], tmp_path: Path, settings: dict[str, Any], named: str
) -> None:
    saved_adapter(tmp_path / "a", base[1], **settings)
    with pytest.raises(ConversionError, match=named) as caught:
        open_adapter(tmp_path / "a")
    assert str(tmp_path / "a" / "adapter_config.json") in str(caught.value)


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing")
def test_another_kind_of_adapter_is_refused_by_name(tiny_hf: MakeHf, tmp_path: Path) -> None:
    import peft

    _, model = tiny_hf()
    config = peft.IA3Config(target_modules=["k_proj"], feedforward_modules=[])
    peft.get_peft_model(model, config).save_pretrained(tmp_path / "a")
    with pytest.raises(ConversionError, match="peft_type 'IA3' is not supported"):
        open_adapter(tmp_path / "a")


def test_an_adapter_for_another_model_is_refused_by_name(tiny_hf: MakeHf, tmp_path: Path) -> None:
    folder, _ = tiny_hf("small")
    gk.convert(folder, tmp_path / "small.gguf")
    for changes, reason in (
        ({"num_hidden_layers": 3}, r"changes blk\.2\.\S+, which the model doesn't have"),
        ({"hidden_size": 128}, r"changes blk\.\S+ of shape \(\d+, \d+\), but the model's has"),
    ):
        _, other = tiny_hf("other", **changes)
        saved_adapter(tmp_path / "a", other)
        with pytest.raises(ConversionError, match=reason):
            gk.apply_lora(folder, [tmp_path / "a"], tmp_path / "out.gguf")
        with pytest.raises(ConversionError, match=reason):
            gk.convert(tmp_path / "a", tmp_path / "out.gguf", base=folder)
        with pytest.raises(ModelError, match=reason):
            gk.Llama(tmp_path / "small.gguf", lora=[tmp_path / "a"])
        assert not (tmp_path / "out.gguf").exists()


# ------------------------------------------------------------------------------- damage


BAD_SETTINGS: list[tuple[dict[str, Any], str]] = [
    ({"r": 0}, "r is 0, not a positive integer"),
    ({"r": "4"}, "r is '4'"),
    ({"r": 5}, r"q_proj has rank 4, not 5|has rank 4, not 5"),
    ({"lora_alpha": None}, "lora_alpha is None, not a number"),
    ({"lora_alpha": float("nan")}, "lora_alpha is nan"),
    ({"rank_pattern": [4]}, "rank_pattern is not an object"),
    ({"rank_pattern": {"(": 4}}, "is not a regular expression"),
    ({"rank_pattern": {"q_proj": "x"}}, "gives 'q_proj' the value 'x'"),
    ({"rank_pattern": {"(a+)+$": 4}}, "is not supported"),
    ({"rank_pattern": {".*.*.*.*x": 4}}, "is not supported"),
    ({"rank_pattern": {"(.|.)(.|.)": 4}}, "is not supported"),
    ({"alpha_pattern": {f"a.*{n}": 4 for n in range(99)}}, "too many"),
    ({"peft_type": None}, "peft_type None"),
]


@pytest.mark.parametrize(("settings", "reason"), BAD_SETTINGS, ids=lambda value: str(value)[:40])
def test_settings_that_make_no_sense(
    tiny_hf: MakeHf, tmp_path: Path, settings: dict[str, Any], reason: str
) -> None:
    folder, model = tiny_hf()
    saved_adapter(tmp_path / "a", model)
    edited(tmp_path / "a", lambda config: config.update(settings))
    with pytest.raises(ConversionError, match=reason):
        gk.convert(tmp_path / "a", tmp_path / "out.gguf", base=folder)
    assert not (tmp_path / "out.gguf").exists()


def floats(*shape: int) -> gk.Tensor:
    return gk.quantize(np.ones(shape, np.float32), "f32")


MODULE = "base_model.model.model.layers.0.mlp.up_proj"
BAD_TENSORS: list[tuple[dict[str, gk.Tensor], type[Exception], str]] = [
    (
        {f"{MODULE}.lora_A.weight": floats(4, 64)},
        FormatError,
        "has lora_A, which is not a pair",
    ),
    (
        {f"{MODULE}.lora_B.weight": floats(96, 4)},
        FormatError,
        "has lora_B, which is not a pair",
    ),
    (
        {f"{MODULE}.lora_A.weight": floats(4, 64), f"{MODULE}.lora_B.weight": floats(96, 3)},
        FormatError,
        r"shapes are \(4, 64\) and \(96, 3\)",
    ),
    (
        {f"{MODULE}.lora_A.weight": floats(64), f"{MODULE}.lora_B.weight": floats(96, 4)},
        FormatError,
        r"shapes are \(64,\)",
    ),
    (
        {f"{MODULE}.lora_A.weight": floats(0, 64), f"{MODULE}.lora_B.weight": floats(96, 0)},
        FormatError,
        r"shapes are \(0, 64\)",
    ),
    (
        {
            f"{MODULE}.lora_A.weight": floats(4, 64),
            f"{MODULE}.lora_A.default.weight": floats(4, 64),
        },
        FormatError,
        "two tensors are lora_A of",
    ),
    ({f"{MODULE}.lora_magnitude_vector": floats(96)}, FormatError, "has only a magnitude"),
    ({f"{MODULE}.lora_C.weight": floats(96)}, ConversionError, "changes depends on the model"),
    ({f"{MODULE}.steering": floats(96)}, ConversionError, "no place for the tensor"),
    ({"base_model.model.model.norm.weight": floats(64)}, ConversionError, "depends on the model"),
    (
        {
            "base_model.model.lm_head.weight": floats(320, 64),
            "base_model.model.lm_head.modules_to_save.default.weight": floats(320, 64),
        },
        FormatError,
        "two tensors are the weight of lm_head",
    ),
    ({f"{MODULE}.base_layer.weight": floats(96, 64)}, FormatError, "a base_layer, but no lora_A"),
    (
        {"base_model.model.visual.q.lora_A.weight": floats(4, 4)},
        ConversionError,
        "visual.* depends on the model",
    ),
]


@pytest.mark.parametrize(
    ("tensors", "error", "reason"), BAD_TENSORS, ids=[reason for _, _, reason in BAD_TENSORS]
)
def test_tensors_that_are_not_an_adapter(
    tiny_hf: MakeHf,
    tmp_path: Path,
    tensors: dict[str, gk.Tensor],
    error: type[Exception],
    reason: str,
) -> None:
    _, model = tiny_hf()
    saved_adapter(tmp_path / "a", model, safe=False)
    with (tmp_path / "a" / "adapter_model.bin").open("w+b") as file:
        write_torch(file, tensors)
    with pytest.raises(error, match=reason):
        open_adapter(tmp_path / "a")


def test_a_folder_without_weights_or_settings(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match=r"adapter_config\.json is missing"):
        open_adapter(tmp_path)
    settings = {"peft_type": "LORA", "r": 4, "lora_alpha": 8}
    (tmp_path / "adapter_config.json").write_text(json.dumps(settings))
    with pytest.raises(ConversionError, match=r"neither adapter_model\.safetensors nor"):
        open_adapter(tmp_path)
    (tmp_path / "adapter_config.json").write_text("[]")
    with pytest.raises(FormatError, match="not a JSON object"):
        open_adapter(tmp_path)

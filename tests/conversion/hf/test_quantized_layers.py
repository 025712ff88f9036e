"""Folders of layers that GPTQ or AWQ quantized: the values of the checkpoint, and its integers."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch as safetensors

import ggmlkit as gk
import torch
from ggmlkit.conversion.open_source import open_source
from ggmlkit.errors import ConversionError, FormatError
from quantized_checkpoints import Layer, awq_gemm, awq_gemv, gptq, random_layer
from test_logits_transformers import BOUND, TOKENS, error, logits

MakeHf = Callable[..., tuple[Path, Any]]
Pack = Callable[[Layer], dict[str, Any]]
GPTQ = {"quant_method": "gptq", "bits": 4, "group_size": 32}
AWQ = {"quant_method": "awq", "bits": 4, "group_size": 32, "zero_point": True}
GGUF = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


class Folder:
    """A tiny model whose layers are replaced by random quantized ones."""

    def __init__(
        self, made: tuple[Path, Any], config: dict[str, Any], pack: Pack, **settings: Any
    ) -> None:
        self.path, self.model = made
        self.layers: dict[str, Layer] = {}
        self.state = {}
        for name, tensor in self.model.state_dict().items():
            module = name.removesuffix(".weight")
            if module.rpartition(".layers.")[2].partition(".")[2] not in GGUF:
                self.state[name] = tensor.half().clone()
                continue
            outputs, inputs = tensor.shape
            layer = random_layer(inputs, outputs, seed=len(self.layers), **settings)
            self.layers[module] = layer
            self.state |= {f"{module}.{part}": t for part, t in pack(layer).items()}
        self.save(config)

    def save(self, config: dict[str, Any] | None = None) -> None:
        """Write the folder, with this quantization_config if one is given."""
        state = {name: tensor.contiguous() for name, tensor in self.state.items()}
        safetensors.save_file(state, self.path / "model.safetensors")
        if config is not None:
            path = self.path / "config.json"
            found = json.loads(path.read_text())
            path.write_text(json.dumps({**found, "quantization_config": config}))

    def in_meta_order(self, module: str, values: Any) -> Any:
        """Rows as gguf has them."""
        heads = {"q_proj": 4, "k_proj": 2}.get(module.rpartition(".")[2])
        if heads is None:
            return values
        halves = np.asarray(values).reshape(heads, 2, -1, values.shape[1])
        return halves.swapaxes(1, 2).reshape(values.shape)

    def items(self) -> list[tuple[str, str, Layer]]:
        """Module, gguf name and layer of each quantized layer."""
        found = []
        for module, layer in self.layers.items():
            number, _, part = module.removeprefix("model.layers.").partition(".")
            found.append((module, f"blk.{number}.{GGUF[part]}.weight", layer))
        return found


LAYOUTS: dict[str, tuple[dict[str, Any], Pack, dict[str, Any]]] = {
    "gptq": (GPTQ, gptq, {}),
    "gptq, version 2": (
        {**GPTQ, "checkpoint_format": "gptq_v2"},
        partial(gptq, version=2),
        {},
    ),
    "gptq, act-order": ({**GPTQ, "desc_act": True}, gptq, {"act_order": True}),
    "gptq, one group": ({**GPTQ, "group_size": -1}, gptq, {"group_size": -1}),
    "gptq, groups that end early": ({**GPTQ, "group_size": 64}, gptq, {"group_size": 64}),
    "gptq, symmetric": ({**GPTQ, "sym": True}, gptq, {"symmetric": True}),
    "gptq, 8 bits": ({**GPTQ, "bits": 8}, gptq, {"bits": 8}),
    "gptq, 8 bits, symmetric": ({**GPTQ, "bits": 8}, gptq, {"bits": 8, "symmetric": True}),
    "gptq, 3 bits": ({**GPTQ, "bits": 3}, gptq, {"bits": 3}),
    "gptq, 2 bits": ({**GPTQ, "bits": 2}, gptq, {"bits": 2}),
    "awq, gemm": ({**AWQ, "version": "GEMM"}, awq_gemm, {}),
    "awq, gemv": ({**AWQ, "version": "gemv"}, partial(awq_gemv, width=4), {}),
    "awq, by format": ({**AWQ, "format": "gemm"}, awq_gemm, {}),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_values_are_torch_s(tiny_hf: MakeHf, tmp_path: Path, layout: str) -> None:
    config, pack, settings = LAYOUTS[layout]
    folder = Folder(tiny_hf(), config, pack, **settings)
    gk.convert(folder.path, tmp_path / "m.gguf", type="f16")
    found = gk.open(tmp_path / "m.gguf")
    for module, name, layer in folder.items():
        wanted = folder.in_meta_order(module, layer.reference().numpy())
        assert found[name].type.name == "f16"
        assert np.array_equal(found[name].numpy(), wanted), name


@pytest.mark.parametrize("layout", ["gptq, act-order", "awq, gemm"])
def test_logits_are_transformers_with_the_same_weights(
    tiny_hf: MakeHf, tmp_path: Path, layout: str
) -> None:
    config, pack, settings = LAYOUTS[layout]
    folder = Folder(tiny_hf(), config, pack, **settings)
    gk.convert(folder.path, tmp_path / "m.gguf", type="f16")
    weights = {f"{module}.weight": layer.reference() for module, _, layer in folder.items()}
    plain = {n: t for n, t in folder.state.items() if n in folder.model.state_dict()}
    folder.model.load_state_dict({n: t.float() for n, t in {**plain, **weights}.items()})
    ours = gk.Llama(tmp_path / "m.gguf", threads=1).logits(TOKENS)
    assert error(ours, logits(folder.model)) < BOUND


DIRECT = [
    ("gptq", "q8_0"),
    ("gptq", "q5_0"),
    ("gptq, version 2", "q8_0"),
    ("gptq, one group", "q8_0"),
    ("gptq, symmetric", "q4_0"),
    ("gptq, 8 bits, symmetric", "q8_0"),
    ("gptq, 3 bits", "q4_0"),
    ("gptq, 2 bits", "q4_0"),
    ("awq, gemm", "q5_0"),
    ("awq, gemm", "q8_0"),
    ("awq, gemv", "q8_0"),
]


@pytest.mark.parametrize(("layout", "type"), DIRECT)
def test_integers_become_blocks_without_rounding(
    tiny_hf: MakeHf, tmp_path: Path, layout: str, type: str
) -> None:
    config, pack, settings = LAYOUTS[layout]
    folder = Folder(tiny_hf(), config, pack, **settings)
    gk.convert(folder.path, tmp_path / "m.gguf", type=type, pure=True)
    found = gk.open(tmp_path / "m.gguf")
    for module, name, layer in folder.items():
        assert found[name].type.name == type
        exact = folder.in_meta_order(module, layer.exact())
        assert np.array_equal(found[name].dequantize().astype(np.float64), exact), name
    assert found["output.weight"].type.name == type  # not a quantized layer: rounded as usual


@pytest.mark.parametrize("layout", ["gptq", "gptq, version 2", "awq, gemm", "awq, gemv"])
def test_q4_1_rounds_only_the_minimum(tiny_hf: MakeHf, tmp_path: Path, layout: str) -> None:
    config, pack, settings = LAYOUTS[layout]
    folder = Folder(tiny_hf(), config, pack, **settings)
    gk.convert(folder.path, tmp_path / "m.gguf", type="q4_1")
    found = gk.open(tmp_path / "m.gguf")
    for module, name, layer in folder.items():
        scales = layer.scales.numpy()
        minima = (-scales.astype(np.float32) * layer.zeros).astype(np.float16)
        scales, minima = (x.astype(np.float32)[layer.groups].T for x in (scales, minima))
        values = layer.integers.T.astype(np.float32) * scales + minima
        wanted = folder.in_meta_order(module, values)
        assert np.allclose(found[name].dequantize(), wanted, rtol=1e-6, atol=1e-7), name


@pytest.mark.parametrize(
    ("layout", "type"),
    [("gptq, act-order", "q4_1"), ("gptq", "q4_0"), ("gptq, 8 bits", "q8_0"), ("gptq", "q5_1")],
)
def test_integers_that_blocks_cannot_hold_are_rounded(
    tiny_hf: MakeHf, tmp_path: Path, layout: str, type: str
) -> None:
    config, pack, settings = LAYOUTS[layout]
    folder = Folder(tiny_hf(), config, pack, **settings)
    gk.convert(folder.path, tmp_path / "m.gguf", type=type)
    found = gk.open(tmp_path / "m.gguf")
    for module, name, layer in folder.items():
        values = folder.in_meta_order(module, layer.reference().float().numpy())
        rounded = gk.quantize(values, type)
        if type == "q5_1":  # holds four bits exactly
            assert np.allclose(found[name].dequantize(), values, atol=2e-3)
        else:
            assert np.array_equal(found[name].data, rounded.data), name


def test_scales_that_are_not_float16(tiny_hf: MakeHf, tmp_path: Path) -> None:
    for dtype in (torch.bfloat16, torch.float32):
        folder = Folder(tiny_hf(str(dtype)), GPTQ, gptq, dtype=dtype)
        gk.convert(folder.path, tmp_path / "m.gguf", type="f32")
        found = gk.open(tmp_path / "m.gguf")
        for module, name, layer in folder.items():
            exact = folder.in_meta_order(module, layer.exact())
            assert np.allclose(found[name].numpy(), exact, rtol=1e-7, atol=0), name


def test_layers_without_g_idx_count_their_groups(tiny_hf: MakeHf, tmp_path: Path) -> None:
    folder = Folder(tiny_hf(), GPTQ, gptq)
    folder.state = {n: t for n, t in folder.state.items() if not n.endswith("g_idx")}
    folder.save()
    gk.convert(folder.path, tmp_path / "m.gguf", type="q8_0")
    found = gk.open(tmp_path / "m.gguf")
    for module, name, layer in folder.items():
        assert np.array_equal(found[name].dequantize(), folder.in_meta_order(module, layer.exact()))


def test_autogptq_s_own_file_names_and_biases_of_zeros(tiny_hf: MakeHf, tmp_path: Path) -> None:
    folder = Folder(tiny_hf(), GPTQ, gptq)
    config = json.loads((folder.path / "config.json").read_text())
    settings = config.pop("quantization_config")
    (folder.path / "config.json").write_text(json.dumps(config))
    del settings["quant_method"]
    (folder.path / "quantize_config.json").write_text(json.dumps(settings))
    (folder.path / "model.safetensors").unlink()
    bias = "model.layers.0.mlp.up_proj.bias"
    state = {**folder.state, bias: torch.zeros(96, dtype=torch.float16)}
    weights = folder.path / "gptq_model-4bit-32g.safetensors"
    safetensors.save_file(state, weights)
    gk.convert(folder.path, tmp_path / "m.gguf")
    assert not any(name.endswith("bias") for name in gk.open(tmp_path / "m.gguf"))
    safetensors.save_file({**state, bias: torch.ones(96, dtype=torch.float16)}, weights)
    with pytest.raises(ConversionError, match=r"up_proj\.bias"):
        gk.convert(folder.path, tmp_path / "m.gguf")


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({**GPTQ, "checkpoint_format": "marlin"}, "marlin"),
        ({**GPTQ, "checkpoint_format": ["gptq"]}, "gptq and gptq_v2"),
        ({**GPTQ, "group_size": "32"}, "group_size"),
        ({**AWQ, "version": "gemv_fast"}, "gemv_fast"),
        ({**AWQ, "version": 4}, "GEMM and GEMV"),
        ({"quant_method": "bitsandbytes"}, "bitsandbytes"),
        ({"bits": 4}, "None"),
        ([], "not an object"),
    ],
)
def test_other_methods_of_quantization_are_refused_by_name(
    tiny_hf: MakeHf, tmp_path: Path, config: Any, named: str
) -> None:
    folder = Folder(tiny_hf(), config, gptq)
    with pytest.raises(ConversionError, match=named):
        gk.convert(folder.path, tmp_path / "m.gguf")


LAYER = "model.layers.1.mlp.down_proj"


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("scales", None),
        ("qzeros", None),
        ("qweight", lambda t: t[:, :-1]),
        ("qweight", lambda t: t.float()),
        ("qweight", lambda t: t[:0]),
        ("qzeros", lambda t: t[:-1]),
        ("qzeros", lambda t: t[:, :3]),
        ("scales", lambda t: t.reshape(-1)),
        ("scales", lambda t: t.int()),
        ("g_idx", lambda t: t[:-1]),
        ("g_idx", lambda t: t.long()),
        ("g_idx", lambda t: t + 3),
        ("g_idx", lambda t: -t),
    ],
)
def test_parts_that_do_not_fit_are_named(
    tiny_hf: MakeHf, tmp_path: Path, part: str, change: Callable[[Any], Any] | None
) -> None:
    folder = Folder(tiny_hf(), GPTQ, gptq)
    tensor = folder.state.pop(f"{LAYER}.{part}")
    if change is not None:
        folder.state[f"{LAYER}.{part}"] = change(tensor)
    folder.save()
    for type in ("f16", "q4_1"):
        with pytest.raises((FormatError, ConversionError), match=LAYER) as caught:
            gk.convert(folder.path, tmp_path / "m.gguf", type=type)
        assert str(folder.path) in str(caught.value)
        assert not (tmp_path / "m.gguf").exists()


def test_infinite_scales_are_refused(tiny_hf: MakeHf, tmp_path: Path) -> None:
    folder = Folder(tiny_hf(), GPTQ, gptq)
    folder.state[f"{LAYER}.scales"][0, 0] = np.inf
    folder.save()
    for type in ("f16", "q4_1"):
        with pytest.raises(ConversionError, match=r"ffn_down\.weight"):
            gk.convert(folder.path, tmp_path / "m.gguf", type=type)


def test_opening_reads_no_tensor(tiny_hf: MakeHf, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Folder(tiny_hf(), GPTQ, gptq)
    monkeypatch.setattr(
        gk.Tensor, "data", property(lambda tensor: pytest.fail(f"{tensor.name} was read"))
    )
    source = open_source(folder.path)
    assert source.tensors["blk.0.attn_q.weight"].shape == (64, 64)


def test_a_stored_zero_point_of_fifteen_means_sixteen(tiny_hf: MakeHf, tmp_path: Path) -> None:
    """Version 1 adds one after unpacking, as its kernels do."""

    def with_sixteen(layer: Layer) -> dict[str, Any]:
        return gptq(replace(layer, zeros=np.full_like(layer.zeros, 16)))

    folder = Folder(tiny_hf(), GPTQ, with_sixteen)
    for type in ("f16", "q5_0", "q8_0"):
        gk.convert(folder.path, tmp_path / "m.gguf", type=type)
        found = gk.open(tmp_path / "m.gguf")
        for module, name, layer in folder.items():
            exact = replace(layer, zeros=np.full_like(layer.zeros, 16)).exact()
            values = exact.astype(np.float16) if type == "f16" else exact
            wanted = folder.in_meta_order(module, values)
            assert found[name].type.name == type
            assert np.array_equal(found[name].dequantize(), wanted), name

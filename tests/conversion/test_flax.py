"""Flax's and EasyLM's forms of a model, against the Hugging Face form of the same weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest
from flax import serialization

import ggmlkit as gk
import torch
from flax_trees import easylm_tree, flax_tree, nested
from folder_checks import check
from ggmlkit.errors import ConversionError

MakeHf = Callable[..., tuple[Path, Any]]


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_a_folder_of_flax(tiny_hf: MakeHf, tmp_path: Path, dtype: str) -> None:
    folder, model = tiny_hf()
    (folder / "model.safetensors").unlink()
    model = model.to(getattr(torch, dtype))
    tree = nested(flax_tree(model, dtype))
    (folder / "flax_model.msgpack").write_bytes(serialization.to_bytes(tree))
    gk.convert(folder, tmp_path / "m.gguf", type="f32")
    check(tmp_path / "m.gguf", model)


def test_a_folder_of_flax_in_shards(tiny_hf: MakeHf, tmp_path: Path) -> None:
    folder, model = tiny_hf(tie_word_embeddings=True)
    (folder / "model.safetensors").unlink()
    arrays = flax_tree(model)
    del arrays["lm_head/kernel"]
    names = sorted(arrays)
    weight_map = {}
    for number, part in enumerate((names[::2], names[1::2])):
        shard = f"flax_model-0000{number + 1}-of-00002.msgpack"
        tree = nested({name: arrays[name] for name in part})
        (folder / shard).write_bytes(serialization.to_bytes(tree))
        weight_map.update(dict.fromkeys(part, shard))
    index = folder / "flax_model.msgpack.index.json"
    index.write_text(json.dumps({"weight_map": weight_map}))
    gk.convert(folder, tmp_path / "m.gguf", type="f32")
    check(tmp_path / "m.gguf", model)


@pytest.mark.parametrize("state", [False, True])
@pytest.mark.parametrize("streamed", [False, True])
def test_easylm(tiny_hf: MakeHf, tmp_path: Path, streamed: bool, state: bool) -> None:
    """Only parameters, or a training state that has an optimizer's too."""
    folder, model = tiny_hf()
    (folder / "model.safetensors").unlink()
    arrays = {f"params/{path}": array for path, array in easylm_tree(model).items()}
    if state:
        arrays = {f"params/{path}": array for path, array in arrays.items()}
        arrays["step"] = np.int32(7)
        arrays["opt_state/0/mu/params/lm_head/kernel"] = np.ones((64, 320), np.float32)
    path = folder / "streaming_params"
    if streamed:
        packer = msgpack.Packer()
        pairs = ((tuple(k.split("/")), serialization.to_bytes(a)) for k, a in arrays.items())
        path.write_bytes(b"".join(packer.pack(pair) for pair in pairs))
    else:
        path.write_bytes(serialization.to_bytes(nested(arrays)))
    gk.convert(path, tmp_path / "m.gguf", type="f32")
    check(tmp_path / "m.gguf", model)


def test_the_config_must_be_there(tiny_hf: MakeHf, tmp_path: Path) -> None:
    _, model = tiny_hf()
    (tmp_path / "a").write_bytes(serialization.to_bytes(nested(easylm_tree(model))))
    with pytest.raises(ConversionError, match=r"holds tensors only \(flax\).*config\.json"):
        gk.convert(tmp_path / "a", tmp_path / "m.gguf")

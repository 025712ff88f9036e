"""Hugging Face folders as transformers saves them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ggmlkit as gk
import torch
from folder_checks import check
from ggmlkit.conversion.convert import convert
from ggmlkit.errors import ConversionError, FormatError
from tiny_models import save_tiny

MakeHf = Callable[..., tuple[Path, Any]]
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
VARIANTS = {
    "plain": {"num_key_value_heads": 4},
    "gqa": {},
    "tied": {"tie_word_embeddings": True},
    "llama3": {"rope_parameters": LLAMA3},
    "head-size": {"head_dim": 32},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_safetensors(tiny_hf: MakeHf, tmp_path: Path, variant: str) -> None:
    folder, model = tiny_hf(**VARIANTS[variant])
    convert(folder, tmp_path / "m.gguf", type="f32")
    check(tmp_path / "m.gguf", model)


def test_sharded_safetensors(tiny_hf: MakeHf, tmp_path: Path) -> None:
    folder, model = tiny_hf(shard="60KB")
    assert len(list(folder.glob("model-*.safetensors"))) > 2
    convert(folder, tmp_path / "m.gguf", type="f32")
    check(tmp_path / "m.gguf", model)


def test_pickled_weights_whole_and_sharded(tiny_hf: MakeHf, tmp_path: Path) -> None:
    folder, model = tiny_hf()
    (folder / "model.safetensors").unlink()
    state = model.state_dict()
    state["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.ones(8)
    torch.save(state, folder / "pytorch_model.bin")
    convert(folder, tmp_path / "m.gguf", type="f32")
    check(tmp_path / "m.gguf", model)

    (folder / "pytorch_model.bin").unlink()
    names = sorted(state)
    weight_map = {}
    for number, part in enumerate((names[::2], names[1::2])):
        file_name = f"pytorch_model-{number}.bin"
        torch.save({name: state[name] for name in part}, folder / file_name)
        weight_map.update(dict.fromkeys(part, file_name))
    index = folder / "pytorch_model.bin.index.json"
    index.write_text(json.dumps({"weight_map": weight_map}))
    convert(folder, tmp_path / "m2.gguf", type="f32")
    check(tmp_path / "m2.gguf", model)


def test_bfloat16_weights_keep_their_values(tiny_hf: MakeHf, tmp_path: Path) -> None:
    folder, model = tiny_hf()
    model = model.to(torch.bfloat16)
    model.save_pretrained(folder)
    for type in ("f32", "bf16"):
        convert(folder, tmp_path / "m.gguf", type=type)
        check(tmp_path / "m.gguf", model)


def test_the_vocabulary_and_special_tokens(tiny_hf: MakeHf, tmp_path: Path) -> None:
    folder, _ = tiny_hf()
    convert(folder, tmp_path / "m.gguf")
    metadata = gk.open(tmp_path / "m.gguf").metadata
    vocab = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    assert metadata["tokenizer.ggml.model"] == "gpt2"
    assert metadata["tokenizer.ggml.pre"] == "llama-bpe"
    tokens = metadata["tokenizer.ggml.tokens"]
    assert len(tokens) == 320
    assert all(tokens[number] == token for token, number in vocab.items())
    assert metadata["tokenizer.ggml.bos_token_id"] == 0
    assert metadata["tokenizer.ggml.eos_token_id"] == 1
    assert list(metadata["tokenizer.ggml.token_type"][:3]) == [3, 3, 1]


@pytest.mark.parametrize(
    "name",
    ["../model.safetensors", "/etc/passwd", "..", "", "a/b.safetensors", "a\\b", "c:x", 7, None],
)
def test_an_index_that_points_elsewhere(tiny_hf: MakeHf, tmp_path: Path, name: object) -> None:
    folder, _ = tiny_hf()
    (folder / "model.safetensors").rename(tmp_path / "model.safetensors")
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"lm_head.weight": name}}))
    with pytest.raises(FormatError, match="is not the name of a file"):
        convert(folder, tmp_path / "m.gguf")


def test_an_index_that_names_what_is_not_there(tiny_hf: MakeHf, tmp_path: Path) -> None:
    folder, _ = tiny_hf()
    (folder / "model.safetensors").rename(folder / "other.safetensors")
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"absent.weight": "other.safetensors"}}))
    with pytest.raises(FormatError, match=r"absent\.weight"):
        convert(folder, tmp_path / "m.gguf")
    index.write_text(json.dumps({"weight_map": {"lm_head.weight": "gone.safetensors"}}))
    with pytest.raises(ConversionError, match=r"gone\.safetensors is missing"):
        convert(folder, tmp_path / "m.gguf")


def test_a_tensor_without_a_place_is_named(tiny_hf: MakeHf, tmp_path: Path) -> None:
    folder, model = tiny_hf()
    (folder / "model.safetensors").unlink()
    state = {**model.state_dict(), "model.layers.0.self_attn.q_proj.bias": torch.ones(64)}
    torch.save(state, folder / "pytorch_model.bin")
    with pytest.raises(ConversionError, match=r"q_proj\.bias"):
        convert(folder, tmp_path / "m.gguf")


def test_a_missing_tensor_is_named(tiny_hf: MakeHf, tmp_path: Path) -> None:
    folder, model = tiny_hf()
    (folder / "model.safetensors").unlink()
    state = model.state_dict()
    del state["lm_head.weight"]
    torch.save(state, folder / "pytorch_model.bin")
    with pytest.raises(ConversionError, match=r"no tensor output\.weight"):
        convert(folder, tmp_path / "m.gguf")


Change = Callable[[dict[str, Any]], dict[str, Any]]


def save_again(folder: Path, change: Change, way: str) -> None:
    """Change the folder's weights and save them in one file, in several, or as a pickle."""
    from safetensors.torch import load_file, save_file

    state = change(load_file(folder / "model.safetensors"))
    (folder / "model.safetensors").unlink()
    if way == "bin":
        torch.save(state, folder / "pytorch_model.bin")
        return
    parts = [state] if way == "whole" else [dict([item]) for item in state.items()]
    files = (
        ["model.safetensors"] if way == "whole" else [f"{n}.safetensors" for n in range(len(parts))]
    )
    for file, part in zip(files, parts, strict=True):
        save_file(part, folder / file)
    if way == "sharded":
        where = {name: file for file, part in zip(files, parts, strict=True) for name in part}
        index = folder / "model.safetensors.index.json"
        index.write_text(json.dumps({"metadata": {}, "weight_map": where}))


@pytest.mark.parametrize("way", ["whole", "sharded", "bin"])
@pytest.mark.parametrize("before", ["", "transformer.", "base.", "_orig_mod.model."])
@pytest.mark.parametrize("tied", [True, False])
def test_prefixes_of_names(
    tiny_hf: MakeHf, tmp_path: Path, before: str, way: str, tied: bool
) -> None:
    """The base model's names without a prefix or with another one, and the head's name."""
    folder, model = tiny_hf(tie_word_embeddings=tied)
    renamed = lambda state: {  # noqa: E731
        before + name.removeprefix("model.") if name.startswith("model.") else name: values
        for name, values in state.items()
    }
    save_again(folder, renamed, way)
    convert(folder, tmp_path / "m.gguf", type="f32")
    check(tmp_path / "m.gguf", model)


def test_names_that_are_not_of_one_model(tiny_hf: MakeHf, tmp_path: Path) -> None:
    folder, _ = tiny_hf()
    save_again(folder, lambda state: state | {"score.weight": torch.ones(2, 64)}, "whole")
    with pytest.raises(ConversionError, match=r"no place for the tensor score\.weight"):
        convert(folder, tmp_path / "m.gguf")
    save_again(
        folder, lambda state: {n.removeprefix("model."): v for n, v in state.items()}, "whole"
    )
    with pytest.raises(ConversionError, match=r"no place for the tensor model\.score\.weight"):
        convert(folder, tmp_path / "m.gguf")


def transformers_logits(folder: Path) -> Any:
    """What transformers computes with the folder."""
    import transformers

    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.no_grad():
        return model(torch.tensor([TOKENS])).logits[0].numpy()


TOKENS = list(range(2, 60))


@pytest.mark.parametrize("way", ["whole", "sharded", "bin"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_head_saved_with_tied_embeddings_is_used_where_it_differs(
    tiny_hf: MakeHf, tmp_path: Path, way: str, dtype: Any
) -> None:
    folder, _ = tiny_hf(tie_word_embeddings=True)
    head = torch.randn(320, 64).to(dtype)
    head[:319] = torch.zeros(319, 64)
    save_again(folder, lambda state: state | {"lm_head.weight": head}, way)
    convert(folder, tmp_path / "m.gguf", type="f32")
    assert not gk.Llama(tmp_path / "m.gguf", threads=1).config.tied
    ours = gk.Llama(tmp_path / "m.gguf", threads=1).logits(TOKENS)
    theirs = transformers_logits(folder)
    assert np.abs(ours - theirs).max() < 3e-3 * np.abs(theirs).max()


@pytest.mark.parametrize("way", ["whole", "sharded", "bin"])
def test_a_head_that_is_the_embeddings_is_left_out(
    tiny_hf: MakeHf, tmp_path: Path, way: str
) -> None:
    folder, model = tiny_hf(tie_word_embeddings=True)
    embeddings = "model.embed_tokens.weight"
    save_again(folder, lambda state: state | {"lm_head.weight": state[embeddings].clone()}, way)
    convert(folder, tmp_path / "m.gguf", type="f32")
    check(tmp_path / "m.gguf", model)
    tied_state = {"lm_head.weight": model.state_dict()[embeddings], **model.state_dict()}
    for file in folder.glob("*model*"):
        file.unlink()
    torch.save(tied_state, folder / "pytorch_model.bin")  # one storage under two names
    convert(folder, tmp_path / "m.gguf", type="f32")
    check(tmp_path / "m.gguf", model)


def test_embeddings_saved_only_as_the_head(tiny_hf: MakeHf, tmp_path: Path) -> None:
    folder, model = tiny_hf(tie_word_embeddings=True)
    embeddings = "model.embed_tokens.weight"
    save_again(folder, lambda state: {"lm_head.weight": state.pop(embeddings), **state}, "whole")
    convert(folder, tmp_path / "m.gguf", type="f32")
    check(tmp_path / "m.gguf", model)


def test_a_head_that_differs_is_refused_if_files_hold_none(tmp_path: Path) -> None:
    folder = tmp_path / "tiny"
    save_tiny("Gemma", folder, head_dim=32)
    save_again(folder, lambda state: state | {"lm_head.weight": torch.ones(320, 64)}, "whole")
    with pytest.raises(
        ConversionError, match=r"lm_head\.weight differs from the embeddings, .*gemma"
    ):
        convert(folder, tmp_path / "m.gguf")


def test_buffers_of_old_code_are_left_out(tiny_hf: MakeHf, tmp_path: Path) -> None:
    folder, model = tiny_hf()
    own = "model.layers.1.self_attn"
    buffers = {
        f"{own}.rotary_emb.inv_freq": torch.ones(8),
        f"{own}.rotary_emb.cos_cached": torch.ones(1, 1, 8, 8),
        "model.rotary_emb.original_inv_freq": torch.ones(8),
        f"{own}.bias": torch.ones(1, 1, 8, 8),
        f"{own}.masked_bias": torch.tensor(-1e9),
    }
    save_again(folder, lambda state: state | buffers, "bin")
    convert(folder, tmp_path / "m.gguf", type="f32")
    check(tmp_path / "m.gguf", model)


@pytest.mark.parametrize(
    "name",
    [
        "model.layers.0.self_attn.bias",  # as long as a matrix's rows, so it is not a mask
        "model.layers.0.mlp.up_proj.weight_scale",
        "model.layers.0.mlp.up_proj.weight.absmax",
        "optimizer.state.0.exp_avg",
    ],
)
def test_unknown_tensors_of_a_checkpoint_are_named(
    tiny_hf: MakeHf, tmp_path: Path, name: str
) -> None:
    folder, _ = tiny_hf()
    save_again(folder, lambda state: state | {name: torch.ones(64)}, "whole")
    with pytest.raises(ConversionError, match=f"no place for the tensor {name}"):
        convert(folder, tmp_path / "m.gguf")


def test_a_folder_that_is_not_a_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match=r"neither config\.json"):
        convert(tmp_path, tmp_path / "m.gguf")


@pytest.mark.parametrize("change", ["vocab_size", "num_hidden_layers", "head_dim", "hidden_size"])
def test_absurd_sizes_take_no_memory(tiny_hf: MakeHf, tmp_path: Path, change: str) -> None:
    folder, _ = tiny_hf(rope_parameters=LLAMA3)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, change: 4 << 40}))
    with pytest.raises(ConversionError):
        convert(folder, tmp_path / "m.gguf")

"""Single files of weights, with settings beside them or inside."""

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
from command import ggmlkit
from folder_checks import check
from ggmlkit.errors import ConversionError

MakeHf = Callable[..., tuple[Path, Any]]
Wrap = Callable[[dict[str, Any]], dict[str, Any]]


def under(prefix: str) -> Wrap:
    return lambda state: {prefix + name: tensor for name, tensor in state.items()}


WRAPPED: dict[str, Wrap] = {
    "bare": lambda state: state,
    "module": under("module."),
    "compiled": under("_orig_mod."),
    "lightning": under("net."),
    "lightning of transformers": under("model."),
    "several": under("module._orig_mod.net.model."),
    "compiled layers": lambda state: {
        name.replace(".mlp.", "._orig_mod.mlp._orig_mod."): t for name, t in state.items()
    },
    "fsdp": lambda state: {
        name.replace("model.", "_fsdp_wrapped_module.model.", 1): t for name, t in state.items()
    },
    "no model.": lambda state: {name.removeprefix("model."): t for name, t in state.items()},
}


@pytest.mark.parametrize("way", WRAPPED)
@pytest.mark.parametrize("old", [False, True])
def test_whatever_wraps_the_model(tiny_hf: MakeHf, tmp_path: Path, way: str, old: bool) -> None:
    folder, model = tiny_hf()
    (folder / "model.safetensors").unlink()
    state = {"state_dict": WRAPPED[way](model.state_dict()), "epoch": 1}
    torch.save(state, folder / "last.ckpt", _use_new_zipfile_serialization=not old)
    gk.convert(folder / "last.ckpt", tmp_path / "m.gguf", type="f32")
    check(tmp_path / "m.gguf", model)


def test_hyper_parameters_saved_with_the_weights(tiny_hf: MakeHf, tmp_path: Path) -> None:
    folder, model = tiny_hf()
    (folder / "model.safetensors").unlink()
    (folder / "config.json").unlink()
    config = model.config.to_dict()
    saved = {"state_dict": model.state_dict(), "hyper_parameters": {"lr": 1.0, "config": config}}
    torch.save(saved, folder / "last.ckpt")
    gk.convert(folder / "last.ckpt", tmp_path / "m.gguf", type="f32")
    check(tmp_path / "m.gguf", model)


def test_meta_s_names_with_what_llama2_c_saves(golden: Path, tmp_path: Path) -> None:
    params = json.loads((golden / "meta/params.json").read_text())
    state = torch.load(golden / "meta/consolidated.00.pth", weights_only=True)
    shutil.copy(golden / "meta/tokenizer.model", tmp_path)
    saved = {"model": under("_orig_mod.")(state), "model_args": params, "iter_num": 7}
    torch.save(saved, tmp_path / "ckpt.pt")
    gk.convert(tmp_path / "ckpt.pt", tmp_path / "m.gguf", type="f16")
    gk.convert(golden / "meta", tmp_path / "n.gguf", type="f16")
    ours, theirs = gk.open(tmp_path / "m.gguf"), gk.open(tmp_path / "n.gguf")
    assert ours.names == theirs.names
    for name, tensor in theirs.items():
        assert np.array_equal(ours[name].data, tensor.data), name


def test_meta_s_names_with_hugging_face_s_config(tiny_hf: MakeHf, tmp_path: Path) -> None:
    folder, model = tiny_hf()
    gk.convert(folder, tmp_path / "a.gguf", type="f32")
    gk.export(tmp_path / "a.gguf", tmp_path / "meta", "meta")
    (folder / "model.safetensors").unlink()
    shutil.copy(tmp_path / "meta/consolidated.00.pth", folder / "weights.pth")
    gk.convert(folder / "weights.pth", tmp_path / "b.gguf", type="f32")
    check(tmp_path / "b.gguf", model)


def test_a_safetensors_file_with_its_config_beside_it(tiny_hf: MakeHf, tmp_path: Path) -> None:
    folder, model = tiny_hf()
    gk.convert(folder / "model.safetensors", tmp_path / "m.gguf", type="f32")
    check(tmp_path / "m.gguf", model)


def test_lightning_s_own_checkpoint(tiny_hf: MakeHf, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import lightning.pytorch as lightning

        folder, model = tiny_hf()

        class Module(lightning.LightningModule):  # type: ignore[misc, name-defined]
            def __init__(self, config: dict[str, Any]) -> None:  # noqa: ARG002
                super().__init__()
                self.save_hyperparameters()
                self.net = model

            def training_step(self, batch: Any, _: int) -> Any:
                return self.net(batch).logits.square().mean()

            def configure_optimizers(self) -> Any:
                return torch.optim.AdamW(self.parameters(), lr=1e-3)

        trainer = lightning.Trainer(
            max_steps=1,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(Module(model.config.to_dict()), torch.utils.data.DataLoader([torch.arange(5)]))
        trainer.save_checkpoint(folder / "last.ckpt")
    (folder / "model.safetensors").unlink()
    (folder / "config.json").unlink()
    gk.convert(folder / "last.ckpt", tmp_path / "m.gguf", type="f32")
    check(tmp_path / "m.gguf", model)


def test_missing_settings_and_unknown_tensors_are_named(tiny_hf: MakeHf, tmp_path: Path) -> None:
    folder, model = tiny_hf()
    state = model.state_dict()
    torch.save(state, tmp_path / "only.pt")
    with pytest.raises(ConversionError, match=r"only\.pt holds tensors only \(torch\)"):
        gk.convert(tmp_path / "only.pt", tmp_path / "m.gguf")
    (tmp_path / "params.json").write_text("{}")
    with pytest.raises(ConversionError, match=r"needs the model's config\.json"):
        gk.convert(tmp_path / "only.pt", tmp_path / "m.gguf")
    for change, reason in (
        ({"teacher.x": torch.ones(1)}, r"no place for the tensor teacher\.x"),
        ({f"ema.{name}": t for name, t in state.items()}, "several models"),
        ({"_orig_mod.lm_head.weight": torch.ones(1)}, r"two tensors have the name lm_head\.weight"),
    ):
        inner = {f"net.{name}": t for name, t in state.items()} if "teacher.x" in change else state
        torch.save({**inner, **change}, folder / "a.pt")
        with pytest.raises(ConversionError, match=reason):
            gk.convert(folder / "a.pt", tmp_path / "m.gguf")
    torch.save({"w": torch.ones(2)}, folder / "a.pt")
    with pytest.raises(ConversionError, match="neither Hugging Face's nor Meta's names"):
        gk.convert(folder / "a.pt", tmp_path / "m.gguf")


def test_commands_take_such_a_file(tiny_hf: MakeHf, tmp_path: Path) -> None:
    folder, model = tiny_hf()
    torch.save({"state_dict": under("net.")(model.state_dict())}, folder / "last.ckpt")
    ggmlkit("convert", folder / "last.ckpt", tmp_path / "m.gguf", "--type", "f32")
    assert "net.lm_head.weight" in ggmlkit("inspect", folder / "last.ckpt").stdout
    assert "nothing is wrong" in ggmlkit("verify", folder / "last.ckpt").stdout
    shown = ggmlkit("compare", folder / "last.ckpt", tmp_path / "m.gguf", "--json", code=1).stdout
    found = json.loads(shown)
    assert len(found["tensors"]) == 21
    assert all(pair["identical"] for pair in found["tensors"])

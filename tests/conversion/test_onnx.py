"""LLaMA models that PyTorch exported to ONNX, with both of its exporters."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import ggmlkit as gk
import torch
from folder_checks import check
from ggmlkit.errors import ConversionError

MakeHf = Callable[..., tuple[Path, Any]]


class Logits(torch.nn.Module):  # type: ignore[misc, name-defined]
    """A model of one input and one output, whose mask needs only operators that ONNX has."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: Any) -> Any:
        length = tokens.shape[1]
        return self.model(
            tokens,
            attention_mask=torch.zeros(1, 1, length, length),
            position_ids=torch.arange(length)[None],
            use_cache=False,
        ).logits


def export(model: Any, path: Path, **settings: Any) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(Logits(model), (torch.arange(8)[None],), str(path), **settings)
    return path


def randomized(model: Any) -> Any:
    """The model with norms that differ from each other, as trained ones do."""
    for name, weight in model.named_parameters():
        if "norm" in name:
            torch.nn.init.uniform_(weight, 0.5, 1.5)
    return model


@pytest.mark.parametrize("changes", [{}, {"tie_word_embeddings": True}], ids=["plain", "tied"])
@pytest.mark.parametrize("equal_norms", [False, True])
def test_the_exporter_that_traces(
    tiny_hf: MakeHf, tmp_path: Path, changes: dict[str, Any], equal_norms: bool
) -> None:
    folder, model = tiny_hf(**changes)
    (folder / "model.safetensors").unlink()
    if not equal_norms:
        model = randomized(model)
    path = export(model, folder / "m.onnx", dynamo=False)
    names = {tensor.name for tensor in onnx.load(path).graph.initializer}
    assert any(name.startswith("onnx::MatMul_") for name in names)
    gk.convert(path, tmp_path / "m.gguf", type="f32")
    check(tmp_path / "m.gguf", model)


def test_the_exporter_of_graphs_with_data_beside_it(tiny_hf: MakeHf, tmp_path: Path) -> None:
    folder, model = tiny_hf()
    (folder / "model.safetensors").unlink()
    path = export(model, folder / "m.onnx", dynamo=True, external_data=True, verbose=False)
    assert (folder / "m.onnx.data").is_file()
    gk.convert(path, tmp_path / "m.gguf", type="f32")
    check(tmp_path / "m.gguf", model)


def test_a_graph_whose_nodes_have_no_names(tiny_hf: MakeHf, tmp_path: Path) -> None:
    folder, model = tiny_hf(num_hidden_layers=1)
    path = export(model, folder / "m.onnx", dynamo=False)
    graph = onnx.load(path)
    for node in graph.graph.node:
        node.name = ""
    onnx.save(graph, path)
    with pytest.raises(ConversionError, match="no node says which module the matrix"):
        gk.convert(path, tmp_path / "m.gguf")


def test_a_graph_without_its_config(tiny_hf: MakeHf, tmp_path: Path) -> None:
    _, model = tiny_hf(num_hidden_layers=1)
    path = export(model, tmp_path / "m.onnx", dynamo=False)
    with pytest.raises(ConversionError, match=r"put the model's config\.json"):
        gk.convert(path, tmp_path / "m.gguf")
    with gk.open(path) as file:
        assert np.array_equal(
            file["model.model.embed_tokens.weight"].numpy(),
            model.model.embed_tokens.weight.detach().numpy(),
        )

"""Tiny checkpoints to convert."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ggmlkit as gk
import tiny_models
from paths import GOLDEN

MakeHf = Callable[..., tuple[Path, Any]]


@pytest.fixture
def golden() -> Path:
    return GOLDEN


@pytest.fixture
def meta_copy(tmp_path: Path) -> Path:
    """A copy of the golden Meta folder that a test can change."""
    return Path(shutil.copytree(GOLDEN / "meta", tmp_path / "meta"))


@pytest.fixture(scope="session")
def byte_level_tokenizer() -> Any:
    """A byte-level BPE with Llama 3's pre-tokenizer."""
    return tiny_models.byte_level_tokenizer()


@pytest.fixture
def tiny_hf(tmp_path: Path) -> Callable[..., tuple[Path, Any]]:
    """Makes a folder with a random LlamaForCausalLM; returns it and the model."""

    def make(name: str = "tiny", shard: str | None = None, **changes: Any) -> tuple[Path, Any]:
        return tmp_path / name, tiny_models.save_tiny("Llama", tmp_path / name, shard, **changes)

    return make


@pytest.fixture
def base(tiny_hf: MakeHf, tmp_path: Path) -> tuple[Path, Any]:
    """A model with grouped attention; base.gguf has it in f32."""
    folder, model = tiny_hf("base")
    gk.convert(folder, tmp_path / "base.gguf", type="f32")
    return folder, model

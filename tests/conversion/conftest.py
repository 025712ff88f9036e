"""Tiny checkpoints to convert."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

GOLDEN = Path(__file__).parents[1] / "data" / "golden"


@pytest.fixture
def golden() -> Path:
    return GOLDEN


@pytest.fixture
def meta_copy(tmp_path: Path) -> Path:
    """A copy of the golden Meta folder that a test may change."""
    return Path(shutil.copytree(GOLDEN / "meta", tmp_path / "meta"))


@pytest.fixture(scope="session")
def byte_level_tokenizer() -> Any:
    """A byte-level BPE with Llama 3's pre-tokenizer, as transformers saves it."""
    tokenizers = pytest.importorskip("tokenizers")
    from tokenizers import Regex, decoders, models, pre_tokenizers, trainers

    from ggmlkit.model import pretokenizers as families

    tokenizer = tokenizers.Tokenizer(models.BPE(ignore_merges=True))
    split = families.by_name("llama-bpe").steps[0]["pattern"]["Regex"]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(split), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=["<|begin|>", "<|end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(["the cat sat on the mat, and the dog too"] * 20, trainer)
    return tokenizer


@pytest.fixture
def tiny_hf(tmp_path: Path, byte_level_tokenizer: Any) -> Callable[..., tuple[Path, Any]]:
    """Makes a folder with a random LlamaForCausalLM; returns it and the model."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")

    def make(name: str = "tiny", shard: str | None = None, **changes: Any) -> tuple[Path, Any]:
        torch.manual_seed(3)
        config = transformers.LlamaConfig(
            **{
                "hidden_size": 64,
                "intermediate_size": 96,
                "num_hidden_layers": 2,
                "num_attention_heads": 4,
                "num_key_value_heads": 2,
                "vocab_size": 320,
                "max_position_embeddings": 256,
                "bos_token_id": 0,
                "eos_token_id": 1,
                "initializer_range": 0.2,
                **changes,
            }
        )
        model = transformers.LlamaForCausalLM(config).eval()
        folder = tmp_path / name
        model.save_pretrained(folder, **({"max_shard_size": shard} if shard else {}))
        byte_level_tokenizer.save(str(folder / "tokenizer.json"))
        (folder / "tokenizer_config.json").write_text(
            json.dumps({"bos_token": "<|begin|>", "eos_token": {"content": "<|end|>"}})
        )
        return folder, model

    return make

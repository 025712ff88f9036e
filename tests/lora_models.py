"""LoRA adapters made by PEFT, for tiny models of transformers."""

from __future__ import annotations

import copy
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

TOKENS = [0, 5, 17, 300, 42, 42, 7, 199, 256, 3, 88, 120] * 8
ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
LINEAR = [*ATTENTION, "gate_proj", "up_proj", "down_proj"]


def saved_adapter(
    folder: Path, model: Any, *, seed: int = 0, safe: bool = True, **settings: Any
) -> Any:
    """Saves a random adapter of a copy of ``model`` to a folder; returns the model with it."""
    import peft

    import torch

    torch.manual_seed(seed)
    config = peft.LoraConfig(
        **{"r": 4, "lora_alpha": 8, "target_modules": LINEAR, "init_lora_weights": False} | settings
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # advice on settings that the tests choose on purpose
        adapted = peft.get_peft_model(copy.deepcopy(model), config).eval()
        adapted.save_pretrained(folder, safe_serialization=safe)
    return adapted


def logits(model: Any) -> NDArray[np.float32]:
    """transformers' logits for TOKENS, float32 ``(tokens, vocabulary)``."""
    import torch

    with torch.no_grad():
        return np.asarray(model(torch.tensor([TOKENS])).logits[0].float().numpy())


def distance(ours: NDArray[Any], theirs: NDArray[Any]) -> float:
    """Root mean square of the difference, relative to the standard deviation of ``theirs``."""
    return float(np.sqrt(np.mean((ours - theirs).astype(np.float64) ** 2)) / theirs.std())


def edited(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the settings of an adapter that was saved."""
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text())
    change(config)
    path.write_text(json.dumps(config))

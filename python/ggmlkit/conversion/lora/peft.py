"""LoRA adapters as PEFT saves them: adapter_config.json, and safetensors or a PyTorch file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import sqrt
from pathlib import Path
from typing import Any

from ggmlkit.conversion.hf.model import gguf_values
from ggmlkit.conversion.json_file import read_json
from ggmlkit.conversion.lora.adapter import Adapter, BaseModel, Update, checked_update
from ggmlkit.conversion.lora.base_model import base_at_hand
from ggmlkit.conversion.lora.peft_tensors import AdaptedWeight, Parts, peft_parts
from ggmlkit.conversion.lora.rank_patterns import Patterns
from ggmlkit.errors import ConversionError, FormatError
from ggmlkit.io.base import ModelFile
from ggmlkit.io.foreign.safetensors import open_safetensors
from ggmlkit.io.torch.checkpoint import open_torch
from ggmlkit.lazy.transposed import transposed
from ggmlkit.tensor import Tensor

PEFT_CONFIG = "adapter_config.json"
# Settings that, if set, add more to an adapter than B·A, DoRA and whole tensors.
_UNSUPPORTED = (
    "alora_invocation_tokens",
    "arrow_config",
    "kasa_config",
    "layer_replication",
    "lora_bias",
    "megatron_config",
    "monteclora_config",
    "target_parameters",
    "trainable_token_indices",
)
_SUPPORTED = ("use_rslora", "use_dora")
# Ways to initialize an adapter that leave the base model unchanged. Others subtract from the base
# model what they put into the adapter.
_HARMLESS_INITS = (True, False, None, "gaussian", "eva", "orthogonal")
_BY_PEFT = "merge the adapter with peft (merge_and_unload) and convert the model"


@dataclass(frozen=True)
class _Settings:
    """What adapter_config.json says of ranks and scales."""

    path: Path
    rank: int
    alpha: float
    ranks: Patterns
    alphas: Patterns
    by_root: bool  # alpha is divided by the square root of the rank
    has_magnitudes: bool  # each row has its length (DoRA)

    def scale(self, module: str, rank: int) -> float:
        """The scale of a module's update; ConversionError if its rank isn't the expected one."""
        known = self.ranks.value(module)
        expected = self.rank if known is None else known
        if rank != expected:
            raise ConversionError(f"{self.path}: {module} has rank {rank}, not {expected:g}")
        alpha = self.alphas.value(module)
        return (self.alpha if alpha is None else alpha) / (sqrt(rank) if self.by_root else rank)


def open_peft(folder: Path, base: BaseModel | None = None) -> Adapter:
    """The adapter in a folder that PEFT's ``save_pretrained`` wrote; see :func:`open_adapter`."""
    path = folder / PEFT_CONFIG
    config = read_json(path)
    settings = _settings(path, config)
    base = base or base_at_hand(folder, config)
    file = _open_weights(folder)
    try:
        parts = peft_parts(file, None if base is None else base.architecture)
        _check_saved(path, config.get("modules_to_save"), parts)
        values = _GgufValues(folder, base)
        updates = {
            each.gguf: _update(file.path, each, halves, settings, values)
            for each, halves in parts.adapted.items()
        }
        replaced = {name: values.of(name, t) for name, t in parts.whole.items()}
        if not updates and not replaced:
            raise ConversionError(f"{file.path} changes no weight")
    except BaseException:
        file.close()
        raise
    architecture = None if base is None else base.architecture
    return Adapter(folder, architecture, updates, [file], replaced)


def _check_saved(path: Path, modules: object, parts: Parts) -> None:
    """Refuse an adapter without the tensors of a module that modules_to_save names."""
    for name in modules if isinstance(modules, list) else []:
        if not any(f".{name}." in f".{module}." for module in parts.whole_modules):
            raise ConversionError(
                f"{path}: modules_to_save has {name!r}, but the adapter has no tensors of it"
            )


# ------------------------------------------------------------------- adapter_config.json


def _settings(path: Path, config: Mapping[str, Any]) -> _Settings:
    _refuse_unsupported(path, config)
    rank, alpha = config.get("r"), config.get("lora_alpha")
    if isinstance(rank, bool) or not isinstance(rank, int) or not 1 <= rank < 1 << 31:
        raise ConversionError(f"{path}: r is {rank!r}, not a positive integer")
    if isinstance(alpha, bool) or not isinstance(alpha, (int, float)) or not abs(alpha) < 1e30:
        raise ConversionError(f"{path}: lora_alpha is {alpha!r}, not a number")
    return _Settings(
        path,
        rank,
        float(alpha),
        Patterns(path, "rank_pattern", config.get("rank_pattern")),
        Patterns(path, "alpha_pattern", config.get("alpha_pattern")),
        by_root=config.get("use_rslora") is True,
        has_magnitudes=config.get("use_dora") is True,
    )


def _refuse_unsupported(path: Path, config: Mapping[str, Any]) -> None:
    """Refuse, by name, settings that are neither LoRA nor DoRA.

    ``fan_in_fan_out`` can be ignored: PEFT unsets it for the linear layers that LLaMA has. So can
    ``bias``: the biases that were trained are in the file.
    """
    if config.get("peft_type") != "LORA":
        raise ConversionError(f"{path}: peft_type {config.get('peft_type')!r} is not supported")
    found = [key for key in _UNSUPPORTED if config.get(key)]
    found += [key for key in config if key.startswith("use_") and config[key]]
    if config.get("init_lora_weights") not in _HARMLESS_INITS:
        found.append("init_lora_weights")
    for key in found:
        if key not in _SUPPORTED:
            raise ConversionError(
                f"{path}: {key} = {str(config[key])[:80]} is not supported; {_BY_PEFT}"
            )


# ------------------------------------------------------------------------------- weights


def _open_weights(folder: Path) -> ModelFile:
    if (folder / "adapter_model.safetensors").is_file():
        return open_safetensors(folder / "adapter_model.safetensors")
    if (folder / "adapter_model.bin").is_file():
        return open_torch(folder / "adapter_model.bin")
    raise ConversionError(f"{folder} has neither adapter_model.safetensors nor adapter_model.bin")


def _update(
    path: Path,
    weight: AdaptedWeight,
    halves: Mapping[str, Tensor],
    settings: _Settings,
    values: _GgufValues,
) -> Update:
    kind = "embedding_" if "embedding_A" in halves else ""
    pair = halves.keys() - {"magnitude"}
    if pair != {f"{kind}A", f"{kind}B"}:
        names = " and ".join(f"lora_{half}" for half in sorted(pair)) or "only a magnitude"
        raise FormatError(path, None, f"{weight.module} has {names}, which is not a pair")
    a, b = halves[f"{kind}A"], halves[f"{kind}B"]
    checked_update(path, weight.module, a, b, 1.0)
    scale = settings.scale(weight.module, a.shape[0])
    if kind:
        # W has a row for each token, PEFT's B·A a column.
        a, b = transposed(b), transposed(a)
    update = checked_update(path, weight.gguf, a, values.of(weight.gguf, b), scale)
    magnitude = halves.get("magnitude")
    if (magnitude is not None) != settings.has_magnitudes:
        raise FormatError(
            path,
            None,
            f"use_dora is {settings.has_magnitudes}, but {weight.module} has "
            f"{'a' if magnitude is not None else 'no'} lora_magnitude_vector (DoRA)",
        )
    if magnitude is None:
        return update
    if kind:
        raise ConversionError(
            f"{path}: DoRA (use_dora) of embeddings is not supported: {weight.module}; {_BY_PEFT}"
        )
    if magnitude.shape != (update.shape[0],):
        raise FormatError(
            path,
            None,
            f"lora_magnitude_vector of {weight.module} has shape {magnitude.shape}, "
            f"not {(update.shape[0],)}",
        )
    rows = values.of(weight.gguf.removesuffix(".weight") + ".bias", magnitude)
    return replace(update, magnitude=rows)


class _GgufValues:
    """Turns values of the base model into gguf's: the order of q's and k's rows, and norms."""

    def __init__(self, folder: Path, base: BaseModel | None) -> None:
        self._folder = folder
        self._base = base

    def of(self, name: str, tensor: Tensor) -> Tensor:
        needs_model = ".attn_q." in name or ".attn_k." in name or name.endswith("norm.weight")
        if not needs_model:
            return tensor.renamed(name)
        if self._base is None:
            raise ConversionError(
                f"{self._folder}: the order of the values of {name} depends on the model it is "
                "for, which was not found; give the base model (--base)"
            )
        try:
            return gguf_values(name, tensor.renamed(name), self._base.hparams())
        except ConversionError as error:
            raise ConversionError(f"{self._folder}: {error}") from None

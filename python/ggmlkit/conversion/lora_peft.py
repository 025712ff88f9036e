"""LoRA adapters as PEFT saves them: adapter_config.json, and safetensors or a PyTorch file."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from typing import Any, NamedTuple

from ggmlkit.conversion import names
from ggmlkit.conversion.hf_config import from_hf_config
from ggmlkit.conversion.hf_model import gguf_values
from ggmlkit.conversion.hparams import Hparams
from ggmlkit.conversion.json_file import read_json
from ggmlkit.conversion.lora import PEFT_CONFIG, Adapter, Change, checked_change
from ggmlkit.conversion.lora_patterns import Patterns
from ggmlkit.errors import ConversionError, FormatError
from ggmlkit.io.base import ModelFile
from ggmlkit.io.safetensors import open_safetensors
from ggmlkit.io.torch_checkpoint import open_torch
from ggmlkit.io.transposed import transposed
from ggmlkit.tensor import Tensor

# base_model.model.MODULE.lora_A.weight; of embeddings, MODULE.lora_embedding_A. A model that was
# never saved by PEFT has the adapter's name in it as well.
_HALF = re.compile(
    r"(?:base_model\.model\.)?(.+?)\.lora_((?:embedding_)?[AB])(?:\.default)?(?:\.weight)?"
)
# The base model's own values, which PEFT saves along with embeddings that it changes.
_BASE_LAYER = re.compile(r"(?:base_model\.model\.)?(.+)\.base_layer\.weight")
# What makes more of an adapter than B·A, where it is set.
_UNSUPPORTED = (
    "alora_invocation_tokens",
    "arrow_config",
    "kasa_config",
    "layer_replication",
    "lora_bias",
    "megatron_config",
    "modules_to_save",
    "monteclora_config",
    "target_parameters",
    "trainable_token_indices",
)
# Ways to begin the training that leave the base model as it is; others take from it what they give
# to the adapter.
_HARMLESS_BEGINNINGS = (True, False, None, "gaussian", "eva", "orthogonal")
_LONGEST_PATH = 4000
_MERGE = "merge the adapter with peft (merge_and_unload) and convert the model"


@dataclass(frozen=True)
class _Settings:
    """What adapter_config.json says of ranks and scales."""

    path: Path
    rank: int
    alpha: float
    ranks: Patterns
    alphas: Patterns
    by_root: bool  # alpha is divided by the root of the rank

    def scale(self, module: str, rank: int) -> float:
        """What the change of a module is multiplied by; ConversionError if the rank isn't its."""
        known = self.ranks.value(module)
        expected = self.rank if known is None else known
        if rank != expected:
            raise ConversionError(f"{self.path}: {module} has rank {rank}, not {expected:g}")
        alpha = self.alphas.value(module)
        return (self.alpha if alpha is None else alpha) / (sqrt(rank) if self.by_root else rank)


def open_peft(folder: Path, hparams: Callable[[], Hparams] | None = None) -> Adapter:
    """The adapter in a folder that PEFT's ``save_pretrained`` wrote; see :func:`open_adapter`."""
    path = folder / PEFT_CONFIG
    config = read_json(path)
    settings = _settings(path, config)
    file = _open_weights(folder)
    try:
        order = _Order(folder, config, hparams)
        changes = {
            weight.gguf: _change(file.path, weight, halves, settings, order)
            for weight, halves in _halves(file).items()
        }
        if not changes:
            raise ConversionError(f"{file.path} changes no weight")
    except BaseException:
        file.close()
        raise
    return Adapter(folder, order.architecture, changes, [file])


# ------------------------------------------------------------------- adapter_config.json


def _settings(path: Path, config: Mapping[str, Any]) -> _Settings:
    _refuse_unsupported(path, config)
    rank, alpha = config.get("r"), config.get("lora_alpha")
    if isinstance(rank, bool) or not isinstance(rank, int) or not 1 <= rank < 1 << 31:
        raise ConversionError(f"{path}: r is {rank!r}, no positive integer")
    if isinstance(alpha, bool) or not isinstance(alpha, (int, float)) or not abs(alpha) < 1e30:
        raise ConversionError(f"{path}: lora_alpha is {alpha!r}, no number")
    return _Settings(
        path,
        rank,
        float(alpha),
        Patterns(path, "rank_pattern", config.get("rank_pattern")),
        Patterns(path, "alpha_pattern", config.get("alpha_pattern")),
        by_root=config.get("use_rslora") is True,
    )


def _refuse_unsupported(path: Path, config: Mapping[str, Any]) -> None:
    """What isn't plain LoRA is refused by name.

    ``fan_in_fan_out`` is no such thing: PEFT unsets it for the linear layers that LLaMA has.
    """
    if config.get("peft_type") != "LORA":
        raise ConversionError(f"{path}: peft_type {config.get('peft_type')!r} is not supported")
    found = [key for key in _UNSUPPORTED if config.get(key)]
    found += [key for key in config if key.startswith("use_") and config[key]]
    if config.get("bias") not in (None, "none"):
        found.append("bias")
    if config.get("init_lora_weights") not in _HARMLESS_BEGINNINGS:
        found.append("init_lora_weights")
    for key in found:
        if key != "use_rslora":
            raise ConversionError(
                f"{path}: {key} = {str(config[key])[:80]} is not supported; {_MERGE}"
            )


# ------------------------------------------------------------------------------- weights


class _Weight(NamedTuple):
    """One weight that is changed: its module in the checkpoint, and its gguf name."""

    module: str
    gguf: str


def _open_weights(folder: Path) -> ModelFile:
    if (folder / "adapter_model.safetensors").is_file():
        return open_safetensors(folder / "adapter_model.safetensors")
    if (folder / "adapter_model.bin").is_file():
        return open_torch(folder / "adapter_model.bin")
    raise ConversionError(f"{folder} has neither adapter_model.safetensors nor adapter_model.bin")


def _halves(file: ModelFile) -> dict[_Weight, dict[str, Tensor]]:
    """The tensors of each weight, "A" and "B" or "embedding_A" and so on, all there are."""
    found: dict[_Weight, dict[str, Tensor]] = {}
    unchanged = set()
    for own_name, tensor in file.items():
        if base := _BASE_LAYER.fullmatch(own_name):
            unchanged.add(base[1])
            continue
        match = _HALF.fullmatch(own_name)
        if match is None:
            raise ConversionError(f"{file.path}: {own_name} is no half of a change; {_MERGE}")
        module, half = match.groups()
        name = names.to_gguf(f"{module}.weight")
        if name is None or names.to_hf(name) != f"{module}.weight":
            raise ConversionError(f"{file.path}: no place for the tensor {own_name}")
        halves = found.setdefault(_Weight(module, name), {})
        if half in halves:
            raise FormatError(file.path, None, f"two tensors are lora_{half} of {module}")
        halves[half] = tensor
    if alone := unchanged - {weight.module for weight in found}:
        raise FormatError(file.path, None, f"{min(alone)} has a base_layer, but no change")
    return found


def _change(
    path: Path, weight: _Weight, halves: Mapping[str, Tensor], settings: _Settings, order: _Order
) -> Change:
    kind = "embedding_" if "embedding_A" in halves else ""
    if halves.keys() != {f"{kind}A", f"{kind}B"}:
        told = " and ".join(f"lora_{half}" for half in sorted(halves))
        raise FormatError(path, None, f"{weight.module} has {told}, which is no pair")
    a, b = halves[f"{kind}A"], halves[f"{kind}B"]
    checked_change(path, weight.module, a, b, 1.0)
    scale = settings.scale(weight.module, a.shape[0])
    if kind:
        # W's rows are tokens, and PEFT's B·A is W transposed.
        a, b = transposed(b), transposed(a)
    return checked_change(path, weight.gguf, a, order.applied(weight.gguf, b), scale)


class _Order:
    """Puts the rows of q and k in gguf's order, once it is known how many heads there are."""

    def __init__(
        self, folder: Path, config: Mapping[str, Any], hparams: Callable[[], Hparams] | None
    ) -> None:
        self._folder = folder
        self._config = config
        self._tell = hparams
        self._hparams: Hparams | None = None

    @property
    def architecture(self) -> str | None:
        """Of the base model, if it had to be asked for."""
        if self._hparams is None:
            return None
        return str(self._hparams.metadata()["general.architecture"])

    def applied(self, name: str, b: Tensor) -> Tensor:
        if not name.endswith((".attn_q.weight", ".attn_k.weight")):
            return b
        if self._hparams is None:
            self._hparams = self._tell() if self._tell is not None else self._found()
        try:
            return gguf_values(name, b.renamed(name), self._hparams)
        except ConversionError as error:
            raise ConversionError(f"{self._folder}: {error}") from None

    def _found(self) -> Hparams:
        """The base model's hyper-parameters, out of a config.json at hand."""
        for folder in (self._folder, _folder_named(self._config)):
            with suppress(OSError):  # a name that can't be one
                if folder is not None and (folder / "config.json").is_file():
                    return from_hf_config(read_json(folder / "config.json"))
        raise ConversionError(
            f"{self._folder}: the order of q's and k's rows depends on the number of heads; "
            "give the base model (--base)"
        )


def _folder_named(config: Mapping[str, Any]) -> Path | None:
    name = config.get("base_model_name_or_path")
    if not isinstance(name, str) or not 0 < len(name) <= _LONGEST_PATH or "\0" in name:
        return None
    return Path(name)

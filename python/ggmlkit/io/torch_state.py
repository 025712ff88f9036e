"""What a training program saved with ``torch.save``: where in it the weights are, and settings."""

from __future__ import annotations

from typing import Any

from ggmlkit.io.torch_pickle import Stored

# Lightning and plain training loops save {"state_dict": …, "optimizer_states": …, …}.
_HOLDERS = ("state_dict", "model_state_dict", "model", "module")
_SETTINGS = ("hyper_parameters", "model_args", "hparams", "config", "args")
_DEPTH = 4
_MOST_SETTINGS = 10_000


def state_dict(tree: object, depth: int = _DEPTH) -> dict[str, Stored]:
    """The tensors by name: those of the dictionary, or of the one in it that holds the weights.

    Whatever else was saved, such as the optimizer's own tensors, is left out.
    """
    if not isinstance(tree, dict) or depth == 0:
        return {}
    for holder in _HOLDERS:
        found = state_dict(dict.get(tree, holder), depth - 1)
        if found:
            return found
    # An OrderedDict may have an attribute called items.
    pairs = dict.items(tree)
    return {n: v for n, v in pairs if isinstance(n, str) and isinstance(v, Stored)}


def settings(tree: object) -> dict[str, Any]:
    """Plain hyper-parameters, numbers and text, that were saved beside the weights."""
    if not isinstance(tree, dict):
        return {}
    budget = _Budget(_MOST_SETTINGS)
    found: dict[str, Any] = {}
    for name in _SETTINGS:
        value = dict.get(tree, name)
        if isinstance(value, dict):
            found[name] = _plain(value, budget, _DEPTH)
    return found


class _Budget:
    """How much may still be copied: pickles can name one list many times over."""

    def __init__(self, left: int) -> None:
        self.left = left

    def spend(self) -> bool:
        self.left -= 1
        return self.left >= 0


def _plain(value: object, budget: _Budget, depth: int) -> Any:
    """A copy without what is neither number, text, list nor dictionary; None for the rest."""
    if not budget.spend() or depth < 0:
        return None
    if isinstance(value, dict):
        pairs = dict.items(value)
        return {n: _plain(v, budget, depth - 1) for n, v in pairs if isinstance(n, str)}
    if isinstance(value, (list, tuple)) and not isinstance(value, Stored):
        return [_plain(v, budget, depth - 1) for v in value]
    if isinstance(value, int):
        return value if abs(value) < 1 << 63 else None
    return value if isinstance(value, (float, str)) else None

"""Finds weights and settings in an object that a training program saved with ``torch.save``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from ggmlkit.io.torch.pickle import Stored

# Lightning and plain training loops save {"state_dict": …, "optimizer_states": …, …}.
_HOLDERS = ("state_dict", "model_state_dict", "model", "module")
_SETTINGS = ("hyper_parameters", "model_args", "hparams", "config", "args")
_DEPTH = 4
_MOST_SETTINGS = 10_000
_T = TypeVar("_T")


def state_dict(tree: object) -> dict[str, Stored]:
    """The tensors by name, of the dictionary or of an inner one that holds the weights.

    All else that was saved, such as the optimizer's own tensors, is left out.
    """
    return _weights(tree, _DEPTH, {})


def _weights(tree: object, depth: int, seen: dict[int, int]) -> dict[str, Stored]:
    """Searches ``depth`` levels; ``seen`` avoids repeats, as one dictionary can be nested often."""
    if not isinstance(tree, dict) or depth <= seen.get(id(tree), 0):
        return {}
    seen[id(tree)] = depth
    for holder in _HOLDERS:
        found = _weights(tree.get(holder), depth - 1, seen)
        if found:
            return found
    return {n: v for n, v in tree.items() if isinstance(n, str) and isinstance(v, Stored)}


def settings(tree: object) -> dict[str, Any]:
    """Plain hyper-parameters (numbers and text) that were saved beside the weights."""
    if not isinstance(tree, dict):
        return {}
    budget = _Budget(_MOST_SETTINGS)
    found: dict[str, Any] = {}
    for name in _SETTINGS:
        value = tree.get(name)
        if isinstance(value, dict):
            found[name] = _plain(value, budget, _DEPTH)
    return found


class _Budget:
    """A limit of the items to copy, as a pickle can refer to one list very many times."""

    def __init__(self, left: int) -> None:
        self._left = left

    def spent_on(self, items: Iterable[_T]) -> Iterator[_T]:
        """The items, until the limit is reached."""
        for item in items:
            if self._left <= 0:
                return
            self._left -= 1
            yield item


def _plain(value: object, budget: _Budget, depth: int) -> Any:
    """A copy of numbers, text, lists and dictionaries; None stands for anything else."""
    if isinstance(value, dict) and depth > 0:
        pairs = budget.spent_on(value.items())
        return {n: _plain(v, budget, depth - 1) for n, v in pairs if isinstance(n, str)}
    if isinstance(value, (list, tuple)) and not isinstance(value, Stored) and depth > 0:
        return [_plain(v, budget, depth - 1) for v in budget.spent_on(value)]
    if isinstance(value, int):
        return value if abs(value) < 1 << 63 else None
    return value if isinstance(value, (float, str)) else None

"""Trains what a quantized model has besides its codes: the scales of blocks, and the norms.

What is made small is the KL divergence from the float model's predictions, on samples of a text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import cos, pi
from typing import TYPE_CHECKING, Any

import numpy as np
from torch.utils.checkpoint import checkpoint

import torch
from ggmlkit import _core
from ggmlkit.arch.tensor_names import EMBEDDINGS, OUTPUT, OUTPUT_NORM
from ggmlkit.calibration.layers import Text, float_end
from ggmlkit.calibration.scales import rounded_scales, scale_offsets, terms, with_scales
from ggmlkit.calibration.torch_layers import Layers, Values
from ggmlkit.engine.fused_tensors import fused_rows
from ggmlkit.tensor import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable


# Progress is counted in so many parts; the float model, which runs once, takes the first of them.
PARTS, _FLOAT_PARTS = 1000, 50
# Of Adam, at the start; it falls to 0 along a cosine. All that is trained is relative to what it
# was, so this is about the part by which a step changes a scale.
_RATE = 1e-3
_BETAS = (0.9, 0.99)
# Times that the samples held out are looked at.
_LOOKS = 8
# Samples held out that are looked at.
_MOST_HELD_OUT = 8
# Tokens whose logits are in memory at a time.
_PIECE = 128


@dataclass(frozen=True)
class Tuned:
    """What came of it.

    Attributes:
        tensors: those that changed, by name; empty if nothing was better.
        before, after: KL divergence from the float model in nats, a mean over the tokens held out.
        tokens: held out.
    """

    tensors: Mapping[str, Tensor]
    before: float
    after: float
    tokens: int


def tuned(
    text: Text, made: Mapping[str, Tensor], steps: int, report: Callable[[int, str], None]
) -> Tuned:
    """Train a model's scales and norms.

    Args:
        text: the float model, and samples. Each step learns from one, in turn.
        made: all tensors of the quantized model, by name.
        steps: of Adam.
        report: called with the work done, of `PARTS`, and what is done next.

    Raises:
        ModelError: the engine can't run the float model.
        OSError: the disk is full.
    """
    with _threads(text.threads), torch.enable_grad():
        return _Run(text, made, report).result(steps)


@contextmanager
def _threads(threads: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(threads or _core.available_threads())
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _Trained:
    """A tensor whose scales, or whose values, are trained.

    What is trained is 0 at first: each number's change, relative to it.
    """

    def __init__(self, tensor: Tensor) -> None:
        self._tensor = tensor
        found = terms(tensor)
        self._factors = [torch.from_numpy(term.factors) for term in found]
        starts = [term.scales / np.float32(term.unit) for term in found] or [tensor.dequantize()]
        self._units = [term.unit for term in found]
        self._starts = [torch.from_numpy(start) for start in starts]
        self.changes = [torch.zeros_like(start, requires_grad=True) for start in self._starts]

    def values(self) -> Values:
        """The tensor's values, float32."""
        numbers = self._numbers()
        if not self._factors:
            return numbers[0]
        size = self._tensor.type.block_size
        parts = [
            (number[..., None] * factors)[..., None].expand(
                *factors.shape, size // factors.shape[-1]
            )
            for number, factors in zip(numbers, self._factors, strict=True)
        ]
        shape = (*parts[0].shape[:2], size)
        total = parts[0].reshape(shape)
        for part in parts[1:]:
            total = total + part.reshape(shape)
        return total.reshape(self._tensor.shape)

    def tensor(self, changes: list[Values]) -> Tensor:
        """The tensor as a file has it, with these changes."""
        numbers = [
            (start * (1 + change)).detach().numpy()
            for start, change in zip(self._starts, changes, strict=True)
        ]
        if self._factors:
            scales = [n * np.float32(u) for n, u in zip(numbers, self._units, strict=True)]
            return with_scales(self._tensor, scales)
        kept = numbers[0].astype("<f4")
        name = self._tensor.name
        return Tensor(self._tensor.type, self._tensor.shape, kept.view(np.uint8), name)

    def round(self) -> None:
        """Make the changes those that a file can hold."""
        for place, change in enumerate(self.changes if self._factors else ()):
            start, unit = self._starts[place], self._units[place]
            scales = (start * (1 + change) * unit).detach().numpy()
            kept = torch.from_numpy(rounded_scales(scales).astype(np.float32)) / unit
            with torch.no_grad():
                change.copy_(torch.where(start == 0, 0.0, kept / start - 1))

    def _numbers(self) -> list[Values]:
        return [s * (1 + c) for s, c in zip(self._starts, self.changes, strict=True)]


class _Run:
    """The training of one model."""

    def __init__(
        self, text: Text, made: Mapping[str, Tensor], report: Callable[[int, str], None]
    ) -> None:
        self._text = text
        self._made = made
        self._report = report
        self._layers = Layers(text.hparams, text.samples.used.shape[1])
        self._trained = {n: _Trained(t) for n, t in made.items() if _is_trained(n, t)}
        self._output = OUTPUT if OUTPUT in made else EMBEDDINGS
        self._exact_output = torch.from_numpy(text.tensors[self._output].dequantize())
        ids = text.samples.all
        self._ids = torch.from_numpy(ids.astype(np.int64))
        used = len(text.samples.used)
        self._used = range(used)
        self._held_out = range(used, min(used + _MOST_HELD_OUT, len(ids)))
        self._exact_ends = self._float_ends()

    def result(self, steps: int) -> Tuned:
        """Train, and take what was best on the samples held out."""
        changes = [change for each in self._trained.values() for change in each.changes]
        adam: Any = torch.optim.Adam(changes, lr=_RATE, betas=_BETAS)
        before = least = self._held_out_divergence()
        best: list[Values] | None = None
        looks = {round(steps * (look + 1) / _LOOKS) for look in range(_LOOKS)}
        for step in range(steps):
            done = _FLOAT_PARTS + (PARTS - _FLOAT_PARTS) * step // steps
            self._report(done, f"tune: step {step + 1} of {steps}")
            for group in adam.param_groups:
                group["lr"] = _RATE * (1 + cos(pi * step / steps)) / 2
            adam.zero_grad()
            self._divergence(self._used[step % len(self._used)]).backward()
            adam.step()
            if step + 1 not in looks:
                continue
            exact = _copies(changes)
            found = self._held_out_divergence()
            if found < least:
                least, best = found, _copies(changes)
            with torch.no_grad():
                for change, kept in zip(changes, exact, strict=True):
                    change.copy_(kept)
        tokens = len(self._held_out) * self._ids.shape[1]
        return Tuned({} if best is None else self._tensors(best), before, least, tokens)

    def _tensors(self, changes: list[Values]) -> dict[str, Tensor]:
        left = iter(changes)
        return {
            name: each.tensor([next(left) for _ in each.changes])
            for name, each in self._trained.items()
        }

    def _float_ends(self) -> Values:
        layers = self._text.hparams.layers

        def done(layer: int) -> None:
            self._report(_FLOAT_PARTS * layer // layers, "tune: the model before rounding")

        return torch.from_numpy(float_end(self._text, done))

    def _held_out_divergence(self) -> float:
        """With what is trained as a file can hold it."""
        for each in self._trained.values():
            each.round()
        with torch.no_grad():
            found = [float(self._divergence(sample)) for sample in self._held_out]
        return float(np.mean(found))

    def _divergence(self, sample: int) -> Values:
        """From the float model, on a sample: a mean over its tokens."""
        hparams = self._text.hparams
        embeddings = self._values(EMBEDDINGS)
        output = embeddings if self._output == EMBEDDINGS else self._values(OUTPUT)
        x = self._layers.embedded(embeddings, self._ids[sample][None])
        for number in range(hparams.layers):
            x = self._without_keeping(self._layer, number, x)
        end = self._layers.end(x, self._values(OUTPUT_NORM))[0]
        exact = self._exact_ends[sample]
        pieces = [
            self._without_keeping(
                self._piece, end[at : at + _PIECE], output, exact[at : at + _PIECE]
            )
            for at in range(0, len(end), _PIECE)
        ]
        return sum(pieces) / len(end)

    def _without_keeping(self, function: Any, *arguments: Any) -> Values:
        """A function's value; what is in between is computed anew for the gradient."""
        if not torch.is_grad_enabled():
            return function(*arguments)
        return checkpoint(function, *arguments, use_reentrant=False, preserve_rng_state=False)

    def _layer(self, number: int, x: Values) -> Values:
        prefix = f"blk.{number}."
        weights: dict[str, Values] = {}
        for name in self._made:
            if not name.startswith(prefix):
                continue
            values = self._values(name)
            rows = fused_rows(name, self._made, self._text.hparams) or {name: len(values)}
            parts = values.split(list(rows.values()))
            weights |= {n.removeprefix(prefix): v for n, v in zip(rows, parts, strict=True)}
        return self._layers.layer(number, x, weights)

    def _piece(self, end: Values, output: Values, exact: Values) -> Values:
        logs = self._layers.logits(end, output).log_softmax(-1)
        with torch.no_grad():
            expected = self._layers.logits(exact, self._exact_output).log_softmax(-1)
        return torch.nn.functional.kl_div(logs, expected, reduction="sum", log_target=True)

    def _values(self, name: str) -> Values:
        trained = self._trained.get(name)
        if trained is not None:
            return trained.values()
        return torch.from_numpy(self._made[name].dequantize())


def _copies(tensors: list[Values]) -> list[Values]:
    return [each.detach().clone() for each in tensors]


def _is_trained(name: str, tensor: Tensor) -> bool:
    if tensor.ndim == 1:
        return name.endswith("norm.weight") and tensor.type.name == "f32"
    return bool(scale_offsets(tensor.type))

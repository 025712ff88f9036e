"""The files to measure, made when first needed and kept for the next run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import ggmlkit as gk
from shapes import SHAPES, write_random

REAL = "135M"  # the only shape with a real model


@dataclass(frozen=True)
class Cost:
    """What a model's weights cost.

    Attributes:
        weights: in all.
        decode_bytes: read for each token made.
        prompt_macs: multiply-adds of a prompt's token in matrices; its attention isn't counted.
    """

    weights: int
    decode_bytes: int
    prompt_macs: int


@dataclass(frozen=True)
class Inputs:
    """Files in `folder`; `real_f16` is the model of the shape `REAL`."""

    folder: Path
    real_f16: Path

    def f16(self, size: str) -> Path:
        """The f16 file of a shape."""
        if size == REAL:
            return self.real_f16
        return self._random(size, "f16")

    def model(self, size: str, type: str) -> Path:
        """All matrices in `type`, as `--pure` makes them."""
        if size != REAL:
            return self._random(size, type)
        path = self.folder / f"{size}-{type}.gguf"
        if not path.exists():
            gk.quantize_file(self.real_f16, path, type, pure=True)
        return path

    def _random(self, size: str, type: str) -> Path:
        path = self.folder / f"{size}-{type}.gguf"
        if not path.exists():
            print(f"making {path}", flush=True)
            write_random(SHAPES[size], type, path)
        return path


def cost(path: Path) -> Cost:
    """The cost of a model, from the tensors of its file."""
    with gk.open(path) as file:
        tensors = dict(file.tensors)
    matrices = {name: t for name, t in tensors.items() if len(t.shape) == 2}
    untied = "output.weight" in matrices
    read = [t for name, t in matrices.items() if not (untied and name == "token_embd.weight")]
    layers = [t for name, t in matrices.items() if name.startswith("blk.")]
    return Cost(
        weights=sum(t.size for t in tensors.values()),
        decode_bytes=sum(t.nbytes for t in read),
        prompt_macs=sum(t.size for t in layers),
    )

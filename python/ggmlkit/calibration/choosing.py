"""Chooses the type of each matrix of a file under a budget, and draws the curve of all budgets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

from ggmlkit import types
from ggmlkit.calibration.budget import Option, cheapest, least_bytes
from ggmlkit.calibration.sensitivity import Sensitivity
from ggmlkit.errors import ArgumentError
from ggmlkit.io.gguf.header import DEFAULT_ALIGNMENT
from ggmlkit.quantization.size import Size, parsed_size
from ggmlkit.types import TensorType


@dataclass(frozen=True)
class TypeChoice:
    """A choice of types.

    Attributes:
        types: of each matrix, by its gguf name.
        nbytes: of the whole file, at most.
        bits_per_weight: of the data of all its tensors.
        kl: KL divergence from the model as it is, in nats a token, that is expected of the file.
    """

    types: dict[str, TensorType]
    nbytes: int
    bits_per_weight: float
    kl: float

    def summary(self) -> str:
        """How many matrices get which type, largest types first: ``30 q8_0, 181 q4_0``."""
        counts: dict[TensorType, int] = {}
        for kind in self.types.values():
            counts[kind] = counts.get(kind, 0) + 1
        largest = sorted(counts, key=lambda kind: -kind.bits_per_weight)
        return ", ".join(f"{counts[kind]} {kind}" for kind in largest)


@dataclass(frozen=True)
class Sensitivities:
    """What it costs to store each matrix of a model in each type.

    Attributes:
        matrices: by gguf name.
        fixed: bytes of the data of tensors whose type is not chosen.
        overhead: bytes of the file that are no tensor's data.
        weights: of all tensors of the model.
        alignment: of each tensor's data in the file, in bytes.
    """

    matrices: Mapping[str, Sensitivity]
    fixed: int
    overhead: int
    weights: int
    alignment: int = DEFAULT_ALIGNMENT

    @property
    def least(self) -> int:
        """Bytes of the smallest file."""
        return self.overhead + self.fixed + least_bytes(self._options())

    @property
    def most(self) -> int:
        """Bytes of the file whose matrices have the least error; more gain nothing."""
        return self._choice(cheapest(self._options(), 1 << 62)).nbytes

    def choose(self, size: str | int) -> TypeChoice:
        """The types that cost least, of all choices that make a file no larger.

        Args:
            size: of the whole file, as ``"90MB"`` or a number of bytes; or as ``"4.5bpw"``, bits a
                weight of the data of its tensors.

        Raises:
            ArgumentError: no choice makes so small a file, ``size`` has another form, or scipy is
                missing.
        """
        asked = parsed_size(size)
        nbytes = asked.of_file(self.weights, self.overhead)
        if nbytes < self.least:
            raise ArgumentError(
                f"{size} is too small for this model: the smallest file that can be made has "
                f"{self._as(asked, self.least)}"
            )
        room = nbytes - self.overhead - self.fixed
        return self._choice(cheapest(self._options(), room))

    def of_types(self, chosen: Mapping[str, TensorType]) -> TypeChoice:
        """The choice that gives the matrices these types, which are of those that were measured."""
        options = {
            name: next(each for each in own if each.type == chosen[name])
            for name, own in self._options().items()
        }
        return self._choice(options)

    def curve(self, count: int = 10) -> list[TypeChoice]:
        """Choices from the smallest file to the best, at equal steps of size.

        Raises:
            ArgumentError: scipy is missing.
        """
        least, most = self.least, self.most
        steps = max(1, count - 1)
        sizes = [least + (most - least) * step // steps for step in range(steps + 1)]
        found = [self.choose(nbytes) for nbytes in sizes]
        return list({each.nbytes: each for each in found}.values())

    def _as(self, asked: Size, nbytes: int) -> str:
        if asked.nbytes is None:
            bits = 8 * (nbytes - self.overhead) / max(1, self.weights)
            return f"{ceil(1000 * bits) / 1000:.3f} bits a weight"
        return f"{nbytes:,} bytes"

    def _options(self) -> dict[str, list[Option]]:
        return {
            name: [self._option(own, kind) for kind in own.types]
            for name, own in self.matrices.items()
        }

    def _option(self, matrix: Sensitivity, name: str) -> Option:
        kind = types.get(name)
        rows, columns = matrix.shape
        nbytes = padded(rows * kind.row_bytes(columns), self.alignment)
        return Option(kind, nbytes, matrix.kl(name))

    def _choice(self, options: Mapping[str, Option]) -> TypeChoice:
        data = self.fixed + sum(option.nbytes for option in options.values())
        return TypeChoice(
            {name: option.type for name, option in options.items()},
            self.overhead + data,
            8 * data / max(1, self.weights),
            sum(option.cost for option in options.values()),
        )


def padded(nbytes: int, alignment: int) -> int:
    """Bytes that so many take in a file."""
    return nbytes + -nbytes % alignment

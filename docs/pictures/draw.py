"""Draws the layouts of `how-the-kernels-work.md`: `python docs/pictures/draw.py` rewrites the SVGs.

A test draws them again and compares, so that a picture can't outlive what it shows.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

_CELL = 22
_COLOURS = ("#d7e8f7", "#fbe3c8", "#d9efd6", "#f3d6e4", "#e6dcf5", "#f7f2c4", "#d3eeee", "#eadfd2")
_PLAIN = "#f4f4f4"
_INK = "#222222"


@dataclass
class Picture:
    """An SVG as it grows."""

    width: int
    height: int
    parts: list[str] = field(default_factory=list)

    def cell(self, x: int, y: int, label: str, fill: str, wide: int = 1, size: int = 10) -> None:
        """A box of `wide` cells with a text in it."""
        width = wide * _CELL
        self.parts.append(
            f'<rect x="{x}" y="{y}" width="{width}" height="{_CELL}" fill="{fill}" '
            'stroke="#888888" stroke-width="0.6"/>'
        )
        if label:
            self.text(x + width / 2, y + _CELL / 2 + size * 0.35, label, size, "middle")

    def text(self, x: float, y: float, label: str, size: int = 12, anchor: str = "start") -> None:
        """A line of text; `x`, `y` its start (or middle) on the base line."""
        self.parts.append(
            f'<text x="{x:g}" y="{y:g}" font-size="{size}" text-anchor="{anchor}" '
            f'fill="{_INK}">{label}</text>'
        )

    def svg(self) -> str:
        """The whole document, on a white ground so that it reads on dark pages too."""
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{self.width}" height="{self.height}" '
            f'viewBox="0 0 {self.width} {self.height}" font-family="sans-serif">'
        )
        ground = f'<rect width="{self.width}" height="{self.height}" fill="#ffffff"/>'
        return "\n".join([head, ground, *self.parts, "</svg>", ""])


def block() -> Picture:
    """A q4_0 and a q5_0 block as files hold them."""
    picture = Picture(520, 150)
    picture.text(10, 20, "q4_0, 18 bytes: a float16 scale, then byte j with elements j and j + 16")
    picture.cell(10, 30, "d", _COLOURS[1], 2)
    for j in range(16):
        picture.cell(10 + (2 + j) * _CELL, 30, f"{j}|{j + 16}", _COLOURS[j // 4], size=8)
    picture.text(10, 90, "q5_0, 22 bytes: bit j of the 32 high bits is bit 4 of element j")
    picture.cell(10, 100, "d", _COLOURS[1], 2)
    picture.cell(10 + 2 * _CELL, 100, "high bits", _COLOURS[4], 4)
    for j in range(16):
        picture.cell(10 + (6 + j) * _CELL, 100, f"{j}|{j + 16}", _COLOURS[j // 4], size=8)
    return picture


def tile() -> Picture:
    """One vector of a tile of eight rows, and the tile's areas."""
    picture = Picture(770, 250)
    picture.text(10, 20, "Vector v of a block (32 bytes, AVX2): four columns of each of eight rows")
    for row in range(8):
        for column in range(4):
            x = 10 + (row * 4 + column) * _CELL
            picture.cell(x, 30, f"r{row}", _COLOURS[row], size=9)
            picture.cell(x, 30 + _CELL, f"4v+{column}", _PLAIN, size=7)
    picture.text(10, 95, "low nibble: column 4v + i; high nibble: column 4v + 16 + i")
    picture.text(10, 135, "The tile: areas dense over all blocks, padded to 64 bytes")
    x = 10
    for label, wide, fill in (
        ("quants: 4 vectors a block", 18, _COLOURS[0]),
        ("high bits (q5)", 6, _COLOURS[4]),
        ("scales: 8 float16 a block", 7, _COLOURS[1]),
        ("minima (q4_1)", 3, _COLOURS[3]),
    ):
        picture.cell(x, 145, label, fill, wide, size=9)
        x += wide * _CELL
    picture.text(10, 205, "Eight rows of 16 bytes become four vectors by transposing dwords:")
    picture.text(10, 225, "byte j of a file's block already holds elements j and j + 16.")
    return picture


def panel() -> Picture:
    """Activations of eight tokens."""
    picture = Picture(770, 190)
    picture.text(10, 20, "A block of a panel of eight tokens: quad k of every token, side by side")
    for token in range(8):
        for element in range(4):
            x = 10 + (token * 4 + element) * _CELL
            picture.cell(x, 30, f"t{token}", _COLOURS[token], size=9)
            picture.cell(x, 30 + _CELL, f"4k+{element}", _PLAIN, size=7)
    picture.text(10, 95, "A kernel broadcasts four int8 of one token (4 bytes) to all lanes,")
    picture.text(10, 115, "at a constant distance from one pointer. Beside them, per block:")
    for area, (label, fill) in enumerate(
        (("scale", _COLOURS[1]), ("sum", _COLOURS[2]), ("start", _COLOURS[5]))
    ):
        for token in range(8):
            x = 10 + (area * 11 + token) * _CELL
            picture.cell(x, 130, f"t{token}", fill, size=9)
        picture.text(10 + area * 11 * _CELL, 170, label)
    return picture


def registers() -> Picture:
    """What sits in the sixteen registers of the AVX2 kernel."""
    picture = Picture(560, 230)
    picture.text(10, 20, "Sixteen AVX2 registers in the inner loop: two tiles by four tokens")
    for token in range(4):
        picture.text(150 + token * 4 * _CELL + 2 * _CELL, 45, f"a · token {token}", 10, "middle")
        picture.cell(150 + token * 4 * _CELL, 50, "broadcast", _COLOURS[5], 4, size=9)
    for r in range(2):
        y = 90 + r * 2 * _CELL
        picture.cell(10, y, f"w · tile {r}", _COLOURS[0], 5, size=9)
        for token in range(4):
            picture.cell(150 + token * 4 * _CELL, y, f"Σ {r},{token}", _COLOURS[2], 4, size=9)
    picture.text(10, 190, "Each Σ: 16 lanes of 16 bits; Σ += maddubs(w, a), two instructions for")
    picture.text(
        10, 210, "32 multiply-adds. Once a block, after eight quads: madd, convert, scale."
    )
    return picture


def keys() -> Picture:
    """The key cache."""
    picture = Picture(770, 130)
    picture.text(10, 20, "Keys of one head: groups of 16 positions, element by element")
    for element in range(2):
        for position in range(16):
            x = 10 + (element * 16 + position) * _CELL
            picture.cell(x, 30, f"p{position}", _COLOURS[position % 8], size=8)
        picture.text(10 + element * 16 * _CELL, 75, f"element {element}", 10)
    picture.text(10, 105, "Sixteen scores grow side by side: q of an element, broadcast, times")
    picture.text(10, 122, "the vector of its sixteen keys. No sum across lanes is ever taken.")
    return picture


PICTURES: dict[str, Callable[[], Picture]] = {
    "block": block,
    "tile": tile,
    "panel": panel,
    "registers": registers,
    "keys": keys,
}


def main() -> int:
    """Write every picture beside this script."""
    for name, draw in PICTURES.items():
        Path(__file__).with_name(f"{name}.svg").write_text(draw().svg(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

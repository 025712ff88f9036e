"""Draws the layouts of how-the-kernels-work.md and types.md: `python docs/pictures/draw.py`.

A test draws them again and compares, so that a picture can't outlive what it shows.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
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
        self.box(x, y, wide * _CELL, label, fill, size)

    def box(self, x: float, y: float, width: float, label: str, fill: str, size: int = 10) -> None:
        """A box with a text in it."""
        self.parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{_CELL}" fill="{fill}" '
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

    def line(self, x: float, y: float, to_x: float, to_y: float) -> None:
        """From one point to another."""
        self.parts.append(
            f'<path d="M{x:g} {y:g}L{to_x:g} {to_y:g}" stroke="#888888" stroke-width="0.8"/>'
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
    """One vector of a tile of eight rows, and what a tile's blocks hold."""
    picture = Picture(770, 250)
    picture.text(10, 20, "Vector v of a block (32 bytes, AVX2): four columns of each of eight rows")
    for row in range(8):
        for column in range(4):
            x = 10 + (row * 4 + column) * _CELL
            picture.cell(x, 30, f"r{row}", _COLOURS[row], size=9)
            picture.cell(x, 30 + _CELL, f"4v+{column}", _PLAIN, size=7)
    picture.text(10, 95, "low nibble: column 4v + i; high nibble: column 4v + 16 + i")
    picture.text(10, 135, "The tile: its blocks one after the other, the whole padded to 64 bytes")
    x = 10
    for block in range(2):
        for label, wide, fill in (
            (f"quants {block}: 4 vectors", 7, _COLOURS[0]),
            ("highs (q5)", 3, _COLOURS[4]),
            ("scales", 2, _COLOURS[1]),
            ("mins (_1)", 2, _COLOURS[3]),
        ):
            picture.cell(x, 145, label, fill, wide, size=9)
            x += wide * _CELL
    picture.cell(x, 145, "quants 2 …", _COLOURS[0], 4, size=9)
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


def pages() -> Picture:
    """Pages of the key-value cache that two sequences share, and a step that appends to both."""
    picture = Picture(770, 250)
    names = ("positions 0 to 63", "64 to 127", "128 …")
    wide = 6 * _CELL
    for y, name in ((30, "sequence a"), (190, "b = a.fork()")):
        picture.text(10, y + 15, name)
        for i, label in enumerate(names):
            picture.box(120 + i * wide, y, wide, label, _PLAIN)
    picture.text(10, 125, "pages")
    own = ("page 9", "page 2, a copy")
    labels = ("page 7, counted twice", "page 4, counted twice", *own)
    for i, label in enumerate(labels):
        picture.box(120 + i * (wide + 10), 110, wide, label, _COLOURS[0 if i < 2 else i - 1])
    picture.text(525, 45, "a step appends 8 tokens here,")
    picture.text(525, 205, "and 1 token there: b copies its last")
    picture.text(525, 221, "page first, as a shares it")
    for i in range(3):
        x = 120 + (i + 0.5) * wide
        to = 120 + i * (wide + 10) + wide / 2
        picture.line(x, 52, to, 110)
        picture.line(x, 190, to if i < 2 else to + wide + 10, 132)
    return picture


# Fields of a block in order, with their bytes; "d" is a scale and "m" a minimum, both float16.
Fields = tuple[tuple[str, int], ...]
FAMILIES: dict[str, dict[str, Fields]] = {
    "types-simple": {
        "q4_0": (("d", 2), ("low nibble: element j, high: j + 16", 16)),
        "q4_1": (("d", 2), ("m", 2), ("nibbles", 16)),
        "q5_0": (("d", 2), ("bit 4", 4), ("nibbles", 16)),
        "q5_1": (("d", 2), ("m", 2), ("bit 4", 4), ("nibbles", 16)),
        "q8_0": (("d", 2), ("32 signed bytes", 32)),
    },
    "types-k": {
        "q2_K": (("16 × (scale, minimum)", 16), ("2 bits each", 64), ("d", 2), ("m", 2)),
        "q3_K": (("bit 2", 32), ("bits 0, 1", 64), ("16 scales", 12), ("d", 2)),
        "q4_K": (("d", 2), ("m", 2), ("8 × (s, m)", 12), ("nibbles", 128)),
        "q5_K": (("d", 2), ("m", 2), ("8 × (s, m)", 12), ("bit 4", 32), ("nibbles", 128)),
        "q6_K": (("bits 0 to 3", 128), ("bits 4, 5", 64), ("16 scales", 16), ("d", 2)),
    },
    "types-i": {
        "iq1_s": (("d", 2), ("points, 8 bits", 32), ("3 bits; scale, ±⅛", 16)),
        "iq1_m": (("points, 8 bits", 32), ("3 bits, ±⅛", 16), ("scales, d", 8)),
        "iq2_xxs": (("d", 2), ("8 × (4 points, 4 × 7 signs and a scale)", 64)),
        "iq2_xs": (("d", 2), ("32 × (point, 7 signs)", 64), ("scales", 8)),
        "iq2_s": (("d", 2), ("points, 8 bits", 32), ("signs", 32), ("2 bits", 8), ("scales", 8)),
        "iq3_xxs": (("d", 2), ("64 points", 64), ("signs, scales", 32)),
        "iq3_s": (("d", 2), ("points, 8 bits", 64), ("bit 8", 8), ("signs", 32), ("s", 4)),
    },
    "types-codebook": {
        "iq4_nl": (("d", 2), ("nibbles: one of 16 values", 16)),
        "iq4_xs": (("d", 2), ("", 2), ("scales", 4), ("nibbles", 128)),
        "mxfp4": (("e", 1), ("nibbles: floats of 4 bits", 16)),
        "nvfp4": (("4 × d", 4), ("nibbles: floats of 4 bits", 32)),
    },
    "types-ternary": {
        "tq1_0": (("five elements a byte", 48), ("four", 4), ("d", 2)),
        "tq2_0": (("2 bits each", 64), ("d", 2)),
        "q1_0": (("d", 2), ("1 bit each", 16)),
        "q2_0": (("d", 2), ("2 bits each", 16)),
    },
}
# Colour by the first of these words in a field's label.
_FIELD_COLOURS = {"point": 0, "nibble": 0, "each": 0, "0": 0, "byte": 0, "scale": 2, "sign": 5,
                  "bit": 4, "four": 0, "s": 2, "d": 1, "e": 1, "m": 3}  # fmt: skip
_BLOCK_WIDTH = 640


def blocks(family: dict[str, Fields]) -> Picture:
    """The blocks of some types, each as wide as the others, its fields as wide as their bytes."""
    picture = Picture(_BLOCK_WIDTH + 130, 44 * len(family) + 16)
    for row, (name, fields) in enumerate(family.items()):
        y, x = 12 + 44 * row, 120.0
        total = sum(size for _, size in fields)
        picture.text(10, y + 15, name, 12)
        picture.text(66, y + 15, f"{total} bytes", 9)
        for label, size in fields:
            wide = size / total * _BLOCK_WIDTH
            colour = _COLOURS[next((c for w, c in _FIELD_COLOURS.items() if w in label), 2)]
            picture.box(
                x, y, wide, label if wide > 6 * len(label) or len(label) < 3 else "", colour
            )
            picture.text(x + wide / 2, y + 33, str(size), 7, "middle")
            x += wide
    return picture


PICTURES: dict[str, Callable[[], Picture]] = {
    "block": block,
    "tile": tile,
    "panel": panel,
    "registers": registers,
    "keys": keys,
    "pages": pages,
    **{name: partial(blocks, family) for name, family in FAMILIES.items()},
}


def main() -> int:
    """Write every picture beside this script."""
    for name, draw in PICTURES.items():
        Path(__file__).with_name(f"{name}.svg").write_text(draw().svg(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

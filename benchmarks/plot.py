"""Charts of how cost grows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fit import Growth

_FILES = {"model-size.png": ("bytes", "multiply-adds"), "context.png": ("tokens",)}
_AXES = {
    "bytes": "weights read for a token, bytes",
    "multiply-adds": "multiply-adds for a prompt's token",
    "tokens": "tokens in the context",
}


def draw(growths: Sequence[Growth], folder: Path) -> list[Path]:
    """Measured points and fitted lines, one file for each kind of growth."""
    drawn = []
    for name, kinds in _FILES.items():
        mine = [growth for growth in growths if growth.x in kinds]
        if mine:
            _draw(mine, folder / name)
            drawn.append(folder / name)
    return drawn


def _draw(growths: Sequence[Growth], path: Path) -> None:
    from matplotlib.figure import Figure

    kinds = list(dict.fromkeys(growth.x for growth in growths))
    figure = Figure(figsize=(4.5 * len(kinds), 3.6), layout="constrained")
    for kind, axes in zip(kinds, figure.subplots(1, len(kinds), squeeze=False)[0], strict=True):
        sized = kind != "tokens"  # sizes span two decades, contexts start at 0
        for growth in (g for g in growths if g.x == kind):
            x, seconds = np.array(growth.points).T
            (dots,) = axes.plot(x, 1e3 * seconds, "o", markersize=4, label=growth.system)
            along = np.geomspace(x[0], x[-1]) if sized else np.linspace(x[0], x[-1])
            times = [1e3 * growth.line.at(size) for size in along]
            axes.plot(along, times, color=dots.get_color(), linewidth=1)
        if sized:
            axes.set_xscale("log")
            axes.set_yscale("log")
        else:
            axes.set_ylim(bottom=0)
        axes.set_xlabel(_AXES[kind])
        axes.set_ylabel("ms a token")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    figure.savefig(path, dpi=100)

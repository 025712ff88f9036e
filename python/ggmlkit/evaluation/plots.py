"""Pictures of an evaluation, drawn by matplotlib (extra ``plots``)."""

from __future__ import annotations

import os
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ggmlkit.errors import ArgumentError
from ggmlkit.io.writing.atomic import replacing

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ggmlkit.evaluation.results import Perplexity

_POINTS = 32  # of a curve: single positions vary too much
_FORMATS = ("png", "svg", "pdf")


def check_plot(path: str | os.PathLike[str]) -> None:
    """Raise ArgumentError if a picture can't be drawn, before anything is computed for it."""
    if picture_format(path) not in _FORMATS:
        raise ArgumentError(f"{os.fspath(path)}: a picture's name must end in .png, .svg or .pdf")
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ArgumentError(
            f"pictures need matplotlib: pip install ggmlkit[plots] ({error})"
        ) from None


def picture_format(path: str | os.PathLike[str]) -> str:
    """What a picture's suffix says that it is."""
    return Path(path).suffix.lower().removeprefix(".")


def plot(found: Perplexity, path: str | os.PathLike[str], title: str = "") -> None:
    """Draw the figures at each position, and how the divergence from the base is distributed.

    Raises:
        ArgumentError: matplotlib is missing, or the suffix is not .png, .svg or .pdf.
        OSError: the file can't be written.
    """
    check_plot(path)
    from matplotlib.figure import Figure  # without pyplot, which looks for a display

    count = 1 if found.base is None else 3
    figure = Figure(figsize=(6.4 * count, 4.4), layout="constrained")
    axes = np.atleast_1d(figure.subplots(1, count))
    figure.suptitle(title)
    first = found.first_position
    _draw_curve(axes[0], *perplexity_curve(found), first, "perplexity")
    if found.base is not None:
        _draw_curve(axes[1], *binned(found.base.kl_by_position), first, "mean KL (nats)")
        _draw_quantiles(axes[2], found.base.kl_quantiles, found.base.kl.value)
    _write(figure, path)


def plot_sizes(
    curve: list[tuple[float, float]],
    others: dict[str, tuple[float, float]],
    path: str | os.PathLike[str],
) -> None:
    """Draw how much sizes of a model cost.

    Args:
        curve: sizes in MB, and KL divergences that are expected of them.
        others: single ones, by name.
        path: the picture.

    Raises:
        ArgumentError: matplotlib is missing, or the suffix is not .png, .svg or .pdf.
        OSError: the file can't be written.
    """
    check_plot(path)
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.4), layout="constrained")
    axes = figure.subplots()
    axes.plot([size for size, _ in curve], [kl for _, kl in curve], marker=".", label="--size")
    for name, (size, kl) in others.items():
        axes.plot([size], [kl], "x", color="gray")
        axes.annotate(name, (size, kl), color="gray", fontsize=8)
    axes.set(xlabel="size (MB)", ylabel="expected KL (nats)", yscale="log")
    axes.grid(alpha=0.3)
    axes.legend()
    _write(figure, path)


def _write(figure: Any, path: str | os.PathLike[str]) -> None:
    data = BytesIO()
    figure.savefig(data, format=picture_format(path), dpi=120)
    with replacing(path) as file:
        file.write(data.getvalue())


def binned(values: NDArray[np.float64], most: int = _POINTS) -> tuple[list[float], list[float]]:
    """Means of neighbours: at most so many places (middles of the bins) and values."""
    parts = np.array_split(np.arange(len(values)), min(most, len(values)))
    return [float(part.mean()) for part in parts], [float(values[part].mean()) for part in parts]


def perplexity_curve(found: Perplexity) -> tuple[list[float], list[float]]:
    """Places, and the perplexity of neighbours: of the mean of their losses."""
    places, losses = binned(np.log(found.by_position))
    return places, np.exp(losses).tolist()


def _draw_curve(axes: Any, places: list[float], means: list[float], first: int, name: str) -> None:
    axes.plot([first + place for place in places], means)
    axes.set(xlabel="position in the context", ylabel=name)
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)


def _draw_quantiles(axes: Any, quantiles: dict[float, float], mean: float) -> None:
    shown = {share: max(value, 1e-9) for share, value in quantiles.items() if share > 0}
    axes.plot([100 * share for share in shown], list(shown.values()), marker="o")
    axes.axhline(mean, linestyle="--", color="gray")
    axes.annotate("mean", (0, mean), color="gray", va="bottom")
    axes.set(xlabel="share of positions below (%)", ylabel="KL (nats)", yscale="log")
    axes.grid(alpha=0.3)

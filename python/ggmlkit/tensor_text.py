"""Shows a tensor on one line, or as a table in notebooks."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ggmlkit.types import TensorType

SHOWN = 3  # values


def one_line(
    name: str, type: TensorType, shape: tuple[int, ...], file: str | None, values: Sequence[float]
) -> str:
    """Such as ``Tensor('w', q4_0, (2, 32), file='a.gguf', values=[0.5, -1, 0.25, …])``."""
    parts = [repr(name)] if name else []
    parts += [str(type), str(shape)]
    if file is not None:
        parts.append(f"file={file!r}")
    if values:
        parts.append(f"values={_listed(shape, values)}")
    return f"Tensor({', '.join(parts)})"


def table(
    name: str,
    type: TensorType,
    shape: tuple[int, ...],
    nbytes: int,
    file: str | None,
    values: Sequence[float],
) -> str:
    """An HTML table with the same facts and the size in bytes."""
    from html import escape  # deferred: only notebooks need it

    bits = f" ({type.bits_per_weight:g} bits a weight)" if nbytes else ""
    rows = {
        "name": name,
        "type": f"{type}{bits}",
        "shape": " × ".join(map(str, shape)) or "()",
        "bytes": f"{nbytes:,}",
        "file": file or "",
        "values": _listed(shape, values) if values else "",
    }
    cells = "".join(
        f"<tr><th>{head}</th><td>{escape(cell)}</td></tr>" for head, cell in rows.items() if cell
    )
    return f"<table>{cells}</table>"


def _listed(shape: tuple[int, ...], values: Sequence[float]) -> str:
    if not shape:
        return f"{values[0]:.4g}"
    more = ", …" if len(values) < prod(shape) else ""
    return "[" + ", ".join(f"{value:.4g}" for value in values) + more + "]"

"""A report as one HTML page, which loads nothing from anywhere."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

from ggmlkit._version import __version__
from ggmlkit.arguments import counted
from ggmlkit.evaluation import charts
from ggmlkit.evaluation.plots import binned, perplexity_curve
from ggmlkit.evaluation.weight_errors import by
from ggmlkit.io.writing.atomic import replacing

if TYPE_CHECKING:
    from ggmlkit.evaluation.estimate import Estimate
    from ggmlkit.evaluation.reporting import ModelReport, Report

_STYLE = """
:root { color-scheme: light dark; --line: #8886; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; margin: 1rem 0; display: block; overflow-x: auto }
th, td { padding: .25rem .6rem; border-bottom: 1px solid var(--line); text-align: right }
td { white-space: nowrap }
th:first-child, td:first-child { text-align: left }
svg { width: 100%; max-width: 46rem; height: auto }
svg text { font: 11px system-ui, sans-serif; fill: currentColor }
svg line { stroke: var(--line) }
""".strip()
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def write_page(found: Report, path: str | os.PathLike[str], text_name: str = "a text") -> None:
    """Write the page; an existing file is replaced.

    Raises:
        OSError: it can't be written.
    """
    with replacing(path) as file:
        file.write(page(found, text_name).encode())


def page(found: Report, text_name: str = "a text") -> str:
    """The page's HTML."""
    base = found.base
    title = f"Quantizations of {base.name}"
    parts = [
        f"<h1>{escape(title)}</h1>",
        f"<p>Measured on {counted(base.found.chunks, 'chunk')} of {base.found.context} tokens of "
        f"{escape(text_name)}: {base.found.tokens} tokens were scored. ± is the standard "
        "error.</p>",
        _overview(found),
        *_sizes(found),
        *_positions(found),
        *_errors(found),
        *_costs(found),
        f"<p>Made by ggmlkit {escape(__version__)}.</p>",
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body></html>\n"
    )


def _overview(found: Report) -> str:
    head = (
        "model", "MB", "bits per weight", "perplexity", "ratio", "KL divergence", "99 %",
        "same top token", "top 5 in common", "RMS change of p",
    )  # fmt: skip
    return _table(head, (_row(model) for model in (found.base, *found.models)))


def _row(model: ModelReport) -> list[str]:
    cells = [
        model.name, f"{model.nbytes / 1e6:.1f}", f"{model.bits_per_weight:.2f}",
        _figure(model.found.perplexity, 3),
    ]  # fmt: skip
    base = model.found.base
    if base is None:
        return [*cells, *[""] * 6]
    return [
        *cells,
        _figure(base.perplexity_ratio, 4),
        _figure(base.kl, 5),
        f"{base.kl_quantiles[0.99]:.4f}",
        _share(base.top_1),
        _share(base.top_5),
        _share(base.p_difference_rms),
    ]


def _sizes(found: Report) -> list[str]:
    known = {
        name: (model.bits_per_weight, model.found.base.kl.value)
        for name, model in _named(found.models)
        if model.found.base is not None
    }
    return [
        "<h2>Size and quality</h2>",
        "<p>The KL divergence says how far the predictions are from the base's: 0 is the same. "
        "Lower and further left is better.</p>",
        charts.points(known, "bits per weight", "KL divergence (nats)"),
    ]


def _positions(found: Report) -> list[str]:
    first = found.base.found.first_position
    perplexities = {
        name: _curve(perplexity_curve(model.found), first)
        for name, model in _named([*found.models, found.base])  # of the same colors as below
    }
    divergences = {
        name: _curve(binned(model.found.base.kl_by_position), first)
        for name, model in _named(found.models)
        if model.found.base is not None
    }
    place = "position in the context"
    return [
        "<h2>At each position</h2>",
        charts.lines(perplexities, place, "perplexity"),
        charts.lines(divergences, place, "mean KL divergence (nats)"),
    ]


def _curve(curve: tuple[list[float], list[float]], first: int) -> list[tuple[float, float]]:
    return [(first + place, mean) for place, mean in zip(*curve, strict=True)]


def _errors(found: Report) -> list[str]:
    of_parts = {name: by(lambda e: e.part, model.errors) for name, model in _named(found.models)}
    rows = []
    for name, model in _named(found.models):
        nbytes: dict[str, int] = {}
        for error in model.errors:
            nbytes[error.type] = nbytes.get(error.type, 0) + error.nbytes
        for type_name, relative in by(lambda e: e.type, model.errors).items():
            rows.append(
                [name, type_name, f"{nbytes[type_name] / 1e6:.1f}", f"{100 * relative:.3f} %"]
            )
    return [
        "<h2>Errors of weights</h2>",
        "<p>Root mean square of the errors, over that of the weights.</p>",
        charts.bars(of_parts, "relative error"),
        _table(("model", "type", "MB", "relative error"), rows),
    ]


def _costs(found: Report) -> list[str]:
    costs = {
        name: {part: cost.value for part, cost in model.costs.items()}
        for name, model in _named(found.models)
    }
    if not found.part_chunks:
        return []
    parts = list(dict.fromkeys(part for values in costs.values() for part in values))
    named = _named(found.models)
    rows = [[part, *(_cost(model.costs.get(part)) for _, model in named)] for part in parts]
    return [
        "<h2>What each part costs</h2>",
        "<p>KL divergence from the base if the matrices of this part alone are quantized, on "
        f"{counted(found.part_chunks, 'chunk')}.</p>",
        charts.bars(costs, "KL divergence (nats)"),
        _table(("part", *(name for name, _ in named)), rows),
    ]


def _named(models: Sequence[ModelReport]) -> list[tuple[str, ModelReport]]:
    """Models with names that are all different: of files of one name, the paths."""
    names = [model.name for model in models]
    return [(m.path if names.count(m.name) > 1 else m.name, m) for m in models]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    cells = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "\n".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<table><thead><tr>{cells}</tr></thead>\n<tbody>{body}</tbody></table>"


def _figure(figure: Estimate, digits: int) -> str:
    return f"{figure.value:.{digits}f} ± {figure.error:.{digits}f}"


def _share(figure: Estimate) -> str:
    return f"{100 * figure.value:.2f} ± {100 * figure.error:.2f} %"


def _cost(cost: Estimate | None) -> str:
    return "" if cost is None else f"{cost.value:.6f} ± {cost.error:.6f}"

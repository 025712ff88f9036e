"""Charts as SVG text, for pages that load nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from math import ceil, floor, isfinite, log10

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#999933", "#882255")
_WIDTH, _HEIGHT = 640, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 16, 14, 46
_LEGEND_ROW = 18

Points = Sequence[tuple[float, float]]


def color(place: int) -> str:
    """The color of the series at a place."""
    return COLORS[place % len(COLORS)]


class _Axis:
    """Places of values along one side of the chart."""

    def __init__(
        self, values: Sequence[float], begin: float, end: float, *, log: bool, zero: bool = False
    ) -> None:
        self._log = log
        known = [value for value in values if isfinite(value) and (not log or value > 0)]
        low, high = (min(known), max(known)) if known else (1.0 if log else 0.0, 1.0)
        if log:
            self._low, self._high = float(floor(log10(low))), float(ceil(log10(high)))
            self._high = max(self._high, self._low + 1)
        else:
            low = min(low, 0.0) if zero else low
            self._low, self._high = low, high if high > low else low + 1
        self._begin, self._end = begin, end

    def place(self, value: float) -> float:
        """Where a value is; values outside are at the border."""
        at = (log10(value) if value > 0 else self._low) if self._log else value
        share = (at - self._low) / (self._high - self._low)
        return self._begin + min(1.0, max(0.0, share)) * (self._end - self._begin)

    def ticks(self) -> list[tuple[float, str]]:
        """Values to mark, and what stands beside them."""
        if self._log:
            powers = range(int(self._low), int(self._high) + 1, max(1, self._decades() // 8))
            return [(10.0**power, f"{10.0**power:g}") for power in powers]
        step = _step((self._high - self._low) / 5)
        first = ceil(self._low / step - 1e-9)
        last = floor(self._high / step + 1e-9)
        return [(number * step, f"{number * step:.6g}") for number in range(first, last + 1)]

    def _decades(self) -> int:
        return int(self._high - self._low)


def lines(
    series: Mapping[str, Points], x_name: str, y_name: str, *, log: bool = False, zero: bool = True
) -> str:
    """A curve for each series."""
    x = _Axis([point[0] for points in series.values() for point in points], *_ACROSS, log=False)
    y = _Axis(
        [point[1] for points in series.values() for point in points], *_UP, log=log, zero=zero
    )
    drawn = _frame(x, y, x_name, y_name)
    for place, (name, points) in enumerate(series.items()):
        known = [(a, b) for a, b in points if isfinite(b)]
        path = " ".join(f"{x.place(a):.1f},{y.place(b):.1f}" for a, b in known)
        drawn.append(
            f'<polyline points="{path}" fill="none" stroke="{color(place)}" stroke-width="1.8">'
            f"<title>{escape(name)}</title></polyline>"
        )
        drawn += [_dot(x.place(a), y.place(b), place, f"{name}: {b:.4g}") for a, b in known]
    return _svg(drawn, list(series))


def points(series: Mapping[str, tuple[float, float]], x_name: str, y_name: str) -> str:
    """A point with its name for each series; the y axis is logarithmic."""
    x = _Axis([point[0] for point in series.values()], *_ACROSS, log=False, zero=True)
    y = _Axis([point[1] for point in series.values()], *_UP, log=True)
    drawn = _frame(x, y, x_name, y_name)
    for place, (name, (a, b)) in enumerate(series.items()):
        drawn.append(_dot(x.place(a), y.place(b), place, f"{name}: {a:.4g}, {b:.4g}", 5))
    return _svg(drawn, list(series))


def bars(series: Mapping[str, Mapping[str, float]], y_name: str) -> str:
    """For each name of the series' values a group of bars, one of each series."""
    names = list(dict.fromkeys(name for values in series.values() for name in values))
    y = _Axis(
        [v for values in series.values() for v in values.values()], *_UP, log=False, zero=True
    )
    drawn = _rows(y, y_name)
    room = (_ACROSS[1] - _ACROSS[0]) / max(1, len(names))
    width = 0.8 * room / max(1, len(series))
    for number, name in enumerate(names):
        left = _ACROSS[0] + (number + 0.1) * room
        for place, (title, values) in enumerate(series.items()):
            if name in values and isfinite(values[name]):
                top = y.place(values[name])
                drawn.append(
                    f'<rect x="{left + place * width:.1f}" y="{top:.1f}" width="{width:.1f}" '
                    f'height="{_UP[0] - top:.1f}" fill="{color(place)}">'
                    f"<title>{escape(f'{title}, {name}: {values[name]:.4g}')}</title></rect>"
                )
        if len(names) <= 12 or number % ceil(len(names) / 12) == 0:
            drawn.append(_text(left + 0.4 * room, _UP[0] + 16, name.removeprefix("layer ")))
    return _svg(drawn, list(series))


_ACROSS = (float(_LEFT), float(_WIDTH - _RIGHT))
_UP = (float(_HEIGHT - _BOTTOM), float(_TOP))


def _step(least: float) -> float:
    """A round number of at least this."""
    power = 10.0 ** floor(log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * 0.999)


def _frame(x: _Axis, y: _Axis, x_name: str, y_name: str) -> list[str]:
    drawn = _rows(y, y_name)
    for value, shown in x.ticks():
        at = x.place(value)
        drawn.append(f'<line x1="{at:.1f}" y1="{_UP[0]}" x2="{at:.1f}" y2="{_UP[1]}"/>')
        drawn.append(_text(at, _UP[0] + 16, shown))
    drawn.append(_text(sum(_ACROSS) / 2, _HEIGHT - 10, x_name))
    return drawn


def _rows(y: _Axis, y_name: str) -> list[str]:
    drawn = []
    for value, shown in y.ticks():
        at = y.place(value)
        drawn.append(f'<line x1="{_ACROSS[0]}" y1="{at:.1f}" x2="{_ACROSS[1]}" y2="{at:.1f}"/>')
        drawn.append(_text(_LEFT - 6, at + 4, shown, "end"))
    middle = sum(_UP) / 2
    drawn.append(
        f'<text x="14" y="{middle}" text-anchor="middle" transform="rotate(-90 14 {middle})">'
        f"{escape(y_name)}</text>"
    )
    return drawn


def _dot(x: float, y: float, place: int, title: str, radius: float = 2.2) -> str:
    return (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{color(place)}">'
        f"<title>{escape(title)}</title></circle>"
    )


def _text(x: float, y: float, text: str, anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(drawn: list[str], names: list[str]) -> str:
    """The chart, and below it the name of each series."""
    height = _HEIGHT + _LEGEND_ROW * len(names)
    for place, name in enumerate(names):
        y = _HEIGHT + _LEGEND_ROW * place
        drawn.append(f'<rect x="{_LEFT}" y="{y}" width="12" height="12" fill="{color(place)}"/>')
        drawn.append(_text(_LEFT + 20, y + 11, name, "start"))
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height}" xmlns="http://www.w3.org/2000/svg" role="img">'
        f"{''.join(drawn)}</svg>"
    )

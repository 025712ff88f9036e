"""A command line read off a function's signature.

A parameter is annotated ``Annotated[type, Option(…)]`` or ``Annotated[type, Argument(…)]``; its
default is the option's. Only the standard library is needed, and little of it: libraries for
command lines take longer to load than a small model.
"""

from __future__ import annotations

import getopt
import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from types import UnionType
from typing import Any, get_args, get_origin

_WIDTH = 78
_MOST_BEFORE_HELP = 32
HELP = ("-h, --help", "Show this message and exit.")


class UsageError(Exception):
    """What is wrong with the words of a command line, in one sentence."""


class HelpAsked(Exception):
    """``-h`` or ``--help`` was among the words."""


class Option:
    """A parameter given by a flag; ``--name/--no-name`` is a switch that can be turned off."""

    def __init__(
        self,
        *flags: str,
        help: str,
        metavar: str | None = None,
        min: float | None = None,
        max: float | None = None,
    ) -> None:
        *first, last = flags
        on, _, off = last.partition("/")
        self.flags = (*first, on)
        self.off = off
        self.help = help
        self.metavar = metavar
        self.min = min
        self.max = max

    @property
    def range(self) -> str:
        """Its bounds, such as ``0<=x<=1``; empty if there are none."""
        if self.min is None and self.max is None:
            return ""
        if self.max is None:
            return f"x>={self.min:g}"
        return f"{self.min:g}<=x<={self.max:g}" if self.min is not None else f"x<={self.max:g}"

    def allows(self, value: float) -> bool:
        """Whether a number lies between the bounds; one that is no number never does."""
        low = self.min is None or value >= self.min
        return low and (self.max is None or value <= self.max)


@dataclass(frozen=True)
class Argument:
    """A parameter given by its place; of a list, one or more words that the others leave."""

    metavar: str
    help: str


@dataclass(frozen=True)
class _Parameter:
    name: str
    kind: type
    default: Any
    place: Option | Argument
    repeated: bool  # each time it is given adds to a list

    @property
    def required(self) -> bool:
        return self.default is inspect.Parameter.empty

    def value(self, text: str) -> Any:
        """The text as this parameter's type; UsageError if it can't be."""
        what = f"Invalid value for {_quoted(self.place)}: {text!r}"
        try:
            value = self.kind(text)
        except ValueError:
            raise UsageError(f"{what} is no {self._wanted}.") from None
        if isinstance(self.place, Option) and self.place.range and not self.place.allows(value):
            raise UsageError(f"{what} is not in the range {self.place.range}.")
        return value

    @property
    def shown(self) -> str:
        """How the value is written in a help text."""
        if self.place.metavar:
            several = self.repeated and isinstance(self.place, Argument)
            return self.place.metavar + "…" * several
        if issubclass(self.kind, Enum):
            return f"<{'|'.join(choice.value for choice in self.kind)}>"
        return f"<{self.kind.__name__.lower()}>"

    @property
    def _wanted(self) -> str:
        if issubclass(self.kind, Enum):
            return f"choice; there are {', '.join(repr(choice.value) for choice in self.kind)}"
        return {int: "whole number", float: "number"}.get(self.kind, self.kind.__name__)


class Command:
    """A function that words of a command line can call."""

    def __init__(self, function: Callable[..., None]) -> None:
        self._function = function
        self._parameters = list(_parameters(function))

    def call(self, words: Sequence[str]) -> None:
        """Call the function; UsageError, before it is called, if the words do not fit it."""
        self._function(**self._values(words))

    @property
    def about(self) -> str:
        """What the command does."""
        return inspect.cleandoc(self._function.__doc__ or "")

    def usage(self, name: str) -> str:
        """The line that says how the command is called."""
        return " ".join([f"Usage: {name} [OPTIONS]", *(p.shown for p in self._arguments)])

    def help(self, name: str) -> str:
        """What ``--help`` prints."""
        text = f"{self.usage(name)}\n\n{wrapped(self.about, '  ')}\n"
        if self._arguments:
            rows = [(p.shown, p.place.help) for p in self._arguments]
            text += "\nArguments:\n" + columns(rows)
        return text + "\nOptions:\n" + columns([*map(_row, self._options), HELP])

    @property
    def _arguments(self) -> list[_Parameter]:
        return [p for p in self._parameters if isinstance(p.place, Argument)]

    @property
    def _options(self) -> list[_Parameter]:
        return [p for p in self._parameters if isinstance(p.place, Option)]

    def _values(self, words: Sequence[str]) -> dict[str, Any]:
        flags = {flag: (p, True) for p in self._options for flag in _option(p).flags}
        flags |= {_option(p).off: (p, False) for p in self._options if _option(p).off}
        given, rest = _split(words, flags)
        values: dict[str, Any] = {}
        for flag, text in given:
            if flag in ("-h", "--help"):
                raise HelpAsked
            parameter, on = flags[flag]
            value = on if parameter.kind is bool else parameter.value(text)
            if parameter.repeated:
                value = [*values.get(parameter.name, ()), value]
            values[parameter.name] = value
        for parameter, texts in self._placed(rest):
            found = [parameter.value(text) for text in texts]
            values[parameter.name] = found if parameter.repeated else found[0]
        for parameter in self._parameters:
            if parameter.required and parameter.name not in values:
                what = "argument" if isinstance(parameter.place, Argument) else "option"
                raise UsageError(f"Missing {what} {_quoted(parameter.place)}.")
        return values

    def _placed(self, words: Sequence[str]) -> Iterator[tuple[_Parameter, Sequence[str]]]:
        """The arguments for which there are words, each with its own."""
        extra = len(words) - len(self._arguments)
        left = list(words)
        for parameter in self._arguments:
            count = 1 + max(0, extra) if parameter.repeated else 1
            own, left = left[:count], left[count:]
            if own:
                yield parameter, own
        if left:
            raise UsageError(f"Got unexpected extra argument(s) ({' '.join(left)}).")


def columns(rows: Sequence[tuple[str, str]]) -> str:
    """Two columns, the second wrapped; ends with a line break."""
    left = min(_MOST_BEFORE_HELP, max(len(first) for first, _ in rows) + 2)
    lines = []
    for first, second in rows:
        text = wrapped(second, " " * (2 + left))
        lines.append(
            f"  {first:{left}}{text.lstrip()}" if len(first) < left else f"  {first}\n{text}"
        )
    return "\n".join(lines) + "\n"


def wrapped(text: str, indent: str) -> str:
    """The text in lines that fit a terminal."""
    from textwrap import fill

    return fill(text, _WIDTH, initial_indent=indent, subsequent_indent=indent)


def _parameters(function: Callable[..., None]) -> Iterator[_Parameter]:
    for p in inspect.signature(function, eval_str=True).parameters.values():
        kind, place = get_args(p.annotation)
        # `int | None` takes an int; None says that it was not given.
        if isinstance(kind, UnionType):
            kind = next(part for part in get_args(kind) if part is not type(None))
        repeated = get_origin(kind) is list
        yield _Parameter(
            p.name, get_args(kind)[0] if repeated else kind, p.default, place, repeated
        )


def _split(
    words: Sequence[str], flags: dict[str, tuple[_Parameter, bool]]
) -> tuple[list[tuple[str, str]], list[str]]:
    """The flags with the words that follow them, and the words that stand alone."""
    short, long = "h", ["help"]
    for flag, (parameter, _) in flags.items():
        takes = parameter.kind is not bool
        if flag.startswith("--"):
            long.append(flag[2:] + "=" * takes)
        else:
            short += flag[1:] + ":" * takes
    try:
        return getopt.gnu_getopt(list(words), short, long)
    except getopt.GetoptError as error:
        raise UsageError(f"{error.msg[:1].upper()}{error.msg[1:]}.") from None


def _option(parameter: _Parameter) -> Option:
    assert isinstance(parameter.place, Option)
    return parameter.place


def _quoted(place: Option | Argument) -> str:
    names = (place.metavar,) if isinstance(place, Argument) else place.flags
    return " / ".join(f"'{name}'" for name in names)


def _row(parameter: _Parameter) -> tuple[str, str]:
    option = _option(parameter)
    names = ", ".join(option.flags) + (f" / {option.off}" if option.off else "")
    if parameter.kind is not bool:
        names += f" {parameter.shown}"
    notes = []
    if parameter.required:
        notes.append("required")
    elif option.off:
        notes.append(f"default: {(option.flags[-1] if parameter.default else option.off)[2:]}")
    elif parameter.kind is not bool and parameter.default is not None:
        shown = parameter.default
        notes.append(f"default: {shown.value if isinstance(shown, Enum) else shown}")
    if option.range:
        notes.append(option.range)
    return names, option.help + (f"  [{'; '.join(notes)}]" if notes else "")

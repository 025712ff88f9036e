"""A jinja2 sandbox for templates out of files: they reach nothing, and they end.

jinja2's own sandbox keeps a template from Python's internals, but lets it count to the end of days
or fill the memory with one multiplication. Here turns of loops, calls and the text they make draw
on a budget, and what would be far longer than a prompt is refused before it is made.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextvars import ContextVar
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

MAX_STEPS = 200_000  # a conversation of 1000 messages takes some 10 000
MAX_LENGTH = 4_000_000  # characters of a text, items of a list
_LETTERS_A_STEP = 1000
_MAX_DEPTH = 200  # of expressions and blocks in each other; templates in use have some 30
_MAX_LOOPS = 20  # in each other; Python allows no more, and jinja2 takes long to find out
_MAX_BITS = 4096  # of a whole number
_WIDE = re.compile(r"\d{5,}|\*")  # in a text that formats others

_steps: ContextVar[list[int]] = ContextVar("steps")


class BoundedEnvironment(ImmutableSandboxedEnvironment):
    """Compiles templates that end; render them with :func:`rendered`."""

    intercepted_binops = frozenset(["*", "**", "+", "%"])

    def __init__(self, **settings: Any) -> None:
        super().__init__(finalize=_weighed, **settings)
        self.filters = {name: _bounded(function) for name, function in self.filters.items()}
        del self.globals["lipsum"]  # makes text by the mile

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        parsed = super()._parse(source, name, filename)
        _check_depth(parsed)
        counted: nodes.Template = _Counting().visit(parsed)
        return counted

    def counted(self, items: Iterable[Any]) -> Iterator[Any]:
        """What a loop goes through, a step each."""
        for item in items:
            _draw(1)
            yield item

    def joined(self, *parts: Any) -> str:
        """``a ~ b``."""
        text = "".join(str(_weighed(part)) for part in parts)
        _checked(text)
        return text

    def call(self, context: Any, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        """A call that the template makes."""
        # jinja2 hands out str.format in a wrapper of its own.
        method = getattr(function, "__wrapped__", function)
        text = getattr(method, "__self__", None)
        if isinstance(text, str):
            _check_text_method(method.__name__, text, args, kwargs)
        else:
            _check_arguments("", (*args, *kwargs.values()))
        return _checked(super().call(context, function, *args, **kwargs))

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """An operation that can make much of little."""
        if operator == "*":
            _check_product(left, right)
        elif operator == "**" and isinstance(left, int) and isinstance(right, int):
            _check_size(left.bit_length() * right, _MAX_BITS)
        elif operator == "%" and isinstance(left, str):
            _check_form(left)
            _weighed(right)
        return _checked(super().call_binop(context, operator, left, right))


def rendered(template: jinja2.Template, **variables: Any) -> str:
    """The text that a template of a :class:`BoundedEnvironment` makes.

    Raises:
        SecurityError: the template goes beyond the bounds.
    """
    token = _steps.set([MAX_STEPS])
    try:
        pieces, length = [], 0
        for piece in template.generate(**variables):
            pieces.append(piece)
            length += len(piece)
            _check_size(length)
        return "".join(pieces)
    finally:
        _steps.reset(token)


def _check_depth(template: nodes.Template) -> None:
    """Refuse what is nested so deeply that to compile it takes the square of its length."""
    left: list[tuple[nodes.Node, int]] = [(template, 0)]
    while left:
        node, depth = left.pop()
        if depth > _MAX_DEPTH:
            raise jinja2.TemplateSyntaxError("it is nested too deeply", node.lineno)
        left += ((child, depth + 1) for child in node.iter_child_nodes())


class _Counting(NodeTransformer):
    """Sends loops and ``~`` through the environment, whose attributes no template can hide."""

    def __init__(self) -> None:
        self._loops = 0

    def visit_For(self, node: nodes.For) -> nodes.Node:
        self._loops += 1
        if self._loops > _MAX_LOOPS:
            raise jinja2.TemplateSyntaxError("loops are nested too deeply", node.lineno)
        self.generic_visit(node)
        self._loops -= 1
        node.iter = _call("counted", [node.iter], node.lineno)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        return _call("joined", node.nodes, node.lineno)


def _call(method: str, arguments: Sequence[nodes.Node], line: int) -> nodes.Call:
    function = nodes.EnvironmentAttribute(method, lineno=line)
    return nodes.Call(function, list(arguments), [], None, None, lineno=line)


def _draw(steps: int) -> None:
    left = _steps.get(None)  # None: a constant part, folded while the template is compiled
    if left is None:
        return
    left[0] -= steps
    if left[0] < 0:
        raise SecurityError("it does not come to an end")


def _bounded(function: Callable[..., Any]) -> Callable[..., Any]:
    """A filter under the rules of calls; marks by which jinja2 knows how to call it stay on it."""

    @functools.wraps(function)
    def bounded(*args: Any, **kwargs: Any) -> Any:
        text = next((value for value in args if isinstance(value, str)), "")
        name = function.__name__.removeprefix("do_")
        _check_text_method(name, text, args[args.index(text) + 1 :] if text else args, kwargs)
        return _checked(function(*args, **kwargs))

    return bounded


def _check_text_method(name: str, text: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    given = (*args, *kwargs.values())
    _check_arguments(text, given)
    if name in ("format", "format_map"):
        _check_form(text)
    elif name == "replace" and len(given) > 1:
        _check_size((text.count(str(given[0])) if given[0] else len(text) + 1) * len(str(given[1])))
    elif name == "join" and given and isinstance(given[0], (list, tuple)):
        _check_size(len(given[0]) * len(text))


def _check_arguments(text: str, given: Iterable[Any]) -> None:
    """Numbers can be widths of all that is there; lists and dicts may be made a text of."""
    _draw(1)
    for value in given:
        if isinstance(value, int):
            _check_size(abs(value) * max(1, len(text) // 100))
        else:
            _weighed(value)


def _check_form(text: str) -> None:
    if _WIDE.search(text):
        raise SecurityError("a width that no prompt needs")


def _check_product(left: Any, right: Any) -> None:
    if isinstance(left, int) and isinstance(right, int):
        _check_size(left.bit_length() + right.bit_length(), _MAX_BITS)
    for many, times in ((left, right), (right, left)):
        if isinstance(many, (str, bytes, list, tuple)) and isinstance(times, int):
            _check_size(len(many) * times)


def _check_size(size: int, most: int = MAX_LENGTH) -> None:
    if size > most:
        raise SecurityError("a text, list or number becomes too large")


def _checked(value: Any) -> Any:
    if isinstance(value, (str, bytes, list, tuple, dict)):
        _check_size(len(value))
        _draw(len(value) // _LETTERS_A_STEP)
    return value


def _weighed(value: Any) -> Any:
    """The value, if a text made of it is not too long."""
    if isinstance(value, (list, tuple, dict)):
        _weigh(value, MAX_LENGTH, 0)
    return value


def _weigh(value: Any, left: int, depth: int) -> int:
    """What is left of a length after a value is written."""
    if isinstance(value, str):
        left -= len(value)
    elif isinstance(value, dict):
        _draw(1)
        for pair in value.items():
            left = _weigh(pair, left, depth + 1)
    elif isinstance(value, (list, tuple)):
        _draw(1 + len(value) // _LETTERS_A_STEP)
        for item in value:
            left = _weigh(item, left - 1, depth + 1)
    if left < 0 or depth > 100:
        raise SecurityError("a text, list or number becomes too large")
    return left

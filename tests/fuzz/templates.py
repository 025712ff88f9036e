"""Templates made of jinja2's own tables: every filter, test, operator, global and method.

What later versions of jinja2 add to these tables is tried too.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle, islice
from random import Random
from typing import Any

from jinja2.defaults import DEFAULT_FILTERS, DEFAULT_NAMESPACE, DEFAULT_TESTS

FILTERS, TESTS = sorted(DEFAULT_FILTERS), sorted(DEFAULT_TESTS)
GLOBALS = [*sorted(DEFAULT_NAMESPACE), "raise_exception", "strftime_now"]
BINARY = ["+", "-", "*", "/", "//", "%", "**", "~", "==", "!=", "<", "<=", ">", ">=", "in",
          "not in", "and", "or", "is", "|"]  # fmt: skip
UNARY = ["-", "+", "not "]
_KINDS = (str, list, tuple, dict, int, float, range)
METHODS = sorted({name for kind in _KINDS for name in dir(kind) if not name.startswith("_")})
_LOOP = "{%% for _ in range(60) %%}{%% set n.%s = %s %%}{%% endfor %%}"
# Each holds its former value twice, 60 times over: small in memory, but endless to walk through.
SHARED = {
    "n.t": _LOOP % ("t", "(n.t, n.t)"),
    "n.l": _LOOP % ("l", "[n.l, n.l]"),
    "n.d": _LOOP % ("d", "{'a': n.d, 'b': n.d}"),
}
# jinja2 computes constants while it compiles, which takes long; so these are variables.
_START = "{% set n = namespace(t=(1,), l=[1], d={'a': 1}, x='x') %}"
LARGE = ["n.x * 100000", "(n.x ~ '<b>&amp; ') * 10000", "(n.x ~ '\n') * 10000", "range(50000)",
         "[n.x] * 20000", "[[1]] * n.x | length * 10000", "10 ** 4000", "(n.x ~ '9') * 40000",
         "1e308", "dict.fromkeys(range(5000), n.x)", "dict(a=n.x * 100000)"]  # fmt: skip
NUMBERS = ["10 ** 9", "-(10 ** 9)", "2 ** 62", "10 ** 30", "0", "1.5", "true", "none"]
TEXTS = ["'x' * 1000", "'\\n' * 199", "'%s'", "'{:>1000000000}'", "'%1000000000d'", "'a'", "''"]
SUBJECTS = [*SHARED, *LARGE]
ARGUMENTS = [*NUMBERS, *TEXTS, *SUBJECTS, "messages"]


def prepared(body: str) -> str:
    """The template of a body that can use the shared values."""
    used = "".join(loop for name, loop in SHARED.items() if name in body)
    return (_START + used if "n." in body else "") + body


def families() -> Iterator[str]:
    """A few templates of each filter, test, operator, global and method, always the same ones."""
    subjects, arguments = cycle(SUBJECTS), cycle(ARGUMENTS)

    def some(form: str, times: int = 2) -> Iterator[str]:
        for first in islice(subjects, times):
            given = ", ".join(islice(arguments, 2))
            yield prepared(form.replace("FIRST", f"({first})").replace("GIVEN", given))

    for name in FILTERS:
        yield from some(f"{{{{ FIRST | {name} }}}}")
        yield from some(f"{{{{ FIRST | {name}(GIVEN) | list }}}}")
    for name in TESTS:
        yield from some(f"{{{{ FIRST is {name} }}}}", 1)
        yield from some(f"{{{{ FIRST is {name}(GIVEN) }}}}", 1)
        yield from some(f"{{{{ [FIRST, 1] | select('{name}', GIVEN) | list }}}}", 1)
    for name in GLOBALS:
        yield from some(f"{{{{ {name}(FIRST) }}}}")
        yield from some(f"{{{{ {name}(GIVEN) }}}}")
    for name in METHODS:
        yield from some(f"{{{{ FIRST.{name}(GIVEN) }}}}", 1)
    for sign in BINARY:
        for first, second in (("n.t", "n.t[0]"), ("n.l", "[n.l[0]]"), ("n.x * 10 ** 6", "10 ** 6")):
            yield prepared(f"{{{{ ({first}) {sign} ({second}) }}}}")
    for sign in UNARY:
        yield from some(f"{{{{ {sign}FIRST }}}}")


def shared_values() -> dict[str, Any]:
    """The value of ``n`` in a template, made here because compiling the loops for it takes long."""
    pair: Any = (1,)
    both: Any = [1]
    tree: Any = {"a": 1}
    for _ in range(60):
        pair, both, tree = (pair, pair), [both, both], {"a": tree, "b": tree}
    return {"t": pair, "l": both, "d": tree, "x": "x"}


def made(rng: Random) -> str:
    """The short body of a random template."""
    return "".join(_statement(rng, 2) for _ in range(rng.choice((1, 1, 1, 2))))


def _statement(rng: Random, depth: int) -> str:
    kind = rng.random()
    value = _expression(rng, rng.choice((1, 1, 1, 1, 2, 3)))
    if kind < 0.7 or depth == 0:
        return f"{{{{ {value} }}}}"
    inner = _statement(rng, depth - 1)
    return rng.choice(
        (
            f"{{% for a in {value} %}}{inner}{{% endfor %}}",
            f"{{% for a in {value} recursive %}}{inner}{{{{ loop(a) }}}}{{% endfor %}}",
            f"{{% if {value} %}}{inner}{{% endif %}}",
            f"{{% set a = {value} %}}{inner}",
            f"{{% set a | {rng.choice(FILTERS)} %}}{inner}{{% endset %}}{{{{ a }}}}",
            f"{{% filter {rng.choice(FILTERS)} %}}{inner}{{% endfilter %}}",
            f"{{% macro a(b={value}) %}}{inner}{{{{ a(b) }}}}{{% endmacro %}}{{{{ a(1) }}}}",
            f"{{% call(a) {value} %}}{inner}{{% endcall %}}",
        )
    )


def _expression(rng: Random, depth: int) -> str:
    if depth == 0 or rng.random() < 0.2:
        return rng.choice((*ARGUMENTS, "a", "[1, 'a', none]", "{'a': [1]}"))
    first, second = _expression(rng, depth - 1), _expression(rng, depth - 1)
    given = ", ".join(_expression(rng, depth - 1) for _ in range(rng.choice((0, 1, 1, 2, 3))))
    return rng.choice(
        (
            f"({first}) {rng.choice(BINARY)} ({second})",
            f"({first}) | {rng.choice(FILTERS)}",
            f"({first}) | {rng.choice(FILTERS)}({given})",
            f"({first}) | {rng.choice(('map', 'select', 'reject'))}"
            f"('{rng.choice(FILTERS + TESTS)}'{', ' if given else ''}{given})",
            f"({first}) is {rng.choice(TESTS)}",
            f"({first}) is {rng.choice(TESTS)}({given})",
            f"({first}).{rng.choice(METHODS)}({given})",
            f"{rng.choice(GLOBALS)}({given})",
            f"({first})[{second}:{rng.choice(NUMBERS)}]",
            f"({first})[{second}]",
            f"{{{first}: {second}}}",
            f"[{first}, {second}]",
            f"({first}, {second})",
        )
    )

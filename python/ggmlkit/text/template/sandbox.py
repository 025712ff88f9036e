"""Runs chat templates in jinja2's sandbox, which protects Python's internals.

Time and memory are limited by ``worker``, the process that this code runs in. This module imports
nothing of the library, so that the process starts quickly.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from functools import lru_cache
from typing import Any, NoReturn

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

_LONGEST_REASON = 1000  # characters of an error message, which a template can choose
# Makes Python and jinja2 import all that they need for texts and errors.
_NEEDS_ALL = r"{{ '\N{DIGIT ONE}\n' }}{{ strftime_now('%Y') }}{{ nothing.at.all }}"


class TemplateFailure(Exception):
    """The reason why a template can't be rendered, as a sentence."""


class Sandbox:
    """Renders templates; recently used ones are not compiled again.

    After construction, nothing more is imported.
    """

    def __init__(self) -> None:
        self._now = datetime.min
        self._compiled = lru_cache(maxsize=8)(self._compiled_again)
        with suppress(TemplateFailure):
            self.rendered(_NEEDS_ALL, {}, datetime.now())
        environment = jinja2.Environment()
        for name in environment.filters:
            with suppress(Exception):
                environment.call_filter(name, "a")

    def rendered(self, source: str, variables: Mapping[str, Any], now: datetime) -> str:
        """The rendered text of a template.

        Args:
            source: a jinja2 template.
            variables: the template's variables.
            now: the time that ``strftime_now`` formats.

        Raises:
            TemplateFailure: the template is not valid jinja2, fails, or refuses the variables.
            MemoryError: there is not enough memory.
        """
        self._now = now
        try:
            return self._compiled(source).render(variables)
        except (MemoryError, TemplateFailure):
            raise
        except jinja2.TemplateSyntaxError as error:
            reason = f"the chat template has an error on line {error.lineno}: {error.message}"
            raise TemplateFailure(_shortened(reason)) from error
        # The template comes from the file, so any exception is the file's fault.
        except Exception as error:
            reason = f"the chat template failed: {error or type(error).__name__}"
            raise TemplateFailure(_shortened(reason)) from error

    def _compiled_again(self, source: str) -> jinja2.Template:
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=["jinja2.ext.loopcontrols", _Generation],
        )
        del environment.globals["lipsum"]  # no prompt needs it
        environment.filters["tojson"] = _to_json
        environment.globals["raise_exception"] = _raise_exception
        environment.globals["strftime_now"] = self._strftime_now
        return environment.from_string(source)

    def _strftime_now(self, form: str) -> str:
        return self._now.strftime(form)


class _Generation(Extension):
    """Ignores ``{% generation %}…{% endgeneration %}``, which marks text for training only."""

    tags = {"generation"}  # noqa: RUF012 (jinja2 declares it so)

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return list(parser.parse_statements(("name:endgeneration",), drop_needle=True))


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """The ``tojson`` filter; jinja2's own escapes HTML, which is wrong in a prompt."""
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )


def _raise_exception(message: str) -> NoReturn:
    raise TemplateFailure(_shortened(f"the chat template refuses these messages: {message}"))


def _shortened(reason: str) -> str:
    return reason if len(reason) <= _LONGEST_REASON else f"{reason[:_LONGEST_REASON]}…"

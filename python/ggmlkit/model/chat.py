"""Chat messages to prompt text, by the template of the model's file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, NoReturn

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension
from jinja2.parser import Parser

from ggmlkit.errors import ModelError
from ggmlkit.model.template_sandbox import BoundedEnvironment, rendered
from ggmlkit.model.tokenizer import Tokenizer

_MAX_TEMPLATE = 50_000  # characters; the longest in use have some 20 000
CHATML = """\
{%- for message in messages -%}
{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\n' }}{%- endif -%}
"""
LLAMA3 = """\
{{- bos_token -}}
{%- for message in messages -%}
{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' }}
{{- message['content'] | trim + '<|eot_id|>' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}
{%- endif -%}
"""
# For models that were never taught a form: Vicuna's, the plainest that many know.
PLAIN = """\
{{- bos_token -}}
{%- for message in messages -%}
{%- if message['role'] == 'user' -%}{{ 'USER: ' + message['content'] + '\n' }}
{%- elif message['role'] == 'assistant' -%}
{{ 'ASSISTANT: ' + message['content'] + eos_token + '\n' }}
{%- else -%}{{ message['content'] + '\n\n' }}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ 'ASSISTANT:' }}{%- endif -%}
"""


def render(
    template: str | None,
    messages: Sequence[Mapping[str, Any]],
    tokenizer: Tokenizer,
    add_generation_prompt: bool = True,
    **variables: Any,
) -> str:
    """The prompt for a conversation; encode it with ``add_special=False, parse_special=True``.

    Args:
        template: a jinja2 template, run in a sandbox where it must end soon; None for the one that
            suits the vocabulary.
        messages: mappings with ``role`` and ``content``.
        tokenizer: names the first and last token of a text to the template.
        add_generation_prompt: end with the words that begin the assistant's turn.
        variables: more that the template may use, such as ``tools``.

    Raises:
        ModelError: the template is no jinja2, fails, or refuses the messages.
    """
    source = fallback_template(tokenizer) if template is None else template
    if len(source) > _MAX_TEMPLATE:
        raise ModelError(f"a chat template of {len(source)} characters is none")
    try:
        return rendered(
            _compiled(source),
            messages=[dict(message) for message in messages],
            add_generation_prompt=add_generation_prompt,
            **{**tokenizer.special_texts, "tools": None, "documents": None, **variables},
        )
    except ModelError:
        raise
    except jinja2.TemplateSyntaxError as error:
        raise ModelError(
            f"the chat template has an error on line {error.lineno}: {error}"
        ) from error
    # A template is a program of somebody else's: whatever it raises is the file's fault.
    except Exception as error:
        raise ModelError(f"the chat template failed: {error}") from error


def fallback_template(tokenizer: Tokenizer) -> str:
    """The template for a file that has none, told by the control tokens it knows."""
    if tokenizer.token_id("<|im_start|>") is not None:
        return CHATML
    if tokenizer.token_id("<|start_header_id|>") is not None:
        return LLAMA3
    return PLAIN


class _Generation(Extension):
    """``{% generation %}…{% endgeneration %}`` marks the assistant's words for training only."""

    tags = {"generation"}  # noqa: RUF012 (jinja2 declares it so)

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return list(parser.parse_statements(("name:endgeneration",), drop_needle=True))


@lru_cache(maxsize=8)
def _compiled(source: str) -> jinja2.Template:
    environment = BoundedEnvironment(
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.loopcontrols", _Generation],
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["strftime_now"] = _strftime_now
    return environment.from_string(source)


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """jinja2's own filter escapes for HTML, which a prompt must not be."""
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )


def _raise_exception(message: str) -> NoReturn:
    raise ModelError(f"the chat template refuses these messages: {message}")


def _strftime_now(form: str) -> str:
    return datetime.now().strftime(form)

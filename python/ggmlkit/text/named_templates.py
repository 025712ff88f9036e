"""Chat templates that are built in, by name: published formats of well-known models.

The formats of the vicunas are those of FastChat's conversation.py, that of Alpaca is the prompt of
its training, with a turn after another as in FastChat; the others are those of their model cards.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from ggmlkit.errors import ArgumentError


class NamedTemplate(NamedTuple):
    """A chat template, and what an answer must end before.

    Attributes:
        source: jinja2.
        stop: texts by which a model begins the next turn itself; empty where a token ends a turn.
    """

    source: str
    stop: tuple[str, ...] = ()


CHATML: Final = """\
{%- for message in messages -%}
{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\n' }}{%- endif -%}
"""
LLAMA3: Final = """\
{{- bos_token -}}
{%- for message in messages -%}
{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' }}
{{- message['content'] | trim + '<|eot_id|>' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}
{%- endif -%}
"""
# Splits `messages` into `system`, a text or none, and `turns`, of the user and the assistant.
_SPLIT = """\
{%- set has_system = messages and messages[0]['role'] == 'system' -%}
{%- set system = messages[0]['content'] if has_system else DEFAULT -%}
{%- set turns = messages[1:] if has_system else messages -%}
{%- for message in turns -%}
{%- if message['role'] not in ['user', 'assistant'] -%}
{{ raise_exception('its roles are system (first), user and assistant, not ' ~ message['role']) }}
{%- endif -%}
{%- endfor -%}
"""
# For models without a role of the system: its text comes before that of the first message.
_FOLDED = "(system + '\\n\\n' if system and loop.first else '') + message['content']"


def _template(body: str, default: str = "none") -> str:
    """A template of ``system`` and ``turns``; ``default`` is a jinja2 value for ``system``."""
    return _SPLIT.replace("DEFAULT", default) + body


def _vicuna(person: str) -> str:
    return (
        f'"A chat between a curious {person} and an artificial intelligence assistant. The '
        f"assistant gives helpful, detailed, and polite answers to the {person}'s questions.\""
    )


_VICUNA = """\
{{- bos_token ~ system ~ ' ' -}}
{%- for message in turns -%}
{{ 'USER: ' + message['content'] + ' ' if message['role'] == 'user'
   else 'ASSISTANT: ' + message['content'] ~ eos_token }}
{%- endfor -%}
{{ 'ASSISTANT:' if add_generation_prompt }}"""
_VICUNA_V0 = """\
{{- bos_token ~ system ~ '\n### ' -}}
{%- for message in turns -%}
{{ 'Human: ' if message['role'] == 'user' else 'Assistant: ' }}{{ message['content'] + '\n### ' }}
{%- endfor -%}
{{ 'Assistant:' if add_generation_prompt }}"""
_ALPACA_SYSTEM = (
    "'Below is an instruction that describes a task. "
    "Write a response that appropriately completes the request.'"
)
_ALPACA = """\
{{- bos_token ~ system ~ '\n\n' -}}
{%- for message in turns -%}
{{ '### Instruction:\n' + message['content'] + '\n\n' if message['role'] == 'user'
   else '### Response:' + message['content'] ~ eos_token }}
{%- endfor -%}
{{ '### Response:' if add_generation_prompt }}"""
_LLAMA2 = """\
{%- for message in turns -%}
{%- if message['role'] == 'user' -%}
{{ bos_token ~ '[INST] ' }}
{{- '<<SYS>>\n' + system + '\n<</SYS>>\n\n' if system and loop.first }}
{{- message['content'] | trim + ' [/INST]' }}
{%- else -%}{{ ' ' + message['content'] | trim + ' ' ~ eos_token }}
{%- endif -%}
{%- endfor -%}
"""
_MISTRAL = (
    """\
{{- bos_token -}}
{%- for message in turns -%}
{{ '[INST] ' + FOLDED + ' [/INST]' if message['role'] == 'user'
   else ' ' + message['content'] | trim ~ eos_token }}
{%- endfor -%}
"""
).replace("FOLDED", _FOLDED)
_GEMMA = (
    """\
{{- bos_token -}}
{%- for message in turns -%}
{{ '<start_of_turn>' + ('user' if message['role'] == 'user' else 'model') + '\n' }}
{{- (FOLDED) | trim + '<end_of_turn>\n' }}
{%- endfor -%}
{{ '<start_of_turn>model\n' if add_generation_prompt }}"""
).replace("FOLDED", _FOLDED)
_TAGGED = """\
{%- for message in messages -%}
{{ '<|' + message['role'] + '|>\n' + message['content'] ~ END ~ '\n' }}
{%- endfor -%}
{{ '<|assistant|>\n' if add_generation_prompt }}"""

TEMPLATES: Final = {
    "alpaca": NamedTemplate(_template(_ALPACA, _ALPACA_SYSTEM), stop=("### Instruction:",)),
    "chatml": NamedTemplate(CHATML),
    "gemma": NamedTemplate(_template(_GEMMA)),
    "llama2": NamedTemplate(_template(_LLAMA2)),
    "llama3": NamedTemplate(LLAMA3),
    "mistral": NamedTemplate(_template(_MISTRAL)),
    "phi3": NamedTemplate(_TAGGED.replace("END", "'<|end|>'")),
    "vicuna": NamedTemplate(_template(_VICUNA, _vicuna("user"))),
    "vicuna-v0": NamedTemplate(_template(_VICUNA_V0, _vicuna("human")), stop=("\n###",)),
    "zephyr": NamedTemplate(_TAGGED.replace("END", "eos_token")),
}
# For models that were not trained on a chat format: simple, and known to many.
PLAIN: Final = """\
{{- bos_token -}}
{%- for message in messages -%}
{%- if message['role'] == 'user' -%}{{ 'USER: ' + message['content'] + '\n' }}
{%- elif message['role'] == 'assistant' -%}
{{ 'ASSISTANT: ' + message['content'] ~ eos_token + '\n' }}
{%- else -%}{{ message['content'] + '\n\n' }}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ 'ASSISTANT:' }}{%- endif -%}
"""


def template_source(template: str) -> str:
    """The jinja2 text of a template that is given by name or as the text itself.

    Raises:
        ArgumentError: it is a word that names no template.
    """
    if template in TEMPLATES:
        return TEMPLATES[template].source
    # A template without a brace would write the same prompt for every conversation.
    if "{" not in template:
        shown = template if len(template) <= 80 else f"{template[:80]}…"
        raise ArgumentError(f"template {shown!r} is neither jinja2 nor one of {template_names()}")
    return template


def template_names() -> str:
    """The names of all templates, for a sentence."""
    return ", ".join(sorted(TEMPLATES))

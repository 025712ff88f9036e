"""Prompts with tools, documents and keywords: the same text as transformers'."""

from __future__ import annotations

from typing import Any

import pytest

import ggmlkit as gk
from ggmlkit.text.messages import chat_text

# Written for these tests in the forms that models have: Hermes and Qwen, Llama 3.1, Mistral.
HERMES = """
{%- if tools %}
{{- '<|im_start|>system\\n' }}
{{- messages[0].content + '\\n\\n' if messages[0].role == 'system' else '' }}
{{- '<tools>' }}{% for tool in tools %}{{ '\\n' }}{{ tool | tojson }}{% endfor %}
{{- '\\n</tools><|im_end|>\\n' }}
{%- endif %}
{%- for document in documents or [] %}{{ '[' ~ document.title ~ '] ' ~ document.text }}{% endfor %}
{%- for message in messages %}
{%- if message.role == 'assistant' and message.tool_calls %}
{{- '<|im_start|>assistant' }}
{%- if message.content %}{{ '\\n' + message.content }}{% endif %}
{%- for call in message.tool_calls %}
{%- set call = call.function if call.function is defined else call %}
{{- '\\n<tool_call>\\n{"name": "' + call.name + '", "arguments": ' }}
{{- call.arguments if call.arguments is string else call.arguments | tojson }}
{{- '}\\n</tool_call>' }}
{%- endfor %}{{ '<|im_end|>\\n' }}
{%- elif message.role == 'tool' %}
{%- if loop.first or messages[loop.index0 - 1].role != 'tool' %}{{ '<|im_start|>user' }}{% endif %}
{{- '\\n<tool_response>\\n' + message.content + '\\n</tool_response>' }}
{%- if loop.last or messages[loop.index0 + 1].role != 'tool' %}{{ '<|im_end|>\\n' }}{% endif %}
{%- elif not (loop.first and tools and message.role == 'system') %}
{{- '<|im_start|>' + message.role + '\\n' }}
{%- if message.reasoning_content is defined %}
{{- '<think>\\n' + message.reasoning_content + '\\n</think>\\n' }}
{%- endif %}{{ message.content + '<|im_end|>\\n' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}
{%- if enable_thinking is defined and enable_thinking is false %}
{{- '<think>\\n\\n</think>\\n' }}{% endif %}
{%- endif %}"""
LLAMA31 = """{{- bos_token }}
{%- if date_string is not defined %}{% set date_string = '26 Jul' %}{% endif %}
{%- if tools is not none %}{{ 'Environment: ipython\\n' }}
{%- for t in tools %}{{ t | tojson(indent=4) }}{{ '\\n\\n' }}{% endfor %}{% endif %}
{{- date_string }}
{%- for message in messages %}
{%- if 'tool_calls' in message %}
{%- if not message.tool_calls | length == 1 %}{{ raise_exception('one call at a time') }}{% endif %}
{%- set call = message.tool_calls[0].function %}
{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n{"name": "' + call.name + '", ' }}
{{- '"parameters": ' }}{{ call.arguments | tojson }}{{ '}<|eot_id|>' }}
{%- elif message.role in ('tool', 'ipython') %}
{{- '<|start_header_id|>ipython<|end_header_id|>\\n\\n' }}
{{- message.content | tojson if message.content is mapping or message.content is iterable
   else message.content }}{{ '<|eot_id|>' }}
{%- else %}{{ '<|start_header_id|>' + message.role + '<|end_header_id|>\\n\\n' }}
{{- message.content | trim + '<|eot_id|>' }}{% endif %}
{%- endfor %}{{ strftime_now('%Y') | length }}"""
MISTRAL = """{{ bos_token }}
{%- for message in messages %}
{%- if message.role == 'user' %}
{%- if tools and loop.last %}{{ '[AVAILABLE_TOOLS][' }}
{%- for tool in tools %}{{ '{"type": "function", "function": {' }}
{%- for key, val in tool.function.items() if key != 'return' %}
{{- '"' + key + '": ' }}{{ '"' + val + '"' if val is string else val | tojson }}
{{- ', ' if not loop.last }}{% endfor %}{{ '}}' }}{{ ', ' if not loop.last else ']' }}{% endfor %}
{{- '[/AVAILABLE_TOOLS]' }}{% endif %}{{ '[INST]' + message.content + '[/INST]' }}
{%- elif message.tool_calls is defined and message.tool_calls is not none %}
{{- '[TOOL_CALLS][' }}{% for call in message.tool_calls %}{% set out = call.function | tojson %}
{{- out[:-1] }}{{ ', "id": "' + call.id + '"}' }}{{ ', ' if not loop.last else ']' + eos_token }}
{%- endfor %}
{%- elif message.role == 'tool' %}
{{- '[TOOL_RESULTS]{"content": ' + message.content | string + ', "call_id": "' }}
{{- message.tool_call_id + '"}[/TOOL_RESULTS]' }}
{%- else %}{{ message.content + eos_token }}{% endif %}
{%- endfor %}"""
TEMPLATES = {"hermes": HERMES, "llama31": LLAMA31, "mistral": MISTRAL}
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "The weather <now> in é & elsewhere",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
                "required": ["city"],
            },
        },
    }
]
CALL = {
    "id": "abcdefghi",
    "type": "function",
    "function": {"name": "weather", "arguments": {"city": "Zürich", "days": 2}},
}
ASKED = [{"role": "user", "content": "Weather?"}]
ANSWERED = [
    {"role": "tool", "name": "weather", "tool_call_id": "abcdefghi", "content": "21"},
    {"role": "assistant", "content": "Warm.", "reasoning": "21 is warm"},
    {"role": "user", "content": "Thanks"},
]
TALKS = {
    "asked": ASKED,
    "empty": [*ASKED, {"role": "assistant", "content": "", "tool_calls": [CALL]}, *ANSWERED],
    "none": [*ASKED, {"role": "assistant", "content": None, "tool_calls": [CALL]}, *ANSWERED],
    "without": [*ASKED, {"role": "assistant", "tool_calls": [CALL]}, *ANSWERED],
}
VARIABLES: dict[str, dict[str, Any]] = {
    "nothing": {},
    "tools": {"tools": TOOLS},
    "all": {
        "tools": TOOLS,
        "documents": [{"title": "A", "text": "a"}],
        "enable_thinking": False,
        "date_string": "1 May",
    },
    "going on": {"add_generation_prompt": False},
}


@pytest.fixture(scope="module")
def tokenizer() -> gk.Tokenizer:
    return gk.Tokenizer.from_metadata(
        {
            "tokenizer.ggml.model": "llama",
            "tokenizer.ggml.tokens": ["<unk>", "<s>", "</s>", "a"],
            "tokenizer.ggml.token_type": [2, 3, 3, 1],
            "tokenizer.ggml.scores": [0.0] * 4,
        }
    )


@pytest.fixture(scope="module")
def theirs() -> Any:
    import transformers
    from tokenizers import Tokenizer as Plain
    from tokenizers import models

    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=Plain(models.BPE(vocab={"a": 0}, merges=[])),
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
    )


@pytest.mark.parametrize("variables", VARIABLES.values(), ids=VARIABLES)
@pytest.mark.parametrize("talk", TALKS.values(), ids=TALKS)
@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
def test_text_equals_that_of_transformers(
    template: str,
    talk: list[dict[str, Any]],
    variables: dict[str, Any],
    tokenizer: gk.Tokenizer,
    theirs: Any,
) -> None:
    expected = theirs.apply_chat_template(
        talk,
        chat_template=template,
        tokenize=False,
        **{"add_generation_prompt": True, **variables},
    )
    given = dict(variables)
    named = {name: given.pop(name) for name in ("tools", "add_generation_prompt") if name in given}
    assert chat_text(talk, tokenizer, template, variables=given, **named) == expected


def test_thoughts_have_the_names_that_templates_read(tokenizer: gk.Tokenizer, theirs: Any) -> None:
    template = "{{ messages[0].reasoning_content }} {{ messages[0].thinking }}"
    for given in (
        {"reasoning": "a"},
        {"thinking": "a", "reasoning": "b"},
        {"reasoning_content": ""},
    ):
        talk = [{"role": "assistant", "content": "c", **given}]
        expected = theirs.apply_chat_template(talk, chat_template=template, tokenize=False)
        assert chat_text(talk, tokenizer, template) == expected


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{ 'calls' if messages[0].content is none else 'text' }}", "calls"),  # as DeepSeek's
        ("{{ 'a' + messages[0].content }}", "a"),
        ("{{ messages[0].content }}b", "b"),
        ("{{ messages[0].content | tojson }}", '""'),
        ("{{ 'None' if messages[0].content is none }}{{ raise_exception('') if messages[0].content"
         " is string }}", "None"),
    ],
)  # fmt: skip
def test_none_beside_calls_is_kept_where_the_template_knows_it(
    template: str, expected: str, tokenizer: gk.Tokenizer
) -> None:
    talk = [{"role": "assistant", "content": None, "tool_calls": [CALL]}]
    assert chat_text(talk, tokenizer, template) == expected


def test_a_model_passes_everything_on(chat_gguf: Any) -> None:
    template = "{{ tools[0].name }} {{ documents[0] }} {{ enable_thinking }} {{ bos_token }}"
    with gk.Model(chat_gguf, context=8) as model:
        ids = model.chat_prompt(
            ASKED, template=template, tools=[{"name": "f"}], documents=["d"], enable_thinking=False
        )
        bos = model.tokenizer.bos_id
        assert ids[-1] == bos
        assert model.tokenizer.decode(ids[:-1]).strip() == "f d False"

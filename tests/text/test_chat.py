"""Chat templates: the same text as transformers', a sandbox, and defaults for files without one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ggmlkit.errors import ModelError
from ggmlkit.text.chat import render
from ggmlkit.text.splitting import families as pretokenizers
from ggmlkit.text.tokenizer import Tokenizer

SMOLLM2 = """{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}\
{{ '<|im_start|>system
You are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>
' }}{% endif %}{{'<|im_start|>' + message['role'] + '
' + message['content'] + '<|im_end|>' + '
'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant
' }}{% endif %}"""

LLAMA2 = """{% if messages[0]['role'] == 'system' %}
    {% set rest = messages[1:] %}
    {% set system = '<<SYS>>\\n' + messages[0]['content'] | trim + '\\n<</SYS>>\\n\\n' %}
{% else %}
    {% set rest = messages %}
    {% set system = '' %}
{% endif %}
{% for message in rest %}
    {% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
        {{ raise_exception('roles must alternate') }}
    {% endif %}
    {% set content = system + message['content'] if loop.first else message['content'] %}
    {% if message['role'] == 'user' %}
{{ bos_token + '[INST] ' + content | trim + ' [/INST]' }}
    {% else %}
{{ ' ' + content | trim + ' ' + eos_token }}
    {% endif %}
{% endfor %}
"""

VICUNA = """{{ bos_token }}
{%- for message in messages %}
    {%- if message.role == 'system' %}{{ message.content + '\\n\\n' }}
    {%- elif message.role == 'user' %}{{ 'USER: ' + message.content + ' ' }}
    {%- else %}{% generation %}{{ 'ASSISTANT: ' + message.content }}{% endgeneration %}
{{ eos_token }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"""

TOOLS = """{{ messages | tojson }} {{ tools | tojson(indent=2) }}
{%- for message in messages %}{% if message.role == 'system' %}{% continue %}{% endif %}
{{ message.content | tojson }}
{% endfor %}{{ strftime_now('%Y') | length }}"""

CONVERSATIONS = [
    [{"role": "user", "content": "Hello <b>& 'you' é 😀"}],
    [
        {"role": "system", "content": "  Be brief.  "},
        {"role": "user", "content": "Hi\n"},
        {"role": "assistant", "content": " Hello! "},
        {"role": "user", "content": ""},
    ],
]


def vocabulary(*more: str) -> Tokenizer:
    tokens = ["<unk>", "<s>", "</s>", "a", *more]
    return Tokenizer.from_metadata(
        {
            "tokenizer.ggml.model": "llama",
            "tokenizer.ggml.tokens": tokens,
            "tokenizer.ggml.token_type": [2, 3, 3, 1, *[3] * len(more)],
            "tokenizer.ggml.scores": [0.0] * len(tokens),
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


@pytest.mark.parametrize("conversation", CONVERSATIONS, ids=["one", "several"])
@pytest.mark.parametrize("prompt", [True, False])
@pytest.mark.parametrize(
    "template", [SMOLLM2, LLAMA2, VICUNA, TOOLS], ids=["smollm2", "llama2", "vicuna", "tools"]
)
def test_text_equals_that_of_transformers(
    theirs: Any, template: str, prompt: bool, conversation: list[dict[str, str]]
) -> None:
    tools = [{"type": "function", "function": {"name": "né<", "parameters": {"b": 1, "a": []}}}]
    expected = theirs.apply_chat_template(
        conversation,
        chat_template=template,
        tools=tools,
        tokenize=False,
        add_generation_prompt=prompt,
    )
    ours = render(template, conversation, vocabulary(), add_generation_prompt=prompt, tools=tools)
    assert ours == expected


def test_the_real_models_own_template(smollm2_gguf: Path, theirs: Any) -> None:
    tokenizer = Tokenizer.from_file(smollm2_gguf)
    assert tokenizer.chat_template == SMOLLM2
    for conversation in CONVERSATIONS:
        text = render(tokenizer.chat_template, conversation, tokenizer)
        assert text == theirs.apply_chat_template(
            conversation, chat_template=SMOLLM2, tokenize=False, add_generation_prompt=True
        )
        ids = tokenizer.encode(text, add_special=False, parse_special=True)
        assert ids[0] == 1
        assert ids.count(2) == len(conversation) + (conversation[0]["role"] != "system")


def test_a_file_without_a_template_gets_one_by_its_tokens() -> None:
    messages = CONVERSATIONS[1]
    assert render(None, messages, vocabulary("<|im_start|>", "<|im_end|>")) == (
        "<|im_start|>system\n  Be brief.  <|im_end|>\n<|im_start|>user\nHi\n<|im_end|>\n"
        "<|im_start|>assistant\n Hello! <|im_end|>\n<|im_start|>user\n<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    assert render(None, messages[1:2], vocabulary("<|start_header_id|>")) == (
        "<s><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n"
    )
    assert render(None, messages, vocabulary()) == (
        "<s>  Be brief.  \n\nUSER: Hi\n\nASSISTANT:  Hello! </s>\nUSER: \nASSISTANT:"
    )


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{% for %}", "the chat template has an error on line 1"),
        ("{{ raise_exception('roles must alternate') }}", "refuses these messages: roles must"),
        ("{{ ''.__class__.__mro__ }}", "unsafe"),
        ("{{ messages.append(1) }}", "unsafe"),
        ("{{ 1 / 0 }}", "the chat template failed"),
        ("{{ nothing.there }}", "the chat template failed"),
        ("{% include 'file' %}", "the chat template failed"),
    ],
)
def test_bad_templates_are_the_files_fault(template: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        render(template, CONVERSATIONS[0], vocabulary())


def test_templates_get_the_texts_of_all_special_tokens(tmp_path: Path) -> None:
    import transformers
    from tokenizers import Tokenizer as Plain
    from tokenizers import models

    from ggmlkit.conversion.vocabulary import metadata_from_tokenizer_json

    plain = Plain(models.BPE({"a": 0}, []))
    plain.add_special_tokens(["<s>", "</s>", "<pad>", "<sep>", "<image>", "<boi>"])
    value = json.loads(plain.to_str()) | {"pre_tokenizer": pretokenizers.by_name("gpt-2").json}
    (tmp_path / "tokenizer.json").write_text(json.dumps(value))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<s>",
        "eos_token": {"__type": "AddedToken", "content": "</s>", "special": True},
        "pad_token": "<pad>",
        "sep_token": "<sep>",
        "image_token": "<image>",
        "extra_special_tokens": {"boi_token": "<boi>"},
    }
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    names = ["bos", "eos", "unk", "sep", "pad", "cls", "mask", "image", "boi"]
    template = "|".join(f"{{{{ {n}_token }}}}{{{{ {n}_token is defined }}}}" for n in names)
    metadata = metadata_from_tokenizer_json(tmp_path / "tokenizer.json", 7)
    ours = render(template, CONVERSATIONS[0], Tokenizer.from_metadata(metadata))
    assert ours == transformers.AutoTokenizer.from_pretrained(tmp_path).apply_chat_template(
        CONVERSATIONS[0], chat_template=template, tokenize=False
    )
    assert ours.startswith("<s>True|</s>True|False|<sep>True|<pad>True|False|False|<image>True")

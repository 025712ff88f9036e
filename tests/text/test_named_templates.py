"""Built-in chat templates: the exact prompts that the models were trained on."""

from __future__ import annotations

from pathlib import Path

import pytest

import ggmlkit as gk
from ggmlkit.text.messages import chat_text
from ggmlkit.text.named_templates import TEMPLATES, template_source

TURNS = [
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Hello!"},
    {"role": "user", "content": "More"},
]
TALK = [{"role": "system", "content": "Be brief."}, *TURNS]
# Prompts for TALK. Of FastChat's conversation.py: the texts, roles and separators of both vicunas
# (vicuna_v1.1: one space, </s>; one_shot: "\n### ") and of Alpaca's turns.
EXPECTED = {
    "alpaca": "<s>Be brief.\n\n### Instruction:\nHi\n\n### Response:Hello!</s>"
    "### Instruction:\nMore\n\n### Response:",
    "chatml": "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
    "<|im_start|>assistant\nHello!<|im_end|>\n<|im_start|>user\nMore<|im_end|>\n"
    "<|im_start|>assistant\n",
    "gemma": "<s><start_of_turn>user\nBe brief.\n\nHi<end_of_turn>\n<start_of_turn>model\n"
    "Hello!<end_of_turn>\n<start_of_turn>user\nMore<end_of_turn>\n<start_of_turn>model\n",
    "llama2": "<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\nHi [/INST] Hello! </s>"
    "<s>[INST] More [/INST]",
    "llama3": "<s><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>"
    "<|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\nHello!<|eot_id|>"
    "<|start_header_id|>user<|end_header_id|>\n\nMore<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\n",
    "mistral": "<s>[INST] Be brief.\n\nHi [/INST] Hello!</s>[INST] More [/INST]",
    "phi3": "<|system|>\nBe brief.<|end|>\n<|user|>\nHi<|end|>\n<|assistant|>\nHello!<|end|>\n"
    "<|user|>\nMore<|end|>\n<|assistant|>\n",
    "vicuna": "<s>Be brief. USER: Hi ASSISTANT: Hello!</s>USER: More ASSISTANT:",
    "vicuna-v0": "<s>Be brief.\n### Human: Hi\n### Assistant: Hello!\n### Human: More\n"
    "### Assistant:",
    "zephyr": "<|system|>\nBe brief.</s>\n<|user|>\nHi</s>\n<|assistant|>\nHello!</s>\n"
    "<|user|>\nMore</s>\n<|assistant|>\n",
}
# What the models are told where nobody gives a system prompt; the others are told nothing.
SYSTEM = {
    "alpaca": "Below is an instruction that describes a task. "
    "Write a response that appropriately completes the request.",
    "vicuna": "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions.",
    "vicuna-v0": "A chat between a curious human and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the human's questions.",
}
NOTHING = {
    "chatml": "<|im_start|>system\nBe brief.<|im_end|>\n",
    "gemma": "Be brief.\n\n",
    "llama2": "<<SYS>>\nBe brief.\n<</SYS>>\n\n",
    "llama3": "<|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>",
    "mistral": "Be brief.\n\n",
    "phi3": "<|system|>\nBe brief.<|end|>\n",
    "zephyr": "<|system|>\nBe brief.</s>\n",
}


def vocabulary(*specials: str) -> gk.Tokenizer:
    tokens = ["<unk>", *specials, "a"]
    return gk.Tokenizer.from_metadata(
        {
            "tokenizer.ggml.model": "llama",
            "tokenizer.ggml.tokens": tokens,
            "tokenizer.ggml.token_type": [2, *[3] * len(specials), 1],
            "tokenizer.ggml.scores": [0.0] * len(tokens),
        }
    )


TOKENIZER = vocabulary("<s>", "</s>")


def test_every_template_is_held_to_a_prompt() -> None:
    assert TEMPLATES.keys() == EXPECTED.keys() == SYSTEM.keys() | NOTHING.keys()


@pytest.mark.parametrize("name", EXPECTED)
def test_the_prompt_of_a_conversation(name: str) -> None:
    expected = EXPECTED[name]
    assert chat_text(TALK, TOKENIZER, name) == expected
    bare = expected.replace(NOTHING.get(name, "Be brief."), SYSTEM.get(name, ""), 1)
    assert chat_text(TURNS, TOKENIZER, name) == bare
    done = chat_text(TALK[:3], TOKENIZER, name, add_generation_prompt=False)
    assert expected.startswith(done)
    assert done.rstrip().endswith(
        ("Hello!", "</s>", "<|end|>", "<|eot_id|>", "end_of_turn>", "###", "<|im_end|>")
    )


@pytest.mark.parametrize("name", EXPECTED)
def test_contents_are_parts_or_none(name: str) -> None:
    parts = [{"type": "text", "text": "Hi"}, {"type": "text", "text": "there"}]
    talk = [{"role": "user", "content": parts}, {"role": "assistant", "content": None}]
    assert "Hi\nthere" in chat_text(talk, TOKENIZER, name)


@pytest.mark.parametrize("name", sorted(SYSTEM.keys() | {"llama2", "mistral", "gemma"}))
def test_roles_without_a_place_are_refused(name: str) -> None:
    with pytest.raises(gk.ModelError, match=r"its roles are system \(first\), user and assistant"):
        chat_text([*TURNS, {"role": "tool", "content": "1"}], TOKENIZER, name)


def test_tools_without_a_place_are_refused(golden: Path) -> None:
    with gk.Model(golden / "gguf-v1-f16.bin", context=8) as model:
        with pytest.raises(gk.ArgumentError, match="template 'chatml' has no place for tools"):
            model.chat_prompt(TURNS, template="chatml", tools=[{"name": "f"}])
        ids = model.chat_prompt(TURNS, template="chatml", tools=[])
        text = model.tokenizer.decode(ids, special=True)
        assert text.strip().endswith("<|im_start|>assistant")


def test_a_misspelled_name_is_no_template() -> None:
    with pytest.raises(gk.ArgumentError, match="'vicunna' is neither jinja2 nor one of alpaca"):
        chat_text(TURNS, TOKENIZER, "vicunna")
    assert template_source("{{ 1 }}") == "{{ 1 }}"


@pytest.mark.parametrize("name", EXPECTED)
def test_a_vocabulary_without_special_tokens(name: str) -> None:
    assert "More" in chat_text(TALK, vocabulary(), name)

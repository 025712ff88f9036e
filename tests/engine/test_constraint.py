"""Texts of a form: JSON Schema, regular expressions, grammars; of a model of random weights."""

from __future__ import annotations

import gc
import json
import re
import subprocess
import sys
import time
import weakref
from typing import Any

import jsonschema
import pytest

import ggmlkit as gk
from ggmlkit.engine import constraint
from ggmlkit.engine.llama import Llama
from ggmlkit.engine.model import Model
from ggmlkit.engine.scheduler import Scheduler
from paths import GOLDEN

FILE = GOLDEN / "gguf-v1-f16.bin"
WILD: dict[str, Any] = {"max_tokens": 90, "top_k": 0, "top_p": 1.0, "min_p": 0.0}
OBJECT: dict[str, Any] = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 8}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
SHORT = {"type": "string", "maxLength": 4}
SCHEMAS: list[dict[str, Any]] = [
    {},
    {"type": "null"},
    {"type": "boolean"},
    {"type": "integer"},
    {"type": "integer", "minimum": 3, "maximum": 17},
    {"type": "integer", "exclusiveMinimum": -5, "exclusiveMaximum": 5},
    {"type": "number", "minimum": 0.25, "maximum": 0.75},
    {"type": "number", "maximum": -1.5},
    {"type": "integer", "multipleOf": 7, "minimum": 0, "maximum": 100},
    {"type": "string"},
    {"type": "string", "minLength": 3, "maxLength": 5},
    {"type": "string", "pattern": "^[a-f]{2,4}-[0-9]+$"},
    {"type": "string", "format": "date"},
    {"type": "string", "format": "uuid"},
    {"enum": ["red", "green", 3, None, [1]]},
    {"const": {"a": [1, "x"]}},
    {"type": ["integer", "null"]},
    {"type": "object"},
    OBJECT,
    {"type": "object", "properties": {"a": SHORT, "b": SHORT}, "additionalProperties": False},
    {"type": "object", "additionalProperties": {"type": "boolean"}},
    {"type": "object", "properties": {"in": OBJECT}, "required": ["in"]},
    {"type": "array", "items": {"type": "integer"}, "maxItems": 3},
    {"type": "array", "items": SHORT, "minItems": 2, "maxItems": 2},
    {"type": "array", "prefixItems": [{"type": "null"}, SHORT], "items": False, "minItems": 2},
    {"anyOf": [{"type": "null"}, {"type": "array", "items": {"enum": [1, 2]}, "maxItems": 4}]},
    {"oneOf": [{"type": "null"}, {"type": "boolean"}]},
    {"allOf": [{"type": "integer", "minimum": 2}, {"maximum": 4}]},
    {"$defs": {"n": {"enum": ["x", "y"]}}, "type": "array", "items": {"$ref": "#/$defs/n"}},
    {
        "$defs": {
            "tree": {
                "type": "object",
                "properties": {"of": {"type": "array", "items": {"$ref": "#/$defs/tree"}}},
                "required": ["of"],
                "additionalProperties": False,
            }
        },
        "$ref": "#/$defs/tree",
    },
]


@pytest.fixture(scope="module")
def llama() -> Llama:
    return Llama(FILE, context=256)


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Grammars that are known to be harmless need no process of their own."""
    monkeypatch.setattr(constraint, "_fault", lambda _: "")


def text_of(llama: Llama, **settings: Any) -> tuple[str, str | None]:
    tokens = list(llama.generate_tokens([1, 5, 6], **{**WILD, **settings}))
    return "".join(token.text for token in tokens), tokens[-1].finish_reason


@pytest.mark.usefixtures("unchecked")
def test_documents_are_valid_unless_they_are_cut(llama: Llama) -> None:
    complete = set()
    for i, schema in enumerate(SCHEMAS):
        for seed, temperature in enumerate([1.0, 2.0]):
            text, reason = text_of(llama, json_schema=schema, seed=seed, temperature=temperature)
            if reason == "stop":
                jsonschema.validate(json.loads(text), schema)
                complete.add(i)
    assert len(complete) > len(SCHEMAS) * 3 / 4


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("settings", "pattern"),
    [
        ({"regex": r"(ab|cd){2,4}[0-9]x?"}, r"(ab|cd){2,4}[0-9]x?"),
        ({"regex": r"[a-z]+@[a-z]+\.(de|fr)"}, r"[a-z]+@[a-z]+\.(de|fr)"),
        ({"grammar": 'start: "a" word+ "."\nword: /[b-d]{1,3}/ " "'}, r"a([b-d]{1,3} )+\."),
        (
            {"grammar": 'root ::= item ("," item)*\nitem ::= "yes" | "no"  # either\n'},
            r"(yes|no)(,(yes|no))*",
        ),
    ],
)
def test_texts_match_as_a_whole(llama: Llama, settings: dict[str, Any], pattern: str) -> None:
    complete = 0
    for seed in range(4):
        text, reason = text_of(llama, seed=seed, temperature=1.5, **settings)
        if reason == "stop":
            assert re.fullmatch(pattern, text), text
            complete += 1
    assert complete


@pytest.mark.usefixtures("unchecked")
def test_a_text_that_is_complete_ends_without_an_ending_token(llama: Llama) -> None:
    for settings in ({}, {"ignore_eos": True}, {"logprobs": True}):
        assert text_of(llama, regex="abc", **settings) == ("abc", "stop")
    assert text_of(llama, regex="abc+", ignore_eos=True, max_tokens=9)[1] == "length"


@pytest.mark.usefixtures("unchecked")
def test_forced_tokens_take_no_step(llama: Llama, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[int] = []
    append = Model.append

    def counted(self: Model, sequences: Any, ids: Any, *rest: Any, **named: Any) -> None:
        steps.append(sum(own.size for own in ids))
        append(self, sequences, ids, *rest, **named)

    monkeypatch.setattr(Model, "append", counted)
    forced: dict[str, Any] = {"regex": "yes, and that is all that there is to be said"}
    text, reason = text_of(llama, **forced)
    assert (text, reason) == (forced["regex"], "stop")
    assert len(steps) == 1
    steps.clear()
    # Log-probabilities and settings that choose tokens want each token's logits.
    for settings in ({"logprobs": True}, {"banned_tokens": [7]}, {"logit_bias": {7: 1.0}}):
        tokens = list(llama.generate_tokens([1, 5, 6], **{**WILD, **forced, **settings}))
        assert "".join(token.text for token in tokens) == forced["regex"]
        assert len(steps) == len(tokens)
        steps.clear()
    cut = list(llama.generate_tokens([1, 5, 6], **{**WILD, **forced, "max_tokens": 5}))
    assert len(cut) == 5
    assert cut[-1].finish_reason == "length"


@pytest.mark.usefixtures("unchecked")
def test_other_settings_apply_within_the_grammar(llama: Llama) -> None:
    tokenizer = llama.tokenizer
    a, b = (tokenizer.token_id(f"<0x{ord(letter):02X}>") or 0 for letter in "ab")
    assert text_of(llama, regex="[a-z]{3}", allowed_tokens=[a]) == ("aaa", "stop")
    # Where the text may end, the model's ending token is allowed beside them.
    assert text_of(llama, regex="a?", allowed_tokens=[a])[1] == "stop"
    assert text_of(llama, regex="[ab]{3}", stop="bb", allowed_tokens=[b]) == ("", "stop")
    with pytest.raises(gk.ModelError, match="the settings allow no token"):
        text_of(llama, regex="a", allowed_tokens=[b])


@pytest.mark.usefixtures("unchecked")
def test_a_scheduler_keeps_each_stream_to_its_own_grammar() -> None:
    model = Model(FILE, context=256, contexts=8)
    settings: dict[str, Any] = {**WILD, "temperature": 1.5}
    with Scheduler(model) as scheduler:
        free = scheduler.submit([1, 5, 6], seed=3, **settings)
        bound = [
            scheduler.submit([1, 5, 6], seed=i, json_schema=OBJECT, **settings) for i in range(4)
        ]
        numbers = scheduler.submit([1, 5, 6], regex="[0-9]{5}", **settings)
        lost = scheduler.submit([1, 5, 6], grammar='start: "x" a\na: a "x"', **settings)
        assert re.fullmatch("[0-9]{5}", numbers.text())
        with pytest.raises(gk.ArgumentError, match="grammar"):
            lost.text()
        texts = [[token.id for token in stream] for stream in [free, *bound]]
    llama = Llama(FILE, context=256)
    for i, ids in enumerate(texts):
        form = {"json_schema": OBJECT, "seed": i - 1} if i else {"seed": 3}
        alone = llama.generate_tokens([1, 5, 6], **{**settings, **form})
        assert ids == [token.id for token in alone]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"regex": "(a"}, "^regex: unclosed group$"),
        ({"grammar": "start: word"}, r'^grammar: at 1\(8\): unknown name: "word"$'),
        ({"grammar": "root ::= word"}, "^grammar: Rule 'word' not found$"),
        ({"json_schema": {"type": "text"}}, "^json_schema: Invalid type: text$"),
        ({"json_schema": {"not": {}}}, r'^json_schema: not supported: "not"$'),
        ({"json_schema": "{"}, "^json_schema is not JSON: "),
        ({"json_schema": "[]"}, "^json_schema must be a JSON object, not a list$"),
        ({"json_schema": {"const": {1}}}, "^json_schema can't be written as JSON: "),
        ({"json_schema": 3}, "^json_schema must be a mapping or JSON, not 3$"),
        ({"regex": b"a"}, "^regex must be a str, not bytes b'a'; decode it first$"),
        ({"regex": "a", "json_schema": {}}, "^give json_schema or regex, not both at once$"),
        ({"regex": "a" * 17000}, "^regex has 17000 characters; 16384 is the most$"),
        ({"grammar": "a: b\n" * 501}, "^grammar has more than 500 rules"),
        ({"grammar": "start: " + "(" * 30000}, "too deeply nested"),
        ({"grammar": "root ::= " + "(" * 30000}, "^grammar: it is nested too deeply$"),
        ({"json_schema": '{"items":' * 900 + "{}" + "}" * 900}, "recursion limit|too deep"),
    ],
    ids=lambda value: None if isinstance(value, str) else "-".join(value),
)
def test_a_fault_is_said_at_once(llama: Llama, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(gk.ArgumentError, match=said) as error:
        llama.generate("a", **settings)
    assert "\n" not in str(error.value)


def test_a_form_that_no_text_has_is_refused(llama: Llama) -> None:
    with pytest.raises(gk.ArgumentError, match=r"^json_schema: no text can begin as it wants"):
        llama.generate("a", json_schema={"$ref": "#"}, max_tokens=3)


def test_what_would_be_read_for_ever_is_given_up(
    llama: Llama, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constraint, "_SECONDS", 0.8)
    parts = [{"type": "string", "pattern": "a.{%d}b" % i} for i in range(10, 60)]  # noqa: UP031
    start = time.perf_counter()
    with pytest.raises(gk.ArgumentError, match="json_schema is too complex: reading it takes"):
        llama.generate("a", json_schema={"allOf": parts})
    assert time.perf_counter() - start < 10


def test_what_was_given_up_is_read_again_when_asked_again(
    llama: Llama, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(constraint, "_SECONDS", 0.001)
        with pytest.raises(gk.ArgumentError, match="takes too long"):
            llama.generate("a", regex="again")
    assert text_of(llama, regex="again") == ("again", "stop")


def test_a_long_chain_of_references_does_not_end_the_process(llama: Llama) -> None:
    steps: dict[str, Any] = {
        f"d{i}": {"type": "array", "items": {"$ref": f"#/$defs/d{i + 1}"}} for i in range(3000)
    }
    schema = {"$defs": {**steps, "d3000": {"type": "null"}}, "$ref": "#/$defs/d0"}
    assert "".join(llama.generate([5], json_schema=schema, max_tokens=3)).strip().startswith("[")


@pytest.mark.usefixtures("unchecked")
def test_a_vocabulary_is_prepared_once_and_let_go() -> None:
    llama = Llama(FILE, context=64)
    kept = weakref.ref(llama.tokenizer)
    prepared = []
    for text in ("a", "b"):
        assert text_of(llama, regex=text) == (text, "stop")
        prepared.append(constraint._tokenizers[llama.tokenizer])
    assert prepared[0] is prepared[1]
    llama.close()
    del llama
    gc.collect()
    assert kept() is None


def test_without_llguidance_the_extra_is_named() -> None:
    code = (
        "import sys, ggmlkit as gk; gk.Llama; assert 'llguidance' not in sys.modules\n"
        "sys.modules['llguidance'] = None\n"
        "gk.Llama(sys.argv[1]).generate('a', regex='a')"
    )
    done = subprocess.run([sys.executable, "-c", code, FILE], capture_output=True, text=True)
    assert 'pip install ".[grammar]"' in done.stderr

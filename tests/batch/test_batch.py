"""Lines of prompts in, lines of answers out: what they say, their order, what fails."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import ggmlkit as gk
from ggmlkit.batch import batch as module
from ggmlkit.batch.batch import Answer, Batch
from ggmlkit.batch.lines import Line, read_lines
from ggmlkit.engine.model import Model
from ggmlkit.text.named_templates import NamedTemplate

SETTINGS: dict[str, Any] = {"max_tokens": 6, "temperature": 1.0, "seed": 5, "ignore_eos": True}


@pytest.fixture(scope="module")
def model(chat_gguf: Path) -> Model:
    return Model(chat_gguf, context=128, contexts=4)


@pytest.fixture(scope="module")
def batch(model: Model) -> Iterator[Batch]:
    with Batch(model, SETTINGS, parallel=4) as found:
        yield found


def lines_of(*lines: object) -> Iterator[Line]:
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    return read_lines(io.BytesIO("\n".join(texts).encode()))


def answers(batch: Batch, *lines: object) -> list[dict[str, Any]]:
    return [json.loads(answer.data) for answer in batch.answers(lines_of(*lines))]


def test_each_line_has_the_answer_that_generate_gives(batch: Batch, chat_gguf: Path) -> None:
    llama = gk.Llama(chat_gguf, context=128)
    asked: list[dict[str, Any]] = [
        {"prompt": "Hello", "id": "a"},
        {"prompt": [1, 5, 6], "max_tokens": 3, "id": 7},
        {"prompt": "Hello", "seed": 9, "temperature": 1.5, "logit_bias": {"66": -100}},
        {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 9},
    ]
    found = answers(batch, *asked)
    assert [each["id"] for each in found] == ["a", 7, 3, 4]
    wanted = [
        llama.complete("Hello", **SETTINGS),
        llama.complete([1, 5, 6], **{**SETTINGS, "max_tokens": 3}),
        llama.complete(
            "Hello", **{**SETTINGS, "seed": 9, "temperature": 1.5, "logit_bias": {66: -100}}
        ),
        llama.chat_complete(asked[3]["messages"], **{**SETTINGS, "max_tokens": 9}),
    ]
    for one, other in zip(found, wanted, strict=True):
        assert one["text"] == other.text
        assert one["finish_reason"] == other.finish_reason == "length"
        assert one["usage"]["prompt_tokens"] == other.usage.prompt_tokens
        assert one["usage"]["completion_tokens"] == len(other.tokens)
        assert "error" not in one
        assert "tokens" not in one


def test_log_probabilities_are_given_where_they_are_asked_for(batch: Batch) -> None:
    (found,) = answers(batch, {"prompt": "Hello", "logprobs": True, "top_logprobs": 2})
    assert len(found["tokens"]) == 6
    for token in found["tokens"]:
        assert -9999 <= token["logprob"] <= 0
        assert len(token["top_logprobs"]) == 2
        assert token["top_logprobs"][0]["logprob"] >= token["top_logprobs"][1]["logprob"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"é": }', "the line is not JSON at byte 7: Expecting value"),
        ('{"prompt": "a", "id": NaN}', "the line is not JSON: NaN is not a finite number"),
        ('{"prompt": "a", "id": -1e999}', "the line is not JSON: -1e999 is not a finite number"),
        ('{"prompt": ' + "9" * 5000 + "}", "the line is not JSON: a number has too many digits"),
        (
            '{"prompt": "a", "prompt": "b"}',
            "a key is there twice in one object",
        ),
        ("[1]", "the line must be a JSON object, not a list"),
        ("[" * 100_000, "the line is JSON that is nested too deeply"),
        ({"id": "x"}, "a line must have either prompt or messages"),
        ({"prompt": "a", "messages": []}, "a line must have either prompt or messages"),
        ({"messages": []}, "there are no messages to answer"),
        ({"messages": [{"role": "user"}]}, "messages[0] has no content"),
        ({"prompt": ""}, None),
        ({"prompt": {"a": 1}}, "prompt must be a str or token ids, not a dict"),
        ({"prompt": "a", "tools": [{}]}, "tools goes with messages, not with prompt"),
        ({"prompt": "a", "temprature": 1}, "no setting 'temprature'; did you mean 'temperature'"),
        ({"prompt": "a", "temperature": "hot"}, "temperature must be a number, not 'hot'"),
        ({"prompt": "a", "temperature": -1}, "temperature must be at least 0, not -1"),
        ({"prompt": "a", "logits_processor": "x"}, "there is no setting 'logits_processor'"),
        ({"prompt": "a", "logit_bias": {"x": 1}}, "a key of logit_bias must be a token's id"),
        ({"prompt": "a", "json_schema": {"type": "x"}}, "json_schema: Invalid type: x"),
        ({"prompt": "a" * 500}, "does not fit the context of 128"),
        ({"prompt": [10**9]}, "token 1000000000 is not in the vocabulary"),
        ({"messages": "hi"}, "messages must be a list of mappings"),
        (
            {"messages": [{"role": "user", "content": "a"}], "chat_template_kwargs": {"tools": 1}},
            "chat_template_kwargs can't set 'tools'",
        ),
    ],
    ids=lambda _: None,
)
def test_a_line_at_fault_is_answered_with_why(batch: Batch, line: object, said: str | None) -> None:
    before, found, after = answers(batch, {"prompt": "a"}, line, {"prompt": "b"})
    assert before["text"]
    assert after["text"]
    if said is not None:
        assert said in found["error"]
        assert found.keys() == {"fingerprint", "id", "error"}
        assert "\n" not in found["error"]


def test_an_error_of_a_stream_is_that_of_its_line(batch: Batch) -> None:
    one, two = answers(
        batch,
        {"prompt": "a", "grammar": 'start: a\na: a "x"', "id": 0},
        {"prompt": "a", "regex": "[0-9]{4}", "max_tokens": None},
    )
    assert "grammar" in one["error"]
    assert two["text"].isdigit()


def test_answers_are_in_order_and_few_lines_are_read_ahead(
    batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LINES_HELD", 4)
    read = 0

    def source() -> Iterator[Line]:
        nonlocal read
        for line in lines_of(*({"prompt": "a", "max_tokens": 40 - i % 40} for i in range(80))):
            read += 1
            yield line

    most_ahead = 0
    for place, answer in enumerate(batch.answers(source()), 1):
        assert answer.line.number == place
        assert json.loads(answer.data)["id"] == place
        assert answer.tokens == 41 - (place - 1) % 40 - 1
        most_ahead = max(most_ahead, read - place)
    assert read == 80
    assert 4 < most_ahead <= 16


def test_what_is_held_has_a_limit_in_tokens(batch: Batch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_TOKENS_HELD", 100)
    read = []
    lines = lines_of(*({"prompt": "a" * 60, "max_tokens": 2} for _ in range(20)))
    for answer in batch.answers(read.append(line.number) or line for line in lines):  # type: ignore[func-returns-value]
        assert len(read) - answer.line.number <= 2


def test_answers_that_nobody_takes_are_given_up(batch: Batch) -> None:
    taken = batch.answers(lines_of(*({"prompt": "a", "max_tokens": 100} for _ in range(9))))
    assert isinstance(next(taken), Answer)
    taken.close()  # type: ignore[attr-defined]
    (found,) = answers(batch, {"prompt": "b"})
    assert found["text"]


def test_the_fingerprint_is_of_line_settings_and_model(model: Model, chat_gguf: Path) -> None:
    def fingerprint(line: object = "Hi", settings: object = SETTINGS, **more: Any) -> str:
        own = more.pop("model", model)
        with Batch(own, settings, **more) as batch:  # type: ignore[arg-type]
            return batch.fingerprint(next(lines_of({"prompt": line})))

    same = fingerprint()
    assert fingerprint(parallel=2) == same
    assert fingerprint(model=Model(chat_gguf, context=128, threads=1)) == same
    others = [
        fingerprint("Ho"),
        fingerprint(settings={**SETTINGS, "seed": 6}),
        fingerprint(template=NamedTemplate("{{ 1 }}")),
        fingerprint(variables={"a": 1}),
        fingerprint(model=Model(chat_gguf, context=96)),
        fingerprint(model=Model(chat_gguf, context=128, kv_type="q8_0")),
    ]
    assert len({same, *others}) == 7


def test_a_template_s_own_stop_strings_end_answers(model: Model) -> None:
    messages = [{"role": "user", "content": "Hi"}]
    template = NamedTemplate("{{ messages[0].content }}", stop=("b", "c"))
    form = {"regex": "a{3}b", "stop": "x", "max_tokens": 9}
    with Batch(model, template=template) as batch:
        chat, plain = answers(batch, {"messages": messages, **form}, {"prompt": "Hi", **form})
    assert (chat["text"], plain["text"]) == ("aaa", "aaab")


def test_half_a_surrogate_pair_is_no_defect(batch: Batch) -> None:
    (found,) = answers(batch, '{"prompt": "a\\ud800", "id": "\\ud800"}')
    assert found["id"] == "\ud800"
    assert found["text"]


def test_settings_of_the_batch_are_refused_at_once(model: Model) -> None:
    with pytest.raises(gk.ArgumentError, match="top_p"):
        Batch(model, {"top_p": 2})
    with pytest.raises(gk.ArgumentError, match="parallel must be at least 1"):
        Batch(model, parallel=0)


def test_a_form_of_the_line_replaces_that_of_the_batch(model: Model) -> None:
    with Batch(model, {"regex": "a", "max_tokens": 4}) as batch:
        one, two, three = answers(
            batch,
            {"prompt": "x"},
            {"prompt": "x", "json_schema": {"const": 7}},
            {"prompt": "x", "regex": None, "allowed_tokens": [66], "max_tokens": 2},
        )
    assert (one["text"], two["text"].strip(), len(three["text"])) == ("a", "7", 2)

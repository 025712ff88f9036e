"""Right endings, beside sums of log-probabilities written out; lines of questions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ggmlkit as gk
from ggmlkit.engine.model import Model
from ggmlkit.evaluation.choice_lines import Question, read_questions
from ggmlkit.evaluation.choosing import multiple_choice
from ggmlkit.evaluation.continuations import Pair, continuations, pair_of

QUESTIONS = [
    Question("ab cd", ("ef", "a much longer ending", "g"), 1),
    Question("dc, ba", ("aa", "bb", "cc", "dd"), 3),
    Question("abc", ("fed", "cab"), 0),
]


@pytest.fixture(scope="module")
def llama(base: Path) -> gk.Llama:
    return gk.Llama(base, context=128, sequences=2, threads=1)


def sums(llama: gk.Llama, context: str, ending: str) -> tuple[float, bool]:
    """The sum of an ending's log-probabilities, and whether all are the highest."""
    before = llama.tokenizer.encode(context)
    ids = llama.tokenizer.encode(f"{context} {ending}")
    logits = llama.logits(ids).astype(np.float64)
    log_probs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    places = range(len(before) - 1, len(ids) - 1)
    total = sum(log_probs[place, ids[place + 1]] for place in places)
    return float(total), all(log_probs[place].argmax() == ids[place + 1] for place in places)


def test_endings_are_chosen_as_lm_eval_does(base: Path, llama: gk.Llama) -> None:
    right = by_length = 0
    chosen = []
    for question in QUESTIONS:
        found = np.array([sums(llama, question.context, each)[0] for each in question.endings])
        lengths = np.array([len(each) for each in question.endings])
        right += int(found.argmax() == question.label)
        by_length += int((found / lengths).argmax() == question.label)
        chosen.append(int((found / lengths).argmax()))
    told: list[int] = []
    got = multiple_choice(base, QUESTIONS, progress=lambda done, *_: told.append(done))
    assert got.questions == 3
    assert got.acc.value == pytest.approx(right / 3)
    assert got.acc_norm.value == pytest.approx(by_length / 3)
    assert list(got.chosen) == chosen
    assert told == [1, 2, 3]
    total = [sums(llama, each.context, each.endings[each.label])[0] for each in QUESTIONS]
    tokens = [
        len(llama.tokenizer.encode(f"{q.context} {q.endings[q.label]}"))
        - len(llama.tokenizer.encode(q.context))
        for q in QUESTIONS
    ]
    assert got.perplexity.value == pytest.approx(np.exp(-sum(total) / sum(tokens)), rel=1e-3)


def test_one_ending_is_to_be_found_token_by_token(llama: gk.Llama) -> None:
    context, said = "ab cd", ""
    ids = llama.tokenizer.encode(context + " ")
    for _ in range(3):
        ids.append(int(llama.logits(ids)[-1].argmax()))
    said = llama.tokenizer.decode(ids).removeprefix(context + " ")
    questions = [Question(context, (said or "x",), 0), Question(context, ("zzz",), 0)]
    expected = [sums(llama, context, each.endings[0])[1] for each in questions]
    found = multiple_choice(llama.model, questions)
    assert found.acc.value == found.acc_norm.value == np.mean(expected)
    assert found.chosen == tuple(0 if each else -1 for each in expected)


def test_white_space_at_the_end_belongs_to_what_follows(llama: gk.Llama) -> None:
    tokenizer = llama.tokenizer
    assert pair_of(tokenizer, "ab  ", "cd") == pair_of(tokenizer, "ab", "  cd")
    pair = pair_of(tokenizer, "", "cd")
    assert pair.context == (tokenizer.bos_id,)
    assert pair.ids[1:] == tokenizer.encode("cd", add_special=False)
    with pytest.raises(gk.ArgumentError, match="has no tokens of its own"):
        pair_of(tokenizer, "ab", "")


def test_shared_contexts_and_single_ones_give_the_same(llama: gk.Llama) -> None:
    pairs = [pair_of(llama.tokenizer, "some context", each) for each in (" a", " bc", " some")]
    together = list(continuations(llama.model, pairs))
    alone = [next(continuations(llama.model, [pair])) for pair in pairs]
    assert [each.tokens for each in together] == [len(pair.continuation) for pair in pairs]
    for one, other in zip(together, alone, strict=True):
        assert one.logprob == pytest.approx(other.logprob, abs=5e-3)


def test_long_contexts_lose_their_beginning(base: Path, llama: gk.Llama) -> None:
    ids = tuple(llama.tokenizer.encode("abcdefgh" * 4))
    with Model(base, context=16, contexts=2, threads=1) as model:
        (cut,) = continuations(model, [Pair(ids[:-2], ids[-2:])])
        (same,) = continuations(model, [Pair(ids[-17:-2], ids[-2:])])
        assert cut == same
        with pytest.raises(gk.ModelError, match="a continuation of 17 tokens does not fit"):
            next(continuations(model, [Pair(ids[:1], ids[:17])]))


# ------------------------------------------------------------------------------ lines


def written(folder: Path, *lines: Any) -> Path:
    path = folder / "questions.jsonl"
    path.write_text("\n".join(json.dumps(line) for line in lines))
    return path


def test_lines_of_hellaswag(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        {"ctx": "A man", "endings": ["sits.", "eats."], "label": 1},
        {"ctx": "The", "endings": ["word"]},
        {
            "activity_label": "Roof [x] work", "ctx_a": "[header] How [title] Go", "ctx_b": "he IS",
            "endings": [" on [substeps]  it. ", "b"], "label": "0",
        },
    )  # fmt: skip
    assert read_questions(path) == [
        Question("A man", ("sits.", "eats."), 1),
        Question("The", ("word",), 0),
        Question("Roof work: How. Go He is", ("on  it.", "b"), 0),
    ]
    assert len(read_questions(path, 1)) == 1


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2: it is not JSON"),
        ("[" * 100_000, "line 2: "),
        ("5", "line 2: it must be an object, not 5"),
        ('{"ctx": "a", "label": 0}', "'endings' must be a list of texts"),
        ('{"ctx": "a", "endings": ["", "b"], "label": 0}', "'endings' must be a list of texts"),
        ('{"endings": ["a", "b"], "label": 0}', "'ctx' must be a text that is not empty"),
        ('{"ctx": "a", "endings": ["a", "b"]}', "'label' must be the place of one of 2 endings"),
        ('{"ctx": "a", "endings": ["a", "b"], "label": 2}', "of one of 2 endings, not 2"),
        ('{"ctx": "a", "endings": ["a", "b"], "label": true}', "of one of 2 endings, not True"),
        ('{"ctx": "a", "endings": ["a", "b"], "label": ""}', "of one of 2 endings, not ''"),
        ('{"ctx": "a", "endings": ["[a]", "b"], "label": 0, "activity_label": "x"}', "brackets"),
        ('{"ctx": "a", "endings": ["a", "b"], "label": 0, "activity_label": 5}', "not 5"),
    ],
)
def test_lines_of_another_shape(tmp_path: Path, line: str, message: str) -> None:
    path = written(tmp_path, {"ctx": "A", "endings": ["b"]})
    path.write_text(path.read_text() + "\n" + line + "\n")
    with pytest.raises(gk.FormatError, match=message) as caught:
        read_questions(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("data", "message"), [(b"", "no questions"), (b"\n \n", "no questions"), (b"\xff", "not UTF-8")]
)
def test_files_without_lines(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "questions"
    path.write_bytes(data)
    with pytest.raises(gk.FormatError, match=message):
        multiple_choice("no-model", path)


def test_no_questions(base: Path) -> None:
    with pytest.raises(gk.ArgumentError, match="there are no questions"):
        multiple_choice(base, [])

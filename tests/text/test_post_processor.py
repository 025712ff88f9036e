"""Post-processors: the same tokens around a text as the tokenizers library's."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from ggmlkit.text.joining.post_processor import tokens_around

TEXT = 999_999
Around = tuple[tuple[int, ...], tuple[int, ...]]


def special(name: str) -> dict[str, Any]:
    return {"SpecialToken": {"id": name, "type_id": 0}}


def sequence(name: str = "A") -> dict[str, Any]:
    return {"Sequence": {"id": name, "type_id": 0}}


def template(*single: dict[str, Any], **ids: list[int]) -> dict[str, Any]:
    return {
        "type": "TemplateProcessing",
        "single": list(single),
        "pair": [sequence(), sequence("B")],
        "special_tokens": {
            name: {"id": name, "ids": several, "tokens": [name] * len(several)}
            for name, several in ids.items()
        },
    }


def fixed(kind: str, cls: int = 1, sep: int = 2) -> dict[str, Any]:
    more = {"trim_offsets": True, "add_prefix_space": False} if kind == "Roberta" else {}
    return {"type": f"{kind}Processing", "cls": ["<s>", cls], "sep": ["</s>", sep], **more}


def several(*members: dict[str, Any]) -> dict[str, Any]:
    return {"type": "Sequence", "processors": list(members)}


LEVEL = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True}


BEFORE = template(special("b"), sequence(), b=[3])


def theirs(post_processor: dict[str, Any] | None) -> Around | None:
    """The library's tokens around a text of one token; None if that doesn't occur exactly once."""
    import tokenizers

    blank = json.loads(tokenizers.Tokenizer(tokenizers.models.BPE()).to_str())
    blank["model"] = {"type": "WordLevel", "vocab": {"x": TEXT}, "unk_token": "x"}
    blank["post_processor"] = post_processor
    ids = tokenizers.Tokenizer.from_str(json.dumps(blank)).encode("x").ids
    if ids.count(TEXT) != 1:
        return None
    return tuple(ids[: ids.index(TEXT)]), tuple(ids[ids.index(TEXT) + 1 :])


@pytest.mark.parametrize(
    ("post_processor", "expected"),
    [
        (None, ((), ())),
        (LEVEL, ((), ())),
        (template(special("b"), special("c"), sequence(), b=[1], c=[5]), ((1, 5), ())),
        (template(special("b"), sequence(), special("b"), b=[7, 8]), ((7, 8), (7, 8))),
        (template(special("b"), sequence(), b=[]), ((), ())),
        (fixed("Roberta"), ((1,), (2,))),
        (fixed("Bert"), ((1,), (2,))),
        (several(), ((), ())),
        (several(LEVEL, template(special("b"), sequence(), b=[3])), ((3,), ())),
        (several(several(several(LEVEL, fixed("Bert")))), ((1,), (2,))),
        (several(fixed("Roberta"), BEFORE), ((3, 1), (2,))),
        (several(BEFORE, fixed("Roberta")), ((1, 3, 2, 2), (2,))),
        (several(BEFORE, fixed("Bert")), ((1, 3, 2), (2,))),
        (template(special("b"), b=[3]), None),
        (template(sequence(), special("b"), sequence(), b=[3]), None),
    ],
)
def test_tokens_around_a_text_are_the_librarys(
    post_processor: dict[str, Any] | None, expected: Around | None
) -> None:
    assert tokens_around(post_processor) == expected
    assert theirs(post_processor) == expected


def test_random_post_processors_work_as_in_the_library() -> None:
    chance = random.Random(1)

    def one(depth: int) -> dict[str, Any]:
        kind = chance.randrange(5 if depth < 3 else 4)
        if kind == 0:
            return LEVEL
        if kind == 1:
            return fixed(chance.choice(["Bert", "Roberta"]), chance.randrange(9))
        if kind == 4:
            return several(*(one(depth + 1) for _ in range(chance.randrange(3))))
        before, after = (
            [special(chance.choice("bc")) for _ in range(chance.randrange(3))] for _ in range(2)
        )
        ids = {name: [chance.randrange(20)] * chance.randrange(3) for name in "bc"}
        return template(*before, sequence(), *after, **ids)

    checked = 0
    while checked < 300:
        made = one(0)
        ours = tokens_around(made)
        if ours is not None:  # some others make the library panic
            assert ours == theirs(made), made
            checked += 1


DEEP: dict[str, Any] = LEVEL
for _ in range(100_000):
    DEEP = several(DEEP)


def test_deep_nesting_is_allowed() -> None:
    assert tokens_around(DEEP) == ((), ())


@pytest.mark.parametrize(
    "junk",
    [
        1,
        "x",
        [],
        {},
        {"type": ["ByteLevel"]},
        {"type": "Martian"},
        {"type": "Sequence"},
        {"type": "Sequence", "processors": {}},
        {"type": "Sequence", "processors": [1]},
        {"type": "BertProcessing"},
        {**fixed("Bert"), "cls": 1},
        {**fixed("Bert"), "cls": ["a"]},
        {**fixed("Bert"), "cls": ["a", True]},
        {**fixed("Bert"), "cls": ["a", 1.0]},
        {**fixed("Bert"), "cls": ["a", -1]},
        {**fixed("Bert"), "cls": ["a", 2**32]},
        {"type": "TemplateProcessing", "single": "$A"},
        template(1),  # type: ignore[arg-type]
        template({}),
        template({"Martian": {}}),
        template(sequence("B")),
        template(special("unknown"), sequence()),
        {**template(special("b"), sequence()), "special_tokens": []},
        template(special("b"), sequence(), b=list(range(2000))),
        template(*[special("b")] * 200, sequence(), b=list(range(200))),
        several(*[fixed("Bert")] * 2000),
    ],
)
def test_invalid_post_processors_give_none(junk: object) -> None:
    assert tokens_around(junk) is None

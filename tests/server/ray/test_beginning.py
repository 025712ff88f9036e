"""Which requests begin alike, and which replica they belong to."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from ggmlkit.errors import ArgumentError
from ggmlkit.server.ray.beginning import LENGTH, beginning_of
from ggmlkit.server.ray.plan import plan_of, replicas_of
from ggmlkit.server.ray.ring import Ring

CHAT = "/v1/chat/completions"


def chat(*messages: tuple[str, Any], **more: Any) -> str:
    found = [{"role": role, "content": content} for role, content in messages]
    return beginning_of(CHAT, json.dumps({"messages": found, **more}).encode())


def test_turns_of_a_conversation_begin_alike() -> None:
    first = chat(("system", "s"), ("user", "hi"))
    assert first == chat(("system", "s"), ("user", "hi"), ("assistant", "yes"), ("user", "more"))
    assert first == chat(("system", "s"), ("user", [{"type": "text", "text": "hi"}]))
    assert first != chat(("system", "s"), ("user", "other"))
    assert first != chat(("system", "s"), ("user", "hi"), model="other")


def test_long_beginnings_are_what_counts() -> None:
    long = "x" * LENGTH
    assert chat(("system", long), ("user", "a")) == chat(("system", long), ("user", "b"))
    bodies = [json.dumps({"prompt": long + end}).encode() for end in "ab"]
    assert len({beginning_of("/v1/completions", body) for body in bodies}) == 1
    ids = [json.dumps({"prompt": [1, 2, n]}).encode() for n in (3, 4)]
    assert len({beginning_of("/v1/completions", body) for body in ids}) == 2


@pytest.mark.parametrize(
    "body",
    [
        b"", b"\xff", b"[" * 100_000, b"1", b"{}", b'{"messages": 1}', b'{"messages": [1, null]}',
        b'{"prompt": {"a": 1}}', b'{"messages": [{"content": 5}]}', b"1" * 5000,
    ],
)  # fmt: skip
def test_other_bodies_are_left_to_the_endpoint(body: bytes) -> None:
    assert beginning_of(CHAT, body) in ("", f"{CHAT}\0\0\0")


def test_half_a_surrogate_pair_has_a_place() -> None:
    assert Ring(["a", "b"]).member(chat(("user", "\ud800"))) in ("a", "b")


def test_a_ring_is_fair_and_moves_little() -> None:
    names = [f"replica {n}" for n in range(10)]
    before, after = Ring(names), Ring(reversed(names[:-1]))
    texts = [f"text {n}" for n in range(5000)]
    places = {text: before.member(text) for text in texts}
    assert min(Counter(places.values()).values()) > 250
    moved = {places[text] for text in texts if after.member(text) != places[text]}
    assert moved == {names[-1]}
    assert Ring(()).member("text") is None


def test_groups_grow_with_the_distance_and_keep_their_places() -> None:
    names = [f"replica {n}" for n in range(20)]
    ring = Ring(names)
    home, near, *others = ring.groups("text", 99)
    assert home == [ring.member("text")]
    assert [len(group) for group in (near, *others)] == [3, 12, 4]
    assert {*home, *near, *others[0], *others[1]} == set(names)
    assert [len(group) for group in ring.groups("text", 2)] == [1, 2, 2, 2]
    less = Ring([name for name in names if name not in others[-1]])
    assert list(map(set, less.groups("text", 99)))[:2] == [set(home), set(near)]
    assert list(Ring(()).groups("text", 4)) == []
    assert list(Ring(("a",)).groups("text", 4)) == [["a"]]


def test_replicas() -> None:
    assert (replicas_of("3"), replicas_of("2-16")) == ((3, 3), (2, 16))
    for wrong in ("", "0", "3-2", "-2", "1-", "1-x", "1.5", "9" * 9, "²"):
        with pytest.raises(ArgumentError, match="replicas must be"):
            replicas_of(wrong)


def test_words_of_serve_run() -> None:
    plan = plan_of({"model": "/a/tiny.gguf", "replicas": "1-4", "threads": 2, "max_waiting": "0"})
    assert (plan.fewest, plan.most, plan.cores) == (1, 4, 2)
    assert plan.settings.models[0].name == "tiny"
    assert plan.settings.limits.waiting == 0
    with pytest.raises(ArgumentError, match="did you mean"):
        plan_of({"model": "a", "replica": 1})
    with pytest.raises(ArgumentError, match="model is missing"):
        plan_of({})
    with pytest.raises(ArgumentError, match="threads must be a whole number of at least 1"):
        plan_of({"model": "a", "threads": "x"})

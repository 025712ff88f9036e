"""Documents of schemas of real programs: each is valid, or was cut.

`make schemas` does it with a real model, for all of them.
"""

from __future__ import annotations

import json
from collections import Counter

import pytest

import ggmlkit as gk
import json_schemas
from ggmlkit.engine import constraint
from paths import GOLDEN


@pytest.fixture(autouse=True)
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """These are read in milliseconds: none needs a process of its own."""
    monkeypatch.setattr(constraint, "_fault", lambda _: "")


def test_documents_of_a_model_of_random_weights() -> None:
    every = json_schemas.schemas()
    assert len(every) == 400
    short = {name: schema for name, schema in every.items() if len(json.dumps(schema)) < 4000}
    sample = {name: short[name] for name in list(short)[::3]}
    model = gk.Model(GOLDEN / "gguf-v1-f16.bin", context=512, contexts=16)
    closers = {model.tokenizer.token_id(f"<0x{ord(letter):02X}>"): 4.0 for letter in '"]}'}
    found = list(
        json_schemas.outcomes(
            model, sample, max_tokens=220, chat=False, top_k=0, top_p=1.0, min_p=0.0,
            logit_bias=closers,
        )
    )  # fmt: skip
    wrong = [each for each in found if each.kind in ("invalid", "failed")]
    assert wrong == []
    counts = Counter(each.kind for each in found)
    assert counts["valid"] > len(sample) / 2
    assert counts["refused"] < len(sample) / 5
    for each in found:
        if each.kind == "refused":
            assert each.said.startswith("json_schema: ")
            assert "\n" not in each.said


def test_a_wrong_document_is_found_out() -> None:
    schema = {"properties": {"a": {"type": "string", "format": "date"}}, "required": ["a"]}
    assert json_schemas.fault('{"a": "2020-02-29"}', schema) == ""
    assert json_schemas.fault('{"a": "2021-02-29"}', schema).startswith("'2021-02-29' is not a")
    assert "required" in json_schemas.fault("{}", schema)
    assert "not JSON" in json_schemas.fault("{", schema)


def test_the_table_counts_each_set() -> None:
    found = [json_schemas.Outcome("a/1", "valid"), json_schemas.Outcome("b/1", "cut")]
    assert json_schemas.table(found).splitlines()[2:] == [
        "| a | 1 | 0 | 0 | 0 | 0 |",
        "| b | 0 | 1 | 0 | 0 | 0 |",
        "| all | 1 | 1 | 0 | 0 | 0 |",
    ]

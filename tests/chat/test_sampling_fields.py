"""Fields of requests become the settings of the engine."""

from __future__ import annotations

from math import inf
from typing import Any

import pytest

from decoder_models import fresh
from ggmlkit.chat.errors import RequestError
from ggmlkit.chat.sampling_fields import (
    SamplingFields,
    logit_biases,
    samplers_of,
    sampling_params,
    settings_of,
)
from ggmlkit.engine.sampling import SAMPLERS

TOKENIZER = fresh().tokenizer


def settings(**fields: Any) -> dict[str, Any]:
    return settings_of(SamplingFields.model_validate(fields), TOKENIZER)


def test_nothing_leaves_the_defaults() -> None:
    assert settings() == {}
    assert settings(temperature=None, seed=None, stop=None) == {}
    sampling_params(settings())


@pytest.mark.parametrize(
    ("field", "given", "meant"),
    [
        ("temperature", 0.5, 0.5),
        ("temperature", 1, 1),
        ("top_p", 0.0, 1e-6),
        ("top_k", -1, 0),
        ("top_k", 5, 5),
        ("top_n_sigma", -1.0, 0.0),
        ("seed", -1, None),
        ("seed", -5, -5),
        ("repeat_last_n", -1, -1),
        ("dry_base", 0.5, 1.0),
        ("dry_sequence_breakers", ["a"], ["a"]),
        ("xtc_threshold", 0.0, 1e-6),
        ("ignore_eos", True, True),
        ("grammar", "", None),
        ("min_keep", 2, 2),
    ],
)
def test_each_goes_to_its_setting(field: str, given: Any, meant: Any) -> None:
    found = settings(**{field: given})
    assert found[field] == meant
    sampling_params(found)


def test_every_other_field_is_a_setting() -> None:
    apart = {"stop", "logit_bias", "samplers", "n_probs", "n_keep", "cache_prompt"}
    given: dict[str, Any] = dict.fromkeys(SamplingFields.model_fields.keys() - apart, 1)
    given |= {
        "ignore_eos": False,
        "context_shift": True,
        "dry_sequence_breakers": [],
        "dry_base": 1.0,
    }
    given |= {"grammar": "g", "regex": "r", "json_schema": {}}
    assert settings(**given).keys() - {"stop"} == given.keys()


def test_probabilities_of_llama_server() -> None:
    assert settings(n_probs=3) == {"logprobs": True, "top_logprobs": 3}
    assert "logprobs" not in settings(n_probs=0)


def test_biases_in_all_their_forms() -> None:
    (a,) = TOKENIZER.encode("a", add_special=False)[-1:]
    assert logit_biases({"15": -100}, TOKENIZER) == {15: -100.0}
    assert logit_biases([[15, 1.5], [16, False]], TOKENIZER) == {15: 1.5, 16: -inf}
    assert logit_biases([["a", 2]], TOKENIZER)[a] == 2.0
    assert logit_biases({"a": False}, TOKENIZER)[a] == -inf
    for wrong in ([[15, True]], [[True, 1]], [[-1, 1]], [[1.5, 1]], [[15]], {"15": "x"}):
        with pytest.raises(RequestError):
            logit_biases(wrong, TOKENIZER)  # type: ignore[arg-type]


def test_samplers_by_name_and_letter() -> None:
    assert samplers_of(["top_k", "typ_p", "temp", "nothing", "top_k"]) == [
        "top_k",
        "typical_p",
        "temperature",
    ]
    assert samplers_of("kpt?") == ["top_k", "top_p", "temperature"]
    assert sorted(samplers_of("edskypmxt")) == sorted(SAMPLERS)


def test_a_setting_that_the_engine_refuses_is_named() -> None:
    with pytest.raises(RequestError) as error:
        sampling_params({"temperature": inf})
    assert error.value.param == "temperature"

"""lm-eval's model, with a stand-in for lm-eval; `make clients` runs the real one."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

import ggmlkit as gk
from ggmlkit.evaluation.continuations import continuations, pair_of

REGISTERED: dict[str, type] = {}


class LM:
    """What lm-eval's base class has, as far as models use it."""

    def __init__(self) -> None:
        self.cached: list[tuple[str, Any, Any]] = []
        self.cache_hook = SimpleNamespace(add_partial=lambda *found: self.cached.append(found))


@pytest.fixture
def model(base: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The registered model, made as lm-eval makes one."""

    def register_model(name: str) -> Any:
        return lambda made: REGISTERED.setdefault(name, made)

    api = {"lm_eval": {}, "lm_eval.api": {}, "lm_eval.api.model": {"LM": LM}}
    api["lm_eval.api.registry"] = {"register_model": register_model}
    for name, values in api.items():
        module = ModuleType(name)
        vars(module).update(values)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.delitem(sys.modules, "ggmlkit.evaluation.lm_eval", raising=False)
    monkeypatch.delitem(sys.modules, "ggmlkit.evaluation.lm_eval_model", raising=False)
    import ggmlkit.evaluation.lm_eval  # noqa: F401

    return REGISTERED.pop("ggmlkit")(
        model=base, max_length=64, batch_size=1, max_batch_size=None, device=None, threads=1
    )


def asked(*requests: tuple[Any, ...]) -> list[Any]:
    return [SimpleNamespace(args=request) for request in requests]


def test_loglikelihood_in_the_order_of_requests(model: Any, base: Path) -> None:
    requests = asked(("b", " cd"), ("ab", " ef"), ("b", " xy"), ("", "ab"))
    found = model.loglikelihood(requests)
    with gk.Llama(base, context=64, sequences=4, threads=1) as llama:
        for request, (logprob, is_greedy) in zip(requests, found, strict=True):
            (own,) = continuations(llama.model, [pair_of(llama.tokenizer, *request.args)])
            assert logprob == pytest.approx(own.logprob, abs=5e-3)
            assert is_greedy is own.is_greedy
    assert len(model.cached) == 4
    assert ("loglikelihood", ("ab", " ef"), found[1]) in model.cached


def test_rolling_predicts_each_token_once(model: Any, base: Path) -> None:
    from ggmlkit.evaluation.lm_eval_model import rolling

    assert [(p.context, p.continuation) for p in rolling(range(10), 99, 4)] == [
        ((99,), (0, 1, 2, 3)),
        ((3,), (4, 5, 6, 7)),
        ((5, 6, 7), (8, 9)),
    ]
    assert rolling([], 99, 4) == []
    short, long = "abc de", "abc de, " * 30
    one, other, none = model.loglikelihood_rolling(asked((short,), (long,), ("",)))
    with gk.Llama(base, context=64, threads=1) as llama:
        ids = [llama.tokenizer.bos_id, *llama.tokenizer.encode(short, add_special=False)]
        assert one == pytest.approx(llama.score(ids).logprob, abs=5e-3)
    assert other < one
    assert none == 0


def test_generation_ends_before_its_stop_texts(model: Any, base: Path) -> None:
    with gk.Llama(base, context=64, threads=1) as llama:
        whole = llama.complete("ab", max_tokens=6, temperature=0).text
    stop = whole[2:4]
    texts = model.generate_until(
        asked(
            ("ab", {"max_gen_toks": 6}),
            ("ab", {"until": [stop], "max_new_tokens": 6, "do_sample": False, "temperature": 3.0}),
            ("ab" * 200, {"until": "zzz", "max_tokens": 2}),
        )
    )
    assert texts[0] == whole
    assert texts[1] == whole[: whole.index(stop)]
    assert len(texts) == 3


def test_conversations_have_the_models_own_form(chat_gguf: Path, model: Any) -> None:
    own = type(model)(pretrained=chat_gguf, context=64)
    text = own.apply_chat_template([{"role": "user", "content": "Hi"}])
    assert text == "user: Hi\nassistant: "
    assert "{% for" in own.chat_template(True)
    assert own.chat_template(False) is None
    assert own.tokenizer_name
    ((logprob, _),) = own.loglikelihood(asked((text, "Hi")))
    assert logprob < 0


def test_a_model_is_to_be_named(model: Any) -> None:
    with pytest.raises(gk.ArgumentError, match="--model_args model=FILE"):
        type(model)()

"""``/completion`` as llama-server answers it."""

from __future__ import annotations

import json
import time
from math import exp
from pathlib import Path
from typing import Any

import pytest

from running_server import RunningServer, dictate, events, running, settings_for, until

GREEDY: dict[str, Any] = {"temperature": 0, "n_predict": 12, "ignore_eos": True}


def complete(server: RunningServer, prompt: Any = "The number", **fields: Any) -> Any:
    found = server.post("/completion", {"prompt": prompt, **GREEDY, **fields})
    assert found.status_code == 200, found.text
    return found.json()


def test_an_answer(server: RunningServer) -> None:
    found = complete(server, return_tokens=True, seed=5, stop=["never"], id_slot=1)
    tokenizer = server.served.tokenizer
    stream = tokenizer.stream()
    assert found["content"] == "".join(map(stream.push, found["tokens"])) + stream.flush()
    assert found["stop"] is True
    assert (found["index"], found["id_slot"], found["model"]) == (0, 1, "tiny")
    assert found["tokens_predicted"] == len(found["tokens"]) == 12
    assert found["tokens_evaluated"] == len(tokenizer.encode("The number"))
    assert found["tokens_cached"] == found["tokens_evaluated"] + 11
    assert (found["stop_type"], found["stopping_word"], found["truncated"]) == ("limit", "", False)
    assert found["prompt"] == "<s> The number"
    settings = found["generation_settings"]
    assert settings["seed"] == 5
    assert settings["stop"] == ["never"]
    assert settings["n_predict"] == settings["max_tokens"] == 12
    assert settings["ignore_eos"] is True
    assert settings["top_n_sigma"] == -1
    assert settings["samplers"][4] == "typ_p"
    assert found["timings"]["predicted_n"] == 12
    assert found["timings"]["prompt_n"] + found["timings"]["cache_n"] == found["tokens_evaluated"]
    assert server.is_free()


def test_both_paths_take_the_same(server: RunningServer) -> None:
    body = {"prompt": "a", **GREEDY}
    answers = [server.post(path, body).json() for path in ("/completion", "/completions")]
    assert answers[0]["content"] == answers[1]["content"]


def test_a_streamed_answer_is_the_same(server: RunningServer) -> None:
    whole = complete(server, return_tokens=True)
    body = {"prompt": "The number", **GREEDY, "stream": True, "timings_per_token": True}
    response = server.post("/completion", body)
    assert response.headers["Content-Type"].startswith("text/event-stream")
    *parts, last = map(json.loads, events(response))
    assert "".join(part["content"] for part in parts) == whole["content"]
    assert [id for part in parts for id in part["tokens"]] == whole["tokens"]
    assert [part["stop"] for part in parts] == [False] * 12
    assert [part["tokens_predicted"] for part in parts] == list(range(1, 13))
    assert parts[3]["timings"]["predicted_n"] >= 4
    assert (last["stop"], last["content"], last["tokens"]) == (True, "", [])
    assert last["stop_type"] == "limit"
    assert last["generation_settings"]["stream"] is True


def test_a_stop_string_is_named(server: RunningServer) -> None:
    text = complete(server)["content"]
    stop = text[4:7]
    found = complete(server, stop=["never", stop])
    assert found["content"] == text[: text.index(stop)]
    assert (found["stop_type"], found["stopping_word"]) == ("word", stop)


def test_the_end_of_the_model(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    dictate(monkeypatch, "hello\nyou")
    found = complete(server, return_tokens=True, stop=["you there"])
    assert found["content"] == "hello\nyou"
    assert (found["stop_type"], found["stopping_word"]) == ("eos", "")
    assert found["tokens"][-1] == server.served.tokenizer.eos_id
    assert found["has_new_line"] is True


def test_a_full_context_truncates(server: RunningServer) -> None:
    found = complete(server, n_predict=-1)
    assert (found["stop_type"], found["truncated"]) == ("limit", True)
    assert found["generation_settings"]["n_predict"] == -1
    asked = 512 - found["tokens_evaluated"]
    assert complete(server, n_predict=asked)["truncated"] is False


def test_forms_of_prompts(server: RunningServer) -> None:
    tokenizer = server.served.tokenizer
    ids = tokenizer.encode("The number")
    text = complete(server)["content"]
    for prompt in (ids, [*ids[:-1], ids[-1]], {"prompt_string": "The number"}, ["The number"]):
        assert complete(server, prompt)["content"] == text
    mixed = complete(server, ["The", 300, " number"], n_predict=1)
    parts = [*tokenizer.encode("The"), 300, *tokenizer.encode(" number", add_special=False)]
    assert mixed["tokens_evaluated"] == len(parts)
    several = complete(server, ["a", ids, {"prompt_string": "b"}, ["c", 300]], n_cmpl=2)
    assert [each["index"] for each in several] == list(range(8))
    assert several[2]["content"] == several[3]["content"] == text


def test_several_answers_are_streamed(server: RunningServer) -> None:
    body = {"prompt": ["a", "b"], **GREEDY, "n_predict": 3, "stream": True}
    parts = [json.loads(part) for part in events(server.post("/completion", body))]
    texts = {0: "", 1: ""}
    for part in parts:
        texts[part["index"]] += part["content"]
    wholes = complete(server, ["a", "b"], n_predict=3)
    assert [each["content"] for each in wholes] == list(texts.values())
    assert sum(part["stop"] for part in parts) == 2


def test_probabilities(server: RunningServer) -> None:
    found = complete(server, n_probs=3, n_predict=2, return_tokens=True)
    for shape, id in zip(found["completion_probabilities"], found["tokens"], strict=True):
        assert shape["id"] == id == shape["top_logprobs"][0]["id"]
        assert shape["logprob"] == shape["top_logprobs"][0]["logprob"]
        assert bytes(shape["bytes"]).decode("utf-8", "replace") == shape["token"]
        assert len(shape["top_logprobs"]) == 3
        assert 0 < sum(exp(each["logprob"]) for each in shape["top_logprobs"]) <= 1
    body = {"prompt": "The number", **GREEDY, "n_predict": 2, "n_probs": 3, "stream": True}
    *parts, last = map(json.loads, events(server.post("/completion", body)))
    given = [part["completion_probabilities"][0]["id"] for part in parts]
    assert given == found["tokens"]
    assert "completion_probabilities" not in last


def test_no_tokens_still_fill_the_cache(server: RunningServer) -> None:
    prompt = "a prompt that an editor sends before it needs an answer " * 6
    found = complete(server, prompt, n_predict=0, return_tokens=True, n_probs=1)
    assert (found["content"], found["tokens"], found["tokens_predicted"]) == ("", [], 0)
    assert found["completion_probabilities"] == []
    assert found["generation_settings"]["n_predict"] == 0
    assert complete(server, prompt, n_predict=1)["timings"]["cache_n"] >= 64
    (only,) = events(server.post("/completion", {"prompt": "a", "n_predict": 0, "stream": True}))
    assert json.loads(only)["stop_type"] == "limit"


def test_some_fields_of_an_answer(server: RunningServer) -> None:
    fields = ["content", "timings/predicted_n", "generation_settings/n_probs/a", "nothing"]
    found = complete(server, response_fields=fields)
    assert found.keys() == {"content", "timings/predicted_n"}
    assert found["timings/predicted_n"] == 12
    body = {"prompt": "a", **GREEDY, "stream": True, "response_fields": ["stop_type"]}
    *_, last = events(server.post("/completion", body))
    assert json.loads(last) == {"stop_type": "limit"}


def test_grammars(server: RunningServer) -> None:
    found = complete(server, grammar='root ::= "yes" | "no"', ignore_eos=False)
    assert found["content"] in ("yes", "no")
    assert found["stop_type"] == "eos"
    found = complete(server, json_schema={"enum": [1, 2]}, ignore_eos=False)
    assert found["content"] in ("1", "2")


def test_a_late_answer_ends_with_its_line(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    dictate(monkeypatch, "a\nb\n" + "c" * 50 + "\nd" * 200, pause=0.01)
    found = complete(server, t_max_predict_ms=150, n_predict=-1)
    assert found["content"] == "a\nb\n" + "c" * 50 + "\n"
    assert (found["stop_type"], found["truncated"]) == ("limit", False)


def test_an_answer_ends_before_a_line_of_less_indentation(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    dictate(monkeypatch, "x\n    y\n\t   z\n  never", pause=0.001)
    found = complete(server, n_indent=4)
    assert found["content"] == "x\n    y\n\t   z\n  "
    assert found["stop_type"] == "limit"


def test_a_streamed_answer_that_is_cut_off_is_given_up(chat_gguf: Path) -> None:
    with running(settings_for(chat_gguf)) as server:
        append = server.served.model.append

        def slowly(*arguments: Any, **more: Any) -> None:
            time.sleep(0.01)
            append(*arguments, **more)

        server.served.model.append = slowly  # type: ignore[method-assign]
        body = {"prompt": "a", **GREEDY, "n_predict": 300, "stream": True}
        with server.client.stream("POST", "/completion", json=body) as response:
            next(response.iter_lines())
            assert not server.is_free()
        until(server.is_free, 2)


@pytest.mark.parametrize(
    ("fields", "status", "kind", "said"),
    [
        ({"prompt": []}, 400, "invalid_request_error", "from 1 to 1024 prompts"),
        ({"prompt": [[]]}, 400, "invalid_request_error", "no tokens"),
        ({"prompt": 5}, 400, "invalid_request_error", "prompt"),
        ({"prompt": [-1]}, 400, "invalid_request_error", "prompt"),
        ({"prompt": [True]}, 400, "invalid_request_error", "prompt"),
        ({"prompt": [2**31 - 1]}, 400, "invalid_request_error", "not in the vocabulary"),
        ({"prompt": ["a"] * 2000}, 400, "invalid_request_error", "1024"),
        (
            {"prompt": "word " * 600},
            400,
            "exceed_context_size_error",
            "maximum context length is 512",
        ),
        ({"prompt": "a", "n_predict": -2}, 400, "invalid_request_error", "n_predict"),
        ({"prompt": "a", "n_predict": "2"}, 400, "invalid_request_error", "n_predict"),
        ({"prompt": "a", "n_cmpl": 10**6}, 400, "invalid_request_error", "n_cmpl"),
        ({"prompt": "a", "n_probs": 10**6}, 400, "invalid_request_error", "n_probs"),
        ({"prompt": "a", "response_fields": ["a"] * 10**4}, 400, "invalid_request_error", "fields"),
        ({"prompt": "a", "grammar": "root ::= ("}, 400, "invalid_request_error", "grammar"),
        (
            {"prompt": "a", "grammar": 'root ::= "a"', "json_schema": {}},
            400,
            "invalid_request_error",
            "together",
        ),
        ({"prompt": "a", "model": "other"}, 404, "not_found_error", "no model 'other'"),
        (
            {"prompt": {"prompt_string": "a", "multimodal_data": ["eA=="]}},
            501,
            "not_supported_error",
            "text alone",
        ),
        (
            {"prompt": "a", "n_probs": 1, "post_sampling_probs": True},
            501,
            "not_supported_error",
            "post_sampling_probs",
        ),
        ({"prompt": "a", "lora": [{"id": 0, "scale": 1.0}]}, 501, "not_supported_error", "lora"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_refusals(
    server: RunningServer, fields: dict[str, Any], status: int, kind: str, said: str
) -> None:
    found = server.post("/completion", fields)
    assert found.status_code == status, found.text
    error = found.json()["error"]
    assert (error["code"], error["type"]) == (status, kind)
    assert said in error["message"]
    if kind == "exceed_context_size_error":
        assert (error["n_prompt_tokens"] > 512, error["n_ctx"]) == (True, 512)
    assert server.is_free()


def test_errors_of_the_server_have_the_shape_too(server: RunningServer) -> None:
    found = server.client.post("/completion", content=b"x")
    assert found.status_code == 415
    assert found.json()["error"]["code"] == 415
    found = server.client.get("/completion")
    assert (found.status_code, found.json()["error"]["type"]) == (405, "invalid_request_error")


def test_no_adapters_can_be_asked_for(server: RunningServer) -> None:
    assert complete(server, lora=[{"id": 0, "scale": 0}])["stop"] is True

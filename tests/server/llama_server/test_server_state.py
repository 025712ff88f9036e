"""``/props``, ``/slots``, ``/lora-adapters``, ``/models`` and the metrics' other names."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from chat_model import TEMPLATE
from ggmlkit.server.app import ENDPOINTS
from ggmlkit.server.llama_server import routes
from ggmlkit.server.openapi import document
from running_server import RunningServer, running, settings_for, until


def test_properties(server: RunningServer) -> None:
    found = server.client.get("/props").json()
    assert found["total_slots"] == 4
    assert found["default_generation_settings"]["n_ctx"] == 512
    params = found["default_generation_settings"]["params"]
    assert (params["temperature"], params["top_k"], params["n_predict"]) == (0.8, 40, -1)
    assert found["model_path"] == found["model_alias"] == "tiny"
    assert found["chat_template"] == TEMPLATE
    assert (found["bos_token"], found["eos_token"]) == ("<s>", "</s>")
    assert found["modalities"] == {"vision": False, "audio": False, "video": False}
    assert found["build_info"].startswith("ggmlkit-")
    assert found["is_sleeping"] is False
    assert server.client.get("/props?model=alias").json() == found
    assert server.client.get("/props?model=x").json()["error"]["type"] == "not_found_error"


def test_a_model_that_is_not_loaded_sleeps(chat_gguf: Path) -> None:
    settings = settings_for(chat_gguf)
    other = replace(settings.models[0], name="other", aliases=())
    with running(replace(settings, models=(*settings.models, other))) as server:
        found = server.client.get("/props?model=other").json()
        assert (found["is_sleeping"], found["model_alias"]) == (True, "other")
        assert found["default_generation_settings"]["n_ctx"] == 512
        assert len(server.client.get("/slots?model=other").json()) == 4
        assert len(server.serving.models.served) == 1


def test_slots(chat_gguf: Path) -> None:
    with running(settings_for(chat_gguf, engine={"parallel": 2})) as server:
        idle = server.client.get("/slots").json()
        assert [(each["id"], each["is_processing"]) for each in idle] == [(0, False), (1, False)]
        append = server.served.model.append

        def slowly(*arguments: Any, **more: Any) -> None:
            time.sleep(0.01)
            append(*arguments, **more)

        server.served.model.append = slowly  # type: ignore[method-assign]
        body = {
            "prompt": ["secret one", "secret two", "secret three"],
            "n_predict": 400,
            "stop": ["secret stop"],
            "grammar": 'root ::= "secret"*',
            "ignore_eos": True,
            "top_k": 7,
        }
        thread = Thread(target=server.post, args=("/completion", body), daemon=True)
        thread.start()
        until(lambda: all(s["is_processing"] for s in server.client.get("/slots").json()))
        found = server.client.get("/slots")
        assert "secret" not in found.text
        first = found.json()[0]
        assert len(found.json()) == 2  # the third prompt waits
        assert first["n_ctx"] == 512
        assert first["n_prompt_tokens"] == len(server.served.tokenizer.encode("secret one"))
        assert first["params"]["top_k"] == 7
        (state,) = first["next_token"]
        assert state["n_decoded"] + state["n_remain"] == 400
        full = server.client.get("/slots?fail_on_no_slot=1")
        assert (full.status_code, full.json()["error"]["type"]) == (503, "unavailable_error")
        server.serving.expire_all()
        thread.join()
        assert server.client.get("/slots?fail_on_no_slot=1").status_code == 200
        assert server.client.get("/slots").json() == idle


def test_adapters_are_listed_without_their_folders(server: RunningServer) -> None:
    assert server.client.get("/lora-adapters").json() == []
    engine = replace(
        server.serving.settings.engine, lora=(("/secret/one.gguf", 1.0), ("/secret/two", 0.5))
    )
    settings = server.serving.settings
    server.serving.settings = replace(settings, engine=engine)
    try:
        assert server.client.get("/lora-adapters").json() == [
            {"id": 0, "path": "one", "scale": 1.0},
            {"id": 1, "path": "two", "scale": 0.5},
        ]
        for scales, status in (([1, 0.5], 200), ([1, 1], 501), ([1], 501), ([], 501)):
            lora = [{"id": id, "scale": scale} for id, scale in enumerate(scales)]
            body = {"prompt": "a", "n_predict": 1, "lora": lora}
            assert server.post("/completion", body).status_code == status
    finally:
        server.serving.settings = settings


@pytest.mark.parametrize("path", ["/lora-adapters", "/props", "/slots/0?action=erase"])
def test_what_can_not_be_changed(server: RunningServer, path: str) -> None:
    found = server.post(path, [])
    assert found.status_code == 501
    assert found.json()["error"]["type"] == "not_supported_error"


def test_models_without_a_version(server: RunningServer) -> None:
    assert server.client.get("/models").json() == server.client.get("/v1/models").json()


def test_metrics_under_llama_servers_names(server: RunningServer) -> None:
    def values() -> dict[str, float]:
        text = server.client.get("/metrics").text
        return {
            name: float(value)
            for name, value in re.findall(r"^llamacpp:(\S+) (\S+)$", text, re.MULTILINE)
        }

    before = values()
    body = {"prompt": "a new prompt", "n_predict": 5, "ignore_eos": True}
    found = server.post("/completion", body).json()
    after = values()
    assert after["tokens_predicted_total"] == before["tokens_predicted_total"] + 5
    computed = found["timings"]["prompt_n"]
    assert after["prompt_tokens_total"] == before["prompt_tokens_total"] + computed
    assert after["tokens_predicted_seconds_total"] > before["tokens_predicted_seconds_total"]
    assert after["predicted_tokens_seconds"] > 0
    assert (after["requests_processing"], after["requests_deferred"]) == (0, 0)


def test_every_endpoint_wants_a_key(chat_gguf: Path) -> None:
    with running(settings_for(chat_gguf, keys=("key",))) as server:
        for endpoint in routes.ENDPOINTS:
            path = endpoint.path.replace("{id}", "0")
            found = server.client.request(endpoint.method, path, json={})
            assert found.status_code == 401, path
            error = found.json()["error"]
            assert (error["code"], error["type"]) == (401, "authentication_error")


def test_answers_fit_the_document(server: RunningServer) -> None:
    import jsonschema

    body = {"prompt": "a", "n_predict": 1, "n_probs": 1}
    found = document(ENDPOINTS)
    answers = {
        "/completion": server.post("/completion", body),
        "/completions": server.post("/completions", {**body, "prompt": ["a", "b"]}),
        "/tokenize": server.post("/tokenize", {"content": "a", "with_pieces": True}),
        "/embedding": server.post("/embedding", {"content": "a"}),
        "/v1/rerank": server.post("/v1/rerank", {"query": "a", "documents": ["b"]}),
        "/rerank": server.post("/rerank", {"query": "a", "texts": ["b"]}),
        "/infill": server.post("/infill", {"input_prefix": "a", "input_suffix": "b"}),
        "/props": server.client.get("/props"),
        "/slots": server.client.get("/slots"),
        "/lora-adapters": server.client.get("/lora-adapters"),
        "/models": server.client.get("/models"),
    }
    for path, answer in answers.items():
        method = answer.request.method.lower()
        described = found["paths"][path][method]["responses"][str(answer.status_code)]
        schema = described["content"]["application/json"]["schema"]
        whole = {**schema, "components": found["components"]}
        jsonschema.Draft202012Validator(whole).validate(answer.json())

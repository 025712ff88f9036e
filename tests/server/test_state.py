"""What the server says of itself: metrics, the document of its API, its log."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path

import pytest

from ggmlkit.server.app import ENDPOINTS, create_app
from ggmlkit.server.openapi import document
from running_server import RunningServer, running, settings_for, until


def test_metrics(server: RunningServer) -> None:
    server.chat(max_tokens=5, ignore_eos=True)
    found = server.client.get("/metrics")
    assert found.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    values = dict(re.findall(r"^(ggmlkit_\S+) (\S+)$", found.text, re.MULTILINE))
    assert float(values["ggmlkit_generated_tokens_total"]) >= 5
    assert float(values["ggmlkit_first_token_seconds_count"]) >= 1
    assert float(values["ggmlkit_token_gap_seconds_count"]) >= 4
    assert values['ggmlkit_batch_size{model="tiny"}'] == "0.0"
    assert values['ggmlkit_cache_used_ratio{model="tiny"}'] == "0.0"
    name = 'ggmlkit_requests_total{path="/v1/chat/completions",status="200"}'
    assert float(values[name]) >= 1


def test_unknown_paths_are_counted_together(server: RunningServer) -> None:
    for number in range(3):
        server.client.get(f"/nothing/{number}")
    text = server.client.get("/metrics").text
    assert 'path="other",status="404"' in text
    assert "/nothing" not in text


def test_the_document_describes_every_endpoint(server: RunningServer) -> None:
    found = server.client.get("/openapi.json").json()
    assert found["openapi"] == "3.1.0"
    described = {(path, method) for path, each in found["paths"].items() for method in each}
    assert described == {
        (re.sub(r":\w+}", "}", each.path), each.method.lower()) for each in ENDPOINTS
    }
    references = re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(found))
    assert set(references) <= found["components"]["schemas"].keys()
    body = found["components"]["schemas"]["ChatBody"]
    assert {"messages", "temperature", "grammar", "tools"} <= body["properties"].keys()


def test_answers_fit_the_document(server: RunningServer) -> None:
    import jsonschema

    schemas = document(ENDPOINTS)
    answers = {
        "ChatCompletion": server.chat(n=2).json(),
        "TextCompletion": server.post("/v1/completions", {"prompt": "a"}).json(),
        "EmbeddingList": server.post("/v1/embeddings", {"input": "a"}).json(),
        "ModelList": server.client.get("/v1/models").json(),
        "ErrorShape": server.chat(n=0).json(),
    }
    for name, answer in answers.items():
        schema = {"$ref": f"#/components/schemas/{name}", "components": schemas["components"]}
        jsonschema.validate(answer, schema)


def test_a_request_is_a_line_of_the_log(
    server: RunningServer, caplog: pytest.LogCaptureFixture, chat_gguf: Path
) -> None:
    caplog.set_level(logging.INFO, "ggmlkit.server")
    headers = {"Authorization": "Bearer my-secret-key", "X-Request-Id": "a b"}
    body = {"messages": [{"role": "user", "content": "my secret"}], "max_tokens": 2}
    found = server.client.post("/v1/chat/completions?x=secret", json=body, headers=headers)
    id = found.headers["X-Request-Id"]
    assert re.fullmatch("req_[0-9a-f]{24}", id)  # not one with a space
    until(lambda: id in caplog.text)  # it is written after the answer
    (line,) = [r.getMessage() for r in caplog.records if id in r.getMessage()]
    told = json.loads(line)
    assert (told["method"], told["path"], told["status"]) == ("POST", "/v1/chat/completions", 200)
    assert (told["model"], told["tokens"]) == ("tiny", 2)
    assert "secret" not in caplog.text
    assert chat_gguf.name not in caplog.text


def test_cors_is_off_unless_it_is_asked_for(server: RunningServer, chat_gguf: Path) -> None:
    ask = {"Origin": "https://a.org", "Access-Control-Request-Method": "POST"}
    assert server.client.options("/v1/models", headers=ask).status_code == 405
    found = server.client.get("/v1/models", headers={"Origin": "https://a.org"})
    assert "Access-Control-Allow-Origin" not in found.headers
    settings = settings_for(chat_gguf, cors_origins=("https://a.org",), keys=("k",))
    with running(settings) as other:
        found = other.client.options("/v1/models", headers=ask)
        assert found.status_code == 200
        assert found.headers["Access-Control-Allow-Origin"] == "https://a.org"
        wrong = {**ask, "Origin": "https://b.org"}
        assert other.client.options("/v1/models", headers=wrong).status_code == 400
        for origin in ("null", "https://a.org.evil", "http://a.org", "https://a.org:8080"):
            tried = other.client.get("/v1/models", headers={"Origin": origin})
            assert "Access-Control-Allow-Origin" not in tried.headers
        private = {**ask, "Access-Control-Request-Private-Network": "true"}
        found = other.client.options("/v1/models", headers=private)
        assert found.status_code == 200
        assert found.headers["Access-Control-Allow-Private-Network"] == "true"


def test_an_application_is_made_without_a_model(tmp_path: Path) -> None:
    create_app(settings_for(tmp_path / "missing.gguf"))

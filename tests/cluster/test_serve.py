"""The server on a cluster: replicas, streams, prompts that begin alike, a replica that dies."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
import ray
from ray import serve

from ggmlkit.server.ray.builder import application
from ggmlkit.server.ray.plan import Plan
from running_server import settings_for
from small_ray import free_port

LONG = {"max_tokens": 1000, "ignore_eos": True}
ENGINE = {"context": 4096, "cache_tokens": 1 << 16}


@pytest.fixture(scope="module")
def client(cluster: str, chat_gguf: Path) -> Iterator[httpx.Client]:
    """Of a server with two replicas."""
    del cluster
    port = free_port()
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    settings = settings_for(
        chat_gguf,
        keys=("secret",),
        cors_origins=("https://example.org",),
        engine=ENGINE,
        limits={"waiting": 8, "body_bytes": 1 << 16},
    )
    plan = Plan(settings, 2, 2)
    serve.run(application(plan), name="ggmlkit")
    headers = {"Authorization": "Bearer secret"}
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, headers=headers) as found:
        yield found
    serve.shutdown()


def chat(client: httpx.Client, text: str, **fields: Any) -> httpx.Response:
    body = {"messages": [{"role": "user", "content": text}], "max_tokens": 4, **fields}
    return client.post("/v1/chat/completions", json=body)


def replica(response: httpx.Response) -> str:
    assert response.status_code == 200, response.text
    return response.headers["x-replica"]


def both(client: httpx.Client, **fields: Any) -> dict[str, str]:
    """A text for each of the two replicas, which goes there."""
    found: dict[str, str] = {}
    for n in range(40):
        found.setdefault(replica(chat(client, f"text {n}", **fields)), f"text {n}")
        if len(found) == 2:
            return found
    raise AssertionError(found)


def engines() -> dict[str, str]:
    """Names of the replicas' actors, by those of the replicas."""
    actors = ray.util.list_named_actors(all_namespaces=True)
    names = [each["name"] for each in actors if "#Engine#" in each["name"]]
    return {name.rpartition("#")[2]: name for name in names}


def kill(name: str) -> None:
    """End the process of an actor at once."""
    ray.kill(ray.get_actor(name, namespace="serve"))


def test_requests_that_begin_alike_go_to_one_replica(client: httpx.Client) -> None:
    for name, text in both(client).items():
        answers = [chat(client, text) for _ in range(5)]
        assert {replica(each) for each in answers} == {name}
        assert answers[-1].json()["choices"][0]["finish_reason"] in ("stop", "length")
    long = "x" * 2000
    assert len({replica(chat(client, f"{long} {n}")) for n in range(5)}) == 1


def test_streams_come_in_parts(client: httpx.Client) -> None:
    body = {"messages": [{"role": "user", "content": "hi"}], "stream": True, **LONG}
    times = []
    with client.stream("POST", "/v1/chat/completions", json=body) as response:
        for line in response.iter_lines():
            if line.startswith("data: "):
                times.append(time.monotonic())
                last = line
    assert last == "data: [DONE]"
    assert len(times) > 50


def test_a_busy_replica_passes_requests_on(client: httpx.Client) -> None:
    with ThreadPoolExecutor(12) as pool:
        found = list(pool.map(lambda _: replica(chat(client, "the same", **LONG)), range(12)))
    assert len(set(found)) == 2


def test_refusals_have_the_shape_of_the_api(client: httpx.Client) -> None:
    refused = client.post("/v1/chat/completions", json={}, headers={"Authorization": "Bearer x"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "invalid_api_key")
    assert client.post("/v1/chat/completions", content=b"{").status_code in (400, 415)
    assert chat(client, "hi", model="other").json()["error"]["code"] == "model_not_found"
    assert client.get("/health", headers={"Authorization": ""}).json() == {"status": "ok"}


def test_the_ingress_refuses_as_each_api_does(client: httpx.Client) -> None:
    large = {"content": b"x" * (1 << 17), "headers": {"Origin": "https://example.org"}}
    refused = client.post("/v1/messages", **large)
    assert (refused.status_code, refused.json()["type"]) == (413, "error")
    assert refused.headers["access-control-allow-origin"] == "https://example.org"
    assert len(refused.headers.get_list("x-request-id")) == 1
    refused = client.post("/v1/chat/completions", **large)
    assert refused.json()["error"]["code"] == "request_too_large"
    with ThreadPoolExecutor(40) as pool:
        answers = list(pool.map(lambda n: chat(client, f"{n}", **LONG), range(40)))
    refused = next(each for each in answers if each.status_code != 200)
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "queue_full")
    assert refused.headers["retry-after"] == "2"
    assert sum(each.status_code == 200 for each in answers) >= 8


def test_pages_and_browsers_need_no_key(client: httpx.Client) -> None:
    open_to_all = httpx.Client(base_url=client.base_url, timeout=60)
    assert "text/html" in open_to_all.get("/").headers["content-type"]
    asked = {"Origin": "https://example.org", "Access-Control-Request-Method": "POST"}
    assert open_to_all.options("/v1/chat/completions", headers=asked).status_code == 200
    given = {"x-request-id": "mine", "Authorization": "Bearer secret"}
    assert open_to_all.get("/v1/models", headers=given).headers["x-request-id"] == "mine"


def test_responses_are_kept_for_all_replicas(client: httpx.Client) -> None:
    made = [client.post("/v1/responses", json={"input": f"{n}", "max_output_tokens": 4}) for n in
            range(6)]  # fmt: skip
    assert len({replica(each) for each in made}) == 2
    id = made[0].json()["id"]
    found = [client.get(f"/v1/responses/{id}") for _ in range(8)]
    assert len({replica(each) for each in found}) == 2
    body = {"input": "more", "previous_response_id": id, "max_output_tokens": 4}
    assert client.post("/v1/responses", json=body).json()["previous_response_id"] == id
    assert client.delete(f"/v1/responses/{id}").status_code == 200
    assert {client.get(f"/v1/responses/{id}").status_code for _ in range(8)} == {404}


def test_the_client_of_openai(client: httpx.Client) -> None:
    api = openai.OpenAI(base_url=f"{client.base_url}/v1".replace("//v1", "/v1"), api_key="secret")
    messages = [{"role": "user", "content": "Hello"}]
    asked: dict[str, Any] = {"model": "tiny", "messages": messages, "max_tokens": 8}
    whole = api.chat.completions.create(**asked, temperature=0)
    parts = api.chat.completions.create(**asked, temperature=0, stream=True)
    text = "".join(part.choices[0].delta.content or "" for part in parts)
    assert text == whole.choices[0].message.content
    with pytest.raises(openai.NotFoundError):
        api.chat.completions.create(**asked | {"model": "other"})


def test_a_replica_that_dies_is_replaced(client: httpx.Client) -> None:
    before = engines()
    (killed, text), (_, its_text) = both(client).items()
    with ThreadPoolExecutor(8) as pool:
        running = [pool.submit(chat, client, each, **LONG) for each in [text, its_text] * 4]
        time.sleep(0.3)
        kill(before[killed])
        answers = [each.result() for each in running]
    # Nothing of them was sent yet, so they begin anew elsewhere.
    assert [each.status_code for each in answers] == [200] * 8
    assert all(each.json()["usage"]["completion_tokens"] > 0 for each in answers)
    end = time.monotonic() + 60
    while len(engines().keys() - {killed}) < 2:
        assert time.monotonic() < end
        time.sleep(0.5)
    while len({replica(chat(client, f"again {n}")) for n in range(20)}) < 2:
        assert time.monotonic() < end


def test_a_stream_of_a_replica_that_dies_is_cut_and_others_go_on(client: httpx.Client) -> None:
    body = {"messages": [{"role": "user", "content": "cut"}], "stream": True, **LONG}
    with client.stream("POST", "/v1/chat/completions", json=body) as response:
        lines = response.iter_lines()
        assert json.loads(next(lines).removeprefix("data: "))["choices"]
        kill(engines()[response.headers["x-replica"]])
        with pytest.raises(httpx.RemoteProtocolError):
            list(lines)
    assert chat(client, "cut").status_code == 200

"""The `openai` package, all of what programs use of it."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import openai
import pytest

from asked import KEY, MESSAGES, MODEL, WEATHER, Mood
from conftest import served

# To a full stop, as the client takes an answer that was cut off for an error where it parses it.
GREEDY: dict[str, Any] = {
    "model": MODEL, "messages": MESSAGES, "temperature": 0, "stop": ["."], "max_tokens": 100
}  # fmt: skip


@pytest.fixture(scope="module")
def client(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=url, api_key=KEY, max_retries=0) as found:
        yield found


def test_whole_and_streamed_answers_are_the_same(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(**GREEDY).choices[0].message.content
    assert whole
    with client.chat.completions.create(**GREEDY, stream=True) as stream:
        assert "".join(part.choices[0].delta.content or "" for part in stream) == whole
    with client.chat.completions.stream(**GREEDY) as events:
        deltas = [each.delta for each in events if each.type == "content.delta"]
        final = events.get_final_completion()
    assert "".join(deltas) == whole == final.choices[0].message.content


def test_a_stream_that_is_left_is_no_error(client: openai.OpenAI) -> None:
    with client.chat.completions.create(**{**GREEDY, "max_tokens": 500}, stream=True) as stream:
        next(iter(stream))
    assert client.chat.completions.create(**GREEDY).choices[0].message.content


def test_coroutines(url: str, client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(**GREEDY).choices[0].message.content

    async def texts() -> list[str]:
        async with openai.AsyncOpenAI(base_url=url, api_key=KEY) as its:

            async def one() -> str:
                async with its.chat.completions.stream(**GREEDY) as stream:
                    await stream.until_done()
                    final = await stream.get_final_completion()
                    return final.choices[0].message.content or ""

            return await asyncio.gather(*(one() for _ in range(4)))

    assert asyncio.run(texts()) == [whole] * 4


def test_a_round_trip_of_tools(client: openai.OpenAI) -> None:
    asked: Any = {"model": MODEL, "tools": [WEATHER], "max_tokens": 60}
    first = client.chat.completions.create(**asked, messages=MESSAGES, tool_choice="required")
    message = first.choices[0].message
    (call,) = message.tool_calls or []
    assert json.loads(call.function.arguments)["city"] in ("Paris", "Rome")
    said = [*MESSAGES, message, {"role": "tool", "tool_call_id": call.id, "content": "21 degrees"}]
    last = client.chat.completions.create(**asked, messages=said, tool_choice="none")
    assert last.choices[0].message.content
    assert last.choices[0].finish_reason in ("stop", "length")
    named: Any = {"type": "function", "function": {"name": "weather"}}
    with client.chat.completions.stream(**asked, messages=MESSAGES, tool_choice=named) as stream:
        kinds = {event.type for event in stream}
        (choice,) = stream.get_final_completion().choices
    assert "tool_calls.function.arguments.done" in kinds
    assert choice.finish_reason == "tool_calls"


def test_parsed_answers(client: openai.OpenAI) -> None:
    asked: Any = {"model": MODEL, "messages": MESSAGES, "max_tokens": 60, "response_format": Mood}
    for chat in (client.chat, client.beta.chat):
        assert isinstance(chat.completions.parse(**asked).choices[0].message.parsed, Mood)
    with client.chat.completions.stream(**asked) as stream:
        stream.until_done()
        assert isinstance(stream.get_final_completion().choices[0].message.parsed, Mood)
    with pytest.raises(openai.LengthFinishReasonError):
        client.chat.completions.parse(**{**asked, "max_tokens": 2})


def test_parsed_tools(client: openai.OpenAI) -> None:
    tool = openai.pydantic_function_tool(Mood, name="mood")
    found = client.chat.completions.parse(
        model=MODEL, messages=MESSAGES, tools=[tool], tool_choice="required", max_tokens=80
    )
    (call,) = found.choices[0].message.tool_calls or []
    assert isinstance(call.function.parsed_arguments, Mood)


def test_vectors_as_base64_and_floats(client: openai.OpenAI) -> None:
    texts = ["a cat", "a kitten"]
    packed = client.embeddings.create(model=MODEL, input=texts)
    plain = client.embeddings.create(model=MODEL, input=texts, encoding_format="float")
    for one, other in zip(packed.data, plain.data, strict=True):
        assert one.embedding == pytest.approx(other.embedding, abs=1e-6)
    assert len(plain.data[0].embedding) == 576


def test_completions_and_responses(client: openai.OpenAI) -> None:
    asked: Any = {"model": MODEL, "prompt": "Once upon a time", "temperature": 0, "max_tokens": 8}
    whole = client.completions.create(**asked).choices[0].text
    with client.completions.create(**asked, stream=True) as stream:
        assert "".join(part.choices[0].text for part in stream) == whole
    first = client.responses.create(model=MODEL, input="Say hi.", max_output_tokens=16)
    assert first.output_text
    with client.responses.stream(
        model=MODEL, input="Again.", previous_response_id=first.id, max_output_tokens=16
    ) as events:
        assert "".join(e.delta for e in events if e.type == "response.output_text.delta")
    parsed = client.responses.parse(model=MODEL, input="My mood?", text_format=Mood)
    assert isinstance(parsed.output_parsed, Mood)


def test_raw_and_streaming_responses(client: openai.OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(**GREEDY)
    assert raw.headers["content-type"] == "application/json"
    assert raw.headers["x-request-id"] == raw.request_id
    assert raw.parse().choices[0].message.content
    with client.chat.completions.with_streaming_response.create(**GREEDY, stream=True) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        assert list(response.iter_lines())[-2:] == ["data: [DONE]", ""]


def test_models(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == [MODEL]
    assert client.models.retrieve(MODEL).owned_by == "ggmlkit"


def test_error_classes(url: str, client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as error:
        client.chat.completions.create(**{**GREEDY, "model": "other"})
    assert error.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as error:
        client.chat.completions.create(**{**GREEDY, "temperature": -1})
    assert error.value.param == "temperature"
    assert error.value.type == "invalid_request_error"
    with (
        openai.OpenAI(base_url=url, api_key="wrong", max_retries=0) as other,
        pytest.raises(openai.AuthenticationError) as error,
    ):
        other.models.list()
    assert error.value.code == "invalid_api_key"
    with pytest.raises(openai.APITimeoutError):
        client.chat.completions.create(**{**GREEDY, "max_tokens": 500}, timeout=0.05)


def test_a_full_queue_is_a_rate_limit_and_is_tried_again(model_file: Any) -> None:
    options = ["-c", "512", "--parallel", "1", "--max-waiting", "0"]
    long: Any = {**GREEDY, "max_tokens": 150, "extra_body": {"ignore_eos": True}}
    with (
        served("-m", f"{MODEL}={model_file}", *options) as address,
        openai.OpenAI(base_url=f"{address}/v1", api_key="x", max_retries=0) as client,
        client.chat.completions.create(**long, stream=True) as stream,
    ):
        next(iter(stream))
        with pytest.raises(openai.RateLimitError) as error:
            client.chat.completions.create(**GREEDY)
        assert error.value.code == "queue_full"
        assert int(error.value.response.headers["retry-after"]) >= 1
        later = threading.Timer(0.5, stream.close)
        later.start()
        patient = client.with_options(max_retries=5)
        assert patient.chat.completions.create(**GREEDY).choices[0].message.content
        later.join()


class _Busy(BaseHTTPRequestHandler):
    """Refuses the first request as a server that is full, and passes the next ones on."""

    target = ""
    times: list[float]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.times.append(time.monotonic())
        if len(self.times) == 1:
            self.send_response(503)
            self.send_header("Retry-After", "1")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}"}
        found = httpx.post(self.target + self.path, content=body, headers=headers, timeout=60)
        self.send_response(found.status_code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(found.content)))
        self.end_headers()
        self.wfile.write(found.content)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def test_the_client_waits_as_long_as_it_is_told(address: str) -> None:
    kind = type("Busy", (_Busy,), {"target": address, "times": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), kind) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        base = f"http://127.0.0.1:{proxy.server_port}/v1"
        with openai.OpenAI(base_url=base, api_key=KEY, max_retries=2) as client:
            assert client.chat.completions.create(**GREEDY).choices[0].message.content
        proxy.shutdown()
    first, second = kind.times
    assert 1 <= second - first < 5

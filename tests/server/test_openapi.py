"""The document of the API."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from running_server import RunningServer


@pytest.fixture(scope="module")
def document(server: RunningServer) -> dict[str, Any]:
    found: dict[str, Any] = server.client.get("/openapi.json").json()
    return found


def error_of(document: dict[str, Any], path: str, method: str, status: str) -> str:
    """The name of an error's shape."""
    response = document["paths"][path][method]["responses"][status]
    name: str = response["content"]["application/json"]["schema"]["$ref"]
    return name.rpartition("/")[2]


def test_every_reference_is_there(document: dict[str, Any]) -> None:
    names = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document)))
    assert names <= document["components"]["schemas"].keys()


def test_each_api_has_errors_of_its_own(document: dict[str, Any]) -> None:
    assert error_of(document, "/v1/messages", "post", "529") == "MessageError"
    assert "503" not in document["paths"]["/v1/messages"]["post"]["responses"]
    assert error_of(document, "/v1/messages/count_tokens", "post", "400") == "MessageError"
    assert error_of(document, "/v1/responses", "post", "503") == "ErrorShape"


def test_a_stream_is_described_by_its_events(document: dict[str, Any]) -> None:
    content = document["paths"]["/v1/completions"]["post"]["responses"]["200"]["content"]
    assert content["text/event-stream"]["schema"]["required"] == ["data"]


def test_parameters_of_paths_and_queries(document: dict[str, Any]) -> None:
    path = document["paths"]["/v1/responses/{response_id}"]
    assert path.keys() == {"get", "delete"}
    listed = document["paths"]["/v1/responses/{response_id}/input_items"]["get"]["parameters"]
    assert [(each["name"], each["in"], each["required"]) for each in listed] == [
        ("response_id", "path", True),
        ("limit", "query", False),
        ("order", "query", False),
        ("after", "query", False),
    ]
    ids = [each["operationId"] for path in document["paths"].values() for each in path.values()]
    assert len(set(ids)) == len(ids)

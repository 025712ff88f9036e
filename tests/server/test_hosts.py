"""The names by which requests may call the server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from ggmlkit.server.app import create_app
from ggmlkit.server.hosts import checked_hosts
from running_server import settings_for

MISSING = Path("no.gguf")


@pytest.mark.parametrize(
    ("settings", "let_in"),
    [
        ({}, {"localhost", "127.0.0.1"}),
        ({"host": "[::1]"}, {"localhost", "::1"}),
        ({"host": "::1"}, {"localhost", "::1"}),
        ({"allowed_hosts": ("Box.example:80",)}, {"localhost", "127.0.0.1", "box.example"}),
        ({"host": "0.0.0.0"}, None),
        ({"host": "0.0.0.0", "allowed_hosts": ("a",)}, {"localhost", "0.0.0.0", "a"}),
        ({"keys": ("sesame",)}, None),
        ({"allowed_hosts": ("*",)}, None),
    ],
)
def test_which_names_are_let_in(settings: dict[str, Any], let_in: set[str] | None) -> None:
    assert checked_hosts(settings_for(MISSING, **settings)) == let_in


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8080", 200),
        ("LOCALHOST:8080", 200),
        ("localhost.", 200),
        ("[::1]:8080", 200),
        ("127.8.8.8", 200),
        ("box.example:443", 200),
        ("evil.example", 403),
        ("evil.example:8080", 403),
        ("127.0.0.1.evil.example", 403),
        ("localhost.evil.example", 403),
        ("localhost@evil.example", 403),
        ("[::1].evil.example", 403),
        ("192.168.1.4", 403),
        ("", 403),
    ],
)
def test_a_request_by_another_name_is_refused(host: str, status: int) -> None:
    settings = settings_for(MISSING, allowed_hosts=("box.example",))
    client = TestClient(create_app(settings, hosts=checked_hosts(settings)))
    response = client.get("/v1/models", headers={"Host": host})
    assert response.status_code == status
    assert response.headers["x-request-id"]
    if status == 403:
        assert response.json()["error"]["code"] == "host_not_allowed"
        native = client.post("/v1/messages", headers={"Host": host}, json={})
        assert native.json()["error"]["type"] == "permission_error"

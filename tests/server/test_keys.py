"""Who may use the server."""

from __future__ import annotations

import hmac
from pathlib import Path

import pytest

from ggmlkit.server import keys
from ggmlkit.server.process import warning_of
from running_server import running, settings_for


def test_only_requests_with_a_key_are_served(chat_gguf: Path) -> None:
    with running(settings_for(chat_gguf, keys=("one", "zwölf"))) as server:
        assert server.client.get("/health").status_code == 200
        for headers in (
            {},
            {"Authorization": "Bearer"},
            {"Authorization": "Bearer on"},
            {"Authorization": "Basic one"},
            {"X-Api-Key": "two"},
        ):
            found = server.client.get("/v1/models", headers=headers)
            assert found.status_code == 401
            assert found.headers["WWW-Authenticate"] == "Bearer"
            assert found.json()["error"]["code"] == "invalid_api_key"
        for headers in ({"Authorization": "Bearer one"}, {"x-api-key": "one"}):
            assert server.client.get("/v1/models", headers=headers).status_code == 200


def test_every_key_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared, real = [], hmac.compare_digest

    def compare(one: bytes, two: bytes) -> bool:
        compared.append(two)
        return real(one, two)

    monkeypatch.setattr(keys.hmac, "compare_digest", compare)
    assert keys.is_known("a", ["a", "b", "c"])
    assert compared == [b"a", b"b", b"c"]


@pytest.mark.parametrize(
    ("host", "key", "warns"),
    [
        ("127.0.0.1", (), False),
        ("localhost", (), False),
        ("::1", (), False),
        ("[::1]", (), False),
        ("0.0.0.0", (), True),
        ("0.0.0.0", ("a",), False),
        ("example.org", (), True),
    ],
)
def test_a_server_for_everyone_is_warned_of(
    chat_gguf: Path, host: str, key: tuple[str, ...], warns: bool
) -> None:
    warning = warning_of(settings_for(chat_gguf, host=host, keys=key))
    assert (warning is not None) == warns
    assert warning is None or "--api-key-file" in warning


def test_settings_do_not_show_keys(chat_gguf: Path) -> None:
    assert "secret" not in repr(settings_for(chat_gguf, keys=("secret",)))

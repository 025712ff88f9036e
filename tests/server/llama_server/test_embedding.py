"""``/embedding``: vectors in llama-server's shape."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ggmlkit.engine.embedding import embeddings
from ggmlkit.server.llama_server.embedding import normed
from running_server import RunningServer


def embed(server: RunningServer, path: str = "/embedding", **body: Any) -> list[Any]:
    found = server.post(path, body)
    assert found.status_code == 200, found.text
    listed = found.json()
    assert [each["index"] for each in listed] == list(range(len(listed)))
    return [np.array(each["embedding"], np.float32) for each in listed]


def test_vectors_of_texts(server: RunningServer) -> None:
    one = server.post("/v1/embeddings", {"input": ["a", "b"]}).json()["data"]
    for path, name in (("/embedding", "content"), ("/embeddings", "input")):
        found = embed(server, path, **{name: ["a", "b"]})
        assert [each.shape[0] for each in found] == [1, 1]
        for vector, same in zip(found, one, strict=True):
            np.testing.assert_allclose(vector[0], same["embedding"], rtol=1e-5, atol=1e-7)
    ids = server.served.tokenizer.encode("a")
    assert np.array_equal(embed(server, content=ids)[0], embed(server, content="a")[0])


def test_a_vector_of_each_token(server: RunningServer) -> None:
    ids = server.served.tokenizer.encode("The number")
    (found,) = embed(server, content="The number", pooling="none")
    (wanted,) = embeddings(server.served.model, None, [ids], "none", False)
    assert np.array_equal(found, wanted)
    (last,) = embed(server, content="The number", pooling="last", embd_normalize=-1)
    assert np.array_equal(last[0], wanted[-1])


@pytest.mark.parametrize(
    ("norm", "wanted"),
    [
        (-1, [3.0, -4.0]),
        (0, [24570.0, -32760.0]),
        (1, [3 / 7, -4 / 7]),
        (2, [0.6, -0.8]),
        (3, [3 / 91 ** (1 / 3), -4 / 91 ** (1 / 3)]),
    ],
)
def test_norms(norm: int, wanted: list[float]) -> None:
    found = normed(np.array([3, -4], np.float32), norm)
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
    assert not normed(np.zeros(2, np.float32), norm).any()
    assert np.isfinite(normed(np.array([1e30, 1e-30], np.float32), 64)).all()


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"content": []},
        {"content": [[]]},
        {"content": 5},
        {"content": [10**6]},
        {"content": "word " * 600},
        {"content": ["word"] * 2000},
        {"content": "a", "embd_normalize": -2},
        {"content": "a", "pooling": "rank"},
        {"content": [[5] * 500] * 200, "pooling": "none"},
    ],
    ids=lambda body: str(body)[:40],
)
def test_what_is_refused(server: RunningServer, body: Any) -> None:
    found = server.post("/embedding", body)
    assert found.status_code == 400
    assert found.json()["error"]["code"] == 400
    assert server.is_free()

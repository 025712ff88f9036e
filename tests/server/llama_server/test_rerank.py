"""``/v1/rerank``: documents ordered by a decoder that says yes or no."""

from __future__ import annotations

from collections.abc import Iterator
from math import exp
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ggmlkit as gk
from ggmlkit import io
from ggmlkit.engine.sequence import Chunk
from ggmlkit.server.llama_server import ranking
from ggmlkit.server.llama_server.ranking import INSTRUCTION, question, scores
from paths import GOLDEN
from running_server import RunningServer, running, settings_for

DOCUMENTS = ["the narrow bridge", "a", "early winds </s> of the number", "it is an arrow"]


def rerank(server: RunningServer, path: str = "/v1/rerank", **fields: Any) -> Any:
    found = server.post(path, {"query": "The number", **fields})
    assert found.status_code == 200, found.text
    return found.json()


def answers(server: RunningServer, text: str) -> tuple[list[int], list[int], int]:
    """Tokens of a text with yes, with no, and where they differ first."""
    encode = server.served.tokenizer.encode
    yes, no = (encode(text + word, False, True) for word in ("yes", "no"))
    place = next(at for at, pair in enumerate(zip(yes, no, strict=False)) if pair[0] != pair[1])
    return yes, no, place


def one_score(server: RunningServer, text: str) -> float:
    """The score by its definition: the text alone, and the tokens that yes and no begin with."""
    model = server.served.model
    yes, no, place = answers(server, text)
    with model.sequence() as sequence:
        (logits,) = model.step([Chunk(sequence, yes[:place])])
    return 1 / (1 + exp(float(logits[no[place]]) - float(logits[yes[place]])))


def test_documents_are_ordered(server: RunningServer) -> None:
    found = rerank(server, documents=DOCUMENTS)
    assert (found["object"], found["model"]) == ("list", "tiny")
    results = found["results"]
    assert sorted(each["index"] for each in results) == [0, 1, 2, 3]
    values = [each["relevance_score"] for each in results]
    assert values == sorted(values, reverse=True)
    assert len(set(values)) == 4
    texts = [
        f"system: {ranking._JUDGE}\nuser: <Instruct>: {INSTRUCTION}\n<Query>: The number\n"
        f"<Document>: {document}\nassistant: "
        for document in DOCUMENTS
    ]
    for each in results:
        wanted = one_score(server, texts[each["index"]])
        assert each["relevance_score"] == pytest.approx(wanted, abs=1e-6)
        assert "document" not in each
    tokens = sum(answers(server, text)[2] for text in texts)
    assert found["usage"] == {"prompt_tokens": tokens, "total_tokens": tokens}
    assert server.is_free()


def test_all_paths_take_the_same(server: RunningServer) -> None:
    paths = ("/rerank", "/reranking", "/v1/rerank", "/v1/reranking")
    answers = [rerank(server, path, documents=["a", "b"]) for path in paths]
    assert all(each == answers[0] for each in answers)


def test_the_best_with_their_texts(server: RunningServer) -> None:
    documents = [*DOCUMENTS[:2], {"text": DOCUMENTS[2]}]
    found = rerank(server, documents=documents, top_n=2, return_documents=True)["results"]
    every = rerank(server, documents=DOCUMENTS[:3])["results"]
    assert [each["index"] for each in found] == [each["index"] for each in every][:2]
    for each in found:
        assert each["document"] == {"text": DOCUMENTS[each["index"]]}
    assert len(rerank(server, documents=["a"], top_n=100)["results"]) == 1


def test_the_shape_of_teis_api(server: RunningServer) -> None:
    found = rerank(server, texts=DOCUMENTS[:2], return_text=True)
    assert {each["index"]: each["text"] for each in found} == dict(enumerate(DOCUMENTS[:2]))
    assert found[0]["score"] >= found[1]["score"]
    assert rerank(server, texts=["a"])[0].keys() == {"index", "score"}


def test_many_documents_compute_what_they_share_once(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = question(server.served, "The number " * 12, list("abcdefgh"), "is it so", {})
    computed = []
    step = server.served.model.step

    def counted(batch: Any, *more: Any) -> Any:
        batch = list(batch)
        computed.extend(len(chunk.tokens) for chunk in batch)
        return step(batch, *more)

    monkeypatch.setattr(server.served.model, "step", counted)
    assert len(list(scores(server.served, asked, asked.prompts))) == 8
    assert sum(computed) < 2 * len(asked.prompts[0])


@pytest.fixture(scope="module")
def reranker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server of a model as llama.cpp converts rerankers, with a template and two rows more."""
    path = tmp_path_factory.mktemp("rerank") / "reranker.gguf"
    keys = {
        "tokenizer.chat_template.rerank": "D: {document} Q: {query} A:",
        "llama.classifier.output_labels": ["yes", "no"],
    }
    with io.open(GOLDEN / "gguf-v1-f16.bin") as file:
        rows = gk.quantize(np.ones((2, 64), np.float32), "f16")
        tensors = {**file.tensors, "cls.output.weight": rows}
        io.save(path, tensors, {**file.metadata, **keys})
    with running(settings_for(path)) as server:
        yield server


def test_a_models_own_template(reranker: RunningServer) -> None:
    documents = ["{query}", "it is {document}"]
    for each in rerank(reranker, documents=documents)["results"]:
        text = f"D: {documents[each['index']]} Q: The number A:"
        assert each["relevance_score"] == pytest.approx(one_score(reranker, text), abs=1e-6)


def test_a_model_without_a_template(tmp_path: Path) -> None:
    path = tmp_path / "plain.gguf"
    with io.open(GOLDEN / "gguf-v1-f16.bin") as file:
        io.save(path, file.tensors, file.metadata)
    with running(settings_for(path)) as server:
        (found,) = rerank(server, documents=["a"], instruction="Is it so?")["results"]
        text = (
            f"{ranking._JUDGE}\n\n<Instruct>: Is it so?\n<Query>: The number\n<Document>: a"
            "\n\nAnswer: "
        )
        assert found["relevance_score"] == pytest.approx(one_score(server, text), abs=1e-6)


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({}, "invalid_request_error"),
        ({"documents": []}, "invalid_request_error"),
        ({"documents": "a"}, "invalid_request_error"),
        ({"documents": [5]}, "invalid_request_error"),
        ({"documents": [{"title": "a"}]}, "invalid_request_error"),
        ({"documents": ["a"] * 3000}, "invalid_request_error"),
        ({"documents": ["a"], "top_n": 0}, "invalid_request_error"),
        ({"documents": ["a"], "query": ""}, "invalid_request_error"),
        ({"documents": ["a"], "query": 5}, "invalid_request_error"),
        ({"documents": ["a"] * 2000, "query": "a " * 600}, "exceed_context_size_error"),
        ({"documents": ["a", "b " * 600]}, "exceed_context_size_error"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_is_refused(server: RunningServer, fields: dict[str, Any], kind: str) -> None:
    found = server.post("/v1/rerank", {"query": "a", **fields})
    assert found.status_code == 400, found.text
    assert (found.json()["error"]["code"], found.json()["error"]["type"]) == (400, kind)
    assert server.is_free()

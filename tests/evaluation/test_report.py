"""Reports: their figures, what each part costs, and the page."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from math import inf, nan
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ggmlkit as gk
from ggmlkit.evaluation import charts
from ggmlkit.evaluation.evaluating import perplexity
from ggmlkit.evaluation.mixed_model import MixedFile, part_of, parts_of
from ggmlkit.evaluation.report_page import page, write_page
from ggmlkit.evaluation.reporting import Report, report
from ggmlkit.evaluation.weight_errors import by

CONTEXT = 32


@pytest.fixture(scope="module")
def mixed(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model with layer 1 alone in q4_0."""
    path = tmp_path_factory.mktemp("mixed") / "<mixed>.gguf"
    with gk.open(base) as file:
        tensors = {
            name: tensor.astype("q4_0")
            if part_of(name) == "layer 1" and tensor.ndim == 2
            else tensor
            for name, tensor in file.items()
        }
        gk.save(path, tensors, file.metadata)
    return path


@pytest.fixture(scope="module")
def found(base: Path, quantized: Path, mixed: Path, text: str) -> Report:
    told: list[tuple[int, int, str]] = []
    made = report(
        [quantized, mixed], base, text, context=CONTEXT, chunks=4, part_chunks=3,
        settings={"batch_invariant": True}, progress=lambda *now: told.append(now),
    )  # fmt: skip
    assert told[-1][0] == told[-1][1]
    assert [done for done, *_ in told] == sorted(done for done, *_ in told)
    assert any("layer 1 alone" in what for *_, what in told)
    return made


def test_figures_are_those_of_single_evaluations(
    found: Report, base: Path, quantized: Path, text: str
) -> None:
    single = perplexity(quantized, text, context=CONTEXT, chunks=4, base=base)
    own = found.models[0].found
    assert own.perplexity.value == pytest.approx(single.perplexity.value, rel=1e-4)
    assert own.base is not None
    assert single.base is not None
    assert own.base.kl.value == pytest.approx(single.base.kl.value, rel=5e-3)
    assert found.base.found.base is None
    with gk.open(quantized) as file:
        nbytes = sum(tensor.nbytes for tensor in file.values())
        weights = sum(tensor.size for tensor in file.values())
    assert found.models[0].nbytes == sum(found.models[0].types.values()) == nbytes
    assert found.models[0].bits_per_weight == pytest.approx(8 * nbytes / weights)


def test_a_part_costs_what_it_changes(found: Report) -> None:
    whole, one = found.models
    assert list(whole.costs) == list(one.costs)
    assert {"token_embd", "layer 0", "layer 1"} <= set(whole.costs)
    assert all(cost.value > 0 for part, cost in whole.costs.items() if part.startswith("layer"))
    assert {part for part, cost in one.costs.items() if cost.value} == {"layer 1"}
    assert one.costs["layer 1"].value == pytest.approx(whole.costs["layer 1"].value, rel=0.05)
    assert one.found.base is not None
    assert one.costs["layer 1"].value == pytest.approx(
        one.found.base.kl_by_position.mean(), rel=0.5
    )  # of other chunks


def test_errors_of_weights(found: Report, base: Path, quantized: Path) -> None:
    with gk.open(base) as one, gk.open(quantized) as other:
        for error in found.models[0].errors:
            values, rough = one[error.name].dequantize(), other[error.name].dequantize()
            expected = np.sqrt(((rough - values) ** 2).mean() / (values**2).mean())
            assert error.relative == pytest.approx(expected, rel=1e-4, abs=1e-9)
            assert error.type == other[error.name].type.name
    parts = by(lambda e: e.part, found.models[1].errors)
    assert {part for part, error in parts.items() if error} == {"layer 1"}


def test_parts_are_in_the_order_of_the_model() -> None:
    names = [f"blk.{layer}.attn_q.weight" for layer in (0, 1, 10, 2)]
    found = parts_of(["output.weight", *names, "token_embd.weight", "blk.1.ffn_up.weight"])
    layers = [f"layer {layer}" for layer in (0, 1, 2, 10)]
    assert list(found) == ["token_embd", *layers, "output"]
    assert found["layer 1"] == ["blk.1.attn_q.weight", "blk.1.ffn_up.weight"]


def test_mixed_models_take_tensors_of_both(base: Path, quantized: Path) -> None:
    name = "blk.0.attn_q.weight"
    with gk.open(base) as one, gk.open(quantized) as other:
        file = MixedFile(one, {name: other[name]})
        assert file[name].type.name == "q4_0"
        assert file["blk.1.attn_q.weight"].type.name == "f16"
        with gk.Model(file, context=16) as model:
            assert model.config.layers == 2


def test_what_is_not_made_of_the_base_is_refused(
    base: Path, text: str, tmp_path: Path, chat_gguf: Path
) -> None:
    other = tmp_path / "other.gguf"
    with gk.open(chat_gguf) as file:
        kept = {name: t for name, t in file.items() if name != "blk.1.attn_q.weight"}
        gk.save(other, kept, file.metadata)
    with pytest.raises(gk.ArgumentError, match=r"other\.gguf is not made of .*no such tensor"):
        report([other], base, text, context=CONTEXT)
    for models, message in (
        ([], "no models to compare"), ("abc", "models must be a list"), ([5], r"models\[0\]"),
    ):  # fmt: skip
        with pytest.raises(gk.ArgumentError, match=message):
            report(models, base, text)  # type: ignore[arg-type]


class Tags(HTMLParser):
    """Collects tags and attributes, and checks that they nest."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.attributes += attrs
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_loads_nothing(found: Report, tmp_path: Path) -> None:
    write_page(found, tmp_path / "r.html", "<text>")
    html = (tmp_path / "r.html").read_text("utf-8")
    tags = Tags()
    tags.feed(html)
    assert tags.open == []
    assert tags.seen.count("svg") == 5
    assert not {"script", "link", "img", "iframe", "image", "use"} & set(tags.seen)
    loading = {name for name, _ in tags.attributes} & {"src", "href", "xlink:href", "style"}
    assert not loading
    assert re.findall(r"https?://[^\"]*", html) == ["http://www.w3.org/2000/svg"] * 5
    assert "default-src 'none'" in html
    assert "<mixed>" not in html
    assert "&lt;mixed&gt;.gguf" in html
    assert "&lt;text&gt;" in html
    base = found.models[0].found.base
    assert base is not None
    assert f"{base.kl.value:.5f} ± {base.kl.error:.5f}" in html
    assert found.as_dict()["models"][1]["costs"]["layer 1"]["value"] > 0


def test_costs_are_left_out_where_they_are_not_asked_for(
    base: Path, quantized: Path, text: str
) -> None:
    found = report([quantized, quantized], base, text, context=CONTEXT, chunks=2, part_chunks=0)
    assert found.models[0].costs == {}
    html = page(found)
    assert "What each part costs" not in html
    assert html.count(str(quantized)) > 2  # files of one name are told apart


@pytest.mark.parametrize("values", [[], [0.0], [1.0, 1.0], [nan, inf, 1.0], [1e-9, 1e9], [-1, 1]])
def test_charts_of_any_values(values: list[float]) -> None:
    numbered = list(enumerate(values))
    series: dict[str, Any] = {"<a>": numbered, "b": []}
    for svg in (
        charts.lines(series, "x", "y"),
        charts.lines(series, "x", "y", log=True),
        charts.bars({"<a>": {str(n): value for n, value in numbered}}, "y"),
        charts.points({f"<a>{n}": (n, value) for n, value in numbered}, "x", "y"),
    ):
        tags = Tags()
        tags.feed(svg)
        assert tags.open == []
        assert not re.search(r"\b(nan|inf)\b", re.sub(r"<title>.*?</title>", "", svg))


def test_bars_are_as_high_as_their_values() -> None:
    svg = charts.bars({"a": {"x": 1.0, "y": 2.0}}, "y")
    heights = [float(h) for h in re.findall(r'height="([\d.]+)" fill="#0072b2"><title>', svg)]
    assert heights[1] == pytest.approx(2 * heights[0], rel=1e-3)

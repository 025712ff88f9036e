"""Perplexity and KL divergence beside llama-perplexity, and its file of logits both ways."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ggmlkit.engine.model import Model
from ggmlkit.evaluation.bases import open_saved
from ggmlkit.evaluation.evaluating import perplexity
from ggmlkit.evaluation.logit_blocks import Block
from ggmlkit.evaluation.text_chunks import TextChunks
from paths import ROOT

CONTEXT, CHUNKS = 128, 4
WORK = ["-c", str(CONTEXT), "-b", str(CONTEXT), "-fa", "off", "-t", "2"]


@pytest.fixture(scope="module")
def text_file() -> Path:
    """A text of some thousand tokens."""
    return ROOT / "docs/engine.md"


def run(llama_bin: Path, *words: str | Path) -> str:
    command = [str(llama_bin / "llama-perplexity"), *map(str, words), *WORK]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def their_file(
    llama_bin: Path, f16_model: Path, text_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, str]:
    """llama-perplexity's logits of the f16 model, and what it printed."""
    path = tmp_path_factory.mktemp("theirs") / "f16.logits"
    words = ["-m", f16_model, "-f", text_file, "--chunks", str(CHUNKS)]
    return path, run(llama_bin, *words, "--kl-divergence-base", path)


def figure(said: str, name: str) -> tuple[float, float]:
    """A figure and its error, as printed."""
    found = re.search(rf"{re.escape(name)} *[:=] *(-?[\d.]+) *(?:±|\+/-) *([\d.]+)", said)
    assert found is not None, said
    return float(found[1]), float(found[2])


def test_perplexity_of_a_float_file_is_theirs(
    f16_model: Path, text_file: Path, their_file: tuple[Path, str]
) -> None:
    value, error = figure(their_file[1], "Final estimate: PPL")
    text = text_file.read_text("utf-8").removesuffix("\n")
    found = perplexity(f16_model, text, context=CONTEXT, chunks=CHUNKS, base=their_file[0])
    assert found.perplexity.value == pytest.approx(value, rel=1e-3)
    assert found.perplexity.error == pytest.approx(error, rel=1e-2)
    assert found.base is not None
    assert found.base.kl.value < 1e-4
    assert found.base.top_1.value > 0.98


class Theirs:
    """Logits of llama.cpp's own decoder, in place of our model's."""

    def __init__(self, path: Path) -> None:
        llama_cpp = pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")
        self._llama = llama_cpp.Llama(
            str(path), n_ctx=CONTEXT, n_batch=CONTEXT, n_threads=2, n_threads_batch=2,
            logits_all=True, verbose=False,
        )  # fmt: skip

    def blocks(self, model: Model, text: TextChunks, first: int, end: int) -> Iterator[list[Block]]:
        for chunk in range(first, end):
            self._llama.reset()
            self._llama.eval(text.evaluated(chunk).tolist())
            scores = np.array(self._llama.scores[text.unscored : text.context - 1], np.float32)
            assert scores.shape[1] == model.config.vocab
            yield [Block(chunk, 0, scores, text.targets(chunk))]


def test_divergence_from_the_same_logits_is_theirs(
    llama_bin: Path,
    smollm2_gguf: Path,
    their_file: tuple[Path, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path, _ = their_file
    said = run(llama_bin, "-m", smollm2_gguf, "--kl-divergence", "--kl-divergence-base", path)
    blocks = Theirs(smollm2_gguf).blocks
    monkeypatch.setattr("ggmlkit.evaluation.work.logit_blocks", blocks)
    found = perplexity(smollm2_gguf, base=path)
    base = found.base
    assert base is not None
    for name, ours in {
        "Mean PPL(Q)": found.perplexity,
        "Mean PPL(base)": base.base_perplexity,
        "Mean ln(PPL(Q)/PPL(base))": base.log_perplexity_ratio,
        "Mean PPL(Q)/PPL(base)": base.perplexity_ratio,
        "Mean    KLD": base.kl,
    }.items():
        value, error = figure(said, name)
        assert ours.value == pytest.approx(value, abs=2e-6, rel=2e-7), name
        assert ours.error == pytest.approx(error, abs=2e-6), name
    for name, ours in {
        "Mean    Δp": base.p_difference,
        "RMS Δp": base.p_difference_rms,
        "Same top p": base.top_1,
    }.items():
        value, error = figure(said, name)
        assert 100 * ours.value == pytest.approx(value, abs=1.1e-3), name
        assert 100 * ours.error == pytest.approx(error, abs=1.1e-3), name
    for share, name in {1.0: "Maximum", 0.999: "99.9%", 0.9: "90.0%", 0.5: "Median"}.items():
        printed = re.search(rf"{re.escape(name)} +KLD: +([\d.]+)", said)
        assert printed is not None
        assert base.kl_quantiles[share] == pytest.approx(float(printed[1]), abs=2e-6), name


def test_their_program_reads_our_file(
    llama_bin: Path, f16_model: Path, text_file: Path, their_file: tuple[Path, str], tmp_path: Path
) -> None:
    ours = tmp_path / "ours.logits"
    text = text_file.read_text("utf-8").removesuffix("\n")
    perplexity(f16_model, text, context=CONTEXT, chunks=CHUNKS, save_all=ours)
    said = run(llama_bin, "-m", f16_model, "--kl-divergence", "--kl-divergence-base", ours)
    base = perplexity(f16_model, base=ours).base
    assert base is not None
    value, error = figure(said, "Mean PPL(base)")
    assert base.base_perplexity.value == pytest.approx(value, abs=2e-6)
    assert base.base_perplexity.error == pytest.approx(error, abs=2e-6)
    assert figure(said, "Mean    KLD")[0] < 1e-4
    one, other = open_saved(ours), open_saved(their_file[0])
    assert one is not None
    assert other is not None
    with one, other:
        assert np.array_equal(one.tokens, other.tokens)
    assert ours.stat().st_size == their_file[0].stat().st_size


def test_saved_predictions_of_theirs_have_a_row_for_each_position(
    their_file: tuple[Path, str],
) -> None:
    saved = open_saved(their_file[0])
    assert saved is not None
    with saved:
        assert saved.tokens.shape == (CHUNKS, CONTEXT)
        last: Any = saved.distribution(CHUNKS - 1, 0, saved.positions)
        sums = np.exp(last._log_probs(slice(0, saved.positions)).astype(np.float64)).sum(axis=1)
        assert sums == pytest.approx(1, abs=0.01)  # the least likely ones count as e**-16

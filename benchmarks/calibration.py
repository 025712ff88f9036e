"""Calibrated rounding: KL divergence to the float model, beside other files of the same size.

SmolLM2, dithered (dithered.py); every matrix in one type. It is measured on another text than the
calibration's, by llama-perplexity and by our engine; the best method with three choices of samples.
`make calibration` runs these steps alone.
"""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import ggmlkit as gk
import peers
from bench import Bench, Outcome, Step
from dithered import SOURCE, dithered
from ggmlkit.calibration.methods import METHODS, Method
from measure import OURS, Comparison

GROUP = "Calibrated rounding"
GROUP_OF_STEPS = "calibration"
REFERENCE, IMATRIX = "reference rounding", "llama.cpp with imatrix"
_TOOLS = ("llama-perplexity", "llama-imatrix", "llama-quantize")
_SEEDS = range(3)  # of the best method; the others have the first
_BEST: Method = "descent"
# What each type is to reach: so many times the mean KL divergence of another file.
_GOALS: dict[str, tuple[float, str]] = {
    "q4_0": (0.33, REFERENCE),
    "q4_1": (0.4, REFERENCE),
    "q5_0": (0.4, REFERENCE),
    "iq4_nl": (0.4, REFERENCE),
    "q4_K": (0.6, IMATRIX),
    "q3_K": (0.6, IMATRIX),
    "q2_K": (0.6, IMATRIX),
    "q5_1": (0.5, REFERENCE),
    "q5_K": (0.5, REFERENCE),
    "q6_K": (0.7, REFERENCE),
    "iq4_xs": (0.4, REFERENCE),
    "mxfp4": (0.5, REFERENCE),
    "q8_0": (1.0, REFERENCE),
}
# The same of files whose scales an importance matrix alone decides.
_BY_MATRIX: dict[str, tuple[float, str]] = {"q4_0": (0.5, REFERENCE), "q5_0": (0.7, REFERENCE)}
_CONTEXT, _CHUNKS = 512, 16  # of the measurement, as of llama-perplexity
_MATRIX_CHUNKS = 64  # of the importance matrix
_KL = re.compile(r"Mean\s+KLD:\s+([0-9.]+)")


def steps(bench: Bench) -> list[Step]:
    """Each type and method, and scales by an importance matrix alone."""
    steps = [
        Step(f"{GROUP_OF_STEPS} {type} {method}", partial(_calibrated, bench, type, method))
        for type in _GOALS
        for method in METHODS
    ]
    by_matrix = [
        Step(f"{GROUP_OF_STEPS} {type} imatrix", partial(_searched, bench, type))
        for type in _BY_MATRIX
    ]
    return [*steps, *by_matrix]


def _calibrated(bench: Bench, type: str, method: Method) -> Outcome:
    files = _Files(bench)
    seeds = _SEEDS if method == _BEST else _SEEDS[:1]
    makes = [
        partial(
            gk.quantize_file,
            type=type,
            pure=True,
            calibrate=gk.Calibration(files.text("valid"), method, seed=seed),
        )
        for seed in seeds
    ]
    return _measured(bench, files, type, method, makes, _GOALS[type])


def _searched(bench: Bench, type: str) -> Outcome:
    """By an importance matrix alone, that of the output matrix among them."""
    files = _Files(bench)
    importance = gk.read_imatrix(files.matrix()).importance
    make = partial(
        gk.quantize_file, type=type, pure=True, importance=importance, calibrate=gk.ScaleSearch()
    )
    return _measured(bench, files, type, "search by imatrix", [make], _BY_MATRIX[type])


def _measured(
    bench: Bench,
    files: _Files,
    type: str,
    how: str,
    makes: Sequence[Callable[..., list[str]]],
    goal: tuple[float, str],
) -> Outcome:
    """The divergences of the files that each of ``makes`` makes, beside others'."""
    ours: dict[str, list[float]] = {}
    times: list[float] = []
    notes: list[str] = []
    for number, make in enumerate(makes):
        out = bench.folder / f"calibrated-{type}-{how.replace(' ', '-')}-{number}.gguf"
        start = time.perf_counter()
        notes += make(files.f16, out)
        times.append(time.perf_counter() - start)
        for measure, value in files.divergences(out):
            ours.setdefault(measure, []).append(value)
        out.unlink()
    lines = [
        Comparison(
            GROUP,
            f"{type}, {how}: by {measure}",
            "mean KL divergence, nats",
            max(bench.threads),
            {OURS: found} | {s: [by[measure]] * len(found) for s, by in files.others(type).items()},
            goal=goal[0],
            less=True,
            against=goal[1],
        )
        for measure, found in ours.items()
    ]
    kept = [note for note in dict.fromkeys(notes) if "held out" in note or "searched" in note]
    took = f"{min(times):.0f} to {max(times):.0f} s to calibrate and write"
    return Outcome(lines, [took, *kept, *files.missing])


class _Files:
    """The model, what others make of it, and what is measured of them; kept for later steps."""

    def __init__(self, bench: Bench) -> None:
        self._folder = bench.folder
        self._texts = bench.texts
        self.missing: list[str] = []
        source = bench.inputs.real_f16.with_name(SOURCE)
        self.f16 = dithered(source, bench.folder / "dithered.gguf")
        try:
            self._tools: Path | None = peers.llama_cpp(peers.FOLDER, _TOOLS)
        except (OSError, subprocess.CalledProcessError) as error:
            self._tools = None
            self.missing.append(f"llama.cpp: {error}")

    def text(self, part: str) -> Path:
        return self._texts / f"wikitext2-{part}.txt"

    def others(self, type: str) -> dict[str, dict[str, float]]:
        """Divergences of files of the same type by others' means: system, measure, value."""
        kept = self._folder / f"others-{type}.json"
        if not kept.exists():
            measured = self._others(type)
            if self._tools is None:
                return measured
            kept.write_text(json.dumps(measured))
        found: dict[str, dict[str, float]] = json.loads(kept.read_text())
        return found

    def _others(self, type: str) -> dict[str, dict[str, float]]:
        plain = self._folder / f"reference-{type}.gguf"
        gk.quantize_file(self.f16, plain, type, pure=True)
        found = {REFERENCE: dict(self.divergences(plain))}
        plain.unlink()
        if self._tools is not None:
            weighted = self._folder / f"imatrix-{type}.gguf"
            self._run(
                "llama-quantize", "--pure", "--imatrix", self._imatrix(), self.f16, weighted, type
            )
            found[IMATRIX] = dict(self.divergences(weighted))
            weighted.unlink()
        return found

    def divergences(self, path: Path) -> Iterator[tuple[str, float]]:
        """Mean KL divergence on the test's text, by each measure."""
        if self._tools is not None:
            yield "llama-perplexity", self._their_divergence(path)
        yield "our engine", self._our_divergence(path)

    def matrix(self) -> Path:
        """An importance matrix by us."""
        out = self._folder / "dithered-our-imatrix.gguf"
        if not out.exists():
            text = self.text("valid").read_text("utf-8")
            made = gk.make_imatrix(
                self.f16, text, chunk_size=_CONTEXT, chunks=_MATRIX_CHUNKS, output=True
            )
            gk.save_imatrix(out, made)
        return out

    def _imatrix(self) -> Path:
        out = self._folder / "dithered-imatrix.gguf"
        if not out.exists():
            self._run(
                "llama-imatrix", "-m", self.f16, "-f", self.text("valid"), "-o", out,
                "-c", _CONTEXT, "--chunks", _MATRIX_CHUNKS,
            )  # fmt: skip
        return out

    def _their_divergence(self, path: Path) -> float:
        base = self._folder / "dithered-logits.bin"
        test = ["-f", self.text("test"), "-c", _CONTEXT, "--chunks", _CHUNKS]
        if not base.exists():
            self._run("llama-perplexity", "-m", self.f16, *test, "--kl-divergence-base", base)
        said = self._run(
            "llama-perplexity", "-m", path, *test, "--kl-divergence-base", base, "--kl-divergence"
        )
        match = _KL.search(said)
        if match is None:
            raise ValueError(f"llama-perplexity says no divergence: {said[-200:]}")
        return float(match[1])

    def _run(self, tool: str, *arguments: object) -> str:
        assert self._tools is not None
        command = [str(self._tools / tool), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=True)
        return done.stdout + done.stderr

    def _our_divergence(self, path: Path) -> float:
        base = self._folder / "dithered-logits-of-ours.bin"
        if not base.exists():
            text = self.text("test").read_text("utf-8")
            gk.evaluation.perplexity(
                self.f16, text, context=_CONTEXT, chunks=_CHUNKS, save_all=base
            )
        found = gk.evaluation.perplexity(path, base=base).base
        assert found is not None
        return found.kl.value

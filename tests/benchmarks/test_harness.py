"""The arithmetic of the benchmarks: ratios, fits, divergences, and the files they write."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

import fuzzing
import ggmlkit as gk
import nested_scales
from conversion import watched
from fit import fitted, growths
from inputs import cost
from libggml import type_id
from measure import OURS, Comparison, Roof, from_json, interleave
from quality import kl_divergence
from report import markdown
from shapes import SHAPES, Shape, write_random
from store import Record, Results, read, write
from tokens_per_second import batched_speed

PEAKS = {1: {"read": 10.0, "write": 5.0, "copy": 8.0, "multiply_add": 100.0}}
PROBES = {1: {kind: {"plain": rate} for kind, rate in PEAKS[1].items()}}


def comparison(**changes: object) -> Comparison:
    samples = {OURS: [30.0, 20.0, 40.0], "slow": [5.0, 5.0, 5.0], "fast": [10.0, 10.0, 20.0]}
    values = {"group": "Decode", "work": "tiny", "unit": "tokens/s", "threads": 1}
    return Comparison(**{**values, "samples": samples, **changes})


def results(*comparisons: Comparison) -> Results:
    record = Record("2026-01-01T00:00", "abc1234", (0.5, 1.0), PEAKS, list(comparisons), ["odd"])
    return Results({"cpu": "mine", "cores": 1}, PROBES, ["speed a", "speed b"], {"speed": record})


def test_the_ratio_is_to_the_best_system_round_by_round() -> None:
    assert comparison().best_other == "fast"
    assert comparison().ratios() == [2.0, 2.0, 3.0]


def test_the_best_is_the_smallest_where_less_is_better() -> None:
    assert comparison(less=True).best_other == "slow"


def test_a_goal_can_name_the_system_to_compare_with() -> None:
    assert comparison(against="slow").rival == "slow"
    assert comparison(against="missing").rival == comparison().best_other
    assert from_json(comparison(against="slow").as_json()).against == "slow"


def test_the_names_of_steps_are_listed_without_peers(tmp_path: Path) -> None:
    run = Path(__file__).parents[2] / "benchmarks" / "run.py"
    command = [sys.executable, run, "--list", "--f16", __file__, "--folder", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "speed 135M q4_0 1 thread" in done.stdout
    assert "grouped 213M q4_K 1 thread" in done.stdout
    assert "cmake" not in done.stdout


def test_nothing_is_compared_with_a_system_that_is_missing() -> None:
    assert comparison(samples={OURS: [1.0]}).ratios() == []
    assert comparison(samples={"fast": [1.0]}).ratios() == []


def test_the_share_is_of_the_limit_with_the_same_number_of_threads() -> None:
    assert comparison(roof=Roof("read", 1e8)).share(PEAKS[1]) == pytest.approx(0.3)


def test_systems_take_turns_and_a_failing_one_is_left_out() -> None:
    turns: list[str] = []

    def system(name: str) -> Mapping[str, float]:
        turns.append(name)
        return {"speed": float(len(turns))}

    def failing(_: int) -> Mapping[str, float]:
        raise subprocess.CalledProcessError(3, "peer", stderr="loading\nno such model\n")

    systems = {"a": lambda _: system("a"), "b": lambda _: system("b"), "c": failing}
    found, failures = interleave(systems, 3)
    assert turns == ["a", "b", "b", "a", "a", "b"]
    assert found == {"speed": {"a": [1.0, 4.0, 5.0], "b": [2.0, 3.0, 6.0]}}
    assert failures == ["c: exit code 3, no such model"]


def test_points_on_a_line_give_that_line() -> None:
    sizes = [1e7, 1e8, 1e9]
    line = fitted([(size, 2e-4 + 1e-10 * size) for size in sizes])
    assert line.fixed == pytest.approx(2e-4)
    assert line.slope == pytest.approx(1e-10)
    assert line.worst < 1e-9


def test_growth_is_fitted_for_each_system_that_has_two_points() -> None:
    lines = [
        comparison(samples={OURS: [1 / (1 + n)], "fast": [9.0]} if n else {OURS: [1.0]}, x={"x": n})
        for n in (0.0, 1.0, 3.0)
    ]
    found = {growth.system: growth for growth in growths(lines)}
    assert found[OURS].points == ((0.0, 1.0), (1.0, 2.0), (3.0, 4.0))
    assert found[OURS].line.slope == pytest.approx(1)
    assert found["fast"].line.slope == pytest.approx(0)


def test_widths_of_the_grouped_shape_are_whole_blocks() -> None:
    shape = SHAPES[nested_scales.SIZE]
    assert all(width % 256 == 0 for width in (shape.dim, shape.ffn))


def test_divergence_equals_its_definition() -> None:
    exact, other = np.log(np.float32([[0.5, 0.5]])), np.log(np.float32([[0.25, 0.75]]))
    expected = 1e3 * 0.5 * (np.log(0.5 / 0.25) + np.log(0.5 / 0.75))
    assert kl_divergence(exact, other) == pytest.approx(expected, rel=1e-5)
    assert kl_divergence(exact, exact + 3) == pytest.approx(0, abs=1e-6)


def test_stored_results_are_read_only_on_the_same_cpu(tmp_path: Path) -> None:
    stored = results(comparison(roof=Roof("read", 1.0, 0.8), x={"tokens": 1.0}))
    write(stored, tmp_path / "results.json")
    assert read(tmp_path / "results.json", "mine") == stored
    assert read(tmp_path / "results.json", "another") == Results()
    assert read(tmp_path / "none.json", "mine") == Results()


def test_the_page_says_which_goals_were_reached() -> None:
    reached = comparison(goal=1.4, roof=Roof("read", 1e8, 0.8))
    missed = comparison(work="other", goal=1.4, less=True, samples={OURS: [3.0], "fast": [2.0]})
    page = markdown(results(reached, missed), [], [])
    row, other = (line for line in page.splitlines() if line.startswith(("| tiny", "| other")))
    assert "2.00 (2.00–3.00) × fast" in row
    assert "≥ 1.4 ✔" in row
    assert "30% of read, goal 80% ✘" in row
    assert "≤ 1.4 ✘" in other
    assert "| — |" in other  # the system that didn't do it
    assert "- speed: odd" in page
    assert "Steps not measured: speed (2)." in page
    assert "commit abc1234; load average 0.5 to 1.0." in page


def test_speed_is_read_from_the_batched_table() -> None:
    table = """
main: n_kv_max = 2048, n_batch = 2048

|    PP |     TG |    B |   N_KV |   T_PP s | S_PP t/s |   T_TG s | S_TG t/s |      T s |    S t/s |
|-------|--------|------|--------|----------|----------|----------|----------|----------|----------|
|     1 |      8 |    8 |     72 |    0.207 |    38.63 |    1.381 |    46.35 |    1.588 |    45.34 |
"""
    assert batched_speed(table) == 46.35


@pytest.mark.parametrize("tied", [True, False])
def test_a_random_model_runs_and_its_cost_is_counted(tmp_path: Path, tied: bool) -> None:
    shape = Shape(dim=64, layers=2, heads=2, kv_heads=1, ffn=96, vocab=320, tied=tied)
    path = tmp_path / "random.gguf"
    write_random(shape, "q8_0", path)
    assert np.isfinite(gk.Llama(path).logits([1, 2, 3])).all()
    spent = cost(path)
    layers = 2 * (64 * 64 * 2 + 32 * 64 * 2 + 96 * 64 * 3)
    assert spent.prompt_macs == layers
    assert spent.decode_bytes == (layers + 320 * 64) // 32 * 34
    assert spent.weights == layers + 320 * 64 * (1 if tied else 2) + 5 * 64


def test_time_and_memory_of_a_command_are_measured(tmp_path: Path) -> None:
    own = bytearray(300_000_000)  # which must not count for the measured process
    code = "import time; room = bytearray(50_000_000); time.sleep(0.2)"
    seconds, peak = watched([sys.executable, "-c", code], tmp_path / "peak.json")
    assert own
    assert 0.2 < seconds < 30
    assert 50e6 < peak < 100e6
    with pytest.raises(subprocess.CalledProcessError) as failed:
        watched([sys.executable, "-c", "raise ValueError('no')"], tmp_path / "peak.json")
    assert b"ValueError: no" in failed.value.stderr


def test_types_have_the_numbers_of_files() -> None:
    assert [type_id(t) for t in ("q4_0", "q5_1", "q8_0", "q4_K")] == [2, 7, 8, 12]


def test_runs_of_a_fuzzer_are_added_up(tmp_path: Path) -> None:
    path = tmp_path / "fuzz.json"
    for executions, failed, commit in ((1000, False, "abc"), (200_000, True, "def")):
        recorded = fuzzing.read(path)
        recorded.setdefault("gguf", fuzzing.Fuzzed()).add(executions, 100.0, failed, commit)
        fuzzing.write(recorded, path)
    page = markdown(results(comparison()), [], [], fuzzing.lines(fuzzing.read(path)))
    assert "201,000 executions" in page
    assert "commits abc, def" in page
    assert "| gguf | 201,000 | 1,005 | 1 |" in page


def test_the_page_has_no_section_on_fuzzing_without_records(tmp_path: Path) -> None:
    assert "Fuzzing" not in markdown(results(comparison()), [], [], fuzzing.lines({}))
    assert fuzzing.read(tmp_path / "missing.json") == {}

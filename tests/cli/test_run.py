"""Commands that run a model: run, chat, bench."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from command import ggmlkit
from ggmlkit import io
from paths import GOLDEN

F16 = GOLDEN / "gguf-v1-f16.bin"


@pytest.mark.parametrize("model", ["gguf-v1-f16.bin", "gguf-v1-q4_0.bin", "ggjt-v3-q5_0.bin"])
def test_run_prints_the_text_and_then_the_speed(model: str) -> None:
    arguments = ["run", "-m", str(GOLDEN / model), "-p", "Hello", "-n", "8", "--ignore-eos"]
    result = ggmlkit(*arguments, "--temp", "0", "-t", "1")
    assert result.stdout.endswith("\n")
    assert "prompt: " in result.stderr
    assert "decode: " in result.stderr
    assert "tokens/s" in result.stderr
    assert ggmlkit(*arguments, "--temp", "0", "-t", "1").stdout == result.stdout


def test_the_same_seed_gives_the_same_text() -> None:
    def text(seed: int) -> str:
        arguments = ["-p", "Hello", "-n", "24", "--ignore-eos", "--temp", "1.5", "--top-k", "0"]
        return ggmlkit("run", "-m", F16, *arguments, "-s", str(seed)).stdout

    assert text(3) == text(3)
    assert len({text(seed) for seed in range(4)}) > 1


def test_a_text_that_ends_with_the_context_says_so() -> None:
    words = ["run", "-m", F16, "-p", "Hello", "--ignore-eos", "-t", "1", "-c", "20"]
    note = (
        "ggmlkit: note: the context of 20 tokens is full; -c sets a longer one, and --context-shift"
    )
    assert note in ggmlkit(*words).stderr
    assert note in ggmlkit(*words, "-n", "100").stderr
    assert "note" not in ggmlkit(*words, "-n", "3").stderr


def test_keep_without_context_shift_says_that_it_has_no_effect() -> None:
    words = ["run", "-m", F16, "-p", "Hello", "-n", "2", "-t", "1", "--keep", "1"]
    note = "--keep has no effect without --context-shift"
    assert note in ggmlkit(*words).stderr
    assert note not in ggmlkit(*words, "--context-shift").stderr


def test_run_reads_the_prompt_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "prompt.txt").write_text("Hello")
    arguments = ["-n", "8", "--temp", "0", "-c", "64", "--mlock"]
    assert (
        ggmlkit("run", "-m", F16, "-f", tmp_path / "prompt.txt", *arguments).stdout
        == ggmlkit("run", "-m", F16, "-p", "Hello", *arguments).stdout
    )


def test_settings_of_the_decoder_reach_it() -> None:
    model = GOLDEN / "gguf-v1-q4_0.bin"
    settings = ["--kv-type", "q8_0", "--activation-bits", "16", "--no-repack"]
    arguments = ["-p", "Hello", "-n", "8", "--temp", "0"]
    assert ggmlkit("run", "-m", model, *arguments, *settings).stdout
    speeds = ggmlkit("bench", "-m", model, "-p", "4", "-n", "2", "-r", "1", *settings, "--json")
    assert len(json.loads(speeds.stdout)) == 2


@pytest.mark.parametrize("is_prompt_done", [True, False])
def test_ctrl_c_stops_cleanly_with_the_speed(is_prompt_done: bool) -> None:
    script = (
        "import sys, time\n"
        "from ggmlkit.engine.llama import Llama\n"
        "generate = Llama.generate\n"
        "def slow(*a, **k):\n"
        f"    if not {is_prompt_done}:\n"
        "        print('x', flush=True)\n"
        "        time.sleep(30)\n"
        "    for piece in generate(*a, **k):\n"
        "        yield piece\n"
        "        time.sleep(0.05)\n"
        "Llama.generate = slow\n"
        "from ggmlkit.cli import main\n"
        f"sys.argv = ['ggmlkit', 'run', '-m', {str(F16)!r}, '-p', 'Hello', '--ignore-eos',"
        " '-n', '200', '-c', '256']\n"
        "main()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.read(1)  # it has begun
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    said = "interrupted" if is_prompt_done else "interrupted while the prompt was processed"
    assert errors.decode().splitlines()[-1] == f"ggmlkit: {said}"
    assert (b"decode: " in errors) == is_prompt_done
    assert b"Traceback" not in errors


def test_bench_tells_both_speeds() -> None:
    arguments = ["-p", "16", "-n", "4", "-r", "2", "-t", "1", "--json"]
    prompt, decode = json.loads(ggmlkit("bench", "-m", F16, *arguments).stdout)
    assert (prompt["n_prompt"], prompt["n_gen"], prompt["n_threads"]) == (16, 0, 1)
    assert (decode["n_prompt"], decode["n_gen"], decode["n_threads"]) == (0, 4, 1)
    for result in (prompt, decode):
        assert result["avg_ts"] > 0
        assert result["stddev_ts"] >= 0
        assert result["model_type"].startswith("llama ")
        assert result["model_type"].endswith(" f16")
        assert 0 < result["model_size"] <= F16.stat().st_size
    assert "tokens/s" in ggmlkit("bench", "-m", F16, "-p", "4", "-n", "2", "-r", "1").stdout


def test_bench_measures_behind_a_context_and_several_prompts() -> None:
    arguments = ["-p", "8", "-p", "4", "-n", "2", "-d", "5", "-r", "1", "--no-warmup", "--json"]
    results = json.loads(ggmlkit("bench", "-m", F16, *arguments).stdout)
    assert [(r["n_prompt"], r["n_gen"]) for r in results] == [(8, 0), (4, 0), (0, 2)]
    assert {(r["n_depth"], r["n_parallel"]) for r in results} == {(5, 1)}


def test_a_full_context_shifts() -> None:
    more = ["-p", "Hello", "-n", "90", "-c", "40", "--temp", "0", "--ignore-eos"]
    stopped = ggmlkit("run", "-m", F16, *more)
    shifted = ggmlkit("run", "-m", F16, *more, "--context-shift", "--keep", "2")
    assert shifted.stdout.startswith(stopped.stdout.rstrip("\n"))
    assert "decode: 90 tokens" in shifted.stderr
    assert "is full" not in shifted.stderr


def test_guesses_change_no_text() -> None:
    more = ["run", "-m", F16, "-p", "a b a b a b", "-n", "60", "--temp", "0", "--ignore-eos"]
    text = ggmlkit(*more, "--no-lookup").stdout
    assert ggmlkit(*more).stdout == text
    assert ggmlkit(*more, "-md", GOLDEN / "gguf-v1-q4_0.bin").stdout == text


def test_a_draft_model_with_another_vocabulary_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "other.gguf"
    with io.open(F16) as file:
        texts = file.metadata["tokenizer.ggml.tokens"]
        changed = [*texts[:7], "other", *texts[8:]]
        io.save(other, file.tensors, {**file.metadata, "tokenizer.ggml.tokens": changed})
    result = ggmlkit("run", "-m", F16, "-p", "a", "-n", "1", "-md", other, code=2)
    assert "other.gguf has another vocabulary than" in result.stderr
    assert "token 7" in result.stderr

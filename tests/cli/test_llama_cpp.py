"""Options of llama.cpp that have no counterpart: accepted with a note, or refused by name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from command import ggmlkit
from ggmlkit.cli.app import run
from paths import GOLDEN

F16 = GOLDEN / "gguf-v1-f16.bin"
RUN = ["run", "-m", str(F16), "-p", "Hello", "-n", "4", "--temp", "0", "-t", "1"]


@pytest.fixture(scope="module")
def text() -> str:
    return ggmlkit(*RUN).stdout


@pytest.mark.parametrize(
    "words",
    [
        ["-ngl", "99"],
        ["--n-gpu-layers", "all"],
        ["-fa"],
        ["-fa", "on"],
        ["-fa", "-b", "512"],
        ["-ub", "64", "-tb", "2"],
        ["-mg", "0", "-ts", "1,1", "-sm", "none"],
        ["-nkvo", "--no-mmap"],
        ["--numa", "distribute", "--no-warmup"],
        ["--warmup", "--verbose-prompt", "--check-tensors", "--swa-full"],
        ["-Cb", "ff", "-np", "1", "--log-colors", "off", "--no-show-timings"],
    ],
    ids=" ".join,
)
def test_what_only_sets_speed_is_noted(words: list[str], text: str) -> None:
    told = ggmlkit(*RUN, *words)
    assert told.stdout == text
    for option in (word for word in words if word.startswith("-")):
        assert f"ggmlkit: note: {option} has no effect: " in told.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["-no-cnv"],
        ["--no-display-prompt"],
        ["-ctk", "f16", "-ctv", "f16"],
        ["-s", "-1"],
        ["--jinja"],
    ],
)
def test_what_means_the_same_is_accepted_without_a_note(words: list[str], text: str) -> None:
    told = ggmlkit(*RUN, *words)
    assert told.stdout == text
    assert "note" not in told.stderr


def test_cache_types_of_keys_and_values() -> None:
    model = ["run", "-m", str(F16), "-p", "Hello", "-n", "2"]
    for words in (
        ["-ctk", "q8_0", "-ctv", "q8_0"],
        ["-ctk", "q8_0", "--kv-type", "q8_0"],
        ["-ctk", "q8_0", "-ctv", "q4_0"],
        ["-ctv=q4_0"],
        ["--kv-type", "q8_0/q4_0"],
        ["--kv-type", "q8_0/q4_0", "-ctv", "q4_0"],
    ):
        assert ggmlkit(*model, *words).stdout
    for words in (["-ctk", "q8_0", "-ctv", "q8_0"], ["-ctv", "q4_0"]):
        told = ggmlkit(*model, *words, "--kv-type", "f16", code=2)
        assert "--kv-type f16 sets keys and values" in told.stderr
    told = ggmlkit(*model, "--kv-type", "q8_0/q5_0", code=2)
    assert "must be one or two of f16, q8_0, q4_0, such as q8_0/q4_0" in told.stderr


@pytest.mark.parametrize(
    ("command", "words", "way_out"),
    [
        ("run", ["-sys", "Be brief."], "ggmlkit chat"),
        ("run", ["-st"], "-cnv"),
        ("run", ["-i"], "-cnv"),
        ("run", ["-mli"], "-cnv"),
        ("run", ["--prompt-cache", "a"], "gk.Sequence.save"),
        ("run", ["--image", "a"], "text models alone"),
        ("run", ["--reasoning-budget", "0"], "--show-thinking prints"),
        ("run", ["--log-file", "a"], "redirect stderr"),
        ("run", ["-hf", "a/b"], "-m hf:OWNER/NAME:FILE"),
        ("run", ["-hff", "b.gguf"], "-m hf:OWNER/NAME:FILE"),
        ("run", ["-mu", "https://a/b"], "download the file"),
        ("run", ["--spec-type", "draft"], "-md and --no-lookup"),
        ("run", ["--adaptive-target", "2"], "no such sampler"),
        ("run", ["--lora-scaled", "a", "2"], "--lora ADAPTER:SCALE"),
        ("chat", ["-no-cnv"], "ggmlkit run"),
        ("chat", ["--no-context-shift"], "drops the oldest turns"),
        ("bench", ["-o", "json"], "--json"),
        ("bench", ["-pg", "512,128"], "-d TOKENS"),
        ("tokenize", ["-p", "x", "y"], "last argument"),
        ("tokenize", ["--ids", "y"], "--json"),
        ("serve", ["-a", "name"], "-m NAME=FILE"),
        ("serve", ["--ssl-key-file", "a"], "a proxy with TLS"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_what_changes_the_output_is_refused_with_a_way_out(
    command: str, words: list[str], way_out: str
) -> None:
    said = ggmlkit(command, "-m", F16, *words, code=2).stderr
    assert said.startswith(f"ggmlkit: {words[0]} is ")
    assert way_out in said


def test_quantize(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.gguf"
    ggmlkit("quantize", F16, out, "q8_0", "--allow-requantize")
    assert run(["quantize", str(F16), str(out), "q8_0", "--leave-output-tensor"]) == 2
    assert r"--tensor-type '^output\.weight$=TYPE'" in capsys.readouterr().err


def test_chat_and_bench_take_what_their_twins_do(chat_gguf: Path) -> None:
    said = ggmlkit("chat", "-m", chat_gguf, "-cnv", "-ngl", "1", text="/quit\n").stderr
    assert "note: -ngl has no effect: ggmlkit computes on the CPU, not on a GPU" in said
    words = ["-p", "2", "-n", "0", "-r", "1", "-ngl", "0", "-fa", "1", "-mmp", "0", "--json"]
    assert json.loads(ggmlkit("bench", "-m", F16, *words).stdout)[0]["n_prompt"] == 2

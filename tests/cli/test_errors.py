"""Exit codes: 0 done, 1 the input is at fault, 2 the command line is."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import ggmlkit as gk
from paths import GOLDEN

F16 = GOLDEN / "gguf-v1-f16.bin"


def ggmlkit(*arguments: str | Path, text: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ggmlkit", *map(str, arguments)],
        input=text,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def assert_one_sentence(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 1, done.stderr
    assert done.stdout == ""
    last = done.stderr.splitlines()[-1]
    assert last.startswith("ggmlkit: ")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "command",
    [
        ["inspect", "{file}"],
        ["quantize", "{file}", "{out}", "q4_0"],
        ["quantize", "{file}", "{out}", "q4_0", "--calibrate", "{file}"],
        ["quantize", str(F16), "{out}", "q4_0", "--calibrate", "{file}"],
        ["convert", "{file}", "{out}"],
        ["export", "{file}", "{out}"],
        ["apply-lora", "{file}", str(GOLDEN / "lora-ggla.bin"), "{out}"],
        ["apply-lora", str(F16), "{file}", "{out}"],
        ["apply-delta", "{file}", "{file}", "{out}"],
        ["make-delta", "{file}", "{file}", "{out}"],
        ["run", "-m", str(F16), "--lora", "{file}", "-p", "x"],
        ["compare", str(F16), "{file}"],
        ["verify", "{file}"],
        ["repair", "{file}", "{out}"],
        ["split", "{file}", "{out}", "--max-size", "1G"],
        ["merge", "{file}", "{out}"],
        ["metadata", "get", "{file}", "general.name"],
        ["metadata", "set", "{file}", "general.name", "x"],
        ["metadata", "rm", "{file}", "general.name"],
        ["run", "-m", "{file}", "-p", "x"],
        ["chat", "-m", "{file}"],
        ["serve", "-m", "{file}", "--port", "0"],
        ["bench", "-m", "{file}"],
        ["imatrix", "-m", "{file}", "-f", str(GOLDEN / "manifest.json"), "-o", "{out}"],
        ["imatrix", "--in-file", "{file}", "-o", "{out}"],
        ["tokenize", "-m", "{file}", "x"],
        ["perplexity", "-m", "{file}", "-f", __file__],
        ["perplexity", "-m", str(F16), "-f", __file__, "-c", "64", "--base", "{file}"],
        ["multiple-choice", "-m", str(F16), "-f", "{file}"],
        ["report", "{file}", "--base", str(F16), "-f", __file__, "-o", "{out}"],
        ["report", str(F16), "--base", "{file}", "-f", __file__, "-o", "{out}"],
    ],
    ids=lambda command: " ".join(command[:2]),
)
@pytest.mark.parametrize("fault", ["missing", "damaged", "empty"])
def test_input_at_fault_is_1(tmp_path: Path, command: list[str], fault: str) -> None:
    file = tmp_path / "model.gguf"
    if fault != "missing":
        file.write_bytes(F16.read_bytes()[:3000] if fault == "damaged" else b"")
    done = ggmlkit(*(word.format(file=file, out=tmp_path / "out.gguf") for word in command))
    assert_one_sentence(done)
    assert str(file) in done.stderr
    assert not (tmp_path / "out.gguf").exists()


@pytest.mark.parametrize(
    "command",
    [
        ["quantize", str(F16), "{out}", "q4_KM"],
        ["quantize", str(F16), "{out}", "f16", "--tensor-type", "attn=q4-k"],
        ["convert", str(F16), "{out}", "--type", "Q4_k_m_"],
        ["apply-lora", str(F16), str(GOLDEN / "lora-ggla.bin"), "{out}", "--type=q4-K-M"],
    ],
    ids=lambda command: command[0],
)
def test_an_unknown_type_is_2_and_near_names_are_said(tmp_path: Path, command: list[str]) -> None:
    done = ggmlkit(*(word.format(out=tmp_path / "out.gguf") for word in command))
    assert done.returncode == 2
    assert done.stderr.startswith("ggmlkit: ")
    assert "did you mean 'q4_K" in done.stderr
    assert not (tmp_path / "out.gguf").exists()


def test_a_type_like_no_other_is_answered_with_all() -> None:
    done = ggmlkit("quantize", F16, "out.gguf", "foo")
    assert done.returncode == 2
    assert "TYPE must be a type that can be written, not 'foo'; there are f32, f16" in done.stderr


def test_a_pattern_that_finds_nothing_is_1(tmp_path: Path) -> None:
    for pattern in ("attn_w", "attn_norm"):  # the other is a vector's name alone
        done = ggmlkit(
            "quantize", F16, tmp_path / "out.gguf", "q8_0", "--tensor-type", f"{pattern}=q4_0"
        )
        assert_one_sentence(done)
        assert f"'{pattern}', given type q4_0, matches the name of no matrix" in done.stderr
        assert not (tmp_path / "out.gguf").exists()


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_file_that_is_not_sound_is_1(tmp_path: Path, options: list[str]) -> None:
    raw = bytearray((GOLDEN / "gguf-v1-q4_0.bin").read_bytes())
    raw[-2048:] = b"\xff" * 2048
    (tmp_path / "model.gguf").write_bytes(raw)
    done = ggmlkit("verify", tmp_path / "model.gguf", *options)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("ggmlkit: ")
    assert "has a scale that isn't finite" in last
    assert "has a scale that isn't finite" in done.stdout
    assert not options or json.loads(done.stdout)["sound"] is False


@pytest.mark.parametrize("action", ["get", "rm"])
def test_a_key_that_is_not_there_is_1(action: str) -> None:
    done = ggmlkit("metadata", action, F16, "nothing")
    assert_one_sentence(done)
    assert "there is no key 'nothing'" in done.stderr


@pytest.mark.parametrize("library", ["ggmlkit._core", "numpy"])
def test_a_library_that_cannot_be_loaded_is_1(library: str) -> None:
    code = (
        f"import sys; sys.modules[{library!r}] = None\n"
        "from ggmlkit.cli.app import run\n"
        f"sys.exit(run(['tokenize', '-m', {str(F16)!r}, 'x']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120
    )
    assert_one_sentence(done)
    assert done.stderr.count("\n") == 1
    assert "can't be loaded" in done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="limits on the address space are Linux's")
@pytest.mark.parametrize("kilobytes", [80_000, 100_000, 120_000])
def test_little_memory_is_no_reason_for_a_traceback(kilobytes: int) -> None:
    command = f"ulimit -v {kilobytes}; exec {sys.executable} -m ggmlkit tokenize -m {F16} x"
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, check=False, timeout=120
    )
    assert "Traceback" not in done.stderr
    assert done.returncode != 0 or done.stdout


def test_a_prompt_that_is_not_text_is_1(tmp_path: Path) -> None:
    (tmp_path / "prompt").write_bytes(b"ab\xff")
    assert_one_sentence(ggmlkit("run", "-m", F16, "-f", tmp_path / "prompt"))


@pytest.mark.parametrize(
    "command",
    [
        ["nonsense"],
        ["run"],
        ["run", "-m", str(F16)],
        ["run", "-m", str(F16), "-p", "a", "-f", "b"],
        ["run", "-m", str(F16), "-p", "a", "-t", "none"],
        ["run", "-m", str(F16), "-p", "a", "-t", "0"],
        ["quantize", str(F16)],
        ["quantize", str(F16), "out.gguf", "q4_0", "--method", "search"],
        ["quantize", str(F16), "out.gguf", "q4_0", "--samples", "4"],
        ["quantize", str(F16), "out.gguf", "q4_0", "--tune"],
        ["quantize", str(F16), "out.gguf", "q4_0", "--calibrate", "a", "--tune", "0"],
        ["quantize", str(F16), "out.gguf", "q4_0", "--imatrix", "a", "--samples", "4"],
        ["quantize", str(F16), "out.gguf", "q4_0", "--imatrix", "a", "--method", "feedback"],
        ["quantize", str(F16), "out.gguf", "q4_0", "--calibrate", "a", "--imatrix", "b"],
        ["quantize", str(F16), "out.gguf", "q4_0", "--calibrate", "a", "--method", "best"],
        ["quantize", str(F16), "out.gguf", "q4_0", "--calibrate", "a", "--samples", "1"],
        ["export", str(F16), "out", "--format", "nonsense"],
        ["inspect", str(F16), "--nonsense"],
        ["metadata", "set", str(F16), "general.name"],
        ["metadata", "get", str(F16), "general.name", "x"],
        ["metadata", "rm", str(F16), "general.name", "--type", "u8"],
        ["metadata", "set", str(F16), "llama.block_count", "many"],
        ["metadata", "set", str(F16), "x", "300", "--type", "u8"],
        ["metadata", "put", str(F16), "x", "y"],
        ["split", str(F16), "out"],
        ["split", str(F16), "out", "--max-size", "1M", "--max-tensors", "1"],
        ["split", str(F16), "out", "--max-size", "1 MB"],
        ["split", str(F16), "out", "--max-tensors", "0"],
        ["run", "-m", str(F16), "-p", "a", "--repeat-penalty", "0"],
        ["inspect", ""],
        ["convert", "", "out.gguf"],
        ["bench", "-m", str(F16), "-p", "0", "-n", "0"],
        ["bench", "-m", str(F16), "--depth", "1", "--parallel", "2"],
        ["convert", str(F16), "out.gguf", "--dry-run", "--base", str(F16)],
        ["export", str(F16), "out", "--format", "npz", "--shard-size", "1G"],
        ["metadata", "get", str(F16), "general.name", "--rewrite"],
    ],
    ids=" ".join,
)
def test_command_line_at_fault_is_2(command: list[str]) -> None:
    done = ggmlkit(*command)
    assert done.returncode == 2
    assert done.stdout == ""
    sentence, hint = done.stderr.splitlines()
    assert sentence.startswith("ggmlkit: ")
    name = "" if command == ["nonsense"] else f" {command[0]}"
    assert hint == f"Try 'ggmlkit{name} --help'."


def test_words_without_a_command_are_2() -> None:
    for words, said in (
        (["--version", "run"], "unexpected argument: run"),
        (["--versio"], "there is no option --versio; did you mean '--version'?"),
        (["insect", "a"], "there is no command 'insect'; did you mean 'inspect'?"),
        (["--print-completion"], "--print-completion needs a value"),
    ):
        done = ggmlkit(*words)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == f"ggmlkit: {said}\nTry 'ggmlkit --help'.\n"


def test_no_words_get_the_help() -> None:
    done = ggmlkit()
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == ggmlkit("--help").stdout


def test_help_and_version_are_0() -> None:
    for arguments in (["--help"], ["--version"], ["run", "--help"]):
        done = ggmlkit(*arguments)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout


def test_a_closed_pipe_ends_quietly() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "ggmlkit", "inspect", str(F16)],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        timeout=120,
        check=False,
    )
    os.close(writer)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("closed", [1, 2])
def test_a_stream_that_was_closed_before_is_no_failure(closed: int) -> None:
    command = f'exec "$0" -m ggmlkit --version {closed}>&-'
    done = subprocess.run(
        ["sh", "-c", command, sys.executable], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.startswith("ggmlkit ") == (closed == 2)


@pytest.mark.parametrize("closed", [0, 1, 2])
def test_commands_work_where_a_stream_is_closed(tmp_path: Path, closed: int) -> None:
    for command, words in {
        "run": ["-m", str(F16), "-p", "Hi", "-n", "1"],
        "quantize": [str(F16), str(tmp_path / "m.gguf"), "q8_0"],
        "inspect": ["--bogus"],
    }.items():
        line = f'exec "$0" -m ggmlkit "$@" {closed}>&-'
        arguments = ["sh", "-c", line, sys.executable, command, *words]
        done = subprocess.run(arguments, capture_output=True, text=True, check=False)
        assert done.returncode == (2 if command == "inspect" else 0), done.stderr
        assert "Traceback" not in done.stderr
    assert gk.verify(tmp_path / "m.gguf").all_problems == []


def test_the_command_starts_without_the_heavy_modules() -> None:
    heavy = ["rich.progress", "torch", "tokenizers", "jinja2", "safetensors", "prompt_toolkit"]
    heavy += ["ggmlkit.server", "numpy", "ggmlkit._core", "shtab", "difflib"]
    heavy += ["ggmlkit.cli.commands.run"]
    code = (
        "import sys\n"
        "import ggmlkit.cli\n"
        "from ggmlkit.cli.app import run\n"
        "run(['--version'])\n"
        "run(['inspect', '--help'])\n"
        "run(['chat', '--help'])\n"
        "run(['--help'])\n"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_chat_without_standard_input_ends(chat_gguf: Path) -> None:
    """As where a service starts it with the stream closed."""
    command = '"$0" -m ggmlkit chat -m "$1" -t 1 <&-'
    arguments = ["bash", "-c", command, sys.executable, str(chat_gguf)]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


def test_a_report_that_is_ended_leaves_nothing(tmp_path: Path) -> None:
    text, folder = tmp_path / "text.txt", tmp_path / "out"
    text.write_text("the sea is calm and the king is old, " * 8000)
    folder.mkdir()
    words = ["-c", "64", "-t", "1", "-f", str(text), "-o", str(folder / "page.html")]
    command = [sys.executable, "-m", "ggmlkit", "report", str(F16), "--base", str(F16), *words]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        end = time.monotonic() + 60
        while not list(folder.glob("*/base")) and time.monotonic() < end:
            time.sleep(0.02)
        process.terminate()
        assert process.wait(60) == 128 + signal.SIGTERM
    assert not list(folder.iterdir())

"""What errors and warnings say: the way out, in the words of the command line."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from command import ggmlkit
from paths import GOLDEN

F16 = GOLDEN / "gguf-v1-f16.bin"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "hf"
    ggmlkit("export", F16, folder)
    return folder


@pytest.mark.parametrize(
    "command",
    [
        ["run", "-p", "x", "-m"],
        ["chat", "-m"],
        ["bench", "-m"],
        ["tokenize", "x", "-m"],
        ["quantize", "out.gguf", "q4_0"],
        ["inspect"],
        ["verify"],
        ["split", "--max-size", "1G", "out"],
    ],
    ids=lambda command: command[0],
)
def test_a_checkpoint_folder_is_to_be_converted(checkpoint: Path, command: list[str]) -> None:
    at = {"quantize": 1, "split": 3}.get(command[0], len(command))
    said = ggmlkit(*command[:at], checkpoint, *command[at:], code=1).stderr
    assert f"ggmlkit: {checkpoint}: this is a checkpoint folder, not a model file" in said
    assert f"'ggmlkit convert {checkpoint} OUT.gguf'" in said


def test_another_folder_is_no_model_file(tmp_path: Path) -> None:
    said = ggmlkit("inspect", tmp_path, code=1).stderr
    assert said == f"ggmlkit: {tmp_path}: this is a folder, not a model file\n"


@pytest.mark.parametrize("command", [["convert", "{out}"], ["quantize", "{out}", "q4_0"]])
def test_a_suffix_that_names_no_container(tmp_path: Path, command: list[str]) -> None:
    words = [word.format(out=tmp_path / "out.xyz") for word in command[1:]]
    said = ggmlkit(command[0], F16, *words, code=1).stderr
    assert "out.xyz: the suffix names no container; use .gguf or .bin, or name the " in said
    assert "(--container)" in said
    assert "container=" not in said


@pytest.mark.parametrize("name", ["no/such/folder/out.gguf", "file/out.gguf"])
def test_a_target_that_cannot_be_written_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    said = ggmlkit("quantize", F16, tmp_path / name, "q8_0", code=1).stderr
    assert f"ggmlkit: {tmp_path / name}: " in said
    assert ".tmp" not in said


def test_a_long_prompt_names_the_option() -> None:
    words = ["run", "-m", F16, "-p", "long " * 40, "-c", "16"]
    said = ggmlkit(*words, code=1).stderr
    assert "does not fit the context of 16; -c sets a longer one" in said
    assert "the model was trained for 2048" in said


def test_a_context_beyond_training_is_a_warning() -> None:
    words = ["run", "-m", F16, "-p", "x", "-n", "1", "-t", "1", "-c"]
    said = ggmlkit(*words, "2049").stderr
    assert "warning: the context of -c 2049 is longer than the 2048 tokens" in said
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "warning" not in ggmlkit(*words, "2048").stderr


def test_chat_without_a_template_points_at_run() -> None:
    said = ggmlkit("chat", "-m", F16, text="Hello\n", code=1).stderr
    assert "has no chat template" in said
    assert "continue a text with 'ggmlkit run'" in said


@pytest.mark.parametrize(
    "words",
    [
        ["quantize", F16, "o.gguf", "q9"],
        ["convert", F16, "o.gguf", "--type", "q9"],
        ["quantize", F16, "o.gguf", "f16", "--tensor-type", "attn=q9"],
        ["export", F16, "o", "--dtype", "f8"],
        ["metadata", "set", F16, "a", "b", "--type", "u9"],
        ["run", "-m", F16, "-p", "x", "-ctk", "q9", "-ctv", "q9"],
        ["run", "-m", F16, "-p", "x", "--kv-type", "q9"],
    ],
    ids=lambda words: " ".join(map(str, words[::2])),
)
def test_a_type_that_does_not_exist_is_2(words: list[str | Path]) -> None:
    ggmlkit(*words, code=2)

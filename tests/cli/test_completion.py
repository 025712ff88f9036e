"""Scripts that complete the command line in a shell."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from command import ggmlkit
from ggmlkit.cli.completion import SHELLS

_HAS_BASH = shutil.which("bash") is not None


@pytest.fixture(scope="module")
def bash_script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("completion") / "ggmlkit.bash"
    path.write_text(ggmlkit("--print-completion", "bash").stdout)
    return path


def completed(script: Path, *words: str) -> set[str]:
    """What bash offers for the last of the words."""
    code = (
        'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); '
        'COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}; '
        'for word in $(complete -p ggmlkit); do [ "$last" = -F ] && function="$word"; '
        'last="$word"; done; '
        '"$function" ggmlkit "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"; '
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "-c", code, "bash", str(script), *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=script.parent,
    )
    return set(map(str.strip, done.stdout.split()))


@pytest.mark.skipif(not _HAS_BASH, reason="needs bash")
def test_bash_completes_commands_options_types_and_files(bash_script: Path) -> None:
    (bash_script.parent / "model.gguf").touch()
    assert completed(bash_script, "ggmlkit", "qua") == {"quantize"}
    assert {"--tensor-type"} <= completed(bash_script, "ggmlkit", "quantize", "--ten")
    assert completed(bash_script, "ggmlkit", "convert", "--type", "q4_K") >= {"q4_K_M", "q4_K_S"}
    assert completed(bash_script, "ggmlkit", "quantize", "a", "b", "iq4") == {"iq4_nl", "iq4_xs"}
    assert completed(bash_script, "ggmlkit", "quantize", "mod") == {"model.gguf"}
    assert completed(bash_script, "ggmlkit", "run", "-m", "mod") == {"model.gguf"}
    assert completed(bash_script, "ggmlkit", "inspect", "mod") == {"model.gguf"}
    assert completed(bash_script, "ggmlkit", "run", "-ctk", "") == {"f16", "q8_0", "q4_0"}
    assert completed(bash_script, "ggmlkit", "run", "--kv-type", "q8_0/") == {
        "q8_0/f16",
        "q8_0/q4_0",
    }


@pytest.mark.parametrize("shell", SHELLS)
def test_scripts_name_everything_but_what_is_hidden(shell: str) -> None:
    script = ggmlkit("--print-completion", shell).stdout
    for word in ("apply-lora", "repeat-penalty", "no-repack", "q4_K_M", "metadata"):
        assert word in script
    assert "n-gpu-layers" not in script
    program = shutil.which(shell)
    if program is not None:
        subprocess.run([program, "-n"], input=script, text=True, check=True)


def test_another_shell_is_2() -> None:
    done = ggmlkit("--print-completion", "csh", code=2)
    assert "must be one of bash, zsh, fish, not 'csh'" in done.stderr


def test_only_the_scripts_need_shtab() -> None:
    code = "import sys; from ggmlkit.cli.app import run; run(['run', '--help']); print('shtab' in "
    done = subprocess.run(
        [sys.executable, "-c", code + "sys.modules)"], capture_output=True, text=True, check=True
    )
    assert done.stdout.endswith("False\n")

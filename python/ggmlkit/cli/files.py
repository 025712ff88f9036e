"""Commands that write a file for each of several: one after the other, or on a Ray cluster."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ggmlkit.arguments import counted
from ggmlkit.cli import options, values
from ggmlkit.cli.metadata_text import print_notes, printable
from ggmlkit.cli.progress import Progress, progress
from ggmlkit.cli.sentences import INPUT_AT_FAULT, sentence_of
from ggmlkit.cli.targets import refuse_overwriting
from ggmlkit.cli.usage import UsageError

_SUFFIXES = (".gguf", ".bin")

# Writes a file: options, source, target, a callback for progress. Returns notes.
Write = Callable[[argparse.Namespace, Path, Path, Progress | None], list[str]]


def add_files(parser: argparse.ArgumentParser, metavar: str, what: str) -> None:
    """The files that are read, and what is written."""
    parser.add_argument(
        "sources", type=values.path, nargs="+", metavar=metavar, help=f"{what} May be several."
    )
    parser.add_argument(
        "out",
        type=values.path,
        metavar="OUT",
        help=f"File to write: .gguf or .bin. A folder, made if it is not there, if there are "
        f"several {metavar}; the files in it have their names.",
    )


def add_ray(to: options.Arguments) -> None:
    """Whether a cluster writes the files."""
    options.add_ray(to, "Let the workers of a Ray cluster write the files; -t is the cores of one.")
    options.add_workers(to, "files that are written at a time")


def targets_of(args: argparse.Namespace, *others: Path | None) -> list[Path]:
    """What is written, by source. UsageError if that is a file which is read, or two are the same.

    Args:
        others: files that are read as well.
    """
    sources: list[Path] = args.sources
    out: Path = args.out
    if len(sources) == 1 and not out.is_dir():
        found = [out]
    else:
        if (out.exists() and not out.is_dir()) or out.suffix in _SUFFIXES:
            raise UsageError(f"{out} must be a folder, as there are several files to write")
        suffix = ".gguf" if args.container in (None, "gguf") else ".bin"
        found = [out / f"{_name(source)}{suffix}" for source in sources]
    for place, target in enumerate(found):
        first = found.index(target)
        if first != place:
            raise UsageError(
                f"{sources[first]} and {sources[place]} would both be written as {target}: "
                "write one of them with another command"
            )
        refuse_overwriting(target, *sources, *others)
    return found


def _name(source: Path) -> str:
    """Of a model, without what says how it is stored."""
    from ggmlkit.io.hub import hub_path, is_on_hub
    from ggmlkit.io.targets import whole_name

    if is_on_hub(source):
        place = hub_path(source)
        if place.file is None:
            return place.name
        source = Path(place.file)
    elif source.is_dir():
        return source.resolve().name
    return Path(whole_name(source.name)).stem


@dataclass(frozen=True)
class _Outcome:
    """What became of a file: notes on it, or why it was not written."""

    notes: list[str]
    error: str = ""


def write_files(
    args: argparse.Namespace,
    targets: Sequence[Path],
    write: Write,
    title: str,
    *,
    of_bytes: bool = True,
) -> int:
    """Write the targets; returns the exit code.

    What fails of several files is told at the end, and the others are written. A single one
    raises what is wrong with it.

    Args:
        of_bytes: progress counts bytes; see :func:`progress`.
    """
    sources: list[Path] = args.sources
    if args.workers is not None and args.ray is None:
        raise UsageError("--workers goes with --ray")
    if len(targets) > 1:
        targets[0].parent.mkdir(parents=True, exist_ok=True)
    elif args.ray is None:
        with progress(title, of_bytes=of_bytes) as report:
            notes = write(args, sources[0], targets[0], report)
        print_notes(notes)
        return 0
    here = partial(_written_here, of_bytes=of_bytes)
    outcomes = here if args.ray is None else _written_on_ray
    failures = []
    for place, outcome in outcomes(args, targets, write, title):
        print_notes(f"{targets[place].name}: {note}" for note in outcome.notes)
        if outcome.error:
            failures.append((place, outcome.error))
    _tell(failures, sources)
    return 1 if failures else 0


def _written_here(
    args: argparse.Namespace, targets: Sequence[Path], write: Write, title: str, of_bytes: bool
) -> Iterator[tuple[int, _Outcome]]:
    for place, (source, target) in enumerate(zip(args.sources, targets, strict=True)):
        with progress(f"{title}: {target.name}", of_bytes=of_bytes) as report:
            outcome = _outcome(write, args, source, target, report)
        yield place, outcome


def _written_on_ray(
    args: argparse.Namespace, targets: Sequence[Path], write: Write, title: str
) -> Iterator[tuple[int, _Outcome]]:
    if args.threads is None:
        raise UsageError("--ray needs -t N, the cores that a worker gets")
    from ggmlkit.cli.ray import absolute, absolute_path, needs_ray

    with needs_ray():
        from ggmlkit.distributed.jobs import results
    given = absolute(args)
    jobs = [
        partial(_outcome, write, given, absolute_path(source), absolute_path(target), None)
        for source, target in zip(args.sources, targets, strict=True)
    ]
    with progress(title, of_bytes=False) as report:
        ended = results(jobs, args.ray, cores=args.threads, workers=args.workers)
        for done, (place, outcome, error) in enumerate(ended, 1):
            report(done, len(jobs), targets[place].name)
            yield place, outcome or _Outcome([], error)


def _outcome(
    write: Write, args: argparse.Namespace, source: Path, target: Path, report: Progress | None
) -> _Outcome:
    try:
        return _Outcome(write(args, source, target, report))
    except INPUT_AT_FAULT as error:
        return _Outcome([], sentence_of(error))


def _tell(failures: list[tuple[int, str]], sources: Sequence[Path]) -> None:
    """Say on stderr which files were not written, and why."""
    if not failures:
        return
    said = [f"{len(failures)} of {counted(len(sources), 'file')} could not be written:"]
    for place, error in sorted(failures):
        name = str(sources[place])
        said.append(error if error.startswith(name) else f"{name}: {error}")
    for line in said:
        print(f"ggmlkit: {printable(line)}", file=sys.stderr)

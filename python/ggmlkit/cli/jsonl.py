"""`ggmlkit run --jsonl IN OUT`: answers the lines of a file."""

from __future__ import annotations

import argparse
import io
import os
import stat
import sys
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from ggmlkit.arguments import counted
from ggmlkit.cli import sampling_options
from ggmlkit.cli.progress import progress
from ggmlkit.cli.prompt_text import STDIN
from ggmlkit.cli.targets import refuse_overwriting
from ggmlkit.cli.usage import UsageError

if TYPE_CHECKING:
    from ggmlkit.batch.batch import Answer, Batch
    from ggmlkit.distributed.batch import RayBatch

_TITLE = "answer"
DEFAULT_PARALLEL = 16


def run(args: argparse.Namespace) -> int:
    """Answer the lines of IN in OUT, from where an earlier run stopped; 1 if some can't be."""
    source, out = args.jsonl
    if out != STDIN:
        refuse_overwriting(out, args.model)
        if out.exists() and source.exists() and out.samefile(source):
            raise UsageError(f"{out} is both IN and OUT: name another OUT")
    from ggmlkit.batch.lines import read_lines
    from ggmlkit.batch.output import Done, OutputFile

    with ExitStack() as stack:
        file = _opened(source, stack)
        batch: Batch | RayBatch = _batch(args) if args.ray is None else _ray_batch(args)
        stack.enter_context(batch)
        lines, done = read_lines(file), Done()
        write, is_kept = _print, False
        if out != STDIN:
            written = stack.enter_context(OutputFile(out, overwrite=args.overwrite))
            done, lines = written.skip_done(lines, batch.fingerprint)
            write, is_kept = written.write, written.is_regular
        work = _Work(done.lines, done.failures)
        try:
            with progress(_TITLE, of_bytes=False) as report:
                for answer in batch.answers(lines):
                    write(answer.data)
                    work.count(answer)
                    report(answer.line.end, _size(file), work.speed())
        except KeyboardInterrupt:
            work.tell()
            raise KeyboardInterrupt(_interrupted(source, is_kept)) from None
        work.tell()
        return 1 if work.failures else 0


class _Work:
    """What was done, in this run and before."""

    def __init__(self, lines_before: int, failures_before: int) -> None:
        self.failures = failures_before
        self._before, self._lines, self._tokens = lines_before, 0, 0
        self._start = time.monotonic()

    def count(self, answer: Answer) -> None:
        self._lines += 1
        self._tokens += answer.tokens
        self.failures += answer.is_failure

    def speed(self) -> str:
        seconds = max(time.monotonic() - self._start, 1e-3)
        lines = counted(self._before + self._lines, "line")
        failed = f", {self.failures} failed" if self.failures else ""
        return f"{lines}{failed}, {self._tokens / seconds:.1f} tokens/s"

    def tell(self) -> None:
        """Say on stderr what was done."""
        seconds = time.monotonic() - self._start
        before = f" ({self._before} of them before)" if self._before else ""
        print(
            f"{counted(self._before + self._lines, 'line')}{before}, {self.failures} failed"
            f"{'' if not self.failures else ': their error says why'}"
            f"{self._decoded(seconds) if self._lines else ''}",
            file=sys.stderr,
        )

    def _decoded(self, seconds: float) -> str:
        """How fast the lines of this run were answered."""
        return (
            f"\ndecode: {self._tokens} tokens in {seconds:.3f} s,"
            f" {self._tokens / max(seconds, 1e-3):.1f} tokens/s"
        )


def _batch(args: argparse.Namespace) -> Batch:
    """What answers, as the options set it."""
    from ggmlkit.batch.batch import Batch
    from ggmlkit.cli.chat.templates import given_template, given_variables
    from ggmlkit.cli.decoder import draft_model, open_model
    from ggmlkit.text.template.process import RENDERERS

    template, variables = given_template(args), given_variables(args)
    settings = sampling_options.generation_settings(args) | {"ignore_eos": args.ignore_eos}
    parallel = args.parallel or DEFAULT_PARALLEL
    RENDERERS.prepare()  # while the model is loaded
    model, adapter = open_model(args, parallel)
    return Batch(
        model,
        settings,
        adapter=adapter,
        template=template,
        variables=variables,
        parallel=parallel,
        speculation=draft_model(args),
    )


def _ray_batch(args: argparse.Namespace) -> RayBatch:
    """The same, on a cluster."""
    if args.threads is None:
        raise UsageError("--ray needs -t N, the cores that a worker gets")
    from ggmlkit.cli.ray import absolute, needs_ray

    with needs_ray():
        from ggmlkit.distributed.batch import RayBatch

    given = absolute(args)
    return RayBatch(
        partial(_batch, given),
        args.ray,
        parallel=args.parallel or DEFAULT_PARALLEL,
        cores=args.threads,
        workers=args.workers,
    )


def _opened(source: Path, stack: ExitStack) -> BinaryIO:
    if source != STDIN:
        return stack.enter_context(source.open("rb"))
    binary = getattr(sys.stdin, "buffer", None)
    return io.BytesIO(sys.stdin.read().encode()) if binary is None else binary


def _size(file: BinaryIO) -> int:
    """Bytes of a regular file; 0 of others, whose size nobody knows."""
    try:
        found = os.fstat(file.fileno())
    except OSError:
        return 0
    return found.st_size if stat.S_ISREG(found.st_mode) else 0


def _print(data: bytes) -> None:
    binary = getattr(sys.stdout, "buffer", None)
    if binary is None:
        sys.stdout.write(data.decode())
    else:
        binary.write(data)
        binary.flush()


def _interrupted(source: Path, is_kept: bool) -> str:
    if not is_kept:
        return "interrupted; what was not written to a file begins anew next time"
    same = "the same command with the same input" if source == STDIN else "the same command"
    return f"interrupted; {same} goes on from here"

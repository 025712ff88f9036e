"""What commands need that work on a Ray cluster."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PACKAGES = ("ray", "starlette", "uvicorn", "pydantic", "prometheus_client", "anyio")
_DOWNLOADED = "hf:"


@contextmanager
def needs_ray() -> Iterator[None]:
    """Says how to install what an import in the block lacks."""
    try:
        yield
    except ImportError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in _PACKAGES:
            raise
        raise ImportError(
            f"--ray needs the extra ray, the package {missing}: in a clone of ggmlkit, "
            'pip install ".[ray]"'
        ) from None


def absolute(args: argparse.Namespace) -> argparse.Namespace:
    """The options of a command with paths that workers, who run in other folders, understand."""
    given = argparse.Namespace(**vars(args))
    for name, value in vars(args).items():
        if isinstance(value, Path) and name != "jsonl":
            setattr(given, name, absolute_path(value))
    if getattr(args, "draft", None) is not None:
        given.draft = absolute_path(args.draft)
    if hasattr(args, "lora"):
        given.lora = [(absolute_path(path), scale) for path, scale in args.lora]
    return given


def absolute_path(path: str | Path) -> Path:
    """A path from the root; hf:OWNER/NAME:FILE as it is."""
    return Path(path) if str(path).startswith(_DOWNLOADED) else Path(path).absolute()

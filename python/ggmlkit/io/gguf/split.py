"""Splits a gguf file into several and merges them again, as llama.cpp's gguf-split does."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from ggmlkit.arguments import check_paths, check_progress, whole
from ggmlkit.errors import ArgumentError, ConversionError
from ggmlkit.io import open as open_model
from ggmlkit.io.base import ModelFile
from ggmlkit.io.gguf.parts import COUNT, NUMBER, TENSORS, GgufParts, part_name
from ggmlkit.io.gguf.writer import FilePlan, planned, write_gguf
from ggmlkit.io.targets import refuse_overwriting, refuse_parts_over
from ggmlkit.io.unknown_tensor import with_kept_bytes
from ggmlkit.io.writing.atomic import replacing
from ggmlkit.io.writing.progress import shifted
from ggmlkit.io.writing.stream import Progress
from ggmlkit.tensor import Tensor

# Other programs count sizes with this padding, whatever general.alignment says.
_PADDING = 32
_MOST_PARTS = 0xFFFF  # split.count is a 16-bit number


def split_file(
    src: str | os.PathLike[str],
    prefix: str | os.PathLike[str],
    *,
    max_size: int | None = None,
    max_tensors: int | None = None,
    progress: Progress | None = None,
) -> list[Path]:
    """Write the gguf file ``src`` as ``PREFIX-00001-of-0000N.gguf`` and so on.

    The parts are gguf v3, whatever ``src`` is, because no program before v3 can read parts. All
    metadata goes into the first. The files are renamed to their final names together at the end;
    until then, files of the same names stay as they were.

    Args:
        src: a gguf file, or any part of a split one.
        prefix: the parts' path before ``-00001-of-0000N.gguf``.
        max_size: most bytes of tensor data in a part; a larger tensor gets a part of its own.
        max_tensors: most tensors in a part. Give exactly one of the two limits.
        progress: as in ``gk.save``.

    Returns:
        The paths of the parts, in order.

    Raises:
        FormatError: ``src`` is damaged.
        ConversionError: ``src`` is not a gguf file, or needs too many parts.
        UnsupportedTypeError: the size of a tensor of an unknown type is not certain.
        ArgumentError: not exactly one limit is given, or it is below 1; or a part would be
            written over a file that is read.
    """
    check_paths(src=src, prefix=prefix)
    refuse_parts_over(prefix, src)
    check_progress(progress)
    limits = {"max_size": max_size, "max_tensors": max_tensors}
    given = {name: limit for name, limit in limits.items() if limit is not None}
    if len(given) != 1:
        raise ArgumentError("give one of max_size and max_tensors")
    for name, limit in given.items():
        whole(limit, name, least=1)
    with open_model(src) as file:
        if file.container != "gguf":
            raise ConversionError(f"{file.path} is {file.container}; gguf files can be split")
        groups = _groups(with_kept_bytes(file.tensors), max_size, max_tensors)
        if len(groups) > _MOST_PARTS:
            raise ConversionError(
                f"{file.path} would need {len(groups)} parts; {_MOST_PARTS} is the most"
            )
        plans = [_part_plan(file, groups, number) for number in range(len(groups))]
        head, tail = os.path.split(os.fspath(prefix))
        paths = [Path(head, part_name(tail, n, len(groups))) for n in range(len(groups))]
        _write_together(paths, plans, progress)
    return paths


def merge_files(
    part: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    progress: Progress | None = None,
) -> None:
    """Merge the parts of a split model, one of which is ``part``, into one gguf v3 file.

    Raises:
        FormatError: a part is missing, damaged, or belongs to another model.
        ConversionError: ``part`` is not a part of a split model.
        UnsupportedTypeError: the size of a tensor of an unknown type is not certain.
        ArgumentError: ``out`` is one of the parts.
    """
    check_paths(part=part, out=out)
    refuse_overwriting(out, part)
    check_progress(progress)
    with open_model(part) as file:
        if not isinstance(file, GgufParts):
            raise ConversionError(f"{file.path} is not a part of a split gguf model")
        write_gguf(
            out,
            with_kept_bytes(file.tensors),
            file.metadata,
            byte_order=file.byte_order,
            value_types=file.value_types,
            stored_values=file.stored_values(),
            progress=progress,
        )


def _groups(
    tensors: Mapping[str, Tensor], max_size: int | None, max_tensors: int | None
) -> list[dict[str, Tensor]]:
    """The tensors of each part, in order."""
    groups: list[dict[str, Tensor]] = [{}]
    size = 0
    for name, tensor in tensors.items():
        nbytes = tensor.nbytes + -tensor.nbytes % _PADDING
        large = max_size is not None and size + nbytes > max_size
        if groups[-1] and (large or len(groups[-1]) == max_tensors):
            groups.append({})
            size = 0
        groups[-1][name] = tensor
        size += nbytes
    return groups


def _part_plan(file: ModelFile, groups: list[dict[str, Tensor]], number: int) -> FilePlan:
    splitting = {NUMBER: number, COUNT: len(groups), TENSORS: len(file)}
    alignment = {k: v for k, v in file.metadata.items() if k == "general.alignment"}
    return planned(
        groups[number],
        {**(file.metadata if number == 0 else alignment), **splitting},
        3,
        file.byte_order,
        {key: kind for key, kind in file.value_types.items() if key not in splitting},
        {key: value for key, value in file.stored_values().items() if key not in splitting},
    )


def _write_together(paths: list[Path], plans: list[FilePlan], progress: Progress | None) -> None:
    total = sum(tensor.nbytes for plan in plans for _, _, tensor in plan.placed)
    done = 0
    # When the stack unwinds, each file is renamed to its final name, or deleted if any part failed.
    with ExitStack() as files:
        for path, plan in zip(paths, plans, strict=True):
            plan.write(
                files.enter_context(replacing(path)), progress=shifted(progress, done, total)
            )
            done += sum(tensor.nbytes for _, _, tensor in plan.placed)

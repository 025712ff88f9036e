"""`ggmlkit convert`: a checkpoint or model file becomes a model file."""

from __future__ import annotations

import json
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from ggmlkit.cli.command_line import Argument, Option, UsageError
from ggmlkit.cli.metadata_text import plain, print_notes, printable, short
from ggmlkit.cli.options import Container, Json, Threads, Type, Vocab

if TYPE_CHECKING:
    from ggmlkit.conversion.plan import ConversionPlan


class ByteOrderChoice(str, Enum):
    """Of the numbers in a file."""

    little = "little"
    big = "big"


def convert(
    source: Annotated[
        Path,
        Argument(
            metavar="SRC",
            help="Folder (Meta, Hugging Face), checkpoint, model file, or hf:OWNER/NAME[:FILE]; "
            "or a LoRA adapter.",
        ),
    ],
    out: Annotated[Path, Argument(metavar="OUT", help="File to write: .gguf, or .bin.")],
    type: Type = None,
    pure: Annotated[bool, Option("--pure", help="Give every matrix the same type.")] = False,
    container: Container = None,
    vocab: Vocab = None,
    version: Annotated[
        int | None, Option("--gguf-version", min=1, max=3, help="3 if unset.")
    ] = None,
    byte_order: Annotated[
        ByteOrderChoice, Option("--byte-order", help="Big-endian takes gguf version 3.")
    ] = ByteOrderChoice.little,
    dry_run: Annotated[
        bool, Option("--dry-run", help="Print what would be written, and write nothing.")
    ] = False,
    as_json: Json = False,
    base: Annotated[
        Path | None, Option("--base", help="Model that an adapter is for, or its config.json.")
    ] = None,
    threads: Threads = None,
) -> None:
    """Turn a checkpoint into a model file, with its matrices in f16 or --type."""
    from ggmlkit.cli.progress import progress
    from ggmlkit.conversion.convert import convert as convert_model
    from ggmlkit.conversion.pipeline import planned
    from ggmlkit.conversion.plan import container_of

    if as_json and not dry_run:
        raise UsageError("'--json' belongs to '--dry-run'.")
    if version is not None and (container or container_of(out)) != "gguf":
        raise UsageError("'--gguf-version' is for gguf files.")
    settings: dict[str, Any] = {
        "type": type,
        "pure": pure,
        "container": container,
        "version": version,
        "byte_order": byte_order.value,
        "vocab": vocab,
        "threads": threads,
    }
    if dry_run:
        with planned(source, out, **settings | {"type": type or "f16"}) as plan:
            _print(plan, as_json)
            print_notes(plan.notes)
        return
    with progress("convert" if type is None else f"convert to {type}") as report:
        notes = convert_model(source, out, **settings, base=base, progress=report)
    print_notes(notes)


def _print(plan: ConversionPlan, as_json: bool) -> None:
    document = _document(plan)
    if as_json:
        print(json.dumps(document, ensure_ascii=False, indent=1))
        return
    version = "" if plan.version is None else f" v{plan.version}"
    print(f"{printable(str(plan.out))}: {plan.container}{version}, {plan.byte_order}-endian")
    print(f"\nmetadata ({len(document['metadata'])})")
    for key, value in document["metadata"].items():
        print(f"  {printable(key)} = {short(value)}")
    tensors = document["tensors"]
    print(f"\ntensors ({len(tensors)})")
    width = max((len(printable(tensor["name"])) for tensor in tensors), default=0)
    for tensor in tensors:
        shape = " x ".join(map(str, tensor["shape"]))
        print(
            f"  {printable(tensor['name']):{width}}  {tensor['source_type']:6} → "
            f"{tensor['type']:6} {tensor['nbytes']:>12,}  {shape}"
        )
    print(f"\n{len(tensors)} tensors, {document['nbytes']:,} bytes; nothing was written")


def _document(plan: ConversionPlan) -> dict[str, Any]:
    return {
        "out": str(plan.out),
        "container": plan.container,
        "version": plan.version,
        "byte_order": plan.byte_order,
        "metadata": {key: plain(value) for key, value in plan.metadata.items()},
        "tensors": [
            {
                "name": name,
                "source_type": planned.source.type.name,
                "type": planned.target.type.name,
                "shape": list(planned.target.shape),
                "nbytes": planned.target.nbytes,
            }
            for name, planned in plan.tensors.items()
        ],
        "nbytes": plan.nbytes,
    }

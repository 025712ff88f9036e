"""`ggmlkit convert`: a checkpoint or model file becomes a model file."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ggmlkit.cli import files, options, values
from ggmlkit.cli.metadata_text import plain, print_notes, printable, short
from ggmlkit.cli.progress import Progress
from ggmlkit.cli.usage import UsageError

if TYPE_CHECKING:
    from ggmlkit.conversion.plan import ConversionPlan

EXAMPLES = """\
  ggmlkit convert Llama-3-8B llama-3-8b.gguf --type q4_K_M
  ggmlkit convert old-model.bin model.gguf --vocab tokenizer.model
  ggmlkit convert my-adapter adapter.gguf --base llama-3-8b.gguf
  ggmlkit convert checkpoints/* models/ --type q8_0"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    files.add_files(
        parser,
        "SRC",
        "Folder (Meta, Hugging Face), checkpoint, model file, hf:OWNER/NAME[:FILE], or LoRA "
        "adapter.",
    )
    weights = parser.add_argument_group("weights")
    options.add_type(weights, "f16; an adapter's own")
    weights.add_argument(
        "--pure", action="store_true", help="No mixture: give every matrix the same type."
    )
    file = parser.add_argument_group("file")
    options.add_container(file, "ggla")
    file.add_argument(
        "--gguf-version",
        type=values.whole_number(1, 3),
        metavar="1|2|3",
        help="Version of a gguf file. Default: 3.",
    )
    options.add_choice(
        file,
        "--byte-order",
        choices=("little", "big"),
        default="little",
        help="Order of the bytes of a number; big needs gguf version 3.",
    )
    options.add_vocab(file)
    file.add_argument(
        "--base",
        type=values.path,
        metavar="PATH",
        help="For an adapter: the model that it is for, or its config.json.",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="Print what would be written, and write nothing."
    )
    options.add_json(parser, "With --dry-run: print JSON, for programs.")
    options.add_threads(parser)
    files.add_ray(parser)


def run(args: argparse.Namespace) -> int:
    """Write the files, or print the plan of one."""
    if args.json and not args.dry_run:
        raise UsageError("--json needs --dry-run")
    if args.base is not None and args.dry_run:
        raise UsageError("--base is for adapters, of which --dry-run shows no plan")
    targets = files.targets_of(args, args.vocab, args.base)
    from ggmlkit.conversion.plan import container_of

    if args.gguf_version is not None and (args.container or container_of(targets[0])) != "gguf":
        raise UsageError("--gguf-version is for gguf files")
    if args.dry_run:
        if len(targets) > 1:
            raise UsageError("--dry-run shows the plan of one SRC")
        return _show_plan(args, targets[0])
    title = "convert" if args.type is None else f"convert to {args.type}"
    return files.write_files(args, targets, _write, title)


def _write(
    args: argparse.Namespace, source: Path, out: Path, progress: Progress | None
) -> list[str]:
    """Write a file; notes on it."""
    from ggmlkit.conversion.convert import convert

    return convert(source, out, **_settings(args), base=args.base, progress=progress)


def _show_plan(args: argparse.Namespace, out: Path) -> int:
    from ggmlkit.conversion.pipeline import planned

    settings = _settings(args) | {"type": args.type or "f16"}
    with planned(args.sources[0], out, **settings) as plan:
        _print(plan, args.json)
        print_notes(plan.notes)
    return 0


def _settings(args: argparse.Namespace) -> dict[str, Any]:
    """How a file is written."""
    return {
        "type": args.type,
        "pure": args.pure,
        "container": args.container,
        "version": args.gguf_version,
        "byte_order": args.byte_order,
        "vocab": args.vocab,
        "threads": args.threads,
    }


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

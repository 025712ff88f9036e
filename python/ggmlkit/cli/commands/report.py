"""`ggmlkit report`: a page that compares quantizations of a model."""

from __future__ import annotations

import argparse
import json

from ggmlkit.cli import llama_cpp, options, values
from ggmlkit.cli.metadata_text import plain
from ggmlkit.cli.targets import refuse_overwriting, refuse_same

EXAMPLES = """\
  ggmlkit report q4_0.gguf q4_K_M.gguf --base f16.gguf -f text.txt -o a.html
  ggmlkit report q4_0.gguf --base f16.gguf -f text.txt -o a.html --part-chunks 0"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "models", type=values.path, nargs="+", metavar="FILE", help="Quantizations of one model."
    )
    parser.add_argument(
        "--base",
        required=True,
        type=values.path,
        metavar="FILE",
        help="The model file that they were made of. Required.",
    )
    parser.add_argument(
        "-f",
        "--file",
        required=True,
        type=values.path,
        metavar="FILE",
        help="Text to predict, UTF-8; - is standard input. Required.",
    )
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        type=values.path,
        metavar="FILE",
        help="The page to write, .html. Required.",
    )
    parser.add_argument(
        "-c",
        "--ctx-size",
        type=values.whole_number(3),
        default=512,
        metavar="N",
        help="Tokens of a chunk.",
    )
    parser.add_argument(
        "--chunks",
        type=values.whole_number(1),
        default=16,
        metavar="N",
        help="Evaluate N chunks of the text at most.",
    )
    parser.add_argument(
        "--part-chunks",
        type=values.whole_number(0),
        default=2,
        metavar="N",
        help="Chunks to measure on what each layer's quantization costs alone; each takes the "
        "time of so many chunks; 0: don't.",
    )
    options.add_json(parser, "Print the figures as JSON, too.")
    model = parser.add_argument_group("model")
    options.add_decoder(model)
    options.add_threads(model)
    llama_cpp.add_report_options(parser)


def run(args: argparse.Namespace) -> int:
    """Evaluate, and write the page."""
    refuse_overwriting(args.output, *args.models, args.base)
    refuse_same(args.output, args.file)
    from ggmlkit.cli.decoder import model_settings
    from ggmlkit.cli.progress import progress
    from ggmlkit.cli.prompt_text import evaluated_text
    from ggmlkit.evaluation.report_page import write_page
    from ggmlkit.evaluation.reporting import report

    text = evaluated_text(args.file)
    with progress("report", of_bytes=False) as tell:
        found = report(
            args.models,
            args.base,
            text,
            context=args.ctx_size,
            chunks=args.chunks,
            part_chunks=args.part_chunks,
            scratch=args.output.parent,
            settings=model_settings(args),
            threads=args.threads,
            progress=tell,
        )
    write_page(found, args.output, args.file.name)
    if args.json:
        print(json.dumps(plain(found.as_dict()), indent=1))
    return 0

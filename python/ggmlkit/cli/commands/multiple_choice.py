"""`ggmlkit multiple-choice`: how often a model finds the right ending."""

from __future__ import annotations

import argparse
import json

from ggmlkit.cli import llama_cpp, options, values
from ggmlkit.cli.metadata_text import plain

EXAMPLES = """\
  ggmlkit multiple-choice -m model.gguf -f hellaswag_val.jsonl --tasks 400
  ggmlkit multiple-choice -m model.gguf -f questions.jsonl --json"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    options.add_model(parser)
    parser.add_argument(
        "-f",
        "--file",
        required=True,
        type=values.path,
        metavar="FILE",
        help='JSON lines such as {"ctx": "…", "endings": ["…", "…"], "label": 1}, or HellaSwag\'s '
        "own; with one ending alone, that is to be found token by token. Required.",
    )
    parser.add_argument(
        "--tasks",
        type=values.whole_number(1),
        metavar="N",
        help="Ask the first N questions. Default: all.",
    )
    options.add_context(parser)
    options.add_json(parser)
    model = parser.add_argument_group("model")
    options.add_decoder(model)
    options.add_threads(model)
    llama_cpp.add_multiple_choice_options(parser)


def run(args: argparse.Namespace) -> int:
    """Ask, and print the shares of right answers."""
    from ggmlkit.cli.decoder import model_settings
    from ggmlkit.cli.progress import progress
    from ggmlkit.evaluation.choosing import multiple_choice

    settings = model_settings(args)
    if args.ctx_size is not None:
        settings["context"] = args.ctx_size
    with progress("multiple choice", of_bytes=False) as report:
        found = multiple_choice(
            args.model,
            args.file,
            most=args.tasks,
            settings=settings,
            threads=args.threads,
            progress=report,
        )
    if args.json:
        print(json.dumps(plain({"model": str(args.model), **found.as_dict()}), indent=1))
        return 0
    print(f"{args.model}: {found.questions} questions")
    for name, share in (("acc", found.acc), ("acc_norm", found.acc_norm)):
        print(f"  {name:10} {100 * share.value:8.2f} ± {100 * share.error:.2f} %")
    print(f"  perplexity {found.perplexity.value:8.4g} ± {found.perplexity.error:.2g}")
    return 0

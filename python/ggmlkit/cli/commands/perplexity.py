"""`ggmlkit perplexity`: how well a model predicts a text."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from ggmlkit.arguments import counted
from ggmlkit.cli import llama_cpp, options, values
from ggmlkit.cli.metadata_text import plain
from ggmlkit.cli.targets import refuse_overwriting, refuse_same
from ggmlkit.cli.usage import UsageError

if TYPE_CHECKING:
    from ggmlkit.evaluation.estimate import Estimate
    from ggmlkit.evaluation.results import Divergence, Perplexity

EXAMPLES = """\
  ggmlkit perplexity -m model-q4_0.gguf -f text.txt
  ggmlkit perplexity -m model-f16.gguf -f text.txt --save-base base.top
  ggmlkit perplexity -m model-q4_0.gguf --base base.top --plot q4_0.png
  ggmlkit perplexity -m model-q4_0.gguf -f text.txt --base model-f16.gguf --json"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    options.add_model(parser)
    options.add_file(
        parser,
        "Text to predict, UTF-8; - is standard input. It may be left out where --base is a file of "
        "predictions, which has the text's tokens.",
    )
    parser.add_argument(
        "-c",
        "--ctx-size",
        type=values.whole_number(3),
        metavar="N",
        help="Tokens of a chunk; those of its second half are scored. Default: 512, or those of "
        "the predictions of --base.",
    )
    parser.add_argument(
        "--chunks",
        type=values.whole_number(1),
        metavar="N",
        help="Evaluate N chunks of the text at most. Default: all.",
    )
    parser.add_argument(
        "--state",
        type=values.path,
        metavar="FILE",
        help="Keep what is done in FILE: the same command goes on from it, even after kill -9.",
    )
    base = parser.add_argument_group("comparison")
    base.add_argument(
        "--base",
        type=values.path,
        metavar="FILE",
        help="Compare with this model, or with predictions that --save-base, --save-all-logits or "
        "llama-perplexity wrote.",
    )
    base.add_argument(
        "--save-base",
        type=values.path,
        metavar="FILE",
        help="Write the likeliest tokens of each position to FILE, for --base.",
    )
    base.add_argument(
        "--top",
        type=values.whole_number(5),
        default=512,
        metavar="N",
        help="How many tokens of a position --save-base keeps.",
    )
    base.add_argument(
        "--save-all-logits",
        type=values.path,
        metavar="FILE",
        help="Write all tokens of each position to FILE, as llama-perplexity does.",
    )
    output = parser.add_argument_group("output")
    options.add_json(output)
    output.add_argument(
        "--plot",
        type=values.path,
        metavar="FILE",
        help="Draw the figures at each position: .png, .svg or .pdf. It needs ggmlkit[plots].",
    )
    model = parser.add_argument_group("model")
    options.add_decoder(model)
    options.add_threads(model)
    llama_cpp.add_perplexity_options(parser)


def run(args: argparse.Namespace) -> int:
    """Evaluate, and print the figures."""
    written = [args.save_base, args.save_all_logits, args.state, args.plot]
    for place, out in enumerate(written):
        if out is not None:
            refuse_overwriting(out, args.model)
            refuse_same(out, args.base, args.file)
            if out in written[:place]:
                raise UsageError(f"{out} is given for two files: name another")
    if args.file is None and args.base is None:
        raise UsageError("give the text with -f")
    from ggmlkit.cli.decoder import model_settings
    from ggmlkit.cli.progress import progress
    from ggmlkit.cli.prompt_text import evaluated_text
    from ggmlkit.evaluation.evaluating import perplexity
    from ggmlkit.evaluation.plots import check_plot, plot

    if args.plot is not None:
        check_plot(args.plot)
    if args.file is None and not _is_saved(args):
        raise UsageError(f"give the text with -f: {args.base} is a model and has none")
    text = None if args.file is None else evaluated_text(args.file)
    with progress("perplexity", of_bytes=False) as report:
        found = perplexity(
            args.model,
            text,
            context=args.ctx_size,
            chunks=args.chunks,
            base=args.base,
            state=args.state,
            save_top=args.save_base,
            top=args.top,
            save_all=args.save_all_logits,
            settings=model_settings(args),
            threads=args.threads,
            progress=report,
        )
    if args.plot is not None:
        plot(found, args.plot, args.model.name)
    if args.json:
        print(json.dumps(plain({"model": str(args.model), **found.as_dict()}), indent=1))
    else:
        _print(args, found)
    return 0


def _is_saved(args: argparse.Namespace) -> bool:
    from ggmlkit.evaluation.bases import saved_form

    return saved_form(args.base) is not None


def _print(args: argparse.Namespace, found: Perplexity) -> None:
    print(
        f"{args.model}: {counted(found.chunks, 'chunk')} of {found.context} tokens, "
        f"{found.tokens} scored"
    )
    _line("perplexity", found.perplexity, 4)
    if found.base is not None:
        print(f"beside {args.base}")
        _print_divergence(found.base)


def _print_divergence(base: Divergence) -> None:
    _line("its perplexity", base.base_perplexity, 4)
    _line("ratio of perplexities", base.perplexity_ratio, 6)
    _line("its logarithm", base.log_perplexity_ratio, 6, "nats")
    _line("KL divergence", base.kl, 6, "nats")
    shown = {0.5: "median", 0.9: "90 %", 0.99: "99 %", 0.999: "99.9 %", 1.0: "most"}
    quantiles = ", ".join(f"{name} {base.kl_quantiles[q]:.6f}" for q, name in shown.items())
    print(f"  {'':22}  {quantiles}")
    _line("same likeliest token", _percent(base.top_1), 3, "%")
    _line("top 5 in common", _percent(base.top_5), 3, "%")
    _line("mean change of p", _percent(base.p_difference), 3, "%")
    _line("RMS change of p", _percent(base.p_difference_rms), 3, "%")


def _percent(share: Estimate) -> Estimate:
    from ggmlkit.evaluation.estimate import Estimate

    return Estimate(100 * share.value, 100 * share.error)


def _line(name: str, figure: Estimate, digits: int, unit: str = "") -> None:
    line = f"  {name:22} {figure.value:12.{digits}f} ± {figure.error:.{digits}f} {unit}"
    print(line.rstrip())

"""`ggmlkit run`: continue a prompt."""

from __future__ import annotations

import argparse
from pathlib import Path

from ggmlkit.cli import llama_cpp, options, values
from ggmlkit.cli.usage import UsageError

EXAMPLES = """\
  ggmlkit run -m model.gguf -p "Once upon a time" -n 64 --temp 0
  ggmlkit run -m model.gguf -f prompt.txt -c 8192 --lora style.gguf:0.5

-ngl, -fa and other options of llama.cpp that only set its speed are accepted
with a note."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    options.add_model(parser)
    text = parser.add_argument_group("text")
    text.add_argument("-p", "--prompt", metavar="TEXT", help="Text to continue.")
    text.add_argument(
        "-f", "--file", type=values.path, metavar="FILE", help="UTF-8 file whose text to continue."
    )
    options.add_max_tokens(
        text, "Tokens to generate; -1: until the model ends the text or the context is full."
    )
    text.add_argument(
        "--ignore-eos", action="store_true", help="Go on where the model would end the text."
    )
    options.add_sampling(parser.add_argument_group("sampling"))
    model = parser.add_argument_group("model")
    options.add_context(model)
    options.add_lora(model)
    options.add_decoder(model)
    options.add_mlock(model)
    options.add_threads(model)
    llama_cpp.add_run_options(parser)


def run(args: argparse.Namespace) -> int:
    """Print the continuation as it is generated, then the speed."""
    if (args.prompt is None) == (args.file is None):
        raise UsageError("give the prompt with either -p or -f")
    from ggmlkit.cli.decoder import open_decoder
    from ggmlkit.cli.stream import print_stream, print_summary

    text = _text_of(args.file) if args.file is not None else args.prompt
    llama = open_decoder(args, context=args.ctx_size, threads=args.threads)
    try:
        pieces = llama.generate(
            text, ignore_eos=args.ignore_eos, **options.generation_settings(args)
        )
    except ValueError as error:  # such as an empty prompt
        raise UsageError(str(error)) from None
    print_stream(pieces)
    print_summary(llama)
    return 0


def _text_of(file: Path) -> str:
    from ggmlkit.errors import FormatError

    try:
        return file.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise FormatError(file, error.start, "a prompt must be UTF-8 text") from None

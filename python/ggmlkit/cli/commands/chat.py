"""`ggmlkit chat`: talk with an instruction-tuned model."""

from __future__ import annotations

import argparse
import sys

from ggmlkit.cli import llama_cpp, options
from ggmlkit.cli.usage import UsageError

EXAMPLES = """\
  ggmlkit chat -m model.gguf --system "Answer in one sentence."
  echo "What is a tensor?" | ggmlkit chat -m model.gguf --temp 0

-ngl, -fa and other options of llama.cpp that only set its speed are accepted
with a note."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    options.add_model(parser)
    text = parser.add_argument_group("text")
    text.add_argument("-sys", "--system", metavar="TEXT", help="System prompt.")
    text.add_argument(
        "--system-prompt", dest="system", default=argparse.SUPPRESS, help=argparse.SUPPRESS
    )
    options.add_max_tokens(
        text, "Most tokens of an answer; -1: until the model ends it or the context is full."
    )
    options.add_sampling(parser.add_argument_group("sampling"))
    model = parser.add_argument_group("model")
    options.add_context(model)
    options.add_lora(model)
    options.add_decoder(model)
    options.add_mlock(model)
    options.add_threads(model)
    llama_cpp.add_chat_options(parser)


def run(args: argparse.Namespace) -> int:
    """Answer lines of standard input until it ends."""
    from ggmlkit.cli.decoder import open_decoder
    from ggmlkit.cli.stream import print_stream, print_summary
    from ggmlkit.text.template.process import RENDERERS

    RENDERERS.prepare()  # while the model is loaded
    llama = open_decoder(args, context=args.ctx_size, threads=args.threads)
    beginning = [] if args.system is None else [{"role": "system", "content": args.system}]
    messages = list(beginning)
    settings = options.generation_settings(args)
    while (line := _line()) is not None:
        if line == "/quit":
            break
        if line == "/reset":
            messages = list(beginning)
        elif line:
            messages.append({"role": "user", "content": line})
            try:
                pieces = llama.chat(messages, **settings)
            except ValueError as error:  # a setting out of range
                raise UsageError(str(error)) from None
            answer = print_stream(pieces)
            messages.append({"role": "assistant", "content": answer})
    print_summary(llama)
    return 0


def _line() -> str | None:
    """The next line that the user writes; None at the end of input or Ctrl-C."""
    if sys.stdin is None:  # closed when the program was started
        return None
    if sys.stdin.isatty():
        print("> ", end="", file=sys.stderr, flush=True)
    try:
        line = sys.stdin.readline()
    except KeyboardInterrupt:
        return None
    return line.strip() if line else None

"""`ggmlkit run`: continue a prompt."""

from __future__ import annotations

import argparse

from ggmlkit.cli import jsonl, llama_cpp, options, sampling_options, values
from ggmlkit.cli.jsonl import DEFAULT_PARALLEL
from ggmlkit.cli.metadata_text import print_notes
from ggmlkit.cli.prompt_text import prompt_text
from ggmlkit.cli.usage import UsageError

_WAYS_ON = "-c sets a longer one, and --context-shift goes on without the older half"
EXAMPLES = """\
  ggmlkit run -m model.gguf -p "Once upon a time" -n 64 --temp 0
  ggmlkit run -m model.gguf -f prompt.txt -c 8192 --lora style.gguf:0.5
  echo "Once upon a time" | ggmlkit run -m model.gguf
  ggmlkit run -m model.gguf --jsonl prompts.jsonl answers.jsonl -n 256

-ngl, -fa and other options of llama.cpp that only set its speed are accepted
with a note."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    options.add_model(parser)
    text = parser.add_argument_group("text")
    text.add_argument(
        "-p", "--prompt", metavar="TEXT", help="Text to continue. Default: standard input."
    )
    options.add_file(
        text,
        "UTF-8 file whose text to continue, without a line break at its end; - is standard input.",
    )
    options.add_escape(text, "the prompt and in -r")
    text.add_argument(
        "--display-prompt", action="store_true", help="Print the prompt before what follows it."
    )
    text.add_argument(
        "--no-display-prompt",
        dest="display_prompt",
        action="store_false",
        help=argparse.SUPPRESS,
    )
    options.add_max_tokens(
        text, "Tokens to generate; -1: until the model ends the text or the context is full."
    )
    options.add_stop(text)
    text.add_argument(
        "--ignore-eos", action="store_true", help="Go on where the model would end the text."
    )
    options.add_context_shift(text)
    text.add_argument(
        "--keep",
        type=values.whole_number(-1),
        default=0,
        metavar="N",
        help="With --context-shift: tokens of the prompt that stay, the first one always; -1: all.",
    )
    text.add_argument(
        "-cnv",
        "--conversation",
        action="store_true",
        help="Converse, as 'ggmlkit chat' does; the prompt is the first message.",
    )
    text.add_argument(
        "-no-cnv",
        "--no-conversation",
        dest="conversation",
        action="store_false",
        help=argparse.SUPPRESS,
    )
    options.add_conversation(text, help=argparse.SUPPRESS)
    options.add_show_thinking(text, help=argparse.SUPPRESS)
    options.add_interactive(text)
    options.add_simple_io(text, argparse.SUPPRESS)
    _add_jsonl(parser.add_argument_group("many prompts"))
    sampling_options.add_sampling(parser.add_argument_group("sampling"))
    model = parser.add_argument_group("model")
    options.add_context(model)
    options.add_lora(model)
    options.add_decoder(model)
    options.add_mlock(model)
    options.add_threads(model)
    options.add_speculation(model)
    llama_cpp.add_run_options(parser)


def _add_jsonl(to: options.Arguments) -> None:
    """How the lines of a file are answered."""
    to.add_argument(
        "--jsonl",
        nargs=2,
        type=values.path,
        metavar=("IN", "OUT"),
        help="Answer each line of IN, a JSON object with a prompt or messages, with a line of OUT. "
        "What OUT has already is not computed again. - is standard input or output.",
    )
    to.add_argument("--overwrite", action="store_true", help="Begin OUT anew.")
    options.add_parallel(to, f"Lines that are answered at a time. Default: {DEFAULT_PARALLEL}.")


def run(args: argparse.Namespace) -> int:
    """Print the continuation as it is generated, then the speed."""
    if args.jsonl is not None:
        _refuse_with_jsonl(args)
        return jsonl.run(args)
    if args.overwrite:
        raise UsageError("--overwrite goes with --jsonl")
    if args.parallel is not None:
        print_notes(["-np has no effect: only the lines of --jsonl are answered side by side"])
    if args.conversation:
        from ggmlkit.cli.commands import chat

        return chat.run(args)
    for name, is_given in (*_of_conversations(args), *_of_templates(args)):
        if is_given:
            raise UsageError(f"{name} is for a conversation: add -cnv, or use 'ggmlkit chat'")
    if args.keep and not args.context_shift:
        print_notes(["--keep has no effect without --context-shift"])
    from ggmlkit.cli.decoder import open_generator, too_long
    from ggmlkit.cli.stream import print_stream, print_summary

    text = prompt_text(args)
    llama = open_generator(args)
    ids = llama.tokenize(text)
    if len(ids) > llama.context:
        raise too_long(llama, "the prompt", len(ids))
    settings = sampling_options.generation_settings(args)
    settings |= {"context_shift": args.context_shift, "keep": args.keep}
    try:
        pieces = llama.generate(ids, ignore_eos=args.ignore_eos, **settings)
    except ValueError as error:  # such as an empty prompt
        raise UsageError(str(error)) from None
    if args.display_prompt:
        print(text, end="", flush=True)
    is_interrupted = print_stream(pieces)
    room = llama.context - len(ids) + 1  # the last token needs no place
    most = settings["max_tokens"]
    is_cut = not args.context_shift and llama.stats.decode_tokens == room
    if is_cut and (most is None or most > room):
        print_notes([f"the context of {llama.context} tokens is full; {_WAYS_ON}"])
    print_summary(llama)
    if is_interrupted:
        raise KeyboardInterrupt
    return 0


def _of_conversations(args: argparse.Namespace) -> list[tuple[str, bool]]:
    """Options of conversations alone, and whether they are given."""
    return [
        ("-sys", args.system is not None),
        ("-st", args.single_turn),
        ("--show-thinking", args.show_thinking),
        ("-i", args.interactive),
        ("-mli", args.multiline_input),
    ]


def _of_templates(args: argparse.Namespace) -> list[tuple[str, bool]]:
    return [
        ("--chat-template", args.chat_template is not None),
        ("--chat-template-kwargs", args.chat_template_kwargs is not None),
        ("--chat-template-file", args.chat_template_file is not None),
    ]


def _refuse_with_jsonl(args: argparse.Namespace) -> None:
    """UsageError for what the lines of a file say themselves."""
    for name, is_given in (
        ("-p", args.prompt is not None),
        ("-f", args.file is not None),
        ("-cnv", args.conversation),
        ("--display-prompt", args.display_prompt),
        *_of_conversations(args),
    ):
        if is_given:
            raise UsageError(f"{name} does not go with --jsonl, whose lines have the prompts")

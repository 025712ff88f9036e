"""The commands by name, and how errors become exit codes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from typing import Protocol, cast

from ggmlkit.cli.metadata_text import print_notes, printable
from ggmlkit.cli.parser import Parser
from ggmlkit.cli.sentences import INPUT_AT_FAULT, sentence_of
from ggmlkit.cli.usage import UsageError, did_you_mean
from ggmlkit.cli.words import arranged

_DONE, _INPUT_AT_FAULT, _COMMAND_LINE_AT_FAULT, _INTERRUPTED = 0, 1, 2, 130
# What each does. The command NAME is the module commands.NAME.
COMMANDS = {
    "run": "Continue a prompt; the text is printed as it is generated, the speed on stderr.",
    "chat": "Talk with a model; /help lists what can be typed, /quit ends.",
    "serve": "Answer requests over HTTP, as OpenAI's API does; several at once.",
    "convert": "Turn a checkpoint into a model file.",
    "quantize": "Rewrite a model file with its matrices in another type.",
    "imatrix": "Measure on a text which columns of a model's matrices matter.",
    "recommend": "Show which sizes a model can have, and what each is expected to cost.",
    "inspect": "Show a file's metadata, its tensors, and how many bytes each type takes.",
    "compare": "Show how two models differ: metadata, types, shapes, values; exits with 1 if so.",
    "verify": "Check a file's structure, scales and values; exits with 1 if something is wrong.",
    "repair": "Save the whole tensors of a file that was cut short.",
    "perplexity": "Measure how well a model predicts a text, and how far it is from another one.",
    "multiple-choice": "Measure how often a model finds the right ending, as for HellaSwag.",
    "report": "Write a page of quantized models: size, quality, what each layer costs.",
    "export": "Write a model file as a checkpoint for other programs.",
    "apply-lora": "Add LoRA adapters to a model's weights for good.",
    "apply-delta": "Add delta weights, such as Vicuna's, to the model they were made for.",
    "make-delta": "Write the difference of two models as delta weights.",
    "split": "Cut a gguf file into parts, which open as one again.",
    "merge": "Write a gguf model in parts as one file.",
    "metadata": "Read or change one key of a gguf file, in place where the header has room.",
    "bench": "Measure tokens per second of prefill and of decoding.",
    "tokenize": "Print the tokens of a text: id and piece, one a line.",
}
_ABOUT = "Convert, quantize and run LLaMA-family models in the GGML file formats."


class Command(Protocol):
    """The module of a command. It is loaded when the command is asked for."""

    EXAMPLES: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


def run(words: Sequence[str]) -> int:
    """Run the command that ``words`` begin with; the exit code.

    What is wrong with the input is said in one sentence on stderr, without a traceback.
    """
    name = words[0] if words and words[0] in COMMANDS else ""
    try:
        return _run_command(name, words[1:]) if name else _run_alone(words)
    except UsageError as error:
        _say(str(error))
        print(f"Try '{' '.join(filter(None, ('ggmlkit', name)))} --help'.", file=sys.stderr)
        return _COMMAND_LINE_AT_FAULT
    except SystemExit as end:  # argparse has shown its help
        return end.code if isinstance(end.code, int) else _DONE
    except BrokenPipeError:
        raise  # whoever read our output has enough
    except INPUT_AT_FAULT as error:
        say_error(error)
        return _INPUT_AT_FAULT
    except KeyboardInterrupt as interrupt:
        _say(str(interrupt) or "interrupted")
        return _INTERRUPTED


def program(declared: Iterable[str] = ()) -> Parser:
    """The parser of the whole program, with the arguments of the ``declared`` commands."""
    parser = Parser("ggmlkit", _ABOUT)
    parser.add_argument("--version", action="store_true", help="Print the version.")
    parser.add_argument(
        "--print-completion",
        metavar="SHELL",
        help="Print a completion script for bash, zsh or fish.",
    )
    commands = parser.add_subparsers(
        title="commands", metavar="COMMAND ...", prog="ggmlkit", parser_class=Parser
    )
    for name, purpose in COMMANDS.items():
        command = commands.add_parser(name, help=purpose, description=purpose)
        if name in declared:
            command_module(name).add_arguments(command)
    return parser


def command_module(name: str) -> Command:
    """The module of a command, loaded."""
    return cast(Command, import_module(f"ggmlkit.cli.commands.{name.replace('-', '_')}"))


def command_parser(name: str) -> Parser:
    """The parser of a command, its arguments declared."""
    module = command_module(name)
    parser = Parser(f"ggmlkit {name}", COMMANDS[name], module.EXAMPLES)
    module.add_arguments(parser)
    return parser


def _run_command(name: str, words: Sequence[str]) -> int:
    args = command_parser(name).parsed(words)
    print_notes(args.notes)
    return command_module(name).run(args)


def _run_alone(words: Sequence[str]) -> int:
    """What the program does without a command: help, version, completion."""
    if list(words) == ["--version"]:  # at once, as programs ask for it
        return _print_version()
    parser = program()
    if words and not words[0].startswith("-"):
        raise UsageError(f"there is no command {words[0]!r}{did_you_mean(words[0], COMMANDS)}")
    if "--" in (arguments := arranged(parser, words)):
        raise UsageError(f"unexpected argument: {arguments[-1]}")
    args = parser.parsed(words)
    if args.version:
        return _print_version()
    if args.print_completion is not None:
        return _print_completion(args.print_completion)
    parser.print_help(sys.stderr)
    return _COMMAND_LINE_AT_FAULT


def _print_version() -> int:
    from ggmlkit import __version__

    print(f"ggmlkit {__version__}")
    return _DONE


def _print_completion(shell: str) -> int:
    from ggmlkit.cli.completion import SHELLS, script

    if shell not in SHELLS:
        few = ", ".join(SHELLS)
        raise UsageError(f"--print-completion must be one of {few}, not {shell!r}")
    print(script(program(COMMANDS), shell))
    return _DONE


def say_error(error: Exception) -> None:
    """Say on stderr, in one sentence, what went wrong."""
    _say(sentence_of(error))


def _say(sentence: str) -> None:
    print(f"ggmlkit: {printable(sentence)}", file=sys.stderr)

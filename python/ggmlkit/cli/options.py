"""Options that several commands share. Short names are llama.cpp's."""

from __future__ import annotations

import argparse
from typing import Any, Protocol

from ggmlkit.cli import values
from ggmlkit.cli.usage import UsageError
from ggmlkit.text.named_templates import template_names

_KV_TYPES = ("f16", "q8_0", "q4_0")
TYPES = (
    "Floats: f32, f16, bf16. Types: q8_0, q5_1, q5_0, q4_1, q4_0, iq4_nl, iq4_xs, mxfp4, q6_K, "
    "tq2_0, tq1_0, q2_0. Mixtures of k-types: q5_K_M, q5_K_S, q4_K_M, q4_K_S, q3_K_L, q3_K_M, "
    "q3_K_S, q2_K, q2_K_S; q5_K, q4_K and q3_K mean their _M. Mixtures of few bits: iq3_m, iq3_s, "
    "iq3_xs, iq3_xxs, iq2_m, iq2_s, iq2_xs, iq2_xxs, iq1_m, iq1_s; all but the first two need "
    "--imatrix. In upper or lower case."
)


class Arguments(Protocol):
    """A parser, or a group of its options."""

    def add_argument(self, *names: str, **settings: Any) -> argparse.Action:
        """Declare an option or argument."""
        ...


def add_choice(to: Arguments, *names: str, choices: tuple[str, ...], **settings: Any) -> None:
    """An option whose value is one of a few words."""
    metavar = "|".join(choices)
    to.add_argument(
        *names, type=values.one_of(*choices), choices=choices, metavar=metavar, **settings
    )


def add_switch(to: Arguments, name: str, help: str) -> None:
    """``--no-NAME`` turns off what is on; ``--NAME`` is accepted too."""
    to.add_argument(f"--no-{name}", dest=name, action="store_false", help=help)
    to.add_argument(f"--{name}", action="store_true", default=True, help=argparse.SUPPRESS)


def add_model(to: Arguments) -> None:
    """The file of a model to run."""
    to.add_argument(
        "-m",
        "--model",
        required=True,
        type=values.path,
        metavar="FILE",
        help="Model file (gguf, ggjt, ggmf, ggml), or hf:OWNER/NAME:FILE. Required.",
    )


def add_threads(to: Arguments) -> None:
    """The number of threads."""
    to.add_argument(
        "-t",
        "--threads",
        type=values.whole_number(1),
        metavar="N",
        help="Threads. Default: all processors that the process may use.",
    )


def add_speculation(to: Arguments) -> None:
    """How tokens are guessed."""
    to.add_argument(
        "-md",
        "--model-draft",
        "--spec-draft-model",
        dest="draft",
        metavar="FILE",
        help="A smaller model with the same vocabulary, which guesses the next tokens.",
    )
    to.add_argument(
        "--no-lookup",
        dest="lookup",
        action="store_false",
        help="Guess no tokens from where the last ones occurred before. Guesses change no text, "
        "and are made as long as they save time.",
    )


def add_json(to: Arguments, help: str = "Print JSON, for programs.") -> None:
    """Whether to print JSON."""
    to.add_argument("--json", action="store_true", help=help)


def add_type(to: Arguments, default: str) -> None:
    """The type of the matrices that are written."""
    to.add_argument(
        "--type",
        type=values.type_name,
        metavar="TYPE",
        help=f"Type of the matrices. {TYPES} Default: {default}.",
    )


def add_container(to: Arguments, *more: str) -> None:
    """The container of the file that is written."""
    add_choice(
        to,
        "--container",
        choices=("gguf", "ggjt", *more),
        help="Container of OUT. Default: by its suffix, gguf for .gguf and ggjt for .bin.",
    )


def add_vocab(to: Arguments) -> None:
    """Where the vocabulary comes from."""
    to.add_argument(
        "--vocab",
        type=values.path,
        metavar="PATH",
        help="Take the vocabulary from this tokenizer file, folder or model file.",
    )


def add_decoder(to: Arguments) -> None:
    """How a model is computed."""
    pairs = tuple(f"{keys}/{kept}" for keys in _KV_TYPES for kept in _KV_TYPES if keys != kept)
    to.add_argument(
        "--kv-type",
        type=_kv_types,
        choices=(*_KV_TYPES, *pairs),
        metavar="|".join(_KV_TYPES),
        help="Type of cached keys and values; q8_0 takes about half the memory, q4_0 little more "
        "than a quarter, with much more error. q8_0/q4_0 is q8_0 for keys, q4_0 for values. "
        "Default: f16.",
    )
    for names, what in (
        (("-ctk", "--cache-type-k"), "keys alone"),
        (("-ctv", "--cache-type-v"), "values alone, which q4_0 harms less"),
    ):
        add_choice(to, *names, choices=_KV_TYPES, help=f"Type of cached {what}.")
    add_choice(
        to,
        "--activation-bits",
        choices=("8", "16"),
        default="8",
        help="Bits that activations are quantized to; 16 is more exact, with slower prompts.",
    )
    add_switch(to, "repack", "Use the weights as the file has them: less memory, slower.")
    to.add_argument("-nr", dest="repack", action="store_false", help=argparse.SUPPRESS)


def _kv_types(text: str) -> str:
    """A type of cached keys and values, or two of them, ``KEYS/VALUES``."""
    if "/" not in text:
        return values.one_of(*_KV_TYPES)(text)
    words = text.split("/")
    if len(words) != 2 or any(word not in _KV_TYPES for word in words):
        raise argparse.ArgumentTypeError(
            f"must be one or two of {', '.join(_KV_TYPES)}, such as q8_0/q4_0, not {text!r}"
        )
    return text


def kv_type(args: argparse.Namespace) -> str:
    """The types of cached keys and values. UsageError where options contradict each other."""
    asked = args.kv_type or "f16"
    types = asked.split("/")
    keys, kept = args.cache_type_k or types[0], args.cache_type_v or types[-1]
    if args.kv_type and (keys, kept) != (types[0], types[-1]):
        raise UsageError(f"--kv-type {asked} sets keys and values: leave it out, or -ctk and -ctv")
    return f"{keys}/{kept}"


def add_context(to: Arguments) -> None:
    """The context length."""
    to.add_argument(
        "-c",
        "--ctx-size",
        type=values.whole_number(1),
        metavar="N",
        help="Context length in tokens. Default: what the model was trained for, at most 4096.",
    )


def add_lora(to: Arguments) -> None:
    """Adapters to apply."""
    to.add_argument(
        "--lora",
        type=values.adapter,
        action="append",
        default=[],
        metavar="ADAPTER[:SCALE]",
        help="LoRA adapter: a PEFT folder, gguf or ggla file. May be repeated.",
    )


def add_mlock(to: Arguments) -> None:
    """Whether the weights are locked in memory."""
    to.add_argument("--mlock", action="store_true", help="Keep the model in memory, never swapped.")


def add_stop(to: Arguments) -> None:
    """Texts that end what is generated."""
    to.add_argument(
        "-r",
        "--reverse-prompt",
        "--stop",
        dest="stop",
        type=values.not_empty,
        action="append",
        default=[],
        metavar="TEXT",
        help="End before this text. May be repeated.",
    )


def add_escape(to: Arguments, where: str) -> None:
    """Whether texts of the command line have escapes."""
    to.add_argument(
        "-e",
        "--escape",
        action="store_true",
        help=rf"Read escapes as C has them, such as \n, \t and \x41, in {where}.",
    )
    to.add_argument("--no-escape", dest="escape", action="store_false", help=argparse.SUPPRESS)


def add_simple_io(to: Arguments, help: str) -> None:
    """Whether a conversation's lines are plain."""
    to.add_argument("--simple-io", action="store_true", help=help)


def add_conversation(to: Arguments, help: str | None = None) -> None:
    """What a conversation begins with, and whether one answer ends it; ``help`` hides them."""
    to.add_argument(
        "-sys",
        "--system",
        "--system-prompt",
        metavar="TEXT",
        help=help or "System prompt.",
    )
    to.add_argument(
        "-st",
        "--single-turn",
        action="store_true",
        help=help or "End after one answer.",
    )
    add_chat_template(to, help)


def add_chat_template(to: Arguments, help: str | None = None) -> None:
    """How conversations are written for the model; ``help`` hides the options."""
    to.add_argument(
        "--chat-template",
        metavar="NAME|FILE",
        help=help
        or f"Chat template: {template_names()}, or a jinja2 file. Default: the model file's own.",
    )
    to.add_argument(
        "--chat-template-file",
        type=values.path,
        metavar="FILE",
        help=help or "The same, always a file.",
    )
    to.add_argument(
        "--chat-template-kwargs",
        metavar="JSON",
        help=help or "Variables for the chat template, such as '{\"enable_thinking\": false}'.",
    )


def add_show_thinking(to: Arguments, help: str | None = None) -> None:
    """Whether a conversation shows thoughts; ``help`` hides it."""
    to.add_argument(
        "--show-thinking",
        action="store_true",
        help=help or "Show what the model thinks before it answers; /think changes it.",
    )


def add_interactive(to: Arguments) -> None:
    """llama.cpp's options of a conversation, which have no effect in one."""
    for names in (("-i", "--interactive"), ("-if", "--interactive-first")):
        to.add_argument(*names, dest="interactive", action="store_true", help=argparse.SUPPRESS)
    to.add_argument("-mli", "--multiline-input", action="store_true", help=argparse.SUPPRESS)


def add_file(to: Arguments, help: str) -> None:
    """The file with a text."""
    to.add_argument("-f", "--file", type=values.path, metavar="FILE", help=help)


def add_parallel(to: Arguments, help: str, default: int | None = None) -> None:
    """How much is answered side by side."""
    to.add_argument(
        "-np",
        "--parallel",
        type=values.whole_number(1),
        default=default,
        metavar="N",
        help=help,
    )


def add_context_shift(to: Arguments, more: str = "") -> None:
    """Whether texts go on where the context is full; ``more`` follows in the help."""
    to.add_argument(
        "--context-shift",
        action="store_true",
        help=f"Where the context is full, go on without the older half of the text{more}.",
    )


def add_max_tokens(to: Arguments, help: str) -> None:
    """How many tokens are generated."""
    to.add_argument(
        "-n",
        "--max-tokens",
        "--n-predict",
        dest="max_tokens",
        type=values.whole_number(-1),
        default=-1,
        metavar="N",
        help=help,
    )
    to.add_argument(
        "--predict",
        dest="max_tokens",
        type=values.whole_number(-1),
        default=argparse.SUPPRESS,
        help=argparse.SUPPRESS,
    )

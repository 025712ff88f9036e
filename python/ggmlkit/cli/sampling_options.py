"""Options of the choice of the next token, and the settings that they give."""

from __future__ import annotations

import argparse
import re
from argparse import ArgumentTypeError
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ggmlkit.cli import values
from ggmlkit.cli.options import Arguments
from ggmlkit.cli.prompt_text import text_of, unescaped
from ggmlkit.cli.usage import UsageError, did_you_mean
from ggmlkit.engine.sampler_names import LLAMA_CPP_NAMES, SAMPLERS

if TYPE_CHECKING:
    from ggmlkit.engine.llama import Llama

_LEAST_PENALTY = 0.01  # logits are divided by it
_NO_BREAKERS = "none"


def add_sampling(to: Arguments) -> None:
    """How the next token is chosen; an option that isn't given leaves the setting's default."""
    add = to.add_argument
    share, penalty, positive = values.number(0, 1), values.number(), values.number(1e-6)
    add(
        "--temp",
        "--temperature",
        dest="temperature",
        type=values.number(0),
        default=0.8,
        metavar="T",
        help="Temperature, at least 0; 0 always takes the likeliest token.",
    )
    add(
        "--top-k",
        type=values.whole_number(0),
        default=40,
        metavar="K",
        help="Sample among the K likeliest tokens; 0: all.",
    )
    add(
        "--top-p",
        type=values.positive_share,
        default=0.95,
        metavar="P",
        help="Sample among the likeliest tokens that together have probability P, above 0 and at "
        "most 1; 1 disables.",
    )
    add(
        "--min-p",
        type=share,
        default=0.05,
        metavar="P",
        help="Drop tokens less likely than P times the likeliest, P from 0 to 1; 0 disables.",
    )
    add(
        "--typical",
        "--typical-p",
        dest="typical_p",
        type=values.positive_share,
        metavar="P",
        help="Sample among the tokens of the most typical surprise that together have probability "
        "P; 1 disables. Default: 1.",
    )
    add(
        "--top-nsigma",
        "--top-n-sigma",
        dest="top_n_sigma",
        type=values.number(-1),
        metavar="N",
        help="Drop tokens N standard deviations below the likeliest; 0 disables. Default: 0.",
    )
    add(
        "--min-keep",
        type=values.whole_number(0),
        metavar="N",
        help="Tokens that these options leave at least. Default: 1.",
    )
    add(
        "--xtc-probability",
        type=share,
        metavar="P",
        help="How often the likeliest of several likely tokens are dropped. Default: 0.",
    )
    add(
        "--xtc-threshold",
        type=values.positive_share,
        metavar="P",
        help="Probability of a likely token, for --xtc-probability. Default: 0.1.",
    )
    add(
        "--dynatemp-range",
        type=values.number(0),
        metavar="X",
        help="Let the temperature follow the entropy, up and down by X. Default: 0.",
    )
    add(
        "--dynatemp-exp",
        dest="dynatemp_exponent",
        type=values.number(0),
        metavar="X",
        help="Exponent of the entropy, for --dynatemp-range. Default: 1.",
    )
    add(
        "--mirostat",
        type=values.whole_number(0, 2),
        metavar="0|1|2",
        help="Keep the surprise near --mirostat-ent by Mirostat 1 or 2, which replaces the options "
        "above but the temperatures. Default: 0.",
    )
    add(
        "--mirostat-ent",
        dest="mirostat_tau",
        type=positive,
        metavar="X",
        help="Bits of surprise a token. Default: 5.",
    )
    add(
        "--mirostat-lr",
        dest="mirostat_eta",
        type=positive,
        metavar="X",
        help="How fast Mirostat corrects. Default: 0.1.",
    )
    add(
        "--repeat-penalty",
        type=values.number(_LEAST_PENALTY),
        default=1.0,
        metavar="X",
        help=f"Penalty for repeated tokens, at least {_LEAST_PENALTY}; 1 disables.",
    )
    add(
        "--repeat-last-n",
        type=values.whole_number(-1),
        metavar="N",
        help="Tokens back that penalties look at; 0: none, -1: the context. Default: 64.",
    )
    add(
        "--presence-penalty",
        type=penalty,
        default=0.0,
        metavar="X",
        help="Subtracted once from the logit of a recent token.",
    )
    add(
        "--frequency-penalty",
        type=penalty,
        default=0.0,
        metavar="X",
        help="Subtracted for each time that a recent token occurred.",
    )
    add(
        "--dry-multiplier",
        type=values.number(0),
        metavar="X",
        help="Penalty for tokens that make a repetition longer (DRY). Default: 0.",
    )
    add(
        "--dry-base",
        type=values.number(1),
        metavar="X",
        help="Factor of the penalty for each token of the repetition. Default: 1.75.",
    )
    add(
        "--dry-allowed-length",
        type=values.whole_number(0),
        metavar="N",
        help="Tokens of a repetition without penalty. Default: 2.",
    )
    add(
        "--dry-penalty-last-n",
        type=values.whole_number(-1),
        metavar="N",
        help="Tokens back that repetitions are looked for in; -1: the context. Default: -1.",
    )
    add(
        "--dry-sequence-breaker",
        dest="dry_sequence_breakers",
        type=values.not_empty,
        action="append",
        metavar="TEXT",
        help="A repetition ends at it, not at the newline, ':', '\"' and '*'; 'none': nowhere. "
        "May be repeated.",
    )
    add(
        "--samplers",
        type=samplers,
        metavar="NAMES",
        help=f"Order of the samplers, separated by ';'. Default: {'; '.join(SAMPLERS)}.",
    )
    add(
        "-l",
        "--logit-bias",
        type=logit_bias,
        action="append",
        metavar="ID+BIAS",
        help="Add to the logit of a token, as 15+1 or 15-2.5; 15-inf: never. May be repeated.",
    )
    add("-s", "--seed", type=values.seed, metavar="N",
        help="The same seed gives the same text. Default, or -1: another each time.")  # fmt: skip
    _add_grammar(to)


def _add_grammar(to: Arguments) -> None:
    """What the text must be like."""
    to.add_argument(
        "--grammar",
        metavar="TEXT",
        help="Grammar that the text must follow, in llama.cpp's GBNF or in Lark's notation.",
    )
    to.add_argument(
        "--grammar-file", type=values.path, metavar="FILE", help="The same, from a file."
    )
    to.add_argument(
        "-j",
        "--json-schema",
        metavar="SCHEMA",
        help="JSON Schema that the text must fit, as JSON; {} for any JSON.",
    )
    to.add_argument(
        "-jf",
        "--json-schema-file",
        type=values.path,
        metavar="FILE",
        help="The same, from a file.",
    )


def samplers(text: str) -> tuple[str, ...]:
    """Names of samplers, such as ``top_k;temperature``."""
    found: list[str] = []
    for word in filter(None, map(str.strip, text.split(";"))):
        name = LLAMA_CPP_NAMES.get(word, word)
        if name not in SAMPLERS:
            meant = did_you_mean(word, SAMPLERS)
            raise ArgumentTypeError(
                f"must be names of {', '.join(SAMPLERS)}, separated by ';', not {word!r}{meant}"
            )
        if name in found:
            raise ArgumentTypeError(f"must not name {name} twice")
        found.append(name)
    return tuple(found)


def logit_bias(text: str) -> tuple[int, float]:
    """A token's id and what is added to its logit."""
    match = re.fullmatch(r"(\d+)([+-])(\d+(?:\.\d*)?|\.\d+|inf)", text, re.ASCII)
    if match is None or text.endswith("+inf"):
        raise ArgumentTypeError(f"must be a token's id and a bias, such as 15+1, not {text!r}")
    size = inf if match[3] == "inf" else float(match[3])
    return values.whole_number(0)(match[1]), size if match[2] == "+" else -size


_SAME = (
    "temperature", "dynatemp_range", "dynatemp_exponent", "top_k", "top_p", "min_p", "typical_p",
    "min_keep", "xtc_probability", "xtc_threshold", "mirostat", "mirostat_tau", "mirostat_eta",
    "repeat_penalty", "repeat_last_n", "presence_penalty", "frequency_penalty", "dry_multiplier",
    "dry_base", "dry_allowed_length", "dry_penalty_last_n", "samplers",
)  # fmt: skip


def generation_settings(args: argparse.Namespace) -> dict[str, Any]:
    """The settings of `Llama.generate` that options gave."""
    settings = {name: getattr(args, name) for name in _SAME if getattr(args, name) is not None}
    settings["seed"] = args.seed
    settings["max_tokens"] = None if args.max_tokens < 0 else args.max_tokens
    settings["stop"] = list(map(unescaped, args.stop)) if args.escape else args.stop
    if args.top_n_sigma is not None:
        settings["top_n_sigma"] = max(0.0, args.top_n_sigma)  # -1 is llama.cpp's "off"
    if args.logit_bias is not None:
        settings["logit_bias"] = dict(args.logit_bias)
    if args.dry_sequence_breakers is not None:
        given = args.dry_sequence_breakers
        settings["dry_sequence_breakers"] = [] if given == [_NO_BREAKERS] else given
    return settings | _grammar_settings(args)


def _grammar_settings(args: argparse.Namespace) -> dict[str, str]:
    """What the text must be like. UsageError where several options say it."""
    given = {
        "--grammar": ("grammar", args.grammar),
        "--grammar-file": ("grammar", args.grammar_file),
        "--json-schema": ("json_schema", args.json_schema),
        "--json-schema-file": ("json_schema", args.json_schema_file),
    }
    found = {option: value for option, value in given.items() if value[1] is not None}
    if len(found) > 1:
        raise UsageError(f"give either {' or '.join(found)}")
    return {
        name: text_of(value) if isinstance(value, Path) else value for name, value in found.values()
    }


def check_grammar(llama: Llama, settings: dict[str, Any]) -> None:
    """Refuse a grammar before the first message of a chat; raises UsageError."""
    from ggmlkit.engine.constraint import constraint_of
    from ggmlkit.engine.sampling import SamplingParams

    try:
        constraint_of(SamplingParams(**settings), llama.tokenizer, llama.config.vocab)
    except ValueError as error:
        raise UsageError(str(error)) from None

"""Options that several commands share. Short flags are llama.cpp's."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

from ggmlkit.cli.command_line import Option

Model = Annotated[
    Path, Option("-m", "--model", metavar="FILE", help="Model file: gguf, ggjt, ggmf, ggml.")
]
Threads = Annotated[
    int | None,
    Option("-t", "--threads", min=1, help="Threads; all that the process may use if unset."),
]
Context = Annotated[
    int | None,
    Option("-c", "--ctx-size", min=1, help="Tokens to keep; the model's own if unset."),
]


class KvChoice(str, Enum):
    """How keys and values are cached."""

    f16 = "f16"
    q8_0 = "q8_0"


KvType = Annotated[KvChoice, Option("--kv-type", help="How keys and values are cached.")]


class BitsChoice(str, Enum):
    """What activations are rounded to."""

    eight = "8"
    sixteen = "16"


ActivationBits = Annotated[
    BitsChoice, Option("--activation-bits", help="16 is more exact; prompts take longer.")
]
Repack = Annotated[
    bool,
    Option("--repack/--no-repack", help="Copy the weights into the layout that computes fastest."),
]
MaxTokens = Annotated[
    int,
    Option("-n", "--n-predict", min=-1, help="Tokens to make; -1: until the text ends."),
]
IgnoreEos = Annotated[
    bool, Option("--ignore-eos", help="Go on where the model would end its text.")
]
Mlock = Annotated[bool, Option("--mlock", help="Keep the model in memory, never swapped.")]
Temperature = Annotated[
    float, Option("--temp", min=0.0, help="0 always takes the likeliest token.")
]
TopK = Annotated[int, Option("--top-k", min=0, help="Among the K likeliest; 0: all.")]
TopP = Annotated[
    float, Option("--top-p", min=0.0, max=1.0, help="Among the likeliest that sum to P.")
]
MinP = Annotated[
    float,
    Option("--min-p", min=0.0, max=1.0, help="At least P times as likely as the likeliest."),
]
RepeatPenalty = Annotated[
    float, Option("--repeat-penalty", min=0.0, help="Above 1 avoids what was said.")
]
Seed = Annotated[int | None, Option("-s", "--seed", help="The same seed gives the same text.")]
Json = Annotated[bool, Option("--json", help="Print JSON, for programs.")]
Lora = Annotated[
    list[str] | None,
    Option(
        "--lora",
        metavar="ADAPTER[:SCALE]",
        help="LoRA adapter, a PEFT folder, gguf or ggla file; may be repeated.",
    ),
]
Type = Annotated[
    str | None,
    Option(
        "--type",
        metavar="TYPE",
        help="f32, f16, bf16, q8_0, q6_K, q5_K_M, q5_K_S, q5_1, q5_0, q4_K_M, q4_K_S, q4_1, q4_0, "
        "iq4_xs, iq4_nl, q3_K_L, q3_K_M, q3_K_S, q2_K, q2_K_S, mxfp4, tq2_0, q2_0 or tq1_0.",
    ),
]
Container = Annotated[
    str | None,
    Option("--container", metavar="NAME", help="gguf or ggjt, whatever the suffix of OUT."),
]
Vocab = Annotated[
    Path | None,
    Option(
        "--vocab",
        metavar="PATH",
        help="Tokenizer file, folder with one, or model file, whose vocabulary to take.",
    ),
]

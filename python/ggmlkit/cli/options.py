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


KvType = Annotated[
    str | None,
    Option(
        "--type",
        metavar="TYPE",
        help="f32, f16, bf16, q8_0, q6_K, q5_K_M, q5_K_S, q5_1, q5_0, q4_K_M, q4_K_S, q4_1, q4_0, "
        "iq4_xs, iq4_nl, q3_K_L, q3_K_M, q3_K_S, q2_K, q2_K_S, mxfp4, tq2_0, tq1_0; in any case.",
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

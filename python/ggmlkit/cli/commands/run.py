"""`ggmlkit run`: continue a prompt."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from ggmlkit.cli import options
from ggmlkit.cli.command_line import Option, UsageError


def run(
    model: options.Model,
    prompt: Annotated[
        str | None, Option("-p", "--prompt", metavar="TEXT", help="Text to continue.")
    ] = None,
    file: Annotated[
        Path | None, Option("-f", "--file", help="File whose text to continue.")
    ] = None,
    max_tokens: options.MaxTokens = -1,
    ignore_eos: options.IgnoreEos = False,
    mlock: options.Mlock = False,
    threads: options.Threads = None,
    context: options.Context = None,
    kv_type: options.KvType = options.KvChoice.f16,
    activation_bits: options.ActivationBits = options.BitsChoice.eight,
    repack: options.Repack = True,
    lora: options.Lora = None,
    temperature: options.Temperature = 0.8,
    top_k: options.TopK = 40,
    top_p: options.TopP = 0.95,
    min_p: options.MinP = 0.05,
    repeat_penalty: options.RepeatPenalty = 1.0,
    seed: options.Seed = None,
) -> None:
    """Print the continuation of a prompt as it is made; the speed follows on stderr."""
    if (prompt is None) == (file is None):
        raise UsageError("give the prompt with either -p or -f")
    from ggmlkit.cli.decoder import open_decoder
    from ggmlkit.cli.stream import print_stream, print_summary

    text = _text_of(file) if file is not None else prompt or ""
    llama = open_decoder(
        model,
        context=context,
        threads=threads,
        kv_type=kv_type,
        activation_bits=activation_bits,
        repack=repack,
        mlock=mlock,
        lora=lora,
    )
    try:
        pieces = llama.generate(
            text,
            max_tokens=None if max_tokens < 0 else max_tokens,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            min_p=min_p,
            repeat_penalty=repeat_penalty,
            seed=seed,
            ignore_eos=ignore_eos,
        )
    except ValueError as error:  # a setting out of range, or an empty prompt
        raise UsageError(str(error)) from None
    print_stream(pieces)
    print_summary(llama)


def _text_of(file: Path) -> str:
    from ggmlkit.errors import FormatError

    try:
        return file.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise FormatError(file, error.start, "a prompt must be UTF-8 text") from None

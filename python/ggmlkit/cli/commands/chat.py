"""`ggmlkit chat`: talk with an instruction-tuned model."""

from __future__ import annotations

import sys
from typing import Annotated

from ggmlkit.cli import options
from ggmlkit.cli.command_line import Option


def chat(
    model: options.Model,
    system: Annotated[
        str | None, Option("--system", metavar="TEXT", help="What the model shall be.")
    ] = None,
    max_tokens: options.MaxTokens = -1,
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
    """Talk with a model; /reset forgets what was said, /quit ends."""
    from ggmlkit.cli.decoder import open_decoder
    from ggmlkit.cli.stream import print_stream, print_summary
    from ggmlkit.text.template.process import RENDERERS

    RENDERERS.prepare()  # while the model is loaded
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
    beginning = [] if system is None else [{"role": "system", "content": system}]
    messages = list(beginning)
    while (line := _line()) is not None:
        if line == "/quit":
            break
        if line == "/reset":
            messages = list(beginning)
        elif line:
            messages.append({"role": "user", "content": line})
            answer = print_stream(
                llama.chat(
                    messages,
                    max_tokens=None if max_tokens < 0 else max_tokens,
                    temperature=temperature,
                    top_k=top_k,
                    top_p=top_p,
                    min_p=min_p,
                    repeat_penalty=repeat_penalty,
                    seed=seed,
                )
            )
            messages.append({"role": "assistant", "content": answer})
    print_summary(llama)


def _line() -> str | None:
    """The next line said by the user; None at the end of input or Ctrl-C."""
    if sys.stdin is None:  # closed when the program was started
        return None
    if sys.stdin.isatty():
        print("> ", end="", file=sys.stderr, flush=True)
    try:
        line = sys.stdin.readline()
    except KeyboardInterrupt:
        return None
    return line.strip() if line else None

"""The decoder as the options that commands share set it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ggmlkit.cli.adapters import scaled
from ggmlkit.cli.options import BitsChoice, KvChoice

if TYPE_CHECKING:
    from ggmlkit.engine.llama import Llama


def open_decoder(
    model: Path,
    *,
    context: int | None,
    threads: int | None,
    kv_type: KvChoice,
    activation_bits: BitsChoice,
    repack: bool,
    sequences: int = 1,
    mlock: bool = False,
    lora: list[str] | None = None,
) -> Llama:
    """The model in a file; raises as :class:`Llama` does."""
    from ggmlkit.engine.llama import Llama

    return Llama(
        model,
        context=context,
        sequences=sequences,
        threads=threads,
        kv_type=kv_type.value,
        activation_bits=int(activation_bits.value),
        repack=repack,
        mlock=mlock,
        lora=scaled(lora or []),
    )

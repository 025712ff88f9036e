"""LLaMA-family models: decoder, tokenizer, chat templates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ggmlkit.engine.llama import Llama
    from ggmlkit.text.tokenizer import Tokenizer

__all__ = ["Llama", "Tokenizer"]


def __getattr__(name: str) -> Any:
    if name == "Llama":
        from ggmlkit.engine.llama import Llama

        return Llama
    if name == "Tokenizer":
        from ggmlkit.text.tokenizer import Tokenizer

        return Tokenizer
    raise AttributeError(f"module 'ggmlkit.engine' has no attribute {name!r}")

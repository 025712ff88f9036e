"""Loads the tokenizers library, only for vocabularies that need it, because loading is slow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ggmlkit.errors import ModelError

if TYPE_CHECKING:
    from types import ModuleType


def tokenizers_library() -> ModuleType:
    """The library; ModelError if it can't be loaded."""
    try:
        import tokenizers  # deferred: most vocabularies don't need it
    except (ImportError, MemoryError) as error:  # such as "failed to map segment": no memory left
        raise ModelError(f"the tokenizers library can't be loaded: {error}") from error
    return tokenizers

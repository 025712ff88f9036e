"""How added tokens take the spaces beside them, which gguf has no key for.

Model files that this library converted from a tokenizer.json carry what that says of its tokens.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# The key of a tokenizer.json's text, its vocabulary and merges left out.
CARRIED = "ggmlkit.tokenizer_json"
# Unicode's White_Space, which str.strip() goes beyond.
_SPACES = "\t\n\v\f\r \x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B)))
_SPACES += "\u2028\u2029\u202f\u205f\u3000"


@dataclass(frozen=True)
class Stripping:
    """Texts of the tokens that swallow spaces to their left, and to their right."""

    left: frozenset[str] = frozenset()
    right: frozenset[str] = frozenset()

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any]) -> Stripping:
        """What a model file carries; nothing if it carries nothing that can be read."""
        try:
            tokenizer = json.loads(metadata.get(CARRIED, "{}"))
        except (ValueError, TypeError, RecursionError):
            return cls()
        added = tokenizer.get("added_tokens") if isinstance(tokenizer, dict) else None
        entries = [e for e in added if isinstance(e, dict)] if isinstance(added, list) else []
        left, right = (
            frozenset(str(entry.get("content")) for entry in entries if entry.get(side) is True)
            for side in ("lstrip", "rstrip")
        )
        return cls(left, right)

    def between(self, before: str | None, text: str, after: str | None) -> str:
        """What is left of a text between two tokens, either of which may be missing."""
        if before in self.right:
            text = text.lstrip(_SPACES)
        return text.rstrip(_SPACES) if after in self.left else text

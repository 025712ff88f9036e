"""What a model file carries of the tokenizer.json that its vocabulary comes from.

gguf has no keys for how added tokens strip spaces, or for the exact steps of a normalizer. Files
that this library converted hold them as the text of the tokenizer.json without its vocabulary, so
that text gets the ids that the tokenizers library gives it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ggmlkit.errors import ModelError
from ggmlkit.model.added_tokens import AddedToken
from ggmlkit.model.tokenizer_steps import flat_steps
from ggmlkit.model.vocab_keys import CARRIED

# How merges of equal rank come first, where the file leaves them out because scores tell the rest.
MERGE_ORDER = "ggmlkit.tokenizer_merge_order"


@dataclass(frozen=True)
class Carried:
    """A tokenizer.json without its vocabulary and merges.

    Attributes:
        json: all of it.
        added: its added tokens.
    """

    json: dict[str, Any]
    added: tuple[AddedToken, ...]

    @property
    def model(self) -> dict[str, Any]:
        """The settings of its model."""
        found: dict[str, Any] = self.json["model"]
        return found

    @property
    def normalizes_to_nfc(self) -> bool:
        """Whether its normalizer composes text."""
        return any(step.get("type") == "NFC" for step in flat_steps(self.json.get("normalizer")))

    @property
    def strips_first_space(self) -> bool:
        """Whether its decoder leaves out the space that a text is led by."""
        return any(
            (step.get("type") == "Strip" and step.get("content") == " " and bool(step.get("start")))
            or (step.get("type") == "Metaspace" and metaspace_prepends(step))
            for step in flat_steps(self.json.get("decoder"))
        )

    @classmethod
    def from_metadata(
        cls, metadata: Mapping[str, Any], pieces: Sequence[str | bytes]
    ) -> Carried | None:
        """What the file carries; None if nothing, or if the vocabulary was changed since.

        ``pieces`` are the vocabulary's.
        """
        text = metadata.get(CARRIED)
        if text is None:
            return None
        try:
            tokenizer = json.loads(text)
        except (ValueError, TypeError, RecursionError):
            return None
        if not isinstance(tokenizer, dict) or not is_bpe(tokenizer):
            return None
        if not added_tokens_fit(tokenizer, pieces):
            return None
        entries = tokenizer.get("added_tokens") or []
        return cls(tokenizer, tuple(map(AddedToken.from_json, entries)))


def is_bpe(tokenizer: Mapping[str, Any]) -> bool:
    """Whether a tokenizer.json is of byte pair encoding."""
    model = tokenizer.get("model")
    return isinstance(model, dict) and model.get("type", "BPE") == "BPE"


def added_tokens_fit(tokenizer: Mapping[str, Any], pieces: Sequence[str | bytes]) -> bool:
    """Whether the added tokens of a tokenizer.json are those of a vocabulary."""
    added = tokenizer.get("added_tokens") or []
    if not isinstance(added, list):
        return False
    for entry in added:
        number = entry.get("id") if isinstance(entry, dict) else None
        if type(number) is not int or not 0 <= number < len(pieces):
            return False
        text = entry.get("content")
        # A SentencePiece vocabulary has ▁ for the spaces of a token.
        if not isinstance(text, str) or pieces[number] not in (text, text.replace(" ", "▁")):
            return False
    return True


def metaspace_prepends(step: Mapping[str, Any]) -> bool:
    """Whether a Metaspace step puts a space before text."""
    return metaspace_scheme(step) != "never"


def metaspace_scheme(step: Mapping[str, Any]) -> str:
    """``first``, ``always`` or ``never``, as files of every age say it."""
    scheme = step.get("prepend_scheme")
    if scheme is None:
        return "always" if step.get("add_prefix_space", True) else "never"
    if scheme not in ("first", "always", "never"):
        raise ModelError(f"the pre-tokenizer has the prepend_scheme {str(scheme)[:80]!r}")
    return str(scheme)

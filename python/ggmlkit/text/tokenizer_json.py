"""The tokenizer.json that a model file carries in its metadata.

gguf has no keys for how added tokens strip spaces, or for the exact steps of a normalizer. So a
file converted by this library carries the text of the tokenizer.json without its vocabulary, and
encoding gives the same ids as the tokenizers library.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ggmlkit.errors import ModelError
from ggmlkit.text.added_tokens import AddedToken
from ggmlkit.text.tokenizer_steps import flat_steps
from ggmlkit.text.vocab import charsmap
from ggmlkit.text.vocab_keys import CARRIED, MODELS

# The key of the order of equal merges; such a file has no merges, as scores give all other ranks.
MERGE_ORDER = "ggmlkit.tokenizer_merge_order"


@dataclass(frozen=True)
class Carried:
    """A tokenizer.json without its vocabulary and merges.

    Attributes:
        json: the parsed file.
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
        """Whether its normalizer composes characters (NFC)."""
        return any(step.get("type") == "NFC" for step in flat_steps(self.json.get("normalizer")))

    @property
    def strips_first_space(self) -> bool:
        """Whether its decoder removes the text's leading space."""
        return self.model.get("type") == "WordPiece" or any(
            (step.get("type") == "Strip" and step.get("content") == " " and bool(step.get("start")))
            or (step.get("type") == "Metaspace" and metaspace_prepends(step))
            for step in flat_steps(self.json.get("decoder"))
        )

    @property
    def decodes_metaspace(self) -> bool:
        """Whether its decoder removes all spaces of the first token of a text."""
        return any(
            step.get("type") == "Metaspace" and metaspace_prepends(step)
            for step in flat_steps(self.json.get("decoder"))
        )

    @classmethod
    def from_metadata(
        cls, metadata: Mapping[str, Any], model: str, pieces: Sequence[str | bytes]
    ) -> Carried | None:
        """The tokenizer.json in the file; None without one, or if the vocabulary has changed since.

        Args:
            metadata: the file's keys.
        model: gguf's name of the vocabulary's kind.
            pieces: the vocabulary's pieces.

        Raises ModelError if the compiled normalizer is not a list of bytes.
        """
        text = metadata.get(CARRIED)
        if text is None:
            return None
        try:
            tokenizer = json.loads(text)
        except (ValueError, TypeError, RecursionError):
            return None
        if not isinstance(tokenizer, dict) or not is_of(model, tokenizer):
            return None
        if not added_tokens_fit(tokenizer, pieces):
            return None
        put_compiled(tokenizer, old=b"", new=charsmap(metadata))
        entries = tokenizer.get("added_tokens") or []
        return cls(tokenizer, tuple(map(AddedToken.from_json, entries)))


def is_of(model: str, tokenizer: Mapping[str, Any]) -> bool:
    """Whether a tokenizer.json has a vocabulary of this kind (gguf's name)."""
    found = tokenizer.get("model")
    return isinstance(found, dict) and found.get("type", "BPE") == MODELS.get(model)


def put_compiled(tokenizer: Mapping[str, Any], *, old: bytes, new: bytes) -> None:
    """Replace the compiled normalizer ``old`` of a tokenizer.json by ``new``.

    gguf has a key for it, so only that key holds it, and the carried tokenizer.json has an empty
    one.
    """
    old_text, new_text = (base64.b64encode(charsmap).decode() for charsmap in (old, new))
    for step in flat_steps(tokenizer.get("normalizer")):
        if step.get("type") == "Precompiled" and step.get("precompiled_charsmap") == old_text:
            step["precompiled_charsmap"] = new_text


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
        # A SentencePiece vocabulary writes the spaces of a token as ▁.
        if not isinstance(text, str) or pieces[number] not in (text, text.replace(" ", "▁")):
            return False
    return True


def metaspace_prepends(step: Mapping[str, Any]) -> bool:
    """Whether a Metaspace step adds a space before text."""
    return metaspace_scheme(step) != "never"


def metaspace_scheme(step: Mapping[str, Any]) -> str:
    """``first``, ``always`` or ``never``, from the new or the old setting."""
    scheme = step.get("prepend_scheme")
    if scheme is None:
        return "always" if step.get("add_prefix_space", True) else "never"
    if scheme not in ("first", "always", "never"):
        raise ModelError(f"the pre-tokenizer's prepend_scheme {str(scheme)[:80]!r} is not known")
    return str(scheme)

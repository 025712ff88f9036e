"""What a model file carries of the tokenizer.json that its vocabulary comes from.

gguf has no keys for how added tokens strip spaces, or for the exact steps of a normalizer. Files
that this library converted hold them as the text of the tokenizer.json without its vocabulary, so
that text gets the ids that the tokenizers library gives it.
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
        """Whether its decoder leaves out the text's leading space."""
        return self.model.get("type") == "WordPiece" or any(
            (step.get("type") == "Strip" and step.get("content") == " " and bool(step.get("start")))
            or (step.get("type") == "Metaspace" and metaspace_prepends(step))
            for step in flat_steps(self.json.get("decoder"))
        )

    @property
    def decodes_metaspace(self) -> bool:
        """Whether its decoder takes all spaces from the first token of a text."""
        return any(
            step.get("type") == "Metaspace" and metaspace_prepends(step)
            for step in flat_steps(self.json.get("decoder"))
        )

    @classmethod
    def from_metadata(
        cls, metadata: Mapping[str, Any], model: str, pieces: Sequence[str | bytes]
    ) -> Carried | None:
        """What the file carries; None if nothing, or if the vocabulary was changed since.

        Args:
            metadata: the file's keys.
            model: the vocabulary's kind, as gguf names it.
            pieces: the vocabulary's.

        Raises ModelError for a compiled normalizer that is no list of bytes.
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
    """Whether a tokenizer.json is of this kind of vocabulary, as gguf names it."""
    found = tokenizer.get("model")
    return isinstance(found, dict) and found.get("type", "BPE") == MODELS.get(model)


def put_compiled(tokenizer: Mapping[str, Any], *, old: bytes, new: bytes) -> None:
    """Change a tokenizer.json that has this compiled normalizer to have another.

    gguf has a key for it, so it is carried there alone, and nothing stands in its place.
    """
    theirs, ours = (base64.b64encode(charsmap).decode() for charsmap in (old, new))
    for step in flat_steps(tokenizer.get("normalizer")):
        if step.get("type") == "Precompiled" and step.get("precompiled_charsmap") == theirs:
            step["precompiled_charsmap"] = ours


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
    """Whether a Metaspace step adds a space before text."""
    return metaspace_scheme(step) != "never"


def metaspace_scheme(step: Mapping[str, Any]) -> str:
    """``first``, ``always`` or ``never``, as files of every age say it."""
    scheme = step.get("prepend_scheme")
    if scheme is None:
        return "always" if step.get("add_prefix_space", True) else "never"
    if scheme not in ("first", "always", "never"):
        raise ModelError(f"the pre-tokenizer has the prepend_scheme {str(scheme)[:80]!r}")
    return str(scheme)

"""The steps of a tokenizer.json that a model file carries, run by the library they come from.

gguf has no keys for them, so this is how text is cut as it was before the file was converted.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ggmlkit.errors import ModelError
from ggmlkit.model.added_tokens import CARRIED
from ggmlkit.model.carried_cuts import BertLetters, Cut, ReorderedError, is_bert, metaspace_cut

if TYPE_CHECKING:
    import tokenizers
    from tokenizers import normalizers, pre_tokenizers

# Patterns that take time in proportion to the text; a file's own could take for ever.
_PLAIN_PATTERNS = frozenset({" {2,}", " +", r"\s+", r"\s{2,}", "▁{2,}", "▁+"})
_PARTS = ("normalizers", "pretokenizers", "decoders")


@dataclass(frozen=True)
class CarriedSteps:
    """What a tokenizer.json does to text before its model looks for pieces.

    Attributes:
        model: its ``model`` without the vocabulary.
        late: texts of the added tokens that are found when a text has been normalized, as they are
            then, and their own texts.
        decoder: its ``decoder``, or None.
    """

    model: Mapping[str, Any]
    decoder: Mapping[str, Any] | None
    late: Mapping[str, str]
    _normalizer: normalizers.Normalizer | None
    _first: pre_tokenizers.PreTokenizer | None
    _later: pre_tokenizers.PreTokenizer | None
    _metaspace: Cut | None
    _letters: BertLetters | None

    @classmethod
    def from_metadata(
        cls, metadata: Mapping[str, Any], kind: str, charsmap: bytes
    ) -> CarriedSteps | None:
        """Those of a tokenizer whose model is of this kind; None if the file carries none.

        ``charsmap`` goes where the normalizer has a compiled one. Raises ModelError for steps that
        the library does not know, or that might take time without bound.
        """
        carried = _carried(metadata)
        model = carried.get("model")
        if not isinstance(model, dict) or model.get("type") != kind:
            return None
        decoder = carried.get("decoder")
        pre_tokenizer = carried.get("pre_tokenizer")
        try:
            normalizer = with_charsmap(carried.get("normalizer"), _sound(charsmap))
            for step in (*every_step(normalizer), *every_step(pre_tokenizer)):
                _check(step)
            normalize = _tokenizer(normalizer, None).normalizer
            late = _late_tokens(carried)
            first = _tokenizer(None, pre_tokenizer).pre_tokenizer
            letters = None
            if is_bert(normalizer, pre_tokenizer) and not late:
                letters = BertLetters(normalize.normalize_str, lambda text: _cut(first, text))
            return cls(
                model,
                decoder if isinstance(decoder, dict) else None,
                {
                    text if normalize is None else normalize.normalize_str(text): text
                    for text in late
                },
                normalize,
                first,
                _tokenizer(None, _not_first(pre_tokenizer)).pre_tokenizer,
                metaspace_cut(pre_tokenizer),
                letters,
            )
        except ModelError:
            raise
        except Exception as error:
            raise ModelError(f"{CARRIED} holds steps that can't be run: {error}") from None

    @property
    def decoder_drops_space(self) -> bool:
        """Whether the decoder leaves out the space that encoding adds before a text."""
        for step in every_step(self.decoder):
            if step.get("type") == "Metaspace":
                scheme = step.get("prepend_scheme")
                return scheme != "never" if scheme else bool(step.get("add_prefix_space", True))
            if step.get("type") == "Strip" and step.get("start"):
                return True
        return False

    def normalized(self, text: str) -> str:
        """What the normalizer makes of a text; ModelError where a damaged one panics."""
        if self._normalizer is None:
            return text
        found: str = run(self._normalizer.normalize_str, text)
        return found

    def letters_words(self, text: str) -> list[str] | None:
        """What a text, not normalized, is cut into, where letter by letter will do; else None."""
        if self._letters is None:
            return None
        try:
            return text.translate(self._letters).split(" ")
        except ReorderedError:
            return None

    def words(self, text: str, first: bool) -> list[str]:
        """What a normalized text is cut into; ``first``: nothing comes before it."""
        if self._metaspace is not None:
            return self._metaspace(text, first)
        cut = self._first if first else self._later
        if cut is None:
            return [text] if text else []
        return _cut(cut, text)


def every_step(value: object) -> Iterator[dict[str, Any]]:
    """The steps of a normalizer or pre-tokenizer, however nested, for reading and changing."""
    left = [value]
    while left:
        step = left.pop()
        if isinstance(step, dict):
            yield step
            for key in _PARTS:
                parts = step.get(key)
                left += parts if isinstance(parts, list) else []


def with_charsmap(normalizer: object, charsmap: bytes) -> Any:
    """The same normalizer with this compiled one in the place of its own."""
    other = json.loads(json.dumps(normalizer))
    for step in every_step(other):
        if step.get("type") == "Precompiled":
            step["precompiled_charsmap"] = base64.b64encode(charsmap).decode()
    return other


def run(step: Callable[[str], Any], text: str) -> Any:
    """What the library makes of a text; ModelError where damaged tables make it panic."""
    try:
        return step(text)
    except BaseException as error:
        # A panic is no Exception.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise ModelError(f"the vocabulary's normalizer is damaged: {error}") from None


def _carried(metadata: Mapping[str, Any]) -> dict[str, Any]:
    try:
        found = json.loads(metadata.get(CARRIED, "{}"))
    except (ValueError, TypeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _cut(cut: pre_tokenizers.PreTokenizer, text: str) -> list[str]:
    return [word for word, _ in run(cut.pre_tokenize_str, text)]


def _late_tokens(carried: Mapping[str, Any]) -> list[str]:
    added = carried.get("added_tokens")
    entries = [e for e in added if isinstance(e, dict)] if isinstance(added, list) else []
    found = [e.get("content") for e in entries if e.get("normalized") and not e.get("special")]
    return [text for text in found if isinstance(text, str) and text]


def _check(step: Mapping[str, Any]) -> None:
    pattern = step.get("pattern")
    regex = pattern.get("Regex") if isinstance(pattern, dict) else None
    if regex is not None and regex not in _PLAIN_PATTERNS:
        raise ModelError(
            f"{CARRIED} has a step {str(step.get('type'))[:80]} with the pattern "
            f"{str(regex)[:80]!r}, which is not supported"
        )


def _sound(charsmap: bytes) -> bytes:
    # The library takes memory for the table before it looks whether that is there.
    if charsmap and int.from_bytes(charsmap[:4], "little") > len(charsmap) - 4:
        raise ModelError("tokenizer.ggml.precompiled_charsmap is damaged: its table does not fit")
    return charsmap


def _not_first(pre_tokenizer: Any) -> Any:
    """The same for text that something comes before."""
    other = json.loads(json.dumps(pre_tokenizer))
    for step in every_step(other):
        if step.get("type") == "Metaspace" and step.get("prepend_scheme") == "first":
            step["prepend_scheme"] = "never"
    return other


def _tokenizer(normalizer: Any, pre_tokenizer: Any) -> tokenizers.Tokenizer:
    import tokenizers  # takes longer to load than all of this package

    steps = {"normalizer": normalizer, "pre_tokenizer": pre_tokenizer}
    model = {"type": "WordLevel", "vocab": {"": 0}, "unk_token": ""}
    return tokenizers.Tokenizer.from_str(json.dumps({"version": "1.0", **steps, "model": model}))

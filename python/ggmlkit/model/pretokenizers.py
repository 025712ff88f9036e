"""How each family of byte-level BPE cuts text into words, as data.

The steps are written as a ``tokenizer.json`` has them, so that one table builds tokenizers, writes
files and recognises files of others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ggmlkit.errors import ModelError

# The expressions are those of the families' own tokenizer.json files, which llama.cpp's table of
# pre-tokenizers (src/llama-vocab.cpp) quotes; that of "default" is what llama.cpp applies to a file
# that names no pre-tokenizer.
_LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_QWEN2 = _LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
# Words of one case, or with a capital first, and then, for GPT-4o, an English ending.
_CASED = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+ENDING"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*ENDING"
    r"|DIGITS| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_TEKKEN = _CASED.replace("ENDING", "").replace("DIGITS", r"\p{N}")
_GPT4O = _CASED.replace("ENDING", "(?i:'s|'t|'re|'ve|'m|'ll|'d)?").replace("DIGITS", r"\p{N}{1,3}")
_SEED_CODER = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}"
    r"| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_DEEPSEEK_LLM = (
    r"[\r\n]",
    r"\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ"
    r"-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ"
    r"-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+",
    r"\s?[!-/:-~！-／：-～‘-‟　-。]+",
    r"\s+$",
    r"[一-龥ࠀ-一가-퟿]+",
    r"\p{N}+",
)
_DEEPSEEK_CODER = (r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", r"[一-龥ࠀ-一가-퟿]+", r"\p{N}")
_DEEPSEEK_V3 = (
    r"\p{N}{1,3}",
    r"[一-龥぀-ゟ゠-ヿ]+",
    r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"""
    r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
)
_DEFAULT = (r"[\p{P}\$\+<=>\^~\|]+", _GPT2, r"\p{N}+", r"[0-9][0-9][0-9]")


def _split(regex: str) -> dict[str, Any]:
    return {
        "type": "Split",
        "pattern": {"Regex": regex},
        "behavior": "Isolated",
        "invert": False,
    }


def _byte_level(use_regex: bool) -> dict[str, Any]:
    return {
        "type": "ByteLevel",
        "add_prefix_space": False,
        "trim_offsets": True,
        "use_regex": use_regex,
    }


_DIGITS = {"type": "Digits", "individual_digits": True}


@dataclass(frozen=True)
class PreTokenizer:
    """One family: the steps in order, the unicode form, and whether whole words skip merging."""

    name: str
    steps: tuple[dict[str, Any], ...]
    nfc: bool = False
    ignore_merges: bool = False
    adds_bos: bool = False

    @property
    def expressions(self) -> list[str]:
        """What the steps cut text by, one after the other."""
        return [expression for kind, expression in _meaning(self.json) if kind == "split"]

    @property
    def json(self) -> dict[str, Any]:
        """The ``pre_tokenizer`` entry of a tokenizer.json."""
        if len(self.steps) == 1:
            return self.steps[0]
        return {"type": "Sequence", "pretokenizers": list(self.steps)}


FAMILIES = (
    PreTokenizer("gpt-2", (_byte_level(True),)),
    PreTokenizer("smollm", (_DIGITS, _byte_level(True))),
    PreTokenizer(
        "llama-bpe",
        (_split(_LLAMA3), _byte_level(False)),
        ignore_merges=True,
        adds_bos=True,
    ),
    PreTokenizer("smaug-bpe", (_split(_LLAMA3), _byte_level(False))),
    PreTokenizer("qwen2", (_split(_QWEN2), _byte_level(False)), nfc=True),
    PreTokenizer(
        "tekken",
        (_split(_TEKKEN), _byte_level(False)),
        ignore_merges=True,
        adds_bos=True,
    ),
    PreTokenizer("gpt-4o", (_split(_GPT4O), _byte_level(False))),
    PreTokenizer("seed-coder", (_split(_SEED_CODER), _byte_level(False))),
    PreTokenizer("deepseek-llm", (*map(_split, _DEEPSEEK_LLM), _byte_level(False))),
    PreTokenizer("deepseek-coder", (*map(_split, _DEEPSEEK_CODER), _byte_level(False))),
    PreTokenizer("deepseek-v3", (*map(_split, _DEEPSEEK_V3), _byte_level(False))),
    PreTokenizer("default", (*map(_split, _DEFAULT), _byte_level(False))),
)
_BY_NAME = {family.name: family for family in FAMILIES}
# Names that llama.cpp's table gives the same expressions.
_ALIASES = {
    **dict.fromkeys(("gpt2", "phi-2", "mpt", "olmo", "exaone4", "mellum", "trillion"), "gpt-2"),
    **dict.fromkeys(
        ("starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b", "mellum2"),
        "smollm",
    ),
    **dict.fromkeys(
        ("llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2"), "llama-bpe"
    ),
    "dbrx": "smaug-bpe",
    **dict.fromkeys(("deepseek-r1-qwen", "megrez", "kormo"), "qwen2"),
    **dict.fromkeys(("llama4", "kanana2"), "gpt-4o"),
    "hunyuan-dense": "deepseek-v3",
}


def by_name(name: str) -> PreTokenizer:
    """The family that ``tokenizer.ggml.pre`` names; ModelError for one not known."""
    family = _BY_NAME.get(_ALIASES.get(name, name))
    if family is None:
        known = ", ".join(sorted({*_BY_NAME, *_ALIASES}))
        raise ModelError(f"pre-tokenizer {name!r} is none of those known: {known}")
    return family


def recognised(
    pre_tokenizer: Mapping[str, Any] | None, *, nfc: bool, ignore_merges: bool
) -> PreTokenizer | None:
    """The family whose steps these are; None if they are nobody's.

    Of several, the one that is like ``nfc`` and ``ignore_merges`` as well, or most nearly so.
    """
    meaning = _meaning(pre_tokenizer)
    alike = [family for family in FAMILIES if _meaning(family.json) == meaning]
    return max(
        alike,
        key=lambda family: (family.nfc == nfc) + (family.ignore_merges == ignore_merges),
        default=None,
    )


def _steps(pre_tokenizer: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    steps: list[Mapping[str, Any]] = []
    left: list[Any] = [pre_tokenizer]  # no recursion: files nest as they like
    while left:
        step = left.pop()
        if not isinstance(step, Mapping):
            continue
        parts = step.get("pretokenizers")
        if step.get("type") == "Sequence" and isinstance(parts, list):
            left += reversed(parts)
        else:
            steps.append(step)
    return steps


def _meaning(pre_tokenizer: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """What the steps do, without the fields that change no ids; a gpt-2 split said plainly."""
    said: list[tuple[str, str]] = []
    for step in _steps(pre_tokenizer):
        kind = step.get("type")
        if kind == "ByteLevel":
            if step.get("add_prefix_space"):
                said.append(("prefix", ""))
            if step.get("use_regex", True):
                said.append(("split", _GPT2))
            said.append(("bytes", ""))
        elif kind == "Digits":
            said.append(("split", r"\p{N}" if step.get("individual_digits") else r"\p{N}+"))
        elif kind == "Split":
            pattern = step.get("pattern")
            regex = pattern.get("Regex") if isinstance(pattern, Mapping) else None
            plain = step.get("behavior") == "Isolated" and not step.get("invert")
            # Qwen and Llama files cut by "Removed" inverted too; the matched words are the same.
            inverted = step.get("behavior") == "Removed" and step.get("invert")
            if isinstance(regex, str) and (plain or inverted):
                said.append(("split", _escaped(regex)))
            else:
                said.append(("other", repr(step)))
        else:
            said.append(("other", repr(step)))
    return said


def _escaped(regex: str) -> str:
    """The expression with line breaks as files of most families write them."""
    return regex.replace("\r", r"\r").replace("\n", r"\n")

"""The regular expressions that byte-level BPE vocabularies split text into words with.

There are two kinds. Those named ``*_OWN`` are a family's own, exactly as in its tokenizer.json;
files are recognized and written with them. The others split as llama.cpp does (the facts are from
its table in src/llama-vocab.cpp), because files that llama.cpp made expect its words. Comments say
where its words differ from the family's own.

Oniguruma, in the tokenizers library, can run all of them. Those of llama.cpp's kind take time
linear in the text: where an expression could scan the same long run from each of its positions, a
lookbehind allows only the first position, and possessive quantifiers (``++``) never backtrack.
"""

from __future__ import annotations

# ---------------------------------------------------------------- shared parts

# Written out instead of "(?i:'s|…)", with which Oniguruma matches "'ſ" (long s) as "'s".
_ENDINGS = r"'(?:[sdmtSDMT]|[lL][lL]|[vV][eE]|[rR][eE])"
_ENDINGS_OWN = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_WORD = r"[^\r\n\p{L}\p{N}]?\p{L}+"
_SIGNS = r" ?[^\s\p{L}\p{N}]+[\r\n]*"
_SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"
_SIGN_AND_WORD = r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+"""
_MARKED_WORD = r"[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"

# ----------------------------------------------------------- GPT-2 and similar

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
DIGIT = r"\p{N}"
NUMBER = r"\p{N}+"
UP_TO_THREE_DIGITS = r"\p{N}{1,3}"
THREE_DIGITS = r"[0-9][0-9][0-9]"
# What the tokenizers library calls punctuation.
PUNCTUATION = r"[\p{P}\$\+<=>\^~\|`]+"
# The same without the backtick; llama.cpp uses it for files that name no pre-tokenizer.
DEFAULT_PUNCTUATION = r"[\p{P}\$\+<=>\^~\|]+"
BLOOM = r" ?[^(\s|.,!?…。，、।۔،)]+"
BLOOM_OWN = r" ?[^(\s|[.,!?…。，、।۔،])]+"

# Chameleon: image tokens, white space of code, and each punctuation character alone.
CHAMELEON_SENTINEL = r"<sentinel:[0-9]+>"
CHAMELEON_IMAGE = r"(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z"
CHAMELEON_SPACES = r"([\t\n]|    |  )"
ONE_PUNCTUATION = r"[\p{P}!-/:-@\[-`{-~]"

# ----------------------------------------------------------- GPT-4 and similar


def _gpt4(*parts: str) -> str:
    return "|".join(parts)


LLAMA3 = _gpt4(_ENDINGS, _WORD, UP_TO_THREE_DIGITS, _SIGNS, _SPACES)
LLAMA3_OWN = _gpt4(_ENDINGS_OWN, _WORD, UP_TO_THREE_DIGITS, _SIGNS, _SPACES)
QWEN2 = _gpt4(_ENDINGS, _WORD, DIGIT, _SIGNS, _SPACES)
QWEN2_OWN = _gpt4(_ENDINGS_OWN, _WORD, DIGIT, _SIGNS, _SPACES)
MINICPM5 = _gpt4(_ENDINGS, _WORD, NUMBER, _SIGNS, _SPACES)
MINICPM5_OWN = _gpt4(_ENDINGS_OWN, _WORD, NUMBER, _SIGNS, _SPACES)
# Turkish: an apostrophe stays with the suffix after it.
UFAKZEKA = _gpt4(_WORD, DIGIT, _SIGNS, _SPACES)

_QWEN35 = (
    r"[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+",
    DIGIT,
    r" ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*",
    _SPACES,
)
QWEN35 = _gpt4(_ENDINGS, *_QWEN35)
QWEN35_OWN = _gpt4(_ENDINGS_OWN, *_QWEN35)

_K2_HORIZON = (
    r"[^\r\n\p{L}\p{N}]?[\p{L}\p{M}\u200C\u200D]+",
    UP_TO_THREE_DIGITS,
    _SIGNS,
    _SPACES,
)
# Here llama.cpp treats a long s as an s.
K2_HORIZON = _gpt4(r"'(?:[sdmtSDMT\u017F]|[lL][lL]|[vV][eE]|[rR][eE])", *_K2_HORIZON)

_SEED_CODER = (_WORD, r"\p{N}{1}", r" ?[^\s\p{L}\p{N}\r\n]+", _SPACES)
SEED_CODER = _gpt4(_ENDINGS, *_SEED_CODER)
SEED_CODER_OWN = _gpt4(_ENDINGS_OWN, *_SEED_CODER)

# The greedy \s* reaches the last line break of a run, so [\r\n] and [\r\n]+ match the same.
BAILING = QWEN2
BAILING_OWN = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*"
    r"|\s*[\r\n]|\s+(?!\S)|\s+"
)

# Words with single spaces between them form one word.
EXAONE_MOE = _gpt4(
    _ENDINGS,
    r"[^\r\n\p{L}\p{N}]?\p{L}\p{M}*+(?: ?+\p{L}\p{M}*+)*+",
    DIGIT,
    r" ?[^\s\p{L}\p{N}]+[\r\n/]?",
    _SPACES,
)
EXAONE_MOE_OWN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+"
)

_JAIS2_RUNS = "|".join(rf"\s{{{size}}}(?!\S)" for size in (512, 256, 128, 64, 32, 16, 8, 4))
_JAIS2_SPACES = rf"{_JAIS2_RUNS}|\s{{1,2}}(?!\S)|\s{{1}}"
# Runs of spaces are split into fixed lengths. If the first part of a run found no line break ahead,
# the later parts (those after a space that is not a line break) need not search again.
_JAIS2_BREAKS = r"(?<![^\S\r\n])\s*[\r\n]+"
_JAIS2 = (_WORD, UP_TO_THREE_DIGITS, _SIGNS)
JAIS2 = _gpt4(_ENDINGS, *_JAIS2, _JAIS2_BREAKS, _JAIS2_SPACES)
JAIS2_OWN = _gpt4(_ENDINGS_OWN, *_JAIS2, r"\s*[\r\n]+", _JAIS2_SPACES)

# ---------------------------------------------------- words by upper and lower case

_CASED_SIGNS = r" ?[^\s\p{L}\p{N}]+[\r\n/]*"


def _cased(upper: str, lower: str, ending: str, *parts: str) -> str:
    """Words of one case, or with capitals first, optionally with an English ending."""
    words = (
        rf"[^\r\n\p{{L}}\p{{N}}]?{upper}*{lower}+{ending}",
        rf"[^\r\n\p{{L}}\p{{N}}]?{upper}+{lower}*{ending}",
    )
    return "|".join((*words, *parts, _CASED_SIGNS, _SPACES))


_UPPER_OWN = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"
_LOWER_OWN = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_ENDING_OWN = _ENDINGS_OWN + "?"
_ENDING = rf"(?:{_ENDINGS})?"
TEKKEN_OWN = _cased(_UPPER_OWN, _LOWER_OWN, "", DIGIT)
GPT4O_OWN = _cased(_UPPER_OWN, _LOWER_OWN, _ENDING_OWN, UP_TO_THREE_DIGITS)
YOUTU_OWN = _cased(_UPPER_OWN, _LOWER_OWN, _ENDING_OWN, DIGIT)

# llama.cpp knows the case of ASCII letters only: all others count as both. Marks are not part of
# words, except where a comment says so.
_UPPER = r"[\p{L}&&[^a-z]]"
_LOWER = r"[\p{L}&&[^A-Z]]"
TEKKEN = _cased(_UPPER, _LOWER, "", DIGIT)
GPT4O = _cased(_UPPER, _LOWER, _ENDING, UP_TO_THREE_DIGITS)
# With marks in words.
GRANITE_MULTILINGUAL = _cased(
    r"[[\p{L}\p{M}]&&[^a-z]]", r"[[\p{L}\p{M}]&&[^A-Z]]", _ENDING, UP_TO_THREE_DIGITS
)
# With marks in words, and without cases.
_CASELESS = rf"[^\r\n\p{{L}}\p{{N}}]?[\p{{L}}\p{{M}}]+{_ENDING}"
YOUTU = _gpt4(_CASELESS, DIGIT, _CASED_SIGNS, _SPACES)
TINY_AYA = _gpt4(_CASELESS, UP_TO_THREE_DIGITS, _CASED_SIGNS, _SPACES)
YOUTU_EAST_ASIA = r"[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|[一-龥぀-ゟ゠-ヿ]+"

# Kimi: Chinese is separated from all other text. llama.cpp uses Unicode blocks instead of the
# script and has no marks in words.
_HAN = "一-鿿㐀-䶿\U00020000-\U0002a6df\U0002a700-\U0002ebef\uf900-\ufaff\U0002f800-\U0002fa1f"
KIMI = _gpt4(
    rf"[{_HAN}]+",
    rf"[^\r\n\p{{L}}\p{{N}}]?[\p{{L}}&&[^{_HAN}]]+{_ENDING}",
    UP_TO_THREE_DIGITS,
    _SIGNS,
    _SPACES,
)
_KIMI_UPPER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]"
_KIMI_LOWER = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]"
KIMI_OWN = _gpt4(
    r"[\p{Han}]+",
    rf"[^\r\n\p{{L}}\p{{N}}]?{_KIMI_UPPER}*{_KIMI_LOWER}+{_ENDING_OWN}",
    rf"[^\r\n\p{{L}}\p{{N}}]?{_KIMI_UPPER}+{_KIMI_LOWER}*{_ENDING_OWN}",
    UP_TO_THREE_DIGITS,
    _SIGNS,
    _SPACES,
)

# -------------------------------------------------------------------- DeepSeek

LINE_BREAK = r"[\r\n]"
_LETTERS = (
    "A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-"
    "ὗὙὛὝὟ-\u1f7dᾀ-ᾴᾶ-ᾼ\u1fbeῂ-ῄῆ-ῌῐ-\u1fd3ῖ-\u1fdbῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤ\u2126ℨ\u212a-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃ"
    "ↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃"
)
DEEPSEEK_LETTERS = rf"\s?[{_LETTERS}]+"
# In llama.cpp, all white space is only white space, also the ideographic space that the families'
# own ranges include.
DEEPSEEK_SIGNS = r"\s?[!-/:-~！-／：-～‘-‟、。]+"
DEEPSEEK_SIGNS_OWN = r"\s?[!-/:-~！-／：-～‘-‟　-。]+"
DEEPSEEK_LAST_SPACES = r"(?<!\s)\s++\z"
DEEPSEEK_LAST_SPACES_OWN = r"\s+$"
DEEPSEEK_EAST_ASIA = r"[\S&&[一-龥ࠀ-一가-퟿]]+"
DEEPSEEK_EAST_ASIA_OWN = r"[一-龥ࠀ-一가-퟿]+"
CODER_LETTERS = r"\s?\p{L}+"
CODER_SIGNS = r"\s?\p{P}+"
DEEPSEEK_V3_EAST_ASIA = r"[一-龥぀-ゟ゠-ヿ]+"
DEEPSEEK_V3 = _gpt4(_SIGN_AND_WORD, _MARKED_WORD, r" ?[\p{P}\p{S}]+[\r\n]*", _SPACES)
SPARK = _gpt4(_SIGN_AND_WORD, _MARKED_WORD, r" ?[\p{P}\p{S}]+|[\r\n]|\s+(?!\S)|\s+")

# ------------------------------------------------ digits in threes, and the rest

_NO_MORE_DIGITS = r"(?=(?:\p{N}{3})*+(?!\p{N}))"
# Digits in threes from the right. As in llama.cpp, the text before a number is joined to its first
# group here; the expression after this one separates them.
DIGITS_FROM_THE_RIGHT = (
    rf"[^\p{{N}}]*+(?:(?<!\p{{N}})\p{{N}}{{1,2}}{_NO_MORE_DIGITS}|\p{{N}}{{3}})|[^\p{{N}}]++"
)
TINY_AYA_DIGITS_OWN = r"\d{1,3}(?=(?:\d{3})*\b)"
AFMOE_EAST_ASIA = "[一-鿿㐀-䶿豈-﫿぀-ゟ゠-ヿ･-ﾟ⼀-⿟เ-๿຀-໿ក-៿က-႟ꩠ-ꩿꧠ-꧿가-힯ᄀ-ᇿ]+"


def _threes(digit: str, other: str) -> str:
    """Splits a text before each group of three digits, counted from the end of a number."""
    first = rf"(?<!{digit}){digit}{{1,2}}(?=(?:{digit}{{3}})*+(?!{digit}))"
    return rf"(?:{first}|{digit}{{3}}|{other})(?:{other}++|{first})*+"


SUPERBPE = _threes("[0-9]", "[^0-9]")
SUPERBPE_OWN = r"(?=(\d{3})+(?!\d))"
LINES = r"[^\n]+|[\n]+"
# Every ▁ (a space) begins a word.
ESCAPED_WORDS = r"▁?[^\n▁]+|▁|[\n]+"
SPACES = r"\s+"

# Families' own expressions that can take time quadratic in the text, and replacements that give the
# same words in linear time.
LINEAR = {
    DEEPSEEK_LAST_SPACES_OWN: r"(?<!\s)\s+$",
    JAIS2_OWN: _gpt4(_ENDINGS_OWN, *_JAIS2, _JAIS2_BREAKS, _JAIS2_SPACES),
    SUPERBPE_OWN: _threes(r"\d", r"\D"),
    # After a first group (\G), later groups need no lookahead.
    TINY_AYA_DIGITS_OWN: r"(?<!\d)\d{1,3}(?=(?:\d{3})*+\b)|\G(?<=\d)\d{3}",
}

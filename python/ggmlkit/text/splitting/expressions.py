"""The regular expressions by which byte-level BPE vocabularies cut text into words.

Two kinds stand here. Those named ``*_OWN`` are a family's own, letter for letter as its
tokenizer.json has them: by them files are recognised and written. The others cut as llama.cpp
does, whose table (src/llama-vocab.cpp) gives the facts: a file that it made was made for its cuts,
and where its cuts differ from the family's own, a comment says so.

All are read by Oniguruma, through the tokenizers library. The others take time linear in the text:
where an expression could look at the same long run again from each of its places, a lookbehind
lets it look from the first place only, and possessive quantifiers (``++``) take nothing back.
"""

from __future__ import annotations

# ------------------------------------------------------------- parts of several

# Spelled out instead of "(?i:'s|…)", by which Oniguruma takes "'ſ" (long s) for "'s".
_ENDINGS = r"'(?:[sdmtSDMT]|[lL][lL]|[vV][eE]|[rR][eE])"
_ENDINGS_OWN = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_WORD = r"[^\r\n\p{L}\p{N}]?\p{L}+"
_SIGNS = r" ?[^\s\p{L}\p{N}]+[\r\n]*"
_SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"
_SIGN_AND_WORD = r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+"""
_MARKED_WORD = r"[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"

# --------------------------------------------------------------- GPT-2 and kin

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
DIGIT = r"\p{N}"
NUMBER = r"\p{N}+"
UP_TO_THREE_DIGITS = r"\p{N}{1,3}"
THREE_DIGITS = r"[0-9][0-9][0-9]"
# What the tokenizers library calls punctuation.
PUNCTUATION = r"[\p{P}\$\+<=>\^~\|`]+"
# The same without the backtick, in llama.cpp's cuts for files that name no pre-tokenizer.
DEFAULT_PUNCTUATION = r"[\p{P}\$\+<=>\^~\|]+"
BLOOM = r" ?[^(\s|.,!?…。，、।۔،)]+"
BLOOM_OWN = r" ?[^(\s|[.,!?…。，、।۔،])]+"

# Chameleon: image tokens, white space of code, and every sign alone.
CHAMELEON_SENTINEL = r"<sentinel:[0-9]+>"
CHAMELEON_IMAGE = r"(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z"
CHAMELEON_SPACES = r"([\t\n]|    |  )"
ONE_PUNCTUATION = r"[\p{P}!-/:-@\[-`{-~]"

# --------------------------------------------------------------- GPT-4 and kin


def _gpt4(*parts: str) -> str:
    return "|".join(parts)


LLAMA3 = _gpt4(_ENDINGS, _WORD, UP_TO_THREE_DIGITS, _SIGNS, _SPACES)
LLAMA3_OWN = _gpt4(_ENDINGS_OWN, _WORD, UP_TO_THREE_DIGITS, _SIGNS, _SPACES)
QWEN2 = _gpt4(_ENDINGS, _WORD, DIGIT, _SIGNS, _SPACES)
QWEN2_OWN = _gpt4(_ENDINGS_OWN, _WORD, DIGIT, _SIGNS, _SPACES)
MINICPM5 = _gpt4(_ENDINGS, _WORD, NUMBER, _SIGNS, _SPACES)
MINICPM5_OWN = _gpt4(_ENDINGS_OWN, _WORD, NUMBER, _SIGNS, _SPACES)
# Turkish: an apostrophe stays with the suffix behind it.
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
# Here llama.cpp takes a long s for an s.
K2_HORIZON = _gpt4(r"'(?:[sdmtSDMT\u017F]|[lL][lL]|[vV][eE]|[rR][eE])", *_K2_HORIZON)

_SEED_CODER = (_WORD, r"\p{N}{1}", r" ?[^\s\p{L}\p{N}\r\n]+", _SPACES)
SEED_CODER = _gpt4(_ENDINGS, *_SEED_CODER)
SEED_CODER_OWN = _gpt4(_ENDINGS_OWN, *_SEED_CODER)

# A greedy \s* reaches the last line break of a run, so that one more or many are the same.
BAILING = QWEN2
BAILING_OWN = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*"
    r"|\s*[\r\n]|\s+(?!\S)|\s+"
)

# Words of one letter and more, with single spaces between them, make one.
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
# Runs are cut into lengths. If the first stretch of a run saw no line break ahead, the ones after
# it need not look again; they are those behind a space that is itself no line break.
_JAIS2_BREAKS = r"(?<![^\S\r\n])\s*[\r\n]+"
_JAIS2 = (_WORD, UP_TO_THREE_DIGITS, _SIGNS)
JAIS2 = _gpt4(_ENDINGS, *_JAIS2, _JAIS2_BREAKS, _JAIS2_SPACES)
JAIS2_OWN = _gpt4(_ENDINGS_OWN, *_JAIS2, r"\s*[\r\n]+", _JAIS2_SPACES)

# -------------------------------------------------------- words of letter cases

_CASED_SIGNS = r" ?[^\s\p{L}\p{N}]+[\r\n/]*"


def _cased(upper: str, lower: str, ending: str, *parts: str) -> str:
    """Words of one case, or with capitals first, and perhaps an English ending."""
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

# llama.cpp tells the case of ASCII letters only: all others are both. Marks are in no word, except
# where a family's comment says so.
_UPPER = r"[\p{L}&&[^a-z]]"
_LOWER = r"[\p{L}&&[^A-Z]]"
TEKKEN = _cased(_UPPER, _LOWER, "", DIGIT)
GPT4O = _cased(_UPPER, _LOWER, _ENDING, UP_TO_THREE_DIGITS)
# With marks in words.
GRANITE_MULTILINGUAL = _cased(
    r"[[\p{L}\p{M}]&&[^a-z]]", r"[[\p{L}\p{M}]&&[^A-Z]]", _ENDING, UP_TO_THREE_DIGITS
)
# With marks in words, and no case at all.
_CASELESS = rf"[^\r\n\p{{L}}\p{{N}}]?[\p{{L}}\p{{M}}]+{_ENDING}"
YOUTU = _gpt4(_CASELESS, DIGIT, _CASED_SIGNS, _SPACES)
TINY_AYA = _gpt4(_CASELESS, UP_TO_THREE_DIGITS, _CASED_SIGNS, _SPACES)
YOUTU_EAST_ASIA = r"[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|[一-龥぀-ゟ゠-ヿ]+"

# Kimi: Chinese apart from all else. llama.cpp knows the blocks, not the script, and takes marks
# into no word.
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
# White space of any kind is only white space to llama.cpp, also the ideographic space that the
# families' own ranges hold.
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

# ---------------------------------------------------- digits in threes, the rest

_NO_MORE_DIGITS = r"(?=(?:\p{N}{3})*+(?!\p{N}))"
# Digits in threes from the right. What stands before a number goes with its first group here, as
# in llama.cpp; the expression after this one parts them.
DIGITS_FROM_THE_RIGHT = (
    rf"[^\p{{N}}]*+(?:(?<!\p{{N}})\p{{N}}{{1,2}}{_NO_MORE_DIGITS}|\p{{N}}{{3}})|[^\p{{N}}]++"
)
TINY_AYA_DIGITS_OWN = r"\d{1,3}(?=(?:\d{3})*\b)"
AFMOE_EAST_ASIA = "[一-鿿㐀-䶿豈-﫿぀-ゟ゠-ヿ･-ﾟ⼀-⿟เ-๿຀-໿ក-៿က-႟ꩠ-ꩿꧠ-꧿가-힯ᄀ-ᇿ]+"


def _threes(digit: str, other: str) -> str:
    """Cuts a text before every three digits behind which only whole threes of a number come."""
    first = rf"(?<!{digit}){digit}{{1,2}}(?=(?:{digit}{{3}})*+(?!{digit}))"
    return rf"(?:{first}|{digit}{{3}}|{other})(?:{other}++|{first})*+"


SUPERBPE = _threes("[0-9]", "[^0-9]")
SUPERBPE_OWN = r"(?=(\d{3})+(?!\d))"
LINES = r"[^\n]+|[\n]+"
# Every ▁, which stands for a space, begins a word.
ESCAPED_WORDS = r"▁?[^\n▁]+|▁|[\n]+"
SPACES = r"\s+"

# Families' own expressions that can take time quadratic in the text, and others with the same
# words that take linear time.
LINEAR = {
    DEEPSEEK_LAST_SPACES_OWN: r"(?<!\s)\s+$",
    JAIS2_OWN: _gpt4(_ENDINGS_OWN, *_JAIS2, _JAIS2_BREAKS, _JAIS2_SPACES),
    SUPERBPE_OWN: _threes(r"\d", r"\D"),
    # Behind a first group, as \G says, the others need not look ahead.
    TINY_AYA_DIGITS_OWN: r"(?<!\d)\d{1,3}(?=(?:\d{3})*+\b)|\G(?<=\d)\d{3}",
}

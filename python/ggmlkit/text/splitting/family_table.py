"""The families of BPE vocabularies, by how they split text into words, and all their names.

The steps are written as in a ``tokenizer.json``, so that one table builds tokenizers, writes files
and recognizes other programs' files. All names that llama.cpp knows in ``tokenizer.ggml.pre`` are
here (``llama_vocab::impl::load`` of src/llama-vocab.cpp, October 2026).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ggmlkit.text.splitting import expressions

Step = dict[str, Any]


def _split(regex: str) -> Step:
    return {
        "type": "Split",
        "pattern": {"Regex": regex},
        "behavior": "Isolated",
        "invert": False,
    }


def _byte_level(use_regex: bool) -> Step:
    return {
        "type": "ByteLevel",
        "add_prefix_space": False,
        "trim_offsets": True,
        "use_regex": use_regex,
    }


_GPT2 = _byte_level(True)
_BYTES = _byte_level(False)
_DIGITS: Step = {"type": "Digits", "individual_digits": True}
_WITHOUT_SPACES: Step = {**_split(expressions.SPACES), "behavior": "Removed"}
_NUMBERS: Step = {"type": "Digits", "individual_digits": False}


def _splits(*regexes: str) -> tuple[Step, ...]:
    """The steps of a byte-level BPE that splits with these expressions, one after the other."""
    return (*map(_split, regexes), _BYTES)


@dataclass(frozen=True)
class PreTokenizer:
    """One family: how it splits text, and its settings. Equal families give the same words.

    Attributes:
        name: of the family; a name that llama.cpp knows.
        steps: split as llama.cpp does, in time linear in the text; for files whose own
            tokenizer.json is not known.
        own: the steps of the family's tokenizer.json files; ``steps`` if there are none or they
            are not known. Files are recognized and written with these.
        nfc: whether the family's tokenizer.json composes the text (NFC) first. llama.cpp does not.
        ignore_merges: whether a word that is a token needs no merges.
        byte_letters: whether vocabulary and words write bytes as GPT-2's letters. Otherwise pieces
            are plain text, and a character without a piece becomes byte tokens such as ``<0x0A>``.
        escapes_spaces: whether every space of a text becomes ``▁`` before it is split.
        leads_words: whether a word that begins neither with ``▁`` nor with a line break gets a
            ``▁`` in front.
        whole_line_breaks: whether a word of line breaks only that is a token needs no merges.
        adds_bos, adds_eos: whether a special token is added before or after a text, if the file
            has no key for it.
        needs_bos: whether the first token is added even if the file's key is false.
        adds_sep: whether the separator is added between a pair of texts, if the file has no key for
            it; it has no effect on a single text.
        cleans_spaces: whether llama.cpp's decoding removes spaces before ``.``, ``'s`` and similar.
        left_stripping: tokens that include the white space to their left.
    """

    name: str = field(compare=False)
    steps: tuple[Step, ...]
    own: tuple[Step, ...] = ()
    nfc: bool = False
    ignore_merges: bool = False
    byte_letters: bool = True
    escapes_spaces: bool = False
    leads_words: bool = False
    whole_line_breaks: bool = False
    adds_bos: bool = field(default=False, compare=False)
    adds_eos: bool = field(default=False, compare=False)
    needs_bos: bool = field(default=False, compare=False)
    adds_sep: bool = field(default=False, compare=False)
    cleans_spaces: bool = field(default=True, compare=False)
    left_stripping: tuple[str, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        if not self.own:
            object.__setattr__(self, "own", self.steps)

    @property
    def json(self) -> Step:
        """The ``pre_tokenizer`` entry of the family's tokenizer.json."""
        return sequence(self.own)


def sequence(steps: tuple[Step, ...]) -> Step:
    """The steps as one ``pre_tokenizer`` entry of a tokenizer.json."""
    return steps[0] if len(steps) == 1 else {"type": "Sequence", "pretokenizers": list(steps)}


_LLAMA3_OWN = _splits(expressions.LLAMA3_OWN)
_QWEN2_OWN = _splits(expressions.QWEN2_OWN)
_LLAMA3 = _splits(expressions.LLAMA3)
_QWEN2 = _splits(expressions.QWEN2)
_BLOOM_OWN = _splits(expressions.BLOOM_OWN)
_WHOLE_LINES = (_split(expressions.LINES),)
_AFTER_EAST_ASIA = (expressions.DEEPSEEK_V3_EAST_ASIA, expressions.DEEPSEEK_V3)

# One for each way to split. If several fit a file, the first gives the file's name.
FAMILIES = (
    PreTokenizer("gpt-2", (_GPT2,)),
    PreTokenizer("olmo", (_GPT2,), nfc=True),
    PreTokenizer("smollm", (_DIGITS, _GPT2)),
    PreTokenizer("command-r", (_DIGITS, _GPT2), nfc=True),
    PreTokenizer("llama-bpe", _LLAMA3, _LLAMA3_OWN, ignore_merges=True, adds_bos=True),
    PreTokenizer("smaug-bpe", _LLAMA3, _LLAMA3_OWN),
    PreTokenizer("jais-2", _splits(expressions.JAIS2), _splits(expressions.JAIS2_OWN)),
    PreTokenizer("qwen2", _QWEN2, _QWEN2_OWN, nfc=True),
    PreTokenizer("hunyuan", _QWEN2, _QWEN2_OWN),
    PreTokenizer("qwen35", _splits(expressions.QWEN35), _splits(expressions.QWEN35_OWN), nfc=True),
    PreTokenizer("bailingmoe", _splits(expressions.BAILING), _splits(expressions.BAILING_OWN)),
    PreTokenizer(
        "seed-coder", _splits(expressions.SEED_CODER), _splits(expressions.SEED_CODER_OWN)
    ),
    PreTokenizer(
        "exaone-moe", _splits(expressions.EXAONE_MOE), _splits(expressions.EXAONE_MOE_OWN)
    ),
    PreTokenizer("ufakzeka", _splits(expressions.UFAKZEKA)),
    PreTokenizer("k2-horizon", _splits(expressions.K2_HORIZON)),
    PreTokenizer(
        "minicpm5",
        _splits(expressions.UP_TO_THREE_DIGITS, expressions.MINICPM5),
        _splits(expressions.UP_TO_THREE_DIGITS, expressions.MINICPM5_OWN),
        ignore_merges=True,
    ),
    PreTokenizer(
        "laguna",
        _splits(expressions.LINES, expressions.QWEN2),
        _splits(expressions.LINES, expressions.QWEN2_OWN),
    ),
    PreTokenizer(
        "tekken",
        _splits(expressions.TEKKEN),
        _splits(expressions.TEKKEN_OWN),
        ignore_merges=True,
        adds_bos=True,
    ),
    PreTokenizer("gpt-4o", _splits(expressions.GPT4O), _splits(expressions.GPT4O_OWN)),
    PreTokenizer(
        "granite-embed-multi-97m",
        _splits(expressions.GRANITE_MULTILINGUAL),
        _splits(expressions.GPT4O_OWN),
        ignore_merges=True,
    ),
    PreTokenizer(
        "youtu",
        _splits(expressions.YOUTU_EAST_ASIA, expressions.YOUTU),
        _splits(expressions.YOUTU_EAST_ASIA, expressions.YOUTU_OWN),
        ignore_merges=True,
    ),
    PreTokenizer(
        "tiny_aya",
        _splits(expressions.DIGITS_FROM_THE_RIGHT, expressions.TINY_AYA),
        _splits(expressions.TINY_AYA_DIGITS_OWN, expressions.GPT4O_OWN),
    ),
    PreTokenizer("kimi-k2", _splits(expressions.KIMI), _splits(expressions.KIMI_OWN)),
    PreTokenizer(
        "deepseek-llm",
        _splits(
            expressions.LINE_BREAK,
            expressions.DEEPSEEK_LETTERS,
            expressions.DEEPSEEK_SIGNS,
            expressions.DEEPSEEK_LAST_SPACES,
            expressions.DEEPSEEK_EAST_ASIA,
            expressions.NUMBER,
        ),
        _splits(
            expressions.LINE_BREAK,
            expressions.DEEPSEEK_LETTERS,
            expressions.DEEPSEEK_SIGNS_OWN,
            expressions.DEEPSEEK_LAST_SPACES_OWN,
            expressions.DEEPSEEK_EAST_ASIA_OWN,
            expressions.NUMBER,
        ),
    ),
    PreTokenizer(
        "deepseek-coder",
        _splits(
            expressions.LINE_BREAK,
            expressions.CODER_LETTERS,
            expressions.CODER_SIGNS,
            expressions.DEEPSEEK_EAST_ASIA,
            expressions.DIGIT,
        ),
        _splits(
            expressions.LINE_BREAK,
            expressions.CODER_LETTERS,
            expressions.CODER_SIGNS,
            expressions.DEEPSEEK_EAST_ASIA_OWN,
            expressions.DIGIT,
        ),
    ),
    PreTokenizer("deepseek-v3", _splits(expressions.UP_TO_THREE_DIGITS, *_AFTER_EAST_ASIA)),
    PreTokenizer(
        "spark2_5",
        _splits(
            expressions.UP_TO_THREE_DIGITS,
            expressions.DEEPSEEK_V3_EAST_ASIA,
            expressions.SPARK,
            expressions.DIGIT,
        ),
    ),
    PreTokenizer(
        "afmoe",
        _splits(
            expressions.DIGITS_FROM_THE_RIGHT, expressions.AFMOE_EAST_ASIA, expressions.DEEPSEEK_V3
        ),
    ),
    PreTokenizer("bloom", _splits(expressions.BLOOM), _BLOOM_OWN),
    PreTokenizer(
        "viking",
        _splits(expressions.BLOOM, expressions.DIGIT),
        _splits(expressions.BLOOM_OWN, expressions.DIGIT),
    ),
    PreTokenizer(
        "falcon",
        _splits(expressions.PUNCTUATION, expressions.GPT2, expressions.THREE_DIGITS),
        (
            {"type": "Punctuation", "behavior": "Contiguous"},
            _GPT2,
            _NUMBERS,
            _split(expressions.THREE_DIGITS),
        ),
    ),
    PreTokenizer(
        "default",
        _splits(
            expressions.DEFAULT_PUNCTUATION,
            expressions.GPT2,
            expressions.NUMBER,
            expressions.THREE_DIGITS,
        ),
    ),
    PreTokenizer(
        "chameleon",
        (
            _split(expressions.CHAMELEON_SENTINEL),
            _split(expressions.CHAMELEON_IMAGE),
            _split(expressions.CHAMELEON_SPACES),
            _DIGITS,
            _split(expressions.ONE_PUNCTUATION),
            _GPT2,
        ),
        (
            _split(expressions.CHAMELEON_SENTINEL),
            _split(expressions.CHAMELEON_IMAGE),
            _split(expressions.CHAMELEON_SPACES),
            _DIGITS,
            {"type": "Punctuation", "behavior": "Isolated"},
            _GPT2,
        ),
        adds_bos=True,
    ),
    PreTokenizer(
        "superbpe",
        _splits(expressions.NUMBER, expressions.SUPERBPE),
        _splits(expressions.NUMBER, expressions.SUPERBPE_OWN),
    ),
    PreTokenizer(
        "gemma4",
        _WHOLE_LINES,
        byte_letters=False,
        escapes_spaces=True,
        whole_line_breaks=True,
        adds_bos=True,
        needs_bos=True,
    ),
    PreTokenizer("sarvam-moe", _WHOLE_LINES, byte_letters=False, escapes_spaces=True),
    PreTokenizer(
        "mmbert",
        (_split(expressions.ESCAPED_WORDS),),
        byte_letters=False,
        escapes_spaces=True,
        leads_words=True,
        whole_line_breaks=True,
    ),
    PreTokenizer("whitespace", (_WITHOUT_SPACES,), byte_letters=False),
)
# Other names that split as a family does.
ALIASES = {
    alias: family
    for family, aliases in {
        "gpt-2": (
            "gpt2 phi-2 jais mellum exaone4 trillion gigachat a.x-4.0 granite-docling roberta-bpe "
            "jina-v1-en jina-v2-code jina-v2-de jina-v2-es jina-de jina-es"
        ),
        "olmo": "mpt modern-bert",
        "smollm": "starcoder refact codeshell exaone minerva-7b mellum2",
        "llama-bpe": (
            "llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano glm4 glm5"
        ),
        "smaug-bpe": "dbrx chatglm-bpe",
        "qwen2": "deepseek-r1-qwen megrez kormo f2llmv2",
        "hunyuan": "stablelm2 grok-2 solar-open",
        "bailingmoe": "bailingmoe2 llada-moe",
        "gpt-4o": "llama4 kanana2 talkie minimax-m2",
        "tiny_aya": "cohere2moe",
        "deepseek-v3": "hunyuan-dense joyai-llm hy_v4",
        "bloom": "poro-chat gpt3-finnish",
        "gemma4": "granite-embed-multi-311m",
    }.items()
    for alias in aliases.split()
}

# Settings of single names that are not their family's.
NO_BOS = frozenset(("glm4", "glm5"))
ADDS_SEP = frozenset(("jina-v1-en", "jina-v2-code", "roberta-bpe"))
MASK_STRIPS_LEFT = frozenset(("jina-v2-code", "jina-v2-de", "jina-v2-es", "mmbert"))
_KEEPS_SPACES = """
    afmoe bailingmoe bailingmoe2 chameleon cohere2moe command-r deepseek-coder deepseek-llm
    deepseek-r1-qwen deepseek-v3 f2llmv2 gpt-4o granite-docling granite-embed-multi-97m grok-2
    hunyuan hunyuan-dense hy_v4 joyai-llm k2-horizon kanana2 kimi-k2 kormo laguna llada-moe
    llama4 minimax-m2 poro-chat qwen2 qwen35 sarvam-moe seed-coder smollm solar-open spark2_5
    superbpe talkie tekken tiny_aya trillion ufakzeka viking youtu
"""
KEEPS_SPACES = frozenset(_KEEPS_SPACES.split())

"""vocab.json and merges.txt, GPT-2's pair of files, in gguf keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ggmlkit.conversion.json_file import object_if_there, read_json
from ggmlkit.conversion.vocabulary.byte_level import byte_level_keys
from ggmlkit.conversion.vocabulary.carried_json import carried
from ggmlkit.conversion.vocabulary.special_tokens import added_tokens, special_keys, special_names
from ggmlkit.conversion.vocabulary.to_tokenizer_json import to_tokenizer_json
from ggmlkit.conversion.vocabulary.token_table import TokenTable
from ggmlkit.errors import ConversionError, FormatError

# The files do not say how text is cut into words; the class that reads them does.
_FAMILIES = {"GPT2": "gpt-2", "CodeGen": "gpt-2", "Qwen2": "qwen2"}
_DEFAULT_CLASS = "GPT2Tokenizer"


def metadata_from_vocab_and_merges(path: Path, n_vocab: int) -> dict[str, Any]:
    """The ``tokenizer.*`` keys of a vocab.json, given as ``path``, and the merges.txt beside it.

    Raises FormatError if damaged, ConversionError if merges.txt is missing, for a token outside
    the model's ``n_vocab``, and for a tokenizer class that cuts text in an unknown way.
    """
    merges_path = path.parent / "merges.txt"
    if not merges_path.is_file():
        raise ConversionError(f"{path} needs a merges.txt beside it")
    table = TokenTable(path, n_vocab)
    for text, number in read_json(path).items():
        table.put(text, number)
    table.add(added_tokens(path.parent))
    table.mark_special(special_names(path.parent))
    keys = byte_level_keys(table, merges_path, _merges(merges_path), _family(path.parent))
    keys["tokenizer.ggml.add_bos_token"] = False
    keys |= special_keys(path.parent, table.texts)
    # transformers builds a tokenizer.json from these files, and texts get the ids of that one.
    return {**keys, **carried(to_tokenizer_json(keys), keys)}


def _merges(path: Path) -> list[str]:
    try:
        lines = path.read_bytes().decode("utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise FormatError(path, error.start, "merges must be UTF-8 text") from None
    first = 1 if lines[0].startswith("#version") else 0
    return [line.rstrip("\r") for line in lines[first:] if line.rstrip("\r")]


def _family(folder: Path) -> str:
    path = folder / "tokenizer_config.json"
    config = object_if_there(path)
    name = str(config.get("tokenizer_class") or _DEFAULT_CLASS)[:80]
    if config.get("add_prefix_space"):
        raise ConversionError(f"{path}: add_prefix_space is not supported")
    family = _FAMILIES.get(name.removesuffix("Fast").removesuffix("Tokenizer"))
    if family is None:
        raise ConversionError(
            f"{path}: how a {name} cuts text is not known from vocab.json and merges.txt; "
            "give the tokenizer.json of the same model"
        )
    return family

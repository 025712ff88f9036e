"""A table of all readers of foreign files: a small valid file, and what a user does with it.

``Target.read`` must succeed or raise a GgmlkitError, which for a file must name it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from pickle import UnpicklingError
from random import Random
from typing import Any

import bodies
import checkpoints
import ggmlkit as gk
import other_checkpoints as others
import predictions
import seeds
import templates
from forked_renderer import ForkedRenderer
from ggmlkit.conversion.open_source import open_source
from ggmlkit.conversion.vocabulary import (
    metadata_from_tiktoken,
    metadata_from_vocab_and_merges,
    to_tokenizer_json,
)
from ggmlkit.conversion.vocabulary.tokenizer_config import tokenizer_config
from ggmlkit.io.imatrix import read_imatrix
from ggmlkit.io.torch.pickle import unpickled
from ggmlkit.io.torch.state_dict import settings, state_dict
from ggmlkit.io.unknown_tensor import UnknownTensor, with_kept_bytes
from ggmlkit.tensor import Tensor
from ggmlkit.text.template.process import Bounds, Renderers
from ggmlkit.text.vocab_keys import CARRIED
from mutators import damaged, damaged_header, damaged_json, damaged_template, damaged_text
from pickles import damaged_pickle

TEXT = "ab a<s>b\n <|im_start|>é 😀 aab"
_MESSAGES = [{"role": "user", "content": "ab"}, {"role": "assistant", "content": "a"}]


_VARIABLES = {
    "messages": _MESSAGES,
    "bos_token": "<s>",
    "tools": None,
    "n": templates.shared_values(),
}


@dataclass(frozen=True)
class Target:
    """Something that reads a file.

    Attributes:
        name: of the target.
        file: name, in a folder of its own, of the file that is damaged.
        make: fills that folder with valid files.
        read: does what a user would, given the path of the damaged file.
        damage: makes a mutant.
        named: whether an error must name the file, or its folder.
    """

    name: str
    file: str
    make: Callable[[Path], Any]
    read: Callable[[Path], Any]
    damage: Callable[[bytes, Random], bytes] = damaged
    named: bool = True


def read_tensors(path: Path) -> None:
    """Open a file, and read all its metadata and values."""
    with gk.open(path) as file:
        assert len(file.metadata) >= 0
        _read_all(file.tensors)


def copy_tensors(path: Path) -> None:
    """Read what can be read, and write a copy of all."""
    with gk.open(path) as file:
        _read_all({n: t for n, t in file.items() if not isinstance(t, UnknownTensor)})
        copies = with_kept_bytes(file.tensors)
        out = path.with_name("copy.gguf")
        gk.save(out, copies, file.metadata, byte_order=file.byte_order)


def _read_all(tensors: dict[str, Tensor]) -> None:
    for tensor in tensors.values():
        assert tensor.data.size == tensor.nbytes
        if tensor.type.can_dequantize:
            assert tensor.dequantize(threads=1).shape == tensor.shape


def read_folder(path: Path) -> None:
    """Open the folder that a file lies in as a checkpoint, with its vocabulary."""
    with closing(open_source(path.parent)) as source:
        _read_all(source.tensors)
        with suppress(gk.ModelError):  # about metadata, which are in no file
            _use_tokenizer(gk.Tokenizer.from_metadata(source.metadata))


def read_quantized(path: Path) -> None:
    """Read a folder of quantized layers, as values and as blocks."""
    for block_type in (None, "q4_1", "q8_0"):
        with closing(open_source(path.parent, block_type=block_type)) as source:
            _read_all(source.tensors)


def read_loose(path: Path) -> None:
    """Read a file of tensors, and look for the model in it."""
    read_tensors(path)
    with suppress(gk.ConversionError), closing(open_source(path)) as source:
        _read_all(source.tensors)


def read_first_part(path: Path) -> None:
    read_tensors(path.with_name("m-00001-of-00003.gguf"))


def read_tokenizer(path: Path) -> None:
    _use_tokenizer(gk.Tokenizer.from_file(path))


def read_tiktoken(path: Path) -> None:
    _there_and_back(metadata_from_tiktoken(path, 300))


def read_vocab_and_merges(path: Path) -> None:
    _there_and_back(metadata_from_vocab_and_merges(path.with_name("vocab.json"), 12))


def write_back(path: Path) -> None:
    """Write a tokenizer.json from metadata that carry this text."""
    text = path.read_bytes().decode("utf-8", "replace")
    _there_and_back({**seeds.bpe_vocabulary(), CARRIED: text})


def _there_and_back(metadata: dict[str, Any]) -> None:
    with suppress(gk.ModelError):  # about metadata, which are in no file
        _use_tokenizer(gk.Tokenizer.from_metadata(metadata))
    assert json.dumps(to_tokenizer_json(metadata))
    assert json.dumps(tokenizer_config(metadata, 512))


def _carried(path: Path) -> None:
    """What is carried of a tokenizer.json: all but its vocabulary and merges."""
    tokenizer = to_tokenizer_json(seeds.bpe_vocabulary())
    model = {k: v for k, v in tokenizer["model"].items() if k not in ("vocab", "merges")}
    seeds.write_json(path, {**tokenizer, "model": model})


def _use_tokenizer(tokenizer: gk.Tokenizer) -> None:
    ids = tokenizer.encode(TEXT, parse_special=True) + tokenizer.encode(TEXT)
    tokenizer.decode(ids)
    tokenizer.decode(range(min(tokenizer.vocab_size, 100)))
    detokenizer = tokenizer.stream()
    for token in ids:
        detokenizer.push(token)
    detokenizer.flush()
    assert 0 <= min(ids, default=0) <= max(ids, default=0) < tokenizer.vocab_size


def read_template(path: Path) -> None:
    """Render a chat template, within bounds that are reached soon."""
    template = path.read_bytes().decode("utf-8", "replace")
    try:
        _renderers().rendered(template, _VARIABLES)
    except gk.ModelError as error:
        reason = str(error)
        assert reason.startswith("the chat template ")
        assert "open files" not in reason
        assert "ended the process" not in reason
        raise


@cache
def _renderers() -> Renderers:
    return Renderers(Bounds(seconds=0.03, megabytes=60), start=ForkedRenderer)


def read_pickle(path: Path) -> None:
    """Interpret a pickle, and walk through what it holds."""
    try:
        tree = unpickled(path.read_bytes()).tree
    except UnpicklingError as error:
        raise gk.FormatError(path, None, str(error)) from error
    assert len(state_dict(tree)) < 1000
    assert len(json.dumps(settings(tree))) < 1 << 20


def read_text(path: Path) -> None:
    """Encode and decode a text with both kinds of vocabulary."""
    text = path.read_bytes().decode("utf-8", "surrogateescape")
    for model in ("llama", "gpt2"):
        tokenizer = _vocabulary(model)
        for parse_special in (False, True):
            tokenizer.decode(tokenizer.encode(text, parse_special=parse_special))


def use_keys(path: Path) -> None:
    """Write a model with these metadata, if gguf has a place for them, and use it."""
    try:
        keys = json.loads(path.read_bytes().decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return
    if not isinstance(keys, dict):
        return
    changed = path.with_name("changed.gguf")
    with gk.open(path.with_name("m.gguf")) as file:
        gk.save(changed, file.tensors, {key.replace("\ud800", ""): keys[key] for key in keys})
    for use in (read_tokenizer, run_model):
        with suppress(gk.ModelError):
            use(changed)


def run_model(path: Path) -> None:
    """Load a model, repacked and mapped, and run two tokens."""
    for repack in (True, False):
        llama = gk.Llama(path, threads=1, context=8, repack=repack)
        assert llama.eval([1 % llama.config.vocab, 0]).shape == (llama.config.vocab,)
    llama.tokenizer.encode("ab")


def run_adapter(path: Path) -> None:
    """Run the model beside an adapter with the adapter, and convert the adapter to ggla."""
    given = path if path.suffix == ".gguf" else path.parent
    model = path.with_name("m.gguf")
    llama = gk.Llama(model, lora=[(given, 0.5)], threads=1, context=8)
    assert llama.eval([1, 0]).shape == (llama.config.vocab,)
    gk.convert(given, path.with_name("out.ggla"), base=model)


@cache
def _vocabulary(model: str) -> gk.Tokenizer:
    return gk.Tokenizer.from_metadata(seeds.VOCABULARIES[model]())


def _keys(vocabulary: Callable[[], dict[str, Any]], folder: Path) -> None:
    seeds.model(folder / "m.gguf")
    seeds.write_json(folder / "keys.json", {**seeds.model_metadata(), **vocabulary()})


def _file(name: str, make: Callable[..., Any], **settings: Any) -> Callable[[Path], Any]:
    """Makes one file in the folder."""
    return lambda folder: make(folder / name, **settings)


def _container(name: str, make: Callable[..., Any], **settings: Any) -> Target:
    return Target(name, "file", _file("file", make, **settings), read_tensors)


def _in_folder(name: str, file: str, damage: Callable[..., bytes], **settings: Any) -> Target:
    make = partial(checkpoints.hf_folder, **settings)
    return Target(name, file, make, read_folder, damage)


def _vocabulary_file(name: str, keys: dict[str, Any]) -> Target:
    make = _file("v.gguf", lambda path: gk.save(path, [], keys))
    return Target(name, "v.gguf", make, read_tokenizer)


_LEGACY = (
    ("ggml", "ggml", None, "q4_0_v1"),
    ("ggmf", "ggmf", 1, "q4_1_v1"),
    ("ggjt-v1", "ggjt", 1, "q5_0_v1"),
    ("ggjt-v2", "ggjt", 2, "q8_0_v2"),
    ("ggjt-v3", "ggjt", 3, "q5_1"),
)
TARGETS = {
    target.name: target
    for target in (
        _container("gguf", seeds.gguf),
        _container("gguf-v1", seeds.gguf, version=1),
        _container("gguf-big-endian", seeds.gguf, byte_order="big"),
        Target("gguf-unusual", "u", _file("u", seeds.unusual_gguf), copy_tensors),
        Target("gguf-part", "m-00002-of-00003.gguf", seeds.split, read_first_part),
        *(
            _container(name, seeds.legacy, container=container, version=version, matrix=matrix)
            for name, container, version, matrix in _LEGACY
        ),
        _container("ggla", seeds.lora),
        Target("imatrix-dat", "i", _file("i", seeds.imatrix_dat), read_imatrix),
        Target("imatrix-gguf", "i", _file("i", seeds.imatrix_gguf), read_imatrix),
        Target("safetensors", "s", _file("s", checkpoints.safetensors), read_tensors,
               damaged_header),
        Target("torch", "t", _file("t", checkpoints.small_torch), read_tensors),
        Target("torch-pickle", "p", _file("p", checkpoints.torch_pickle),
               checkpoints.read_torch_pickle),
        Target("pickle-opcodes", "p", _file("p", checkpoints.torch_pickle), read_pickle,
               damaged_pickle),
        Target("torch-old", "t", _file("t", others.old_torch), read_loose),
        Target("flax", "f", _file("f", others.flax_tree), read_loose),
        Target("flax-stream", "f", _file("f", others.flax_stream), read_loose),
        Target("onnx", "m.onnx", others.onnx_model, read_loose),
        Target("tensorflow", "m.index", others.tensorflow, read_loose),
        Target("hdf5", "h", _file("h", others.hdf5), read_loose),
        Target("gptq", "model.safetensors", others.gptq_folder, read_quantized, damaged_header),
        Target("gptq-config", "config.json", others.gptq_folder, read_quantized, damaged_json),
        _in_folder("config.json", "config.json", damaged_json),
        _in_folder("index.json", "model.safetensors.index.json", damaged_json, weights="index"),
        _in_folder("tokenizer.json", "tokenizer.json", damaged_json),
        _in_folder("byte-level.json", "tokenizer.json", damaged_json, vocabulary="byte-level"),
        _in_folder("tokenizer_config.json", "tokenizer_config.json", damaged_json),
        _in_folder("added_tokens.json", "added_tokens.json", damaged_json,
                   vocabulary="sentencepiece"),
        _in_folder("tokenizer.model", "tokenizer.model", damaged, vocabulary="sentencepiece"),
        Target("tiktoken", "t", _file("t", checkpoints.tiktoken), read_tiktoken, damaged_text),
        *(
            Target(name, name, checkpoints.vocab_and_merges, read_vocab_and_merges, damage)
            for name, damage in (
                ("vocab.json", damaged_json),
                ("merges.txt", damaged_text),
                ("special_tokens_map.json", damaged_json),
                ("generation_config.json", damaged_json),
            )
        ),
        Target("added_tokens_decoder", "tokenizer_config.json", checkpoints.vocab_and_merges,
               read_vocab_and_merges, damaged_json),
        Target("carried", "c", _file("c", _carried), write_back, damaged_json, named=False),
        _vocabulary_file("vocabulary-llama", seeds.spm_vocabulary()),
        _vocabulary_file("vocabulary-gpt2", seeds.bpe_vocabulary()),
        Target("text", "t", _file("t", lambda p: p.write_text(TEXT)), read_text, damaged_text,
               named=False),
        Target("template", "t", _file("t", lambda p: p.write_text(seeds.TEMPLATE)), read_template,
               damaged_template, named=False),
        Target("template-families", "t", _file("t", lambda p: p.write_text("{{ 1 }}")),
               read_template, lambda _, rng: templates.made(rng).encode(), named=False),
        *(
            Target(f"keys-{name}", "keys.json", partial(_keys, vocabulary), use_keys, damaged_json,
                   named=False)
            for name, vocabulary in seeds.VOCABULARIES.items()
        ),
        Target("adapter-gguf", "a.gguf", _file("a.gguf", seeds.adapter), run_adapter),
        Target("adapter_config.json", "adapter_config.json", checkpoints.peft_folder, run_adapter,
               damaged_json),
        Target("adapter_model", "adapter_model.safetensors", checkpoints.peft_folder, run_adapter,
               damaged_header),
        *(
            Target(name, "b.json", _file("b.json", write), bodies.read_body, damaged_json,
                   named=False)
            for name, write in bodies.KINDS.items()
        ),
        Target("llama", "m.gguf", _file("m.gguf", seeds.model), run_model),
        Target("predictions-top", "p", _file("p", predictions.save_top),
               predictions.read_predictions),
        Target("predictions-all", "p", _file("p", predictions.save_all),
               predictions.read_predictions),
        Target("evaluation-state", "s", _file("s", predictions.state), predictions.read_state),
        Target("questions", "q", _file("q", predictions.questions), predictions.read_lines,
               damaged_json),
    )
}  # fmt: skip

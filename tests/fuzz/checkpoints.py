"""Small checkpoints of other libraries' kinds: safetensors, PyTorch, Hugging Face folders."""

from __future__ import annotations

import base64
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

import ggmlkit as gk
import seeds
from ggmlkit.io.foreign.safetensors import safetensors_header
from ggmlkit.io.torch.writer import write_torch


def safetensors(path: Path) -> None:
    found = seeds.tensors("f16", hf=True)
    header = safetensors_header([(n, t.type.name, t.shape) for n, t in found.items()], {"a": "b"})
    path.write_bytes(header + b"".join(t.data.tobytes() for t in found.values()))


def torch(path: Path) -> None:
    with path.open("w+b") as file:
        write_torch(file, seeds.tensors("f16", hf=True))


def config() -> dict[str, Any]:
    """A config.json."""
    return {
        "model_type": "llama",
        "hidden_size": seeds.DIM,
        "num_hidden_layers": 1,
        "num_attention_heads": seeds.HEADS,
        "num_key_value_heads": seeds.HEADS,
        "intermediate_size": seeds.FFN,
        "vocab_size": len(seeds.PIECES),
        "max_position_embeddings": 64,
        "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0,
        "rope_scaling": {"rope_type": "linear", "factor": 2.0},
        "bos_token_id": 1,
        "eos_token_id": [2, 3],
        "hidden_act": "silu",
        "tie_word_embeddings": False,
    }


def tokenizer_json() -> dict[str, Any]:
    """A SentencePiece BPE as the tokenizers library saves it."""
    return {
        "added_tokens": [{"id": 1, "content": "<s>", "special": True}],
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}]},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}],
            "pair": [],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}},
        },
        "model": {
            "type": "BPE",
            "byte_fallback": True,
            "unk_token": "<unk>",
            "vocab": {piece: number for number, piece in enumerate(seeds.PIECES)},
            "merges": ["▁ a", ["a", "b"], "▁a b"],
        },
    }


def byte_level_json() -> dict[str, Any]:
    """A byte-level BPE."""
    vocab = {piece: number for number, piece in enumerate([*seeds.LETTERS, "c"])}
    return {
        "added_tokens": [{"id": 0, "content": "<|im_start|>", "special": True}],
        "normalizer": {"type": "Sequence", "normalizers": []},
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True},
        "post_processor": {
            "type": "Sequence",
            "processors": [
                {"type": "ByteLevel"},
                {
                    "type": "TemplateProcessing",
                    "single": [{"SpecialToken": {"id": "x"}}, {"Sequence": {"id": "A"}}],
                    "special_tokens": {"x": {"ids": [0]}},
                },
            ],
        },
        "model": {"type": "BPE", "vocab": vocab, "merges": seeds.MERGES},
    }


def tokenizer_config() -> dict[str, Any]:
    return {
        "bos_token": "<s>",
        "eos_token": {"content": "</s>"},
        "add_bos_token": True,
        "chat_template": [{"name": "default", "template": seeds.TEMPLATE}],
    }


def _varint(number: int) -> bytes:
    return bytes([number & 127 | 128, number >> 7])


def sentencepiece(path: Path) -> None:
    """A tokenizer.model, a protobuf message."""
    message = b""
    for text, score, kind in zip(seeds.PIECES, seeds.SCORES, seeds.KINDS, strict=True):
        raw = text.encode()
        piece = b"\x0a" + bytes([len(raw)]) + raw + b"\x15" + struct.pack("<f", score)
        piece += bytes([0x18, kind])
        message += b"\x0a" + bytes([len(piece)]) + piece
    # A normalizer that changes nothing: a trie of 256 units, none of which is any letter's.
    charsmap = struct.pack("<257I", 1024, 0, *[1 << 31] * 255)
    normalizer = b"\x12" + _varint(len(charsmap)) + charsmap + b"\x18\x01\x20\x00"
    message += b"\x12\x04\x18\x02\x20\x0b" + b"\x1a" + _varint(len(normalizer)) + normalizer
    path.write_bytes(message)


def tiktoken(path: Path) -> None:
    """Llama 3's tokenizer.model: tokens in base64, and their ranks."""
    tokens = [*(bytes([n]) for n in range(97, 110)), b"ab", b" a", b" ab", "é".encode()]
    lines = (f"{base64.b64encode(token).decode()} {n}\n" for n, token in enumerate(tokens))
    path.write_text("".join(lines))


def vocab_and_merges(folder: Path) -> None:
    """GPT-2's pair of files, with the other files that can lie beside it."""
    vocab = {piece: number for number, piece in enumerate(seeds.LETTERS)}
    seeds.write_json(folder / "vocab.json", vocab)
    merges = "".join(f"{merge}\n" for merge in seeds.MERGES)
    (folder / "merges.txt").write_text(f"#version: 0.2\n{merges}", encoding="utf-8")
    special = {"bos_token": "<|im_start|>", "additional_special_tokens": ["<|im_end|>"]}
    seeds.write_json(folder / "special_tokens_map.json", special)
    seeds.write_json(folder / "generation_config.json", {"eos_token_id": [1, 0, 3]})
    decoder = {"1": {"content": "<|im_end|>", "special": True}, "10": {"content": "<y>"}}
    seeds.write_json(folder / "tokenizer_config.json", {"added_tokens_decoder": decoder})


def peft_folder(folder: Path) -> None:
    """An adapter as PEFT saves it, for the model in ``m.gguf`` beside its files."""
    seeds.model(folder / "m.gguf")
    settings = {
        "peft_type": "LORA",
        "r": 4,
        "lora_alpha": 8,
        "rank_pattern": {"q_proj": 2},
        "alpha_pattern": {"layers.0.self_attn.q_proj": 3.5, "(k|v)_proj": 1},
        "use_rslora": True,
        "use_dora": False,
        "init_lora_weights": "gaussian",
        "bias": "none",
        "modules_to_save": None,
        "base_model_name_or_path": "org/model",
    }
    seeds.write_json(folder / "adapter_config.json", settings)
    halves = {}
    for part, rank in (("q", 2), ("v", 4)):
        module = f"base_model.model.model.layers.0.self_attn.{part}_proj"
        ones = np.ones((rank, seeds.DIM), np.float32)
        halves[f"{module}.lora_A.weight"] = gk.quantize(ones, "f32")
        halves[f"{module}.lora_B.weight"] = gk.quantize(ones.T, "f32")
    header = safetensors_header([(n, t.type.name, t.shape) for n, t in halves.items()], {})
    data = b"".join(t.data.tobytes() for t in halves.values())
    (folder / "adapter_model.safetensors").write_bytes(header + data)


def hf_folder(folder: Path, *, weights: str = "safetensors", vocabulary: str = "json") -> None:
    """A Hugging Face folder; its vocabulary "json", "byte-level" or "sentencepiece"."""
    seeds.write_json(folder / "config.json", config())
    if weights == "torch":
        torch(folder / "pytorch_model.bin")
    elif weights == "safetensors":
        safetensors(folder / "model.safetensors")
    else:
        safetensors(folder / "model-00001-of-00001.safetensors")
        weight_map = dict.fromkeys(seeds.shapes(hf=True), "model-00001-of-00001.safetensors")
        seeds.write_json(folder / "model.safetensors.index.json", {"weight_map": weight_map})
    if vocabulary == "sentencepiece":
        sentencepiece(folder / "tokenizer.model")
        seeds.write_json(folder / "added_tokens.json", {"<x>": 10})
    else:
        found = tokenizer_json() if vocabulary == "json" else byte_level_json()
        seeds.write_json(folder / "tokenizer.json", found)
    seeds.write_json(folder / "tokenizer_config.json", tokenizer_config())


def small_torch(path: Path) -> None:
    """A checkpoint of two tensors."""
    two = {name: gk.quantize(np.ones((2, 3), np.float32), "f32") for name in ("a", "b")}
    with path.open("w+b") as file:
        write_torch(file, two)


def torch_pickle(path: Path) -> None:
    """Only the data.pkl of that checkpoint, because the archive has a checksum of it."""
    small_torch(path)
    with zipfile.ZipFile(path) as archive:
        pickled = archive.read("archive/data.pkl")
    path.write_bytes(pickled)


def read_torch_pickle(path: Path) -> None:
    """Put a data.pkl into a checkpoint in its place, and read that."""
    pickled = path.read_bytes()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
        for key in range(2):
            archive.writestr(f"archive/data/{key}", bytes(24))
    with gk.open(path) as file:
        for tensor in file.tensors.values():
            assert tensor.dequantize(threads=1).shape == tensor.shape

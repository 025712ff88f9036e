"""Deltas equal FastChat's arithmetic in PyTorch bit for bit, and restore the target."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import transformers

import ggmlkit as gk
import torch
from ggmlkit.errors import ConversionError, FormatError
from lora_models import TOKENS, distance, logits
from peak_memory import printed

MakeHf = Callable[..., tuple[Path, Any]]
State = dict[str, Any]
DTYPES = {"f16": torch.float16, "bf16": torch.bfloat16, "f32": torch.float32}
BITS = {torch.float16: torch.int16, torch.bfloat16: torch.int16, torch.float32: torch.int32}
BY_TOKEN = ("model.embed_tokens.weight", "lm_head.weight")


@pytest.fixture
def pair(tiny_hf: MakeHf) -> Callable[..., tuple[Path, Path]]:
    """Makes folders of a base model and of the same model trained, which can have more tokens."""

    def make(dtype: str = "f16", new_tokens: int = 0, spread: float = 0.01) -> tuple[Path, Path]:
        base, model = tiny_hf("base")
        target, _ = tiny_hf("target")
        model.to(DTYPES[dtype]).save_pretrained(base)
        torch.manual_seed(7)
        with torch.no_grad():
            for weights in model.parameters():
                weights.add_(spread * torch.randn_like(weights))
        if new_tokens:
            model.resize_token_embeddings(320 + new_tokens, mean_resizing=False)
            with torch.no_grad():
                for rows in (model.model.embed_tokens.weight, model.lm_head.weight):
                    rows[320:] = torch.randn_like(rows[320:])
            add_tokens(target, new_tokens)
        model.save_pretrained(target)
        return base, target

    return make


def add_tokens(folder: Path, count: int) -> None:
    path = folder / "tokenizer.json"
    tokenizer = json.loads(path.read_text())
    like = tokenizer["added_tokens"][0]
    tokenizer["added_tokens"] += [
        like | {"id": 320 + n, "content": f"[PAD{n}]"} for n in range(count)
    ]
    path.write_text(json.dumps(tokenizer))


def state(folder: Path) -> State:
    from safetensors.torch import load_file

    return dict(load_file(folder / "model.safetensors"))


def assert_bits_equal(one: State, other: State) -> None:
    assert one.keys() == other.keys()
    for name, values in one.items():
        assert values.dtype == other[name].dtype
        bits = BITS[values.dtype]
        assert torch.equal(values.view(bits), other[name].view(bits)), name


def padded(base: State, like: State) -> State:
    """FastChat's ``resize_token_embeddings`` with zeros for the new rows."""
    found = dict(base)
    for name in BY_TOKEN:
        extra = like[name].shape[0] - base[name].shape[0]
        found[name] = torch.cat([base[name], base[name].new_zeros(extra, base[name].shape[1])])
    return found


@pytest.mark.parametrize("dtype", ["f16", "bf16"])
@pytest.mark.parametrize("new_tokens", [0, 3], ids=["v1.1", "v0"])
def test_both_ways_are_fastchats_bit_for_bit(
    pair: Callable[..., tuple[Path, Path]], tmp_path: Path, dtype: str, new_tokens: int
) -> None:
    base, target = pair(dtype, new_tokens)
    gk.make_delta(base, target, tmp_path / "delta")
    gk.apply_delta(base, tmp_path / "delta", tmp_path / "again")
    theirs = padded(state(base), state(target))
    delta = {name: values - theirs[name] for name, values in state(target).items()}
    assert_bits_equal(state(tmp_path / "delta"), delta)
    again = {name: values + theirs[name] for name, values in delta.items()}
    assert_bits_equal(state(tmp_path / "again"), again)


@pytest.mark.parametrize("new_tokens", [0, 1])
def test_a_delta_in_float32_restores_the_target_exactly(
    pair: Callable[..., tuple[Path, Path]], tmp_path: Path, new_tokens: int
) -> None:
    base, target = pair("f16", new_tokens, spread=0.3)
    gk.make_delta(base, target, tmp_path / "delta", type="f32")
    gk.apply_delta(base, tmp_path / "delta", tmp_path / "again", type="f16")
    assert_bits_equal(state(tmp_path / "again"), state(target))
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        assert json.loads((tmp_path / "again" / name).read_text()) == json.loads(
            (target / name).read_text()
        )


def test_a_delta_in_16_bits_is_off_by_its_own_rounding(
    pair: Callable[..., tuple[Path, Path]], tmp_path: Path
) -> None:
    base, target = pair("f16", spread=0.3)
    gk.make_delta(base, target, tmp_path / "delta")
    gk.apply_delta(base, tmp_path / "delta", tmp_path / "again")
    wanted, delta, again = (state(p) for p in (target, tmp_path / "delta", tmp_path / "again"))
    exact = 0
    for name, values in wanted.items():
        off = (again[name].double() - values.double()).abs()
        larger = torch.maximum(delta[name].abs(), values.abs()).double()
        assert bool((off <= larger * 2.0**-10 + 2.0**-24).all()), name
        exact += int((off == 0).sum())
    assert exact > 0.5 * sum(values.numel() for values in wanted.values())


def test_the_result_runs_in_transformers(
    pair: Callable[..., tuple[Path, Path]], tmp_path: Path
) -> None:
    base, target = pair("f16", 1)
    gk.make_delta(base, target, tmp_path / "delta", type="f32")
    gk.apply_delta(base, tmp_path / "delta", tmp_path / "again", type="f16")
    one, other = (
        transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        for folder in (tmp_path / "again", target)
    )
    np.testing.assert_array_equal(logits(one), logits(other))
    file = str(tmp_path / "again" / "tokenizer.json")
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_file=file)
    assert "[PAD0]" in tokenizer.get_vocab()


@pytest.mark.parametrize("suffix", [".gguf", "?container=gguf"])
def test_the_result_can_be_a_model_file(
    pair: Callable[..., tuple[Path, Path]], tmp_path: Path, suffix: str
) -> None:
    base, target = pair("f16", 1)
    gk.make_delta(base, target, tmp_path / "delta", type="f32")
    out = tmp_path / f"m{suffix.partition('?')[0]}"
    container = suffix.partition("=")[2] or None
    gk.apply_delta(base, tmp_path / "delta", out, type="f16", container=container)
    gk.convert(target, tmp_path / "direct.gguf", type="f16")
    with gk.open(out) as one, gk.open(tmp_path / "direct.gguf") as other:
        assert list(one) == list(other)
        for name in one:
            assert one[name].type == other[name].type
            assert np.array_equal(one[name].data, other[name].data), name
        assert one.metadata["tokenizer.ggml.tokens"] == other.metadata["tokenizer.ggml.tokens"]
    model = transformers.AutoModelForCausalLM.from_pretrained(target, dtype=torch.float32)
    assert distance(gk.Llama(out, threads=1).logits(TOKENS), logits(model)) < 1e-3


def test_a_model_file_has_the_deltas_type_by_default(
    pair: Callable[..., tuple[Path, Path]], tmp_path: Path
) -> None:
    base, target = pair("bf16")
    gk.make_delta(base, target, tmp_path / "delta")
    gk.apply_delta(base, tmp_path / "delta", tmp_path / "m.gguf")
    gk.apply_delta(base, tmp_path / "delta", tmp_path / "again")
    gk.convert(tmp_path / "again", tmp_path / "direct.gguf", type="bf16")
    assert (tmp_path / "m.gguf").stat().st_size > 0
    with gk.open(tmp_path / "m.gguf") as one, gk.open(tmp_path / "direct.gguf") as other:
        for name in one:
            assert np.array_equal(one[name].data, other[name].data), name


def test_shards_and_pytorch_files_are_read(
    pair: Callable[..., tuple[Path, Path]], tmp_path: Path
) -> None:
    base, target = pair("f16")
    gk.make_delta(base, target, tmp_path / "delta")
    model = transformers.AutoModelForCausalLM.from_pretrained(base, dtype=torch.float16)
    model.save_pretrained(tmp_path / "shards", max_shard_size="40KB")
    (tmp_path / "torch").mkdir()
    shutil.copy(base / "config.json", tmp_path / "torch")
    old = {**model.state_dict(), "model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(8)}
    torch.save(old, tmp_path / "torch" / "pytorch_model.bin")
    for number, folder in enumerate((base, tmp_path / "shards", tmp_path / "torch")):
        gk.apply_delta(folder, tmp_path / "delta", tmp_path / f"{number}")
    first = state(tmp_path / "0")
    for number in (1, 2):
        assert_bits_equal(state(tmp_path / f"{number}"), first)


def test_a_changed_type_is_written_into_the_configuration(
    pair: Callable[..., tuple[Path, Path]], tmp_path: Path
) -> None:
    base, target = pair("f16")
    gk.make_delta(base, target, tmp_path / "delta", type="bf16")
    config = json.loads((tmp_path / "delta" / "config.json").read_text())
    assert config["dtype"] == "bfloat16"
    assert {values.dtype for values in state(tmp_path / "delta").values()} == {torch.bfloat16}


# ---------------------------------------------------------------------- what is refused


def rewritten(folder: Path, change: Callable[[State], object]) -> None:
    from safetensors.torch import save_file

    tensors = state(folder)
    change(tensors)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


Q = "model.layers.1.self_attn.q_proj.weight"
CASES: list[tuple[Callable[[State], object], str]] = [
    (lambda s: s.pop(Q), f"delta has no tensor {Q}, but .*base has"),
    (lambda s: s.update(extra=torch.ones(2)), "base has no tensor extra, but .*delta has"),
    (lambda s: s.update({Q: s[Q][:32].clone()}), rf"{Q} has shape \(32, 64\) in .*delta, but \(64"),
    (lambda s: s.update({Q: torch.cat([s[Q], s[Q]])}), rf"{Q} has shape \(128, 64\)"),
    (
        lambda s: s.update({BY_TOKEN[0]: s[BY_TOKEN[0]][:300].clone()}),
        r"embed_tokens\.weight has shape \(300, 64\)",
    ),
    (lambda s: s.update({Q: s[Q].to(torch.int8)}), f"{Q} is i8, not f32, f16 or bf16"),
    (
        lambda s: s.update({Q: torch.full_like(s[Q], 65504)}),
        rf"{Q}' holds [\d.]+ at \(0, 0\), too large for f16",
    ),
]


@pytest.mark.parametrize(("change", "reason"), CASES, ids=[reason for _, reason in CASES])
@pytest.mark.parametrize("out", ["again", "m.gguf"])
def test_a_delta_that_does_not_fit_its_base(
    pair: Callable[..., tuple[Path, Path]],
    tmp_path: Path,
    change: Callable[[State], object],
    reason: str,
    out: str,
) -> None:
    base, target = pair("f16")
    rewritten(base, lambda s: s.update({Q: s[Q].abs() * 400 + 100}))
    gk.make_delta(base, target, tmp_path / "delta")
    rewritten(tmp_path / "delta", change)
    with pytest.raises(ConversionError, match=reason):
        gk.apply_delta(base, tmp_path / "delta", tmp_path / out)
    assert not (tmp_path / out).exists()


def test_a_failure_leaves_an_old_result_as_it_was(
    pair: Callable[..., tuple[Path, Path]], tmp_path: Path
) -> None:
    base, target = pair("f16")
    gk.make_delta(base, target, tmp_path / "delta")
    out = tmp_path / "again"
    gk.apply_delta(base, tmp_path / "delta", out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    whole = (tmp_path / "delta" / "model.safetensors").read_bytes()
    (tmp_path / "delta" / "model.safetensors").write_bytes(whole[:-100])
    with pytest.raises(FormatError, match=r"delta/model\.safetensors"):
        gk.apply_delta(base, tmp_path / "delta", out)
    (tmp_path / "delta" / "model.safetensors").write_bytes(whole)
    rewritten(base, lambda s: s.update({Q: torch.full_like(s[Q], float("inf"))}))
    with pytest.raises(ConversionError, match=rf"{Q}' holds (inf|nan) at \(0, 0\)"):
        gk.apply_delta(base, tmp_path / "delta", out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_inputs_that_are_not_checkpoints_or_would_be_overwritten(
    pair: Callable[..., tuple[Path, Path]], tmp_path: Path
) -> None:
    base, target = pair("f16")
    gk.make_delta(base, target, tmp_path / "delta")
    (tmp_path / "empty").mkdir()
    gk.convert(base, tmp_path / "base.gguf")
    for own in (tmp_path / "empty", tmp_path / "base.gguf", tmp_path / "missing"):
        with pytest.raises(ConversionError, match="it is not a Hugging Face folder"):
            gk.apply_delta(own, tmp_path / "delta", tmp_path / "out")
    for out in (base, tmp_path / "delta"):
        with pytest.raises(gk.ArgumentError, match="would be written over"):
            gk.apply_delta(base, tmp_path / "delta", out)
    with pytest.raises(ConversionError, match="a checkpoint folder holds f32, f16 or bf16, not q4"):
        gk.apply_delta(base, tmp_path / "delta", tmp_path / "out", type="q4_0")
    assert not (tmp_path / "out").exists()


MEASURE = """
import sys
import ggmlkit as gk
gk.make_delta(*sys.argv[1:3], sys.argv[3])  # memory of loading the libraries
before = peak()
gk.apply_delta(*sys.argv[4:6], sys.argv[6])
print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("out", ["out", "out.gguf"])
def test_peak_memory_is_a_few_tensors(tiny_hf: MakeHf, tmp_path: Path, out: str) -> None:
    """A model of 120 MB with tensors of at most 8 MB: at most three of them, and some slack."""
    small, _ = tiny_hf("small")
    sizes = {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 4}
    large, model = tiny_hf("large", **sizes, num_attention_heads=16)
    model.half().save_pretrained(large)
    largest = 2 * 1024 * 4096
    assert sum(2 * p.numel() for p in model.parameters()) > 14 * largest
    words = [small, small, tmp_path / "none", large, large, tmp_path / out]
    assert printed(MEASURE, *words) < 3 * largest + 64e6

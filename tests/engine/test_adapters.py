"""Adapters at run time: the numpy oracle's logits with their products added to the weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import ggmlkit as gk
from decoder_models import (
    EXACT_MAX,
    META,
    RANKS,
    assert_exact,
    random_adapter,
    random_model,
    rms,
)
from ggmlkit import _core
from ggmlkit.engine.config import model_config
from ggmlkit.engine.llama import Llama
from ggmlkit.errors import ArgumentError, FormatError, ModelError
from ggmlkit.io.base import ModelFile
from ggmlkit.quantizing import quantize
from ggmlkit.tensor import Tensor
from oracle import Oracle

TOKENS = np.random.default_rng(4).integers(0, 101, 300).tolist()


def merged(model: ModelFile, *scaled: tuple[Path, float]) -> dict[str, Tensor]:
    """The model's tensors with adapters added, by hand."""
    tensors = dict(model.tensors)
    for path, scale in scaled:
        with gk.open(path) as adapter:
            for own_name, a in adapter.items():
                if not own_name.endswith(".lora_a"):
                    continue
                name = own_name.removesuffix(".lora_a")
                b = adapter[f"{name}.lora_b"].numpy()
                change = b @ a.numpy() if name != "token_embd.weight" else (b @ a.numpy().T).T
                rank = b.shape[1]
                values = tensors[name].dequantize() + scale * 8 / rank * change
                tensors[name] = quantize(values, "f32", name=name)
    return tensors


def expected(model: ModelFile, *scaled: tuple[Path, float]) -> NDArray[np.float64]:
    return Oracle(model.metadata, merged(model, *scaled)).logits(TOKENS)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("part", [*RANKS, "all"])
def test_a_changed_matrix_equals_the_oracle(tmp_path: Path, part: str, threads: int) -> None:
    model = random_model("f32", tied=False)
    ranks = RANKS if part == "all" else {part: RANKS[part]}
    path = random_adapter(tmp_path / "a.gguf", model, parts=ranks)
    wanted = expected(model, (path, 1.0))
    llama = Llama(model, lora=[path], threads=threads)
    assert_exact(llama.logits(TOKENS), wanted)
    assert rms(wanted - expected(model)) > 0.05
    # A text longer than a chunk, then some tokens, then one: each has another path in the decoder.
    llama.reset()
    llama.eval(TOKENS[:290])
    for last, tokens in ((298, TOKENS[290:299]), (299, TOKENS[299:])):
        assert np.abs(llama.eval(tokens) - wanted[last]).max() < EXACT_MAX * wanted.std()


@pytest.mark.parametrize("kind", ["q8_0", "q4_0", "f16"])
@pytest.mark.parametrize("repack", [True, False])
def test_the_base_may_be_of_any_type(tmp_path: Path, kind: str, repack: bool) -> None:
    model = random_model(kind)
    ranks = {part: rank for part, rank in RANKS.items() if part not in ("output", "token_embd")}
    path = random_adapter(tmp_path / "a.gguf", model, parts=ranks)
    wanted = expected(model, (path, 1.0))
    got = Llama(model, lora=[path], activation_bits=16, repack=repack).logits(TOKENS)
    assert rms(got - wanted) < 1e-3 * wanted.std()
    rounded = Llama(model, lora=[path], repack=repack).logits(TOKENS)
    plain = Llama(model, repack=repack).logits(TOKENS)
    # Activations of 8 bits have the same effect on the base's products as without an adapter.
    assert rms(rounded - wanted) < 2 * rms(plain - expected(model)) + 1e-3 * wanted.std()


def test_several_adapters_add_up_with_their_scales(tmp_path: Path) -> None:
    model = random_model("f32", tied=False)
    paths = [
        random_adapter(tmp_path / f"{n}.gguf", model, n, parts)
        for n, parts in enumerate([RANKS, {"attn_q": 2, "ffn_down": 9}, {"output": 1}])
    ]
    scaled = list(zip(paths, [0.5, -2.0, 1.0], strict=True))
    assert_exact(Llama(model, lora=scaled).logits(TOKENS), expected(model, *scaled))


def test_a_scale_of_0_has_no_effect_and_opposite_ones_cancel(tmp_path: Path) -> None:
    model = random_model("f32", tied=False)
    path = random_adapter(tmp_path / "a.gguf", model)
    plain = Llama(model)
    none = Llama(model, lora=[(path, 0.0)])
    np.testing.assert_array_equal(none.logits(TOKENS), plain.logits(TOKENS))
    assert none.nbytes == plain.nbytes
    one, listed = (Llama(model, lora=lora).logits(TOKENS) for lora in (path, [(path, 1)]))
    np.testing.assert_array_equal(one, listed)
    both = Llama(model, lora=[(path, 1.5), (path, -1.5)])
    assert_exact(both.logits(TOKENS), expected(model))


def test_neither_threads_nor_the_batch_change_a_single_bit(tmp_path: Path) -> None:
    model = random_model("q4_0", tied=False)
    path = random_adapter(tmp_path / "a.gguf", model)
    one, two = (Llama(model, lora=[path], threads=n, sequences=3, context=300) for n in (1, 2))
    np.testing.assert_array_equal(one.logits(TOKENS), two.logits(TOKENS))
    for sequence, length in enumerate((3, 50, 299)):
        one.truncate(0, sequence)
        two.truncate(0, sequence)
        one.eval(TOKENS[:length], sequence)
        two.eval(TOKENS[:length], sequence)
    batch = two.decode_batch([7, 8, 9])
    for sequence, token in enumerate((7, 8, 9)):
        np.testing.assert_array_equal(batch[sequence], one.eval([token], sequence))


def test_memory_is_that_of_a_and_b(tmp_path: Path) -> None:
    model = random_model("f32", tied=False)
    path = random_adapter(tmp_path / "a.gguf", model)
    with gk.open(path) as file:
        halves = sum(tensor.nbytes for tensor in file.values())
    taken = (
        Llama(model, lora=[path], context=8, threads=1).nbytes
        - Llama(model, context=8, threads=1).nbytes
    )
    assert taken == halves


def test_a_model_works_after_its_adapter_file_is_deleted(tmp_path: Path) -> None:
    model = random_model("f32", tied=False)
    path = random_adapter(tmp_path / "a.gguf", model)
    wanted = expected(model, (path, 1.0))
    llama = Llama(model, lora=[path])
    path.write_bytes(b"")
    assert_exact(llama.logits(TOKENS), wanted)


# ------------------------------------------------------------------------ refused adapters


def test_an_adapter_of_another_model_is_refused(tmp_path: Path) -> None:
    model = random_model("f32")
    for name, a, b, reason in (
        ("blk.9.attn_q.weight", (2, 96), (128, 2), r"blk\.9\.attn_q\.weight, which the model"),
        ("blk.0.attn_q.weight", (2, 95), (128, 2), r"of shape \(128, 95\), but the model's has"),
        ("blk.0.attn_norm.weight", (2, 96), (1, 2), r"attn_norm\.weight of shape \(1, 96\)"),
        ("token_embd.weight", (101, 2), (96, 2), "which is this model's output matrix too"),
        ("output.weight", (2, 96), (101, 2), r"output\.weight, which in this model is token"),
    ):
        halves = {f"{name}.lora_a": np.ones(a), f"{name}.lora_b": np.ones(b)}
        tensors = {n: quantize(x, "f32") for n, x in halves.items()}
        gk.save(tmp_path / "a.gguf", tensors, META)
        with pytest.raises(ModelError, match=reason):
            Llama(model, lora=[tmp_path / "a.gguf"])


def test_updates_that_the_decoder_cannot_apply_are_refused() -> None:
    config = model_config(Llama(random_model("f32")).config)
    adapter = _core.Adapter(_core.ModelWeights(config, 1, True))
    a, b = np.ones((2, 96), np.float32), np.ones((2, 128), np.float32)
    for name, other, reason in (
        ("blk.0.other.weight", b, r"an adapter can't change blk\.0\.other\.weight"),
        ("blk.2.attn_q.weight", b, r"an adapter can't change blk\.2\.attn_q\.weight"),
        ("blk.0.attn_q.weight", b[:, :8], "is 8 × 96, the model needs 128 × 96"),
        ("blk.0.attn_q.weight", b[:1], "as many rows as its rank"),
        ("blk.0.attn_q.weight", b[0], "as many rows as its rank"),
    ):
        with pytest.raises(ValueError, match=reason):
            adapter.set(name, a, other)
    adapter.set("blk.0.attn_q.weight", a, b)
    with pytest.raises(ValueError, match=r"has an adapter.s update already"):
        adapter.set("blk.0.attn_q.weight", a, b)


@pytest.mark.parametrize("scale", [float("nan"), float("inf")])
def test_a_scale_is_a_number(tmp_path: Path, scale: float) -> None:
    model = random_model("f32", tied=False)
    path = random_adapter(tmp_path / "a.gguf", model)
    with pytest.raises(ArgumentError, match="scale of an adapter must be finite"):
        Llama(model, lora=[(path, scale)])


def test_damaged_adapters_are_reported(tmp_path: Path) -> None:
    model = random_model("f32", tied=False)
    path = random_adapter(tmp_path / "a.gguf", model)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1000])
    with pytest.raises(FormatError, match=r"a\.gguf"):
        Llama(model, lora=[path])
    with gk.open(random_adapter(path, model)) as file:
        half = {name: t for name, t in file.items() if name != "output.weight.lora_b"}
        gk.save(tmp_path / "half.gguf", half, META)
    with pytest.raises(FormatError, match=r"has no partner output\.weight\.lora_b"):
        Llama(model, lora=[tmp_path / "half.gguf"])

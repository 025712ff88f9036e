"""Every golden file opens, has the values of its generation, and is written again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import gguf
from decoders import decode
from ggmlkit import io
from ggmlkit.errors import ClosedError
from paths import GOLDEN

FILES = sorted(path for path in GOLDEN.glob("*.bin") if path.name != "lora-ggla.bin")
LITTLE = [path for path in FILES if "-be-" not in path.name]
NAME = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


def test_golden_files_are_here() -> None:
    assert len(FILES) == 29


@NAME
def test_container_and_version_are_recognized(path: Path) -> None:
    container, *rest = path.stem.split("-")
    with io.open(path) as file:
        assert file.container == container
        if container == "ggml":
            assert file.version is None
        elif path.stem == "ggjt-v3-f16":
            assert file.version == 1  # as the converters of that time wrote float files
        else:
            assert file.version == int(rest[0][1:])
        assert file.byte_order == ("big" if "-be-" in path.stem else "little")


@NAME
def test_hyperparameters_have_gguf_keys(path: Path) -> None:
    with io.open(path) as file:
        meta = file.metadata
        assert meta["general.architecture"] == "llama"
        assert meta["llama.embedding_length"] == 64
        assert meta["llama.block_count"] == 2
        assert meta["llama.feed_forward_length"] == 256
        assert meta["llama.attention.head_count"] == 2
        assert meta["llama.attention.head_count_kv"] == 2
        assert meta["llama.rope.dimension_count"] == 32
        assert meta["llama.attention.layer_norm_rms_epsilon"] == pytest.approx(1e-6)
        assert len(meta["tokenizer.ggml.tokens"]) == 384


def test_legacy_vocabulary_is_that_of_gguf() -> None:
    """The same tokenizer in every container."""
    with io.open(GOLDEN / "gguf-v1-f16.bin") as file:
        modern = dict(file.metadata)
    for path in LITTLE:
        with io.open(path) as file:
            meta = file.metadata
            assert meta["tokenizer.ggml.model"] == "llama"
            assert meta["tokenizer.ggml.tokens"] == modern["tokenizer.ggml.tokens"], path
            assert np.array_equal(
                meta["tokenizer.ggml.token_type"], modern["tokenizer.ggml.token_type"]
            )
            if file.container == "ggml":
                assert "tokenizer.ggml.scores" not in meta
            else:
                assert np.array_equal(
                    meta["tokenizer.ggml.scores"], modern["tokenizer.ggml.scores"]
                )


@NAME
def test_values_are_those_of_its_generation(path: Path) -> None:
    with io.open(path) as file:
        assert len(file) == 21
        for tensor in file.tensors.values():
            expected = decode(tensor.type.name, tensor.data, tensor.shape)
            assert tensor.dequantize().tobytes() == expected.tobytes(), tensor


@pytest.mark.parametrize(
    "path", [p for p in FILES if p.stem.startswith("gg")], ids=lambda path: path.stem
)
def test_quantized_values_lie_near_the_f16_ones(path: Path) -> None:
    """Finds a mistake about a layout that the reader and the oracle have in common."""
    source = "gguf-v1-f16.bin" if path.stem.startswith("gguf") else "ggml-f16.bin"
    worst = {"q4": 0.09, "q5": 0.045, "q8": 0.008}
    with io.open(path) as file, io.open(GOLDEN / source) as exact:
        for name, tensor in file.tensors.items():
            values, wanted = tensor.dequantize(), exact[name].dequantize()
            allowed = worst.get(tensor.type.name[:2], 0.0) * 1.5 * np.abs(wanted).max()
            assert np.abs(values - wanted).max() <= allowed, (tensor, allowed)


def is_terminated(path: Path) -> bool:
    """Whether the file is from the quantizer that ended strings with a zero byte."""
    return path.stem.startswith("gguf-v1-q")


def rewritten(path: Path, out: Path) -> bytes:
    with io.open(path) as file:
        io.save(
            out,
            file.tensors,
            file.metadata,
            container=file.container,
            version=file.version,
            value_types=file.value_types,
        )
    return out.read_bytes()


@pytest.mark.parametrize(
    "path", [p for p in LITTLE if not is_terminated(p)], ids=lambda path: path.stem
)
def test_rewriting_gives_the_same_bytes(path: Path, tmp_path: Path) -> None:
    assert rewritten(path, tmp_path / "again.bin") == path.read_bytes()


@pytest.mark.parametrize("path", filter(is_terminated, LITTLE), ids=lambda path: path.stem)
def test_rewriting_drops_the_zero_bytes_that_end_strings(path: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.bin"
    first = rewritten(path, again)
    assert b"general.architecture\0\x08" in path.read_bytes()
    assert rewritten(again, tmp_path / "third.bin") == first
    with io.open(path) as old, io.open(again) as new:
        assert old.names == new.names
        assert old.metadata["tokenizer.ggml.tokens"] == new.metadata["tokenizer.ggml.tokens"]
        assert all(np.array_equal(old[name].data, new[name].data) for name in old)


# Legacy layouts that today's gguf has too, without loss: those with float16 scales, and their names
# in gguf. float32 scales would lose bits, so the other layouts become float32 values.
LOSSLESS = {"q5_0_v1": "q5_0", "q5_1_v1": "q5_1"}


@NAME
def test_rewritten_as_todays_gguf(path: Path, tmp_path: Path) -> None:
    out = tmp_path / "today.gguf"
    with io.open(path) as file:
        todays = {}
        values = {}
        for name, tensor in file.tensors.items():
            values[name] = tensor.dequantize()
            todays[name] = tensor if tensor.type.generation == "gguf" else tensor.astype("f32")
        io.save(out, todays, file.metadata, value_types=file.value_types)
        tokens = file.metadata["tokenizer.ggml.tokens"]
    reader = gguf.GGUFReader(out)
    assert [t.name for t in reader.tensors] == list(values)
    for stored in reader.tensors:
        seen = gguf.dequantize(stored.data, stored.tensor_type)
        assert np.array_equal(seen.reshape(values[stored.name].shape), values[stored.name])
    assert reader.fields["tokenizer.ggml.tokens"].contents() == tokens
    assert reader.fields["llama.block_count"].contents() == 2


@pytest.mark.parametrize("stem", ["ggjt-v1-q5_0", "ggjt-v1-q5_1"])
def test_v1_layouts_with_half_scales_become_todays_without_loss(stem: str) -> None:
    with io.open(GOLDEN / f"{stem}.bin") as file:
        for tensor in file.tensors.values():
            if tensor.type.name in LOSSLESS:
                today = tensor.astype(LOSSLESS[tensor.type.name])
                assert np.array_equal(today.dequantize(), tensor.dequantize())


def test_opening_reads_no_data_and_views_are_not_copied() -> None:
    with io.open(GOLDEN / "gguf-v1-f16.bin") as file:
        first, second = (file["output.weight"].data for _ in range(2))
        assert np.shares_memory(first, second)
        assert not first.flags.writeable


@NAME
def test_a_closed_file_raises_closed_error(path: Path) -> None:
    file = io.open(path)
    name, tensor = next(iter(file.items()))
    file.close()
    with pytest.raises(ClosedError, match="is closed; open it again"):
        _ = tensor.data
    with pytest.raises(ClosedError, match="is closed; open it again"):
        file[name]
    assert repr(file).endswith(", closed>")

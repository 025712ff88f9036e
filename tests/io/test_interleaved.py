"""The interleaved layouts of 2024 are read as plain blocks.

``tests/data/interleaved`` has one model four times: ``q4_0.gguf`` and its interleaved forms,
written by `llama_model_quantize` (pure) of the llama.cpp in llama-cpp-python 0.3.1 from the same
random weights. ``iq4_nl.npz`` holds 16 rows of 96 weights and their form in memory in the llama.cpp
of llama-cpp-python 0.3.4 (`make_block_iq4_nlx4`), as no release wrote such files itself. All other
blocks are interleaved here from the format's description.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import ggmlkit as gk
from command import ggmlkit
from ggmlkit import Llama, io
from ggmlkit.conversion.convert import convert
from ggmlkit.io.gguf.metadata_edit import edit_metadata
from ggmlkit.io.gguf.split import merge_files, split_file
from ggmlkit.io.interleaved import RETIRED, Interleaved, in_row_order, plain_file_type
from ggmlkit.io.writing.stream import parts_of
from ggmlkit.quantization.file import quantize_file
from paths import DATA
from raw_gguf import Entry, raw_gguf

DATA = DATA / "interleaved"
PLAIN = DATA / "q4_0.gguf"
FILE_TYPES = {"q4_0_4_4": 33, "q4_0_4_8": 34, "q4_0_8_8": 35}
# By name: rows, bytes of a piece, the XOR mask of nibble bytes; from the format's description.
FACTS = {
    31: ("q4_0_4_4", "q4_0", 4, 4, 0x88),
    32: ("q4_0_4_8", "q4_0", 4, 8, 0x88),
    33: ("q4_0_8_8", "q4_0", 8, 8, 0x88),
    36: ("iq4_nl_4_4", "iq4_nl", 4, 4, 0),
    37: ("iq4_nl_4_8", "iq4_nl", 4, 8, 0),
    38: ("iq4_nl_8_8", "iq4_nl", 8, 8, 0),
}
LAYOUTS = pytest.mark.parametrize("number", FACTS)
FILES = pytest.mark.parametrize("name", FILE_TYPES)


def interleaved(plain: gk.Tensor, number: int, byte_order: str = "little") -> bytes:
    """The rows of a tensor in the layout, byte by byte."""
    _, _, rows, piece, flipped = FACTS[number]
    if not plain.size:
        return b""
    blocks = plain.data.reshape(-1, plain.shape[-1] // 32, 18)
    out = bytearray()
    for first in range(0, len(blocks), rows):
        for column in range(blocks.shape[1]):
            group = blocks[first : first + rows, column]
            for block in group:
                out += bytes(block[:2] if byte_order == "little" else block[1::-1])
            for i in range(16 // piece * rows):
                start = 2 + i // rows * piece
                out += bytes(b ^ flipped for b in group[i % rows, start : start + piece])
    return bytes(out)


def weights(shape: tuple[int, ...], number: int) -> gk.Tensor:
    x = np.random.default_rng(number).standard_normal(shape).astype(np.float32)
    return gk.quantize(x, FACTS[number][1], name="w")


def test_all_layouts_are_known() -> None:
    assert {
        number: (t.name, t.plain.name, t.rows, t.piece, t.flipped) for number, t in RETIRED.items()
    } == FACTS


@FILES
def test_a_release_of_2024_agrees(name: str) -> None:
    with io.open(PLAIN) as plain, io.open(DATA / f"{name}.gguf") as file:
        assert file.names == plain.names
        for key, tensor in file.items():
            assert (tensor.type, tensor.shape) == (plain[key].type, plain[key].shape)
            assert np.array_equal(tensor.data, plain[key].data), key
            assert np.array_equal(tensor.dequantize(), plain[key].dequantize()), key
        stored = {tensor.stored_as for tensor in file.values()}
        assert name in stored
        assert file.metadata["general.file_type"] == FILE_TYPES[name]


def test_llama_cpps_interleaving_of_iq4_nl() -> None:
    with np.load(DATA / "iq4_nl.npz") as arrays:
        plain, stored = arrays["iq4_nl"], arrays["iq4_nl_4_4"]
    assert not np.array_equal(plain, stored)
    tensor = in_row_order(gk.Tensor("i8", stored.shape, stored), RETIRED[36], (16, 96), "little")
    assert np.array_equal(tensor.data, plain)


@LAYOUTS
@pytest.mark.parametrize("byte_order", ["little", "big"])
@pytest.mark.parametrize("shape", [(8, 32), (24, 96), (3, 16, 64), (2, 1, 8, 32), (0, 32), (8, 0)])
def test_any_shape_in_either_byte_order(
    tmp_path: Path, number: int, byte_order: str, shape: tuple[int, ...]
) -> None:
    plain = weights(shape, number)
    path = tmp_path / "m.gguf"
    entry = Entry("w", shape, number, interleaved(plain, number, byte_order))
    path.write_bytes(raw_gguf([entry], byte_order))
    with io.open(path) as file:
        tensor = file["w"]
        assert (tensor.type, tensor.stored_as) == (plain.type, FACTS[number][0])
        assert np.array_equal(tensor.data, plain.data)
        assert np.array_equal(tensor.dequantize(), plain.dequantize())


@pytest.mark.parametrize("number", [33, 36])
def test_long_tensors_are_made_in_parts(tmp_path: Path, number: int) -> None:
    plain = weights((528, 4096), number)  # more than a part, not a whole number of them
    path, out = tmp_path / "m.gguf", tmp_path / "out.gguf"
    path.write_bytes(raw_gguf([Entry("w", plain.shape, number, interleaved(plain, number))]))
    with io.open(path) as file:
        sizes = [part.nbytes for part in parts_of(file["w"])]
        assert len(sizes) == 2
        assert max(sizes) <= 1 << 20
        io.save(out, file.tensors, file.metadata, threads=2)
    with io.open(out) as file:
        assert file["w"].stored_as == plain.type.name
        assert np.array_equal(file["w"].data, plain.data)


# ---------------------------------------------------------------- models


@FILES
def test_a_model_runs(name: str) -> None:
    """Its embedding is interleaved too, but of 8_8, whose rows are not a multiple of eight."""
    with io.open(DATA / f"{name}.gguf") as file:
        assert (file["token_embd.weight"].stored_as == name) == (name != "q4_0_8_8")
    plain, model = Llama(PLAIN, threads=1), Llama(DATA / f"{name}.gguf", threads=1)
    tokens = plain.tokenize("to the bit")
    assert np.array_equal(model.eval(tokens), plain.eval(tokens))
    pieces = model.generate("to", max_tokens=8, temperature=0)
    assert "".join(pieces) == "".join(plain.generate("to", max_tokens=8, temperature=0))


def through_split(path: Path, out: Path) -> None:
    parts = split_file(path, out.with_suffix(""), max_tensors=3)
    merge_files(parts[1], out)


def through_save(path: Path, out: Path) -> None:
    with io.open(path) as file:
        io.save(out, file.tensors, file.metadata, stored_values=file.stored_values())


def through_edit(path: Path, out: Path) -> None:
    out.write_bytes(path.read_bytes())
    assert not edit_metadata(out, {"general.name": "n" * 100})


def through_convert(path: Path, out: Path) -> None:
    convert(path, out, type="q4_0", pure=True)


def through_quantize(path: Path, out: Path) -> None:
    quantize_file(path, out, "q4_0", pure=True)


REWRITES = [through_split, through_save, through_edit, through_quantize, through_convert]


@FILES
@pytest.mark.parametrize("rewrite", REWRITES)
def test_a_rewritten_file_is_plain(
    tmp_path: Path, name: str, rewrite: Callable[[Path, Path], None]
) -> None:
    outs = [tmp_path / f"{which}.gguf" for which in ("found", "expected")]
    for path, out in zip((DATA / f"{name}.gguf", PLAIN), outs, strict=True):
        rewrite(path, out)
    found, expected = outs
    assert found.read_bytes() == expected.read_bytes()
    with io.open(found) as file:
        assert file.metadata["general.file_type"] == 2
        assert {t.stored_as for t in file.values()} == {"q4_0", "f32"}


def test_ggjt_files_have_plain_types_too(tmp_path: Path) -> None:
    with io.open(DATA.parent / "golden" / "ggjt-v3-q4_0.bin") as file:
        io.save(tmp_path / "m.bin", file.tensors, {**file.metadata, "general.file_type": 35})
    with io.open(tmp_path / "m.bin") as saved:
        assert saved.metadata["general.file_type"] == 2


def test_metadata_changed_in_place_leaves_the_layout(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes((DATA / "q4_0_4_4.gguf").read_bytes())
    assert edit_metadata(path, {"general.name": "INTERLEAVED"})
    with io.open(path) as file:
        assert file.metadata["general.file_type"] == 33
        assert file["blk.0.attn_q.weight"].stored_as == "q4_0_4_4"


def test_file_types() -> None:
    assert [plain_file_type(n) for n in (2, 32, 33, 34, 35, 36, 2035)] == [2, 32, 2, 2, 2, 36, 2002]


def test_commands_show_what_is_stored() -> None:
    path = DATA / "q4_0_8_8.gguf"
    assert "q4_0_8_8" in ggmlkit("inspect", path).stdout
    assert '"q4_0_8_8"' in ggmlkit("inspect", path, "--json").stdout
    assert "nothing is wrong" in ggmlkit("verify", path).stdout
    assert "8 in both" not in ggmlkit("compare", path, PLAIN, code=1).stdout
    assert "0 of them different" in ggmlkit("compare", path, PLAIN, code=1).stdout


# ---------------------------------------------------------------- hostile files


@LAYOUTS
@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        ((32,), "1 rows are not a multiple of"),
        ((), "not a multiple"),
        ((6, 32), "6 rows are not a multiple of"),
        ((4, 3, 32), "3 rows are not a multiple of"),  # although twelve rows are
        ((8, 33), "not a multiple of the"),
        ((8, 2**58), "impossible shape"),
        ((2**40, 32), "but the file has only"),
        ((16, 64), "but the file has only"),  # a byte too few
    ],
)
def test_shapes_that_no_file_has(
    tmp_path: Path, number: int, shape: tuple[int, ...], reason: str
) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(raw_gguf([Entry("w", shape, number, bytes(16 * 36 - 1))])[:-1])
    with pytest.raises(gk.FormatError, match=reason) as caught:
        io.open(path)
    assert "tensor 'w'" in str(caught.value)


def test_only_groups_of_the_layouts_rows(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(raw_gguf([Entry("w", (12, 32), 33, bytes(12 * 18))]))
    with pytest.raises(gk.FormatError, match="not a multiple of the 8 that q4_0_8_8 interleaves"):
        io.open(path)


@pytest.mark.parametrize("generation", ["ggjt-v1", "ggjt-v2", "gguf"])
def test_no_legacy_file_has_them(generation: str) -> None:
    with pytest.raises(gk.UnsupportedTypeError, match="31 is not known"):
        gk.types.by_id(31, generation)


def test_a_file_cut_short_while_it_is_read(tmp_path: Path) -> None:
    plain = weights((1024, 512), 31)
    path = tmp_path / "m.gguf"
    path.write_bytes(raw_gguf([Entry("w", plain.shape, 31, interleaved(plain, 31))]))
    with io.open(path) as file:
        with path.open("r+b") as cut:
            cut.truncate(4096)
        with pytest.raises(gk.FormatError, match="cut short"):
            file["w"].dequantize()


def test_layouts_are_described() -> None:
    layout: Interleaved = RETIRED[32]
    assert (layout.name, layout.plain.name) == ("q4_0_4_8", "q4_0")

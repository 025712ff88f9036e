"""Tensors of an unknown type: the file opens, and all other tensors can be read."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ggmlkit as gk
from command import ggmlkit
from ggmlkit import Llama, io
from ggmlkit.conversion.convert import convert
from ggmlkit.inspection.compare import compare_files
from ggmlkit.inspection.repair import repair_file
from ggmlkit.inspection.verify import verify_file
from ggmlkit.io.gguf.metadata_edit import edit_metadata
from ggmlkit.io.gguf.split import merge_files, split_file
from ggmlkit.io.unknown_tensor import UnknownTensor
from ggmlkit.quantization.file import quantize_file
from paths import DATA
from raw_gguf import Entry, padded, raw_gguf

KNOWN = {t.ggml_id for t in gk.types.ALL if t.generation == "gguf"} | {31, 32, 33, 36, 37, 38}
NUMBERS = [4, 5, *range(43, 256), 2**31 - 1, 2**31, 2**32 - 1]
VALUES = np.arange(32, dtype="<f4")
SECRET = bytes(range(100))


def floats(name: str, byte_order: str = "little") -> Entry:
    values = VALUES if byte_order == "little" else VALUES.astype(">f4")
    return Entry(name, (32,), 0, values.tobytes())


def file_with(
    folder: Path, number: int = 77, byte_order: str = "little", last: bool = False
) -> Path:
    """f32 tensors before and after one of an unknown type, or that one as the last."""
    unknown = Entry("u", (4, 64), number, SECRET)
    first, second = floats("a", byte_order), floats("b", byte_order)
    path = folder / "m.gguf"
    path.write_bytes(
        raw_gguf([first, second, unknown] if last else [first, unknown, second], byte_order)
    )
    return path


def kept(file: gk.ModelFile) -> bytes | None:
    tensor = file["u"]
    assert isinstance(tensor, UnknownTensor)
    assert tensor.shape == (4, 64)
    return None if tensor.kept is None else tensor.kept.data.tobytes()


def check_others(file: gk.ModelFile) -> None:
    for name in ("a", "b"):
        assert np.array_equal(file[name].numpy(), VALUES)


def test_every_number_is_known_or_not() -> None:
    assert KNOWN.isdisjoint(NUMBERS)
    assert set(range(256)) == KNOWN | {n for n in NUMBERS if n < 256}


@pytest.mark.parametrize("byte_order", ["little", "big"])
def test_all_else_can_be_read(tmp_path: Path, byte_order: str) -> None:
    for number in NUMBERS:
        path = file_with(tmp_path, number, byte_order)
        with io.open(path) as file:
            assert file.names == ["a", "u", "b"]
            check_others(file)
            assert kept(file) == padded(SECRET)
            assert file["u"].stored_as == f"type {number}"
            with pytest.raises(
                gk.UnsupportedTypeError, match=f"has type number {number},"
            ) as caught:
                _ = file["u"].data
            assert str(path) in str(caught.value)
            assert "tensor 'u'" in str(caught.value)


def test_a_file_of_all_known_types_and_one_more(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    entries = []
    for kind in gk.types.ALL:
        if kind.generation == "gguf":
            data = rng.integers(0, 256, 8 * kind.block_bytes, np.uint8).tobytes()
            entries.append(Entry(kind.name, (8, kind.block_size), kind.ggml_id, data))
    entries.insert(7, Entry("u", (4, 64), 99, SECRET))
    path = tmp_path / "m.gguf"
    path.write_bytes(raw_gguf(entries))
    with io.open(path) as file:
        for entry in entries:
            if entry.name != "u":
                assert file[entry.name].type.name == entry.name
                assert file[entry.name].data.tobytes() == entry.data
        assert kept(file) == padded(SECRET)


USES: dict[str, Callable[[gk.Tensor], Any]] = {
    "numpy": lambda t: t.numpy(),
    "dequantize": lambda t: t.dequantize(),
    "astype": lambda t: t.astype("f16"),
    "quantize": lambda t: gk.quantize(t, "q8_0"),
    "product": lambda t: np.ones((1, 64)) @ t.T,
    "asarray": np.asarray,
    "renamed": lambda t: t.renamed("other").data,
    "save": lambda t: gk.save("never.gguf", [t], {}),
    "save ggjt": lambda t: gk.save("never.bin", [t], {}),
}


@pytest.mark.parametrize("use", USES)
def test_each_use_of_its_values_is_refused_with_a_reason(tmp_path: Path, use: str) -> None:
    with io.open(file_with(tmp_path)) as file, pytest.raises(gk.UnsupportedTypeError) as caught:
        USES[use](file["u"])
    assert "has type number 77, which this version of ggmlkit doesn't know" in str(caught.value)


# ---------------------------------------------------------------- copies


def edited(path: Path, out: Path) -> None:
    out.write_bytes(path.read_bytes())
    assert not edit_metadata(out, {"general.name": "n" * 500})


def split_and_merged(path: Path, out: Path) -> None:
    merge_files(split_file(path, out.with_suffix(""), max_tensors=1)[2], out)


def repaired(path: Path, out: Path) -> None:
    assert repair_file(path, out).lost == []


@pytest.mark.parametrize("copy", [edited, split_and_merged, repaired])
@pytest.mark.parametrize("byte_order", ["little", "big"])
@pytest.mark.parametrize("last", [False, True])
def test_copies_keep_its_bytes(
    tmp_path: Path, copy: Callable[[Path, Path], None], byte_order: str, last: bool
) -> None:
    out = tmp_path / "out.gguf"
    copy(file_with(tmp_path, byte_order=byte_order, last=last), out)
    with io.open(out) as file:
        assert file.byte_order == byte_order
        assert file["u"].type.ggml_id == 77
        assert kept(file) == padded(SECRET)
        check_others(file)


def test_metadata_changed_in_place_touches_no_data(tmp_path: Path) -> None:
    path = file_with(tmp_path, last=True)
    edited(path, tmp_path / "named.gguf")
    before = (tmp_path / "named.gguf").read_bytes()
    assert edit_metadata(tmp_path / "named.gguf", {"general.name": "m" * 500})
    assert (tmp_path / "named.gguf").read_bytes() == before.replace(b"n" * 500, b"m" * 500)


def test_its_bytes_cannot_be_swapped(tmp_path: Path) -> None:
    with io.open(file_with(tmp_path)) as file:
        unknown = file["u"]
        assert isinstance(unknown, UnknownTensor)
        assert unknown.kept is not None
        with pytest.raises(gk.UnsupportedTypeError, match="can't be converted to the other byte"):
            gk.save(tmp_path / "big.gguf", {"u": unknown.kept}, {}, byte_order="big")


def entries_of_uncertain_size() -> dict[str, list[Entry]]:
    unknown = Entry("u", (4, 64), 77, SECRET)
    return {
        "two begin together": [unknown, Entry("b", (32,), 0, VALUES.tobytes(), offset=0)],
        "two unknown ones begin together": [unknown, Entry("v", (4,), 78, SECRET, offset=0)],
        "another reaches across": [
            Entry("b", (64,), 0, VALUES.tobytes() * 2),
            Entry("u", (4, 64), 77, SECRET, offset=128),
        ],
    }


@pytest.mark.parametrize("which", [*entries_of_uncertain_size(), "the file's end is cut off"])
def test_what_is_not_certain_is_not_copied(tmp_path: Path, which: str) -> None:
    path = tmp_path / "m.gguf"
    if which in entries_of_uncertain_size():
        path.write_bytes(raw_gguf(entries_of_uncertain_size()[which], end=bytes(64)))
    else:
        path = file_with(tmp_path, last=True)
        path.write_bytes(path.read_bytes()[:-5])
    with io.open(path) as file:
        assert kept(file) is None
        if "a" in file:
            check_others(file)
    reason = "tensor '[uv]' has type number 7[78], .* the number of bytes to copy is not known"
    with pytest.raises(gk.UnsupportedTypeError, match=reason):
        split_file(path, tmp_path / "part", max_tensors=1)
    before = path.read_bytes()
    with pytest.raises(gk.UnsupportedTypeError, match=reason):
        edit_metadata(path, {"general.name": "n" * 500})
    assert path.read_bytes() == before


def test_repair_counts_it_as_lost_then(tmp_path: Path) -> None:
    path, out = file_with(tmp_path, last=True), tmp_path / "out.gguf"
    path.write_bytes(path.read_bytes()[:-5])
    report = repair_file(path, out)
    assert report.saved == ["a", "b"]
    assert [tensor.name for tensor in report.lost] == ["u"]
    assert "because its type 77 is not known" in report.lost[0].reason


def test_a_lost_tensor_ends_the_one_before_it(tmp_path: Path) -> None:
    path, out = tmp_path / "m.gguf", tmp_path / "out.gguf"
    broken = Entry("b", (33,), 2, VALUES.tobytes())
    path.write_bytes(raw_gguf([floats("a"), Entry("u", (4, 64), 77, SECRET), broken]))
    assert [tensor.name for tensor in repair_file(path, out).lost] == ["b"]
    with io.open(out) as file:
        assert kept(file) == padded(SECRET)


# ---------------------------------------------------------------- commands


def test_commands_show_it(tmp_path: Path) -> None:
    path = file_with(tmp_path)
    shown = ggmlkit("inspect", path).stdout
    assert "type 77: not known to this version" in shown
    (unknown,) = [
        t
        for t in json.loads(ggmlkit("inspect", path, "--json").stdout)["tensors"]
        if t["name"] == "u"
    ]
    assert unknown == {"name": "u", "type": "type 77", "shape": [4, 64], "nbytes": None}


def test_verify_checks_all_other_tensors(tmp_path: Path) -> None:
    report = verify_file(file_with(tmp_path), sha256=True)
    assert [t.statistics is not None for t in report.tensors] == [True, False, True]
    assert len(report.all_problems) == 1
    assert "tensor 'u' has type number 77" in report.all_problems[0]


@pytest.mark.parametrize("which", entries_of_uncertain_size())
def test_verify_finds_tensors_that_overlap_it(tmp_path: Path, which: str) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(raw_gguf(entries_of_uncertain_size()[which], end=bytes(64)))
    (problem,) = verify_file(path).problems
    assert "'u'" in problem
    assert "share bytes" in problem


def test_compare_uses_its_bytes(tmp_path: Path) -> None:
    path = file_with(tmp_path)
    other = tmp_path / "other.gguf"
    other.write_bytes(path.read_bytes())
    assert compare_files(path, other).same
    other.write_bytes(path.read_bytes().replace(SECRET[:4], b"\0\0\0\0"))
    pairs = {pair.name: pair for pair in compare_files(path, other).tensors}
    assert (pairs["u"].identical, pairs["u"].errors) == (False, None)
    assert pairs["a"].identical
    assert "values unknown to this build" in ggmlkit("compare", path, other, code=1).stdout


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A working model in which one matrix gets a type number from the future."""
    raw = bytearray((DATA / "interleaved" / "q4_0.gguf").read_bytes())
    name = b"blk.0.attn_k.weight"
    place = raw.index(name) + len(name) + 4 + 2 * 8
    assert struct.unpack_from("<I", raw, place) == (2,)
    struct.pack_into("<I", raw, place, 77)
    path = tmp_path / "model.gguf"
    path.write_bytes(raw)
    return path


@pytest.mark.parametrize(
    "use",
    [
        Llama,
        lambda path: quantize_file(path, path.with_name("out.gguf"), "q8_0"),
        lambda path: convert(path, path.with_name("out.gguf")),
        lambda path: gk.export(path, path.with_name("out")),
    ],
    ids=["run", "quantize", "convert", "export"],
)
def test_a_model_is_refused_by_the_tensors_name(model: Path, use: Callable[[Path], object]) -> None:
    with pytest.raises(gk.UnsupportedTypeError, match=r"tensor 'blk\.0\.attn_k\.weight' has type"):
        use(model)
    assert not model.with_name("out.gguf").exists()


# ---------------------------------------------------------------- damaged files


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (Entry("u", (2**61,), 77, b""), "impossible shape"),
        (Entry("u", (2**40, 2**40), 77, b""), "impossible shape"),
        (Entry("u", (4,), 77, SECRET, offset=2**63), "starts at byte .* but the file has only"),
        (Entry("u", (4,), 77, b"", offset=0), "starts at byte .* but the file has only"),
        (Entry("u", (0, 4), 77, SECRET, offset=2**40), "starts at byte .* but the file has only"),
        (Entry("u", (4,), 77, SECRET, offset=3), "not a multiple of 32"),
    ],
)
def test_faults_that_no_type_can_explain(tmp_path: Path, entry: Entry, reason: str) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(raw_gguf([entry]))
    with pytest.raises(gk.FormatError, match=reason):
        io.open(path)


def test_in_files_before_gguf_it_is_an_error(tmp_path: Path) -> None:
    raw = bytearray((DATA / "golden" / "ggjt-v3-q4_0.bin").read_bytes())
    name = b"layers.1.attention.wq.weight"
    place = raw.index(name) - 12  # its type, and two sizes
    assert struct.unpack_from("<I", raw, place) == (2,)
    for number in (31, 77, 2**32 - 1):
        struct.pack_into("<I", raw, place, number)
        path = tmp_path / "m.bin"
        path.write_bytes(raw)
        with pytest.raises(gk.FormatError, match="start of the next tensor is not known") as caught:
            io.open(path)
        assert f"tensor '{name.decode()}'" in str(caught.value)
        assert len(repair_file(path, tmp_path / "saved.bin").saved) > 5

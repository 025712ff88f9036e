"""Importance matrices of both forms; the bytes of the binary form are made here."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ggmlkit as gk
import gguf
from ggmlkit import io
from ggmlkit.io.imatrix import Imatrix, ImatrixEntry, read_imatrix, save_imatrix
from paths import GOLDEN

TAIL = struct.pack("<i", 5) + struct.pack("<i", 8) + b"wiki.raw"


def dat_entry(name: str, calls: int, values: list[float]) -> bytes:
    raw = name.encode()
    head = struct.pack("<i", len(raw)) + raw + struct.pack("<2i", calls, len(values))
    return head + struct.pack(f"<{len(values)}f", *values)


def dat(*entries: bytes, count: int | None = None, tail: bytes = TAIL) -> bytes:
    return struct.pack("<i", len(entries) if count is None else count) + b"".join(entries) + tail


TWO = (dat_entry("blk.0.attn_q.weight", 4, [8.0, 4.0, 0.0]), dat_entry("output.weight", 2, [1.0]))


def write_gguf_form(path: Path, tensors: dict[str, np.ndarray], **metadata: Any) -> Path:
    """Writes a file like llama-imatrix's, with the gguf package."""
    writer = gguf.GGUFWriter(path, "")
    writer.kv_data[0].clear()  # such files have no architecture
    writer.add_type("imatrix")
    writer.add_array("imatrix.datasets", metadata.get("datasets", ["wiki.raw"]))
    writer.add_uint32("imatrix.chunk_count", metadata.get("chunk_count", 5))
    writer.add_uint32("imatrix.chunk_size", metadata.get("chunk_size", 512))
    for name, array in tensors.items():
        writer.add_tensor(name, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def floats(*rows: list[float]) -> np.ndarray:
    return np.array(rows, np.float32)


def test_the_binary_form(tmp_path: Path) -> None:
    path = tmp_path / "imatrix.dat"
    path.write_bytes(dat(*TWO))
    found = read_imatrix(path)
    assert list(found.entries) == ["blk.0.attn_q.weight", "output.weight"]
    assert (found.datasets, found.chunk_count, found.chunk_size) == (["wiki.raw"], 5, 0)
    entry = found.entries["blk.0.attn_q.weight"]
    assert entry.sums.dtype == entry.counts.dtype == np.float32
    assert entry.sums.tolist() == [[8.0, 4.0, 0.0]]
    assert entry.counts.tolist() == [4.0]
    assert entry.means.tolist() == [[2.0, 1.0, 0.0]]


def test_the_gguf_form(tmp_path: Path) -> None:
    path = write_gguf_form(
        tmp_path / "imatrix.gguf",
        {
            "blk.0.ffn_gate_exps.weight.in_sum2": floats([2, 4], [0, 0], [9, 3]),
            "blk.0.ffn_gate_exps.weight.counts": floats([2], [0], [3]),
            "output.weight.in_sum2": floats([1, 2, 3]),
            "output.weight.counts": floats([1]),
            "output.weight.else": floats([1]),
        },
    )
    found = read_imatrix(path)
    assert (found.datasets, found.chunk_count, found.chunk_size) == (["wiki.raw"], 5, 512)
    experts = found.entries["blk.0.ffn_gate_exps.weight"]
    assert experts.counts.tolist() == [2, 0, 3]
    assert experts.means.tolist() == [[1, 2], [1, 1], [3, 1]]
    assert found.entries["output.weight"].sums.tolist() == [[1, 2, 3]]
    assert len(found.entries) == 2


def test_either_form_opens_as_a_file_of_tensors(tmp_path: Path) -> None:
    (tmp_path / "imatrix.dat").write_bytes(dat(*TWO))
    with io.open(tmp_path / "imatrix.dat") as file:
        assert file.container == "imatrix"
        assert file.names == [
            "blk.0.attn_q.weight.in_sum2",
            "blk.0.attn_q.weight.counts",
            "output.weight.in_sum2",
            "output.weight.counts",
        ]
        assert file["blk.0.attn_q.weight.in_sum2"].dequantize().tolist() == [[8.0, 4.0, 0.0]]
        assert file.metadata == {
            "general.type": "imatrix",
            "imatrix.chunk_count": 5,
            "imatrix.datasets": ["wiki.raw"],
        }
        io.save(tmp_path / "as.gguf", file.tensors, file.metadata, value_types=file.value_types)
    one, two = read_imatrix(tmp_path / "imatrix.dat"), read_imatrix(tmp_path / "as.gguf")
    assert one.datasets == two.datasets
    for name, entry in one.entries.items():
        assert np.array_equal(entry.means, two.entries[name].means)


@pytest.mark.parametrize(
    ("tail", "chunks", "datasets"),
    [
        (b"", 0, []),
        (struct.pack("<i", 7), 7, []),
        (struct.pack("<2i", 7, 0), 7, []),
    ],
)
def test_the_end_of_older_files_may_be_missing(
    tmp_path: Path, tail: bytes, chunks: int, datasets: list[str]
) -> None:
    (tmp_path / "imatrix.dat").write_bytes(dat(*TWO, tail=tail))
    found = read_imatrix(tmp_path / "imatrix.dat")
    assert (found.chunk_count, found.datasets) == (chunks, datasets)


def test_values_that_were_never_summed_are_the_means(tmp_path: Path) -> None:
    (tmp_path / "imatrix.dat").write_bytes(dat(dat_entry("a.weight", 0, [3.0])))
    assert read_imatrix(tmp_path / "imatrix.dat").entries["a.weight"].means.tolist() == [[3.0]]


def test_a_saved_matrix_can_be_read(tmp_path: Path) -> None:
    entries = {
        "b.weight": ImatrixEntry(floats([1, 2], [3, 4]), np.array([5, 6], np.float32)),
        "a.weight": ImatrixEntry(floats([1]), np.array([1], np.float32)),
    }
    save_imatrix(tmp_path / "i.gguf", Imatrix(entries, ["x", "y"], 3, 128))
    found = read_imatrix(tmp_path / "i.gguf")
    assert (found.datasets, found.chunk_count, found.chunk_size) == (["x", "y"], 3, 128)
    assert list(found.entries) == ["a.weight", "b.weight"]
    for name, entry in entries.items():
        assert np.array_equal(found.entries[name].sums, entry.sums)
        assert np.array_equal(found.entries[name].counts, entry.counts)
    reader = gguf.GGUFReader(tmp_path / "i.gguf")
    assert reader.fields["imatrix.chunk_count"].types == [gguf.GGUFValueType.UINT32]
    assert {t.name: t.shape.tolist() for t in reader.tensors}["b.weight.in_sum2"] == [2, 2]


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (dat(*TWO, count=3), "length of the entry's name|name has|ends after"),
        (dat(*TWO, count=2**20), "can't fit"),
        (dat(*TWO, tail=TAIL + b"x"), "1 bytes follow"),
        (dat(*TWO, tail=TAIL[:-1]), "ends after"),
        (dat(*TWO, tail=struct.pack("<i", -1)), "chunks is -1"),
        (dat(*TWO, tail=struct.pack("<2i", 1, -1)), "has -1 bytes"),
        (dat(*TWO, tail=struct.pack("<2i", 1, 1) + b"\xff"), "not UTF-8"),
        (dat(TWO[0], TWO[0]), "twice"),
        (dat(dat_entry("a.weight", -1, [1.0])), "-1 calls"),
        (dat(dat_entry("a.weight", 1, [])), "0 values"),
        (dat(dat_entry("a.weight", 1, [1.0])[:-4], tail=b""), "has only"),
        (
            struct.pack("<2i", 1, 1) + b"a" + struct.pack("<2i", 1, 2**31 - 1) + bytes(8),
            "has only",
        ),
        (dat(dat_entry("a.weight", 1, [1.0, float("nan")])), "'a.weight.in_sum2' holds nan at 1"),
        (dat(dat_entry("a.weight", 1, [float("inf")])), "holds inf at 0"),
        (dat(dat_entry("a.weight", 1, [-1.0])), "holds -1.0 at 0"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_fault_of_the_binary_form_is_reported(tmp_path: Path, raw: bytes, reason: str) -> None:
    path = tmp_path / "imatrix.dat"
    path.write_bytes(raw)
    with pytest.raises(gk.FormatError, match=reason) as caught:
        read_imatrix(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("tensors", "metadata", "reason"),
    [
        ({"a.in_sum2": floats([1])}, {}, "no counts"),
        ({"a.counts": floats([1])}, {}, "no sums"),
        ({"a": floats([1])}, {}, "no entries"),
        ({"a.in_sum2": floats([1, 2, 3]), "a.counts": floats([1], [1])}, {}, "3 sums for 2"),
        ({"a.in_sum2": floats([1]), "a.counts": floats([-1])}, {}, "'a.counts' holds -1.0"),
        ({"a.in_sum2": floats([1]).astype(np.float16), "a.counts": floats([1])}, {}, "is f16"),
        ({"a.in_sum2": floats([1]), "a.counts": floats([1])}, {"datasets": [1]}, "not a list"),
    ],
)
def test_each_fault_of_the_gguf_form_is_reported(
    tmp_path: Path, tensors: dict[str, np.ndarray], metadata: dict[str, Any], reason: str
) -> None:
    path = write_gguf_form(tmp_path / "imatrix.gguf", tensors, **metadata)
    with pytest.raises(gk.FormatError, match=reason):
        read_imatrix(path)


def test_every_truncation_is_reported_or_gives_a_valid_file(tmp_path: Path) -> None:
    raw = dat(*TWO)
    ends = []
    for length in range(len(raw)):
        (tmp_path / "cut").write_bytes(raw[:length])
        try:
            read_imatrix(tmp_path / "cut")
        except gk.FormatError:
            continue
        ends.append(len(raw) - length)
    assert ends == [len(TAIL), len(TAIL) - 4]


def test_models_and_matrices_are_distinguished(tmp_path: Path) -> None:
    with pytest.raises(gk.FormatError, match="not an importance matrix"):
        read_imatrix(GOLDEN / "gguf-v1-f16.bin")
    (tmp_path / "imatrix.dat").write_bytes(dat(*TWO))
    with pytest.raises(gk.ConversionError, match="is an importance matrix, not a model"):
        gk.quantize_file(tmp_path / "imatrix.dat", tmp_path / "out.gguf", "q4_0")

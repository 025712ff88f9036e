"""Tensors as arrays: rows, numpy and torch, pickles, display."""

from __future__ import annotations

import copy
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import ggmlkit as gk
import torch
from ggmlkit.io.mapped_file import MappedFile
from ggmlkit.io.writing.stream import Part, PartedTensor

VALUES = np.random.default_rng(7).standard_normal((6, 2, 64)).astype(np.float32)
DTYPES = {
    "f32": np.float32,
    "f16": np.float16,
    "bf16": ml_dtypes.bfloat16,
    "f64": np.float64,
    "i8": np.int8,
    "i16": np.int16,
    "i32": np.int32,
    "i64": np.int64,
}


def plain(type: str) -> gk.Tensor:
    return gk.tensor_of((VALUES[:, 0] * 9).astype(DTYPES[type]), type)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    tensors = {"q": gk.quantize(VALUES, "q4_0"), "f": VALUES[:, 0], "v": VALUES[0, 0]}
    gk.save(tmp_path / "m.gguf", tensors)
    return tmp_path / "m.gguf"


# ------------------------------------------------------------------------- dtypes


@pytest.mark.parametrize("type", DTYPES)
def test_dtype_is_that_of_the_array(type: str) -> None:
    tensor = plain(type)
    assert tensor.type.name == type
    assert tensor.dtype == np.asarray(tensor).dtype == tensor.numpy().dtype == DTYPES[type]
    assert np.array_equal(np.asarray(tensor), (VALUES[:, 0] * 9).astype(DTYPES[type]))
    assert (tensor.ndim, len(tensor)) == (2, 6)


@pytest.mark.parametrize("type", ["f32", "f16", "bf16", "f64"])
def test_the_name_of_a_type_is_a_dtype(type: str) -> None:
    # numpy's "f16" has 16 bytes.
    tensor = gk.quantize(VALUES, "q8_0")
    for name in (type, type.upper()):
        assert tensor.dequantize(name).dtype == DTYPES[type]
    assert plain("i64").dequantize("i8").dtype == np.int8


@pytest.mark.parametrize("type", ["f32", "q8_0"])
def test_values_are_not_cut_to_integers(type: str) -> None:
    tensor = gk.quantize(VALUES, type)
    reads: list[Callable[[], object]] = [
        lambda: tensor.dequantize(int),
        lambda: tensor.dequantize("i8"),
        lambda: tensor.dequantize(out=np.empty(tensor.shape, np.uint8)),
        lambda: np.asarray(tensor, np.int32),
    ]
    for read in reads:
        with pytest.raises(gk.ArgumentTypeError, match="would cut the values of"):
            read()


def test_dtype_of_quantized_tensors_is_float32() -> None:
    tensor = gk.quantize(VALUES, "q8_0")
    assert tensor.dtype == np.asarray(tensor).dtype == np.float32
    assert tensor.ndim == 3


def test_bfloat16_without_ml_dtypes_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    tensor = plain("bf16")
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    for work in (tensor.numpy, lambda: tensor.dtype, lambda: np.asarray(tensor)):
        with pytest.raises(gk.UnsupportedTypeError, match=r"install that, or .*dequantize\(\)"):
            work()
    assert np.asarray(tensor, np.float32).dtype == np.float32
    assert "values=" in repr(tensor)


def test_plain_numbers_are_exact() -> None:
    wide = np.array([1 / 3, 2**40 + 1], np.float64)
    assert np.array_equal(gk.tensor_of(wide).dequantize(np.float64), wide)
    big = np.array([2**53 + 1, -(2**60) - 1])
    assert np.array_equal(gk.tensor_of(big).dequantize(np.int64), big)
    assert np.array_equal(gk.tensor_of(big).dequantize(out=np.empty(2, np.int64)), big)


def test_arrays_of_no_axis_keep_none() -> None:
    for tensor in (gk.quantize(np.float32(2.5), "f32"), gk.tensor_of(np.float64(2.5))):
        assert tensor.shape == np.asarray(tensor).shape == tensor.dequantize().shape == ()
        assert float(np.asarray(tensor)) == 2.5
        with pytest.raises(TypeError, match="no length"):
            len(tensor)
    assert gk.quantize(3.0, "f16").astype("f32").shape == ()


def test_an_error_if_a_copy_is_needed_but_not_allowed() -> None:
    tensor = plain("f16")
    assert np.shares_memory(np.asarray(tensor, copy=False), tensor.data)
    assert not np.shares_memory(np.array(tensor), tensor.data)
    for wrong in (lambda: tensor.__array__(np.float32, copy=False), None):
        with pytest.raises(ValueError, match="without a copy"):
            wrong() if wrong else np.asarray(gk.quantize(VALUES, "q8_0"), copy=False)


# ---------------------------------------------------------------------------- rows

INDICES = [0, 3, -1, np.int64(2), slice(1, 4), slice(None), slice(4, 1), slice(-2, None)]
STEPS = [slice(None, None, 2), slice(None, None, -1), slice(4, 0, -2), slice(0, 99, 5)]


@pytest.mark.parametrize("index", INDICES + STEPS, ids=str)
@pytest.mark.parametrize("type", ["q4_0", "q8_0", "f32", "bf16"])
def test_rows_are_those_of_the_values(path: Path, type: str, index: int | slice) -> None:
    made = gk.quantize(VALUES, type)
    computed = gk.Tensor(type, made.shape, lambda: made.data)
    for tensor in (made, computed):
        rows = tensor[index]  # type: ignore[index]
        assert rows.type == tensor.type
        assert np.array_equal(rows.dequantize(), tensor.dequantize()[index])
    with gk.open(path) as file:
        assert np.array_equal(file["q"][index].dequantize(), file["q"].dequantize()[index])


def test_rows_of_rows() -> None:
    tensor = gk.quantize(VALUES, "q8_0")
    whole = tensor.dequantize()
    assert np.array_equal(tensor[2, 1].dequantize(), whole[2, 1])
    assert np.array_equal(tensor[2, 1, 32:].dequantize(), whole[2, 1, 32:])
    assert np.array_equal(tensor[1:5][::2][1].dequantize(), whole[1:5][::2][1])
    assert [row.shape for row in tensor] == [(2, 64)] * 6
    number = plain("f32")[1, 5]
    assert number.shape == ()
    assert np.asarray(number) == np.float32(VALUES[1, 0, 5] * 9)
    assert np.shares_memory(tensor[2:4].data, tensor.data)


@pytest.mark.parametrize(
    ("index", "error", "message"),
    [
        (6, IndexError, "row 6 is out of range for a tensor of 6"),
        (-7, IndexError, "row -7"),
        ("a", TypeError, "must be a whole number or a slice, not 'a'"),
        ([1], TypeError, "not a list"),
        (True, TypeError, "not True"),
        (None, TypeError, "not None"),
        (slice(0, 2, 0), ValueError, "step"),
        (slice("a", None), TypeError, "whole numbers"),
        ((0, 0, 3), ValueError, "blocks of 32"),
        ((0, 0, slice(1, 33)), ValueError, "blocks of 32"),
        ((slice(0, 2), 1), ValueError, "only the last index"),
    ],
)
def test_impossible_rows(index: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        gk.quantize(VALUES, "q4_0")[index]  # type: ignore[index]
    assert isinstance(caught.value, gk.GgmlkitError)


def test_only_the_rows_of_a_mapped_file_are_read(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    whole = MappedFile.bytes_at

    def bytes_at(file: MappedFile, offset: int, count: int) -> np.ndarray:
        read.append(count)
        return whole(file, offset, count)

    with gk.open(path) as file:
        monkeypatch.setattr(MappedFile, "bytes_at", bytes_at)
        rows = file["q"][2:4][1]
        assert read == []
        rows.dequantize()
        assert read == [2 * 2 * 18]  # one row of two, of two blocks of 18 bytes
        read.clear()
        repr(file["q"])
        assert read == [18]


def test_rows_compute_only_the_parts_that_they_touch() -> None:
    made: list[int] = []

    def part(number: int) -> Part:
        def make(out: np.ndarray, _threads: int | None) -> None:
            made.append(number)
            out[:] = number

        return Part(4, make)

    tensor = PartedTensor("i8", (5, 4), lambda: map(part, range(5)))
    assert tensor[1:3].numpy().tolist() == [[1] * 4, [2] * 4]
    assert made == [1, 2]
    assert tensor[::2].numpy()[:, 0].tolist() == [0, 2, 4]


# ------------------------------------------------------------------ other libraries


@pytest.mark.parametrize("type", DTYPES)
def test_torch_takes_plain_tensors_without_a_copy(type: str) -> None:
    tensor = plain(type)
    given = torch.from_dlpack(tensor)
    assert given.data_ptr() == tensor.data.ctypes.data
    assert str(given.dtype).removeprefix("torch.") == np.dtype(DTYPES[type]).name
    assert torch.equal(given.double(), torch.from_numpy(np.asarray(tensor).astype(np.float64)))


def test_dlpack_of_a_mapped_file(path: Path) -> None:
    with gk.open(path) as file:
        assert np.array_equal(np.from_dlpack(file["f"]), VALUES[:, 0])
        assert torch.equal(torch.from_dlpack(file["f"]), torch.from_numpy(VALUES[:, 0]))
        with pytest.raises(gk.UnsupportedTypeError, match="dequantize"):
            torch.from_dlpack(file["q"])
        with pytest.raises(BufferError, match="another device"):
            file["f"].__dlpack__(dl_device=(2, 0))


@pytest.mark.parametrize("take", [torch.from_dlpack, torch.as_tensor, torch.asarray])
def test_torch_can_write_to_what_it_takes_of_a_mapped_file(
    path: Path, take: Callable[[gk.Tensor], torch.Tensor]
) -> None:
    with gk.open(path) as file:
        taken = take(file["f"])
        # A write to the mapping itself would end this process.
        assert not np.shares_memory(taken.numpy(), file["f"].data)
        taken += 1
        assert np.array_equal(file["f"].numpy(), VALUES[:, 0])
        with pytest.raises(BufferError, match="leave out copy=False"):
            file["f"].__dlpack__(max_version=(1, 0), copy=False)


def test_buffers() -> None:
    tensor = plain("f32")
    assert np.shares_memory(np.asarray(tensor.__buffer__(0)), tensor.data)
    for other in (plain("bf16"), gk.quantize(VALUES, "q4_0")):
        with pytest.raises(BufferError, match="which buffers don't support"):
            other.__buffer__(0)
    if sys.version_info >= (3, 12):
        assert memoryview(tensor).shape == (6, 64)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_a_product_with_torch_is_torchs(dtype: torch.dtype) -> None:
    tensor = gk.quantize(VALUES[:, 0], "q8_0")
    x = torch.from_numpy(VALUES[:, 1]).to(dtype)
    expected = torch.from_numpy(gk.matmul(x.float().numpy(), tensor)).to(dtype)
    packed = gk.PackedMatrix(tensor)
    for product in (x @ tensor.T, torch.matmul(x, tensor.T), x @ packed.T):
        assert isinstance(product, torch.Tensor)
        assert product.dtype == dtype
        assert torch.equal(product, expected)
    assert (torch.ones(2, 64, dtype=torch.int64) @ tensor.T).dtype == torch.float32


def test_the_gradient_of_a_product_with_torch() -> None:
    tensor = gk.quantize(VALUES[:, 0], "q8_0")
    x = torch.from_numpy(VALUES[:, 1]).requires_grad_()
    (x @ tensor.T).sum().backward()
    assert x.grad is not None
    expected = np.broadcast_to(tensor.dequantize().sum(0), (6, 64))
    np.testing.assert_allclose(x.grad.numpy(), expected, rtol=1e-5, atol=1e-5)
    with pytest.raises(gk.GgmlkitError, match="no gradient"):
        (x @ gk.PackedMatrix(tensor).T).sum().backward()


def test_errors_of_other_torch_operations_name_the_way_out() -> None:
    tensor = gk.quantize(VALUES[:, 0], "q8_0")
    with pytest.raises(TypeError, match=r"write x @ tensor\.T"):
        torch.add(torch.ones(6, 64), tensor.T)
    with pytest.raises(TypeError, match=r"write x @ tensor\.T, or use its values"):
        torch.add(torch.ones(6, 64), tensor)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="on the right"):
        tensor.T @ VALUES[0]


@pytest.mark.parametrize("convert", [np.asarray, torch.from_numpy])
def test_a_product_with_the_tensor_itself_uses_its_values(convert: Callable[..., Any]) -> None:
    tensor = gk.quantize(VALUES[:, 0], "q8_0")
    left, right = convert(VALUES[:6, 1, :6]), convert(VALUES[:, 1].T.copy())
    for product, expected in (
        (left @ tensor, VALUES[:6, 1, :6] @ tensor.dequantize()),
        (tensor @ right, tensor.dequantize() @ VALUES[:, 1].T),
    ):
        assert type(product) is type(left)
        np.testing.assert_allclose(np.asarray(product), expected, rtol=1e-5, atol=1e-5)
    rows: Any = VALUES[:6, 1, :6].tolist()
    np.testing.assert_allclose(rows @ tensor, np.asarray(left) @ tensor, rtol=1e-5, atol=1e-5)
    assert torch.matmul(torch.ones(2, 6), tensor).shape == (2, 64)  # type: ignore[arg-type]


def test_numpy_reads_a_transposed_tensor() -> None:
    tensor, x = gk.quantize(VALUES[:, 0], "q8_0"), VALUES[:, 1]
    values = tensor.dequantize().T
    assert tensor.T.T is tensor
    assert np.array_equal(np.asarray(tensor.T), values)
    assert np.array_equal(np.matmul(x, tensor.T), x @ tensor.T)
    assert np.array_equal(x @ tensor.T, gk.matmul(x, tensor))
    np.testing.assert_allclose(np.dot(x, tensor.T), x @ values, rtol=1e-5, atol=1e-5)
    assert np.array_equal(np.add(tensor.T, 1), values + 1)
    out = np.empty((6, 6), np.float32)
    assert np.matmul(x, tensor.T, out=out) is out
    assert np.array_equal(out, x @ tensor.T)


def test_numpy_cannot_read_packed_weights() -> None:
    packed: Any = gk.PackedMatrix(gk.quantize(VALUES[:, 0], "q8_0"))
    reads: list[Callable[[], object]] = [
        lambda: np.asarray(packed),
        lambda: np.asarray(packed.T),
        lambda: VALUES[:, 1] @ packed,
    ]
    for read in reads:
        with pytest.raises(gk.ArgumentTypeError, match=r"only for x @ packed\.T"):
            read()


# ------------------------------------------------------------------ copies, pickles


def test_a_files_tensor_is_pickled_as_its_place(path: Path) -> None:
    with gk.open(path) as file:
        tensor = file["q"]
        for given in (tensor, tensor.renamed("other"), tensor[1:4], tensor[::-2][1]):
            data = pickle.dumps(given)
            assert path.name.encode() in data
            assert tensor.data[:64].tobytes() not in data
            back = pickle.loads(data)
            assert (back.name, back.shape) == (given.name, given.shape)
            assert np.array_equal(back.data, given.data)
        in_memory = pickle.dumps(tensor.in_memory())
        assert tensor.data.tobytes() in in_memory
    path.unlink()
    assert pickle.loads(in_memory).shape == VALUES.shape
    with pytest.raises(FileNotFoundError):
        pickle.loads(data)


def test_a_pickle_of_a_file_that_has_changed(path: Path) -> None:
    with gk.open(path) as file:
        data, other = pickle.dumps(file["q"]), pickle.dumps(file["v"])
    pickle.loads(data)
    gk.save(path, {"q": VALUES})
    with pytest.raises(gk.GgmlkitError, match="was q4_0 of shape"):
        pickle.loads(data)
    with pytest.raises(gk.FormatError, match="no longer has the tensor 'v'"):
        pickle.loads(other)


def test_tensors_in_memory_and_computed_are_pickled_with_their_bytes() -> None:
    made = gk.quantize(VALUES, "q4_0", name="w")
    for tensor in (made, gk.Tensor("q4_0", made.shape, lambda: made.data, "w")):
        back = pickle.loads(pickle.dumps(tensor))
        assert (back.name, back.type, back.shape) == ("w", made.type, made.shape)
        assert np.array_equal(back.data, made.data)


def test_copies(path: Path) -> None:
    made = gk.quantize(VALUES, "q4_0")
    assert np.shares_memory(copy.copy(made).data, made.data)
    assert not np.shares_memory(copy.deepcopy(made).data, made.data)
    with gk.open(path) as file:
        assert np.shares_memory(copy.deepcopy(file["q"]).data, file["q"].data)


# -------------------------------------------------------------------------- display


def test_display(path: Path) -> None:
    with gk.open(path) as file:
        tensor = file["f"]
        first = ", ".join(f"{value:.4g}" for value in VALUES[0, 0, :3])
        assert repr(tensor) == f"Tensor('f', f32, (6, 64), file='{path}', values=[{first}, …])"
        html = tensor._repr_html_()
        assert "<td>6 × 64</td>" in html
        assert str(path) in html
    assert repr(tensor) == f"Tensor('f', f32, (6, 64), file='{path}')"  # closed
    assert repr(gk.tensor_of([1.5, 2.0])) == "Tensor(f64, (2,), values=[1.5, 2])"
    assert "<script" not in gk.tensor_of([1.0], "<script>")._repr_html_()


def test_display_of_a_computed_tensor_computes_nothing() -> None:
    def data() -> np.ndarray:
        raise AssertionError

    assert repr(gk.Tensor("f32", (2, 3), data, "w")) == "Tensor('w', f32, (2, 3))"

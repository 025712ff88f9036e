"""The public names, and errors for wrong arguments."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import ggmlkit as gk
import torch
from ggmlkit.engine.sampling import GenerationSettings

VALUES = np.random.default_rng(3).standard_normal((4, 64)).astype(np.float32)
QUANTIZED = gk.quantize(VALUES, "q4_0", name="w")
PACKED = gk.PackedMatrix(QUANTIZED)
FUNCTIONS = [
    value for name in gk.__all__ if inspect.isfunction(value := getattr(gk, name))
]  # fmt: skip


def test_all_names_are_there() -> None:
    assert {
        "split",
        "merge",
        "verify",
        "compare",
        "repair",
        "edit_metadata",
        "read_imatrix",
    } <= set(dir(gk))
    for name in gk.__all__:
        assert getattr(gk, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        gk.nothing  # type: ignore[attr-defined]  # noqa: B018


def test_the_short_names_work(golden: Path, tmp_path: Path) -> None:
    model = tmp_path / "m.gguf"
    gk.convert(golden / "ggjt-v3-f16.bin", model)
    parts = gk.split(model, tmp_path / "part", max_tensors=8)
    gk.merge(parts[0], tmp_path / "merged.gguf")
    assert all(pair.identical for pair in gk.compare(model, tmp_path / "merged.gguf").tensors)
    gk.edit_metadata(model, {"general.name": "mine"})
    assert gk.verify(model).all_problems == []
    (tmp_path / "cut.gguf").write_bytes(model.read_bytes()[:-10])
    assert len(gk.repair(tmp_path / "cut.gguf", tmp_path / "rest.gguf").lost) == 1


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_settings_are_named_and_typed(function: Callable[..., Any]) -> None:
    for name, parameter in inspect.signature(function).parameters.items():
        assert parameter.kind is not parameter.VAR_KEYWORD, name
        assert "dtype" not in name or "DTypeLike" in parameter.annotation  # only numpy's
        if name == "threads":
            assert parameter.default is None


def test_settings_by_keyword_are_the_fields_of_sampling_params() -> None:
    fields = {field.name: field.type for field in dataclasses.fields(gk.SamplingParams)}
    claimed = {
        name: value.__forward_arg__ for name, value in GenerationSettings.__annotations__.items()
    }
    assert claimed == fields


@pytest.fixture(scope="module")
def file(golden: Path) -> Path:
    return golden / "ggjt-v3-q4_0.bin"


def _thread_users(file: Path, out: Path) -> dict[str, Callable[[Any], object]]:
    return {
        "quantize": lambda n: gk.quantize(VALUES, "q4_0", threads=n),
        "tensor.dequantize": lambda n: QUANTIZED.dequantize(threads=n),
        "tensor.astype": lambda n: QUANTIZED.astype("q4_0", threads=n),
        "dequantize": lambda n: gk.dequantize(QUANTIZED, threads=n),
        "matmul": lambda n: gk.matmul(VALUES, QUANTIZED, threads=n),
        "packed matmul": lambda n: gk.matmul(VALUES, PACKED, threads=n),
        "PackedMatrix": lambda n: gk.PackedMatrix(QUANTIZED, threads=n),
        "save": lambda n: gk.save(out, {"a": VALUES}, threads=n),
        "Llama": lambda n: gk.Llama(file, threads=n),
        "convert": lambda n: gk.convert(file, out, threads=n),
        "export": lambda n: gk.export(file, out, threads=n),
        "quantize_file": lambda n: gk.quantize_file(file, out, "q8_0", threads=n),
        "verify": lambda n: gk.verify(file, threads=n),
        "compare": lambda n: gk.compare(file, file, threads=n),
        "apply_lora": lambda n: gk.apply_lora(file, [], out, threads=n),
        "make_delta": lambda n: gk.make_delta(file, file, out, threads=n),
        "apply_delta": lambda n: gk.apply_delta(file, file, out, threads=n),
    }


@pytest.mark.parametrize("name", _thread_users(Path(), Path()))
def test_threads_below_one_are_refused(file: Path, tmp_path: Path, name: str) -> None:
    work = _thread_users(file, tmp_path / "out.gguf")[name]
    for count in (0, -1):
        with pytest.raises(gk.ArgumentError, match="threads must be at least 1"):
            work(count)
    with pytest.raises(gk.ArgumentTypeError, match="threads must be a whole number, not 'a'"):
        work("a")
    with pytest.raises(gk.ArgumentTypeError, match="threads must be a whole number, not True"):
        work(True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (VALUES + 1j, "complex numbers"),
        (torch.zeros(32, dtype=torch.complex64), "complex numbers"),
        (np.ma.array(VALUES, mask=VALUES > 0), "masked elements"),
        (np.array([[1.0, None]], object), r"NoneType at \(0, 1\)"),
        ([[1.0], [1.0, 2.0]], "rows of different lengths"),
        (None, "NoneType"),
        ("text", "not numbers"),
        (b"bytes", "not numbers"),
        (np.zeros(32, "M8[s]"), "datetime64"),
        ({"a": 1}, "dict"),
        (torch.zeros(32, device="meta"), "not an array of numbers"),
    ],
)
def test_objects_that_are_not_arrays_of_numbers(array: Any, message: str) -> None:
    for work in (lambda: gk.quantize(array, "f32"), lambda: gk.matmul(array, QUANTIZED)):
        with pytest.raises(gk.ArgumentError, match=message):
            work()


def test_arrays_that_look_wrong_and_are_not() -> None:
    unmasked = np.ma.array(VALUES, mask=False)
    grown = torch.from_numpy(VALUES).requires_grad_()
    for array in (unmasked, grown, VALUES.tolist(), VALUES.astype(object), VALUES.astype(">f4")):
        assert np.array_equal(gk.quantize(array, "q4_0").data, QUANTIZED.data)
    assert gk.quantize([2**70, 1], "f32").dequantize().tolist() == [2.0**70, 1]


Wrong = tuple[Callable[[], object], str]
TYPE = "type must be the name of a tensor type"
WRONG: dict[str, Wrong] = {
    "a number for a type": (lambda: gk.quantize(VALUES, 2), TYPE),  # type: ignore[arg-type]
    "numpy's type": (lambda: gk.quantize(VALUES, np.float16), TYPE),  # type: ignore[arg-type]
    "ggml's type": (lambda: QUANTIZED.dequantize("q4_0"), "dtype must be a numpy dtype"),
    "an out that is read": (
        lambda: QUANTIZED.dequantize(out=np.broadcast_to(np.float32(0), (4, 64))),
        "out is read-only",
    ),
    "an out of another dtype": (
        lambda: QUANTIZED.dequantize(np.float64, np.empty((4, 64), np.float32)),
        "out has dtype float32, but dtype is float64",
    ),
    "an array for a tensor": (lambda: gk.dequantize(VALUES), "takes a Tensor"),  # type: ignore
    "threads that are a flag": (lambda: gk.matmul(VALUES, QUANTIZED, True), "not True"),
    "too many indices": (lambda: QUANTIZED[1, 2, 3], r"3 indices are too many for .*\(4, 64\)"),
    "an out that is too small": (
        lambda: gk.quantize(VALUES, "q4_0", out=np.empty(10, np.uint8)),
        r"^the tensor of type q4_0 and shape \(4, 64\) needs 144 bytes, not 10",
    ),
    "an array of another kind": (
        lambda: gk.dequantize(VALUES),  # type: ignore[call-overload]
        "not an ndarray",
    ),
    "an array for weights": (lambda: gk.matmul(VALUES, VALUES), "must be a Tensor"),  # type: ignore
    "a path of bytes": (lambda: gk.open(b"path"), "path must be a str or a pathlib.Path"),  # type: ignore
    "a number for a path": (lambda: gk.open(5), "path must be a str"),  # type: ignore
    "no path": (lambda: gk.open(""), "path is empty"),
    "another path": (lambda: gk.convert(5, "out"), "src must be a str"),  # type: ignore
    "a shape of a number": (lambda: gk.Tensor("f32", 5, b""), "tuple of whole numbers"),  # type: ignore
    "data of text": (lambda: gk.Tensor("f32", (1,), "abcd"), "array of uint8"),  # type: ignore
    "a limit of none": (lambda: gk.split("a", "b"), "give one of max_size and max_tensors"),
    "a tokenizer of a number": (lambda: gk.Tokenizer.from_file(5), "path must be"),  # type: ignore
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_arguments_get_one_sentence(name: str) -> None:
    work, message = WRONG[name]
    with pytest.raises(gk.ArgumentError, match=message) as caught:
        work()
    assert "\n" not in str(caught.value)


# ------------------------------------------------------------------------------ save


def test_arrays_are_saved_as_they_are(tmp_path: Path) -> None:
    arrays = {
        "f32": VALUES,
        "f16": VALUES.astype(np.float16),
        "bf16": VALUES.astype(ml_dtypes.bfloat16),
        "f64": VALUES.astype(np.float64),
        "i32": (VALUES * 9).astype(np.int32),
        "i64": np.arange(3),
        "turned": VALUES.T,
        "big": VALUES.astype(">f4"),
        "scalar": np.float32(2.5),
        "torch": torch.from_numpy(VALUES).bfloat16(),
        "list": [1.5, 2.5],
        "quantized": QUANTIZED,
    }
    gk.save(tmp_path / "a.gguf", arrays)  # type: ignore[arg-type]
    with gk.open(tmp_path / "a.gguf") as file:
        assert file.names == list(arrays)
        for name, array in arrays.items():
            if name not in ("torch", "quantized"):
                assert np.array_equal(file[name].numpy(), np.asarray(array)), name
                assert file[name].shape == np.shape(array)
        assert [file[n].type.name for n in ("f32", "f16", "bf16", "torch")] == [
            "f32", "f16", "bf16", "bf16"
        ]  # fmt: skip
        assert np.array_equal(file["torch"].data, file["bf16"].data)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ([gk.quantize(VALUES, "q4_0")], "number 0 of the tensors has no name"),
        ([QUANTIZED, VALUES], "number 1 of the tensors has no name"),
        ([QUANTIZED, QUANTIZED], "two tensors are called 'w'"),
        (QUANTIZED, "mapping by name or a list"),
        ("abc", "mapping by name or a list"),
        ({"\udcff": VALUES}, "the name of a tensor must have a UTF-8 form"),
        ({1: VALUES}, "the name of a tensor must be a str, not 1"),
        ({"a": VALUES > 0}, "array 'a' has dtype bool, which no tensor type stores"),
        ({"a": None}, "array 'a' holds NoneType"),
    ],
)
def test_tensors_that_cannot_be_saved(tmp_path: Path, tensors: Any, message: str) -> None:
    with pytest.raises(gk.ArgumentError, match=message):
        gk.save(tmp_path / "a.gguf", tensors)
    assert list(tmp_path.iterdir()) == []
    for metadata in (5, {5: 1}, {"\udcff": 1}):
        with pytest.raises(gk.ArgumentError, match="key"):
            gk.save(tmp_path / "a.gguf", {"a": VALUES}, metadata)  # type: ignore[arg-type]


# ------------------------------------------------------------------------- open files


def test_names_of_a_file(tmp_path: Path) -> None:
    names = ["output.weight", "blk.0.attn_q.weight", "blk.10.attn_q.weight", "blk.1.attn_k.weight"]
    gk.save(tmp_path / "a.gguf", dict.fromkeys(names, VALUES))
    with gk.open(tmp_path / "a.gguf") as file:
        assert file.find("blk.*.attn_q.weight") == names[1:3]
        assert file.find("blk.[0-1].*") == [names[1], names[3]]
        assert file.find("nothing") == []
        assert file._ipython_key_completions_() == names
        with pytest.raises(KeyError, match=r"did you mean 'blk\.0\.attn_q\.weight'") as caught:
            file["blk.0.attn_q.wieght"]
        assert isinstance(caught.value, gk.MissingTensorError)
        with pytest.raises(KeyError, match="the name of a tensor must be a str, not 5"):
            file[5]  # type: ignore[index]
        assert file.get("nothing") is None
        assert [] not in file
        tensor = file[names[0]]
    for work in (
        tensor.dequantize,
        lambda: file[names[0]],
        lambda: file["nothing"],
        lambda: file.tensors,
        lambda: file.names,
        lambda: file.find("*"),
        lambda: len(file),
        lambda: names[0] in file,
    ):
        with pytest.raises(gk.ClosedError, match=r"a\.gguf is closed; open it again"):
            work()
    assert repr(file) == f"<gguf v3 '{tmp_path / 'a.gguf'}', closed>"
    assert file.metadata == {}


# ------------------------------------------------------------------ models, tokenizers


def test_a_model_is_closed(file: Path) -> None:
    with gk.Llama(file, context=16) as llm:
        assert repr(llm) == f"Llama({str(file)!r}, llama, 2 layers, context=16, sequences=1)"
        begun = llm.generate([1, 2], temperature=0)
        next(begun)
    llm.close()
    assert repr(llm) == f"Llama({str(file)!r}, llama, closed)"
    for work in (
        lambda: llm.eval([1]),
        lambda: llm.logits([1]),
        lambda: llm.decode_batch([1]),
        lambda: llm.generate("a"),
        lambda: llm.chat([]),
        lambda: llm.tokenize("a"),
        lambda: llm.detokenize([1]),
        lambda: llm.truncate(0),
        lambda: llm.reset(),
        lambda: llm.tokens,
        lambda: llm.context,
        lambda: llm.nbytes,
        lambda: list(begun),
    ):
        with pytest.raises(gk.ClosedError, match=r"the model .* is closed; open it again"):
            work()


def test_a_file_that_was_open_stays_open(file: Path) -> None:
    with gk.open(file) as opened:
        gk.Llama(opened, context=16).close()
        assert opened[opened.names[0]].data.size


@pytest.fixture(scope="module")
def llm(file: Path) -> gk.Llama:
    return gk.Llama(file, context=16)


@pytest.mark.parametrize("prompt", [b"hi", 5, None, ["a"], [1.5], {"a": 1}, np.ones((2, 2), int)])
def test_prompts_are_text_or_ids(llm: gk.Llama, prompt: Any) -> None:
    with pytest.raises(gk.ArgumentTypeError, match="prompt must be a str or token ids"):
        llm.generate(prompt)


def test_lists_that_are_no_prompt_get_a_hint(llm: gk.Llama) -> None:
    with pytest.raises(gk.ArgumentTypeError, match=r"not a list of texts; .* gk\.Scheduler$"):
        llm.generate(["a", "b"])  # type: ignore[list-item]
    with pytest.raises(gk.ArgumentTypeError, match=r"of messages; Model\.chat_prompt makes"):
        llm.generate([{"role": "user", "content": "a"}])  # type: ignore[list-item]


def test_ids_of_any_kind_are_a_prompt(llm: gk.Llama) -> None:
    texts = {
        "".join(llm.generate(ids, max_tokens=3, temperature=0))
        for ids in ([1, 5], (1, 5), np.array([1, 5]), torch.tensor([1, 5]), iter([1, 5]))  # type: ignore[arg-type]
    }
    assert len(texts) == 1


@pytest.mark.parametrize(
    "settings",
    [
        {"temperature": -1},
        {"temperature": "a"},
        {"temperature": float("nan")},
        {"top_k": 1.5},
        {"top_p": 2},
        {"min_p": None},
        {"repeat_penalty": 0},
        {"seed": "a"},
        {"max_tokens": "5"},
        {"stop": 5},
        {"stop": b"a"},
        {"stop": [b"a"]},
    ],
    ids=str,
)
def test_settings_of_generation(llm: gk.Llama, settings: dict[str, Any]) -> None:
    with pytest.raises(gk.ArgumentError, match=next(iter(settings))):
        llm.generate("hi", **settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_predict": 3}, "no setting 'n_predict'; did you mean 'max_tokens'?"),
        ({"max_new_tokens": 3}, "no setting 'max_new_tokens'; did you mean 'max_tokens'?"),
        ({"repetition_penalty": 2}, "did you mean 'repeat_penalty'?"),
        ({"temprature": 1}, "did you mean 'temperature'"),
        ({"adaptive_target": 1}, "no setting 'adaptive_target'"),
        ({"params": {"top_k": 1}}, "params must be a gk.SamplingParams, not a dict"),
    ],
    ids=str,
)
def test_settings_that_are_not_there(llm: gk.Llama, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(gk.ArgumentTypeError, match=re.escape(message)):
        llm.generate("hi", **settings)


def test_models_are_not_pickled(llm: gk.Llama) -> None:
    import pickle

    for value in (llm, PACKED):
        with pytest.raises(gk.ArgumentTypeError, match="pickled"):
            pickle.dumps(value)


@pytest.mark.parametrize("wrong", [5, b"", None, ["a"]])
def test_tokenizers_encode_text(llm: gk.Llama, wrong: Any) -> None:
    for work in (llm.tokenizer.encode, llm.tokenizer.token_id, llm.tokenize):
        with pytest.raises(gk.ArgumentTypeError, match="text must be a str"):
            work(wrong)


def test_tokenizers_decode_ids(llm: gk.Llama) -> None:
    tokenizer = llm.tokenizer
    assert tokenizer.decode(np.array([5, 6])) == tokenizer.decode(torch.tensor([5, 6]))
    for wrong in (5, "abc", b"ab", None, [1.5], ["a"], [[1]]):
        with pytest.raises(gk.ArgumentTypeError, match=r"token|ids"):
            tokenizer.decode(wrong)  # type: ignore[arg-type]
    for outside in (-1, 384, 2**70):
        for work in (lambda t: tokenizer.decode([t]), tokenizer.token_bytes, tokenizer.token_text):
            with pytest.raises(IndexError, match="outside the vocabulary of 384"):
                work(outside)

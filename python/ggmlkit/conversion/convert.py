"""Converts a checkpoint or a model file into a model file."""

from __future__ import annotations

import os
from contextlib import ExitStack

from ggmlkit import io
from ggmlkit.arguments import check_optional_paths, check_paths, thread_count
from ggmlkit.conversion.lora.convert import convert_adapter
from ggmlkit.conversion.lora.open_adapter import is_adapter, opened_if_gguf
from ggmlkit.conversion.pipeline import planned, write_model
from ggmlkit.errors import ConversionError
from ggmlkit.io.base import ByteOrder, ModelFile
from ggmlkit.io.targets import refuse_overwriting
from ggmlkit.types import TensorType


def convert(
    src: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    type: str | TensorType | None = None,
    pure: bool = False,
    container: str | None = None,
    version: int | None = None,
    byte_order: ByteOrder = "little",
    vocab: str | os.PathLike[str] | None = None,
    base: str | os.PathLike[str] | None = None,
    threads: int | None = None,
    progress: io.Progress | None = None,
) -> list[str]:
    """Write the model in ``src`` as one model file, its matrices in ``type``.

    The result equals what :func:`ggmlkit.quantize_file` makes of the same weights in f32.

    A LoRA adapter becomes an adapter file, as :func:`convert_adapter` writes it.

    Args:
        src: a Hugging Face or Meta folder, a file of tensors that has its settings beside it, any
            model file ``gk.open`` reads, or one of these on the hub: ``"hf:OWNER/NAME"``. Layers
            quantized by GPTQ or AWQ keep their integers where ``type`` can hold them. Or an
            adapter: a PEFT folder, a gguf or a ggla file.
        out: the file to write, replaced only when it is complete.
        type: a type or a mixture of several such as ``"q4_K_M"``, one of
            ``ggmlkit.quantization.NAMES``; f16 by default. ``ggmlkit.quantization.plan`` says which
            tensor gets which type: vectors get f32, and matrices whose rows are not whole blocks
            get a type of smaller blocks. An adapter's tensors keep their types by default.
        pure: give every matrix the same type.
        container: ``"gguf"`` or ``"ggjt"``; by default the suffix of ``out`` decides. ``"ggla"``
            for an adapter.
        version: of the container: gguf 1, 2 or 3, ggjt 1, 2 or 3; the newest by default.
        byte_order: of the numbers; only gguf v3 can be ``"big"``.
        vocab: a tokenizer file, a folder with one, or a model file, whose vocabulary is used
            instead of that of ``src``.
        base: the model that an adapter is for, or its config.json.
        threads: at most this many; all the process may use when None.
        progress: as ``gk.save`` calls it.

    Returns:
        Notes on the file, one sentence each, as ``gk.quantize_file`` returns them.

    Raises:
        UnstorableError: a weight isn't finite, or too large for the type.
        ConversionError: the model has something that this library or the container cannot hold,
            or there is no tokenizer.
        FormatError: the input is damaged.
        UnsupportedTypeError: ``type`` cannot be written, or a tensor of ``src`` cannot be read.
        ArgumentError: ``out`` is a file that is read.
    """
    check_paths(src=src, out=out)
    check_optional_paths(vocab=vocab, base=base)
    refuse_overwriting(out, src, vocab, base)
    thread_count(threads)
    with ExitStack() as open_files:
        opened = opened_if_gguf(src)  # so that its header is read only once
        if isinstance(opened, ModelFile):
            open_files.enter_context(opened)
        if is_adapter(opened):
            if vocab is not None:
                raise ConversionError(
                    f"{os.fspath(src)} is an adapter, which has no vocabulary; leave out --vocab "
                    "(vocab= in Python)"
                )
            convert_adapter(
                opened,
                out,
                base=base,
                type=type,
                container=container,
                version=version,
                byte_order=byte_order,
                progress=progress,
            )
            return []
        if base is not None:
            raise ConversionError(
                f"{os.fspath(src)} is not an adapter, and only adapters have a base model; leave "
                "out --base (base= in Python)"
            )
        planning = planned(
            opened,
            out,
            type=type or "f16",
            pure=pure,
            container=container,
            version=version,
            byte_order=byte_order,
            vocab=vocab,
            threads=threads,
        )
        plan = open_files.enter_context(planning)
        write_model(plan, threads=threads, progress=progress)
        return list(plan.notes)

"""Splits tensors that hold several matrices, such as Phi-3's, without copying."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ggmlkit.arch.hparams import Hparams
from ggmlkit.errors import ModelError
from ggmlkit.tensor import Tensor


def unfused(tensors: Mapping[str, Tensor], hparams: Hparams) -> Iterator[tuple[str, Tensor]]:
    """Every tensor by name; a fused tensor is replaced by its parts.

    Raises:
        ModelError: a fused tensor has another number of rows than its parts.
    """
    for name, tensor in tensors.items():
        rows = fused_rows(name, tensors, hparams)
        if rows is None:
            yield name, tensor
        else:
            yield from _parts(tensor, name, rows)


def fused_rows(name: str, tensors: Mapping[str, Tensor], hparams: Hparams) -> dict[str, int] | None:
    """The matrices in a fused tensor, in order: their names and numbers of rows.

    ``attn_qkv`` holds the rows of q, k and v. ``ffn_up`` holds those of gate and up, if it has
    twice the rows and there is no ``ffn_gate``. None for any other tensor.
    """
    block = name.rpartition(".")[0].rpartition(".")[0]
    if name == f"{block}.attn_qkv.weight":
        q, kv = hparams.heads * hparams.head_dim, hparams.kv_heads * hparams.head_dim
        parts = {"attn_q": q, "attn_k": kv, "attn_v": kv}
    elif name == f"{block}.ffn_up.weight" and _has_gate(block, tensors, hparams):
        parts = {"ffn_gate": hparams.ffn, "ffn_up": hparams.ffn}
    else:
        return None
    return {f"{block}.{part}.weight": rows for part, rows in parts.items()}


def _has_gate(block: str, tensors: Mapping[str, Tensor], hparams: Hparams) -> bool:
    rows = tensors[f"{block}.ffn_up.weight"].shape[:1]
    return f"{block}.ffn_gate.weight" not in tensors and rows == (2 * hparams.ffn,)


def _parts(tensor: Tensor, name: str, rows: Mapping[str, int]) -> Iterator[tuple[str, Tensor]]:
    total = sum(rows.values())
    if len(tensor.shape) != 2 or tensor.shape[0] != total:
        raise ModelError(f"tensor {name} has shape {tensor.shape}, the model needs {total} rows")
    begin = 0
    for part, count in rows.items():
        yield part, _slice(tensor, begin, begin + count, part)
        begin += count


def _slice(tensor: Tensor, begin: int, end: int, name: str) -> Tensor:
    row_bytes = tensor.type.row_bytes(tensor.shape[1])
    return Tensor(
        tensor.type,
        (end - begin, tensor.shape[1]),
        lambda: tensor.data[begin * row_bytes : end * row_bytes],
        name,
        [tensor],
    )

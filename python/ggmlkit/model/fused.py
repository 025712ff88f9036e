"""Matrices that a file keeps in one tensor, such as Phi-3's, taken apart without copying."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ggmlkit.errors import ModelError
from ggmlkit.model.config import LlamaConfig
from ggmlkit.tensor import Tensor


def unfused(tensors: Mapping[str, Tensor], config: LlamaConfig) -> Iterator[tuple[str, Tensor]]:
    """Every tensor by name, with the parts in place of what is fused.

    ``attn_qkv`` holds the rows of q, k and v; ``ffn_up`` of twice the rows, where there is no
    ``ffn_gate``, those of gate and up.

    Raises:
        ModelError: such a tensor has another number of rows than its parts.
    """
    q, kv = config.heads * config.head_dim, config.kv_heads * config.head_dim
    for name, tensor in tensors.items():
        block = name.rpartition(".")[0].rpartition(".")[0]
        if name == f"{block}.attn_qkv.weight":
            yield from _parts(tensor, name, block, {"attn_q": q, "attn_k": kv, "attn_v": kv})
        elif name == f"{block}.ffn_up.weight" and _has_gate(tensor, block, tensors, config):
            yield from _parts(tensor, name, block, {"ffn_gate": config.ffn, "ffn_up": config.ffn})
        else:
            yield name, tensor


def _has_gate(up: Tensor, block: str, tensors: Mapping[str, Tensor], config: LlamaConfig) -> bool:
    return f"{block}.ffn_gate.weight" not in tensors and up.shape[:1] == (2 * config.ffn,)


def _parts(
    tensor: Tensor, name: str, block: str, rows: Mapping[str, int]
) -> Iterator[tuple[str, Tensor]]:
    total = sum(rows.values())
    if len(tensor.shape) != 2 or tensor.shape[0] != total:
        raise ModelError(f"tensor {name} has shape {tensor.shape}, the model needs {total} rows")
    begin = 0
    for part, count in rows.items():
        own_name = f"{block}.{part}.weight"
        yield own_name, _slice(tensor, begin, begin + count, own_name)
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

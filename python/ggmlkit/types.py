"""The tensor types of every GGML generation, from the table in ``csrc/core/types.cpp``."""

from __future__ import annotations

from dataclasses import dataclass

from ggmlkit import _core
from ggmlkit.arguments import did_you_mean, shown
from ggmlkit.errors import ArgumentError, ArgumentTypeError, UnsupportedTypeError


@dataclass(frozen=True)
class TensorType:
    """A block layout.

    Attributes:
        name: the usual name, such as ``q4_K``; legacy layouts end in ``_v1`` or ``_v2``.
        ggml_id: the number stored in files. Legacy layouts have the numbers of today's.
        block_size: elements in a block.
        block_bytes: bytes in a block.
        generation: ``"gguf"`` for today's layouts (ggjt v3 and gguf), else the last
            container generation that used the layout: ``"ggjt-v2"`` or ``"ggjt-v1"``.
        index: position in the compiled table.
        can_dequantize: whether this build has a kernel to read it.
        can_quantize: whether this build has a kernel to write it.
        takes_importance: whether that kernel can use the importance of columns.
        has_product: whether products use the blocks directly; others are unpacked to float16.
    """

    name: str
    ggml_id: int
    block_size: int
    block_bytes: int
    generation: str
    index: int
    can_dequantize: bool
    can_quantize: bool
    takes_importance: bool
    has_product: bool

    def row_bytes(self, n: int) -> int:
        """Bytes of a row of ``n`` elements; ``ArgumentError`` if they are not whole blocks."""
        if n % self.block_size:
            raise ArgumentError(
                f"a row of {n} elements is not a multiple of the {self.name} block size "
                f"{self.block_size}"
            )
        return n // self.block_size * self.block_bytes

    @property
    def is_quantized(self) -> bool:
        """Whether elements are stored in blocks, not one by one."""
        return self.block_size > 1

    @property
    def bits_per_weight(self) -> float:
        """Stored bits divided by elements."""
        return 8 * self.block_bytes / self.block_size

    def __str__(self) -> str:
        return self.name


ALL: tuple[TensorType, ...] = tuple(TensorType(*row) for row in _core.type_table())
_BY_NAME = {t.name: t for t in ALL}
_BY_ID = {(t.ggml_id, t.generation): t for t in ALL}
# Both ggjt v1 and v2 used q8_0 with a float32 scale; each generation falls back to the next.
_NEWER = {"ggjt-v1": "ggjt-v2", "ggjt-v2": "gguf"}


def get(name: str | TensorType) -> TensorType:
    """The type called ``name`` (case does not matter).

    Raises:
        UnsupportedTypeError: there is no such type.
        ArgumentTypeError: ``name`` is not a ``str``.
    """
    if isinstance(name, TensorType):
        return name
    if not isinstance(name, str):
        raise ArgumentTypeError(
            f'type must be the name of a tensor type, such as "q4_0", not {shown(name)}'
        )
    found = _BY_NAME.get(name.lower()) or _BY_NAME.get(name)
    if found is None:
        # Names can contain capitals (q4_K): compare without regard to case.
        for t in ALL:
            if t.name.lower() == name.lower():
                return t
        raise UnsupportedTypeError(_unknown(name))
    return found


# Mixtures whose names don't begin with a type's.
_MIXTURES_OF_FEW_BITS = {"iq2_m": "iq2_s", "iq3_xs": "iq3_s", "iq3_m": "iq3_s"}


def is_mixture(name: str) -> bool:
    """Whether a name such as ``q4_K_M`` is that of a mixture of types, for whole files."""
    return _main_type(name) is not None


def _main_type(name: str) -> str | None:
    """The type that most matrices of a mixture have; None if this is no mixture's name."""
    if name.lower() in _MIXTURES_OF_FEW_BITS:
        return _MIXTURES_OF_FEW_BITS[name.lower()]
    kind, _, size = name.rpartition("_")
    if size.upper() not in ("S", "M", "L"):
        return None
    return next((t.name for t in ALL if t.name.lower() == kind.lower()), None)


def _unknown(name: str) -> str:
    """Why there is no type of this name, and which may be meant."""
    kind = _main_type(name)
    if kind is not None:
        return (
            f"{name!r} is a mixture of types for whole files, as gk.quantize_file takes; "
            f"one matrix has one type, such as {kind!r}"
        )
    current = [t.name for t in ALL if t.generation == "gguf"]
    written = ", ".join(t.name for t in ALL if t.generation == "gguf" and t.can_quantize)
    meant = did_you_mean(name, current) or f"; this build writes {written}"
    return f"there is no tensor type {name!r}{meant}"


# Layouts that ggjt v1 shares with today's: everything but the quantized types it had.
_V1_QUANTIZED = {2, 3, 4, 5, 6, 7, 8}


def is_known(ggml_id: int) -> bool:
    """Whether a type number in a gguf file is a layout that this version can read directly."""
    return (ggml_id, "gguf") in _BY_ID


def by_id(ggml_id: int, generation: str = "gguf") -> TensorType:
    """The layout with type number ``ggml_id`` in a container of ``generation``.

    Args:
        ggml_id: the number stored in the file.
        generation: ``"gguf"`` (gguf and ggjt v3), ``"ggjt-v2"`` or ``"ggjt-v1"`` (also ggml, ggmf).

    Raises:
        UnsupportedTypeError: the generation has no such number.
    """
    where: str | None = generation
    while where is not None:
        found = _BY_ID.get((ggml_id, where))
        if found is not None:
            return found
        where = _NEWER.get(where)
    raise UnsupportedTypeError(f"type number {ggml_id} is not known in a {generation} file")

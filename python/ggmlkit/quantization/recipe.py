"""The recipe of a quantized model file: the type each of its tensors is stored in."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ggmlkit import types
from ggmlkit.arch.tensor_names import EMBEDDINGS, OUTPUT
from ggmlkit.arguments import did_you_mean, shown, text
from ggmlkit.errors import (
    ArgumentError,
    ArgumentTypeError,
    ConversionError,
    ImportanceError,
    UnsupportedTypeError,
)
from ggmlkit.quantization.mixtures import ALIASES, MIXTURES, Mixture, Place, mixture
from ggmlkit.tensor import Tensor
from ggmlkit.types import TensorType

# `general.file_type` of files of a single type, as llama.cpp numbers them.
_FILE_TYPES: dict[str, int] = {
    "f32": 0,
    "f16": 1,
    "q4_1": 3,
    "q8_0": 7,
    "q5_1": 9,
    "q6_K": 18,
    "bf16": 32,
    "tq1_0": 36,
    "tq2_0": 37,
    "mxfp4": 38,
    "q2_0": 41,
}
# What a file can be quantized to: types, and mixtures of them.
NAMES: tuple[str, ...] = (*_FILE_TYPES, *MIXTURES, *ALIASES)

# For rows that aren't whole blocks of 256, types with blocks of 32: llama.cpp's choice.
_SMALLER_BLOCKS: dict[str, str] = {
    "q2_K": "q4_0",
    "q3_K": "q4_0",
    "q4_K": "q5_0",
    "q5_K": "q5_1",
    "q6_K": "q8_0",
    "iq1_s": "iq4_nl",
    "iq1_m": "iq4_nl",
    "iq2_xxs": "iq4_nl",
    "iq2_xs": "iq4_nl",
    "iq2_s": "iq4_nl",
    "iq3_xxs": "iq4_nl",
    "iq3_s": "iq4_nl",
    "iq4_xs": "iq4_nl",
    "tq1_0": "q4_0",
    "tq2_0": "q4_0",
    "q2_0": "q4_0",
}

_OF_LAYER = re.compile(r"blk\.(\d+)\.(\w+)\.weight")

# The router of a mixture of experts is tiny, and rounding it can change which experts it chooses.
_KEPT_SUFFIXES = ("ffn_gate_inp.weight",)

# Types of so few bits that only importance makes of a matrix something that can be used.
_NEED_IMPORTANCE = frozenset({"iq1_s", "iq1_m", "iq2_xxs", "iq2_xs", "iq2_s", "iq3_xxs"})

_FLOATS = frozenset({"f32", "f16", "bf16", "f64"})
_INTEGERS = frozenset({"i8", "i16", "i32", "i64"})
# In files of these the embedding gets more bits than other matrices, unless it makes the logits.
_TWO_BITS = frozenset({"tq1_0", "tq2_0", "q2_0"})


def recipe(name: TensorType | str) -> Mixture:
    """What a file is quantized to: a mixture, or a single type.

    Raises:
        UnsupportedTypeError: no file can be quantized to it.
        ArgumentTypeError: it is neither a type nor a name.
    """
    if not isinstance(name, (str, TensorType)):
        raise ArgumentTypeError(
            f'type must be the name of a type or mixture, such as "q4_K_M", not {shown(name)}'
        )
    found = mixture(str(name))
    if found is not None:
        return found
    plain = next((known for known in _FILE_TYPES if known.lower() == str(name).lower()), None)
    if plain is None:
        meant = did_you_mean(str(name), NAMES) or f"; choose one of {', '.join(NAMES)}"
        raise UnsupportedTypeError(f"a file can't be quantized to {str(name)!r}{meant}")
    return Mixture(plain, _FILE_TYPES[plain], {})


@dataclass(frozen=True)
class Planned:
    """What a file will hold.

    Attributes:
        types: of each tensor, by its gguf name.
        replaced: the recipe's types for the matrices that get another, by name: their rows are not
            whole blocks of it.
    """

    types: dict[str, TensorType]
    replaced: dict[str, TensorType]

    def notes(self, tensors: Mapping[str, Tensor]) -> list[str]:
        """Notes for the user, one sentence each.

        Args:
            tensors: the model's, which the types are for.
        """
        return [*self._fallbacks(tensors), *self._requantized(tensors)]

    def _fallbacks(self, tensors: Mapping[str, Tensor]) -> Iterator[str]:
        matrices = sum(len(tensor.shape) > 1 for tensor in tensors.values())
        groups: dict[tuple[int, int], Counter[tuple[str, str]]] = {}
        for name, kind in self.replaced.items():
            sizes = (tensors[name].shape[-1], kind.block_size)
            kinds = (kind.name, self.types[name].name)
            groups.setdefault(sizes, Counter())[kinds] += 1
        for (columns, size), counts in groups.items():
            became = ", ".join(f"{n} {got} instead of {w}" for (w, got), n in counts.items())
            yield (
                f"rows of {columns} weights cannot be cut into blocks of {size}, so "
                f"{sum(counts.values())} of {matrices} matrices get another type: {became}"
            )

    def _requantized(self, tensors: Mapping[str, Tensor]) -> Iterator[str]:
        again = Counter(
            tensor.type.name
            for name, tensor in tensors.items()
            if tensor.type.is_quantized
            and self.types[name].is_quantized
            and tensor.type != self.types[name]
        )
        if again:
            kinds = ", ".join(again)
            yield (
                f"{sum(again.values())} matrices are quantized already ({kinds}), and lose "
                "precision a second time; start from an f32, f16 or bf16 file to lose it only once"
            )


def plan(
    tensors: Mapping[str, Tensor],
    type: TensorType | str,
    *,
    pure: bool = False,
    weighted: bool = False,
    tensor_types: Sequence[tuple[str, TensorType | str]] = (),
) -> dict[str, TensorType]:
    """The type of each tensor (by its gguf name) in a file quantized to `type`.

    Matrices get the recipe's type or, where it is a mixture, what its rules say; vectors get f32.
    Matrices whose rows aren't whole blocks get a type of smaller blocks, or f16. Unless `pure`, the
    matrix that makes the logits (`output.weight`, or the embedding when the two are tied) gets q6_K
    in files of fewer bits, because its rounding changes every probability.

    Args:
        tensors: of the model.
        type: a type or mixture, one of `NAMES`.
        pure: no mixture: the same type for every matrix.
        weighted: whether the importance of the matrices' columns is known.
        tensor_types: pairs of a regular expression and a type; a matrix whose name the expression
            matches gets the type instead of the recipe's. The first that matches counts.

    Raises:
        UnsupportedTypeError: a type is unknown or can't be written.
        ImportanceError: a type needs the importance of columns, and ``weighted`` is False.
        ConversionError: an expression matches no matrix's name.
        ArgumentError: an expression is not a regular expression.
    """
    chosen = planned(tensors, type, pure=pure, weighted=weighted, tensor_types=tensor_types)
    return chosen.types


def planned(
    tensors: Mapping[str, Tensor],
    type: TensorType | str,
    *,
    pure: bool = False,
    weighted: bool = False,
    tensor_types: Sequence[tuple[str, TensorType | str]] = (),
) -> Planned:
    """The types that :func:`plan` gives, and the recipe's types where they differ."""
    chosen_recipe = recipe(type)
    own = _compiled(tensor_types)
    logits = OUTPUT if OUTPUT in tensors else EMBEDDINGS
    _check_found(own, tensors)
    place_of = _places(tensors, weighted)

    def recipe_type(name: str) -> str:
        for expression, kind in own:
            if expression.search(name):
                return kind.name
        if pure or chosen_recipe.type in _FLOATS:
            return chosen_recipe.type
        if name == logits:
            return "q8_0" if chosen_recipe.type == "q8_0" else chosen_recipe.logits
        if name == EMBEDDINGS and chosen_recipe.embeddings is not None:
            return chosen_recipe.embeddings
        if name == EMBEDDINGS and chosen_recipe.type in _TWO_BITS:
            return "q4_K"
        layer = _OF_LAYER.fullmatch(name)
        rule = chosen_recipe.rules.get(layer[2]) if layer else None
        found = rule(place_of(int(layer[1]))) if rule and layer else None
        return found or chosen_recipe.type

    chosen: dict[str, TensorType] = {}
    replaced: dict[str, TensorType] = {}
    for name, tensor in tensors.items():
        if _keeps_type(name, tensor):
            chosen[name] = tensor.type
        elif len(tensor.shape) < 2:
            chosen[name] = types.get("f32")
        else:
            kind = types.get(recipe_type(name))
            is_logits = name == logits and kind.name == chosen_recipe.logits
            chosen[name] = _with_whole_blocks(kind, tensor.shape[-1], is_logits)
            if chosen[name] != kind:
                replaced[name] = kind
    if not weighted:
        check_importance(chosen, tensors)
    return Planned(chosen, replaced)


def chosable(
    tensors: Mapping[str, Tensor], tensor_types: Sequence[tuple[str, TensorType | str]] = ()
) -> list[str]:
    """The names of the matrices whose types are not given: by an expression, or by what they are.

    Args:
        tensors: of the model.
        tensor_types: as of :func:`plan`.
    """
    own = _compiled(tensor_types)
    return [
        name
        for name, tensor in tensors.items()
        if len(tensor.shape) == 2
        and not _keeps_type(name, tensor)
        and not any(expression.search(name) for expression, _ in own)
    ]


def prevailing(tensors: Mapping[str, Tensor], chosen: Mapping[str, TensorType]) -> str:
    """The type that most weights of the matrices have, of those that a file can be named after."""
    counts: Counter[str] = Counter()
    for name, kind in chosen.items():
        if len(tensors[name].shape) > 1:
            counts[kind.name] += tensors[name].size
    named = [kind for kind, _ in counts.most_common() if kind in NAMES]
    return named[0] if named else "f16"


def check_importance(
    chosen: Mapping[str, TensorType], tensors: Mapping[str, Tensor], known: Container[str] = ()
) -> None:
    """Refuse types of few bits for matrices whose columns' importance is not known.

    Args:
        chosen: the type of each tensor, by name.
        tensors: the model's.
        known: names of the tensors whose columns' importance is known.

    Raises:
        ImportanceError: a matrix other than the embeddings and the output needs importance.
    """
    for name, kind in chosen.items():
        is_made = kind != tensors[name].type and name not in (EMBEDDINGS, OUTPUT)
        if is_made and kind.name in _NEED_IMPORTANCE and name not in known:
            raise ImportanceError(
                f"{name} can't be made {kind} without the importance of its columns: make an "
                "importance matrix of this model with `ggmlkit imatrix`, and quantize with "
                "--imatrix"
            )


def _compiled(
    tensor_types: Sequence[tuple[str, TensorType | str]],
) -> list[tuple[re.Pattern[str], TensorType]]:
    found = []
    for expression, name in _pairs(tensor_types):
        kind = types.get(name)
        if not kind.can_quantize:
            raise UnsupportedTypeError(f"this build has no kernel to write {kind}")
        try:
            found.append((re.compile(expression), kind))
        except re.error as error:
            raise ArgumentError(f"{expression!r} is not a regular expression: {error}") from None
    return found


def _pairs(tensor_types: object) -> Iterator[tuple[str, TensorType | str]]:
    """The pairs of an expression and a type."""
    pairs = tensor_types if isinstance(tensor_types, (list, tuple)) else [tensor_types]
    for pair in pairs:
        if not isinstance(pair, (list, tuple)) or len(pair) != 2:
            raise ArgumentTypeError(
                "tensor_types must be a list of pairs of a regular expression and a type, such "
                f'as [("attn_v", "q8_0")], not {shown(pair)}'
            )
        yield text(pair[0], "an expression of tensor_types"), pair[1]


def _check_found(
    own: Sequence[tuple[re.Pattern[str], TensorType]], tensors: Mapping[str, Tensor]
) -> None:
    """Refuse an expression that would change nothing: it probably has a typing error."""
    matrices = [
        name
        for name, tensor in tensors.items()
        if len(tensor.shape) > 1 and not _keeps_type(name, tensor)
    ]
    for expression, kind in own:
        if not any(map(expression.search, matrices)):
            example = f"; one that can be is {matrices[0]}" if matrices else ""
            raise ConversionError(
                f"{expression.pattern!r}, given type {kind}, matches the name of no matrix whose "
                f"type can be chosen{example}"
            )


def _keeps_type(name: str, tensor: Tensor) -> bool:
    return tensor.type.name in _INTEGERS or name.endswith(_KEPT_SUFFIXES)


def _places(tensors: Mapping[str, Tensor], weighted: bool) -> Callable[[int], Place]:
    named = filter(None, map(_OF_LAYER.fullmatch, tensors))
    layers = 1 + max((int(name[1]) for name in named), default=0)
    q, k = (tensors.get(f"blk.0.attn_{part}.weight") for part in "qk")
    sharing = q.shape[0] // max(1, k.shape[0]) if q is not None and k is not None else 1
    return lambda layer: Place(layer, layers, sharing, weighted)


def _with_whole_blocks(kind: TensorType, columns: int, is_logits: bool = False) -> TensorType:
    if is_logits and columns % kind.block_size != 0:
        kind = types.get("q8_0")
    while columns % kind.block_size != 0:
        kind = types.get(_SMALLER_BLOCKS.get(kind.name, "f16"))
    return kind

"""Mixtures: recipes that give more bits to the tensors whose rounding costs most.

The names and rules are llama.cpp's (its quantizer's choice for the LLaMA family), so a file called
Q4_K_M has the types that users of llama.cpp expect.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Place:
    """Where a matrix stands in the model.

    Attributes:
        layer: its layer.
        layers: how many there are.
        sharing: query heads per key head.
        weighted: whether each column's importance is known.
    """

    layer: int
    layers: int
    sharing: int
    weighted: bool = False

    @property
    def is_early(self) -> bool:
        """In the first eighth of the layers."""
        return self.layer < self.layers // 8

    @property
    def is_inner(self) -> bool:
        """Neither in the first nor in the last eighth of the layers."""
        return self.layers // 8 <= self.layer < 7 * self.layers // 8

    @property
    def is_sensitive(self) -> bool:
        """In the first or last eighth of the layers, or every third between."""
        late = self.layer >= 7 * self.layers // 8
        return self.is_early or late or (self.layer - self.layers // 8) % 3 == 2


# The type of a matrix that doesn't get the mixture's own; None where it does.
Rule = Callable[[Place], str | None]


def _always(type: str) -> Rule:
    return lambda _: type


def _if_sensitive(type: str) -> Rule:
    return lambda place: type if place.is_sensitive else None


def _if_inner(type: str) -> Rule:
    return lambda place: type if place.is_inner else None


def _if_shared(type: str, otherwise: str | None = None) -> Rule:
    """For a matrix that four or more query heads share, which makes it small."""
    return lambda place: type if place.sharing >= 4 else otherwise


def _if_early(type: str) -> Rule:
    return lambda place: type if place.is_early else None


@dataclass(frozen=True)
class Mixture:
    """A recipe by name.

    Attributes:
        type: of the matrices that no rule names.
        file_type: ``general.file_type``, as llama.cpp numbers it.
        rules: by the part of a tensor's name after its layer.
        logits: type of the matrix that makes the logits, if the file's own has fewer bits.
        embeddings: type of the embeddings where they don't make the logits; None: the file's own.
    """

    type: str
    file_type: int
    rules: dict[str, Rule]
    logits: str = "q6_K"
    embeddings: str | None = None


def _first_layers(count: int, type: str) -> Rule:
    return lambda place: type if place.layer < count else None


def _q3_k_m_down(place: Place) -> str:
    return "q5_K" if place.layer < place.layers // 16 else "q4_K"


_IQ4_RULES: dict[str, Rule] = {
    "attn_v": _if_shared("q5_K"),
    "ffn_down": lambda place: "q5_K" if place.is_early and not place.weighted else None,
}


def _first_down(type: str) -> dict[str, Rule]:
    """With importance the first layers can be rounded badly: they get a type with a minimum."""
    return {"ffn_down": lambda place: type if place.is_early and place.weighted else None}


def _few_bits(type: str, file_type: int, more: str, output: str | None) -> Mixture:
    """A mixture of 1 or 2 bits: ``more`` is its type with more of them."""
    rules = {"attn_v": _if_shared("q4_K", more), "ffn_down": _if_early(more)}
    if output is not None:
        rules["attn_output"] = _always(output)
    return Mixture(type, file_type, rules, "q5_K", more)


MIXTURES: dict[str, Mixture] = {
    "iq1_s": _few_bits("iq1_s", 24, "q2_K", "iq2_xxs"),
    "iq1_m": _few_bits("iq1_m", 31, "q2_K", "iq2_xxs"),
    "iq2_xxs": _few_bits("iq2_xxs", 19, "q2_K", None),
    "iq2_xs": _few_bits("iq2_xs", 20, "q2_K", None),
    "iq2_s": _few_bits("iq2_xs", 28, "iq3_s", "iq3_s"),
    "iq2_m": _few_bits("iq2_s", 29, "iq3_s", "iq3_s"),
    "iq3_xxs": Mixture(
        "iq3_xxs",
        23,
        {
            "attn_v": _if_shared("q4_K"),
            "attn_q": _always("iq2_s"),
            "attn_k": _always("iq2_s"),
            "attn_output": _always("iq3_s"),
        },
        "q5_K",
        "iq3_s",
    ),
    "iq3_xs": Mixture(
        "iq3_s",
        22,
        {
            "attn_v": _if_shared("q4_K"),
            "attn_q": _always("iq3_xxs"),
            "attn_k": _always("iq3_xxs"),
            "ffn_gate": _if_inner("iq3_xxs"),
            "ffn_up": _if_inner("iq3_xxs"),
        },
    ),
    "iq3_s": Mixture("iq3_s", 26, {"attn_v": _if_shared("q4_K")}),
    "iq3_m": Mixture(
        "iq3_s",
        27,
        {
            "attn_v": _always("q4_K"),
            "attn_output": _always("q4_K"),
            "ffn_down": _if_early("q4_K"),
        },
    ),
    "q4_0": Mixture("q4_0", 2, _first_down("q4_1")),
    "q5_0": Mixture("q5_0", 8, _first_down("q5_1")),
    "q2_K": Mixture(
        "q2_K",
        10,
        {
            "attn_v": _if_shared("q4_K", "q3_K"),
            "attn_output": _always("q3_K"),
            "ffn_down": _always("q3_K"),
        },
    ),
    "q2_K_S": Mixture(
        "q2_K",
        21,
        {
            "attn_v": _if_shared("q4_K"),
            "ffn_down": _if_early("q4_K"),
        },
    ),
    "q3_K_S": Mixture("q3_K", 11, {}),
    "q3_K_M": Mixture(
        "q3_K",
        12,
        {
            "attn_v": lambda place: "q5_K" if place.layer < 2 else "q4_K",
            "attn_output": _always("q4_K"),
            "ffn_down": _q3_k_m_down,
        },
    ),
    "q3_K_L": Mixture(
        "q3_K",
        13,
        {
            "attn_v": _always("q5_K"),
            "attn_output": _always("q5_K"),
            "ffn_down": _always("q5_K"),
        },
    ),
    "q4_K_S": Mixture(
        "q4_K", 14, {"attn_v": _first_layers(4, "q5_K"), "ffn_down": _if_early("q5_K")}
    ),
    "q4_K_M": Mixture(
        "q4_K", 15, {"attn_v": _if_sensitive("q6_K"), "ffn_down": _if_sensitive("q6_K")}
    ),
    "q5_K_S": Mixture("q5_K", 16, {}),
    "q5_K_M": Mixture(
        "q5_K", 17, {"attn_v": _if_sensitive("q6_K"), "ffn_down": _if_sensitive("q6_K")}
    ),
    "iq4_nl": Mixture("iq4_nl", 25, _IQ4_RULES),
    "iq4_xs": Mixture("iq4_xs", 30, _IQ4_RULES),
}
# Names of types that stand for a mixture.
ALIASES = {"q3_K": "q3_K_M", "q4_K": "q4_K_M", "q5_K": "q5_K_M"}


def mixture(name: str) -> Mixture | None:
    """The mixture of that name, in any case; None if there is none."""
    known = MIXTURES | {alias: MIXTURES[target] for alias, target in ALIASES.items()}
    return next((found for key, found in known.items() if key.lower() == name.lower()), None)

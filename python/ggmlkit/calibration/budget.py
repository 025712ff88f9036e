"""The cheapest choice of types under a budget of bytes: exact, by scipy (extra ``calibration``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ggmlkit.errors import ArgumentError
from ggmlkit.types import TensorType

# Of the cost: the choice that is found costs at most this part more than the best.
_GAP = 1e-5
# Seconds after which the best choice found so far is taken.
_SECONDS = 60


@dataclass(frozen=True)
class Option:
    """A type that a tensor may have.

    Attributes:
        type: the type.
        nbytes: what the tensor takes in the file.
        cost: what it costs.
    """

    type: TensorType
    nbytes: int
    cost: float


Options = Mapping[str, Sequence[Option]]


def cheapest(options: Options, room: int) -> dict[str, Option]:
    """The options, one of each tensor, that fit into the room and cost least together.

    Args:
        options: of each tensor, by its name.
        room: bytes for all of them.

    Raises:
        ArgumentError: nothing fits, or scipy is missing.
    """
    kept = {name: _not_worse(own) for name, own in options.items()}
    least = least_bytes(kept)
    if least > room:
        raise ArgumentError(f"{room:,} bytes are too few for any choice; the least is {least:,}")
    best = {name: own[-1] for name, own in kept.items()}
    if sum(option.nbytes for option in best.values()) <= room:
        return best
    return _solved(kept, room)


def least_bytes(options: Options) -> int:
    """Bytes that the tensors take at least."""
    return sum(min(option.nbytes for option in own) for own in options.values())


def check_scipy() -> None:
    """Raise ArgumentError if there is no scipy, before anything is computed for it."""
    try:
        import scipy.optimize  # noqa: F401  # deferred: an extra, and slow to load
    except ImportError as error:
        raise ArgumentError(
            f"a choice of types needs scipy: pip install ggmlkit[calibration] ({error})"
        ) from None


def _not_worse(options: Sequence[Option]) -> list[Option]:
    """Those that no smaller option beats, from the smallest to the best."""
    kept: list[Option] = []
    for option in sorted(options, key=lambda each: (each.nbytes, each.cost)):
        if not kept or option.cost < kept[-1].cost:
            kept.append(option)
    return kept


def _solved(options: Options, room: int) -> dict[str, Option]:
    """One variable, 0 or 1, for each tensor and type; one type for each tensor."""
    check_scipy()
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import csr_array

    every = [(name, option) for name, own in options.items() for option in own]
    place = {name: row for row, name in enumerate(options)}
    rows = [place[name] for name, _ in every]
    one_each = csr_array((np.ones(len(every)), (rows, range(len(every)))))
    nbytes = np.array([option.nbytes for _, option in every], np.float64)
    costs = np.array([option.cost for _, option in every])
    found = milp(
        costs / (costs.max() or 1.0) * 1e3,  # the solver's tolerances are absolute
        integrality=np.ones(len(every)),
        bounds=Bounds(0, 1),
        constraints=[
            LinearConstraint(one_each, 1, 1),
            LinearConstraint(nbytes / room, -np.inf, 1 + 0.5 / room),
        ],
        options={"mip_rel_gap": _GAP, "time_limit": _SECONDS},
    )
    if found.x is None:  # what is left of the room is smaller than the solver's tolerance
        return {name: own[0] for name, own in options.items()}
    taken = {name: option for (name, option), x in zip(every, found.x, strict=True) if x > 0.5}
    return _within(taken, options, room)


def _within(taken: dict[str, Option], options: Options, room: int) -> dict[str, Option]:
    """A choice that fits: the solver's tolerance may have let a few bytes too many in."""
    while sum(option.nbytes for option in taken.values()) > room:
        steps = [
            (smaller.cost - taken[name].cost, name, smaller)
            for name, own in options.items()
            for smaller in own
            if smaller.nbytes < taken[name].nbytes
        ]
        _, name, smaller = min(steps, key=lambda step: step[0])
        taken[name] = smaller
    return taken

"""The size that a file is to have, as people say it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ggmlkit.arguments import shown
from ggmlkit.errors import ArgumentError, ArgumentTypeError

_FORM = re.compile(r"(\d+(?:\.\d+)?)\s*(bpw|[kmg]i?b|b|)", re.IGNORECASE | re.ASCII)
_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9}
_UNITS |= {"kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30}


@dataclass(frozen=True)
class Size:
    """At most so many bytes, or so many bits for each weight.

    Attributes:
        nbytes: of the whole file; None where bits are said.
        bits: of the tensors' data for each weight, as `ggmlkit inspect` counts them; None where
            bytes are said.
    """

    nbytes: int | None = None
    bits: float | None = None

    def of_file(self, weights: int, overhead: int) -> int:
        """Bytes of the whole file.

        Args:
            weights: of all its tensors.
            overhead: bytes of the file that are no tensor's data.
        """
        if self.nbytes is not None:
            return self.nbytes
        assert self.bits is not None
        return overhead + int(self.bits * weights / 8)


def parsed_size(size: str | int) -> Size:
    """What ``"4.5bpw"``, ``"90MB"``, ``"1.5GB"``, ``"2GiB"`` or a number of bytes says.

    Raises:
        ArgumentError: it has no such form, or is 0.
        ArgumentTypeError: it is neither text nor a whole number.
    """
    if isinstance(size, bool) or not isinstance(size, (str, int)):
        raise ArgumentTypeError(f'size must be as in "4.5bpw" or "2GB", not {shown(size)}')
    found = _FORM.fullmatch(str(size).strip())
    number = 0.0 if found is None else float(found[1])
    unit = "" if found is None else found[2].lower()
    if not number or (not unit and not number.is_integer()):
        raise ArgumentError(f"size must be as in 4.5bpw, 800MB or 2GB, not {shown(size)}")
    return Size(bits=number) if unit == "bpw" else Size(nbytes=int(number * _UNITS[unit]))

"""Integers of a few bits, packed into 32-bit words: lowest bits first, also across words."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def unpacked(words: npt.NDArray[np.uint32], bits: int) -> npt.NDArray[np.uint8]:
    """The integers of each row: uint8 ``(rows, words * 32 / bits)`` of ``(rows, words)``.

    ``bits`` is 2, 3, 4 or 8. With 3 bits, 32 integers fill three words.
    """
    octets = np.ascontiguousarray(words, "<u4").view(np.uint8)
    if bits == 8:
        return octets
    rows = octets.shape[0]
    if 8 % bits == 0:
        each = 8 // bits
        found = np.empty((rows, octets.shape[1] * each), np.uint8)
        for place in range(each):
            found[:, place::each] = octets >> place * bits & (1 << bits) - 1
        return found
    ones = np.unpackbits(octets, axis=1, bitorder="little").reshape(rows, -1, bits)
    return np.packbits(ones, axis=2, bitorder="little").reshape(rows, -1)

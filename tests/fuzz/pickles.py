"""Damage to pickles by whole opcodes: values that are shared, hold themselves, or are misplaced."""

from __future__ import annotations

import pickle
import struct
from random import Random

from ggmlkit.io.torch.pickle_opcodes import opcodes
from mutators import damaged

_NAMES = [b"collections\nOrderedDict\n", b"torch._utils\n_rebuild_tensor_v2\n",
          b"torch._utils\n_rebuild_parameter\n", b"torch\nFloatStorage\n", b"torch\nByteStorage\n",
          b"posix\nsystem\n"]  # fmt: skip
_PIECES = [
    *(bytes([code]) for code in b"()0]}.1NRQabdelstu\x85\x86\x87\x88\x89\x8f\x90\x93\x94"),
    *(b"c" + name for name in _NAMES),
    b"(U\x07storagectorch\nFloatStorage\nU\x010U\x03cpuK\x10tQ",
    b"ccollections\nOrderedDict\n)R",
    b"ccollections\nOrderedDict\n](U\x01aK\x01\x86K\x02N\x86e\x85R",
    b"U\x06config", b"U\x0astate_dict", b"X\x01\x00\x00\x00w", b"C\x01w", b"Vw\n",
    b"T\x01\x00\x00\x00w",
    b"K\x07", b"M\x00\x01", b"J\xff\xff\xff\xff", b"I01\n", b"I-7\n", b"L123L\n", b"F1e400\n",
    b"G\x7f\xf8\x00\x00\x00\x00\x00\x00", b"\x8a\x09" + b"\xff" * 8 + b"\x01",
    b"\x8b\x40\x00\x00\x00" + b"\x7f" * 64, b"\x80\x04", b"\x95" + bytes(8),
]  # fmt: skip
_DOUBLED = (b")", b"]", b"}"), (b"h%ch%c\x86", b"](h%ch%ce", b"}(K\x01h%cU\x01ah%cu", b"(h%ch%ct")


def damaged_pickle(raw: bytes, rng: Random) -> bytes:
    """A pickle with opcodes removed and inserted."""
    try:
        places = [place for _, _, place, _ in opcodes(raw, 0)]
    except pickle.UnpicklingError:  # damaged before, by a fuzzer
        places = list(range(len(raw)))
    if not places or rng.random() < 0.1:
        return damaged(raw, rng)
    for _ in range(rng.choice((1, 1, 2, 4))):
        place = rng.choice(places)
        end = rng.choice(places) if rng.random() < 0.1 else place
        raw = raw[:place] + b"".join(_piece(rng) for _ in range(rng.randint(0, 4))) + raw[end:]
    return raw


def _piece(rng: Random) -> bytes:
    number = rng.randrange(8)
    kind = rng.random()
    if kind < 0.7:
        return rng.choice(_PIECES)
    if kind < 0.88:
        return rng.choice((b"q", b"h")) + bytes([number])
    if kind < 0.96:
        return rng.choice((b"r", b"j")) + struct.pack("<I", rng.choice((number, 2**32 - 1)))
    return _doubled(rng, number)


def _doubled(rng: Random, number: int) -> bytes:
    """A value that holds itself twice, repeatedly."""
    starts, steps = _DOUBLED
    memo = b"q" + bytes([number])
    step = rng.choice(steps) % (number, number)
    return rng.choice(starts) + memo + (b"0" + step + memo) * rng.choice((2, 2, 40))

"""Allowed skips. In CI (``GGMLKIT_SKIPS=listed``) any other skip is a failure.

``GGMLKIT_SKIPS=none``, which `make peers` sets, allows none at all.
"""

from __future__ import annotations

import os
import platform
import re
from dataclasses import dataclass

# scalar is in neither: every processor runs it.
X86_SETS = ("avx2", "avxvnni", "avx512", "avx512vnni", "amx")
ARM_SETS = ("neon", "neon_dotprod", "neon_i8mm")
X86 = platform.machine() == "x86_64"
OWN_SETS, OTHER_SETS = (X86_SETS, ARM_SETS) if X86 else (ARM_SETS, X86_SETS)


@dataclass(frozen=True)
class AllowedSkip:
    """Skips of tests under a path whose reason matches.

    Attributes:
        tests: the start of the tests' ids.
        reason: regular expression that the whole reason of the skip must match.
        why: why the skip is harmless.
    """

    tests: str
    reason: str
    why: str


ALLOWED = [
    AllowedSkip("tests/peers/", ".*", "`make peers` builds the other programs and skips nothing"),
    AllowedSkip(
        "tests/io/writing/test_full_disk.py",
        "this system lets no test mount a disk.*",
        "limits on the size of files stand in for a full disk in test_atomic.py",
    ),
    AllowedSkip(
        "tests/server/page/test_scripts.py",
        "there is no node",
        "`make browser` runs the same scripts in a browser",
    ),
    *(
        AllowedSkip(
            "tests/kernels/",
            f"GGMLKIT_ISA={isa}, but this processor lacks .*",
            f"{isa} runs emulated: by SIMDe on x86-64, by QEMU for ARM",
        )
        for isa in OWN_SETS
    ),
    *(
        AllowedSkip(
            "tests/kernels/",
            f"GGMLKIT_ISA={isa} is no instruction set of this build",
            f"{isa} belongs to another kind of processor",
        )
        for isa in OTHER_SETS
    ),
]
if not X86:
    ALLOWED.append(
        AllowedSkip("tests/kernels/", "only on x86-64: .*", "x86-64 is emulated on itself alone")
    )


def forbidden(test: str, reason: str) -> str | None:
    """Why the skip of `test` is a failure; None if it is allowed."""
    setting = os.environ.get("GGMLKIT_SKIPS")
    if setting is None:
        return None
    if setting == "listed" and any(
        test.startswith(skip.tests) and re.fullmatch(skip.reason, reason, re.DOTALL)
        for skip in ALLOWED
    ):
        return None
    return f"skipped, but GGMLKIT_SKIPS={setting} (see tests/allowed_skips.py): {reason}"

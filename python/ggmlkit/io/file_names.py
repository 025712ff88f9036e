"""Names of other files that a file gives: only of those beside it are they taken."""

from __future__ import annotations

from typing import TypeGuard

_LONGEST_NAME = 200  # characters; systems allow some 250 bytes


def is_plain_file_name(name: object) -> TypeGuard[str]:
    """Whether it names a file in the same folder, leading neither up, down nor elsewhere."""
    if not isinstance(name, str) or name in ("", ".", ".."):
        return False
    return len(name) <= _LONGEST_NAME and not any(character in name for character in "/\\:\0")

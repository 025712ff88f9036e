"""Checks file names that are stored in a file: only files in the same folder are allowed."""

from __future__ import annotations

from typing import TypeGuard

_LONGEST_NAME = 200  # characters; file systems allow about 250 bytes


def is_plain_file_name(name: object) -> TypeGuard[str]:
    """Whether ``name`` is a file name without any folder, so that it can't lead elsewhere."""
    if not isinstance(name, str) or name in ("", ".", ".."):
        return False
    return len(name) <= _LONGEST_NAME and not any(character in name for character in "/\\:\0")

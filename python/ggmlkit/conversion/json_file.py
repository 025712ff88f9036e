"""JSON files of a checkpoint folder, read with errors that name the file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ggmlkit.errors import ConversionError, FormatError


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file; FormatError if it is damaged, ConversionError if it is missing."""
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        raise ConversionError(f"{path} is missing") from None
    try:
        value = json.loads(text.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise FormatError(path, None, f"not JSON: {error}") from error
    if not isinstance(value, dict):
        raise FormatError(path, None, "not a JSON object")
    return value


def object_if_there(path: Path) -> dict[str, Any]:
    """The object in a JSON file; empty if there is no file."""
    return read_json(path) if path.is_file() else {}


def list_of(path: Path, source: Mapping[str, Any], key: str) -> list[Any]:
    """The list under a key of an object in the file; empty if the key is not there."""
    found = source.get(key) or []
    if not isinstance(found, list):
        raise FormatError(path, None, f"{key} is not a list")
    return found

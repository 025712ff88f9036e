"""Includes of the C++ sources go one way, and headers have no include cycles."""

from __future__ import annotations

import re

import pytest

from paths import ROOT

CSRC = ROOT / "csrc"
BELOW_SETS = {"core", "kernels", "kernels/layouts", "kernels/generic"}
# The folders that a folder includes, besides itself. An instruction set includes its own folder and
# those of the set that it extends.
MAY_INCLUDE = {
    "core": set[str](),
    "text": {"core"},
    "kernels": {"core"},
    "kernels/layouts": {"core", "kernels"},
    "kernels/generic": {"core", "kernels", "kernels/layouts"},
    "kernels/scalar": BELOW_SETS,
    "kernels/avx2": BELOW_SETS,
    "kernels/avxvnni": BELOW_SETS | {"kernels/avx2"},
    "kernels/avx512": BELOW_SETS,
    "kernels/avx512vnni": BELOW_SETS | {"kernels/avx512"},
    "kernels/amx": BELOW_SETS | {"kernels/avx512"},
    "kernels/neon": BELOW_SETS,
    "kernels/neon_dotprod": BELOW_SETS | {"kernels/neon"},
    "kernels/neon_i8mm": BELOW_SETS | {"kernels/neon", "kernels/neon_dotprod"},
    "quant": {"core", "kernels", "kernels/layouts"},
    "engine": {"core", "kernels", "kernels/layouts", "quant"},
    "bindings": {"core", "kernels", "kernels/layouts", "quant", "engine", "text"},
}
# Dispatch requests AMX's registers from the system.
EXCEPTIONS = {("kernels/dispatch.cpp", "kernels/amx/permission.h")}


def room_of(path: str) -> str:
    """``kernels/avx2`` for ``kernels/avx2/lanes.h``; folders within a room belong to it."""
    first, *rest = path.split("/")
    return f"{first}/{rest[0]}" if first == "kernels" and len(rest) > 1 else first


def own_includes(text: str) -> list[str]:
    """The files of csrc that a source includes, in quotes or in angle brackets."""
    found = re.findall(r'^\s*#\s*include\s*(["<])([^">]+)[">]', text, re.MULTILINE)
    return [name for mark, name in found if mark == '"' or (CSRC / name).is_file()]


def included() -> dict[str, list[str]]:
    """The files of csrc that each source includes, both as paths below csrc."""
    return {
        path.relative_to(CSRC).as_posix(): own_includes(path.read_text(encoding="utf-8"))
        for path in sorted(CSRC.rglob("*"))
        if path.suffix in {".h", ".cpp"}
    }


INCLUDED = included()


def test_sources_have_the_suffixes_that_are_looked_at() -> None:
    suffixes = {path.suffix for path in CSRC.rglob("*") if path.is_file()}
    assert suffixes & {".hpp", ".hh", ".inc", ".inl", ".cc", ".cxx", ".c", ".ipp"} == set()


def test_includes_are_seen_however_they_are_written() -> None:
    text = '#include <vector>\n#include <core/types.h>\n # include"engine/config.h"\n'
    assert own_includes(text) == ["core/types.h", "engine/config.h"]


def test_every_folder_is_a_room() -> None:
    assert {room_of(path) for path in INCLUDED} == set(MAY_INCLUDE)


@pytest.mark.parametrize("room", MAY_INCLUDE)
def test_a_room_includes_what_lies_below(room: str) -> None:
    upward = [
        (path, other)
        for path, others in INCLUDED.items()
        if room_of(path) == room
        for other in others
        if room_of(other) not in MAY_INCLUDE[room] | {room} and (path, other) not in EXCEPTIONS
    ]
    assert upward == []


def test_what_is_included_exists() -> None:
    missing = {other for others in INCLUDED.values() for other in others} - INCLUDED.keys()
    assert not missing, "includes name the path below csrc"


def test_headers_have_no_include_cycles() -> None:
    left = {path: set(others) for path, others in INCLUDED.items()}
    while ready := {path for path, others in left.items() if not others & left.keys()}:
        left = {path: others for path, others in left.items() if path not in ready}
    assert not left, "these are in an include cycle, or include one that is"


def test_rooms_have_no_dependency_cycles() -> None:
    left = {room: others - {room} for room, others in MAY_INCLUDE.items()}
    while ready := {room for room, others in left.items() if not others & left.keys()}:
        left = {room: others for room, others in left.items() if room not in ready}
    assert not left

"""Tests have the same folders as their sources, and files stay short."""

from __future__ import annotations

from paths import ROOT

TESTS = ROOT / "tests"
# Folders that mirror no single source: those beside the two trees, and special kinds of tests.
APART = {
    "benchmarks",
    "clients",
    "browser",
    "cluster",
    "data",
    "docs",
    "exploits",
    "fuzz",
    "native",
    "peers",
    "typing",
    "vendor",
}
LONGEST = 450


def test_folders_of_tests_are_folders_of_sources() -> None:
    for folder in TESTS.rglob("*/"):
        path = folder.relative_to(TESTS)
        if path.parts[0] in APART or "__pycache__" in path.parts or not any(folder.glob("*.py")):
            continue
        sources = (ROOT / "python/ggmlkit" / path, ROOT / "csrc" / path)
        assert any(source.is_dir() for source in sources), path


def test_no_test_file_is_too_long() -> None:
    lines = {path: path.read_text("utf-8").count("\n") for path in TESTS.rglob("*.py")}
    assert {path.name: count for path, count in lines.items() if count > LONGEST} == {}

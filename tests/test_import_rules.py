"""Python's imports go one way, without cycles; the rules are in pyproject.toml."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

from paths import ROOT

PACKAGE = ROOT / "python" / "ggmlkit"
# What the package itself holds besides its modules: the compiled core, and its version.
NO_MODULES = {"_core", "__version__"}
# These import by name what is asked for: the package's face, the commands, the readers of files.
BY_NAME = {"__init__.py", "cli/app.py", "io/__init__.py"}


def test_imports_follow_the_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    # It would turn the loggers off that later tests in this process read.
    monkeypatch.setattr("logging.config.dictConfig", lambda _: None)
    assert lint_imports(str(ROOT / "pyproject.toml"), no_cache=True) == EXIT_STATUS_SUCCESS


def through_the_face(text: str) -> Iterator[str]:
    """Imports of what the package's own face offers, which import-linter does not follow."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (f"import {each.name}" for each in node.names if each.name == "ggmlkit")
        elif isinstance(node, ast.ImportFrom) and node.module == "ggmlkit":
            names = {each.name for each in node.names} - NO_MODULES
            yield from (name for name in sorted(names) if not is_module(name))


def is_module(name: str) -> bool:
    return (PACKAGE / f"{name}.py").is_file() or (PACKAGE / name / "__init__.py").is_file()


def sources() -> dict[str, str]:
    paths = sorted(PACKAGE.rglob("*.py"))
    return {path.relative_to(PACKAGE).as_posix(): path.read_text("utf-8") for path in paths}


def test_no_module_imports_through_the_face() -> None:
    found = {path: list(through_the_face(text)) for path, text in sources().items()}
    assert {path: names for path, names in found.items() if names} == {}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("import ggmlkit as gk", ["import ggmlkit"]),
        ("def f():\n    from ggmlkit import Llama, io, _core", ["Llama"]),
        ("import ggmlkit.io\nfrom ggmlkit.io import base", []),
    ],
)
def test_such_imports_are_seen(text: str, found: list[str]) -> None:
    assert list(through_the_face(text)) == found


def test_only_these_import_modules_by_name() -> None:
    found = {path for path, text in sources().items() if "import_module(" in text}
    assert found <= BY_NAME

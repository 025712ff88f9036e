"""The records of `make clients`, and the table that shows them."""

from __future__ import annotations

import sys
from pathlib import Path

import client_tests
from paths import ROOT

REPORT = """<testsuites><testsuite>
<testcase classname="tests.clients.test_one_client" name="test_a" time="1.26"/>
<testcase classname="tests.clients.test_one_client" name="test_b" time="1"><failure/></testcase>
<testcase classname="tests.clients.test_one_client" name="test_c" time="0"><error/></testcase>
<testcase classname="tests.clients.test_one_client" name="test_d" time="0"><skipped/></testcase>
<testcase classname="tests.clients.test_other" name="test_a" time="2"/>
</testsuite></testsuites>"""


def test_a_report_is_counted_by_client() -> None:
    found = client_tests.counted(REPORT, lambda client: f"of {client}")
    one, other = found["one_client"], found["other"]
    assert (one.passed, one.failed, one.skipped, one.seconds) == (1, 2, 1, 2.3)
    assert (other.passed, other.failed, other.skipped) == (1, 0, 0)
    assert other.version == "of other"


def test_runs_are_kept_by_client_and_shown(tmp_path: Path) -> None:
    path = tmp_path / "clients.json"
    assert client_tests.read(path) == {}
    assert client_tests.lines({}) == []
    run = client_tests.Run("2026-01-01T00:00", "abc", "1.2", 9, 0, 0, 6.7)
    client_tests.write({"two": run, "one": run}, path)
    assert list(client_tests.read(path)) == ["one", "two"]
    page = client_tests.lines(client_tests.read(path))
    assert "| one | 1.2 | 2026-01-01T00:00 | abc | 9 | 0 | 0 | 7 |" in page


def test_every_file_of_tests_names_its_client() -> None:
    asked = (ROOT / "pyproject.toml").read_text("utf-8")
    for test in client_tests.TESTS.glob("test_*.py"):
        client = test.stem.removeprefix("test_")
        package = client_tests.package(client)
        assert package is None or f'"{package}' in asked, client


def test_tests_find_their_environments() -> None:
    environment = client_tests._environment()
    assert environment["GGMLKIT_PYTHON"] == sys.executable
    assert environment["GGMLKIT_CLIENTS"] == str(client_tests.FOLDER)

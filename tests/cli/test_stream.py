"""Text printed as it comes."""

from __future__ import annotations

import pytest

from ggmlkit.cli.stream import print_stream

PIECES = ["a\x1b[31m", "b\r\n\tc", "\x7f\x9b2J", "é"]


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_terminal_does_not_obey_what_a_model_says(
    is_terminal: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: is_terminal, raising=False)
    assert print_stream(PIECES) is False
    shown = "a^[[31mb^M\n\tc^?\\x9b2Jé\n"
    assert capsys.readouterr().out == (shown if is_terminal else "".join(PIECES) + "\n")

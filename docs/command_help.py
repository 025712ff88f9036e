"""What cli.md shows of the commands' own help, and of options of llama.cpp:
`.venv/bin/python docs/command_help.py` rewrites it.

A test makes it again and compares.
"""

from __future__ import annotations

import re
from pathlib import Path

from ggmlkit.cli.app import COMMANDS, command_parser, program
from ggmlkit.cli.llama_cpp import Accepted, Refused

PAGE = Path(__file__).with_name("cli.md")
_HELP = re.compile(r"(^\$ ggmlkit ?(?P<name>[\w-]*) --help\n).*?(?=^```)", re.MULTILINE | re.DOTALL)
_TABLE = re.compile(r"(<!-- table: llama.cpp -->\n).*?(?=<!-- end -->)", re.DOTALL)


def filled(page: str) -> str:
    """The page with the text of today's parsers."""
    shown = _HELP.sub(lambda found: found[1] + _help(found["name"]), page)
    return _TABLE.sub(lambda found: found[1] + llama_cpp_options(), shown)


def llama_cpp_options() -> str:
    """A line for the options of llama.cpp that the same commands treat alike."""
    commands: dict[tuple[type[Accepted], str, str], list[str]] = {}
    for command in COMMANDS:
        for option in command_parser(command)._actions:
            if isinstance(option, Accepted):
                names = " ".join(f"`{name}`" for name in option.option_strings)
                said = option.said or "is what ggmlkit does"
                commands.setdefault((type(option), said, names), []).append(command)
    rows: dict[tuple[type[Accepted], str, str], list[str]] = {}
    for (kind, said, names), of in commands.items():
        rows.setdefault((kind, said, ", ".join(of)), []).append(names)
    lines = ["| options | of | |", "| --- | --- | --- |"]
    for (_, said, of_all), all_names in sorted(rows.items(), key=lambda row: row[0][0] is Refused):
        said = said.replace("|", "\\|")
        lines.append(f"| {', '.join(all_names)} | {of_all} | {said} |")
    return "\n".join(lines) + "\n"


def _help(name: str) -> str:
    return command_parser(name).format_help() if name else program().format_help()


if __name__ == "__main__":
    text = PAGE.read_text(encoding="utf-8")
    commands = {found["name"] for found in _HELP.finditer(text)}
    assert commands == {"", *COMMANDS}, commands.symmetric_difference({"", *COMMANDS})
    PAGE.write_text(filled(text), encoding="utf-8")

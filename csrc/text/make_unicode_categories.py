"""Writes unicode_categories.h: general categories as the tokenizers library's expressions see them.

Tokenizers of others split text by that library's Oniguruma, so ids agree for every character only
if the categories are of the same Unicode version. Run with a Python that has tokenizers; takes the
version it was run with into the header.
"""

from __future__ import annotations

from pathlib import Path

import tokenizers
from tokenizers import Regex, pre_tokenizers

# In the order of the C++ enumeration. Cn, unassigned, is what is in none of the others.
CATEGORIES = (  # noqa: SIM905
    "Cn Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cc Cf Co"
).split()
ALL = [code for code in range(0x110000) if not 0xD800 <= code < 0xE000]  # no surrogates


def categories() -> dict[int, int]:
    """The category number of every assigned code point."""
    text = "".join(map(chr, ALL))
    found: dict[int, int] = {}
    for number, name in enumerate(CATEGORIES[1:], 1):
        kept = pre_tokenizers.Split(Regex(rf"\p{{{name}}}+"), "removed", invert=True)
        for _, (begin, end) in kept.pre_tokenize_str(text):
            found.update(dict.fromkeys(ALL[begin:end], number))
    return found


def runs() -> list[int]:
    """For each run of one category: its first code point times 32, plus the category."""
    found = categories()
    packed = []
    before = -1
    for code in range(0x110000):
        number = found.get(code, 0)
        if number != before:
            packed.append(code << 5 | number)
        before = number
    return packed


def main() -> None:
    rows = []
    line = "   "
    for value in runs():
        item = f" {value:#x},"
        if len(line) + len(item) > 100:
            rows.append(line)
            line = "   "
        line += item
    rows.append(line)
    header = f"""\
// General categories of Unicode's code points, made by make_unicode_categories.py with tokenizers
// {tokenizers.__version__}: each number is the first code point of a run times 32 plus its kind.
#pragma once

#include <cstdint>

namespace ggmlkit::text {{

// clang-format off
constexpr std::uint32_t kCategoryRuns[] = {{
"""
    footer = "};\n// clang-format on\n\n}  // namespace ggmlkit::text\n"
    path = Path(__file__).with_name("unicode_categories.h")
    path.write_text(header + "\n".join(rows) + "\n" + footer)


if __name__ == "__main__":
    main()

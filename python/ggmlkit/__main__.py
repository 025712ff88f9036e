"""`python -m ggmlkit`."""

from __future__ import annotations

from ggmlkit.cli import main

if __name__ == "__main__":
    main()

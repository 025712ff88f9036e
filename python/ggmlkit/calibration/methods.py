"""The ways of calibrated rounding, by name; `ggmlkit.calibration.rounding` says what each does."""

from __future__ import annotations

from typing import Literal

Method = Literal["search", "feedback", "descent"]
METHODS: tuple[Method, ...] = ("search", "feedback", "descent")

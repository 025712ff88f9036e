"""The processes that render chat templates: killed, hanging, shared, forked, ended."""

from __future__ import annotations

import multiprocessing.spawn
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

import ggmlkit
from ggmlkit.errors import ModelError
from ggmlkit.text.template import process as template_process
from ggmlkit.text.template.process import Bounds, Renderers

ENDLESS = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"


@pytest.fixture
def renderers() -> Iterator[Renderers]:
    found = Renderers()
    yield found
    found.close()


def pids(renderers: Renderers) -> list[int]:
    return [process._process.pid for process in renderers._alive]


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat").read_text()
    return status.rpartition(")")[2].split()[0] != "Z"  # its new parent will collect it


def wait_until(done: Any) -> None:
    for _ in range(2000):
        if done():
            return
        time.sleep(0.01)
    raise AssertionError("it never came true")


def test_one_process_serves_several_requests(renderers: Renderers) -> None:
    texts = [renderers.rendered("{{ n + 1 }}", {"n": n}) for n in range(3)]
    (pid,) = pids(renderers)
    assert texts == ["1", "2", "3"]
    with pytest.raises(ModelError, match="division"):
        renderers.rendered("{{ 1 / 0 }}", {})
    assert pids(renderers) == [pid]


def test_one_that_was_killed_while_idle_is_replaced(renderers: Renderers) -> None:
    renderers.rendered("", {})
    (pid,) = pids(renderers)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not is_there(pid))
    assert renderers.rendered("a", {}) == "a"
    assert pid not in pids(renderers)


def test_one_that_is_killed_while_it_renders() -> None:
    renderers = Renderers(Bounds(seconds=30))
    renderers.prepare()
    (pid,) = pids(renderers)
    with ThreadPoolExecutor() as threads:
        waiting = threads.submit(renderers.rendered, ENDLESS, {})
        time.sleep(0.2)
        os.kill(pid, signal.SIGKILL)
        error = waiting.exception()
    assert isinstance(error, ModelError)
    reasons = ("ended the process that renders it (signal SIGKILL)", "with status -9")
    assert str(error).endswith(reasons)  # the latter if it had not started yet
    assert renderers.rendered("a", {}) == "a"
    renderers.close()


def test_one_that_hangs_is_ended() -> None:
    renderers = Renderers(patience=0.3)
    renderers.prepare()
    (pid,) = pids(renderers)
    os.kill(pid, signal.SIGSTOP)
    # Longer than the socket's buffer, so that sending waits too.
    with pytest.raises(ModelError, match=r"has not answered for 0\.3 seconds and was ended"):
        renderers.rendered("{{ a }}", {"a": "x" * 10_000_000})
    assert pids(renderers) == []
    assert not is_there(pid)
    renderers = Renderers()
    assert renderers.rendered("a", {}) == "a"
    renderers.close()


@pytest.mark.parametrize(
    ("template", "limit"),
    [(ENDLESS, r"0\.05 s of processor time"), ("{{ 'x' * 10 ** 9 }}", "100 MB of memory")],
)
def test_one_that_takes_too_much_is_replaced(template: str, limit: str) -> None:
    renderers = Renderers(Bounds(seconds=0.05, megabytes=100))
    for _ in range(2):
        with pytest.raises(ModelError, match=f"the chat template takes more than {limit}"):
            renderers.rendered(template, {})
        assert pids(renderers) == []
        assert renderers.rendered("a", {}) == "a"
    renderers.close()


def test_signals_that_are_ignored_here_still_end_it() -> None:
    """A started program inherits ignored and blocked signals."""
    handler = signal.signal(signal.SIGPROF, signal.SIG_IGN)
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGPROF])
    renderers = Renderers(Bounds(seconds=0.05), patience=20)
    try:
        with pytest.raises(ModelError, match="takes more than"):
            renderers.rendered(ENDLESS, {})
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        signal.signal(signal.SIGPROF, handler)
        renderers.close()


def test_an_interrupted_wait_leaves_no_answer_behind() -> None:
    renderers = Renderers(Bounds(seconds=30))
    renderers.rendered("a", {})

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    handler = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        with pytest.raises(KeyboardInterrupt):
            renderers.rendered(ENDLESS, {})
    finally:
        signal.signal(signal.SIGALRM, handler)
    assert pids(renderers) == []
    assert renderers.rendered("b", {}) == "b"
    renderers.close()


def test_many_threads_share_a_few() -> None:
    renderers = Renderers(most=2)
    most: list[int] = []

    def rendered(number: int) -> str:
        text = renderers.rendered("{% for a in range(20000) %}{% endfor %}{{ n }}", {"n": number})
        most.append(len(pids(renderers)))
        return text

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(rendered, range(40))) == [str(n) for n in range(40)]
    assert max(most) == 2
    renderers.close()


def test_closing_wakes_waiting_threads() -> None:
    renderers = Renderers(Bounds(seconds=30), most=1)
    renderers.prepare()
    with ThreadPoolExecutor() as threads:
        first = threads.submit(renderers.rendered, ENDLESS, {})
        wait_until(lambda: not renderers._idle)
        renderers.close()
        assert isinstance(first.exception(), ModelError)
    renderers.close()


def test_the_environment_of_the_process(
    renderers: Renderers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gets no environment variables, open files, current folder, or keys of the terminal."""
    monkeypatch.setenv("GGMLKIT_TEST_TOKEN", "secret")
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    renderers.rendered("a", {})
    (pid,) = pids(renderers)
    assert b"secret" not in Path(f"/proc/{pid}/environ").read_bytes()
    files = [str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir()]
    assert sorted(name.split(":")[0] for name in files) == [
        "/dev/null", "/dev/null", f"/proc/{pid}/statm", "socket",
    ]  # fmt: skip
    assert Path(f"/proc/{pid}/cwd").readlink() == Path("/")
    assert os.getsid(pid) == pid
    limits = Path(f"/proc/{pid}/limits").read_text().splitlines()
    most = {line[:26].strip(): line[26:].split()[0] for line in limits}
    assert most["Max open files"] == most["Max file size"] == most["Max core file size"] == "0"
    assert int(most["Max address space"]) < 300 << 20
    os.close(reading)
    os.close(writing)


def test_one_that_cannot_start(monkeypatch: pytest.MonkeyPatch) -> None:
    renderers = Renderers()
    what = "the process that renders chat templates can't be started: "
    ending = [sys.executable, "-S", "-c", "import os; os._exit(3)"]
    with monkeypatch.context() as patch:
        patch.setattr(template_process, "_command", lambda _: ending)
        with pytest.raises(ModelError, match=f"{what}.*status 3"):
            renderers.rendered("a", {})
    for error in (BlockingIOError(11, "no more processes"), PermissionError(1, "not permitted")):

        def refused(*_: object, error: OSError = error, **__: object) -> None:
            raise error

        with monkeypatch.context() as patch:
            patch.setattr(subprocess, "Popen", refused)
            with pytest.raises(ModelError, match=f"{what}.*no"):
                renderers.rendered("a", {})
    assert renderers.rendered("a", {}) == "a"
    renderers.close()


def test_a_program_that_is_not_an_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    """For example, a program that embeds Python, or a frozen one."""
    real, before = sys.executable, multiprocessing.spawn.get_executable()
    monkeypatch.setattr(sys, "executable", "/usr/bin/env")
    monkeypatch.setattr(sys, "_base_executable", "/usr/bin/env", raising=False)
    multiprocessing.set_executable("/usr/bin/env")
    try:
        installed = template_process._python()  # the interpreter that belongs to the library
        assert installed.name == f"python3.{sys.version_info.minor}"
        monkeypatch.setattr(sys, "base_exec_prefix", "/nowhere")
        with pytest.raises(ModelError, match="set_executable"):
            Renderers().rendered("a", {})
        multiprocessing.set_executable(real)
        assert template_process._python() == Path(real)
    finally:
        multiprocessing.set_executable(before)


def test_strftime_now_gives_the_callers_time(
    renderers: Renderers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also in a time zone that was set after the process was started."""
    renderers.rendered("a", {})
    for zone in ("Asia/Kathmandu", "XYZ+11"):
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        form = "%Y-%m-%d %H"
        before = datetime.now().strftime(form)
        text = renderers.rendered("{{ strftime_now('%Y-%m-%d %H') }}", {})
        assert text in (before, datetime.now().strftime(form))
    monkeypatch.undo()
    time.tzset()


def test_text_is_not_changed(renderers: Renderers) -> None:
    """Also lone surrogates, which Python does not join to a pair."""
    for text in ("é 😀 \0 \r\n", "\ud83d", "\ud83d\ude00", "x" * 8_000_000, "😀" * 2_000_000):
        assert renderers.rendered("{{ a }}", {"a": text}) == text
    with pytest.raises(ModelError, match="refuses these messages: \ud800"):
        renderers.rendered("{{ raise_exception(a) }}", {"a": "\ud800"})


def test_errors_are_short_and_name_the_line(renderers: Renderers) -> None:
    with pytest.raises(ModelError, match=r"^the chat template has an error on line 3: ") as caught:
        renderers.rendered("\n\n{% if %}\n", {})
    assert "\n" not in str(caught.value)
    with pytest.raises(ModelError) as caught:
        renderers.rendered("{{ raise_exception('x' * 1000000) }}", {})
    assert len(str(caught.value)) < 1100


def test_too_large_requests_and_answers(
    renderers: Renderers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(template_process, "_LONGEST", 1 << 20)
    with pytest.raises(ModelError, match="the messages have 2 MB, too much for a chat template"):
        renderers.rendered("a", {"a": "x" * (2 << 20)})
    with pytest.raises(ModelError, match="makes 8 MB of text from these messages, far too much"):
        renderers.rendered("{{ a * 9000000 }}", {"a": "x"})
    assert len(renderers.rendered("{{ a * 8 }}", {"a": "x" * 900_000})) == 7_200_000
    assert renderers.rendered("a", {}) == "a"


PROGRAM = """
import asyncio, os, signal, sys, threading
sys.path.insert(0, sys.argv[1])
from ggmlkit.text.template.process import RENDERERS

def rendered(text):
    return RENDERERS.rendered("{{ text }}", {"text": text})

async def together():
    return await asyncio.gather(*(asyncio.to_thread(rendered, str(n)) for n in range(9)))

# At the top level of a script, which a process that imports it again would repeat.
assert rendered("a") == "a"
assert asyncio.run(together()) == [str(n) for n in range(9)]
with open("/proc/self/task/%d/children" % os.getpid()) as file:
    print(file.read())
"""
ENDS = {
    "at the end": "",
    "by an error": "raise SystemExit(3)",
    "at once": "sys.stdout.flush(); os._exit(0)",
    "killed": "sys.stdout.flush(); os.kill(os.getpid(), signal.SIGKILL)",
    "terminated": "sys.stdout.flush(); os.kill(os.getpid(), signal.SIGTERM)",
}


def run(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    source = str(Path(ggmlkit.__file__).parents[1])
    script = folder / "script.py"
    script.write_text(code)
    command = [sys.executable, "-W", "error", str(script), source]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("end", ENDS)
def test_no_process_stays_when_the_program_ends(tmp_path: Path, end: str) -> None:
    """The program is in a folder of modules with the names of Python's own."""
    for name in ("marshal", "jinja2", "resource", "typing"):
        (tmp_path / "sub").mkdir(exist_ok=True)
        (tmp_path / "sub" / f"{name}.py").write_text("raise SystemExit('the wrong module')")
    program = "import os; os.chdir('sub')\n" + PROGRAM + ENDS[end]
    result = run(program, tmp_path)
    assert result.stderr == ""
    children = list(map(int, result.stdout.split()))
    assert 1 <= len(children) <= 4
    for pid in children:
        wait_until(lambda pid=pid: not is_there(pid))


FORKS = """
theirs = set(RENDERERS._alive)
child = os.fork()
assert rendered("b") == "b"
assert (set(RENDERERS._alive) == theirs) == bool(child)
if child:
    assert os.waitpid(child, 0)[1] == 0
    assert rendered("c") == "c"
    assert set(RENDERERS._alive) == theirs
    RENDERERS.close()
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        print("no child left")
"""


def test_a_forked_program_has_processes_of_its_own(tmp_path: Path) -> None:
    start = PROGRAM[: PROGRAM.index("assert asyncio")]
    result = run(start + FORKS, tmp_path)
    assert result.stderr == ""
    assert result.stdout == "no child left\n"


def test_a_fork_while_a_thread_renders(tmp_path: Path) -> None:
    """A lock that the thread holds at that moment is not held in the fork."""
    start = PROGRAM[: PROGRAM.index("assert asyncio")]
    code = start + (
        "thread = threading.Thread(target=lambda: [rendered(str(n)) for n in range(2000)])\n"
        "thread.start()\n"
        "for _ in range(5):\n"
        "    child = os.fork()\n"
        "    if not child:\n"
        "        os._exit(rendered('b') != 'b')\n"
        "    assert os.waitpid(child, 0)[1] == 0\n"
        "thread.join()\n"
    )
    result = run(code, tmp_path)
    assert result.returncode == 0, result.stderr


def test_threads_that_outlive_the_main_one(tmp_path: Path) -> None:
    code = PROGRAM + "threading.Thread(target=lambda: print(rendered('last'))).start()\n"
    result = run(code, tmp_path)
    assert result.stderr == ""
    assert result.stdout.endswith("last\n")


def test_no_thread_is_left(renderers: Renderers) -> None:
    before = threading.active_count()
    renderers.rendered("a", {})
    assert threading.active_count() == before

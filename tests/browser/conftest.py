"""Real servers, and a browser that tells what goes wrong in its pages: `make browser`.

These tests run in an environment of their own, build/browser, which has Playwright; the servers run
in that of the development tools.

GGMLKIT_PYTHON   python of the environment that has ggmlkit; default: .venv/bin/python
CHROMIUM         the browser; default: chromium
BROWSER_MODEL    a real chat model; default: the demo's
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Playwright, sync_playwright

ROOT = Path(__file__).parents[2]
PYTHON = os.environ.get("GGMLKIT_PYTHON") or str(ROOT / ".venv/bin/python")
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")
MODEL = os.environ.get("BROWSER_MODEL") or str(
    ROOT / "build/models/SmolLM2-135M-Instruct.Q4_1.gguf"
)
# A name of this machine that the browser takes for another one.
FAR_NAME = "far.test"
ECHO = str(Path(__file__).with_name("echo_server.py"))


class Server:
    """A server as a process.

    Attributes:
        url: of its page, with a slash at its end.
    """

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self._process, self.url = process, url

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()
        self._process.wait()


@contextmanager
def serving(*command: str) -> Iterator[Server]:
    """A server that a command starts, once its model is loaded."""
    process = subprocess.Popen(
        [PYTHON, *command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT
    )
    try:
        assert process.stdout is not None
        found = re.fullmatch(r"serving on (http://.*:\d+)\n", process.stdout.readline())
        assert found is not None
        assert process.stdout.readline().startswith("loaded ")
        yield Server(process, f"{found[1]}/")
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def echo() -> Iterator[Server]:
    """A server that answers with what it is told."""
    with serving(ECHO, "--allowed-host", FAR_NAME) as server:
        yield server


@pytest.fixture
def own_echo() -> Iterator[Server]:
    """The same for one test, which may end it."""
    with serving(ECHO) as server:
        yield server


@pytest.fixture(scope="session")
def locked() -> Iterator[Server]:
    """The same with an API key, "secret"."""
    with serving(ECHO, "--api-key", "secret") as server:
        yield server


@pytest.fixture(scope="session")
def real() -> Iterator[Server]:
    """A server of a real model."""
    with serving("-m", "ggmlkit", "serve", "--port", "0", "-m", f"SmolLM2={MODEL}") as server:
        yield server


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as found:
        yield found


@pytest.fixture(scope="session")
def browser(playwright: Playwright) -> Iterator[Browser]:
    assert CHROMIUM, "there is no chromium: apt-get install chromium, or set CHROMIUM"
    args = ["--no-sandbox", f"--host-resolver-rules=MAP {FAR_NAME} 127.0.0.1"]
    found = playwright.chromium.launch(executable_path=CHROMIUM, args=args)
    yield found
    found.close()


class Tab:
    """A page of the browser, and what it did.

    Attributes:
        page: of Playwright.
        requests: addresses that it asked.
        errors: what it wrote to the console, and what it did not catch.
        expected: patterns of errors that the test brings about.
    """

    def __init__(self, page: Page) -> None:
        self.page = page
        self.requests: list[str] = []
        self.errors: list[str] = []
        self.expected: list[str] = []
        page.set_default_timeout(15_000)
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda said: self.errors.append(f"{said.type}: {said.text}"))
        page.on("dialog", lambda dialog: self.errors.append(f"dialog: {dialog.message}"))

    def open(self, server: Server) -> None:
        """Open the page of a server, and wait for its models."""
        self.page.goto(server.url)
        self.page.wait_for_selector("#model option", state="attached")

    def send(self, text: str) -> None:
        """Send a message with the keyboard."""
        self.page.fill("#text", text)
        self.page.press("#text", "Enter")

    def ask(self, text: str) -> str:
        """The answer to a message, once it is whole."""
        self.send(text)
        return self.answer()

    def answer(self) -> str:
        """The text of the last answer, once it is whole."""
        self.page.wait_for_selector("#send:visible")
        return self.page.locator(".message.assistant > .text").last.inner_text()

    def check(self) -> None:
        """Fail if the page asked another place, or had errors that the test does not expect."""
        origins = {re.match(r"[a-z]+://[^/]*|[a-z]+:", each)[0] for each in self.requests}  # type: ignore[index]
        assert origins - {"blob:", "data:"} <= {re.match(r"[a-z]+://[^/]*", self.page.url)[0]}  # type: ignore[index]
        assert [
            error
            for error in self.errors
            if not any(re.search(pattern, error) for pattern in self.expected)
        ] == []


@pytest.fixture
def tab(browser: Browser) -> Iterator[Tab]:
    """A page of a browser that has no chats yet."""
    context = browser.new_context(color_scheme="light", viewport={"width": 1280, "height": 800})
    found = Tab(context.new_page())
    yield found
    found.check()
    context.close()

"""The page at ``/``: its files, and the headers that hold it to this server."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from ggmlkit.server.page.page import STATIC
from running_server import RunningServer, running, settings_for

FILES = sorted(STATIC.iterdir())
PATHS = ["/", *(f"/page/{file.name}" for file in FILES if file.name != "index.html")]
TYPES = {".html": "text/html", ".css": "text/css", ".svg": "image/svg+xml"}
# What names a namespace, and what a text shows, asks nobody.
HARMLESS = {"http://www.w3.org/2000/svg"}
LONGEST = 450


class Elements(HTMLParser):
    """The elements of a page: names and attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


@pytest.fixture(scope="module")
def elements() -> list[tuple[str, dict[str, str | None]]]:
    return Elements((STATIC / "index.html").read_text("utf-8")).found


@pytest.mark.parametrize("path", PATHS)
def test_every_file_is_served_with_its_type_and_policy(server: RunningServer, path: str) -> None:
    found = server.client.get(path)
    assert found.status_code == 200
    suffix = Path(path).suffix or ".html"
    assert found.headers["content-type"].split(";")[0] == TYPES.get(suffix, "text/javascript")
    assert (
        found.content
        == (STATIC / (path.removeprefix("/page/").strip("/") or "index.html")).read_bytes()
    )
    headers = found.headers
    policy = dict(each.split(" ", 1) for each in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    for name in ("script-src", "style-src", "connect-src"):
        assert policy[name] == "'self'"
    assert policy["img-src"] == "'self' data:"
    for name in ("frame-ancestors", "base-uri", "form-action", "trusted-types"):
        assert policy[name] == "'none'"
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"


def test_a_file_that_the_browser_has_is_not_sent_again(server: RunningServer) -> None:
    first = server.client.get("/page/style.css")
    assert first.headers["cache-control"] == "no-cache"
    tag = first.headers["etag"]
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = server.client.get("/page/style.css", headers={"If-None-Match": known})
        assert again.status_code == 304
        assert again.content == b""
        assert again.headers["etag"] == tag
        assert "content-security-policy" in again.headers
    assert server.client.get("/", headers={"If-None-Match": tag}).status_code == 200
    head = server.client.head("/")
    assert (head.status_code, head.content) == (200, b"")


@pytest.mark.parametrize(
    "path",
    ["/page/", "/page/none.js", "/page/index.html", "/page/../page.py", "/page/%2e%2e/page.py"],
)
def test_no_other_file_is_served(server: RunningServer, path: str) -> None:
    found = server.client.get(path)
    assert found.status_code == 404
    assert found.json()["error"]["code"] == "not_found"


def test_the_page_needs_no_key_and_what_it_asks_does(chat_gguf: Path) -> None:
    with running(settings_for(chat_gguf, keys=("secret",))) as server:
        for path in PATHS:
            found = server.client.get(path)
            assert found.status_code == 200
            assert "secret" not in found.text
        assert server.client.get("/v1/models").status_code == 401


def test_the_page_can_be_left_out(chat_gguf: Path) -> None:
    with running(settings_for(chat_gguf, page=False)) as server:
        assert {server.client.get(path).status_code for path in PATHS} == {404}


def test_the_document_of_the_api_has_no_page(server: RunningServer) -> None:
    paths = server.client.get("/openapi.json").json()["paths"]
    assert not {path for path in paths if path == "/" or path.startswith("/page")}


def test_files_that_are_named_exist() -> None:
    named = set()
    for file in FILES:
        text = file.read_text("utf-8")
        named |= set(re.findall(r'(?:src|href)="page/([^"]+)"', text))
        named |= set(re.findall(r'^(?:import|export) .*from "\./([^"]+)"', text, re.MULTILINE))
        named |= set(re.findall(r'^} from "\./([^"]+)"', text, re.MULTILINE))
    assert named == {file.name for file in FILES} - {"index.html"}


def test_ids_that_the_scripts_ask_for_exist(
    elements: list[tuple[str, dict[str, str | None]]],
) -> None:
    ids = [values["id"] for _, values in elements if "id" in values]
    assert len(ids) == len(set(ids))
    asked = {
        id
        for file in FILES
        if file.suffix == ".mjs"
        for id in re.findall(r'(?:byId|entry)\("([^"]+)"', file.read_text("utf-8"))
    }
    assert asked
    assert asked <= set(ids)


def test_the_page_has_no_code_or_style_of_its_own(
    elements: list[tuple[str, dict[str, str | None]]],
) -> None:
    for tag, values in elements:
        assert tag != "style"
        assert tag != "script" or "src" in values
        assert not {name for name in values if name == "style" or name.startswith("on")}


def test_no_file_names_another_place() -> None:
    for file in FILES:
        text = file.read_text("utf-8")
        places = set(re.findall(r"(?:https?:)?//[\w.-]+\.\w+[^\s\"'`)]*", text))
        assert places <= HARMLESS, file.name
        assert "@import" not in text
        assert text.count("\n") <= LONGEST, file.name


@pytest.mark.parametrize(
    "word", ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("]
)
def test_no_script_makes_html_or_code_of_text(word: str) -> None:
    for file in FILES:
        assert word not in file.read_text("utf-8"), file.name

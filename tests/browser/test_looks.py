"""Keyboard, screen readers, light and dark, narrow screens."""

from __future__ import annotations

import re
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from conftest import FAR_NAME, Server, Tab

SAMPLE = """# A heading

Words with **weight**, `code`, a [link](https://example.org) and ~~less~~.

1. one
   - two

> quoted

| a | b |
|---|--:|
| 1 | 2 |

```python
def add(a, b):
    return a + b  # a line that is long enough to be wider than the page of a phone, which scrolls
```"""


def findings(page: Page) -> list[str]:
    """What axe finds that is serious or critical."""
    found: dict[str, Any] = Axe().run(page).response
    return [
        f"{each['id']}: {node['html']} {node['failureSummary']}"
        for each in found["violations"]
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"]
    ]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_axe_finds_nothing_serious(browser: Browser, echo: Server, theme: Any, width: int) -> None:
    context = browser.new_context(color_scheme=theme, viewport={"width": width, "height": 740})
    tab = Tab(context.new_page())
    page = tab.page
    tab.open(echo)
    assert findings(page) == []
    tab.ask(SAMPLE)
    tab.ask("<think>thoughts</think>\n" + SAMPLE)
    page.locator(".thoughts summary").click()
    assert findings(page) == []
    page.get_by_role("button", name="Edit").last.click()
    assert findings(page) == []
    page.keyboard.press("Escape")
    tab.send("slow " + "word " * 20)
    expect(page.locator("#stop")).to_be_visible()
    assert findings(page) == []
    page.keyboard.press("Escape")
    page.locator("#menu summary").click()
    assert findings(page) == []
    page.click("#rename")
    assert findings(page) == []
    page.keyboard.press("Escape")
    page.click("#settings-button")
    page.get_by_text("Keys", exact=True).click()
    page.get_by_label("Top-p").fill("x")
    assert findings(page) == []
    page.keyboard.press("Escape")
    if width < 700:
        page.click("#list-button")
        assert findings(page) == []
    page.evaluate("document.getElementById('notice').hidden = false")
    page.evaluate("document.getElementById('notice-text').textContent = 'It is so.'")
    assert findings(page) == []
    tab.check()
    context.close()


def background(page: Page) -> str:
    return page.evaluate("getComputedStyle(document.body).backgroundColor")


def test_dark_follows_the_system_until_the_button_is_used(tab: Tab, echo: Server) -> None:
    tab.open(echo)
    page = tab.page
    light = background(page)
    page.emulate_media(color_scheme="dark")
    dark = background(page)
    assert dark != light
    page.get_by_role("button", name="Light").click()
    assert background(page) == light
    page.reload()
    assert background(page) == light
    page.get_by_role("button", name="Dark").click()
    page.emulate_media(color_scheme="light")
    assert background(page) == dark


def test_all_with_the_keyboard_alone(tab: Tab, echo: Server) -> None:
    tab.open(echo)
    page = tab.page
    expect(page.locator("#text")).to_be_focused()
    keyboard = page.keyboard
    keyboard.type("line one")
    keyboard.press("Shift+Enter")
    keyboard.type("line two")
    keyboard.press("Enter")
    assert tab.answer() == "line one\nline two"
    assert re.fullmatch(r"Answer: line one\s*line two", page.locator("#status").inner_text())
    keyboard.type("slow " + "word " * 20)
    keyboard.press("Enter")
    expect(page.locator(".assistant > .text").last).to_contain_text("slow w")
    keyboard.press("Escape")
    expect(page.locator(".below").last).to_contain_text("Stopped.")
    expect(page.locator("#text")).to_be_focused()
    keyboard.press("ArrowUp")
    expect(page.get_by_label("Edit message")).to_be_focused()
    keyboard.press("Control+A")
    keyboard.type("edited")
    keyboard.press("Enter")
    expect(page.locator(".assistant > .text").last).to_have_text("edited")
    tab.answer()
    keyboard.press("Control+Shift+O")
    expect(page.locator(".message")).to_have_count(0)
    expect(page.locator("#text")).to_be_focused()

    def tab_to(selector: str, key: str = "Shift+Tab") -> None:
        for _ in range(30):
            if page.locator(f"{selector}:focus").count():
                return
            keyboard.press(key)
        raise AssertionError(f"{selector} is not reached")

    tab_to("#chats button")
    keyboard.press("Enter")
    expect(page.locator(".message")).to_have_count(4)
    tab_to("#menu summary")
    keyboard.press("Enter")
    tab_to("#rename", "Tab")
    keyboard.press("Enter")
    keyboard.type("Renamed")
    keyboard.press("Enter")
    expect(page.locator("#title")).to_have_text("Renamed")
    tab_to("#settings-button")
    keyboard.press("Enter")
    expect(page.locator("#system")).to_be_focused()
    keyboard.press("Escape")
    expect(page.locator("#settings-button")).to_be_focused()
    assert page.locator("dialog[open]").count() == 0


def test_landmarks_and_names(tab: Tab, echo: Server) -> None:
    tab.open(echo)
    tab.ask("hello")
    page = tab.page
    for role, name in (
        ("banner", None),
        ("navigation", "Chats"),
        ("main", None),
        ("region", "Messages"),
        ("textbox", "Message"),
        ("combobox", "Model"),
        ("article", "You"),
        ("article", "Answer"),
    ):
        found = page.get_by_role(role, **({"name": name, "exact": True} if name else {}))  # type: ignore[arg-type]
        expect(found).to_have_count(1)
    expect(page.locator("#messages [aria-live], #messages[aria-live]")).to_have_count(0)


def test_code_is_copied(tab: Tab, echo: Server) -> None:
    tab.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    tab.open(echo)
    tab.ask(SAMPLE)
    tab.page.get_by_role("button", name="Copy code").click()
    copied = tab.page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("def add(a, b):\n    return a + b")
    tab.page.get_by_role("button", name="Copy message").last.click()
    expect(tab.page.get_by_text("Copied")).to_have_count(2)
    assert tab.page.evaluate("navigator.clipboard.readText()") == SAMPLE


def test_a_page_that_is_neither_local_nor_https(tab: Tab, echo: Server) -> None:
    page = tab.page
    page.goto(echo.url.replace("127.0.0.1", FAR_NAME))
    page.wait_for_selector("#model option", state="attached")
    assert not page.evaluate("isSecureContext")
    assert tab.ask("`code`") == "code"
    page.get_by_role("button", name="Copy message").last.click()
    expect(page.get_by_text("Copied")).to_have_count(1)
    page.focus("#text")
    page.keyboard.press("Control+V")
    expect(page.locator("#text")).to_have_value("`code`")


def test_a_phone_has_room_for_all(browser: Browser, echo: Server) -> None:
    context = browser.new_context(
        viewport={"width": 360, "height": 640}, has_touch=True, is_mobile=True
    )
    tab = Tab(context.new_page())
    tab.open(echo)
    page = tab.page
    page.fill("#text", SAMPLE)
    page.tap("#send")
    tab.answer()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    expect(page.locator("#list")).to_be_hidden()
    page.tap("#list-button")
    expect(page.get_by_role("button", name="New chat")).to_be_focused()
    page.tap("#new")
    expect(page.locator("#list")).to_be_hidden()
    expect(page.locator(".message")).to_have_count(0)
    page.fill("#text", "a")
    page.press("#text", "Enter")  # a new line: a phone has no Shift+Enter
    expect(page.locator(".message")).to_have_count(0)
    tab.check()
    context.close()

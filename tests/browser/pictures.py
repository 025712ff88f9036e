"""Takes the pictures of docs/serve.md: `make browser PICTURES=1`."""

from __future__ import annotations

from playwright.sync_api import Browser, sync_playwright

from conftest import CHROMIUM, MODEL, ROOT, Tab, serving

FOLDER = ROOT / "docs/pictures"
MOST_BYTES = 150_000
ASKED = "Write a Python function that adds two numbers, and explain it in two sentences."
SIZES = {"light": (1080, 720), "dark": (1080, 720), "phone": (390, 720)}


def main() -> None:
    """Take each of them."""
    command = ("-m", "ggmlkit", "serve", "--port", "0", "-m", f"SmolLM2-135M={MODEL}")
    with serving(*command) as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for name in SIZES:
            picture(browser, server.url, name)
        browser.close()


def picture(browser: Browser, url: str, name: str) -> None:
    """One of them, of a chat."""
    width, height = SIZES[name]
    scheme = "dark" if name == "dark" else "light"
    context = browser.new_context(
        color_scheme=scheme, viewport={"width": width, "height": height}, device_scale_factor=1
    )
    page = context.new_page()
    tab = Tab(page)
    page.goto(url)
    page.wait_for_selector("#model option", state="attached")
    page.evaluate("localStorage.setItem('ggmlkit.settings', '{\"temperature\": 0}')")
    page.reload()
    page.wait_for_selector("#model option", state="attached")
    for text in ("Name three colours.", ASKED):
        page.locator("#new").evaluate("button => button.click()")
        tab.ask(text)
    page.locator("#messages").evaluate("section => { section.scrollTop = 0 }")
    path = FOLDER / f"page-{name}.png"
    page.screenshot(path=path)
    assert path.stat().st_size < MOST_BYTES, path
    context.close()


if __name__ == "__main__":
    main()

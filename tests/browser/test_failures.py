"""What the user is told when something fails."""

from __future__ import annotations

from playwright.sync_api import expect

from conftest import Server, Tab


def test_a_key_is_asked_for_and_kept_in_the_tab(tab: Tab, locked: Server) -> None:
    tab.expected = ["401"]
    page = tab.page
    page.goto(locked.url)
    expect(page.locator("#notice")).to_contain_text("This server wants an API key.")
    page.get_by_role("button", name="Enter the key").click()
    expect(page.get_by_label("API key")).to_be_focused()
    page.keyboard.type("wrong")
    page.keyboard.press("Enter")
    expect(page.locator("#notice")).to_contain_text("The API key is not one of this server's.")
    page.get_by_role("button", name="Enter the key").click()
    page.get_by_label("API key").fill("secret")
    page.keyboard.press("Enter")
    page.wait_for_selector("#model option", state="attached")
    expect(page.locator("#notice")).to_be_hidden()
    assert tab.ask("hello") == "hello"
    assert "secret" not in page.evaluate("JSON.stringify(localStorage)")
    page.reload()
    page.wait_for_selector("#model option", state="attached")
    assert tab.ask("again") == "again"
    other = page.context.new_page()
    other.goto(locked.url)
    expect(other.locator("#notice")).to_contain_text("wants an API key")


def test_a_server_that_is_gone(tab: Tab, own_echo: Server) -> None:
    tab.expected = ["ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED_ENCODING", "ERR_CONNECTION"]
    tab.open(own_echo)
    tab.send("slow " + "word " * 40)
    expect(tab.page.locator(".assistant > .text")).to_contain_text("slow w")
    own_echo.kill()
    expect(tab.page.locator("#notice")).to_contain_text("The answer broke off.")
    expect(tab.page.locator(".assistant > .text")).to_contain_text("slow w")
    tab.send("hello")
    expect(tab.page.locator("#notice")).to_contain_text("The server can't be reached.")
    expect(tab.page.locator(".below").last).to_contain_text("can't be reached")
    tab.page.get_by_role("button", name="Try again").click()
    expect(tab.page.locator("#notice")).to_contain_text("The server can't be reached.")
    assert tab.page.locator(".message.assistant").count() == 2


def test_a_chat_longer_than_the_context(tab: Tab, echo: Server) -> None:
    tab.expected = ["400"]
    tab.open(echo)
    tab.send("word " * 1000)
    expect(tab.page.locator("#notice")).to_contain_text("longer than what the model can take")


def test_a_cut_answer_says_so(tab: Tab, real: Server) -> None:
    tab.open(real)
    tab.page.click("#settings-button")
    tab.page.get_by_label("Max tokens").fill("4")
    tab.page.click("#settings-save")
    tab.ask("Write a long story.")
    expect(tab.page.locator(".below").last).to_contain_text("Cut off")


def test_a_full_store_says_so(tab: Tab, echo: Server) -> None:
    tab.open(echo)
    tab.page.evaluate("localStorage.setItem('other', 'x'.repeat(5 * 1024 * 1024 - 1000))")
    assert tab.ask("word " * 300).startswith("word")
    expect(tab.page.locator("#notice")).to_contain_text("There is no room to keep this chat")

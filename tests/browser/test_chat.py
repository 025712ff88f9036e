"""Chats: sent, streamed, stopped, edited, answered again, kept."""

from __future__ import annotations

import json
import time
from pathlib import Path
from urllib.request import urlopen

from playwright.sync_api import expect

from conftest import Server, Tab


def last_request(tab: Tab) -> dict[str, object]:
    """The body of the next request for an answer."""
    with tab.page.expect_request("**/v1/chat/completions") as found:
        tab.page.keyboard.press("Enter")
    body = found.value.post_data_json
    assert isinstance(body, dict)
    return body


def test_a_real_model_answers(tab: Tab, real: Server) -> None:
    tab.open(real)
    assert tab.page.locator("#model").input_value() == "SmolLM2"
    tab.page.click("#settings-button")
    tab.page.get_by_label("Temperature").fill("0")
    tab.page.click("#settings-save")
    text = tab.ask("What is the capital of France? Answer in one word.")
    assert "Paris" in text
    below = tab.page.locator(".below").last.inner_text()
    for word in ("tokens/s", "first after", "prompt: "):
        assert word in below
    tab.ask("And of Italy? " + "Say it in one word, please. " * 10)
    tab.ask("And of Spain?")  # the cache keeps 64 tokens at a time
    assert "from the cache" in tab.page.locator(".below").last.inner_text()


def test_an_answer_is_streamed_and_can_be_stopped(tab: Tab, echo: Server) -> None:
    tab.open(echo)
    tab.send("slow " + "word " * 40)
    text = tab.page.locator(".message.assistant > .text")
    expect(text).to_contain_text("slow word")
    short = text.inner_text()
    expect(tab.page.locator("#stop")).to_be_visible()
    expect(tab.page.locator("#messages")).to_have_attribute("aria-busy", "true")
    assert tab.page.locator("#status").inner_text() == ""
    tab.page.wait_for_function(
        "short => document.querySelector('.assistant > .text').innerText.length > short.length + 8",
        arg=short,
    )
    tab.page.click("#stop")
    expect(tab.page.locator("#send")).to_be_visible()
    stopped = text.inner_text()
    time.sleep(0.3)
    assert text.inner_text() == stopped
    assert len(stopped) < 200
    expect(tab.page.locator(".below").last).to_contain_text("Stopped.")
    expect(tab.page.locator("#text")).to_be_focused()
    assert tab.ask("quick") == "quick"


def test_a_stopped_answer_gives_its_room_back(tab: Tab, real: Server) -> None:
    tab.open(real)
    tab.send("Count from one to a thousand, in words.")
    expect(tab.page.locator(".assistant > .text")).not_to_be_empty()
    tab.page.press("#text", "Escape")
    end = time.monotonic() + 5
    while (
        'ggmlkit_batch_size{model="SmolLM2"} 0.0'
        not in urlopen(f"{real.url}metrics").read().decode()
    ):
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_message_is_edited_and_answered_from_there(tab: Tab, echo: Server) -> None:
    tab.open(echo)
    tab.ask("one")
    tab.ask("two")
    page = tab.page
    page.get_by_role("button", name="Edit").last.click()
    field = page.get_by_label("Edit message")
    expect(field).to_be_focused()
    field.fill("three")
    page.get_by_role("button", name="Save and answer").click()
    assert tab.answer() == "three"
    assert page.locator(".message.user").count() == 2
    # An earlier one takes more than its answer, so the page asks.
    page.get_by_role("button", name="Edit").first.click()
    page.get_by_label("Edit message").fill("four")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Delete them").click()
    expect(page.locator(".message.assistant > .text")).to_have_text(["four"])
    page.get_by_role("button", name="Edit").click()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Edit")).to_be_focused()


def test_an_answer_is_made_again(tab: Tab, echo: Server) -> None:
    tab.open(echo)
    tab.ask("one")
    with tab.page.expect_request("**/v1/chat/completions") as found:
        tab.page.get_by_role("button", name="Answer again").click()
    assert [each["content"] for each in found.value.post_data_json["messages"]] == ["one"]
    assert tab.answer() == "one"
    assert tab.page.locator(".message").count() == 2


def test_chats_survive_a_reload_even_in_an_answer(tab: Tab, echo: Server) -> None:
    tab.open(echo)
    tab.ask("first chat")
    tab.page.click("#new")
    tab.send("slow " + "word " * 40)
    expect(tab.page.locator(".assistant > .text")).to_contain_text("slow w")
    tab.page.reload()
    expect(tab.page.locator(".assistant > .text")).to_contain_text("slow w")
    expect(tab.page.locator(".below").last).to_contain_text("Stopped.")
    tab.page.get_by_role("button", name="first chat", exact=True).click()
    expect(tab.page.locator(".assistant > .text")).to_have_text("first chat")


def test_an_answer_goes_on_behind_another_chat(tab: Tab, echo: Server) -> None:
    tab.open(echo)
    tab.send("slow words come here")
    tab.page.click("#new")
    assert tab.ask("quick") == "quick"
    tab.page.get_by_role("button", name="slow words come here").click()
    assert tab.answer() == "slow words come here"


def test_settings_go_into_the_request(tab: Tab, echo: Server) -> None:
    tab.open(echo)
    page = tab.page
    page.click("#settings-button")
    page.get_by_label("System prompt").fill("Be brief.")
    for label, value in (("Temperature", "0"), ("Top-k", "7"), ("Max tokens", "5"), ("Seed", "3")):
        page.get_by_label(label, exact=True).fill(value)
    page.get_by_label("Top-p").fill("2")
    page.click("#settings-save")
    expect(page.get_by_label("Top-p")).to_be_focused()
    expect(page.get_by_text("Top-p must be a number from 0 to 1.")).to_be_visible()
    page.get_by_label("Top-p").fill("0.5")
    page.click("#settings-save")
    expect(page.locator("#settings-button")).to_be_focused()
    page.fill("#text", "more than five letters")
    page.focus("#text")
    body = last_request(tab)
    assert body["messages"][0] == {"role": "system", "content": "Be brief."}  # type: ignore[index]
    sampling = {"temperature": 0, "top_k": 7, "top_p": 0.5, "max_tokens": 5, "seed": 3}
    assert {name: body.get(name) for name in sampling} == sampling
    assert "min_p" not in body
    tab.answer()
    page.reload()
    page.wait_for_selector("#model option", state="attached")
    page.fill("#text", "again")
    page.focus("#text")
    assert last_request(tab)["top_k"] == 7
    tab.answer()


def test_chats_are_renamed_exported_imported_and_deleted(
    tab: Tab, echo: Server, tmp_path: Path
) -> None:
    tab.open(echo)
    page = tab.page
    tab.ask("**bold** words")
    page.locator("#menu summary").click()
    page.get_by_role("button", name="Rename").click()
    page.locator("#question-value").fill("My chat")
    page.keyboard.press("Enter")
    expect(page.locator("#title")).to_have_text("My chat")

    def exported(button: str) -> Path:
        page.locator("#menu summary").click()
        with page.expect_download() as found:
            page.click(button)
        path = tmp_path / found.value.suggested_filename
        found.value.save_as(path)
        return path

    as_json, as_markdown = exported("#export-json"), exported("#export-markdown")
    assert as_markdown.name == "my-chat.md"
    assert "## User\n\n**bold** words\n\n## Assistant" in as_markdown.read_text("utf-8")
    (chat,) = json.loads(as_json.read_text("utf-8"))["chats"]
    assert chat["messages"][1]["content"] == "**bold** words"

    page.locator("#menu summary").click()
    page.click("#delete")
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(page.locator("#chats li")).to_have_count(0)
    expect(page.locator("#title")).to_have_text("New chat")

    page.click("#settings-button")
    page.set_input_files("#import-file", as_json)
    expect(page.locator("#notice")).to_contain_text("1 chat was imported.")
    page.get_by_role("button", name="My chat").click()
    expect(page.locator(".assistant strong")).to_have_text("bold")

    page.click("#settings-button")
    page.set_input_files("#import-file", as_markdown)
    expect(page.locator("#notice")).to_contain_text("The file is not JSON.")
    page.click("#settings-button")
    page.click("#delete-all")
    page.click("#question-yes")
    expect(page.locator("#chats li")).to_have_count(0)


def test_a_deleted_chat_does_not_come_back(tab: Tab, echo: Server) -> None:
    tab.open(echo)
    tab.send("slow " + "word " * 40)
    expect(tab.page.locator(".assistant > .text")).to_contain_text("slow w")
    tab.page.locator("#menu summary").click()
    tab.page.click("#delete")
    tab.page.click("#question-yes")
    time.sleep(1.5)
    tab.page.reload()
    expect(tab.page.locator("#chats li")).to_have_count(0)


def test_two_tabs_see_each_others_chats_and_leave_each_other_alone(tab: Tab, echo: Server) -> None:
    tab.open(echo)
    tab.ask("mine")
    tab.page.get_by_role("button", name="Edit").click()
    other = Tab(tab.page.context.new_page())
    other.open(echo)
    other.ask("from the other")
    expect(tab.page.locator("#chats li")).to_have_text(["from the other", "mine"])
    expect(tab.page.get_by_label("Edit message")).to_be_visible()
    other.check()

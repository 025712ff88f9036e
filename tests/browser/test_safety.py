"""What a model writes is text: it runs nothing and asks nobody."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from conftest import Server, Tab

ATTACKS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    '<iframe srcdoc="<script>parent.alert(1)</script>"></iframe>',
    "<a href='javascript:alert(1)'>x</a>",
    "[x](javascript:alert(1)) [y](JaVaScRiPt:alert(1)) [z](data:text/html;base64,PHNjcmlwdD4=)",
    "<javascript:alert(1)>",
    "![x](http://127.0.0.1:9/p.png) ![y](https://example.org/?leak=1)",
    "```html\n<script>alert(1)</script>\n```",
    '```"><script>alert(1)</script>\nx\n```',
    "|<img src=x onerror=alert(1)>|\n|-|\n|<script>alert(1)</script>|",
    '[x](https://a.b/"onmouseover="alert(1))',
    "# <style>*{display:none}</style>",
    "<think><img src=x onerror=alert(1)></think><b>done</b>",
]


@pytest.mark.parametrize("text", ATTACKS)
def test_nothing_runs_or_loads(tab: Tab, echo: Server, text: str) -> None:
    tab.open(echo)
    tab.ask(text)
    inside = tab.page.locator("#messages")
    for name in ("script", "img", "iframe", "svg", "style", "object", "form"):
        assert inside.locator(name).count() == 0
    for link in inside.locator("a").all():
        assert (link.get_attribute("href") or "").startswith(("https://", "http://"))
        assert "noopener" in (link.get_attribute("rel") or "")
    for each in inside.locator("*").all():
        names = each.evaluate("element => element.getAttributeNames()")
        assert not [name for name in names if name.startswith("on")]
    # The title and the list show what the user wrote; a chat that is loaded again is no different.
    tab.page.reload()
    expect(tab.page.locator(".message")).to_have_count(2)


def test_the_policy_holds_a_page_that_has_been_broken_into(tab: Tab, echo: Server) -> None:
    tab.expected = ["Content Security Policy", "TrustedHTML", "ERR_BLOCKED", "violates", "This doc"]
    tab.open(echo)
    found = tab.page.evaluate(
        """async () => {
          const tried = {};
          const attempt = async (name, act) => {
            try { tried[name] = String(await act()); } catch { tried[name] = "refused"; }
          };
          await attempt("other", () => fetch("https://example.org/").then(() => "asked"));
          await attempt("html", () => { document.body.innerHTML += "<i></i>"; return "made"; });
          await attempt("inline", async () => {
            const script = document.createElement("script");
            script.textContent = "window.broken = 1";
            document.head.append(script);
            return window.broken ? "ran" : "refused";
          });
          return tried;
        }"""
    )
    assert found == {"other": "refused", "html": "refused", "inline": "refused"}
    tab.requests = [each for each in tab.requests if "example.org" not in each]


def test_an_import_cannot_run_anything(tab: Tab, echo: Server) -> None:
    tab.open(echo)
    tab.page.click("#settings-button")
    text = (
        '{"kind":"ggmlkit chats","version":1,"chats":[{"version":1,"id":"a","title":"<img src=x>",'
        '"messages":[{"role":"assistant","content":"<b>x</b>","model":"<i>",'
        '"error":"<script>alert(1)</script>"}]}]}'
    )
    file = {"name": "a.json", "mimeType": "application/json", "buffer": text.encode()}
    tab.page.set_input_files("#import-file", file)  # type: ignore[arg-type]
    tab.page.get_by_role("button", name="<img src=x>").click()
    expect(tab.page.locator(".below")).to_have_text("<script>alert(1)</script>")
    assert tab.page.locator("main script, main img, main b, main i").count() == 0


def test_thoughts_are_apart_and_folded(tab: Tab, echo: Server) -> None:
    tab.open(echo)
    assert tab.ask("<think>step *one*</think>the answer") == "the answer"
    thoughts = tab.page.locator(".thoughts")
    expect(thoughts.locator("em")).to_be_hidden()
    thoughts.locator("summary").click()
    expect(thoughts.locator("em")).to_have_text("one")

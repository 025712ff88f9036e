// The list of chats, which on a narrow screen opens over the page.

import { button, byId, element } from "./dom.mjs";

export class ListView {
  // `open(id)` is called for the chat that the user picks.
  constructor(open) {
    this.open = open;
    this.nav = byId("list");
    this.toggle = byId("list-button");
    this.toggle.addEventListener("click", () => this.show(!this.isShown));
    document.addEventListener("click", (event) => {
      if (!this.nav.contains(event.target) && event.target !== this.toggle) this.show(false);
    });
    this.nav.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !this.isShown) return;
      event.stopPropagation();
      this.show(false);
      this.toggle.focus();
    });
  }

  get isShown() {
    return this.nav.classList.contains("shown");
  }

  // Matters on narrow screens alone; on others the list is always there.
  show(isShown) {
    if (isShown === this.isShown) return;
    this.nav.classList.toggle("shown", isShown);
    this.toggle.setAttribute("aria-expanded", String(isShown));
    if (isShown) this.nav.querySelector("button").focus();
  }

  update(summaries, current) {
    const focused = document.activeElement?.dataset?.chat;
    const items = summaries.map(({ id, title }) => {
      const isCurrent = id === current ? "true" : null;
      const attributes = { "data-chat": id, "aria-current": isCurrent, title };
      return element(
        "li",
        {},
        button(title, () => this.open(id), attributes),
      );
    });
    byId("chats").replaceChildren(...items);
    if (focused) byId("chats").querySelector(`[data-chat="${focused}"]`)?.focus();
  }
}

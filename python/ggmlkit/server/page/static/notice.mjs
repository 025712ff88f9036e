// What the user must know, above the field in which they write.

import { byId } from "./dom.mjs";

export class Notice {
  constructor() {
    byId("notice-close").addEventListener("click", () => this.hide());
  }

  // Shows a text; with a word and what it does, a button.
  show(text, word = null, act = null) {
    byId("notice-text").textContent = text;
    const button = byId("notice-action");
    button.hidden = word === null;
    button.textContent = word ?? "";
    button.onclick = () => {
      this.hide();
      act?.();
    };
    byId("notice").hidden = false;
  }

  hide() {
    byId("notice").hidden = true;
    byId("notice-text").textContent = "";
  }
}

// The field in which the user writes, and its buttons.

import { byId } from "./dom.mjs";
import { sends } from "./message.mjs";

const MOST_HEIGHT = 240; // pixels

export class Composer {
  // `actions` has `send(text)`, which returns whether the text was taken, `stop()` and `editLast()`.
  constructor(actions) {
    this.actions = actions;
    this.field = byId("text");
    this.sendButton = byId("send");
    this.stopButton = byId("stop");
    this.field.addEventListener("input", () => this.fit());
    this.field.addEventListener("keydown", (event) => this.key(event));
    byId("composer").addEventListener("submit", (event) => {
      event.preventDefault();
      this.send();
    });
    this.stopButton.addEventListener("click", () => actions.stop());
  }

  key(event) {
    if (sends(event)) {
      event.preventDefault();
      this.send();
    } else if (event.key === "ArrowUp" && this.field.value === "") {
      event.preventDefault();
      this.actions.editLast();
    }
  }

  send() {
    const text = this.field.value.trim();
    if (!text || !this.actions.send(text)) return;
    this.field.value = "";
    this.fit();
  }

  running(isRunning) {
    const hadFocus = [this.stopButton, this.sendButton].includes(document.activeElement);
    this.sendButton.hidden = isRunning;
    this.stopButton.hidden = !isRunning;
    if (hadFocus) this.focus();
  }

  // On a phone the field would bring up the keyboard, over the half of the page.
  focus() {
    if (matchMedia("(pointer: coarse)").matches) byId("messages").focus();
    else this.field.focus();
  }

  fit() {
    this.field.style.height = "auto";
    this.field.style.height = `${Math.min(this.field.scrollHeight + 2, MOST_HEIGHT)}px`;
  }
}

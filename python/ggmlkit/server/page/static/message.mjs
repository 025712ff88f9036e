// One message as an element.

import { copyButton } from "./clipboard.mjs";
import { button, element } from "./dom.mjs";
import { Rendered } from "./rendered.mjs";
import { statsText } from "./request.mjs";

const ENDS = {
  stopped: "Stopped.",
  length: "Cut off: the answer had all its tokens, or the context is full.",
};

// `actions` has `edit(message, text)` and `again(message)`.
export class MessageView {
  constructor(message, actions) {
    this.message = message;
    this.actions = actions;
    const isUser = message.role === "user";
    this.text = element("div", { class: "text", dir: "auto" });
    this.below = element("p", { class: "below" });
    this.tools = element("div", { class: "tools" }, ...this.buttons());
    this.element = element(
      "article",
      { class: `message ${message.role}`, "aria-label": isUser ? "You" : "Answer" },
      element("h3", { class: "unseen" }, isUser ? "You" : "Answer"),
      this.text,
      this.below,
      this.tools,
    );
    this.rendered = new Rendered(this.text);
    if (isUser) this.text.textContent = message.content;
  }

  buttons() {
    const copy = copyButton(() => this.message.content, "Copy", { "aria-label": "Copy message" });
    if (this.message.role === "assistant") {
      const again = () => this.actions.again(this.message);
      return [copy, button("Answer again", again, { class: "changes" })];
    }
    this.editButton = button("Edit", () => this.edit(), { class: "changes" });
    return [copy, this.editButton];
  }

  // Shows the answer as it is now.
  update(isRunning) {
    if (this.message.role === "user") return;
    this.thoughts();
    this.rendered.update(this.message.content);
    this.element.classList.toggle("running", isRunning);
    this.tools.hidden = isRunning;
    const { end, error, stats } = this.message;
    const lines = isRunning ? [] : [ENDS[end], stats && statsText(stats)].filter(Boolean);
    this.below.replaceChildren(...(error ? [element("strong", {}, error)] : lines.join(" ")));
    this.below.classList.toggle("error", Boolean(error));
  }

  thoughts() {
    const { reasoning } = this.message;
    if (!reasoning) return;
    if (!this.renderedThoughts) {
      const inside = element("div");
      this.renderedThoughts = new Rendered(inside);
      this.text.before(
        element("details", { class: "thoughts" }, element("summary", {}, "Thoughts"), inside),
      );
    }
    this.renderedThoughts.update(reasoning);
  }

  edit() {
    const field = element("textarea", { rows: "3", dir: "auto", "aria-label": "Edit message" });
    field.value = this.message.content;
    const close = () => {
      form.remove();
      this.text.hidden = this.tools.hidden = false;
      this.editButton.focus();
    };
    const save = async (event) => {
      event.preventDefault();
      if (field.value.trim()) await this.actions.edit(this.message, field.value.trim());
    };
    const form = element(
      "form",
      { class: "edit", onsubmit: save },
      field,
      element(
        "div",
        { class: "row end" },
        button("Cancel", close),
        element("button", { type: "submit", class: "main" }, "Save and answer"),
      ),
    );
    form.addEventListener("keydown", (event) => {
      if (event.key === "Escape") close();
      else if (sends(event) && event.target === field) form.requestSubmit();
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
    this.text.hidden = this.tools.hidden = true;
    this.text.before(form);
    field.focus();
  }
}

// Whether a key sends a text. On a phone Enter is a new line: there is no Shift+Enter.
export function sends(event) {
  // 229: Safari's Enter that ends a composed word.
  const isComposing = event.isComposing || event.keyCode === 229;
  const isEnter = event.key === "Enter" && !event.shiftKey && !isComposing;
  return isEnter && !matchMedia("(pointer: coarse)").matches;
}

// The messages of the chat that is shown.

import { byId } from "./dom.mjs";
import { MessageView } from "./message.mjs";

const NEAR_END = 80; // pixels, within which the view follows an answer

export class MessagesView {
  constructor(actions) {
    this.actions = actions;
    this.section = byId("messages");
    this.hello = byId("hello");
    this.views = new Map(); // message → view
    this.isDue = false;
  }

  // Shows all messages, the last of them at the bottom.
  show(chat, isRunning) {
    for (const view of this.views.values()) view.element.remove();
    this.views.clear();
    this.running(isRunning);
    const last = chat.messages.at(-1);
    for (const message of chat.messages) this.add(message, isRunning && message === last);
    this.hello.hidden = chat.messages.length > 0;
    this.lock(isRunning);
    this.toEnd();
  }

  running(isRunning) {
    this.isRunning = isRunning;
    this.section.setAttribute("aria-busy", String(isRunning));
    this.lock(isRunning);
  }

  lock(isLocked) {
    for (const each of this.section.querySelectorAll("button.changes")) each.disabled = isLocked;
  }

  add(message, isRunning) {
    const view = new MessageView(message, this.actions);
    this.views.set(message, view);
    this.section.append(view.element);
    view.update(isRunning);
  }

  // Shows what is new of an answer, at most once a frame.
  update(message) {
    this.due = message;
    if (this.isDue) return;
    this.isDue = true;
    const draw = () => {
      this.isDue = false;
      this.draw(this.due);
    };
    // A page in the background has no frames.
    if (document.hidden) setTimeout(draw, 200);
    else requestAnimationFrame(draw);
  }

  draw(message) {
    const view = this.views.get(message);
    if (!view) return;
    const isAtEnd = this.isAtEnd;
    view.update(this.isRunning);
    if (isAtEnd) this.toEnd();
  }

  get isAtEnd() {
    const { scrollHeight, scrollTop, clientHeight } = this.section;
    return scrollHeight - scrollTop - clientHeight < NEAR_END;
  }

  toEnd() {
    this.section.scrollTop = this.section.scrollHeight;
  }

  // Opens the last message of the user for editing.
  editLast() {
    const last = [...this.views.values()].filter((view) => view.editButton).at(-1);
    last?.edit();
  }
}

// The page: one chat is shown, and answers are written into it, or into others behind it.

import { Answers } from "./answering.mjs";
import { ChatStore, StoreFullError, newChat, titleOf } from "./chats.mjs";
import { Composer } from "./composer.mjs";
import { isConfirmed } from "./dialogs.mjs";
import { byId } from "./dom.mjs";
import { failureOf } from "./failures.mjs";
import { ListView } from "./list.mjs";
import { MessagesView } from "./messages.mjs";
import { ModelChoice } from "./models.mjs";
import { Notice } from "./notice.mjs";
import { SettingsDialog } from "./settings-dialog.mjs";
import { Settings } from "./settings.mjs";

const OPEN_PLACE = "ggmlkit.open";
const SAVE_MS = 1000;
const FULL =
  "There is no room to keep this chat: the browser keeps 500 chats, or 4.5 million characters, " +
  "for this page. Export and delete some.";

export class App {
  constructor(storage, session) {
    this.session = session;
    this.settings = new Settings(storage, session);
    this.store = new ChatStore(storage);
    this.answers = new Answers(this.settings);
    this.notice = new Notice();
    this.models = new ModelChoice(this.settings);
    this.list = new ListView((id) => this.open(this.chat(id)));
    this.messages = new MessagesView({
      edit: (message, text) => this.edit(message, text),
      again: (message) => this.again(message),
    });
    this.composer = new Composer({
      send: (text) => this.send(text),
      stop: () => this.answers.stop(this.shown),
      editLast: () => this.messages.editLast(),
    });
    this.dialog = new SettingsDialog(this.settings, (values, key) => this.set(values, key));
    this.savedAt = 0;
    this.removed = new WeakSet(); // chats whose answers may still be ending
  }

  async start() {
    this.open(this.store.get(this.session.getItem(OPEN_PLACE)) ?? this.fresh());
    await this.loadModels();
  }

  async loadModels() {
    try {
      await this.models.load();
      this.notice.hide();
    } catch (error) {
      this.failed(failureOf(error), () => this.loadModels());
    }
  }

  fresh() {
    return newChat(this.settings.values.system);
  }

  // A chat by its id: the one that an answer is written into, if there is one.
  chat(id) {
    return this.answers.chat(id) ?? this.store.get(id) ?? this.fresh();
  }

  open(chat) {
    this.shown = chat;
    this.session.setItem(OPEN_PLACE, chat.id);
    this.list.show(false);
    this.refresh();
    this.composer.focus();
  }

  // Shows the chat anew.
  refresh() {
    const isRunning = this.answers.isRunning(this.shown);
    this.messages.show(this.shown, isRunning);
    this.composer.running(isRunning);
    this.titles();
  }

  titles() {
    const isBegun = this.shown.messages.length > 0;
    byId("title").textContent = titleOf(this.shown);
    byId("menu").hidden = !isBegun;
    document.title = isBegun ? `${titleOf(this.shown)} · ggmlkit` : "ggmlkit";
    this.list.update(this.store.list, this.shown.id);
  }

  openNew() {
    this.open(this.fresh());
  }

  send(text) {
    if (this.answers.isRunning(this.shown)) return false;
    this.shown.messages.push({ role: "user", content: text });
    this.answer();
    return true;
  }

  async edit(message, text) {
    if (!(await this.cut(message))) return;
    this.shown.messages.push({ role: "user", content: text });
    this.answer();
    this.composer.focus();
  }

  async again(message) {
    if (!(await this.cut(message))) return;
    this.answer();
    this.composer.focus();
  }

  // Takes a message, and those after it, out of the chat that is shown; false if the user, asked
  // where that takes more than an answer, does not want it.
  async cut(message) {
    const chat = this.shown;
    const place = chat.messages.indexOf(message);
    const others = chat.messages.slice(place + 1).filter((each) => each.role === "user");
    if (this.answers.isRunning(chat) || place < 0) return false;
    const question = "The messages after this one will be deleted.";
    if (others.length && !(await isConfirmed(question, "Delete them"))) return false;
    chat.messages.length = place;
    return true;
  }

  async answer() {
    const chat = this.shown;
    this.notice.hide();
    byId("status").textContent = "";
    const ended = this.answers.add(chat, (_, message) => this.changed(chat, message));
    this.save(chat);
    this.refresh();
    const failure = await ended;
    this.save(chat);
    this.ended(chat, failure);
  }

  changed(chat, message) {
    if (Date.now() - this.savedAt > SAVE_MS) this.save(chat, true);
    if (chat === this.shown) this.messages.update(message);
  }

  ended(chat, failure) {
    if (chat !== this.shown) return;
    const message = chat.messages.at(-1);
    this.composer.running(false);
    this.messages.running(false);
    this.messages.draw(message);
    this.titles();
    const text = this.messages.views.get(message)?.text.textContent ?? "";
    byId("status").textContent = failure ? "" : `Answer: ${text}`;
    if (failure) this.failed(failure, () => this.again(message));
  }

  failed({ text, action }, again) {
    if (action === "key") this.notice.show(text, "Enter the key", () => this.openSettings("key"));
    else this.notice.show(text, "Try again", again);
  }

  // Keeps a chat. A draft, saved while an answer comes, leaves the list's order as it is.
  save(chat, isDraft = false) {
    if (this.removed.has(chat)) return;
    this.savedAt = Date.now();
    if (!isDraft) chat.updated = this.savedAt;
    try {
      this.store.save(chat);
    } catch (error) {
      if (!(error instanceof StoreFullError)) throw error;
      this.notice.show(FULL);
    }
  }

  // Another tab has changed an item of the store, or cleared it (null).
  storeChanged(key) {
    this.store.read();
    const stored = ChatStore.isItemOf(key, this.shown.id) ? this.store.get(this.shown.id) : null;
    if (stored && !this.answers.isRunning(this.shown)) {
      this.shown = stored;
      this.refresh();
    } else this.titles();
  }

  // The page goes away: saves what there is of answers that are being written, and stops them. The
  // browser would break them off, which would look like a failure when the chat is opened again.
  leave() {
    for (const { chat } of this.answers.running.values()) this.save(chat, true);
    this.answers.stopAll();
  }

  remove(chat) {
    this.removed.add(chat);
    this.answers.stop(chat);
    this.store.remove(chat.id);
    this.openNew();
  }

  removeAll() {
    for (const { chat } of this.answers.running.values()) this.removed.add(chat);
    this.answers.stopAll();
    this.store.clear();
    this.openNew();
  }

  openSettings(first) {
    this.dialog.open(this.shown.system, first);
  }

  set(values, key) {
    const isOther = key !== this.settings.key;
    this.settings.key = key;
    this.settings.change(values);
    this.shown.system = values.system;
    if (this.shown.messages.length) this.save(this.shown);
    if (isOther || !this.models.select.options.length) this.loadModels();
  }
}

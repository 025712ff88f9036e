// Chats, kept in the browser.
//
// A chat: {version, id, title, created, updated, system, messages}. A message: {role, content}; of
// an answer also {reasoning, model, stats, end, error}, where end is "stopped" or "length" if the
// answer is not whole.

const PREFIX = "ggmlkit.chat.";
const VERSION = 1;
const LONGEST_TITLE = 80;
export const MOST_CHATS = 500;
export const MOST_CHARACTERS = 4500000; // browsers keep some 5 million for a site

export class StoreFullError extends Error {}

export function newChat(system = "") {
  const now = Date.now();
  const times = { created: now, updated: now };
  return { version: VERSION, id: newId(), title: "", ...times, system, messages: [] };
}

export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

// What a chat is called: its own title, or the first line that the user wrote.
export function titleOf(chat) {
  if (chat.title) return chat.title;
  const first = chat.messages.find((message) => message.role === "user")?.content ?? "";
  const line = first.trim().split("\n")[0];
  const cut = [...line].slice(0, LONGEST_TITLE).join("");
  return (cut.length < line.length ? `${cut}…` : cut) || "New chat";
}

// A chat made of what a file or the store has; null if that is none.
export function chatOf(value) {
  if (typeof value !== "object" || value === null || value.version !== VERSION) return null;
  if (!/^[0-9a-f]{1,64}$/.test(value.id) || !Array.isArray(value.messages)) return null;
  const messages = value.messages.map(messageOf);
  if (messages.includes(null)) return null;
  return {
    version: VERSION,
    id: value.id,
    title: textOf(value.title).slice(0, 4 * LONGEST_TITLE),
    created: timeOf(value.created),
    updated: timeOf(value.updated),
    system: textOf(value.system),
    messages,
  };
}

function messageOf(value) {
  if (!["user", "assistant"].includes(value?.role)) return null;
  if (typeof value.content !== "string") return null;
  const found = { role: value.role, content: value.content };
  if (value.role === "user") return found;
  for (const name of ["reasoning", "model", "error"]) {
    if (textOf(value[name])) found[name] = value[name];
  }
  if (["stopped", "length"].includes(value.end)) found.end = value.end;
  const stats = statsOf(value.stats);
  return stats ? { ...found, stats } : found;
}

function statsOf(value) {
  if (typeof value !== "object" || value === null) return null;
  const names = ["tokens", "promptTokens", "cachedTokens", "tokensPerSecond"];
  if (!names.every((name) => Number.isFinite(value[name]))) return null;
  const stats = Object.fromEntries(names.map((name) => [name, value[name]]));
  return {
    ...stats,
    firstSeconds: Number.isFinite(value.firstSeconds) ? value.firstSeconds : null,
  };
}

function textOf(value) {
  return typeof value === "string" ? value : "";
}

function timeOf(value) {
  return Number.isFinite(value) ? value : Date.now();
}

// The chats of a storage such as localStorage; each has an item of its own, so two tabs that show
// different chats don't disturb each other.
export class ChatStore {
  constructor(storage) {
    this.storage = storage;
    this.read();
  }

  // Looks again at what is stored: another tab may have changed it.
  read() {
    this.sizes = new Map();
    this.summaries = new Map();
    for (let place = 0; place < this.storage.length; place += 1) {
      const key = this.storage.key(place);
      if (key.startsWith(PREFIX)) this.noticed(this.get(key.slice(PREFIX.length)), key);
    }
  }

  noticed(chat, key) {
    this.sizes.set(key, key.length + (this.storage.getItem(key) ?? "").length);
    if (chat) this.summaries.set(chat.id, summaryOf(chat));
  }

  // {id, title, updated} of each, the latest first.
  get list() {
    return [...this.summaries.values()].sort((one, two) => two.updated - one.updated);
  }

  get(id) {
    try {
      return chatOf(JSON.parse(this.storage.getItem(PREFIX + id)));
    } catch {
      return null;
    }
  }

  // Every chat, the latest first.
  all() {
    return this.list.map(({ id }) => this.get(id)).filter((chat) => chat !== null);
  }

  // Throws StoreFullError, and leaves what was stored, if there is no room.
  save(chat) {
    const key = PREFIX + chat.id;
    const text = JSON.stringify(chat);
    const others = [...this.sizes].filter(([each]) => each !== key);
    const size = others.reduce((sum, [, each]) => sum + each, key.length + text.length);
    if (others.length >= MOST_CHATS || size > MOST_CHARACTERS) throw new StoreFullError();
    try {
      this.storage.setItem(key, text);
    } catch {
      throw new StoreFullError();
    }
    this.sizes.set(key, key.length + text.length);
    this.summaries.set(chat.id, summaryOf(chat));
  }

  remove(id) {
    this.storage.removeItem(PREFIX + id);
    this.sizes.delete(PREFIX + id);
    this.summaries.delete(id);
  }

  clear() {
    for (const key of [...this.sizes.keys()]) this.storage.removeItem(key);
    this.read();
  }

  // Whether a key of the storage is one of the store's; null, of a storage that was cleared, is all.
  static isItem(key) {
    return key === null || key.startsWith(PREFIX);
  }

  static isItemOf(key, id) {
    return key === null || key === PREFIX + id;
  }
}

function summaryOf(chat) {
  return { id: chat.id, title: titleOf(chat), updated: chat.updated };
}

// Lets the server answer a chat, and puts what comes into the chat's last message.

import { answer } from "./api.mjs";
import { failureOf } from "./failures.mjs";
import { requestBody, statsOf } from "./request.mjs";

// Answers that run, each of a chat of its own.
export class Answers {
  constructor(settings) {
    this.settings = settings;
    this.running = new Map(); // a chat's id → {chat, controller}
  }

  isRunning(chat) {
    return this.running.has(chat.id);
  }

  // The chat of an id, if an answer is being written into it.
  chat(id) {
    return this.running.get(id)?.chat ?? null;
  }

  stop(chat) {
    this.running.get(chat.id)?.controller.abort();
  }

  stopAll() {
    for (const { controller } of this.running.values()) controller.abort();
  }

  // Adds an answer; `changed(chat, message)` is called for every part of it. Returns what failed,
  // as failures.mjs says it, or null.
  async add(chat, changed) {
    const { values, sampling, key } = this.settings;
    const body = requestBody(chat, values.model, sampling);
    // Until it is whole: the page may be closed at any time.
    const message = { role: "assistant", content: "", end: "stopped" };
    chat.messages.push(message);
    const controller = new AbortController();
    this.running.set(chat.id, { chat, controller });
    changed(chat, message);
    try {
      await fill(message, answer(body, key, controller.signal), () => changed(chat, message));
      return null;
    } catch (error) {
      if (controller.signal.aborted) return null;
      const failure = failureOf(error);
      message.error = failure.text;
      delete message.end;
      return failure;
    } finally {
      this.running.delete(chat.id);
    }
  }
}

async function fill(message, parts, changed) {
  const start = performance.now();
  let firstSeconds = null;
  for await (const part of parts) {
    const choice = part.choices[0];
    const { content = "", reasoning_content: reasoning = "" } = choice?.delta ?? {};
    if ((content || reasoning) && firstSeconds === null) {
      firstSeconds = (performance.now() - start) / 1000;
    }
    if (content) message.content += content;
    if (reasoning) message.reasoning = (message.reasoning ?? "") + reasoning;
    if (part.model) message.model = part.model;
    if (choice?.finish_reason) finish(message, choice.finish_reason);
    if (part.usage) message.stats = statsOf(part, firstSeconds);
    changed();
  }
}

function finish(message, reason) {
  if (reason === "length") message.end = "length";
  else delete message.end;
}

// Chats as files: JSON, which can be imported again, and Markdown to read.

import { chatOf, titleOf } from "./chats.mjs";

const KIND = "ggmlkit chats";

export function chatsAsJson(chats) {
  return `${JSON.stringify({ kind: KIND, version: 1, chats }, null, 1)}\n`;
}

// The chats of such a file; throws an Error whose message is a sentence for the user.
export function chatsOfJson(text) {
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Error("The file is not JSON.");
  }
  if (value?.kind !== KIND || value.version !== 1 || !Array.isArray(value.chats)) {
    throw new Error("The file has no chats that this page exported.");
  }
  const chats = value.chats.map(chatOf);
  if (chats.includes(null)) throw new Error("A chat of the file is damaged. Nothing was imported.");
  return chats;
}

export function chatAsMarkdown(chat) {
  const parts = [`# ${titleOf(chat)}`];
  if (chat.system.trim()) parts.push("## System", chat.system.trim());
  for (const message of chat.messages) {
    parts.push(message.role === "user" ? "## User" : "## Assistant");
    if (message.reasoning) parts.push(quoted(message.reasoning.trim()));
    parts.push(message.content.trim());
  }
  return `${parts.filter(Boolean).join("\n\n")}\n`;
}

function quoted(text) {
  return text.replace(/^/gm, "> ");
}

// A name for a file of a chat: letters and digits of its title.
export function fileName(chat, suffix) {
  const words = titleOf(chat)
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, "-");
  return `${words.replace(/^-+|-+$/g, "").slice(0, 60) || "chat"}.${suffix}`;
}

// What can be done with the chat that is shown, and with all of them.

import { newId, titleOf } from "./chats.mjs";
import { askedFor, isConfirmed } from "./dialogs.mjs";
import { byId } from "./dom.mjs";
import { chatAsMarkdown, chatsAsJson, chatsOfJson, fileName } from "./exports.mjs";
import { saveFile, textOfFile } from "./transfer.mjs";

const JSON_TYPE = "application/json";

export function startChatMenu(app) {
  const menu = byId("menu");
  const entry = (id, act) =>
    byId(id).addEventListener("click", () => {
      menu.open = false;
      menu.querySelector("summary").focus();
      act(app.shown);
    });
  entry("rename", (chat) => rename(app, chat));
  entry("delete", (chat) => remove(app, chat));
  entry("export-json", (chat) => saveFile(fileName(chat, "json"), JSON_TYPE, chatsAsJson([chat])));
  entry("export-markdown", (chat) =>
    saveFile(fileName(chat, "md"), "text/markdown", chatAsMarkdown(chat)),
  );
  document.addEventListener("click", (event) => {
    if (!menu.contains(event.target)) menu.open = false;
  });
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !menu.open) return;
    event.stopPropagation();
    menu.open = false;
    menu.querySelector("summary").focus();
  });
}

async function rename(app, chat) {
  const title = await askedFor("Name of this chat", "Rename", titleOf(chat));
  if (title === null) return;
  chat.title = title.trim();
  app.save(chat, true);
  app.titles();
}

async function remove(app, chat) {
  if (await isConfirmed(`Delete “${titleOf(chat)}”?`, "Delete")) app.remove(chat);
}

// The buttons for all chats, which are in the dialog of settings.
export function startAllChats(app) {
  const file = byId("import-file");
  byId("export-all").addEventListener("click", () =>
    saveFile("chats.json", JSON_TYPE, chatsAsJson(app.store.all())),
  );
  byId("import").addEventListener("click", () => file.click());
  file.addEventListener("change", async () => {
    const [chosen] = file.files;
    file.value = "";
    if (!chosen) return;
    app.dialog.close();
    await importFile(app, chosen);
  });
  byId("delete-all").addEventListener("click", async () => {
    const count = app.store.list.length;
    if (!(await isConfirmed(`Delete all ${count} chats?`, "Delete all"))) return;
    app.dialog.close();
    app.removeAll();
  });
}

async function importFile(app, file) {
  try {
    const chats = chatsOfJson(await textOfFile(file));
    for (const chat of chats) {
      // One of the same id stays as it is: it may have gone on since.
      if (app.store.get(chat.id)) chat.id = newId();
      app.store.save(chat);
    }
    app.notice.show(`${chats.length} ${chats.length === 1 ? "chat was" : "chats were"} imported.`);
  } catch (error) {
    app.notice.show(error.message || "There is no room for all chats of the file.");
  }
  app.titles();
}

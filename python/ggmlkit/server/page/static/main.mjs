// Starts the page.

import { App } from "./app.mjs";
import { startAllChats, startChatMenu } from "./chat-menu.mjs";
import { ChatStore } from "./chats.mjs";
import { byId } from "./dom.mjs";
import { storageOf } from "./storage.mjs";
import { startThemeButton } from "./theme-button.mjs";

const storage = storageOf("localStorage");
const app = new App(storage, storageOf("sessionStorage"));

startThemeButton(storage);
startChatMenu(app);
startAllChats(app);
byId("new").addEventListener("click", () => app.openNew());
byId("settings-button").addEventListener("click", () => app.openSettings());
addEventListener("pagehide", () => app.leave());
addEventListener("storage", (event) => {
  if (ChatStore.isItem(event.key)) app.storeChanged(event.key);
});
addEventListener("keydown", (event) => {
  if (document.querySelector("dialog[open]")) return;
  if (event.key === "Escape") app.answers.stop(app.shown);
  else if (event.key.toLowerCase() === "o" && event.shiftKey && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    app.openNew();
  }
});
app.start();

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  ChatStore,
  MOST_CHARACTERS,
  StoreFullError,
  chatOf,
  newChat,
  titleOf,
} from "../../../../python/ggmlkit/server/page/static/chats.mjs";
import {
  chatAsMarkdown,
  chatsAsJson,
  chatsOfJson,
  fileName,
} from "../../../../python/ggmlkit/server/page/static/exports.mjs";
import { MemoryStorage } from "../../../../python/ggmlkit/server/page/static/storage.mjs";

const STATS = {
  tokens: 3,
  promptTokens: 4,
  cachedTokens: 2,
  tokensPerSecond: 9.5,
  firstSeconds: 0.1,
};

function chat(text = "Hello\nthere") {
  const made = newChat("Be brief.");
  made.messages.push(
    { role: "user", content: text },
    {
      role: "assistant",
      content: "**Hi**",
      reasoning: "hm\nyes",
      model: "m",
      end: "length",
      stats: STATS,
    },
  );
  return made;
}

test("a chat is kept, found again, renamed and removed", () => {
  const storage = new MemoryStorage();
  const store = new ChatStore(storage);
  const [one, two] = [chat("one"), chat("two")];
  two.updated = one.updated + 1;
  store.save(one);
  store.save(two);
  assert.deepEqual(
    new ChatStore(storage).list.map(({ title }) => title),
    ["two", "one"],
  );
  assert.deepEqual(new ChatStore(storage).get(one.id), one);
  one.title = "mine";
  store.save(one);
  assert.equal(store.list[1].title, "mine");
  store.remove(one.id);
  assert.equal(store.get(one.id), null);
  store.clear();
  assert.equal(storage.length, 0);
});

test("what is kept is bounded, and what was kept stays", () => {
  const storage = new MemoryStorage();
  const store = new ChatStore(storage);
  store.save(chat("small"));
  const large = chat("x".repeat(MOST_CHARACTERS));
  assert.throws(() => store.save(large), StoreFullError);
  assert.equal(new ChatStore(storage).list.length, 1);
  storage.setItem = () => {
    throw new Error("quota");
  };
  assert.throws(() => store.save(chat("y")), StoreFullError);
});

test("what is damaged is not shown, and can be cleared", () => {
  const storage = new MemoryStorage();
  storage.setItem("other", "1");
  for (const [id, text] of Object.entries({
    a: "{",
    b: "null",
    c: '{"version":1}',
    d: '{"version":2,"id":"d","messages":[]}',
  })) {
    storage.setItem(`ggmlkit.chat.${id}`, text);
  }
  const store = new ChatStore(storage);
  assert.deepEqual(store.list, []);
  store.clear();
  assert.equal(storage.length, 1);
});

test("titles are the first line of the first message", () => {
  assert.equal(titleOf(chat()), "Hello");
  assert.equal(titleOf(newChat()), "New chat");
  assert.equal(titleOf(chat("😀".repeat(100))), `${"😀".repeat(80)}…`);
});

test("an export can be imported", () => {
  const chats = [chat("a"), chat("b")];
  assert.deepEqual(chatsOfJson(chatsAsJson(chats)), chats);
});

test("what is imported has nothing but the fields of a chat", () => {
  const made = { ...chat(), more: 1 };
  made.messages[0].html = "<b>";
  made.messages[1].stats = { ...STATS, tokens: "<b>" };
  made.messages[1].error = 3;
  const found = chatOf(JSON.parse(JSON.stringify(made)));
  assert.equal(found.more, undefined);
  assert.deepEqual(Object.keys(found.messages[0]), ["role", "content"]);
  assert.deepEqual(Object.keys(found.messages[1]), [
    "role",
    "content",
    "reasoning",
    "model",
    "end",
  ]);
});

test("files of others are refused with a sentence", () => {
  const damaged = chatsAsJson([{ ...chat(), messages: [{ role: "system", content: "x" }] }]);
  for (const text of [
    "",
    "{",
    "[]",
    "{}",
    '{"kind":"ggmlkit chats","version":9,"chats":[]}',
    damaged,
  ]) {
    assert.throws(() => chatsOfJson(text), /^Error: [A-Z].*\.$/);
  }
});

test("a chat as Markdown", () => {
  assert.equal(
    chatAsMarkdown(chat()),
    "# Hello\n\n## System\n\nBe brief.\n\n## User\n\nHello\nthere\n\n## Assistant\n\n> hm\n> yes\n\n**Hi**\n",
  );
  assert.equal(fileName(chat("../../Größe, 2?"), "md"), "größe-2.md");
  assert.equal(fileName(chat("???"), "md"), "chat.md");
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { newChat } from "../../../../python/ggmlkit/server/page/static/chats.mjs";
import { failureOf } from "../../../../python/ggmlkit/server/page/static/failures.mjs";
import {
  requestBody,
  statsOf,
  statsText,
} from "../../../../python/ggmlkit/server/page/static/request.mjs";

test("a request has the messages, the model and the settings", () => {
  const chat = newChat("Be brief.");
  chat.messages.push(
    { role: "user", content: "a" },
    { role: "assistant", content: "b", reasoning: "hidden", stats: {} },
    { role: "user", content: "c" },
    { role: "assistant", content: "", error: "failed" },
    { role: "user", content: "d" },
  );
  assert.deepEqual(requestBody(chat, "m", { top_k: 5 }), {
    model: "m",
    messages: [
      { role: "system", content: "Be brief." },
      { role: "user", content: "a" },
      { role: "assistant", content: "b" },
      { role: "user", content: "c\n\nd" },
    ],
    stream: true,
    stream_options: { include_usage: true },
    top_k: 5,
  });
  assert.equal(chat.messages[2].content, "c");
  assert.equal("model" in requestBody(newChat(), undefined, {}), false);
});

test("tokens and speed in words", () => {
  const part = {
    usage: { prompt_tokens: 9, completion_tokens: 1, prompt_tokens_details: { cached_tokens: 4 } },
    timings: { predicted_per_second: 51.26 },
  };
  const text = "1 token · 51.3 tokens/s · first after 0.25 s · prompt: 9 tokens (4 from the cache)";
  assert.equal(statsText(statsOf(part, 0.25)), text);
  assert.equal(statsText(statsOf({}, null)), "0 tokens · prompt: 0 tokens");
});

test("failures in words", () => {
  const said = (status, code = null, message = "it is so") => failureOf({ status, code, message });
  assert.equal(said(401).action, "key");
  assert.match(said(401).text, /API key\. It is so\.$/);
  assert.match(said(400, "context_length_exceeded").text, /longer than .*new chat/s);
  assert.match(said(0).text, /can't be reached/);
  assert.match(said(503).text, /Try again in a moment\. It is so\./);
  assert.match(said(400).text, /refused this\. It is so\./);
  assert.match(said(500).text, /server failed/);
  assert.match(failureOf(new TypeError("x")).text, /This page failed/);
});

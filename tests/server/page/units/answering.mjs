import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { Answers } from "../../../../python/ggmlkit/server/page/static/answering.mjs";
import { newChat } from "../../../../python/ggmlkit/server/page/static/chats.mjs";

const SETTINGS = { values: { model: "m" }, sampling: { seed: 1 }, key: "secret" };
const real = globalThis.fetch;
afterEach(() => (globalThis.fetch = real));

function streamed(...events) {
  return new Response(events.map((event) => `data: ${event}\n\n`).join(""));
}

const delta = (of, finish_reason = null) =>
  JSON.stringify({ model: "m", choices: [{ delta: of, finish_reason }] });

async function answered(respond) {
  const chat = newChat();
  chat.messages.push({ role: "user", content: "a" });
  const requests = [];
  globalThis.fetch = async (url, options) => {
    requests.push({ url: String(url), ...options });
    return respond(options);
  };
  const answers = new Answers(SETTINGS);
  let count = 0;
  const failure = await answers.add(chat, () => (count += 1));
  assert.equal(answers.isRunning(chat), false);
  return { message: chat.messages.at(-1), failure, requests, count };
}

test("an answer is put together of its parts", async () => {
  const usage = JSON.stringify({ choices: [], usage: { completion_tokens: 2, prompt_tokens: 1 } });
  const { message, failure, requests } = await answered(() =>
    streamed(
      delta({ role: "assistant", content: "" }),
      delta({ reasoning_content: "hm" }),
      delta({ content: "x" }),
      delta({ content: "y" }),
      delta({}, "stop"),
      usage,
      "[DONE]",
    ),
  );
  assert.equal(failure, null);
  assert.equal(message.content, "xy");
  assert.equal(message.reasoning, "hm");
  assert.equal(message.end, undefined);
  assert.equal(message.stats.tokens, 2);
  assert.equal(requests[0].headers.Authorization, "Bearer secret");
  assert.equal(JSON.parse(requests[0].body).seed, 1);
});

test("an answer that was cut says so", async () => {
  const { message } = await answered(() => streamed(delta({ content: "x" }, "length"), "[DONE]"));
  assert.equal(message.end, "length");
});

test("failures keep what there is of the answer", async () => {
  const error = JSON.stringify({ error: { message: "no room", code: "cache_full" } });
  const refused = () => new Response(error, { status: 401 });
  assert.equal((await answered(refused)).failure.action, "key");
  const broken = await answered(() => streamed(delta({ content: "x" })));
  assert.equal(broken.message.content, "x");
  assert.match(broken.message.error, /broke off/);
  assert.match((await answered(() => streamed(error))).message.error, /No room/);
  const page = await answered(
    () => new Response("<html>", { status: 502, statusText: "Bad Gateway" }),
  );
  assert.match(page.message.error, /Bad Gateway/);
  const gone = await answered(() => Promise.reject(new TypeError("fetch failed")));
  assert.match(gone.message.error, /can't be reached/);
});

test("a stopped answer is no failure", async () => {
  const chat = newChat();
  chat.messages.push({ role: "user", content: "a" });
  const answers = new Answers(SETTINGS);
  globalThis.fetch = async (_, { signal }) => {
    const body = new ReadableStream({
      start(controller) {
        controller.enqueue(new TextEncoder().encode(`data: ${delta({ content: "x" })}\n\n`));
        signal.addEventListener("abort", () => controller.error(signal.reason));
      },
    });
    return new Response(body);
  };
  const failure = await answers.add(chat, (_, message) => message.content && answers.stop(chat));
  assert.equal(failure, null);
  assert.deepEqual(chat.messages.at(-1), {
    role: "assistant",
    content: "x",
    end: "stopped",
    model: "m",
  });
});

// The npm package `openai`: node openai.mjs FOLDER URL KEY, with the package in FOLDER.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { test } from "node:test";

const [folder, baseURL, apiKey] = process.argv.slice(2);
const require = createRequire(pathToFileURL(`${folder}/package.json`));
const { OpenAI } = require("openai");
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
const model = "smollm";
const messages = [{ role: "user", content: "Why is the sky blue?" }];
const asked = { model, messages, temperature: 0, max_tokens: 60 };
const parameters = {
  type: "object",
  properties: { city: { enum: ["Paris", "Rome"] } },
  required: ["city"],
  additionalProperties: false,
};
const tools = [{ type: "function", function: { name: "weather", parameters } }];

test("whole and streamed answers are the same", async () => {
  const whole = await client.chat.completions.create(asked);
  const text = whole.choices[0].message.content;
  assert.ok(text);
  let streamed = "";
  for await (const part of await client.chat.completions.create({ ...asked, stream: true })) {
    streamed += part.choices[0].delta.content ?? "";
  }
  assert.equal(streamed, text);
  const runner = client.chat.completions.stream(asked);
  assert.equal(await runner.finalContent(), text);
});

test("a stream can be left", async () => {
  const stream = await client.chat.completions.create({ ...asked, max_tokens: 500, stream: true });
  for await (const _ of stream) break;
  assert.ok(stream.controller.signal.aborted);
});

test("a schema holds", async () => {
  const schema = {
    type: "object", properties: { mood: { enum: ["good", "bad"] } },
    required: ["mood"], additionalProperties: false,
  };
  const response_format = { type: "json_schema", json_schema: { name: "mood", schema, strict: true } };
  const found = await client.chat.completions.create({ ...asked, response_format });
  assert.ok(["good", "bad"].includes(JSON.parse(found.choices[0].message.content).mood));
});

test("a round trip of tools", async () => {
  const first = await client.chat.completions.create({ ...asked, tools, tool_choice: "required" });
  const message = first.choices[0].message;
  assert.equal(message.tool_calls[0].function.name, "weather");
  const answer = { role: "tool", tool_call_id: message.tool_calls[0].id, content: "21 degrees" };
  const next = { ...asked, tools, tool_choice: "none", messages: [...messages, message, answer] };
  assert.ok((await client.chat.completions.create(next)).choices[0].message.content);
});

test("vectors", async () => {
  const packed = await client.embeddings.create({ model, input: ["a", "b"] });
  const plain = await client.embeddings.create({ model, input: ["a", "b"], encoding_format: "float" });
  assert.equal(packed.data[1].embedding.length, 576);
  assert.ok(Math.abs(packed.data[1].embedding[0] - plain.data[1].embedding[0]) < 1e-6);
});

test("responses", async () => {
  const found = await client.responses.create({ model, input: "Say hi.", max_output_tokens: 16 });
  assert.ok(found.output_text);
  let text = "";
  const stream = await client.responses.create({ model, input: "Hi.", max_output_tokens: 16, stream: true });
  for await (const event of stream) if (event.type === "response.output_text.delta") text += event.delta;
  assert.ok(text);
});

test("models and errors", async () => {
  const names = [];
  for await (const each of client.models.list()) names.push(each.id);
  assert.deepEqual(names, [model]);
  const { NotFoundError, BadRequestError, AuthenticationError, APIConnectionTimeoutError } = OpenAI;
  await assert.rejects(client.models.retrieve("other"), NotFoundError);
  await assert.rejects(client.chat.completions.create({ ...asked, temperature: -1 }), BadRequestError);
  const other = new OpenAI({ baseURL, apiKey: "wrong", maxRetries: 0 });
  await assert.rejects(other.models.list(), AuthenticationError);
  const long = { ...asked, max_tokens: 500 };
  await assert.rejects(client.chat.completions.create(long, { timeout: 30 }), APIConnectionTimeoutError);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { EventReader } from "../../../../python/ggmlkit/server/page/static/events.mjs";

const STREAM =
  'data: {"a":"é😀"}\n\n: waiting\n\ndata:b\r\n\r\nevent: x\ndata: c\ndata: d\n\ndata: [DONE]\n\ndata: cut';
const EVENTS = ['{"a":"é😀"}', "b", "c\nd", "[DONE]"];

test("events are the same however the bytes are cut", () => {
  const bytes = new TextEncoder().encode(STREAM);
  for (const size of [1, 2, 3, 7, bytes.length]) {
    const reader = new EventReader();
    const found = [];
    for (let at = 0; at < bytes.length; at += size)
      found.push(...reader.push(bytes.slice(at, at + size)));
    assert.deepEqual(found, EVENTS, `pieces of ${size}`);
  }
});

test("an event comes as soon as its blank line does", () => {
  const reader = new EventReader();
  const push = (text) => reader.push(new TextEncoder().encode(text));
  assert.deepEqual(push("data: a\n"), []);
  assert.deepEqual(push("\ndata: b"), ["a"]);
});

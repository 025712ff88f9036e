import assert from "node:assert/strict";
import { test } from "node:test";
import {
  FIELDS,
  Settings,
  faultOf,
} from "../../../../python/ggmlkit/server/page/static/settings.mjs";
import { MemoryStorage } from "../../../../python/ggmlkit/server/page/static/storage.mjs";

const field = (name) => FIELDS.find((each) => each.name === name);

test("fields say what is wrong", () => {
  for (const text of ["", " ", "0", "0.7", "1e1"])
    assert.equal(faultOf(field("temperature"), text), null, text);
  for (const text of ["-1", "x", "1,5", "Infinity", "NaN"])
    assert.match(faultOf(field("temperature"), text), /number from 0 to 100\.$/);
  assert.match(faultOf(field("top_k"), "1.5"), /whole number/);
  assert.match(faultOf(field("top_p"), "1.1"), /from 0 to 1/);
});

test("settings are kept, the key only in the session", () => {
  const [storage, session] = [new MemoryStorage(), new MemoryStorage()];
  const settings = new Settings(storage, session);
  settings.change({ temperature: 0, top_k: 5, system: "s", model: "m" });
  settings.change({ top_k: undefined });
  settings.key = "secret";
  const again = new Settings(storage, session);
  assert.deepEqual(again.sampling, { temperature: 0 });
  assert.equal(again.values.system, "s");
  assert.equal(again.key, "secret");
  assert.ok(!storage.getItem("ggmlkit.settings").includes("secret"));
  again.key = "";
  assert.equal(session.length, 0);
});

test("what is kept is checked", () => {
  const storage = new MemoryStorage();
  storage.setItem(
    "ggmlkit.settings",
    '{"temperature":"x","top_k":-1,"min_p":0.5,"system":3,"other":1}',
  );
  assert.deepEqual(new Settings(storage, new MemoryStorage()).values, { min_p: 0.5 });
  storage.setItem("ggmlkit.settings", "{");
  assert.deepEqual(new Settings(storage, new MemoryStorage()).values, {});
});

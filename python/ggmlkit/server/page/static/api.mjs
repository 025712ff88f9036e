// Requests to the server that this page comes from.

import { EventReader } from "./events.mjs";

// A request that failed.
//
// `status` is HTTP's, 0 if no answer came; `code` is the API's word for it, or null.
export class ApiError extends Error {
  constructor(message, status = 0, code = null) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

const BASE = new URL("../v1/", import.meta.url);

// The names of the models that are served.
export async function models(key) {
  const response = await send("models", key, {});
  return (await response.json()).data.map((model) => model.id);
}

// The parts of an answer, as the API streams them; throws ApiError, or the signal's AbortError.
export async function* answer(body, key, signal) {
  const response = await send("chat/completions", key, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
    signal,
  });
  for await (const data of eventsOf(response, signal)) {
    if (data === "[DONE]") return;
    const part = JSON.parse(data);
    if (part.error) throw new ApiError(part.error.message, 500, part.error.code);
    yield part;
  }
  throw new ApiError("the answer broke off");
}

async function send(path, key, options) {
  // What else stands in a key can't be in a header, and fetch would fail as if there was no server.
  if (/[^\x20-\xff]/.test(key)) throw new ApiError("the key has letters that no key can have", 401);
  const headers = { ...options.headers, ...(key ? { Authorization: `Bearer ${key}` } : {}) };
  let response;
  try {
    response = await fetch(new URL(path, BASE), { ...options, headers, cache: "no-store" });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new ApiError("no answer came");
  }
  if (!response.ok) throw await errorOf(response);
  return response;
}

async function errorOf(response) {
  let error = {};
  try {
    error = (await response.json()).error ?? {};
  } catch {
    // A proxy's page, which says nothing to this one.
  }
  return new ApiError(error.message ?? response.statusText, response.status, error.code ?? null);
}

async function* eventsOf(response, signal) {
  const reader = response.body.getReader();
  const events = new EventReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield* events.push(value);
    }
  } catch (error) {
    if (signal.aborted || error instanceof ApiError) throw error;
    throw new ApiError("the answer broke off");
  } finally {
    reader.cancel().catch(() => {});
  }
}

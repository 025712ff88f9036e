// What the server is asked for a chat.

// The body of the request for the answer that comes behind the messages.
export function requestBody(chat, model, sampling) {
  return {
    ...(model ? { model } : {}),
    messages: messagesOf(chat),
    stream: true,
    stream_options: { include_usage: true },
    ...sampling,
  };
}

// The messages that the model sees. Answers that failed before their first word are left out; the
// questions around them become one, because many templates want users and models to take turns.
function messagesOf(chat) {
  const messages = chat.system.trim() ? [{ role: "system", content: chat.system }] : [];
  for (const { role, content } of chat.messages) {
    const last = messages.at(-1);
    if (role === "assistant" && !content) continue;
    if (role === "user" && last?.role === "user") last.content += `\n\n${content}`;
    else messages.push({ role, content });
  }
  return messages;
}

// What is told about an answer: its last part, and the seconds to its first token.
export function statsOf(part, firstSeconds) {
  const { usage = {}, timings = {} } = part;
  return {
    tokens: usage.completion_tokens ?? 0,
    promptTokens: usage.prompt_tokens ?? 0,
    cachedTokens: usage.prompt_tokens_details?.cached_tokens ?? 0,
    tokensPerSecond: timings.predicted_per_second ?? 0,
    firstSeconds,
  };
}

// The same in words.
export function statsText(stats) {
  const words = [`${counted(stats.tokens, "token")}`];
  if (stats.tokensPerSecond > 0) words.push(`${stats.tokensPerSecond.toFixed(1)} tokens/s`);
  if (stats.firstSeconds !== null) words.push(`first after ${stats.firstSeconds.toFixed(2)} s`);
  const cached = stats.cachedTokens ? ` (${stats.cachedTokens} from the cache)` : "";
  words.push(`prompt: ${counted(stats.promptTokens, "token")}${cached}`);
  return words.join(" · ");
}

function counted(count, word) {
  return `${count} ${word}${count === 1 ? "" : "s"}`;
}

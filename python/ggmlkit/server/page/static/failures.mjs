// What the user is told when a request failed.

// {text, action}: a sentence and the way out; action is "key" where an API key is wanted.
export function failureOf(error) {
  const said = sentence(error.message ?? "");
  if (error.status === undefined) return { text: `This page failed. ${said}`, action: null };
  if (error.status === 401) {
    return { text: `This server wants an API key. ${said}`, action: "key" };
  }
  if (error.code === "context_length_exceeded") {
    const way = "Begin a new chat, or edit an earlier message to shorten this one.";
    const text = `This chat is longer than what the model can take. ${said} ${way}`;
    return { text, action: null };
  }
  return { text: [head(error.status), said].filter(Boolean).join(" "), action: null };
}

function head(status) {
  if (status === 0) return "The server can't be reached. Is it still running?";
  if (status === 429 || status === 503)
    return "The server can't answer now. Try again in a moment.";
  return status >= 500 ? "The server failed." : "The server refused this.";
}

function sentence(text) {
  const trimmed = text.trim();
  if (!trimmed) return "";
  return `${trimmed[0].toUpperCase()}${trimmed.slice(1)}${/[.!?]$/.test(trimmed) ? "" : "."}`;
}

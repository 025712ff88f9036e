// Copies texts, and says on the button that it did.

import { button } from "./dom.mjs";

const SHOWN_MS = 1500;

// A button that copies what `text()` gives.
export function copyButton(text, label = "Copy", attributes = {}) {
  const made = button(label, copy, attributes);
  async function copy() {
    made.textContent = (await isCopied(text())) ? "Copied" : "Not allowed";
    setTimeout(() => (made.textContent = label), SHOWN_MS);
  }
  return made;
}

async function isCopied(text) {
  if (navigator.clipboard) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      return false;
    }
  }
  return isCopiedFromField(text);
}

// Browsers give the clipboard to pages of https and of this machine alone; elsewhere a field helps.
function isCopiedFromField(text) {
  const focused = document.activeElement;
  const field = document.createElement("textarea");
  field.value = text;
  field.className = "unseen";
  document.body.append(field);
  field.select();
  const isDone = document.execCommand("copy");
  field.remove();
  focused?.focus();
  return isDone;
}

// Files that the user saves or opens.

import { element } from "./dom.mjs";

const MOST_BYTES = 20000000;

export function saveFile(name, type, text) {
  const address = URL.createObjectURL(new Blob([text], { type }));
  const link = element("a", { href: address, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}

// The text of a file; throws an Error whose message is a sentence for the user.
export async function textOfFile(file) {
  if (file.size > MOST_BYTES) throw new Error("The file is larger than 20 MB.");
  try {
    return await file.text();
  } catch {
    throw new Error("The file can't be read.");
  }
}

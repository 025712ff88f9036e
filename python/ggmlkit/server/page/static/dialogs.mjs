// Questions to the user, in a dialog of the page.

import { byId } from "./dom.mjs";

// Whether the user says yes.
export async function isConfirmed(text, yes) {
  return (await asked(text, yes, null)) !== null;
}

// What the user writes in place of a text; null if they cancel.
export function askedFor(text, yes, value) {
  return asked(text, yes, value);
}

function asked(text, yes, value) {
  const dialog = byId("question");
  const field = byId("question-value");
  byId("question-text").textContent = text;
  byId("question-yes").textContent = yes;
  field.hidden = value === null;
  field.value = value ?? "";
  byId("question-no").onclick = () => dialog.close("");
  dialog.returnValue = "";
  dialog.showModal();
  if (value === null) byId("question-yes").focus();
  else field.select();
  return new Promise((resolve) => {
    dialog.onclose = () => resolve(dialog.returnValue === "yes" ? field.value : null);
  });
}

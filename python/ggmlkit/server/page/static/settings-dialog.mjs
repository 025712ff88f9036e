// The dialog of settings.

import { byId, element } from "./dom.mjs";
import { FIELDS, faultOf } from "./settings.mjs";

export class SettingsDialog {
  // `saved(values, key)` gets the fields' values: system, and numbers (undefined where empty).
  constructor(settings, saved) {
    this.settings = settings;
    this.saved = saved;
    this.dialog = byId("settings");
    this.rows = FIELDS.map((field) => new FieldRow(field));
    byId("sampling").append(...this.rows.map((row) => row.element));
    this.dialog.querySelector("form").addEventListener("submit", (event) => this.save(event));
    byId("settings-cancel").addEventListener("click", () => this.dialog.close());
  }

  // Opens it; `first` is the id of the field that gets the focus.
  open(system, first = "system") {
    byId("system").value = system;
    byId("key").value = this.settings.key;
    for (const row of this.rows) row.show(this.settings.values[row.field.name]);
    this.dialog.showModal();
    byId(first).focus();
  }

  close() {
    this.dialog.close();
  }

  save(event) {
    const wrong = this.rows.filter((row) => !row.isRight());
    if (wrong.length) {
      event.preventDefault();
      wrong[0].input.focus();
      return;
    }
    const values = Object.fromEntries(this.rows.map((row) => [row.field.name, row.value]));
    this.saved({ ...values, system: byId("system").value }, byId("key").value.trim());
  }
}

class FieldRow {
  constructor(field) {
    this.field = field;
    const id = `sampling-${field.name}`;
    this.input = element("input", {
      id,
      type: "text",
      inputmode: field.step === 1 ? "numeric" : "decimal",
      autocomplete: "off",
      "aria-describedby": `${id}-hint`,
      oninput: () => this.isRight(),
    });
    this.hint = element("small", { id: `${id}-hint` }, field.hint);
    this.element = element(
      "p",
      { class: "field" },
      element("label", { for: id }, field.label),
      this.input,
      this.hint,
    );
  }

  show(value) {
    this.input.value = value ?? "";
    this.isRight();
  }

  get value() {
    const text = this.input.value.trim();
    return text === "" ? undefined : Number(text);
  }

  // Whether the text is a value of the field; the hint says what is wrong.
  isRight() {
    const fault = faultOf(this.field, this.input.value);
    this.hint.textContent = fault ?? this.field.hint;
    this.hint.classList.toggle("error", fault !== null);
    this.input.setAttribute("aria-invalid", String(fault !== null));
    return fault === null;
  }
}

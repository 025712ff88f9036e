// What the user sets: how answers are drawn, the system prompt of new chats, the API key.

// A field's value goes into requests under its name. An empty field leaves it to the server.
export const FIELDS = [
  {
    name: "temperature",
    label: "Temperature",
    min: 0,
    max: 100,
    step: 0.1,
    hint: "Higher is more varied; 0 takes the likeliest token.",
  },
  {
    name: "top_p",
    label: "Top-p",
    min: 0,
    max: 1,
    step: 0.05,
    hint: "Only the likeliest tokens that sum to this probability.",
  },
  {
    name: "top_k",
    label: "Top-k",
    min: 0,
    max: 1000000,
    step: 1,
    hint: "Only so many of the likeliest tokens; 0: all.",
  },
  {
    name: "min_p",
    label: "Min-p",
    min: 0,
    max: 1,
    step: 0.05,
    hint: "Only tokens at least so likely, as a share of the likeliest.",
  },
  {
    name: "repeat_penalty",
    label: "Repeat penalty",
    min: 0.01,
    max: 100,
    step: 0.05,
    hint: "Penalty for repeated tokens; 1: none.",
  },
  {
    name: "max_tokens",
    label: "Max tokens",
    min: 1,
    max: 10000000,
    step: 1,
    hint: "Most tokens of an answer.",
  },
  {
    name: "seed",
    label: "Seed",
    min: 0,
    max: Number.MAX_SAFE_INTEGER,
    step: 1,
    hint: "The same seed gives the same answer.",
  },
];

const PLACE = "ggmlkit.settings";
const KEY_PLACE = "ggmlkit.key";

// What is wrong with a field's text, in a sentence; null if nothing is.
export function faultOf(field, text) {
  if (text.trim() === "") return null;
  const value = Number(text);
  const isWhole = field.step === 1;
  if (Number.isFinite(value) && value >= field.min && value <= field.max) {
    if (!isWhole || Number.isInteger(value)) return null;
  }
  const kind = isWhole ? "a whole number" : "a number";
  return `${field.label} must be ${kind} from ${field.min} to ${field.max}.`;
}

// The settings as they are kept: those of FIELDS that are set, and `system` and `model`.
export class Settings {
  constructor(storage, session) {
    this.storage = storage;
    this.session = session;
    this.values = {};
    try {
      this.values = checked(JSON.parse(storage.getItem(PLACE) ?? "{}"));
    } catch {
      // What was kept can't be read: the server's values stand.
    }
  }

  get key() {
    return this.session.getItem(KEY_PLACE) ?? "";
  }

  set key(key) {
    if (key) this.session.setItem(KEY_PLACE, key);
    else this.session.removeItem(KEY_PLACE);
  }

  change(values) {
    this.values = checked({ ...this.values, ...values });
    this.storage.setItem(PLACE, JSON.stringify(this.values));
  }

  // The fields of a request.
  get sampling() {
    const set = FIELDS.filter((field) => this.values[field.name] !== undefined);
    return Object.fromEntries(set.map((field) => [field.name, this.values[field.name]]));
  }
}

function checked(values) {
  const found = {};
  for (const field of FIELDS) {
    const value = values[field.name];
    if (typeof value !== "number" || faultOf(field, String(value)) !== null) continue;
    found[field.name] = value;
  }
  for (const name of ["system", "model"]) {
    if (typeof values[name] === "string") found[name] = values[name];
  }
  return found;
}

// The Markdown inside a paragraph: a text → nodes. Tags of HTML are text like any other.
//
// Nodes: {type: "text" | "code", text}, {type: "break"}, {type: "link", href, children},
// {type: "emphasis" | "strong" | "strike", children}. The time is linear in the text, and nodes
// nest at most MOST_NESTED deep: a model may write anything.

const MOST_NESTED = 16;
const PLAIN = /[^\\`*_~[\]!<\nh]+/y;
const PUNCTUATION = /[!-/:-@[-`{-~]/;
const TARGET =
  /\(\s{0,9}(?:<([^<>\n]{0,2000})>|((?:[^\s()\\]|\\.|\([^\s()]{0,500}\)){0,2000}))(?:\s{1,9}(?:"[^"]{0,500}"|'[^']{0,500}'))?\s{0,9}\)/y;
const AUTOLINK = /<((?:https?:\/\/|mailto:)[^\s<>]{1,2000}|[\w.+-]{1,64}@[\w.-]{1,255})>/y;
const BARE = /https?:\/\/[^\s<>"'`[\]]{1,2000}/y;

export function inlineNodes(text) {
  return new Scanner(text).nodes();
}

// The text of nodes, without their form.
export function plainText(nodes) {
  return nodes
    .map((node) => (node.type === "break" ? "\n" : (node.text ?? plainText(node.children))))
    .join("");
}

// An address that a link may have; null for all but the web and mail.
export function safeHref(address) {
  let url;
  try {
    url = new URL(address);
  } catch {
    return null;
  }
  return ["http:", "https:", "mailto:"].includes(url.protocol) ? url.href : null;
}

class Scanner {
  constructor(text) {
    this.text = text;
    this.at = 0;
    this.items = [];
    this.plain = "";
    this.brackets = []; // indices of items that may begin a link
    this.runs = null; // of backticks: length → places, the next one first
  }

  nodes() {
    while (this.at < this.text.length) {
      const found = this.match(PLAIN);
      if (found) this.plain += found[0];
      else this.special(this.text[this.at]);
    }
    this.flush();
    return emphasized(this.items);
  }

  match(pattern) {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text);
    if (found) this.at = pattern.lastIndex;
    return found;
  }

  flush() {
    if (this.plain) this.items.push({ type: "text", text: this.plain });
    this.plain = "";
  }

  add(item) {
    this.flush();
    this.items.push(item);
  }

  take(count = 1) {
    this.plain += this.text.slice(this.at, this.at + count);
    this.at += count;
  }

  special(char) {
    if (char === "\\") this.escape();
    else if (char === "\n") this.newline();
    else if (char === "`") this.code();
    else if (char === "*" || char === "_" || char === "~") this.delimiter(char);
    else if (char === "[") this.open(false);
    else if (char === "]") this.close();
    else if (char === "!" && this.text[this.at + 1] === "[") this.open(true);
    else if (char === "<") this.autolink();
    else if (char === "h") this.bareLink();
    else this.take();
  }

  escape() {
    const next = this.text[this.at + 1] ?? "";
    if (next === "\n")
      this.at += 1; // the break comes next
    else if (PUNCTUATION.test(next)) {
      this.plain += next;
      this.at += 2;
    } else this.take();
  }

  newline() {
    this.plain = this.plain.trimEnd();
    this.at += 1;
    while (this.text[this.at] === " ") this.at += 1;
    this.add({ type: "break" });
  }

  code() {
    if (this.runs === null) this.runs = runsOf(this.text);
    const start = this.at;
    let end = start;
    while (this.text[end] === "`") end += 1;
    const places = this.runs.get(end - start) ?? { all: [], next: 0 };
    while (places.next < places.all.length && places.all[places.next] < end) places.next += 1;
    const close = places.all[places.next];
    if (close === undefined) {
      this.take(end - start);
      return;
    }
    let text = this.text.slice(end, close).replaceAll("\n", " ");
    if (text.startsWith(" ") && text.endsWith(" ") && text.trim()) text = text.slice(1, -1);
    this.add({ type: "code", text });
    this.at = close + (end - start);
  }

  delimiter(char) {
    const before = this.text[this.at - 1] ?? " ";
    let end = this.at;
    while (this.text[end] === char) end += 1;
    const count = end - this.at;
    const after = this.text[end] ?? " ";
    let { opens, closes } = flanking(before, after);
    if (char === "_") {
      [opens, closes] = [
        opens && (!closes || isPunctuation(before)),
        closes && (!opens || isPunctuation(after)),
      ];
    }
    if ((char === "~" && count !== 2) || !(opens || closes)) {
      this.take(count);
      return;
    }
    this.at = end;
    this.add({ type: "delimiter", char, count, opens, closes });
  }

  open(isImage) {
    const text = isImage ? "![" : "[";
    this.at += text.length;
    this.add({ type: "text", text, isImage });
    this.brackets.push(this.items.length - 1);
  }

  close() {
    const start = this.brackets.pop();
    this.at += 1;
    const found = start === undefined ? null : this.match(TARGET);
    const href = found && safeHref((found[1] ?? found[2]).replace(/\\([!-/:-@[-`{-~])/g, "$1"));
    if (!href) {
      this.plain += found ? `]${found[0]}` : "]";
      return;
    }
    this.flush();
    const { isImage } = this.items[start];
    const children = withoutLinks(emphasized(this.items.splice(start).slice(1)));
    if (!children.length) children.push({ type: "text", text: href });
    // A picture is not loaded: asking another server for it would tell that server of the chat.
    this.items.push({ type: "link", href, children });
    if (!isImage) this.brackets = [];
  }

  autolink() {
    const found = this.match(AUTOLINK);
    const text = found?.[1];
    const href = text && safeHref(/^(https?|mailto):/.test(text) ? text : `mailto:${text}`);
    if (href) this.add({ type: "link", href, children: [{ type: "text", text }] });
    else if (found) this.plain += found[0];
    else this.take();
  }

  bareLink() {
    const found = /\w/.test(this.text[this.at - 1] ?? "") ? null : this.match(BARE);
    if (!found) {
      this.take();
      return;
    }
    const text = trimmedAddress(found[0]);
    this.at -= found[0].length - text.length;
    const href = safeHref(text);
    if (href) this.add({ type: "link", href, children: [{ type: "text", text }] });
    else this.plain += text;
  }
}

function runsOf(text) {
  const runs = new Map();
  for (const found of text.matchAll(/`+/g)) {
    const length = found[0].length;
    if (!runs.has(length)) runs.set(length, { all: [], next: 0 });
    runs.get(length).all.push(found.index);
  }
  return runs;
}

function isPunctuation(char) {
  return /[\p{P}\p{S}]/u.test(char);
}

// Whether a run of delimiters may begin or end emphasis, by the characters around it.
function flanking(before, after) {
  const [isSpaceBefore, isSpaceAfter] = [/\s/.test(before), /\s/.test(after)];
  const [isMarkBefore, isMarkAfter] = [isPunctuation(before), isPunctuation(after)];
  return {
    opens: !isSpaceAfter && (!isMarkAfter || isSpaceBefore || isMarkBefore),
    closes: !isSpaceBefore && (!isMarkBefore || isSpaceAfter || isMarkAfter),
  };
}

// A bare address without the marks of the sentence around it.
function trimmedAddress(text) {
  let end = text.length;
  let opened = 0;
  for (const char of text) opened += char === "(" ? 1 : char === ")" ? -1 : 0;
  for (; end > 0; end -= 1) {
    const last = text[end - 1];
    if (last === ")" && opened < 0) opened += 1;
    else if (!".,;:!?*_~".includes(last)) break;
  }
  return text.slice(0, end);
}

function withoutLinks(nodes) {
  return nodes.flatMap((node) => {
    if (node.type === "link") return node.children;
    return node.children ? [{ ...node, children: withoutLinks(node.children) }] : [node];
  });
}

// Items with their delimiters paired. Of each character the last opener is the one that closes.
function emphasized(items) {
  const out = [];
  const openers = { "*": [], _: [], "~": [] };
  for (const item of items) {
    if (item.type !== "delimiter") {
      out.push(item);
      continue;
    }
    const rest = { ...item };
    const own = openers[item.char];
    while (item.closes && rest.count > 0 && own.length) {
      if (!closed(out, openers, rest)) break;
    }
    if (rest.count > 0 && item.opens) own.push(out.length);
    if (rest.count > 0) out.push(rest);
  }
  return merged(out);
}

// Pairs a closing delimiter with the last opener of its kind; false if that would nest too deep.
function closed(out, openers, closer) {
  const start = openers[closer.char].at(-1);
  const opener = out[start];
  const size = opener.count > 1 && closer.count > 1 ? 2 : 1;
  const depth = 1 + out.slice(start + 1).reduce((most, node) => Math.max(most, node.depth ?? 0), 0);
  if (depth > MOST_NESTED) {
    for (const places of Object.values(openers)) places.length = 0;
    return false;
  }
  for (const places of Object.values(openers)) {
    while (places.length && places.at(-1) > start) places.pop();
  }
  const type = closer.char === "~" ? "strike" : size === 2 ? "strong" : "emphasis";
  const children = merged(out.splice(start + 1));
  opener.count -= size;
  closer.count -= size;
  if (opener.count === 0) {
    out.pop();
    openers[closer.char].pop();
  }
  out.push({ type, children, depth });
  return true;
}

// Nodes with delimiters that found no partner as text, and neighbouring texts as one.
function merged(items) {
  const nodes = [];
  for (const item of items) {
    const isDelimiter = item.type === "delimiter";
    const text = isDelimiter ? item.char.repeat(item.count) : item.text;
    if (isDelimiter || item.type === "text") {
      if (nodes.at(-1)?.type === "text") nodes.at(-1).text += text;
      else nodes.push({ type: "text", text });
    } else nodes.push(item);
  }
  return nodes;
}

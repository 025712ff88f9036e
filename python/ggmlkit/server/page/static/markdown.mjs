// The blocks of a Markdown text. Tags of HTML are text like any other.
//
// Blocks: {type: "heading", level, text}, {type: "paragraph", text}, {type: "rule"},
// {type: "code", language, text}, {type: "quote", blocks}, {type: "table", aligns, head, rows},
// {type: "list", start, isTight, items: [{isDone, blocks}]} where start is null for bullets. The
// texts are for inline.mjs. Each outer block has `source`, by which a view sees what has changed.

const MOST_NESTED = 8;
const FENCE = /^( {0,3})(`{3,}|~{3,})(.*)$/;
const RULE = /^ {0,3}([-*_])[ \t]*(?:\1[ \t]*){2,}$/;
const HEADING = /^ {0,3}(#{1,6})(?=[ \t]|$)/;
const QUOTE = /^ {0,3}> ?/;
const MARKER = /^( *)([-*+]|\d{1,9}[.)])(?:( +)|$)/;

export function blocks(text) {
  const lines = text.replace(/\r\n?/g, "\n").split("\n").map(withSpaces);
  return new Reader(lines, 0).blocks();
}

// A line whose first tabs are spaces.
function withSpaces(line) {
  const found = /^[ \t]*/.exec(line)[0];
  return found.includes("\t") ? found.replaceAll("\t", "    ") + line.slice(found.length) : line;
}

class Reader {
  constructor(lines, depth) {
    this.lines = lines;
    this.depth = depth;
    this.at = 0;
  }

  blocks() {
    const found = [];
    while (this.at < this.lines.length) {
      if (isBlank(this.line)) {
        this.at += 1;
        continue;
      }
      const start = this.at;
      const block = this.block();
      if (this.depth === 0) block.source = this.lines.slice(start, this.at).join("\n");
      found.push(block);
    }
    return found;
  }

  get line() {
    return this.lines[this.at];
  }

  block() {
    if (isFence(this.line)) return this.fenced();
    if (indentOf(this.line) >= 4) return this.indented();
    if (HEADING.test(this.line)) return this.heading();
    if (RULE.test(this.line)) return this.rule();
    if (this.depth < MOST_NESTED && QUOTE.test(this.line)) return this.quote();
    if (this.depth < MOST_NESTED && MARKER.test(this.line)) return this.list();
    return (this.isTable(this.at) && this.table()) || this.paragraph();
  }

  // Whether a line ends the paragraph before it.
  interrupts(at) {
    const line = this.lines[at];
    if (isBlank(line) || isFence(line) || HEADING.test(line) || RULE.test(line)) return true;
    if (this.depth < MOST_NESTED && (QUOTE.test(line) || beginsList(line))) return true;
    return this.isTable(at);
  }

  fenced() {
    const [, indent, fence, info] = FENCE.exec(this.line);
    const lines = [];
    this.at += 1;
    while (this.at < this.lines.length) {
      const line = this.line;
      this.at += 1;
      const end = FENCE.exec(line);
      if (end && end[2].startsWith(fence) && isBlank(end[3])) break;
      lines.push(line.slice(Math.min(indentOf(line), indent.length)));
    }
    return { type: "code", language: info.trim().split(/\s+/)[0], text: lines.join("\n") };
  }

  indented() {
    const lines = [];
    while (this.at < this.lines.length && (isBlank(this.line) || indentOf(this.line) >= 4)) {
      lines.push(this.line.slice(4));
      this.at += 1;
    }
    return { type: "code", language: "", text: lines.join("\n").trimEnd() };
  }

  heading() {
    const level = HEADING.exec(this.line)[1].length;
    let text = this.line.trim().slice(level).trim();
    let end = text.length;
    while (text[end - 1] === "#") end -= 1;
    if (end === 0 || text[end - 1] === " ") text = text.slice(0, end).trimEnd();
    this.at += 1;
    return { type: "heading", level, text };
  }

  rule() {
    this.at += 1;
    return { type: "rule" };
  }

  quote() {
    const lines = [];
    while (this.at < this.lines.length) {
      if (QUOTE.test(this.line)) lines.push(withSpaces(this.line.replace(QUOTE, "")));
      else if (this.interrupts(this.at)) break;
      else lines.push(this.line);
      this.at += 1;
    }
    return { type: "quote", blocks: new Reader(lines, this.depth + 1).blocks() };
  }

  list() {
    const kind = kindOf(this.line);
    const start = kind === "." || kind === ")" ? Number.parseInt(this.line, 10) : null;
    const list = { type: "list", start, isTight: true, items: [] };
    while (this.at < this.lines.length && kindOf(this.line) === kind && !RULE.test(this.line)) {
      const { lines, isLoose } = this.item();
      list.items.push(itemOf(lines, this.depth));
      const next = this.at;
      while (this.at < this.lines.length && isBlank(this.line)) this.at += 1;
      const goesOn = this.at < this.lines.length && kindOf(this.line) === kind;
      if (isLoose || (goesOn && this.at > next)) list.isTight = false;
      if (!goesOn) this.at = next;
    }
    return list;
  }

  // The lines of an item without its marker, and whether blank lines part its paragraphs.
  item() {
    const [whole, before, marker, spaces] = MARKER.exec(this.line);
    const width = (spaces?.length ?? 1) > 4 ? 1 : (spaces?.length ?? 1);
    const indent = before.length + marker.length + width;
    const lines = [this.line.slice(Math.min(indent, whole.length))];
    let isLoose = false;
    let after = 0; // blank lines
    this.at += 1;
    let at = this.at;
    for (; at < this.lines.length; at += 1) {
      const line = this.lines[at];
      if (isBlank(line)) {
        after += 1;
        continue;
      }
      const own = indentOf(line);
      // Models indent what is in an item by two spaces, whatever the width of its marker.
      const isInside = own >= indent || (own >= before.length + 2 && MARKER.test(line));
      if (!isInside && (after > 0 || this.interrupts(at) || MARKER.test(line))) break;
      if (after > 0 && !MARKER.test(line)) isLoose = true;
      for (; after > 0; after -= 1) lines.push("");
      lines.push(line.slice(Math.min(own, indent)));
      this.at = at + 1;
    }
    return { lines, isLoose };
  }

  isTable(at) {
    const [head, rule] = [this.lines[at], this.lines[at + 1]];
    if (!head.includes("|") || !rule?.includes("-") || !/^[-:| \t]+$/.test(rule)) return false;
    const cells = cellsOf(rule);
    return cells.every((cell) => /^:?-+:?$/.test(cell)) && cells.length === cellsOf(head).length;
  }

  table() {
    const head = cellsOf(this.line);
    const aligns = cellsOf(this.lines[this.at + 1]).map(alignOf);
    const rows = [];
    this.at += 2;
    while (this.at < this.lines.length && this.line.includes("|") && !isBlank(this.line)) {
      rows.push(cellsOf(this.line).slice(0, head.length));
      this.at += 1;
    }
    return { type: "table", aligns, head, rows };
  }

  paragraph() {
    const lines = [this.line.trimStart()];
    this.at += 1;
    while (this.at < this.lines.length && !this.interrupts(this.at)) {
      lines.push(this.line.trimStart());
      this.at += 1;
    }
    return { type: "paragraph", text: lines.join("\n").trimEnd() };
  }
}

function isBlank(line) {
  return line.trim() === "";
}

function indentOf(line) {
  let count = 0;
  while (line[count] === " ") count += 1;
  return count;
}

function isFence(line) {
  const found = FENCE.exec(line);
  return found !== null && !(found[2][0] === "`" && found[3].includes("`"));
}

// What tells lists apart: the bullet, or what is behind the number; null for other lines.
function kindOf(line) {
  return MARKER.exec(line)?.[2].at(-1) ?? null;
}

// Whether a list may begin in the middle of a paragraph: most lines that begin with a number don't.
function beginsList(line) {
  const found = MARKER.exec(line);
  if (!found || !found[3]) return false;
  return found[2].length === 1 || /^0*1[.)]$/.test(found[2]);
}

function itemOf(lines, depth) {
  const task = /^\[([ xX])\] +/.exec(lines[0]);
  if (task) lines[0] = lines[0].slice(task[0].length);
  return {
    isDone: task ? task[1] !== " " : null,
    blocks: new Reader(lines, depth + 1).blocks(),
  };
}

// The cells of a table's row. A | in code, or behind a backslash, is text.
function cellsOf(line) {
  let row = line.trim();
  if (row.startsWith("|")) row = row.slice(1);
  const cells = [];
  let [cell, isCode] = ["", false];
  for (let at = 0; at < row.length; at += 1) {
    const char = row[at];
    if (char === "\\" && row[at + 1] === "|") {
      cell += "|";
      at += 1;
    } else if (char === "|" && !isCode) {
      cells.push(cell.trim());
      cell = "";
    } else {
      if (char === "`") isCode = !isCode && row.indexOf("`", at + 1) > 0;
      cell += char;
    }
  }
  if (cell.trim() || !cells.length) cells.push(cell.trim());
  return cells;
}

function alignOf(cell) {
  if (cell.endsWith(":")) return cell.startsWith(":") ? "center" : "right";
  return cell.startsWith(":") ? "left" : null;
}

// Markdown as elements. What a model writes becomes text nodes and a few kinds of elements.

import { copyButton } from "./clipboard.mjs";
import { element } from "./dom.mjs";
import { inlineNodes } from "./inline.mjs";
import { blocks } from "./markdown.mjs";

const TAGS = { emphasis: "em", strong: "strong", strike: "s" };
const FIRST_LEVEL = 3; // of headings in messages: the page has those above

// Shows a text that grows: blocks that have not changed keep their elements.
export class Rendered {
  constructor(parent) {
    this.parent = parent;
    this.sources = [];
  }

  update(text) {
    const found = blocks(text);
    let same = 0;
    while (same < found.length && found[same].source === this.sources[same]) same += 1;
    while (this.parent.childNodes.length > same) this.parent.lastChild.remove();
    this.parent.append(...found.slice(same).map((block) => blockElement(block)));
    this.sources = found.map((block) => block.source);
  }
}

function blockElement(block) {
  switch (block.type) {
    case "heading":
      return element(`h${Math.min(6, block.level + FIRST_LEVEL - 1)}`, {}, ...inline(block.text));
    case "rule":
      return element("hr");
    case "code":
      return codeElement(block);
    case "quote":
      return element("blockquote", {}, ...block.blocks.map((each) => blockElement(each)));
    case "list":
      return listElement(block);
    case "table":
      return tableElement(block);
    default:
      return element("p", { dir: "auto" }, ...inline(block.text));
  }
}

function inline(text) {
  return inlineNodes(text).map(inlineElement);
}

function inlineElement(node) {
  if (node.type === "text") return document.createTextNode(node.text);
  if (node.type === "break") return element("br");
  if (node.type === "code") return element("code", {}, node.text);
  const children = node.children.map(inlineElement);
  if (node.type !== "link") return element(TAGS[node.type], {}, ...children);
  const attributes = { href: node.href, rel: "noopener noreferrer nofollow", target: "_blank" };
  return element("a", attributes, ...children);
}

// What is wider than the page scrolls, and takes the focus so that keys can scroll it.
function codeElement({ language, text }) {
  const head = element(
    "div",
    { class: "code-head" },
    element("span", {}, language),
    copyButton(() => text, "Copy", { "aria-label": "Copy code" }),
  );
  const pre = element("pre", { tabindex: "0", dir: "ltr" }, element("code", {}, text));
  return element("div", { class: "code" }, head, pre);
}

function listElement({ start, isTight, items }) {
  const isCounted = start !== null;
  const attributes = { start: isCounted && start !== 1 ? String(start) : null };
  const made = items.map((item) => element("li", {}, ...itemChildren(item, isTight)));
  return element(isCounted ? "ol" : "ul", attributes, ...made);
}

function itemChildren({ isDone, blocks: inside }, isTight) {
  const mark = isDone === null ? [] : [isDone ? "☑ " : "☐ "];
  const children = inside.flatMap((block) =>
    isTight && block.type === "paragraph" ? inline(block.text) : [blockElement(block)],
  );
  return [...mark, ...children];
}

function tableElement({ aligns, head, rows }) {
  const row = (name, cells) => {
    const made = cells.map((cell, place) => {
      const align = aligns[place] ? `to-${aligns[place]}` : null;
      return element(name, { class: align }, ...inline(cell));
    });
    return element("tr", {}, ...made);
  };
  const table = element(
    "table",
    {},
    element("thead", {}, row("th", head)),
    element("tbody", {}, ...rows.map((cells) => row("td", cells))),
  );
  return element("div", { class: "table", tabindex: "0" }, table);
}

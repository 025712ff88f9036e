import assert from "node:assert/strict";
import { test } from "node:test";
import {
  inlineNodes,
  plainText,
  safeHref,
} from "../../../../python/ggmlkit/server/page/static/inline.mjs";

// Nodes in short: texts as they are, others as [type, ...children].
function short(nodes) {
  return nodes.map((node) => {
    if (node.type === "text") return node.text;
    if (node.type === "code") return ["code", node.text];
    if (node.type === "break") return ["break"];
    const head = node.type === "link" ? ["link", node.href] : [node.type];
    return [...head, ...short(node.children)];
  });
}

const CASES = [
  ["plain <b>text</b> & more", ["plain <b>text</b> & more"]],
  [
    "*a* _b_ **c** __d__ ~~e~~",
    [
      ["emphasis", "a"],
      " ",
      ["emphasis", "b"],
      " ",
      ["strong", "c"],
      " ",
      ["strong", "d"],
      " ",
      ["strike", "e"],
    ],
  ],
  ["**a *b* c**", [["strong", "a ", ["emphasis", "b"], " c"]]],
  ["***a***", [["emphasis", ["strong", "a"]]]],
  ["**open and *half", ["**open and *half"]],
  ["2 * 3 * 4", ["2 * 3 * 4"]],
  ["snake_case_name and a*b*c", ["snake_case_name and a", ["emphasis", "b"], "c"]],
  ["~one~", ["~one~"]],
  ["*a **b* c**", [["emphasis", "a ", ["emphasis", ["emphasis", "b"], " c"]]]],
  ["\\*a\\* \\a", ["*a* \\a"]],
  ["`a*b*` ``c`d`` `open", [["code", "a*b*"], " ", ["code", "c`d"], " `open"]],
  ["a  \nb\nc", ["a", ["break"], "b", ["break"], "c"]],
  ["[a *b*](https://x.y/z)", [["link", "https://x.y/z", "a ", ["emphasis", "b"]]]],
  [
    '[a](https://x.y "title") [b](<https://x.y/a b>)',
    [["link", "https://x.y/", "a"], " ", ["link", "https://x.y/a%20b", "b"]],
  ],
  ["[a](https://x.y/b_(c))", [["link", "https://x.y/b_(c)", "a"]]],
  ["[a](page.md) [b] [c]", ["[a](page.md) [b] [c]"]],
  ["![a](https://x.y/p.png)", [["link", "https://x.y/p.png", "a"]]],
  ["[![a](https://i.j/p.png)](https://x.y)", [["link", "https://x.y/", "a"]]],
  [
    "<https://x.y> <a@b.c> <b>",
    [["link", "https://x.y/", "https://x.y"], " ", ["link", "mailto:a@b.c", "a@b.c"], " <b>"],
  ],
  [
    "see https://x.y/a_b_c. (http://u.v)",
    [
      "see ",
      ["link", "https://x.y/a_b_c", "https://x.y/a_b_c"],
      ". (",
      ["link", "http://u.v/", "http://u.v"],
      ")",
    ],
  ],
  ["**https://x.y**", [["strong", ["link", "https://x.y/", "https://x.y"]]]],
  ["[https://x.y](https://u.v)", [["link", "https://u.v/", "https://x.y"]]],
];

for (const [text, expected] of CASES) {
  test(`inline ${JSON.stringify(text)}`, () =>
    assert.deepEqual(short(inlineNodes(text)), expected));
}

test("only the web and mail are linked", () => {
  const refused = [
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    " javascript:alert(1)",
    "java\nscript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "vbscript:x",
    "file:///etc/passwd",
    "blob:x",
    "//x.y",
    "/v1/models",
    "#a",
    "",
  ];
  for (const address of refused) {
    assert.equal(safeHref(address), null, address);
    const nodes = inlineNodes(`[a](${address}) [b](<${address}>) <${address}>`);
    assert.deepEqual(
      nodes.filter((node) => node.type === "link").map((node) => node.href),
      [],
      address,
    );
  }
  assert.equal(safeHref("mailto:a@b.c"), "mailto:a@b.c");
});

test("no text is lost", () => {
  for (const text of ["a **b** c", "[a](javascript:x) *b", "<i>x</i> ]( ![ [[a", "a_b__c_ ~~x~"]) {
    const letters = (of) => of.replace(/[^a-z]/g, "");
    assert.equal(letters(plainText(inlineNodes(text))), letters(text));
  }
});

test("what a model may write takes a moment and nests little", () => {
  const parts = [
    "*",
    "**a ",
    "*a b* ",
    "[",
    "![",
    "](",
    "`",
    "`a``",
    "<",
    "http://",
    "~~a",
    "_a_b",
    "\\",
    "[a](<",
    "](a '",
    "*_",
  ];
  for (const part of parts) {
    const start = performance.now();
    const nodes = inlineNodes(part.repeat(20000 / part.length));
    assert.ok(performance.now() - start < 2000, part);
    JSON.stringify(nodes);
  }
  const nested = inlineNodes("*a ".repeat(5000) + "b* ".repeat(5000));
  const depth = (all) =>
    Math.max(0, ...all.map((node) => (node.children ? 1 + depth(node.children) : 0)));
  assert.ok(depth(nested) <= 20);
});

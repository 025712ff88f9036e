import assert from "node:assert/strict";
import { test } from "node:test";
import { blocks } from "../../../../python/ggmlkit/server/page/static/markdown.mjs";

function short(all) {
  return all.map((block) => {
    switch (block.type) {
      case "heading":
        return [`h${block.level}`, block.text];
      case "paragraph":
        return block.text;
      case "code":
        return ["code", block.language, block.text];
      case "quote":
        return ["quote", ...short(block.blocks)];
      case "list":
        return [
          block.start ?? "-",
          block.isTight ? "tight" : "loose",
          ...block.items.map((item) =>
            item.isDone === null ? short(item.blocks) : [item.isDone, ...short(item.blocks)],
          ),
        ];
      case "table":
        return ["table", block.aligns, block.head, ...block.rows];
      default:
        return [block.type];
    }
  });
}

const CASES = [
  ["a\nb\n\nc", ["a\nb", "c"]],
  ["# a #\n### b\n#c\n####### d", [["h1", "a"], ["h3", "b"], "#c\n####### d"]],
  ["a\n***\n- - -\nb", ["a", ["rule"], ["rule"], "b"]],
  ["```py x\na\n  b\n```\nc", [["code", "py", "a\n  b"], "c"]],
  ["````\n```\n````", [["code", "", "```"]]],
  ["~~~\na\n```\n~~~", [["code", "", "a\n```"]]],
  ["```js\nopen", [["code", "js", "open"]]],
  ["a ```b``` c", ["a ```b``` c"]],
  ["    a\n\n      b", [["code", "", "a\n\n  b"]]],
  ["> a\n> > b\nlazy\n\nc", [["quote", "a", ["quote", "b\nlazy"]], "c"]],
  ["- a\n- b", [["-", "tight", ["a"], ["b"]]]],
  ["- a\n\n- b", [["-", "loose", ["a"], ["b"]]]],
  [
    "* a\n- b",
    [
      ["-", "tight", ["a"]],
      ["-", "tight", ["b"]],
    ],
  ],
  ["3. a\n4. b", [[3, "tight", ["a"], ["b"]]]],
  ["1. a\n  - b\n  - c\n2. d", [[1, "tight", ["a", ["-", "tight", ["b"], ["c"]]], ["d"]]]],
  [
    "1. a\n\n   b\n\n   ```\n   c\n   ```\n2. d",
    [[1, "loose", ["a", "b", ["code", "", "c"]], ["d"]]],
  ],
  ["- a\nlazy\n\nb", [["-", "tight", ["a\nlazy"]], "b"]],
  ["- [ ] a\n- [x] b", [["-", "tight", [false, "a"], [true, "b"]]]],
  ["text\n- a", ["text", ["-", "tight", ["a"]]]],
  ["in\n1986. was", ["in\n1986. was"]],
  ["-", [["-", "tight", []]]],
  [
    "|a|b|\n|:-|-:|\n|1|`x|y`|\n|2\\|3|\n\nc",
    [["table", ["left", "right"], ["a", "b"], ["1", "`x|y`"], ["2|3"]], "c"],
  ],
  ["a | b\n- | :-:\n1 | 2", [["table", [null, "center"], ["a", "b"], ["1", "2"]]]],
  ["a | b\n--", ["a | b\n--"]],
  ["<script>alert(1)</script>\n\n<b>x</b>", ["<script>alert(1)</script>", "<b>x</b>"]],
  ["a\r\nb\r\n", ["a\nb"]],
  ["- a\n\t- b", [["-", "tight", ["a", ["-", "tight", ["b"]]]]]],
];

for (const [text, expected] of CASES) {
  test(`blocks ${JSON.stringify(text)}`, () => assert.deepEqual(short(blocks(text)), expected));
}

test("blocks that are whole stay as they are while a text grows", () => {
  const text = "# a\n\nb **c**\n\n```\nd\n\ne\n```\n\n- f\n- g\n\n|h|\n|-|\n|i|\n\nj";
  const whole = blocks(text).map((block) => block.source);
  for (let end = 1; end <= text.length; end += 1) {
    const found = blocks(text.slice(0, end)).map((block) => block.source);
    assert.deepEqual(found.slice(0, -2), whole.slice(0, Math.max(0, found.length - 2)));
  }
});

test("what a model may write takes a moment and nests little", () => {
  const parts = [
    "> ",
    "- ",
    "1. ",
    "|",
    "|-\n",
    "- a\n  ",
    "> - ",
    "```\n",
    "# ",
    "-  ",
    "\t",
    "  ",
    "- a\n\n",
    "|".repeat(100) + "\n",
  ];
  for (const part of parts) {
    const start = performance.now();
    const found = blocks(part.repeat(20000 / part.length));
    assert.ok(performance.now() - start < 2000, part);
    JSON.stringify(found);
  }
});

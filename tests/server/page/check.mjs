// Parses the page's modules and links their imports to exports, without running them; prints what
// is wrong. Run with --experimental-vm-modules.

import { readFileSync } from "node:fs";
import path from "node:path";
import vm from "node:vm";

const [folder, first, ...others] = process.argv.slice(2);
const modules = new Map();

function moduleOf(name) {
  if (!modules.has(name)) {
    const source = readFileSync(path.join(folder, name), "utf8");
    modules.set(name, new vm.SourceTextModule(source, { identifier: name }));
  }
  return modules.get(name);
}

await moduleOf(first).link((specifier) => moduleOf(path.basename(specifier)));
for (const name of others)
  new vm.Script(readFileSync(path.join(folder, name), "utf8"), { filename: name });
console.log([...modules.keys()].sort().join(" "));

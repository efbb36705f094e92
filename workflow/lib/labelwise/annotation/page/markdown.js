// The few marks of Markdown that guidelines use, as nodes.

import { make } from "./dom.js";

export function markdown(text) {
  const root = make("div");
  let list = null;
  let item = null;
  for (const line of text.split("\n")) {
    const heading = line.match(/^(#{1,3})\s+(.*)/);
    const bullet = line.match(/^\s*(?:[-*]|(\d+)\.)\s+(.*)/);
    if (heading) {
      root.append(inline(make(`h${heading[1].length}`), heading[2]));
      list = item = null;
    } else if (bullet) {
      const tag = bullet[1] ? "OL" : "UL";
      if (!list || list.tagName !== tag) root.append((list = make(tag.toLowerCase())));
      list.append((item = inline(make("li"), bullet[2])));
    } else if (!line.trim()) {
      item = null;
      if (root.lastChild !== list) list = null;
    } else if (item) inline(item, ` ${line.trim()}`);
    else {
      root.append((item = inline(make("p"), line)));
      list = null;
    }
  }
  return root;
}

function inline(node, text) {
  for (const part of text.split(/(\*\*[^*]+\*\*|`[^`]+`)/)) {
    if (part.startsWith("**")) node.append(make("b", { textContent: part.slice(2, -2) }));
    else if (part.startsWith("`")) node.append(make("code", { textContent: part.slice(1, -1) }));
    else node.append(part);
  }
  return node;
}

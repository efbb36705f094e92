"use strict";
// Data: base64 of deflated columns, one <script type="text/plain"> each. Everything that comes from
// a model or a file enters the page as text (textContent), never as markup.

const NONE = 255; // category: the image is not asked under the label set
const ROW = 26; // pixels of one row of the list
const TALLEST = 8e6; // pixels: browsers limit the height of an element
const form = document.getElementById("filters");
const list = document.getElementById("list");
const rows = document.getElementById("rows");
const collator = new Intl.NumberFormat("en");
let data, shown = new Uint32Array(0), chosen = -1;

// decoding

async function inflate(id) {
  const text = document.getElementById(id).textContent;
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  document.getElementById(id).remove();
  return new Response(stream).arrayBuffer();
}

const TYPES = { u1: Uint8Array, u2: Uint16Array, u4: Uint32Array, i2: Int16Array };

async function load() {
  const utf8 = new TextDecoder();
  const meta = JSON.parse(utf8.decode(await inflate("meta")));
  const columns = await Promise.all(meta.columns.map(async (type, i) => {
    const buffer = await inflate("c" + i);
    return type === "json" ? JSON.parse(utf8.decode(buffer)) : new TYPES[type](buffer);
  }));
  const at = (i) => (i === null ? null : columns[i]);
  data = { ...meta, strings: at(meta.strings), lists: at(meta.lists) };
  data.sets = meta.sets.map((set) => ({
    ...set, ids: at(set.ids), credits: at(set.credits), offsets: at(set.offsets),
    labels: Object.fromEntries(Object.entries(set.labels).map(([name, own]) =>
      [name, { category: at(own.category), list: at(own.list) }])),
  }));
  data.runs = meta.runs.map((run) => ({
    ...run, request: at(run.request), position: at(run.position), outcome: at(run.outcome),
    answer: at(run.answer), prompt: at(run.prompt), raw: at(run.raw), finish: at(run.finish),
  }));
  let start = 0;
  data.series = meta.series.map((one) => {
    const run = data.runs[one.run];
    const own = {
      ...one, run, set: data.sets[run.set], start, list: at(one.list), score: at(one.score),
      right: Object.fromEntries(Object.entries(one.right).map(([name, i]) => [name, at(i)])),
    };
    start += own.set.ids.length;
    return own;
  });
  data.total = start;
}

// filters

function options(name, values, any) {
  const select = form.elements[name];
  select.replaceChildren();
  for (const [value, text] of [...(any ? [["", any]] : []), ...values]) {
    select.append(new Option(text, value));
  }
}

function fill() {
  const unique = (values) => [...new Map(values)];
  options("images", data.sets.map((set) => [set.name, set.name]), "all");
  options("model", unique(data.runs.map((run) => [run.model, run.name])), "all");
  options("protocol", unique(data.runs.map((run) => [run.protocol, run.protocol])), "all");
  options("batching", unique(data.runs.map((run) => [run.batching, run.batching])), "all");
  options("mapper", unique(data.series.map((one) => [one.mapper, one.mapper])), "all");
  options("labels", data.labels.map((name) => [name, name]));
  options("category", data.categories.map((name) => [name, name.replace("-", "−")]), "all");
  options("verdict", [["1", "right"], ["0", "wrong"]], "all");
  options("outcome", data.outcomes.map((name, i) => [String(i), name.replaceAll("_", " ")]), "all");
  const names = document.getElementById("classes");
  for (const name of new Set(Object.values(data.classes).flat())) names.append(new Option(name));
}

function wanted() {
  const query = Object.fromEntries(new FormData(form));
  const text = query.text.trim().toLowerCase();
  const word = query.class.trim().toLowerCase();
  const hit = { text: null, ids: null, lists: null };
  if (text) {
    data.lower ??= data.strings.map((string) => string.toLowerCase());
    hit.text = Uint8Array.from(data.lower, (string) => string.includes(text));
    hit.ids = data.sets.map((set) =>
      Uint8Array.from(set.ids, (id) => id.toLowerCase().includes(text)));
  }
  if (word) {
    const chosen = new Set();
    for (const names of Object.values(data.classes)) {
      const lower = names.map((name) => name.toLowerCase());
      const whole = lower.includes(word);
      lower.forEach((name, id) => {
        if (String(id) === word || (whole ? name === word : name.includes(word))) chosen.add(id);
      });
    }
    hit.lists = Uint8Array.from(data.lists, (ids) => ids.some((id) => chosen.has(id)));
  }
  return { query, hit };
}

function filter() {
  const began = performance.now();
  const { query, hit } = wanted();
  const found = new Uint32Array(data.total);
  let n = 0, right = 0, judged = 0;
  const outcome = query.outcome === "" ? -1 : Number(query.outcome);
  const verdict = query.verdict === "" ? -1 : Number(query.verdict);
  const category = query.category === "" ? -1 : data.categories.indexOf(query.category);
  for (const one of data.series) {
    const { run, set } = one;
    if ((query.images && set.name !== query.images) || (query.model && run.model !== query.model) ||
        (query.protocol && run.protocol !== query.protocol) ||
        (query.batching && run.batching !== query.batching) ||
        (query.mapper && one.mapper !== query.mapper)) continue;
    const labels = set.labels[query.labels], verdicts = one.right[query.labels];
    if ((category >= 0 && !labels) || (verdict >= 0 && !verdicts)) continue;
    const { text, lists } = hit, ids = hit.ids && hit.ids[run.set];
    for (let i = 0; i < set.ids.length; i++) {
      if (outcome >= 0 && run.outcome[i] !== outcome) continue;
      if (category >= 0 && !inside(labels.category[i], category)) continue;
      if (verdict >= 0 && verdicts[i] !== verdict) continue;
      if (lists && !lists[one.list[i]] && !(labels && lists[labels.list[i]])) continue;
      if (text && !ids[i] && !text[run.answer[i]] &&
          !(run.raw && text[run.raw[run.request[i]]])) continue;
      found[n++] = one.start + i;
      if (verdicts && verdicts[i] < 2) { judged++; right += verdicts[i]; }
    }
  }
  shown = found.subarray(0, n);
  const space = Math.min(n * ROW, TALLEST);
  document.getElementById("space").style.height = space + "px";
  list.scrollTop = 0;
  draw();
  const share = judged ? `; ${(100 * right / judged).toFixed(2)} % of ${collator.format(judged)}` +
    ` right under ${query.labels}` : "";
  document.getElementById("status").textContent =
    `${collator.format(n)} of ${collator.format(data.total)} cases${share}`;
  document.documentElement.dataset.filtered = (performance.now() - began).toFixed(1);
}

// A, S and M hold the finer categories.
function inside(leaf, category) {
  if (leaf === NONE) return false;
  const own = data.categories[leaf], asked = data.categories[category];
  return asked === "A" || own === asked || own[0] === asked;
}

// the list

function place(row) {
  let low = 0, high = data.series.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (data.series[middle].start <= row) low = middle; else high = middle - 1;
  }
  return [data.series[low], row - data.series[low].start];
}

const HEAD = ["image", "model", "protocol", "mapper", "outcome", "answer", "class", "", "verdict"];

// Characters that would hide or reorder text are shown by their number.
function plain(text) {
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g,
    (c) => `⟨U+${c.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`);
}

function element(tag, text, name) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = plain(String(text));
  if (name) made.className = name;
  return made;
}

function named(one, ids) {
  const names = data.classes[one.run.classes];
  return ids.map((id) => names[id] ?? String(id)).join("; ");
}

function verdict(one, i, labels) {
  const value = one.right[labels]?.[i];
  return value === 1 ? "right" : value === 0 ? "wrong" : "";
}

function first() {
  const most = list.scrollHeight - list.clientHeight;
  const visible = Math.floor(list.clientHeight / ROW);
  if (shown.length * ROW <= TALLEST) return Math.floor(list.scrollTop / ROW);
  return Math.round((list.scrollTop / most) * Math.max(0, shown.length - visible + 2));
}

function draw() {
  const from = first(), count = Math.ceil(list.clientHeight / ROW) + 2;
  const labels = form.elements.labels.value;
  const made = [];
  for (let k = from; k < Math.min(from + count, shown.length); k++) {
    const [one, i] = place(shown[k]);
    const row = element("div");
    row.setAttribute("role", "row");
    row.setAttribute("aria-selected", shown[k] === chosen);
    row.dataset.row = shown[k];
    const leaf = one.set.labels[labels]?.category[i] ?? NONE;
    const right = verdict(one, i, labels);
    const cells = [
      one.set.ids[i], one.run.name,
      one.run.batching === "b1" ? one.run.protocol : `${one.run.protocol} ${one.run.batching}`,
      one.mapper, data.outcomes[one.run.outcome[i]].replaceAll("_", " "),
      data.strings[one.run.answer[i]], named(one, data.lists[one.list[i]]),
      leaf === NONE ? "" : data.categories[leaf].replace("-", "−"), right,
    ];
    cells.forEach((text, c) => {
      const cell = element("span", text, c === 8 ? right : "");
      cell.setAttribute("role", "gridcell");
      row.append(cell);
    });
    made.push(row);
  }
  rows.style.transform = `translateY(${list.scrollTop + ROW - (shown.length * ROW <= TALLEST ? list.scrollTop % ROW : 0)}px)`;
  rows.replaceChildren(...made);
}

// one case

function pairs(entries) {
  const made = element("dl");
  for (const [term, text, name] of entries) made.append(element("dt", term), element("dd", text, name));
  return made;
}

function picture(set, setIndex, i) {
  const { offsets } = set;
  if (!offsets || offsets[i + 1] === offsets[i]) return element("p", set.shows, "note");
  const all = document.getElementById("pictures" + setIndex).textContent;
  const made = element("figure");
  made.style.margin = 0;
  const image = element("img");
  image.alt = "The image of this case";
  image.src = "data:image/jpeg;base64," + all.slice(offsets[i], offsets[i + 1]);
  made.append(image, element("figcaption", data.strings[set.credits[i]], "note"));
  return made;
}

function open(row) {
  chosen = row;
  const [one, i] = place(row);
  const { run, set } = one;
  const ids = data.lists[one.list[i]];
  const said = run.request ? run.request[i] : null;
  const score = one.score[i];
  const parts = [
    element("h2", `${set.ids[i]}: ${run.name}`), picture(set, run.set, i),
    pairs([["image set", set.name], ["protocol", run.protocol], ["images per prompt", run.batching],
      ["mapper", one.mapper]]),
    element("h3", "Labels and verdict"),
    pairs(data.labels.filter((name) => set.labels[name]).map((name) => {
      const own = set.labels[name], leaf = own.category[i], right = verdict(one, i, name);
      const text = leaf === NONE ? "not asked under this set" : named(one, data.lists[own.list[i]]) || "none";
      const sign = leaf === NONE ? "" : ` (${data.categories[leaf].replace("-", "−")})`;
      return [name, `${text}${sign}${right ? ": " + right : ""}`, right];
    })),
    element("h3", "Answer"),
    pairs([
      ["parsed as", `${data.outcomes[run.outcome[i]].replaceAll("_", " ")}`],
      ...(run.answer[i] ? [["answer", data.strings[run.answer[i]]]] : []),
      ["class", ids.length ? `${named(one, ids)} (${ids.join(" ")})` : "none"],
      ...(score === -32768 ? [] : [[run.request ? "similarity" : "score", (score / 1e4).toFixed(4)]]),
      ...(run.position ? [["position in the prompt", run.position[i] || "not asked"]] : []),
      ...(run.repeats > 1 ? [["repeats", `${run.repeats}; this is the first`]] : []),
    ]),
  ];
  if (run.request && run.position[i]) {
    parts.push(element("h3", `Raw answer (${data.finishes[run.finish[said]]})`),
      element("pre", data.strings[run.raw[said]]));
    const prompt = element("details");
    prompt.append(element("summary", "Prompt"), element("pre", data.strings[run.prompt[said]]));
    parts.push(prompt);
  }
  const others = element("button", "All answers about this image");
  others.type = "button";
  others.addEventListener("click", () => {
    form.reset();
    form.elements.text.value = set.ids[i];
    filter();
  });
  parts.push(others);
  document.getElementById("case").replaceChildren(...parts);
  remember();
  draw();
}

// the address holds filters and case, so that a view can be sent as a link

function remember() {
  const state = new URLSearchParams([...new FormData(form)].filter(([, value]) => value));
  if (chosen >= 0) {
    const [one, i] = place(chosen);
    state.set("case", [one.set.name, one.run.model, one.run.protocol, one.run.batching, one.mapper,
      one.set.ids[i]].join("/"));
  }
  history.replaceState(null, "", "#" + state);
}

function recall() {
  const state = new URLSearchParams(location.hash.slice(1));
  for (const [name, value] of state) {
    if (form.elements[name]) form.elements[name].value = value;
  }
  filter();
  const [images, model, protocol, batching, mapper, ...rest] = (state.get("case") ?? "").split("/");
  const one = data.series.find((s) => s.set.name === images && s.run.model === model &&
    s.run.protocol === protocol && s.run.batching === batching && s.mapper === mapper);
  const i = one ? one.set.ids.indexOf(rest.join("/")) : -1;
  if (i >= 0) open(one.start + i);
}

let waiting;
form.addEventListener("input", () => {
  clearTimeout(waiting);
  waiting = setTimeout(() => { filter(); remember(); }, 60);
});
form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("reset", () => setTimeout(() => { filter(); remember(); }));
list.addEventListener("scroll", draw);
addEventListener("resize", draw);
addEventListener("hashchange", recall);
rows.addEventListener("click", (event) => {
  const row = event.target.closest("[data-row]");
  if (row) open(Number(row.dataset.row));
});
list.addEventListener("keydown", (event) => {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step) return;
  event.preventDefault();
  const next = Math.min(Math.max(shown.indexOf(chosen) + step, 0), shown.length - 1);
  if (next < 0) return;
  if (shown.length * ROW <= TALLEST) {
    const top = next * ROW;
    if (top < list.scrollTop) list.scrollTop = top;
    else if (top + 2 * ROW > list.scrollTop + list.clientHeight) list.scrollTop = top + 2 * ROW - list.clientHeight;
  }
  open(shown[next]);
});

for (const text of HEAD) document.getElementById("head").append(element("span", text));
load().then(() => {
  fill();
  recall();
  document.documentElement.dataset.ready = performance.now().toFixed(0);
}).catch((error) => {
  document.getElementById("status").textContent = `This page cannot be read: ${error.message}`;
  throw error;
});

// The page: one case at a time, its marks and boxes, and what the keys do.

import { $, make } from "./dom.js";
import { markdown } from "./markdown.js";
import { rank } from "./rank.js";
import { Refused, ask, freshId, once, trouble } from "./talk.js";

const UNSURE = -1;
const IDLE = 60; // seconds without a key or a move that still count as work

let setup, names, annotator, state, marks, unsure, none, boxes, drawing, looked, spent, lastSign;

const cls = (id) => {
  const [name, synonyms, definition, examples] = setup.classes[id];
  return { id, name, synonyms, definition, examples };
};

// --- one case

function show(next, said) {
  state = next;
  const { done, total, pace } = state;
  $("bar").max = total || 1;
  $("bar").value = done;
  $("progress").textContent = `${done} of ${total}`;
  const left = pace === null ? "" : minutes(pace * (total - done));
  $("pace").textContent = pace === null ? "" : `${pace.toFixed(0)} s a case · ${left} left`;
  if (said) $("saved").textContent = said;
  $("main").hidden = !state.case;
  $("end").hidden = !!state.case;
  if (!state.case) return finish();
  const own = state.case;
  const draft = recall(own) || own.decision;
  marks = draft ? draft.marks.filter((id) => id !== UNSURE) : [];
  unsure = !!draft && draft.marks.includes(UNSURE);
  none = draft ? (draft.none ?? draft.marks.length === 0) : false;
  boxes = draft ? draft.boxes : [];
  $("comment").value = draft ? draft.comment : "";
  drawing = null;
  looked = -1;
  spent = own.decision ? own.decision.seconds : 0; // time goes on where the case was decided before
  lastSign = Date.now();
  $("where").textContent = `Case ${own.at + 1} of ${total}${own.decision ? ", decided before" : ""}`;
  $("picture").src = `/image/${own.id}`;
  $("boxes").setAttribute("viewBox", `0 0 ${own.width} ${own.height}`);
  for (const id of state.upcoming) new Image().src = `/image/${id}`;
  $("notes").replaceChildren(...own.notes.map((note) => make("li", { textContent: note })));
  $("notes").hidden = !own.notes.length;
  leaveSearch();
  $("work").scrollTop = 0;
  $("main").focus();
  card(null);
  draw();
}

const minutes = (s) => (s < 90 ? `${Math.round(s)} s` : s < 5400 ? `${Math.round(s / 60)} min` : `${(s / 3600).toFixed(1)} h`);

function finish() {
  const { total } = state;
  $("end-title").textContent = total ? `All ${total} cases are decided. Thank you.` : "There is nothing to decide.";
  $("end-text").textContent = total
    ? "Every decision is saved. You may close this page, or look at your decisions again."
    : setup.role === "adjudicator" ? "The annotators agree on every case that two of them decided." : "No case of this annotation is yours.";
  $("review").hidden = !total;
  $("end").focus();
}

function draw() {
  const own = state.case;
  $("options").replaceChildren(...own.options.map(option));
  $("marked").replaceChildren(...marks.map(chip));
  if (!marks.length) {
    const text = none ? "no class of the list" : unsure ? "not sure" : "nothing yet";
    $("marked").append(make("li", { className: "empty", textContent: text }));
  }
  $("none").setAttribute("aria-pressed", none);
  $("unsure").setAttribute("aria-pressed", unsure);
  drawBoxes();
  remember();
}

function option(ids, i) {
  const button = make("button", { type: "button" }, make("kbd", { textContent: i + 1 }));
  button.setAttribute("aria-pressed", taken(ids));
  const texts = make("div");
  for (const id of ids) {
    const { name, definition } = id === UNSURE ? { name: "Not sure", definition: "" } : cls(id);
    texts.append(make("div", { className: "about" }, make("b", { textContent: name }), make("span", { textContent: definition })));
  }
  if (!ids.length) texts.append(make("div", { className: "about" }, make("b", { textContent: "No class of the list" })));
  button.append(texts);
  button.onclick = (event) => {
    take(ids);
    if (event.detail) $("main").focus();
  };
  return button;
}

const taken = (ids) => (ids.length ? ids.every((id) => (id === UNSURE ? unsure : marks.includes(id))) : none);

function take(ids) {
  if (!ids.length) return toggleNone();
  const leave = taken(ids);
  for (const id of ids) {
    if (id === UNSURE) unsure = !leave;
    else if (leave) remove(id);
    else add(id);
  }
  if (!leave) none = false;
  const first = ids.find((id) => id !== UNSURE);
  if (first !== undefined && !leave) card(first);
  draw();
}

function add(id) {
  if (!marks.includes(id)) marks.push(id);
  none = false;
}

function remove(id) {
  marks = marks.filter((one) => one !== id);
  boxes = boxes
    .map((box) => ({ ...box, labels: box.labels.filter((one) => one !== id) }))
    .filter((box) => box.labels.length);
}

function toggleNone() {
  none = !none;
  if (none) {
    marks = [];
    boxes = [];
    unsure = false;
  }
  draw();
}

function toggleUnsure() {
  unsure = !unsure;
  if (unsure) none = false;
  draw();
}

function chip(id) {
  const { name } = cls(id);
  const button = make("button", { type: "button", textContent: "×" });
  button.setAttribute("aria-label", `Take away ${name}`);
  button.onclick = () => {
    remove(id);
    draw();
    $("main").focus();
  };
  const n = boxes.filter((box) => box.labels.includes(id)).length;
  return make("li", {}, make("span", { textContent: n ? `${name} · ${n} box${n > 1 ? "es" : ""}` : name }), button);
}

// What is not saved yet survives a reload.
const place = (own) => `labelwise ${setup.annotation} ${setup.role} ${annotator} ${own.id}`;
const remember = () => sessionStorage.setItem(place(state.case), JSON.stringify({ ...current(), none }));
const forget = (own) => sessionStorage.removeItem(place(own));
const recall = (own) => JSON.parse(sessionStorage.getItem(place(own)) || "null");
const current = () => ({ marks: unsure ? [...marks, UNSURE] : marks, boxes, comment: $("comment").value });

const save = () =>
  once(async () => {
    if (!marks.length && !unsure && !none) {
      trouble("Mark a class, N for no class of the list, or U for not sure.");
      return;
    }
    trouble("");
    const own = state.case;
    clock();
    const body = { annotator, case: own.id, ...current(), seconds: Math.round(10 * spent) / 10, send: freshId() };
    $("saved").textContent = "saving…";
    const next = await ask("/api/decide", body);
    forget(own);
    show(next, `case ${own.at + 1} saved`);
  });

const undo = () =>
  once(async () => {
    const next = await ask("/api/undo", { annotator, send: freshId() });
    if (next.case) forget(next.case);
    show(next, next.case && next.case.decision ? "taken back" : "nothing to take back");
  });

const go = (step) =>
  once(async () => {
    const at = state.case ? state.case.at + step : state.total - 1;
    if (at < 0 || at >= state.total) return;
    show(await ask(`/api/work?annotator=${encodeURIComponent(annotator)}&at=${at}`));
  });

// --- time at work: not while the page is hidden, nor long after the last sign of life

function clock() {
  const now = Date.now();
  if (!document.hidden) spent += Math.min((now - lastSign) / 1000, IDLE);
  lastSign = now;
}
document.addEventListener("visibilitychange", () => {
  if (spent === undefined) return;
  if (document.hidden) spent += Math.min((Date.now() - lastSign) / 1000, IDLE);
  lastSign = Date.now();
});
for (const sign of ["keydown", "pointerdown", "pointermove", "wheel"])
  document.addEventListener(sign, () => spent !== undefined && clock(), { passive: true, capture: true });

// --- search

let results = [];
let chosen = 0;

function search() {
  const words = $("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  results = words.length
    ? names.map((one) => [rank(one, words), one]).filter(([r]) => r !== null).sort((a, b) => a[0] - b[0]).slice(0, 30).map(([, one]) => one)
    : [];
  chosen = 0;
  $("found").replaceChildren(...results.map(result));
  if (words.length && !results.length) $("found").append(make("li", { className: "empty", textContent: "no class fits" }));
  $("found").hidden = !words.length;
  $("search").setAttribute("aria-expanded", !$("found").hidden);
  choose(0);
}

function result(one, i) {
  const item = make("li", { id: `found-${i}`, role: "option", className: "about" }, make("b", { textContent: one.name }),
    make("span", { textContent: one.definition || one.synonyms }));
  item.onpointerdown = (event) => {
    event.preventDefault();
    choose(i);
    mark();
  };
  return item;
}

function choose(i) {
  chosen = Math.max(0, Math.min(i, results.length - 1));
  [...$("found").children].forEach((item, k) => item.setAttribute("aria-selected", k === chosen && !!results.length));
  if (!results.length) return $("search").removeAttribute("aria-activedescendant");
  $("search").setAttribute("aria-activedescendant", `found-${chosen}`);
  $(`found-${chosen}`).scrollIntoView({ block: "nearest" });
  card(results[chosen].id);
}

function mark() {
  if (!results.length) return;
  const { id, name } = results[chosen];
  if (marks.includes(id)) remove(id);
  else add(id);
  $("saved").textContent = marks.includes(id) ? `${name} marked` : `${name} taken away`;
  $("search").value = "";
  search();
  draw();
}

function leaveSearch() {
  $("search").value = "";
  search();
}

// --- about a class

function card(id) {
  $("card").hidden = id === null;
  if (id === null) return;
  const one = cls(id);
  $("card-name").textContent = `${one.name} (${id})`;
  $("card-synonyms").textContent = one.synonyms;
  $("card-definition").textContent = one.definition;
  const pictures = [];
  for (let i = 0; i < one.examples; i++)
    pictures.push(make("img", { src: `/example/${id}/${i}`, alt: `Example ${i + 1} of ${one.name}` }));
  if (!pictures.length) pictures.push(make("span", { className: "quiet", textContent: "no example image" }));
  $("card-examples").replaceChildren(...pictures);
}

function lookAround() {
  const ids = [...new Set([...state.case.options.flat(), ...marks])].filter((id) => id !== UNSURE);
  if (!ids.length) return;
  looked = (looked + 1) % ids.length;
  card(ids[looked]);
  $("saved").textContent = `${cls(ids[looked]).name}: ${cls(ids[looked]).definition}`;
}

// --- boxes, in pixels of the image

function startBox() {
  if (!marks.length) {
    trouble("Mark a class first: a box belongs to one.");
    return;
  }
  const { width, height } = state.case;
  drawing = { coordinates: [width / 4, height / 4, (3 * width) / 4, (3 * height) / 4], label: marks[marks.length - 1] };
  drawBoxes();
}

function endBox(keep) {
  if (keep) {
    const coordinates = drawing.coordinates.map((x) => Math.round(100 * x) / 100);
    boxes = [...boxes, { coordinates, labels: [drawing.label] }];
  }
  drawing = null;
  draw();
}

function boxKey(event) {
  const { width, height } = state.case;
  const step = Math.max(1, Math.min(width, height) / 50);
  const move = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }[event.key];
  const c = drawing.coordinates;
  if (move) {
    const fit = (x, most) => Math.max(0, Math.min(x, most));
    if (event.shiftKey) {
      c[2] = fit(Math.max(c[0] + step, c[2] + move[0]), width);
      c[3] = fit(Math.max(c[1] + step, c[3] + move[1]), height);
    } else {
      const dx = fit(c[0] + move[0], width - (c[2] - c[0])) - c[0];
      const dy = fit(c[1] + move[1], height - (c[3] - c[1])) - c[1];
      drawing.coordinates = [c[0] + dx, c[1] + dy, c[2] + dx, c[3] + dy];
    }
  } else if (event.key === "Enter") return endBox(true);
  else if (event.key === "Escape" || event.key.toLowerCase() === "b") return endBox(false);
  else if (event.key === "Delete" || event.key === "Backspace") boxes = boxes.slice(0, -1);
  else if (/^[1-9]$/.test(event.key) && marks[event.key - 1] !== undefined) drawing.label = marks[event.key - 1];
  else return false;
  drawBoxes();
}

function drawBoxes() {
  const svg = $("boxes");
  const all = drawing ? [...boxes, { coordinates: drawing.coordinates, labels: [drawing.label], open: true }] : boxes;
  const size = Math.max(state.case.width, state.case.height) / 40;
  svg.replaceChildren(
    ...all.flatMap(({ coordinates: [x0, y0, x1, y1], labels, open }) => {
      const rect = document.createElementNS(svg.namespaceURI, "rect");
      const text = document.createElementNS(svg.namespaceURI, "text");
      const set = (node, values) => Object.entries(values).forEach(([k, v]) => node.setAttribute(k, v));
      set(rect, { x: x0, y: y0, width: x1 - x0, height: y1 - y0, class: open ? "open" : "" });
      set(text, { x: x0 + size / 3, y: y0 + 1.1 * size, "font-size": size });
      text.textContent = labels.map((id) => (id === UNSURE ? "not sure" : cls(id).name)).join(", ");
      return [rect, text];
    }),
  );
  svg.classList.toggle("drawing", !!drawing);
  $("box-help").hidden = !drawing;
  if (drawing)
    $("box-help").textContent = `Box of ${cls(drawing.label).name}: drag, or arrows and Shift + arrows; 1–${marks.length} another class; Enter keeps it, Esc drops it, Del takes away the last one kept.`;
}

function point(event) {
  const at = new DOMPoint(event.clientX, event.clientY).matrixTransform($("boxes").getScreenCTM().inverse());
  return [Math.max(0, Math.min(at.x, state.case.width)), Math.max(0, Math.min(at.y, state.case.height))];
}

$("picture").onerror = () => trouble("The picture cannot be shown; the server's window may say why.");

let from = null;
$("boxes").onpointerdown = (event) => {
  from = point(event);
  $("boxes").setPointerCapture(event.pointerId);
};
$("boxes").onpointermove = (event) => {
  if (!from || !drawing) return;
  const to = point(event);
  drawing.coordinates = [Math.min(from[0], to[0]), Math.min(from[1], to[1]), Math.max(from[0], to[0]), Math.max(from[1], to[1])];
  drawBoxes();
};
$("boxes").onpointerup = () => {
  from = null;
};

// --- keys

const KEYS = {
  n: toggleNone,
  u: toggleUnsure,
  b: startBox,
  z: undo,
  i: lookAround,
  g: () => $("guidelines").showModal(),
  "?": () => $("keys").showModal(),
  "/": () => $("search").focus(),
  c: () => $("comment").focus(),
  "[": () => go(-1),
  "]": () => go(1),
  Enter: save,
  x: () => {
    if (marks.length) remove(marks[marks.length - 1]);
    draw();
  },
};
const ANYWHERE = ["z", "g", "?", "["];

function searchKey(event) {
  if (event.key === "ArrowDown") choose(chosen + 1);
  else if (event.key === "ArrowUp") choose(chosen - 1);
  else if (event.key === "Enter" && $("search").value.trim()) mark();
  else if (event.key === "Enter") {
    $("main").focus();
    save();
  } else return;
  event.preventDefault();
}

document.addEventListener("keydown", (event) => {
  const typing = event.target.matches("input, textarea");
  if (!state || document.querySelector("dialog[open]")) {
    if ($("guidelines").open && event.key.toLowerCase() === "g") $("guidelines").close();
    return;
  }
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    if (state.case) save();
  } else if (event.ctrlKey || event.metaKey || event.altKey) return;
  else if (typing && event.key === "Escape") {
    leaveSearch();
    $("main").focus();
  } else if (event.target === $("search")) return searchKey(event);
  else if (typing) return;
  else if (event.target.matches("button") && (event.key === "Enter" || event.key === " ")) return;
  else if (drawing) {
    if (boxKey(event) === false) return;
  } else {
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (!state.case && !ANYWHERE.includes(key)) return;
    if (/^[1-9]$/.test(key) && state.case.options[key - 1]) take(state.case.options[key - 1]);
    else if (KEYS[key]) KEYS[key]();
    else return;
  }
  event.preventDefault();
});

const byPointer = (id, work) => {
  $(id).onclick = (event) => {
    work();
    if (event.detail && !document.querySelector("dialog[open]")) $("main").focus();
  };
};
byPointer("none", toggleNone);
byPointer("unsure", toggleUnsure);
byPointer("draw", startBox);
byPointer("save", save);
byPointer("undo", undo);
byPointer("before", () => go(-1));
byPointer("after", () => go(1));
byPointer("review", () => go(-1));
$("open-guidelines").onclick = KEYS.g;
$("open-keys").onclick = KEYS["?"];
$("who").onclick = () => enter();
$("search").oninput = search;
$("comment").oninput = () => remember();

// --- beginning

async function begin(name) {
  try {
    const first = await ask(`/api/work?annotator=${encodeURIComponent(name)}`);
    annotator = name;
    localStorage.setItem(`labelwise ${setup.role} ${setup.annotation}`, name);
    $("who").textContent = name;
    $("enter").close();
    show(first);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    $("enter-error").textContent = error.message;
    if (!$("enter").open) enter();
  }
}

function enter() {
  $("enter-names").replaceChildren(
    ...setup.annotators.map((name) => {
      const button = make("button", { type: "button", textContent: name });
      button.onclick = () => begin(name);
      return button;
    }),
  );
  $("enter-free").hidden = setup.annotators.length > 0;
  $("enter").showModal();
}

$("enter-form").onsubmit = (event) => {
  event.preventDefault();
  if ($("name").value.trim()) begin($("name").value.trim());
};

(async () => {
  setup = await ask("/api/setup");
  names = setup.classes.map((_, id) => cls(id));
  $("annotation").textContent = setup.annotation;
  $("role").hidden = setup.role !== "adjudicator";
  $("role").textContent = "adjudication";
  if (setup.role === "adjudicator") $("options-title").textContent = "Answers of the annotators";
  document.title = `${setup.annotation} · Labelwise annotation`;
  $("guidelines-text").append(markdown(setup.guidelines || "This annotation has no guidelines."));
  const known = localStorage.getItem(`labelwise ${setup.role} ${setup.annotation}`);
  if (known && (!setup.annotators.length || setup.annotators.includes(known))) begin(known);
  else enter();
})();

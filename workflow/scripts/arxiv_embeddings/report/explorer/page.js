"use strict";
// The state of the page: ticked categories, search, selection, colouring and view. A change of the first four goes
// through update(), which sorts the papers into faded, shown and found; the view only through look().

// Papers listed below the search field and in the selection.
const LISTED = 100;
// So few found papers are drawn much larger than the others.
const FEW = 100;
// How far the pointer may be from a point, in CSS pixels.
const REACH = { mouse: 10, pen: 14, touch: 24 };
// A press that moves less is a click.
const STILL = 6;
const LEAST_ZOOM = 0.4, MOST_ZOOM = 400;
// A map of less has no room for a card beside a point, in CSS pixels.
const NARROW = 560;
const STEP = 0.15, ZOOM = 1.4;

const data = JSON.parse(document.getElementById("data").textContent);
const papers = data.papers;
const dark = matchMedia("(prefers-color-scheme: dark)");
const element = (id) => document.getElementById(id);
const map = element("map");
const ticked = new Uint8Array(data.levels[0].of_leaf.length).fill(1);
const numbers = new Intl.NumberFormat("en");
let places, leaves, ids, titles, abstracts, listed, years, nearest, canvas, grid;
// For each colouring that is no level, the code of each paper; unpacked when first used.
const codes = [];
// Title, id and categories of each paper in lower case, computed at the first search.
let lowered = null;
let words = [];
let colouring = Math.min(1, data.levels.length - 1);
// 1 for the papers in the selection; null without one.
let selection = null;
// For each paper, whether it is shown: ticked, found and selected.
const visible = new Uint8Array(papers);
const view = { x: 0.5, y: 0.5, scale: 1, width: 1, height: 1 };
// The paper below the pointer and the one whose card stays; -1 for none.
let hovered = -1, pinned = -1;
// Where the pointer is on the map; null outside.
let pointer = null;
let drawing = 0;

async function unpacked(text) {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).arrayBuffer();
}

async function texts(text) {
  return text === null ? null : new TextDecoder().decode(await unpacked(text)).split("\n");
}

// --- What a paper is

const leafName = (row, depth) => data.levels[depth].names[data.levels[depth].of_leaf[leaves[row]]];

function address(row) {
  return data.link ? data.link + ids[row].split("/").map(encodeURIComponent).join("/") : "";
}

// The categories of each level, without repetitions, then all others that the paper lists.
function categoriesOf(row) {
  const own = data.levels.map((_, depth) => leafName(row, depth));
  return [...new Set([...own, ...(listed?.[row] ? listed[row].split(" ") : [])])];
}

function about(row) {
  const year = years?.[row] ? [String(years[row])] : [];
  return [ids[row], ...categoriesOf(row), ...year].join(" · ");
}

function codeOf(row, kind = colouring) {
  const level = data.levels[kind];
  return level ? level.of_leaf[leaves[row]] : codes[kind][row];
}

const colouringOf = (kind) => data.levels[kind] ?? data.colourings[kind - data.levels.length];
const theme = () => (dark.matches ? "dark" : "light");

// --- The papers that are shown

function matches(row) {
  return words.every((word) => lowered[row].includes(word));
}

function update() {
  if (words.length) {
    lowered ??= titles.map((title, row) => `${title}\n${ids[row]}\n${categoriesOf(row).join(" ")}`.toLowerCase());
  }
  const found = [];
  const faded = [], shown = [];
  for (let row = 0; row < papers; row++) {
    const hit = ticked[leaves[row]] && (!words.length || matches(row));
    if (hit && words.length) found.push(row);
    visible[row] = hit && (!selection || selection[row]) ? 1 : 0;
    (visible[row] ? shown : faded).push(row);
  }
  canvas.order.set(faded);
  canvas.order.set(shown, faded.length);
  canvas.parts = [
    { stop: faded.length, larger: 0, alpha: 1 },
    { stop: papers, larger: words.length ? (shown.length <= FEW ? 6 : 2.5) : 0, alpha: words.length ? 1 : 0.85 },
  ];
  paint();
  element("count").textContent = `${numbers.format(shown.length)} of ${numbers.format(papers)} papers shown`;
  showFound(found);
  showSelection(shown);
  if (pinned >= 0 && !visible[pinned] && document.activeElement === document.body) pin(-1);
  point();
  look();
  // For tests: the papers have been sorted.
  map.dataset.shown = shown.length;
}

// Writes the colour of each paper.
function paint() {
  const dim = rgb(data.faded[dark.matches ? 1 : 0]), hit = rgb(data.found[dark.matches ? 1 : 0]);
  const colours = colouringOf(colouring)[theme()].map(rgb);
  for (let row = 0; row < papers; row++) {
    canvas.colours.set(visible[row] ? (words.length ? hit : colours[codeOf(row)]) : dim, 4 * row);
  }
  canvas.upload();
}

function rgb(colour) {
  const number = parseInt(colour.slice(1), 16);
  return [number >> 16, (number >> 8) & 255, number & 255];
}

function showFound(found) {
  element("found").hidden = !words.length;
  const all = ticked.every(Boolean);
  element("found-number").textContent = found.length
    ? `${numbers.format(found.length)} found`
    : `No match: no paper${all ? "" : " of the ticked categories"} has all these words`;
  list(element("results"), found);
}

function showSelection(shown) {
  element("selected").hidden = !selection;
  if (!selection) return;
  element("selected-number").textContent = `${numbers.format(shown.length)} selected`;
  element("save").disabled = !shown.length;
  list(element("selection"), shown);
}

function list(target, rows) {
  target.replaceChildren(...rows.slice(0, LISTED).map(entry));
  if (rows.length > LISTED) {
    const more = document.createElement("li");
    more.textContent = `and ${numbers.format(rows.length - LISTED)} more on the map`;
    target.append(more);
  }
}

// A paper in a list: with its page as a link, and marked on the map while it has the focus or the pointer.
function entry(row) {
  const item = document.createElement("li");
  const link = document.createElement(data.link ? "a" : "span");
  if (data.link) Object.assign(link, { href: address(row), target: "_blank", rel: "noopener noreferrer" });
  const small = document.createElement("small");
  small.textContent = about(row);
  link.append(titles[row], document.createElement("br"), small);
  for (const name of ["focus", "mouseenter"]) link.addEventListener(name, () => pin(row));
  item.append(link);
  return item;
}

// --- The view

const smaller = () => Math.min(view.width, view.height);
const zoomNow = () => view.scale / (smaller() * 0.92);
const toScreen = (x, y) => [view.width / 2 + (x - view.x) * view.scale, view.height / 2 - (y - view.y) * view.scale];
const toMap = (left, top) => [view.x + (left - view.width / 2) / view.scale, view.y - (top - view.height / 2) / view.scale];
const placeOf = (row) => toScreen(places[2 * row] / 65535, places[2 * row + 1] / 65535);

function resize() {
  const before = view.scale / smaller();
  view.width = Math.max(1, map.clientWidth);
  view.height = Math.max(1, map.clientHeight);
  view.scale = before * smaller();
  look();
}

function showWhole() {
  Object.assign(view, { x: 0.5, y: 0.5, scale: smaller() * 0.92 });
  look();
}

function pan(left, top) {
  view.x = Math.max(-0.2, Math.min(1.2, view.x - left / view.scale));
  view.y = Math.max(-0.2, Math.min(1.2, view.y + top / view.scale));
  look();
}

// Zooms by a factor; the place at (left, top) stays where it is.
function zoom(factor, left = view.width / 2, top = view.height / 2) {
  const [x, y] = toMap(left, top);
  const unit = smaller() * 0.92;
  view.scale = Math.max(LEAST_ZOOM * unit, Math.min(MOST_ZOOM * unit, view.scale * factor));
  view.x = x - (left - view.width / 2) / view.scale;
  view.y = y + (top - view.height / 2) / view.scale;
  look();
}

// Draws with the next frame.
function look() {
  drawing ||= requestAnimationFrame(() => {
    drawing = 0;
    canvas.draw(view, Math.max(2, Math.min(7, 700 / Math.sqrt(papers))) * Math.max(1, zoomNow()) ** 0.3);
    point();
    showLabels();
    showCard();
    map.dataset.frames = Number(map.dataset.frames ?? 0) + 1;
  });
}

function showLabels() {
  const depth = levelAt(data.levels, zoomNow());
  const level = data.levels[depth];
  const shown = new Uint32Array(level.names.length);
  ticked.forEach((on, leaf) => {
    if (on) shown[level.of_leaf[leaf]] += numberOf[leaf];
  });
  const candidates = [];
  level.places.forEach(([x, y], code) => {
    const [left, top] = toScreen(x / 65535, y / 65535);
    if (shown[code]) candidates.push({ name: level.names[code], left, top, papers: shown[code] });
  });
  const font = depth === 0 ? 15 : 12.5;
  element("labels").style.font = `600 ${font}px/1.25 ${getComputedStyle(document.body).fontFamily}`;
  element("labels").dataset.level = level.name;
  element("labels").classList.toggle("quiet", words.length > 0);
  element("labels").replaceChildren(
    ...placeLabels(candidates, view.width, view.height, font).map(({ name, left, top, width }) => {
      const label = document.createElement("span");
      label.textContent = name;
      Object.assign(label.style, { left: `${left}px`, top: `${top}px`, width: `${width}px` });
      return label;
    }),
  );
}

// --- The card

// Finds the paper below the pointer.
function point() {
  const before = hovered;
  hovered = pointer ? below(pointer) : -1;
  if (hovered !== before) {
    map.dataset.hovered = hovered < 0 ? "" : ids[hovered];
    showCard();
  }
}

function below({ left, top, kind }) {
  const [x, y] = toMap(left, top);
  return grid.nearest(x, y, (REACH[kind] ?? REACH.mouse) / view.scale, (row) => visible[row]);
}

// Keeps the card of a paper, moving the view if it is outside; -1 for none.
function pin(row) {
  pinned = row;
  if (row >= 0) {
    const [left, top] = placeOf(row);
    if (left < 0 || top < 0 || left > view.width || top > view.height) {
      view.x = places[2 * row] / 65535;
      view.y = places[2 * row + 1] / 65535;
    }
    // There is no room beside the point: the card takes the lower half, so the point moves into the upper one.
    if (view.width < NARROW && placeOf(row)[1] > 0.36 * view.height) pan(0, 0.2 * view.height - placeOf(row)[1]);
  }
  look();
}

let described = "";

function showCard() {
  // While the card of a paper is kept, the others can be read by pointing at them.
  const row = hovered >= 0 ? hovered : pinned;
  const kept = row >= 0 && row === pinned;
  const card = element("card"), ring = element("ring");
  card.hidden = ring.hidden = row < 0;
  if (row < 0) return;
  const now = `${row} ${kept} ${colouring}`;
  if (now !== described) describe(row, kept);
  described = now;
  const [left, top] = placeOf(row);
  ring.style.transform = `translate(${left}px, ${top}px)`;
  ring.hidden = left < 0 || top < 0 || left > view.width || top > view.height;
  // Beside the point, on the side with more room; on a narrow map below or above it.
  const { offsetWidth: wide, offsetHeight: high } = card;
  const gap = 16;
  let x = left + gap + wide < view.width ? left + gap : left - gap - wide;
  let y = top - high / 2;
  if (view.width < NARROW) {
    x = left - wide / 2;
    y = top < view.height / 2 ? view.height : 0;
  }
  card.style.left = `${Math.round(Math.max(4, Math.min(view.width - wide - 4, x)))}px`;
  card.style.top = `${Math.round(Math.max(4, Math.min(view.height - high - 4, y)))}px`;
}

function describe(row, kept) {
  element("card").classList.toggle("kept", kept);
  element("card").dataset.paper = ids[row];
  element("card-title").textContent = titles[row];
  const extra = data.levels[colouring] || colouringOf(colouring).name === "year"
    ? "" : ` · ${colouringOf(colouring).name}: ${colouringOf(colouring).names[codeOf(row)]}`;
  element("card-about").textContent = about(row) + extra;
  element("card-abstract").textContent = abstracts?.[row] ?? "";
  element("card-link").hidden = !data.link || !kept;
  if (data.link) element("card-link").firstChild.href = address(row);
  element("near").hidden = element("close").hidden = !kept;
  if (kept) showNearest(row);
}

function showNearest(row) {
  if (!nearest) {
    const why = document.createElement("li");
    why.textContent = `Only listed on maps of at most ${numbers.format(data.nearest_up_to)} papers.`;
    element("nearest").replaceChildren(why);
    return;
  }
  const own = nearest.subarray(row * data.neighbours, (row + 1) * data.neighbours);
  element("nearest").replaceChildren(
    ...Array.from(own, (other) => {
      const item = document.createElement("li");
      const go = Object.assign(document.createElement("button"), { type: "button", textContent: titles[other] });
      go.addEventListener("click", () => {
        pin(other);
        element("close").focus();
      });
      item.append(go);
      return item;
    }),
  );
  element("card").scrollTop = 0;
}

// The first press on a paper keeps its card, the second opens its page.
function press(row) {
  if (row >= 0 && row === pinned && data.link) window.open(address(row), "_blank", "noopener");
  else pin(row);
}

// --- The selection

function select(inside) {
  const chosen = new Uint8Array(papers);
  for (let row = 0; row < papers; row++) chosen[row] = visible[row] && inside(...placeOf(row)) ? 1 : 0;
  selection = chosen;
  update();
}

// Whether (x, y) is within the polygon, by the number of its edges to the right.
function within(polygon, x, y) {
  let inside = false;
  for (let i = 0, j = polygon.length - 1; i < polygon.length; j = i++) {
    const [ax, ay] = polygon[i], [bx, by] = polygon[j];
    if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) inside = !inside;
  }
  return inside;
}

function selectionAsCsv() {
  const header = ["id", "title", ...data.levels.map((level) => level.name), "categories", "year"];
  const lines = [header];
  for (let row = 0; row < papers; row++) {
    if (!visible[row]) continue;
    const levels = data.levels.map((_, depth) => leafName(row, depth));
    lines.push([ids[row], titles[row], ...levels, listed?.[row] ?? "", years?.[row] || ""]);
  }
  // A spreadsheet would compute a cell that begins with one of these characters.
  const plain = (value) => (/^[=+\-@\t\r]/.test(value) ? `'${value}` : value);
  const quoted = (value) => (/[",\r\n]/.test(value) ? `"${String(value).replaceAll('"', '""')}"` : value);
  return lines.map((line) => line.map(plain).map(quoted).join(",") + "\r\n").join("");
}

function save() {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([selectionAsCsv()], { type: "text/csv" }));
  link.download = `${data.name.replace(/[^\w.-]+/g, "-")}-selection.csv`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

// --- Pointers and keys

// Pointers that are down: where each is, and how far the first moved.
const down = new Map();
let moved = 0;
let lasso = null;

function at(event) {
  const box = map.getBoundingClientRect();
  return { left: event.clientX - box.left, top: event.clientY - box.top, kind: event.pointerType };
}

function listenToPointers() {
  map.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    map.setPointerCapture(event.pointerId);
    if (!down.size) moved = 0;
    down.set(event.pointerId, at(event));
    if (down.size > 1) endLasso(false);
    else if (event.shiftKey || element("draw").ariaPressed === "true") lasso = [at(event)];
  });
  map.addEventListener("pointermove", (event) => {
    const now = at(event);
    const before = down.get(event.pointerId);
    if (!before) {
      pointer = event.pointerType === "touch" ? null : now;
      point();
      return;
    }
    moved += Math.hypot(now.left - before.left, now.top - before.top);
    if (down.size === 2) {
      const [other] = [...down].filter(([id]) => id !== event.pointerId).map(([, place]) => place);
      const span = (place) => Math.max(1, Math.hypot(place.left - other.left, place.top - other.top));
      pan((now.left - before.left) / 2, (now.top - before.top) / 2);
      zoom(span(now) / span(before), (now.left + other.left) / 2, (now.top + other.top) / 2);
    } else if (lasso) {
      lasso.push(now);
      const line = lasso.map(({ left, top }) => `${left} ${top}`).join("L");
      element("lasso").firstElementChild.setAttribute("d", `M${line}Z`);
    } else if (moved > STILL) {
      pointer = null;
      pan(now.left - before.left, now.top - before.top);
    }
    down.set(event.pointerId, now);
  });
  const up = (event) => {
    if (!down.delete(event.pointerId) || down.size) return;
    if (lasso) endLasso(event.type === "pointerup" && moved > STILL);
    else if (event.type === "pointerup" && moved <= STILL) press(below(at(event)));
    pointer = event.pointerType === "touch" ? null : at(event);
    look();
  };
  map.addEventListener("pointerup", up);
  map.addEventListener("pointercancel", up);
  map.addEventListener("pointerleave", () => {
    pointer = null;
    point();
  });
  map.addEventListener("dblclick", (event) => {
    if (below({ ...at(event), kind: "mouse" }) < 0) showWhole();
  });
  map.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      const { left, top } = at(event);
      // Lines and pages of browsers that do not count pixels.
      const pixels = event.deltaY * [1, 30, 300][event.deltaMode];
      zoom(Math.exp(-Math.max(-300, Math.min(300, pixels)) * 0.002), left, top);
    },
    { passive: false },
  );
}

function endLasso(chosen) {
  if (chosen && lasso) {
    const polygon = lasso.map(({ left, top }) => [left, top]);
    select((left, top) => within(polygon, left, top));
    setDrawing(false);
  }
  lasso = null;
  element("lasso").firstElementChild.setAttribute("d", "");
}

function setDrawing(on) {
  element("draw").ariaPressed = String(on);
  map.classList.toggle("selecting", on);
}

function clearSelection() {
  selection = null;
  update();
}

const KEYS = {
  ArrowLeft: () => pan(STEP * view.width, 0),
  ArrowRight: () => pan(-STEP * view.width, 0),
  ArrowUp: () => pan(0, STEP * view.height),
  ArrowDown: () => pan(0, -STEP * view.height),
  "+": () => zoom(ZOOM),
  "=": () => zoom(ZOOM),
  "-": () => zoom(1 / ZOOM),
  0: showWhole,
  "/": () => element("search").focus(),
};

function listenToKeys() {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") {
      endLasso(false);
      setDrawing(false);
      pin(-1);
    }
    // Fields and lists use these keys themselves.
    const typing = event.target.matches("input:not([type=checkbox]), select");
    const free = event.target === document.body || event.target === map;
    if (!KEYS[event.key] || typing || (event.key.startsWith("Arrow") && !free)) return;
    event.preventDefault();
    pointer = null;
    KEYS[event.key]();
  });
}

// --- The lists of categories and colours

// Papers of each finest category.
const numberOf = new Uint32Array(ticked.length);

// A checkbox for each category, with those of the next level below it.
function buildTree() {
  const every = Array.from(ticked.keys());
  element("tree").append(...branch(0, every));
  element("all").addEventListener("click", () => tick(every, true));
  element("none").addEventListener("click", () => tick(every, false));
}

function branch(depth, within) {
  const { of_leaf: codeOfLeaf, names } = data.levels[depth];
  const groups = new Map();
  for (const leaf of within) groups.set(codeOfLeaf[leaf], [...(groups.get(codeOfLeaf[leaf]) ?? []), leaf]);
  return [...groups].map(([code, own]) => {
    const part = document.createElement("div");
    part.className = "branch";
    part.append(treeRow(names[code], own, depth, code));
    const next = data.levels[depth + 1];
    // A category that is its own only part is not repeated.
    const alone = own.length === 1 && next && next.names[next.of_leaf[own[0]]] === names[code];
    if (next && !(alone && depth + 2 === data.levels.length)) part.append(...branch(depth + 1, own));
    return part;
  });
}

function treeRow(name, own, depth, code) {
  const row = document.createElement("div");
  row.className = "row";
  const label = document.createElement("label");
  const box = Object.assign(document.createElement("input"), { type: "checkbox", checked: true });
  box.leaves = own;
  const swatch = document.createElement("span");
  swatch.className = "swatch";
  Object.assign(swatch.dataset, { depth, code });
  label.append(box, swatch, name);
  const only = Object.assign(document.createElement("button"), { type: "button", textContent: "only" });
  only.setAttribute("aria-label", `Show only ${name}`);
  const number = document.createElement("span");
  number.className = "number";
  number.textContent = numbers.format(own.reduce((sum, leaf) => sum + numberOf[leaf], 0));
  row.append(label, only, number);
  box.addEventListener("change", () => tick(own, box.checked));
  only.addEventListener("click", () => {
    ticked.fill(0);
    tick(own, true);
  });
  return row;
}

function tick(own, on) {
  for (const leaf of own) ticked[leaf] = on ? 1 : 0;
  for (const box of document.querySelectorAll("#tree input")) {
    box.checked = box.leaves.every((leaf) => ticked[leaf]);
    box.indeterminate = !box.checked && box.leaves.some((leaf) => ticked[leaf]);
  }
  update();
}

async function setColouring(kind) {
  const extra = data.colourings[kind - data.levels.length];
  if (extra && !codes[kind]) codes[kind] = new Uint32Array(await unpacked(extra.codes));
  colouring = kind;
  showColours();
  update();
}

// The colours beside the categories, and those of years or clusters in a list of their own, the largest first.
function showColours() {
  for (const swatch of document.querySelectorAll("#tree .swatch")) {
    const level = data.levels[swatch.dataset.depth];
    swatch.style.background = level[theme()][swatch.dataset.code];
    swatch.style.visibility = data.levels[colouring] ? "" : "hidden";
  }
  const legend = element("legend");
  legend.hidden = Boolean(data.levels[colouring]);
  if (legend.hidden) return;
  const { name, names, [theme()]: colours } = colouringOf(colouring);
  const sizes = new Uint32Array(names.length);
  for (const code of codes[colouring]) sizes[code]++;
  const order = [...names.keys()];
  if (name !== "year") order.sort((a, b) => sizes[b] - sizes[a]);
  legend.replaceChildren(
    ...order.map((code) => {
      const item = document.createElement("li");
      const swatch = document.createElement("span");
      swatch.className = "swatch";
      swatch.style.background = colours[code];
      const number = document.createElement("span");
      number.className = "number";
      number.textContent = numbers.format(sizes[code]);
      item.append(swatch, names[code], number);
      return item;
    }),
  );
}

function listenToControls() {
  let waiting = 0;
  element("search").addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      words = element("search").value.toLowerCase().split(/\s+/).filter(Boolean);
      pin(-1);
      update();
    }, 150);
  });
  element("colouring").addEventListener("change", (event) => setColouring(Number(event.target.value)));
  element("zoom-in").addEventListener("click", () => zoom(ZOOM));
  element("zoom-out").addEventListener("click", () => zoom(1 / ZOOM));
  element("whole").addEventListener("click", showWhole);
  element("draw").addEventListener("click", () => setDrawing(element("draw").ariaPressed !== "true"));
  element("view").addEventListener("click", () =>
    select((left, top) => left >= 0 && top >= 0 && left <= view.width && top <= view.height),
  );
  element("clear").addEventListener("click", clearSelection);
  element("save").addEventListener("click", save);
  element("close").addEventListener("click", () => {
    pin(-1);
    map.focus();
  });
  element("help-link").hidden = !data.link;
  dark.addEventListener("change", () => {
    showColours();
    paint();
    look();
  });
}

async function start() {
  [ids, titles, abstracts, listed] = await Promise.all([data.ids, data.titles, data.abstracts, data.listed].map(texts));
  places = new Uint16Array(await unpacked(data.places));
  leaves = new Uint32Array(await unpacked(data.leaves));
  if (data.years) years = new Uint16Array(await unpacked(data.years));
  if (data.nearest) nearest = new Uint16Array(await unpacked(data.nearest));
  for (const leaf of leaves) numberOf[leaf]++;
  grid = new Grid(places);
  canvas = new Canvas(element("points"), places);
  canvas.onRestored = look;
  element("failed").hidden = Boolean(canvas.gl);
  buildTree();
  listenToControls();
  listenToPointers();
  listenToKeys();
  element("colouring").value = colouring;
  new ResizeObserver(resize).observe(map);
  resize();
  showWhole();
  await setColouring(colouring);
}

start();

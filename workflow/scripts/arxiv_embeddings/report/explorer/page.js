"use strict";
// The state of the page: the ticked categories, the search query, and the level that sets the colours.
// Every change redraws the map from the arrays; the view (pan and zoom) stays.
// Results listed below the search field.
const LISTED = 100;
const data = JSON.parse(document.getElementById("data").textContent);
const x = decode(data.x, Float32Array), y = decode(data.y, Float32Array);
const category = decode(data.category, Uint16Array);
const papers = x.length;
const ticked = new Uint8Array(data.categories.length).fill(1);
const dark = matchMedia("(prefers-color-scheme: dark)");
const element = (id) => document.getElementById(id);
const map = element("map");
const numberOf = countOf(category, data.categories.length);
// Titles and ids in lower case, computed at the first search.
let lowered = null;
let query = "";
let level = 1;
// For each trace of the map, the row of each of its points.
let traceRows = [];
// The result that has the focus or the mouse pointer; -1 for none.
let marked = -1;

function decode(text, Kind) {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  return new Kind(bytes.buffer);
}

function countOf(codes, kinds) {
  const counts = new Array(kinds).fill(0);
  for (const code of codes) counts[code]++;
  return counts;
}

// The group of each category: a number for each of the largest of the level, and one for the rest. Only ticked
// categories count, so that small ones get a colour of their own once the others are hidden.
function groupsOf(level) {
  const sizes = new Map();
  data.categories.forEach((names, code) => {
    sizes.set(names[level], (sizes.get(names[level]) ?? 0) + (ticked[code] ? numberOf[code] : 0));
  });
  const bySize = [...sizes.keys()].sort((a, b) => sizes.get(b) - sizes.get(a) || (a < b ? -1 : 1));
  const place = new Map(bySize.map((name, i) => [name, Math.min(i, data.colours.length)]));
  return data.categories.map((names) => place.get(names[level]));
}

function colourOf(group) {
  if (group >= data.colours.length) return variable("--other");
  return (dark.matches ? data.dark_colours : data.colours)[group];
}

function variable(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function searched() {
  if (!query) return null;
  lowered ??= data.titles.map((title, row) => `${title}\n${data.ids[row]}`.toLowerCase());
  return query;
}

function address(row) {
  return data.link ? data.link + data.ids[row].split("/").map(encodeURIComponent).join("/") : "";
}

function about(row) {
  const [whole, part] = data.categories[category[row]];
  return [data.ids[row], ...(whole === part ? [part] : [whole, part])].join(" · ");
}

function draw() {
  const group = groupsOf(level);
  const shown = Array.from({ length: data.colours.length + 1 }, () => []);
  const hidden = [];
  const found = [];
  const wanted = searched();
  for (let row = 0; row < papers; row++) {
    const code = category[row];
    if (!ticked[code] || (wanted && !lowered[row].includes(wanted))) hidden.push(row);
    else {
      shown[group[code]].push(row);
      if (wanted) found.push(row);
    }
  }
  // The rest is drawn first, then the groups from the largest to the smallest, so that small ones stay visible.
  traceRows = [hidden, shown.pop(), ...shown, marked < 0 ? [] : [marked]];
  const last = traceRows.length - 1;
  const size = Math.max(2, Math.min(7, 700 / Math.sqrt(papers)));
  const traces = traceRows.map((rows, i) => ({
    type: "scattergl",
    mode: "markers",
    x: Float32Array.from(rows, (row) => x[row]),
    y: Float32Array.from(rows, (row) => y[row]),
    hoverinfo: i === 0 || i === last ? "skip" : "none",
    marker:
      i === 0 ? { size, color: variable("--hidden") }
      : i === last ? { size: 16, symbol: "circle-open", color: variable("--ink"), line: { width: 2.5 } }
      : { size: wanted ? size + 2 : size, color: colourOf(i === 1 ? data.colours.length : i - 2), opacity: 0.75 },
  }));
  const number = papers - hidden.length;
  const options = {
    displaylogo: false,
    doubleClick: "reset",
    modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d", "toImage"],
    responsive: true,
    scrollZoom: true,
  };
  // An existing layout keeps the current view.
  const look = map.layout ?? layout();
  look.paper_bgcolor = look.plot_bgcolor = variable("--paper");
  Plotly.react(map, traces, look, options).then(() => {
    // For tests: the map has been drawn.
    map.dataset.shown = number;
  });
  element("count").textContent = `${number.toLocaleString("en")} of ${papers.toLocaleString("en")} papers shown`;
  return found;
}

function layout() {
  const axis = { visible: false, zeroline: false, showgrid: false };
  return {
    dragmode: "pan",
    hovermode: "closest",
    hoverdistance: 8,
    margin: { l: 8, r: 8, t: 8, b: 8 },
    showlegend: false,
    xaxis: { ...axis, range: reach(x) },
    yaxis: { ...axis, range: reach(y), scaleanchor: "x" },
  };
}

function reach(values) {
  let low = Infinity, high = -Infinity;
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  const margin = (high - low || 1) * 0.04;
  return [low - margin, high + margin];
}

function update() {
  marked = -1;
  element("card").hidden = true;
  showColours();
  list(draw());
}

function list(found) {
  element("found").hidden = !query;
  element("results").replaceChildren(...found.slice(0, LISTED).map(listed));
  if (found.length > LISTED) {
    const more = document.createElement("li");
    more.append(document.createElement("span"));
    more.firstChild.textContent = `and ${(found.length - LISTED).toLocaleString("en")} more on the map`;
    element("results").append(more);
  }
}

function listed(row) {
  const entry = document.createElement("li");
  const link = document.createElement(data.link ? "a" : "span");
  if (data.link) Object.assign(link, { href: address(row), target: "_blank", rel: "noopener noreferrer" });
  const small = document.createElement("small");
  small.textContent = about(row);
  link.append(data.titles[row], document.createElement("br"), small);
  for (const name of ["focus", "mouseenter"]) link.addEventListener(name, () => mark(row));
  entry.append(link);
  return entry;
}

// Draws a ring around a paper on the map and describes it in the card.
function mark(row) {
  if (marked === row) return;
  marked = row;
  traceRows[traceRows.length - 1] = [row];
  Plotly.restyle(map, { x: [[x[row]]], y: [[y[row]]] }, [traceRows.length - 1]);
  describe(row);
}

function describe(row) {
  element("card").hidden = false;
  element("card-title").textContent = data.titles[row];
  element("card-about").textContent = about(row);
}

function rowOf(event) {
  const point = event.points[0];
  return traceRows[point.curveNumber][point.pointNumber];
}

// The list of categories: a checkbox for each, and a bold one for each category 0.
function buildTree() {
  const archives = new Map();
  data.categories.forEach(([whole], code) => archives.set(whole, [...(archives.get(whole) ?? []), code]));
  for (const [whole, codes] of archives) {
    const archive = document.createElement("div");
    archive.className = "archive";
    archive.append(treeRow(whole, codes, 0));
    const inner = document.createElement("div");
    const alone = codes.length === 1 && data.categories[codes[0]][1] === whole;
    if (!alone) inner.append(...codes.map((code) => treeRow(data.categories[code][1], [code], 1)));
    archive.append(inner);
    element("tree").append(archive);
  }
}

function treeRow(name, codes, ofLevel) {
  const row = document.createElement("div");
  row.className = "row";
  const label = document.createElement("label");
  const box = Object.assign(document.createElement("input"), { type: "checkbox", checked: true });
  box.dataset.codes = codes.join(" ");
  box.dataset.name = name;
  const swatch = document.createElement("span");
  swatch.className = "swatch";
  swatch.dataset.level = ofLevel;
  swatch.dataset.code = codes[0];
  label.append(box, swatch, name);
  const only = Object.assign(document.createElement("button"), { type: "button", textContent: "only" });
  only.setAttribute("aria-label", `Show only ${name}`);
  const number = document.createElement("span");
  number.className = "number";
  number.textContent = codes.reduce((sum, code) => sum + numberOf[code], 0).toLocaleString("en");
  row.append(label, only, number);
  box.addEventListener("change", () => tick(codes, box.checked));
  only.addEventListener("click", () => {
    ticked.fill(0);
    tick(codes, true);
  });
  return row;
}

function tick(codes, on) {
  for (const code of codes) ticked[code] = on ? 1 : 0;
  showTicks();
  update();
}

function showTicks() {
  for (const box of document.querySelectorAll("#tree input")) {
    const own = box.dataset.codes.split(" ").map((code) => ticked[code]);
    box.checked = own.every(Boolean);
    box.indeterminate = !box.checked && own.some(Boolean);
  }
}

function showColours() {
  const group = groupsOf(level);
  for (const swatch of document.querySelectorAll(".swatch")) {
    const own = Number(swatch.dataset.level) === level;
    swatch.style.background = own ? colourOf(group[swatch.dataset.code]) : "none";
    swatch.hidden = !own;
  }
}

const everyCode = data.categories.map((_, code) => code);
element("all").addEventListener("click", () => tick(everyCode, true));
element("none").addEventListener("click", () => tick(everyCode, false));
for (const radio of document.querySelectorAll("input[name=level]")) {
  radio.addEventListener("change", () => {
    level = Number(radio.value);
    update();
  });
}
let waiting = 0;
element("search").addEventListener("input", () => {
  clearTimeout(waiting);
  waiting = setTimeout(() => {
    query = element("search").value.trim().toLowerCase();
    update();
  }, 150);
});
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && event.target.tagName !== "INPUT") {
    event.preventDefault();
    element("search").focus();
  }
});
element("help-link").hidden = !data.link;
dark.addEventListener("change", update);
buildTree();
update();
map.on("plotly_hover", (event) => {
  map.dataset.hovered = data.ids[rowOf(event)];
  describe(rowOf(event));
});
map.on("plotly_unhover", () => {
  element("card").hidden = true;
});
map.on("plotly_click", (event) => {
  if (data.link) window.open(address(rowOf(event)), "_blank", "noopener");
});

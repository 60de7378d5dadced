"use strict";
// Names on the map: those of the coarsest level when far, of finer levels when near, none above another.

// How much nearer the next level appears.
const NEARER = 2.2;
const MOST_LABELS = 80;
const measure = document.createElement("canvas").getContext("2d");

// The level whose names are shown at `zoom` (1: the whole map). A level with one category says nothing.
function levelAt(levels, zoom) {
  const first = Math.max(0, levels.findIndex((level) => level.names.length > 1));
  return Math.min(levels.length - 1, first + Math.max(0, Math.floor(Math.log(zoom) / Math.log(NEARER))));
}

// The labels to show: [{ name, left, top, width, height }] in CSS pixels. candidates: [{ name, left, top, papers }],
// left and top of the middle. The categories with most papers come first.
function placeLabels(candidates, width, height, font) {
  measure.font = `600 ${font}px ${getComputedStyle(document.body).fontFamily}`;
  const taken = [];
  for (const { name, left, top } of candidates.sort((a, b) => b.papers - a.papers)) {
    const box = { name, width: Math.ceil(measure.measureText(name).width) + 4, height: Math.ceil(font * 1.25) };
    box.left = Math.round(left - box.width / 2);
    box.top = Math.round(top - box.height / 2);
    if (box.left < 2 || box.top < 2 || box.left + box.width > width - 2 || box.top + box.height > height - 2) continue;
    const free = taken.every(
      (other) =>
        box.left > other.left + other.width + 4 || other.left > box.left + box.width + 4 ||
        box.top > other.top + other.height || other.top > box.top + box.height,
    );
    if (free) taken.push(box);
    if (taken.length === MOST_LABELS) break;
  }
  return taken;
}

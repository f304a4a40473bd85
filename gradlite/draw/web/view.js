// Zoom and pan, and the small map of a graph that is larger than its window.

const { width: fullWidth, height: fullHeight } = drawing.viewBox.baseVal;
const LEGIBLE = 0.9; // the scale at which a step is shown, at least
const OVERVIEW = 0.7; // below this, boxes show their names alone
const WHOLE = 0.2; // below this, names are too small to read
const view = { x: 0, y: 0, k: 1 };
const paper = shape("g", {}, drawing);
paper.append(graph);
for (const name of ["viewBox", "width", "height"]) drawing.removeAttribute(name);

function look() {
  paper.setAttribute("transform", `translate(${view.x} ${view.y}) scale(${view.k})`);
  drawing.classList.toggle("overview", view.k < OVERVIEW);
  drawing.style.setProperty("--afar", `${10 / view.k}px`);
  showWindow();
}

function zoom(factor, x = canvas.clientWidth / 2, y = canvas.clientHeight / 2) {
  const k = Math.max(0.02, Math.min(8, view.k * factor));
  view.x = x - ((x - view.x) * k) / view.k;
  view.y = y - ((y - view.y) * k) / view.k;
  view.k = k;
  look();
}

// Where a graph is to be seen: above the buttons.
function room() {
  const { left, right, top, width } = canvas.getBoundingClientRect();
  const covers = $("map").hidden ? [$("zoom")] : [$("zoom"), $("map")];
  const bottom = Math.min(...covers.map((part) => part.getBoundingClientRect().top));
  return { left, right, top, bottom, width, height: bottom - top };
}

function fit() {
  $("map").hidden = true;
  const { width, height } = room();
  view.k = Math.max(0.02, Math.min((width - 16) / fullWidth, (height - 16) / fullHeight, 1.8));
  view.x = (width - fullWidth * view.k) / 2;
  view.y = (height - fullHeight * view.k) / 2;
  look();
}

// At first, all is shown; if that cannot be read, the result, beside the map of all.
function begin() {
  fit();
  if (view.k >= WHOLE) return;
  zoom(LEGIBLE / view.k);
  const { left, width } = groups[data.root].getBoundingClientRect();
  view.x += (canvas.clientWidth - width) / 2 - left;
  look();
  reveal(data.root);
}

// Shows boxes of a step so that they can be read.
function reveal(...ids) {
  if (view.k < LEGIBLE && at > 0) zoom(LEGIBLE / view.k);
  bring(...ids);
}

// Brings boxes into sight, if they are out of it, by the shortest way: the first at least.
function bring(...ids) {
  const { left, right, top, bottom, width, height } = room();
  const places = ids.map((id) => groups[id].getBoundingClientRect());
  const all = {
    left: Math.min(...places.map((place) => place.left)),
    right: Math.max(...places.map((place) => place.right)),
    top: Math.min(...places.map((place) => place.top)),
    bottom: Math.max(...places.map((place) => place.bottom)),
  };
  const fits = all.right - all.left < width && all.bottom - all.top < height;
  const wanted = fits ? all : places[0];
  view.x += shift(wanted.left, wanted.right, left, right);
  view.y += shift(wanted.top, wanted.bottom, top, bottom);
  view.x = within(view.x, width - fullWidth * view.k);
  view.y = within(view.y, height - fullHeight * view.k);
  look();
}

// An edge of the graph stays at that of the window, if the graph is larger; or else both in sight.
function within(place, spare) {
  return Math.max(Math.min(0, spare), Math.min(Math.max(0, spare), place));
}

function shift(from, to, low, high) {
  if (from >= low && to <= high) return 0;
  const margin = Math.max(0, Math.min(60, (high - low - (to - from)) / 2));
  return from < low ? low + margin - from : high - margin - to;
}

// -- the map ------------------------------------------------------------------------------

// It fills its frame, however long the graph is.
const map = shape(
  "svg",
  { viewBox: `0 0 ${fullWidth} ${fullHeight}`, preserveAspectRatio: "none" },
  $("map"),
);
let frame = null;

function drawMap() {
  const { e: x, f: y } = graph.transform.baseVal.consolidate().matrix; // Graphviz starts below
  for (const id of order) {
    const { x: left, y: top, width, height } = groups[id].getBBox();
    const kind = id === data.root ? "root" : boxes[id].op.length ? "result" : "leaf";
    shape("rect", { class: kind, x: left + x, y: top + y, width, height }, map);
  }
  frame = shape("rect", { class: "frame" }, map);
}

function showWindow() {
  const { clientWidth: width, clientHeight: height } = canvas;
  const all = fullWidth * view.k <= width + 1 && fullHeight * view.k <= height + 1;
  $("map").hidden = all;
  if (all || !frame) return;
  const seen = { x: -view.x / view.k, y: -view.y / view.k };
  const size = { width: width / view.k, height: height / view.k };
  for (const [name, value] of Object.entries({ ...seen, ...size })) frame.setAttribute(name, value);
}

$("map").addEventListener("pointerdown", (event) => {
  event.stopPropagation();
  const { left, top, width, height } = map.getBoundingClientRect();
  const x = ((event.clientX - left) / width) * fullWidth;
  const y = ((event.clientY - top) / height) * fullHeight;
  view.x = canvas.clientWidth / 2 - x * view.k;
  view.y = canvas.clientHeight / 2 - y * view.k;
  look();
});

// -- fingers, mouse and wheel -------------------------------------------------------------

const fingers = new Map();
let dragged = false;

const spread = () => {
  const [a, b] = [...fingers.values()];
  return Math.hypot(a.x - b.x, a.y - b.y);
};

canvas.addEventListener("pointerdown", (event) => {
  if (event.button || event.target.closest("#zoom, #map")) return; // a menu may swallow what follows
  fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
});

canvas.addEventListener(
  "click",
  (event) => {
    if (dragged) event.stopPropagation(); // the end of a drag selects nothing
  },
  { capture: true },
);

addEventListener("pointermove", (event) => {
  const finger = fingers.get(event.pointerId);
  if (!finger) return;
  const [dx, dy] = [event.clientX - finger.x, event.clientY - finger.y];
  if (!dragged && fingers.size === 1 && Math.hypot(dx, dy) < 4) return; // a click that trembles
  dragged = true;
  canvas.classList.add("dragged");
  const before = fingers.size === 2 ? spread() : 0;
  view.x += dx / fingers.size;
  view.y += dy / fingers.size;
  [finger.x, finger.y] = [event.clientX, event.clientY];
  if (before) {
    const [a, b] = [...fingers.values()];
    const { left, top } = canvas.getBoundingClientRect();
    zoom(spread() / before, (a.x + b.x) / 2 - left, (a.y + b.y) / 2 - top);
  }
  look();
});

for (const name of ["pointerup", "pointercancel"]) {
  addEventListener(name, (event) => {
    fingers.delete(event.pointerId);
    if (fingers.size) return;
    canvas.classList.remove("dragged");
    setTimeout(() => (dragged = false)); // after the click that may follow
  });
}

canvas.addEventListener(
  "wheel",
  (event) => {
    event.preventDefault();
    const { left, top } = canvas.getBoundingClientRect();
    const speed = (event.ctrlKey ? 0.01 : 0.0015) * (event.deltaMode === 1 ? 20 : 1);
    zoom(Math.exp(-event.deltaY * speed), event.clientX - left, event.clientY - top);
  },
  { passive: false },
);

"use strict";

// What page.py told: boxes by id, the steps of the backward pass, the rules.
const data = JSON.parse(document.getElementById("data").textContent);
const { boxes, steps } = data;

const $ = (id) => document.getElementById(id);
const canvas = $("canvas");
const drawing = canvas.querySelector("svg");
const graph = drawing.querySelector(".graph");
const drawn = (id) => graph.querySelector(`[id="${CSS.escape(id)}"]`);
const groups = Object.fromEntries(Object.keys(boxes).map((id) => [id, drawn(id)]));

let step = 0; // how many steps have been taken; at 0 only the seed stands
let chosen = data.root;
let player = 0;

// -- numbers ------------------------------------------------------------------------------

const plain = (x) => x === 0 || (Math.abs(x) >= 1e-4 && Math.abs(x) < 1e6);
const short = (x) => {
  if (typeof x === "string") return x; // nan, inf
  return plain(x) ? x.toFixed(4) : x.toExponential(3);
};
const rounded = (x) => {
  if (typeof x === "string") return x;
  const six = Number(x.toPrecision(6));
  return plain(x) ? String(six) : six.toExponential();
};
const brief = ({ number, norm, shape }) => {
  if (number !== undefined) return short(number);
  return norm === undefined ? shape : `norm ${short(norm)}`;
};

// -- what has arrived ---------------------------------------------------------------------

// For each box, its contributions in order: after which step, from where, how much.
const arrivals = Object.fromEntries(Object.keys(boxes).map((id) => [id, []]));
if (data.seed) arrivals[data.root].push({ step: 0, amount: data.seed, total: data.seed });
steps.forEach(({ box, arrivals: given }, i) => {
  for (const { box: to, amount, total } of given) {
    arrivals[to].push({ step: i + 1, from: box, amount, total });
  }
});

const arrived = (id) => arrivals[id].filter((arrival) => arrival.step <= step);
const state = (id) => {
  const count = arrived(id).length;
  return count === 0 ? "" : count < arrivals[id].length ? "arriving" : "whole";
};

// -- building elements --------------------------------------------------------------------

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function shape(tag, attributes, parent) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  parent.append(made);
  return made;
}

function link(id) {
  const button = element("button", {}, boxes[id].name);
  button.addEventListener("click", () => {
    choose(id);
    reveal(id);
    $("panel").focus(); // the button is gone
  });
  return button;
}

// -- the marks in the picture -------------------------------------------------------------

// Where the gradient of a box is written: in the field that it has, or on its lower edge.
const slots = {};

function makeSlot(id, box) {
  const field = [...box.querySelectorAll("text")].find((text) => /^grad\b/.test(text.textContent));
  if (field) {
    const { x, width } = field.getBBox();
    const room = Math.max(width, box.getBBox().width - 24);
    field.classList.add("gradient");
    field.setAttribute("x", x + width / 2);
    return (text) => {
      field.removeAttribute("textLength");
      field.textContent = text ? `grad ${text}` : "grad";
      if (field.getComputedTextLength() > room) field.setAttribute("textLength", room);
      field.classList.toggle("empty", !text);
    };
  }
  const widest = Math.max(...arrivals[id].map(({ total }) => brief(total).length));
  const { x, y, width, height } = box.querySelector(".halo").getBBox();
  const middle = x + width / 2;
  const half = widest * 2.6 + 6;
  const slot = shape("g", { class: "slot empty" }, box);
  const edge = { x: middle - half, y: y + height - 4.5, width: 2 * half, height: 13, rx: 6 };
  shape("rect", edge, slot);
  const label = shape("text", { x: middle, y: y + height + 5.3 }, slot);
  return (text) => {
    label.textContent = text;
    slot.classList.toggle("empty", !text);
  };
}

// What a box is marked with: one for the backward pass, and around it one for the selection.
function rings(group) {
  const { x, y, width, height } = group.getBBox();
  return Object.entries({ choice: 6.5, halo: 3 }).map(([name, gap]) => {
    const around = { x: x - gap, y: y - gap, width: width + 2 * gap, height: height + 2 * gap };
    return shape("rect", { class: name, rx: gap + 3, ...around }, group);
  });
}

function prepare() {
  for (const title of drawing.querySelectorAll("title")) title.remove(); // they name ids
  for (const [id, group] of Object.entries(groups)) {
    group.prepend(...rings(group));
    if (arrivals[id].some(({ total }) => total)) slots[id] = makeSlot(id, group);
    group.setAttribute("tabindex", 0);
    group.setAttribute("role", "button");
    group.setAttribute("aria-label", boxes[id].name);
    for (const part of [group, drawn(`${id}-op`)]) {
      part?.classList.add("part");
      part?.addEventListener("click", () => choose(id));
    }
    group.addEventListener("focus", () => {
      if (group.matches(":focus-visible")) reveal(id); // a key led here, not a click
    });
    group.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      event.stopPropagation();
      choose(id);
    });
  }
}

function mark() {
  const current = step ? steps[step - 1] : { box: data.seed && data.root, arrivals: [] };
  for (const [id, { classList }] of Object.entries(groups)) {
    for (const name of ["arriving", "whole"]) classList.toggle(name, state(id) === name);
    classList.toggle("current", id === current.box);
    classList.toggle("chosen", id === chosen);
    slots[id]?.(arrived(id).length ? brief(arrived(id).at(-1).total) : "");
  }
  for (const edge of drawing.querySelectorAll(".flow")) edge.classList.remove("flow");
  for (const { box } of current.arrivals) drawn(`${box}-${current.box}`)?.classList.add("flow");
  if (current.arrivals.length) {
    drawn(`${current.box}-op-${current.box}`)?.classList.add("flow");
  }
}

// -- the panel ----------------------------------------------------------------------------

function described(summary) {
  const parts = [];
  if ("number" in summary) parts.push(element("p", { class: "number" }, String(summary.number)));
  const kind = [summary.shape !== "()" && summary.shape, summary.dtype].filter(Boolean).join(" ");
  if (kind) parts.push(element("p", { class: "quiet" }, kind));
  if ("norm" in summary) {
    const measures = ["norm", "mean", "min", "max"].flatMap((name) => [
      element("dt", {}, name),
      element("dd", { title: summary[name] }, rounded(summary[name])),
    ]);
    const rows = summary.rows.map((row) =>
      element("tr", {}, ...row.map((x) => element("td", { title: x }, short(x)))),
    );
    parts.push(element("dl", { class: "measures" }, ...measures));
    parts.push(element("div", { class: "wide" }, element("table", {}, ...rows)));
    if (summary.more) parts.push(element("p", { class: "quiet" }, "The first entries."));
  }
  return parts;
}

function gradientOf(id) {
  const all = arrivals[id];
  const now = arrived(id);
  if (!all.length) return element("p", { class: "quiet" }, "No gradient comes here.");
  const known = {
    "": `${all.length} to come`,
    arriving: `${now.length} of ${all.length} have arrived`,
    whole: "whole",
  }[state(id)];
  const heading = element("h3", {}, "Gradient", element("small", { class: state(id) }, known));
  const hooks = "backward() hands this to hooks, and goes on with what they return. Not so here.";
  const told = boxes[id].hooked ? [element("p", { class: "quiet" }, hooks)] : [];
  const total = now.at(-1)?.total; // a box of repeats has none
  const content = total ? described(total) : [];
  const given = all.map(({ step: at, from, amount }) => {
    const source = element("span", {}, "from ", from ? link(from) : "the start");
    if (at > step) return element("li", { class: "later" }, source, `at step ${at}`);
    return element("li", {}, source, brief(amount));
  });
  const list = element("ul", {}, ...given);
  return element("section", { id: "gradient" }, heading, ...told, ...content, list);
}

function ruleOf({ rule, arguments: given, note, op }) {
  if (rule === null) return note ? [element("h3", {}, "Derivative"), element("p", {}, note)] : [];
  const used = given.flatMap(({ name, box, is }) => [
    element("dt", {}, name),
    element("dd", {}, box ? link(box) : is),
  ]);
  const section = element("section", { id: "rule" });
  section.append(
    element("h3", {}, "Derivative rule", element("small", {}, op[0])),
    element("dl", {}, ...used),
    ...data.rules[rule].map(written),
    element("p", { class: "quiet" }, "g is the gradient of this result, ans the result itself."),
  );
  return [section];
}

function written({ mathml, source }) {
  const formula = element("div", { class: "wide" });
  formula.innerHTML = mathml; // escaped by formulas.py
  const code = element("pre", {}, source);
  if (!mathml || !source.includes("\n")) return element("div", { class: "formula" }, formula, code);
  const more = element("details", {}, element("summary", {}, "The rule in Python"), code);
  return element("div", { class: "formula" }, formula, more);
}

function valueOf({ value }) {
  if (!value) return [];
  return [element("section", { id: "value" }, element("h3", {}, "Value"), ...described(value))];
}

function tell() {
  const box = boxes[chosen];
  const made = box.op.join(", ");
  $("panel").replaceChildren(
    element("p", { class: "quiet" }, box.kind),
    element("h2", {}, box.name),
    ...(made && made !== box.name ? [element("p", {}, `made by ${made}`)] : []),
    ...(box.where ? [element("pre", {}, box.where)] : []),
    ...ruleOf(box),
    ...(data.seed ? [gradientOf(chosen)] : []),
    ...valueOf(box),
  );
}

// -- steps --------------------------------------------------------------------------------

const named = (id) => element("b", {}, boxes[id].name);

function sentence() {
  if (data.problem) return [data.problem];
  if (step === 0) {
    const seed = "number" in data.seed ? `is ${data.seed.number}.` : "starts as ones.";
    const next = steps.length ? "Step on to send it back." : "Nothing is behind it.";
    return ["The gradient of ", named(data.root), ` by itself ${seed} ${next}`];
  }
  const { box, arrivals: given } = steps[step - 1];
  const to = given.map(({ box: id, amount }, i) => {
    return [i ? " and " : " hands on ", `${brief(amount)} to `, named(id)];
  });
  const end = step === steps.length ? ". Every gradient is whole now." : ".";
  return [named(box), ...to.flat(), end];
}

function goTo(wanted) {
  step = Math.max(0, Math.min(steps.length, wanted));
  const { box, arrivals: given } = step ? steps[step - 1] : { box: data.root, arrivals: [] };
  chosen = box;
  show();
  reveal(box, ...given.map(({ box: id }) => id));
}

function show() {
  mark();
  tell();
  $("said").replaceChildren(...sentence());
  $("counter").textContent = `step ${step} of ${steps.length}`;
  $("scrub").value = step;
  $("first").disabled = $("back").disabled = step === 0;
  $("next").disabled = $("last").disabled = step === steps.length;
  $("play").disabled = steps.length === 0;
}

function choose(id) {
  chosen = id;
  mark();
  tell();
  $("panel").scrollTop = 0;
}

function play(on) {
  clearInterval(player);
  player = 0;
  document.body.classList.toggle("playing", on);
  $("play").setAttribute("aria-label", on ? "Pause" : "Play");
  if (!on) return;
  if (step === steps.length) goTo(0);
  player = setInterval(() => {
    goTo(step + 1);
    if (step === steps.length) play(false);
  }, 1000);
}

function stepTo(wanted) {
  play(false);
  goTo(wanted);
}

// -- zoom and pan -------------------------------------------------------------------------

const { width: fullWidth, height: fullHeight } = drawing.viewBox.baseVal;
const view = { x: 0, y: 0, k: 1 };
const paper = shape("g", {}, drawing);
paper.append(graph);
for (const name of ["viewBox", "width", "height"]) drawing.removeAttribute(name);

function look() {
  paper.setAttribute("transform", `translate(${view.x} ${view.y}) scale(${view.k})`);
}

function zoom(factor, x = canvas.clientWidth / 2, y = canvas.clientHeight / 2) {
  const k = Math.max(0.05, Math.min(8, view.k * factor));
  view.x = x - ((x - view.x) * k) / view.k;
  view.y = y - ((y - view.y) * k) / view.k;
  view.k = k;
  look();
}

// Where a graph is to be seen: below the legend, above the buttons.
function room() {
  const { left, right, width } = canvas.getBoundingClientRect();
  const { bottom: top } = $("legend").getBoundingClientRect();
  const { top: bottom } = $("zoom").getBoundingClientRect();
  return { left, right, top, bottom, width, height: bottom - top };
}

function fit(smallest = 0) {
  const { top, width, height } = room();
  const k = Math.min((width - 16) / fullWidth, (height - 16) / fullHeight, 1.8);
  view.k = Math.max(k, smallest, 0.05);
  view.x = (width - fullWidth * view.k) / 2;
  view.y = top - canvas.getBoundingClientRect().top + (height - fullHeight * view.k) / 2;
  look();
}

// Brings boxes into sight, if they are out of it, by the shortest way: the first at least.
function reveal(...ids) {
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
  look();
}

function shift(from, to, low, high) {
  if (from >= low && to <= high) return 0;
  const margin = Math.max(0, Math.min(60, (high - low - (to - from)) / 2));
  return from < low ? low + margin - from : high - margin - to;
}

const fingers = new Map();
let dragged = false;

const spread = () => {
  const [a, b] = [...fingers.values()];
  return Math.hypot(a.x - b.x, a.y - b.y);
};

canvas.addEventListener("pointerdown", (event) => {
  if (event.button || event.target.closest("#zoom")) return; // a menu may swallow what follows
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

// -- buttons and keys ---------------------------------------------------------------------

const buttons = {
  first: () => stepTo(0),
  back: () => stepTo(step - 1),
  play: () => play(!player),
  next: () => stepTo(step + 1),
  last: () => stepTo(steps.length),
  closer: () => zoom(1.25),
  farther: () => zoom(0.8),
  fit: () => fit(),
};
for (const [id, action] of Object.entries(buttons)) $(id).addEventListener("click", action);
$("scrub").max = steps.length;
$("scrub").addEventListener("input", () => stepTo(Number($("scrub").value)));

const keys = {
  ArrowLeft: "back",
  ArrowRight: "next",
  Home: "first",
  End: "last",
  "+": "closer",
  "=": "closer",
  "-": "farther",
  0: "fit",
  " ": "play",
};
addEventListener("resize", () => reveal(chosen)); // a phone is turned

addEventListener("keydown", (event) => {
  const action = keys[event.key];
  if (!action || event.ctrlKey || event.metaKey || event.altKey) return;
  const own = event.key === " " ? "button, summary" : "#scrub"; // these have a use for the key
  if (event.target.closest(own)) return;
  event.preventDefault();
  buttons[action]();
});

$("start").textContent = data.seed
  ? "number" in data.seed
    ? "The backward pass, one node at a time."
    : "The backward pass from ones, as for the sum of the result, one node at a time."
  : "";
prepare();
fit(0.9);
show();
reveal(chosen);

// The picture: its boxes, the rings around them, and the gradients that are written at them.

const canvas = $("canvas");
const drawing = canvas.querySelector("svg");
const graph = drawing.querySelector(".graph");
const drawn = (id) => graph.querySelector(`[id="${CSS.escape(id)}"]`);
const groups = Object.fromEntries(Object.keys(boxes).map((id) => [id, drawn(id)]));
const order = Object.keys(boxes);

// Rings lie beneath everything else, so that they hide no head of an arrow.
const rings = {};

function makeRings(id, below) {
  const { x, y, width, height } = groups[id].getBBox();
  rings[id] = shape("g", { class: "ring" }, below);
  for (const [name, gap] of Object.entries({ choice: 7, halo: 3 })) {
    const around = { x: x - gap, y: y - gap, width: width + 2 * gap, height: height + 2 * gap };
    shape("rect", { class: name, rx: gap + 3, ...around }, rings[id]);
  }
}

// The name of a box or an oval, to be read from afar. --most is the size at which it fits in.
function addName(part, name) {
  const { x, y, width, height } = part.getBBox();
  const place = { x: x + width / 2, y: y + height / 2 };
  const text = shape("text", { style: "font-size: 10px", ...place }, part);
  text.textContent = name;
  const most = Math.min((9 * width) / text.getComputedTextLength(), 0.8 * height);
  text.setAttribute("style", `--most: ${most}px`);
  text.setAttribute("class", "afar");
}

// What is essential of a name: w.0 of layers.0.neurons.1.w.0, matmul of np.matmul.
const brevity = (name) =>
  (/^[\w.]+$/.test(name) && name.match(/[a-z_]\w*(\.\d+)*$/i)?.[0]) || name.split(": ")[0];

// Where the gradient of a box is written: in the field that it has for that.
const slots = {};

function makeSlot(id) {
  const texts = [...groups[id].querySelectorAll("text")];
  const field = texts.find((text) => /^grad\b/.test(text.textContent));
  if (!field) return () => {};
  const { x, width } = field.getBBox();
  const room = Math.max(width, groups[id].getBBox().width - 24);
  field.classList.add("gradient");
  field.setAttribute("x", x + width / 2);
  return (text) => {
    field.removeAttribute("textLength");
    field.textContent = text ? `grad ${text}` : "grad";
    if (field.getComputedTextLength() > room) field.setAttribute("textLength", room);
    field.classList.toggle("empty", !text);
  };
}

function prepare() {
  for (const title of drawing.querySelectorAll("title")) title.remove(); // they name ids
  const below = shape("g", {}, graph);
  graph.prepend(below);
  for (const [id, group] of Object.entries(groups)) {
    makeRings(id, below);
    for (const text of group.querySelectorAll("text")) {
      text.classList.toggle("figure", /^(data|norm|grad)\b/.test(text.textContent));
    }
    addName(group, brevity(boxes[id].name));
    if (drawn(`${id}-op`)) addName(drawn(`${id}-op`), brevity(boxes[id].op[0]));
    if (arrivals[id].some(({ total }) => total)) slots[id] = makeSlot(id);
    group.setAttribute("role", "button");
    for (const part of [group, drawn(`${id}-op`)]) {
      part?.classList.add("part");
      part?.addEventListener("click", () => choose(id));
    }
    group.addEventListener("focus", () => {
      if (group.matches(":focus-visible")) reveal(id); // a key led here, not a click
    });
    group.addEventListener("keydown", (event) => onBoxKey(event, id));
  }
}

// One box is a stop of the tab key; the arrows up and down lead to the others.
function onBoxKey(event, id) {
  const by = { ArrowUp: -1, ArrowDown: 1 }[event.key];
  if (by) {
    const next = order[order.indexOf(id) + by];
    if (next) groups[next].focus();
  } else if (event.key === "Enter" || event.key === " ") {
    choose(id);
  } else {
    return;
  }
  event.preventDefault();
  event.stopPropagation();
}

function labelOf(id) {
  const { name, value } = boxes[id];
  const parts = [name];
  if (value && !isPending(id)) parts.push(brief(value));
  const total = arrived(id).at(-1)?.total;
  if (total) parts.push(`gradient ${brief(total)}${state(id) === "arriving" ? ", arriving" : ""}`);
  return parts.join(", ");
}

function mark() {
  const { kind, box: current, arrivals: given } = moments[at];
  for (const [id, group] of Object.entries(groups)) {
    const isCurrent = id === current && kind !== "start";
    const marks = [
      state(id),
      isCurrent && "current",
      id === chosen && "chosen",
      isPending(id) && "pending",
    ].filter(Boolean);
    group.setAttribute("class", ["node", "part", ...marks].join(" "));
    rings[id].setAttribute("class", ["ring", ...marks].join(" "));
    drawn(`${id}-op`)?.classList.toggle("pending", isPending(id));
    const total = arrived(id).at(-1)?.total;
    slots[id]?.(total ? brief(total) : "");
    group.setAttribute("aria-label", labelOf(id));
    group.setAttribute("tabindex", id === chosen ? 0 : -1);
    group.setAttribute("aria-pressed", id === chosen);
    group.setAttribute("aria-current", isCurrent ? "step" : "false");
  }
  for (const edge of drawing.querySelectorAll(".flow")) edge.classList.remove("flow", "forward");
  const flow = (id) => {
    drawn(id)?.classList.add("flow");
    drawn(id)?.classList.toggle("forward", kind === "forward");
  };
  const sources = kind === "forward" ? boxes[current].inputs : given.map(({ box }) => box);
  for (const source of sources) flow(`${source}-${current}`);
  if (sources.length) flow(`${current}-op-${current}`);
}

// The steps: the sentence about each, and the buttons and keys that lead through them.

const named = (id) => element("b", {}, boxes[id].name);
const phase = (text) => element("span", { class: "phase" }, text);

let player = 0;

function sentence() {
  const { kind, box, arrivals: given } = moments[at];
  if (kind === "start") {
    if (data.problem && !data.forward.length) return [data.problem];
    if (!data.forward.length) return [named(data.root), " is given, not computed."];
    const leaves = [...leavesOf("an input", "inputs"), ...leavesOf("a parameter", "parameters")];
    const from = leaves.length ? [" is computed from ", ...listed(leaves)] : [];
    return [named(data.root), ...from, ". Step through the computation, then back through it."];
  }
  if (kind === "forward") {
    const { made, value, name } = boxes[box];
    const line = (made || name) + (value ? outcome(value) : "");
    return [phase("Forward"), " ", element("code", {}, line), ...problemAtEnd()];
  }
  if (kind === "seed") {
    const start = "number" in data.seed
      ? [" The gradient of ", named(box), " with respect to itself is 1."]
      : [" It starts with an array of ones, for the gradient of the sum of ", named(box), "."];
    const next = steps.length ? "Next, it is passed back." : "There is nothing to pass it back to.";
    const problem = data.problem ? ` ${data.problem}` : ` ${next}`;
    return [phase("Backward"), ...start, problem];
  }
  const numbers = given.every(({ amount }) => "number" in amount);
  const to = given.map(({ box: id, amount }) =>
    numbers ? [`${brief(amount)} to `, named(id)] : [named(id), ` (${brief(amount)})`],
  );
  const what = numbers ? " passes back " : " passes back a gradient to ";
  const end = at === last ? ". Every gradient is complete now." : ".";
  return [phase("Backward"), " ", named(box), what, ...listed(to), end];
}

// a, b and c.
function listed(items) {
  return items.flatMap((item, i) => {
    if (!i) return item;
    return [i === items.length - 1 ? " and " : ", ", item].flat();
  });
}

function leavesOf(kind, plural) {
  const ids = order.filter((id) => boxes[id].kind === kind);
  const folded = data.folded[kind] ?? 0; // in boxes of repeats
  const count = ids.length + folded;
  return folded || count > 4 ? [`${count} ${plural}`] : ids.map(named);
}

function problemAtEnd() {
  return at === last && data.problem ? [` ${data.problem}`] : [];
}

function goTo(wanted) {
  at = Math.max(0, Math.min(last, wanted));
  const { kind, box, arrivals: given } = moments[at];
  chosen = box;
  show();
  if (at === 0) return begin();
  const others = kind === "forward" ? boxes[box].inputs : given.map(({ box: id }) => id);
  reveal(box, ...others);
}

function show() {
  mark();
  markLines();
  showPanel();
  panel.scrollTop = 0;
  document.body.dataset.phase = moments[at].kind;
  $("step").textContent = moments[at].kind === "forward" ? "computed now" : "passes back";
  $("said").replaceChildren(...sentence());
  $("counter").replaceChildren(element("span", {}, "step "), `${at} of ${last}`);
  $("scrub").value = at;
  $("scrub").setAttribute("aria-valuetext", `step ${at} of ${last}, ${moments[at].kind}`);
  $("first").disabled = $("back").disabled = at === 0;
  $("next").disabled = $("last").disabled = at === last;
  $("play").disabled = last === 0;
}

function choose(id) {
  chosen = id;
  mark();
  showPanel();
  panel.scrollTop = 0;
}

function play(on) {
  clearInterval(player);
  player = 0;
  document.body.classList.toggle("playing", on);
  $("play").setAttribute("aria-label", on ? "Pause" : "Play");
  if (!on) return;
  if (at === last) goTo(0);
  player = setInterval(() => {
    goTo(at + 1);
    if (at === last) play(false);
  }, 1500 / Number($("speed").value));
}

function stepTo(wanted) {
  play(false);
  goTo(wanted);
}

// -- buttons and keys ---------------------------------------------------------------------

const buttons = {
  first: () => stepTo(0),
  back: () => stepTo(at - 1),
  play: () => play(!player),
  next: () => stepTo(at + 1),
  last: () => stepTo(last),
  closer: () => zoom(1.25),
  farther: () => zoom(0.8),
  fit: () => fit(),
};
for (const [id, action] of Object.entries(buttons)) $(id).addEventListener("click", action);
$("scrub").max = last;
$("scrub").addEventListener("input", () => stepTo(Number($("scrub").value)));
$("speed").addEventListener("change", () => player && play(true));

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


addEventListener("keydown", (event) => {
  const action = keys[event.key];
  if (!action || event.ctrlKey || event.metaKey || event.altKey) return;
  const own = event.key === " " ? "button, summary, select" : "#scrub, select"; // they use the key
  if (event.target.closest(own)) return;
  event.preventDefault();
  buttons[action]();
});


// A page has no size while it is out of sight in a notebook, and texts have none then: it begins
// once it is seen. Later, a phone is turned, or a window gets another size.
let size = "";

function resized() {
  const { clientWidth: width, clientHeight: height } = canvas;
  if (!width || !height || size === `${width} ${height}`) return;
  if (!size) {
    prepare();
    drawMap();
    show();
  }
  size = `${width} ${height}`;
  if (at === 0) begin();
  else bring(chosen);
  shrink();
}

resized();
new ResizeObserver(resized).observe(canvas);

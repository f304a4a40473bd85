// The steps: the sentence about each, and the buttons and keys that lead through them.

const named = (id) => element("b", {}, boxes[id].name);
const phase = (text) => element("span", { class: "phase" }, text);

let player = 0;

function sentence() {
  const { kind, box, arrivals: given } = moments[at];
  if (kind === "start") {
    if (data.problem && !data.forward.length) return [data.problem];
    const leaves = order.filter((id) => ["an input", "a parameter"].includes(boxes[id].kind));
    const from = leaves.slice(0, 8).flatMap((id, i) => [i ? ", " : " from ", named(id)]);
    const more = leaves.length > 8 ? [" and others"] : [];
    return [named(data.root), ...from, ...more, ". Step on to compute it."];
  }
  if (kind === "forward") {
    const { made, value, name } = boxes[box];
    const told = (made || name) + (value ? ` = ${brief(value)}` : "");
    return [phase("Forward"), " ", element("code", {}, told), ...problemAtEnd()];
  }
  if (kind === "seed") {
    const seed = "number" in data.seed ? "is 1" : "is ones, as for the sum";
    const next = steps.length ? "Step on to pass it back." : "It has no inputs.";
    const problem = data.problem ? ` ${data.problem}` : ` ${next}`;
    return [phase("Backward"), " The gradient of ", named(box), ` with respect to itself ${seed}.`,
      problem];
  }
  const to = given.map(({ box: id, amount }, i) => {
    return [i ? " and " : " passes back ", `${brief(amount)} to `, named(id)];
  });
  const end = at === last ? ". Every gradient is complete now." : ".";
  return [phase("Backward"), " ", named(box), ...to.flat(), end];
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
  tell();
  panel.scrollTop = 0;
  document.body.dataset.phase = moments[at].kind;
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
  tell();
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

// A phone is turned, a window gets another size.
addEventListener("resize", () => {
  if (at === 0) begin();
  else reveal(chosen);
  shrink();
});

addEventListener("keydown", (event) => {
  const action = keys[event.key];
  if (!action || event.ctrlKey || event.metaKey || event.altKey) return;
  const own = event.key === " " ? "button, summary, select" : "#scrub, select"; // they use the key
  if (event.target.closest(own)) return;
  event.preventDefault();
  buttons[action]();
});

$("start").textContent = data.seed
  ? "Forward, then backward, one node at a time."
  : "Forward, one node at a time.";
prepare();
drawMap();
show();
begin();

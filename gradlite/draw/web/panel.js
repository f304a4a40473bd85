// The panel: what is known of the selected box, and the chain rule with its numbers.

const panel = $("panel");

function link(id) {
  const button = element("button", {}, boxes[id].name);
  button.addEventListener("click", () => {
    choose(id);
    reveal(id);
    panel.focus(); // the button is gone
  });
  return button;
}

function math(mathml, name = "formula") {
  const made = element("div", { class: `fit ${name}` });
  made.innerHTML = mathml; // written by formulas.py and chain.py
  return made;
}

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
    parts.push(element("div", { class: "fit" }, element("table", {}, ...rows)));
    if (summary.more) parts.push(element("p", { class: "quiet" }, "The first entries."));
  }
  return parts;
}

// -- forward ------------------------------------------------------------------------------

function forwardOf(id) {
  const box = boxes[id];
  if (!box.op.length) return [];
  const rule = data.rules[box.rule];
  const known = !isPending(id) && box.value ? outcome(box.value) : "";
  const parts = [element("h3", {}, "Forward", element("small", {}, box.op.join(", ")))];
  if (rule?.definition) parts.push(math(rule.definition));
  if (box.made) parts.push(element("pre", {}, box.made + known));
  if (box.where) parts.push(element("pre", { class: "quiet" }, box.where));
  return [element("section", { id: "forward" }, ...parts)];
}

// -- the chain rule -----------------------------------------------------------------------

function chainOf(id) {
  const { rule: place, arguments: given, note } = boxes[id];
  if (place === null) return note ? [element("h3", {}, "Chain rule"), element("p", {}, note)] : [];
  const rule = data.rules[place];
  const used = given.flatMap(({ name, box, is }) => [
    element("dt", {}, name),
    element("dd", {}, box ? link(box) : is),
  ]);
  const section = element("section", { id: "rule" });
  section.append(
    element("h3", {}, "Chain rule", element("small", {}, `L is ${boxes[data.root].name}`)),
    element("dl", {}, ...used, element("dt", {}, rule.result), element("dd", {}, boxes[id].name)),
    ...wanted(id, rule.formulas, given).map((formula) => derivativeOf(id, formula, given)),
    ...rule.words.map((words) => math(words, "words")),
    pythonOf(rule.formulas),
  );
  return [section];
}

// The boxes that an argument stands for, x1 and x2 for x of any number, if a gradient reaches them.
function takers(id, { symbol }, given) {
  const name = new RegExp(`^${symbol}\\d*$`);
  const ids = given.filter((argument) => name.test(argument.name)).map(({ box }) => box);
  return [...new Set(ids)].filter((box) => arrivals[box]?.some(({ from }) => from === id));
}

// The formulas of the arguments that get a gradient here; all, if none does.
function wanted(id, formulas, given) {
  const found = formulas.filter((formula) => takers(id, formula, given).length);
  return found.length ? found : formulas;
}

// What an argument gets: the formula and, once it has arrived, the numbers.
function derivativeOf(id, formula, given) {
  const made = element("div", { class: "derivative" });
  if (formula.mathml) made.append(math(formula.mathml));
  for (const to of takers(id, formula, given)) {
    const arrival = arrivals[to].find(({ from }) => from === id);
    if (!arrival.chain) continue;
    const { where, mathml, code } = arrival.chain;
    if (arrival.at <= at && mathml) {
      if (where) made.append(element("p", { class: "quiet" }, `At ${where}:`));
      made.append(math(mathml, "numbers"));
    }
    if (code) made.append(element("pre", {}, statement(arrival)));
  }
  return made;
}

function statement({ at: when, chain, amount }) {
  if (!chain?.code) return "";
  if (when > at) return chain.code;
  return chain.numbers && !chain.where ? `${chain.code} = ${chain.numbers}` : chain.code + outcome(amount);
}

function pythonOf(formulas) {
  const sources = formulas.map(({ source }) => source).filter(Boolean);
  const known = formulas.every(({ mathml }) => mathml);
  const open = known ? {} : { open: "" };
  return element(
    "details",
    open,
    element("summary", {}, "The rule in Python"),
    element("pre", {}, sources.join("\n\n")),
    element("p", { class: "quiet" }, "g is the gradient of this result, ans the result itself."),
  );
}

// -- the gradient -------------------------------------------------------------------------

function gradientOf(id) {
  const all = arrivals[id];
  const now = arrived(id);
  if (!all.length) return element("p", { class: "quiet" }, "No gradient reaches this box.");
  const known = {
    "": all.length === 1 ? "yet to arrive" : `0 of ${all.length} have arrived`,
    arriving: `${now.length} of ${all.length} have arrived`,
    complete: "complete",
  }[state(id)];
  const heading = element("h3", {}, "Gradient", element("small", { class: state(id) }, known));
  const hooks = "backward() passes this gradient to hooks; this page does not call them.";
  const warning = boxes[id].hooked ? [element("p", { class: "quiet" }, hooks)] : [];
  const total = now.at(-1)?.total; // a box of repeats has none
  const content = total ? described(total) : [];
  const given = all.map((arrival) => {
    const { at: when, from, amount } = arrival;
    const source = element("span", {}, "from ", from ? link(from) : "the seed");
    if (when > at) return element("li", { class: "later" }, source, `at step ${when}`);
    const text = statement(arrival);
    const line = text ? [element("pre", {}, text)] : [];
    return element("li", {}, source, brief(amount), ...line);
  });
  const list = element("ul", {}, ...given);
  return element("section", { id: "gradient" }, heading, ...warning, ...content, list);
}

function valueOf({ value }) {
  if (!value) return [];
  return [element("section", { id: "value" }, element("h3", {}, "Value"), ...described(value))];
}

function showPanel() {
  const box = boxes[chosen];
  const value = isPending(chosen) ? [] : valueOf(box);
  const gradient = data.seed ? [gradientOf(chosen)] : [];
  const isLeaf = !box.op.length;
  panel.replaceChildren(
    element("p", { class: "quiet" }, box.kind),
    element("h2", {}, box.name),
    ...(isLeaf && box.where ? [element("pre", {}, box.where)] : []),
    ...forwardOf(chosen),
    ...chainOf(chosen),
    ...gradient,
    ...value,
  );
  shrink();
}

// Shrink what is wider than the panel, so that nothing is cut off.
function shrink() {
  for (const part of panel.querySelectorAll(".fit")) {
    const inside = part.firstElementChild;
    if (!inside) continue;
    part.style.fontSize = "";
    const ratio = part.clientWidth / part.scrollWidth;
    if (ratio < 1) part.style.fontSize = `${Math.max(0.45, 0.97 * ratio)}em`;
  }
}

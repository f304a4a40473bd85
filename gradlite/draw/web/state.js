"use strict";

// The data of page.py, the moments of both passes, and what has arrived at each of them.

const data = JSON.parse(document.getElementById("data").textContent);
const { boxes, steps } = data;

const $ = (id) => document.getElementById(id);

// The moments: the start, with everything shown; one result after the other is computed; the last
// gets its seed; one result after the other passes its gradient back.
const moments = [
  { kind: "start", box: data.root, arrivals: [] },
  ...data.forward.map((box) => ({ kind: "forward", box, arrivals: [] })),
];
if (data.seed) {
  moments.push({ kind: "seed", box: data.root, arrivals: [] });
  moments.push(...steps.map((step) => ({ kind: "backward", ...step })));
}
const last = moments.length - 1;
const turn = moments.findIndex(({ kind }) => kind === "seed"); // -1: there is no backward pass

let at = 0; // the moment that is shown
let chosen = data.root;

// -- what has arrived ---------------------------------------------------------------------

// For each box, its contributions in order: at which moment, from where, how much.
const arrivals = Object.fromEntries(Object.keys(boxes).map((id) => [id, []]));
if (data.seed) arrivals[data.root].push({ at: turn, amount: data.seed, total: data.seed });
moments.forEach(({ box, arrivals: given }, moment) => {
  for (const { box: to, amount, total, chain } of given) {
    arrivals[to].push({ at: moment, from: box, amount, total, chain });
  }
});

const arrived = (id) => arrivals[id].filter((arrival) => arrival.at <= at);
const state = (id) => {
  const count = arrived(id).length;
  return count === 0 ? "" : count < arrivals[id].length ? "arriving" : "complete";
};

// A result that the forward pass has yet to compute.
const computedAt = Object.fromEntries(data.forward.map((box, i) => [box, i + 1]));
const isPending = (id) => moments[at].kind === "forward" && computedAt[id] > at;

// -- numbers ------------------------------------------------------------------------------

const isPlain = (x) => x === 0 || (Math.abs(x) >= 1e-4 && Math.abs(x) < 1e6);
const short = (x) => {
  if (typeof x === "string") return x; // nan, inf
  return isPlain(x) ? x.toFixed(4) : x.toExponential(3);
};
const rounded = (x, digits = 6) => {
  if (typeof x === "string") return x;
  const short = Number(x.toPrecision(digits));
  return isPlain(x) ? String(short) : short.toExponential();
};
const brief = ({ number, norm, shape }) => {
  if (number !== undefined) return short(number);
  return norm === undefined ? shape : `norm ${short(norm)}`;
};
// What a line of Python comes to: a number, or of an array a comment on it.
const outcome = (summary) => {
  const { number, shape, norm } = summary;
  if (number !== undefined) return ` = ${rounded(number, Math.abs(number) < 1e4 ? 4 : 6)}`;
  const facts = norm === undefined ? shape : `${shape}, ${brief(summary)}`;
  return `  # ${facts}`.replace(/(?<=#.*) /g, "\u00a0"); // on one line
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

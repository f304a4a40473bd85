// The program: the same computation in NumPy, with the lines of the step that is shown marked.

const program = $("program");
const listing = program.querySelector("pre");
const lines = data.program.map(({ code }) => element("span", {}, `${code}\n`));
listing.append(...lines);
program.hidden = !lines.length;

function markLines() {
  const { kind, box: shown } = moments[at];
  const isMarked = ({ phase, box }) => phase === kind && box === shown;
  lines.forEach((line, i) => line.classList.toggle("now", isMarked(data.program[i])));
  const marked = lines.filter((line) => line.matches(".now"));
  if (!program.open || !marked.length) return;
  const [top, bottom] = [marked[0].offsetTop, marked.at(-1).offsetTop + marked.at(-1).offsetHeight];
  const room = listing.clientHeight;
  listing.scrollTop = Math.min(top - 8, top - (room - (bottom - top)) / 2);
}

program.addEventListener("toggle", markLines);

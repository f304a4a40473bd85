"""Compare libraries fairly: every contender in processes of its own, rounds interleaved.

A benchmark script hands `Benchmark.main` its contenders. For every case the parent starts one
process per contender and round, in turn (A B C A B C ...), so that whatever else the machine
does meanwhile falls on all of them alike. A child checks its result, measures, and prints one
line of JSON. The parent reports the median over the rounds, and the ratio to a reference
contender: the median of the ratios within each round, because neighbours in time share the
machine's mood. What stands in brackets is the smallest and the largest of the rounds.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
# A checkout measures itself, whatever version of gradlite is installed.
sys.path.insert(0, str(ROOT))

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
Figures = dict[str, float]


@dataclass(frozen=True)
class Run:
    """What a child has to do: the case to measure, how, and in which round (a seed, say)."""

    case: str
    threads: int
    quick: bool
    round: int = 0

    def seconds(self, fn: Callable[[], object]) -> float:
        """Time one call of `fn`: warm up, then take the median of many short batches.

        A batch lasts about 10 ms (one call at least): long against the clock's resolution,
        short enough that most batches are not interrupted. The cyclic garbage collector stays
        on, as it is for the users of a library.
        """
        warm_up, measure = (0.05, 0.2) if self.quick else (0.3, 1.5)
        calls = 0
        start = time.perf_counter()
        while (spent := time.perf_counter() - start) < warm_up or calls < 3:
            fn()
            calls += 1
        batch = range(max(1, round(0.01 * calls / spent)))
        times: list[float] = []
        end = time.perf_counter() + measure
        while time.perf_counter() < end or len(times) < 5:
            start = time.perf_counter()
            for _ in batch:
                fn()
            times.append((time.perf_counter() - start) / len(batch))
        return statistics.median(times)


@dataclass(frozen=True)
class Contender:
    """A library, what it needs installed, and the function that checks and measures it.

    It takes part in all cases, or in those of `cases`.
    """

    name: str
    measure: Callable[[Run], Figures]
    package: str
    cases: Sequence[str] | None = None

    @property
    def installed(self) -> bool:
        """Whether the package can be imported (found, without importing it here)."""
        return importlib.util.find_spec(self.package) is not None


@dataclass(frozen=True)
class Benchmark:
    """A comparison: what `main` needs to run a script as parent and as child."""

    script: str
    doc: str
    unit: str
    contenders: Sequence[Contender]
    reference: str
    cases: Sequence[str] = ("",)
    rounds: int = 5

    def main(self) -> int:
        """Run the script; give its exit status."""
        parser = options(self.doc, self.rounds)
        parser.add_argument("--threads", type=positive, default=1, help="threads for everybody")
        parser.add_argument("--child", help=argparse.SUPPRESS)
        parser.add_argument("--case", default="", help=argparse.SUPPRESS)
        parser.add_argument("--round", type=int, default=0, help=argparse.SUPPRESS)
        args = parser.parse_args()
        if args.child:
            return self._child(args.child, Run(args.case, args.threads, args.quick, args.round))
        rounds = args.rounds or (2 if args.quick else self.rounds)
        return interruptible(lambda: self._parent(rounds, args.threads, args.quick))

    def _child(self, name: str, run: Run) -> int:
        contender = next(c for c in self.contenders if c.name == name)
        try:
            print(json.dumps(contender.measure(run)))
        except KeyboardInterrupt:  # the parent got it too, and speaks for both
            return 130
        return 0

    def _parent(self, rounds: int, threads: int, quick: bool) -> int:
        present = [c for c in self.contenders if c.installed]
        print(describe_machine(c.package for c in present))
        print(f"rounds: {rounds}, threads: {threads}")
        for c in self.contenders:
            if not c.installed:
                print(f"skipped {c.name}: it is not installed (pip install {c.package})")
        failed = False
        for case in self.cases:
            run = Run(case, threads, quick)
            names = [c.name for c in present if c.cases is None or case in c.cases]
            results, errors = self._interleave(names, run, rounds)
            for name, error in errors.items():
                print(f"\n{name} did not finish:\n{error}")
            for figure in next(iter(results.values()), [{}])[0]:
                values = {name: [r[figure] for r in rows] for name, rows in results.items()}
                title = ", ".join(part for part in (case, figure) if part)
                print_table(title, self.unit, values, self.reference)
            failed = failed or bool(errors)
        return int(failed)

    def _interleave(
        self, names: Sequence[str], run: Run, rounds: int
    ) -> tuple[dict[str, list[Figures]], dict[str, str]]:
        """Run A B C A B C ...; a contender that goes wrong once is left out from then on."""
        results: dict[str, list[Figures]] = {name: [] for name in names}
        errors: dict[str, str] = {}
        for i in range(rounds):
            for name in names:
                if name in errors:
                    continue
                progress(f"{run.case} round {i + 1}/{rounds}: {name}")
                child = self._start(name, replace(run, round=i))
                if child.returncode == 0:
                    results[name].append(json.loads(child.stdout.splitlines()[-1]))
                else:
                    errors[name] = child.stderr.strip()
                    del results[name]
        progress("")
        return results, errors

    def _start(self, name: str, run: Run) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, os.path.abspath(self.script), "--child", name]
        command += ["--case", run.case, "--threads", str(run.threads), "--round", str(run.round)]
        command += ["--quick"] if run.quick else []
        # BLAS reads these once, when it is loaded: they must be there before the child starts.
        threads = dict.fromkeys(THREAD_VARIABLES, str(run.threads))
        return subprocess.run(
            command, env={**os.environ, **threads}, capture_output=True, text=True, check=False
        )


def options(doc: str, rounds: int) -> argparse.ArgumentParser:
    """Make the parser of the options that all benchmarks have."""
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=positive, help=f"processes per contender ({rounds})")
    parser.add_argument("--quick", action="store_true", help="a short look, not a measurement")
    return parser


def positive(text: str) -> int:
    """Read a number of rounds or threads."""
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def interruptible(report: Callable[[], int]) -> int:
    """Call `report`, and leave quietly at Ctrl-C."""
    try:
        return report()
    except KeyboardInterrupt:
        progress("")
        print("interrupted", file=sys.stderr)
        return 130


def progress(text: str) -> None:
    """Print progress on the terminal; nothing where the output goes to a file."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def describe_machine(packages: Iterable[str]) -> str:
    """Name the machine, Python and the versions in one line."""
    parts = [f"{processor()}, {os.cpu_count()} cores", f"Python {platform.python_version()}"]
    for package in dict.fromkeys(("numpy", *packages)):
        parts.append("gradlite here" if package == "gradlite" else f"{package} {version(package)}")
    return "; ".join(parts)


def processor() -> str:
    """Name the processor as far as the standard library can tell."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    except OSError:
        names = []
    return f"{(names or [platform.processor()])[0]} {platform.system()} {platform.machine()}"


def version(package: str) -> str:
    """Return the version of an installed package, whatever its distribution is called."""
    names = importlib.metadata.packages_distributions().get(package, [package])
    try:
        return importlib.metadata.version(names[0])
    except importlib.metadata.PackageNotFoundError:
        return "(version unknown)"


def print_table(title: str, unit: str, values: dict[str, list[float]], reference: str) -> None:
    """Print the median of each contender's rounds, and of its ratios to the reference."""
    rows = [(title or "contender", unit, "[min - max]", f"/ {reference}", "[min - max]")]
    base = values.get(reference)
    for name, figures in values.items():
        ratios = [x / y for x, y in zip(figures, base, strict=True)] if base else []
        rows.append((name, *summary(figures), *(summary(ratios) if ratios else ("-", ""))))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    print()
    for name, *cells in rows:
        line = [name.ljust(widths[0])]
        line += [cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True)]
        print("  ".join(line).rstrip())


def summary(figures: Sequence[float]) -> tuple[str, str]:
    """Write the median and the range of the rounds."""
    low, high = short(min(figures)), short(max(figures))
    return short(statistics.median(figures)), f"[{low} - {high}]"


def short(figure: float) -> str:
    """Write about three significant digits, without an exponent."""
    digits = 0 if abs(figure) >= 100 else 1 if abs(figure) >= 10 else 2
    return f"{figure:.{digits}f}"


def use_torch(threads: int) -> Any:
    """Import torch with as many threads as everybody has."""
    import torch

    torch.set_num_threads(threads)
    return torch


def verified(fn: Callable[[], object], check: Callable[[], None]) -> Callable[[], object]:
    """Return `fn` for timing once its result has passed `check`, also when called again.

    The second call finds what goes wrong only where gradients of the first are left over.
    """
    for _ in range(2):
        fn()
        check()
    return fn

"""The time that `import gradlite` takes, beside that of `import numpy` alone.

Each import happens in a fresh interpreter, which times it itself, so that its own start does not
count; the two take turns. Compiled modules are kept in a temporary folder, so that both are read
as they are once installed, never compiled. Then the modules that gradlite loads beyond NumPy's and
its own are listed: they should all be of the standard library.

    python benchmarks/import_time.py
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from typing import Any

from _harness import ROOT, describe_machine, interruptible, options, print_table, progress

TIMED = """
import time
start = time.perf_counter()
import {}
print(time.perf_counter() - start)
"""
LOADED = """
import json, numpy, sys
before = set(sys.modules)
import gradlite
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def environment(cache: str) -> dict[str, str]:
    """Make the environment of the children: this checkout first, compiled modules in `cache`."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    env = {**os.environ, "PYTHONPATH": path, "PYTHONPYCACHEPREFIX": cache}
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    return env


def fresh(code: str, env: dict[str, str]) -> Any:
    """Run `code` in a new interpreter, and read what it prints."""
    child = subprocess.run(
        [sys.executable, "-c", code],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    if child.returncode:
        raise SystemExit(child.stderr.strip())
    return json.loads(child.stdout)


def measure(rounds: int, env: dict[str, str]) -> dict[str, list[float]]:
    """Return the times of both imports, in milliseconds."""
    times: dict[str, list[float]] = {"numpy": [], "gradlite": []}
    for name in times:  # fills the caches: files, and compiled modules
        fresh(TIMED.format(name), env)
    for i in range(rounds):
        for name, found in times.items():
            progress(f"round {i + 1}/{rounds}: {name}")
            found.append(1e3 * fresh(TIMED.format(name), env))
    progress("")
    return times


def foreign(modules: list[str]) -> tuple[list[str], list[str]]:
    """Part the modules that are neither gradlite's nor NumPy's: standard library, and the rest."""
    others = [m for m in modules if m.partition(".")[0] not in ("gradlite", "numpy")]
    standard = [m for m in others if m.partition(".")[0] in sys.stdlib_module_names]
    return standard, [m for m in others if m not in standard]


def report(rounds: int) -> int:
    """Print the times, their difference, and what else was loaded."""
    print(describe_machine(["gradlite"]))
    print(f"rounds: {rounds}")
    with tempfile.TemporaryDirectory() as cache:
        env = environment(cache)
        times = measure(rounds, env)
        standard, rest = foreign(fresh(LOADED, env))
    print_table("import", "ms", times, "numpy")
    extra = [g - n for g, n in zip(times["gradlite"], times["numpy"], strict=True)]
    print(f"\ngradlite adds {statistics.median(extra):.1f} ms (median of the rounds' differences)")
    print(f"modules loaded beyond numpy's, standard library: {', '.join(standard) or 'none'}")
    print(f"modules loaded beyond numpy's, others: {', '.join(rest) or 'none'}")
    return 0


if __name__ == "__main__":
    args = options(__doc__, 15).parse_args()
    sys.exit(interruptible(lambda: report(args.rounds or (5 if args.quick else 15))))

"""Peak memory of fit(): beside scikit-learn's, and on a file larger than it.

"arrays" is the peak of what is allocated during fit() (tracemalloc), "resident" how far the
resident memory of the process rose above what it was before (VmHWM; what data in memory takes is
there before). The first comparison fits 60,000 rows of 100 columns in float32, (128, 64), batches
of 200, one epoch. The second writes a file of 2 GB, which is removed afterwards, and fits gradlite
one epoch on its memory map, in the file's order and shuffled. The pages of the file that were read
count as resident too, until the operating system takes them back where memory is short;
scikit-learn would copy such a file. 1 MB is 10**6 bytes.

    python benchmarks/fit_memory.py
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
import tracemalloc
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from _harness import Benchmark, Contender, Figures, Run

IN_MEMORY = "60,000 x 100 in memory"
ON_DISK = ("2 GB on disk", "2 GB on disk, shuffled")
COLUMNS = 500


def resident(field: str) -> float:
    """Return what the kernel says about this process, in MB: VmRSS now, VmHWM the peak so far."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(field):
            return float(line.split()[1]) * 1024 / 1e6
    raise RuntimeError(f"/proc/self/status has no {field}: this benchmark needs Linux.")


def rise(fit: Callable[[], object]) -> float:
    """Return how far resident memory rises in a call."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # VmHWM starts again
    before = resident("VmRSS")
    fit()
    return resident("VmHWM") - before


def estimator(kind: Any, **settings: Any) -> Any:
    return kind((128, 64), batch_size=200, max_iter=1, random_state=0, **settings)


def measure(kind: Any, X: Any, y: Any, **settings: Any) -> Figures:
    """Fit with resident memory watched, then with allocations traced."""
    estimator(kind).fit(np.array(X[:400]), y[:400])  # what is imported and prepared on first use
    figures = {"resident": rise(lambda: estimator(kind, **settings).fit(X, y))}
    tracemalloc.start()
    estimator(kind, **settings).fit(X, y)
    return {**figures, "arrays": tracemalloc.get_traced_memory()[1] / 1e6}


def measure_arrays(run: Run, kind: Any) -> Figures:
    """Fit arrays in memory."""
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((60_000, 100), np.float32), rng.integers(0, 10, 60_000)
    return measure(kind, X, y)


@contextlib.contextmanager
def large_file(rows: int) -> Iterator[Path]:
    """Write a memory-mapped training file, and remove it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "X.npy")
        X = np.lib.format.open_memmap(path, "w+", np.float32, (rows, COLUMNS))
        rng = np.random.default_rng(0)
        for start in range(0, rows, 10_000):
            part = X[start : start + 10_000]
            part[:] = rng.standard_normal(part.shape, np.float32)
        X.flush()
        del X, part
        yield path


def measure_file(run: Run, kind: Any) -> Figures:
    """Fit the memory map of a file."""
    rows = (2 * 10**7 if run.quick else 2 * 10**9) // (4 * COLUMNS)
    y = np.random.default_rng(1).integers(0, 10, rows)
    with large_file(rows) as path:
        X = np.load(path, mmap_mode="r")
        return measure(kind, X, y, shuffle=run.case.endswith("shuffled"))


def measure_gradlite(run: Run) -> Figures:
    """Fit gradlite's MLPClassifier."""
    from gradlite.estimators import MLPClassifier

    warnings.simplefilter("ignore")  # that training has not converged
    return (measure_file if run.case in ON_DISK else measure_arrays)(run, MLPClassifier)


def measure_sklearn(run: Run) -> Figures:
    """Fit scikit-learn's."""
    from sklearn.neural_network import MLPClassifier

    warnings.simplefilter("ignore")
    return measure_arrays(run, MLPClassifier)


BENCHMARK = Benchmark(
    script=__file__,
    doc=__doc__,
    unit="peak, MB",
    contenders=(
        Contender("gradlite", measure_gradlite, "gradlite"),
        # It would hold the whole file.
        Contender("sklearn", measure_sklearn, "sklearn", cases=(IN_MEMORY,)),
    ),
    reference="sklearn",
    cases=(IN_MEMORY, *ON_DISK),
    rounds=3,
)

if __name__ == "__main__":
    sys.exit(BENCHMARK.main())

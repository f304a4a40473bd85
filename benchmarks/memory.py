"""Peak memory of a gradient step of the widest network: forward, cross-entropy, backward.

784-512-512-10, batch 256, float32. tracemalloc counts what NumPy allocates from the moment when
parameters and data are there: activations, gradients and everything in between, for the step
written by hand (with its buffers) and for gradlite. The figure is the peak of the third step,
when the gradient arrays of the first are in place. 1 MB is 10**6 bytes.

    python benchmarks/memory.py
"""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Callable

from _harness import Benchmark, Contender, Figures, Run
from _networks import WIDEST, HandWritten, check_gradients, gradlite_step, problem


def third_step(step: Callable[[], object]) -> Figures:
    """Return the peak during the third step, in MB, and stop tracing."""
    step()
    step()
    tracemalloc.reset_peak()
    step()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return {"": peak / 1e6}


def measure_numpy(run: Run) -> Figures:
    """Count the arrays that the hand-written step makes beforehand."""
    start = problem(run.case)
    tracemalloc.start()
    network = HandWritten(start.params, len(start.x))
    return third_step(lambda: network.step(start.x, start.targets))


def measure_gradlite(run: Run) -> Figures:
    """Count what plain Tensor code allocates, its gradients included."""
    step, params = gradlite_step(run.case)
    tracemalloc.start()
    result = third_step(step)
    check_gradients([p.grad for p in params], run.case)
    return result


BENCHMARK = Benchmark(
    script=__file__,
    doc=__doc__,
    unit="peak, MB",
    contenders=(
        Contender("numpy", measure_numpy, "numpy"),
        Contender("gradlite", measure_gradlite, "gradlite"),
    ),
    reference="numpy",
    cases=(WIDEST,),
    rounds=3,
)

if __name__ == "__main__":
    sys.exit(BENCHMARK.main())

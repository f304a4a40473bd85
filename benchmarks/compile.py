"""What gl.compile gains: the same function compiled and not, and how long compiling takes.

"hessian": of Rosenbrock's function of 20 variables. "process": the negative log-likelihood of a
Gaussian process of 50 points and its gradient, with a Cholesky factor. "convolution": the loss of
a small convolutional network on 32 images of 8 x 8 and its gradient. "trace" is the time of the
first call, in milliseconds: tracing, writing and running once.

    python benchmarks/compile.py
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from _harness import Benchmark, Contender, Figures, Run


def rosenbrock(x: Any) -> Any:
    return np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def likelihood(theta: Any, points: Any, y: Any) -> Any:
    length, variance, noise = np.exp(theta)
    distance = np.sum((points[:, None] - points[None]) ** 2, axis=-1)
    K = variance * np.exp(-0.5 * distance / length**2) + noise * np.eye(len(y))
    L = np.linalg.cholesky(K)
    return 0.5 * y @ np.linalg.solve(K, y) + np.sum(np.log(np.diagonal(L)))


def case(name: str) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """Return a function and its arguments."""
    import gradlite as gl

    rng = np.random.default_rng(0)
    if name == "hessian":
        return gl.hessian(rosenbrock), (rng.random(20),)
    if name == "process":
        points = rng.normal(size=(50, 3))
        return gl.value_and_grad(likelihood), (np.full(3, -1.0), points, np.sin(points[:, 0]))
    net = gl.nn.Sequential(
        gl.nn.Conv2d(1, 8, 3, rng=rng),
        gl.nn.ReLU(),
        gl.nn.Flatten(),
        gl.nn.Linear(288, 10, rng=rng),
    )
    x, y = rng.normal(size=(32, 1, 8, 8)).astype(np.float32), rng.integers(0, 10, 32)
    optimizer = gl.optim.SGD(net.parameters(), lr=0.01)

    def step() -> None:
        optimizer.zero_grad()
        gl.cross_entropy(net(x), y).backward()
        optimizer.step()

    compiled = gl.compile_step(net, gl.cross_entropy, optimizer)
    return step, (compiled, x, y)


def measure_tape(run: Run) -> Figures:
    fn, args = case(run.case)
    if run.case == "convolution":
        args = ()
    return {"": 1e6 * run.seconds(lambda: fn(*args))}


def measure_compiled(run: Run) -> Figures:
    import gradlite as gl

    fn, args = case(run.case)
    if run.case == "convolution":
        fast, *args = args
    else:
        fast = gl.compile(fn)
    start = time.perf_counter()
    fast(*args)
    trace = 1e3 * (time.perf_counter() - start)
    return {"": 1e6 * run.seconds(lambda: fast(*args)), "trace": trace}


BENCHMARK = Benchmark(
    script=__file__,
    doc=__doc__,
    unit="µs per call",
    contenders=(
        Contender("tape", measure_tape, "gradlite"),
        Contender("compiled", measure_compiled, "gradlite"),
    ),
    reference="tape",
    cases=("hessian", "process", "convolution"),
)

if __name__ == "__main__":
    sys.exit(BENCHMARK.main())

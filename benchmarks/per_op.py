"""What one operation costs, forward and backward, on arrays too small for anything else to count.

A chain of 41 operations on 3-element float64 arrays: ten times (multiply by `w`, tanh, add `x`,
sin), then once more multiply by `w`; backward from a cotangent of ones to the gradients of `x` and
of `w`, which are emptied before each pass as each library's users do. "forward" is the recording
pass alone. Every contender runs the same Python function, and its gradients are checked against
central differences before it is timed.

    python benchmarks/per_op.py
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from _harness import Benchmark, Contender, Figures, Run, use_torch, verified

X = np.array([0.3, -0.8, 1.1])
W = np.array([1.2, 0.9, -0.7])
ONES = np.ones(3)
LOOPS = 10
OPERATIONS = 4 * LOOPS + 1


def chain(tanh: Callable[[Any], Any], sin: Callable[[Any], Any], x: Any, w: Any) -> Any:
    """Compute the chain with a library's own functions."""
    z = x
    for _ in range(LOOPS):
        z = z * w
        z = tanh(z)
        z = z + x
        z = sin(z)
    return z * w


def check_gradients(grad_x: Any, grad_w: Any) -> None:
    """Assert that the gradients are right: entries are independent, two evaluations do for all."""
    h = 1e-6
    for grad, dx, dw in ((grad_x, h, 0), (grad_w, 0, h)):
        above = chain(np.tanh, np.sin, X + dx, W + dw)
        below = chain(np.tanh, np.sin, X - dx, W - dw)
        np.testing.assert_allclose(np.asarray(grad), (above - below) / (2 * h), rtol=1e-6)


def figures(run: Run, forward: Callable[[], object], both: Callable[[], object]) -> Figures:
    """Time both functions, in microseconds per operation."""
    scale = 1e6 / OPERATIONS
    return {
        "forward": scale * run.seconds(forward),
        "forward + backward": scale * run.seconds(both),
    }


def measure_gradlite(run: Run) -> Figures:
    """Use NumPy's functions on Tensors."""
    import gradlite as gl

    x, w = gl.Tensor(X, requires_grad=True), gl.Tensor(W, requires_grad=True)

    def forward() -> Any:
        return chain(np.tanh, np.sin, x, w)

    def both() -> None:
        x.zero_grad()
        w.zero_grad()
        forward().backward(ONES)

    return figures(run, forward, verified(both, lambda: check_gradients(x.grad, w.grad)))


def measure_compiled(run: Run) -> Figures:
    """Compile the chain, and its vector-Jacobian product."""
    import gradlite as gl

    forward = gl.compile(lambda x, w: chain(np.tanh, np.sin, x, w))
    pull = gl.compile(lambda x, w, g: gl.vjp(lambda x, w: chain(np.tanh, np.sin, x, w), x, w)[1](g))

    def both() -> None:
        result[:] = pull(X, W, ONES)

    result: list[Any] = []
    return figures(run, lambda: forward(X, W), verified(both, lambda: check_gradients(*result)))


def measure_torch(run: Run) -> Figures:
    """Use eager PyTorch; ``grad = None`` is what its optimisers' zero_grad does."""
    torch = use_torch(run.threads)
    x, w = torch.tensor(X, requires_grad=True), torch.tensor(W, requires_grad=True)
    ones = torch.tensor(ONES)

    def forward() -> Any:
        return chain(torch.tanh, torch.sin, x, w)

    def both() -> None:
        x.grad = w.grad = None
        forward().backward(ones)

    return figures(run, forward, verified(both, lambda: check_gradients(x.grad, w.grad)))


def measure_mygrad(run: Run) -> Figures:
    """Use MyGrad as installed, its memory guard on; a new operation empties old gradients."""
    import mygrad as mg

    x, w = mg.Tensor(X), mg.Tensor(W)

    def forward() -> Any:
        return chain(mg.tanh, mg.sin, x, w)

    def both() -> None:
        forward().backward(ONES)

    return figures(run, forward, verified(both, lambda: check_gradients(x.grad, w.grad)))


def measure_autograd(run: Run) -> Figures:
    """Use autograd's vector-Jacobian product, which returns its gradients."""
    import autograd
    import autograd.numpy as anp

    def function(x: Any, w: Any) -> Any:
        return chain(anp.tanh, anp.sin, x, w)

    pullback = autograd.make_vjp(function, (0, 1))
    result: list[Any] = []

    def forward() -> Any:
        return pullback(X, W)

    def both() -> None:
        vjp, _ = pullback(X, W)
        result[:] = vjp(ONES)

    return figures(run, forward, verified(both, lambda: check_gradients(*result)))


BENCHMARK = Benchmark(
    script=__file__,
    doc=__doc__,
    unit="µs per operation",
    contenders=(
        Contender("gradlite", measure_gradlite, "gradlite"),
        Contender("compiled", measure_compiled, "gradlite"),
        Contender("torch", measure_torch, "torch"),
        Contender("mygrad", measure_mygrad, "mygrad"),
        Contender("autograd", measure_autograd, "autograd"),
    ),
    reference="torch",
    rounds=7,
)

if __name__ == "__main__":
    sys.exit(BENCHMARK.main())

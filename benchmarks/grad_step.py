"""A gradient step of three networks: forward, softmax cross-entropy, backward; no optimiser.

float32, ReLU in the hidden layers, integer targets, mean loss, and gradients of all parameters.
The reference "numpy" is written by hand with reused buffers, as a careful engineer writes it;
"numpy, tuned" is the same with every trick that was found to pay, which few would write (both in
_networks.py). The others are written as each library's users write them. All start from the same
weights, and before one is timed its gradients are checked, to a relative error of 1e-4.

    python benchmarks/grad_step.py
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from _harness import Benchmark, Contender, Figures, Run, use_torch, verified
from _networks import NETWORKS, HandWritten, Tuned, check_gradients, gradlite_step, problem


def measure_numpy(run: Run) -> Figures:
    """Time the step written by hand."""
    return measure_by_hand(run, HandWritten)


def measure_tuned(run: Run) -> Figures:
    """Time the tuned step."""
    return measure_by_hand(run, Tuned)


def measure_by_hand(run: Run, kind: type[HandWritten] | type[Tuned]) -> Figures:
    """Time a hand-written network."""
    start = problem(run.case)
    network = kind(start.params, len(start.x))
    step = verified(
        lambda: network.step(start.x, start.targets),
        lambda: check_gradients(network.grads, run.case),
    )
    return {"": 1e6 * run.seconds(step)}


def measure_gradlite(run: Run) -> Figures:
    """Use plain Tensor code."""
    step, params = gradlite_step(run.case)
    step = verified(step, lambda: check_gradients([p.grad for p in params], run.case))
    return {"": 1e6 * run.seconds(step)}


def measure_torch(run: Run) -> Figures:
    """Use eager PyTorch, whose weights are (out, in); an optimiser's zero_grad sets None."""
    torch = use_torch(run.threads)
    F = torch.nn.functional
    start = problem(run.case)
    params = [torch.tensor(np.ascontiguousarray(p.T), requires_grad=True) for p in start.params]
    layers = list(zip(params[0::2], params[1::2], strict=True))
    x, targets = torch.tensor(start.x), torch.tensor(start.targets)

    def step() -> Any:
        for p in params:
            p.grad = None
        h = x
        for W, b in layers[:-1]:
            h = F.relu(F.linear(h, W, b))
        loss = F.cross_entropy(F.linear(h, *layers[-1]), targets)
        loss.backward()
        return loss

    def check() -> None:
        check_gradients([p.grad.numpy().T for p in params], run.case)

    return {"": 1e6 * run.seconds(verified(step, check))}


def measure_mygrad(run: Run) -> Figures:
    """Use MyGrad as installed, its memory guard on; a new operation empties old gradients."""
    import mygrad as mg
    from mygrad.nnet.activations import relu
    from mygrad.nnet.losses import softmax_crossentropy

    start = problem(run.case)
    params = [mg.Tensor(p) for p in start.params]
    layers = list(zip(params[0::2], params[1::2], strict=True))

    def step() -> Any:
        h: Any = start.x
        for W, b in layers[:-1]:
            h = relu(mg.matmul(h, W) + b)
        W, b = layers[-1]
        loss = softmax_crossentropy(mg.matmul(h, W) + b, start.targets)
        loss.backward()
        return loss

    step = verified(step, lambda: check_gradients([p.grad for p in params], run.case))
    return {"": 1e6 * run.seconds(step)}


def measure_autograd(run: Run) -> Figures:
    """Use autograd as its own example of a network does: one-hot targets, here made beforehand."""
    import autograd
    import autograd.numpy as anp
    from autograd.scipy.special import logsumexp

    start = problem(run.case)
    classes = start.params[-1].size
    one_hot = np.eye(classes, dtype=np.float32)[start.targets]

    def mean_loss(params: list[Any]) -> Any:
        h = start.x
        for W, b in zip(params[0:-2:2], params[1:-2:2], strict=True):
            h = anp.maximum(anp.dot(h, W) + b, 0)
        z = anp.dot(h, params[-2]) + params[-1]
        return anp.mean(logsumexp(z, axis=1) - anp.sum(z * one_hot, axis=1))

    gradient = autograd.value_and_grad(mean_loss)
    result: list[Any] = []

    def step() -> None:
        result[:] = gradient(start.params)[1]

    return {"": 1e6 * run.seconds(verified(step, lambda: check_gradients(result, run.case)))}


BENCHMARK = Benchmark(
    script=__file__,
    doc=__doc__,
    unit="µs per step",
    contenders=(
        Contender("numpy", measure_numpy, "numpy"),
        Contender("numpy, tuned", measure_tuned, "numpy"),
        Contender("gradlite", measure_gradlite, "gradlite"),
        Contender("torch", measure_torch, "torch"),
        Contender("mygrad", measure_mygrad, "mygrad"),
        Contender("autograd", measure_autograd, "autograd"),
    ),
    reference="numpy",
    cases=tuple(NETWORKS),
)

if __name__ == "__main__":
    sys.exit(BENCHMARK.main())

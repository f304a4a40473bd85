"""A training step of three networks: forward, softmax cross-entropy, backward, Adam.

float32, ReLU in the hidden layers, integer targets, mean loss, PyTorch's Adam, rate 0.001. The
reference "numpy" is written by hand with reused buffers and an Adam in place, as a careful
engineer writes it (_networks.py). The others are written as each library's users write them:
gradlite with nn and optim, uncompiled and with compile_step, PyTorch eager with its fused Adam, JAX
as one compiled function that may reuse the memory of its parameters. All start from the same
weights, and before one is timed, five steps must have moved its parameters as the steps by hand do.

    python benchmarks/train_step.py
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from _harness import Benchmark, Contender, Figures, Run, use_torch
from _networks import ADAM, CHECKED_STEPS, NETWORKS, by_hand, check_training, problem


def timed(
    run: Run, step: Callable[[], object], params: Callable[[], Sequence[np.ndarray]]
) -> Figures:
    """Check the first steps, and time the next."""
    for _ in range(CHECKED_STEPS):
        step()
    check_training(params(), run.case)
    return {"": 1e6 * run.seconds(step)}


def measure_numpy(run: Run) -> Figures:
    """Time the step written by hand."""
    step, params = by_hand(run.case)
    return timed(run, step, lambda: params)


def network(start: Any) -> tuple[Any, Any]:
    """Make the network of Modules, with its optimiser."""
    import gradlite as gl

    layers: list[gl.nn.Module] = []
    for W, b in zip(start.params[0::2], start.params[1::2], strict=True):
        layer = gl.nn.Linear(*W.shape)
        layer.load_state_dict({"weight": W.T, "bias": b})
        layers += [layer, gl.nn.ReLU()]
    net = gl.nn.Sequential(*layers[:-1])
    lr, *betas, eps = ADAM
    return net, gl.optim.Adam(net.parameters(), lr=lr, betas=betas, eps=eps)


def measure_gradlite(run: Run) -> Figures:
    """Use Modules and the optimiser."""
    import gradlite as gl

    start = problem(run.case)
    net, optimizer = network(start)

    def step() -> None:
        optimizer.zero_grad()
        loss = gl.nn.cross_entropy(net(start.x), start.targets)
        loss.backward()
        optimizer.step()

    return timed(run, step, lambda: [p.data.T for p in net.parameters()])


def measure_compiled(run: Run) -> Figures:
    """Use the same, compiled."""
    import gradlite as gl

    start = problem(run.case)
    net, optimizer = network(start)
    step = gl.compile_step(net, gl.cross_entropy, optimizer)
    return timed(
        run, lambda: step(start.x, start.targets), lambda: [p.data.T for p in net.parameters()]
    )


def measure_torch(run: Run) -> Figures:
    """Use eager PyTorch, Modules and the fused Adam."""
    torch = use_torch(run.threads)
    start = problem(run.case)
    layers: list[Any] = []
    for W, b in zip(start.params[0::2], start.params[1::2], strict=True):
        layer = torch.nn.Linear(*W.shape)
        layer.load_state_dict({"weight": torch.tensor(W.T), "bias": torch.tensor(b)})
        layers += [layer, torch.nn.ReLU()]
    net = torch.nn.Sequential(*layers[:-1])
    lr, *betas, eps = ADAM
    optimizer = torch.optim.Adam(net.parameters(), lr=lr, betas=betas, eps=eps, fused=True)
    loss_of = torch.nn.CrossEntropyLoss()
    x, targets = torch.tensor(start.x), torch.tensor(start.targets)

    def step() -> None:
        optimizer.zero_grad()
        loss = loss_of(net(x), targets)
        loss.backward()
        optimizer.step()

    return timed(run, step, lambda: [p.detach().numpy().T for p in net.parameters()])


def measure_jax(run: Run) -> Figures:
    """Use JAX: one compiled function of parameters and both averages, which it may overwrite."""
    os.environ["NPROC"] = str(run.threads)  # the size of XLA's pool of threads
    os.environ["XLA_FLAGS"] = f"--xla_cpu_multi_thread_eigen={str(run.threads > 1).lower()}"
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_platforms", "cpu")
    start = problem(run.case)
    x, targets = jnp.asarray(start.x), jnp.asarray(start.targets)
    lr, beta1, beta2, eps = ADAM

    def mean_loss(params: list[Any], x: Any, targets: Any) -> Any:
        h = x
        for W, b in zip(params[0:-2:2], params[1:-2:2], strict=True):
            h = jax.nn.relu(h @ W + b)
        log_p = jax.nn.log_softmax(h @ params[-2] + params[-1])
        return -jnp.mean(jnp.take_along_axis(log_p, targets[:, None], axis=1))

    def update(state: tuple[Any, ...], x: Any, targets: Any) -> tuple[Any, Any]:
        params, ms, vs, t = state
        loss, grads = jax.value_and_grad(mean_loss)(params, x, targets)
        t = t + 1
        ms = [beta1 * m + (1 - beta1) * g for m, g in zip(ms, grads, strict=True)]
        vs = [beta2 * v + (1 - beta2) * g * g for v, g in zip(vs, grads, strict=True)]
        c1, c2 = 1 - beta1**t, 1 - beta2**t
        params = [
            p - lr * (m / c1) / (jnp.sqrt(v / c2) + eps)
            for p, m, v in zip(params, ms, vs, strict=True)
        ]
        return loss, (params, ms, vs, t)

    compiled = jax.jit(update, donate_argnums=0)
    zeros = [np.zeros_like(p) for p in start.params]
    state = jax.tree.map(jnp.array, (start.params, zeros, zeros, np.float32(0)))

    def step() -> None:
        nonlocal state
        loss, state = compiled(state, x, targets)
        loss.block_until_ready()

    return timed(run, step, lambda: [np.asarray(p) for p in state[0]])


BENCHMARK = Benchmark(
    script=__file__,
    doc=__doc__,
    unit="µs per step",
    contenders=(
        Contender("numpy", measure_numpy, "numpy"),
        Contender("gradlite", measure_gradlite, "gradlite"),
        Contender("compiled", measure_compiled, "gradlite"),
        Contender("torch", measure_torch, "torch"),
        Contender("jax", measure_jax, "jax"),
    ),
    reference="numpy",
    cases=tuple(NETWORKS),
)

if __name__ == "__main__":
    sys.exit(BENCHMARK.main())

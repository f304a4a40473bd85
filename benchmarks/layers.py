"""What layers cost beside PyTorch's: forward and backward, one thread, float32.

Activations of 65,536 elements (as 1,024 rows of 64, along which the softmax runs), two convolutions
of 64 images, and a step of a network for the digits: two convolutions (1-16-32 channels) with a
pool between them, a linear layer, cross-entropy, SGD; batches of 64. The gradient of a layer by
its input, is checked by a difference quotient before anything is timed. A
step is timed compiled as well.

    python benchmarks/layers.py
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from _harness import Benchmark, Contender, Figures, Run, use_torch, verified

ROWS = (1024, 64)
LAYERS: dict[str, tuple[str, tuple[int, ...]]] = {
    "LeakyReLU": ("LeakyReLU()", ROWS),
    "ELU": ("ELU()", ROWS),
    "SiLU": ("SiLU()", ROWS),
    "Softplus": ("Softplus()", ROWS),
    "GELU": ("GELU()", ROWS),
    "Softmax": ("Softmax(-1)", ROWS),
    "LogSoftmax": ("LogSoftmax(-1)", ROWS),
    "Conv2d 16-32 on 4 x 4": ("Conv2d(16, 32, 3, padding=1)", (64, 16, 4, 4)),
    "Conv2d 32-64 on 14 x 14": ("Conv2d(32, 64, 3, padding=1)", (64, 32, 14, 14)),
}
STEP = "step of a digits CNN"


def problem(nn: Any, case: str) -> tuple[Any, np.ndarray, np.ndarray]:
    """Return the layer of a case in a library's own words, an input and a cotangent."""
    call, shape = LAYERS[case]
    rng = np.random.default_rng(0)
    layer = eval(call, dict(vars(nn)))
    x = rng.standard_normal(shape).astype(np.float32)
    size = (shape[0], layer.out_channels, *shape[2:]) if len(shape) == 4 else shape
    return layer, x, rng.standard_normal(size).astype(np.float32)


def check(
    value: Callable[[np.ndarray], np.ndarray], x: np.ndarray, g: np.ndarray, grad: np.ndarray
) -> None:
    """Assert that the gradient by the input is right along a random direction."""
    direction = np.random.default_rng(1).standard_normal(x.shape).astype(np.float32)
    h = np.float32(1e-2)
    above, below = (value(x + s * h * direction).astype(float) for s in (1, -1))
    expected = np.sum((above - below) / (2 * h) * g)
    scale = np.linalg.norm(grad) * np.linalg.norm(direction)
    np.testing.assert_allclose(np.sum(grad * direction), expected, atol=1e-3 * scale)


def measure_gradlite(run: Run) -> Figures:
    """Use layers of gradlite.nn, and backward."""
    import gradlite as gl

    if run.case == STEP:
        net, optimizer, x, y = digits(gl.nn, gl.optim.SGD)

        def step() -> None:
            optimizer.zero_grad()
            gl.cross_entropy(net(x), y).backward()
            optimizer.step()

        return {"": 1e6 * run.seconds(step)}
    layer, array, g = problem(gl.nn, run.case)
    x = gl.Tensor(array, requires_grad=True)

    def both() -> None:
        x.zero_grad()
        layer.zero_grad()
        layer(x).backward(g)

    def right() -> None:
        check(lambda a: layer(gl.Tensor(a)).data, array, g, x.grad)

    return {"": 1e6 * run.seconds(verified(both, right))}


def measure_compiled(run: Run) -> Figures:
    """Compile the step."""
    import gradlite as gl

    net, optimizer, x, y = digits(gl.nn, gl.optim.SGD)
    step = gl.compile_step(net, gl.cross_entropy, optimizer)
    return {"": 1e6 * run.seconds(lambda: step(x, y))}


def measure_torch(run: Run) -> Figures:
    """Use eager PyTorch."""
    torch = use_torch(run.threads)
    if run.case == STEP:
        net, optimizer, *arrays = digits(torch.nn, torch.optim.SGD)
        inputs, y = map(torch.tensor, arrays)
        loss_of = torch.nn.CrossEntropyLoss()

        def step() -> None:
            optimizer.zero_grad()
            loss_of(net(inputs), y).backward()
            optimizer.step()

        return {"": 1e6 * run.seconds(step)}
    layer, array, g = problem(torch.nn, run.case)
    x, cotangent = torch.tensor(array, requires_grad=True), torch.tensor(g)

    def both() -> None:
        x.grad = None
        layer.zero_grad()
        layer(x).backward(cotangent)

    def right() -> None:
        check(lambda a: layer(torch.tensor(a)).detach().numpy(), array, g, x.grad.numpy())

    return {"": 1e6 * run.seconds(verified(both, right))}


def digits(nn: Any, sgd: Any) -> tuple[Any, Any, np.ndarray, np.ndarray]:
    """Return a network for images of 8 x 8 pixels, its optimiser, and a batch."""
    net = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(512, 10),
    )  # fmt: skip
    rng = np.random.default_rng(0)
    x = rng.standard_normal((64, 1, 8, 8)).astype(np.float32)
    return net, sgd(net.parameters(), lr=0.01), x, rng.integers(0, 10, 64)


BENCHMARK = Benchmark(
    script=__file__,
    doc=__doc__,
    unit="µs",
    contenders=(
        Contender("gradlite", measure_gradlite, "gradlite"),
        Contender("compiled", measure_compiled, "gradlite", cases=(STEP,)),
        Contender("torch", measure_torch, "torch"),
    ),
    reference="torch",
    cases=(*LAYERS, STEP),
)

if __name__ == "__main__":
    sys.exit(BENCHMARK.main())

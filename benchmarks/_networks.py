"""The networks of the benchmarks, and the training step a careful NumPy user writes by hand."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np


class Network(NamedTuple):
    """The sizes of the layers, and of a minibatch."""

    sizes: tuple[int, ...]
    batch: int


NETWORKS = {
    "2-16-16-2, batch 100": Network((2, 16, 16, 2), 100),
    "64-128-64-10, batch 128": Network((64, 128, 64, 10), 128),
    "784-512-512-10, batch 256": Network((784, 512, 512, 10), 256),
}
WIDEST = "784-512-512-10, batch 256"
ADAM = (1e-3, 0.9, 0.999, 1e-8)  # rate, decay of both averages, epsilon
CHECKED_STEPS = 5


class Problem(NamedTuple):
    """Weights (in, out) and biases by turns, a minibatch and its classes: the same everywhere."""

    params: list[np.ndarray]
    x: np.ndarray
    targets: np.ndarray


def problem(name: str) -> Problem:
    """Make the seeded float32 start that every contender gets."""
    sizes, batch = NETWORKS[name]
    rng = np.random.default_rng(0)
    params: list[np.ndarray] = []
    for n, m in pairwise(sizes):
        params.append(rng.standard_normal((n, m), dtype=np.float32) * np.sqrt(2 / n, dtype="f"))
        # Not zero, so that a bias left out would show in the gradients.
        params.append(0.1 * rng.standard_normal(m, dtype=np.float32))
    x = rng.standard_normal((batch, sizes[0]), dtype=np.float32)
    return Problem(params, x, rng.integers(0, sizes[-1], batch))


class HandWritten:
    """Forward, softmax cross-entropy and backward in NumPy, with every large array made beforehand.

    What a careful engineer writes: matrix products, activations and gradients go to buffers that
    are reused, operations work in place where they can.
    """

    def __init__(self, params: list[np.ndarray], batch: int) -> None:
        self.weights, self.biases = params[0::2], params[1::2]
        self.grads = [np.empty_like(p) for p in params]
        self.outputs = [np.empty((batch, b.size), np.float32) for b in self.biases]
        self.deltas = [np.empty_like(h) for h in self.outputs[:-1]]
        self.rows = np.arange(batch)

    def step(self, x: np.ndarray, targets: np.ndarray) -> float:
        """Write the gradients of the mean loss to `grads`, and give the loss."""
        below = x
        for h, W, b in zip(self.outputs, self.weights, self.biases, strict=True):
            np.matmul(below, W, out=h)
            h += b
            if h is not self.outputs[-1]:
                np.maximum(h, 0, out=h)
            below = h
        z = self.outputs[-1]
        z -= z.max(axis=1, keepdims=True)
        picked = z[self.rows, targets]
        np.exp(z, out=z)
        total = z.sum(axis=1, keepdims=True)
        loss = float(np.mean(np.log(total[:, 0]) - picked))
        z /= total
        z[self.rows, targets] -= 1
        z /= len(x)
        self._backward(x, z)
        return loss

    def _backward(self, x: np.ndarray, g: np.ndarray) -> None:
        """Go back through the layers from the gradient of the logits."""
        for i in range(len(self.weights) - 1, -1, -1):
            below = self.outputs[i - 1] if i else x
            np.matmul(below.T, g, out=self.grads[2 * i])
            np.sum(g, axis=0, out=self.grads[2 * i + 1])
            if i:
                g = np.matmul(g, self.weights[i].T, out=self.deltas[i - 1])
                g *= below > 0


class Tuned:
    """The step of `HandWritten` with every trick that was found to pay.

    What makes it fast: nothing larger than a row is allocated in a step; `np.dot` has less
    overhead than `np.matmul`; sums along an axis are products with a vector of ones; the largest
    logits are sought in a transposed copy, along the long axis; and on the way back the gradient
    of a hidden layer takes the place of its activations.
    """

    def __init__(self, params: list[np.ndarray], batch: int) -> None:
        self.weights, self.biases = params[0::2], params[1::2]
        self.grads = [np.empty_like(p) for p in params]
        self.outputs = [np.empty((batch, b.size), np.float32) for b in self.biases]
        self.active = [np.empty(h.shape, bool) for h in self.outputs[:-1]]
        self.transposed = np.empty(self.outputs[-1].shape[::-1], np.float32)
        self.rows = np.arange(batch) * self.biases[-1].size
        self.flat = np.empty_like(self.rows)
        self.picked, self.sums, self.scale = np.empty((3, batch), np.float32)
        self.ones = np.ones(batch, np.float32)
        self.ones_classes = np.ones(self.biases[-1].size, np.float32)

    def step(self, x: np.ndarray, targets: np.ndarray) -> float:
        """Write the gradients of the mean loss to `grads`, and give the loss."""
        below = x
        for h, W, b in zip(self.outputs, self.weights, self.biases, strict=True):
            np.dot(below, W, out=h)
            np.add(h, b, out=h)
            if h is not self.outputs[-1]:
                np.maximum(h, 0, out=h)
            below = h
        loss = self._cross_entropy(targets)
        self._backward(x)
        return loss

    def _cross_entropy(self, targets: np.ndarray) -> float:
        """Turn the logits into their gradient in place, and give the mean loss."""
        z, sums, n = self.outputs[-1], self.sums, len(targets)
        np.copyto(self.transposed, z.T)
        np.maximum.reduce(self.transposed, axis=0, out=sums)
        np.subtract(z, sums[:, None], out=z)
        entries = z.reshape(-1)
        np.add(self.rows, targets, out=self.flat)
        entries.take(self.flat, out=self.picked, mode="clip")  # "raise" would buffer the output
        np.exp(z, out=z)
        np.dot(z, self.ones_classes, out=sums)
        np.multiply(sums, n, out=self.scale)
        np.divide(z, self.scale[:, None], out=z)
        entries[self.flat] -= np.float32(1 / n)
        np.log(sums, out=sums)
        return float(np.dot(self.ones, sums) - np.dot(self.ones, self.picked)) / n

    def _backward(self, x: np.ndarray) -> None:
        """Go back through the layers from the gradient of the logits."""
        g = self.outputs[-1]
        np.dot(self.ones, g, out=self.grads[-1])
        for i in range(len(self.active), 0, -1):
            h, active = self.outputs[i - 1], self.active[i - 1]
            np.dot(h.T, g, out=self.grads[2 * i])
            np.greater(h, 0, out=active)
            np.dot(g, self.weights[i].T, out=h)
            np.multiply(h, active, out=h)
            np.dot(self.ones, h, out=self.grads[2 * i - 1])
            g = h
        np.dot(x.T, g, out=self.grads[0])


class AdamByHand:
    """Adam in place, parameter by parameter, with two scratch arrays for each."""

    def __init__(self, params: list[np.ndarray], grads: list[np.ndarray]) -> None:
        self.slots = [
            (p, g, np.zeros_like(p), np.zeros_like(p), np.empty_like(p), np.empty_like(p))
            for p, g in zip(params, grads, strict=True)
        ]
        self.t = 0

    def step(self) -> None:
        """Move all parameters against their gradients."""
        lr, beta1, beta2, eps = ADAM
        self.t += 1
        root = math.sqrt(1 - beta2**self.t)
        rate = lr * root / (1 - beta1**self.t)
        for p, g, m, v, s, r in self.slots:
            m *= beta1
            np.multiply(g, 1 - beta1, out=s)
            m += s
            v *= beta2
            np.multiply(g, g, out=s)
            s *= 1 - beta2
            v += s
            np.sqrt(v, out=r)
            r += eps * root
            np.divide(m, r, out=r)
            r *= rate
            p -= r


def check_gradients(grads: Sequence[Any], name: str) -> None:
    """Assert that a contender's gradients are those of the hand-written step."""
    start = problem(name)
    reference = Tuned(start.params, len(start.x))
    reference.step(start.x, start.targets)
    for grad, expected in zip(grads, reference.grads, strict=True):
        assert grad.shape == expected.shape
        assert grad.dtype == expected.dtype
        error = np.linalg.norm(grad - expected) / np.linalg.norm(expected)
        assert error < 1e-4, f"a gradient of shape {grad.shape} is wrong by {error:.1e}"


def gradlite_step(name: str) -> tuple[Callable[[], object], list[Any]]:
    """Make the step in plain Tensor code, and the parameters whose ``grad`` it fills."""
    import gradlite as gl  # here, so that no other contender has to load it

    start = problem(name)
    params = [gl.Tensor(p, requires_grad=True) for p in start.params]
    layers = list(zip(params[0::2], params[1::2], strict=True))

    def step() -> object:
        for p in params:
            p.zero_grad()
        h: Any = start.x
        for W, b in layers[:-1]:
            h = gl.relu(gl.affine(h, W, b))
        loss = gl.cross_entropy(gl.affine(h, *layers[-1]), start.targets)
        loss.backward()
        return loss

    return step, params


def by_hand(name: str) -> tuple[Callable[[], object], list[np.ndarray]]:
    """Make the training step in NumPy, and the parameters that it moves."""
    start = problem(name)
    network = HandWritten(start.params, len(start.x))
    adam = AdamByHand(start.params, network.grads)

    def step() -> None:
        network.step(start.x, start.targets)
        adam.step()

    return step, start.params


def check_training(params: Sequence[Any], name: str) -> None:
    """Assert that `CHECKED_STEPS` training steps have moved the parameters as those by hand do."""
    step, expected = by_hand(name)
    for _ in range(CHECKED_STEPS):
        step()
    for p, e, p0 in zip(params, expected, problem(name).params, strict=True):
        assert p.shape == e.shape
        assert p.dtype == e.dtype
        # Adam divides by the size of the gradient: where that is near 0, so is its precision.
        error = np.linalg.norm(p - e) / np.linalg.norm(e - p0)
        assert error < 0.01, f"a parameter of shape {p.shape} went wrong by {error:.1e}"

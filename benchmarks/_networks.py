"""The networks of the benchmarks, and the training step a careful NumPy user writes by hand."""

from __future__ import annotations

from typing import NamedTuple

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
    for n, m in zip(sizes, sizes[1:], strict=False):
        params.append(rng.standard_normal((n, m), dtype=np.float32) * np.sqrt(2 / n, dtype="f"))
        # Not zero, so that a bias left out would show in the gradients.
        params.append(0.1 * rng.standard_normal(m, dtype=np.float32))
    x = rng.standard_normal((batch, sizes[0]), dtype=np.float32)
    return Problem(params, x, rng.integers(0, sizes[-1], batch))


class HandWritten:
    """Forward, softmax cross-entropy and backward in NumPy, every array made beforehand.

    What makes it fast: nothing is allocated in a step; `np.dot` has less overhead than
    `np.matmul`; sums along an axis are products with a vector of ones; the logits are kept
    transposed, (classes, batch), so that NumPy's reductions and broadcasts run along the long
    axis; and on the way back the gradient of a hidden layer takes the place of its activations.
    """

    def __init__(self, params: list[np.ndarray], batch: int) -> None:
        self.weights, self.biases = params[0::2], params[1::2]
        self.grads = [np.empty_like(p) for p in params]
        self.hidden = [np.empty((batch, b.size), np.float32) for b in self.biases[:-1]]
        self.active = [np.empty(h.shape, bool) for h in self.hidden]
        classes = self.biases[-1].size
        self.logits = np.empty((classes, batch), np.float32)
        self.row = np.empty(batch, np.float32)
        self.scale = np.empty(batch, np.float32)
        self.picked = np.empty(batch, np.float32)
        self.flat = np.empty(batch, np.intp)
        self.columns = np.arange(batch)
        self.ones = np.ones(batch, np.float32)
        self.ones_classes = np.ones(classes, np.float32)

    def step(self, x: np.ndarray, targets: np.ndarray) -> float:
        """Write the gradients of the mean loss to `grads`, and give the loss."""
        below = x
        for h, W, b in zip(self.hidden, self.weights, self.biases, strict=False):
            np.dot(below, W, out=h)
            np.add(h, b, out=h)
            np.maximum(h, 0, out=h)
            below = h
        np.dot(self.weights[-1].T, below.T, out=self.logits)
        np.add(self.logits, self.biases[-1][:, None], out=self.logits)
        loss = self._cross_entropy(targets)
        self._backward(x)
        return loss

    def _cross_entropy(self, targets: np.ndarray) -> float:
        """Turn the logits into their gradient in place, and give the mean loss."""
        z, row, n = self.logits, self.row, len(targets)
        np.maximum.reduce(z, axis=0, out=row)
        np.subtract(z, row, out=z)
        np.multiply(targets, n, out=self.flat)
        np.add(self.flat, self.columns, out=self.flat)
        entries = z.reshape(-1)
        entries.take(self.flat, out=self.picked, mode="clip")
        np.exp(z, out=z)
        np.dot(self.ones_classes, z, out=row)
        np.multiply(row, n, out=self.scale)
        np.divide(z, self.scale, out=z)
        entries[self.flat] -= np.float32(1 / n)
        np.log(row, out=row)
        return float(np.dot(self.ones, row) - np.dot(self.ones, self.picked)) / n

    def _backward(self, x: np.ndarray) -> None:
        """Go back through the layers from the gradient of the logits."""
        g = self.logits.T
        np.dot(self.logits, self.ones, out=self.grads[-1])
        for i in range(len(self.hidden), 0, -1):
            h, active = self.hidden[i - 1], self.active[i - 1]
            np.dot(h.T, g, out=self.grads[2 * i])
            np.greater(h, 0, out=active)
            np.dot(g, self.weights[i].T, out=h)
            np.multiply(h, active, out=h)
            np.dot(self.ones, h, out=self.grads[2 * i - 1])
            g = h
        np.dot(x.T, g, out=self.grads[0])

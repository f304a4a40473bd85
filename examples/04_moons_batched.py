"""The same moons in one batch: the same numbers, sooner.

You learn: that the model of example 03 takes all samples at once, as the rows of an array, and
gives a `Tensor`; that both ways fill the same gradients; and how much time the loop over samples
costs.
"""

import random
import time

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_moons

import gradlite as gl
from gradlite.nn import MLP

X, y = make_moons(100, noise=0.1, random_state=1)
y = y * 2 - 1


def loss_of_samples(model):
    """Compute the loss as in example 03: a call for each sample, Values throughout.

    (Here too, the network computes a score with arrays, layer by layer. Its Values, one for each
    product and sum, are built on first access, or when they are drawn.)
    """
    scores = [model(row) for row in X]
    losses = [(1 - yi * score).relu() for yi, score in zip(y, scores, strict=True)]
    data_loss = sum(losses) / len(losses)
    return data_loss + 1e-4 * sum(p * p for p in model.parameters())


def loss_of_batch(model):
    """Compute the same with arrays: one call for all samples gives a Tensor of 100 scores."""
    data_loss = gl.relu(1 - y * model(X)).mean()
    weights = gl.Tensor(model.parameters())  # Values and Tensors mix
    return data_loss + 1e-4 * (weights**2).sum()


def train(loss_of, steps=100):
    """Train a network; return the loss at each step, and the time of a step in milliseconds.

    The loop is the same for both losses.
    """
    random.seed(1337)
    model = MLP(2, [16, 16, 1])
    losses = []
    start = time.perf_counter()
    for step in range(steps):
        loss = loss_of(model)
        model.zero_grad()
        loss.backward()
        for p in model.parameters():
            p.data -= (1.0 - 0.9 * step / steps) * p.grad
        losses.append(float(loss))
    return np.array(losses), 1000 * (time.perf_counter() - start) / steps


one_by_one, slow = train(loss_of_samples)
batched, fast = train(loss_of_batch)
print(f"sample by sample: loss {one_by_one[-1]:.9f}, {slow:.2f} ms a step")
print(f"all in one batch: loss {batched[-1]:.9f}, {fast:.2f} ms a step")
difference = np.abs(one_by_one - batched).max()
print(f"The losses of all steps agree up to {difference:.0e}.")
print(f"The batch takes 1/{slow / fast:.0f} of the time.")

figure, (left, right) = plt.subplots(
    1, 2, figsize=(9, 3.8), width_ratios=(3, 2), layout="constrained"
)
left.plot(one_by_one, color="#E69F00", linewidth=6, alpha=0.6, label="sample by sample")
left.plot(batched, color="#0072B2", linestyle="--", label="all in one batch")
left.set(title="The same loss in every step", xlabel="step", ylabel="loss", yscale="log")
left.legend()
bars = right.bar(["sample by sample", "batch"], [slow, fast], color=["#E69F00", "#0072B2"])
right.bar_label(bars, fmt="%.2f ms", padding=2)
right.set(title=f"{slow / fast:.0f} times as fast", ylabel="milliseconds a step")
right.margins(y=0.15)
figure.savefig("04_moons_batched.png", dpi=120)
print("04_moons_batched.png shows the losses and the times.")

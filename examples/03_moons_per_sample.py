"""A network of neurons learns to tell two moons apart, one sample at a time.

You learn: to train an `MLP`, layers of neurons, as in the demonstration of micrograd: the
max-margin loss, a penalty on large weights, a falling learning rate. The script is written for
single numbers throughout.
"""

import random

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_moons

from gradlite.nn import MLP

random.seed(1337)
X, y = make_moons(100, noise=0.1, random_state=1)  # points on two half circles that interlock
y = y * 2 - 1  # the moons are called -1 and 1

model = MLP(2, [16, 16, 1])  # 2 inputs, two layers of 16 neurons, and one that gives the score
print(f"parameters: 16 (2 + 1) + 16 (16 + 1) + (16 + 1) = {len(model.parameters())}")


def loss_and_accuracy():
    """Compute the loss of all samples, and how many of them have a score of the right sign."""
    scores = [model(row) for row in X]
    # Max-margin: a sample costs nothing once its score is on the right side by 1 or more.
    losses = [(1 - yi * score).relu() for yi, score in zip(y, scores, strict=True)]
    data_loss = sum(losses) / len(losses)
    penalty = 1e-4 * sum(p * p for p in model.parameters())  # keeps the weights small
    right = [(yi > 0) == (score.data > 0) for yi, score in zip(y, scores, strict=True)]
    return data_loss + penalty, sum(right) / len(right)


for step in range(100):
    loss, accuracy = loss_and_accuracy()
    if step % 20 == 0:
        print(f"step {step:2}: loss {loss.data:.4f}, accuracy {accuracy:.2f}")
    model.zero_grad()
    loss.backward()
    rate = 1.0 - 0.9 * step / 100  # large steps at first, small ones at last
    for p in model.parameters():
        p.data -= rate * p.grad

loss, accuracy = loss_and_accuracy()
print(f"in the end: loss {loss.data:.4f}, accuracy {accuracy:.2f}")

# What has it learned? Ask for the score of each point of a grid. Where it is 0, the network
# changes its mind: the decision boundary.

across, up = np.linspace(-1.7, 2.7, 60), np.linspace(-1.2, 1.7, 40)
scores = [[model([x1, x2]).data for x1 in across] for x2 in up]

figure, ax = plt.subplots(figsize=(7, 4.6), layout="constrained")
limit = np.abs(scores).max()
filled = ax.contourf(across, up, scores, np.linspace(-limit, limit, 21), cmap="PuOr", alpha=0.8)
ax.contour(across, up, scores, [0], colors="black")
for moon, marker, colour in ((-1, "o", "#b35806"), (1, "s", "#542788")):
    points = X[y == moon]
    ax.scatter(*points.T, marker=marker, c=colour, edgecolors="white", label=f"moon {moon}")
figure.colorbar(filled, label="score", ticks=np.arange(-20, 21, 2))
ax.set(title=f"The boundary that the network has learned (accuracy {accuracy:.2f})")
ax.set(xlabel="$x_1$", ylabel="$x_2$")
ax.legend(loc="upper left")
figure.savefig("03_moons_per_sample.png", dpi=120)
print("03_moons_per_sample.png shows the moons and the boundary.")

"""The moons program of micrograd, sample by sample; then without the loop over samples.

You learn: that a script written for micrograd runs here as it is, that its model takes a whole
batch as well, and that both ways fill the same gradients.
"""

import random
import time

import numpy as np
from sklearn.datasets import make_moons

import gradlite as gl
from gradlite.engine import Value
from gradlite.nn import MLP

X, y = make_moons(100, noise=0.1, random_state=1)
y = y * 2 - 1  # -1 and 1


def loss_of_samples(model):
    """Compute the loss as for micrograd: lists of Values, a call for each sample."""
    inputs = [list(map(Value, row)) for row in X]
    scores = list(map(model, inputs))
    losses = [(1 + -yi * score).relu() for yi, score in zip(y, scores, strict=True)]
    data_loss = sum(losses) * (1.0 / len(losses))
    return data_loss + 1e-4 * sum(p * p for p in model.parameters())


def loss_of_batch(model):
    """Compute the same loss on arrays: one call for all samples, which gives a Tensor."""
    data_loss = gl.relu(1 - y * model(X)).mean()
    return data_loss + 1e-4 * sum(p * p for p in model.parameters())


def train(loss_of, steps=100):
    """Train a network; the loop does not know which of the two it is given."""
    random.seed(1337)
    model = MLP(2, [16, 16, 1])
    start = time.perf_counter()
    for step in range(steps):
        loss = loss_of(model)
        model.zero_grad()
        loss.backward()
        for p in model.parameters():
            p.data -= (1.0 - 0.9 * step / steps) * p.grad
    seconds = time.perf_counter() - start
    with gl.no_grad():
        accuracy = np.mean((model(X).data > 0) == (y > 0))
    print(f"{loss_of.__name__:16} loss {float(loss):.9f}, accuracy {accuracy:.2f}", end=", ")
    print(f"{1000 * seconds / steps:.1f} ms a step")
    return model


model = train(loss_of_samples)
train(loss_of_batch)

# What ran as arrays is still a white box: behind one score stand the products, the sums and the
# activations of 33 neurons, made when somebody looks.
score = model([0.5, -0.2])
score.backward()
nodes, waiting = set(), [score]
while waiting:
    node = waiting.pop()
    if node not in nodes:
        nodes.add(node)
        waiting.extend(node._prev)
operations = sum(1 for node in nodes if node._op)
print(f"one score of {score.data:.4f} is made by {operations} operations on single numbers")

"""A network in plain Tensor code.

You learn: to make parameters, to compute a loss, and the loop that all training is: forward,
backward, step. The task is to tell two moons apart, two half circles of points that interlock.
"""

import numpy as np
from sklearn.datasets import make_moons

import gradlite as gl

rng = np.random.default_rng(0)
x, y = make_moons(400, noise=0.15, random_state=0)
x_train, y_train = x[:300], y[:300].astype(float)
x_test, y_test = x[300:], y[300:]


def layer(n, m):
    """Draw the weights of a layer with n inputs and m outputs; its biases start at zero."""
    W = gl.Tensor(rng.normal(0, np.sqrt(2 / n), (n, m)), requires_grad=True)
    b = gl.Tensor(np.zeros(m), requires_grad=True)
    return W, b


layers = [layer(2, 16), layer(16, 16), layer(16, 1)]
parameters = [p for pair in layers for p in pair]


def logit(x):
    """Compute the network: above 0 it says "second moon", below 0 "first"."""
    for W, b in layers[:-1]:
        x = gl.relu(x @ W + b)
    W, b = layers[-1]
    return (x @ W + b)[:, 0]


rate, momentum = 0.1, 0.9
velocities = [np.zeros(p.shape) for p in parameters]
for epoch in range(1, 201):
    # Forward: from the points to one number that says how wrong the network is.
    loss = gl.bce_with_logits(logit(x_train), y_train)
    # Backward: the gradient of that number by every parameter.
    loss.backward()
    # Step: a little downhill. p.data is a plain array, so nothing of this is recorded.
    for p, v in zip(parameters, velocities, strict=True):
        v *= momentum
        v -= rate * p.grad
        p.data += v
        p.zero_grad()
    if epoch in (1, 10, 50, 100, 200):
        print(f"epoch {epoch:3}: loss {loss.item():.4f}")

# To predict, no gradient is needed, and nothing need be remembered.
with gl.no_grad():
    predicted = logit(x_test) > 0
accuracy = np.mean(predicted == y_test)
print(f"accuracy on {len(y_test)} points not seen before: {accuracy:.2f}")

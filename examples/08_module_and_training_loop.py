"""A network as a Module, and the training loop in full.

You learn: to write a `Module`; and the loop behind all training, with the parts that gradlite has
for it: layers (`nn`), batches (`data`), an optimiser (`optim`) and a schedule (`schedules`).
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import ListedColormap

import gradlite as gl
from gradlite import nn

EPOCHS, BATCH = 40, 64


def spirals(n, rng):
    """Draw n points of each of three spiral arms, (3 n, 2), and the number of the arm of each."""
    arm = np.repeat(np.arange(3), n)
    radius = rng.uniform(0.1, 1, 3 * n)
    angle = 4 * radius + 2 * np.pi / 3 * arm + rng.normal(0, 0.15, 3 * n)
    points = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return points.astype(np.float32), arm


class Classifier(nn.Module):
    """Turns points into a score for each class. Parameters and modules are attributes."""

    def __init__(self, classes, width, rng):
        self.first = nn.Linear(2, width, rng=rng)
        self.second = nn.Linear(width, width, rng=rng)
        self.last = nn.Linear(width, classes, rng=rng)

    def forward(self, x):
        """Compute the scores, (n, classes); the second layer adds to what the first one found."""
        x = gl.silu(self.first(x))
        x = x + gl.silu(self.second(x))
        return self.last(x)


rng = np.random.default_rng(0)
X, y = spirals(200, rng)
X_new, y_new = spirals(100, rng)
network = Classifier(3, 32, rng)
print(network)

steps = EPOCHS * -(-len(X) // BATCH)  # batches in an epoch, rounded up
schedule = gl.schedules.warm_up(gl.schedules.cosine(0.02, steps), steps=20)
optimizer = gl.optim.AdamW(network.parameters(), lr=schedule, weight_decay=0.01)

losses, new_losses = [], []
for epoch in range(EPOCHS):
    total = 0.0
    for inputs, classes in gl.data.batches(X, y, BATCH, rng):  # shuffled by rng
        loss = gl.cross_entropy(network(inputs), classes)  # forward
        loss.backward()  # backward
        gl.optim.clip_grad_norm(network.parameters(), 1.0)  # no step is wild
        optimizer.step()  # step
        optimizer.zero_grad()
        total += loss.item() * len(inputs)
    losses.append(total / len(X))
    with gl.no_grad():  # nothing needs to be recorded to look at the result
        scores = network(X_new)
        new_losses.append(gl.cross_entropy(scores, y_new).item())
        accuracy = np.mean(scores.data.argmax(axis=1) == y_new)
    if epoch in (0, 4, 19, EPOCHS - 1):
        print(f"epoch {epoch + 1:2}: loss {losses[-1]:.4f}, on new points {new_losses[-1]:.4f}")
print(f"accuracy on {len(y_new)} new points: {accuracy:.2f}")

colours = ListedColormap(["#E69F00", "#56B4E9", "#009E73"])
across = np.linspace(-1.2, 1.2, 200, dtype=np.float32)
grid = np.stack(np.meshgrid(across, across), axis=-1)  # (200, 200, 2): Linear takes any shape
with gl.no_grad():
    regions = network(grid).data.argmax(axis=-1)
figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 4.2), layout="constrained")
left.pcolormesh(across, across, regions, cmap=colours, alpha=0.4)
for arm, marker in enumerate("os^"):
    look = {"color": colours(arm), "marker": marker, "edgecolors": "black", "linewidths": 0.5}
    left.scatter(*X_new[y_new == arm].T, s=22, **look)
left.set(title=f"Three arms, told apart ({accuracy:.0%} of new points)", aspect="equal")
epochs = np.arange(1, EPOCHS + 1)
right.plot(epochs, losses, color="#0072B2", label="training")
right.plot(epochs, new_losses, "--", color="#D55E00", label="new points")
right.set(title="The loss", xlabel="epoch", ylabel="cross-entropy", yscale="log")
right.legend()
figure.savefig("08_module_and_training_loop.png", dpi=120)
print("08_module_and_training_loop.png shows the arms and the losses.")

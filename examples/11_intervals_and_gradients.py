"""Intervals around predictions, and their gradients.

You learn: that with loss='gaussian_nll' or 'quantile' a regressor learns the spread of the target
as well, and predict_interval returns bounds. predict_gradient shows how each prediction changes
with each input: the slope that the network has learned.
"""

import matplotlib.pyplot as plt
import numpy as np

from gradlite import MLPRegressor

rng = np.random.default_rng(0)


def sample(n):
    """Draw a sine whose noise grows from left to right."""
    x = rng.uniform(0, 3, (n, 1))
    return x, np.sin(2 * x[:, 0]) + rng.normal(size=n) * (0.05 + 0.1 * x[:, 0])


X, y = sample(1000)
X_test, y_test = sample(1000)
x = np.linspace(0, 3, 200)[:, None]

figure, (left, middle, right) = plt.subplots(1, 3, figsize=(11, 3.8), layout="constrained")
for loss, ax in (("gaussian_nll", left), ("quantile", middle)):
    model = MLPRegressor(
        loss,
        (16, 16),
        activation="tanh",
        learning_rate_init=0.01,
        schedule="cosine",
        standardize=True,
        batch_size=50,
        max_iter=60,
        n_iter_no_change=60,
        random_state=0,
    ).fit(X, y)

    # An interval for 0.9 is meant to hold 9 of 10 new targets. Count them.
    low, high = model.predict_interval(X_test, coverage=0.9).T
    inside = np.mean((low <= y_test) & (y_test <= high))
    widths = np.diff(model.predict_interval([[0.5], [2.5]], coverage=0.9))[:, 0]
    print(f"{loss:13} {inside:.3f} of new targets lie in the intervals for 0.9,", end=" ")
    print(f"which are {widths[0]:.2f} wide at 0.5 and {widths[1]:.2f} at 2.5")

    low, high = model.predict_interval(x, coverage=0.9).T
    ax.plot(X_test, y_test, ".", color="0.6", markersize=3, label="new targets")
    ax.fill_between(x[:, 0], low, high, color="#56B4E9", alpha=0.5, label="interval for 0.9")
    ax.plot(x, model.predict(x), color="#0072B2", label="prediction")
    ax.set(title=f"loss={loss!r}: {inside:.0%} inside", xlabel="$x$", ylim=(-2, 2))
    ax.legend(loc="lower left")

# The gradient of each prediction with respect to its inputs, (samples, inputs), by the rules that
# train the network. The true slope is  d sin(2x) / dx = 2 cos(2x).

slopes = model.predict_gradient(x)
for point in ([0.5], [1.5], [2.5]):
    slope = model.predict_gradient([point])[0, 0]
    print(f"slope at {point[0]}: {slope:5.2f} learned, {2 * np.cos(2 * point[0]):5.2f} in truth")
right.plot(x, 2 * np.cos(2 * x), "--", color="#000000", label="in truth")
right.plot(x, slopes, color="#D55E00", label="learned")
right.set(title="The slope, by predict_gradient", xlabel="$x$")
right.legend(loc="upper center")
figure.savefig("11_intervals_and_gradients.png", dpi=120)
print("11_intervals_and_gradients.png shows the intervals and the slopes.")

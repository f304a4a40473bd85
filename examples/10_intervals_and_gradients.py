"""Intervals around predictions, and their gradients.

You learn: with loss='quantile' or 'gaussian_nll' a regressor learns the spread of the target as
well, and predict_interval gives bounds. predict_gradient tells how each prediction moves with
each input: the slope that the network has learned.
"""

import numpy as np

from gradlite import MLPRegressor

rng = np.random.default_rng(0)


def sample(n):
    """Draw a sine whose noise grows from left to right."""
    x = rng.uniform(0, 3, (n, 1))
    return x, np.sin(2 * x[:, 0]) + rng.normal(size=n) * (0.05 + 0.1 * x[:, 0])


X, y = sample(1000)
X_test, y_test = sample(1000)

for loss in ("quantile", "gaussian_nll"):
    model = MLPRegressor(
        loss,
        (32, 32),
        activation="tanh",
        learning_rate_init=0.01,
        schedule="cosine",
        standardize=True,
        max_iter=60,
        n_iter_no_change=60,
        random_state=0,
    ).fit(X, y)
    low, high = model.predict_interval(X_test, coverage=0.9).T
    inside = np.mean((low <= y_test) & (y_test <= high))
    left, right = model.predict_interval(np.array([[0.5], [2.5]]), coverage=0.9)
    print(f"{loss:13} {inside:.3f} of new targets lie in the intervals for 0.9,", end=" ")
    print(f"which are {np.diff(left)[0]:.2f} wide at 0.5 and {np.diff(right)[0]:.2f} at 2.5")

# d sin(2x) / dx = 2 cos(2x)
points = np.array([[0.5], [1.5], [2.5]])
slopes = model.predict_gradient(points)[:, 0]
for x, slope in zip(points[:, 0], slopes, strict=True):
    print(f"slope at {x}: {slope:5.2f} learned, {2 * np.cos(2 * x):5.2f} in truth")

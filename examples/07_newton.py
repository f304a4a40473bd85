"""Second derivatives, and Newton's method.

You learn: `gl.grad` and `gl.hessian` of a function, and what Newton's method does with them;
`gl.hvp`, which multiplies with a Hessian that is too large to write down; and how gradlite and
SciPy's optimisers go together.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import minimize

import gradlite as gl


def rosenbrock(x):
    """Rosenbrock's function of n numbers: a long bent valley, with the minimum 0 at all ones."""
    return np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


gradient, hessian = gl.grad(rosenbrock), gl.hessian(rosenbrock)
start = np.array([-1.2, 1.0])
print("The Hessian at the start:", hessian(start).tolist())

# 1. Gradient descent goes downhill. In a valley that is steep at its sides and flat along it, its
# steps must be small, or it would jump from side to side; so it creeps.

descent = [start]
for _ in range(2000):
    descent.append(descent[-1] - 0.002 * gradient(descent[-1]))

# Newton's method goes where the quadratic approximation has its minimum.

newton = [start]
while np.abs(gradient(newton[-1])).max() > 1e-8:
    x = newton[-1]
    newton.append(x - np.linalg.solve(hessian(x), gradient(x)))

for name, path in (("Gradient descent", descent), ("Newton's method", newton)):
    steps, x = len(path) - 1, path[-1]
    print(f"{name}: {steps} steps, f = {rosenbrock(x):.1e} at {x.round(6).tolist()}")

# 2. A thousand numbers have a Hessian of a million. Methods such as SciPy's trust-ncg need only its
# products with vectors, and hvp gives one for the price of a few gradients.

x0 = np.random.default_rng(0).uniform(0, 2, 1000)
found = minimize(
    rosenbrock, x0, method="trust-ncg", jac=gradient, hessp=lambda x, v: gl.hvp(rosenbrock, x, v)
)
print(f"1000 numbers: {found.nit} steps, f = {found.fun:.1e}", end=", ")
print(f"x = 1 up to {np.abs(found.x - 1).max():.0e}")

# The picture: lines of equal height, each 4 times as high as the one before, and the two paths.

across, up = np.linspace(-1.8, 1.8, 90), np.linspace(-3.6, 1.8, 90)
heights = [[rosenbrock(np.array([x1, x2])) for x1 in across] for x2 in up]
figure, ax = plt.subplots(figsize=(7.5, 5), layout="constrained")
ax.contour(across, up, heights, 4.0 ** np.arange(-1, 7), cmap="Greys", linewidths=1, norm="log")
ax.plot(*np.transpose(descent), color="#D55E00", label="gradient descent, 2000 steps")
ax.plot(*np.transpose(newton), "o-", color="#0072B2", label=f"Newton, {len(newton) - 1} steps")
ax.plot(1, 1, "*", color="#000000", markersize=14, label="the minimum")
ax.set(title="Two ways through Rosenbrock's valley", xlabel="$x_1$", ylabel="$x_2$")
ax.legend(loc="lower left")
figure.savefig("07_newton.png", dpi=120)
print("07_newton.png shows both ways through the valley.")

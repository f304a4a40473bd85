"""Second derivatives, and Newton's method.

You learn: `gl.grad` and `gl.hessian` of a function, Newton's method with them, and `gl.hvp`, which
multiplies with a Hessian that would be too large to write down.
"""

import numpy as np

import gradlite as gl


def rosenbrock(x):
    """Rosenbrock's function of n numbers: a long bent valley, with the minimum 0 at all ones."""
    return np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


# 1. Two numbers. Newton's method goes where the quadratic approximation has its minimum.

gradient, hessian = gl.grad(rosenbrock), gl.hessian(rosenbrock)
x = np.array([-1.2, 1.0])
print("The Hessian at the start:", hessian(x).tolist())
for step in range(7):
    print(f"step {step}: f{x.round(6)} = {rosenbrock(x):.3g}")
    x = x - np.linalg.solve(hessian(x), gradient(x))
print(f"Newton's method found {x}, with gradient {np.abs(gradient(x)).max():.0e}.\n")


# 2. A thousand numbers, a Hessian of a million. Conjugate gradients solve  H d = -g  from products
# H v alone, and hvp gives these for the price of a few gradients.


def newton_direction(f, x, g):
    """Solve H d = -g by conjugate gradients; stop where the function curves down."""
    d, r = np.zeros_like(x), -g
    p, size = r, r @ r
    enough = min(0.25, np.sqrt(np.sqrt(size))) ** 2 * size
    while size > enough:
        Hp = gl.hvp(f, x, p)
        curvature = p @ Hp
        if curvature <= 0:
            return d if d.any() else -g
        step = size / curvature
        d = d + step * p
        r = r - step * Hp
        p, size = r + (r @ r) / size * p, r @ r
    return d


def minimise(f, x, tolerance=1e-8):
    """Follow Newton directions, each as far as the function falls; give x and the steps taken."""
    value_and_gradient = gl.value_and_grad(f)
    for steps in range(1000):
        value, g = value_and_gradient(x)
        if np.abs(g).max() < tolerance:
            return x, steps
        d = newton_direction(f, x, g)
        length = 1.0
        while length > 1e-10 and f(x + length * d) > value + 1e-4 * length * (g @ d):
            length /= 2
        x = x + length * d
    raise RuntimeError("no minimum found in 1000 steps")


x, steps = minimise(rosenbrock, np.random.default_rng(0).uniform(0, 2, 1000))
print(f"{x.size} numbers, {steps} steps: f = {rosenbrock(x):.1e}", end=", ")
print(f"x = 1 up to {np.abs(x - 1).max():.0e}")
assert np.abs(x - 1).max() < 1e-6

"""A derivative rule is one line, and you can write your own.

You learn: to define the derivative of another library's function with `gl.defvjp`, to make a new
operation with `gl.primitive`, and to check both with `gl.check_grads`.

A rule is a function (g, ans, *arguments): g is the gradient with respect to the output `ans`, and
the rule returns the gradient with respect to one of the arguments. By the chain rule that is g
times the derivative.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy import special

import gradlite as gl

# 1. Existing functions: the Bessel functions J0 and J1; the derivative of each contains the other.

gl.defvjp(special.j0, lambda g, ans, x: -g * special.j1(x))
gl.defvjp(special.j1, lambda g, ans, x: g * (special.j0(x) - ans / x))

# These rules use functions that have rules. So the second derivative comes for free, and the third.
# Bessel's equation,  x y'' + y' + x y = 0, shows whether they are right.

gl.check_grads(special.j0, (np.array([0.5, 1.0, 4.0]),), order=2)  # silent: it raises if wrong
x = np.linspace(0.1, 12, 200)
first = gl.grad(lambda x: np.sum(special.j0(x)))
second = gl.grad(lambda x: np.sum(first(x)))
residual = x * second(x) + first(x) + x * special.j0(x)
print(f"The residual of Bessel's equation is at most {np.abs(residual).max():.0e}.")

# 2. A new operation. Kepler's equation  E - e sin(E) = M  gives the place E of a planet on an orbit
# of eccentricity e at time M. It is solved by iteration, which need not be recorded at all: the
# derivative follows from the equation itself,  dE (1 - e cos E) = dM + sin(E) de.


@gl.primitive
def kepler(M, e):
    """Solve E - e sin(E) = M for E by Newton's method, from a start that is safe for any e < 1."""
    E = np.full_like(M, np.pi)
    for _ in range(20):
        E = E - (E - e * np.sin(E) - M) / (1 - e * np.cos(E))
    return E


gl.defvjp(
    kepler,
    lambda g, E, M, e: g / (1 - e * np.cos(E)),
    lambda g, E, M, e: g * np.sin(E) / (1 - e * np.cos(E)),
)

M = np.linspace(0, 2 * np.pi, 101)  # one revolution
gl.check_grads(kepler, (M[::25], 0.6), order=2)
by_e = gl.grad(lambda e: kepler(1.0, e))(0.6)
print(f"At M = 1 and e = 0.6, E is {kepler(1.0, 0.6):.4f}, and changes with e by {by_e:.4f}.")

figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 4), layout="constrained")
left.axhline(0, color="0.8", linewidth=1)
left.plot(x, special.j0(x), color="#000000", label="$J_0$")
left.plot(x, first(x), "--", color="#0072B2", label="$J_0'$, by the rule")
left.plot(x, second(x), "-.", color="#D55E00", label="$J_0''$, for free")
left.set(title="A function of SciPy with a rule", xlabel="$x$")
left.legend()
for e, colour, style in ((0.0, "#000000", "-"), (0.5, "#0072B2", "--"), (0.8, "#D55E00", "-.")):
    speed = gl.grad(lambda M, e=e: np.sum(kepler(M, e)))(M)
    right.plot(M, speed, style, color=colour, label=f"eccentricity {e}")
right.set(title="Kepler's equation as an operation", xlabel="time $M$", ylabel="speed $dE/dM$")
right.legend()
figure.savefig("06_your_own_rule.png", dpi=120)

# 3. A wrong rule: the minus sign has become a plus. None: no derivative with respect to e.

gl.defvjp(kepler, lambda g, E, M, e: g / (1 + e * np.cos(E)), None)
try:
    gl.check_grads(lambda M: kepler(M, 0.6), (2.0,))
except gl.GradliteError as error:
    print("The wrong rule is found:", error)
print("06_your_own_rule.png shows the Bessel function and the speed of planets.")

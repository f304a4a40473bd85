"""A derivative is one line, and you can write your own.

You learn: to give a function of another library its derivative with `gl.defvjp`, to make a whole
new operation with `gl.primitive`, and to check both with `gl.check_grads`.

A rule is a function (g, ans, *arguments): g is the gradient with respect to the answer `ans`, and
the rule returns the gradient with respect to one of the arguments. By the chain rule that is g
times the derivative.
"""

import numpy as np
from scipy import special

import gradlite as gl

# 1. Functions that exist: the Bessel functions J0 and J1, whose derivatives are each other.

gl.defvjp(special.j0, lambda g, ans, x: -g * special.j1(x))
gl.defvjp(special.j1, lambda g, ans, x: g * (special.j0(x) - ans / x))

gl.check_grads(special.j0, (np.array([0.5, 1.0, 4.0]),), order=2)  # silent: it raises if wrong
first = gl.grad(special.j0)
second = gl.grad(first)
print("J0 and its derivatives at 2:", special.j0(2.0), first(2.0), second(2.0))

# The rules use functions that have rules, so derivatives of all orders are there. Bessel's own
# equation,  x y'' + y' + x y = 0, tells whether they are right.
x = 2.0
print(f"Bessel's equation leaves {x * second(x) + first(x) + x * special.j0(x):.0e}.")


# 2. A new operation. Kepler's equation  E - e sin(E) = M  gives the place E of a planet on an orbit
# of eccentricity e at time M. It is solved by iteration, which need not be recorded at all: the
# derivative follows from the equation itself,  dE (1 - e cos E) = dM + sin(E) de.


@gl.primitive
def kepler(M, e):
    """Solve E - e sin(E) = M for E by Newton's method."""
    E = M + e * np.sin(M)
    for _ in range(20):
        E = E - (E - e * np.sin(E) - M) / (1 - e * np.cos(E))
    return E


gl.defvjp(
    kepler,
    lambda g, E, M, e: g / (1 - e * np.cos(E)),
    lambda g, E, M, e: g * np.sin(E) / (1 - e * np.cos(E)),
)

M = np.linspace(0.5, 3, 4)
gl.check_grads(kepler, (M, 0.6), order=2)
print("kepler(M, 0.6) =", kepler(M, 0.6))
print("how sum(E) changes with e:", gl.grad(lambda e: np.sum(kepler(M, e)))(0.6))

# 3. A wrong rule: the minus sign has become a plus. None says that there is no derivative by e.

gl.defvjp(kepler, lambda g, E, M, e: g / (1 + e * np.cos(E)), None)


def place(M):
    """Give the place on an orbit of eccentricity 0.6."""
    return kepler(M, 0.6)


try:
    gl.check_grads(place, (2.0,))
except gl.GradliteError as error:
    print("The wrong rule is found:", error)

"""A Tensor is a NumPy array that remembers how it was made.

You learn: to make a Tensor, to compute with NumPy's own functions, to ask for the gradient with
`backward`, and to check a gradient by hand.
"""

import numpy as np

import gradlite as gl


def f(x):
    """Compute one number from an array, or from a Tensor: the same code serves both."""
    return (np.tanh(x) * np.exp(-(x**2)) + x[::-1] ** 3).sum()


# The data is an ordinary array; requires_grad=True says that we shall want its gradient.
x = gl.Tensor(np.linspace(-1, 2, 5), requires_grad=True)
print("x     =", x.data)

# NumPy's functions, operators, slices and methods record what they do, and compute as ever.
y = f(x)
print("f(x)  =", y.item(), "on a Tensor;", f(x.data), "on an array")

# backward() goes back through the record by the chain rule, and leaves df/dx in x.grad.
y.backward()
print("x.grad     ", x.grad)

# The derivative is the limit of (f(x + h) - f(x - h)) / 2h. So take a small h, for each entry.
h = 1e-6
differences = np.array([(f(x.data + h * e) - f(x.data - h * e)) / (2 * h) for e in np.eye(5)])
print("differences", differences)

error = np.max(np.abs(x.grad - differences))
assert error < 1e-8
print(f"The gradient agrees with finite differences: they differ by {error:.0e} at most.")

# Gradients add up, so that a loss can be made of parts. zero_grad() starts over.
x.zero_grad()
np.sum(2 * x).backward()
np.sum(3 * x).backward()
print("2 + 3 =", x.grad)

# gl.grad does all of this for a function at once, and can be applied again and again.
print("tanh, its first and second derivative at 0.5:", end=" ")
print(np.tanh(0.5), gl.grad(np.tanh)(0.5), gl.grad(gl.grad(np.tanh))(0.5))

"""A Tensor is a NumPy array that remembers how it was made.

You learn: to compute with NumPy's own functions and get the gradient with `backward`; to turn a
function into its derivatives with `gl.grad`; and to find with `gl.debug()` where a NaN comes from.
"""

import matplotlib.pyplot as plt
import numpy as np

import gradlite as gl


def f(x):
    """Compute one number from an array, or from a Tensor: the same code serves both."""
    return (np.tanh(x) * np.exp(-(x**2)) + x[::-1] ** 3).sum()


# 1. The data is an ordinary array. requires_grad=True says that we want its gradient.

x = gl.Tensor(np.linspace(-1, 2, 5), requires_grad=True)
y = f(x)  # functions, operators, slices, methods: they compute as usual, and are recorded
y.backward()  # goes back through the record, and leaves dy/dx in x.grad
print("f(x)  =", y.item(), "on a Tensor;", f(x.data), "on an array")
print("x.grad     ", x.grad)

# The derivative is the limit of (f(x + h) - f(x - h)) / 2h. So take a small h, for each entry.

h = 1e-6
differences = np.array([(f(x.data + h * e) - f(x.data - h * e)) / (2 * h) for e in np.eye(5)])
error = np.abs(x.grad - differences).max()
print("differences", differences)
print(f"The gradient agrees with finite differences: they differ by {error:.0e} at most.")

# As with Values, gradients add up. zero_grad() starts over.

x.zero_grad()
np.sum(2 * x).backward()
np.sum(3 * x).backward()
print("2 + 3 =", x.grad, "\n")

# 2. gl.grad turns a function into its gradient, which can be differentiated again, to any order.
# Each term of the sum depends on its own x alone, so the gradient is the derivative at each x.


def bump(x):
    """Compute the function of the picture."""
    return np.tanh(x) * np.exp(-(x**2))


def derivative(function):
    """Differentiate a function of single numbers, for all entries of an array at once."""
    return gl.grad(lambda x: np.sum(function(x)))


points = np.linspace(-3, 3, 301)
curves = [bump, derivative(bump), derivative(derivative(bump))]
figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
ax.axhline(0, color="0.8", linewidth=1)
names = (r"$f(x) = \tanh(x)\,e^{-x^2}$", "$f'(x)$", "$f''(x)$")
looks = (("#000000", "-"), ("#0072B2", "--"), ("#D55E00", "-."))
for curve, name, (colour, style) in zip(curves, names, looks, strict=True):
    ax.plot(points, curve(points), style, color=colour, label=name)
ax.set(title="A NumPy function and its derivatives, from gl.grad", xlabel="$x$")
ax.legend()
figure.savefig("05_tensors_and_numpy.png", dpi=120)
print("f, f' and f'' at 0.5:", *(round(float(curve(0.5)), 4) for curve in curves))

# 3. In debug mode the first NaN or Inf stops the program, and says in which line it was made. Here
# softmax has rounded a probability to 0.

logits = gl.Tensor([0.0, 800.0, 801.0], requires_grad=True)
try:
    with gl.debug():
        p = gl.softmax(logits)
        entropy = -np.sum(p * np.log(p))
except gl.GradliteError as problem:
    print(f"\n{type(problem).__name__}: {problem}")

# gl.log_softmax is a single operation, which never computes that 0.

with gl.debug():
    log_p = gl.log_softmax(logits)
    entropy = -np.sum(np.exp(log_p) * log_p)
    entropy.backward()
print(f"\nFixed, the entropy is {entropy.item():.4f}, its gradient {logits.grad.round(4)}.")
print("05_tensors_and_numpy.png shows f, f' and f''.")

"""The engine on one page: recording, and the walk back, over gradlite's own table of rules.

You learn: what a Tensor has to remember, how NumPy's calls come to be recorded, and how the chain
rule becomes a walk. gradlite's Tensor does the same; what it adds is speed, memory that is freed
early, derivatives of derivatives, and errors that help.
"""

from itertools import count

import numpy as np

import gradlite as gl
from gradlite.autodiff.rule import RULES
from gradlite.autodiff.tape import sum_to_shape

now = count().__next__


class Tensor:
    """An array that remembers what made it: a rule, and the arguments that went in."""

    def __init__(self, data, rule=None, args=(), params=None):
        self.data = np.asarray(data, float)
        self.grad = None
        self.rule, self.args, self.params = rule, args, params or {}
        self.made_at = now()  # a result is younger than all that went into it

    # Recording. Called on a Tensor, NumPy asks the Tensor what to do (NumPy's protocols, NEP 13
    # and NEP 18). We compute with the arrays inside, and note the rule of the function.

    def __array_ufunc__(self, ufunc, method, *args):
        return record(RULES[ufunc], args, {})

    def __array_function__(self, function, types, args, kwargs):
        return record(RULES[function], *RULES[function].bind(args, kwargs))

    def __add__(self, other):
        return np.add(self, other)

    def __mul__(self, other):
        return np.multiply(self, other)

    def __matmul__(self, other):
        return np.matmul(self, other)

    __radd__, __rmul__ = __add__, __mul__

    # The walk back. `cotangents` holds, for each Tensor that has been reached, the derivative of
    # the result with respect to it, as far as it is known. The youngest come first, so that all
    # that used a Tensor has had its turn before the Tensor has its own: the sum is complete.

    def backward(self):
        cotangents = {self: np.ones_like(self.data)}  # the result with respect to itself: 1
        for tensor in sorted(everything_behind(self), key=lambda t: -t.made_at):
            g = cotangents.pop(tensor)
            if tensor.rule is None:  # a leaf: here the gradient is wanted
                tensor.grad = g if tensor.grad is None else tensor.grad + g
                continue
            vjps, args = tensor.rule.vjps, [data(x) for x in tensor.args]
            for vjp, x in zip(vjps, tensor.args, strict=True):
                if isinstance(x, Tensor):
                    part = vjp(g, tensor.data, *args, **tensor.params)  # the chain rule, one line
                    part = sum_to_shape(np.asarray(part), x.data.shape)  # x may have been broadcast
                    cotangents[x] = cotangents[x] + part if x in cotangents else part


def record(rule, args, params):
    """Carry out a function on the arrays inside, and remember how to go back."""
    return Tensor(rule.fn(*map(data, args), **params), rule, args, params)


def data(x):
    """Return the array inside a Tensor, and anything else as it is."""
    return x.data if isinstance(x, Tensor) else x


def everything_behind(tensor):
    """List a Tensor and all Tensors that it was made from, each once."""
    found = {tensor: None}
    pending = [tensor]
    for t in pending:
        new = [x for x in t.args if isinstance(x, Tensor) and x not in found]
        found.update(dict.fromkeys(new))
        pending += new
    return found


# That is all. A number to begin with: y = x x, and dy/dx = 2 x.

x = Tensor(3.0)
y = x * x
y.backward()
print(f"x = 3, y = x x = {y.data:.0f}, dy/dx = {x.grad:.0f}")

# Then a network of two layers, with broadcast biases, beside gradlite's own Tensor.


def loss(W1, b1, W2, b2, inputs, targets):
    """Compute the mean squared error of a network with one hidden layer."""
    hidden = np.tanh(inputs @ W1 + b1)
    return np.mean(np.square(hidden @ W2 + b2 + -targets))


rng = np.random.default_rng(0)
inputs, targets = rng.normal(size=(20, 3)), rng.normal(size=(20, 1))
parameters = [rng.normal(size=shape) for shape in ((3, 8), (8,), (8, 1), (1,))]

ours = [Tensor(p) for p in parameters]
loss(*ours, inputs, targets).backward()
theirs = [gl.Tensor(p, requires_grad=True) for p in parameters]
loss(*theirs, inputs, targets).backward()

for name, a, b in zip(("W1", "b1", "W2", "b2"), ours, theirs, strict=True):
    print(f"dL/d{name}: shape {a.grad.shape}, equal to gradlite's: {np.array_equal(a.grad, b.grad)}")

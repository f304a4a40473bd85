"""The engine on one page: recording, and the walk back, over gradlite's own table of rules.

You learn: what a Tensor has to remember, how NumPy's calls come to be recorded, and how the chain
rule becomes a walk. gradlite's Tensor adds speed, early freeing, and derivatives of derivatives.
"""

from itertools import count

import numpy as np

import gradlite as gl
from gradlite.autodiff.cotangents import sum_to_shape
from gradlite.autodiff.rule import RULES

now = count().__next__


class Tensor:
    """An array that remembers what made it: a rule, and the arguments that went in."""

    def __init__(self, data, rule=None, args=(), params=None):
        self.data, self.grad = np.asarray(data, float), None
        self.rule, self.args, self.params = rule, args, params
        self.made_at = now()  # a result is younger than its arguments

    # Recording. NumPy's functions, called on a Tensor, ask it what to do (protocols of NEP 13 and
    # 18). We compute with the arrays inside, and keep the rule of the function.

    def __array_ufunc__(self, ufunc, method, *args):
        return record(RULES[ufunc], args, {})

    def __array_function__(self, function, types, args, kwargs):
        return record(RULES[function], *RULES[function].bind(args, kwargs))

    __add__ = __radd__ = lambda self, other: np.add(self, other)
    __mul__ = __rmul__ = lambda self, other: np.multiply(self, other)
    __rmatmul__ = lambda self, other: np.matmul(other, self)
    __matmul__ = lambda self, other: np.matmul(self, other)

    def backward(self):
        """Walk back from this Tensor, and add to the ``grad`` of every leaf it depends on."""
        # For each Tensor reached, the derivative of the result with respect to it, so far. The
        # youngest go first: by a Tensor's own turn, its sum is complete.
        cotangents = {self: np.ones_like(self.data)}  # the result with respect to itself: 1
        for tensor in sorted(ancestors(self), key=lambda t: -t.made_at):
            g = cotangents.pop(tensor)
            if tensor.rule is None:  # a leaf: here the gradient is wanted
                tensor.grad = g if tensor.grad is None else tensor.grad + g
                continue
            args = [array(x) for x in tensor.args]
            for vjp, x in zip(tensor.rule.vjps, tensor.args, strict=True):
                if isinstance(x, Tensor):
                    part = vjp(g, tensor.data, *args, **tensor.params)  # the chain rule: one line
                    part = sum_to_shape(np.asarray(part), x.data.shape)  # x may have been broadcast
                    cotangents[x] = cotangents[x] + part if x in cotangents else part


def record(rule, args, params):
    """Call a function on the arrays inside, and remember its rule and its arguments."""
    return Tensor(rule.fn(*map(array, args), **params), rule, args, params)


def array(x):
    """Return the array inside a Tensor; anything else is returned as it is."""
    return x.data if isinstance(x, Tensor) else x


def ancestors(tensor):
    """List a Tensor and all Tensors from which it was computed, each once."""
    found = [tensor]
    for t in found:
        new = {x for x in t.args if isinstance(x, Tensor)}
        found += new.difference(found)
    return found


# That is all. First y = x x, so dy/dx = 2 x; then a network, compared with gradlite's own Tensors.

y = (x := Tensor(3.0)) * x
y.backward()
print(f"x = {x.data:.0f}, y = x x = {y.data:.0f}, dy/dx = {x.grad:.0f}")

rng = np.random.default_rng(0)
inputs, targets = rng.normal(size=(2, 20, 3))
parameters = [rng.normal(size=shape) for shape in ((3, 8), (8,), (8, 3), (3,))]
for kind in (Tensor, lambda data: gl.Tensor(data, requires_grad=True)):
    W1, b1, W2, b2 = leaves = [kind(data) for data in parameters]
    loss = np.mean(np.square(np.tanh(inputs @ W1 + b1) @ W2 + b2 + -targets))
    loss.backward()
    print("norms of the gradients:", *(np.linalg.norm(leaf.grad) for leaf in leaves))

"""Neuron, Layer and MLP, with micrograd's API; they run as arrays.

A module builds a `Network` at its first call, and again when its lists or attributes have changed.
A module that cannot be one (a result among the weights, a subclass with its own ``__call__``) runs
Value by Value, as in the original.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from gradlite.autodiff.notebook import digits, tree_html
from gradlite.autodiff.tensor import Tensor
from gradlite.errors import ShapeError
from gradlite.scalar.engine import Value
from gradlite.scalar.network import ACTIVATIONS, Dense, Network, Parameter, weighted_sum
from gradlite.scalar.ops import short

# Of each version of the original: the activation of neurons with ``nonlin=True``, that of others,
# and whether biases are drawn like the weights; they are 0 otherwise.
DIALECTS = {"micrograd": ("relu", "", False), "neural_net": ("tanh", "tanh", True)}
NAMES = {"relu": "ReLU", "tanh": "Tanh", "": "Linear"}


class Module:
    """Base class of everything that has parameters; subclasses define `parameters`."""

    __slots__ = ("__dict__", "__weakref__", "_structure")

    _structure: Structure

    def zero_grad(self) -> None:
        """Set the gradient of every parameter to 0."""
        for p in self.parameters():
            p.grad = 0.0

    def parameters(self) -> list[Any]:
        """Return the parameters, which are Values, in a fixed order."""
        return []

    def _parts(self) -> tuple[Sequence[Any], Sequence[Sequence[Any]]]:
        """Return the layers, each as a list of neurons."""
        return (), ()

    def _outline(self, name: str = "") -> Any:
        """Return this module's title, size and parts, for a notebook."""
        inside: list[Any] = []
        for attribute, held in vars(self).items():
            each = isinstance(held, (list, tuple))
            for i, part in enumerate(held if each else [held]):
                path = f"{attribute}[{i}]" if each else attribute
                if isinstance(part, Module):
                    inside.append(part._outline(path))
                elif isinstance(part, Value) and not attribute.startswith("_"):
                    numbers = f"{digits(part.data)}, grad {digits(part.grad)}"
                    inside.append((path, numbers, []))
        count = len(self.parameters())
        title = f"{name}: {type(self).__name__}" if name else type(self).__name__
        return title, f"{count:,} parameters" if count else "", inside

    def _repr_html_(self) -> str:
        return tree_html(self._outline())

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__

    def __call__(self, x: Any) -> Any:
        """Return the output for one sample, or for a batch.

        One sample is a sequence of `nin` floats or Values; the output is a Value, or a list of
        Values if there are several. A batch is an array of shape (n, nin); the output is a Tensor
        of shape (n,) or (n, nout), whose ``backward`` adds to the same ``grad``. Raise ShapeError
        if the number of inputs is wrong.
        """
        structure = getattr(self, "_structure", None)
        if structure is None or structure.network is None or structure.has_changed():
            structure = self._structure = Structure(self)
        if structure.network is not None:
            return structure.network(x)
        if getattr(x, "ndim", 1) == 2:
            return Tensor([self(row) for row in x])
        return self._value_by_value(x)

    def _value_by_value(self, x: Any) -> Any:
        """Return the output, computed as in the original."""
        raise NotImplementedError(f"{type(self).__name__} has no __call__.")


class Structure:
    """The parts of a module, to be compared with its parts later.

    Attributes
    ----------
    network : Network or None
        The network that computes what the module computes, if there is one.
    """

    def __init__(self, module: Module) -> None:
        layers, by_layer = module._parts()
        parts = (*layers, *(n for neurons in by_layer for n in neurons))
        self.kinds = set(map(type, parts))
        self.methods = methods(self.kinds)
        is_usual = all(issubclass(kind, (Layer, Neuron)) for kind in self.kinds)
        self.network: Network | None = None
        if is_usual and self.methods == USUAL and type(layers) in (list, tuple):
            dense = [dense_of(neurons) for neurons in by_layer]
            pairs = pairwise(dense)
            if dense and all(dense) and all(a.shape[0] == b.shape[1] - 1 for a, b in pairs):
                self.network = Network(dense, type(module).__name__)
        self.live = [vars(part) for part in (module, *parts)]
        self.then = [
            {name: x.copy() if type(x) is list else x for name, x in attributes.items()}
            for attributes in self.live
        ]

    def has_changed(self) -> bool:
        """Return whether an attribute, a list or a method has been replaced."""
        try:
            # Values and modules are equal to themselves alone: this compares identities.
            return self.live != self.then or methods(self.kinds) != self.methods
        except Exception:  # the user's own attribute cannot be compared (an array, say)
            return True


def methods(kinds: Iterable[Any]) -> set[Any]:
    """Return the methods of these classes that a Network replaces."""
    return {Value.__add__, Value.__mul__, Value.relu, Value.tanh, *(k.__call__ for k in kinds)}


def dense_of(neurons: Sequence[Any]) -> Any:
    """Return the Dense that computes what a layer of neurons does, or None if there is none."""
    for n in neurons:
        lists = [neurons, vars(n).get("w")]
        if not vars(n).keys() >= {"b", "nonlin"} or any(type(part) is not list for part in lists):
            return None
    rows = [[*n.w, n.b] for n in neurons]
    if any(type(p) not in PLAIN or p._made_by is not None for row in rows for p in row):
        return None
    kinds = {(len(n.w), n.activation) for n in neurons}
    inputs, activation = kinds.pop() if len(kinds) == 1 else (0, "")
    return Dense(rows, activation) if inputs and activation in ACTIVATIONS else None


PLAIN = frozenset({Value, Parameter})


def count(n: Any, what: str) -> int:
    """Return a number of inputs or neurons as an int; raise ShapeError if it is not positive."""
    try:
        if int(n) == n and n >= 1:
            return int(n)
    except (TypeError, ValueError, OverflowError):
        pass
    raise ShapeError(f"{what} must be a positive integer, not {short(n)}.")


class Neuron(Module):
    """A weighted sum of its inputs, and a nonlinearity.

    Parameters
    ----------
    nin : int
        The number of inputs.
    nonlin : bool, default True
        Whether to use the dialect's activation for hidden layers rather than that for outputs.
    dialect : {'micrograd', 'neural_net'}, optional
        'micrograd': ReLU, none for outputs, bias 0. 'neural_net': tanh everywhere, bias drawn
        like the weights. By default that of the module that the class comes from.

    Attributes
    ----------
    w : list of Value
        The weights, drawn by ``random.uniform(-1, 1)`` in this order.
    b : Value
        The bias.

    Examples
    --------
    >>> from gradlite.nn import Neuron
    >>> n = Neuron(2)
    >>> n.w[0].data, n.w[1].data, n.b.data = 2.0, -3.0, 0.5
    >>> n([1.0, 0.25])
    Value(data=1.75, grad=0.0)
    """

    dialect = "micrograd"

    def __init__(self, nin: int, nonlin: bool = True, *, dialect: str | None = None) -> None:
        if dialect is not None:
            self.dialect = dialect
        if self.dialect not in DIALECTS:
            raise ValueError(
                f"dialect must be {' or '.join(map(repr, DIALECTS))}, not {short(self.dialect)}."
            )
        _, _, random_bias = DIALECTS[self.dialect]
        self.w = [Parameter(random.uniform(-1, 1)) for _ in range(count(nin, "nin"))]
        self.b = Parameter(random.uniform(-1, 1) if random_bias else 0.0)
        self.nonlin = nonlin

    @property
    def activation(self) -> str:
        """The activation: 'relu', 'tanh' or '' for none."""
        hidden, output, _ = DIALECTS[self.dialect]
        return hidden if self.nonlin else output

    def _parts(self) -> tuple[Sequence[Any], Sequence[Sequence[Any]]]:
        return (), [[self]]

    def _value_by_value(self, x: Any) -> Any:
        x = [Value(xi) if isinstance(xi, Tensor) else xi for xi in x]
        if len(x) != len(self.w):
            raise ShapeError(f"{self!r} takes {len(self.w)} inputs, not {len(x)}.")
        total = weighted_sum(self.w, self.b, x)
        return getattr(total, self.activation)() if self.activation else total

    def parameters(self) -> list[Any]:
        """Return the weights, then the bias."""
        return [*self.w, self.b]

    def __repr__(self) -> str:
        return f"{NAMES[self.activation]}Neuron({len(self.w)})"


class Layer(Module):
    """Neurons with the same inputs, in the list ``neurons``.

    Parameters
    ----------
    nin, nout : int
        The numbers of inputs and of neurons.
    nonlin, dialect
        As for `Neuron`.

    Examples
    --------
    >>> from gradlite.nn import Layer
    >>> Layer(3, 2)
    Layer of [ReLUNeuron(3), ReLUNeuron(3)]
    """

    dialect = "micrograd"
    _Neuron = Neuron

    def __init__(
        self, nin: int, nout: int, nonlin: bool = True, *, dialect: str | None = None
    ) -> None:
        kind = dialect or self.dialect
        self.neurons = [self._Neuron(nin, nonlin, dialect=kind) for _ in range(count(nout, "nout"))]

    def _parts(self) -> tuple[Sequence[Any], Sequence[Sequence[Any]]]:
        return [self], [self.neurons]

    def _value_by_value(self, x: Any) -> Any:
        out = [neuron(x) for neuron in self.neurons]
        return out[0] if len(out) == 1 else out

    def parameters(self) -> list[Any]:
        """Return the parameters of the first neuron, then of the next."""
        return [p for neuron in self.neurons for p in neuron.parameters()]

    def __repr__(self) -> str:
        return f"Layer of [{', '.join(map(repr, self.neurons))}]"


class MLP(Module):
    """A multilayer perceptron: layers, each fed by the one before.

    Parameters
    ----------
    nin : int
        The number of inputs.
    nouts : sequence of int
        The number of neurons of each layer.
    dialect : {'micrograd', 'neural_net'}, optional
        As for `Neuron`.

    Attributes
    ----------
    layers, layer : list of Layer

    Examples
    --------
    One sample, then a batch; both fill the same gradients:

    >>> import random, numpy as np
    >>> from gradlite.nn import MLP
    >>> random.seed(1)
    >>> model = MLP(2, [2, 1])
    >>> model, len(model.parameters())
    (MLP of [Layer of [ReLUNeuron(2), ReLUNeuron(2)], Layer of [LinearNeuron(2)]], 9)
    >>> y = model([1.0, -2.0])
    >>> y.backward()
    >>> Y = model(np.array([[1.0, -2.0], [0.5, 0.5]]))
    >>> Y.shape, bool(np.isclose(Y.data[0], y.data))
    ((2,), True)
    """

    dialect = "micrograd"
    _Layer = Layer

    def __init__(self, nin: int, nouts: Sequence[int], *, dialect: str | None = None) -> None:
        try:
            sizes = [nin, *nouts]
        except TypeError:
            raise ShapeError(
                f"nouts is a list of layer widths, as in MLP(3, [4, 4, 1]), not {short(nouts)}."
            ) from None
        if not sizes[1:]:
            raise ShapeError("nouts needs the width of at least one layer, as in MLP(3, [1]).")
        kind = dialect or self.dialect
        self.layers = [
            self._Layer(n, m, nonlin=i < len(sizes) - 2, dialect=kind)
            for i, (n, m) in enumerate(pairwise(sizes))
        ]

    @property
    def layer(self) -> list[Any]:
        """The layers, under their name in the two-file version."""
        return self.layers

    @layer.setter
    def layer(self, layers: Any) -> None:
        self.layers = layers

    def _parts(self) -> tuple[Sequence[Any], Sequence[Sequence[Any]]]:
        return self.layers, [getattr(layer, "neurons", ()) for layer in self.layers]

    def _value_by_value(self, x: Any) -> Any:
        for layer in self.layers:
            x = layer([x] if isinstance(x, Value) else x)
        return x

    def parameters(self) -> list[Any]:
        """Return the parameters of the first layer, neuron by neuron, then of the next."""
        return [p for layer in self.layers for p in layer.parameters()]

    def __repr__(self) -> str:
        return f"MLP of [{', '.join(map(repr, self.layers))}]"


USUAL = methods([Module])

"""Neuron, Layer and MLP, with micrograd's API; they run as arrays.

A module compiles itself to a `Network` at its first call, and again after its structure or a
method has changed (`Watched.changes` counts that). One that was changed to something that has no
such form (a Value of one's own among the weights, a subclass with its own ``__call__``) runs Value
by Value, as the original does.
"""

from __future__ import annotations

import random
from abc import ABCMeta
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from gradlite.autodiff.notebook import digits, tree_html
from gradlite.autodiff.tensor import Tensor
from gradlite.errors import ShapeError
from gradlite.scalar.engine import Value, Watched
from gradlite.scalar.expand import OPS
from gradlite.scalar.network import Dense, Network, Parameter
from gradlite.scalar.ops import short


@dataclass(frozen=True)
class Dialect:
    """In what the versions of the original differ.

    Attributes
    ----------
    hidden, output : str
        The activation of neurons with ``nonlin=True``, and of others: 'relu', 'tanh' or ''.
    random_bias : bool
        Whether biases are drawn like the weights; they are 0 otherwise.
    """

    hidden: str
    output: str
    random_bias: bool


DIALECTS = {
    "micrograd": Dialect("relu", "", random_bias=False),
    "neural_net": Dialect("tanh", "tanh", random_bias=True),
}
NAMES = {"relu": "ReLU", "tanh": "Tanh", "": "Linear"}


class Parts(list[Any]):
    """A list of weights, neurons or layers: changing it changes the structure."""


def _watch(name: str) -> Any:
    method = getattr(list, name)

    def change(self: Parts, *args: Any, **kwargs: Any) -> Any:
        Watched.changes += 1
        return method(self, *args, **kwargs)

    return change


for _name in (
    "__setitem__", "__delitem__", "__iadd__", "__imul__", "append", "extend", "insert", "pop",
    "remove", "clear", "sort", "reverse",
):  # fmt: skip
    setattr(Parts, _name, _watch(_name))

STRUCTURAL = frozenset({"w", "b", "nonlin", "dialect", "neurons", "layers"})


class WatchedModule(Watched, ABCMeta):
    """The class of modules, which may be abstract ones."""


class Module(metaclass=WatchedModule):
    """What has parameters.

    Subclass it for modules of your own, and give `parameters`.
    """

    _network: Network | None = None
    _compiled = -1
    _assigned: Sequence[tuple[list[Any], list[Any]]] = ()

    def zero_grad(self) -> None:
        """Set the gradient of every parameter to 0."""
        for p in self.parameters():
            p.grad = 0.0

    def parameters(self) -> list[Any]:
        """Give the parameters, Values, in a fixed order."""
        return []

    def _neurons(self) -> list[list[Neuron]] | None:
        """Give the neurons of each layer, or None if a layer is not one of ours."""
        return None

    def _outline(self, name: str = "") -> Any:
        """Outline this module for a notebook: what it is, its size, and what is in it."""
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

    def __setattr__(self, name: str, value: Any) -> None:
        if name in STRUCTURAL:
            Watched.changes += 1
        object.__setattr__(self, name, value)

    def __getstate__(self) -> dict[str, Any]:
        hidden = ("_network", "_compiled", "_assigned")
        return {k: v for k, v in self.__dict__.items() if k not in hidden}

    def _compile(self) -> Network | None:
        """Give the network that does what this module does, or None if there is none."""
        if self._compiled == Watched.changes and (
            not self._assigned or all(parts == then for parts, then in self._assigned)
        ):
            return self._network
        layers = self._neurons()
        self._network = compiled(layers, type(self).__name__)
        self._assigned = assigned(self, layers or [])
        self._compiled = Watched.changes
        return self._network

    def __call__(self, x: Any) -> Any:
        """Compute the module: for subclasses to define."""
        raise NotImplementedError(f"{type(self).__name__} has no __call__.")

    def _each_row(self, x: Any) -> Any:
        """Compute a batch row by row, where the module is no Network."""
        return Tensor([self(row) for row in x])


def compiled(layers: list[list[Neuron]] | None, name: str) -> Network | None:
    """Make the Network of layers of neurons, if they have that form."""
    if methods() != OURS or not layers or not all(layers):
        return None
    neurons = [neuron for layer in layers for neuron in layer]
    if {(type(n).__call__, type(n).parameters) for n in neurons} != {
        (Neuron.__call__, Neuron.parameters)
    }:
        return None
    parameters = [p for neuron in neurons for p in (*neuron.w, neuron.b)]
    if any(type(p) is not Parameter for p in parameters) or len(set(parameters)) < len(parameters):
        return None
    inputs = len(layers[0][0].w)
    dense = []
    for i, layer in enumerate(layers):
        activation = layer[0].activation
        alike = all(len(n.w) == inputs and n.activation == activation for n in layer)
        if not alike or not inputs or activation not in OPS:
            return None
        inputs = len(layer)
        rows = [p for neuron in layer for p in (*neuron.w, neuron.b)]
        dense.append(Dense(rows, len(layer), activation, i < len(layers) - 1))
    return Network(dense, name)


def assigned(module: Module, layers: list[list[Neuron]]) -> list[tuple[list[Any], list[Any]]]:
    """Find lists that were assigned, and may be changed under another name; with copies."""
    lists = [*module.__dict__.values(), *layers]
    lists += [part for layer in layers for n in layer for part in n.__dict__.values()]
    return [(parts, parts.copy()) for parts in lists if type(parts) is list]


def count(n: Any, what: str) -> int:
    """Check a number of inputs or neurons."""
    try:
        if int(n) == n and n >= 1:
            return int(n)
    except (TypeError, ValueError, OverflowError):
        pass
    raise ShapeError(f"{what} must be a whole number from 1, not {short(n)}.")


class Neuron(Module):
    """A weighted sum of its inputs, and a nonlinearity.

    Parameters
    ----------
    nin : int
        The number of inputs.
    nonlin : bool, default True
        Whether the dialect's activation of hidden layers follows, rather than that of outputs.
    dialect : {'micrograd', 'neural_net'}, optional
        'micrograd': ReLU, none for outputs, bias 0. 'neural_net': tanh everywhere, bias drawn
        like the weights. By default that of the module that the class comes from.

    Attributes
    ----------
    w : list of Value
        The weights, drawn by ``random.uniform(-1, 1)`` in this order.
    b : Value
        The bias.
    nonlin : bool
        As given.

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
        kind = self._dialect()
        self.w = Parts([Parameter(random.uniform(-1, 1)) for _ in range(count(nin, "nin"))])
        self.b = Parameter(random.uniform(-1, 1) if kind.random_bias else 0.0)
        self.nonlin = nonlin

    def _dialect(self) -> Dialect:
        if self.dialect not in DIALECTS:
            raise ValueError(
                f"dialect must be {' or '.join(map(repr, DIALECTS))}, not {short(self.dialect)}."
            )
        return DIALECTS[self.dialect]

    @property
    def activation(self) -> str:
        """The activation: 'relu', 'tanh' or '' for none."""
        return self._dialect().hidden if self.nonlin else self._dialect().output

    def _neurons(self) -> list[list[Neuron]] | None:
        return [[self]]

    def __call__(self, x: Any) -> Any:
        """Compute the neuron's answer to a sequence of numbers or Values, or to a batch.

        Parameters
        ----------
        x : sequence of float or Value, or array of shape (n, nin)
            One sample, or a batch.

        Returns
        -------
        Value or Tensor
            For a batch a Tensor of shape (n,), whose ``backward`` fills the parameters'
            ``grad`` as that of Values does.

        Raises
        ------
        ShapeError
            If the number of inputs is wrong.
        """
        network = self._compile()
        if network is not None:
            return network(x)
        if getattr(x, "ndim", 1) == 2:
            return self._each_row(x)
        x = [Value(xi) if isinstance(xi, Tensor) else xi for xi in x]
        if len(x) != len(self.w):
            raise ShapeError(f"{self!r} takes {len(self.w)} inputs, not {len(x)}.")
        total = sum((w * xi for w, xi in zip(self.w, x, strict=True)), self.b)
        return getattr(total, self.activation)() if self.activation else total

    def parameters(self) -> list[Any]:
        """Give the weights, then the bias."""
        return [*self.w, self.b]

    def __repr__(self) -> str:
        return f"{NAMES[self.activation]}Neuron({len(self.w)})"


class Layer(Module):
    """Neurons that see the same inputs.

    Parameters
    ----------
    nin : int
        The number of inputs.
    nout : int
        The number of neurons.
    nonlin : bool, default True
        As for `Neuron`.
    dialect : {'micrograd', 'neural_net'}, optional
        As for `Neuron`.

    Attributes
    ----------
    neurons : list of Neuron

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

    def _neurons(self) -> list[list[Neuron]] | None:
        return [self.neurons]

    def __call__(self, x: Any) -> Any:
        """Compute the answers of the neurons: a list of Values, the Value itself if one.

        Of a batch of shape (n, nin), a Tensor of shape (n, nout), or (n,) for one neuron.
        """
        network = self._compile()
        if network is not None:
            return network(x)
        if getattr(x, "ndim", 1) == 2:
            return self._each_row(x)
        out = [neuron(x) for neuron in self.neurons]
        return out[0] if len(out) == 1 else out

    def parameters(self) -> list[Any]:
        """Give the parameters of the first neuron, then of the next."""
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
    layers : list of Layer
        ``layer`` is the same list.

    Examples
    --------
    One sample, then a batch; both fill the same gradients:

    >>> import random, numpy as np
    >>> from gradlite.nn import MLP
    >>> random.seed(1)
    >>> model = MLP(2, [4, 1])
    >>> model
    MLP of [Layer of [ReLUNeuron(2), ReLUNeuron(2), ReLUNeuron(2), ReLUNeuron(2)], Layer of \
[LinearNeuron(4)]]
    >>> len(model.parameters())
    17
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
            raise ShapeError("nouts needs the width of one layer at least, as in MLP(3, [1]).")
        kind = dialect or self.dialect
        self.layers = Parts(
            [
                self._Layer(n, m, nonlin=i < len(sizes) - 2, dialect=kind)
                for i, (n, m) in enumerate(pairwise(sizes))
            ]
        )

    @property
    def layer(self) -> list[Any]:
        """The layers, by the name that the two-file version has for them."""
        return self.layers

    @layer.setter
    def layer(self, layers: Any) -> None:
        self.layers = layers

    def _neurons(self) -> list[list[Neuron]] | None:
        own = {(type(layer).__call__, type(layer).parameters) for layer in self.layers}
        if own != {(Layer.__call__, Layer.parameters)}:
            return None
        return [layer.neurons for layer in self.layers]

    def __call__(self, x: Any) -> Any:
        """Compute the last layer's answer to a sequence of numbers or Values, or to a batch.

        Parameters
        ----------
        x : sequence of float or Value, or array of shape (n, nin)
            One sample, or a batch.

        Returns
        -------
        Value, list of Value, or Tensor
            A bare Value if there is one output. For a batch a Tensor, (n,) or (n, nout), whose
            ``backward`` fills the parameters' ``grad`` as that of Values does.

        Raises
        ------
        ShapeError
            If the number of inputs is wrong.
        """
        network = self._compile()
        if network is not None:
            return network(x)
        if getattr(x, "ndim", 1) == 2:
            return self._each_row(x)
        for layer in self.layers:
            x = layer([x] if isinstance(x, Value) else x)
        return x

    def parameters(self) -> list[Any]:
        """Give the parameters of the first layer, neuron by neuron, then of the next."""
        network = self._compile()
        if network is not None:
            return network.parameters.copy()
        return [p for layer in self.layers for p in layer.parameters()]

    def __repr__(self) -> str:
        return f"MLP of [{', '.join(map(repr, self.layers))}]"


def methods() -> list[Any]:
    """Give the methods in whose place a Network runs."""
    of_modules = [getattr(k, n) for k in (Neuron, Layer) for n in ("__call__", "parameters")]
    names = ("relu", "tanh", "__add__", "__radd__", "__mul__", "__rmul__")
    return of_modules + [getattr(Value, name) for name in names]


OURS = methods()

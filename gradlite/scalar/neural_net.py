"""Neuron, Layer and MLP as in the two-file version of micrograd: tanh, random biases."""

from __future__ import annotations

from gradlite.scalar import nn
from gradlite.scalar.engine import Value
from gradlite.scalar.nn import Module

__all__ = ["MLP", "Layer", "Module", "Neuron", "Value"]


class Neuron(nn.Neuron):
    """A weighted sum of its inputs, and tanh: see `gradlite.scalar.nn.Neuron`."""

    dialect = "neural_net"


class Layer(nn.Layer):
    """Neurons with the same inputs: see `gradlite.scalar.nn.Layer`."""

    dialect = "neural_net"
    _Neuron = Neuron


class MLP(nn.MLP):
    """A multilayer perceptron of tanh neurons: see `gradlite.scalar.nn.MLP`.

    Examples
    --------
    >>> from gradlite.scalar.neural_net import MLP
    >>> n = MLP(3, [4, 4, 1])
    >>> len(n.parameters()), len(n.layer)
    (41, 3)
    """

    dialect = "neural_net"
    _Layer = Layer

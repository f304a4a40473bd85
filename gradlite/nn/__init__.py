"""Networks. For now those of the scalar API: Neuron, Layer and MLP, as micrograd has them."""

from gradlite.scalar.nn import MLP, Layer, Neuron

__all__ = ["MLP", "Layer", "Neuron"]

"""The scalar API that gradlite began as: micrograd's, whole, and as arrays underneath.

`Value` is one number with a gradient; `Neuron`, `Layer` and `MLP` are built of Values and run as
matrices. The two-file version's classes are in `gradlite.scalar.neural_net`. In a notebook,
``%load_ext gradlite.scalar`` makes ``from micrograd.engine import Value`` give ours.
"""

from gradlite.scalar.engine import Value
from gradlite.scalar.nn import MLP, Layer, Module, Neuron
from gradlite.scalar.redirect import load_ipython_extension, unload_ipython_extension

__all__ = [
    "MLP",
    "Layer",
    "Module",
    "Neuron",
    "Value",
    "load_ipython_extension",
    "unload_ipython_extension",
]

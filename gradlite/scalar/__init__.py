"""The scalar API: all of micrograd's, computed with arrays underneath.

`Value` is one number with a gradient; `Neuron`, `Layer` and `MLP` consist of Values and run as
matrices. The two-file version's classes are in `gradlite.scalar.neural_net`. In a notebook, after
``%load_ext gradlite.scalar``, ``from micrograd.engine import Value`` imports gradlite's.
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

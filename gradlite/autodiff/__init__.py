"""The engine: rules, the tape and its walk, Tensors and what they do, transforms."""

from gradlite.autodiff import methods

__all__ = ["methods"]  # importing it sets Tensor's operators and methods

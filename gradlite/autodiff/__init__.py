"""The engine: rules, the tape and its walk, Tensors and what they do, transforms."""

from gradlite.autodiff import operations

__all__ = ["operations"]  # which gives Tensor its operators

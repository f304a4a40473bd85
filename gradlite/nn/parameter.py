"""Parameter: a Tensor that a module trains."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradlite.autodiff.tensor import Tensor
from gradlite.errors import GraphError


class Parameter(Tensor):
    """A Tensor that a module trains.

    Parameters
    ----------
    data : array_like or Tensor
        The initial values. Of a Tensor the data is copied; the parameter is a new leaf.
    requires_grad : bool, default True
        Whether the parameter is trained; it is saved with the module in either case.
    dtype : dtype, optional
        The type of the data; by default that of `data`.
    copy : bool, default True
        False shares memory with `data`.

    Raises
    ------
    GraphError
        If `data` is the result of a recorded operation.
    DtypeError
        If `data` does not consist of numbers, or a gradient is asked of integers.

    Examples
    --------
    >>> import numpy as np
    >>> from gradlite.nn.module import Parameter
    >>> Parameter(np.zeros(2, np.float32))
    Tensor([0., 0.], shape=(2,), dtype=float32, requires_grad=True)
    """

    __slots__ = ()

    def __init__(
        self, data: Any, requires_grad: bool = True, dtype: Any = None, copy: bool = True
    ) -> None:
        if isinstance(data, Tensor) and data.is_leaf:
            data._stay_on_tape("Parameter()")
            data = data.data
        super().__init__(data, requires_grad, dtype, copy)
        if not self.is_leaf:
            raise GraphError(
                "A Parameter is a leaf, but this data is the result of a recorded operation, whose "
                "inputs would not be trained. Pass data.detach() to start from its values, or "
                "compute it in forward() each time."
            )


def short_type(x: Any) -> str:
    """Return "a Tensor", "an array", or "a" and the type of something else."""
    if isinstance(x, np.ndarray):
        return "an array"
    name = type(x).__name__
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def check_replacement(owner: Any, name: str, value: Any) -> None:
    """Raise TypeError if `value` in place of a parameter would not be trained, silently.

    A Tensor that requires a gradient may take its place, as when weights are computed.
    """
    if isinstance(value, Tensor) and value.requires_grad:
        return
    if isinstance(value, (Tensor, np.ndarray, np.generic, float, int, list, tuple)):
        if isinstance(value, Parameter):
            return
        raise TypeError(
            f"{type(owner).__name__}.{name} is a Parameter; {short_type(value)} in its place would "
            f"not be trained. Set its values with module.{name}.data = ..., or make another "
            f"parameter of it: nn.Parameter(...)."
        )

"""PyTorch's ``nn.utils``: clipping, parameters as one vector, and weights with a norm of their own.

Examples
--------
>>> from gradlite import nn
>>> net = nn.Sequential(nn.Linear(3, 2), nn.Tanh(), nn.Linear(2, 1))
>>> parameters_to_vector(net.parameters()).shape
(11,)
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache, partial
from typing import Any, TypeVar

import numpy as np

from gradlite.autodiff.tensor import Tensor
from gradlite.autodiff.writes import mark_written
from gradlite.errors import ShapeError
from gradlite.nn.clipping import clip_grad_norm as clip_grad_norm_
from gradlite.nn.clipping import clip_grad_value as clip_grad_value_
from gradlite.nn.module import Module, Parameter

__all__ = [
    "clip_grad_norm_",
    "clip_grad_value_",
    "parameters_to_vector",
    "remove_weight_norm",
    "vector_to_parameters",
    "weight_norm",
]

M = TypeVar("M", bound=Module)
Dims = tuple[tuple[str, int | None], ...]


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """Return all parameters as one vector, which is differentiable in them.

    Parameters
    ----------
    parameters : iterable of Tensors

    Returns
    -------
    Tensor, shape (n,)
        Their elements, one parameter after the other.

    Examples
    --------
    >>> import gradlite as gl
    >>> w, b = gl.Tensor([[1.0, 2.0]], requires_grad=True), gl.Tensor(3.0, requires_grad=True)
    >>> parameters_to_vector([w, b]).data
    array([1., 2., 3.])
    """
    flat: Any = np.concatenate([np.reshape(p, -1) for p in parameters])
    return flat  # type: ignore[no-any-return]


def vector_to_parameters(vec: Any, parameters: Iterable[Tensor]) -> None:
    """Copy the elements of a vector into parameters, in place: undo `parameters_to_vector`.

    Parameters
    ----------
    vec : array or Tensor, shape (n,)
        As many numbers as the parameters have elements.
    parameters : iterable of Tensors

    Raises
    ------
    ShapeError
        If it has another number of elements. Nothing is changed.

    Examples
    --------
    >>> import numpy as np, gradlite as gl
    >>> w, b = gl.Tensor([[1.0, 2.0]], requires_grad=True), gl.Tensor(3.0, requires_grad=True)
    >>> vector_to_parameters(np.array([4.0, 5.0, 6.0]), [w, b])
    >>> w.data, b.data
    (array([[4., 5.]]), array(6.))
    """
    values = vec.data if isinstance(vec, Tensor) else np.asarray(vec)
    parameters = list(parameters)
    size = sum(p.size for p in parameters)
    if values.shape != (size,):
        raise ShapeError(
            f"vector_to_parameters got a vector of shape {values.shape}: expected ({size},)."
        )
    start = 0
    for p in parameters:
        stop = start + p.size
        np.copyto(p.data, values[start:stop].reshape(p.shape), casting="same_kind")
        mark_written(p.data)
        start = stop


# -- weight normalization -----------------------------------------------------------------------


def weight_norm(module: M, name: str = "weight", dim: int | None = 0) -> M:
    """Train the direction of a weight and its norm separately: ``g * v / |v|``.

    The parameter `name` is replaced by two, ``<name>_g`` and ``<name>_v``, PyTorch's names, from
    which it is computed whenever it is asked for. Salimans and Kingma, "Weight normalization: a
    simple reparameterization to accelerate training of deep neural networks", 2016.

    Parameters
    ----------
    module : Module
        The layer, which is changed. Create the optimiser afterwards.
    name : str, default 'weight'
        The parameter.
    dim : int or None, default 0
        The axis along which there is a norm for each index; None, or as in PyTorch -1: one norm
        for all.

    Returns
    -------
    Module
        The layer itself.

    Raises
    ------
    ValueError
        If the layer has no such parameter.

    Examples
    --------
    >>> from gradlite import nn
    >>> layer = weight_norm(nn.Linear(3, 2))
    >>> {name: p.shape for name, p in layer.named_parameters()}
    {'bias': (2,), 'weight_g': (2, 1), 'weight_v': (2, 3)}
    """
    weight = vars(module).get(name)
    if not isinstance(weight, Parameter):
        raise ValueError(f"weight_norm: {type(module).__name__} has no parameter {name!r}.")
    delattr(module, name)
    v = Parameter(weight, weight.requires_grad)
    setattr(module, f"{name}_g", Parameter(_norm(v.detach(), dim), weight.requires_grad))
    setattr(module, f"{name}_v", v)
    _set_class(module, (*_dims(module), (name, dim)))
    return module


def remove_weight_norm(module: M, name: str = "weight") -> M:
    """Undo `weight_norm`: the weight is a parameter again, with its present value.

    Raises
    ------
    ValueError
        If the weight has no norm of its own.

    Examples
    --------
    >>> from gradlite import nn
    >>> layer = remove_weight_norm(weight_norm(nn.Linear(3, 2)))
    >>> [name for name, p in layer.named_parameters()]
    ['bias', 'weight']
    """
    dims = dict(_dims(module))
    if name not in dims:
        raise ValueError(f"remove_weight_norm: {name!r} of {type(module).__name__} has none.")
    weight = Parameter(getattr(module, name).detach())
    del dims[name]
    _set_class(module, tuple(dims.items()))
    for part in (f"{name}_g", f"{name}_v"):
        delattr(module, part)
    setattr(module, name, weight)
    return module


def _norm(v: Tensor, dim: int | None) -> Any:
    """Return the norm of a weight for each index of the axis `dim`, with all axes kept."""
    if dim is None or dim == -1:
        return np.sqrt((v * v).sum())
    axes = tuple(axis for axis in range(v.ndim) if axis != dim)
    return np.sqrt((v * v).sum(axis=axes, keepdims=True))


def _weight(module: Any, name: str, dim: int | None) -> Any:
    v = getattr(module, f"{name}_v")
    return v * (getattr(module, f"{name}_g") / _norm(v, dim))


def _dims(module: Module) -> Dims:
    """Return the names of the weights of a module that have a norm, with their axes."""
    return getattr(type(module), "_weight_norms", ())


def _set_class(module: Module, dims: Dims) -> None:
    base: Any = type(module)
    if _dims(module):
        base = base.__mro__[1]
    module.__class__ = _normalized(base, dims) if dims else base


@cache
def _normalized(base: Any, dims: Dims) -> Any:
    """Return a subclass of a layer that computes some of its weights, each a property."""
    weights = {name: property(partial(_weight, name=name, dim=dim)) for name, dim in dims}
    own = {
        "__module__": base.__module__,
        "__doc__": base.__doc__,
        "__reduce_ex__": _reduce,
        "_weight_norms": dims,
    }
    return type(base.__name__, (base,), {**own, **weights})


def _reduce(module: Module, protocol: Any) -> Any:
    """Pickle or copy a module whose class is made by `_normalized`, which has no name to find."""
    return _rebuilt, (type(module).__mro__[1], _dims(module)), module.__getstate__()


def _rebuilt(base: Any, dims: Dims) -> Module:
    cls = _normalized(base, dims)
    module: Module = cls.__new__(cls)
    return module

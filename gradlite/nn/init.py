"""Initial values of parameters: functions that fill an array or a Tensor in place.

Names and formulas are PyTorch's: ``xavier_uniform_(layer.weight, generator=rng)``, or without the
underscore and with the generator as ``rng=``. Draws come from it, a `numpy.random.Generator` (None:
that of `random_draws`, or a new one). They are made in float64, so a seed gives the same values in
every dtype, up to rounding.

A weight of shape ``(out, in, *kernel)`` has a fan-in of ``in * prod(kernel)``, the number of
inputs that an output depends on, and a fan-out of ``out * prod(kernel)``.
"""

from __future__ import annotations

from math import ceil, prod, sqrt
from typing import TypeVar

import numpy as np

from gradlite.autodiff.tensor import Tensor
from gradlite.autodiff.writes import mark_written
from gradlite.errors import DtypeError, ShapeError
from gradlite.nn.module import Rng, generator

A = TypeVar("A", bound=np.ndarray | Tensor)

GAINS = {
    "linear": 1.0,
    "conv1d": 1.0,
    "conv2d": 1.0,
    "conv3d": 1.0,
    "conv_transpose1d": 1.0,
    "conv_transpose2d": 1.0,
    "conv_transpose3d": 1.0,
    "sigmoid": 1.0,
    "tanh": 5 / 3,
    "relu": sqrt(2),
    "leaky_relu": sqrt(2 / (1 + 0.01**2)),
    "selu": 3 / 4,
}


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """Return the factor by which weights compensate an activation's effect on the variance.

    Parameters
    ----------
    nonlinearity : str
        'linear', 'conv1d' to 'conv3d', 'conv_transpose1d' to 'conv_transpose3d', 'sigmoid', 'tanh',
        'relu', 'leaky_relu' or 'selu'.
    param : float, optional
        The negative slope of 'leaky_relu', 0.01 by default.

    Notes
    -----
    A leaky rectifier of slope a multiplies the mean square of its input by ``(1 + a**2) / 2``; the
    gain ``sqrt(2 / (1 + a**2))`` restores it (He et al., 2015). 5/3 for tanh and 3/4 for selu are
    PyTorch's empirical values.

    Examples
    --------
    >>> calculate_gain("tanh")
    1.6666666666666667
    """
    if nonlinearity not in GAINS:
        raise ValueError(
            f"calculate_gain knows {', '.join(map(repr, GAINS))}, not {nonlinearity!r}."
        )
    if nonlinearity == "leaky_relu" and param is not None:
        return sqrt(2 / (1 + param**2))
    return GAINS[nonlinearity]


def constant(tensor: A, val: float) -> A:
    """Fill with the number `val`."""
    _array(tensor)[...] = val
    return tensor


def zeros(tensor: A) -> A:
    """Fill with zeros."""
    return constant(tensor, 0.0)


def ones(tensor: A) -> A:
    """Fill with ones."""
    return constant(tensor, 1.0)


def uniform(tensor: A, a: float = 0.0, b: float = 1.0, *, rng: Rng = None) -> A:
    """Draw each element from the uniform distribution between `a` and `b`.

    Examples
    --------
    >>> import numpy as np
    >>> w = uniform(np.empty(1000), -0.1, 0.1, rng=np.random.default_rng(0))
    >>> bool(abs(w).max() <= 0.1)
    True
    """
    array = _array(tensor)
    array[...] = generator(rng).uniform(a, b, array.shape)
    return tensor


def normal(tensor: A, mean: float = 0.0, std: float = 1.0, *, rng: Rng = None) -> A:
    """Draw each element from the normal distribution of this mean and standard deviation."""
    array = _array(tensor)
    array[...] = generator(rng).normal(mean, std, array.shape)
    return tensor


def xavier_uniform(tensor: A, gain: float = 1.0, *, rng: Rng = None) -> A:
    """Draw from ``uniform(-b, b)``, where ``b = gain * sqrt(6 / (fan_in + fan_out))``.

    Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural
    networks" (AISTATS 2010), equation 16.
    """
    bound = gain * sqrt(6 / sum(_fans(tensor)))
    return uniform(tensor, -bound, bound, rng=rng)


def xavier_normal(tensor: A, gain: float = 1.0, *, rng: Rng = None) -> A:
    """Draw from ``normal(0, s)``, where ``s = gain * sqrt(2 / (fan_in + fan_out))``.

    The variance of Glorot and Bengio (2010), equation 12.
    """
    return normal(tensor, 0.0, gain * sqrt(2 / sum(_fans(tensor))), rng=rng)


def kaiming_uniform(
    tensor: A,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    *,
    rng: Rng = None,
) -> A:
    """Draw from ``uniform(-b, b)``, where ``b = gain * sqrt(3 / fan)``.

    He, Zhang, Ren and Sun, "Delving deep into rectifiers" (ICCV 2015), equation 14 with the
    variance of a uniform distribution.

    Parameters
    ----------
    tensor : array or Tensor
        The weight to fill, of at least two dimensions.
    a : float, default 0.0
        The negative slope of 'leaky_relu'; with 0 that is relu.
    mode : {'fan_in', 'fan_out'}
        Whether to keep the variance of activations or of gradients.
    nonlinearity : str, default 'leaky_relu'
        The activation that follows; see `calculate_gain`.
    rng : Generator, optional
        Where the draws come from.
    """
    bound = sqrt(3) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform(tensor, -bound, bound, rng=rng)


def kaiming_normal(
    tensor: A,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    *,
    rng: Rng = None,
) -> A:
    """Draw from ``normal(0, s)``, where ``s = gain / sqrt(fan)``.

    He, Zhang, Ren and Sun (2015), equation 14. The parameters are those of `kaiming_uniform`.
    """
    return normal(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), rng=rng)


def orthogonal(tensor: A, gain: float = 1.0, *, rng: Rng = None) -> A:
    """Draw an orthogonal matrix, times `gain`; axes beyond the first count as one.

    The rows are orthonormal, or the columns if there are fewer. Saxe, McClelland and Ganguli,
    "Exact solutions to the nonlinear dynamics of learning in deep linear neural networks"
    (arXiv:1312.6120). The signs of R make the draw uniform over all such matrices: Mezzadri, "How
    to generate random matrices from the classical compact groups" (arXiv:math-ph/0609050).
    """
    array = _array(tensor)
    m, _ = _fans(tensor)
    n = len(array)
    q, r = np.linalg.qr(generator(rng).standard_normal((max(n, m), min(n, m))))
    q *= np.sign(np.diagonal(r))
    array[...] = gain * (q if n >= m else q.T).reshape(array.shape)
    return tensor


def trunc_normal(
    tensor: A,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    *,
    rng: Rng = None,
) -> A:
    """Draw each element from the normal distribution, cut off below `a` and above `b`.

    The inverse of the distribution function, of uniform draws. `a` and `b` are values, not
    multiples of `std`.

    Examples
    --------
    >>> import numpy as np
    >>> w = trunc_normal(np.empty(1000), std=0.02, a=-0.04, b=0.04, rng=np.random.default_rng(0))
    >>> bool(abs(w).max() <= 0.04)
    True
    """
    from scipy.special import ndtr, ndtri

    low, high = ndtr((a - mean) / std), ndtr((b - mean) / std)
    array = _array(tensor)
    draws = ndtri(generator(rng).uniform(low, high, array.shape))
    array[...] = np.clip(mean + std * draws, a, b)  # far from the mean, ndtri is infinite
    return tensor


def sparse(tensor: A, sparsity: float, std: float = 0.01, *, rng: Rng = None) -> A:
    """Draw a matrix from ``normal(0, std)``, with zeros as a part `sparsity` of each column.

    Martens, "Deep learning via Hessian-free optimization" (ICML 2010).

    Examples
    --------
    >>> import numpy as np
    >>> (sparse(np.empty((4, 3)), 0.5, rng=np.random.default_rng(0)) == 0).sum(axis=0)
    array([2, 2, 2])
    """
    array = _matrix(tensor, "sparse")
    rng = generator(rng)
    normal(tensor, 0.0, std, rng=rng)
    array[rng.random(array.shape).argsort(axis=0) < ceil(sparsity * len(array))] = 0
    return tensor


def eye(tensor: A) -> A:
    """Fill a matrix with the identity: ones on the diagonal, zeros elsewhere.

    Examples
    --------
    >>> import numpy as np
    >>> eye(np.empty((2, 3)))
    array([[1., 0., 0.],
           [0., 1., 0.]])
    """
    array = _matrix(tensor, "eye")
    array[...] = np.eye(*array.shape)
    return tensor


def dirac(tensor: A, groups: int = 1) -> A:
    """Fill the kernel of a convolution so that it returns its input channels, as far as they go.

    Parameters
    ----------
    tensor : array or Tensor, shape (out, in, ...)
        The weight of a convolution of one to three dimensions, of odd size.
    groups : int, default 1
        The number of groups, in each of which it does so.

    Examples
    --------
    >>> import numpy as np
    >>> dirac(np.empty((2, 1, 3)))
    array([[[0., 1., 0.]],
    <BLANKLINE>
           [[0., 0., 0.]]])
    """
    array = _array(tensor)
    if not 3 <= array.ndim <= 5 or len(array) % groups:
        raise ShapeError(
            f"dirac fills a kernel of shape (out, in, ...), out in {groups} equal groups, not "
            f"{array.shape}."
        )
    array[...] = 0
    middle = tuple(size // 2 for size in array.shape[2:])
    for kernels in np.split(array, groups):
        channels = np.arange(min(kernels.shape[:2]))
        kernels[(channels, channels, *middle)] = 1
    return tensor


# -- PyTorch's names ---------------------------------------------------------------------------


def uniform_(tensor: A, a: float = 0.0, b: float = 1.0, generator: Rng = None) -> A:
    """Draw from the uniform distribution: `uniform`."""
    return uniform(tensor, a, b, rng=generator)


def normal_(tensor: A, mean: float = 0.0, std: float = 1.0, generator: Rng = None) -> A:
    """Draw from the normal distribution: `normal`."""
    return normal(tensor, mean, std, rng=generator)


def trunc_normal_(
    tensor: A,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Rng = None,
) -> A:
    """Draw from the normal distribution, cut off: `trunc_normal`."""
    return trunc_normal(tensor, mean, std, a, b, rng=generator)


def constant_(tensor: A, val: float) -> A:
    """Fill with a number: `constant`."""
    return constant(tensor, val)


def ones_(tensor: A) -> A:
    """Fill with ones: `ones`."""
    return ones(tensor)


def zeros_(tensor: A) -> A:
    """Fill with zeros: `zeros`."""
    return zeros(tensor)


def eye_(tensor: A) -> A:
    """Fill with the identity: `eye`."""
    return eye(tensor)


def dirac_(tensor: A, groups: int = 1) -> A:
    """Fill the kernel of a convolution with its identity: `dirac`."""
    return dirac(tensor, groups)


def xavier_uniform_(tensor: A, gain: float = 1.0, generator: Rng = None) -> A:
    """Draw uniformly, by Glorot and Bengio: `xavier_uniform`."""
    return xavier_uniform(tensor, gain, rng=generator)


def xavier_normal_(tensor: A, gain: float = 1.0, generator: Rng = None) -> A:
    """Draw normally, by Glorot and Bengio: `xavier_normal`."""
    return xavier_normal(tensor, gain, rng=generator)


def kaiming_uniform_(
    tensor: A,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Rng = None,
) -> A:
    """Draw uniformly, by He et al.: `kaiming_uniform`."""
    return kaiming_uniform(tensor, a, mode, nonlinearity, rng=generator)


def kaiming_normal_(
    tensor: A,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Rng = None,
) -> A:
    """Draw normally, by He et al.: `kaiming_normal`."""
    return kaiming_normal(tensor, a, mode, nonlinearity, rng=generator)


def orthogonal_(tensor: A, gain: float = 1.0, generator: Rng = None) -> A:
    """Draw an orthogonal matrix: `orthogonal`."""
    return orthogonal(tensor, gain, rng=generator)


def sparse_(tensor: A, sparsity: float, std: float = 0.01, generator: Rng = None) -> A:
    """Draw a matrix with zeros in each column: `sparse`."""
    return sparse(tensor, sparsity, std, rng=generator)


def _array(tensor: np.ndarray | Tensor) -> np.ndarray:
    """Return the array to fill."""
    array = tensor.data if isinstance(tensor, Tensor) else tensor
    if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
        raise DtypeError(
            f"Initial values are written in place to a floating-point array or Tensor; this "
            f"is {getattr(array, 'dtype', type(array).__name__)}."
        )
    mark_written(array)
    return array


def _matrix(tensor: np.ndarray | Tensor, name: str) -> np.ndarray:
    """Return the array to fill, of two dimensions."""
    if len(tensor.shape) != 2:
        raise ShapeError(f"{name} fills a matrix, not an array of shape {tensor.shape}.")
    return _array(tensor)


def _fans(tensor: np.ndarray | Tensor) -> tuple[int, int]:
    """Return fan-in and fan-out."""
    shape = tensor.shape
    if len(shape) < 2 or 0 in shape:
        raise ShapeError(
            f"The fans of a weight need a shape (out, in, ...) without zeros, not {shape}. "
            f"Fill a bias with zeros or uniform."
        )
    kernel = prod(shape[2:])
    return shape[1] * kernel, shape[0] * kernel


def _kaiming_std(tensor: np.ndarray | Tensor, a: float, mode: str, nonlinearity: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"mode must be 'fan_in' or 'fan_out', not {mode!r}.")
    fan_in, fan_out = _fans(tensor)
    return calculate_gain(nonlinearity, a) / sqrt(fan_in if mode == "fan_in" else fan_out)

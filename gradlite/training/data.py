"""Minibatches and blocks of rows: of arrays, memory-mapped files and scipy sparse matrices.

Nothing here copies more than a batch or a block, so a memory-mapped file may be larger than memory:
the pages that were read count as resident memory of the process, but the operating system reclaims
them when memory is short.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from gradlite.autodiff.operands import plain_array
from gradlite.errors import ShapeError

BLOCK_BYTES = 8 * 2**20


def as_rows(X: Any) -> Any:
    """Return X in a form from which rows can be taken quickly.

    Parameters
    ----------
    X : array_like or scipy sparse matrix or array
        Sparse formats other than CSR are converted, which makes a copy; pass CSR to avoid
        repeating it.

    Returns
    -------
    ndarray or CSR
        X itself if it is one. A memory map (`numpy.memmap`) becomes a plain array over the same
        file, without loading it.

    Raises
    ------
    ShapeError
        If X is a single number.
    DtypeError
        If it is a masked array, or another subclass with a meaning beyond its numbers.

    Examples
    --------
    >>> as_rows([[1, 2], [3, 4]])
    array([[1, 2],
           [3, 4]])
    """
    if hasattr(X, "tocsr"):
        return X if X.format == "csr" else X.tocsr()
    X = plain_array(X, "Rows of")
    if X.ndim == 0:
        raise ShapeError(f"X must be an array of rows, not the single value {X!r}.")
    return X


def take_rows(X: Any, index: Any) -> Any:
    """Return rows of X: a view for a slice of an array, otherwise a copy.

    Parameters
    ----------
    X : ndarray or CSR
        Any number of dimensions; rows are along the first.
    index : slice or ndarray of int
        Which rows, in which order.

    Examples
    --------
    >>> take_rows(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([1, 0]))
    array([[3., 4.],
           [1., 2.]])
    """
    if isinstance(index, slice) or not isinstance(X, np.ndarray) or not X.flags.c_contiguous:
        return X[index]
    return X.take(index, axis=0)  # up to six times faster than X[index]


def batch_indices(n: int, batch_size: int, order: Any = None) -> Iterator[Any]:
    """Yield which of `n` rows make up each batch: a slice, or a part of `order`.

    Examples
    --------
    >>> list(batch_indices(5, 3))
    [slice(0, 3, None), slice(3, 5, None)]
    >>> list(batch_indices(5, 3, np.array([4, 3, 2, 1, 0])))
    [array([4, 3, 2]), array([1, 0])]
    """
    for start in range(0, n, batch_size):
        stop = min(start + batch_size, n)
        yield slice(start, stop) if order is None else order[start:stop]


class Rows:
    """X, with the target and the weight of each row: what a training loop iterates over.

    Parameters
    ----------
    X : array_like, memory map or scipy sparse, of shape (n, ...)
        As for `batches`.
    y : array_like, memory map or scipy sparse, of shape (n, ...), optional
        Targets.
    sample_weight : array_like of shape (n,), optional
        Weights of the rows.

    Raises
    ------
    ShapeError
        If X is empty or the lengths differ.

    Examples
    --------
    >>> rows = Rows([[1.0], [2.0], [3.0]], [0, 0, 1])
    >>> for x, y, w in rows.batches(2, order=np.array([2, 0, 1])):
    ...     print(x.tolist(), y, w)
    [[3.0], [1.0]] [1 0] None
    [[2.0]] [0] None
    """

    def __init__(self, X: Any, y: Any = None, sample_weight: Any = None) -> None:
        self.X = as_rows(X)
        if len(self) == 0:
            raise ShapeError(f"X of shape {self.X.shape} has no rows.")
        self.y = None if y is None else _matching("y", y, len(self))
        self.sample_weight = (
            None if sample_weight is None else _matching("sample_weight", sample_weight, len(self))
        )

    def __len__(self) -> int:
        return int(self.X.shape[0])

    def all(self) -> tuple[Any, Any, Any]:
        """Return all of X, y and the weights."""
        return self.X, self.y, self.sample_weight

    def batches(self, batch_size: int, order: Any = None) -> Iterator[tuple[Any, Any, Any]]:
        """Yield all rows in batches, in the order of the array of indices `order` if given.

        Yields
        ------
        tuple
            The rows of X, y and the weights; None for what was not given.
        """
        X, y, weight = self.all()
        n = len(self) if order is None else len(order)
        for index in batch_indices(n, batch_size, order):
            yield (
                take_rows(X, index),
                None if y is None else take_rows(y, index),
                None if weight is None else take_rows(weight, index),
            )


def _matching(name: str, array: Any, n: int) -> Any:
    """Return `array` as rows; raise ShapeError unless it has as many rows as X."""
    array = as_rows(array)
    if array.shape[0] != n:
        raise ShapeError(f"X has {n} rows but {name} has {array.shape[0]}: pass one for each row.")
    return array


def batches(
    X: Any,
    y: Any = None,
    batch_size: int = 200,
    rng: Any = None,
    sample_weight: Any = None,
    drop_last: bool = False,
) -> Iterator[tuple[Any, ...]]:
    """Iterate over X and y once, a batch of rows at a time.

    Parameters
    ----------
    X : array_like, memory map or scipy sparse, of shape (n, ...)
        A memory-mapped file (``np.load(path, mmap_mode="r")``) may be larger than memory. Sparse
        matrices other than CSR are converted once.
    y : array_like, memory map or scipy sparse, of shape (n, ...), optional
        Targets.
    batch_size : int, default 200
        The number of rows in a batch; the last batch may have fewer.
    rng : numpy Generator or RandomState, optional
        Shuffles the rows: each call draws a new permutation from it.
    sample_weight : array_like of shape (n,), optional
        Weights of the rows.
    drop_last : bool, default False
        Whether to omit a last batch that is not full.

    Returns
    -------
    iterator of tuples
        ``(X_batch, y_batch)``, or ``(X_batch, y_batch, weights)`` with `sample_weight`; y_batch
        is None without y. Batches of arrays that are not shuffled are views, not copies.

    Raises
    ------
    ShapeError
        If X is empty or the lengths differ.
    ValueError
        If `batch_size` is less than 1, or `drop_last` would leave no batch.
    TypeError
        If `batch_size` is not an integer, or `rng` not a generator.

    Examples
    --------
    >>> for x, y in batches(np.arange(5), np.arange(5) ** 2, batch_size=2):
    ...     print(x, y)
    [0 1] [0 1]
    [2 3] [4 9]
    [4] [16]
    """
    if isinstance(batch_size, bool) or not isinstance(batch_size, (int, np.integer)):
        raise TypeError(f"batches: batch_size must be an integer, not {batch_size!r}.")
    if batch_size < 1:
        raise ValueError(f"batches: batch_size must be 1 or more, not {batch_size}.")
    if rng is not None and not hasattr(rng, "permutation"):
        raise TypeError(
            f"batches: rng must be a NumPy random generator, not {rng!r}: pass "
            f"np.random.default_rng(seed)."
        )
    rows, batch_size = Rows(X, y, sample_weight), int(batch_size)
    n = len(rows)
    if drop_last and n < batch_size:
        raise ValueError(
            f"batches: drop_last leaves no batch of {batch_size} out of {n} rows: lower batch_size."
        )
    epoch = rows.batches(batch_size, None if rng is None else rng.permutation(n))
    if drop_last:
        epoch = itertools.islice(epoch, n // batch_size)
    return epoch if sample_weight is not None else ((x, target) for x, target, _ in epoch)


def blocks(X: Any, rows: int | None = None) -> Iterator[Any]:
    """Yield the rows of X in order, in blocks that fit into the cache.

    Parameters
    ----------
    X : array_like, memory map or scipy sparse, of shape (n, ...)
        If it has no rows, there are no blocks.
    rows : int, optional
        The number of rows in a block; by default as many as make about `BLOCK_BYTES`.

    Yields
    ------
    ndarray or CSR
        Views, for arrays.

    Examples
    --------
    >>> [block.shape for block in blocks(np.zeros((5, 3)), rows=2)]
    [(2, 3), (2, 3), (1, 3)]
    """
    X = as_rows(X)
    n = X.shape[0]
    if rows is None:
        size = X.nbytes if isinstance(X, np.ndarray) else X.data.nbytes
        rows = max(1, BLOCK_BYTES * n // max(1, size))
    for index in batch_indices(n, rows):
        yield take_rows(X, index)


def all_finite(X: Any) -> bool:
    """Return whether all entries of X are finite, in bounded memory.

    Parameters
    ----------
    X : array_like, memory map or scipy sparse, of numbers
        Of sparse X, the stored entries are checked.

    Examples
    --------
    >>> all_finite([1.0, 2.0]), all_finite([[1.0, float("nan")]])
    (True, False)
    """
    X = as_rows(X)
    if not isinstance(X, np.ndarray):
        X = X.data
    elif X.flags.f_contiguous:
        X = X.T
    if X.dtype.kind not in "fc":
        return True
    return all(map(_finite, (X,) if X.nbytes <= BLOCK_BYTES else blocks(X)))


def _finite(x: Any) -> bool:
    """Return whether all entries are finite. If their sum is, this needs no temporary array."""
    with np.errstate(all="ignore"):
        return bool(np.isfinite(np.sum(x)) or np.isfinite(x).all())


def mean_and_scale(X: Any, sample_weight: Any = None) -> tuple[Any, Any]:
    """Return what to subtract from each column of X, and what to divide by, to standardize it.

    Parameters
    ----------
    X : array_like, memory map or CSR, of shape (n, columns)
        Finite numbers.
    sample_weight : array_like of shape (n,), optional
        Weights of the rows; a weight of 2 counts as the row twice.

    Returns
    -------
    mean : ndarray of shape (columns,), float64
        Zeros for sparse X, which would not stay sparse if it were centred.
    scale : ndarray of shape (columns,), float64
        The standard deviation (the root of the mean squared deviation from the true mean), or 1
        for a column that is constant up to rounding, or whose squares underflow (numbers below
        about 1e-160), as in scikit-learn's StandardScaler.

    Raises
    ------
    ShapeError
        If X is not two-dimensional or empty, or the lengths differ.
    ValueError
        If the weights are negative or sum to 0, or the variance of a column overflows float64.

    Notes
    -----
    Blocks are joined by the pairwise update of Chan, Golub and LeVeque, "Updating formulae and a
    pairwise algorithm for computing sample variances" (1979), in float64: it stays accurate
    where the mean is far larger than the deviation.

    Examples
    --------
    >>> mean_and_scale([[1.0, 5.0], [3.0, 5.0]])
    (array([2., 5.]), array([1., 1.]))
    """
    X = as_rows(X)
    if X.ndim != 2 or X.shape[0] == 0:
        raise ShapeError(f"mean_and_scale: X must be (rows, columns), not of shape {X.shape}.")
    n, columns = X.shape
    weights = np.ones(n) if sample_weight is None else _matching("sample_weight", sample_weight, n)
    if weights.min() < 0 or not weights.any():
        raise ValueError("mean_and_scale: weights must be 0 or more, and one of them positive.")
    weights = np.ldexp(weights, -np.frexp(weights.max())[1])  # only their ratios matter
    dense = isinstance(X, np.ndarray)
    with np.errstate(over="ignore", invalid="ignore"):
        total, mean, squares = _moments(X, weights, _dense_moments if dense else _sparse_moments)
    if not np.isfinite(squares).all():
        raise ValueError(
            f"mean_and_scale: the values of column {int(np.isfinite(squares).argmin())} are too "
            f"large to be standardized, as their squares overflow: divide them by a power of ten."
        )
    variance = squares / total
    eps = np.finfo(np.float64).eps
    constant = variance <= n * eps * variance + (n * eps * mean) ** 2
    scale = np.sqrt(np.where(constant, 1.0, variance))
    return (mean if dense else np.zeros(columns)), scale


def _moments(X: Any, weights: Any, of_block: Callable[..., Any]) -> tuple[float, Any, Any]:
    """Return the total weight, and the mean and the sum of squared deviations of each column."""
    columns = X.shape[1]
    total, mean, squares, start = 0.0, np.zeros(columns), np.zeros(columns), 0
    for block in blocks(X):
        w = np.asarray(weights[start : start + block.shape[0]], np.float64)
        start += block.shape[0]
        weight = w.sum()
        if weight == 0:
            continue
        block_mean, block_squares = of_block(block, w, weight)
        delta = block_mean - mean
        share = weight / (total + weight)
        mean += delta * share
        squares += block_squares + delta**2 * (total * share)
        total += weight
    return total, mean, squares


def _dense_moments(x: Any, w: Any, weight: float) -> tuple[Any, Any]:
    """Return the mean of each column and its weighted sum of squared deviations."""
    x = np.asarray(x, np.float64)
    mean = w @ x / weight
    deviation = x - mean
    return mean, w @ (deviation * deviation)


def _sparse_moments(x: Any, w: Any, weight: float) -> tuple[Any, Any]:
    """Return the same for CSR; entries that are not stored are 0 and deviate by the mean."""
    if not x.has_canonical_format:
        x = x.copy()
        x.sum_duplicates()
    columns = x.shape[1]
    weights = np.repeat(w, np.diff(x.indptr))
    mean = np.bincount(x.indices, weights * x.data, columns) / weight
    squares = np.bincount(x.indices, weights * (x.data - mean[x.indices]) ** 2, columns)
    stored = np.bincount(x.indices, weights, columns)
    return mean, squares + (weight - stored) * mean**2

"""Products with sparse matrices, and rows picked from a table, whose adjoint is such a product.

The sparse matrix is data, without a gradient. scipy is loaded on first use.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gradlite.autodiff.define import defvjp, primitive
from gradlite.autodiff.rules.products import flat
from gradlite.errors import DtypeError, ShapeError


@primitive(opaque=True)
def sparse_matmul(y: Any, x: Any) -> Any:
    """Compute ``x @ y`` for a sparse `x`.

    Parameters
    ----------
    y : array_like or Tensor, shape (n, m)
        The right factor, dense.
    x : scipy.sparse array or matrix, shape (k, n)
        The left factor, by keyword: a constant.

    Returns
    -------
    array or Tensor, shape (k, m)
        Dense.

    Examples
    --------
    >>> import numpy as np, scipy.sparse
    >>> sparse_matmul(np.array([[1.0, 2.0], [3.0, 4.0]]), x=scipy.sparse.eye_array(2).tocsr())
    array([[1., 2.],
           [3., 4.]])
    """
    return x @ y


@primitive(opaque=True)
def embedding(weight: Any, indices: Any, padding_idx: int | None = None) -> Any:
    """Pick rows of a table: ``weight[indices]``.

    Parameters
    ----------
    weight : array_like or Tensor, shape (n, m)
        The table.
    indices : array of int, shape (...)
        By keyword; from 0 to n - 1.
    padding_idx : int, optional
        The index of a row that gets no gradient.

    Returns
    -------
    array or Tensor, shape (..., m)

    Raises
    ------
    DtypeError
        If the indices are not integers.
    IndexError
        If one is negative or not below n.

    Examples
    --------
    >>> import numpy as np
    >>> embedding(np.array([[0.0, 0.5], [1.0, 1.5]]), indices=np.array([1, 0, 1]))
    array([[1. , 1.5],
           [0. , 0.5],
           [1. , 1.5]])
    """
    if weight.ndim != 2:
        raise ShapeError(f"embedding: the table has shape {weight.shape}, not (n, m).")
    if indices.dtype.kind not in "iu":
        raise DtypeError(f"embedding: indices must be integers, not {indices.dtype}.")
    # As unsigned numbers, negative indices are too large: one comparison finds both.
    if indices.size and indices.view(indices.dtype.str.replace("i", "u")).max() >= len(weight):
        raise IndexError(
            f"embedding: indices must be from 0 to {len(weight) - 1}, not {indices.min()} to "
            f"{indices.max()}."
        )
    return weight.take(indices.astype(np.intp, copy=False), axis=0)


def product(x: Any, y: Any) -> Any:
    """Return ``x @ y`` for a sparse `x`, a matrix or a vector.

    Raises
    ------
    ShapeError
        If `x` has more axes.
    """
    if x.ndim == 1:
        return sparse_matmul(y, x=x.reshape(1, -1).tocsr())[0]
    if x.ndim > 2 or y.ndim > 2:
        raise ShapeError(
            f"A sparse array and a Tensor of shapes {x.shape} and {y.shape}: a product is defined "
            f"for two axes at most. Multiply the matrices one by one, or call .toarray()."
        )
    return sparse_matmul(y, x=x)


def _selection(indices: Any, n: int, padding_idx: int | None, dtype: Any) -> Any:
    """Return the sparse matrix whose product with a table of `n` rows picks these rows."""
    from scipy.sparse import csr_array

    indices = indices.reshape(-1).astype(np.intp, copy=False)
    entries = np.ones(len(indices), dtype)
    if padding_idx is not None:
        entries[indices == padding_idx] = 0
    rows = np.arange(len(indices) + 1)
    return csr_array((entries, indices, rows), shape=(len(indices), n))


defvjp(sparse_matmul, lambda g, ans, y, x: sparse_matmul(g, x=x.T))
defvjp(
    embedding,
    # np.add.at would add the rows one by one, 20 times as slow.
    lambda g, ans, weight, indices, padding_idx=None: sparse_matmul(
        flat(g), x=_selection(indices, weight.shape[0], padding_idx, g.dtype).T
    ),
    masks=True,
)

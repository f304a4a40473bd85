"""Rules of linear algebra: solving, determinants, decompositions.

All of them take stacks of matrices wherever NumPy does. The decompositions cite where the
derivation of their formula can be read.
"""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np

from gradlite.autodiff.define import decomposition, defvjp, primitive
from gradlite.autodiff.rule import NON_DIFFERENTIABLE
from gradlite.autodiff.rules.elementwise import nonzero
from gradlite.autodiff.rules.products import T, column, row
from gradlite.autodiff.rules.reductions import matrix_norm, norm_of_nothing, vector_norm
from gradlite.errors import MissingRuleError

# -- inverse, powers, chains ------------------------------------------------------------------

defvjp(np.linalg.inv, lambda g, ans, a: -T(ans) @ g @ T(ans))


def solve_vjp_b(g: Any, ans: Any, a: Any, b: Any) -> Any:
    """Return the cotangent of the right-hand side; it is a vector only if 1-d, as in NumPy 2."""
    if b.ndim == 1:
        return np.squeeze(np.linalg.solve(T(a), column(g)), -1)
    return np.linalg.solve(T(a), g)


def solve_vjp_a(g: Any, ans: Any, a: Any, b: Any) -> Any:
    """Return the cotangent of the matrix."""
    c = solve_vjp_b(g, ans, a, b)
    return -column(c) * row(ans) if b.ndim == 1 else -c @ T(ans)


defvjp(np.linalg.solve, solve_vjp_a, solve_vjp_b)


def pinv_vjp(g: Any, ans: Any, a: Any, rcond: Any = None, rtol: Any = None) -> Any:
    """Differentiate the pseudo-inverse where the rank does not change.

    Golub and Pereyra (1973), "The differentiation of pseudo-inverses and nonlinear least squares
    problems whose variables separate", eq. 4.12.
    """
    left = T(g) @ (ans @ T(ans))
    right = (T(ans) @ ans) @ T(g)
    return left - a @ (ans @ left) + right - (right @ ans) @ a - T(ans) @ g @ T(ans)


defvjp(np.linalg.pinv, pinv_vjp)


def require_square(a: Any, name: str) -> None:
    """Raise LinAlgError if the matrices are not square, as NumPy does."""
    if a.ndim < 2 or a.shape[-1] != a.shape[-2]:
        raise np.linalg.LinAlgError(f"{name} takes square matrices, not shape {a.shape}.")


@decomposition(np.linalg.matrix_power)
def _matrix_power(a: Any, n: int) -> Any:
    require_square(a, "np.linalg.matrix_power")
    if n < 0:
        a, n = np.linalg.inv(a), -n
    if n == 0:  # a constant, but on the tape
        return np.where(True, np.eye(a.shape[-1], dtype=a.dtype), a)
    power = None
    for bit in reversed(bin(n)[2:]):  # by squaring: n = sum of the 2**k whose bit is set
        if bit == "1":
            power = a if power is None else power @ a
        n //= 2
        a = a @ a if n else a
    return power


@primitive
def chain(*matrices: Any) -> Any:
    """Multiply matrices in the order that costs least."""
    return np.linalg.multi_dot(matrices)


def chain_vjp(i: int, g: Any, ans: Any, *matrices: Any) -> Any:
    """Differentiate L M R with respect to M: L' g R'."""
    before, after = map(T, reversed(matrices[:i])), map(T, reversed(matrices[i + 1 :]))
    return chain(*before, g, *after)


defvjp(chain, variadic=chain_vjp, name="np.linalg.multi_dot")


@decomposition(np.linalg.multi_dot)
def _multi_dot(arrays: Any) -> Any:
    first, *middle, last = arrays
    shape = np.shape(first)[:-1] + np.shape(last)[1:]
    first = row(first) if np.ndim(first) == 1 else first
    last = column(last) if np.ndim(last) == 1 else last
    return np.reshape(chain(first, *middle, last), shape)


# -- determinants -----------------------------------------------------------------------------


@primitive
def invertible(a: Any) -> bool:
    """Return whether all the matrices can be inverted to half the digits of their type."""
    return a.size == 0 or not np.any(np.linalg.cond(a, 1) > 1.0 / sqrt(np.finfo(a.dtype).eps))


NON_DIFFERENTIABLE.add(invertible)


def products(s: Any, left_out: Any) -> Any:
    """Multiply the entries of `s` (last axis), leaving out those where a mask is true."""
    return np.prod(np.where(left_out, 1, np.expand_dims(s, tuple(range(-left_out.ndim, -1)))), -1)


def orientation(u: Any, vt: Any) -> Any:
    """Return the sign of det(u) det(vt), whose derivative is zero as both are orthogonal."""
    return np.expand_dims(np.sign(np.linalg.det(u) * np.linalg.det(vt)), (-2, -1))


@primitive
def cofactor(a: Any) -> Any:
    """Compute the matrix of cofactors, the derivative of det, of singular matrices too.

    It is ``det(a) * inv(a).T``, written with singular values so that nothing is divided by 0.
    """
    u, s, vt = np.linalg.svd(a)
    others = products(s, np.eye(s.shape[-1], dtype=bool))
    return orientation(u, vt) * ((u * row(others)) @ vt)


def cofactor_vjp(g: Any, ans: Any, a: Any) -> Any:
    """Differentiate the cofactors.

    In the basis of singular vectors the second-order terms of a determinant are the 2 x 2
    minors of the change, m[i,i] m[j,j] - m[i,j] m[j,i], times the other singular values.
    """
    u, s, vt = np.linalg.svd(a)
    eye = np.eye(s.shape[-1], dtype=bool)
    pairs = np.where(eye, 0, products(s, np.expand_dims(eye, 0) | np.expand_dims(eye, 1)))
    m = T(u) @ g @ T(vt)
    change = np.where(eye, pairs @ column(np.diagonal(m, 0, -2, -1)), -pairs * T(m))
    return orientation(u, vt) * (u @ change @ vt)


defvjp(cofactor, cofactor_vjp)


def det_vjp(g: Any, ans: Any, a: Any) -> Any:
    """Differentiate a determinant; for singular matrices, correct to second order."""
    g, ans = np.expand_dims(g, (-2, -1)), np.expand_dims(ans, (-2, -1))
    return g * ans * T(np.linalg.inv(a)) if invertible(a) else g * cofactor(a)


def slogdet_vjp(g: Any, ans: Any, a: Any) -> Any:
    """Differentiate the logarithm of a determinant; its sign is constant."""
    _, g_log = g
    return np.expand_dims(g_log, (-2, -1)) * T(np.linalg.inv(a))


defvjp(np.linalg.det, det_vjp)
defvjp(np.linalg.slogdet, slogdet_vjp, multiple_outputs=True)

# -- decompositions ---------------------------------------------------------------------------


# Numbers that differ by less are equal but for rounding. Of eigenvalues that are equal by
# construction, those that LAPACK finds differ by up to 23 eps (matrices of order 2 to 300).
ROUNDING = 32

REPEATED = (
    "Eigenvectors or singular vectors of equal values can be rotated into each other (those of the "
    "singular value 0 out of the matrix): they are not determined, and have no derivative. Use the "
    "values alone, or a function without them (np.linalg.solve, inv, pinv, cholesky)."
)


def symmetric(x: Any) -> Any:
    """Return the symmetric part of matrices."""
    return 0.5 * (x + T(x))


@primitive
def over_gap(m: Any, gap: Any, values: Any) -> Any:
    """Compute ``m / gap`` of gaps between some of `values`, a vector or a stack of them.

    It is NaN where the gap is no more than rounding error, unless `m` is 0 and the gap is not.
    """
    return m / np.where(closed(gap, values) & ((m != 0) | (gap == 0)), np.nan, gap)


def closed(gap: Any, values: Any) -> Any:
    """Return which gaps are no more than rounding error."""
    scale = np.max(np.abs(values), axis=-1, initial=0) * (ROUNDING * np.finfo(values.dtype).eps)
    return np.abs(gap) <= np.reshape(scale, scale.shape + (1,) * (gap.ndim - scale.ndim))


def open_gap(gap: Any, values: Any) -> Any:
    """Return the gaps, with NaN for those that are no more than rounding error."""
    return np.where(closed(gap, values), np.nan, gap)


defvjp(
    over_gap,
    lambda g, ans, m, gap, values: g / open_gap(gap, values),
    lambda g, ans, m, gap, values: -g * ans / open_gap(gap, values),
    None,
    name="the derivative of np.linalg.eigh or svd",
    undefined=REPEATED,
)


def gaps(x: Any) -> Any:
    """Subtract: entry (i, j) is ``x[j] - x[i]``, and Inf where i = j."""
    return np.where(np.eye(x.shape[-1], dtype=bool), np.inf, row(x) - column(x))


def cholesky_vjp(g: Any, ans: Any, a: Any, upper: bool = False) -> Any:
    """Differentiate the Cholesky factor of a symmetric matrix; the gradient is symmetric.

    Murray (2016), "Differentiation of the Cholesky decomposition" (arXiv:1602.07527), eq. 10.
    """
    factor, g = (T(ans), T(g)) if upper else (ans, g)
    p, inverse = T(factor) @ g, np.linalg.inv(factor)
    lower = 0.5 * (np.tril(p) + np.tril(p, -1))  # with half the diagonal
    return symmetric(T(inverse) @ lower @ inverse)


def has_arrived(g: Any, i: int) -> bool:
    """Return whether result `i` of several has a cotangent in `g`; one without counts as zero."""
    parts = getattr(g, "parts", None)
    return parts is None or i in parts


def eigh_vjp(g: Any, ans: Any, a: Any, UPLO: Any = "L") -> Any:
    """Differentiate eigenvalues and -vectors of a symmetric matrix.

    NumPy reads one triangle of the matrix, the lower or with ``UPLO="U"`` the upper one; the
    gradient is that of the symmetric matrix, spread evenly over both triangles.

    Giles (2008), "Collected matrix derivative results for forward and reverse mode algorithmic
    differentiation", section 3.1. Eigenvectors of equal eigenvalues have no derivative: where
    something depends on eigenvectors, the gradient is NaN, as in PyTorch and JAX.
    """
    gw, gv = g
    w, v = ans
    c = v * row(gw)
    if has_arrived(g, 1):
        c = c + v @ over_gap(T(v) @ gv, gaps(w), w)
    return symmetric(c @ T(v))


@primitive
def svd(a: Any) -> Any:
    """Compute the reduced singular value decomposition."""
    return np.linalg.svd(a, full_matrices=False)


def svd_vjp(g: Any, ans: Any, a: Any) -> Any:
    """Differentiate singular values and vectors.

    Townsend (2016), "Differentiating the singular value decomposition". Singular vectors of
    equal singular values have no derivative, nor do those of a zero value, unless the matrix is
    square: where something depends on them, the gradient is NaN, as in PyTorch and JAX.
    """
    gu, gs, gvt = g
    u, s, vt = ans
    c = u * row(gs)
    if has_arrived(g, 0) or has_arrived(g, 2):
        left, right = T(u) @ gu, vt @ T(gvt)
        turn = (left - T(left)) * row(s) + column(s) * (right - T(right))
        c = c + u @ over_gap(turn / nonzero(row(s) + column(s)), gaps(s), s)
    c = c @ vt
    # What lies outside the span of u, or of vt; of square matrices that is nothing.
    if has_arrived(g, 0) and a.shape[-2] > a.shape[-1]:
        c = c + over_gap(gu - u @ left, row(s), s) @ vt
    if has_arrived(g, 2) and a.shape[-2] < a.shape[-1]:
        c = c + u @ over_gap(gvt - T(right) @ vt, column(s), s)
    return c


defvjp(np.linalg.cholesky, cholesky_vjp)
defvjp(np.linalg.eigh, eigh_vjp, multiple_outputs=True, undefined=REPEATED)
defvjp(svd, svd_vjp, multiple_outputs=True, name="np.linalg.svd", undefined=REPEATED)


@decomposition(np.linalg.eigvalsh)
def _eigvalsh(a: Any, UPLO: Any = "L") -> Any:
    return np.linalg.eigh(a, UPLO).eigenvalues


@decomposition(np.linalg.svd)
def _svd(
    a: Any, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False
) -> Any:
    if hermitian:
        raise MissingRuleError(
            "np.linalg.svd on a Tensor does not take hermitian=True: leave it out, or use "
            "np.linalg.eigh."
        )
    if not compute_uv:
        return svd(a).S
    if full_matrices and a.shape[-2] != a.shape[-1]:
        raise MissingRuleError(
            f"np.linalg.svd of matrices of shape {a.shape[-2:]}: the vectors that complete the "
            f"basis are arbitrary and have no derivative. Pass full_matrices=False."
        )
    return svd(a)


@decomposition(np.linalg.svdvals)
def _svdvals(x: Any) -> Any:
    return svd(x).S


# -- np.linalg's names for functions that are elsewhere ---------------------------------------


@decomposition(np.linalg.matrix_transpose)
def _matrix_transpose(x: Any) -> Any:
    return np.matrix_transpose(x)


@decomposition(np.linalg.diagonal)
def _diagonal(x: Any, *, offset: int = 0) -> Any:
    return np.diagonal(x, offset, -2, -1)


@decomposition(np.linalg.trace)
def _trace(x: Any, *, offset: int = 0) -> Any:
    return np.trace(x, offset, -2, -1)


@decomposition(np.linalg.vector_norm)
def _vector_norm(x: Any, *, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Any:
    if x.size == 0:
        return norm_of_nothing(np.linalg.vector_norm, x, axis, keepdims, ord)
    return vector_norm(x, ord, tuple(range(x.ndim)) if axis is None else axis, keepdims)


@decomposition(np.linalg.matrix_norm)
def _matrix_norm(x: Any, *, keepdims: bool = False, ord: Any = "fro") -> Any:
    if x.size == 0:
        return norm_of_nothing(np.linalg.norm, x, (-2, -1), keepdims, ord)
    return matrix_norm(x, ord, (-2, -1), keepdims)


# -- no derivative: these give plain arrays ---------------------------------------------------

NON_DIFFERENTIABLE.add(np.linalg.matrix_rank)

"""Rules of `np.tensordot` and `np.einsum`: sums of products over chosen axes.

The derivative with respect to one factor is a sum of the same kind, with the cotangent in that
factor's place.
"""

from __future__ import annotations

from string import ascii_letters, ascii_lowercase, ascii_uppercase
from typing import Any

import numpy as np

from gradlite.autodiff.define import decomposition, defvjp, primitive
from gradlite.autodiff.rule import NON_DIFFERENTIABLE

# -- tensordot --------------------------------------------------------------------------------


def paired(axes: Any, x: int, y: int) -> tuple[list[int], list[int]]:
    """List the axes that `tensordot` sums over, of its `x`-d and of its `y`-d factor."""
    if isinstance(axes, (int, np.integer)):
        return list(range(x - axes, x)), list(range(axes))
    of_x, of_y = axes
    return [int(i) % x for i in np.ravel(of_x)], [int(i) % y for i in np.ravel(of_y)]


def factor_cotangent(
    g: Any, other: Any, at: int, theirs: list[int], mine: list[int], ndim: int
) -> Any:
    """Return the cotangent of one factor of `tensordot`, of `ndim` dimensions.

    `other` is the other factor; its axes that are not summed begin at axis `at` of `g`. Its axis
    ``theirs[k]`` was summed with ``mine[k]`` of the factor in question.
    """
    free = [j for j in range(np.ndim(other)) if j not in theirs]
    c = np.tensordot(g, other, (range(at, at + len(free)), free))
    left = [i for i in range(ndim) if i not in mine]
    order = left + [mine[theirs.index(j)] for j in sorted(theirs)]
    return np.transpose(c, tuple(np.argsort(order)))


def tensordot_vjp_x(g: Any, ans: Any, x: Any, y: Any, axes: Any = 2) -> Any:
    """Return the cotangent of the left factor."""
    of_x, of_y = paired(axes, x.ndim, np.ndim(y))
    return factor_cotangent(g, y, x.ndim - len(of_x), of_y, of_x, x.ndim)


def tensordot_vjp_y(g: Any, ans: Any, x: Any, y: Any, axes: Any = 2) -> Any:
    """Return the cotangent of the right factor."""
    of_x, of_y = paired(axes, np.ndim(x), y.ndim)
    return factor_cotangent(g, x, 0, of_x, of_y, y.ndim)


defvjp(np.tensordot, tensordot_vjp_x, tensordot_vjp_y)


@decomposition(np.linalg.tensordot)
def _tensordot(x1: Any, x2: Any, *, axes: Any = 2) -> Any:
    return np.tensordot(x1, x2, axes)


# -- einsum -----------------------------------------------------------------------------------


@primitive
def einsum(*arrays: Any, subscripts: str, optimize: Any = False) -> Any:
    """Sum products over named axes; `subscripts` is a string, which `np.einsum` explains."""
    return np.einsum(subscripts, *arrays, optimize=optimize)


def spelled_out(subscripts: str, ndims: list[int]) -> tuple[list[str], str]:
    """Write subscripts with one letter for each axis: those of the arrays, that of the result."""
    joined, arrow, result = subscripts.replace(" ", "").partition("->")
    if not arrow:  # NumPy's convention: what occurs once is kept, in alphabetical order
        once = sorted(letter for letter in ascii_letters if joined.count(letter) == 1)
        result = "..." * ("." in joined) + "".join(once)
    terms = joined.split(",")
    hidden = [n - len(term.replace("...", "")) for n, term in zip(ndims, terms, strict=True)]
    most = max(hidden)
    dots = "".join([letter for letter in ascii_letters if letter not in subscripts][:most])
    spelled = [t.replace("...", dots[most - n :]) for t, n in zip(terms, hidden, strict=True)]
    return spelled, result.replace("...", dots)


def einsum_vjp(
    i: int, g: Any, ans: Any, *arrays: Any, subscripts: str, optimize: Any = False
) -> Any:
    """Differentiate an einsum with respect to one operand: the same sum, with `g` in its place."""
    terms, result = spelled_out(subscripts, [np.ndim(x) for x in arrays])
    named = [p for t, x in zip(terms, arrays, strict=True) for p in zip(t, x.shape, strict=True)]
    lengths = dict(sorted(named, key=lambda p: p[1] != 1))  # the n to which a 1 is broadcast
    mine, theirs = terms[i], ",".join([result, *terms[:i], *terms[i + 1 :]])
    found = "".join(a for a in dict.fromkeys(mine) if a in theirs)
    path = optimize if isinstance(optimize, (bool, str)) else True  # a path fits one sum only
    c = np.einsum(f"{theirs}->{found}", g, *arrays[:i], *arrays[i + 1 :], optimize=path)
    # Every value of an index that no other operand has contributes alike; of a repeated index,
    # only the diagonal does.
    first = [mine.index(letter) for letter in mine]
    c = np.expand_dims(c, [p for p, a in enumerate(mine) if a not in found or first[p] != p])
    for p, q in enumerate(first):
        if p != q:
            others = [axis for axis in range(len(mine)) if axis not in (p, q)]
            c = np.where(np.expand_dims(np.eye(lengths[mine[p]], dtype=bool), others), c, 0)
    return np.broadcast_to(c, [lengths[letter] for letter in mine])


defvjp(einsum, variadic=einsum_vjp, name="np.einsum")


def spelled(sublist: Any) -> str:
    """Write the index list of einsum's other form in letters (ordered as the numbers are)."""
    letters = dict(enumerate(ascii_uppercase + ascii_lowercase))
    return "".join("..." if i is Ellipsis else letters.get(i, "?") for i in sublist)


@decomposition(np.einsum)
def _einsum(*operands: Any, optimize: Any = False) -> Any:
    if isinstance(operands[0], str):
        subscripts, *arrays = operands
    else:  # array, its list, array, its list, ..., perhaps the list of the result
        n = len(operands) - len(operands) % 2
        arrays = list(operands[:n:2])
        subscripts = ",".join(map(spelled, operands[1:n:2]))
        if n < len(operands):
            subscripts += "->" + spelled(operands[n])
    arrays = [a if hasattr(a, "shape") else np.asarray(a) for a in arrays]
    return einsum(*arrays, subscripts=subscripts, optimize=optimize)


NON_DIFFERENTIABLE.add(np.einsum_path)

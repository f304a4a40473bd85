"""Rows for the rules in gradlite/autodiff/rules/convolution.py and pooling.py.

What they must equal is written out entry by entry: which element of the kernel meets which element
of the input, at which place.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np

from gradlite.autodiff.rules.convolution import conv_input, conv_weight, convolve
from gradlite.autodiff.rules.pooling import avg_pool, avg_unpool, max_pool
from gradlite.autodiff.rules.windows import Window
from tests.specs.kit import LACKS, D, R, Spec, at, call

Place = tuple[int, ...]


def meetings(size: Place, window: Window) -> Iterator[tuple[Place, Place, Place | None]]:
    """Return each place of the window, each element of it, and the element of the input there."""
    places = []
    for n, k, s, d, (before, after) in zip(
        size, window.kernel, window.stride, window.dilation, window.padding, strict=True
    ):
        last = before + n + after - d * (k - 1)
        places.append(range(len(range(0, last, s))))
    for place in product(*places):
        for element in product(*map(range, window.kernel)):
            met = tuple(
                r * s + i * d - before
                for r, s, i, d, (before, _) in zip(
                    place, window.stride, element, window.dilation, window.padding, strict=True
                )
            )
            inside = all(0 <= m < n for m, n in zip(met, size, strict=True))
            yield place, element, met if inside else None


def count_of_places(size: Place, window: Window) -> Place:
    *_, (last, _, _) = meetings(size, window)
    return tuple(i + 1 for i in last)


def terms(samples: int, channels: int, out: int, size: Place, window: Window, groups: int) -> Any:
    """Return the indices into y, w and x of every product that a convolution sums."""
    inputs, outputs = channels // groups, out // groups
    for n, o, c in product(range(samples), range(out), range(inputs)):
        for place, element, met in meetings(size, window):
            if met is not None:
                yield (n, o, *place), (o, c, *element), (n, o // outputs * inputs + c, *met)


def plain_convolve(x: Any, w: Any, b: Any = None, *, window: Window, groups: int) -> Any:
    size = x.shape[2:]
    y = np.zeros((len(x), len(w), *count_of_places(size, window)), x.dtype)
    for at_y, at_w, at_x in terms(len(x), x.shape[1], len(w), size, window, groups):
        y[at_y] += w[at_w] * x[at_x]
    return y if b is None else y + np.reshape(b, (-1, *[1] * len(size)))


def plain_conv_input(g: Any, w: Any, *, size: Place, window: Window, groups: int) -> Any:
    x = np.zeros((len(g), w.shape[1] * groups, *size), g.dtype)
    for at_y, at_w, at_x in terms(len(g), x.shape[1], len(w), size, window, groups):
        x[at_x] += w[at_w] * g[at_y]
    return x


def plain_conv_weight(g: Any, x: Any, *, window: Window, groups: int) -> Any:
    out, channels = g.shape[1], x.shape[1]
    w = np.zeros((out, channels // groups, *window.kernel), g.dtype)
    for at_y, at_w, at_x in terms(len(x), channels, out, x.shape[2:], window, groups):
        w[at_w] += g[at_y] * x[at_x]
    return w


def plain_max_pool(x: Any, *, window: Window) -> Any:
    size = x.shape[2:]
    y = np.full((*x.shape[:2], *count_of_places(size, window)), -np.inf, x.dtype)
    for place, _, met in meetings(size, window):
        if met is not None:
            here = (..., *place)
            y[here] = np.maximum(y[here], x[(..., *met)])
    return y


def plain_avg_pool(x: Any, *, window: Window) -> Any:
    size = x.shape[2:]
    y = np.zeros((*x.shape[:2], *count_of_places(size, window)), x.dtype)
    for place, _, met in meetings(size, window):
        if met is not None:
            y[(..., *place)] += x[(..., *met)] / np.prod(window.kernel)
    return y


def plain_avg_unpool(g: Any, *, size: Place, window: Window) -> Any:
    x = np.zeros((*g.shape[:2], *size), g.dtype)
    for place, _, met in meetings(size, window):
        if met is not None:
            x[(..., *met)] += g[(..., *place)] / np.prod(window.kernel)
    return x


LINE = Window((3,), (1,), ((0, 0),), (1,))
FAR_LINE = Window((2,), (2,), ((1, 2),), (3,))
PLANE = Window((2, 3), (1, 1), ((0, 0), (0, 0)), (1, 1))
FAR_PLANE = Window((2, 2), (2, 1), ((1, 1), (0, 1)), (1, 2))
# It leaves the last row and column out.
PAIRS = Window((2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1))
OVERLAPPING = Window((3, 2), (1, 2), ((1, 1), (1, 1)), (1, 1))

CONVOLUTION = [
    Spec(
        "convolution",
        convolve,
        [
            call(R(2, 2, 5), R(3, 2, 3), R(3), window=LINE, groups=1),
            call(R(2, 4, 5), R(4, 2, 2), R(4), window=FAR_LINE, groups=2),
            call(R(2, 2, 3, 4), R(3, 2, 2, 3), R(3), window=PLANE, groups=1),
            call(R(2, 2, 3, 4), R(4, 1, 2, 2), window=FAR_PLANE, groups=2),
            call(R(1, 1, 5, 3), R(1, 1, 2, 2), None, window=PAIRS, groups=1),
            call(x=R(1, 1, 5), w=R(1, 1, 3), b=R(1), window=LINE, groups=1),
            call(R(0, 2, 5), R(3, 2, 3), R(3), window=LINE, groups=1),
            # As many channels as make strips of them.
            call(R(2, 32, 4), R(2, 32, 2), R(2), window=FAR_LINE, groups=1),
            call(R(1, 32, 2, 3), R(2, 16, 2, 2), None, window=FAR_PLANE, groups=2),
        ],
        reference=plain_convolve,
        twin=None,
        why=LACKS,
    ),
    Spec(
        "convolution",
        conv_input,
        [
            call(R(2, 3, 3), R(3, 2, 3), size=(5,), window=LINE, groups=1),
            call(R(2, 4, 3), R(4, 2, 2), size=(5,), window=FAR_LINE, groups=2),
            call(R(2, 4, 2, 3), R(4, 1, 2, 2), size=(3, 4), window=FAR_PLANE, groups=2),
            call(R(1, 1, 2, 1), R(1, 1, 2, 2), size=(5, 3), window=PAIRS, groups=1),
            call(R(2, 2, 2), R(2, 32, 2), size=(4,), window=FAR_LINE, groups=1),
            call(R(1, 2, 2, 2), R(2, 16, 2, 2), size=(2, 3), window=FAR_PLANE, groups=2),
        ],
        reference=plain_conv_input,
        twin=None,
        why=LACKS,
    ),
    Spec(
        "convolution",
        conv_weight,
        [
            call(R(2, 3, 3), R(2, 2, 5), window=LINE, groups=1),
            call(R(2, 4, 3), R(2, 4, 5), window=FAR_LINE, groups=2),
            call(R(2, 4, 2, 3), R(2, 2, 3, 4), window=FAR_PLANE, groups=2),
            call(R(1, 1, 2, 1), R(1, 1, 5, 3), window=PAIRS, groups=1),
            call(R(2, 2, 2), R(2, 32, 4), window=FAR_LINE, groups=1),
            call(R(1, 2, 2, 2), R(1, 32, 2, 3), window=FAR_PLANE, groups=2),
        ],
        reference=plain_conv_weight,
        twin=None,
        why=LACKS,
    ),
    Spec(
        "convolution",
        max_pool,
        [
            call(D(2, 2, 4, 4), window=PAIRS),
            call(D(1, 2, 5, 3), window=PAIRS),
            call(D(2, 1, 4, 3), window=OVERLAPPING),
            call(D(1, 2, 3, 4), window=FAR_PLANE),
            call(D(2, 2, 5), window=LINE),
        ],
        reference=plain_max_pool,
        twin=None,
        why=LACKS,
        special=[
            at(
                np.full((1, 1, 2, 2), 7.0),
                slopes=np.array([[[[1.0, 0.0], [0.0, 0.0]]]]),
                window=PAIRS,
            ),
            at(
                np.array([[[[1.0, 2.0], [2.0, 2.0]]]]),
                slopes=np.array([[[[0.0, 1.0], [0.0, 0.0]]]]),
                window=PAIRS,
            ),
            # Padding is met by no window, not even one with nothing larger in it.
            at(
                np.full((1, 1, 1, 2), -np.inf),
                slopes=np.array([[[[3.0, 3.0]]]]),
                window=Window((3, 2), (1, 2), ((2, 2), (1, 1)), (1, 1)),
            ),
            # Of NaN there is no maximum.
            at(
                np.array([[[[np.nan, 2.0], [2.0, 2.0]]]]),
                slopes=np.zeros((1, 1, 2, 2)),
                window=PAIRS,
            ),
        ],
    ),
    Spec(
        "convolution",
        avg_pool,
        [
            call(R(2, 2, 4, 4), window=PAIRS),
            call(R(1, 2, 5, 3), window=PAIRS),
            call(R(2, 1, 4, 3), window=OVERLAPPING),
            call(R(2, 2, 5), window=LINE),
        ],
        reference=plain_avg_pool,
        twin=None,
        why=LACKS,
    ),
    Spec(
        "convolution",
        avg_unpool,
        [
            call(R(1, 2, 2, 1), size=(5, 3), window=PAIRS),
            call(R(2, 1, 4, 2), size=(4, 3), window=OVERLAPPING),
        ],
        reference=plain_avg_unpool,
        twin=None,
        why=LACKS,
    ),
]

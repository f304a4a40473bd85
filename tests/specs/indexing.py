"""The specs of indexing: a row a function."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.specs.kit import LACKS, D, R, Spec, alone, call, hidden, operation

ROWS = np.array([[0, 2, 1], [1, 1, 0]])
PADS = [
    call(R(3, 4), 2, "constant"),
    call(R(2, 3), ((1, 2), (0, 1)), "constant"),
    *alone(
        "autograd wants the mode constant, given by position",
        call(R(2, 3), 1),
        call(R(2, 3), ((1, 2), (0, 1))),
        call(R(3), (2, 1)),
        call(array=R(2, 3), pad_width=[(1, 0), (2, 2)]),
        call(R(2, 3), 1, constant_values=0.5),
        call(R(2, 3), (1,), constant_values=((1.0, 2.0), (3.0, 4.0))),
        call(R(2, 3), {-1: (1, 2)}),
        call(R(2, 3), {0: 1}),
        call(R(0, 2), 1),
        *(call(R(3, 4), 2, mode) for mode in ("edge", "reflect", "symmetric", "wrap")),
        *(call(R(2, 3), ((0, 3), (4, 0)), mode=mode) for mode in ("edge", "reflect", "wrap")),
    ),
]

INDEXING = [
    Spec(
        "indexing",
        operation("getitem"),
        [
            call(R(4, 3), index=index)
            for index in (
                1,
                (slice(None, None, -2), 0),
                (..., None, slice(1, 3)),
                np.array([0, 2, 2, -1]),
                np.array([True, False, True, True]),
                (np.array([[0], [3]]), np.array([1, 1])),
                (slice(1, 3), [2, 2, 0]),
                (None, np.array([1, 1]), None, 2),
                [0, 0],
                True,
                np.zeros((4, 3), bool),
            )
        ],
        reference=lambda x, index: x[index],
        twin=None,
        why="autograd's is the operator [], compared in test_indexing",
    ),
    Spec(
        "indexing",
        operation("untake"),
        [
            call(R(2), index=np.array([1, 1]), shape=(3,)),
            call(R(3), index=slice(0, 3), shape=(4,)),
            call(R(2, 2), index=(slice(None), [0, 0]), shape=(2, 3)),
            call(R(2), index=np.array([True, False, True]), shape=(3,)),
        ],
        reference=lambda g, index, shape: _added_at(g, index, shape),
        twin=None,
        why="private to each library",
    ),
    Spec(
        "indexing",
        np.take,
        [
            call(R(4, 3), [0, 5, 5]),
            call(R(4, 3), np.array([[0, 3], [3, 3]]), axis=0),
            call(R(4, 3), indices=[1, -1], axis=-1),
            call(R(4, 3), 2, 1),
            call(R(4, 3), 2),
            call(R(4, 3), [5, -7], axis=0, mode="wrap"),
            call(R(4, 3), [5, -7], axis=0, mode="clip"),
            call(a=R(3), indices=[0, 0]),
            call(R(3), np.zeros((0,), int)),
        ],
        twin=None,
        why=LACKS,
    ),
    Spec(
        "indexing",
        np.take_along_axis,
        [
            call(R(2, 3), ROWS, axis=1),
            call(R(2, 3), ROWS, -1),
            call(R(3, 3), ROWS, 0),
            call(R(2, 3), ROWS[:, :1], axis=1),
            call(R(1, 3), ROWS, axis=1),
            call(R(4), np.array([3, 3, 0]), axis=None),
            call(arr=R(2, 3), indices=ROWS),
        ],
        twin=None,
        why=LACKS,
    ),
    Spec(
        "indexing",
        np.sort,
        [
            call(D(4)),
            *alone(
                "autograd sorts vectors only",
                call(D(2, 3)),
                call(D(2, 3), 0),
                call(D(2, 3), axis=None),
                call(D(2, 3), kind="stable"),
                call(D(2, 3), axis=-2, stable=True),
            ),
            call(R(0)),
        ],
    ),
    Spec(
        "indexing",
        np.repeat,
        [
            call(R(2, 3), 2),
            call(R(2, 3), 2, axis=1),
            *alone(
                "autograd takes one number of repeats, and no 0-d array",
                call(R(2, 3), [1, 3], 0),
                call(R(2, 3), repeats=[0, 2, 1], axis=-1),
                call(R(), 3),
            ),
            call(R(3), 0),
            call(a=R(2), repeats=2),
        ],
    ),
    Spec(
        "indexing",
        np.diagonal,
        [
            call(R(3, 3)),
            call(R(2, 4), 1),
            call(R(4, 2), offset=-1),
            call(R(2, 3, 3), axis1=1, axis2=2),
            call(R(3, 2, 4), 1, -1, 0),
            call(R(2, 2), 5),
            call(R(2, 2), -2),
        ],
        twin=None,
        why="autograd's is for the last two axes only",
    ),
    Spec(
        "indexing",
        np.linalg.diagonal,
        [call(R(2, 3, 3)), call(R(3, 4), offset=1)],
        twin=None,
        why=LACKS,
    ),
    Spec(
        "indexing",
        np.diag,
        [
            call(R(3)),
            call(R(2), 1),
            call(R(2), k=-2),
            *alone(
                "autograd makes the gradient square",
                call(R(3, 4)),
                call(R(3, 4), -1),
            ),
            call(v=R(0)),
        ],
    ),
    Spec(
        "indexing",
        np.trace,
        [
            call(R(3, 3)),
            call(R(2, 4), 1),
            *alone(
                "autograd takes the first two axes only",
                call(R(2, 3, 4), axis1=1, axis2=2),
                call(R(2, 3, 4), 0, 2, 0),
            ),
            call(R(2, 2), offset=3),
        ],
    ),
    Spec(
        "indexing",
        np.linalg.trace,
        [call(R(2, 3, 3)), call(R(3, 4), offset=1)],
        twin=None,
        why=LACKS,
    ),
    Spec(
        "indexing",
        np.pad,
        PADS,
        covers=hidden("pad_constant"),
    ),
]


def _added_at(g: Any, index: Any, shape: tuple[int, ...]) -> Any:
    """Add entry by entry, as slowly and plainly as can be."""
    out = np.zeros(shape, np.asarray(g).dtype)
    for place, value in zip(
        np.ravel(np.arange(out.size).reshape(shape)[index]), np.ravel(g), strict=True
    ):
        out.flat[place] += value
    return out

"""The specs of shape: a row a function."""

from __future__ import annotations

import numpy as np

from tests.specs.kit import LACKS, R, Spec, alone, call, hidden, operation

SHAPE = [
    Spec(
        "shape",
        np.reshape,
        [
            call(R(2, 3), (3, 2)),
            call(R(2, 3), -1),
            call(R(2, 3), (-1, 2), order="F"),
            call(R(2, 3), shape=(6,)),
            call(R(), (1, 1)),
            call(R(1), ()),
            call(R(0, 3), (3, 0)),
        ],
        covers=hidden("reshape"),
    ),
    Spec(
        "shape",
        np.ravel,
        [call(R(2, 3)), call(R(2, 3, 2), "F"), call(R(2, 3), order="C"), call(R()), call(R(2, 0))],
    ),
    Spec(
        "shape",
        np.expand_dims,
        [call(R(2, 3), 0), call(R(3), axis=-1), call(R(2, 3), (0, 3)), call(R(), 0)],
    ),
    Spec(
        "shape",
        np.squeeze,
        [
            call(R(1, 3, 1)),
            call(R(1, 3, 1), 0),
            call(R(1, 3, 1), axis=(0, -1)),
            call(R()),
            call(R(1)),
            call(R(1, 0)),
        ],
    ),
    Spec(
        "shape",
        np.broadcast_to,
        [
            call(R(3), (3,)),
            *alone(
                "autograd adds no axes, and takes the shape by position only",
                call(R(3), (2, 3)),
                call(R(2, 1), shape=(2, 3)),
                call(R(), (2, 2)),
                call(R(1, 3), (0, 3)),
                call(R(), 3),
            ),
        ],
        covers=(np.full_like,),  # with a Tensor to fill with; see test_leaving_the_tape.py
    ),
    Spec(
        "shape",
        np.transpose,
        [
            call(R(2, 3, 4)),
            call(R(2, 3, 4), (1, 2, 0)),
            *alone(
                "autograd inverts negative axes wrongly",
                call(R(2, 3, 4), axes=(-1, 0, -2)),
            ),
            call(R(2, 3), [1, 0]),
            call(R(3)),
            call(R()),
            call(R(0, 2)),
        ],
    ),
    Spec(
        "shape",
        np.swapaxes,
        [call(R(2, 3, 4), 0, 2), call(R(2, 3), axis1=-1, axis2=0), call(R(2, 0), 0, 1)],
    ),
    Spec(
        "shape",
        np.moveaxis,
        [
            call(R(2, 3, 4), 0, -1),
            call(R(2, 3, 4), source=-1, destination=0),
            call(R(2, 3, 4), (0, 2), (1, 0)),
            call(R(2, 3, 4), [2, 0], [0, 1]),
        ],
    ),
    Spec(
        "shape",
        np.rollaxis,
        [
            call(R(2, 3, 4), 2),
            call(R(2, 3, 4), 0, 3),
            *alone(
                "autograd does not take negative axes",
                call(R(2, 3, 4), -1, start=1),
                call(R(2, 3, 4), 1, -1),
                call(R(2, 3, 4), axis=0, start=-2),
            ),
        ],
    ),
    Spec(
        "shape",
        np.matrix_transpose,
        [call(R(2, 3)), call(R(2, 3, 4))],
        twin=None,
        why=LACKS,
    ),
    Spec(
        "shape",
        np.linalg.matrix_transpose,
        [call(R(2, 3)), call(R(2, 3, 4))],
        twin=None,
        why=LACKS,
    ),
    Spec(
        "shape",
        np.flip,
        [
            call(R(2, 3)),
            call(R(2, 3), 0),
            call(R(2, 3), axis=(0, -1)),
            call(R()),
            call(R(0, 2), 0),
            call(m=R(3)),
        ],
        twin=None,
        why=LACKS,
    ),
    Spec("shape", np.fliplr, [call(R(2, 3)), call(m=R(2, 3, 2))]),
    Spec("shape", np.flipud, [call(R(2, 3)), call(R(3))]),
    Spec(
        "shape",
        np.roll,
        [
            call(R(2, 3), 1),
            call(R(2, 3), -2, 1),
            *alone(
                "autograd cannot negate a tuple",
                call(R(2, 3), (1, 2), axis=(0, 1)),
            ),
            call(R(2, 3), shift=1, axis=(0, 1)),
            call(R(0), 2),
            call(R(), 2),
        ],
    ),
    Spec(
        "shape",
        np.rot90,
        [
            call(R(2, 3)),
            call(R(2, 3), 2),
            call(R(2, 3), k=-1),
            *alone(
                "autograd does not take axes=",
                call(R(2, 3, 4), 3, (1, 2)),
                call(R(2, 3, 4), axes=(2, 0)),
            ),
        ],
    ),
    Spec("shape", np.tril, [call(R(3, 3)), call(R(2, 3, 4), 1), call(R(3, 2), k=-1)]),
    Spec("shape", np.triu, [call(R(3, 3)), call(R(2, 3, 4), 1), call(m=R(3, 2), k=-1)]),
    Spec(
        "shape",
        np.tile,
        [
            *alone(
                "autograd is wrong for fewer repeats than axes, and for 0",
                call(R(2, 3), 2),
                call(R(2, 3), [2]),
                call(R(2), 0),
            ),
            call(R(2, 3), (2, 1)),
            call(R(3), (2, 2)),
            call(R(2, 3), reps=(2, 1, 3)),
            call(R(), 3),
            call(R(), (2, 2)),
            call(R(2, 3), ()),
        ],
    ),
    Spec(
        "shape",
        np.concatenate,
        [
            call([R(2, 3), R(1, 3)]),
            call((R(2, 3), R(2, 1), R(2, 2)), axis=1),
            call([R(2, 3), R(2, 2)], -1),
            *alone(
                "autograd does not take axis=None",
                call([R(2, 3), R(2), R()], axis=None),
            ),
            call([R(2), np.arange(3, dtype=np.int8)]),
            call([R(0, 3), R(2, 3)], 0),
            call([R(3)]),
        ],
        covers=hidden("concat"),
    ),
    Spec(
        "shape",
        np.stack,
        [
            call([R(2, 3), R(2, 3)]),
            call((R(2, 3), R(2, 3)), axis=-1),
            call([R(2), R(2), R(2)], 1),
            call([R(), R()]),
            call([R(0), R(0)]),
        ],
        covers=hidden("pile"),
    ),
    Spec(
        "shape",
        np.vstack,
        [call([R(2, 3), R(3)]), call((R(3), R(3))), call([R(), R()]), call([R(1, 2, 2)])],
    ),
    Spec(
        "shape",
        np.hstack,
        [call([R(2, 3), R(2, 1)]), call((R(3), R(2))), call([R(), R(2)])],
    ),
    Spec(
        "shape",
        np.dstack,
        [call([R(2, 3), R(2, 3)]), call((R(3), R(3))), call([R(2, 3, 2), R(2, 3)]), call([R()])],
        twin=None,
        why=LACKS,
    ),
    Spec(
        "shape",
        np.column_stack,
        [call([R(3), R(3)]), call((R(3, 2), R(3))), call([R(2, 1), R(2, 3)])],
    ),
    Spec(
        "shape",
        np.atleast_1d,
        [
            call(R()),
            call(R(2, 3)),
            *alone(
                "autograd takes one array only",
                call(R(), R(2)),
            ),
        ],
    ),
    Spec(
        "shape",
        np.atleast_2d,
        [
            call(R()),
            call(R(3)),
            call(R(2, 3, 2)),
            *alone(
                "autograd takes one array only",
                call(R(), R(2)),
            ),
        ],
    ),
    Spec(
        "shape",
        np.atleast_3d,
        [
            call(R()),
            call(R(3)),
            call(R(2, 3)),
            call(R(2, 3, 2, 2)),
            *alone(
                "autograd takes one array only",
                call(R(), R(2)),
            ),
        ],
    ),
    Spec(
        "shape",
        np.meshgrid,
        [
            call(R(2), R(3)),
            call(R(2), R(3), indexing="ij"),
            call(R(2), R(3), R(4)),
            call(R(2), R(3), sparse=True),
            call(R(2)),
            call(R(2), R()),
        ],
        twin=None,
        why=LACKS,
    ),
    Spec(
        "shape",
        np.array_split,
        [
            call(R(5, 2), 3),
            call(R(2, 5), 2, axis=1),
            call(R(5), [1, 3]),
            call(R(5), (2, 2, 4)),
            *alone(
                "autograd does not take the keyword",
                call(R(2, 3), indices_or_sections=2, axis=-1),
            ),
            call(R(2), 3),
            call(R(5), [3, -1]),
        ],
    ),
    Spec(
        "shape",
        np.split,
        [call(R(4, 2), 2), call(R(2, 6), 3, axis=1), call(R(5), [1, 3]), call(R(2, 3), [1], -1)],
    ),
    Spec(
        "shape",
        np.hsplit,
        [
            call(R(2, 4), 2),
            *alone(
                "autograd takes axis 1 of vectors too",
                call(R(4), 2),
            ),
            call(R(2, 3), [1]),
        ],
    ),
    Spec("shape", np.vsplit, [call(R(4, 2), 2), call(R(3, 2), [1])]),
    Spec("shape", np.dsplit, [call(R(2, 1, 4), 2), call(R(1, 2, 3), [1])]),
    Spec(
        "shape",
        operation("unstack"),
        [call(R(2, 3)), call(R(3)), call(R(1, 2, 2))],
        reference=tuple,
        twin=None,
        why=LACKS,
    ),
]
if hasattr(np, "unstack"):
    SHAPE.append(
        Spec(
            "shape",
            np.unstack,
            [call(R(2, 3)), call(R(2, 3), axis=1), call(R(3, 2, 2), axis=-1)],
            twin=None,
            why=LACKS,
        )
    )

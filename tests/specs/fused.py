"""The specs of fused: a row a function."""

from __future__ import annotations

import numpy as np

import gradlite as gl
from tests.specs.kit import LACKS, R, Spec, call, operation

FUSED = [
    Spec(
        "fused",
        gl.affine,
        [
            call(R(4, 2), R(2, 3), R(3)),
            call(R(2), R(2, 3), R(3)),
            call(R(2, 4, 2), R(2, 3), R(3)),
            call(R(4, 2), R(2, 3)),
            call(R(4, 2), R(2, 3), None),
            call(x=R(4, 2), W=R(2, 3), b=R(3)),
            call(R(0, 2), R(2, 3), R(3)),
            call(R(4, 0), R(0, 3), R(3)),
        ],
        reference=lambda x, W, b=None: np.dot(x, W) + (0 if b is None else b),
        twin=None,
        why=LACKS,
    ),
    Spec(
        "fused",
        operation("linear"),
        [
            call(R(4, 2), R(3, 2), R(3)),
            call(R(2), R(3, 2), R(3)),
            call(R(2, 4, 2), R(3, 2), R(3)),
            call(R(4, 2), R(3, 2)),
            call(x=R(4, 2), weight=R(3, 2), bias=R(3)),
            call(R(0, 2), R(3, 2), R(3)),
            call(R(4, 0), R(3, 0), R(3)),
        ],
        reference=lambda x, weight, bias=None: np.dot(x, weight.T) + (0 if bias is None else bias),
        twin=None,
        why=LACKS,
    ),
]

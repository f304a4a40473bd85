"""The specs of recurrent: a row a function."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.special as sp

from tests.specs.kit import LACKS, R, Spec, call, operation


def lstm(p: Any, c: Any) -> tuple[Any, Any]:
    """Take a step as the textbook writes it."""
    i, f, z, o = np.split(p, 4, axis=-1)
    cell = sp.expit(f) * c + sp.expit(i) * np.tanh(z)
    return sp.expit(o) * np.tanh(cell), cell


def gru(p: Any, q: Any, h: Any) -> Any:
    """Take a step as the textbook writes it."""
    (r, z, n), (r_h, z_h, n_h) = np.split(p, 3, axis=-1), np.split(q, 3, axis=-1)
    update = sp.expit(z + z_h)
    return (1 - update) * np.tanh(n + sp.expit(r + r_h) * n_h) + update * h


RECURRENT = [
    Spec(
        "recurrent",
        operation("step_linear"),
        [
            call(R(4, 2), R(3, 2), R(3)),
            call(R(2), R(3, 2), R(3)),
            call(R(2, 4, 2), R(3, 2), R(3)),
            call(R(4, 2), R(3, 2)),
            call(h=R(4, 2), weight=R(3, 2), bias=R(3)),
            call(R(0, 2), R(3, 2), R(3)),
        ],
        reference=lambda h, weight, bias=None: np.dot(h, weight.T) + (0 if bias is None else bias),
        twin=None,
        why=LACKS,
    ),
    Spec(
        "recurrent",
        operation("lstm_cell"),
        [
            call(R(3, 8), R(3, 2)),
            call(R(8), R(2)),
            call(R(2, 3, 4), R(2, 3, 1)),
            call(R(3, 8), R(2)),
            call(p=R(3, 8), c=R(3, 2)),
            call(R(0, 8), R(0, 2)),
        ],
        reference=lstm,
        twin=None,
        why=LACKS,
    ),
    Spec(
        "recurrent",
        operation("gru_cell"),
        [
            call(R(3, 6), R(3, 6), R(3, 2)),
            call(R(6), R(6), R(2)),
            call(R(2, 3, 3), R(2, 3, 3), R(2, 3, 1)),
            call(R(3, 6), R(6), R(2)),
            call(p=R(3, 6), q=R(3, 6), h=R(3, 2)),
            call(R(0, 6), R(0, 6), R(0, 2)),
        ],
        reference=gru,
        twin=None,
        why=LACKS,
    ),
]

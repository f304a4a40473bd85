"""The specs of activation functions: a row a function."""

from __future__ import annotations

from math import inf, pi
from typing import Any

import numpy as np
import scipy.special as sp

import gradlite as gl
from tests.helpers import Draw
from tests.specs.kit import (
    LACKS,
    SHAPES_OF_TWO,
    Spec,
    at,
    between_steps,
    call,
    each,
    far_out,
    nonzero,
    operation,
    real,
)


def softplus(x: Any, beta: float = 1.0, threshold: float = inf) -> Any:
    return np.where(beta * x > threshold, x, -sp.log_expit(-beta * x) / beta)


def gelu(x: Any, approximate: str = "none") -> Any:
    if approximate == "none":
        return 0.5 * x * sp.erfc(-x / np.sqrt(2.0))
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / pi) * (x + 0.044715 * x**3)))


ACTIVATIONS = [
    Spec(
        "elementwise",
        gl.relu,
        each(nonzero),
        reference=lambda x: x * (x > 0),
        twin=None,
        why=LACKS,
        special=[at(0.0, slopes=0.0, bend=0.0), *far_out(0.0, 1.0)],
    ),
    Spec(
        "elementwise",
        gl.leaky_relu,
        [
            *each(nonzero),
            *each(nonzero, negative_slope=0.2),
            call(Draw((3,), nonzero), 0.3),
            *(call(Draw((6,), nonzero), negative_slope=slope) for slope in (0.0, -0.5, 3.0)),
        ],
        reference=lambda x, negative_slope=0.01: x * np.where(x < 0, negative_slope, 1),
        twin=None,
        why=LACKS,
        special=[at(0.0, slopes=0.01, bend=0.0), *far_out(0.01, 1.0)],
    ),
    Spec(
        "elementwise",
        gl.elu,
        [
            *each(nonzero),
            *each(nonzero, alpha=0.3),
            call(Draw((3,), nonzero), 2.0),
            call(Draw((6,), nonzero), alpha=-0.5),
        ],
        reference=lambda x, alpha=1.0: np.where(x < 0, alpha * np.expm1(x), x),
        twin=None,
        why=LACKS,
        special=[at(0.0, 0.5, slopes=(0.5, None)), *far_out(0.0, 1.0)],
    ),
    Spec(
        "elementwise",
        gl.hardtanh,
        [
            *each(between_steps),
            *each(between_steps, min_val=-2.0),
            call(Draw((9,), real), 0.1, 0.5),
        ],
        reference=lambda x, min_val=-1.0, max_val=1.0: np.clip(x, min_val, max_val),
        twin=None,
        why=LACKS,
        special=[at(np.array([-1.0, 0.0, 1.0]), slopes=[0.0, 1.0, 0.0]), *far_out(0.0, 0.0)],
    ),
    Spec(
        "elementwise",
        operation("prelu_of"),
        [call(Draw(p, nonzero), Draw(q, real)) for p, q in SHAPES_OF_TWO],
        reference=lambda x, weight: x * np.where(x > 0, 1, weight),
        twin=None,
        why=LACKS,
        special=[at(np.array([-2.0, 0.0, 2.0]), 0.3, slopes=([0.3, 0.3, 1.0], -2.0))],
    ),
    Spec(
        "elementwise",
        gl.sigmoid,
        each(real),
        reference=sp.expit,
        twin="scipy.special.expit",
        special=[at(0.0, slopes=0.25, bend=0.0), *far_out(0.0, 0.0)],
    ),
    Spec(
        "elementwise",
        gl.softplus,
        [*each(real), *each(real, beta=2.5), *each(real, beta=2.0, threshold=0.5)],
        reference=softplus,
        twin=None,
        why=LACKS,
        special=[
            at(0.0, slopes=0.5, bend=0.25),
            at(np.array([0.4, 0.6]), slopes=[sp.expit(0.4), 1.0], threshold=0.5),
            *far_out(0.0, 1.0),
        ],
    ),
    Spec(
        "elementwise",
        gl.silu,
        each(real),
        reference=lambda x: x * sp.expit(x),
        twin=None,
        why=LACKS,
        special=[at(0.0, slopes=0.5, bend=0.5), *far_out(0.0, 1.0)],
    ),
    Spec(
        "elementwise",
        gl.gelu,
        [*each(real), *each(real, approximate="tanh")],
        reference=gelu,
        twin=None,
        why=LACKS,
        special=[
            at(0.0, slopes=0.5, bend=2 / np.sqrt(2 * pi)),
            at(0.0, slopes=0.5, bend=2 / np.sqrt(2 * pi), approximate="tanh"),
            at(np.array([-1000.0, 1000.0]), slopes=[0.0, 1.0], approximate="tanh"),
            *far_out(0.0, 1.0),
        ],
    ),
    Spec(
        "elementwise",
        gl.erf,
        each(real),
        reference=sp.erf,
        twin="scipy.special.erf",
        special=[at(0.0, slopes=2 / np.sqrt(pi), bend=0.0), *far_out(0.0, 0.0)],
    ),
    Spec(
        "elementwise",
        operation("normal_cdf"),
        each(real),
        reference=lambda x: 0.5 * sp.erfc(-x / np.sqrt(2.0)),
        twin=None,
        why=LACKS,
        special=far_out(0.0, 0.0),
    ),
]

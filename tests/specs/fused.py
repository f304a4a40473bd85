"""The specs of fused: a row a function."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import scipy.special as sp

import gradlite as gl
from tests.helpers import Call, Draw
from tests.specs.kit import (
    LACKS,
    R,
    Spec,
    at,
    call,
    classes,
    distribution,
    positive,
    probability,
    real,
)


def reduced(losses: Any, reduction: str) -> Any:
    return {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction](losses)


def plain_cross_entropy(logits: Any, target: Any, reduction: str = "mean") -> Any:
    log_p = sp.log_softmax(logits, axis=-1)
    if target.dtype.kind != "f":
        target = np.eye(logits.shape[-1])[target]
    return reduced(-np.sum(target * log_p, axis=-1), reduction)


def plain_bce(logits: Any, target: Any, reduction: str = "mean") -> Any:
    return reduced(
        -(target * sp.log_expit(logits) + (1 - target) * sp.log_expit(-logits)), reduction
    )


def plain_huber(prediction: Any, target: Any, delta: float = 1.0, reduction: str = "mean") -> Any:
    d = abs(prediction - target)
    return reduced(np.where(d < delta, d**2 / 2, delta * (d - delta / 2)), reduction)


def losses(first: Any, second: Any, **params: Any) -> list[Call]:
    """Call a loss of two arrays of one shape with every reduction."""
    return [
        Call((Draw(shape, first), Draw(shape, second)), {**params, **reduction})
        for shape, reduction in itertools.chain(
            itertools.product([(2, 3), (4,), ()], [{}]),
            itertools.product([(2, 3)], [{"reduction": r} for r in ("mean", "sum", "none")]),
            [((0,), {"reduction": "sum"}), ((0, 2), {"reduction": "none"})],
        )
    ]


def cross_entropies() -> list[Call]:
    hard = [
        call(R(*shape, 3), Draw(shape, classes), **params)
        for shape in ((4,), (), (2, 2))
        for params in ({}, {"reduction": "none"}, {"reduction": "sum"})
    ]
    soft = [
        call(R(*shape, 3), Draw((*shape, 3), distribution), **params)
        for shape in ((4,), (), (2, 2))
        for params in ({}, {"reduction": "none"}, {"reduction": "sum"})
    ]
    return [
        *hard,
        *soft,
        call(R(2, 3), Draw((2, 3), positive)),  # weights need not sum to one
        call(R(4, 3), target=Draw((4,), classes)),
        call(R(0, 3), Draw((0,), classes), reduction="sum"),
    ]


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
        gl.cross_entropy,
        cross_entropies(),
        reference=plain_cross_entropy,
        twin=None,
        why=LACKS,
    ),
    Spec(
        "fused",
        gl.bce_with_logits,
        losses(real, probability),
        reference=plain_bce,
        twin=None,
        why=LACKS,
        special=[
            at(
                np.array([-1000.0, 1000.0]),
                np.array([1.0, 0.0]),
                slopes=([-1.0, 1.0], [1000.0, -1000.0]),
                reduction="sum",
                dtype=np.float32,
            ),
        ],
    ),
    Spec(
        "fused",
        gl.mse,
        losses(real, real),
        reference=lambda prediction, target, reduction="mean": reduced(
            (prediction - target) ** 2, reduction
        ),
        twin=None,
        why=LACKS,
    ),
    Spec(
        "fused",
        gl.huber,
        [*losses(real, real), *losses(real, real, delta=0.3)],
        reference=plain_huber,
        twin=None,
        why=LACKS,
        special=[
            at(
                np.array([-1000.0, 0.5, 1000.0]),
                np.zeros(3),
                slopes=([-1.0, 0.5, 1.0], [1.0, -0.5, -1.0]),
                reduction="sum",
                dtype=np.float32,
            ),
        ],
    ),
]

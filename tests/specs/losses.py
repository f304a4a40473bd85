"""The specs of losses: a row a function."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import scipy.special as sp

from tests.helpers import Call, Draw
from tests.specs.kit import (
    LACKS,
    R,
    Spec,
    at,
    call,
    classes,
    distribution,
    operation,
    positive,
    probability,
    real,
)

COLUMN = np.array([[0.5], [2.0]], np.float32)  # the type of float32 calls, exact in float64


def signs(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return np.asarray(rng.choice([-1, 1], shape))


def reduced(losses: Any, reduction: str, factor: Any) -> Any:
    losses = losses if factor is None else losses * factor
    return {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction](losses)


def formula(elementwise: Any) -> Any:
    """Make the reference of a loss of the formula of one element."""

    def reference(*arrays: Any, reduction: str = "mean", factor: Any = None, **params: Any) -> Any:
        return reduced(elementwise(*arrays, **params), reduction, factor)

    return reference


def plain_cross_entropy(logits: Any, target: Any) -> Any:
    log_p = sp.log_softmax(logits, axis=-1)
    if target.dtype.kind != "f":
        target = np.eye(logits.shape[-1])[target]
    return -np.sum(target * log_p, axis=-1)


def plain_bce(logits: Any, target: Any, pos_weight: float = 1.0) -> Any:
    yes, no = sp.log_expit(logits), sp.log_expit(-logits)
    return -(pos_weight * target * yes + (1 - target) * no)


def plain_probabilities(p: Any, target: Any) -> Any:
    return -sp.xlogy(target, p) - sp.xlog1py(1 - target, -p)


def plain_multiclass_hinge(scores: Any, target: Any) -> Any:
    losses = np.zeros(target.shape)
    for row in np.ndindex(target.shape):
        own = scores[row][target[row]]
        over = [max(0.0, 1 - own + s) for j, s in enumerate(scores[row]) if j != target[row]]
        losses[row] = sum(over) / len(scores[row])
    return losses


def plain_huber(prediction: Any, target: Any, delta: float = 1.0) -> Any:
    d = abs(prediction - target)
    return np.where(d < delta, d**2 / 2, delta * (d - delta / 2))


def plain_quantile(prediction: Any, target: Any, quantiles: Any = 0.5) -> Any:
    d = target - prediction
    return np.maximum(quantiles * d, (quantiles - 1.0) * d)


def plain_poisson(
    x: Any, t: Any, log_input: bool = True, full: bool = False, eps: float = 1e-8
) -> Any:
    losses = np.exp(x) - t * x if log_input else x - t * np.log(x + eps)
    stirling = t * np.log(t) - t + 0.5 * np.log(2 * np.pi * t)
    return losses + np.where(t > 1, stirling, 0) * full


def plain_gaussian(x: Any, t: Any, var: Any, full: bool = False) -> Any:
    return 0.5 * (np.log(var) + (x - t) ** 2 / var) + full * 0.5 * np.log(2 * np.pi)


def plain_kl(x: Any, t: Any, log_target: bool = False) -> Any:
    return np.exp(t) * (t - x) if log_target else sp.xlogy(t, t) - t * x


def losses(*domains: Any, **params: Any) -> list[Call]:
    """Call a loss of arrays of one shape with every reduction, with and without weights."""
    ways: list[Any] = [
        *itertools.product([(2, 3), (4,), ()], [{}]),
        *itertools.product([(2, 3)], [{"reduction": r} for r in ("mean", "sum", "none")]),
        *itertools.product([(2, 3)], [{"reduction": r, "factor": COLUMN} for r in ("sum", "none")]),
        ((0,), {"reduction": "sum"}),
        ((0, 2), {"reduction": "none"}),
    ]
    return [
        Call(tuple(Draw(shape, domain) for domain in domains), {**params, **way})
        for shape, way in ways
    ]


def of_rows(target: Any, columns: tuple[int, ...] = ()) -> list[Call]:
    """Call a loss of rows of three scores with every reduction, with and without weights."""
    calls = [
        call(R(*shape, 3), Draw((*shape, *columns), target), **params)
        for shape in ((4,), (), (2, 2))
        for params in ({}, {"reduction": "none"}, {"reduction": "sum"})
    ]
    factors = [
        call(R(2, 2, 3), Draw((2, 2, *columns), target), reduction=reduction, factor=COLUMN)
        for reduction in ("sum", "none")
    ]
    return [*calls, *factors, call(R(0, 3), Draw((0, *columns), target), reduction="sum")]


def row(name: str, calls: list[Call], elementwise: Any, **more: Any) -> Spec:
    """Make the row of a loss; autograd has none."""
    reference = formula(elementwise)
    fn = operation(name)
    return Spec("losses", fn, calls, reference=reference, twin=None, why=LACKS, **more)


FAR = np.array([-1000.0, 0.5, 1000.0])
TIE = np.array([-2.0, 0.0, 2.0])

LOSSES = [
    row(
        "cross_entropy",
        [
            *of_rows(classes),
            *of_rows(distribution, (3,)),
            call(R(2, 3), Draw((2, 3), positive)),  # weights need not sum to one
            call(R(4, 3), target=Draw((4,), classes)),
        ],
        plain_cross_entropy,
    ),
    row("multiclass_hinge", of_rows(classes), plain_multiclass_hinge),
    row(
        "bce_with_logits",
        [*losses(real, probability), *losses(real, probability, pos_weight=3.0)],
        plain_bce,
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
    row(
        "binary_cross_entropy",
        losses(probability, probability),
        plain_probabilities,
        special=[
            at(np.array([0.0, 1.0, 0.0]), np.array([1.0, 0.0, 0.0]), reduction="sum",
               slopes=([-1e12, 1e12, 0.0], [100.0, -100.0, 100.0])),
        ],
    ),
    row("hinge", losses(real, signs), lambda score, target: np.maximum(0, 1 - target * score)),
    row("mse", losses(real, real), lambda prediction, target: (prediction - target) ** 2),
    row(
        "mae",
        losses(real, real),
        lambda prediction, target: abs(prediction - target),
        special=[at(TIE, np.zeros(3), slopes=([-1, 0, 1], [1, 0, -1]), reduction="sum")],
    ),
    row(
        "huber",
        [*losses(real, real), *losses(real, real, delta=0.3)],
        plain_huber,
        special=[
            at(
                FAR,
                np.zeros(3),
                slopes=([-1.0, 0.5, 1.0], [1.0, -0.5, -1.0]),
                reduction="sum",
                dtype=np.float32,
            ),
        ],
    ),
    row(
        "quantile",
        [
            *losses(real, real),
            *losses(real, real, quantiles=0.9),
            call(R(2, 3), R(2, 3), quantiles=np.array([0.125, 0.5, 0.75], np.float32)),
        ],
        plain_quantile,
        special=[
            at(TIE, np.zeros(3), slopes=([-0.25, 0, 0.75], [0.25, 0, -0.75]), quantiles=0.25,
               reduction="sum"),
        ],
    ),
    row(
        "poisson_nll",
        [
            *losses(real, positive),
            *losses(positive, positive, log_input=False),
            *losses(positive, positive, log_input=False, eps=0.25),
            *losses(real, positive, full=True),
        ],
        plain_poisson,
        special=[
            at(np.zeros(2), np.array([0.0, 1.0]), slopes=([1.0, 0.0], [0.0, 0.0]), reduction="sum",
               full=True),
        ],
    ),
    row(
        "gaussian_nll",
        [*losses(real, real, positive), *losses(real, real, positive, full=True)],
        plain_gaussian,
        special=[
            # Below eps, the slopes are those at eps.
            at(np.array([0.5]), np.zeros(1), np.array([1e-9]), eps=0.25, reduction="sum",
               slopes=([2.0], [-2.0], [0.0])),
        ],
    ),
    row(
        "kl_div",
        [*losses(real, probability), *losses(real, real, log_target=True)],
        plain_kl,
        special=[
            at(np.array([-1000.0, -1.0]), np.array([0.0, 1.0]), slopes=([0.0, -1.0], [1000.0, 2.0]),
               reduction="sum", dtype=np.float32),
            at(np.array([-1000.0, -1.0]), np.array([-np.inf, 0.0]), log_target=True,
               reduction="sum", slopes=([0.0, -1.0], [0.0, 2.0])),
        ],
    ),
]  # fmt: skip

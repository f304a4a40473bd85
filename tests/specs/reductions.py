"""The specs of reductions: a row a function."""

from __future__ import annotations

from math import inf

import numpy as np
import scipy.special as sp

import gradlite as gl
from tests.helpers import Call, Draw
from tests.specs.kit import (
    LACKS,
    D,
    R,
    Spec,
    Special,
    alone,
    at,
    call,
    distinct,
    hidden,
    nonzero,
    over_axes,
    positive,
    real,
    spread_out,
)

ZERO_ONE = np.array([0.0, 2.0, 3.0])
ZERO_TWO = np.array([0.0, 0.0, 3.0])
SPREADS = [Special((np.full(3, 2.0),), (np.zeros(3),), None, {"ddof": ddof}) for ddof in (0, 1)]


def norm_calls() -> list[Call]:
    tall = Draw((3, 4), spread_out)
    stack = Draw((2, 3, 4), spread_out)
    return [
        *(call(D(4), ord=order) for order in (None, 2, 3, 1.5)),
        call(tall, "fro"),
        call(tall, "nuc"),
        call(R()),
        call(R(2, 3)),
        call(R(2, 3, 2)),
        call(x=R(2, 3, 2), keepdims=True),
        call(R(2, 3), axis=1),
        call(R(2, 3), None, 0),
        call(R(2, 3, 2), axis=(0, 2)),
        call(R(0, 3), axis=1),
        *alone(
            "autograd has no rule for this order",
            *(call(D(4), ord=order) for order in (1, -1, -2, np.inf, -np.inf)),
            *(call(tall, order) for order in (1, -1, 2, -2, np.inf, -np.inf)),
            call(D(2, 3), np.inf, axis=-1),
            call(stack, 2, axis=(2, 1)),
            call(D(2, 3, 4), 1, axis=(0, 1)),
            call(D(2, 3, 4), np.inf, axis=(-1, 0)),
        ),
        *alone(
            "autograd is wrong with keepdims",
            call(R(2, 3), 3, axis=-1, keepdims=True),
            call(stack, "nuc", axis=(-2, -1), keepdims=True),
        ),
    ]


REDUCTIONS = [
    Spec("reductions", np.sum, [*over_axes(real), call(R(2, 3), axis=()), call(R(0))]),
    Spec("reductions", np.mean, [*over_axes(real), call(R(2, 3), axis=())]),
    Spec(
        "reductions",
        np.var,
        [*over_axes(real), *over_axes(real, several=False, ddof=1), call(R(4), ddof=0.5)],
        special=SPREADS,
    ),
    Spec(
        "reductions",
        np.std,
        [*over_axes(real)[:-2], *over_axes(real, several=False, ddof=1), call(R(0, 3), axis=1)],
        special=SPREADS,
    ),
    Spec(
        "reductions",
        np.prod,
        [*over_axes(nonzero), call(R(0)), call(Draw((2, 3), nonzero), axis=())],
        special=[
            at(ZERO_ONE, slopes=[6.0, 0.0, 0.0], bend=[[0, 3, 2], [3, 0, 0], [2, 0, 0]]),
            at(ZERO_TWO, slopes=[0.0, 0.0, 0.0], bend=[[0, 3, 0], [3, 0, 0], [0, 0, 0]]),
            at(np.zeros(3), slopes=np.zeros(3), bend=np.zeros((3, 3))),
            at(
                np.array([[0.0, 2.0], [3.0, 4.0]]),
                slopes=[[2.0, 0.0], [4.0, 3.0]],
                axis=1,
            ),
            at(
                np.array([[0.0, 2.0], [3.0, 4.0]]),
                slopes=[[3.0, 4.0], [0.0, 2.0]],
                axis=0,
                keepdims=True,
            ),
            at(
                np.array([[0.0, 2.0], [3.0, 4.0]]),
                slopes=[[24.0, 0.0], [0.0, 0.0]],
                axis=(1, 0),
            ),
        ],
    ),
    *(
        Spec(
            "reductions",
            extreme,
            [*over_axes(distinct), call(D(2, 3), axis=())],
            special=[
                at(np.array([2.0, 2.0, other]), slopes=[0.5, 0.5, 0.0]),
                at(np.full((2, 3), 2.0), slopes=np.full((2, 3), 1 / 3), axis=1),
                at(np.full((2, 3), 2.0), slopes=np.full((2, 3), 1 / 6), bend=None),
                at(np.array([end, end]), slopes=[0.5, 0.5]),
            ],
        )
        for extreme, other, end in (
            (np.max, 1.0, inf),
            (np.amax, 1.0, inf),
            (np.min, 3.0, -inf),
            (np.amin, 3.0, -inf),
        )
    ),
    Spec(
        "reductions",
        np.ptp,
        over_axes(distinct),
        twin=None,
        why=LACKS,
        special=[at(np.array([1.0, 3.0, 3.0]), slopes=[-1.0, 0.5, 0.5])],
    ),
    Spec(
        "reductions",
        np.cumsum,
        [
            call(R(2, 3)),
            call(R(2, 3), 0),
            call(R(2, 3, 2), axis=-2),
            call(R()),
            call(R(0, 3), axis=0),
            call(a=R(4)),
        ],
        covers=hidden("cumsum"),
    ),
    Spec(
        "reductions",
        np.cumprod,
        [
            call(Draw((2, 3), nonzero)),
            call(Draw((2, 3), nonzero), 0),
            call(Draw((2, 3, 2), nonzero), axis=-2),
            call(Draw((), nonzero)),
            call(R(0, 3), axis=0),
            call(R(3, 0), axis=0),
            call(a=Draw((4,), nonzero)),
        ],
        covers=hidden("cumprod"),
        twin=None,
        why=LACKS,
        special=[  # the sum of 0, 0 x2, ... and its derivatives, by hand
            at(ZERO_ONE, slopes=[9.0, 0.0, 0.0], bend=[[0, 4, 2], [4, 0, 0], [2, 0, 0]]),
            at(ZERO_TWO, slopes=[1.0, 0.0, 0.0], bend=[[0, 4, 0], [4, 0, 0], [0, 0, 0]]),
            at(
                np.array([[2.0, 0.0], [0.0, 3.0]]),
                slopes=[[1.0, 4.0], [2.0, 0.0]],
                axis=0,
            ),
        ],
    ),
    Spec(
        "reductions",
        np.median,
        [*over_axes(distinct), call(D(4)), call(D(5)), call(D(2, 4), axis=1, keepdims=True)],
        twin=None,
        why=LACKS,
        special=[
            at(np.array([4.0, 1.0, 3.0, 2.0]), slopes=[0.0, 0.0, 0.5, 0.5]),
            at(np.array([4.0, 1.0, 3.0]), slopes=[0.0, 0.0, 1.0]),
        ],
    ),
    Spec(
        "reductions",
        np.average,
        [
            *over_axes(real, empty=False),
            call(R(2, 3), weights=Draw((2, 3), positive)),
            call(R(2, 3), 1, Draw((3,), positive)),
            call(R(2, 3), axis=0, weights=Draw((2,), positive), keepdims=True),
            call(R(2, 3), axis=-1, weights=np.array([1, 2, 3], dtype=np.int8)),
            call(R(2, 3), axis=(0, 1), weights=Draw((2, 3), positive)),
            call(R(2, 3), axis=0, weights=Draw((2,), positive), returned=True),
            call(R(2, 3), axis=0, returned=True),
        ],
        twin=None,
        why="autograd raises: it calls NumPy's on boxes",
    ),
    Spec(
        "reductions",
        np.linalg.norm,
        norm_calls(),
        rtol=1e-5,
        atol=1e-6,
        special=[
            at(np.zeros(3), slopes=np.zeros(3)),
            *(at(np.zeros(3), slopes=np.zeros(3), ord=p) for p in (1, 2, 3, 1.5, np.inf)),
            at(np.zeros((2, 2)), slopes=np.zeros((2, 2))),
            at(np.array([[0.0, 0.0], [3.0, 4.0]]), slopes=[[0.0, 0.0], [0.6, 0.8]], axis=1),
            at(np.array([0.0, 3.0]), slopes=[0.0, 1.0], ord=3),
            at(np.array([2.0, -2.0]), slopes=[0.5, -0.5], ord=np.inf),
        ],
    ),
    Spec(
        "reductions",
        np.linalg.vector_norm,
        [
            call(R(3)),
            call(R(2, 3)),
            call(R(2, 3), axis=0, ord=1),
            call(D(2, 3), axis=1, ord=np.inf, keepdims=True),
            call(R(2, 3, 2), axis=(0, 1), ord=3),
            call(R(2, 3), keepdims=True),
        ],
        twin=None,
        why=LACKS,
        special=[at(np.zeros(3), slopes=np.zeros(3))],
    ),
    Spec(
        "reductions",
        np.linalg.matrix_norm,
        [
            call(R(2, 3)),
            call(Draw((2, 3, 4), spread_out), ord="nuc"),
            call(Draw((2, 3, 4), spread_out), ord=2, keepdims=True),
            call(D(3, 2), ord=1),
        ],
        rtol=1e-5,
        atol=1e-6,
        twin=None,
        why=LACKS,
        special=[at(np.zeros((2, 2)), slopes=np.zeros((2, 2)))],
    ),
    Spec(
        "reductions",
        gl.logsumexp,
        [
            call(R(2, 3, 4)),
            call(R(2, 3, 4), 0),
            call(R(2, 3, 4), axis=(0, -1)),
            call(R(2, 3, 4), axis=1, keepdims=True),
            call(R(2, 3), keepdims=True),
            call(x=R(3)),
            call(R()),
            call(R(0, 3), axis=1),
        ],
        reference=lambda x, axis=None, keepdims=False: sp.logsumexp(
            x, axis=axis, keepdims=keepdims
        ),
        twin="scipy.special.logsumexp",
        special=[
            at(np.array([1000.0, 1000.0]), slopes=[0.5, 0.5], dtype=np.float32),
            at(np.array([-1000.0, 1000.0]), slopes=[0.0, 1.0], dtype=np.float32),
            at(np.array([-inf, 0.0, 0.0]), slopes=[0.0, 0.5, 0.5]),
            at(np.array([-inf, -inf]), slopes=[0.0, 0.0]),
        ],
    ),
    Spec(
        "reductions",
        gl.softmax,
        [
            call(R(3)),
            call(R(2, 3)),
            call(R(2, 3), 0),
            call(R(2, 3, 2), axis=(0, 2)),
            call(x=R(2, 3), axis=None),
            call(R(0, 3)),
        ],
        reference=lambda x, axis=-1: sp.softmax(x, axis=axis) if x.size else x,
        twin=None,
        why=LACKS,
        special=[
            at(np.array([-1000.0, 1000.0]), slopes=[0.0, 0.0], dtype=np.float32),
            at(np.array([-inf, 0.0]), slopes=[0.0, 0.0]),
        ],
    ),
    Spec(
        "reductions",
        gl.log_softmax,
        [
            call(R(3)),
            call(R(2, 3)),
            call(R(2, 3), 0),
            call(R(2, 3, 2), axis=(0, 2)),
            call(x=R(2, 3), axis=None),
            call(R(0, 3)),
        ],
        reference=lambda x, axis=-1: sp.log_softmax(x, axis=axis) if x.size else x,
        twin=None,
        why=LACKS,
        special=[at(np.array([-1000.0, 1000.0]), slopes=[1.0, -1.0], dtype=np.float32)],
    ),
]

"""The specs of elementwise: a row a function."""

from __future__ import annotations

from math import inf, log, nan, pi

import numpy as np

from tests.helpers import Draw
from tests.specs.activations import ACTIVATIONS
from tests.specs.kit import (
    LACKS,
    R,
    Spec,
    above_one,
    alone,
    at,
    between_steps,
    both,
    call,
    dividend,
    divisor,
    each,
    far_out,
    hidden,
    high,
    inside,
    low,
    mask,
    nonzero,
    operation,
    positive,
    real,
)

LN2 = log(2)

ELEMENTWISE = [
    Spec("elementwise", np.add, both(real, real)),
    Spec("elementwise", np.subtract, both(real, real)),
    Spec("elementwise", np.multiply, [*both(real, real), call(R(2, 3), 2.5), call(3, R(2))]),
    Spec("elementwise", np.divide, [*both(real, nonzero), call(2, Draw((3,), nonzero))]),
    Spec("elementwise", np.negative, each(real)),
    Spec("elementwise", np.positive, each(real), twin=None, why=LACKS),
    Spec("elementwise", np.reciprocal, each(nonzero)),
    Spec(
        "elementwise",
        np.square,
        each(real),
        special=[at(np.array([0.0, 3.0]), slopes=np.array([0.0, 6.0]), bend=np.diag([2.0, 2.0]))],
    ),
    Spec(
        "elementwise",
        np.remainder,
        both(dividend, divisor, (0.5, 1.05)),
        special=[at(-1.5, 1.0, slopes=(1.0, 2.0)), at(1.5, -1.0, slopes=(1.0, 2.0))],
    ),
    Spec(
        "elementwise",
        np.fmod,
        both(dividend, divisor, (0.5, 1.05)),
        twin=None,
        why="autograd floors where fmod truncates",
        special=[at(-1.5, 1.0, slopes=(1.0, 1.0))],
    ),
    Spec(
        "elementwise",
        np.power,
        [
            *both(positive, real),
            call(Draw((2, 3), nonzero), 3),
            call(Draw((3,), nonzero), -1),
            call(Draw((3,), positive), 0.5),
            call(Draw((3,), nonzero), 0),
            call(Draw((2, 3), nonzero), np.array([2, 3, 0], dtype=np.int8)),
            call(np.float32(2.0), R(3)),
        ],
        special=[
            at(np.array([0.0, 2.0]), 0, slopes=(np.array([0.0, 0.0]), None), bend=np.zeros((2, 2))),
            at(np.array([0.0, 2.0]), 1, slopes=(np.array([1.0, 1.0]), None), bend=np.zeros((2, 2))),
            at(np.array([0.0, -2.0]), 2, slopes=(np.array([0.0, -4.0]), None), bend=2 * np.eye(2)),
            at(np.array([0.0]), np.array([0.0]), slopes=(np.array([0.0]), np.array([0.0]))),
            at(np.array([0.0]), np.array([2.0]), slopes=(np.array([0.0]), np.array([0.0]))),
            at(
                np.array([0.0, 0.0]),
                np.array([0.0, 1.0]),
                slopes=(np.array([0.0, 1.0]), None),
                bend=np.zeros((2, 2)),
            ),
            # Where the slope is infinite, it is taken as 0, as that of sqrt.
            *(
                at(
                    np.array([0.0, 4.0]),
                    power,
                    slopes=(np.array([0.0, 0.25]), None),
                    bend=np.diag([0.0, -1 / 32]),
                )
                for power in (0.5, np.array(0.5), np.array([0.5, 0.5]))
            ),
            at(0.0, 0.25, slopes=(0.0, 0.0), bend=0.0),
            at(np.array([0.0, 4.0]), np.array([0.25, 1.0]), slopes=([0.0, 1.0], [0.0, 8 * LN2])),
            at(np.array([0.0, 1.0]), 1.5, slopes=([0.0, 1.5], None), bend=np.diag([0.0, 0.75])),
            at(np.array([0.0, -0.0]), 0.5, slopes=([0.0, 0.0], None), dtype=np.float32),
            # Beyond, calculus has its way.
            at(np.array([0.0, -4.0]), -1, slopes=([-inf, -1 / 16], None)),
            at(np.array([-4.0]), 0.5, slopes=([nan], None)),
            at(np.array([-2.0]), np.array([3.0]), slopes=([12.0], [nan])),
        ],
    ),
    Spec(
        "elementwise",
        np.sqrt,
        each(positive),
        special=[at(0.0, slopes=0.0), at(np.array([0.0, 4.0]), slopes=np.array([0.0, 0.25]))],
    ),
    Spec("elementwise", np.cbrt, each(nonzero), twin=None, why=LACKS),
    Spec("elementwise", np.exp, each(real), special=[at(-1000.0, slopes=0.0, dtype=np.float32)]),
    Spec("elementwise", np.exp2, each(real)),
    Spec("elementwise", np.expm1, each(real), special=[at(-1000.0, slopes=0.0)]),
    Spec("elementwise", np.log, each(positive)),
    Spec("elementwise", np.log2, each(positive)),
    Spec("elementwise", np.log10, each(positive)),
    Spec("elementwise", np.log1p, each(positive), special=[at(0.0, slopes=1.0, bend=-1.0)]),
    Spec(
        "elementwise",
        np.logaddexp,
        both(real, real),
        special=[
            at(1000.0, 0.0, slopes=(1.0, 0.0)),
            at(-1000.0, 1000.0, slopes=(0.0, 1.0), dtype=np.float32),
            at(-inf, 0.0, slopes=(0.0, 1.0)),
            at(-inf, -inf, slopes=(0.0, 0.0)),
        ],
    ),
    Spec(
        "elementwise",
        np.logaddexp2,
        both(real, real),
        special=[at(-inf, 0.0, slopes=(0.0, 1.0)), at(-inf, -inf, slopes=(0.0, 0.0))],
    ),
    Spec("elementwise", np.sin, each(real)),
    Spec("elementwise", np.cos, each(real)),
    Spec("elementwise", np.tan, each(inside)),
    Spec("elementwise", np.arcsin, each(inside)),
    Spec("elementwise", np.arccos, each(inside)),
    Spec("elementwise", np.arctan, each(real)),
    Spec("elementwise", np.sinh, each(real)),
    Spec("elementwise", np.cosh, each(real)),
    Spec("elementwise", np.tanh, each(real), special=far_out(0.0, 0.0)),
    Spec("elementwise", np.arcsinh, each(real)),
    Spec("elementwise", np.arccosh, each(above_one)),
    Spec("elementwise", np.arctanh, each(inside)),
    Spec(
        "elementwise",
        np.arctan2,
        both(nonzero, nonzero),
        special=[at(0.0, 0.0, slopes=(0.0, 0.0)), at(0.0, -2.0, slopes=(-0.5, 0.0))],
    ),
    Spec(
        "elementwise",
        np.hypot,
        both(nonzero, nonzero),
        special=[
            at(0.0, 0.0, slopes=(0.0, 0.0)),
            at(3e30, 4e30, slopes=(0.6, 0.8), dtype=np.float32),
        ],
    ),
    Spec("elementwise", np.deg2rad, each(real)),
    Spec("elementwise", np.rad2deg, each(real)),
    Spec("elementwise", np.radians, each(real)),
    Spec("elementwise", np.degrees, each(real)),
    Spec(
        "elementwise",
        np.sinc,
        each(real),
        special=[
            at(0.0, slopes=0.0, bend=-(pi**2) / 3),
            at(1e-4, slopes=-(pi**2) / 3 * 1e-4, bend=-(pi**2) / 3 + pi**4 / 10 * 1e-8),
            at(0.0, slopes=0.0, bend=-(pi**2) / 3, dtype=np.float32),
        ],
    ),
    Spec("elementwise", np.absolute, each(nonzero), special=[at(0.0, slopes=0.0, bend=0.0)]),
    Spec("elementwise", np.fabs, each(nonzero), special=[at(0.0, slopes=0.0, bend=0.0)]),
    *(
        Spec(
            "elementwise",
            choice,
            [*both(real, real), call(R(3), 0.1)],
            special=[
                at(1.0, 1.0, slopes=(0.5, 0.5)),
                at(np.array([1.0, 2.0]), 1.0, slopes=(one, 2.0 - one.sum())),
                at(inf, inf, slopes=(0.5, 0.5)),
            ],
        )
        for choice, one in [
            (np.maximum, np.array([0.5, 1.0])),
            (np.minimum, np.array([0.5, 0.0])),
        ]
    ),
    *(
        Spec(
            "elementwise",
            choice,
            both(real, real),
            special=[
                at(1.0, 1.0, slopes=(0.5, 0.5)),
                at(nan, 2.0, slopes=(0.0, 1.0)),
                at(2.0, nan, slopes=(1.0, 0.0)),
            ],
        )
        for choice in (np.fmax, np.fmin)
    ),
    *(
        Spec("elementwise", step, each(between_steps), flat=True)
        for step in (np.sign, np.floor, np.ceil, np.trunc, np.rint)
    ),
    *(
        Spec(
            "elementwise",
            rounding,
            [*each(between_steps), call(Draw((3,), between_steps), 0), call(R(3), decimals=-1)],
            flat=True,
        )
        for rounding in (np.round, np.around)
    ),
    Spec(
        "elementwise",
        np.floor_divide,
        both(dividend, divisor, (0.5, 1.05)),
        flat=True,
    ),
    Spec(
        "elementwise",
        np.where,
        [
            call(Draw((), mask), R(), R()),
            call(Draw((3,), mask), R(3), R(3)),
            call(Draw((2, 3), mask), R(2, 3), 0.0),
            *alone(
                "autograd forgets to sum over what it broadcasts",
                call(Draw((2, 1), mask), R(2, 3), R()),
                call(Draw((2, 3), mask), R(3), R(2, 1)),
                call(Draw((2, 4, 3), mask), R(2, 1, 3), R(4, 1)),
                call(Draw((0, 3), mask), R(0, 3), R(1)),
                call(Draw((1,), mask), R(1), R(0)),
                call(Draw((2, 3), mask), 1, R(3)),
            ),
        ],
        covers=hidden("where"),
    ),
    Spec(
        "elementwise",
        np.nan_to_num,
        [
            *each(real),
            *alone(
                "autograd does not take nan=",
                call(R(3), nan=1.0),
            ),
            call(x=R(3), posinf=2.0, neginf=-2.0),
        ],
        covers=hidden("nan_to_num"),
        special=[
            at(np.array([nan, inf, -inf, 2.0]), slopes=np.array([0.0, 0.0, 0.0, 1.0])),
            at(np.array([nan, 2.0]), slopes=np.array([0.0, 1.0]), nan=5.0, bend=np.zeros((2, 2))),
        ],
    ),
    Spec("elementwise", np.copy, [*each(real), call(a=R(2))], twin=None, why=LACKS),
    Spec(
        "elementwise",
        np.clip,
        [
            *each(real, a_min=-0.5, a_max=0.5),
            call(R(2, 3), -0.5, None),
            call(R(2, 3), None, 0.5),
            *alone(
                "autograd does not take min= and max=",
                call(R(2, 3), min=0),
                call(R(2, 3), max=0.2),
                call(R(2, 3), min=-0.2, max=0.7),
            ),
            call(R(2, 3), None, None),
            *alone(
                "autograd takes the bounds for constants",
                call(R(2, 3), Draw((3,), low), Draw((2, 1), high)),
                call(Draw((2, 3), low), 0.0, Draw((1,), high)),
            ),
            call(R(2, 3), a_min=Draw((), low), a_max=None),
        ],
        covers=hidden("clip"),
        special=[
            at(np.array([-1.0, 0.0, 1.0]), slopes=np.array([1.0, 1.0, 1.0]), min=-1.0, max=1.0),
            at(np.array([-3.0, 0.0, 3.0]), slopes=np.array([0.0, 1.0, 1.0]), min=-1.0),
            # Where the bounds cross, the output is the upper one.
            at(0.0, 2.0, 1.0, slopes=(0.0, 0.0, 1.0)),
            at(1.0, 2.0, 1.0, slopes=(0.0, 0.0, 1.0)),
            at(3.0, 2.0, 1.0, slopes=(0.0, 0.0, 1.0)),
            at(np.array([0.0, 3.0]), slopes=np.zeros(2), bend=np.zeros((2, 2)), min=2.0, max=1.0),
            at(
                np.array([[0.0], [1.5]]),
                np.array([1.0, 2.0, 3.0]),
                np.array([2.0]),
                slopes=([[0.0], [1.0]], [1.0, 2.0, 0.0], [2.0]),
            ),
            # Where they are equal, each has what lies on its side.
            at(np.array([0.0, 1.0, 2.0]), 1.0, 1.0, slopes=([0.0, 1.0, 0.0], 1.0, 1.0)),
            # Of NaN nothing is told.
            at(np.array([nan, 0.0]), -1.0, 1.0, slopes=([0.0, 1.0], 0.0, 0.0)),
            at(np.array([0.0, 0.5]), np.array([nan, -1.0]), 1.0, slopes=([0.0, 1.0], [0, 0], 0.0)),
            at(np.array([0.0, 0.5]), -1.0, np.array([nan, 1.0]), slopes=([0.0, 1.0], 0.0, [0, 0])),
        ],
    ),
    Spec(
        "elementwise",
        operation("astype"),
        each(real, dtype=np.float64, source=np.float64),
        weak=False,
        reference=lambda x, dtype, source: x.astype(dtype),
        twin=None,
        why=LACKS,
    ),
    *ACTIVATIONS,
]

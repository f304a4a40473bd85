"""The specs of linear algebra: a row a function."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.helpers import Call, Draw
from tests.specs.kit import (
    LACKS,
    R,
    Spec,
    alone,
    at,
    call,
    hidden,
    nonzero,
    operation,
    positive_definite,
    regular,
    spread_out,
    symmetric,
    symmetrised,
)

MATMULS = [
    (p, q)
    for p, q in (
        ((3,), (3,)),
        ((3,), (3, 2)),
        ((2, 3), (3,)),
        ((2, 3), (3, 4)),
        ((3,), (5, 3, 2)),
        ((5, 2, 3), (3,)),
        ((5, 2, 3), (3, 4)),
        ((2, 3), (5, 3, 4)),
        ((5, 2, 3), (5, 3, 4)),
        ((5, 1, 2, 3), (4, 3, 2)),
        ((1, 2, 3), (5, 3, 2)),
        ((6, 1, 2, 3), (3,)),
        ((3,), (2, 1, 3, 2)),
        ((0, 3), (3, 2)),
        ((2, 0), (0, 3)),
        ((0,), (0,)),
        ((0, 2, 3), (3, 4)),
    )
]
DOTS = [
    ((), ()),
    ((), (2, 3)),
    ((3,), ()),
    ((3,), (3,)),
    ((2, 3), (3,)),
    ((3,), (3, 2)),
    ((2, 3), (3, 4)),
    ((2, 2, 3), (3,)),
    ((2, 2, 3), (3, 4)),
    ((3,), (2, 3, 2)),
    ((2, 3), (2, 3, 2)),
    ((2, 2, 3), (2, 3, 2)),
    ((0, 3), (3, 0)),
]
EINSUMS = [
    ("i->", [(3,)]),
    ("i->i", [(3,)]),
    ("ij->ji", [(2, 3)]),
    ("ij->", [(2, 3)]),
    ("ij->j", [(2, 3)]),
    ("ba", [(2, 3)]),
    ("i,i->", [(3,), (3,)]),
    ("i,i->i", [(3,), (3,)]),
    ("i,j->ij", [(2,), (3,)]),
    ("i,j->ji", [(2,), (3,)]),
    ("i,j->", [(2,), (3,)]),
    ("ij,jk->ik", [(2, 3), (3, 4)]),
    ("ij,jk", [(2, 3), (3, 4)]),
    ("ij,kj->ki", [(2, 3), (4, 3)]),
    ("ij,ij->", [(2, 3), (2, 3)]),
    ("ij,j->", [(2, 3), (3,)]),
    ("ij,k->ik", [(2, 3), (4,)]),
    ("bij,bjk->bik", [(2, 3, 2), (2, 2, 3)]),
    ("bij,jk->bik", [(2, 3, 2), (2, 3)]),
    ("bhqd,bhkd->bhqk", [(2, 1, 3, 2), (2, 1, 2, 2)]),
    ("i,i,i->i", [(3,), (3,), (3,)]),
    ("ij,jk,kl->il", [(2, 3), (3, 2), (2, 2)]),
    ("a,ab,abc->c", [(2,), (2, 3), (2, 3, 2)]),
    ("...->...", [(2, 3)]),
    ("i...->...", [(2, 3, 2)]),
    ("...i->...", [(2, 3)]),
    ("...ij,...jk->...ik", [(2, 2, 3), (2, 3, 2)]),
    ("...ij,...jk->...ik", [(2, 1, 2, 3), (4, 3, 2)]),
    ("...ij,jk->...ik", [(2, 2, 3), (3, 2)]),
    ("i...,i...->...", [(2, 3), (2, 3)]),
    ("...i,...i", [(2, 3), (3,)]),
    ("...,...->...", [(2, 3), ()]),
    (",i->i", [(), (3,)]),
    ("->", [()]),
    (" i j , j k -> i k ", [(2, 3), (3, 2)]),
    ("ij,jk->ik", [(2, 1), (3, 2)]),  # an axis of length one is broadcast
    ("ij,ij->ij", [(1, 3), (2, 3)]),
    ("ij,jk->ik", [(0, 3), (3, 2)]),
    ("Zz->zZ", [(2, 3)]),
]
DIAGONALS = [
    ("ii->", [(3, 3)]),
    ("ii->i", [(3, 3)]),
    ("iij->j", [(2, 2, 3)]),
    ("iii->i", [(3, 3, 3)]),
    ("ii", [(3, 3)]),
    ("ii,i->i", [(3, 3), (3,)]),
    ("ii,jj->ij", [(2, 2), (3, 3)]),
    ("...ii->...i", [(2, 3, 3)]),
]


def einsums(rows: Any) -> list[Call]:
    return [Call((text, *(R(*shape) for shape in shapes))) for text, shapes in rows]


UP = [(3, 3), (2, 3, 3), (1, 1), (0, 0), (0, 2, 2)]


def matrices(domain: Any, **params: Any) -> list[Call]:
    """Call on square matrices and stacks of them."""
    return [Call((Draw(shape, domain),), params) for shape in UP]


def pairs(shapes: Any, **params: Any) -> list[Call]:
    return [Call((R(*p), R(*q)), params) for p, q in shapes]


LINALG = [
    Spec("linalg", np.matmul, pairs(MATMULS)),
    Spec("linalg", np.linalg.matmul, pairs(MATMULS[1:8]), twin=None, why=LACKS),
    Spec("linalg", np.dot, pairs(DOTS)),
    Spec(
        "linalg",
        np.inner,
        pairs(
            [
                ((), ()),
                ((), (2, 3)),
                ((3,), (3,)),
                ((2, 3), (3,)),
                ((3,), (2, 3)),
                ((2, 3), (4, 3)),
                ((2, 2, 3), (4, 3)),
                ((2, 0), (3, 0)),
            ]
        ),
    ),
    Spec(
        "linalg",
        np.vdot,
        pairs([((3,), (3,)), ((2, 3), (2, 3)), ((2, 3), (6,)), ((), ()), ((0,), (0,))]),
        twin=None,
        why=LACKS,
    ),
    Spec(
        "linalg",
        np.outer,
        [
            *pairs([((2,), (3,)), ((0,), (2,)), ((2, 1), (1, 2))]),
            *alone("autograd is for vectors", *pairs([((2, 2), (3,)), ((), (3,))])),
        ],
    ),
    Spec("linalg", np.linalg.outer, pairs([((2,), (3,)), ((0,), (2,))]), twin=None, why=LACKS),
    Spec(
        "linalg",
        np.vecdot,
        [
            *pairs([((3,), (3,)), ((2, 3), (3,)), ((2, 1, 3), (4, 3)), ((2, 0), (0,))]),
            call(R(3, 2), R(3, 2), axis=0),
        ],
        covers=hidden("vecdot"),
        twin=None,
        why=LACKS,
    ),
    Spec(
        "linalg",
        np.linalg.vecdot,
        [call(R(2, 3), R(2, 3)), call(R(3, 2), R(3, 2), axis=0)],
        twin=None,
        why=LACKS,
    ),
    Spec(
        "linalg",
        np.kron,
        pairs(
            [
                ((2,), (3,)),
                ((2, 3), (3, 2)),
                ((2, 3), (2,)),
                ((2,), (2, 3)),
                ((), (3,)),
                ((2, 1, 2), (2, 2)),
                ((0,), (3,)),
            ]
        ),
    ),
    Spec(
        "linalg",
        np.cross,
        [
            call(R(3), R(3)),
            *alone(
                "autograd forgets to sum over what it broadcasts",
                *pairs([((2, 3), (3,)), ((2, 1, 3), (4, 3)), ((0, 3), (3,))]),
            ),
            call(R(3, 2), R(3, 2), axis=0),
            call(R(3, 2), R(2, 3), axisa=0, axisb=1, axisc=0),
            call(R(3, 2), R(2, 3), 0, 1),
        ],
        covers=hidden("cross"),
    ),
    Spec(
        "linalg",
        np.linalg.cross,
        [call(R(2, 3), R(2, 3)), call(R(3, 2), R(3, 2), axis=0)],
        twin=None,
        why=LACKS,
    ),
    Spec(
        "linalg",
        np.tensordot,
        [
            call(R(2, 3, 4), R(3, 4, 2)),
            call(R(2, 3), R(3, 2), 1),
            call(R(2), R(3), axes=0),
            call(R(2, 3, 4), R(4, 3), axes=([1, 2], [1, 0])),
            call(R(2, 3, 4), R(4, 2), ((-1, 0), (0, 1))),
            call(R(2, 3), R(2, 3), axes=2),
            call(R(3), R(3), axes=(0, 0)),
            call(R(0, 3), R(3, 2), axes=1),
        ],
    ),
    Spec(
        "linalg",
        np.linalg.tensordot,
        [call(R(2, 3, 4), R(3, 4, 2)), call(R(2, 3), R(3, 2), axes=1)],
        twin=None,
        why=LACKS,
    ),
    Spec(
        "linalg",
        np.einsum,
        [
            *einsums(EINSUMS),
            *alone("autograd does not take a repeated index", *einsums(DIAGONALS)),
            call("ij,jk,kl->il", R(2, 3), R(3, 2), R(2, 2), optimize=True),
            call("ij,jk,kl->il", R(2, 3), R(3, 2), R(2, 2), optimize="greedy"),
            call(R(2, 3), [0, 1], R(3, 2), [1, 2], [2, 0]),
            *alone(
                "autograd needs the indices of the result, and no dots in lists",
                call(R(2, 3), [0, 1], R(3, 2), [1, 2]),
                call(R(2, 3), [..., 0], R(3), [0], [...]),
            ),
            call("ij,j->i", R(2, 3), np.array([1, 2, 3], dtype=np.int8)),
        ],
        covers=hidden("einsum"),
    ),
    Spec("linalg", np.linalg.inv, matrices(regular)),
    Spec(
        "linalg",
        np.linalg.solve,
        [
            call(Draw((3, 3), regular), R(3)),
            call(Draw((3, 3), regular), R(3, 2)),
            call(Draw((2, 3, 3), regular), R(2, 3, 2)),
            *alone(
                "autograd broadcasts no stacks, and takes a stack of vectors for b",
                call(Draw((2, 3, 3), regular), R(3, 2)),
                call(Draw((3, 3), regular), R(2, 3, 2)),
                call(Draw((2, 3, 3), regular), R(3)),
            ),
            call(a=Draw((1, 1), regular), b=R(1)),
            call(Draw((0, 0), regular), R(0)),
        ],
    ),
    Spec(
        "linalg",
        np.linalg.pinv,
        [
            call(Draw((3, 3), spread_out)),
            call(Draw((4, 2), spread_out)),
            call(Draw((2, 2, 4), spread_out)),
            *alone(
                "autograd does not take rcond",
                call(Draw((3, 2), spread_out), rcond=1e-8),
                call(Draw((3, 2), spread_out), 1e-8),
            ),
        ],
    ),
    Spec(
        "linalg",
        np.linalg.matrix_power,
        [
            *(call(Draw((3, 3), regular), n) for n in (-3, -1, 0, 1, 2, 3, 6)),
            call(Draw((2, 2, 2), regular), n=5),
        ],
        twin=None,
        why=LACKS,
        special=[at(np.eye(2), 0, slopes=(np.zeros((2, 2)), None))],
    ),
    Spec(
        "linalg",
        np.linalg.multi_dot,
        [
            call([R(2, 3), R(3, 4)]),
            call([R(2, 3), R(3, 4), R(4, 2)]),
            call((R(3), R(3, 4), R(4, 2))),
            call([R(2, 3), R(3, 4), R(4)]),
            call([R(3), R(3, 4), R(4, 2), R(2)]),
            call([R(3), R(3)]),
        ],
        covers=hidden("chain"),
        twin=None,
        why=LACKS,
    ),
    Spec(
        "linalg",
        np.linalg.det,
        matrices(regular),
        special=[
            at(np.array([[1.0, 2.0], [2.0, 4.0]]), slopes=[[4.0, -2.0], [-2.0, 1.0]]),
            at(
                np.zeros((2, 2)),
                slopes=np.zeros((2, 2)),
                bend=np.reshape([0, 0, 0, 1, 0, 0, -1, 0, 0, -1, 0, 0, 1, 0, 0, 0], (2, 2, 2, 2)),
            ),
            at(np.diag([0.0, 2.0, 3.0]), slopes=np.diag([6.0, 0.0, 0.0])),
            at(np.diag([0.0, 0.0, 3.0]), slopes=np.zeros((3, 3))),
        ],
    ),
    Spec(
        "linalg",
        operation("cofactor"),
        [call(Draw(shape, regular)) for shape in UP[:3]],
        reference=lambda a: (
            np.linalg.det(a)[..., None, None] * np.swapaxes(np.linalg.inv(a), -1, -2)
        ),
        order=1,
        why="det needs its first derivative only",
        twin=None,
    ),
    Spec(
        "linalg",
        np.linalg.slogdet,
        matrices(regular),
    ),
    Spec(
        "linalg",
        np.linalg.cholesky,
        [
            *matrices(positive_definite),
            *alone(
                "autograd does not take upper=",
                call(Draw((3, 3), positive_definite), upper=True),
            ),
        ],
        prepare=symmetrised,
    ),
    Spec(
        "linalg",
        np.linalg.eigh,
        [
            call(Draw((3, 3), symmetric)),
            call(Draw((2, 3, 3), symmetric)),
            call(Draw((3, 3), symmetric), "U"),
            call(Draw((3, 3), symmetric), UPLO="L"),
            call(Draw((1, 1), symmetric)),
        ],
        rtol=1e-5,
        atol=1e-6,
        prepare=symmetrised,
        special=[at(2 * np.eye(2), slopes=np.full((2, 2), np.nan))],
    ),
    Spec(
        "linalg",
        np.linalg.eigvalsh,
        [call(Draw((3, 3), symmetric)), call(Draw((2, 3, 3), symmetric), UPLO="U")],
        prepare=symmetrised,
        twin=None,
        why=LACKS,
        special=[
            at(np.eye(2), slopes=np.eye(2), bend=np.full((2, 2, 2, 2), np.nan)),
            at(np.diag([1.0, 2.0]), slopes=np.eye(2), bend=np.zeros((2, 2, 2, 2))),
        ],
    ),
    Spec(
        "linalg",
        operation("over_gap"),
        [
            call(R(2, 3), Draw((2, 3), nonzero), np.arange(3.0)),
            call(R(2, 2, 3), Draw((2, 1, 3), nonzero), np.ones((2, 3))),
            call(R(3), Draw((3,), nonzero), np.ones(3)),
        ],
        reference=lambda m, gap, values: m / gap,
        twin=None,
        why=LACKS,
        special=[
            at([1.0], [1e-15], [1.0], slopes=([np.nan], [np.nan], None)),
            at([0.0], [0.0], [1.0], slopes=([np.nan], [np.nan], None)),
            at([0.0, 2.0], [1e-15, 4.0], [1.0], slopes=([np.nan, 0.25], [np.nan, -0.125], None)),
            at([1.0], [1e-15], [1e-15], slopes=([1e15], [-1e30], None)),
            at([1.0], [np.inf], [1.0], slopes=([0.0], [0.0], None)),
        ],
    ),
    Spec(
        "linalg",
        np.linalg.svd,
        [
            call(Draw((3, 3), spread_out), full_matrices=False),
            call(Draw((4, 2), spread_out), full_matrices=False),
            call(Draw((2, 4), spread_out), False),
            call(Draw((2, 3, 2), spread_out), full_matrices=False),
            call(Draw((2, 2, 3), spread_out), full_matrices=False),
            *alone(
                "autograd wants full_matrices=False said",
                call(Draw((3, 3), spread_out)),
            ),
            call(Draw((4, 2), spread_out), compute_uv=False),
        ],
        covers=hidden("svd"),
        rtol=1e-5,
        atol=1e-6,
        special=[
            at(2 * np.eye(2), slopes=np.full((2, 2), np.nan)),
            at(
                2 * np.eye(2),
                slopes=np.eye(2),
                bend=np.full((2, 2, 2, 2), np.nan),
                compute_uv=False,
            ),
            at(np.eye(3)[:, :1] * 0.0, slopes=np.full((3, 1), np.nan), full_matrices=False),
        ],
    ),
    Spec(
        "linalg",
        np.linalg.svdvals,
        [call(Draw((3, 2), spread_out)), call(Draw((2, 2, 3), spread_out))],
        twin=None,
        why=LACKS,
    ),
]
if hasattr(np, "matvec"):
    LINALG += [
        Spec(
            "linalg",
            np.matvec,
            pairs([((2, 3), (3,)), ((2, 3), (4, 3)), ((4, 2, 3), (3,)), ((0, 3), (3,))]),
            twin=None,
            why=LACKS,
        ),
        Spec(
            "linalg",
            np.vecmat,
            pairs([((3,), (3, 2)), ((4, 3), (3, 2)), ((3,), (4, 3, 2)), ((0, 3), (3, 2))]),
            twin=None,
            why=LACKS,
        ),
    ]

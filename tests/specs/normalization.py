"""Rows for the rules in gradlite/autodiff/rules/normalization.py."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradlite.autodiff.rules.normalization import batch_norm, layer_norm
from tests.specs.kit import LACKS, R, Spec, call


def plain_norm(x: Any, axes: tuple[int, ...], weight: Any, bias: Any, eps: float) -> Any:
    mean, var = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    return (x - mean) / np.sqrt(var + eps) * weight + bias


def plain_batch_norm(x: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    weight, bias = (v if v is None else np.reshape(v, (-1, *[1] * (x.ndim - 2)))
                    for v in (weight, bias))  # fmt: skip
    axes = tuple(i for i in range(x.ndim) if i != 1)
    return plain_norm(x, axes, 1 if weight is None else weight, 0 if bias is None else bias, eps)


def plain_layer_norm(
    x: Any, weight: Any = None, bias: Any = None, *, normalized_shape: Any, eps: float = 1e-5
) -> Any:
    axes = tuple(range(x.ndim - len(normalized_shape), x.ndim))
    return plain_norm(x, axes, 1 if weight is None else weight, 0 if bias is None else bias, eps)


NORMALIZATION = [
    Spec(
        "normalization",
        batch_norm,
        [
            call(R(4, 3), R(3), R(3)),
            call(R(3, 2, 4), R(2), R(2)),
            call(R(1, 2, 4), R(2), R(2)),
            call(R(2, 3, 2, 2), R(3), R(3)),
            call(R(4, 3)),
            call(R(3, 2, 4)),
            call(R(4, 3), R(3)),
            call(R(4, 3), None, R(3)),
            call(R(4, 3), R(3), R(3), eps=0.5),
            call(x=R(4, 3), weight=R(3), bias=R(3)),
        ],
        reference=plain_batch_norm,
        twin=None,
        why=LACKS,
    ),
    Spec(
        "normalization",
        layer_norm,
        [
            call(R(4, 3), R(3), R(3), normalized_shape=(3,)),
            call(R(2, 4, 3), R(3), R(3), normalized_shape=(3,)),
            call(R(2, 4, 3), R(4, 3), R(4, 3), normalized_shape=(4, 3)),
            call(R(4), R(4), R(4), normalized_shape=(4,)),
            call(R(4, 3), normalized_shape=(3,)),
            call(R(2, 4, 3), normalized_shape=(4, 3)),
            call(R(4, 3), R(3), normalized_shape=(3,), eps=0.5),
            call(R(4, 3), None, R(3), normalized_shape=(3,)),
            call(R(0, 3), R(3), R(3), normalized_shape=(3,)),
        ],
        reference=plain_layer_norm,
        twin=None,
        why=LACKS,
    ),
]

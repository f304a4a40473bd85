"""PyTorch as a peer: the same losses and gradients with every option."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest
import scipy.special as sp

from gradlite.nn import losses as L
from tests.helpers import leaves

torch = pytest.importorskip("torch", reason="compares with PyTorch: pip install torch")
F = torch.nn.functional

RNG = np.random.default_rng(0)
Z, X, Y = (3 * RNG.standard_normal((6, 3)) for _ in range(3))
CLASSES = RNG.integers(0, 3, 6)
SOFT = sp.softmax(RNG.standard_normal((6, 3)), axis=1)
HOLES = np.where(RNG.uniform(size=(6, 3)) < 0.3, 0.0, SOFT)
LOG_P = sp.log_softmax(Z, axis=1)
COUNTS = RNG.poisson(2.0, (6, 3)).astype(float)
RATES = RNG.uniform(0.1, 4.0, (6, 3))
WEIGHT = np.array([0.5, 2.0, 1.25])

# Ours, PyTorch's, the arrays (those of floats are differentiated by), the options.
CASES: list[Any] = [
    *(
        (L.cross_entropy, F.cross_entropy, (Z, target), {"label_smoothing": s, "weight": w})
        for target in (CLASSES, SOFT)
        for s in (0.0, 0.2, 1.0)
        for w in (None, WEIGHT)
    ),
    *(
        (
            L.bce_with_logits,
            F.binary_cross_entropy_with_logits,
            (Z, RNG.uniform(size=(6, 3))),
            {"pos_weight": w},
        )
        for w in (None, WEIGHT, np.float64(3.0))
    ),
    (L.hinge, F.multi_margin_loss, (Z, CLASSES), {}),
    (L.mse, F.mse_loss, (X, Y), {}),
    (L.mae, F.l1_loss, (X, Y), {}),
    (L.mae, F.l1_loss, (X, X), {}),
    *((L.huber, F.huber_loss, (X, Y), {"delta": delta}) for delta in (0.3, 1.0, 100.0)),
    *(
        (L.poisson_nll, F.poisson_nll_loss, (prediction, COUNTS), {"log_input": log, "full": full})
        for prediction, log in ((X, True), (RATES, False))
        for full in (False, True)
    ),
    *(
        (L.gaussian_nll, F.gaussian_nll_loss, (X, Y, RATES), {"full": full, "eps": eps})
        for full in (False, True)
        for eps in (1e-6, 1.0)
    ),
    (L.kl_div, F.kl_div, (LOG_P, SOFT), {"log_target": False}),
    (L.kl_div, F.kl_div, (LOG_P, HOLES), {"log_target": False}),
    (L.kl_div, F.kl_div, (LOG_P, np.log(SOFT)), {"log_target": True}),
]


def label(case: Any) -> str:
    ours, _, arrays, options = case
    shown = [f"{k}={np.size(v) if isinstance(v, np.ndarray) else v}" for k, v in options.items()]
    return " ".join([ours.__name__, str(arrays[1].dtype), *shown])


def peer(fn: Any, arrays: Any, options: Any) -> Any:
    """Call PyTorch's function on leaves of its own."""
    takes_gradient = fn in (F.cross_entropy, F.kl_div)  # by targets too
    tensors = [
        torch.tensor(a, requires_grad=a.dtype.kind == "f" and (i != 1 or takes_gradient))
        for i, a in enumerate(arrays)
    ]
    options = {
        k: torch.as_tensor(v) if isinstance(v, (np.ndarray, np.generic)) else v
        for k, v in options.items()
    }
    return tensors, fn(*tensors, **options)


@pytest.mark.parametrize(
    ("case", "reduction"),
    [
        pytest.param(case, reduction, id=f"{label(case)}, {reduction}")
        for case in CASES
        for reduction in ("mean", "sum", "none", *(["batchmean"] if case[0] is L.kl_div else []))
    ],
)
@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides:UserWarning")
def test_pytorch_agrees(case: Any, reduction: str) -> None:
    ours, theirs, arrays, options = case
    options = {**options, "reduction": reduction}
    xs, expected = peer(theirs, arrays, options)
    cotangent = np.random.default_rng(1).standard_normal(tuple(expected.shape))
    expected.backward(torch.tensor(cotangent))
    mine = [leaves(a)[0] if x.requires_grad else a for a, x in zip(arrays, xs, strict=True)]
    found = ours(*mine, **options)
    found.backward(cotangent)
    np.testing.assert_allclose(found.data, expected.detach().numpy(), rtol=1e-12, atol=1e-13)
    for x, t in zip(mine, xs, strict=True):
        if t.requires_grad:
            slope = t.grad.numpy()
            known = np.isfinite(slope)  # PyTorch has NaN by a probability of zero
            np.testing.assert_allclose(x.grad[known], slope[known], rtol=1e-11, atol=1e-13)
            assert np.isfinite(x.grad).all()


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("case", CASES, ids=label)
@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides:UserWarning")
def test_single_precision_agrees(case: Any, reduction: str) -> None:
    ours, theirs, arrays, options = case
    arrays = [a.astype(np.float32) if a.dtype.kind == "f" else a for a in arrays]
    options = {**options, "reduction": reduction}
    narrow = {
        k: v.astype(np.float32) if isinstance(v, (np.ndarray, np.generic)) else v
        for k, v in options.items()
    }
    xs, expected = peer(theirs, arrays, narrow)
    expected.backward(torch.ones_like(expected))
    (x,) = leaves(arrays[0])
    found = ours(x, *arrays[1:], **options)
    assert found.dtype == np.float32
    found.backward(np.ones_like(found.data))
    np.testing.assert_allclose(found.data, expected.detach().numpy(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(x.grad, xs[0].grad.numpy(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (L.cross_entropy, F.cross_entropy),
        (L.huber, F.huber_loss),
        (L.poisson_nll, F.poisson_nll_loss),
        (L.gaussian_nll, F.gaussian_nll_loss),
        (L.kl_div, F.kl_div),
    ],
)
def test_defaults_are_pytorchs(ours: Any, theirs: Any) -> None:
    mine, its = inspect.signature(ours).parameters, inspect.signature(theirs).parameters
    shared = [
        name for name in list(mine)[2:] if name in its and name != "ignore_index"
    ]  # none here
    assert len(shared) >= 2
    assert {name: mine[name].default for name in shared} == {n: its[n].default for n in shared}


def test_rows_of_weight_are_what_pytorch_makes_of_repeated_rows() -> None:
    (z,) = leaves(Z)
    weight = np.array([1, 0, 2, 3, 0, 1])
    L.cross_entropy(z, CLASSES, weight=WEIGHT, sample_weight=weight).backward()
    t = torch.tensor(Z, requires_grad=True)
    rows = torch.tensor(np.repeat(np.arange(6), weight))
    loss = F.cross_entropy(t[rows], torch.tensor(CLASSES)[rows], weight=torch.tensor(WEIGHT))
    loss.backward()
    np.testing.assert_allclose(z.grad, t.grad.numpy(), rtol=1e-12, atol=1e-15)

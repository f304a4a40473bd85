"""Losses: formulas written out, weights that mean what they say, far-out logits, refusals."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.special as sp

import gradlite as gl
from gradlite import nn
from gradlite.errors import DtypeError, ShapeError
from gradlite.nn import losses as L
from tests.helpers import gradients, leaves, nodes_behind

RNG = np.random.default_rng
WEIGHTS = np.array([0.5, 2.0, 1.25])  # of three classes


def normal(rng: Any, *shape: int) -> Any:
    return rng.standard_normal(shape)


def classes(rng: Any, n: int) -> Any:
    return rng.integers(0, 3, n)


def distribution(rng: Any, *shape: int) -> Any:
    return sp.softmax(rng.standard_normal(shape), axis=-1)


# Every loss with every option: a function of (rng, n) that draws its arrays, the options.
Case = tuple[Callable[..., Any], Callable[[Any, int], tuple[Any, ...]], dict[str, Any]]
HARD = lambda rng, n: (normal(rng, n, 3), classes(rng, n))
SOFT = lambda rng, n: (normal(rng, n, 3), distribution(rng, n, 3))
BINARY = lambda rng, n: (normal(rng, n, 2), rng.uniform(size=(n, 2)))
PAIR = lambda rng, n: (normal(rng, n, 2), normal(rng, n, 2))
COUNTS = lambda rng, n: (normal(rng, n, 2), rng.poisson(2.0, (n, 2)).astype(float))
CASES: dict[str, Case] = {
    "cross_entropy": (L.cross_entropy, HARD, {}),
    "cross_entropy, weight": (L.cross_entropy, HARD, {"weight": WEIGHTS}),
    "cross_entropy, smoothed": (L.cross_entropy, HARD, {"label_smoothing": 0.1}),
    "cross_entropy, smoothed, weight": (
        L.cross_entropy, HARD, {"label_smoothing": 0.1, "weight": WEIGHTS}),
    "cross_entropy, soft": (L.cross_entropy, SOFT, {}),
    "cross_entropy, soft, weight": (L.cross_entropy, SOFT, {"weight": WEIGHTS}),
    "cross_entropy, soft, smoothed": (
        L.cross_entropy, SOFT, {"label_smoothing": 0.3, "weight": WEIGHTS}),
    "cross_entropy, two axes": (
        L.cross_entropy,
        lambda rng, n: (normal(rng, n, 2, 3), rng.integers(0, 3, (n, 2))),
        {"weight": WEIGHTS},
    ),
    "bce_with_logits": (L.bce_with_logits, BINARY, {}),
    "bce_with_logits, pos_weight": (L.bce_with_logits, BINARY, {"pos_weight": [0.5, 3.0]}),
    "hinge": (L.hinge, lambda rng, n: (normal(rng, n), rng.choice([-1, 1], n)), {}),
    "hinge, classes": (L.hinge, HARD, {}),
    "mse": (L.mse, PAIR, {}),
    "mse, one axis": (L.mse, lambda rng, n: (normal(rng, n), normal(rng, n)), {}),
    "mae": (L.mae, PAIR, {}),
    "huber": (L.huber, PAIR, {"delta": 0.5}),
    "quantile": (L.quantile, PAIR, {"quantiles": 0.9}),
    "quantile, several": (
        L.quantile, lambda rng, n: (normal(rng, n, 2), normal(rng, n)), {"quantiles": (0.1, 0.9)}),
    "poisson_nll": (L.poisson_nll, COUNTS, {}),
    "poisson_nll, full": (L.poisson_nll, COUNTS, {"full": True}),
    "poisson_nll, rate": (
        L.poisson_nll,
        lambda rng, n: (rng.uniform(0.5, 2, (n, 2)), rng.poisson(2.0, (n, 2)).astype(float)),
        {"log_input": False},
    ),
    "gaussian_nll": (
        L.gaussian_nll,
        lambda rng, n: (normal(rng, n, 2), normal(rng, n, 2), rng.uniform(0.5, 2, (n, 2))),
        {"full": True},
    ),
    "kl_div": (
        L.kl_div, lambda rng, n: (sp.log_softmax(normal(rng, n, 3), 1), distribution(rng, n, 3)),
        {}),
    "kl_div, batchmean": (
        L.kl_div, lambda rng, n: (sp.log_softmax(normal(rng, n, 3), 1), distribution(rng, n, 3)),
        {"reduction": "batchmean"}),
    "kl_div, log_target": (
        L.kl_div,
        lambda rng, n: (sp.log_softmax(normal(rng, n, 3), 1), normal(rng, n, 3)),
        {"log_target": True},
    ),
}  # fmt: skip
every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


# -- the table ----------------------------------------------------------------------------------


def test_every_loss_is_in_the_table_by_its_name_and_has_a_case() -> None:
    assert {name: fn.__name__ for name, fn in L.LOSSES.items()} == {n: n for n in L.LOSSES}
    assert {case[0] for case in CASES.values()} == set(L.LOSSES.values())


@every_case
@pytest.mark.parametrize("weighted", [False, True])
def test_a_loss_is_one_node(case: Case, weighted: bool) -> None:
    loss, draw, options = case
    (x,), others = leaves(draw(RNG(0), 4)[0]), draw(RNG(0), 4)[1:]
    w = np.ones(4) if weighted else None
    nodes = list(nodes_behind(loss(x, *others, sample_weight=w, **options)))
    assert len(nodes) == 1 + (options.get("reduction") == "batchmean")  # times the columns


# -- weights ------------------------------------------------------------------------------------


@every_case
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_weight_zero_is_absence_and_weight_k_is_repetition(case: Case, reduction: str) -> None:
    loss, draw, options = case
    options = {"reduction": reduction, **options}
    arrays = draw(RNG(0), 5)
    weight = np.array([1, 0, 3, 2, 0])
    repeated = np.repeat(np.arange(5), weight)

    def weighted(x: Any) -> Any:
        return loss(x, *arrays[1:], sample_weight=weight, **options)

    def plain(x: Any) -> Any:
        return loss(x[repeated], *(array[repeated] for array in arrays[1:]), **options)

    np.testing.assert_allclose(weighted(arrays[0]), plain(arrays[0]), rtol=1e-12)
    (found,), (expected,) = gradients(weighted, arrays[0]), gradients(plain, arrays[0])
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-15)
    assert not found[[1, 4]].any()


@every_case
def test_equal_weights_change_no_mean(case: Case) -> None:
    loss, draw, options = case
    arrays = draw(RNG(0), 4)
    unweighted = loss(*arrays, **options)
    weighted = loss(*arrays, sample_weight=np.full(4, 0.3), **options)
    np.testing.assert_allclose(weighted, unweighted, rtol=1e-12)


@every_case
def test_weights_multiply_single_losses_row_by_row(case: Case) -> None:
    loss, draw, options = case
    options = {**options, "reduction": "none"}
    arrays = draw(RNG(0), 3)
    weight = [0.5, 0.0, 2.0]
    single = loss(*arrays, **options)
    weighted = loss(*arrays, sample_weight=weight, **options)
    for row, w in enumerate(weight):
        np.testing.assert_allclose(weighted[row], w * single[row], rtol=1e-12)
    total = loss(*arrays, sample_weight=weight, **{**options, "reduction": "sum"})
    np.testing.assert_allclose(total, np.sum(weighted), rtol=1e-12)


@every_case
@pytest.mark.parametrize("weight", [None, np.array([0.5, 0.0, 2.0])], ids=["plain", "weighted"])
def test_finite_differences_agree_to_order_two(case: Case, weight: Any) -> None:
    loss, draw, options = case
    arrays = draw(RNG(0), 3)
    free = [a for a in arrays if a.dtype.kind == "f"]
    fixed = [a for a in arrays if a.dtype.kind != "f"]
    if loss is L.poisson_nll:  # Stirling's formula sets in at a target of 1, and counts are at it
        free, fixed = free[:1], free[1:]

    def f(*xs: Any) -> Any:
        return loss(*xs, *fixed, sample_weight=weight, **options)

    gl.check_grads(f, free, order=2)


def test_a_mean_over_weighted_classes_divides_by_the_weights_of_the_targets() -> None:
    z, y, w = normal(RNG(0), 4, 3), np.array([2, 0, 2, 1]), np.array([1.0, 0.5, 0.0, 3.0])
    nll = -sp.log_softmax(z, axis=1)[range(4), y]
    total = sum(WEIGHTS[c] * loss for c, loss in zip(y, nll, strict=True))
    np.testing.assert_allclose(
        L.cross_entropy(z, y, weight=WEIGHTS), total / sum(WEIGHTS[c] for c in y), rtol=1e-12
    )
    np.testing.assert_allclose(
        L.cross_entropy(z, y, weight=WEIGHTS, sample_weight=w),
        sum(v * WEIGHTS[c] * loss for v, c, loss in zip(w, y, nll, strict=True))
        / sum(v * WEIGHTS[c] for v, c in zip(w, y, strict=True)),
        rtol=1e-12,
    )


def test_a_mean_over_weighted_probabilities_divides_by_the_number_of_samples() -> None:
    z, t = normal(RNG(0), 4, 3), distribution(RNG(1), 4, 3)
    total = -np.sum(WEIGHTS * t * sp.log_softmax(z, axis=1))
    np.testing.assert_allclose(L.cross_entropy(z, t, weight=WEIGHTS), total / 4, rtol=1e-12)


def test_smoothing_spreads_a_share_over_all_classes() -> None:
    z, y = normal(RNG(0), 2, 3), np.array([2, 0])
    log_p = sp.log_softmax(z, axis=1)
    smooth = np.array([[0.1, 0.1, 0.8], [0.8, 0.1, 0.1]])
    terms = -smooth * log_p
    found = L.cross_entropy(z, y, label_smoothing=0.3, reduction="none")
    np.testing.assert_allclose(found, terms.sum(1), rtol=1e-12)
    weighted = L.cross_entropy(z, y, label_smoothing=0.3, weight=WEIGHTS)
    np.testing.assert_allclose(
        weighted, np.sum(WEIGHTS * terms) / (WEIGHTS[2] + WEIGHTS[0]), rtol=1e-12
    )


def test_classes_are_probabilities_of_one() -> None:
    z, y = normal(RNG(0), 2, 3), np.array([2, 0])
    np.testing.assert_allclose(L.cross_entropy(z, y), L.cross_entropy(z, np.eye(3)[y]))
    np.testing.assert_allclose(
        gradients(lambda z: L.cross_entropy(z, y), z)[0],
        gradients(lambda z: L.cross_entropy(z, np.eye(3)[y]), z)[0],
    )


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint8, np.int8])
@pytest.mark.parametrize("options", [{}, {"weight": WEIGHTS}, {"label_smoothing": 0.1}])
def test_classes_may_be_of_any_integer_type(dtype: Any, options: Any) -> None:
    z, y = normal(RNG(0), 2, 3), np.array([2, 0])
    for loss in (L.cross_entropy, L.hinge):
        options = options if loss is L.cross_entropy else {}
        found = loss(*leaves(z), y.astype(dtype), **options)
        np.testing.assert_allclose(found.data, loss(z, y, **options))


def test_targets_may_be_tensors_off_the_tape_and_everything_a_list() -> None:
    z, y = normal(RNG(0), 2, 3), np.array([2, 0])
    options = {"weight": WEIGHTS, "label_smoothing": 0.1, "sample_weight": [1, 2]}
    expected = L.cross_entropy(z, y, **options)
    np.testing.assert_allclose(L.cross_entropy(z, gl.Tensor(y), **options).data, expected)
    np.testing.assert_allclose(L.cross_entropy(z.tolist(), y.tolist(), **options), expected)
    assert L.mse([1, 2], [0, 0], sample_weight=[3, 1]) == 1.75
    assert L.quantile([[1.0, 3.0]], [2.0], quantiles=[0.5, 0.5]) == 0.5
    assert L.hinge([[0, 0]], [1]) == 0.5


@pytest.mark.parametrize("options", [{}, {"weight": WEIGHTS}, {"label_smoothing": 0.1}])
@pytest.mark.parametrize("ignored", [-100, 1])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_ignored_classes_are_absent(options: Any, ignored: int, reduction: str) -> None:
    z, y = normal(RNG(0), 5, 3), np.array([2, ignored, 0, ignored, 2])
    kept, options = y != ignored, {**options, "reduction": reduction}
    f = lambda z: L.cross_entropy(z, y, ignore_index=ignored, **options)
    np.testing.assert_allclose(f(z), L.cross_entropy(z[kept], y[kept], **options), rtol=1e-12)
    (found,) = gradients(f, z)
    (expected,) = gradients(lambda z: L.cross_entropy(z[kept], y[kept], **options), z)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-15)
    assert not found[[1, 3]].any()
    gl.check_grads(f, (z,), order=2)


def test_a_sum_of_ignored_rows_is_zero_and_a_mean_is_refused() -> None:
    z, y = normal(RNG(0), 2, 3), np.array([1, 1])
    assert L.cross_entropy(z, y, ignore_index=1, reduction="sum") == 0
    assert not L.cross_entropy(z, y, ignore_index=1, reduction="none").any()
    with pytest.raises(ValueError, match="not ignored here is zero"):
        L.cross_entropy(z, y, ignore_index=1)
    with pytest.raises(ValueError, match="ignore_index is for classes"):
        L.cross_entropy(z, np.eye(3)[y], ignore_index=1)


@pytest.mark.parametrize(
    "options",
    [{"weight": WEIGHTS}, {"ignore_index": 1}, {"label_smoothing": 0.1, "weight": [1, 2, 3]}],
)
def test_weights_of_classes_are_compiled(options: Any) -> None:
    z, y = normal(RNG(0), 4, 3), np.array([2, 0, 2, 1])
    f = gl.value_and_grad(lambda z, y: L.cross_entropy(z, y, **options))
    compiled = gl.compile(f)
    for target in (y, y[::-1].copy()):
        for found, expected in zip(compiled(z, target), f(z, target), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-13)


@pytest.mark.parametrize("shape", [(2, 3, 4), (2, 3, 4, 5)])
def test_classes_on_axis_1_are_told_where_they_belong(shape: Any) -> None:
    y = np.zeros((shape[0], *shape[2:]), int)
    with pytest.raises(ShapeError, match=r"axis 1.*nn\.functional\.cross_entropy"):
        L.cross_entropy(np.ones(shape), y)
    with pytest.raises(ShapeError) as refusal:
        L.cross_entropy(np.ones(shape), y[0])
    assert "functional" not in str(refusal.value)


def test_gradients_flow_to_smoothed_targets() -> None:
    z, t = normal(RNG(0), 2, 3), distribution(RNG(1), 2, 3)
    f = lambda t: L.cross_entropy(z, t, weight=WEIGHTS, label_smoothing=0.2, reduction="sum")
    np.testing.assert_allclose(
        gradients(f, t)[0], -0.8 * WEIGHTS * sp.log_softmax(z, axis=1), rtol=1e-12
    )


def test_positive_targets_count_by_pos_weight() -> None:
    z, t = np.array([[0.3, -2.0], [1.5, 0.1]]), np.array([[1.0, 0.0], [0.25, 1.0]])
    for row in range(2):
        for column, w in enumerate([0.5, 3.0]):
            p = 1 / (1 + math.exp(-z[row, column]))
            y = t[row, column]
            expected = -(w * y * math.log(p) + (1 - y) * math.log(1 - p))
            found = L.bce_with_logits(z, t, pos_weight=[0.5, 3.0], reduction="none")[row, column]
            assert found == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(
        L.bce_with_logits(z, t, pos_weight=2.0), L.bce_with_logits(z, t, pos_weight=[2.0, 2.0])
    )


def test_several_quantiles_are_compared_with_one_target_each() -> None:
    x, y, q = normal(RNG(0), 4, 2), normal(RNG(1), 4), (0.1, 0.75)
    found = L.quantile(x, y, quantiles=q, reduction="none")
    for i in range(4):
        for j in range(2):
            d = y[i] - x[i, j]
            assert found[i, j] == pytest.approx(q[j] * d if d > 0 else (q[j] - 1) * d, rel=1e-12)
    columns = np.stack([y, y], axis=1)
    np.testing.assert_array_equal(L.quantile(x, columns, quantiles=q, reduction="none"), found)


def test_a_constant_with_the_smallest_pinball_loss_is_the_quantile() -> None:
    y = normal(RNG(0), 1001)
    losses = [L.quantile(np.full(1001, c), y, quantiles=0.9) for c in np.sort(y)]
    assert np.argmin(losses) == 900


def test_batchmean_is_the_divergence_of_a_row() -> None:
    p, q = distribution(RNG(0), 4, 3), distribution(RNG(1), 4, 3)
    expected = sp.rel_entr(p, q).sum(axis=1).mean()
    np.testing.assert_allclose(L.kl_div(np.log(q), p, reduction="batchmean"), expected)
    np.testing.assert_allclose(
        L.kl_div(np.log(q), np.log(p), log_target=True, reduction="batchmean"), expected
    )


def test_likelihoods_are_those_of_scipy() -> None:
    from scipy import stats

    rng = RNG(0)
    x, y, var = normal(rng, 5), normal(rng, 5), rng.uniform(0.5, 2, 5)
    np.testing.assert_allclose(
        L.gaussian_nll(x, y, var, full=True, reduction="none"),
        -stats.norm.logpdf(y, x, np.sqrt(var)),
    )
    counts = np.array([0, 1, 0, 1, 1])  # whose log(target!) is zero
    np.testing.assert_allclose(
        L.poisson_nll(x, counts, reduction="none"), -stats.poisson.logpmf(counts, np.exp(x))
    )
    many = np.full(5, 50)
    np.testing.assert_allclose(
        L.poisson_nll(x, many, full=True, reduction="none"),
        -stats.poisson.logpmf(many, np.exp(x)),
        rtol=1e-4,  # Stirling's formula
    )


def test_the_rate_of_poisson_is_kept_from_zero_by_eps() -> None:
    rate, counts = np.array([0.0, 2.0]), np.array([1.0, 3.0])
    np.testing.assert_allclose(
        L.poisson_nll(rate, counts, log_input=False, eps=0.5, reduction="none"),
        rate - counts * np.log(rate + 0.5),
    )


def test_huber_with_a_large_delta_is_half_of_mse() -> None:
    x, y = normal(RNG(0), 2, 4)
    np.testing.assert_allclose(2 * L.huber(x, y, delta=100.0), L.mse(x, y))


def test_weighted_mean_averages_what_is_there() -> None:
    np.testing.assert_allclose(nn.weighted_mean(np.array([1.0, 4.0])), 2.5)
    np.testing.assert_allclose(nn.weighted_mean(np.array([1.0, 4.0]), [3, 1]), 1.75)
    np.testing.assert_allclose(nn.weighted_mean(np.array([[1.0, 3.0], [4.0, 4.0]]), [3, 1]), 2.5)
    (x,) = leaves(np.array([1.0, 4.0]))
    nn.weighted_mean(x, [3, 1]).backward()
    np.testing.assert_allclose(x.grad, [0.75, 0.25])


# -- memory layout ------------------------------------------------------------------------------

LAYOUTS: dict[str, Callable[[Any], Any]] = {
    "F": np.asfortranarray,
    "strided": lambda x: np.repeat(x, 2, axis=-1)[..., ::2],
    "reversed": lambda x: np.flip(np.flip(x).copy()),
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_cross_entropy_is_the_same_in_every_memory_layout(layout: Any, reduction: str) -> None:
    z, y = normal(RNG(0), 4, 3), np.array([0, 1, 2, 1])
    (x,) = leaves(layout(z))
    loss = gl.cross_entropy(x, layout(np.array([y]))[0], reduction=reduction)
    loss.backward(np.ones(loss.shape))
    expected = sp.softmax(z, axis=1) - np.eye(3)[y]
    np.testing.assert_allclose(x.grad, expected / (4 if reduction == "mean" else 1), rtol=1e-12)


def test_cross_entropy_of_transposed_products() -> None:
    rng = RNG(0)
    w, x, y = normal(rng, 3, 2), normal(rng, 4, 2), np.array([0, 1, 2, 1])
    straight = gradients(lambda w: gl.cross_entropy(x @ w.T, y), w)[0]
    turned = gradients(lambda w: gl.cross_entropy((w @ x.T).T, y), w)[0]
    stacked = gradients(lambda w: gl.cross_entropy(np.stack([x @ r for r in w]).T, y), w)[0]
    np.testing.assert_allclose(turned, straight, rtol=1e-12)
    np.testing.assert_allclose(stacked, straight, rtol=1e-12)


# -- types --------------------------------------------------------------------------------------


def narrow(x: Any) -> Any:
    return x.astype(np.float32) if x.dtype.kind == "f" else x


@every_case
@pytest.mark.parametrize("weight", [None, np.array([0.5, 0.0, 2.0])], ids=["plain", "weighted"])
def test_float32_predictions_have_float32_losses_and_gradients(case: Case, weight: Any) -> None:
    loss, draw, options = case
    options = {k: np.float64(v) if type(v) is float else v for k, v in options.items()}
    prediction, *others = draw(RNG(0), 3)
    (leaf,) = leaves(narrow(prediction))
    x = leaf * 1.0
    seen = []
    x.register_hook(lambda g: seen.append(g.dtype))
    output = loss(x, *others, sample_weight=weight, **options)  # the others are float64 still
    assert output.dtype == np.float32
    output.backward()
    assert seen == [np.float32]
    exact = loss(prediction, *others, sample_weight=weight, **options)
    np.testing.assert_allclose(output.data, exact, rtol=1e-5)


def test_targets_of_any_type_take_that_of_the_prediction() -> None:
    (x,) = leaves(np.array([0.5, -1.0], np.float32))
    for target in (np.array([1, 0]), np.array([True, False]), np.array([1.0, 0.0])):
        for loss in (L.mse, L.mae, L.huber, L.bce_with_logits, L.poisson_nll, L.quantile):
            if loss in (L.mse, L.bce_with_logits) or target.dtype != bool:
                assert loss(x, target).dtype == np.float32


# -- far out ------------------------------------------------------------------------------------


@pytest.mark.parametrize("far", [1e3, 1e4])
@pytest.mark.parametrize(
    "options", [{}, {"weight": WEIGHTS}, {"label_smoothing": 0.1}, {"sample_weight": [1.0, 2.0]}]
)
def test_cross_entropy_is_finite_and_right_far_out(far: float, options: Any) -> None:
    z = np.array([[far, -far, 0.0], [-far, far, far]], np.float32)
    for target in (np.array([1, 1]), np.array([[0.0, 1.0, 0.0], [0.0, 1.0, 0.0]], np.float32)):
        (x,) = leaves(z)
        loss = L.cross_entropy(x, target, reduction="none", **options)
        loss.backward(np.ones(2, np.float32))
        exact = L.cross_entropy(z.astype(float), target, reduction="none", **options)
        np.testing.assert_allclose(loss.data, exact, rtol=1e-6)
        assert np.isfinite(x.grad).all()
    if not options:
        np.testing.assert_allclose(loss.data, [2 * far, np.log(2)], rtol=1e-6)
        np.testing.assert_allclose(x.grad, [[1, -1, 0], [0, -0.5, 0.5]], atol=1e-7)


def test_a_class_of_probability_zero_costs_nothing_unless_it_is_the_target() -> None:
    z = np.array([[0.0, -np.inf, 0.0]])
    for target in (np.array([0]), np.array([[1.0, 0.0, 0.0]])):
        np.testing.assert_allclose(L.cross_entropy(z, target), np.log(2))


@pytest.mark.parametrize("far", [1e3, 1e4])
def test_binary_cross_entropy_is_stable_far_out(far: float) -> None:
    (x,) = leaves(np.array([far, -far, far, -far], np.float32))
    target = np.array([1, 0, 0, 1])
    for w, expected in ((None, far), (3.0, 3 * far)):
        losses = L.bce_with_logits(x, target, pos_weight=w, reduction="none")
        np.testing.assert_allclose(losses.data, [0, 0, far, expected], rtol=1e-6)
        losses.backward(np.ones(4, np.float32))
        np.testing.assert_allclose(x.grad, [0, 0, 1, -expected / far], atol=1e-6)
        x.zero_grad()


def test_small_losses_keep_their_digits() -> None:
    for sign, target in ((1, 1.0), (-1, 0.0)):
        for w in (None, 2.0):
            loss = L.bce_with_logits(np.array([sign * 40.0]), np.array([target]), pos_weight=w)
            factor = 2.0 if w and target else 1.0
            np.testing.assert_allclose(loss, factor * np.exp(-40.0), rtol=1e-10)


@pytest.mark.parametrize("far", [1e3, 1e4])
def test_hinge_and_kl_div_are_finite_far_out(far: float) -> None:
    z = np.array([[far, -far], [-far, far]], np.float32)
    np.testing.assert_allclose(L.hinge(z, np.array([0, 0])), (0 + (1 + 2 * far) / 2) / 2)
    np.testing.assert_allclose(L.hinge(z[:, 0], np.array([1, 1])), (1 + far) / 2, rtol=1e-6)
    log_p = gl.log_softmax(z)
    target = np.array([[1.0, 0.0], [1.0, 0.0]], np.float32)
    x, t = leaves(log_p, target)
    loss = L.kl_div(x, t, reduction="batchmean")
    np.testing.assert_allclose(loss.data, far)
    loss.backward()
    np.testing.assert_allclose(x.grad, -target / 2)
    assert np.isfinite(t.grad).all()


# -- refusals -----------------------------------------------------------------------------------

OF_TWO = [L.mse, L.mae, L.huber, L.quantile, L.bce_with_logits, L.poisson_nll, L.kl_div]


def with_variance(mean: Any, target: Any, **options: Any) -> Any:
    return L.gaussian_nll(mean, target, np.ones(np.shape(mean)), **options)


@pytest.mark.parametrize("loss", [*OF_TWO, with_variance, L.hinge], ids=lambda f: f.__name__)
@pytest.mark.parametrize(("p", "t"), [((4, 1), (4,)), ((4,), (4, 1)), ((4,), ()), ((2, 3), (3,))])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_loss_never_broadcasts(loss: Any, p: Any, t: Any, weighted: bool) -> None:
    w = np.ones(p[0]) if weighted else None
    for target in (np.ones(t), np.ones(t, int)):
        if loss is L.hinge and (p, t, target.dtype.kind) == ((4,), (), "i"):
            continue  # the scores of four classes
        with pytest.raises(ShapeError) as refusal:
            loss(*leaves(np.ones(p)), target, sample_weight=w)
        assert (L.gaussian_nll if loss is with_variance else loss).__name__ in str(refusal.value)
        assert str(p) in str(refusal.value)
        assert str(t) in str(refusal.value)


def test_variances_are_not_broadcast_either() -> None:
    with pytest.raises(ShapeError, match=r"\(4, 1\).*variance \(1,\)"):
        L.gaussian_nll(np.zeros((4, 1)), np.zeros((4, 1)), np.ones(1))


@pytest.mark.parametrize(
    ("logits", "target"),
    [
        ((4, 3), np.zeros((4, 1), int)),
        ((4, 3), np.zeros(3, int)),
        ((4, 3), np.zeros((4, 2))),
        ((4, 3), np.zeros(4)),
        ((3,), np.zeros(3, int)),
        ((4, 0), np.zeros(4, int)),
        ((), np.zeros((), int)),
    ],
)
@pytest.mark.parametrize("options", [{}, {"weight": WEIGHTS}, {"label_smoothing": 0.1}])
def test_cross_entropy_refuses_shapes_that_do_not_fit(
    logits: Any, target: Any, options: Any
) -> None:
    with pytest.raises(ShapeError) as refusal:
        L.cross_entropy(*leaves(np.ones(logits)), target, **options)
    assert str(logits) in str(refusal.value)
    assert str(target.shape) in str(refusal.value)


@pytest.mark.parametrize("target", [[0, 3], [-1, 0], [0, 255]])
@pytest.mark.parametrize(
    "loss",
    [
        L.cross_entropy,
        lambda z, y: L.cross_entropy(z, y, weight=WEIGHTS),
        lambda z, y: L.cross_entropy(z, y, label_smoothing=0.1),
        L.hinge,
    ],
)
def test_classes_out_of_range_are_refused(loss: Any, target: Any) -> None:
    with pytest.raises(IndexError, match=f"from 0 to 2, not {min(target)} to {max(target)}"):
        loss(*leaves(np.ones((2, 3))), np.array(target))


@every_case
@pytest.mark.parametrize("tape", [False, True])
def test_a_mask_is_not_lost(case: Case, tape: bool) -> None:
    loss, draw, options = case
    arrays = draw(np.random.default_rng(0), 4)
    for i, array in enumerate(arrays):
        others = [*arrays]
        others[i] = np.ma.array(array, mask=np.arange(array.size).reshape(array.shape) == 1)
        if tape:  # the prediction, or the target beside a masked prediction
            others[i == 0] = leaves(others[i == 0].astype(float))[0]
        with pytest.raises(DtypeError, match="masked array"):
            loss(*others, **options)


@pytest.mark.parametrize("loss", [L.mse, L.mae, L.huber, L.bce_with_logits, L.kl_div, L.quantile])
@pytest.mark.parametrize("kind", [complex, "M8[Y]", "U1"])
def test_elements_that_are_no_real_numbers_are_refused(loss: Any, kind: Any) -> None:
    odd = np.zeros(2, kind)
    for pair in ((np.ones(2), odd), (odd, np.ones(2)), (leaves(np.ones(2))[0], odd)):
        with pytest.raises(DtypeError, match="real numbers"):
            loss(*pair)


@pytest.mark.parametrize("target", [np.array([True, False]), np.array(["a", "b"])])
def test_cross_entropy_refuses_targets_that_are_neither(target: Any) -> None:
    with pytest.raises(DtypeError):
        L.cross_entropy(*leaves(np.ones((2, 3))), target)


def test_cross_entropy_refuses_integer_logits() -> None:
    with pytest.raises(DtypeError, match=r"int64.*astype"):
        L.cross_entropy(np.ones((2, 3), int), np.array([0, 1]))


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda z, w: gl.cross_entropy(z, np.array([0, 1]), w), "weight= for classes, sample_weig"),
        (lambda z, w: gl.cross_entropy(z, np.array([0, 1]), w.tolist()), "not list.*weight= for"),
        (lambda z, w: gl.bce_with_logits(z, z, w), "bce_with_logits.*sample_weight= for rows"),
        (lambda z, w: gl.mse(z, z, w), r"mse: reduction is .*not ndarray. Pass weights by keyword"),
        (lambda z, w: gl.mse(z, z, True), "reduction is .*not bool"),
        (lambda z, w: gl.huber(z, z, "mean"), "huber.*delta, a number, not str.*reduction="),
        (lambda z, w: gl.huber(z, z, w), "huber.*delta, a number, not ndarray.*sample_weight="),
    ],
)
def test_an_argument_in_the_place_of_another_is_told_its_name(call: Any, text: str) -> None:
    with pytest.raises(TypeError, match=text):
        call(np.ones((2, 3)), np.ones(3))


def test_a_loss_is_one_object_with_one_home() -> None:
    for name, loss in L.LOSSES.items():
        assert getattr(gl, name) is getattr(nn, name) is loss
        assert loss.__module__ == L.__name__


@every_case
@pytest.mark.parametrize("weight", [None, np.ones(3)], ids=["plain", "weighted"])
def test_an_unknown_reduction_is_refused(case: Case, weight: Any) -> None:
    loss, draw, options = case
    with pytest.raises(ValueError, match=r"'mean', 'sum' or 'none'.*'avg'"):
        loss(*draw(RNG(0), 3), sample_weight=weight, **{**options, "reduction": "avg"})


@every_case
@pytest.mark.parametrize(
    ("weight", "kind", "text"),
    [
        (np.zeros(3), ValueError, "sample_weight.*zero"),
        ([1.0, -1.0, 1.0], ValueError, "sample_weight.*-1.0"),
        ([1.0, np.nan, 1.0], ValueError, "sample_weight.*nan"),
        ([1.0, np.inf, 1.0], ValueError, "sample_weight.*inf"),
        (np.ones((3, 1)), ShapeError, r"\(3,\), not \(3, 1\)"),
        (np.ones(4), ShapeError, r"\(3,\), not \(4,\)"),
        (1.0, ShapeError, r"\(3,\), not \(\)"),
        ([1j, 1, 1], DtypeError, "complex"),
        (["a", "b", "c"], DtypeError, "<U1"),
    ],
)
def test_invalid_sample_weights_are_refused(case: Case, weight: Any, kind: Any, text: str) -> None:
    loss, draw, options = case
    with pytest.raises(kind, match=text) as refusal:
        loss(*draw(RNG(0), 3), sample_weight=weight, **options)
    assert loss.__name__ in str(refusal.value)


@pytest.mark.filterwarnings("ignore:overflow")
@pytest.mark.parametrize(
    "call",
    [
        lambda: gl.mse(np.ones(2), np.zeros(2), sample_weight=[1e308, 1e308]),
        lambda: gl.mse(np.ones((1, 4)), np.zeros((1, 4)), sample_weight=[1e308]),
        lambda: gl.cross_entropy(np.eye(3), np.arange(3), weight=np.full(3, 1e308)),
        lambda: gl.cross_entropy(np.eye(2), [0, 1], weight=[9, 9], sample_weight=[1e308, 1e307]),
        lambda: gl.nn.weighted_mean(np.ones(3), np.full(3, 1e308)),
    ],
)
def test_weights_whose_sum_overflows_are_refused(call: Any) -> None:
    with pytest.raises(ValueError, match="their sum overflows"):
        call()


def test_large_and_small_weights_count_by_their_ratios() -> None:
    for scale in (1e307, 1e-300):
        got = gl.mse([1.0, 3.0], [0.0, 0.0], sample_weight=[scale, 3 * scale])
        np.testing.assert_allclose(got.data, 7.0)


def test_a_loss_without_rows_has_none_to_weigh() -> None:
    with pytest.raises(ShapeError, match="rows"):
        L.mse(np.float64(1.0), np.float64(2.0), sample_weight=[1.0])


@pytest.mark.parametrize(
    ("weight", "kind", "text"),
    [
        ([1.0, np.nan, 1.0], ValueError, "weight.*nan"),
        ([1.0, -2.0, 1.0], ValueError, "weight.*-2"),
        ([0.0, 0.0, 0.0], ValueError, "weight.*zero"),
        ([1.0, 1.0], ShapeError, r"\(3,\), not \(2,\)"),
    ],
)
def test_invalid_class_weights_are_refused(weight: Any, kind: Any, text: str) -> None:
    with pytest.raises(kind, match=text):
        L.cross_entropy(np.ones((2, 3)), np.array([0, 1]), weight=weight)


def test_targets_whose_weights_are_all_zero_leave_nothing_to_average() -> None:
    with pytest.raises(ValueError, match=r"weight of the targets.*zero"):
        L.cross_entropy(np.ones((2, 3)), np.array([1, 1]), weight=[1.0, 0.0, 1.0])


def test_a_weight_for_each_column_must_fit_the_columns() -> None:
    with pytest.raises(ShapeError, match=r"pos_weight.*\(2,\), not \(3,\)"):
        L.bce_with_logits(np.ones((4, 2)), np.ones((4, 2)), pos_weight=np.ones(3))
    with pytest.raises(ValueError, match=r"pos_weight.*-1"):
        L.bce_with_logits(np.ones((4, 2)), np.ones((4, 2)), pos_weight=-1.0)
    with pytest.raises(ShapeError, match="pos_weight"):
        L.bce_with_logits(np.float64(0), np.float64(0), pos_weight=[1.0])


@pytest.mark.parametrize("share", [-0.1, 1.1, np.nan])
def test_smoothing_outside_the_unit_interval_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="label_smoothing"):
        L.cross_entropy(np.ones((2, 3)), np.array([0, 1]), label_smoothing=share)


@pytest.mark.parametrize("delta", [0.0, -1.0, np.nan])
def test_huber_refuses_a_delta_that_is_not_positive(delta: float) -> None:
    with pytest.raises(ValueError, match="delta"):
        L.huber(*leaves(np.ones(2)), np.ones(2), delta=delta)


@pytest.mark.parametrize("quantiles", [0.0, 1.0, np.nan, [0.5, 1.5], [], [[0.5]]])
def test_quantiles_outside_the_unit_interval_are_refused(quantiles: Any) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(quantiles))):
        L.quantile(np.ones((2, 2)), np.ones(2), quantiles=quantiles)


@pytest.mark.parametrize(
    ("p", "t"), [((4, 3), (4,)), ((4,), (4,)), ((4, 2), (2,)), ((4, 2), (4, 1)), ((4, 2), (3, 2))]
)
def test_several_quantiles_refuse_shapes_that_do_not_fit(p: Any, t: Any) -> None:
    with pytest.raises(ShapeError) as refusal:
        L.quantile(np.ones(p), np.ones(t), quantiles=[0.1, 0.9])
    assert str(p) in str(refusal.value)
    assert str(t) in str(refusal.value)


@pytest.mark.parametrize("target", [[0, 1], [1.0, 0.5], [1.0, np.nan]])
def test_hinge_refuses_targets_other_than_minus_one_and_one(target: Any) -> None:
    with pytest.raises(ValueError, match=r"-1 or 1, not .*2 \* target - 1"):
        L.hinge(np.ones(2), np.array(target))


def test_negative_counts_rates_variances_and_probabilities_are_refused() -> None:
    ones, wrong = np.ones(2), np.array([1.0, -0.5])
    with pytest.raises(ValueError, match=r"targets must not be negative.*-0\.5"):
        L.poisson_nll(ones, wrong)
    with pytest.raises(ValueError, match=r"rates must not be negative.*log_input=True"):
        L.poisson_nll(wrong, ones, log_input=False)
    with pytest.raises(ValueError, match=r"probabilities must not be negative.*log_target=True"):
        L.kl_div(-ones, wrong)
    for variance in (wrong, np.array([1.0, 0.0])):
        with pytest.raises(ValueError, match=r"variances must be positive"):
            L.gaussian_nll(ones, ones, variance)


def test_nan_in_a_prediction_shows_in_the_loss() -> None:
    nan = np.array([np.nan, 1.0])
    for loss in OF_TWO:
        assert np.isnan(loss(nan, np.ones(2)))
    assert np.isnan(L.gaussian_nll(np.ones(2), np.ones(2), nan))

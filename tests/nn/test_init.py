"""Initial values: bounds, variances, orthogonality, seeds, types."""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np
import pytest

import gradlite as gl
from gradlite.errors import DtypeError, ShapeError
from gradlite.nn import init

SHAPE = (80, 30, 3, 2)
FAN_IN, FAN_OUT = 30 * 6, 80 * 6

# The variance of a uniform distribution on (-b, b) is b**2 / 3.
DRAWS = [
    (init.uniform, {"a": -2.0, "b": 2.0}, 2 / sqrt(3), 2.0),
    (init.normal, {"std": 0.3}, 0.3, None),
    (init.xavier_normal, {}, sqrt(2 / (FAN_IN + FAN_OUT)), None),
    (init.xavier_normal, {"gain": 3.0}, 3 * sqrt(2 / (FAN_IN + FAN_OUT)), None),
    (init.xavier_uniform, {}, sqrt(2 / (FAN_IN + FAN_OUT)), sqrt(6 / (FAN_IN + FAN_OUT))),
    (init.kaiming_normal, {}, sqrt(2 / FAN_IN), None),
    (init.kaiming_normal, {"mode": "fan_out", "nonlinearity": "tanh"}, 5 / 3 / sqrt(FAN_OUT), None),
    (init.kaiming_normal, {"a": 2.0}, sqrt(2 / 5 / FAN_IN), None),
    (init.kaiming_uniform, {"nonlinearity": "relu"}, sqrt(2 / FAN_IN), sqrt(6 / FAN_IN)),
    (init.kaiming_uniform, {"a": sqrt(5)}, sqrt(1 / 3 / FAN_IN), 1 / sqrt(FAN_IN)),
]
RANDOM = [
    init.uniform, init.normal, init.xavier_uniform, init.xavier_normal, init.kaiming_uniform,
    init.kaiming_normal, init.orthogonal, init.trunc_normal,
]  # fmt: skip


@pytest.mark.parametrize(("fill", "options", "std", "bound"), DRAWS)
def test_values_have_the_variance_and_stay_in_bounds(
    fill: Any, options: Any, std: float, bound: float | None
) -> None:
    w = fill(np.empty(SHAPE), **options, rng=np.random.default_rng(0))
    assert abs(w.mean()) < 4 * std / sqrt(w.size)
    assert w.std() == pytest.approx(std, rel=0.02)
    if bound is not None:
        assert 0.99 * bound < abs(w).max() <= bound


def test_normal_has_a_mean() -> None:
    w = init.normal(np.empty(10_000), 5.0, 0.1, rng=np.random.default_rng(0))
    assert w.mean() == pytest.approx(5.0, abs=0.01)


@pytest.mark.parametrize("shape", [(4, 4), (3, 7), (7, 3), (4, 3, 2, 2), (5, 1)])
def test_orthogonal_rows_or_columns(shape: tuple[int, ...]) -> None:
    w = init.orthogonal(np.empty(shape), gain=2.0, rng=np.random.default_rng(0))
    w = w.reshape(shape[0], -1)
    gram = w @ w.T if len(w) <= w.shape[1] else w.T @ w
    np.testing.assert_allclose(gram, 4 * np.eye(len(gram)), atol=1e-12)


def test_orthogonal_matrices_are_drawn_evenly() -> None:
    rng = np.random.default_rng(0)
    corner = [init.orthogonal(np.empty((2, 2)), rng=rng)[0, 0] for _ in range(500)]
    assert abs(np.mean(corner)) < 0.15  # without the signs of R, all would be negative


@pytest.mark.parametrize("fill", RANDOM)
def test_a_seed_gives_the_same_values_to_every_type(fill: Any) -> None:
    double = fill(np.empty((4, 3)), rng=np.random.default_rng(7))
    single = np.empty((4, 3), np.float32)
    assert fill(single, rng=np.random.default_rng(7)) is single
    np.testing.assert_array_equal(single, double.astype(np.float32))
    assert not np.array_equal(fill(np.empty((4, 3))), fill(np.empty((4, 3))))


@pytest.mark.parametrize("fill", [*RANDOM, init.zeros, init.ones])
def test_tensors_are_filled_in_place_off_the_tape(fill: Any) -> None:
    w = gl.Tensor(np.full((2, 3), np.nan, np.float32), requires_grad=True)
    array = w.data
    assert fill(w) is w
    assert w.data is array
    assert w.is_leaf
    assert np.isfinite(array).all()


def test_constants() -> None:
    assert (init.zeros(np.empty(3)) == 0).all()
    assert (init.ones(np.empty(3)) == 1).all()
    assert (init.constant(np.empty(3), 2.5) == 2.5).all()


def test_gains() -> None:
    gains = {name: init.calculate_gain(name) for name in ("linear", "sigmoid", "tanh", "relu")}
    assert gains == {"linear": 1, "sigmoid": 1, "tanh": 5 / 3, "relu": sqrt(2)}
    assert init.calculate_gain("leaky_relu") == pytest.approx(sqrt(2 / 1.0001))
    assert init.calculate_gain("leaky_relu", 2.0) == pytest.approx(sqrt(0.4))
    with pytest.raises(ValueError, match=r"'selu'.*'rellu'"):
        init.calculate_gain("rellu")


@pytest.mark.parametrize("shape", [(), (3,), (0, 3)])
@pytest.mark.parametrize("fill", RANDOM[2:-1])
def test_fans_need_two_axes(fill: Any, shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="fans"):
        fill(np.empty(shape))


@pytest.mark.parametrize("data", [np.zeros((2, 2), int), [[1.0]], gl.Tensor([[1, 2]])])
def test_only_floating_point_arrays_are_filled(data: Any) -> None:
    with pytest.raises(DtypeError, match="in place"):
        init.zeros(data)


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="'fan_in' or 'fan_out', not 'fan'"):
        init.kaiming_normal(np.empty((2, 2)), mode="fan")


def test_a_normal_distribution_that_is_cut_off() -> None:
    w = init.trunc_normal(np.empty(20_000), 1.0, 2.0, -1.0, 5.0, rng=np.random.default_rng(0))
    assert -1 <= w.min() < -0.99
    assert 4.99 < w.max() <= 5
    # Of a standard normal distribution between -1 and 2: mean 0.2296, deviation 0.7213.
    assert w.mean() == pytest.approx(1 + 2 * 0.2296, abs=0.03)
    assert w.std() == pytest.approx(2 * 0.7213, abs=0.03)
    far = init.trunc_normal(np.empty(100), 0.0, 0.01, 1.0, 2.0, rng=np.random.default_rng(0))
    assert ((far >= 1) & (far <= 2)).all()


def test_sparse_columns() -> None:
    w = init.sparse(np.empty((50, 40)), 0.31, std=0.5, rng=np.random.default_rng(0))
    assert ((w == 0).sum(axis=0) == 16).all()
    assert len({tuple(column) for column in (w == 0).T}) == 40
    assert w[w != 0].std() == pytest.approx(0.5, rel=0.05)


def test_identities() -> None:
    np.testing.assert_array_equal(init.eye(np.empty((2, 3))), [[1, 0, 0], [0, 1, 0]])
    w = init.dirac(np.empty((4, 2, 3, 3)), groups=2)
    image = np.random.default_rng(0).normal(size=(1, 2, 5, 5))
    conv = gl.nn.Conv2d(2, 4, 3, padding=1, bias=False, dtype=float)
    conv.weight.data[...] = w
    np.testing.assert_array_equal(conv(image).data, np.concatenate([image, image], axis=1))


@pytest.mark.parametrize(
    ("fill", "shape"),
    [
        (init.eye_, (3,)),
        (lambda w: init.sparse_(w, 0.5), (2, 2, 2)),
        (init.dirac_, (2, 2)),
        (lambda w: init.dirac_(w, 2), (3, 2, 2)),
    ],
)
def test_shapes_that_are_refused(fill: Any, shape: tuple[int, ...]) -> None:
    w = np.full(shape, 7.0)
    with pytest.raises(ShapeError, match="fills a"):
        fill(w)
    assert (w == 7).all()


PYTORCH = {
    "uniform_": (-0.1, 0.3), "normal_": (1.0, 2.0), "trunc_normal_": (1.0, 2.0, 0.0, 4.0),
    "constant_": (0.5,), "ones_": (), "zeros_": (), "eye_": (), "xavier_uniform_": (2.0,),
    "xavier_normal_": (2.0,), "kaiming_uniform_": (0.1, "fan_out", "leaky_relu"),
    "kaiming_normal_": (0.1, "fan_out", "leaky_relu"), "orthogonal_": (2.0,),
    "sparse_": (0.5, 0.1), "dirac_": (2,),
}  # fmt: skip


@pytest.mark.parametrize("name", PYTORCH)
def test_names_of_pytorch(name: str) -> None:
    draws = name not in ("constant_", "ones_", "zeros_", "eye_", "dirac_")
    shape = (4, 3, 3) if name == "dirac_" else (4, 3)
    w = gl.nn.Parameter(np.zeros(shape, np.float32))
    assert (
        getattr(init, name)(
            w, *PYTORCH[name], **({"generator": np.random.default_rng(0)} if draws else {})
        )
        is w
    )
    other = getattr(init, name[:-1])
    rng = {"rng": np.random.default_rng(0)} if draws else {}
    np.testing.assert_array_equal(w.data, other(np.empty(shape, np.float32), *PYTORCH[name], **rng))


def test_every_name_of_pytorch_is_tested() -> None:
    public = {name for name in vars(init) if name.endswith("_") and not name.startswith("_")}
    assert public == set(PYTORCH)

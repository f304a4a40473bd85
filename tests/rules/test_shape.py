"""Functions that move elements: random shapes, mixed lists, and what they refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gradlite as gl
from gradlite.errors import ShapeError
from tests.helpers import few, gradients, leaves, nodes_behind

SHAPES = st.lists(st.integers(0, 3), min_size=0, max_size=4).map(tuple)


def adjoint_agrees(f: Any, x: Any) -> None:
    """Check a linear movement: <u, f(x)> = <pull(u), x> for every u."""
    output, pull = gl.vjp(f, x)
    np.testing.assert_array_equal(output, f(x))
    u = np.random.default_rng(1).standard_normal(np.shape(output))
    np.testing.assert_allclose(np.sum(u * output), np.sum(pull(u)[0] * x), atol=1e-12)


def numbered(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape)


@given(shape=SHAPES, data=st.data())
@few(25)
def test_any_permutation_of_axes(shape: Any, data: Any) -> None:
    axes = data.draw(st.permutations(range(len(shape))))
    axes = [a - len(shape) * data.draw(st.booleans()) for a in axes]
    adjoint_agrees(lambda x: np.transpose(x, axes), numbered(shape))


@given(shape=SHAPES, order=st.sampled_from("CF"), data=st.data())
@few(25)
def test_any_reshape(shape: Any, order: Any, data: Any) -> None:
    size = int(np.prod(shape))
    first = data.draw(st.sampled_from([n for n in range(1, size + 1) if size % n == 0] or [1]))
    new = data.draw(st.permutations([first, -1 if size else 0, 1]))
    adjoint_agrees(lambda x: np.reshape(x, new, order=order), numbered(shape))


@given(shape=SHAPES.filter(len), data=st.data())
@few(25)
def test_any_move_of_axes(shape: Any, data: Any) -> None:
    n = len(shape)
    axes = st.integers(-n, n - 1)
    a, b = data.draw(axes), data.draw(axes)
    adjoint_agrees(lambda x: np.moveaxis(x, a, b), numbered(shape))
    adjoint_agrees(lambda x: np.swapaxes(x, a, b), numbered(shape))
    start = data.draw(st.integers(-n, n))
    adjoint_agrees(lambda x: np.rollaxis(x, a, start), numbered(shape))


@given(shape=SHAPES, reps=st.lists(st.integers(0, 2), max_size=4))
@few(25)
def test_any_tiling(shape: Any, reps: Any) -> None:
    adjoint_agrees(lambda x: np.tile(x, reps), numbered(shape))


@given(shape=SHAPES.filter(len), data=st.data())
@few(25)
def test_any_parts_come_together_again(shape: Any, data: Any) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    cuts = sorted(data.draw(st.lists(st.integers(0, 4), max_size=3)))
    x = numbered(shape)
    adjoint_agrees(lambda x: np.concatenate(np.array_split(x, cuts, axis), axis) * 2.0, x)
    sections = data.draw(st.integers(1, 4))
    adjoint_agrees(lambda x: np.concatenate(np.array_split(x, sections, axis), axis), x)


@given(shape=SHAPES, data=st.data())
@few(25)
def test_any_roll_and_flip(shape: Any, data: Any) -> None:
    axis = data.draw(st.none() | st.integers(0, len(shape) - 1) if shape else st.none())
    shift = data.draw(st.integers(-5, 5))
    adjoint_agrees(lambda x: np.roll(x, shift, axis), numbered(shape))
    adjoint_agrees(lambda x: np.flip(x, axis), numbered(shape))


# -- lists of Tensors and other things --------------------------------------------------------


@pytest.mark.parametrize("join", [np.concatenate, np.vstack, np.hstack, np.stack, np.column_stack])
def test_tensors_and_arrays_can_be_joined(join: Any) -> None:
    a, b = np.ones((2, 2)), np.full((2, 2), 3.0)
    for order in ([0, 1], [1, 0]):
        parts = [leaves(a)[0], b]
        output = join([parts[i] for i in order])
        np.testing.assert_array_equal(output.data, join([(a, b)[i] for i in order]))
        output.backward(np.full(output.shape, 2.0))
        np.testing.assert_array_equal(parts[0].grad, np.full((2, 2), 2.0))


def test_one_tensor_may_be_joined_with_itself() -> None:
    (found,) = gradients(lambda x: np.concatenate([x, 2.0 * x, x]), np.ones(2))
    np.testing.assert_array_equal(found, [4.0, 4.0])


def test_lists_of_numbers_can_be_joined_to_tensors() -> None:
    (x,) = leaves(np.ones(2))
    np.testing.assert_array_equal(np.concatenate([x, [5.0]]).data, [1.0, 1.0, 5.0])
    np.testing.assert_array_equal(np.stack([x, [5.0, 6.0]]).data, [[1.0, 1.0], [5.0, 6.0]])
    np.testing.assert_array_equal(np.hstack([x, 5.0]).data, [1.0, 1.0, 5.0])
    np.testing.assert_array_equal(np.column_stack([x, [5.0, 6.0]]).data, [[1.0, 5.0], [1.0, 6.0]])


def test_a_part_that_is_not_used_contributes_zeros() -> None:
    (found,) = gradients(lambda x: np.split(x, 3)[1] ** 2, np.array([1.0, 2.0, 3.0]))
    np.testing.assert_array_equal(found, [0.0, 4.0, 0.0])
    (found,) = gradients(lambda x: list(x)[2], np.array([1.0, 2.0, 3.0]))
    np.testing.assert_array_equal(found, [0.0, 0.0, 1.0])


def test_joining_many_is_one_node() -> None:
    xs = leaves(*np.ones((50, 2)))
    assert len(list(nodes_behind(np.concatenate(xs)))) == 1


def test_converting_while_joining_keeps_the_gradient() -> None:
    (x,) = leaves(np.ones(2, np.float32))
    output = np.concatenate([x, x], dtype=np.float64)
    assert output.dtype == np.float64
    output.backward(np.ones(4))
    np.testing.assert_array_equal(x.grad, np.full(2, 2.0, np.float32))


# -- what they refuse -------------------------------------------------------------------------


def test_0d_arrays_cannot_be_concatenated() -> None:
    xs = leaves(np.float64(1.0), np.float64(2.0))
    with pytest.raises(ShapeError, match=r"np\.stack"):
        np.concatenate(xs)


def test_shapes_that_differ_cannot_be_stacked() -> None:
    xs = leaves(np.ones(2), np.ones(3))
    with pytest.raises(ShapeError, match=r"(?s)\(2,\).*\(3,\)"):
        np.stack(xs)


def test_shapes_that_differ_cannot_be_concatenated() -> None:
    xs = leaves(np.ones((2, 2)), np.ones((2, 3)))
    with pytest.raises(ValueError):
        np.concatenate(xs)


def test_nothing_cannot_be_joined() -> None:
    (x,) = leaves(np.ones((2, 0)))
    with pytest.raises(ValueError):
        np.stack(np.split(x, 1)[:0])


def test_uneven_parts_need_array_split() -> None:
    (x,) = leaves(np.ones(5))
    with pytest.raises(ShapeError, match="array_split"):
        np.split(x, 2)


@pytest.mark.parametrize(
    "impossible",
    [
        lambda x: np.reshape(x, (4, 2)),
        lambda x: np.reshape(x, (-1, -1)),
        lambda x: np.squeeze(x, 0),
        lambda x: np.transpose(x, (0, 0)),
        lambda x: np.broadcast_to(x, (2, 2)),
        lambda x: np.array_split(x, 0),
        lambda x: np.expand_dims(x, 5),
        lambda x: np.moveaxis(x, 0, 7),
        lambda x: np.rollaxis(x, 5),
        lambda x: np.meshgrid(x, x, indexing="yx"),
        lambda x: np.concatenate([x, x], axis=2),
        lambda x: np.concatenate([x, x], axis=-3),
        lambda x: np.stack([x, x], axis=4),
        lambda x: np.rollaxis(x, 0, 4),
        lambda x: np.flip(x, 2),
        lambda x: np.roll(x, 1, 2),
        lambda x: np.swapaxes(x, 0, 2),
        lambda x: np.tile(x, -1),
        lambda x: np.dsplit(x, 1),
        lambda x: np.rot90(x, axes=(0, 0)),
        lambda x: np.split(x, 2, axis=5),
    ],
)
def test_what_numpy_refuses_is_refused(impossible: Any) -> None:
    a = np.ones((2, 3))
    (x,) = leaves(a)
    with pytest.raises(Exception) as numpys:  # whatever NumPy raises
        impossible(a)
    with pytest.raises((ValueError, IndexError)):
        impossible(x)
    assert isinstance(numpys.value, (ValueError, IndexError))

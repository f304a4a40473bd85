"""Indexing: random indices of every kind, against NumPy and against adding entry by entry."""

from __future__ import annotations

from typing import Any

import autograd
import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gradlite as gl
from gradlite.errors import MissingRuleError
from tests.helpers import few, gradients, leaves, nodes_behind
from tests.specs.indexing import _added_at

SHAPE = (3, 4, 2)
X = np.random.default_rng(0).standard_normal(SHAPE)


@st.composite
def mixtures(draw: Any) -> Any:
    """Draw an index that mixes integers, slices, lists, masks, None and an Ellipsis."""
    length = draw(st.integers(0, 3))
    parts: list[Any] = []
    for n in SHAPE:
        kind = draw(st.sampled_from(["integer", "slice", "list", "column", "mask"]))
        numbers = st.lists(st.integers(-n, n - 1), min_size=length, max_size=length)
        if kind == "integer":
            parts.append(draw(st.integers(-n, n - 1)))
        elif kind == "slice":
            parts.append(draw(st.slices(n)))
        elif kind == "list":
            parts.append(draw(numbers))
        elif kind == "column":
            parts.append(np.array(draw(numbers), dtype=int)[:, None])
        else:
            mask = np.zeros(n, bool)
            mask[: min(n, length)] = True
            parts.append(mask if min(n, length) == length else slice(None))
    first = draw(st.integers(0, 3))
    if draw(st.booleans()):
        parts = [*parts[:first], Ellipsis, *parts[draw(st.integers(first, 3)) :]]
    else:
        parts = parts[:first]
    if draw(st.booleans()):
        parts.insert(draw(st.integers(0, len(parts))), None)
    return tuple(parts)


def check(index: Any) -> None:
    """Hold an index against NumPy, and its gradient against adding entry by entry."""
    expected = X[index]
    (x,) = leaves(X)
    output = x[index]
    assert output.shape == expected.shape
    np.testing.assert_array_equal(output.data, expected)
    weights = np.random.default_rng(1).standard_normal(expected.shape)
    (found,) = gradients(lambda x: x[index], X, cotangent=weights)
    np.testing.assert_allclose(found, _added_at(weights, index, SHAPE), atol=1e-14)


@given(index=hnp.basic_indices(SHAPE, allow_newaxis=True, max_dims=5))
@few(80)
def test_basic_indices(index: Any) -> None:
    check(index)


@given(index=hnp.integer_array_indices(SHAPE, result_shape=hnp.array_shapes(min_side=0)))
@few(40)
def test_integer_arrays(index: Any) -> None:
    check(index)


@given(mask=st.integers(0, 3).flatmap(lambda n: hnp.arrays(bool, SHAPE[:n])))
@few(40)
def test_boolean_masks(mask: Any) -> None:
    check(mask)


@given(index=mixtures())
@few(150)
def test_mixtures(index: Any) -> None:
    check(index)


@given(index=mixtures())
@few(15)
def test_second_derivatives_pass_through_an_index(index: Any) -> None:
    gl.check_grads(lambda x: x[index] ** 3, (X,), order=2)


@pytest.mark.parametrize(
    "index",
    [1, (slice(None), -1), (..., None), np.array([0, 2, 2]), X[:, 0, 0] > 0, (slice(1, 3), [2, 2])],
    ids=str,
)
def test_autograd_agrees(index: Any) -> None:
    weights = np.random.default_rng(1).standard_normal(X[index].shape)
    expected = autograd.make_vjp(lambda x: x[index])(X)[0](weights)
    np.testing.assert_allclose(gradients(lambda x: x[index], X, cotangent=weights)[0], expected)


# -- by hand ----------------------------------------------------------------------------------


def test_an_entry_taken_three_times_collects_three_contributions() -> None:
    (found,) = gradients(lambda x: x[[0, 0, 2, 0]], np.ones(3), cotangent=np.array([1, 2, 5, 4.0]))
    np.testing.assert_array_equal(found, [7.0, 0.0, 5.0])


def test_indexing_is_one_node() -> None:
    (x,) = leaves(X)
    assert len(list(nodes_behind(x[1:, [0, 0]]))) == 1


def test_a_tensor_can_be_an_index() -> None:
    index = gl.Tensor([2, 0, 2])
    (found,) = gradients(lambda x: x[index], np.ones(3))
    np.testing.assert_array_equal(found, [1.0, 0.0, 2.0])
    mask = gl.Tensor([True, False, True])
    (found,) = gradients(lambda x: x[mask], np.ones(3))
    np.testing.assert_array_equal(found, [1.0, 0.0, 1.0])
    (found,) = gradients(lambda x: np.take(x, index), np.ones(3))
    np.testing.assert_array_equal(found, [1.0, 0.0, 2.0])


def test_a_mask_made_of_the_tensor_itself() -> None:
    (found,) = gradients(lambda x: x[x > 0] ** 2, np.array([-1.0, 2.0, 3.0]))
    np.testing.assert_array_equal(found, [0.0, 4.0, 6.0])


@pytest.mark.parametrize("index", [5, (0, 0, 0, 0), np.array([7]), 1.5, np.ones(5, bool), "a"])
def test_a_wrong_index_is_numpys_error(index: Any) -> None:
    (x,) = leaves(X)
    with pytest.raises(IndexError):
        x[index]


def test_a_wrong_index_of_take_is_numpys_error() -> None:
    (x,) = leaves(X)
    with pytest.raises(IndexError):
        np.take(x, [3], axis=0)
    with pytest.raises(IndexError):
        np.take_along_axis(x, np.full((3, 4, 1), 2), axis=-1)


@pytest.mark.parametrize("mode", ["raise", "wrap", "clip"])
@pytest.mark.parametrize(("axis", "shape"), [(None, (0,)), (1, (SHAPE[0], 0, SHAPE[2]))])
def test_nothing_may_be_taken(mode: Any, axis: int | None, shape: tuple[int, ...]) -> None:
    (x,) = leaves(X)
    taken = np.take(x, [], axis=axis, mode=mode)
    assert taken.shape == shape
    taken.sum().backward()
    np.testing.assert_array_equal(x.grad, np.zeros(SHAPE))


@pytest.mark.parametrize(
    "fn",
    [
        lambda x: np.take(x, [0], axis=3),
        lambda x: np.take_along_axis(x, np.zeros((1, 1, 1), int), axis=3),
        lambda x: np.take_along_axis(x, np.zeros((1, 1, 1), int), axis=-4),
        lambda x: np.repeat(x, 2, axis=3),
        lambda x: np.sort(x, axis=3),
        lambda x: np.diagonal(x, axis1=0, axis2=3),
        lambda x: np.trace(x, axis1=0, axis2=3),
        lambda x: np.take(x, [0], axis=-4),
        lambda x: np.repeat(x, 2, axis=-4),
    ],
)
def test_an_axis_that_is_not_there_is_numpys_error(fn: Any) -> None:
    (x,) = leaves(X)
    with pytest.raises(np.exceptions.AxisError):
        fn(X)
    with pytest.raises((np.exceptions.AxisError, IndexError, ValueError)):
        fn(x)


@pytest.mark.parametrize("stable", [True, False])
def test_equal_elements_are_sorted_with_their_own_gradients(stable: bool) -> None:
    cotangent = np.array([1.0, 2.0, 3.0])
    (found,) = gradients(
        lambda x: np.sort(x, stable=stable), np.array([2.0, 1.0, 1.0]), cotangent=cotangent
    )
    assert found[0] == 3.0
    assert sorted(found[1:]) == [1.0, 2.0]


@pytest.mark.parametrize("mode", ["mean", "maximum", "linear_ramp", "empty"])
def test_a_padding_without_a_rule_is_refused_by_name(mode: Any) -> None:
    (x,) = leaves(np.ones(3))
    with pytest.raises(MissingRuleError, match=rf"np\.pad.*{mode}"):
        np.pad(x, 1, mode=mode)


def test_an_option_of_padding_without_a_rule_is_refused_by_name() -> None:
    (x,) = leaves(np.ones(3))
    with pytest.raises(MissingRuleError, match=r"np\.pad.*reflect_type"):
        np.pad(x, 1, mode="reflect", reflect_type="odd")


@pytest.mark.parametrize(
    "fn",
    [
        np.argsort,
        np.nonzero,
        np.argwhere,
        np.flatnonzero,
        lambda x: np.searchsorted(x, 1.5),
        lambda x: np.searchsorted(np.array([0.0, 2.0]), x),
        lambda x: np.digitize(x, [0.5]),
        lambda x: np.argpartition(x, 1),
    ],
)
def test_index_searches_return_plain_arrays(fn: Any) -> None:
    a = np.array([0.0, 1.0, 2.0])
    output = fn(*leaves(a))
    assert not isinstance(output, gl.Tensor)
    np.testing.assert_array_equal(output, fn(a))

"""Tensor: an array with a gradient, its attributes, methods and operators."""

import copy
import math
import pickle
import weakref

import numpy as np
import pytest

import gradlite as gl
from gradlite.errors import (
    DetachError,
    DtypeError,
    GradliteError,
    GraphError,
    MissingRuleError,
    ShapeError,
)


def leaf(data, dtype=np.float64):
    return gl.Tensor(np.asarray(data, dtype), requires_grad=True)


def gradient_of(fn, data):
    """The gradient of ``sum(fn(x))`` by way of a leaf."""
    x = leaf(data)
    fn(x).sum().backward()
    return x.grad


# -- construction -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        (1.0, np.float64),
        (3, np.int64),
        (True, np.bool_),
        ([1.0, 2.0], np.float64),
        ([[1, 2], [3, 4]], np.int64),
        (((1.0,), (2.0,)), np.float64),
        (np.float32(2.0), np.float32),
        (np.zeros((2, 0), np.float16), np.float16),
        (np.arange(3, dtype=np.uint8), np.uint8),
        (range(4), np.int64),
    ],
)
def test_a_tensor_has_the_values_shape_and_dtype_that_numpy_gives_the_data(data, dtype):
    t = gl.Tensor(data)
    assert isinstance(t.data, np.ndarray)
    assert t.dtype == dtype
    assert t.shape == np.shape(data)
    np.testing.assert_array_equal(t.data, np.asarray(data))
    assert not t.requires_grad
    assert t.grad is None


def test_dtype_converts_the_data():
    assert gl.Tensor([1, 2], dtype=np.float32).dtype == np.float32
    assert gl.Tensor([1, 2], dtype="float64", requires_grad=True).requires_grad


def test_data_is_copied_unless_copy_is_false():
    array = np.array([1.0, 2.0])
    apart, shared = gl.Tensor(array), gl.Tensor(array, copy=False)
    array[0] = 7.0
    assert apart.data[0] == 1.0
    assert shared.data is array


def test_copy_false_still_accepts_what_needs_a_copy():
    assert gl.Tensor([1.0, 2.0], copy=False).shape == (2,)
    assert gl.Tensor(np.arange(2), dtype=np.float32, copy=False).dtype == np.float32


def test_a_tensor_of_a_tensor_stays_on_the_tape():
    x = leaf([1.0, 2.0])
    y = gl.Tensor(x)
    assert y.requires_grad
    (y * 3.0).sum().backward()
    np.testing.assert_array_equal(x.grad, [3.0, 3.0])


def test_a_tensor_of_a_tensor_that_wants_no_gradient_is_a_new_leaf():
    source = gl.Tensor([1.0, 2.0])
    t = gl.Tensor(source, requires_grad=True)
    (t * t).sum().backward()
    np.testing.assert_array_equal(t.grad, [2.0, 4.0])
    t.data[0] = 9.0
    assert source.data[0] == 1.0


def test_lists_of_tensors_stay_on_the_tape():
    a, b = leaf(2.0), leaf(3.0)
    t = gl.Tensor([[a, 1.0], [b * b, a]])
    assert t.shape == (2, 2)
    np.testing.assert_array_equal(t.data, [[2.0, 1.0], [9.0, 2.0]])
    (t * np.array([[1.0, 1.0], [10.0, 100.0]])).sum().backward()
    assert (a.grad, b.grad) == (101.0, 60.0)


def test_lists_of_tensors_take_a_dtype():
    a = leaf([1.0, 2.0])
    t = gl.Tensor([a, a], dtype=np.float32)
    assert t.dtype == np.float32
    t.sum().backward()
    np.testing.assert_array_equal(a.grad, [2.0, 2.0])
    assert a.grad.dtype == np.float64


@pytest.mark.parametrize(
    "data",
    [
        "text",
        ["a", "b"],
        b"bytes",
        object(),
        None,
        {"a": 1},
        1j,
        np.zeros(2, complex),
        np.array([1, None], object),
        np.array(["2020-01-01"], "datetime64[D]"),
    ],
    ids=lambda data: type(data).__name__,
)
def test_what_is_not_real_numbers_is_refused(data):
    with pytest.raises(DtypeError, match="real numbers"):
        gl.Tensor(data)


def test_a_masked_array_is_refused_lest_its_mask_be_lost():
    with pytest.raises(DtypeError, match="mask"):
        gl.Tensor(np.ma.masked_array([1.0, 2.0], mask=[True, False]))


def test_a_ragged_list_is_refused():
    with pytest.raises(ShapeError):
        gl.Tensor([[1.0, 2.0], [3.0]])


def test_a_ragged_list_of_tensors_is_refused_with_the_shapes():
    with pytest.raises(ShapeError, match=r"\(2,\).*\(3,\)"):
        gl.Tensor([leaf([1.0, 2.0]), leaf([1.0, 2.0, 3.0])])


@pytest.mark.parametrize("data", [1, True, [1, 2], np.zeros(2, np.int32), np.zeros(2, bool)])
def test_integers_and_booleans_cannot_require_a_gradient(data):
    with pytest.raises(DtypeError, match="floating-point"):
        gl.Tensor(data, requires_grad=True)
    t = gl.Tensor(data)
    with pytest.raises(DtypeError, match="floating-point"):
        t.requires_grad = True


def test_integer_tensors_take_part_in_arithmetic_as_constants():
    x, n = leaf([1.0, 2.0]), gl.Tensor([3, 4])
    (x * n).sum().backward()
    np.testing.assert_array_equal(x.grad, [3.0, 4.0])
    assert n.grad is None


# -- attributes -------------------------------------------------------------------------------


def test_shape_ndim_size_and_dtype():
    t = gl.Tensor(np.zeros((2, 3, 4), np.float32))
    assert (t.shape, t.ndim, t.size, t.dtype) == ((2, 3, 4), 3, 24, np.dtype(np.float32))
    empty = gl.Tensor(np.zeros((0, 5)))
    assert (empty.shape, empty.ndim, empty.size) == ((0, 5), 2, 0)


def test_data_of_a_zero_dimensional_result_is_an_array():
    total = leaf([1.0, 2.0]).sum()
    assert isinstance(total.data, np.ndarray)
    assert total.shape == ()
    assert total.data is total.data


def test_T_reverses_the_axes_and_mT_exchanges_the_last_two():
    x = leaf(np.arange(24.0).reshape(2, 3, 4))
    np.testing.assert_array_equal(x.T.data, x.data.T)
    np.testing.assert_array_equal(x.mT.data, x.data.mT)
    w = np.arange(24.0).reshape(4, 3, 2)
    (x.T * w).sum().backward()
    np.testing.assert_array_equal(x.grad, w.T)


def test_is_leaf_tells_data_from_results():
    x = leaf([1.0])
    assert x.is_leaf
    assert not (x * 2).is_leaf
    assert gl.Tensor([1.0]).is_leaf
    assert (x * 2).detach().is_leaf


def test_requires_grad_can_be_switched_on_a_leaf():
    x = gl.Tensor([1.0, 2.0])
    x.requires_grad = True
    x.sum().backward()
    np.testing.assert_array_equal(x.grad, [1.0, 1.0])
    x.requires_grad = False
    assert x.grad is None
    assert not (x * 2).requires_grad


def test_requires_grad_cannot_be_switched_off_on_a_result():
    y = leaf([1.0]) * 2
    with pytest.raises(GraphError, match="detach"):
        y.requires_grad = False


def test_results_require_a_gradient_if_any_argument_does():
    x, c = leaf([1.0]), gl.Tensor([1.0])
    assert (x + c).requires_grad
    assert (c + x).requires_grad
    assert not (c + c).requires_grad


def test_item_gives_the_only_element_as_a_python_number():
    assert type(gl.Tensor([[2.5]]).item()) is float
    assert type(gl.Tensor(3).item()) is int
    assert leaf([2.0]).sum().item() == 2.0
    with pytest.raises(ShapeError, match=r"\(2,\)"):
        gl.Tensor([1.0, 2.0]).item()


def test_tolist_gives_nested_lists():
    assert gl.Tensor([[1.0], [2.0]]).tolist() == [[1.0], [2.0]]


def test_numpy_shares_memory_and_refuses_a_tensor_on_the_tape():
    t = gl.Tensor([1.0, 2.0])
    assert np.shares_memory(t.numpy(), t.data)
    with pytest.raises(DetachError, match="detach"):
        leaf([1.0]).numpy()


def test_detach_shares_the_data_and_leaves_the_tape():
    x = leaf([1.0, 2.0])
    d = (x * 2).detach()
    assert not d.requires_grad
    np.testing.assert_array_equal(d.data, [2.0, 4.0])
    assert np.shares_memory(x.detach().data, x.data)
    (x * x.detach()).sum().backward()
    np.testing.assert_array_equal(x.grad, [1.0, 2.0])


def test_copy_has_memory_of_its_own_and_stays_on_the_tape():
    x = leaf([1.0, 2.0])
    y = x.copy()
    assert not np.shares_memory(x.data, y.data)
    (y * 3).sum().backward()
    np.testing.assert_array_equal(x.grad, [3.0, 3.0])


def test_astype_converts_and_the_gradient_comes_back_in_the_leafs_own_type():
    x = leaf([1.0, 2.0], np.float32)
    y = x.astype(np.float64)
    assert y.dtype == np.float64
    (y * y).sum().backward()
    np.testing.assert_array_equal(x.grad, [2.0, 4.0])
    assert x.grad.dtype == np.float32


def test_astype_to_integers_leaves_the_tape():
    n = leaf([1.5, -2.5]).astype(int)
    assert not n.requires_grad
    np.testing.assert_array_equal(n.data, [1, -2])


def test_the_data_setter_keeps_shape_and_dtype():
    x = leaf([1.0, 2.0], np.float32)
    x.data = [3.0, 4.0]
    np.testing.assert_array_equal(x.data, [3.0, 4.0])
    assert x.dtype == np.float32
    with pytest.raises(ShapeError, match=r"\(3,\).*\(2,\)"):
        x.data = np.zeros(3)
    with pytest.raises(ShapeError):
        x.data = 0.0


def test_operations_after_the_data_setter_see_the_new_values():
    x = leaf([1.0, 2.0])
    x.data = np.array([3.0, 4.0])
    (x * x).sum().backward()
    np.testing.assert_array_equal(x.grad, [6.0, 8.0])


def test_data_can_be_updated_in_place():
    x = leaf([1.0, 2.0])
    before = x.data
    (x * x).sum().backward()
    x.data -= 0.5 * x.grad
    assert x.data is before
    np.testing.assert_array_equal(x.data, [0.0, 0.0])


def test_second_derivatives_use_the_data_set_before_the_operations():
    x = leaf([2.0])
    x.data = np.array([3.0])
    (x**3).sum().backward(create_graph=True)
    first = x.grad
    x.grad = None
    first.sum().backward()
    np.testing.assert_allclose(x.grad, [18.0])


def test_the_grad_setter_checks_the_shape_and_keeps_the_dtype():
    x = leaf([1.0, 2.0], np.float32)
    x.grad = np.array([5.0, 6.0])
    np.testing.assert_array_equal(x.grad, [5.0, 6.0])
    assert x.grad.dtype == np.float32
    x.grad = None
    assert x.grad is None
    with pytest.raises(ShapeError, match=r"\(3,\).*\(2,\)"):
        x.grad = np.zeros(3)


def test_the_grad_setter_copies_and_backward_adds_to_it():
    x = leaf([1.0, 2.0])
    given = np.array([10.0, 20.0])
    x.grad = given
    x.sum().backward()
    np.testing.assert_array_equal(x.grad, [11.0, 21.0])
    np.testing.assert_array_equal(given, [10.0, 20.0])


def test_a_tensor_off_the_tape_takes_no_grad():
    with pytest.raises(GraphError, match="requires a gradient"):
        gl.Tensor([1.0]).grad = np.zeros(1)


def test_grad_is_an_array_of_the_leafs_shape_and_dtype():
    for dtype in (np.float16, np.float32, np.float64):
        x = leaf([[1.0, 2.0]], dtype)
        np.exp(x * np.float64(0.5)).sum().backward()
        assert isinstance(x.grad, np.ndarray)
        assert x.grad.shape == (1, 2)
        assert x.grad.dtype == dtype


def test_zero_grad_empties_grad_and_the_next_backward_starts_again():
    x = leaf([1.0, 2.0])
    x.sum().backward()
    x.zero_grad()
    assert x.grad is None
    (3 * x).sum().backward()
    np.testing.assert_array_equal(x.grad, [3.0, 3.0])


def test_zero_grad_keeps_the_memory_unless_somebody_holds_it():
    x = leaf([1.0, 2.0])
    x.sum().backward()
    first = weakref.ref(x.grad)
    x.zero_grad()
    (2 * x).sum().backward()
    assert x.grad is first()
    kept = x.grad[:1]  # a view holds it, too
    x.zero_grad()
    (3 * x).sum().backward()
    assert x.grad is not first()
    np.testing.assert_array_equal(kept, [2.0])
    np.testing.assert_array_equal(x.grad, [3.0, 3.0])
    x.grad = None
    assert first() is kept.base


def test_an_optimiser_keeps_the_memory_of_gradients():
    x = leaf([1.0, 2.0])
    optimizer = gl.optim.SGD([x], lr=0.0)
    x.sum().backward()
    kept = x.grad
    for zero_grad in (x.zero_grad, optimizer.zero_grad):
        zero_grad()
        (2 * x).sum().backward()
        assert x.grad is kept


def test_switching_requires_grad_off_and_on_keeps_gradient_and_graph():
    x = leaf([1.0, 2.0])
    y = (x * x).sum()
    y.backward(retain_graph=True)
    x.requires_grad = False
    assert x.grad is None
    x.data = np.array([3.0, 4.0])
    x.requires_grad = True
    np.testing.assert_array_equal(x.grad, [2.0, 4.0])
    (3 * x).sum().backward()
    np.testing.assert_array_equal(x.grad, [5.0, 7.0])
    y = (5 * x).sum()  # between forward and backward
    x.requires_grad = False
    x.zero_grad()
    x.requires_grad = True
    y.backward()
    np.testing.assert_array_equal(x.grad, [5.0, 5.0])


def test_a_frozen_parameter_loses_its_gradient_where_an_optimiser_empties_it():
    x, w = leaf([1.0]), leaf([1.0])
    optimizer = gl.optim.SGD([x, w], lr=1.0)
    (2 * x + w).sum().backward()
    x.requires_grad = False
    optimizer.step()
    optimizer.zero_grad()
    x.requires_grad = True
    assert x.grad is None
    (2 * x).sum().backward()
    optimizer.step()
    assert (x.data, w.data) == (-1.0, 0.0)


def test_zero_grad_of_a_tensor_off_the_tape_does_nothing():
    gl.Tensor([1.0]).zero_grad()


# -- backward ---------------------------------------------------------------------------------


def test_backward_of_one_number_starts_from_one():
    x = leaf([[2.0]])
    (x * x).backward()
    np.testing.assert_array_equal(x.grad, [[4.0]])


@pytest.mark.parametrize("make", [np.array, gl.Tensor, list])
def test_backward_starts_from_a_given_gradient(make):
    x = leaf([1.0, 2.0])
    (x * x).backward(make([10.0, 100.0]))
    np.testing.assert_array_equal(x.grad, [20.0, 400.0])


def test_backward_takes_the_gradient_by_keyword_and_leaves_it_unchanged():
    x, g = leaf([1.0, 2.0]), np.array([1.0, 2.0])
    y = x * 1.0
    y.backward(gradient=g)
    x.grad[:] = 99.0
    np.testing.assert_array_equal(g, [1.0, 2.0])


def test_backward_on_a_leaf_copies_the_gradient_given():
    x, g = leaf([1.0, 2.0]), np.array([1.0, 2.0])
    x.backward(g)
    x.backward(g)
    np.testing.assert_array_equal(x.grad, [2.0, 4.0])
    np.testing.assert_array_equal(g, [1.0, 2.0])


def test_backward_of_more_than_one_number_asks_for_a_gradient():
    with pytest.raises(ShapeError, match=r"\(2,\).*gradient="):
        (leaf([1.0, 2.0]) * 2).backward()


def test_backward_refuses_a_gradient_of_another_shape():
    y = leaf([1.0, 2.0]) * 2
    with pytest.raises(ShapeError, match=r"\(3,\).*\(2,\)"):
        y.backward(np.ones(3))
    with pytest.raises(ShapeError):
        y.backward(1.0)


def test_backward_without_anything_recorded_says_so():
    with pytest.raises(GraphError, match="requires_grad"):
        gl.Tensor([1.0]).backward()


# -- operators --------------------------------------------------------------------------------

BINARY = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "**": lambda a, b: a**b,
    "%": lambda a, b: a % b,
    "//": lambda a, b: a // b,
}
OTHERS = {
    "float": 1.5,
    "int": 2,
    "bool": True,
    "float64": np.float64(1.5),
    "float32": np.float32(1.5),
    "int64": np.int64(2),
    "array": np.array([1.5, 2.5, 3.5]),
    "column": np.array([[1.5], [2.5]]),
    "0-d array": np.array(1.5),
    "integers": np.array([1, 2, 3]),
    "list": [1.5, 2.5, 3.5],
    "tuple": (1.5, 2.5, 3.5),
    "Tensor": gl.Tensor([1.5, 2.5, 3.5]),
}


@pytest.mark.parametrize("kind", OTHERS)
@pytest.mark.parametrize("sign", BINARY)
def test_operators_record_with_anything_on_either_side(sign, kind):
    op, other, data = BINARY[sign], OTHERS[kind], np.array([1.3, 2.2, 4.3])
    plain = other.data if isinstance(other, gl.Tensor) else np.asarray(other)
    if sign == "-" and kind == "bool":
        plain = 1.0
    for left in (True, False):
        x = leaf(data)
        y = op(x, other) if left else op(other, x)
        assert type(y) is gl.Tensor
        expected = op(data, plain) if left else op(plain, data)
        np.testing.assert_allclose(y.data, expected)
        y.sum().backward()
        assert x.grad.shape == data.shape
        eps = 1e-6
        high, low = (
            np.sum(op(d, plain) if left else op(plain, d)) for d in (data + eps, data - eps)
        )
        np.testing.assert_allclose(np.sum(x.grad), (high - low) / (2 * eps), atol=1e-6)


@pytest.mark.parametrize("rows", [(3,), (2, 3)])
def test_matmul_records_with_arrays_and_lists_on_either_side(rows):
    a, w = np.arange(np.prod(rows, dtype=int)).reshape(rows) * 1.0, np.arange(6.0).reshape(3, 2)
    for left in (a, a.tolist()):
        x = leaf(w)
        y = left @ x
        assert type(y) is gl.Tensor
        np.testing.assert_array_equal(y.data, a @ w)
        y.sum().backward()
        np.testing.assert_allclose(
            x.grad, np.broadcast_to(a.reshape(-1, 3).sum(0)[:, None], (3, 2))
        )
    x = leaf(a)
    y = x @ w.tolist()
    y.sum().backward()
    np.testing.assert_allclose(x.grad, np.broadcast_to(w.sum(1), rows))


def test_unary_operators():
    x = leaf([-1.0, 2.0])
    np.testing.assert_array_equal((-x).data, [1.0, -2.0])
    np.testing.assert_array_equal((+x).data, [-1.0, 2.0])
    np.testing.assert_array_equal(abs(x).data, [1.0, 2.0])
    (abs(x) - (-x)).sum().backward()
    np.testing.assert_array_equal(x.grad, [0.0, 2.0])


def test_divmod_is_floor_division_and_remainder_or_refused():
    x = leaf([3.5])
    try:
        quotient, rest = divmod(x, 2.0)
    except TypeError:
        return
    assert (quotient.item(), rest.item()) == (1.0, 1.5)


@pytest.mark.parametrize("scalar", [2, 2.0, True])
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("sign", BINARY)
def test_python_scalars_are_weak(sign, dtype, scalar):
    x = leaf([1.25, 2.5], dtype)
    for y in (BINARY[sign](x, scalar), BINARY[sign](scalar, x)):
        assert y.dtype == dtype
        y.sum().backward()
        assert x.grad.dtype == dtype


def test_numpy_scalars_promote_as_in_numpy():
    x = leaf([1.0], np.float32)
    assert (x * np.float64(2.0)).dtype == np.float64
    assert (np.float64(2.0) * x).dtype == np.float64
    (np.float64(2.0) * x).sum().backward()
    assert x.grad.dtype == np.float32


@pytest.mark.parametrize("other", ["text", 1j, None, object(), np.array(["a"]), np.array([1j])])
def test_operators_refuse_what_is_not_a_real_number(other):
    x = leaf([1.0])
    with pytest.raises(TypeError):
        x + other
    with pytest.raises(TypeError):
        other * x


def test_operands_that_do_not_broadcast_are_refused():
    with pytest.raises(ValueError, match=r"\(2,\).*\(3,\)"):
        leaf([1.0, 2.0]) + leaf([1.0, 2.0, 3.0])


@pytest.mark.parametrize(
    ("op", "expected"),
    [
        (lambda a, b: a < b, [True, False, False]),
        (lambda a, b: a <= b, [True, True, False]),
        (lambda a, b: a > b, [False, False, True]),
        (lambda a, b: a >= b, [False, True, True]),
        (lambda a, b: a == b, [False, True, False]),
        (lambda a, b: a != b, [True, False, True]),
    ],
)
def test_comparisons_give_plain_boolean_arrays(op, expected):
    x = leaf([1.0, 2.0, 3.0])
    for other in (2.0, np.full(3, 2.0), gl.Tensor([2.0] * 3), leaf([2.0] * 3), [2.0] * 3):
        result = op(x, other)
        assert type(result) is np.ndarray
        assert result.dtype == bool
        np.testing.assert_array_equal(result, expected)
    mirrored = op(x.data, x)
    assert type(mirrored) is np.ndarray


@pytest.mark.parametrize("fn", [np.isnan, np.isfinite, np.signbit, np.logical_not])
def test_logical_functions_give_plain_arrays(fn):
    result = fn(leaf([1.0, -2.0]))
    assert type(result) is np.ndarray
    np.testing.assert_array_equal(result, fn(np.array([1.0, -2.0])))


def test_augmented_assignment_changes_the_tensor_and_records():
    x = leaf([1.0, 2.0])
    y = other_name = +x
    y += 1.0
    y *= x
    y -= 0.5
    y /= 2.0
    y **= 2
    assert y is other_name
    np.testing.assert_array_equal(x.data, [1.0, 2.0])
    y.sum().backward()
    u = (x.data * (x.data + 1) - 0.5) / 2
    np.testing.assert_allclose(x.grad, 2 * u * (2 * x.data + 1) / 2)


def test_augmented_assignment_to_an_array_never_drops_the_gradient():
    x, array = leaf([1.0, 2.0]), np.array([1.0, 1.0])
    try:
        array += x
    except (TypeError, GradliteError):
        np.testing.assert_array_equal(array, [1.0, 1.0])
    else:
        assert isinstance(array, gl.Tensor)


def test_item_assignment_is_refused_and_names_the_way_out():
    x = leaf([1.0, 2.0])
    with pytest.raises(TypeError, match=r"np\.where"):
        x[0] = 5.0


def test_writing_a_tensor_on_the_tape_into_an_array_is_refused():
    array = np.zeros(3)
    with pytest.raises(DetachError):
        array[0:2] = leaf([1.0, 2.0])
    with pytest.raises(DetachError):
        array[:] = leaf([1.0, 2.0, 3.0]) * 2


# -- Python's protocols -----------------------------------------------------------------------


def test_len_is_that_of_the_first_axis():
    assert len(gl.Tensor(np.zeros((3, 2)))) == 3
    with pytest.raises(TypeError, match="0-d"):
        len(gl.Tensor(1.0))


def test_iteration_gives_recorded_rows():
    x = leaf([[1.0, 2.0], [3.0, 4.0]])
    first, second = x
    assert first.shape == (2,)
    (first * 10 + second).sum().backward()
    np.testing.assert_array_equal(x.grad, [[10.0, 10.0], [1.0, 1.0]])
    with pytest.raises(TypeError, match="0-d"):
        iter(gl.Tensor(1.0))


def test_iteration_over_no_rows_gives_none():
    assert list(leaf(np.zeros((0, 3)))) == []


def test_builtin_sum_works_on_a_tensor():
    x = leaf([1.0, 2.0, 3.0])
    sum(x * x).backward()
    np.testing.assert_array_equal(x.grad, [2.0, 4.0, 6.0])


@pytest.mark.parametrize(
    "index",
    [
        0,
        -1,
        np.int64(1),
        slice(None, None, -1),
        (slice(0, 2), 1),
        (Ellipsis, None),
        None,
        [0, 0, 2],
        np.array([True, False, True]),
        (np.array([0, 0]), np.array([1, 1])),
        gl.Tensor([2, 0, 2]),
    ],
    ids=repr,
)
def test_indexing_equals_numpys_and_its_gradient_collects_repetitions(index):
    data = np.arange(12.0).reshape(3, 4)
    x = leaf(data)
    plain = index.data if isinstance(index, gl.Tensor) else index
    y = x[index]
    np.testing.assert_array_equal(y.data, data[plain])
    y.sum().backward()
    expected = np.zeros((3, 4))
    np.add.at(expected, plain, 1.0)
    np.testing.assert_array_equal(x.grad, expected)


def test_an_index_out_of_range_is_an_index_error():
    with pytest.raises(IndexError):
        leaf([1.0])[3]


def test_bool_float_int_and_index_of_one_element():
    assert bool(leaf([0.5]))
    assert not leaf(0.0)
    assert float(leaf([[2.5]])) == 2.5
    assert type(float(leaf(2.5))) is float
    assert int(gl.Tensor(2.75)) == 2
    assert math.sqrt(leaf(4.0)) == 2.0
    assert [10, 20, 30][gl.Tensor(1)] == 20


def test_bool_and_float_of_more_elements_are_refused_with_the_shape():
    x = leaf([1.0, 2.0])
    with pytest.raises(ValueError, match=r"\(2,\)"):
        bool(x)
    with pytest.raises(ValueError, match=r"\(2,\)"):
        float(x)
    with pytest.raises(TypeError):
        [10, 20][gl.Tensor(1.0)]


def test_in_looks_among_the_values():
    x = leaf([1.0, 2.0])
    assert 2.0 in x
    assert 3.0 not in x
    assert gl.Tensor(1.0) in x


def test_tensors_hash_by_identity():
    x, y = leaf([1.0]), leaf([1.0])
    assert {x: "x", y: "y"}[x] == "x"
    assert len({x, y}) == 2


def test_repr_shows_values_shape_dtype_and_the_function_that_made_it():
    assert repr(gl.Tensor([1.0, 2.0])) == "Tensor([1., 2.], shape=(2,), dtype=float64)"
    assert repr(leaf([1.0])) == "Tensor([1.], shape=(1,), dtype=float64, requires_grad=True)"
    assert repr(np.tanh(leaf(0.0))) == "Tensor(0., shape=(), dtype=float64, fn=np.tanh)"
    assert "fn=gl.relu" in repr(gl.relu(leaf([1.0], np.float32)))
    assert "dtype=float32" in repr(gl.relu(leaf([1.0], np.float32)))


def test_repr_of_a_large_tensor_is_short():
    assert len(repr(gl.Tensor(np.zeros((1000, 1000))))) < 1000


def test_repr_works_after_backward_has_let_the_graph_go():
    y = np.sin(leaf(1.0))
    y.backward()
    assert "fn=np.sin" in repr(y)


def test_formatting_one_element_as_a_number():
    loss = leaf([1.23456]).sum()
    assert f"{loss:.3f}" == "1.235"
    assert f"{gl.Tensor(42):05d}" == "00042"
    assert f"{loss}" == str(loss)
    with pytest.raises(ValueError, match=r"\(2,\)"):
        f"{leaf([1.0, 2.0]):.2f}"


def test_a_pickled_tensor_keeps_data_gradient_and_flag_but_drops_its_graph():
    x = leaf([1.0, 2.0], np.float32)
    y = x * 2
    y.sum().backward()
    x2, y2 = pickle.loads(pickle.dumps((x, y)))
    np.testing.assert_array_equal(x2.data, x.data)
    np.testing.assert_array_equal(x2.grad, [2.0, 2.0])
    assert (x2.dtype, x2.requires_grad) == (np.float32, True)
    assert y2.is_leaf
    np.testing.assert_array_equal(y2.data, y.data)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_pickle_protocol_works(protocol):
    t = pickle.loads(pickle.dumps(leaf([1.0, 2.0]), protocol))
    assert t.requires_grad
    assert t.grad is None


def test_an_unpickled_tensor_is_a_leaf_to_train_on():
    x = pickle.loads(pickle.dumps(leaf([1.0, 2.0])))
    (x * x).sum().backward()
    np.testing.assert_array_equal(x.grad, [2.0, 4.0])
    x.data -= x.grad
    np.testing.assert_array_equal(x.data, [-1.0, -2.0])


def test_a_deepcopy_is_independent():
    x = leaf([1.0, 2.0])
    x.sum().backward()
    y = copy.deepcopy(x)
    y.data[0] = 9.0
    y.grad[0] = 9.0
    np.testing.assert_array_equal(x.data, [1.0, 2.0])
    np.testing.assert_array_equal(x.grad, [1.0, 1.0])
    (y * 1.0).sum().backward()
    np.testing.assert_array_equal(x.grad, [1.0, 1.0])


def test_a_deepcopied_structure_shares_what_was_shared():
    x = leaf([1.0])
    a, b = copy.deepcopy([x, x])
    assert a is b
    assert a is not x


def test_a_shallow_copy_shares_the_data_but_not_the_gradient_to_come():
    x = leaf([1.0, 2.0])
    y = copy.copy(x)
    assert np.shares_memory(x.data, y.data)
    y.sum().backward()
    assert x.grad is None


def test_asarray_of_a_tensor_off_the_tape_gives_its_data():
    t = gl.Tensor([1.0, 2.0])
    assert np.asarray(t) is t.data or np.shares_memory(np.asarray(t), t.data)
    assert np.asarray(t, dtype=np.float32).dtype == np.float32
    assert not np.shares_memory(np.array(t), t.data)


# -- NumPy's protocols ------------------------------------------------------------------------


@pytest.mark.parametrize("convert", [np.asarray, np.array, np.float64, lambda t: np.array([t, t])])
def test_conversion_to_an_array_is_refused_on_the_tape_and_names_detach(convert):
    with pytest.raises(DetachError, match=r"detach\(\)"):
        convert(leaf([1.0, 2.0]))


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("np.fft.fft", lambda x: np.fft.fft(x)),
        ("np.interp", lambda x: np.interp(x, [0.0, 1.0], [0.0, 1.0])),
        ("np.percentile", lambda x: np.percentile(x, 50)),
        ("np.heaviside", lambda x: np.heaviside(x, 0.5)),
        ("np.linalg.eig", lambda x: np.linalg.eig(np.outer(x, x))),
        ("np.convolve", lambda x: np.convolve(x, x)),
        ("np.modf", lambda x: np.modf(x)),
    ],
)
def test_a_numpy_function_without_a_rule_is_named_with_the_way_to_add_it(name, call):
    x = leaf([0.25, 0.5])
    with pytest.raises(MissingRuleError, match=rf"{name}\b.*gl\.defvjp\({name}") as caught:
        call(x)
    assert isinstance(caught.value, TypeError)


def test_a_function_without_a_rule_is_refused_off_the_tape_too():
    with pytest.raises(MissingRuleError, match=r"np\.percentile"):
        np.percentile(gl.Tensor([1.0]), 50)


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("np.add.accumulate", lambda x: np.add.accumulate(x)),
        ("np.add.at", lambda x: np.add.at(x, [0], 1.0)),
        ("np.add.at", lambda x: np.add.at(np.zeros(2), [0, 1], x)),
        ("np.add.outer", lambda x: np.add.outer(x, x)),
        ("np.add.reduceat", lambda x: np.add.reduceat(x, [0, 1])),
        ("np.logaddexp.reduce", lambda x: np.logaddexp.reduce(x)),
    ],
)
def test_ufunc_methods_without_a_rule_are_named(name, call):
    with pytest.raises(MissingRuleError, match=name.replace(".", r"\.")):
        call(leaf([1.0, 2.0]))


def test_out_is_refused_and_nothing_is_written():
    x, out = leaf([1.0, 2.0]), np.zeros(2)
    for call in (
        lambda: np.add(x, x, out=out),
        lambda: np.exp(x, out=out),
        lambda: np.exp(x, out),
        lambda: np.sum(x, axis=0, out=np.zeros(())),
        lambda: np.add(out, 1.0, out=x),
    ):
        with pytest.raises((MissingRuleError, TypeError), match="out"):
            call()
    np.testing.assert_array_equal(out, [0.0, 0.0])


def test_arguments_that_a_rule_does_not_know_are_refused_by_name():
    x = leaf([1.0, 2.0])
    with pytest.raises(MissingRuleError, match="where"):
        np.sum(x, where=np.array([True, False]))
    with pytest.raises(MissingRuleError, match="where"):
        np.exp(x, where=np.array([True, False]))
    with pytest.raises(MissingRuleError, match="initial"):
        np.max(x, initial=0.0)


def test_a_wrong_call_is_a_type_error():
    x = leaf([1.0])
    with pytest.raises(TypeError):
        np.sum(x, 0, axis=0)
    with pytest.raises(TypeError):
        np.transpose(x, bogus=1)


@pytest.mark.parametrize(
    ("ufunc", "function"),
    [(np.add, np.sum), (np.multiply, np.prod), (np.maximum, np.max), (np.minimum, np.min)],
)
def test_reduce_of_a_ufunc_is_its_reduction(ufunc, function):
    data = np.array([[1.0, 3.0], [2.0, 5.0]])
    for kwargs in ({}, {"axis": 1}, {"axis": None}, {"axis": 0, "keepdims": True}):
        x = leaf(data)
        y = ufunc.reduce(x, **kwargs)
        np.testing.assert_array_equal(y.data, ufunc.reduce(data, **kwargs))
        y.sum().backward()
        np.testing.assert_array_equal(
            x.grad, gradient_of(lambda t, k=kwargs: function(t, **{"axis": 0, **k}), data)
        )
    np.testing.assert_array_equal(ufunc.reduce(leaf(data), 1).data, ufunc.reduce(data, 1))


def test_where_with_a_condition_alone_gives_plain_indices():
    indices = np.where(leaf([0.0, 2.0, 3.0]))
    assert type(indices) is tuple
    assert type(indices[0]) is np.ndarray
    np.testing.assert_array_equal(indices[0], [1, 2])


def test_where_with_one_branch_only_is_refused_as_by_numpy():
    x = leaf([1.0, 2.0])
    with pytest.raises((TypeError, ValueError)):
        np.where(x.data > 1, x)


METHODS = {
    "sum": [{}, {"axis": 0}, {"axis": (0, 1)}, {"axis": -1, "keepdims": True}],
    "mean": [{}, {"axis": 1}],
    "prod": [{}, {"axis": 1}],
    "var": [{}, {"axis": 0, "ddof": 1}],
    "std": [{}, {"axis": 0, "ddof": 1}],
    "max": [{}, {"axis": 1}],
    "min": [{}, {"axis": 1, "keepdims": True}],
    "cumsum": [{}, {"axis": 1}],
    "cumprod": [{}, {"axis": 0}],
    "trace": [{}, {"offset": 1}],
    "diagonal": [{}, {"offset": -1}],
    "ravel": [{}],
    "flatten": [{}],
    "squeeze": [{}],
    "swapaxes": [{"axis1": 0, "axis2": 1}],
    "repeat": [{"repeats": 2}, {"repeats": 2, "axis": 1}],
    "take": [{"indices": [0, 2]}, {"indices": [1, 1], "axis": 0}],
    "clip": [{"min": 1.0, "max": 2.0}],
    "round": [{}, {"decimals": 1}],
    "copy": [{}],
    "transpose": [{}],
}


@pytest.mark.parametrize("name", METHODS)
def test_methods_do_what_numpys_do(name):
    data = np.array([[0.55, 1.45, 2.35], [1.25, -0.65, 3.15]])
    for kwargs in METHODS[name]:
        x = leaf(data)
        if name == "swapaxes":
            y, expected = x.swapaxes(0, 1), data.swapaxes(0, 1)
        else:
            y, expected = getattr(x, name)(**kwargs), getattr(data, name)(**kwargs)
        assert isinstance(y, gl.Tensor)
        assert y.requires_grad
        np.testing.assert_allclose(y.data, expected)
        assert y.dtype == expected.dtype


@pytest.mark.parametrize("name", ["exp", "log", "sqrt", "abs", "sin", "cos", "tanh"])
def test_elementwise_methods_do_what_numpys_functions_do(name):
    x = gl.Tensor([0.5, 2.0], requires_grad=True)
    y = getattr(x, name)()
    np.testing.assert_array_equal(y.data, getattr(np, name)(x.data))
    y.sum().backward()
    np.testing.assert_array_equal(x.grad, gl.grad(lambda x: np.sum(getattr(np, name)(x)))(x.data))


@pytest.mark.parametrize("name", ["relu", "sigmoid"])
def test_activations_are_methods_as_they_are_of_values(name):
    x = gl.Tensor([-0.5, 2.0], requires_grad=True)
    y = getattr(x, name)()
    np.testing.assert_array_equal(y.data, getattr(gl, name)(x.data))
    y.sum().backward()
    assert x.grad is not None


@pytest.mark.parametrize("name", ["argmax", "argmin", "argsort", "nonzero", "any", "all"])
def test_methods_without_a_derivative_give_what_numpys_give(name):
    data = np.array([2.0, 0.0, 1.0])
    result = getattr(leaf(data), name)()
    assert not isinstance(result, gl.Tensor)
    np.testing.assert_array_equal(result, getattr(data, name)())


def test_reshape_and_transpose_take_axes_in_both_of_numpys_forms():
    data = np.arange(24.0).reshape(2, 3, 4)
    x = leaf(data)
    for y, expected in (
        (x.reshape(4, 6), data.reshape(4, 6)),
        (x.reshape((4, -1)), data.reshape(4, -1)),
        (x.reshape(-1), data.reshape(-1)),
        (x.reshape(6, 4, order="F"), data.reshape(6, 4, order="F")),
        (x.transpose(2, 0, 1), data.transpose(2, 0, 1)),
        (x.transpose((1, 0, 2)), data.transpose(1, 0, 2)),
        (x.transpose(), data.transpose()),
    ):
        np.testing.assert_array_equal(y.data, expected)
    one = leaf([1.0])
    np.testing.assert_array_equal(one.reshape(()).data, 1.0)
    np.testing.assert_array_equal(one.transpose(0).data, [1.0])


def test_methods_take_numpys_positional_arguments():
    data = np.arange(6.0).reshape(2, 3)
    x = leaf(data)
    np.testing.assert_array_equal(x.sum(0).data, data.sum(0))
    np.testing.assert_array_equal(x.mean((0, 1)).data, data.mean((0, 1)))
    np.testing.assert_array_equal(x.dot(np.ones(3)).data, data.dot(np.ones(3)))
    np.testing.assert_array_equal(x.clip(1.0, 2.0).data, data.clip(1.0, 2.0))
    assert x[0].searchsorted(1.5) == 2


def test_tensors_are_found_among_the_arguments_wherever_they_stand():
    x = leaf([1.0, 2.0])
    assert isinstance(np.where([True, False], 0.0, x), gl.Tensor)
    assert isinstance(np.concatenate([np.zeros(1), x]), gl.Tensor)
    assert isinstance(np.stack([[0.0, 1.0], x]), gl.Tensor)
    assert isinstance(np.maximum(0.0, x), gl.Tensor)


def test_methods_of_a_tensor_off_the_tape_give_tensors_off_the_tape():
    y = gl.Tensor([1.0, 2.0]).sum()
    assert isinstance(y, gl.Tensor)
    assert not y.requires_grad


def test_inputs_are_left_unmutated_by_operations_and_backward():
    data = np.linspace(0.5, 1.5, 6).reshape(2, 3)
    kept = data.copy()
    x = gl.Tensor(data, requires_grad=True, copy=False)
    (np.exp(x) * np.sort(x) / x.max() + x.cumsum(0)).sum().backward()
    np.testing.assert_array_equal(data, kept)

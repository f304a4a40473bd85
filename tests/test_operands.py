"""What stands beside a Tensor: subclasses of arrays, pandas' objects and sparse matrices."""

import operator
from array import array

import numpy as np
import pandas as pd
import pytest
import scipy.sparse

import gradlite as gl
from gradlite.errors import DetachError, DtypeError, GradliteError

X = np.array([1.0, 2.0, 3.0])
OPERATORS = [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow]


def leaf(data, dtype=np.float64):
    return gl.Tensor(np.asarray(data, dtype), requires_grad=True)


class Meters(np.ndarray):
    """An array with a unit, as subclasses of NumPy's users have it."""


SUBCLASSES = {
    "masked array": np.ma.array(X, mask=[0, 1, 0]),
    "masked array without a mask": np.ma.array(X),
    "matrix": np.asmatrix(X),
    "a user's": X.view(Meters),
}


@pytest.mark.parametrize("requires_grad", [True, False])
@pytest.mark.parametrize("op", OPERATORS)
@pytest.mark.parametrize("kind", SUBCLASSES)
def test_a_subclass_of_array_is_refused_on_either_side(kind, op, requires_grad):
    other = SUBCLASSES[kind]
    t = gl.Tensor(X, requires_grad=requires_grad)
    if op is operator.pow and kind == "matrix":
        pytest.skip("np.matrix takes ** for a power of the matrix, and raises its own error")
    for call in (lambda: op(t, other), lambda: op(other, t)):
        with pytest.raises(DtypeError, match=r"masked|matrix|Meters"):
            call()


@pytest.mark.parametrize("kind", SUBCLASSES)
def test_a_subclass_of_array_is_refused_in_functions(kind):
    other, t = SUBCLASSES[kind], leaf(X)
    for call in (
        lambda: np.maximum(t, other),
        lambda: np.where(t.data > 1, t, other),
        lambda: np.where(other > 1, t, 0.0),
        lambda: np.stack([t, other]),
        lambda: gl.mse(t, other),
        lambda: gl.grad(lambda x: (x * other).sum())(X),
        lambda: t.__iadd__(other),
    ):
        with pytest.raises(GradliteError):
            call()


SECOND_ARGUMENTS = {
    "average, weights": lambda t, s: np.average(t, weights=s),
    "average, weights of an axis": lambda t, s: np.average(np.outer(t, t), 0, s.ravel()),
    "average of it": lambda t, s: np.average(s, weights=t),
    "cross": lambda t, s: np.cross(t, s),
    "vecdot": lambda t, s: np.vecdot(s, t),
    "where": lambda t, s: np.where(t > 1, t, s),
    "stack": lambda t, s: np.stack([np.outer(t, t)[:1].reshape(s.shape), s]),
    "solve": lambda t, s: np.linalg.solve(np.diag(X) * t, s.reshape(t.shape)),
    "loss": lambda t, s: gl.mse(t, s),
    "weight of a loss": lambda t, s: gl.mse(t, X, sample_weight=s),
    "buffer": lambda t, s: gl.nn.Module().register_buffer("b", s),
    "batches": lambda t, s: next(gl.data.batches(s, batch_size=2)),
    "targets of batches": lambda t, s: next(gl.data.batches(X, s.ravel(), batch_size=2)),
}


@pytest.mark.parametrize("function", SECOND_ARGUMENTS)
@pytest.mark.parametrize("kind", SUBCLASSES)
def test_a_subclass_of_array_is_refused_as_any_argument(kind, function):
    with pytest.raises(DtypeError, match="meaning beyond its numbers"):
        SECOND_ARGUMENTS[function](leaf(X), SUBCLASSES[kind])


def test_a_memory_map_is_an_array(tmp_path):
    memory = np.memmap(tmp_path / "x", np.float64, "w+", shape=(3,))
    memory[:] = X
    x = leaf(X)
    (x * memory + memory * x).sum().backward()
    np.testing.assert_array_equal(x.grad, 2 * X)


ENTRANCES = {
    "Tensor": lambda x: gl.Tensor(x),
    "Tensor that shares": lambda x: gl.Tensor(x, copy=False),
    "Parameter": lambda x: gl.nn.Parameter(x),
    "grad": lambda x: gl.grad(np.sum)(x),
    "jacobian": lambda x: gl.jacobian(np.sin)({"w": x}),
    "vjp": lambda x: gl.vjp(np.sin, np.ones(x.shape))[1](x),
    "vjp of a tree": lambda x: gl.vjp(lambda t: (t, t[:0]), np.ones(x.shape))[1]((x, x[:0])),
    "backward": lambda x: leaf(np.ones(x.shape)).copy().backward(x),
    "grad =": lambda x: setattr(leaf(np.ones(x.shape)), "grad", x),
    "data =": lambda x: setattr(leaf(np.ones(x.shape)), "data", x),
    "hook": lambda x: hooked(x).sum().backward(),
    "hook of a result": lambda x: hooked(x, lambda t: t * 2.0).sum().backward(),
}


def hooked(replacement, use=lambda t: t):
    t = use(leaf(np.ones(replacement.shape)))
    t.register_hook(lambda g: replacement)
    return t * 3.0


@pytest.mark.parametrize("entrance", ENTRANCES)
@pytest.mark.parametrize("kind", [*SUBCLASSES, "complex numbers", "objects"])
def test_what_is_no_plain_real_array_does_not_enter(kind, entrance):
    others = {"complex numbers": X + 1j, "objects": X.astype(object)}
    with pytest.raises(DtypeError, match=r"meaning beyond its numbers|complex128|object"):
        ENTRANCES[entrance]((SUBCLASSES | others)[kind])


def test_gradients_and_data_may_be_lists_numbers_frames_and_memory_maps(tmp_path):
    x, mapped = leaf(X), np.memmap(tmp_path / "f", float, "w+", shape=3)
    mapped[:] = X
    for gradient in ([1, 2, 3], pd.Series(X), mapped, X.astype(">f4"), X.astype(int)):
        x.grad = None
        (x * 2.0).backward(gradient)
        np.testing.assert_array_equal(x.grad, 2.0 * X)
        x.grad = gradient
        x.data = gradient
        np.testing.assert_array_equal([x.grad, x.data, gl.Tensor(gradient).data], [X, X, X])
    x.grad = 5
    np.testing.assert_array_equal(x.grad, [5.0, 5.0, 5.0])


# -- pandas -----------------------------------------------------------------------------------

SERIES, FRAME = pd.Series(X), pd.DataFrame([X, X + 1])


@pytest.mark.parametrize("op", OPERATORS)
@pytest.mark.parametrize(
    "other", [SERIES, FRAME, pd.Index(X)], ids=["Series", "DataFrame", "Index"]
)
def test_pandas_objects_are_arrays_on_either_side(op, other):
    for flip in (False, True):
        x, y = leaf(X), leaf(X)
        made = op(other, x) if flip else op(x, other)
        expected = op(other.to_numpy(), y) if flip else op(y, other.to_numpy())
        assert type(made) is gl.Tensor
        np.testing.assert_array_equal(made.data, expected.data)
        made.sum().backward()
        expected.sum().backward()
        np.testing.assert_array_equal(x.grad, y.grad)


@pytest.mark.parametrize("other", [SERIES, SERIES.astype("Float64"), list(X)], ids=str)
@pytest.mark.parametrize(
    "fn",
    [
        np.cross,
        np.linalg.cross,
        np.vecdot,
        np.linalg.vecdot,
        np.inner,
        np.outer,
        np.kron,
        lambda a, b: np.average(a, weights=b),
        lambda a, b: np.column_stack([a, b]),
    ],
)
def test_functions_of_two_arrays_take_pandas_objects_too(fn, other):
    for use in (lambda t, b: fn(t, b), lambda t, b: fn(b, t)):
        x, y = leaf(X + 1.0), leaf(X + 1.0)
        use(x, other).sum().backward()
        use(y, X).sum().backward()
        np.testing.assert_allclose(use(X + 1.0, X), use(x, other).data)
        np.testing.assert_allclose(x.grad, y.grad)


def test_weights_of_an_average_may_be_a_frame():
    frame = pd.DataFrame([X, X + 1])
    mean = np.average(leaf(frame.to_numpy()), axis=0, weights=frame)
    np.testing.assert_allclose(mean.data, np.average(frame, axis=0, weights=frame))


def test_a_matrix_product_of_pandas_says_what_to_write():
    x = leaf(X)
    np.testing.assert_array_equal((x @ FRAME.T).data, FRAME.to_numpy() @ X)
    for call in (lambda: FRAME @ x, lambda: FRAME.dot(x), lambda: SERIES @ x):
        with pytest.raises(DetachError, match="to_numpy"):
            call()


# -- scipy's sparse matrices ------------------------------------------------------------------

DENSE = np.array([[1.0, 0.0, 2.0], [0.0, 0.0, 3.0]])
SPARSE = [
    getattr(scipy.sparse, f"{kind}_{form}")(DENSE)
    for kind in ("csr", "csc", "coo")
    for form in ("array", "matrix")
]


@pytest.mark.parametrize("sparse", SPARSE, ids=lambda s: type(s).__name__)
def test_products_with_sparse_matrices_are_recorded(sparse):
    def check(program, dense_program, shape):
        x, y = leaf(np.ones(shape) * 2), leaf(np.ones(shape) * 2)
        made, expected = program(x), dense_program(y)
        np.testing.assert_allclose(made.data, expected.data)
        (made * made).sum().backward()
        (expected * expected).sum().backward()
        np.testing.assert_allclose(x.grad, y.grad)

    for columns in ((3,), (3, 2)):
        check(lambda x: sparse @ x, lambda y: DENSE @ y, columns)
        if sparse.format != "coo":  # whose dot() takes arrays only, and raises an error
            check(lambda x: sparse.dot(x), lambda y: DENSE @ y, columns)
        check(lambda x: np.matmul(sparse, x), lambda y: DENSE @ y, columns)
    for rows in ((2,), (4, 2)):
        check(lambda x: x @ sparse, lambda y: y @ DENSE, rows)


@pytest.mark.parametrize("form", ["coo", "csr", "dok"])
def test_products_with_sparse_vectors_are_recorded(form):
    dense = np.array([0.0, 2.0, -3.0])
    vector = getattr(scipy.sparse, f"{form}_array")(dense)
    gl.check_grads(lambda x: vector @ x, (X,), order=2)
    for x in (X, np.outer(X, X[:2])):
        for f, g in [
            (lambda x: vector @ x, lambda x: dense @ x),
            (lambda x: x.T @ vector, lambda x: x.T @ dense),
        ]:
            np.testing.assert_allclose(f(leaf(x)).data, g(x))
            np.testing.assert_allclose(gl.jacobian(f)(x), gl.jacobian(g)(x))


@pytest.mark.skipif(not hasattr(scipy.sparse.coo_array, "tensordot"), reason="of scipy 1.16")
def test_products_of_sparse_arrays_of_three_axes_are_refused():
    cube = scipy.sparse.coo_array(np.ones((2, 2, 3)))
    for call in (lambda t: cube @ t, lambda t: t @ cube, lambda t: cube @ np.outer(t, t)):
        with pytest.raises(GradliteError, match="two axes at most"):
            call(leaf(X))
    with pytest.raises(GradliteError, match="two axes at most"):
        scipy.sparse.eye_array(3, format="csr") @ leaf(np.ones((2, 3, 4)))


def test_second_derivatives_go_through_sparse_products():
    gl.check_grads(lambda x: np.sum((SPARSE[0] @ x) ** 3), (X,), order=2)


@pytest.mark.parametrize("sparse", SPARSE, ids=lambda s: type(s).__name__)
def test_what_is_no_product_is_refused_with_the_way_out(sparse):
    t = leaf(DENSE)
    for call in (
        lambda: t + sparse,
        lambda: sparse + t,
        lambda: t * sparse,
        lambda: sparse * t,
        lambda: sparse - t,
        lambda: t / sparse,
        lambda: np.multiply(sparse, t),
    ):
        with pytest.raises(GradliteError, match="toarray"):
            call()


@pytest.mark.parametrize("dtype", [bool, int, np.uint8])
@pytest.mark.parametrize(
    "use",
    [lambda x, m: x * m, lambda x, m: m * x, lambda x, m: x**m, lambda x, m: np.hypot(x, m)],
    ids=["x * m", "m * x", "x ** m", "hypot"],
)
def test_masks_and_counts_that_a_loop_refills_are_copied(dtype, use):
    mask, total, x = np.zeros(2, dtype), 0.0, leaf([2.0, 3.0])
    y, expected = leaf([2.0, 3.0]), 0.0
    for i in range(2):
        mask[:] = 0
        mask[i] = 1
        total = total + use(x, mask).sum()
        expected = expected + use(y, mask.copy()).sum()
    mask[:] = 0
    total.backward()
    expected.backward()
    np.testing.assert_array_equal(x.grad, y.grad)


@pytest.mark.parametrize(
    "use",
    [
        lambda x, s: np.roll(x, s, axis=(0, 1)),
        lambda x, s: np.transpose(x, s),
        lambda x, s: np.rot90(x, 1, s),
        lambda x, s: np.moveaxis(x, [0, 1], s),
        lambda x, s: np.flip(x, s[0]),
    ],
    ids=["roll", "transpose", "rot90", "moveaxis", "flip"],
)
def test_lists_of_axes_that_a_loop_refills_are_copied(use):
    x, y, s, w = leaf(DENSE[:2, :2]), leaf(DENSE[:2, :2]), [0, 1], np.arange(4.0).reshape(2, 2)
    made = use(x, s) * w
    s.reverse()
    made.sum().backward()
    (use(y, [0, 1]) * w).sum().backward()
    np.testing.assert_array_equal(x.grad, y.grad)


@pytest.mark.parametrize(
    ("make", "use"),
    [
        (lambda: np.array(1), lambda x, i: x[i:] * 1),
        (lambda: np.array(1), lambda x, i: x[:i, ::i] * 1),
        (lambda: np.array(1), lambda x, i: x[[[0, 1]], i:] * 1),
        (lambda: array("q", [1, 1]), lambda x, i: x[i]),
        (lambda: array("q", [1, 1]), lambda x, i: x[:, i]),
        (lambda: pd.Series([1, 1]), lambda x, i: x[i]),
        (lambda: pd.Series([1, 1]), lambda x, i: x[i, 0]),
        (lambda: [[1], [1]], lambda x, i: x[i]),
    ],
)
def test_indices_that_a_loop_refills_are_copied(make, use):
    x, y, index = leaf(DENSE), leaf(DENSE), make()
    made = use(x, index)
    w = np.arange(1.0, 1 + made.size).reshape(made.shape)
    index[() if isinstance(index, np.ndarray) else 0] = 0
    (made * w).sum().backward()
    (use(y, make()) * w).sum().backward()
    np.testing.assert_array_equal(made.data, use(leaf(DENSE), make()).data)
    np.testing.assert_array_equal(x.grad, y.grad)


def test_weights_with_a_mask_are_refused():
    weights = np.ma.array([1.0, 1.0, 1.0], mask=[0, 0, 1])
    with pytest.raises(DtypeError, match="sample_weight is a masked array"):
        gl.mse(np.ones(3), np.zeros(3), sample_weight=weights)

"""Linear algebra: random ranks and subscripts, partly used results, degenerate matrices."""

from __future__ import annotations

from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gradlite as gl
from gradlite.errors import MissingRuleError, ShapeError
from tests.helpers import as_one, few, gradients, leaves
from tests.specs.kit import positive_definite, regular, spread_out, symmetric, symmetrised

RNG = np.random.default_rng


# -- products ---------------------------------------------------------------------------------


def check_product(f: Any, *arrays: Any) -> None:
    np.testing.assert_allclose(f(*leaves(*arrays)).data, f(*arrays), atol=1e-12)
    gl.check_grads(f, arrays, order=2)


@given(
    shapes=hnp.mutually_broadcastable_shapes(
        signature=np.matmul.signature, max_dims=2, min_side=0, max_side=3
    )
)
@few(60)
def test_matmul_of_any_ranks(shapes: Any) -> None:
    check_product(lambda x, y: x @ y, *(RNG(i).standard_normal(s) for i, s in
                                        enumerate(shapes.input_shapes)))  # fmt: skip


@st.composite
def sums_of_products(draw: Any) -> Any:
    """Draw subscripts of up to three arrays, with and without a result, and their shapes."""
    terms = draw(st.lists(st.text("abcd", max_size=3), min_size=1, max_size=3))
    lengths = {letter: draw(st.integers(1, 3)) for letter in "abcd"}
    used = sorted(set("".join(terms)))
    subscripts = ",".join(terms)
    if draw(st.booleans()):
        result = draw(st.permutations(used))[: draw(st.integers(0, len(used)))]
        subscripts += "->" + "".join(result)
    return subscripts, [tuple(lengths[letter] for letter in term) for term in terms]


@given(case=sums_of_products())
@few(120)
def test_einsum_of_any_subscripts(case: Any) -> None:
    subscripts, shapes = case
    arrays = [RNG(i).standard_normal(shape) for i, shape in enumerate(shapes)]
    check_product(lambda *xs: np.einsum(subscripts, *xs), *arrays)


@given(data=st.data())
@few(40)
def test_tensordot_over_any_axes(data: Any) -> None:
    x = RNG(0).standard_normal((2, 2, 2))
    y = RNG(1).standard_normal((2, 2, 2, 2))
    count = data.draw(st.integers(0, 3))
    of_x = data.draw(st.permutations(range(-3, 0)))[:count]
    of_y = data.draw(st.permutations(range(4)))[:count]
    check_product(lambda x, y: np.tensordot(x, y, (of_x, of_y)), x, y)


@pytest.mark.parametrize(
    ("x", "y"), [((), (3,)), ((2, 3), (2, 3)), ((3,), (2,)), ((2, 2, 3), (3, 3, 2))]
)
def test_matrices_that_do_not_fit_are_refused(x: Any, y: Any) -> None:
    with pytest.raises(ValueError):
        np.matmul(*leaves(np.ones(x), np.ones(y)))


@pytest.mark.parametrize(
    ("subscripts", "shapes"),
    [("ij,jk->ik", [(2, 3), (2, 3)]), ("ij->k", [(2, 3)]), ("i,j", [(2,)]), ("ijk", [(2, 3)])],
)
def test_subscripts_that_do_not_fit_are_refused(subscripts: str, shapes: Any) -> None:
    with pytest.raises(ValueError):
        np.einsum(subscripts, *leaves(*map(np.ones, shapes)))


def test_einsum_broadcasts_an_axis_of_length_one_in_both_passes() -> None:
    x, y = np.ones((2, 1)), np.arange(6.0).reshape(3, 2)
    check_product(lambda x, y: np.einsum("ij,jk->ik", x, y), x, y)


def test_vectors_of_two_components_have_no_cross_product() -> None:
    with pytest.raises(ShapeError, match="3 components"):
        np.cross(*leaves(np.ones(2), np.ones(2)))


# -- decompositions ---------------------------------------------------------------------------


@pytest.mark.parametrize("part", [0, 1])
def test_eigenvalues_and_vectors_can_be_used_alone(part: int) -> None:
    a = symmetric(RNG(0), (2, 3, 3))
    gl.check_grads(
        lambda a: np.linalg.eigh(symmetrised(np, a))[part], (a,), order=2, rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("part", [0, 1, 2])
@pytest.mark.parametrize("shape", [(3, 3), (4, 2), (2, 4)])
def test_the_parts_of_an_svd_can_be_used_alone(part: int, shape: Any) -> None:
    a = spread_out(RNG(0), shape)
    gl.check_grads(
        lambda a: np.linalg.svd(a, full_matrices=False)[part], (a,), order=2, rtol=1e-5, atol=1e-6
    )


def test_the_results_have_their_names() -> None:
    (a,) = leaves(symmetric(RNG(0), (3, 3)))
    assert np.linalg.eigh(a).eigenvalues.shape == (3,)
    assert np.linalg.svd(a, full_matrices=False).Vh.shape == (3, 3)
    assert np.linalg.slogdet(a).logabsdet.shape == ()


def test_a_matrix_is_put_together_again() -> None:
    def again(a: Any) -> Any:
        u, s, vt = np.linalg.svd(a, full_matrices=False)
        return (u * s[..., None, :]) @ vt

    a = spread_out(RNG(0), (2, 4, 3))
    weights = RNG(1).standard_normal(a.shape)
    np.testing.assert_allclose(gradients(again, a, cotangent=weights)[0], weights, atol=1e-10)


def test_equal_eigenvalues_have_the_gradient_of_their_sum() -> None:
    (found,) = gradients(lambda a: np.sum(np.linalg.eigh(a).eigenvalues ** 2), 3 * np.eye(3))
    np.testing.assert_allclose(found, 6 * np.eye(3), atol=1e-12)


def test_equal_singular_values_have_the_gradient_of_their_sum() -> None:
    a = 3 * np.eye(3)
    (found,) = gradients(lambda a: np.sum(np.linalg.svd(a, full_matrices=False).S ** 2), a)
    np.testing.assert_allclose(found, 6 * np.eye(3), atol=1e-12)


def test_a_singular_value_of_zero_leaves_the_gradient_finite() -> None:
    for part in range(3):
        (found,) = gradients(
            lambda a, part=part: np.linalg.svd(a, full_matrices=False)[part], np.diag([3.0, 0.0])
        )
        assert np.isfinite(found).all()


# -- equal values -----------------------------------------------------------------------------


def root(a: Any) -> Any:
    """Take the square root of symmetric matrices, which is differentiable where eigh is not."""
    w, v = np.linalg.eigh(a)
    return (v * np.sqrt(w)[..., None, :]) @ np.swapaxes(v, -1, -2)


def polar(a: Any) -> Any:
    """Return the rotation in a matrix."""
    u, _, vt = np.linalg.svd(a)
    return u @ vt


def rotated(values: Any, seed: int = 0, dtype: Any = float) -> np.ndarray:
    """Make a symmetric matrix of these eigenvalues, which rounding makes differ a little."""
    q = np.linalg.qr(RNG(seed).standard_normal((len(values), len(values))))[0]
    return ((q * values) @ q.T).astype(dtype)


ORDERED = np.arange(9.0).reshape(3, 3)


@pytest.mark.parametrize("fn", [root, polar])
@pytest.mark.parametrize(
    "a",
    [
        2 * np.eye(3),
        2 * np.eye(3, dtype=np.float32),
        np.diag([2.0, 5.0, 2.0]),
        *(rotated([2.0, 2.0, 5.0], seed) for seed in range(5)),
        *(rotated([3.0, 3.0, 3.0], seed, np.float32) for seed in range(5)),
        rotated([1e-3, 1e-3, 1e3]),
    ],
)
def test_vectors_of_equal_values_have_the_gradient_nan(fn: Any, a: Any) -> None:
    assert np.isnan(gradients(fn, a, cotangent=ORDERED)[0]).all()
    (x,) = leaves(a)
    fn(x).backward(ORDERED, create_graph=True)
    assert np.isnan(x.grad.data).all()
    assert np.isnan(gl.jvp(fn, (a,), (ORDERED,))[1]).any()


@pytest.mark.parametrize("gap", [1e-2, 1e-5])
def test_values_that_differ_have_the_derivative_of_calculus(gap: float) -> None:
    a = rotated([2.0, 2.0 + gap, 5.0])
    half = gradients(root, a, cotangent=ORDERED)[0]
    s = root(a)  # with ds s + s ds = da, the gradient h of <G, ds> has s h + h s = G
    symmetric_part = 0.5 * (ORDERED + ORDERED.T)
    np.testing.assert_allclose(s @ half + half @ s, symmetric_part, atol=1e-14 / gap)


def test_one_degenerate_matrix_of_a_stack_is_the_only_nan() -> None:
    a = np.stack([rotated([1.0, 2.0, 3.0]), 2 * np.eye(3), rotated([1.0, 4.0, 9.0])])
    (found,) = gradients(root, a)
    assert np.isnan(found).all(axis=(1, 2)).tolist() == [False, True, False]
    np.testing.assert_array_equal(found[[0, 2]], gradients(root, a[[0, 2]])[0])


@pytest.mark.parametrize("which", [np.linalg.eigh, np.linalg.svd])
def test_values_alone_keep_their_first_derivative(which: Any) -> None:
    for a in (2 * np.eye(3), rotated([2.0, 2.0, 5.0])):
        value = lambda a: np.sum(which(a)[0 if which is np.linalg.eigh else 1] ** 2)
        np.testing.assert_allclose(gradients(value, a)[0], 2 * a, atol=1e-12)
        assert np.isnan(gl.hessian(value)(a)).any()


def test_second_derivatives_of_equal_eigenvalues_are_nan() -> None:
    for fn in (np.linalg.eigvalsh, np.linalg.svdvals, lambda a: np.linalg.eigh(a)[0]):
        assert np.isnan(gl.hessian(lambda a, fn=fn: np.sum(fn(a)))(2 * np.eye(2))).all()
    for order in ("nuc", 2):
        assert np.isnan(gl.hessian(lambda a, p=order: np.linalg.norm(a, p))(np.eye(2))).any()


def test_a_zero_that_may_be_an_accident_is_no_reason_to_be_finite() -> None:
    """Where w is 0, so is the cotangent of v here, though the gradient is that of the identity."""
    again = lambda a: (np.linalg.eigh(a)[1] * np.linalg.eigvalsh(a)) @ np.linalg.eigh(a)[1].T
    for a in (np.diag([1.0, 0.0, 0.0]), np.zeros((3, 3))):
        assert np.isnan(gradients(again, a, cotangent=ORDERED)[0]).any()
    project = lambda a: np.linalg.svd(a, full_matrices=False)[0][:, 0] ** 2
    assert np.isnan(gl.hessian(lambda a: project(a)[0])(np.diag([2.0, 0.0, 0.0])[:2])).any()


def test_leading_vectors_of_a_matrix_without_full_rank() -> None:
    """The columns of a null space are equal up to rounding, and nothing depends on them."""
    x = RNG(0).standard_normal((4, 9))
    weight = RNG(1).standard_normal((9, 2))

    def spread(x: Any) -> Any:
        _, v = np.linalg.eigh(x.T @ x)
        return np.sum((np.swapaxes(v[:, -2:], 0, 1) @ weight) ** 2)

    gl.check_grads(spread, (x,), order=1, atol=1e-5)
    (found,) = gradients(spread, x)
    (leaf,) = leaves(x)
    spread(leaf).backward(create_graph=True)
    np.testing.assert_allclose(leaf.grad.data, found, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("part", [0, 2])
@pytest.mark.parametrize("shape", [(3, 2), (2, 3)])
def test_vectors_of_the_singular_value_zero(shape: Any, part: int) -> None:
    """They can be rotated out of the matrix, where there is room."""
    a = np.zeros(shape)
    a[0, 0] = 2.0
    (found,) = gradients(lambda a: np.linalg.svd(a, full_matrices=False)[part], a)
    assert np.isnan(found).any() == (shape[0] > shape[1] if part == 0 else shape[0] < shape[1])


def test_the_triangle_that_is_not_read_has_half_of_the_gradient() -> None:
    a = rotated([1.0, 2.0, 4.0])
    lower, upper = np.tril(a), np.triu(a)
    weight = np.array([1.0, -2.0, 0.5])
    for triangle, side in ((lower, "L"), (upper, "U")):
        values = lambda a, side=side: np.linalg.eigvalsh(a, side)
        (found,) = gradients(values, triangle, cotangent=weight)
        np.testing.assert_allclose(found, gradients(values, a, cotangent=weight)[0], atol=1e-12)
        np.testing.assert_allclose(found, found.T, atol=1e-12)


@pytest.mark.parametrize("fn", [np.linalg.cholesky, lambda a: np.linalg.eigh(a).eigenvalues])
def test_gradients_by_symmetric_matrices_are_symmetric(fn: Any) -> None:
    a = positive_definite(RNG(0), (2, 3, 3))
    output = fn(a)
    (found,) = gradients(fn, a, cotangent=RNG(1).standard_normal(output.shape))
    np.testing.assert_allclose(found, np.swapaxes(found, -1, -2), atol=1e-12)


# -- determinants and inverses ----------------------------------------------------------------


def test_the_determinant_of_a_singular_matrix_among_regular_ones() -> None:
    a = np.stack([np.eye(2), np.ones((2, 2))])
    (found,) = gradients(np.linalg.det, a)
    np.testing.assert_allclose(found, [[[1, 0], [0, 1]], [[1, -1], [-1, 1]]], atol=1e-12)


def test_the_determinant_of_a_singular_matrix_to_second_order() -> None:
    a = spread_out(RNG(0), (3, 3))
    a[:, 2] = a[:, 0] - a[:, 1]
    gl.check_grads(np.linalg.det, (a,), order=2, atol=1e-6)


def test_the_log_determinant_is_the_trace_of_the_log() -> None:
    a = positive_definite(RNG(0), (3, 3))
    (found,) = gradients(lambda a: np.linalg.slogdet(a)[1], a)
    np.testing.assert_allclose(found, np.linalg.inv(a).T)


def test_solving_is_multiplying_by_the_inverse() -> None:
    a, b = regular(RNG(0), (3, 3)), RNG(1).standard_normal(3)
    weights = RNG(2).standard_normal(3)
    direct = gradients(np.linalg.solve, a, b, cotangent=weights)
    inverted = gradients(lambda a, b: np.linalg.inv(a) @ b, a, b, cotangent=weights)
    for mine, other in zip(direct, inverted, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-10, atol=1e-12)


def test_solving_a_stack_with_one_vector() -> None:
    a, b = regular(RNG(0), (2, 3, 3)), RNG(1).standard_normal(3)
    gl.check_grads(np.linalg.solve, (a, b), order=2)


@pytest.mark.parametrize(
    "fn",
    [
        np.linalg.inv,
        np.linalg.cholesky,
        lambda a: np.linalg.solve(a, np.ones(2)),
        lambda a: np.linalg.matrix_power(a, -1),
    ],
)
def test_a_singular_matrix_is_numpys_error(fn: Any) -> None:
    (a,) = leaves(np.zeros((2, 2)))
    with pytest.raises(np.linalg.LinAlgError):
        fn(a)


@pytest.mark.parametrize(
    "fn",
    [np.linalg.inv, np.linalg.det, np.linalg.eigh, lambda a: np.linalg.matrix_power(a, 2)],
)
def test_a_matrix_that_is_not_square_is_numpys_error(fn: Any) -> None:
    (a,) = leaves(np.ones((2, 3)))
    with pytest.raises(np.linalg.LinAlgError):
        as_one(fn(a))


# -- what has no derivative -------------------------------------------------------------------


def test_vectors_that_complete_a_basis_are_refused_with_the_remedy() -> None:
    (a,) = leaves(np.ones((3, 2)))
    with pytest.raises(MissingRuleError, match="full_matrices=False"):
        np.linalg.svd(a)


def test_a_hermitian_svd_is_refused_by_name() -> None:
    (a,) = leaves(np.eye(2))
    with pytest.raises(MissingRuleError, match=r"np\.linalg\.svd.*hermitian"):
        np.linalg.svd(a, hermitian=True)


@pytest.mark.parametrize("fn", [np.linalg.eig, np.linalg.qr, np.linalg.lstsq])
def test_a_function_without_a_rule_is_refused_by_name(fn: Any) -> None:
    xs = leaves(np.eye(2), np.ones(2))
    with pytest.raises(MissingRuleError, match=rf"np\.linalg\.{fn.__name__}.*defvjp"):
        fn(*xs[: 2 if fn is np.linalg.lstsq else 1])


def test_the_rank_is_a_plain_number() -> None:
    (a,) = leaves(np.eye(2))
    assert not isinstance(np.linalg.matrix_rank(a), gl.Tensor)
    assert np.linalg.matrix_rank(a) == 2

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


@pytest.mark.parametrize("fn", [np.linalg.cholesky, lambda a: np.linalg.eigh(a).eigenvalues])
def test_gradients_by_symmetric_matrices_are_symmetric(fn: Any) -> None:
    a = positive_definite(RNG(0), (2, 3, 3))
    answer = fn(a)
    (found,) = gradients(fn, a, cotangent=RNG(1).standard_normal(answer.shape))
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

"""check_grads: it must catch what is wrong, and pass what is right."""

import numpy as np
import pytest

import gradlite as gl
from gradlite.errors import DtypeError, GradientError

RNG = np.random.default_rng(0)
X = RNG.uniform(0.5, 2.0, (2, 3))
Y = RNG.uniform(0.5, 2.0, (3,))


def str_of_shape(x):
    return f"{np.asarray(x).dtype}{np.shape(x)}"


def operation(forward, *vjps, **how):
    made = gl.primitive(forward)
    gl.defvjp(made, *vjps, **how)
    return made


def fails(f, args, **how):
    with pytest.raises(GradientError) as caught:
        gl.check_grads(f, args, **how)
    return str(caught.value)


# -- wrong rules ------------------------------------------------------------------------------


@pytest.mark.parametrize("factor", [1.001, 0.999, -1.0, 2.0, 0.0, 1.0001])
@pytest.mark.parametrize("x", [0.7, X, Y.astype(np.float32), np.float32(0.7)], ids=str_of_shape)
def test_a_rule_wrong_by_a_thousandth_is_caught(factor, x):
    wrong = operation(lambda x: np.sin(x), lambda g, ans, x: factor * g * np.cos(x))
    assert "order 1" in fails(wrong, (x,))


@pytest.mark.parametrize("x", [0.7, X, Y.astype(np.float32), np.zeros((0, 2))], ids=str_of_shape)
def test_the_right_rule_passes_to_third_order(x):
    gl.check_grads(operation(lambda x: np.sin(x), lambda g, ans, x: g * np.cos(x)), (x,), order=3)


@pytest.mark.parametrize("wrong_argument", [0, 1])
def test_a_rule_wrong_for_one_of_two_arguments_is_caught(wrong_argument):
    factors = [1.0, 1.0]
    factors[wrong_argument] = 1.001
    wrong = operation(
        lambda x, y: x * y,
        lambda g, ans, x, y: factors[0] * g * y,
        lambda g, ans, x, y: factors[1] * g * x,
    )
    assert f"argument {wrong_argument}" in fails(wrong, (X, Y))


def test_the_error_names_the_worst_entry_and_both_values():
    weights = np.ones((2, 3))
    weights[1, 2] = 1.5
    weights[0, 1] = 1.001
    wrong = operation(
        lambda y, x: y.sum() + x * x,
        lambda g, ans, y, x: np.broadcast_to(np.sum(g), y.shape),
        lambda g, ans, y, x: 2 * g * x * weights,
    )
    message = fails(wrong, (Y, X))
    assert "argument 1" in message
    assert "(1, 2)" in message
    assert "by its rules" in message
    assert "finite differences" in message


def test_the_values_shown_for_one_number_are_the_derivative_itself():
    wrong = operation(lambda x: x**2, lambda g, ans, x: 3.0 * g * x)
    message = fails(wrong, (2.0,))
    assert "6" in message.split("rules")[1].split("\n")[0]
    assert "4.0000" in message or "4\n" in message or message.rstrip().endswith("4")


def test_one_wrong_entry_among_many_is_caught_and_found():
    weights = np.ones(1000)
    weights[777] = 1.1
    wrong = operation(lambda x: x * x, lambda g, ans, x: 2 * g * x * weights)
    assert "(777,)" in fails(wrong, (RNG.uniform(0.5, 2.0, 1000),))


def test_the_name_of_the_function_is_shown():
    def crooked(x):
        return wrong(x)

    wrong = operation(lambda x: np.sin(x), lambda g, ans, x: 2 * g * np.cos(x))
    assert "crooked" in fails(crooked, (1.0,))


def constant(x):
    """What a rule must not do: take the values off the tape."""
    return x.detach() if isinstance(x, gl.Tensor) else x


def test_a_rule_right_at_order_one_and_wrong_at_order_two_is_caught_at_order_two():
    frozen = operation(lambda x: x**3, lambda g, ans, x: g * 3 * constant(x) ** 2)
    gl.check_grads(frozen, (X,))
    assert "order 2" in fails(frozen, (X,), order=2)


def test_a_rule_with_a_frozen_answer_is_caught_at_order_two():
    frozen = operation(lambda x: np.exp(x), lambda g, ans, x: g * constant(ans))
    gl.check_grads(frozen, (Y,))
    assert "order 2" in fails(frozen, (Y,), order=2)


def test_a_rule_wrong_at_order_three_only_is_caught_at_order_three():
    square = operation(lambda x: x**2, lambda g, ans, x: g * 2 * constant(x))
    third = operation(lambda x: x**3, lambda g, ans, x: g * (1.5 * square(x) + 1.5 * x * x))
    gl.check_grads(third, (Y,))
    with pytest.raises(GradientError):
        gl.check_grads(third, (Y,), order=3)


def test_a_rule_that_freezes_one_argument_of_two_is_caught_at_order_two():
    frozen = operation(
        lambda x, y: x * y,
        lambda g, ans, x, y: g * constant(y),
        lambda g, ans, x, y: g * x,
    )
    gl.check_grads(frozen, (X, Y))
    fails(frozen, (X, Y), order=2)


def test_a_rule_that_is_not_linear_in_the_cotangent_is_caught():
    fails(operation(lambda x: np.sin(x), lambda g, ans, x: np.abs(g) * np.cos(x)), (X,))
    fails(operation(lambda x: np.sin(x), lambda g, ans, x: g * np.cos(x) + 0.5), (X,))


def test_a_rule_that_detaches_the_cotangent_is_caught():
    detached = operation(lambda x: np.sin(x), lambda g, ans, x: constant(g) * np.cos(x))
    fails(detached, (X,))


def test_a_rule_that_differs_between_the_two_directions_is_caught():
    two_faced = operation(
        lambda x: np.sin(x),
        lambda g, ans, x: g * np.cos(x) * (1.01 if isinstance(g, gl.Tensor) else 1.0),
    )
    fails(two_faced, (X,))


def test_a_saved_value_that_disagrees_with_the_rule_is_caught():
    wrong_saved = operation(
        lambda x: (x * x, 2.01 * x),
        lambda g, ans, x, residuals=None: g * (2 * x if residuals is None else residuals),
        has_residuals=True,
    )
    fails(wrong_saved, (X,))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_derivative_that_is_not_finite_is_caught(bad):
    poisoned = operation(lambda x: x * 2.0, lambda g, ans, x: g * bad)
    message = fails(poisoned, (X,))
    assert "nan" in message or "inf" in message


def test_a_single_nan_entry_is_caught_and_found():
    weights = np.ones((2, 3))
    weights[1, 0] = np.nan
    message = fails(operation(lambda x: x * 2.0, lambda g, ans, x: 2 * g * weights), (X,))
    assert "(1, 0)" in message
    assert "nan" in message


def test_a_term_cut_off_by_detach_in_the_function_is_caught():
    fails(lambda x: np.sum(x * constant(x)), (X,))


def test_a_function_that_uses_what_tensors_alone_have_can_be_checked():
    gl.check_grads(lambda x: np.sum(x * x.astype(float)) + 0 * x.detach().sum(), (X,), order=2)


def test_a_zero_rule_for_a_function_that_changes_is_caught():
    fails(operation(lambda x: x * 1.0, lambda g, ans, x: np.zeros(g.shape)), (X,))


def test_a_kink_at_the_point_is_caught():
    fails(gl.relu, (np.array([0.0, 1.0]),))


# -- right functions --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("f", "args"),
    [
        (np.tanh, (0.3,)),
        (np.tanh, (2,)),
        (np.multiply, (X, Y)),
        (lambda x: np.sum(x) ** 2, (X,)),
        (lambda x: 3.0, (X,)),
        (lambda x: np.ones(2), (X,)),
        (lambda x, y: x, (X, Y)),
        (lambda x: 1e8 * x**2, (X,)),
        (lambda x: 1e-8 * x**2, (X,)),
        (lambda x: x[0] @ np.diag(x[1]), (X,)),
        (lambda x: np.sign(x), (X,)),
    ],
)
def test_right_derivatives_pass(f, args):
    gl.check_grads(f, args, order=2)


def test_containers_are_checked_leaf_by_leaf():
    p = {"w": X, "deep": [Y, (0.5,)]}

    def f(p):
        return np.tanh(p["w"] * p["deep"][0]) * p["deep"][1][0]

    gl.check_grads(f, (p,), order=2)
    bad = operation(lambda x: x * 1.0, lambda g, ans, x: 1.01 * g)
    message = fails(lambda p: np.sum(p["w"]) + np.sum(bad(p["deep"][0])), (p,))
    assert "argument" in message
    assert "entry" in message


def test_the_order_of_a_containers_leaves_is_kept_at_order_two():
    p = {"b": Y, "a": 2.0}
    gl.check_grads(lambda p, x: np.sum(np.sin(p["b"] * p["a"] * x)), (p, Y + 1), order=2)


def test_tensors_are_taken_at_their_values_and_left_alone():
    x = gl.Tensor(X, requires_grad=True)
    gl.check_grads(np.tanh, (x,), order=2)
    assert x.grad is None
    np.testing.assert_array_equal(x.data, X)


def test_arguments_are_left_unmutated_even_by_functions_that_write_in_place():
    x = X.copy()

    def f(t):
        t = t * 1.0
        t += 1.0
        return t * t

    gl.check_grads(f, (x,), order=2)
    np.testing.assert_array_equal(x, X)


def test_the_check_is_the_same_every_time_and_draws_nothing_from_the_global_generator():
    state = np.random.get_state()[1].copy()
    wrong = operation(lambda x: np.sin(x), lambda g, ans, x: 1.01 * g * np.cos(x))
    assert fails(wrong, (X,)) == fails(wrong, (X,))
    np.testing.assert_array_equal(state, np.random.get_state()[1])


def test_it_works_within_no_grad_and_debug():
    with gl.no_grad():
        gl.check_grads(np.tanh, (X,), order=2)
    with gl.debug():
        gl.check_grads(np.tanh, (X,), order=2)


def test_order_one_asks_for_first_derivatives_only():
    @gl.primitive
    def slope(x):
        return 3 * x**2

    cube = operation(lambda x: x**3, lambda g, ans, x: g * slope(x))
    gl.check_grads(cube, (X,))


def test_integers_are_refused_naming_the_argument():
    with pytest.raises(DtypeError, match="argument 1"):
        gl.check_grads(lambda x, n: x * n, (X, np.array([1, 2, 3])))


def test_looser_tolerances_pass_what_is_nearly_right():
    nearly = operation(lambda x: np.sin(x), lambda g, ans, x: 1.0001 * g * np.cos(x))
    fails(nearly, (X,))
    gl.check_grads(nearly, (X,), rtol=1e-3)

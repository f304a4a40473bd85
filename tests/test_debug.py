"""Debug mode: the origin of NaN and Inf, and arrays changed too early."""

import inspect
import threading

import numpy as np
import pytest

import gradlite as gl
from gradlite.autodiff.rule import RULES
from gradlite.engine import Value
from gradlite.errors import MutationError, NonFiniteError


def leaf(data, dtype=np.float64):
    return gl.Tensor(np.asarray(data, dtype), requires_grad=True)


def line():
    """The number of the line that called this."""
    return inspect.currentframe().f_back.f_lineno


def raised(kind, call, **how):
    with pytest.raises(kind) as caught, gl.debug(**how):
        call()
    return str(caught.value)


# -- forward ----------------------------------------------------------------------------------


def test_a_nan_in_forward_names_operation_shape_and_the_users_line():
    at = {}

    def model(x):
        h = x * 2.0
        at["line"] = line() + 1
        h = np.log(h)
        return h.sum()

    message = raised(NonFiniteError, lambda: model(leaf([[1.0, -1.0, 3.0]])))
    assert "np.log" in message
    assert "NaN" in message
    assert "1 of 3" in message
    assert "(0, 1)" in message
    assert "(1, 3)" in message
    assert "float64" in message
    assert f"{__file__}:{at['line']}" in message
    assert "in model" in message
    assert "h = np.log(h)" in message


def test_an_inf_in_forward_is_found_too():
    message = raised(NonFiniteError, lambda: 1.0 / leaf([1.0, 0.0]))
    assert "Inf" in message
    assert "np.divide" in message


def test_inf_false_lets_inf_pass_but_not_nan():
    with gl.debug(inf=False):
        y = 1.0 / leaf([1.0, 0.0])
        assert np.isinf(y.data[1])
    message = raised(NonFiniteError, lambda: (1.0 / leaf([0.0])) * 0.0, inf=False)
    assert "np.multiply" in message


@pytest.mark.parametrize(
    "call",
    [
        lambda x: np.sqrt(x),
        lambda x: x**0.5,
        lambda x: np.exp(-x * 1e4),
        lambda x: np.log(x).sum(),
        lambda x: gl.affine(x.reshape(1, -1), np.full((2, 2), 1e308)),
        lambda x: np.arccosh(x),
        lambda x: x.reshape(2, 1) / np.zeros((1, 2)),
    ],
)
def test_the_first_operation_that_makes_it_is_stopped(call):
    raised(NonFiniteError, lambda: call(leaf([-10.0, -20.0])))


def test_debug_finds_it_under_no_grad_and_off_the_tape():
    def silent():
        with gl.no_grad():
            np.log(leaf(-1.0))

    raised(NonFiniteError, silent)
    raised(NonFiniteError, lambda: np.log(gl.Tensor(-1.0)))


def test_nan_in_the_users_own_data_is_called_that():
    message = raised(NonFiniteError, lambda: leaf([1.0]) * np.array([np.nan]))
    assert "Argument 1 of np.multiply" in message
    message = raised(NonFiniteError, lambda: leaf([np.nan]) + 1.0)
    assert "Argument 0 of np.add" in message


def test_a_mask_of_minus_inf_does_not_count():
    mask = np.array([[0.0, -np.inf], [-np.inf, 0.0]])
    with gl.debug():
        x = leaf([[1.0, 2.0], [3.0, 4.0]])
        gl.softmax(x + mask).sum(0)[0].backward()
        y = leaf([[1.0, 2.0], [3.0, 4.0]])
        gl.logsumexp(np.where(mask == 0, y, -np.inf), axis=1).sum().backward()
    assert np.isfinite(x.grad).all()
    np.testing.assert_array_equal(y.grad, np.eye(2))


def test_finite_programs_pass_and_have_the_same_gradients():
    data = np.random.default_rng(0).normal(size=(3, 4))

    def run():
        x = leaf(data)
        y = np.tanh(x @ data.T).max(axis=0) + gl.softmax(x)[:, 0]
        (y * y).sum().backward()
        return x.grad

    plain = run()
    with gl.debug():
        np.testing.assert_array_equal(run(), plain)


@pytest.mark.parametrize(
    "call",
    [
        lambda x: (np.linalg.eigh(x)[1] * x).sum().backward(),
        lambda x: np.linalg.svd(x)[0].sum().backward(),
        lambda x: (np.linalg.eigh(x)[1] * x).sum().backward(create_graph=True),
        lambda x: gl.hessian(lambda x: np.linalg.eigvalsh(x).sum())(x.data),
        lambda x: gl.hessian(lambda x: np.linalg.norm(x, "nuc"))(x.data),
        lambda x: gl.jvp(lambda x: np.linalg.eigh(x)[1], (x.data,), (x.data,)),
    ],
)
def test_vectors_of_equal_values_are_named_as_the_reason(call):
    message = raised(NonFiniteError, lambda: call(leaf(2 * np.eye(2))))
    assert "derivative of np.linalg." in message
    assert "NaN" in message
    assert "equal values can be rotated into each other" in message
    assert "test_debug.py" in message


def test_distinct_values_pass_to_second_order():
    with gl.debug():
        a = np.array([[2.0, 1.0], [1.0, 3.0]])
        gl.hessian(lambda a: np.linalg.eigh(a)[1][0, 0])(a)
        gl.hessian(lambda a: np.linalg.svd(a)[0][0, 0])(a)


def test_a_rule_of_ones_own_may_say_where_it_has_no_derivative():
    corner = gl.primitive(lambda x: np.abs(x))
    gl.defvjp(
        corner,
        lambda g, ans, x: g * x / np.where(ans == 0, np.nan, ans),
        name="corner",
        undefined="A corner has no slope.",
    )
    message = raised(NonFiniteError, lambda: corner(leaf([0.0])).backward(np.ones(1)))
    assert "The derivative of corner gave NaN" in message
    assert "A corner has no slope." in message
    del RULES[corner]


def test_operations_with_several_results_and_lists_are_checked():
    raised(NonFiniteError, lambda: np.concatenate([leaf([1.0]), np.array([np.nan])]))
    with gl.debug():
        x = leaf([[2.0, 1.0], [1.0, 3.0]])
        w, v = np.linalg.eigh(x)
        (w.sum() + (v * v).sum()).backward()
    np.testing.assert_allclose(x.grad, np.eye(2), atol=1e-12)


def test_without_debug_nothing_is_raised():
    with np.errstate(all="ignore"):
        x = leaf([-1.0, 4.0])
        y = np.log(x)
        y.sum().backward()
    assert np.isnan(y.data[0])
    np.testing.assert_array_equal(x.grad, [-1.0, 0.25])


# -- backward ---------------------------------------------------------------------------------


def test_an_inf_that_appears_in_backward_names_the_operation_and_its_line():
    with gl.debug():
        x = leaf([0.0, 1.0])
        here = line() + 1
        y = np.cbrt(x)
        with pytest.raises(NonFiniteError) as caught:
            y.sum().backward()
    message = str(caught.value)
    assert "np.cbrt" in message
    assert "backward" in message
    assert f"{__file__}:{here}" in message
    assert "(2,)" in message


def test_a_nan_that_a_users_rule_makes_is_found_in_backward():
    broken = gl.primitive(lambda x: x * 2.0)
    gl.defvjp(broken, lambda g, ans, x: g * np.nan, name="broken")
    with gl.debug():
        y = broken(leaf([1.0, 2.0])).sum()
        with pytest.raises(NonFiniteError, match=r"broken.*NaN"):
            y.backward()


def test_a_graph_recorded_outside_is_still_checked_in_backward():
    y = np.cbrt(leaf([0.0])).sum()
    with gl.debug(), pytest.raises(NonFiniteError, match=r"np\.cbrt"):
        y.backward()


def test_a_graph_recorded_inside_can_be_walked_outside():
    with gl.debug():
        x = leaf([1.0, 2.0])
        y = (x * x).sum()
    y.backward()
    np.testing.assert_array_equal(x.grad, [2.0, 4.0])


def test_higher_orders_are_checked():
    def f(x):
        return np.cbrt(x * x * x).sum()

    with gl.debug():
        np.testing.assert_allclose(gl.hessian(f)(np.array([2.0])), [[0.0]], atol=1e-10)
        with pytest.raises(NonFiniteError):
            gl.grad(np.cbrt)(0.0)


def test_the_branch_not_taken_is_no_false_alarm():
    with gl.debug():
        x = leaf([0.0, 4.0])
        safe = np.where(x.data > 0, x.data, 1.0)
        np.where(x.data > 0, np.log(x * (x.data > 0) + (safe - x.data) * (x.data <= 0)), 0.0)
        y = np.where(x > 0, np.sqrt(x), 0.0)
        y.sum().backward()
    np.testing.assert_array_equal(x.grad, [0.0, 0.25])


# -- arrays changed in place ------------------------------------------------------------------


def test_an_input_changed_before_backward_names_operation_argument_and_line():
    with gl.debug():
        x = leaf([1.0, 2.0])
        here = line() + 1
        y = np.sin(x)
        x.data[0] = 5.0
        with pytest.raises(MutationError) as caught:
            y.sum().backward()
    message = str(caught.value)
    assert "Argument 0" in message
    assert "np.sin" in message
    assert "(2,)" in message
    assert f"{__file__}:{here}" in message


def test_the_argument_is_counted_right():
    with gl.debug():
        x, weights = leaf([1.0, 2.0]), np.array([3.0, 4.0])
        y = x * weights
        weights += 1.0
        with pytest.raises(MutationError, match=r"Argument 1 .*np\.multiply"):
            y.sum().backward()


def test_an_answer_changed_before_backward_is_found():
    with gl.debug():
        y = np.exp(leaf([1.0, 2.0]))
        y.data[0] = 0.0
        with pytest.raises(MutationError, match=r"np\.exp"):
            y.sum().backward()


def test_a_saved_array_changed_through_a_view_is_found():
    with gl.debug():
        base = np.ones((4, 4))
        x = leaf([1.0, 2.0])
        y = x * base[::2, 1][:2]
        base[2, 1] = 9.0
        with pytest.raises(MutationError):
            y.sum().backward()


def test_arrays_among_the_parameters_are_watched_too():
    scaled = gl.primitive(lambda x, scale: x * scale)
    gl.defvjp(scaled, lambda g, ans, x, scale: g * scale, name="scaled")
    with gl.debug():
        x, scale = leaf([1.0, 2.0, 3.0]), np.ones(3)
        y = scaled(x, scale=scale)
        scale[0] = 2
        with pytest.raises(MutationError, match="scaled"):
            y.sum().backward()


def test_an_index_is_copied_so_that_it_may_change():
    with gl.debug():
        x, index = leaf([1.0, 2.0, 3.0]), np.array([0, 1])
        y = x[index]
        index[0] = 2
        y.sum().backward()
    np.testing.assert_array_equal(x.grad, [1.0, 1.0, 0.0])


def test_a_change_of_what_no_rule_reads_is_allowed():
    with gl.debug():
        x = leaf([1.0, 2.0])
        y = x + 1.0
        x.data[0] = 5.0
        y.sum().backward()
    np.testing.assert_array_equal(x.grad, [1.0, 1.0])


def test_a_change_undone_in_time_is_allowed():
    with gl.debug():
        x = leaf([1.0, 2.0])
        y = np.sin(x)
        x.data[:] += 1.0
        x.data[:] -= 1.0
        y.sum().backward()


def test_a_change_after_backward_is_allowed():
    with gl.debug():
        x = leaf([1.0, 2.0])
        for _ in range(3):
            (x * x).sum().backward()
            x.data -= 0.1 * x.grad
            x.zero_grad()


def test_a_change_in_place_is_found_in_a_recorded_pass():
    with gl.debug():
        x = leaf([1.0, 2.0])
        y = np.sin(x)
        x.data[0] = 5.0
        with pytest.raises(MutationError, match=r"np\.sin"):
            y.sum().backward(create_graph=True)


def test_without_debug_a_change_is_not_looked_for():
    x = leaf([1.0, 2.0])
    y = x * x
    x.data[0] = 5.0
    y.sum().backward()
    np.testing.assert_array_equal(x.grad, [10.0, 4.0])


# -- the mode itself --------------------------------------------------------------------------


def watched():
    """Whether debug mode looks on."""
    try:
        with np.errstate(all="ignore"):
            np.log(leaf(-1.0))
    except NonFiniteError:
        return True
    return False


def recording():
    return (leaf(1.0) * 2).requires_grad


def test_debug_nests_with_no_grad_and_enable_grad_in_any_order():
    with gl.debug():
        with gl.no_grad():
            assert (watched(), recording()) == (True, False)
            with gl.enable_grad():
                assert (watched(), recording()) == (True, True)
        assert (watched(), recording()) == (True, True)
    with gl.no_grad():
        with gl.debug():
            assert (watched(), recording()) == (True, False)
        assert (watched(), recording()) == (False, False)
    assert (watched(), recording()) == (False, True)


def test_debug_nests_in_itself_and_the_inner_one_decides():
    with gl.debug():
        with gl.debug(inf=False):
            _ = 1.0 / leaf(0.0)
        with pytest.raises(NonFiniteError):
            _ = 1.0 / leaf(0.0)
    assert not watched()


def test_the_same_object_can_be_entered_again():
    mode = gl.debug()
    for _ in range(2):
        with mode, mode:
            assert watched()
    assert not watched()


def test_debug_as_a_decorator():
    @gl.debug(inf=False)
    def run(x):
        """Doc."""
        return 1.0 / x, watched()

    y, seen = run(leaf(0.0))
    assert np.isinf(y.data)
    assert seen
    assert run.__doc__ == "Doc."
    assert not watched()


def test_debug_as_a_decorator_of_a_generator():
    @gl.debug()
    def steps():
        for _ in range(2):
            yield watched()

    assert [(inside, watched()) for inside in steps()] == [(True, False)] * 2


def test_debug_holds_for_one_thread():
    seen = []
    with gl.debug():
        thread = threading.Thread(target=lambda: seen.append(watched()))
        thread.start()
        thread.join()
        assert watched()
    assert seen == [False]


def mutated():
    x = leaf([1.0])
    y = np.sin(x).sum()
    x.data[0] = 3.0
    y.backward()


def test_mode_and_numpys_error_state_are_restored_after_an_exception():
    before = np.geterr()
    with pytest.raises(NonFiniteError), gl.debug():
        np.log(leaf(-1.0))
    assert np.geterr() == before
    assert not watched()
    raised(MutationError, mutated)
    assert np.geterr() == before
    assert not watched()
    assert recording()


def test_numpys_warnings_do_not_come_first():
    raised(NonFiniteError, lambda: np.log(leaf(-1.0)))  # warnings are errors here


def test_what_debug_is_entered_with_is_public_and_returns_itself():
    mode = gl.debug()
    with mode as entered:
        assert entered is mode


def test_the_line_shown_is_the_users_when_numpy_or_gradlite_stand_between():
    def model():
        at["line"] = line() + 1
        return np.linalg.norm(leaf([[1.0, 2.0]]) * 1e200)

    at = {}
    message = raised(NonFiniteError, model)
    assert f"{__file__}:{at['line']}" in message


# -- single numbers ---------------------------------------------------------------------------


def test_values_are_watched_too():
    huge = Value(1e200)

    def program():
        small = huge * 0.5 - 1
        return small * huge

    message = raised(NonFiniteError, program)
    assert message.startswith("* gave Inf.\n  arguments: 5e+199; 1e+200\n  at ")
    assert message.endswith("return small * huge")
    raised_nothing = [(huge * huge).data, program().data]  # outside debug mode
    assert raised_nothing == [np.inf, np.inf]
    with gl.debug(inf=False):
        infinite = huge * huge
    assert "holds NaN" in raised(NonFiniteError, lambda: Value(np.nan).exp())
    assert raised(NonFiniteError, lambda: infinite - infinite).startswith("+ gave NaN")


def test_values_in_debug_mode_are_differentiated_as_ever():
    x = Value(2.0)
    with gl.debug():
        y = (3 - x).tanh() / x + x**2
        y.backward()
    with_debug, x.grad = x.grad, 0.0
    ((3 - x).tanh() / x + x**2).backward()
    assert x.grad == with_debug
    with gl.debug(), gl.no_grad():
        assert (x * 2)._prev == set()


# -- precision --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "other",
    [np.sqrt(8), np.zeros((2, 3)), np.arange(3), gl.Tensor(np.ones(3))],
    ids=["scalar", "array", "integers", "Tensor"],
)
def test_what_turns_float32_into_float64_is_named_at_the_users_line(other):
    x = leaf(np.ones((2, 3)), np.float32)
    with gl.debug(), pytest.warns(UserWarning, match="np.divide of float32 gives float64") as seen:
        y = other / x
    assert y.dtype == np.float64
    assert "because argument 0, of shape" in str(seen[0].message)
    assert "astype(np.float32)" in str(seen[0].message)
    assert seen[0].filename == __file__


def test_float32_beside_numbers_of_python_and_what_is_converted_on_purpose_do_not_warn():
    x = leaf(np.ones((2, 3)), np.float32)
    with gl.debug():
        assert (x * 8**0.5 + np.float32(1) + (x > 0)).dtype == np.float32
        y = x.astype(np.float64) * np.sqrt(8)
    assert y.dtype == np.float64


def test_a_layer_of_float32_that_converts_its_input_does_not_warn():
    layer = gl.nn.Linear(3, 2, rng=0)
    with gl.debug():
        assert layer(np.ones((5, 3))).dtype == np.float32

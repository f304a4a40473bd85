"""Messages that somebody reads who is stuck: each names what to write."""

import asyncio
import os
import re
import threading
import warnings

import numpy as np
import pytest
import scipy.special as sp

import gradlite as gl
from gradlite import nn
from gradlite.autodiff import operations
from gradlite.autodiff.rule import RULES
from gradlite.errors import DetachError, GradliteError, GraphError, MissingRuleError


def leaf(data, dtype=np.float64):
    return gl.Tensor(np.asarray(data, dtype), requires_grad=True)


X = np.array([1.0, 2.0])

# call, and what its message must name
NAMES = {
    "nested lists": (lambda t: np.array([[t[0], 0], [0, t[1]]]), "gl.Tensor([[s, 0], [0, s]])"),
    "sp.logsumexp": (lambda t: sp.logsumexp(t), "gl.logsumexp"),
    "sp.softmax": (lambda t: sp.softmax(t), "gl.softmax"),
    "sp.log_softmax": (lambda t: sp.log_softmax(t), "gl.log_softmax"),
    "sp.expit": (lambda t: sp.expit(t), "gl.sigmoid"),
    "sp.erf": (lambda t: sp.erf(t), "gl.erf"),
    "sp.log_expit": (lambda t: sp.log_expit(t), "gl.softplus"),
    "sp.xlogy": (lambda t: sp.xlogy(t, 2.0), "np.log"),
    "np.save": (lambda t: np.save(os.devnull, t), "t.data"),
    "np.savez": (lambda t: np.savez(os.devnull, t), "t.data"),
    "np.savetxt": (lambda t: np.savetxt(os.devnull, t), "t.data"),
    "np.copyto": (lambda t: np.copyto(np.zeros(2), t), "np.where"),
    "np.put": (lambda t: np.put(np.zeros(2), [0], t), "np.where"),
    "np.unique": (lambda t: np.unique(t), "return_index"),
    "np.bitwise_and": (lambda t: np.bitwise_and(t, 1), "(t > 0) & mask"),
    "np.gcd": (lambda t: np.gcd(t, 2), "integers"),
    "np.nextafter": (lambda t: np.nextafter(t, 1.0), "no derivative: pass t.data"),
    "np.histogram": (lambda t: np.histogram(t), "counts"),
    "np.can_cast": (lambda t: np.can_cast(t, int), "type"),
    "np.apply_along_axis": (lambda t: np.apply_along_axis(np.sum, 0, t), "np.stack"),
    "dim=": (lambda t: t.sum(dim=0), "t.sum(axis=0)"),
    "dim= of a function": (lambda t: gl.softmax(t, dim=0), "t.sum(axis=0)"),
    "np.vectorize": (lambda t: np.vectorize(lambda v: v * 2)(t), "whole Tensor"),
    "round": (lambda t: round(t[0]), "np.round"),
    "divmod": (lambda t: divmod(t, 2.0), "t // y"),
    "~": (lambda t: ~t, "~(t > 0)"),
    "&": (lambda t: t & 1, "(t > 0) &"),
    "|": (lambda t: 1 | t, "(t > 0) &"),
    "<<": (lambda t: t << 1, "t.data"),
    "out=": (lambda t: np.exp(t, out=np.zeros(2)), "Omit out="),
    "sum of a tree": (lambda t: gl.grad(lambda x: [x, x])(X), "gl.jacobian"),
}


@pytest.fixture
def no_rules_of_others(monkeypatch):
    """Take out the rules that examples in docstrings, and other tests, give functions of scipy."""
    for fn in (sp.expit, sp.erf, sp.log_expit, sp.xlogy):
        monkeypatch.delitem(RULES, fn, raising=False)
        monkeypatch.delitem(operations.CALLS, fn, raising=False)


@pytest.mark.usefixtures("no_rules_of_others")
@pytest.mark.parametrize("case", NAMES)
def test_a_message_names_the_remedy(case):
    call, remedy = NAMES[case]
    with pytest.raises(GradliteError) as caught:
        call(leaf(X))
    assert remedy in str(caught.value)
    assert "Add it in one line" not in str(caught.value)


def test_where_a_rule_is_missing_the_message_says_how_to_add_it():
    with pytest.raises(MissingRuleError, match=r"gl\.defvjp\(np\.ldexp"):
        np.ldexp(leaf(X), 2)


def test_numbers_that_are_compared_only_are_plain():
    t = leaf(X)
    np.testing.assert_array_equal(np.isin(t, [2.0]), [False, True])
    assert np.shares_memory(t, t.data)
    assert not np.may_share_memory(t, np.zeros(2))


def test_nested_lists_of_tensors_make_a_tensor():
    made = gl.Tensor([[leaf(2.0), 0], [0, leaf(3.0)]])
    np.testing.assert_array_equal(made.data, [[2.0, 0.0], [0.0, 3.0]])
    assert made.requires_grad


def test_the_gradient_of_a_result_says_that_it_is_no_leaf():
    w = leaf(X)
    (w * w).sum().backward()
    w = w - 0.1 * w.grad
    (w * w).sum().backward()
    with pytest.warns(UserWarning, match=r"not a leaf.*no_grad"):
        assert w.grad is None
    result = leaf(X) * 1.0
    result.retain_grad()
    assert result.grad is None
    (result * result).sum().backward()
    np.testing.assert_allclose(result.grad, 2 * X)


def test_layers_and_losses_in_another_argument_order_are_named():
    z, y = leaf(np.zeros((2, 3))), np.array([0, 1])
    with pytest.raises(TypeError, match="weight="):
        gl.cross_entropy(z, y, np.ones(3))
    for layer in (nn.ReLU, nn.Softmax, nn.LeakyReLU, nn.Linear):
        for data in (X, leaf(X)):
            with pytest.raises(TypeError, match=rf"nn\.{layer.__name__}\(\.\.\.\); layer\(x\)"):
                layer(data)


TRANSFORMS = {
    "grad": lambda loss: gl.grad(loss, leaf(X)),  # as torch.autograd.grad
    "value_and_grad": gl.value_and_grad,
    "jacobian": gl.jacobian,
    "hessian": gl.hessian,
    "vjp": lambda loss: gl.vjp(loss, X),
    "jvp": lambda loss: gl.jvp(loss, (X,), (X,)),
    "hvp": lambda loss: gl.hvp(loss, X, X),
}


@pytest.mark.parametrize("name", TRANSFORMS)
@pytest.mark.parametrize("loss", [leaf(X).sum(), 3.0, None])
def test_a_transform_of_no_function_says_what_it_takes(name, loss):
    with pytest.raises(TypeError, match=rf"gl\.{name} takes a function.*\.backward\(\)"):
        TRANSFORMS[name](loss)


@pytest.mark.parametrize("name", ["exp", "zeros", "sum", "linspace", "random", "float32"])
def test_functions_of_numpy_are_numpys(name):
    with pytest.raises(AttributeError, match=rf"no attribute '{name}'.* write np\.{name}"):
        getattr(gl, name)
    with pytest.raises(AttributeError, match=r"no attribute 'sigmod'$"):  # Python finds sigmoid
        gl.sigmod  # noqa: B018


# -- warnings of NumPy ------------------------------------------------------------------------

OPERATIONS = {
    "a ufunc": lambda t: np.log(t),
    "an operator": lambda t: t / 0.0,
    "a method": lambda t: t.log(),
    "a reduction": lambda t: (t * 1e308).sum(),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_warning_of_numpy_names_the_users_line_each_time(name):
    t = gl.Tensor([0.0, 10.0], requires_grad=True)
    operation = OPERATIONS[name]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        # As it is after `import gradlite`; the test runner has filters of its own.
        here = re.escape(operations.__name__)
        warnings.filterwarnings("error", category=RuntimeWarning, module=here)
        operation(t)
        operation(t)
        OPERATIONS[name](t)
    assert caught
    assert {w.filename for w in caught} == {__file__}
    assert all(issubclass(w.category, RuntimeWarning) for w in caught)


# -- modes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [gl.no_grad, gl.enable_grad, gl.debug])
def test_a_decorator_without_parentheses_says_so(mode):
    with pytest.raises(TypeError, match=rf"write @gl\.{mode.__name__}\(\), with parentheses"):

        @mode
        def double(x):
            return 2 * x


def test_an_asynchronous_generator_cannot_be_decorated():
    async def steps():
        yield 1

    with pytest.raises(TypeError, match="asynchronous generator"):
        gl.no_grad()(steps)


def test_a_coroutine_can():
    @gl.no_grad()
    async def value():
        await asyncio.sleep(0)
        return (leaf(X) * 2).requires_grad

    assert asyncio.run(value()) is False


@pytest.mark.parametrize("mode", [gl.no_grad, gl.enable_grad, gl.debug])
def test_a_block_closed_in_another_thread_is_a_clear_error(mode):
    def steps():
        with mode():
            yield

    opened, problems = steps(), []
    thread = threading.Thread(target=lambda: next(opened))
    thread.start()
    thread.join()

    def close():
        try:
            opened.close()
        except GraphError as error:
            problems.append(str(error))

    close()
    assert "another thread" in problems[0]
    assert (leaf(X) * 2).requires_grad


def test_detach_errors_are_runtime_errors():
    with pytest.raises(RuntimeError):
        np.asarray(leaf(X))
    with pytest.raises(DetachError):
        np.asarray(leaf(X))

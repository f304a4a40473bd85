"""One test for each line of DESIGN.md's table "What good behaviour is", in its order.

What each line promises in detail is tested in the file of its module; here, as promised.
"""

import copy
import pickle
import threading

import numpy as np
import pytest

import gradlite as gl
from gradlite.autodiff.rule import RULES
from gradlite.autodiff.rules.sparse import embedding
from gradlite.errors import (
    DetachError,
    GraphError,
    MissingRuleError,
    MutationError,
    NonFiniteError,
    ShapeError,
)


def leaf(data, dtype=np.float64):
    return gl.Tensor(np.asarray(data, dtype), requires_grad=True)


def test_100_000_operations_in_a_chain_backward_deepcopy_and_pickle_work():
    x = leaf(1.0)
    y = x
    for _ in range(100_000):
        y = y + 1.0
    clone, thawed = copy.deepcopy(y), pickle.loads(pickle.dumps(y))
    assert clone.item() == thawed.item() == 100_001.0
    assert clone.is_leaf  # a copy drops its graph
    assert thawed.is_leaf
    y.backward()
    assert x.grad == 1.0


def test_backward_a_second_time_is_a_clear_error_and_retain_graph_gives_the_right_sum():
    x = leaf(3.0)
    y = x * x
    z = y * y
    z.backward(retain_graph=True)
    z.backward()
    assert x.grad == 2 * 4 * 3.0**3
    with pytest.warns(UserWarning, match="not a leaf"):
        assert y.grad is None
    with pytest.raises(GraphError, match="retain_graph"):
        z.backward()


def test_float32_times_2_0_is_float32():
    x = leaf([1.0, 2.0], np.float32)
    for y in (x * 2.0, 2.0 * x, x + 1, x**2, x / 3, 1.0 - x, np.maximum(x, 0.0), gl.relu(x)):
        assert y.dtype == np.float32


# A call for functions that do not take floats just below one, alone or in pairs.
CALLS = {
    np.arccosh: lambda x: np.arccosh(x + 1),
    np.where: lambda x: np.where(x > 0.3, x, 2 * x),
}


def one_and_two_argument_ufuncs():
    for fn, rule in RULES.items():
        if isinstance(fn, np.ufunc) and fn.signature is None:
            yield pytest.param(fn, len(rule.vjps), id=fn.__name__)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize(("fn", "arguments"), list(one_and_two_argument_ufuncs()))
def test_a_gradient_has_its_leafs_dtype_for_every_ufunc_with_a_rule(fn, arguments, dtype):
    x = leaf([0.25, 0.5], dtype)
    call = CALLS.get(fn, fn)
    try:
        y = call(x) if arguments == 1 else call(x, leaf([0.5, 0.75], np.float64))
    except TypeError as error:
        if "not supported for the input types" in str(error):
            pytest.skip("NumPy has no such loop")
        raise
    y.sum().backward()
    assert x.grad.dtype == dtype
    if arguments == 1:
        assert y.dtype == call(x.data).dtype


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda x: np.sum(x), id="sum"),
        pytest.param(lambda x: np.mean(x, axis=0), id="mean"),
        pytest.param(lambda x: np.prod(x), id="prod"),
        pytest.param(lambda x: np.var(x), id="var"),
        pytest.param(lambda x: np.std(x, axis=1, ddof=1), id="std"),
        pytest.param(lambda x: np.max(x, axis=0), id="max"),
        pytest.param(lambda x: np.cumsum(x), id="cumsum"),
        pytest.param(lambda x: np.cumprod(x, axis=1), id="cumprod"),
        pytest.param(lambda x: np.median(x), id="median"),
        pytest.param(lambda x: np.ptp(x), id="ptp"),
        pytest.param(lambda x: np.average(x, axis=0, weights=np.array([1.0, 2.0])), id="average"),
        pytest.param(lambda x: np.linalg.norm(x), id="norm"),
        pytest.param(lambda x: np.linalg.norm(x, 3, axis=1), id="norm 2"),
        pytest.param(lambda x: np.sort(x, axis=0)[[0, 0]], id="sort"),
        pytest.param(lambda x: x @ x, id="matmul"),
        pytest.param(lambda x: x @ np.ones((2, 2)), id="matmul 2"),
        pytest.param(lambda x: np.einsum("ij,jk->ik", x, x), id="einsum"),
        pytest.param(lambda x: np.linalg.inv(x), id="inv"),
        pytest.param(lambda x: np.linalg.det(x), id="det"),
        pytest.param(lambda x: np.linalg.solve(x, np.ones(2)), id="solve"),
        pytest.param(lambda x: np.linalg.eigh(x)[0], id="eigh"),
        pytest.param(lambda x: np.linalg.svd(x, compute_uv=False), id="svd"),
        pytest.param(lambda x: np.concatenate([x, np.ones((1, 2))]), id="concatenate"),
        pytest.param(lambda x: np.pad(x, 1), id="pad"),
        pytest.param(lambda x: np.clip(x, 0.2, np.float64(0.8)), id="clip"),
        pytest.param(lambda x: np.sinc(x), id="sinc"),
        pytest.param(lambda x: gl.softmax(x), id="softmax"),
        pytest.param(lambda x: gl.gelu(x), id="gelu"),
        pytest.param(lambda x: gl.erf(x), id="erf"),
        pytest.param(lambda x: gl.affine(x, np.ones((2, 3)), np.zeros(3)), id="affine"),
        pytest.param(lambda x: gl.cross_entropy(x, np.array([0, 1])), id="cross_entropy"),
        pytest.param(lambda x: gl.bce_with_logits(x, np.ones((2, 2))), id="bce_with_logits"),
        pytest.param(lambda x: gl.mse(x, np.ones((2, 2))), id="mse"),
        pytest.param(lambda x: gl.huber(x, np.ones((2, 2))), id="huber"),
    ],
)
@pytest.mark.parametrize("order", [1, 2])
def test_a_gradient_has_its_leafs_dtype_for_every_kind_of_function(call, order):
    x = leaf([[0.75, 0.25], [0.25, 0.5]], np.float32)
    y = call(x).sum()
    y.backward(create_graph=order == 2)
    assert x.grad.dtype == np.float32
    if order == 2 and getattr(x.grad, "requires_grad", False):
        first = x.grad
        x.grad = None
        first.sum().backward()
        assert x.grad is None or x.grad.dtype == np.float32  # None: nowhere curved


def test_ndarray_times_tensor_float64_times_tensor_and_ndarray_at_tensor_are_recorded():
    a = np.array([[1.0, 2.0], [3.0, 4.0]])
    for call, expected in (
        (lambda x: a * x, a.sum(0)),
        (lambda x: np.float64(3.0) * x, [3.0, 3.0]),
        (lambda x: a @ x, a.sum(0)),
        (lambda x: np.float32(3.0) - x, [-1.0, -1.0]),
    ):
        x = leaf([5.0, 6.0])
        y = call(x)
        assert type(y) is gl.Tensor
        y.sum().backward()
        np.testing.assert_array_equal(x.grad, expected)


def every_public_numpy_function():
    for module, prefix in ((np, "np"), (np.linalg, "np.linalg"), (np.fft, "np.fft")):
        for name in sorted(module.__all__):
            fn = getattr(module, name)
            if isinstance(fn, np.ufunc) or hasattr(fn, "_implementation"):
                yield pytest.param(fn, id=f"{prefix}.{name}")


# They make arrays or describe them; nothing is differentiated. Text and files are no numbers.
NO_DERIVATIVE = {
    "shape", "ndim", "size", "zeros_like", "ones_like", "empty_like", "full_like", "result_type",
    "min_scalar_type", "can_cast", "common_type", "may_share_memory", "shares_memory",
    "array_repr", "array_str", "array2string", "save", "savez", "savez_compressed", "savetxt",
    "iscomplexobj", "isrealobj", "isreal", "iscomplex", "array_equal", "array_equiv", "allclose",
    "isneginf", "isposinf",
}  # fmt: skip


@pytest.mark.parametrize("fn", list(every_public_numpy_function()))
def test_a_numpy_function_never_gives_a_silent_constant(fn):
    """Whatever is called on a Tensor records, or is plainly without a derivative, or raises."""
    if fn.__name__ in NO_DERIVATIVE:
        return
    data = np.array([[0.25, 0.5], [0.75, 0.9]])
    for arguments in (1, 2):
        x = leaf(data)
        try:
            with np.errstate(all="ignore"):
                result = fn(*[x] * arguments)
        except (gl.GradliteError, TypeError, ValueError, AttributeError, IndexError):
            continue
        except DeprecationWarning:  # the next NumPy will raise
            continue
        if result is None:
            continue
        for part in result if isinstance(result, (tuple, list)) else [result]:
            if isinstance(part, gl.Tensor):
                assert part.requires_grad, "a Tensor without a graph"
            else:
                kind = np.asarray(part).dtype.kind
                assert kind in "biu", f"a plain {kind} result from a Tensor that requires grad"


def test_a_numpy_function_without_a_rule_is_an_error_that_names_it_and_how_to_add_one():
    with pytest.raises(MissingRuleError, match=r"np\.percentile.*gl\.defvjp\(np\.percentile"):
        np.percentile(leaf([1.0, 2.0]), 50)


def test_asarray_on_a_tensor_that_requires_grad_is_an_error_naming_detach():
    x = leaf([1.0, 2.0])
    with pytest.raises(DetachError, match=r"detach\(\)"):
        np.asarray(x)
    np.testing.assert_array_equal(np.asarray(x.detach()), [1.0, 2.0])


@pytest.mark.parametrize("loss", [gl.mse, gl.huber, gl.bce_with_logits], ids=lambda f: f.__name__)
def test_prediction_n_1_against_target_n_is_an_error_with_both_shapes(loss):
    for prediction in (leaf(np.zeros((3, 1))), np.zeros((3, 1))):
        for target in (np.zeros(3), gl.Tensor(np.zeros(3))):
            with pytest.raises(ShapeError, match=r"\(3, 1\).*\(3,\)"):
                loss(prediction, target)


def test_cross_entropy_of_mismatched_shapes_is_an_error_with_both_shapes():
    for target in (np.zeros((3, 1), int), np.zeros(3), np.zeros(2, int), np.zeros((3, 4))):
        with pytest.raises(ShapeError) as caught:
            gl.cross_entropy(leaf(np.zeros((3, 2))), target)
        assert "(3, 2)" in str(caught.value)
        assert str(target.shape) in str(caught.value)


SUBGRADIENTS = {
    "masked where, log": (lambda x: np.where(x > 0, np.log(x), 0.0), [0.0, 2.0], [0.0, 0.5]),
    "masked where, sqrt": (lambda x: np.where(x > 0, np.sqrt(x), 0.0), [0.0, 4.0], [0.0, 0.25]),
    "masked where, quotient": (lambda x: np.where(x != 0, 1 / x, 0.0), [0.0, 2.0], [0.0, -0.25]),
    "masked where, power": (lambda x: np.where(x > 0, x**-1.5, 0.0), [0.0, 1.0], [0.0, -1.5]),
    "masked where, two steps": (
        lambda x: np.where(x > 0, np.log(np.sqrt(x)) * x, 0.0),
        [0.0, 1.0],
        [0.0, 0.5],
    ),
    "masked where, exp": (lambda x: np.where(x < 100, np.exp(x), 0.0), [0.0, 1e4], [1.0, 0.0]),
    "masked where, arcsin": (lambda x: np.where(x < 1, np.arcsin(x), 0.0), [0.0, 1.0], [1.0, 0.0]),
    "relu of log": (lambda x: gl.relu(np.log(x)), [0.0, 2.0], [0.0, 0.5]),
    "norm at 0": (lambda x: np.linalg.norm(x), [0.0, 0.0], [0.0, 0.0]),
    "norm of rows at 0": (
        lambda x: np.linalg.norm(np.stack([x, x * 0]), axis=1),
        [3.0, 4.0],
        [0.6, 0.8],
    ),
    "norm of order 3 at 0": (lambda x: np.linalg.norm(x, 3), [0.0, 0.0], [0.0, 0.0]),
    "sqrt at 0": (np.sqrt, [0.0, 4.0], [0.0, 0.25]),
    "prod with a zero": (np.prod, [0.0, 2.0, 3.0], [6.0, 0.0, 0.0]),
    "prod with two zeros": (np.prod, [0.0, 0.0, 3.0], [0.0, 0.0, 0.0]),
    "cumprod with a zero": (np.cumprod, [2.0, 0.0, 3.0], [1.0, 2.0 + 6.0, 0.0]),
    "std of equals": (np.std, [2.0, 2.0], [0.0, 0.0]),
    "hypot at 0": (lambda x: np.hypot(x, x), [0.0], [0.0]),
    "arctan2 at 0": (lambda x: np.arctan2(x, 0 * x), [0.0], [0.0]),
    "abs at 0": (np.abs, [0.0, -1.0], [0.0, -1.0]),
    "sinc at 0": (np.sinc, [0.0], [0.0]),
    "x**0 at 0": (lambda x: x**0, [0.0, 2.0], [0.0, 0.0]),
    "x**2 at 0": (lambda x: x**2, [0.0, 2.0], [0.0, 4.0]),
    "0**x": (lambda x: 0.0**x, [1.0, 2.0], [0.0, 0.0]),
    "ties in max": (np.max, [1.0, 1.0, 0.0], [0.5, 0.5, 0.0]),
    "ties in maximum": (lambda x: np.maximum(x, 1.0), [1.0, 2.0], [0.5, 1.0]),
}


@pytest.mark.parametrize("case", SUBGRADIENTS)
def test_at_a_special_point_there_is_a_finite_subgradient(case):
    f, point, expected = SUBGRADIENTS[case]
    for dtype in (np.float64, np.float32):
        x = leaf(point, dtype)
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            y = f(x).sum()
        y.backward()
        np.testing.assert_allclose(x.grad, expected, rtol=1e-5)


MASKING = {
    "relu": lambda z: gl.relu(z),
    "maximum": lambda z: np.maximum(z, 0.0),
    "max": lambda z: np.max(z),
    "where": lambda z: np.where(z.data > 0, z, 0.0),
    "index": lambda z: z[1:],
    "embedding": lambda z: embedding(np.reshape(z, (2, 1)), indices=np.array([1])),
}


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("masking", MASKING)
def test_what_is_masked_elsewhere_in_the_graph_has_no_influence(masking, create_graph):
    for made in ("before", "after", "not at all"):
        x, z = leaf([0.0, 1.0]), leaf([-1.0, 2.0])
        other = MASKING[masking](z).sum() if made == "before" else 0.0
        with np.errstate(divide="ignore", invalid="ignore"):
            y = (np.log(x) * 0.0).sum()
        if made == "after":
            other = MASKING[masking](z).sum()
        with np.errstate(invalid="ignore"):
            (y + other).backward(create_graph=create_graph)
        np.testing.assert_array_equal(np.asarray(x.grad.data), [np.nan, 0.0])


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("masking", MASKING)
def test_a_mask_reaches_all_that_is_behind_it(masking, create_graph):
    x = leaf([0.0, 2.0])
    with np.errstate(divide="ignore"):
        masked = MASKING[masking](np.log(x) * 3.0 + 1.0)
    masked.sum().backward(create_graph=create_graph)
    np.testing.assert_array_equal(np.asarray(x.grad.data), [0.0, 1.5])


def test_nan_in_forward_and_in_backward_is_found_in_debug_mode_with_the_line_that_made_it():
    with gl.debug(), pytest.raises(NonFiniteError) as caught:
        np.log(leaf([[-1.0, 1.0]]))
    for part in ("np.log", "(1, 2)", "test_behaviour.py:", "np.log(leaf([[-1.0, 1.0]]))"):
        assert part in str(caught.value)
    with gl.debug():
        y = np.cbrt(leaf([[0.0, 1.0]])).sum()
        with pytest.raises(NonFiniteError) as caught:
            y.backward()
    for part in ("np.cbrt", "(1, 2)", "test_behaviour.py:", "np.cbrt(leaf([[0.0, 1.0]]))"):
        assert part in str(caught.value)


def test_a_saved_array_changed_in_place_before_backward_is_detected_in_debug_mode():
    with gl.debug():
        x = leaf([1.0, 2.0])
        y = (x * x).sum()
        x.data += 1.0
        with pytest.raises(MutationError, match=r"np\.multiply"):
            y.backward()
    assert "in place" in gl.Tensor.__doc__  # documented otherwise


def test_no_grad_is_per_context_and_two_threads_may_build_and_walk_separate_graphs():
    barrier = threading.Barrier(2, timeout=10)
    found = {}

    def work(name, quiet):
        x = leaf([1.0, 2.0])
        for _ in range(50):
            barrier.wait()
            if quiet:
                with gl.no_grad():
                    assert not (x * 2).requires_grad
            else:
                assert (x * 2).requires_grad
            (np.exp(x) * x).sum().backward()
        found[name] = x.grad

    threads = [threading.Thread(target=work, args=(k, k == 0)) for k in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for gradient in (found[0], found[1]):
        np.testing.assert_allclose(gradient, 50 * np.exp([1.0, 2.0]) * np.array([2.0, 3.0]))

"""Conversions to plain numbers: an error where a derivative is being computed, fine elsewhere."""

import copy
import math
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy import integrate, optimize

import gradlite as gl
from gradlite.errors import DetachError, DtypeError

X = np.array([1.0, 2.0])


def leaf(data, dtype=np.float64):
    return gl.Tensor(np.asarray(data, dtype), requires_grad=True)


def into_an_array(v):
    r = np.zeros(2)
    for i in range(2):
        r[i] = v[i] * v[0]
    return r.sum()


CONVERSIONS = {
    "float": lambda v: float(v[0]) * 2 + v[1],
    "int": lambda v: int(v[0]) * v[1],
    "complex": lambda v: complex(v[0]).real * v[1],
    "math.exp": lambda v: math.exp(v[0]) * v[1],
    "math.floor": lambda v: math.floor(v[0]) * v[1],
    "np.float64": lambda v: np.float64(v[0]) * v[1],
    "np.float32": lambda v: np.float32(v[0]) * v[1],
    "item": lambda v: v[0].item() * v[1],
    "tolist": lambda v: sum(v.tolist()) * v[1],
    "an entry of an array": into_an_array,
    "np.array of numbers": lambda v: np.array([float(x) for x in v]).sum() * v[0],
    "quad": lambda v: integrate.quad(lambda s: s * v[0], 0, 1)[0] * v[1],
    "quad's bound": lambda v: integrate.quad(lambda s: s, 0, v[0])[0] * v[1],
    "brentq": lambda v: optimize.brentq(lambda s: s - v[0], 0, 5) * v[1],
    "bisect": lambda v: optimize.bisect(lambda s: s - v[0], 0, 5) * v[1],
    "brenth": lambda v: optimize.brenth(lambda s: s * v[1] - v[0], 0, 5) * v[1],
    "pickle": lambda v: pickle.loads(pickle.dumps(v * 2)).sum() + v[0],
}
TRANSFORMS = {
    "grad": lambda f: gl.grad(f)(X),
    "value_and_grad": lambda f: gl.value_and_grad(f)(X),
    "jacobian": lambda f: gl.jacobian(f)(X),
    "hessian": lambda f: gl.hessian(f)(X),
    "vjp": lambda f: gl.vjp(f, X),
    "jvp": lambda f: gl.jvp(f, (X,), (X,)),
    "hvp": lambda f: gl.hvp(f, X, X),
}


@pytest.mark.parametrize("conversion", CONVERSIONS)
def test_in_a_transform_a_conversion_to_a_plain_number_is_an_error(conversion):
    with pytest.raises(DetachError, match=r"detach\(\)"):
        gl.grad(CONVERSIONS[conversion])(X)


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_every_transform_watches(transform):
    with pytest.raises(DetachError, match=r"detach\(\)"):
        TRANSFORMS[transform](CONVERSIONS["float"])


def test_a_minimiser_is_told_instead_of_stopping_at_its_start():
    def loss(v):
        return math.exp(v[0]) + v[1] ** 2

    with pytest.raises(DetachError):
        optimize.minimize(gl.value_and_grad(loss), X, jac=True)


def test_a_conversion_of_an_inner_result_in_nested_transforms_is_an_error():
    def outer(x):
        return gl.grad(lambda y: y * y * float(x))(3.0)

    with pytest.raises(DetachError):
        gl.grad(outer)(2.0)


def test_detach_and_data_and_no_grad_say_that_it_is_meant():
    assert gl.grad(lambda v: float(v[0].detach()) * v[1])(X).tolist() == [0.0, 1.0]
    assert gl.grad(lambda v: float(v.data[0]) * v[1])(X).tolist() == [0.0, 1.0]

    def logged(v):
        with gl.no_grad():
            float(v[0])
        return v[1] * 2

    assert gl.grad(logged)(X).tolist() == [0.0, 2.0]


def test_printing_and_comparing_are_no_conversions(capsys):
    def f(v):
        print(v, f"{v[0]:.2f}", repr(v))
        return v[0] * 2 if v[0] < v[1] else v[1]

    assert gl.grad(f)(X).tolist() == [2.0, 0.0]
    assert "1.00" in capsys.readouterr().out


def test_a_program_with_a_backward_of_its_own_inside_a_transform_is_left_alone():
    def fit(x):
        w = leaf(1.0)
        losses = []
        for _ in range(3):
            loss = (w - 2.0) ** 2
            loss.backward()
            losses.append(float(loss))
            with gl.no_grad():
                w -= 0.1 * w.grad
            w.zero_grad()
        return x * losses[-1]

    assert gl.grad(fit)(1.0) > 0


def test_outside_transforms_a_loss_is_a_number():
    x = leaf(X)
    loss = (x * x).sum()
    assert float(loss) == loss.item() == 5.0
    loss.backward()
    assert x.tolist() == [1.0, 2.0]


def test_a_copy_inside_a_transform_stays_on_the_tape():
    for duplicate in (copy.copy, copy.deepcopy, lambda v: copy.deepcopy({"v": v})["v"]):
        np.testing.assert_array_equal(gl.grad(lambda v, d=duplicate: (d(v) ** 2).sum())(X), 2 * X)


def test_a_custom_rule_that_fills_an_array_cannot_lose_a_second_derivative():
    square = gl.primitive(lambda x: x * x)

    def fill(g, ans, x):
        out = np.zeros(x.shape)
        for i in range(len(out)):
            out[i] = 2 * g[i] * x[i]
        return out

    gl.defvjp(square, fill)
    np.testing.assert_array_equal(gl.grad(lambda x: np.sum(square(x)))(X), 2 * X)
    with pytest.raises(DetachError, match=r"np\.stack"):
        gl.hessian(lambda x: np.sum(square(x)))(X)
    x = leaf(X)
    with pytest.raises(DetachError, match=r"np\.stack"):
        square(x).sum().backward(create_graph=True)


# -- results that cannot have a derivative ----------------------------------------------------

NO_DERIVATIVE = {
    "a string": lambda x: "oops",
    "a comparison": lambda x: x > 0,
    "one truth value": lambda x: bool(x[0] > 0),
    "argmax": lambda x: np.argmax(x),
    "an index": lambda x: np.argsort(x)[0],
    "integers": lambda x: x.astype(int),
    "nothing": lambda x: None,
    "a function": lambda x: np.sin,
    "complex numbers": lambda x: np.array([1j]),
}


@pytest.mark.parametrize("transform", ["grad", "jacobian", "vjp", "jvp"])
@pytest.mark.parametrize("result", NO_DERIVATIVE)
def test_a_result_without_a_derivative_is_an_error(result, transform):
    with pytest.raises(DtypeError, match="cannot be differentiated"):
        TRANSFORMS[transform](NO_DERIVATIVE[result])


def test_a_constant_has_the_derivative_zero():
    for constant in (3.0, 3, np.float32(3.0), np.array(3.0), gl.Tensor(3.0)):
        np.testing.assert_array_equal(gl.grad(lambda x, c=constant: c)(X), [0.0, 0.0])


def test_values_made_inside_a_transform_are_on_the_tape():
    from gradlite.engine import Value

    assert gl.grad(lambda x: Value(x) ** 3)(2.0) == pytest.approx(12.0)


def test_index_arrays_and_masks_may_change_after_use():
    def by_mask(x):
        mask, total = np.zeros(3, bool), 0.0
        for i in range(3):
            mask[i] = True
            total = total + (x[mask] ** 2).sum() + np.where(mask, x, 0.0).sum()
        return total

    x = np.array([1.0, 2.0, 3.0])
    np.testing.assert_array_equal(gl.grad(by_mask)(x), [3 + 6, 2 + 2 * 4, 1 + 6])

    def by_index(x):
        index, total = np.zeros(2, int), 0.0
        for i in range(3):
            index[:] = i
            total = total + (x[index] ** 2).sum() + np.take(x, index).sum() + x[index, None].sum()
        return total

    np.testing.assert_array_equal(gl.grad(by_index)(x), 2 * 2 * x + 4)
    gl.check_grads(by_index, (x,), order=2)

    def by_class(z):
        target, total = np.zeros(1, int), 0.0
        for i in range(3):
            target[0] = i
            total = total + gl.cross_entropy(z, target)
        return total

    z = np.array([[0.1, 0.2, 0.3]])
    np.testing.assert_allclose(gl.grad(by_class)(z), 3 * gl.softmax(z) - 1, atol=1e-15)
    gl.check_grads(by_class, (z,), order=2)


ITERATORS = {
    "nditer": lambda v: sum(float(s) for s in np.nditer(v)),
    "nditer of several": lambda v: sum(float(s * t) for s, t in np.nditer([v, X])),
    "nested_iters": lambda v: np.nested_iters(v, [[], [0]]),
    "broadcast": lambda v: sum(s * t for s, t in np.broadcast(v, X)),
    "ndenumerate": lambda v: sum(s for _, s in np.ndenumerate(v)),
    "lib.stride_tricks": lambda v: np.lib.stride_tricks.as_strided(v, (2,), (0,)).sum(),
}


@pytest.mark.parametrize("iterate", ITERATORS)
def test_numpys_iterators_do_not_hide_the_error(iterate):
    for way in (gl.grad(ITERATORS[iterate]), lambda x: ITERATORS[iterate](leaf(x))):
        with pytest.raises(DetachError, match="detach"):
            way(X)


def test_threads_that_the_function_starts_are_watched_too():
    def f(x):
        with ThreadPoolExecutor(2) as pool:
            return sum(pool.map(lambda i: float(x[i]) ** 2, range(2))) * x[0]

    with pytest.raises(DetachError, match=r"detach\(\)"):
        gl.grad(f)(X)

    def right(x):
        with ThreadPoolExecutor(2) as pool:
            return sum(pool.map(lambda i: x[i] ** 2, range(2))) * x[0]

    np.testing.assert_allclose(gl.grad(right)(X), [3 * 1 + 4, 2 * 2 * 1])


def test_training_in_another_thread_reads_its_numbers_while_a_transform_is_at_work():
    def train():
        w = leaf([1.0, 2.0])
        loss = (w * w).sum()
        loss.backward()
        return float(loss), loss.item(), w.grad.tolist()

    def f(x):
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(train).result()[0] * x.sum()

    np.testing.assert_array_equal(gl.grad(f)(X), [5.0, 5.0])
    assert float(leaf(2.0)) == 2.0


@pytest.mark.parametrize("fill", [lambda x: x[0], lambda x: x], ids=["number", "array"])
def test_the_value_that_fills_an_array_is_on_the_tape(fill):
    value, gradient = gl.value_and_grad(lambda x: (np.full_like(x, fill(x)) * x).sum())(X)
    expected = gl.value_and_grad(lambda x: (np.ones(2) * fill(x) * x).sum())(X)
    assert value == expected[0]
    np.testing.assert_array_equal(gradient, expected[1])
    made = np.full_like(leaf([1, 2], np.float32), leaf(3.0))
    assert made.dtype == np.float32
    assert made.requires_grad
    assert type(np.full_like(leaf([1.0, 2.0]), 3.0)) is np.ndarray


def through_a_leaf(x):
    w = leaf([1.5, 1.5])
    (w * w * x).sum().backward()
    return w.grad.sum()


def through_a_state(x):
    layer = gl.nn.Linear(2, 1)
    layer.load_state_dict({"weight": x.reshape(1, 2), "bias": np.zeros(1)})
    return layer(np.ones((1, 2))).sum()


LOSES = {
    "backward": lambda x: ((x * x).sum().backward(), x.grad)[1].sum(),
    "backward of a leaf of its own": through_a_leaf,
    "load_state_dict": through_a_state,
    "Parameter": lambda x: (gl.nn.Parameter(x) ** 2).sum(),
}


@pytest.mark.parametrize("program", LOSES)
def test_what_would_train_on_numbers_inside_a_transform_is_an_error(program):
    with pytest.raises(DetachError, match=r"detach\(\)"):
        gl.grad(LOSES[program])(X)


def test_gradients_inside_a_transform_are_recorded_where_that_is_asked_for():
    def f(x):
        (x**3).sum().backward(create_graph=True)
        return (x.grad * x).sum()

    np.testing.assert_allclose(gl.grad(f)(X), 9 * X**2)

    def constant(x):
        w = leaf([1.0, 1.0])
        (w * x.detach()).sum().backward()
        return (w.grad * x).sum()

    np.testing.assert_array_equal(gl.grad(constant)(X), X)

"""Random programs, against a naive twin."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import gradlite as gl
from tests.helpers import few


def leaf(data, dtype=np.float64):
    return gl.Tensor(np.asarray(data, dtype), requires_grad=True)


# -- random programs against a naive twin -----------------------------------------------------


class Dual:
    """Forward mode: a value and its derivative with respect to each entry of the inputs."""

    def __init__(self, value, slope):
        self.value, self.slope = np.asarray(value), np.asarray(slope)  # slope: value.shape + (n,)

    @staticmethod
    def lift(slope, ndim):
        """Reshape `slope` to broadcast against a value of `ndim` axes."""
        missing = ndim - (slope.ndim - 1)
        return slope.reshape((1,) * missing + slope.shape)


def dual_binary(op, a, b):
    ndim = max(a.value.ndim, b.value.ndim)
    da, db = Dual.lift(a.slope, ndim), Dual.lift(b.slope, ndim)
    x, y = a.value[..., None], b.value[..., None]
    x, y = Dual.lift(x, ndim), Dual.lift(y, ndim)
    value, slope = {
        "+": (a.value + b.value, da + db),
        "-": (a.value - b.value, da - db),
        "*": (a.value * b.value, da * y + x * db),
        "/": (a.value / (b.value**2 + 1), da / (y**2 + 1) - x * 2 * y * db / (y**2 + 1) ** 2),
    }[op]
    return Dual(value, np.broadcast_to(slope, (*value.shape, slope.shape[-1])))


def dual_unary(op, a):
    v = a.value
    if op == "tanh":
        return Dual(np.tanh(v), (1 - np.tanh(v) ** 2)[..., None] * a.slope)
    if op == "exp":
        return Dual(
            np.exp(np.tanh(v)), ((1 - np.tanh(v) ** 2) * np.exp(np.tanh(v)))[..., None] * a.slope
        )
    if op == "sum0":
        return Dual(v.sum(0), a.slope.sum(0)) if v.ndim else a
    if op == "sumk":
        return Dual(v.sum(-1, keepdims=True), a.slope.sum(-2, keepdims=True)) if v.ndim else a
    if op == "ravel":
        return Dual(v.reshape(-1), a.slope.reshape(-1, a.slope.shape[-1]))
    if op == "column":
        return Dual(v.reshape(-1, 1), a.slope.reshape(-1, 1, a.slope.shape[-1]))
    if op == "reverse":
        return Dual(v[::-1], a.slope[::-1]) if v.ndim else a
    if op == "gather":
        return Dual(v[[0, -1, 0]], a.slope[[0, -1, 0]]) if v.ndim else a
    raise AssertionError(op)


TENSOR_BINARY = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / (b**2 + 1),
}
TENSOR_UNARY = {
    "tanh": np.tanh,
    "exp": lambda a: np.exp(np.tanh(a)),
    "sum0": lambda a: a.sum(0) if a.ndim else a,
    "sumk": lambda a: a.sum(-1, keepdims=True) if a.ndim else a,
    "ravel": lambda a: a.reshape(-1),
    "column": lambda a: a.reshape(-1, 1),
    "reverse": lambda a: a[::-1] if a.ndim else a,
    "gather": lambda a: a[[0, -1, 0]] if a.ndim else a,
}


@st.composite
def programs(draw):
    """A list of steps: (operation, which earlier values)."""
    steps = []
    for made in range(draw(st.integers(1, 12))):
        op = draw(st.sampled_from([*TENSOR_BINARY, *TENSOR_UNARY]))
        count = 2 if op in TENSOR_BINARY else 1
        steps.append((op, [draw(st.integers(0, made + 2)) for _ in range(count)]))
    return steps, draw(st.integers(0, 2**32 - 1))


INPUTS = [(), (3,), (2, 3)]


def run(steps, values, unary, binary):
    """Carry out a program; a step whose shapes do not fit is left out."""
    values = list(values)
    for op, operands in steps:
        picked = [values[i] for i in operands]
        shapes = [np.shape(getattr(v, "value", getattr(v, "data", v))) for v in picked]
        try:
            size = np.prod(np.broadcast_shapes(*shapes))
        except ValueError:
            size = np.inf
        fits = size <= 200
        made = picked[0]
        if fits:
            made = unary(op, *picked) if len(picked) == 1 else binary(op, *picked)
        values.append(made)
    return values


def tensor_run(steps, leaves):
    return run(
        steps,
        leaves,
        lambda op, a: TENSOR_UNARY[op](a),
        lambda op, a, b: TENSOR_BINARY[op](a, b),
    )


@few(150)
@given(programs())
def test_random_programs_have_the_values_and_gradients_of_a_naive_twin(program):
    steps, seed = program
    rng = np.random.default_rng(seed)
    data = [rng.uniform(-1, 1, shape) for shape in INPUTS]
    leaves = [leaf(d) for d in data]
    total = sum(d.size for d in data)
    edges = np.cumsum([0] + [d.size for d in data])
    seeds = [
        np.eye(total)[a:b].reshape(*d.shape, total)
        for d, a, b in zip(data, edges[:-1], edges[1:], strict=True)
    ]
    duals = [Dual(d, s) for d, s in zip(data, seeds, strict=True)]

    ours = tensor_run(steps, leaves)
    twins = run(steps, duals, dual_unary, dual_binary)
    for our, twin in zip(ours, twins, strict=True):
        np.testing.assert_allclose(our.data, twin.value, rtol=1e-12, atol=1e-12)

    out, twin = ours[-1], twins[-1]
    weights = rng.normal(size=out.shape)
    (out * weights).sum().backward()
    expected = np.tensordot(weights, twin.slope, axes=weights.ndim)
    scale = np.tensordot(np.abs(weights), np.abs(twin.slope), axes=weights.ndim).max() + 1
    for x, a, b in zip(leaves, edges[:-1], edges[1:], strict=True):
        found = np.zeros(x.shape) if x.grad is None else x.grad
        np.testing.assert_allclose(found.ravel(), expected[a:b], atol=1e-11 * scale, rtol=1e-10)


@few(60)
@given(programs())
def test_random_programs_have_hessians_that_agree_with_differences_of_gradients(program):
    steps, seed = program
    rng = np.random.default_rng(seed)
    data = [rng.uniform(-1, 1, shape) for shape in INPUTS]

    def f(*xs):
        return np.tanh(tensor_run(steps, xs)[-1].sum())

    v = [rng.normal(size=d.shape) for d in data]
    gradient = gl.grad(f, argnums=(0, 1, 2))
    _, along = gl.jvp(
        lambda *xs: np.concatenate([np.ravel(c) for c in gradient(*xs)]), tuple(data), tuple(v)
    )
    eps = 1e-5
    high, low = (
        np.concatenate(
            [np.ravel(c) for c in gradient(*[d + s * w for d, w in zip(data, v, strict=True)])]
        )
        for s in (eps, -eps)
    )
    scale = max(np.abs(high).max(), np.abs(along).max(), 1.0)
    if scale < 1e4:
        np.testing.assert_allclose(along, (high - low) / (2 * eps), atol=1e-4 * scale)


@few(40)
@given(programs(), st.data())
def test_random_programs_give_the_same_gradients_whatever_is_retained(program, data_strategy):
    steps, seed = program
    rng = np.random.default_rng(seed)
    data = [rng.uniform(-1, 1, shape) for shape in INPUTS]

    def gradients(prepare, **how):
        leaves = [leaf(d) for d in data]
        values = tensor_run(steps, leaves)
        prepare(values)
        np.tanh(values[-1]).sum().backward(**how)
        return [np.zeros(x.shape) if x.grad is None else np.array(getattr(x.grad, "data", x.grad))
                for x in leaves]  # fmt: skip

    chosen = data_strategy.draw(st.integers(0, len(steps) + 2))
    plain = gradients(lambda values: None)
    for prepare, how in (
        (lambda values: values[chosen].retain_grad(), {}),
        (lambda values: values[chosen].register_hook(lambda g: None), {}),
        (lambda values: None, {"retain_graph": True}),
        (lambda values: None, {"create_graph": True}),
    ):
        for a, b in zip(plain, gradients(prepare, **how), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-300)

"""nn.functional: PyTorch's numbers, computed once and, where it is installed, anew."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

import gradlite as gl
from gradlite.errors import CompileError, DtypeError, ShapeError
from gradlite.nn import functional as F
from tests.helpers import leaves
from tests.nn.functional_cases import (
    CASES,
    LOSSES,
    SIGNS,
    Z3,
    Case,
    X,
    Y,
    Z,
    cotangent,
    fingerprint,
    label,
    torch_results,
    wave,
)

every_case = pytest.mark.parametrize("case", CASES, ids=label)
every_loss = pytest.mark.parametrize("case", LOSSES, ids=label)


def typed(args: Any, dtype: Any) -> list[Any]:
    """Return own copies of arguments, those of floats in a type."""
    return [
        np.array(a, dtype if a.dtype.kind == "f" else a.dtype) if isinstance(a, np.ndarray) else a
        for a in args
    ]


def free_arguments(case: Case) -> list[int]:
    """Return the places of the arguments that are differentiated by."""
    _, args, _, first = case
    return [i for i, a in enumerate(args[:first]) if getattr(a, "dtype", Y.dtype).kind == "f"]


def results(case: Case, dtype: Any = np.float64) -> list[Any]:
    """Return the result, and the gradients for a cotangent of cosines."""
    name, args, options, _ = case
    args, free = typed(args, dtype), free_arguments(case)
    for i in free:
        (args[i],) = leaves(args[i])
    ans = getattr(F, name)(*args, **options)
    if not free:
        return [ans]
    ans.backward(cotangent(ans.data))
    return [ans.data, *(args[i].grad for i in free)]


@every_case
def test_numbers_are_pytorchs(case: Case) -> None:
    found = [fingerprint(x) for x in results(case)]
    np.testing.assert_allclose(found, EXPECTED[label(case)], rtol=1e-8, atol=1e-9)


@every_case
@pytest.mark.parametrize(("dtype", "rtol"), [(np.float64, 1e-11), (np.float32, 2e-4)])
@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides:UserWarning")
@pytest.mark.filterwarnings("ignore:Using padding='same':UserWarning")
def test_pytorch_agrees(case: Case, dtype: Any, rtol: float) -> None:
    pytest.importorskip("torch", reason="compares with PyTorch: pip install torch")
    mine, its = results(case, dtype), torch_results(case, dtype)
    for x, y in zip(mine, its, strict=True):
        assert x.dtype == y.dtype
        np.testing.assert_allclose(x, y, rtol=rtol, atol=rtol * max(1.0, abs(y).max()))


@pytest.mark.parametrize("name", F.__all__)
def test_arguments_are_pytorchs(name: str) -> None:
    torch = pytest.importorskip("torch", reason="compares with PyTorch: pip install torch")
    try:
        its = inspect.signature(getattr(torch.nn.functional, name))
    except ValueError:  # one written in C++, whose docstring begins with its signature
        pytest.skip("without a signature")
    known = {n: p.default for n, p in its.parameters.items() if not n.startswith("_")}
    if set(known) <= {"args", "kwargs"}:
        pytest.skip("without a signature")
    mine = inspect.signature(getattr(F, name)).parameters
    places = [n for n, p in mine.items() if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert places == list(known)[: len(places)]
    for n in places:
        assert mine[n].default == known[n]


@every_case
def test_single_precision_stays(case: Case) -> None:
    if case[0] != "one_hot":
        assert {x.dtype for x in results(case, np.float32)} == {np.dtype(np.float32)}


@every_loss
def test_second_order(case: Case) -> None:
    name, args, options, _ = case
    args, free = typed(args, np.float64), free_arguments(case)

    def f(*xs: Any) -> Any:
        given = list(args)
        for i, x in zip(free, xs, strict=True):
            given[i] = x
        return getattr(F, name)(*given, **options)

    gl.check_grads(f, [args[i] for i in free], order=2)


@every_case
def test_programs_give_the_same(case: Case) -> None:
    name, args, options, _ = case
    free = free_arguments(case)
    if not free or name == "embedding":
        return

    def f(*xs: Any) -> Any:
        given = typed(args, np.float64)
        for i, x in zip(free, xs, strict=True):
            given[i] = x
        ans = getattr(F, name)(*given, **options)
        return np.sum(ans * np.cos(np.arange(2, ans.size + 2)).reshape(ans.shape))

    xs = [typed(args, np.float64)[i] for i in free]
    both = gl.value_and_grad(f, argnums=tuple(range(len(xs))))
    (value, slopes), (expected, others) = gl.compile(both)(*xs), both(*xs)
    np.testing.assert_allclose(value, expected, rtol=1e-12)
    for x, y in zip(slopes, others, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-11, atol=1e-13)


# -- targets that are traced too ----------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"weight": [0.5, 2.0, 1.25]}, {"ignore_index": 1}])
@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss"])
def test_programs_take_other_classes(name: str, options: Any) -> None:
    f = gl.value_and_grad(lambda z, y: getattr(F, name)(z, y, **options))
    program = gl.compile(f)
    for y in (Y, Y[::-1].copy(), np.array([-100, 0, 2, 0]), np.array([0, 0, 2, 2]), Y):
        if name == "cross_entropy" or y.min() >= 0 or not options.get("ignore_index"):
            if options.get("ignore_index") and y.min() < 0:
                continue
            for found, expected in zip(program(Z, y), f(Z, y), strict=True):
                np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss"])
@pytest.mark.parametrize("options", [{}, {"weight": [0.5, 2.0, 1.25]}])
def test_the_mean_of_ignored_classes_is_nan_and_moves_nothing(name: str, options: Any) -> None:
    (z,) = leaves(Z)
    loss = getattr(F, name)(z, np.full(4, 7), ignore_index=7, **options)
    loss.backward()
    assert np.isnan(loss.data)
    assert not z.grad.any()
    assert getattr(F, name)(Z, np.full(4, 7), ignore_index=7, reduction="sum", **options) == 0


# -- arguments -----------------------------------------------------------------------------------

AVERAGED = sorted({case[0] for case in LOSSES} - {"huber_loss", "gaussian_nll_loss"})
FIRST = {case[0]: case for case in reversed(LOSSES)}


@pytest.mark.parametrize("name", AVERAGED)
@pytest.mark.parametrize("old", [{"size_average": False}, {"reduce": True}])
def test_old_words_for_reduction_are_refused(name: str, old: Any) -> None:
    _, args, options, _ = FIRST[name]
    with pytest.raises(TypeError, match=rf"{name}: size_average and reduce .*reduction='mean'"):
        getattr(F, name)(*args, **{**options, **old})


def test_a_reduction_in_the_place_of_another_argument_is_refused() -> None:
    for name in ("mse_loss", "l1_loss", "kl_div", "smooth_l1_loss"):
        with pytest.raises(TypeError, match="reduction='sum' by name"):
            getattr(F, name)(X, X, "sum")
    assert F.mse_loss(X, 2 * X, None, None, "sum") == pytest.approx(np.sum(X * X))
    assert F.huber_loss(X, 2 * X, "none").shape == X.shape


@pytest.mark.parametrize("name", sorted(FIRST))
def test_an_unknown_reduction_is_refused(name: str) -> None:
    _, args, options, _ = FIRST[name]
    with pytest.raises(ValueError, match="'mean', 'sum' or 'none', not 'avg'"):
        getattr(F, name)(*args, **{**options, "reduction": "avg"})


def test_input_and_target_may_be_named() -> None:
    for name in ("cross_entropy", "mse_loss", "huber_loss", "kl_div"):
        _, (x, t), options, _ = FIRST[name]
        np.testing.assert_array_equal(
            getattr(F, name)(target=t, input=x, **options), getattr(F, name)(x, t, **options)
        )
    np.testing.assert_array_equal(F.relu(input=Z), gl.relu(Z))


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: F.mse_loss(np.ones((4, 1)), np.ones(4)), ShapeError, r"\(4, 1\).*\(4,\)"),
        (lambda: F.mse_loss(X, X, weight=np.ones(3)), ShapeError, r"weight has shape \(3,\)"),
        (
            lambda: F.huber_loss(X, X, weight=np.ones(4)),
            ShapeError,
            r"\(4,\) does not fit.*\(4, 3\)",
        ),
        (
            lambda: F.cross_entropy(Z3, np.zeros((2, 3), int)),
            ShapeError,
            r"\(2, 3, 5\), whose .*axis 1.*\(2, 5\).*\(2, 3\).*last axis are for gradlite\.cross_e",
        ),
        (
            lambda: F.cross_entropy(Z3, np.ones((2, 5, 3))),
            ShapeError,
            r"float64 of shape \(2, 5, 3\)",
        ),
        (lambda: F.cross_entropy(Z, np.ones(3, int)), ShapeError, r"\(4,\).*not int64 of shape"),
        (lambda: F.multi_margin_loss(Z3, Y), ShapeError, r"\(n, n_classes\), not \(2, 3, 5\)"),
        (lambda: F.multi_margin_loss(Z, Y[:3]), ShapeError, r"\(4,\), not int64 of shape \(3,\)"),
        (lambda: F.nll_loss(Z3, np.zeros((2, 3), int)), ShapeError, r"\(2, 3, 5\).*\(2, 5\)"),
        (lambda: F.nll_loss(Z, np.ones(4)), ShapeError, "float64"),
        (lambda: F.nll_loss(1.0, 0), ShapeError, r"shape \(\)"),
        (lambda: F.nll_loss(Z, Y + 1), IndexError, "nll_loss.*from 0 to 2"),
        (lambda: F.binary_cross_entropy(X, X), ValueError, "from 0 to 1.*with_logits"),
        (lambda: F.gaussian_nll_loss(X, X, np.ones(3)), ShapeError, r"\(3,\).*\(4, 3\)"),
        (lambda: F.hinge_embedding_loss(X[:, 0], Y), ValueError, "-1 or 1"),
        (lambda: F.margin_ranking_loss(X, X, SIGNS), ShapeError, r"\(4, 3\), not \(4,\)"),
        (lambda: F.triplet_margin_loss(X, X, X[0]), ShapeError, r"\(4, 3\), \(4, 3\), \(3,\)"),
        (lambda: F.smooth_l1_loss(X, X, beta=-1.0), ValueError, "beta"),
        (lambda: F.huber_loss(X, X, delta=0.0), ValueError, "delta"),
        (lambda: F.multi_margin_loss(Z, Y, p=3), ValueError, "p must be"),
        (lambda: F.cross_entropy(Z, np.eye(3)[Y], ignore_index=2), ValueError, "for classes"),
        (lambda: F.softmax(Z), TypeError, "dim=-1"),
        (lambda: F.gelu(Z, approximate="erf"), ValueError, "'erf'"),
        (lambda: F.prelu(Z, np.ones(4)), ShapeError, r"\(4,\) does not fit.*\(1,\) or \(3,\)"),
        (lambda: F.one_hot(Z), DtypeError, "integers"),
        (lambda: F.one_hot(Y, 2), IndexError, "0 to 1"),
        (lambda: F.pad(Z, (1, 2, 3)), ShapeError, r"3 widths.*\(4, 3\)"),
        (lambda: F.pad(Z, (3, 0), "reflect"), ShapeError, "too large"),
        (lambda: F.pad(Z, (1, 0), "mirror"), ValueError, "mirror"),
        (lambda: F.dropout(Z, 1.5), ValueError, "1.5"),
        (lambda: F.bilinear(Z, Z, np.ones((2, 3, 4))), ShapeError, r"\(2, 3, 4\)"),
        (lambda: F.batch_norm(Z, None, None), ValueError, "training"),
        (lambda: F.interpolate(Z3), ValueError, "size or scale_factor"),
        (lambda: F.interpolate(Z3, 4, mode="linear"), ValueError, "nearest"),
        (lambda: F.interpolate(Z, 4), ShapeError, r"\(4, 3\)"),
    ],
)
def test_what_does_not_fit_is_refused(call: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        call()


# -- layers --------------------------------------------------------------------------------------


def test_dropout_is_that_of_the_layer() -> None:
    x = np.ones((50, 40), np.float32)
    layer = gl.nn.Dropout(0.3, rng=np.random.default_rng(1))
    found = F.dropout(x, 0.3, rng=np.random.default_rng(1))
    np.testing.assert_array_equal(found, layer(x))
    assert found.dtype == np.float32
    assert set(np.unique(F.dropout(x))) == {0.0, 2.0}
    assert F.dropout(x, training=False) is x
    assert not F.dropout(x, 1.0).any()


class Noisy(gl.nn.Module):
    def __init__(self, own: bool) -> None:
        self.rng = np.random.default_rng(0) if own else None
        self.weight = gl.nn.Parameter(np.ones((3, 3)))

    def forward(self, x: Any) -> Any:
        return F.dropout(F.linear(x, self.weight), 0.5, self.training, rng=self.rng)


def test_programs_draw_anew_from_the_modules_generator_or_not_at_all() -> None:
    net, program = Noisy(own=True), gl.compile(Noisy(own=True))
    for _ in range(3):
        np.testing.assert_array_equal(program(Z), net(Z).data)
    with pytest.raises(CompileError, match=r"self\.rng"):
        gl.compile(Noisy(own=False))(Z)


def test_running_statistics_move_in_training_alone() -> None:
    layer = gl.nn.BatchNorm1d(3, dtype=np.float64)
    mean, var = np.zeros(3), np.ones(3)
    np.testing.assert_array_equal(
        F.batch_norm(Z, mean, var, layer.weight, layer.bias, training=True).data, layer(Z).data
    )
    np.testing.assert_array_equal(mean, layer.running_mean)
    np.testing.assert_array_equal(var, layer.running_var)
    F.batch_norm(Z, mean, var)
    np.testing.assert_array_equal(mean, layer.running_mean)


def test_attention_drops_weights() -> None:
    x = wave(2, 6, 4)
    dropped = F.scaled_dot_product_attention(x, x, x, dropout_p=0.5, rng=np.random.default_rng(0))
    assert not np.allclose(dropped, F.scaled_dot_product_attention(x, x, x))
    np.testing.assert_allclose(
        F.scaled_dot_product_attention(x, x, np.ones((2, 6, 1)), dropout_p=0.5,
                                       rng=np.random.default_rng(0)).mean(), 1.0, atol=0.5,
    )  # fmt: skip


def test_probabilities_of_zero_and_one_cost_what_they_do_in_pytorch() -> None:
    p, t = np.array([0.0, 1.0, 0.3, 0.0]), np.array([1.0, 0.0, 0.5, 0.0])
    f = gl.value_and_grad(lambda p: F.binary_cross_entropy(p, t, reduction="sum"))
    for loss, slopes in (f(p), gl.compile(f)(p)):
        assert loss == pytest.approx(200.7803238741)
        np.testing.assert_allclose(slopes, [-1e12, 1e12, -0.9523809524, 0.0])
    small = np.array([1e-10], np.float32)  # of which 1 - p knows nothing
    assert F.binary_cross_entropy(small, np.zeros(1)) == pytest.approx(1e-10)


def test_extreme_scores_stay_finite() -> None:
    far = np.array([-1000.0, 1000.0])
    (x,) = leaves(far)
    for name in ("logsigmoid", "softplus", "mish", "selu", "softsign", "hardswish"):
        x.zero_grad()
        ans = getattr(F, name)(x)
        ans.backward(np.ones(2))
        assert np.isfinite(ans.data).all()
        assert np.isfinite(x.grad).all()


# Fingerprints of PyTorch's result, and of its gradients.
EXPECTED: dict[str, list[float]] = {
    "cross_entropy(4x3, 4, reduction=mean)": [0.7420065679, -0.1857220317],
    "cross_entropy(4x3, 4, reduction=sum)": [2.968026272, -0.7428881267],
    "cross_entropy(4x3, 4, reduction=none)": [1.237014343, -1.140756338],
    "cross_entropy(4x3, 4, weight=3, reduction=mean)": [0.6849246385, -0.1347948348],
    "cross_entropy(4x3, 4, weight=3, reduction=sum)": [3.424623192, -0.6739741741],
    "cross_entropy(4x3, 4, weight=3, reduction=none)": [1.606566476, -0.8648933813],
    "cross_entropy(4x3, 4, weight=3, ignore_index=-100, reduction=mean)": [
        0.6964922884,
        -0.1202441243,
    ],
    "cross_entropy(4x3, 4, weight=3, ignore_index=-100, reduction=sum)": [
        3.134215298,
        -0.5410985595,
    ],
    "cross_entropy(4x3, 4, weight=3, ignore_index=-100, reduction=none)": [
        1.830241862,
        -0.5487889444,
    ],
    "cross_entropy(4x3, 4, ignore_index=2, reduction=mean)": [0.3905426911, -0.09599390634],
    "cross_entropy(4x3, 4, ignore_index=2, reduction=sum)": [0.7810853821, -0.1919878127],
    "cross_entropy(4x3, 4, ignore_index=2, reduction=none)": [-0.8143034794, -0.5163483591],
    "cross_entropy(4x3, 4, weight=3, label_smoothing=0.2, reduction=mean)": [
        0.7265662877,
        -0.129575907,
    ],
    "cross_entropy(4x3, 4, weight=3, label_smoothing=0.2, reduction=sum)": [
        3.269548295,
        -0.5830915816,
    ],
    "cross_entropy(4x3, 4, weight=3, label_smoothing=0.2, reduction=none)": [
        1.260142072,
        -0.487546442,
    ],
    "cross_entropy(4x3, 4x3, weight=3, label_smoothing=0.2, reduction=mean)": [
        0.9611746516,
        -0.1206599493,
    ],
    "cross_entropy(4x3, 4x3, weight=3, label_smoothing=0.2, reduction=sum)": [
        3.844698606,
        -0.4826397973,
    ],
    "cross_entropy(4x3, 4x3, weight=3, label_smoothing=0.2, reduction=none)": [
        -2.018418387,
        0.145447645,
    ],
    "cross_entropy(2x3x5, 2x5, weight=3, ignore_index=1, reduction=mean)": [
        1.060568272,
        0.06894980185,
    ],
    "cross_entropy(2x3x5, 2x5, weight=3, ignore_index=1, reduction=sum)": [
        6.098267563,
        0.3964613606,
    ],
    "cross_entropy(2x3x5, 2x5, weight=3, ignore_index=1, reduction=none)": [
        -3.936737019,
        -2.078376038,
    ],
    "cross_entropy(2x3x5, 2x3x5, reduction=mean)": [1.161003529, -0.02111071849],
    "cross_entropy(2x3x5, 2x3x5, reduction=sum)": [11.61003529, -0.2111071849],
    "cross_entropy(2x3x5, 2x3x5, reduction=none)": [-2.72447251, -0.7289727643],
    "cross_entropy(2x3x2x2, 2x2x2, reduction=mean)": [0.7788412045, 0.09873135434],
    "cross_entropy(2x3x2x2, 2x2x2, reduction=sum)": [6.230729636, 0.7898508347],
    "cross_entropy(2x3x2x2, 2x2x2, reduction=none)": [1.054414945, 2.869058382],
    "cross_entropy(3, 2, reduction=mean)": [2.125566706, -0.5946122144],
    "cross_entropy(3, 2, reduction=sum)": [2.125566706, -0.5946122144],
    "cross_entropy(3, 2, reduction=none)": [2.125566706, -0.5946122144],
    "nll_loss(4x3, 4, reduction=mean)": [0.6550539028, -0.09834404852],
    "nll_loss(4x3, 4, reduction=sum)": [2.620215611, -0.3933761941],
    "nll_loss(4x3, 4, reduction=none)": [0.1870815699, -1.393559153],
    "nll_loss(4x3, 4, weight=3, reduction=mean)": [0.6567203598, -0.04380391564],
    "nll_loss(4x3, 4, weight=3, reduction=sum)": [2.955241619, -0.1971176204],
    "nll_loss(4x3, 4, weight=3, reduction=none)": [0.1786972902, -1.004399968],
    "nll_loss(2x3x5, 2x5, ignore_index=1, reduction=mean)": [-0.110260362, 0.04909854844],
    "nll_loss(2x3x5, 2x5, ignore_index=1, reduction=sum)": [-0.7718225338, 0.3436898391],
    "nll_loss(2x3x5, 2x5, ignore_index=1, reduction=none)": [-0.7831020932, -0.1538241604],
    "nll_loss(3, 2, reduction=mean)": [1.52969337, -0.4119822457],
    "nll_loss(3, 2, reduction=sum)": [1.52969337, -0.4119822457],
    "nll_loss(3, 2, reduction=none)": [1.52969337, -0.4119822457],
    "binary_cross_entropy(4x3, 4x3, reduction=mean)": [0.3933901735, -0.3503394051],
    "binary_cross_entropy(4x3, 4x3, reduction=sum)": [4.720682082, -4.204072862],
    "binary_cross_entropy(4x3, 4x3, reduction=none)": [-0.2939818409, 3.246927887],
    "binary_cross_entropy(4x3, 4x3, weight=3, reduction=mean)": [0.4877250328, -0.3740599199],
    "binary_cross_entropy(4x3, 4x3, weight=3, reduction=sum)": [5.852700393, -4.488719038],
    "binary_cross_entropy(4x3, 4x3, weight=3, reduction=none)": [-0.8103818786, 5.588760773],
    "binary_cross_entropy_with_logits(4x3, 4x3, reduction=mean)": [0.242074897, 0.006713939356],
    "binary_cross_entropy_with_logits(4x3, 4x3, reduction=sum)": [2.904898764, 0.08056727227],
    "binary_cross_entropy_with_logits(4x3, 4x3, reduction=none)": [-0.5113285855, -0.005674231225],
    "binary_cross_entropy_with_logits(4x3, 4x3, weight=4x1, pos_weight=3, reduction=mean)": [
        0.1490996432,
        0.003333579549,
    ],
    "binary_cross_entropy_with_logits(4x3, 4x3, weight=4x1, pos_weight=3, reduction=sum)": [
        1.789195718,
        0.04000295459,
    ],
    "binary_cross_entropy_with_logits(4x3, 4x3, weight=4x1, pos_weight=3, reduction=none)": [
        -0.4899957565,
        -0.167238763,
    ],
    "multilabel_soft_margin_loss(4x3, 4x3, weight=3, reduction=mean)": [
        0.3194162536,
        0.006039542569,
    ],
    "multilabel_soft_margin_loss(4x3, 4x3, weight=3, reduction=sum)": [1.277665014, 0.02415817028],
    "multilabel_soft_margin_loss(4x3, 4x3, weight=3, reduction=none)": [
        -0.8815994987,
        0.001625240085,
    ],
    "multi_margin_loss(4x3, 4, reduction=mean)": [0.398896691, -0.07892280383],
    "multi_margin_loss(4x3, 4, reduction=sum)": [1.595586764, -0.3156912153],
    "multi_margin_loss(4x3, 4, reduction=none)": [1.044353982, -0.434369266],
    "multi_margin_loss(4x3, 4, p=2, margin=0.5, weight=3, reduction=mean)": [
        1.275969578,
        -0.7027375743,
    ],
    "multi_margin_loss(4x3, 4, p=2, margin=0.5, weight=3, reduction=sum)": [
        5.103878313,
        -2.810950297,
    ],
    "multi_margin_loss(4x3, 4, p=2, margin=0.5, weight=3, reduction=none)": [
        4.907914465,
        -3.009737222,
    ],
    "mse_loss(4x3, 4x3, reduction=mean)": [0.6520710664, -0.09190395512, 0.09190395512],
    "mse_loss(4x3, 4x3, reduction=sum)": [7.824852797, -1.102847461, 1.102847461],
    "mse_loss(4x3, 4x3, reduction=none)": [-0.7529913976, 3.862219227, -3.862219227],
    "mse_loss(4x3, 4x3, weight=4x3, reduction=mean)": [0.6495824238, -0.1053179319, 0.1053179319],
    "mse_loss(4x3, 4x3, weight=4x3, reduction=sum)": [4.169402215, -0.6759924569, 0.6759924569],
    "mse_loss(4x3, 4x3, weight=4x3, reduction=none)": [0.5874933682, 3.644753146, -3.644753146],
    "l1_loss(4x3, 4x3, reduction=mean)": [0.534674728, -0.09986106746, 0.09986106746],
    "l1_loss(4x3, 4x3, reduction=sum)": [6.416096736, -1.198332809, 1.198332809],
    "l1_loss(4x3, 4x3, reduction=none)": [-0.8216403259, 2.494184536, -2.494184536],
    "l1_loss(4x3, 4x3, weight=4x3, reduction=mean)": [0.5385805265, -0.08226918156, 0.08226918156],
    "l1_loss(4x3, 4x3, weight=4x3, reduction=sum)": [3.456926724, -0.528052015, 0.528052015],
    "l1_loss(4x3, 4x3, weight=4x3, reduction=none)": [0.5284038556, 1.780479029, -1.780479029],
    "smooth_l1_loss(4x3, 4x3, beta=0.7, reduction=mean)": [
        0.3627371538,
        -0.06905474109,
        0.06905474109,
    ],
    "smooth_l1_loss(4x3, 4x3, beta=0.7, reduction=sum)": [4.352845846, -0.8286568931, 0.8286568931],
    "smooth_l1_loss(4x3, 4x3, beta=0.7, reduction=none)": [
        -0.4490998252,
        1.796551423,
        -1.796551423,
    ],
    "smooth_l1_loss(4x3, 4x3, beta=0.0, reduction=mean)": [
        0.534674728,
        -0.09986106746,
        0.09986106746,
    ],
    "smooth_l1_loss(4x3, 4x3, beta=0.0, reduction=sum)": [6.416096736, -1.198332809, 1.198332809],
    "smooth_l1_loss(4x3, 4x3, beta=0.0, reduction=none)": [
        -0.8216403259,
        2.494184536,
        -2.494184536,
    ],
    "huber_loss(4x3, 4x3, delta=0.7, reduction=mean)": [
        0.2539160077,
        -0.04833831877,
        0.04833831877,
    ],
    "huber_loss(4x3, 4x3, delta=0.7, reduction=sum)": [3.046992092, -0.5800598252, 0.5800598252],
    "huber_loss(4x3, 4x3, delta=0.7, reduction=none)": [-0.3143698776, 1.257585996, -1.257585996],
    "huber_loss(4x3, 4x3, weight=4x3, reduction=mean)": [
        0.1614960436,
        -0.03385588401,
        0.03385588401,
    ],
    "huber_loss(4x3, 4x3, weight=4x3, reduction=sum)": [1.937952523, -0.4062706081, 0.4062706081],
    "huber_loss(4x3, 4x3, weight=4x3, reduction=none)": [0.3099893736, 1.485019508, -1.485019508],
    "kl_div(4x3, 4x3, reduction=mean)": [0.04228433385, 0.0002489900619, 0.08117322444],
    "kl_div(4x3, 4x3, reduction=sum)": [0.5074120062, 0.002987880742, 0.9740786933],
    "kl_div(4x3, 4x3, reduction=none)": [-0.6885486339, -0.5806324644, 1.663288423],
    "kl_div(4x3, 4x3, log_target=True, reduction=mean)": [
        0.04228433385,
        0.0002489900619,
        0.02362912125,
    ],
    "kl_div(4x3, 4x3, log_target=True, reduction=sum)": [
        0.5074120062,
        0.002987880742,
        0.2835494551,
    ],
    "kl_div(4x3, 4x3, log_target=True, reduction=none)": [
        -0.6885486339,
        -0.5806324644,
        0.5648945989,
    ],
    "kl_div(4x3, 4x3, reduction=batchmean)": [0.1268530015, 0.0007469701856, 0.2435196733],
    "poisson_nll_loss(4x3, 4x3, reduction=mean)": [1.190534299, -0.006761644929],
    "poisson_nll_loss(4x3, 4x3, reduction=sum)": [14.28641158, -0.08113973914],
    "poisson_nll_loss(4x3, 4x3, reduction=none)": [10.26458174, -5.834393737],
    "poisson_nll_loss(4x3, 4x3, log_input=False, full=True, eps=0.1, reduction=mean)": [
        1.839756411,
        0.4695096754,
    ],
    "poisson_nll_loss(4x3, 4x3, log_input=False, full=True, eps=0.1, reduction=sum)": [
        22.07707693,
        5.634116105,
    ],
    "poisson_nll_loss(4x3, 4x3, log_input=False, full=True, eps=0.1, reduction=none)": [
        14.31089333,
        -27.61540085,
    ],
    "gaussian_nll_loss(4x3, 4x3, 4x3, full=True, reduction=mean)": [
        1.478510802,
        -0.6685872374,
        0.6685872374,
        -5.117426904,
    ],
    "gaussian_nll_loss(4x3, 4x3, 4x3, full=True, reduction=sum)": [
        17.74212963,
        -8.023046848,
        8.023046848,
        -61.40912284,
    ],
    "gaussian_nll_loss(4x3, 4x3, 4x3, full=True, reduction=none)": [
        -9.626496138,
        -5.516855465,
        5.516855465,
        -82.45104289,
    ],
    "gaussian_nll_loss(4x3, 4x3, 4x1, reduction=mean)": [
        1.360744066,
        0.8610586709,
        -0.8610586709,
        -11.0971954,
    ],
    "gaussian_nll_loss(4x3, 4x3, 4x1, reduction=sum)": [
        16.32892879,
        10.33270405,
        -10.33270405,
        -133.1663448,
    ],
    "gaussian_nll_loss(4x3, 4x3, 4x1, reduction=none)": [
        -0.9757753762,
        17.94798196,
        -17.94798196,
        -147.8732718,
    ],
    "gaussian_nll_loss(4x3, 4x3, 4, reduction=mean)": [
        1.360744066,
        0.8610586709,
        -0.8610586709,
        -11.0971954,
    ],
    "gaussian_nll_loss(4x3, 4x3, 4, reduction=sum)": [
        16.32892879,
        10.33270405,
        -10.33270405,
        -133.1663448,
    ],
    "gaussian_nll_loss(4x3, 4x3, 4, reduction=none)": [
        -0.9757753762,
        17.94798196,
        -17.94798196,
        -147.8732718,
    ],
    "gaussian_nll_loss(4x3, 4x3, 0.5, reduction=mean)": [
        0.4648165564,
        -0.09190395512,
        0.09190395512,
    ],
    "gaussian_nll_loss(4x3, 4x3, 0.5, reduction=sum)": [5.577798677, -1.102847461, 1.102847461],
    "gaussian_nll_loss(4x3, 4x3, 0.5, reduction=none)": [-0.5557327693, 3.862219227, -3.862219227],
    "hinge_embedding_loss(4, 4, margin=1.5, reduction=mean)": [0.2806284894, -0.1344984514],
    "hinge_embedding_loss(4, 4, margin=1.5, reduction=sum)": [1.122513957, -0.5379938055],
    "hinge_embedding_loss(4, 4, margin=1.5, reduction=none)": [0.07780206852, -1.469343599],
    "triplet_margin_loss(4x3, 4x3, 4x3, reduction=mean)": [
        1.184248755,
        -0.1221682355,
        0.09979706197,
        0.02237117349,
    ],
    "triplet_margin_loss(4x3, 4x3, 4x3, reduction=sum)": [
        4.736995021,
        -0.4886729419,
        0.3991882479,
        0.08948469397,
    ],
    "triplet_margin_loss(4x3, 4x3, 4x3, reduction=none)": [
        -3.26288727,
        -0.3504452766,
        -0.08961090829,
        0.4400561848,
    ],
    "triplet_margin_loss(4x3, 4x3, 4x3, margin=2.0, p=3.0, swap=True, reduction=mean)": [
        1.646199953,
        -0.03987345779,
        0.06241437185,
        -0.02254091406,
    ],
    "triplet_margin_loss(4x3, 4x3, 4x3, margin=2.0, p=3.0, swap=True, reduction=sum)": [
        6.584799812,
        -0.1594938312,
        0.2496574874,
        -0.09016365625,
    ],
    "triplet_margin_loss(4x3, 4x3, 4x3, margin=2.0, p=3.0, swap=True, reduction=none)": [
        -4.639909393,
        -0.02964106579,
        -0.1335340044,
        0.1631750702,
    ],
    "cosine_embedding_loss(4x3, 4x3, 4, margin=0.1, reduction=mean)": [
        0.2292466908,
        -0.03592496994,
        0.09550484612,
    ],
    "cosine_embedding_loss(4x3, 4x3, 4, margin=0.1, reduction=sum)": [
        0.9169867633,
        -0.1436998798,
        0.3820193845,
    ],
    "cosine_embedding_loss(4x3, 4x3, 4, margin=0.1, reduction=none)": [
        -0.6637480696,
        -0.134729598,
        0.2973316494,
    ],
    "margin_ranking_loss(4, 4, 4, margin=0.5, reduction=mean)": [
        0.1535703042,
        -0.06800293126,
        0.06800293126,
    ],
    "margin_ranking_loss(4, 4, 4, margin=0.5, reduction=sum)": [
        0.6142812167,
        -0.2720117251,
        0.2720117251,
    ],
    "margin_ranking_loss(4, 4, 4, margin=0.5, reduction=none)": [
        -0.7431413755,
        0.185413978,
        -0.185413978,
    ],
    "relu(8)": [1.339341489, 1.019115226],
    "elu(8)": [1.851878261, 1.132988283],
    "selu(8)": [2.308337986, 1.27098552],
    "leaky_relu(8)": [1.339361231, 1.025603481],
    "silu(8)": [1.196658648, 0.7778883544],
    "mish(8)": [1.456148801, 0.8730156074],
    "gelu(8)": [1.254444909, 0.8072744264],
    "softplus(8)": [1.269785232, 0.8067987808],
    "softsign(8)": [1.194847514, 0.4434496222],
    "sigmoid(8)": [0.6624637571, 0.3119223869],
    "tanh(8)": [1.846185569, 0.7752497354],
    "logsigmoid(8)": [0.07153046882, 0.8611418976],
    "hardtanh(8)": [2.265473027, 1.457926848],
    "hardswish(8)": [1.117083246, 0.5901351702],
    "elu(8, 0.5)": [1.595609875, 1.076051754],
    "leaky_relu(8, 0.3)": [1.339933752, 1.213762862],
    "relu(8, False)": [1.339341489, 1.019115226],
    "gelu(8, approximate=tanh)": [1.254104432, 0.8072954481],
    "softplus(8, 2.0)": [1.255530223, 0.8050718673],
    "hardtanh(8, -1.5, 0.5)": [1.611143096, 0.734052304],
    "prelu(2x3x5, 3)": [0.9059825288, 9.339024939, -1.863437988],
    "prelu(8, 1)": [1.339933752, 1.213762862, 2.753098851],
    "softmax(2x3x5, dim=1)": [0.05936892553, 0.6146081159],
    "log_softmax(2x3x5, 0)": [2.10483797, 6.406383123],
    "normalize(4x3)": [0.9249822865, 0.5897882087],
    "normalize(4x3, 3.0, 0)": [1.176615159, 1.256940517],
    "cosine_similarity(4x3, 4x3)": [-0.9969880616, -0.1207580948, 0.1435255384],
    "cosine_similarity(2x3x5, 3x5, dim=-1)": [-0.2000308523, 0.03790273819, -0.03948038143],
    "pairwise_distance(4x3, 4x3)": [-2.894651456, 0.08961090829, -0.08961090829],
    "pairwise_distance(4x3, 3, 1.0, keepdim=True)": [-10.6360567, 2.515271849, 0.8465000063],
    "one_hot(4)": [-0.9452821925],
    "one_hot(2x5, 4)": [3.547004868],
    "pad(2x3x2x2, (1, 2), value=3.0)": [-2.195570475, 0.5433218225],
    "pad(2x3x5, (2, -1, 0, 1))": [-0.02991441502, 0.5535133377],
    "pad(2x3x5, (2, 1), mode=reflect)": [10.03255644, 6.320763214],
    "pad(2x3x5, (2, 1), mode=replicate)": [20.680415, -1.025132039],
    "pad(2x3x5, (2, 1), circular)": [21.0755567, 1.263204927],
    "linear(4x3, 2x3, 2)": [-9.188228089, 5.898469833, -2.294048846, 0.2215250277],
    "linear(3, 2x3)": [2.564341445, -2.53983494, 1.88973969],
    "bilinear(4x3, 4x2, 5x3x2, 5)": [
        -0.3123556704,
        -0.7503650553,
        -0.1430872834,
        4.878461343,
        1.184264363,
    ],
    "embedding(4, 3x2, 1)": [1.647189044, -2.455929839],
    "conv1d(2x3x5, 4x3x2, 4, stride=2, padding=1)": [
        -6.825442587,
        -0.1718882356,
        0.2395543954,
        -2.089548247,
    ],
    "conv1d(3x5, 3x1x2, groups=3, padding=same)": [14.99150546, -0.2749818955, 5.275576572],
    "conv2d(2x2x4x5, 3x2x2x2, 3, 1, 1, 2)": [-3.735032798, 20.28787273, -1.096445988, 0.5248611464],
    "conv2d(2x4x5, 3x2x2x2)": [2.887723175, 58.18093412, 2.087173527],
    "max_pool2d(2x2x4x5, 2)": [-2.408486176, -1.639785034],
    "max_pool2d(2x4x5, (2, 3), 1, 1)": [-1.196978895, 12.59440324],
    "avg_pool2d(2x2x4x5, 2, 1)": [-0.4999766905, 0.01504169024],
    "avg_pool2d(2x4x5, 2)": [-1.19264256, -0.06712751867],
    "layer_norm(2x3x5, (5,), 5, 5)": [-3.994997492, 3.220403433],
    "batch_norm(4x3, 3, 3, 3, 3)": [-1.599057501, -11.12223075],
    "batch_norm(2x3x2x2, None, None, 3, training=True)": [-3.790320333, -2.21993442],
    "scaled_dot_product_attention(2x3x4, 2x5x4, 2x5x2)": [
        0.3572602128,
        1.090316573,
        -1.149021047,
        -0.1573838487,
    ],
    "scaled_dot_product_attention(2x3x4, 2x5x4, 2x5x2, is_causal=True, scale=0.3)": [
        1.048075714,
        0.1500187115,
        -0.8749480585,
        -0.5575345843,
    ],
    "scaled_dot_product_attention(2x3x4, 2x5x4, 2x5x2, 3x5)": [
        2.717443446,
        0.5830950705,
        0.4326970899,
        -0.1794569457,
    ],
    "scaled_dot_product_attention(2x3x4, 2x5x4, 2x5x2, 2x3x5)": [
        2.907357731,
        0.9735494289,
        -0.3370870147,
        -0.8103375981,
        1.110817849,
    ],
    "interpolate(2x3x2x2, scale_factor=2)": [2.63515928, 6.874004539],
    "interpolate(2x3x5, 7)": [6.805978371, -0.8179663813],
    "interpolate(1x1x5x7, (3, 4))": [2.738478127, 0.6407075015],
    "interpolate(2x3x5, scale_factor=0.6)": [-1.098810826, -0.131730185],
}

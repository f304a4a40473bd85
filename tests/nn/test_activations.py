"""Activations as modules: formulas, slopes at kinks, arguments, PyTorch's numbers."""

from __future__ import annotations

import copy
import inspect
import pickle
from typing import Any

import numpy as np
import pytest

import gradlite as gl
from gradlite import nn
from gradlite.errors import ShapeError
from tests.helpers import gradients

F32 = np.float32
X = np.array([-4.0, -3.0, -1.0, -0.5, 0.0, 0.5, 1.0, 3.0, 6.0, 7.0])

MAKERS: dict[str, Any] = {
    "ReLU": lambda of: of.ReLU(inplace=False),
    "ReLU6": lambda of: of.ReLU6(),
    "Hardtanh": lambda of: of.Hardtanh(),
    "Hardtanh, other bounds": lambda of: of.Hardtanh(-0.5, 3.0),
    "Hardsigmoid": lambda of: of.Hardsigmoid(),
    "Hardswish": lambda of: of.Hardswish(),
    "LeakyReLU": lambda of: of.LeakyReLU(0.3),
    "PReLU": lambda of: of.PReLU(),
    "ELU": lambda of: of.ELU(0.7),
    "CELU": lambda of: of.CELU(1.5),
    "SELU": lambda of: of.SELU(),
    "GELU": lambda of: of.GELU(),
    "GELU, tanh": lambda of: of.GELU(approximate="tanh"),
    "SiLU": lambda of: of.SiLU(),
    "Mish": lambda of: of.Mish(),
    "Softplus": lambda of: of.Softplus(),
    "Softplus, sharp": lambda of: of.Softplus(2.0, 5.0),
    "Softshrink": lambda of: of.Softshrink(),
    "Softsign": lambda of: of.Softsign(),
    "Tanh": lambda of: of.Tanh(),
    "Tanhshrink": lambda of: of.Tanhshrink(),
    "Sigmoid": lambda of: of.Sigmoid(),
    "LogSigmoid": lambda of: of.LogSigmoid(),
    "Threshold": lambda of: of.Threshold(0.5, 20.0),
    "GLU": lambda of: of.GLU(),
    "Softmax": lambda of: of.Softmax(-1),
    "LogSoftmax": lambda of: of.LogSoftmax(-1),
}

RTOL = {"Hardsigmoid": 1e-7}  # PyTorch has 1 / 6 in float32

# Of PyTorch 2.13 in float64: the outputs at X, then the gradient of sum(output * (1, 2, ...)).
TORCHS = """
ReLU
    0 0 0 0 0 0.5 1 3 6 7
--
    0 0 0 0 0 6 7 8 9 10

ReLU6
    0 0 0 0 0 0.5 1 3 6 6
--
    0 0 0 0 0 6 7 8 0 0

Hardtanh
    -1 -1 -1 -0.5 0 0.5 1 1 1 1
--
    0 0 0 4 5 6 0 0 0 0

Hardtanh, other bounds
    -0.5 -0.5 -0.5 -0.5 0 0.5 1 3 3 3
--
    0 0 0 0 5 6 7 0 0 0

Hardsigmoid
    0 0 0.333333333333 0.416666666667 0.5 0.583333333333 0.666666666667 1 1 1
--
    0 0 0.500000014901 0.666666686535 0.833333358169 1.0000000298 1.16666670144 0 0 0

Hardswish
    -0 -0 -0.333333333333 -0.208333333333 0 0.291666666667 0.666666666667 3 6 7
--
    0 0 0.5 1.33333333333 2.5 4 5.83333333333 8 9 10

LeakyReLU
    -1.2 -0.9 -0.3 -0.15 0 0.5 1 3 6 7
--
    0.3 0.6 0.9 1.2 1.5 6 7 8 9 10

PReLU
    -1 -0.75 -0.25 -0.125 0 0.5 1 3 6 7
--
    0.25 0.5 0.75 1 1.25 6 7 8 9 10

ELU
    -0.687179052778 -0.665149052142 -0.44248439118 -0.275428538201 0 0.5 1 3 6 7
--
    0.0128209472221 0.069701895715 0.77254682646 1.69828584719 3.5 6 7 8 9 10

CELU
    -1.39577482317 -1.29699707514 -0.729874321451 -0.425203034139 0 0.5 1 3 6 7
--
    0.0694834512228 0.270670566473 1.5402513571 2.86612524229 5 6 7 8 9 10

SELU
    -1.72589862819 -1.67056872877 -1.11133073781 -0.691758187803 0 0.525350493678
    1.05070098735 3.15210296207 6.30420592413 7.35490691149
--
    0.0322007126575 0.17506122416 1.9403058091 4.26536461218 8.79049670424 6.30420592413
    7.35490691149 8.40560789884 9.4563088862 10.5070098736

GELU
    -0.000126684967332 -0.00404969409489 -0.158655253932 -0.154268769363 0
    0.345731230637 0.841344746068 2.99595030591 5.99999999408 6.99999999999
--
    -0.000503649661226 -0.0238912944084 -0.249946411763 0.530019501375 2.5 5.20497074794
    7.58320829411 8.09556517763 9.00000031922 10.0000000006

GELU, tanh
    -7.02459481923e-05 -0.00363739208177 -0.158808009392 -0.154285990175 0
    0.345714009825 0.841191990608 2.99636260792 5.99999999992 7
--
    -0.000335123197122 -0.0231683332619 -0.248892251537 0.530520385861 2.5 5.20421942121
    7.58074858692 8.09267333305 9.00000000694 10

SiLU
    -0.0719448398484 -0.142277619533 -0.26894142137 -0.188770334399 0 0.311229665601
    0.73105857863 2.85772238047 5.98516426106 6.99362264164
--
    -0.0526646148911 -0.17620821203 0.216988464386 1.04015525079 2.5 4.43976712382
    6.4936935831 8.70483284812 9.11093789332 10.0546049707

Mish
    -0.072591740792 -0.145647461276 -0.303401461374 -0.220743774652 0 0.375245211305
    0.865098388267 2.98653500497 5.99992663406 6.99998837981
--
    -0.0537732097935 -0.186786229065 0.177650267632 1.15804271165 3 5.31854625215
    7.3432535407 8.16885528744 9.00120726456 10.0002155916

Softplus
    0.0181499279178 0.0485873515737 0.313261687518 0.47407698418 0.69314718056
    0.97407698418 1.31326168752 3.04858735157 6.00247568514 7.00091146645
--
    0.0179862099621 0.0948517463551 0.80682426411 1.51016267519 2.5 3.73475598721
    5.11741005041 7.62059301458 8.97774639159 9.99088948806

Softplus, sharp
    0.000167703186448 0.00123784256887 0.0634640055215 0.156630843759 0.34657359028
    0.656630843759 1.06346400552 3 6 7
--
    0.000335350130467 0.00494524631327 0.357608766066 1.07576568548 2.5 4.38635147178
    6.16557954584 8 9 10

Softshrink
    -3.5 -2.5 -0.5 0 0 0 0.5 2.5 5.5 6.5
--
    1 2 3 0 0 0 7 8 9 10

Softsign
    -0.8 -0.75 -0.5 -0.333333333333 0 0.333333333333 0.5 0.75 0.857142857143 0.875
--
    0.04 0.125 0.75 1.77777777778 5 2.66666666667 1.75 0.5 0.183673469388 0.15625

Tanh
    -0.999329299739 -0.995054753687 -0.761594155956 -0.46211715726 0 0.46211715726
    0.761594155956 0.995054753687 0.999987711651 0.999998336944
--
    0.00134095068303 0.0197320743309 1.25992302484 3.14579093186 5 4.7186863978
    2.9398203913 0.0789282973235 0.000221188926648 3.32610934487e-05

Tanhshrink
    -3.00067070026 -2.00494524631 -0.238405844044 -0.03788284274 0 0.03788284274
    0.238405844044 2.00494524631 5.00001228835 6.00000166306
--
    0.998659049317 1.98026792567 1.74007697516 0.854209068136 0 1.2813136022
    4.0601796087 7.92107170268 8.99977881107 9.99996673891

Sigmoid
    0.0179862099621 0.0474258731776 0.26894142137 0.377540668798 0.5 0.622459331202
    0.73105857863 0.952574126822 0.997527376843 0.999088948806
--
    0.0176627062133 0.0903533194618 0.589835799724 0.940014848806 1.25 1.41002227321
    1.37628353269 0.361413277847 0.0221985836222 0.00910221180122

LogSigmoid
    -4.01814992792 -3.04858735157 -1.31326168752 -0.97407698418 -0.69314718056
    -0.47407698418 -0.313261687518 -0.0485873515737 -0.00247568513773 -0.000911466453774
--
    0.982013790038 1.90514825364 2.19317573589 2.48983732481 2.5 2.26524401279
    1.88258994959 0.37940698542 0.0222536084097 0.00911051194401

Threshold
    20 20 20 20 20 20 1 3 6 7
--
    0 0 0 0 0 0 7 8 9 10

GLU
    -2.48983732481 -2.19317573589 -0.952574126822 -0.498763688422 0
--
    0.622459331202 1.46211715726 2.85772238047 3.99010950737 4.99544474403
    -0.940014848806 -1.17967159945 -0.135529979193 -0.00493301858272 0

Softmax
    1.1998005205e-05 3.26139595265e-05 0.00024098637655 0.000397319364966
    0.000655068888281 0.00108002600988 0.0017806618554 0.0131574103428 0.264273651254
    0.718370263944
--
    -0.000104287073727 -0.000250867697928 -0.00161268911685 -0.00226155548502
    -0.00307360574473 -0.0039874931592 -0.00479360293295 -0.0222627906447
    -0.182886452254 0.221233344109

LogSoftmax
    -11.3307701549 -10.3307701549 -8.33077015491 -7.83077015491 -7.33077015491
    -6.83077015491 -6.33077015491 -4.33077015491 -1.33077015491 -0.330770154912
--
    0.999340109714 1.99820623223 2.98674574929 3.97814743493 4.96397121115 5.94059856946
    6.90206359795 7.27634243115 -5.53505081896 -29.5103645169
"""
NUMBERS = {
    name: [np.array(part.split(), float) for part in rest.split("--")]
    for name, _, rest in (block.partition("\n") for block in TORCHS.strip().split("\n\n"))
}


def weighted(layer: Any, x: Any) -> Any:
    y = layer(x)
    return np.sum(y * np.arange(1.0, y.shape[-1] + 1))


def layer_of(name: str, dtype: Any = np.float64) -> Any:
    """Make a layer whose parameters are constants."""
    layer = MAKERS[name](nn).astype(dtype)
    for p in layer.parameters():
        p.requires_grad = False
    return layer


def numbers(y: Any) -> Any:
    return y.data if isinstance(y, gl.Tensor) else y


def activations() -> set[type]:
    found = vars(nn.activations).values()
    return {c for c in found if inspect.isclass(c) and c.__module__ == nn.activations.__name__}


def test_every_activation_is_tested() -> None:
    public = {c for c in activations() if not c.__name__.startswith("_")}
    assert {type(layer_of(name)) for name in MAKERS} == public
    assert all(getattr(nn, c.__name__) is c and c.__name__ in nn.__all__ for c in public)
    assert NUMBERS.keys() == MAKERS.keys()


@pytest.mark.parametrize("name", MAKERS)
def test_outputs_and_slopes_are_these(name: str) -> None:
    layer = layer_of(name)
    output, slopes = NUMBERS[name]
    np.testing.assert_allclose(numbers(layer(X)), output, rtol=1e-11, atol=1e-14)
    found = gradients(lambda x: weighted(layer, x), X)[0]
    np.testing.assert_allclose(found, slopes, rtol=RTOL.get(name, 1e-10), atol=1e-11)


@pytest.mark.parametrize("name", MAKERS)
def test_outputs_and_slopes_are_torchs(name: str) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed: no peer to compare with")
    ours, peer = layer_of(name), MAKERS[name](torch.nn).double()
    assert list(ours.state_dict()) == list(peer.state_dict())
    ours.load_state_dict(peer.state_dict())
    for x in (X, np.random.default_rng(0).standard_normal((3, 4, 6))):
        t = torch.tensor(x, requires_grad=True)
        y = peer(t)
        (y * torch.arange(1.0, y.shape[-1] + 1)).sum().backward()
        np.testing.assert_allclose(numbers(ours(x)), y.detach().numpy(), rtol=1e-11)
        found = gradients(lambda x: weighted(ours, x), x)[0]
        np.testing.assert_allclose(found, t.grad.numpy(), rtol=RTOL.get(name, 1e-11), atol=1e-13)


@pytest.mark.parametrize("name", MAKERS)
def test_first_and_second_derivatives_agree_with_finite_differences(name: str) -> None:
    x = np.array([[-3.7, -1.3, -0.3, 0.2], [0.7, 1.3, 3.4, 6.6]])
    gl.check_grads(layer_of(name), (x,), order=2)


@pytest.mark.parametrize("name", MAKERS)
def test_float32_stays_and_compiled_it_is_the_same(name: str) -> None:
    layer = layer_of(name, F32)
    x = np.random.default_rng(1).standard_normal((5, 6)).astype(F32)
    run = gl.value_and_grad(lambda x: np.sum(np.square(layer(x))))
    value, slope = run(x)
    assert (value.dtype, slope.dtype) == (F32, F32)
    compiled = gl.compile(run)
    for _ in range(2):
        same, slope_again = compiled(x)
        assert same == value
        np.testing.assert_array_equal(slope_again, slope)


@pytest.mark.parametrize("name", MAKERS)
def test_copies_and_pickles_compute_the_same(name: str) -> None:
    layer = layer_of(name)
    expected = numbers(layer(X))
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert repr(other) == repr(layer)
        np.testing.assert_array_equal(numbers(other(X)), expected)


@pytest.mark.parametrize(
    "name",
    [
        "ReLU", "ReLU6", "LeakyReLU", "ELU", "CELU", "SELU", "SiLU", "Mish", "Hardswish",
        "Hardsigmoid", "Hardtanh",
    ],
)  # fmt: skip
def test_inplace_is_accepted_and_changes_nothing(name: str) -> None:
    before = X.copy()
    layer = getattr(nn, name)
    np.testing.assert_array_equal(layer(inplace=True)(X), layer()(X))
    np.testing.assert_array_equal(before, X)
    assert repr(layer(inplace=True)) == repr(layer())


def test_inplace_of_those_with_other_arguments() -> None:
    np.testing.assert_array_equal(nn.Threshold(0.0, 1.0, True)(X), nn.Threshold(0.0, 1.0)(X))
    drop = nn.Dropout(0.5, True, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(drop(X), nn.Dropout(0.5, rng=np.random.default_rng(0))(X))


# -- PReLU --------------------------------------------------------------------------------------


def test_prelu_has_a_slope_for_each_channel() -> None:
    layer = nn.PReLU(3, 0.5)
    assert {k: (v.shape, v.dtype) for k, v in layer.state_dict().items()} == {"weight": ((3,), F32)}
    layer.weight.data[:] = [0.1, 0.2, 0.3]
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 4)).astype(F32)
    y = layer(x)
    slopes = layer.weight.data[None, :, None, None]
    np.testing.assert_allclose(y.data, np.where(x > 0, x, slopes * x), rtol=1e-6)
    y.sum().backward()
    np.testing.assert_allclose(layer.weight.grad, np.minimum(x, 0).sum(axis=(0, 2, 3)), rtol=1e-5)
    assert layer.weight.grad.dtype == F32


@pytest.mark.parametrize("shape", [(), (5,), (5, 2), (5, 2, 3)])
def test_prelu_with_one_slope_takes_any_shape(shape: Any) -> None:
    x = np.random.default_rng(0).standard_normal(shape)
    layer = nn.PReLU(init=0.5, dtype=np.float64)
    np.testing.assert_allclose(layer(x).data, np.where(x > 0, x, 0.5 * x))
    gl.check_grads(gl.prelu, (np.asarray(x), np.array([0.3])), order=2)


@pytest.mark.parametrize("shape", [(3,), (), (2, 4), (2, 1)])
def test_prelu_names_the_shape_that_does_not_fit(shape: Any) -> None:
    with pytest.raises(ShapeError, match=r"PReLU\(3\) got an input of shape .* \(n, 3, \.\.\.\)"):
        nn.PReLU(3)(np.ones(shape))


def test_prelu_takes_numbers_in_the_type_of_the_input() -> None:
    x = np.array([[-1.0, 2.0]], F32)
    for weight in (0.5, [0.5, 0.1]):
        y = gl.prelu(x, weight)
        assert y.dtype == F32
        np.testing.assert_array_equal(y, [[-0.5, 2.0]])


# -- arguments that do not fit ------------------------------------------------------------------


def test_glu_needs_two_halves() -> None:
    assert nn.GLU(0)(np.ones((4, 3))).shape == (2, 3)
    with pytest.raises(ShapeError, match=r"GLU\(dim=-1\) got an input of shape \(4, 3\)"):
        nn.GLU()(np.ones((4, 3)))
    with pytest.raises(ShapeError, match=r"glu: shape \(4, 3\) has no two halves along axis 2"):
        gl.glu(np.ones((4, 3)), axis=2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.GELU("erf"), "'none' or 'tanh', not 'erf'"),
        (lambda: gl.gelu(X, approximate="erf"), "'none' or 'tanh', not 'erf'"),
        (lambda: nn.Hardtanh(1.0, 1.0), "min_val < max_val"),
        (lambda: nn.Softshrink(-1.0), "lambd of at least 0"),
        (lambda: gl.softshrink(X, -1.0), "lambd of at least 0"),
        (lambda: gl.celu(X, alpha=0.0), "positive alpha"),
        (lambda: nn.PReLU(0), "num_parameters must be at least 1"),
    ],
)
def test_what_makes_no_sense_is_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


FUNCTIONS = [
    "celu", "elu", "gelu", "hardsigmoid", "hardswish", "hardtanh", "leaky_relu", "logsigmoid",
    "mish", "relu", "relu6", "selu", "sigmoid", "silu", "softplus", "softshrink", "softsign",
    "tanhshrink",
]  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_take_lists_numbers_and_pixels(name: str) -> None:
    fn = getattr(gl, name)
    expected = fn(np.array([-3.0, 0.0, 100.0]))
    np.testing.assert_allclose(fn([-3.0, 0.0, 100.0]), expected, rtol=1e-12)
    np.testing.assert_allclose(fn(np.array([-3, 0, 100], np.int8)), expected, rtol=1e-3)
    assert float(fn(-3.0)) == pytest.approx(expected[0], rel=1e-12)

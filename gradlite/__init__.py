"""gradlite: reverse-mode automatic differentiation on NumPy, one line a derivative.

A `Tensor` is a NumPy array that remembers how it was made; NumPy's own functions work on it,
and `Tensor.backward` gives the derivatives. `grad`, `jacobian`, `hessian`, `vjp` and `jvp` turn
a function into its derivatives, to any order. `defvjp` and `primitive` add rules.

`nn`, `optim`, `schedules` and `data` make and train networks. `MLPClassifier`, `MLPRegressor`,
`NetClassifier` and `NetRegressor` are scikit-learn estimators; they and scikit-learn are loaded
when they are first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy

from gradlite.autodiff.checking import check_grads
from gradlite.autodiff.debug import debug
from gradlite.autodiff.define import defvjp, primitive
from gradlite.autodiff.modes import enable_grad, no_grad
from gradlite.autodiff.rules.activations import (
    celu,
    elu,
    erf,
    gelu,
    glu,
    hardsigmoid,
    hardswish,
    hardtanh,
    leaky_relu,
    logsigmoid,
    mish,
    prelu,
    relu,
    relu6,
    selu,
    sigmoid,
    silu,
    softplus,
    softshrink,
    softsign,
    tanhshrink,
    threshold,
)
from gradlite.autodiff.rules.fused import affine
from gradlite.autodiff.rules.softmax import log_softmax, logsumexp, softmax
from gradlite.autodiff.tensor import Tensor
from gradlite.autodiff.transforms import grad, hessian, hvp, jacobian, jvp, value_and_grad, vjp
from gradlite.coming_from_pytorch import missing_from_package
from gradlite.compiler import compile
from gradlite.errors import GradliteError
from gradlite.nn.losses import (
    bce_with_logits,
    cross_entropy,
    gaussian_nll,
    hinge,
    huber,
    kl_div,
    mae,
    mse,
    poisson_nll,
    quantile,
)

if TYPE_CHECKING:
    from gradlite.estimators import MLPClassifier, MLPRegressor, NetClassifier, NetRegressor
    from gradlite.export import export_numpy
    from gradlite.training.step import compile_step

__version__ = "0.1.0"

SUBMODULES = {
    "autodiff": "autodiff",
    "compiler": "compiler",
    "data": "training.data",
    "draw": "draw",
    "engine": "engine",
    "estimators": "estimators",
    "nn": "nn",
    "optim": "optim",
    "persist": "persist",
    "scalar": "scalar",
    "schedules": "optim.schedules",
    "training": "training",
}
LATER = {"compile_step": "training.step", "export_numpy": "export"}
ESTIMATORS = ("MLPClassifier", "MLPRegressor", "NetClassifier", "NetRegressor")

__all__ = [
    "GradliteError",
    "MLPClassifier",
    "MLPRegressor",
    "NetClassifier",
    "NetRegressor",
    "Tensor",
    "affine",
    "bce_with_logits",
    "celu",
    "check_grads",
    "compile",
    "compile_step",
    "cross_entropy",
    "debug",
    "defvjp",
    "elu",
    "enable_grad",
    "erf",
    "export_numpy",
    "gaussian_nll",
    "gelu",
    "glu",
    "grad",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "hessian",
    "hinge",
    "huber",
    "hvp",
    "jacobian",
    "jvp",
    "kl_div",
    "leaky_relu",
    "log_softmax",
    "logsigmoid",
    "logsumexp",
    "mae",
    "mish",
    "mse",
    "no_grad",
    "poisson_nll",
    "prelu",
    "primitive",
    "quantile",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "softshrink",
    "softsign",
    "tanhshrink",
    "threshold",
    "value_and_grad",
    "vjp",
]


# glibc gives freed memory of more than 128 KiB back to the system at once, and every larger array
# is paged in again: a third of the time of a prediction, 2 % of a training step. Once an array of
# 8 MiB has been freed, it keeps up to twice as much (mallopt(3), M_MMAP_THRESHOLD). No page of this
# one is touched.
numpy.empty(2**23, numpy.uint8)


def __getattr__(name: str) -> Any:
    """Load submodules, and the estimators with scikit-learn, on first access."""
    if name in LATER:
        value = getattr(import_module(f"gradlite.{LATER[name]}"), name)
    elif name in ESTIMATORS:
        value = getattr(import_module("gradlite.estimators"), name)
    elif name in SUBMODULES:
        value = import_module(f"gradlite.{SUBMODULES[name]}")
    else:
        raise AttributeError(missing_from_package(name))
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *SUBMODULES, *ESTIMATORS, *LATER})

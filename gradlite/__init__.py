"""gradlite: reverse-mode automatic differentiation on NumPy, one line a derivative.

A `Tensor` is a NumPy array that remembers how it was made; NumPy's own functions work on it,
and `Tensor.backward` gives the derivatives. `grad`, `jacobian`, `hessian`, `vjp` and `jvp` turn
a function into its derivatives, to any order. `defvjp` and `primitive` add rules.
"""

from gradlite.checking import check_grads
from gradlite.debug import debug
from gradlite.errors import GradliteError
from gradlite.modes import enable_grad, no_grad
from gradlite.rule import defvjp, primitive
from gradlite.rules.activations import (
    elu,
    erf,
    gelu,
    leaky_relu,
    relu,
    sigmoid,
    silu,
    softplus,
)
from gradlite.rules.fused import affine, bce_with_logits, cross_entropy, huber, mse
from gradlite.rules.reductions import log_softmax, logsumexp, softmax
from gradlite.tensor import Tensor
from gradlite.transforms import grad, hessian, hvp, jacobian, jvp, value_and_grad, vjp

__version__ = "0.1.0"

__all__ = [
    "GradliteError",
    "Tensor",
    "affine",
    "bce_with_logits",
    "check_grads",
    "cross_entropy",
    "debug",
    "defvjp",
    "elu",
    "enable_grad",
    "erf",
    "gelu",
    "grad",
    "hessian",
    "huber",
    "hvp",
    "jacobian",
    "jvp",
    "leaky_relu",
    "log_softmax",
    "logsumexp",
    "mse",
    "no_grad",
    "primitive",
    "relu",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "value_and_grad",
    "vjp",
]

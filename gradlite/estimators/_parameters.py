"""The parameters that the estimators share: what is allowed, and what they mean.

scikit-learn's parameters come first, with its names, defaults and limits; then gradlite's own.
"""

from __future__ import annotations

import inspect
from numbers import Integral, Real
from textwrap import dedent
from typing import Any, TypeVar

import numpy as np
from sklearn.utils._param_validation import (
    Interval,
    InvalidParameterError,
    Options,
    StrOptions,
)

from gradlite.estimators._network import ACTIVATIONS, NORMALIZATIONS

SOLVERS = ("adam", "sgd", "lbfgs", "adamw", "rmsprop", "lion")
SCHEDULE_NAMES = ("cosine", "one_cycle", "plateau")

positive = Interval(Real, 0, None, closed="neither")
not_negative = Interval(Real, 0, None, closed="left")
fraction = Interval(Real, 0, 1, closed="left")
count = Interval(Integral, 1, None, closed="left")

TRAINING: dict[str, list[Any]] = {
    "solver": [StrOptions(set(SOLVERS))],
    "alpha": [not_negative],
    "batch_size": [StrOptions({"auto"}), count],
    "learning_rate": [StrOptions({"constant", "invscaling", "adaptive"})],
    "learning_rate_init": [positive],
    "power_t": [not_negative],
    "max_iter": [count],
    "shuffle": ["boolean"],
    "random_state": ["random_state"],
    "tol": [not_negative],
    "verbose": ["verbose"],
    "warm_start": ["boolean"],
    "momentum": [Interval(Real, 0, 1, closed="both")],
    "nesterovs_momentum": ["boolean"],
    "early_stopping": ["boolean"],
    "validation_fraction": [fraction],
    "beta_1": [fraction],
    "beta_2": [fraction],
    "epsilon": [positive],
    "n_iter_no_change": [count, Options(Real, {np.inf})],
    "max_fun": [count],
    "standardize": ["boolean"],
    "schedule": [None, StrOptions(set(SCHEDULE_NAMES)), callable],
    "max_grad_norm": [None, positive],
    "scoring": [None, str, callable],
    "callbacks": [None, list, tuple],
    "n_threads": [None, Interval(Integral, 1, 2**31 - 1, closed="both")],
}

NETWORK: dict[str, list[Any]] = {
    "hidden_layer_sizes": ["array-like", count],
    "activation": [StrOptions(set(ACTIVATIONS)), callable, list, tuple],
    "n_layers": [None, Interval(Integral, 0, None, closed="left")],
    "width": [None, count],
    "dropout": [fraction, list, tuple],
    "normalization": [None, StrOptions(set(NORMALIZATIONS))],
}

TEXTS = {
    "network": """\
    hidden_layer_sizes : int or array-like of int, default=(100,)
        The width of each hidden layer.
    activation : str, callable, or a list of one for each hidden layer, default='relu'
        'identity', 'logistic', 'tanh', 'relu', 'leaky_relu', 'elu', 'gelu', 'silu', 'softplus', or
        a function of a Tensor.
    n_layers : int, optional
        With `width`, the hidden layers as numbers that a search can vary: ``n_layers`` layers of
        ``width`` units (100 by default) in place of `hidden_layer_sizes`.
    width : int, optional
        The number of units of every hidden layer. Without `n_layers`, there are as many layers as
        in `hidden_layer_sizes`.
    dropout : float or list of float, default=0.0
        The probability with which outputs of each hidden layer are set to zero in training.
    normalization : {'batch', 'layer'}, optional
        The normalization between each hidden layer and its activation.""",
    "module": """\
    module : Module, class or function, optional
        A network, of which a copy is trained, or a class or function that builds one. It is called
        with the parameters ``module__...`` and, if it has parameters of these names,
        ``in_features``, ``out_features``, ``dtype`` and ``rng``. By default, a hidden layer of 100
        ReLU units.""",
    "training": """\
    solver : {'adam', 'sgd', 'lbfgs', 'adamw', 'rmsprop', 'lion'}, default='adam'
        The optimiser. 'lbfgs' uses all samples at once, in float64.
    alpha : float, default=0.0001
        The strength of the L2 penalty on weights (not on biases), ``alpha / 2 * |W|**2`` divided by
        the number of samples in the batch, as in scikit-learn. With 'adamw' and 'lion' it is the
        decoupled weight decay instead.
    batch_size : int or 'auto', default='auto'
        The number of samples per step; 'auto' is ``min(200, n_samples)``.
    learning_rate : {'constant', 'invscaling', 'adaptive'}, default='constant'
        Only for 'sgd': the rate is constant; is ``learning_rate_init / (t + 1)**power_t`` after t
        samples; or is divided by 5 when two epochs have not improved by `tol`.
    learning_rate_init : float, default=0.001
        The initial rate.
    power_t : float, default=0.5
        The exponent of 'invscaling'.
    max_iter : int, default=200
        The maximum number of epochs, or of iterations for 'lbfgs'.
    shuffle : bool, default=True
        Whether to shuffle the samples in each epoch.
    random_state : int, RandomState or None, default=None
        The source of weights, split, order and dropout. The same integer gives the same network,
        and with parameters that scikit-learn has too, scikit-learn's.
    tol : float, default=1e-4
        An epoch counts as an improvement if the loss or score improves by at least this much.
    verbose : bool, default=False
        Whether to show a progress bar (with the extra ``progress``, in a terminal) or a line per
        epoch.
    warm_start : bool, default=False
        Whether `fit` continues where the last one ended, with its weights, optimiser, schedule and
        random streams. Two fits with ``max_iter=30`` then equal one with 60, bit for bit; except
        that 'lbfgs' estimates the curvature again, and a schedule by name is as long as `max_iter`.
        Parameters that describe the network or the loss cannot be changed in between.
    momentum : float, default=0.9
        The momentum of 'sgd'.
    nesterovs_momentum : bool, default=True
        Whether 'sgd' uses Nesterov's momentum.
    early_stopping : bool, default=False
        Whether to stop by the score of validation data (`X_val`, or a part split off) and keep the
        best weights; otherwise the training loss decides.
    validation_fraction : float, default=0.1
        The fraction that `early_stopping` splits off if `X_val` is not given.
    beta_1 : float, default=0.9
        The decay rate of the first moment; for 'lion', the weight of the momentum in a step.
    beta_2 : float, default=0.999
        The decay rate of the second moment; for 'lion', that of the momentum.
    epsilon : float, default=1e-8
        Added to the denominator by 'adam' and 'adamw'.
    n_iter_no_change : int, default=10
        Stop after more than this many epochs without improvement.
    max_fun : int, default=15000
        The maximum number of loss evaluations of 'lbfgs'.
    standardize : bool, default=False
        Whether to standardize the columns of X (and the target of a regressor) inside the model, so
        that it trains on raw data; predictions are in the units of y.
    schedule : callable, {'cosine', 'one_cycle', 'plateau'} or None, default=None
        A function step -> rate (see `gradlite.schedules`) in place of `learning_rate`; or a name,
        for a schedule from `learning_rate_init` over `max_iter` epochs, which a warm start or
        `partial_fit` after its end starts again. It runs to its end as planned, without a warning
        that it has not converged.
    max_grad_norm : float, optional
        The maximum norm of a gradient; longer ones are scaled down to it.
    scoring : str, callable or None, default=None
        The score of validation data: a scorer of scikit-learn, or 'loss'. By default accuracy or
        R squared; with ``class_weight`` the loss.
    callbacks : list, optional
        Callbacks in the protocol of scikit-learn 1.9, called at each epoch, in addition to those of
        ``set_callbacks``.
    n_threads : int, optional
        The maximum number of threads of matrix products during `fit`; small networks are fastest
        with 1.""",
    "attributes": """\
    n_features_in_, feature_names_in_
        As in every scikit-learn estimator.
    n_iter_, t_ : int
        The number of epochs of the last `fit`, and of samples seen in all fits.
    loss_, best_loss_ : float
        The training loss of the last epoch, and the lowest one (None with `early_stopping`).
    loss_curve_ : list of float
        The training loss of each epoch.
    validation_scores_, validation_loss_curve_ : list of float or None
        The score and loss of the validation data after each epoch; None without validation data.
    best_validation_score_ : float or None
        The best of these scores.
    n_outputs_ : int
        The number of outputs of the network.
    out_activation_ : str
        The function that turns them into predictions.""",
}

T = TypeVar("T", bound=type)


def documented(cls: T) -> T:
    """Insert the shared texts into a class's docstring in place of ``{network}`` and so on."""
    if cls.__doc__:
        doc = inspect.cleandoc(cls.__doc__)  # as Python 3.13 does when it compiles
        for name, text in TEXTS.items():
            doc = doc.replace(f"{{{name}}}", dedent(text))
        cls.__doc__ = doc
    return cls


def store(estimator: Any, arguments: dict[str, Any]) -> None:
    """Store the arguments of ``__init__`` unchanged, as scikit-learn requires."""
    for name, value in arguments.items():
        if name not in ("self", "__class__"):
            setattr(estimator, name, value)


def per_layer(value: Any, name: str, layers: int, low: float, high: float) -> list[float]:
    """Return a number for each hidden layer, from one number for all or a list.

    Raises
    ------
    InvalidParameterError
        If the list has another length, or a number is out of range.
    """
    values = list(value) if isinstance(value, (list, tuple)) else [value] * layers
    if len(values) != layers:
        raise InvalidParameterError(
            f"{name}={value!r} has {len(values)} entries for {layers} hidden layers."
        )
    for x in values:
        if isinstance(x, bool) or not isinstance(x, Real) or not low <= float(x) < high:
            raise InvalidParameterError(
                f"{name} must be in [{low}, {high}) for every layer, not {x!r}."
            )
    return values


def same(a: Any, b: Any) -> bool:
    """Return whether two values of a parameter, which may be arrays, are equal."""
    try:
        return a is b or bool(a == b)
    except ValueError:
        return np.array_equal(a, b)

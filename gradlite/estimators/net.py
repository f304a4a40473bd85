"""NetClassifier and NetRegressor: any network, trained and used as a scikit-learn estimator."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from gradlite.autodiff.modes import enable_grad
from gradlite.errors import ShapeError
from gradlite.estimators._base import BaseNet
from gradlite.estimators._classifier import CLASSIFICATION, BaseClassifier
from gradlite.estimators._objectives import title
from gradlite.estimators._parameters import TRAINING, documented, store
from gradlite.estimators._regressor import REGRESSION, BaseRegressor
from gradlite.estimators._samples import Samples
from gradlite.nn import Linear, Module, ReLU, Sequential
from gradlite.nn.module import eval_mode, random_draws

PREFIX = "module__"


class ModuleMixin(BaseNet):
    """What both Net estimators add to `BaseNet`: the user's own network."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **TRAINING,
        "module": [None, Module, callable],
    }

    def _store(self, arguments: dict[str, Any], module_params: dict[str, Any]) -> None:
        store(self, {name: v for name, v in arguments.items() if name != "module__params"})
        for name, value in module_params.items():
            self._check_name(name)
            setattr(self, name, value)

    def _check_name(self, name: str) -> None:
        if not name.startswith(PREFIX):
            raise TypeError(
                f"{type(self).__name__}.__init__() got an unexpected keyword argument {name!r}. "
                f"Parameters of the network are called {PREFIX}..."
            )

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters, including those of the network (``module__...``).

        Parameters
        ----------
        deep : bool, default=True
            Has no effect: nothing is nested.

        Returns
        -------
        dict
        """
        params = {name: getattr(self, name) for name in self._get_param_names()}
        return {**params, **self._module_params()}

    def set_params(self, **params: Any) -> Any:
        """Set parameters, including those of the network (``module__...``).

        Parameters
        ----------
        **params : dict
            Names and values.

        Returns
        -------
        self
        """
        known = {name: v for name, v in params.items() if not name.startswith(PREFIX)}
        super().set_params(**known)
        for name in params.keys() - known.keys():
            setattr(self, name, params[name])
        return self

    def _module_params(self) -> dict[str, Any]:
        return {name: v for name, v in vars(self).items() if name.startswith(PREFIX)}

    def _structure(self) -> dict[str, Any]:
        return {"module": self.module, **self._module_params()}

    def _make_module(
        self, params: dict[str, Any], n_features: int, n_outputs: int, dtype: Any, rng: Any
    ) -> Module:
        given = perceptron if params["module"] is None else params["module"]
        params = {name[len(PREFIX) :]: v for name, v in params.items() if name.startswith(PREFIX)}
        if isinstance(given, Module):
            if params:
                raise ValueError(
                    f"{PREFIX}{next(iter(params))} needs a class or a function that builds the "
                    f"network; module is a finished one."
                )
            return trainable(copy.deepcopy(given).astype(dtype))
        if isinstance(rng, np.random.RandomState):
            rng = np.random.default_rng(rng.randint(0, 2**31, size=4))
        offered = {"in_features": n_features, "out_features": n_outputs, "dtype": dtype, "rng": rng}
        arguments = builder_arguments(given, offered, params)
        with random_draws(rng):
            module = given(**arguments)
        if not isinstance(module, Module):
            raise TypeError(
                f"module={title(given)} built a {type(module).__name__}, not a Module of "
                f"gradlite.nn."
            )
        return trainable(module.astype(dtype))

    def _start(self, samples: Samples) -> None:
        super()._start(samples)
        few = samples.X[:2]
        with enable_grad(), eval_mode():
            output = self._module(few)
        shape, expected = np.shape(output), (few.shape[0], self.n_outputs_)
        if shape != expected:
            raise ShapeError(
                f"The network returned outputs of shape {shape} for {few.shape[0]} samples; "
                f"{type(self).__name__} with loss={self.loss!r} needs {expected} here: "
                f"out_features={self.n_outputs_}."
            )
        if not getattr(output, "requires_grad", False):
            raise ValueError(
                f"The output of {type(self._network).__name__} does not depend on its parameters: "
                f"compute it from them in forward, without detach() and no_grad()."
            )

    @property
    def module_(self) -> Module:
        """The trained network, without the standardization before it."""
        if not self.__sklearn_is_fitted__():
            raise AttributeError(f"This {type(self).__name__} is not fitted yet.")
        module: Module = self._network
        return module


def trainable(module: Module) -> Module:
    """Return the module, or raise ValueError if it has no parameters to train."""
    if not any(p.requires_grad for p in module.parameters()):
        raise ValueError(f"This network has no parameters to train: {module!r}")
    return module


def builder_arguments(
    builder: Callable[..., Any], offered: dict[str, Any], params: dict[str, Any]
) -> dict[str, Any]:
    """Return the arguments of a builder: those that the user has set, and the offered ones it has.

    Raises
    ------
    ValueError
        If it does not have a parameter that the user has set.
    TypeError
        If it needs a parameter that is neither set nor offered.
    """
    parameters = inspect.signature(builder).parameters.values()
    names = [p.name for p in parameters]
    if not any(p.kind is p.VAR_KEYWORD for p in parameters):
        for name in params.keys() - set(names):
            raise ValueError(
                f"{PREFIX}{name}: {title(builder)} has no parameter {name!r}; it takes "
                f"{', '.join(names) or 'none'}."
            )
    arguments = {name: value for name, value in offered.items() if name in names} | params
    for p in parameters:
        variadic = p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
        if p.default is p.empty and not variadic and p.name not in arguments:
            raise TypeError(
                f"module={title(builder)} needs {p.name!r}, which is not set. Name the parameters "
                f"for the size of the data in_features, out_features (and dtype, rng where it "
                f"takes these); set others here, {PREFIX}{p.name}=..."
            )
    return arguments


def perceptron(
    in_features: int, out_features: int, dtype: Any, rng: np.random.Generator, width: int = 100
) -> Module:
    """Build the default network."""
    return Sequential(
        Linear(in_features, width, dtype=dtype, rng=rng),
        ReLU(),
        Linear(width, out_features, dtype=dtype, rng=rng),
    )


@documented
class NetClassifier(ModuleMixin, BaseClassifier):
    """A classifier from any `gradlite.nn.Module`.

    The network takes a batch of rows and returns a logit for each class (a single logit for two
    classes, but always one for each class with your own loss).

    Parameters
    ----------
    {module}
    {training}
    loss : {'log_loss', 'hinge'} or callable, default='log_loss'
        A callable takes logits (a Tensor, (n, n_classes)) and class numbers (n,), and optionally
        ``sample_weight``; it returns the mean loss, or the loss of each sample.
    class_weight : dict, 'balanced' or None, default=None
        The weight of each class; 'balanced' gives every class the same total.
    **module__params
        Parameters of the network, ``module__width=64``: a search can vary them.

    Attributes
    ----------
    classes_ : array or list of array
        The class labels.
    module_ : Module
        The trained network.
    {attributes}

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from gradlite import NetClassifier, nn
    >>> def build(in_features, out_features, width=16):
    ...     return nn.Sequential(nn.Linear(in_features, width), nn.Tanh(),
    ...                          nn.Linear(width, out_features))
    >>> X, y = load_iris(return_X_y=True)
    >>> model = NetClassifier(build, module__width=8, max_iter=500, learning_rate_init=0.01,
    ...                       random_state=0)
    >>> model.fit(X, y).score(X, y) > 0.9
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **ModuleMixin._parameter_constraints,
        **CLASSIFICATION,
    }

    def __init__(
        self,
        module: Any = None,
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: Any = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        loss: Any = "log_loss",
        class_weight: Any = None,
        standardize: bool = False,
        schedule: Any = None,
        max_grad_norm: float | None = None,
        scoring: Any = None,
        callbacks: Any = None,
        n_threads: int | None = None,
        **module__params: Any,
    ) -> None:
        self._store(locals(), module__params)


@documented
class NetRegressor(ModuleMixin, BaseRegressor):
    """A regressor from any `gradlite.nn.Module`.

    The network takes a batch of rows and returns (n, n_outputs): a number for each column of y, or
    as many as the loss needs (one for each quantile; mean and log variance).

    Parameters
    ----------
    {module}
    loss : str or callable, default='squared_error'
        As in `MLPRegressor`.
    {training}
    quantiles : float or array-like of float, default=(0.05, 0.5, 0.95)
        The quantiles that ``loss='quantile'`` learns.
    **module__params
        Parameters of the network, ``module__width=64``: a search can vary them.

    Attributes
    ----------
    module_ : Module
        The trained network.
    {attributes}

    Examples
    --------
    >>> import numpy as np
    >>> from gradlite import NetRegressor, nn
    >>> X = np.linspace(-1, 1, 200)[:, None]
    >>> network = nn.Sequential(nn.Linear(1, 16), nn.Tanh(), nn.Linear(16, 1))
    >>> model = NetRegressor(network, solver="lbfgs", max_iter=1000, random_state=0)
    >>> model.fit(X, np.sin(3 * X[:, 0])).score(X, np.sin(3 * X[:, 0])) > 0.9
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **ModuleMixin._parameter_constraints,
        **REGRESSION,
    }

    def __init__(
        self,
        module: Any = None,
        loss: Any = "squared_error",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: Any = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        quantiles: Any = (0.05, 0.5, 0.95),
        standardize: bool = False,
        schedule: Any = None,
        max_grad_norm: float | None = None,
        scoring: Any = None,
        callbacks: Any = None,
        n_threads: int | None = None,
        **module__params: Any,
    ) -> None:
        self._store(locals(), module__params)

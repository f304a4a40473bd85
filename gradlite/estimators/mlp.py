"""MLPClassifier and MLPRegressor: scikit-learn's parameters and results, and additional ones."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
from sklearn.utils._param_validation import InvalidParameterError

from gradlite.errors import PersistError
from gradlite.estimators._base import BaseNet
from gradlite.estimators._classifier import CLASSIFICATION, BaseClassifier
from gradlite.estimators._network import ACTIVATIONS, Perceptron, check_memory
from gradlite.estimators._parameters import NETWORK, TRAINING, documented, per_layer, store
from gradlite.estimators._regressor import REGRESSION, BaseRegressor
from gradlite.estimators._samples import Samples
from gradlite.nn import Module, Sequential


class Views(list[np.ndarray]):
    """A list of views of a network's arrays: assigning to an item copies into the network."""

    def __setitem__(self, index: Any, value: Any) -> None:
        if isinstance(index, slice):
            for view, array in zip(self[index], value, strict=True):
                copy_weights(view, array)
        else:
            copy_weights(self[index], value)


def copy_weights(view: np.ndarray, array: Any) -> None:
    """Copy an array of the same shape.

    Raises
    ------
    ValueError
        If it has another shape.
    """
    if np.shape(array) != view.shape:
        raise ValueError(f"an array of shape {np.shape(array)} for weights of shape {view.shape}.")
    view[...] = array


class MLPMixin(BaseNet):
    """What both MLP estimators add to `BaseNet`: the network is described by its layers."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {**TRAINING, **NETWORK}

    def _hidden_sizes(self) -> list[int]:
        """Return the width of each hidden layer."""
        sizes = self.hidden_layer_sizes
        sizes = [sizes] if np.ndim(sizes) == 0 else list(sizes)
        if self.n_layers is not None:
            sizes = [100 if self.width is None else self.width] * self.n_layers
        elif self.width is not None:
            sizes = [self.width] * len(sizes)
        if not all(isinstance(size, (int, np.integer)) and size > 0 for size in sizes):
            raise ValueError(f"hidden_layer_sizes must be > 0, got {sizes}: integers are expected.")
        return [int(size) for size in sizes]

    def _structure(self) -> dict[str, Any]:
        hidden = self._hidden_sizes()
        return {
            "hidden_layer_sizes": hidden,
            "activation": self._activations(len(hidden)),
            "dropout": per_layer(self.dropout, "dropout", len(hidden), 0, 1),
            "normalization": self.normalization,
        }

    def _start(self, samples: Samples) -> None:
        sizes = [self.n_features_in_, *self._hidden_sizes(), self.n_outputs_]
        check_memory(sizes, samples.X.dtype)
        super()._start(samples)
        self.n_layers_ = len(sizes)

    def _make_module(
        self, params: dict[str, Any], n_features: int, n_outputs: int, dtype: Any, rng: Any
    ) -> Perceptron:
        sizes = [n_features, *params["hidden_layer_sizes"], n_outputs]
        return Perceptron(
            sizes, params["activation"], params["dropout"], params["normalization"], dtype, rng
        )

    def _pack_network(self) -> dict[str, np.ndarray]:
        state: dict[str, np.ndarray] = self._network.state_dict()
        return state

    def _unpack_network(self, packed: dict[str, np.ndarray]) -> Module:
        return self._network_of(packed, np.random.RandomState(0))

    def _check_declared(self, arrays: int, numbers: int) -> None:
        depth = np.size(self.hidden_layer_sizes) if self.n_layers is None else self.n_layers
        if 2 * (depth + 1) <= arrays:  # a weight and a bias each
            sizes = [self.n_features_in_, *self._hidden_sizes(), self.n_outputs_]
            if sum((n + 1) * m for n, m in pairwise(sizes)) <= numbers:
                return
        raise PersistError(
            f"It declares {depth:,} hidden layers between {self.n_features_in_:,} features and "
            f"{self.n_outputs_:,} outputs, and holds {numbers:,} weights in {arrays:,} arrays."
        )

    def _activations(self, layers: int) -> list[Any]:
        given = self.activation
        if not isinstance(given, (list, tuple)):
            return [given] * layers
        if len(given) != layers:
            raise InvalidParameterError(
                f"activation={given!r} has {len(given)} entries for {layers} hidden layers."
            )
        for name in given:
            if not callable(name) and name not in ACTIVATIONS:
                raise InvalidParameterError(
                    f"activation must be a function or one of {', '.join(ACTIVATIONS)}, not "
                    f"{name!r}."
                )
        return list(given)

    @property
    def coefs_(self) -> list[np.ndarray]:
        """Weight matrices, (inputs, outputs), from the first layer to the last: live views."""
        return Views(layer.weight.data.T for layer in self._linears())

    @coefs_.setter
    def coefs_(self, arrays: Any) -> None:
        self.coefs_[:] = arrays

    @property
    def intercepts_(self) -> list[np.ndarray]:
        """Biases, from the first layer to the last: live views."""
        return Views(layer.bias.data for layer in self._linears())

    @intercepts_.setter
    def intercepts_(self, arrays: Any) -> None:
        self.intercepts_[:] = arrays

    def _linears(self) -> list[Any]:
        if not self.__sklearn_is_fitted__():
            raise AttributeError(f"This {type(self).__name__} is not fitted yet.")
        linears: list[Any] = self._network.linears()
        return linears

    def hidden_activations(self, X: Any, layer: int = -1) -> np.ndarray:
        """Return the outputs of a hidden layer, after its activation.

        Parameters
        ----------
        X : {array-like, sparse matrix}, shape (n_samples, n_features)
        layer : int, default=-1
            The hidden layer, counted from 0; negative numbers count from the last.

        Returns
        -------
        array, shape (n_samples, width of the layer)

        Raises
        ------
        IndexError
            If there is no such layer.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from gradlite import MLPClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> model = MLPClassifier((8, 4), solver="lbfgs", random_state=0, standardize=True)
        >>> model = model.fit(X, y)
        >>> model.hidden_activations(X, 0).shape
        (150, 8)
        """
        X = self._check_X(X)
        ends = self._network.ends
        if not -len(ends) <= layer < len(ends):
            raise IndexError(f"layer {layer} of a network with {len(ends)} hidden layers.")
        part = self._network[: ends[layer]]
        if self._module is not self._network:
            part = Sequential(self._module[0], *part)
        return self._forward(X, part)


@documented
class MLPClassifier(MLPMixin, BaseClassifier):
    """Multi-layer perceptron for classification: scikit-learn's MLPClassifier, and more.

    A program that uses `sklearn.neural_network.MLPClassifier` works with the import changed, and
    the same ``random_state`` gives the same network. The target has two or more classes, several
    labels per sample, or several columns of classes.

    Parameters
    ----------
    {network}
    {training}
    loss : {'log_loss', 'hinge'} or callable, default='log_loss'
        A callable takes logits (a Tensor, (n, n_classes)) and class numbers (n,), and optionally
        ``sample_weight``; it returns the mean loss, or the loss of each sample.
    class_weight : dict, 'balanced' or None, default=None
        The weight of each class; 'balanced' gives every class the same total.

    Attributes
    ----------
    classes_ : array or list of array
        The class labels.
    coefs_, intercepts_ : list of array
        The weights (inputs, outputs) and biases of each layer.
    n_layers_ : int
        The number of layers, including input and output.
    {attributes}

    See Also
    --------
    NetClassifier : The same for a network of your own.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.model_selection import train_test_split
    >>> from gradlite import MLPClassifier
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> X, X_test, y, y_test = train_test_split(X, y, random_state=0)
    >>> model = MLPClassifier((32, 16), dropout=0.1, class_weight="balanced", standardize=True,
    ...                       early_stopping=True, learning_rate_init=0.01, random_state=0)
    >>> model = model.fit(X, y)
    >>> model.score(X_test, y_test) > 0.9
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **MLPMixin._parameter_constraints,
        **CLASSIFICATION,
    }

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
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
        n_layers: int | None = None,
        width: int | None = None,
        dropout: Any = 0.0,
        normalization: str | None = None,
        standardize: bool = False,
        schedule: Any = None,
        max_grad_norm: float | None = None,
        scoring: Any = None,
        callbacks: Any = None,
        n_threads: int | None = None,
    ) -> None:
        store(self, locals())


@documented
class MLPRegressor(MLPMixin, BaseRegressor):
    """Multi-layer perceptron for regression: scikit-learn's MLPRegressor, and more.

    A program that uses `sklearn.neural_network.MLPRegressor` works with the import changed, and the
    same ``random_state`` gives the same network.

    Parameters
    ----------
    loss : str or callable, default='squared_error'
        'squared_error' (half of it, as in scikit-learn), 'absolute_error', 'huber', 'poisson',
        'quantile', 'gaussian_nll', or a function of outputs and targets (Tensors; (n,) or
        (n, n_outputs), like y) and optionally ``sample_weight``, which returns the mean loss or the
        loss of each sample.
    {network}
    {training}
    quantiles : float or array-like of float, default=(0.05, 0.5, 0.95)
        The quantiles that ``loss='quantile'`` learns.

    Attributes
    ----------
    coefs_, intercepts_ : list of array
        The weights (inputs, outputs) and biases of each layer.
    n_layers_ : int
        The number of layers, including input and output.
    {attributes}

    See Also
    --------
    NetRegressor : The same for a network of your own.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from gradlite import MLPRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = MLPRegressor(hidden_layer_sizes=(32,), standardize=True, random_state=0,
    ...                      learning_rate_init=0.01, tol=0.01).fit(X, y)
    >>> model.score(X, y) > 0.5
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **MLPMixin._parameter_constraints,
        **REGRESSION,
    }

    def __init__(
        self,
        loss: Any = "squared_error",
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
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
        n_layers: int | None = None,
        width: int | None = None,
        dropout: Any = 0.0,
        normalization: str | None = None,
        standardize: bool = False,
        schedule: Any = None,
        max_grad_norm: float | None = None,
        scoring: Any = None,
        callbacks: Any = None,
        n_threads: int | None = None,
    ) -> None:
        store(self, locals())

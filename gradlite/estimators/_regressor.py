"""What is particular to regressors."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import MultiOutputMixin, RegressorMixin, _fit_context
from sklearn.metrics import r2_score
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import available_if

from gradlite.errors import PersistError
from gradlite.estimators._base import BaseNet
from gradlite.estimators._objectives import REGRESSION_LOSSES, regression_objective
from gradlite.estimators._samples import Samples
from gradlite.estimators._targets import column_or_matrix
from gradlite.training.data import mean_and_scale

REGRESSION: dict[str, list[Any]] = {
    "loss": [StrOptions(set(REGRESSION_LOSSES)), callable],
    "quantiles": ["array-like", float],
}


class BaseRegressor(MultiOutputMixin, RegressorMixin, BaseNet):  # type: ignore[misc]
    """Base of the regressors. Not to be used itself."""

    _y_numeric = True

    # -- targets --------------------------------------------------------------------------------

    def _check_y(self, y: np.ndarray) -> np.ndarray:
        if y.dtype.kind not in "biuf":
            raise ValueError(
                f"y must hold numbers for {type(self).__name__}, not values of dtype {y.dtype}: "
                f"convert them with y.astype(float), or take a classifier for labels."
            )
        return column_or_matrix(y)

    def _learn_targets(self, y: np.ndarray, weight: np.ndarray | None, classes: Any) -> None:
        self._one_column = y.ndim == 1
        self._set_objective(1 if y.ndim == 1 else y.shape[1])
        self._check_domain(y)
        self._scaling = None  # or mean and scale of y
        if self.standardize and self._objective.scales:
            self._scaling = mean_and_scale(y.reshape(len(y), -1), weight)

    def _set_objective(self, columns: int) -> None:
        self._objective = regression_objective(columns=columns, **self._loss)
        self.n_outputs_ = self._objective.heads * columns
        self.out_activation_ = self._objective.out_activation

    def _target_state(self) -> dict[str, Any]:
        return {
            "one_column": self._one_column,
            "columns": self._objective.columns,
            "scaling": self._scaling,
        }

    def _restore_targets(self, state: dict[str, Any]) -> None:
        self._one_column = state["one_column"]
        self._scaling = state["scaling"]
        self._set_objective(state["columns"])
        if self._scaling is not None:
            shapes = [np.shape(part) for part in self._scaling]
            if shapes != [(self._objective.columns,)] * 2:
                raise PersistError(f"It scales {self._objective.columns} targets by {shapes}.")

    def _check_targets(self, y: np.ndarray, exactly: bool) -> None:
        columns = 1 if y.ndim == 1 else y.shape[1]
        if columns != self._objective.columns:
            raise ValueError(
                f"y has {columns} columns, and this {type(self).__name__} was fitted with "
                f"{self._objective.columns}."
            )
        self._check_domain(y)

    def _check_domain(self, y: np.ndarray) -> None:
        if self._objective.out_activation == "exp" and np.any(y < 0):
            raise ValueError(
                f"Some values of y are negative, the smallest {np.min(y)}: the Poisson loss needs "
                f"y >= 0."
            )

    def _encode(self, y: np.ndarray, dtype: Any) -> np.ndarray:
        y = y.reshape(len(y), -1)
        if self._scaling is not None:
            mean, scale = self._scaling
            y = (y - mean) / scale
        return y.astype(dtype, copy=False)

    def _decode(self, answer: np.ndarray) -> np.ndarray:
        """Bring predictions of the network to the units of y."""
        if self._scaling is None:
            return answer
        mean, scale = self._scaling
        decoded: np.ndarray = (answer * scale + mean).astype(answer.dtype, copy=False)
        return decoded

    # -- fit and predict ------------------------------------------------------------------------

    @available_if(lambda est: est._check_partial_fit())
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Train for one epoch on the given data.

        Parameters
        ----------
        X, y, sample_weight
            As in `fit`.

        Returns
        -------
        self
        """
        return self._fit(X, y, sample_weight, incremental=True)

    def predict(self, X: Any) -> np.ndarray:
        """Predict numbers, in the units of y.

        Parameters
        ----------
        X : {array-like, sparse matrix}, shape (n_samples, n_features)

        Returns
        -------
        array, shape (n_samples,) or (n_samples, n_outputs)
            With ``loss='quantile'`` the quantile that is nearest to the median.
        """
        return self._answer(self._outputs(X))

    def _answer(self, z: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            answer = self._decode(self._objective.predict(z))
        return answer.reshape(-1) if self._one_column else answer

    def predict_interval(self, X: Any, coverage: float = 0.9) -> np.ndarray:
        """Predict an interval that holds y with probability `coverage`.

        Parameters
        ----------
        X : {array-like, sparse matrix}, shape (n_samples, n_features)
        coverage : float, default=0.9
            Between 0 and 1. With ``loss='quantile'`` the bounds must be among the quantiles that
            were learned; with ``loss='gaussian_nll'`` any coverage goes.

        Returns
        -------
        array, shape (n_samples, 2) or (n_samples, n_outputs, 2)
            Lower and upper bound.

        Raises
        ------
        AttributeError
            If the loss says nothing about spread.

        Examples
        --------
        >>> import numpy as np
        >>> from gradlite import MLPRegressor
        >>> rng = np.random.default_rng(0)
        >>> X = rng.uniform(-1, 1, (400, 1))
        >>> y = X[:, 0] + rng.normal(0, 0.1, 400)
        >>> model = MLPRegressor("gaussian_nll", (16,), tol=0.01, random_state=0, max_iter=500)
        >>> bounds = model.fit(X, y).predict_interval(X)
        >>> inside = np.mean((bounds[:, 0] <= y) & (y <= bounds[:, 1]))
        >>> bool(0.8 < inside < 1)
        True
        """
        if not 0 < coverage < 1:
            raise ValueError(f"coverage must be between 0 and 1, not {coverage!r}.")
        z = self._outputs(X)
        with np.errstate(all="ignore"):
            bounds = self._objective.interval(z, coverage)
            low, high = (self._decode(np.ascontiguousarray(bounds[:, :, i])) for i in (0, 1))
        both = np.stack([low, high], axis=2)
        return both[:, 0] if self._one_column else both

    def _score_outputs(self, z: np.ndarray, samples: Samples) -> float:
        if not np.all(np.isfinite(z)):
            return float("nan")
        return float(r2_score(samples.y, self._answer(z), sample_weight=samples.weight))

    def _differentiable(self, z: Any) -> Any:
        answer = self._objective.predict(z)
        return answer if self._scaling is None else answer * self._scaling[1].astype(z.dtype)

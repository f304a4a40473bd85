"""The base of the regressors: numbers in the units of y, and intervals."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import MultiOutputMixin, RegressorMixin, _fit_context
from sklearn.metrics import r2_score
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import available_if

from gradlite.errors import PersistError
from gradlite.estimators._base import BaseNet
from gradlite.estimators._objectives import (
    REGRESSION_LOSSES,
    loss_settings,
    regression_objective,
)
from gradlite.estimators._samples import Samples
from gradlite.estimators._targets import NumberTargets, column_or_matrix
from gradlite.training.data import mean_and_scale

REGRESSION: dict[str, list[Any]] = {
    "loss": [StrOptions(set(REGRESSION_LOSSES)), callable],
    "quantiles": ["array-like", float],
}


# scikit-learn has no types.
class BaseRegressor(MultiOutputMixin, RegressorMixin, BaseNet):  # type: ignore[misc]
    """Base class of the regressors."""

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
        columns = 1 if y.ndim == 1 else y.shape[1]
        objective = regression_objective(columns=columns, **loss_settings(self))
        targets = NumberTargets(objective, y.ndim == 1)
        targets.check(y)
        if self.standardize and objective.scales:
            targets.scaling = mean_and_scale(y.reshape(len(y), -1), weight)
        self._set_targets(targets)

    def _set_targets(self, targets: NumberTargets) -> None:
        self._targets = targets
        self.n_outputs_ = targets.objective.heads * targets.objective.columns
        self.out_activation_ = targets.objective.out_activation

    @property
    def _objective(self) -> Any:
        return self._targets.objective

    def _restore_targets(self, state: dict[str, Any]) -> None:
        columns, scaling = state["columns"], state["scaling"]
        fitted_with = self._training.fitted_with
        loss = {name: fitted_with[name] for name in ("loss", "quantiles")}
        if scaling is not None:
            shapes = [np.shape(part) for part in scaling]
            if shapes != [(columns,)] * 2:
                raise PersistError(f"It scales {columns} targets by {shapes}.")
        objective = regression_objective(columns=columns, **loss)
        self._set_targets(NumberTargets(objective, state["one_column"], scaling))

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
        z = self._outputs(X)
        predictions: np.ndarray = self._targets.predict(z)
        return predictions

    def predict_interval(self, X: Any, coverage: float = 0.9) -> np.ndarray:
        """Predict an interval that holds y with probability `coverage`.

        Parameters
        ----------
        X : {array-like, sparse matrix}, shape (n_samples, n_features)
        coverage : float, default=0.9
            Between 0 and 1. With ``loss='quantile'`` the bounds must be among the learned
            quantiles; with ``loss='gaussian_nll'`` any coverage is possible.

        Returns
        -------
        array, shape (n_samples, 2) or (n_samples, n_outputs, 2)
            Lower and upper bound.

        Raises
        ------
        AttributeError
            If the loss does not learn the spread.

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
        targets = self._targets
        with np.errstate(all="ignore"):
            bounds = targets.objective.interval(z, coverage)
            low, high = (targets.decode(np.ascontiguousarray(bounds[:, :, i])) for i in (0, 1))
        both = np.stack([low, high], axis=2)
        return both[:, 0] if targets.one_column else both

    def _score_outputs(self, z: np.ndarray, samples: Samples) -> float:
        if not np.all(np.isfinite(z)):
            return float("nan")
        return float(r2_score(samples.y, self._targets.predict(z), sample_weight=samples.weight))

    def _differentiable(self, z: Any) -> Any:
        predictions, scaling = self._objective.predict(z), self._targets.scaling
        return predictions if scaling is None else predictions * scaling[1].astype(z.dtype)

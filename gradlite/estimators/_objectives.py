"""Losses by name: what the network minimises, how many outputs it needs, what they mean.

Each objective is a small object: ``objective(output, target, sample_weight)`` returns the weighted
mean over samples, summed over target columns as in scikit-learn.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import partial
from statistics import NormalDist
from typing import Any

import numpy as np

from gradlite import nn
from gradlite.autodiff.tensor import Tensor
from gradlite.estimators._targets import ClassTargets


def loss_settings(est: Any) -> dict[str, Any]:
    """Return the parameters of an estimator that its objective is made from."""
    return {name: getattr(est, name) for name in ("loss", "quantiles") if hasattr(est, name)}


# -- losses that the user wrote ---------------------------------------------------------------


class Custom:
    """The user's own loss, a function of Tensors, as an objective.

    Parameters
    ----------
    fn : callable
        ``fn(output, target)``, or with a third parameter ``sample_weight``. Returns the mean loss,
        a 0-d Tensor, or the loss of each sample, shape (n,), which is averaged with the weights.
    flat : bool
        Whether to pass one-column outputs and targets as (n,), the shape of the user's y.
    """

    def __init__(self, fn: Callable[..., Any], flat: bool = False) -> None:
        self.fn = fn
        self.flat = flat
        self.weighs = takes(fn, "sample_weight")

    def __call__(self, output: Any, target: Any, sample_weight: Any) -> Any:
        if self.flat and output.shape[1:] == (1,) and target.shape[1:] == (1,):
            output, target = output[:, 0], target[:, 0]
        if self.weighs:
            loss = self.fn(output, target, sample_weight=sample_weight)
        else:
            loss = self.fn(output, target)
        if isinstance(output, Tensor) and not isinstance(loss, Tensor):
            raise TypeError(
                f"The loss {title(self.fn)} returned {loss!r}, which is not a Tensor: compute it "
                f"from the outputs with Tensor operations and NumPy functions."
            )
        shape = np.shape(loss)
        if shape == () and (self.weighs or sample_weight is None):
            return loss
        if shape == (len(target),):
            return nn.weighted_mean(loss, sample_weight)
        if shape == ():
            raise ValueError(
                f"The loss {title(self.fn)} returns one number, which cannot be weighted "
                f"afterwards: add a parameter sample_weight, or return each sample's loss, (n,)."
            )
        raise ValueError(
            f"The loss {title(self.fn)} returned shape {shape}: expected one number, or one for "
            f"each of the {len(target)} samples."
        )


def title(fn: Callable[..., Any]) -> str:
    """Return the name of a callable, for messages."""
    return getattr(fn, "__name__", repr(fn))


def takes(fn: Callable[..., Any], name: str) -> bool:
    """Return whether a callable has a parameter `name`."""
    try:
        return name in inspect.signature(fn).parameters
    except ValueError:  # built-in, without a signature
        return False


# -- classification ---------------------------------------------------------------------------

CLASS_LOSSES = ("log_loss", "cross_entropy", "bce_with_logits", "hinge")


def class_objective(loss: Any, targets: ClassTargets) -> Callable[[Any, Any, Any], Any]:
    """Return the objective of a classifier."""
    if callable(loss):
        fn: Any = Custom(loss)
    elif loss == "hinge":
        fn = mean_hinge
    elif targets.out_activation == "softmax":
        fn = mean_cross_entropy
    else:
        return partial(mean_bce, columns=targets.n_outputs)
    return partial(summed, fn=fn, groups=targets.groups()) if targets.kind == "multioutput" else fn


def mean_cross_entropy(output: Any, target: Any, sample_weight: Any) -> Any:
    """Return the cross-entropy, averaged over samples."""
    return nn.cross_entropy(output, target, sample_weight=sample_weight)


def mean_bce(output: Any, target: Any, sample_weight: Any, columns: int) -> Any:
    """Return the binary cross-entropy, averaged over samples and summed over `columns` labels."""
    loss = nn.bce_with_logits(output, target, sample_weight=sample_weight)
    return loss if columns == 1 else columns * loss


def mean_hinge(output: Any, target: Any, sample_weight: Any) -> Any:
    """Return the mean hinge loss: of all classes, or summed over labels of 0 and 1."""
    if target.ndim == 2:
        loss = nn.hinge(output, 2 * target - 1, sample_weight=sample_weight)
        return output.shape[1] * loss
    return nn.hinge(output, target, sample_weight=sample_weight)


def summed(
    output: Any, target: Any, sample_weight: Any, fn: Callable[..., Any], groups: Sequence[slice]
) -> Any:
    """Return the sum of the losses of several columns of classes, each with its logits."""
    return sum(fn(output[:, group], target[:, i], sample_weight) for i, group in enumerate(groups))


# -- regression -------------------------------------------------------------------------------


class Regression:
    """The objective of a regressor: a loss with `heads` outputs for each target column.

    Parameters
    ----------
    columns : int
        The number of target columns.
    """

    heads = 1
    out_activation = "identity"
    scales = True  # whether the target may be standardized

    def __init__(self, columns: int) -> None:
        self.columns = columns

    def __call__(self, output: Any, target: Any, sample_weight: Any) -> Any:
        raise NotImplementedError

    def predict(self, z: Any) -> Any:
        """Return the point prediction, (n, columns), of outputs (n, heads * columns).

        `z` is an array or a Tensor, as `predict_gradient` differentiates this.
        """
        return z

    def interval(self, z: np.ndarray, coverage: float) -> np.ndarray:
        """Return lower and upper bounds, (n, columns, 2).

        Raises
        ------
        AttributeError
            If the loss does not learn the spread.
        """
        raise AttributeError(
            "predict_interval needs a network that learned the spread: loss='quantile' with the "
            "quantiles that bound the interval, or loss='gaussian_nll'."
        )


class Plain(Regression):
    """A loss with one output for each target, given as its mean over all elements."""

    def __init__(self, columns: int, fn: Callable[..., Any], factor: float = 1.0) -> None:
        super().__init__(columns)
        self.fn = fn
        self.factor = factor * columns

    def __call__(self, output: Any, target: Any, sample_weight: Any) -> Any:
        loss = self.fn(output, target, sample_weight=sample_weight)
        return loss if self.factor == 1 else self.factor * loss


class Poisson(Regression):
    """Half the Poisson deviance, ``y log(y / mu) - y + mu``, with the log link ``mu = exp(z)``."""

    out_activation = "exp"
    scales = False

    def __call__(self, output: Any, target: Any, sample_weight: Any) -> Any:
        from scipy.special import xlogy

        loss = nn.poisson_nll(output, target, sample_weight=sample_weight)
        constant = nn.weighted_mean((xlogy(target, target) - target).mean(axis=1), sample_weight)
        return self.columns * (loss + constant)

    def predict(self, z: Any) -> Any:
        """Return the mean of the Poisson distribution."""
        return np.exp(z)


class Quantile(Regression):
    """The pinball loss, with an output for each quantile."""

    def __init__(self, columns: int, quantiles: Sequence[float]) -> None:
        super().__init__(columns)
        try:
            self.quantiles = np.sort(np.ravel(np.asarray(quantiles, dtype=float)))
        except (TypeError, ValueError):
            self.quantiles = np.array([])
        if not len(self.quantiles) or not np.all((self.quantiles > 0) & (self.quantiles < 1)):
            raise ValueError(f"quantiles must be numbers between 0 and 1, not {quantiles!r}.")
        self.heads = len(self.quantiles)

    def __call__(self, output: Any, target: Any, sample_weight: Any) -> Any:
        if self.columns > 1:
            output = output.reshape(-1, self.heads)
            if sample_weight is not None:
                sample_weight = np.repeat(sample_weight, self.columns)
        loss = nn.quantile(
            output,
            target.reshape(-1),
            quantiles=self.quantiles.tolist(),
            sample_weight=sample_weight,
        )
        return self.columns * loss

    def _sorted(self, z: Any) -> Any:
        # Sorting repairs quantiles that cross: Chernozhukov, Fernández-Val and Galichon, 2010.
        return np.sort(z.reshape(-1, self.columns, self.heads), axis=2)

    def predict(self, z: Any) -> Any:
        """Return the quantile nearest to the median."""
        return self._sorted(z)[:, :, int(np.abs(self.quantiles - 0.5).argmin())]

    def interval(self, z: np.ndarray, coverage: float) -> np.ndarray:
        """Return the two learned quantiles that have the probability `coverage` between them."""
        tail = (1 - coverage) / 2
        found = [int(np.abs(self.quantiles - q).argmin()) for q in (tail, 1 - tail)]
        if not np.allclose(self.quantiles[found], (tail, 1 - tail)):
            raise ValueError(
                f"An interval of coverage {coverage:g} lies between the quantiles {tail:g} and "
                f"{1 - tail:g}; this network learned {self.quantiles.tolist()}. Fit with these "
                f"among quantiles=, or ask for another coverage."
            )
        bounds: np.ndarray = self._sorted(z)[:, :, found]
        return bounds


class Gaussian(Regression):
    """The likelihood of a normal distribution, with outputs for its mean and log variance."""

    heads = 2
    LIMIT = 30.0  # exp(30) and exp(-30) are finite in float32, with room for a sum

    def __call__(self, output: Any, target: Any, sample_weight: Any) -> Any:
        mean, log_variance = output[:, : self.columns], output[:, self.columns :]
        variance = np.exp(np.clip(log_variance, -self.LIMIT, self.LIMIT))
        loss = nn.gaussian_nll(mean, target, variance, sample_weight=sample_weight)
        return self.columns * loss

    def predict(self, z: Any) -> Any:
        """Return the mean."""
        return z[:, : self.columns]

    def interval(self, z: np.ndarray, coverage: float) -> np.ndarray:
        """Return the central interval of the normal distribution."""
        sigma = np.exp(0.5 * np.clip(z[:, self.columns :], -self.LIMIT, self.LIMIT))
        reach = sigma * NormalDist().inv_cdf((1 + coverage) / 2)
        mean = z[:, : self.columns]
        return np.stack([mean - reach, mean + reach], axis=2)


REGRESSION_LOSSES: dict[str, Callable[[int, Any], Regression]] = {
    "squared_error": lambda columns, q: Plain(columns, nn.mse, 0.5),
    "mse": lambda columns, q: Plain(columns, nn.mse),
    "absolute_error": lambda columns, q: Plain(columns, nn.mae),
    "mae": lambda columns, q: Plain(columns, nn.mae),
    "huber": lambda columns, q: Plain(columns, nn.huber),
    "poisson": lambda columns, q: Poisson(columns),
    "poisson_nll": lambda columns, q: Poisson(columns),
    "quantile": lambda columns, q: Quantile(columns, q),
    "gaussian_nll": lambda columns, q: Gaussian(columns),
}


def regression_objective(loss: Any, columns: int, quantiles: Any) -> Regression:
    """Return the objective of a regressor."""
    if callable(loss):
        # The user's loss decides itself what to sum.
        return Plain(columns, Custom(loss, flat=True), 1 / columns)
    return REGRESSION_LOSSES[loss](columns, quantiles)

"""What all estimators share: the way from X and y to a trained Module, and on to predictions.

A subclass defines how its Module is made (`_make_module`); the classifier and the regressor define
what their targets are (`_learn_targets`) and how outputs become predictions.
"""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator, _clone_parametrized, _fit_context
from sklearn.metrics import check_scoring
from sklearn.utils.validation import _check_sample_weight, check_is_fitted

from gradlite.autodiff.modes import enable_grad, no_grad
from gradlite.autodiff.tensor import Tensor
from gradlite.autodiff.transforms import vjp
from gradlite.errors import MutationError
from gradlite.estimators._callbacks import CallbackSupportMixin
from gradlite.estimators._fitting import Fitting
from gradlite.estimators._inputs import check_rows, check_training, refuse_masked, refuse_times
from gradlite.estimators._network import Standardize, Standardized
from gradlite.estimators._objectives import loss_settings
from gradlite.estimators._parameters import TRAINING, same
from gradlite.estimators._persistence import PersistenceMixin
from gradlite.estimators._random import dropout_rng, make_rng
from gradlite.estimators._samples import Samples, drop_zero_weight
from gradlite.estimators._training import TrainingState
from gradlite.nn import Module
from gradlite.nn.module import eval_mode
from gradlite.training import data

BLOCK = 512  # rows predicted at a time, so that intermediate results stay in the cache


# scikit-learn has no types: subclasses of its classes need an ignore.
class BaseNet(PersistenceMixin, CallbackSupportMixin, BaseEstimator):  # type: ignore[misc]
    """Base class of the estimators.

    Attributes
    ----------
    _module : Module
        The network that predicts, including the standardization before it.
    _targets : ClassTargets or NumberTargets
        The meaning of its outputs.
    _training : TrainingState
        The state from which another fit continues.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = TRAINING

    _module: Any
    _targets: Any
    _training: TrainingState

    def __sklearn_clone__(self) -> Any:
        """Clone with the same callbacks, so that they are called in every fit of a search."""
        twin = _clone_parametrized(self)
        twin.callbacks = self.callbacks
        return twin

    # -- what subclasses say --------------------------------------------------------------------

    def _make_module(
        self, params: dict[str, Any], n_features: int, n_outputs: int, dtype: Any, rng: Any
    ) -> Module:
        """Build the network that `params` describe."""
        raise NotImplementedError

    def _structure(self) -> dict[str, Any]:
        """Return the parameters that describe the network."""
        raise NotImplementedError

    def _learn_targets(self, y: np.ndarray, weight: np.ndarray | None, classes: Any) -> None:
        """Learn the classes, or the columns and scale of numbers, from y."""
        raise NotImplementedError

    @property
    def _objective(self) -> Any:
        """The loss to minimise."""
        raise NotImplementedError

    def _class_weights(self, y: np.ndarray, weight: np.ndarray | None) -> np.ndarray | None:
        """Return the sample weights multiplied by those of the classes."""
        return weight

    def _strata(self, y: np.ndarray) -> np.ndarray | None:
        """Return the labels by which a split is stratified."""
        return None

    def _score_outputs(self, z: np.ndarray, samples: Samples) -> float:
        """Return the score of the network's outputs."""
        raise NotImplementedError

    # -- fit ------------------------------------------------------------------------------------

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> Any:
        """Train the network.

        Parameters
        ----------
        X : {array-like, sparse matrix}, shape (n_samples, n_features)
            float32 stays float32. A memory-mapped array may be larger than memory.
        y : array-like, shape (n_samples,) or (n_samples, n_outputs)
            The targets: numbers, or class labels. For a classifier also a 0/1 matrix (multilabel),
            or several columns of labels.
        sample_weight : array-like, shape (n_samples,), optional
            Weights of the samples; one of weight 0 counts as absent.
        X_val, y_val : array-like, optional
            Validation data for `validation_scores_`, early stopping and the best weights.
        sample_weight_val : array-like, optional
            Weights of the validation data.

        Returns
        -------
        self
        """
        return self._fit(X, y, sample_weight, (X_val, y_val, sample_weight_val))

    def _fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        validation: tuple[Any, Any, Any] = (None, None, None),
        incremental: bool = False,
        classes: Any = None,
    ) -> Any:
        before = dict(self.__dict__)
        with np.errstate(all="ignore"):  # an error says more
            try:
                fitting = self._prepare(X, y, sample_weight, validation, incremental, classes)
            except BaseException:  # the state of the last fit must not mix with that of this one
                for name in self.__dict__.keys() - before.keys():
                    del self.__dict__[name]
                self.__dict__.update(before)
                raise
            with enable_grad(), eval_mode(False):
                fitting.run()
        return self

    def _prepare(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        validation: tuple[Any, Any, Any],
        incremental: bool,
        classes: Any,
    ) -> Fitting:
        """Check the arguments of a fit, and build the network and its state of training."""
        fresh = not self.__sklearn_is_fitted__() or not (self.warm_start or incremental)
        X, y = self._check_data(X, y, reset=fresh)
        X, y, weight = drop_zero_weight(X, y, self._check_weight(sample_weight, X))
        if fresh:
            self._learn_targets(y, weight, classes)
        else:
            self._check_unchanged("partial_fit" if incremental else "warm_start=True")
            self._targets.check(y, exactly=not incremental)
        samples = self._samples(X, y, weight)
        held_out = self._validation(*validation)
        if fresh:
            self._start(samples)
        else:
            self._training = replace(self._training)  # the old one stays if this fit fails
        if self.solver == "lbfgs":
            self._check_deterministic()
        return Fitting(self, samples, held_out, incremental)

    def _description(self) -> dict[str, Any]:
        """Return the current parameters that describe the network and the loss."""
        return {**loss_settings(self), "standardize": self.standardize, **self._structure()}

    def _check_unchanged(self, mode: str) -> None:
        """Raise ValueError if a parameter that describes the network or the loss was changed."""
        before, now = self._training.fitted_with, self._description()
        changed = [name for name in before | now if not same(before.get(name), now.get(name))]
        if changed:
            raise ValueError(
                f"{mode} refers to the network and the loss of the last fit, but these "
                f"parameters have changed since: {', '.join(changed)}. Set them back, or fit a "
                f"clone() of this {type(self).__name__}."
            )

    def _check_data(self, X: Any, y: Any, reset: bool) -> tuple[Any, np.ndarray]:
        X, y = check_training(self, X, y, reset, self._y_numeric)
        return X, self._check_y(y)

    _y_numeric = False

    def _check_y(self, y: np.ndarray) -> np.ndarray:
        return y

    def _check_weight(self, sample_weight: Any, X: Any) -> np.ndarray | None:
        if sample_weight is None:
            return None
        refuse_masked(sample_weight, "sample_weight")
        refuse_times(sample_weight, "sample_weight")
        weight: np.ndarray = _check_sample_weight(
            sample_weight, X, dtype=X.dtype, ensure_non_negative=True
        )
        return weight

    def _samples(self, X: Any, y: np.ndarray, weight: np.ndarray | None) -> Samples:
        X, y, weight = drop_zero_weight(X, y, self._class_weights(y, weight))
        if weight is not None:
            weight = weight.astype(X.dtype, copy=False)
        return Samples(X, self._targets.encode(y, X.dtype), y, weight)

    def _validation(self, X_val: Any, y_val: Any, weight: Any) -> Samples | None:
        """Check the user's own validation data."""
        if X_val is None and y_val is None:
            if weight is not None:
                raise ValueError("sample_weight_val needs X_val and y_val.")
            return None
        if X_val is None or y_val is None:
            missing = "X_val" if X_val is None else "y_val"
            raise ValueError(f"X_val and y_val go together: {missing} is missing.")
        X, y = self._check_data(X_val, y_val, reset=False)
        self._targets.check(y, exactly=False)
        return self._samples(X, y, self._check_weight(weight, X))

    def _start(self, samples: Samples) -> None:
        """Build a new network, and forget what was learned before."""
        params, dtype, rng = self._description(), samples.X.dtype, make_rng(self.random_state)
        network = self._make_module(params, self.n_features_in_, self.n_outputs_, dtype, rng)
        standardize = None
        if self.standardize:
            mean, scale = data.mean_and_scale(samples.X, samples.weight)
            sparse = hasattr(samples.X, "tocsr")
            standardize = Standardize(None if sparse else mean.astype(dtype), scale.astype(dtype))
        self._training = TrainingState(params, dtype.name, rng, dropout_rng(rng))
        self._assemble(network, standardize)
        self.n_iter_ = self.t_ = 0
        self.loss_curve_: list[float] = []
        self.best_loss_ = None if self.early_stopping else math.inf
        self.validation_scores_: list[float] | None = None
        self.validation_loss_curve_: list[float] | None = None
        self.best_validation_score_: float | None = None

    def _assemble(self, network: Module, standardize: Standardize | None) -> None:
        """Set the network, its standardization, and the random stream of its layers."""
        module = network if standardize is None else Standardized(standardize, network)
        self._module = module.eval()
        for layer in module.modules():
            if hasattr(layer, "rng"):
                layer.rng = self._training.dropout_rng

    @property
    def _network(self) -> Any:
        """The network without the standardization before it."""
        return self._module[1] if isinstance(self._module, Standardized) else self._module

    def _check_deterministic(self) -> None:
        """Raise ValueError if a layer draws in training: L-BFGS needs a deterministic loss."""
        for layer in self._module.modules():
            if hasattr(layer, "rng") and getattr(layer, "p", True):
                raise ValueError(
                    f"solver='lbfgs' needs a loss without noise, and this network has a "
                    f"{layer!r}: omit dropout, or take another solver."
                )

    def _watches_loss(self) -> bool:
        """Return whether the validation score is the loss."""
        return bool(self.scoring == "loss")

    def _scorer(self) -> Any:
        if self.scoring is None or self.scoring == "loss":
            return None
        return check_scoring(self, self.scoring)

    def _check_partial_fit(self) -> bool:
        if self.solver == "lbfgs":
            raise AttributeError(
                "partial_fit is only available for stochastic optimizers. lbfgs is not stochastic."
            )
        return True

    # -- prediction -----------------------------------------------------------------------------

    def __sklearn_is_fitted__(self) -> bool:
        return "_module" in self.__dict__

    def _check_X(self, X: Any) -> Any:
        check_is_fitted(self)
        return check_rows(self, X)

    def _forward(self, X: Any, module: Module | None = None) -> np.ndarray:
        """Return the outputs of a network for checked rows, block by block and off the tape.

        The array is a new one, which the caller may change.
        """
        if module is None:
            module = self._module
        with no_grad(), eval_mode(), np.errstate(all="ignore"):
            if X.shape[0] <= BLOCK:
                z = np.asarray(module(X))
                return z if z.base is None and z is not X else z.copy()
            blocks = [np.asarray(module(rows)) for rows in data.blocks(X, BLOCK)]
        return np.concatenate(blocks)

    def _outputs(self, X: Any) -> np.ndarray:
        X = self._check_X(X)
        z = self._forward(X)
        if not np.isfinite(z).all():
            self._check_outputs(z, X)
        return z

    def _check_outputs(self, z: np.ndarray, X: Any) -> None:
        """Raise ValueError if an output is NaN or infinite.

        Minus infinity is allowed, as the logit of an excluded class.
        """
        bad = np.flatnonzero(~(z < np.inf).all(axis=1))
        if len(bad):
            largest = abs(X[bad[:1]]).max()
            raise ValueError(
                f"{type(self).__name__} has no finite output for {len(bad)} of {len(z)} rows. The "
                f"first is row {bad[0]}, whose values go up to {largest:g}: is X in the units of "
                f"the data that the network was trained on?"
            )

    def predict_gradient(self, X: Any) -> np.ndarray:
        """Return the gradient of the prediction with respect to the input.

        Parameters
        ----------
        X : array-like, shape (n_samples, n_features)
            Where to differentiate; dense.

        Returns
        -------
        array, shape (n_samples, n_features) or (n_samples, n_outputs, n_features)
            ``d prediction / d X``: for a regressor, of the prediction, in the units of y and X; for
            a classifier, of the probability of each class (with two classes, of the second only).
            The axis of outputs is omitted if there is only one.
        """
        X = self._check_X(X)
        if hasattr(X, "tocsr"):
            raise TypeError("predict_gradient needs dense X: call X.toarray() first.")
        try:
            return self._gradient(self._module, X)
        except MutationError:  # a fit in another thread has changed the weights in between
            return self._gradient(copy.deepcopy(self._module), X)

    def _gradient(self, module: Module, X: np.ndarray) -> np.ndarray:
        # By vjp, which leaves no gradient in the parameters: a fit may be using them.
        with eval_mode(), np.errstate(all="ignore"):
            z, pull = vjp(lambda x: self._differentiable(module(x)), X)
            gradients = []
            for k in range(z.shape[1]):
                seed = np.zeros(z.shape, z.dtype)
                seed[:, k] = 1
                (gradient,) = pull(seed)
                gradients.append(gradient.data if isinstance(gradient, Tensor) else gradient)
        return gradients[0] if len(gradients) == 1 else np.stack(gradients, axis=1)

    def _differentiable(self, z: Any) -> Any:
        """Return what `predict_gradient` differentiates, (n, k), from outputs, a Tensor."""
        raise NotImplementedError

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

"""What all estimators share: the way from X and y to a trained Module, and back to predictions.

A subclass says how its Module is made (`_make_module`); the classifier and the regressor say what
their targets are (`_learn_targets`, `_encode`) and how outputs become answers.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator, _clone_parametrized, _fit_context
from sklearn.metrics import check_scoring
from sklearn.utils.validation import _check_sample_weight, check_is_fitted

from gradlite.autodiff.modes import enable_grad, no_grad
from gradlite.autodiff.tensor import Tensor
from gradlite.autodiff.transforms import vjp
from gradlite.estimators._callbacks import CallbackSupportMixin
from gradlite.estimators._fitting import Fitting
from gradlite.estimators._inputs import check_rows, check_training, refuse_masked
from gradlite.estimators._network import Standardize
from gradlite.estimators._objectives import loss_settings
from gradlite.estimators._parameters import TRAINING, same
from gradlite.estimators._persistence import PersistenceMixin
from gradlite.estimators._random import noise, own_stream
from gradlite.estimators._samples import Samples, without_zeros
from gradlite.nn import Module, Sequential
from gradlite.nn.module import eval_mode
from gradlite.training import data
from gradlite.training.loop import PlateauDetector

BLOCK = 512  # rows predicted at a time: what they become stays in the cache


class BaseNet(PersistenceMixin, CallbackSupportMixin, BaseEstimator):  # type: ignore[misc]
    """Base of the estimators. Not to be used itself."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = TRAINING

    def __sklearn_clone__(self) -> Any:
        """Clone with the same callbacks, which are to see every fit of a search."""
        twin = _clone_parametrized(self)
        twin.callbacks = self.callbacks
        return twin

    # -- what subclasses say --------------------------------------------------------------------

    def _make_module(self, n_features: int, n_outputs: int, dtype: Any) -> Module:
        """Make the network, its weights drawn from ``_rng``."""
        raise NotImplementedError

    def _structure(self) -> dict[str, Any]:
        """Return what the parameters say about the network."""
        raise NotImplementedError

    def _pack_network(self) -> Any:
        """Give what a pickle holds of the network."""
        return self._network

    def _unpack_network(self, packed: Any) -> Module:
        """Make the network that `_pack_network` was called for."""
        network: Module = packed
        return network

    def _learn_targets(self, y: np.ndarray, weight: np.ndarray | None, classes: Any) -> None:
        """Learn what there is to predict, and the objective."""
        raise NotImplementedError

    def _check_targets(self, y: np.ndarray, exactly: bool) -> None:
        """Refuse targets that do not fit what was learned before."""
        raise NotImplementedError

    def _encode(self, y: np.ndarray, dtype: Any) -> np.ndarray:
        """Turn targets into what the objective takes."""
        raise NotImplementedError

    def _class_weights(self, y: np.ndarray, weight: np.ndarray | None) -> np.ndarray | None:
        """Multiply the weights of samples by those of their classes."""
        return weight

    def _strata(self, y: np.ndarray) -> np.ndarray | None:
        """Give what a split is to keep in proportion."""
        return None

    def _score_outputs(self, z: np.ndarray, samples: Samples) -> float:
        """Score the network's outputs."""
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
            What is to be predicted: numbers, or class labels. For a classifier also a 0/1 matrix,
            of several labels a sample, or several columns of labels.
        sample_weight : array-like, shape (n_samples,), optional
            Weight 0 is as if the sample were absent.
        X_val, y_val : array-like, optional
            Data to watch: `validation_scores_`, early stopping, the best weights.
        sample_weight_val : array-like, optional
            Its weights.

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
            except BaseException:  # what was learned before is not to be mixed with what is new
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
        """Check all that a fit is given, and make what is to be trained."""
        fresh = not self.__sklearn_is_fitted__() or not (self.warm_start or incremental)
        X, y = self._check_data(X, y, reset=fresh)
        weight = self._check_weight(sample_weight, X)
        if weight is not None and not np.all(weight):
            X, y, weight = without_zeros(X, y, weight)
        if fresh:
            self._loss = loss_settings(self)
            self._learn_targets(y, weight, classes)
        else:
            self._check_unchanged("partial_fit" if incremental else "warm_start=True")
            self._check_targets(y, exactly=not incremental)
        samples = self._samples(X, y, weight)
        held_out = self._validation(*validation)
        if fresh:
            self._start(samples)
        self._check_noise()
        return Fitting(self, samples, held_out, incremental)

    def _check_unchanged(self, mode: str) -> None:
        """Refuse to go on where what the network was made of has been set to something else."""
        made_of = {**self._loss, "standardize": self._standardizes() is not None, **self._made_of}
        now = {**loss_settings(self), "standardize": self.standardize, **self._structure()}
        changed = [name for name in made_of | now if not same(made_of.get(name), now.get(name))]
        if changed:
            raise ValueError(
                f"{mode} takes the network and the loss of the last fit, and after it other values "
                f"were set for {', '.join(changed)}: set them back, or fit a clone() of this "
                f"{type(self).__name__}."
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
        weight: np.ndarray = _check_sample_weight(
            sample_weight, X, dtype=X.dtype, ensure_non_negative=True
        )
        return weight

    def _samples(self, X: Any, y: np.ndarray, weight: np.ndarray | None) -> Samples:
        weight = self._class_weights(y, weight)
        if weight is not None and not np.all(weight):
            X, y, weight = without_zeros(X, y, weight)
        if weight is not None:
            weight = weight.astype(X.dtype, copy=False)
        return Samples(X, self._encode(y, X.dtype), y, weight)

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
        self._check_targets(y, exactly=False)
        return self._samples(X, y, self._check_weight(weight, X))

    def _start(self, samples: Samples) -> None:
        """Make a new network, and forget what was learned before."""
        self._rng = own_stream(self.random_state)
        self._dtype = samples.X.dtype.name
        self._build(self._standardizer(samples) if self.standardize else None)
        self._noise = noise(self._rng)
        self._connect_noise()
        self._optimizer = None
        self._monitor = PlateauDetector()
        self._order = self._split_state = self._resume = None
        self.n_iter_ = self.t_ = 0
        self.loss_curve_: list[float] = []
        self.best_loss_ = None if self.early_stopping else math.inf
        self.validation_scores_: list[float] | None = None
        self.validation_loss_curve_: list[float] | None = None
        self.best_validation_score_: float | None = None

    def _build(self, standardizer: Standardize | None) -> None:
        """Make the network for the features, outputs and dtype that are known by now."""
        self._made_of = self._structure()
        network = self._make_module(self.n_features_in_, self.n_outputs_, np.dtype(self._dtype))
        self._assemble(network.eval(), standardizer)

    def _assemble(self, network: Module, standardizer: Standardize | None) -> None:
        """Put the network and what standardizes its input together."""
        self._network = self._module = network
        if standardizer is not None:
            self._module = Sequential(standardizer.eval(), network)
            self._module.training = network.training

    def _standardizer(self, samples: Samples) -> Standardize:
        mean, scale = data.mean_and_scale(samples.X, samples.weight)
        dtype, sparse = samples.X.dtype, hasattr(samples.X, "tocsr")
        return Standardize(None if sparse else mean.astype(dtype), scale.astype(dtype))

    def _standardizes(self) -> bool | None:
        """Tell whether X is centred before the network, None where it is taken as it is."""
        if self._module is self._network:
            return None
        return self._module[0].mean is not None  # type: ignore[index]

    def _blank_standardizer(self, centred: bool | None) -> Standardize | None:
        """Give the layer that a saved state is to be loaded into."""
        if centred is None:
            return None
        ones = np.ones(self.n_features_in_, self._dtype)
        return Standardize(ones.copy() if centred else None, ones)

    def _connect_noise(self) -> None:
        """Let every layer that draws in training draw from the estimator's own stream."""
        for layer in self._module.modules():
            if hasattr(layer, "rng"):
                layer.rng = self._noise

    def _check_noise(self) -> None:
        """Refuse layers that draw in training where the solver needs a loss without noise."""
        for layer in self._module.modules() if self.solver == "lbfgs" else ():
            if hasattr(layer, "rng") and getattr(layer, "p", True):
                raise ValueError(
                    f"solver='lbfgs' needs a loss without noise, and this network has a "
                    f"{layer!r}: leave dropout away, or take another solver."
                )

    def _watches_loss(self) -> bool:
        """Tell whether the loss of validation data is its score, too."""
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
        """Give the outputs of a network for checked rows, blockwise and off the tape.

        The array is the caller's own.
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
        with np.errstate(all="ignore"):
            if not math.isfinite(z.sum()):
                self._check_outputs(z, X)
        return z

    def _check_outputs(self, z: np.ndarray, X: Any) -> None:
        """Refuse outputs that predict nothing: NaN and infinity.

        An output of minus infinity is the logit of a class that is left out.
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
        """Differentiate the prediction with respect to the input.

        Parameters
        ----------
        X : array-like, shape (n_samples, n_features)
            Where to differentiate; dense.

        Returns
        -------
        array, shape (n_samples, n_features) or (n_samples, n_outputs, n_features)
            ``d prediction / d X``: of a regressor's prediction, in the units of y and X; of a
            classifier's probabilities, one output for each class (for two classes, that of the
            second). The axis of outputs is left out where there is one.
        """
        X = self._check_X(X)
        if hasattr(X, "tocsr"):
            raise TypeError("predict_gradient needs dense X: call X.toarray() first.")
        # By vjp, which leaves no gradient in the parameters: a fit may be using them.
        with eval_mode(), np.errstate(all="ignore"):
            answer, pull = vjp(lambda x: self._differentiable(self._module(x)), X)
            gradients = []
            for k in range(answer.shape[1]):
                seed = np.zeros(answer.shape, answer.dtype)
                seed[:, k] = 1
                (gradient,) = pull(seed)
                gradients.append(gradient.data if isinstance(gradient, Tensor) else gradient)
        return gradients[0] if len(gradients) == 1 else np.stack(gradients, axis=1)

    def _differentiable(self, z: Any) -> Any:
        """Turn outputs (a Tensor) into what `predict_gradient` differentiates, (n, k)."""
        raise NotImplementedError

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

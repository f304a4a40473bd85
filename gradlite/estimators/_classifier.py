"""The base of the classifiers: class labels, class weights, probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.metrics import accuracy_score
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import _check_partial_fit_first_call

from gradlite.autodiff.rules.activations import sigmoid
from gradlite.autodiff.rules.softmax import softmax
from gradlite.errors import PersistError
from gradlite.estimators._base import BaseNet
from gradlite.estimators._objectives import CLASS_LOSSES, class_objective
from gradlite.estimators._samples import Samples
from gradlite.estimators._targets import ClassTargets, column_or_matrix

CLASSIFICATION: dict[str, list[Any]] = {
    "loss": [StrOptions(set(CLASS_LOSSES)), callable],
    "class_weight": [None, StrOptions({"balanced"}), dict],
}


class BaseClassifier(ClassifierMixin, BaseNet):  # type: ignore[misc]  # scikit-learn has no types
    """Base class of the classifiers."""

    # -- targets --------------------------------------------------------------------------------

    def _check_y(self, y: Any) -> np.ndarray:
        return column_or_matrix(y)

    def _learn_targets(self, y: np.ndarray, weight: np.ndarray | None, classes: Any) -> None:
        logits = callable(self.loss)
        if classes is not None and y.ndim == 1:
            targets = ClassTargets.of_classes(np.asarray(classes), logits)
            targets.check(y, exactly=False)
        else:
            targets = ClassTargets.of(y, logits)
        self._set_targets(targets)

    def _set_targets(self, targets: ClassTargets) -> None:
        self._targets = targets
        self.classes_ = targets.classes_
        self.n_outputs_ = targets.n_outputs
        self.out_activation_ = targets.out_activation

    @property
    def _objective(self) -> Any:
        return class_objective(self._training.fitted_with["loss"], self._targets)

    def _restore_targets(self, state: dict[str, Any]) -> None:
        for classes in state["columns"]:
            if not isinstance(classes, np.ndarray) or classes.ndim != 1 or not len(classes):
                raise PersistError(f"Its classes are a {type(classes).__name__}, not an array.")
        self._set_targets(ClassTargets(state["kind"], state["columns"], state["paired"]))

    def _strata(self, y: np.ndarray) -> np.ndarray | None:
        """Stratify by two classes, as scikit-learn does, if both can be split."""
        if self._targets.kind != "binary" or np.bincount(self._targets.codes(y)).min() < 2:
            return None
        return y

    def _class_weights(self, y: np.ndarray, weight: np.ndarray | None) -> np.ndarray | None:
        """Return sample weights times class weights; 'balanced' gives all classes the same total.

        The weights of several columns are multiplied, as in scikit-learn; in a 0/1 matrix, each
        column has the classes 0 and 1.
        """
        if self.class_weight is None:
            return weight
        codes = self._targets.codes(y).astype(np.intp, copy=False).reshape(len(y), -1)
        columns = self._targets.columns
        if self._targets.kind == "multilabel":
            columns = [np.array([0, 1])] * codes.shape[1]
        total = np.ones(len(y)) if weight is None else weight.astype(float)
        combined = total.copy()
        for classes, column in zip(columns, codes.T, strict=True):
            combined *= self._of_classes(classes, column, total)[column]
        return combined

    def _of_classes(self, classes: np.ndarray, codes: np.ndarray, total: np.ndarray) -> np.ndarray:
        """Return the weight of each class of a column."""
        if isinstance(self.class_weight, dict):
            labels = classes.tolist()
            unknown = [label for label in self.class_weight if label not in labels]
            if unknown and len(self._targets.columns) == 1:
                raise ValueError(
                    f"class_weight has weights for {unknown}, which are not among the classes "
                    f"{labels}."
                )
            weights = np.array([self.class_weight.get(label, 1.0) for label in labels], dtype=float)
            if not (np.all(np.isfinite(weights)) and np.all(weights >= 0)):
                raise ValueError(
                    f"class_weight must hold finite numbers that are not negative, not "
                    f"{self.class_weight!r}."
                )
            return weights
        counts = np.bincount(codes, weights=total, minlength=len(classes))
        present = counts > 0
        with np.errstate(divide="ignore"):
            return np.where(present, total.sum() / (present.sum() * counts), 0.0)

    def _watches_loss(self) -> bool:
        """Return True also if class weights are given and no scoring.

        Accuracy would then depend on the few validation samples of the heaviest class.
        """
        return super()._watches_loss() or (self.scoring is None and self.class_weight is not None)

    # -- fit and predict ------------------------------------------------------------------------

    @available_if(lambda est: est._check_partial_fit())
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> Any:
        """Train for one epoch on the given data.

        Parameters
        ----------
        X, y, sample_weight
            As in `fit`.
        classes : array-like, shape (n_classes,), optional
            All classes that may occur in any call; required in the first call.

        Returns
        -------
        self
        """
        _check_partial_fit_first_call(self, classes)
        known = None if self.__sklearn_is_fitted__() else self.classes_
        return self._fit(X, y, sample_weight, incremental=True, classes=known)

    def predict(self, X: Any) -> Any:
        """Predict classes.

        Parameters
        ----------
        X : {array-like, sparse matrix}, shape (n_samples, n_features)

        Returns
        -------
        array, shape (n_samples,) or (n_samples, n_outputs)
        """
        z = self._outputs(X)
        return self._targets.predict(z)

    @available_if(lambda est: est._check_loss("predict_proba", est.loss != "hinge"))
    def predict_proba(self, X: Any) -> Any:
        """Predict the probability of each class.

        Parameters
        ----------
        X : {array-like, sparse matrix}, shape (n_samples, n_features)

        Returns
        -------
        array, shape (n_samples, n_classes)
            In the order of ``classes_``; a list of such arrays for several columns of classes.
        """
        z = self._outputs(X)
        return self._targets.proba(z)

    @available_if(lambda est: est._check_loss("predict_log_proba", est.loss != "hinge"))
    def predict_log_proba(self, X: Any) -> Any:
        """Predict the logarithm of `predict_proba`.

        Parameters
        ----------
        X : {array-like, sparse matrix}, shape (n_samples, n_features)

        Returns
        -------
        array, shape (n_samples, n_classes)
        """
        proba = self.predict_proba(X)
        with np.errstate(all="ignore"):
            if isinstance(proba, list):
                return [np.log(p, out=p) for p in proba]
            return np.log(proba, out=proba)

    @available_if(
        lambda est: est._check_loss("decision_function", callable(est.loss) or est.loss == "hinge")
    )
    def decision_function(self, X: Any) -> Any:
        """Return the outputs of the network, if they are scores rather than probabilities.

        Available with ``loss='hinge'`` and with your own loss. (With the log loss there is
        `predict_proba` instead, as in scikit-learn's MLPClassifier.)

        Parameters
        ----------
        X : {array-like, sparse matrix}, shape (n_samples, n_features)

        Returns
        -------
        array, shape (n_samples,) for two classes, otherwise (n_samples, n_classes)
        """
        z = self._outputs(X)
        return self._targets.decision(z)

    def _check_loss(self, method: str, there: bool) -> bool:
        if not there:
            raise AttributeError(f"{method} is not available with loss={self.loss!r}.")
        return True

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the accuracy: the fraction of samples with all labels predicted correctly.

        Parameters
        ----------
        X : {array-like, sparse matrix}, shape (n_samples, n_features)
        y : array-like, shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like, shape (n_samples,), optional

        Returns
        -------
        float
        """
        return self._accuracy(y, self.predict(X), sample_weight)

    def _accuracy(self, y: Any, predicted: np.ndarray, weight: Any) -> float:
        if self._targets.kind == "multioutput":
            return float(np.average(np.all(predicted == np.asarray(y), axis=1), weights=weight))
        return float(accuracy_score(y, predicted, sample_weight=weight))

    def _score_outputs(self, z: np.ndarray, samples: Samples) -> float:
        if not np.all(np.isfinite(z)):
            return float("nan")
        return self._accuracy(samples.y, self._targets.predict(z), samples.weight)

    def _differentiable(self, z: Any) -> Any:
        targets = self._targets
        if targets.kind == "multioutput":
            return np.concatenate([softmax(z[:, group]) for group in targets.groups()], axis=1)
        if targets.out_activation == "logistic":
            return sigmoid(z)
        return softmax(z)[:, 1:] if targets.kind == "binary" else softmax(z)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        tags.target_tags.multi_output = True
        return tags

"""Targets: the labels or numbers of the user, and the arrays that the network learns.

A target object converts both ways. `encode` turns labels or numbers into the array that the loss
takes; `predict` and similar methods turn the network's outputs into predictions.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import check_classification_targets, type_of_target, unique_labels

# These compute in place and off the tape, unlike the functions with rules.


def sigmoid_inplace(z: Any) -> Any:
    """Compute the logistic function in place."""
    np.negative(z, out=z)
    with np.errstate(all="ignore"):
        np.exp(z, out=z)
    z += 1
    np.reciprocal(z, out=z)
    return np.minimum(z, below_one(z.dtype), out=z)


@cache
def below_one(dtype: np.dtype[Any]) -> Any:
    """Return the largest number below 1, the largest probability of any logit."""
    return np.nextafter(dtype.type(1), dtype.type(0))


def softmax_inplace(z: Any) -> Any:
    """Compute the softmax of each row in place."""
    z -= z.max(axis=1, keepdims=True)
    with np.errstate(all="ignore"):
        np.exp(z, out=z)
    z /= z.sum(axis=1, keepdims=True)
    return z


def positions(y: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Return the position of each label among the sorted classes, which contain them all."""
    return np.searchsorted(classes, y) if len(classes) > 1 else np.zeros(len(y), dtype=np.intp)


class ClassTargets:
    """The classes of a classifier, and the outputs of the network that represent them.

    Parameters
    ----------
    kind : {'binary', 'multiclass', 'multilabel', 'multioutput'}
        One column of two classes (one output, the logit of the second), one of several (a logit
        for each), a 0/1 matrix (a logit for each column), or several columns of classes (a group
        of logits for each column).
    columns : list of array
        The sorted classes of each column; of the only one for 'binary' and 'multiclass'.
    logits : bool
        Whether two classes have two logits, as the user's own loss expects.
    """

    def __init__(self, kind: str, columns: list[np.ndarray], logits: bool = False) -> None:
        self.kind = kind
        self.columns = columns
        self.paired = kind == "binary" and logits

    @classmethod
    def of(cls, y: Any, logits: bool = False) -> ClassTargets:
        """Learn the classes from all labels."""
        check_labels(y)
        check_classification_targets(y)
        y_type = type_of_target(y, input_name="y")
        if y_type == "multilabel-indicator" and np.isin(y, (0, 1)).all():
            return cls("multilabel", [np.arange(y.shape[1])])
        if y.ndim == 2:
            return cls("multioutput", [np.unique(column) for column in y.T])
        return cls.of_classes(unique_labels(y), logits)

    @classmethod
    def of_classes(cls, classes: np.ndarray, logits: bool = False) -> ClassTargets:
        """Return the targets for the given classes of one column."""
        kind = "binary" if len(classes) <= 2 else "multiclass"
        return cls(kind, [np.asarray(classes)], logits)

    @property
    def classes_(self) -> Any:
        """The labels, in the form of scikit-learn's ``classes_``."""
        return list(self.columns) if self.kind == "multioutput" else self.columns[0]

    @property
    def n_outputs(self) -> int:
        """The number of outputs of the network."""
        if self.kind == "binary":
            return 2 if self.paired else 1
        return sum(map(len, self.columns))

    @property
    def out_activation(self) -> str:
        """The function that turns outputs into probabilities, by scikit-learn's name."""
        several = self.kind in ("multiclass", "multioutput") or self.paired
        return "softmax" if several else "logistic"

    def state_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {"kind": self.kind, "columns": self.columns, "paired": self.paired}

    def groups(self) -> list[slice]:
        """Return the outputs that belong to each column."""
        ends = np.cumsum([*map(len, self.columns)])
        return [slice(end - len(c), end) for end, c in zip(ends, self.columns, strict=True)]

    def codes(self, y: np.ndarray) -> np.ndarray:
        """Return the positions of labels among their classes, (n,) or (n, n_columns)."""
        if self.kind == "multilabel":
            return np.asarray(y)
        if self.kind == "multioutput":
            return np.column_stack([*map(positions, y.T, self.columns)])
        return positions(y, self.columns[0])

    def encode(self, y: np.ndarray, dtype: Any) -> np.ndarray:
        """Turn labels into what the loss takes: codes, or numbers 0 and 1 in two dimensions."""
        codes = self.codes(y)
        if self.kind == "multilabel":
            return codes.astype(dtype)
        if self.kind == "binary" and not self.paired:
            return codes.astype(dtype)[:, None]
        return codes

    def check(self, y: Any, exactly: bool) -> None:
        """Raise ValueError if a label is no known class, or (with `exactly`) a class is missing."""
        check_labels(y)
        if self.kind in ("multilabel", "multioutput"):
            width = len(self.columns[0]) if self.kind == "multilabel" else len(self.columns)
            if np.ndim(y) != 2 or y.shape[1] != width:
                raise ValueError(f"`y` has shape {np.shape(y)}, expected (n_samples, {width}).")
            columns = y.T if self.kind == "multioutput" else []
        elif np.ndim(y) != 1:
            raise ValueError(f"`y` has shape {np.shape(y)}, expected (n_samples,).")
        else:
            columns = [y]
        for known, column in zip(self.columns, columns, strict=False):
            classes = unique_labels(column)
            if exactly and set(classes) != set(known):
                raise ValueError(
                    "warm_start can only be used where `y` has the same classes as in the "
                    f"previous call to fit. Previously got {known}, `y` has {classes}"
                )
            if not np.isin(classes, known).all():
                raise ValueError(
                    "`y` has classes not in `self.classes_`. "
                    f"`self.classes_` has {known}. 'y' has {classes}."
                )

    # -- from outputs to predictions ------------------------------------------------------------

    def predict(self, z: np.ndarray) -> Any:
        """Return the predicted class for each row of outputs."""
        if self.kind == "multilabel":
            return (z > 0).astype(int)
        if self.kind == "multioutput":
            pairs = zip(self.columns, self.groups(), strict=True)
            return np.column_stack(
                [classes.take(z[:, group].argmax(axis=1)) for classes, group in pairs]
            )
        classes = self.columns[0]
        if len(classes) == 1:
            return classes.take(np.zeros(len(z), dtype=np.intp))
        if z.shape[1] == 1:
            return classes.take((z.reshape(-1) > 0).view(np.int8))
        return classes.take(z.argmax(axis=1))

    def proba(self, z: np.ndarray) -> Any:
        """Turn outputs into probabilities, a column for each class; `z` is overwritten."""
        if self.kind == "multilabel":
            return sigmoid_inplace(z)
        if self.kind == "multioutput":
            return [softmax_inplace(z[:, group]) for group in self.groups()]
        if len(self.columns[0]) == 1:
            return np.ones((len(z), 1), dtype=z.dtype)
        if z.shape[1] == 1:
            p = np.empty((len(z), 2), dtype=z.dtype)
            p[:, 1] = sigmoid_inplace(z[:, 0])
            np.subtract(1, p[:, 1], out=p[:, 0])
            return p
        return softmax_inplace(z)

    def decision(self, z: np.ndarray) -> Any:
        """Return the logits: of the second class for two, of each class for more."""
        if self.kind == "multioutput":
            return [z[:, group] for group in self.groups()]
        if self.kind == "binary":
            return z[:, 1] - z[:, 0] if self.paired else z[:, 0]
        return z


@dataclass
class NumberTargets:
    """The numbers of a regressor.

    Attributes
    ----------
    objective : Regression
        The loss, which determines what outputs mean.
    one_column : bool
        Whether y was one-dimensional.
    scaling : (mean, scale) or None
        Arrays of shape (n_columns,), where the targets are standardized.
    """

    objective: Any
    one_column: bool
    scaling: tuple[np.ndarray, np.ndarray] | None = None

    def state_dict(self) -> dict[str, Any]:
        """Return it as plain values; the objective follows from the parameters."""
        columns = self.objective.columns
        return {"columns": columns, "one_column": self.one_column, "scaling": self.scaling}

    def check(self, y: np.ndarray, exactly: bool = True) -> None:
        """Raise ValueError if y has another number of columns, or values that the loss forbids."""
        columns = 1 if y.ndim == 1 else y.shape[1]
        if columns != self.objective.columns:
            raise ValueError(
                f"y has {columns} columns, and the estimator was fitted with "
                f"{self.objective.columns}."
            )
        if self.objective.out_activation == "exp" and np.any(y < 0):
            raise ValueError(
                f"Some values of y are negative, the smallest {np.min(y)}: the Poisson loss needs "
                f"y >= 0."
            )

    def encode(self, y: np.ndarray, dtype: Any) -> np.ndarray:
        """Turn y into what the loss takes, (n, n_columns)."""
        y = y.reshape(len(y), -1)
        if self.scaling is not None:
            mean, scale = self.scaling
            y = (y - mean) / scale
        return y.astype(dtype, copy=False)

    def decode(self, predictions: np.ndarray) -> np.ndarray:
        """Turn predictions of the network into the units of y."""
        if self.scaling is None:
            return predictions
        mean, scale = self.scaling
        decoded: np.ndarray = (predictions * scale + mean).astype(predictions.dtype, copy=False)
        return decoded

    def predict(self, z: np.ndarray) -> np.ndarray:
        """Turn outputs into predictions, of the shape of y."""
        with np.errstate(all="ignore"):
            predictions = self.decode(self.objective.predict(z))
        return predictions.reshape(-1) if self.one_column else predictions


def check_labels(y: Any) -> None:
    """Raise ValueError if labels are objects other than strings, or strings and others mixed."""
    if np.asarray(y).dtype != object:
        return
    types = {str if isinstance(label, str) else type(label) for label in np.ravel(y)}
    names = ", ".join(sorted(t.__name__ for t in types))
    if str in types and len(types) > 1:
        raise ValueError(
            f"y holds labels of several types ({names}), which cannot be sorted: make all of them "
            f"strings or all of them numbers, and drop or fill what is missing."
        )
    if str not in types:
        known: dict[str, Any] = {"bool": (bool, np.bool_), "int": Integral, "float": Real}
        fits = (name for name, kind in known.items() if all(issubclass(t, kind) for t in types))
        remedy = next(fits, "str")
        raise ValueError(
            f"Unknown label type: y is an array of objects ({names}). Labels are numbers, bools or "
            f"strings: convert them with y.astype({remedy}), and drop or fill what is missing."
        )


def column_or_matrix(y: Any) -> np.ndarray:
    """Make targets dense, and a single column one-dimensional, with scikit-learn's warning."""
    if hasattr(y, "toarray"):
        y = y.toarray()
    if y.ndim == 2 and y.shape[1] == 1:
        y = column_or_1d(y, warn=True)
    return y  # type: ignore[no-any-return]  # scikit-learn has no types

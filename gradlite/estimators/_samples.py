"""Samples: checked data for the loss, and how it is split."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.model_selection import train_test_split

from gradlite.estimators._random import random_state
from gradlite.estimators._training import TrainingState
from gradlite.nn.reduction import SUM_OVERFLOWS
from gradlite.training.data import take_rows


@dataclass(frozen=True)
class Samples:
    """Checked data: X, the target as the loss takes it, the user's y, and weights or None."""

    X: Any
    target: np.ndarray
    y: np.ndarray
    weight: np.ndarray | None

    def __len__(self) -> int:
        return len(self.target)

    def head(self, n: int = 512) -> Samples:
        """Return the first samples."""
        return self if len(self) <= n else self.take(np.arange(n))

    def take(self, index: np.ndarray) -> Samples:
        """Return some of the samples."""
        weight = None if self.weight is None else self.weight[index]
        return Samples(take_rows(self.X, index), self.target[index], self.y[index], weight)


def drop_zero_weight(
    X: Any, y: np.ndarray, weight: np.ndarray | None
) -> tuple[Any, np.ndarray, np.ndarray | None]:
    """Omit samples of weight zero, so that they count as absent to the last bit.

    Raises
    ------
    ValueError
        If no sample remains, or the sum of the weights overflows.
    """
    if weight is not None and not weight.sum(dtype=np.float64) < np.inf:
        raise ValueError(SUM_OVERFLOWS)
    if weight is None or np.all(weight):
        return X, y, weight
    kept = np.flatnonzero(weight)
    if not len(kept):
        raise ValueError(
            "Sample weights must contain at least one non-zero number: every weight is zero."
        )
    return take_rows(X, kept), y[kept], weight[kept]


def split_validation(est: Any, samples: Samples) -> tuple[np.ndarray, np.ndarray]:
    """Split the samples for early stopping: stratified by class, the same in every warm start.

    Returns the indices of the two parts: nothing is copied.
    """
    state: TrainingState = est._training
    rng = state.rng
    if state.split_state is None:
        state.split_state = rng.get_state(legacy=False)
    else:
        rng = random_state(state.split_state)
    n = len(samples)
    wanted = math.ceil(est.validation_fraction * n)
    held_out = max(2, wanted)  # a score takes two
    if n - held_out < 2:
        part, remedy = ("validation", "") if wanted < 2 else ("training", "increase ")
        raise ValueError(
            f"The {part} set is too small. {'Decrease' if remedy else 'Increase'} "
            f"'validation_fraction' or {remedy}the size of your dataset: {wanted} of {n} samples "
            f"would be held out; two are needed in each part."
        )
    train_part, test_part = train_test_split(
        np.arange(n), random_state=rng, test_size=held_out, stratify=est._strata(samples.y)
    )
    return train_part, test_part


def batch_size_with_variance(batch_size: int, n: int) -> int:
    """Increase the batch size until the last batch has more than one sample, to have a variance.

    Raises
    ------
    ValueError
        If there is only 1 sample.
    """
    if n == 1:
        raise ValueError(
            "Batch normalization needs at least two samples to train on, got 1 sample."
        )
    while n % batch_size == 1:
        batch_size += 1
    return batch_size

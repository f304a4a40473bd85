"""What a fit leaves for the next one, besides the network itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gradlite.errors import PersistError
from gradlite.optim import Optimizer
from gradlite.persist import shortened


@dataclass
class TrainingState:
    """The state from which `fit` and `partial_fit` continue, and which `save` saves.

    Attributes
    ----------
    fitted_with : dict
        The parameters that describe the network and the loss, as of the first fit.
    dtype : str
        The type of the network's parameters.
    rng, dropout_rng : RandomState, Generator
        The sources of weights, split and order of samples; and of what layers draw in training.
    optimizer : Optimizer or None
        The optimiser with its moments; None before the first step and after divergence.
    settings, steps, rate : dict, int, float or schedule
        The parameters of the optimiser, the length of a named schedule, and the rate.
    monitor : dict
        The fields of a `PlateauDetector`.
    order : array or None
        The order of samples in the last epoch, which the next one shuffles.
    split_state : dict or None
        The random state that the validation data was split off with.
    resume : dict or None
        The last and the best weights of a fit with validation data, and the best epoch.
    """

    fitted_with: dict[str, Any]
    dtype: str
    rng: np.random.RandomState
    dropout_rng: np.random.Generator
    optimizer: Optimizer | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    steps: int = 0
    rate: Any = None
    monitor: dict[str, Any] = field(default_factory=dict)
    order: np.ndarray | None = None
    split_state: dict[str, Any] | None = None
    resume: dict[str, Any] | None = None


# -- that of a file -------------------------------------------------------------------------


def check_loaded(learned: dict[str, Any], training: dict[str, Any]) -> None:
    """Raise PersistError if a fit could not go on from the attributes and the state of a file."""
    optional = {"loss_": None, "feature_names_in_": None}
    known = {**optional, **learned, **training["monitor"], **training}
    for name, fits in FIELDS.items():
        if name not in known or not fits(known[name]):
            said = shortened(known.get(name, "it is missing"))
            raise PersistError(f"It has a {name} that makes no sense: {said}.")


def _is_count(value: Any) -> bool:
    integer = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    return integer and bool(value >= 0)


def _is_float(value: Any) -> bool:
    return isinstance(value, (float, np.floating))


def _is_score(value: Any) -> bool:
    return value is None or _is_float(value)


def _is_curve(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_float, value))


def _is_optional_curve(value: Any) -> bool:
    return value is None or _is_curve(value)


def _is_resume(value: Any) -> bool:
    if value is None:
        return True
    fits = value.keys() == {"last", "best", "best_epoch"} and _is_count(value["best_epoch"])
    return fits and all(map(_is_numeric, value["last"] + value["best"]))


def _is_numeric(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind in "fiub"


def _is_order(value: Any) -> bool:
    if value is None:
        return True
    fits = isinstance(value, np.ndarray) and value.dtype.kind == "i" and value.ndim == 1
    return fits and np.array_equal(np.sort(value), np.arange(len(value)))


def _are_names(value: Any) -> bool:
    fits = isinstance(value, np.ndarray) and value.ndim == 1
    return value is None or (fits and all(isinstance(name, str) for name in value))


FIELDS: dict[str, Callable[[Any], bool]] = {
    "feature_names_in_": _are_names,
    "n_iter_": _is_count,
    "t_": _is_count,
    "loss_": _is_score,
    "loss_curve_": _is_curve,
    "best_loss_": _is_score,
    "validation_scores_": _is_optional_curve,
    "validation_loss_curve_": _is_optional_curve,
    "best_validation_score_": _is_score,
    "best": _is_float,
    "best_epoch": _is_count,
    "bad_epochs": _is_count,
    "seen": _is_count,
    "order": _is_order,
    "resume": _is_resume,
    "dtype": lambda value: value in ("float32", "float64"),
}

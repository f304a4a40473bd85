"""What a fit leaves for the next one, beside the network itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gradlite.optim import Optimizer


@dataclass
class TrainingState:
    """What `fit`, `partial_fit` and `save` go on from: plain values, but for three objects.

    Attributes
    ----------
    fitted_with : dict
        The parameters that describe the network and the loss, as they were at the first fit.
    dtype : str
        The type of the network's parameters.
    rng, dropout_rng : RandomState, Generator
        Draw weights, the split and the order of samples; and what layers draw in training.
    optimizer : Optimizer or None
        With its moments; None before the first step and after divergence.
    settings, steps, rate : dict, int, float or schedule
        The parameters that the optimiser was made from, the length of a schedule by name, the rate.
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

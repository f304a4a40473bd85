"""The random streams of estimators. Saved states are checked here, because NumPy checks little."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from gradlite.errors import PersistError
from gradlite.persist import shortened

BIT_GENERATORS = ("MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64")
LIMITS = {  # the fields of random states that are integers; NumPy believes any
    "pos": 625,
    "buffer_pos": 5,
    "has_gauss": 2,
    "has_uint32": 2,
    "uinteger": 2**32,
    "state": 2**128,
    "inc": 2**128,
}


def random_state(state: dict[str, Any]) -> np.random.RandomState:
    """Return a RandomState with the state that its `get_state` returned.

    Raises
    ------
    PersistError
        If a field is not what NumPy returns: its generators would read out of bounds.
    """
    made = np.random.RandomState(_blank(state))
    _check_random(state, made.get_state(legacy=False))
    made.set_state(state)
    return made


def bit_generator(state: dict[str, Any]) -> np.random.BitGenerator:
    """Return a bit generator with a given state, as `random_state` does."""
    made: np.random.BitGenerator = _blank(state)
    _check_random(state, made.state)
    made.state = state
    return made


def _blank(state: dict[str, Any]) -> Any:
    kind = state["bit_generator"]
    if kind not in BIT_GENERATORS:
        raise PersistError(f"It has the unknown random generator {shortened(kind)}.")
    return getattr(np.random, kind)()


def _check_random(state: Any, own: Any, name: str = "") -> None:
    """Compare a random state with one made by NumPy: names, types, shapes and ranges."""
    if isinstance(own, dict):
        fits = isinstance(state, dict) and state.keys() == own.keys()
        for key in own if fits else ():
            _check_random(state[key], own[key], key)
    elif isinstance(own, np.ndarray):
        fits = isinstance(state, np.ndarray) and state.dtype == own.dtype
        fits = fits and state.shape == own.shape
    elif isinstance(own, str):
        fits = state == own
    elif isinstance(own, float):
        fits = isinstance(state, float) and math.isfinite(state)
    else:
        fits = type(state) is int and 0 <= state < LIMITS[name]
    if not fits:
        raise PersistError(f"It has an invalid random state: {name or 'its fields'}.")


# -- the streams of an estimator -------------------------------------------------------------


def make_rng(seed: Any) -> np.random.RandomState:
    """Return the random stream of an estimator.

    For an integer it is scikit-learn's. None seeds one from NumPy's global state, so that
    ``np.random.seed`` has an effect; a RandomState is used itself.
    """
    if seed is None:
        return np.random.RandomState(np.random.randint(np.iinfo(np.int32).max))
    stream: np.random.RandomState = check_random_state(seed)
    return stream


def dropout_rng(rng: np.random.RandomState) -> np.random.Generator:
    """Derive the stream of dropout from `rng`, without drawing from it."""
    copy = random_state(rng.get_state(legacy=False))
    return np.random.default_rng(copy.randint(0, 2**31, size=4))

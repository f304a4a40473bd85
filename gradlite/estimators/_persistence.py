"""Saving estimators without pickle, and going on exactly where they were."""

from __future__ import annotations

import inspect
import math
import os
from dataclasses import asdict
from types import SimpleNamespace
from typing import Any, NamedTuple, Self, cast

import numpy as np

from gradlite import persist
from gradlite.errors import PersistError, printable
from gradlite.estimators._network import Standardize
from gradlite.estimators._objectives import loss_settings
from gradlite.estimators._random import bit_generator, random_state
from gradlite.estimators._solvers import make_optimizer, make_rate, settings_of
from gradlite.optim import schedules
from gradlite.training.loop import PlateauDetector

Path = str | os.PathLike[str]

OBJECTS = ("_module", "_network", "_objective", "_targets", "_optimizer", "_monitor")
"""Attributes of a fitted estimator that are made again from plain ones."""
OVERHEAD = 100  # numbers that a parameter takes the room of, beside its own
USUAL = 2**18  # a size up to this needs no weights to prove it: inputs of a convolution, say


class PersistenceMixin:
    """`save` and `load`: arrays and JSON in one file, nothing that runs."""

    def save(self, path: Path) -> None:
        """Save the fitted estimator, with all that a warm start needs.

        Parameters
        ----------
        path : path
            Ending in ``.safetensors`` for that format (the extra ``safetensors``); otherwise a zip
            of arrays and JSON. An older file is replaced at once when the new one is complete.

        Raises
        ------
        NotFittedError
            If there is nothing to save yet.
        ValueError
            If parameters that describe the network or the loss were changed after the fit.

        Notes
        -----
        A parameter that is code (a loss or a schedule of yours, a module) is not saved: `load`
        takes it by keyword. Callbacks are left out. Where parameters of the optimiser were changed
        since the last fit, it begins anew after loading.
        """
        from sklearn.utils.validation import check_is_fitted

        check_is_fitted(self)
        cast(Any, self)._check_unchanged("save")
        persist.save(path, self._state(), kind=type(self).__name__)

    @classmethod
    def load(cls, path: Path, **code: Any) -> Self:
        """Load an estimator that `save` has written.

        Parameters
        ----------
        path : path
            The file.
        **code
            The parameters that are code and could not be saved, such as ``loss=my_loss``.

        Raises
        ------
        PersistError
            If the file is not such a file, is damaged, holds another estimator, declares a network
            that is larger than what it holds, or needs a parameter that was not given.

        Examples
        --------
        >>> import os, tempfile
        >>> from sklearn.datasets import load_iris
        >>> from gradlite import MLPClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> model = MLPClassifier((8,), solver="lbfgs", random_state=0, standardize=True).fit(X, y)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     model.save(os.path.join(folder, "iris"))
        ...     again = MLPClassifier.load(os.path.join(folder, "iris"))
        >>> bool((again.predict(X) == model.predict(X)).all())
        True
        """
        state = persist.load(path, kind=cls.__name__)
        name = printable(os.fsdecode(path))
        try:
            return cls._from_state(state, code)
        except PersistError as error:
            raise PersistError(f"{name}: {error}") from error
        except Exception as error:  # whatever a state that makes no sense brings about
            said = persist.shortened(f"{type(error).__name__}: {error}", longest=500)
            raise PersistError(
                f"{name}: what it holds does not make a {cls.__name__}. {said}"
            ) from error

    # -- pickle, joblib, copy, skops ------------------------------------------------------------

    def __copy__(self) -> Self:
        twin = object.__new__(type(self))
        vars(twin).update(vars(self))
        return twin

    def __getstate__(self) -> dict[str, Any]:
        """Give parameters and what was learned: dicts, lists, arrays, numbers and strings.

        A network of the user's stays the object that it is.
        """
        known, parent = cast(Any, self), cast(Any, super())
        state: dict[str, Any] = dict(parent.__getstate__())
        for name in OBJECTS:
            state.pop(name, None)
        if known.__sklearn_is_fitted__():
            before = known._module is not known._network
            optimizer = None if known._settings["solver"] == "lbfgs" else known._optimizer
            state["_saved"] = {
                "targets": known._target_state(),
                "network": known._pack_network(),
                "standardizer": known._module[0].state_dict() if before else None,
                "optimizer": None if optimizer is None else optimizer.state_dict(),
                "monitor": asdict(known._monitor),
            }
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        known, parent = cast(Any, self), cast(Any, super())
        saved = state.pop("_saved", None)
        parent.__setstate__(state)
        if saved is None:
            return
        known._restore_targets(saved["targets"])
        arrays = saved["standardizer"]
        standardizer = None if arrays is None else Standardize(**{"mean": None, **arrays})
        known._assemble(known._unpack_network(saved["network"]), standardizer)
        known._connect_noise()
        known._monitor = PlateauDetector(**saved["monitor"])
        known._optimizer = None
        if saved["optimizer"] is not None:
            settings = SimpleNamespace(**known._settings)
            known._optimizer = make_optimizer(settings, known._module, known._rate)
            known._optimizer.load_state_dict(saved["optimizer"])

    # -- the state as a tree of arrays and plain values -----------------------------------------

    def _state(self) -> dict[str, Any]:
        known: Any = self
        learned = {name: value for name, value in vars(self).items() if name.endswith("_")}
        params = {**known.get_params(deep=False), "callbacks": None}
        optimizer = known._optimizer
        if optimizer is not None and known._settings != settings_of(self):
            optimizer = None
        return {
            "params": {name: _plain(value) for name, value in params.items()},
            "learned": learned,
            "targets": known._target_state(),
            "module": known._module.state_dict(),
            "centred": known._standardizes(),
            "dtype": known._dtype,
            "optimizer": None if optimizer is None else optimizer.state_dict(),
            "steps": known.__dict__.get("_steps"),
            "rate": known._rate.state_dict() if hasattr(known._rate, "state_dict") else None,
            "rng": known._rng.get_state(legacy=False),
            "noise": known._noise.bit_generator.state,
            "monitor": asdict(known._monitor),
            "order": known._order,
            "split_state": known._split_state,
            "resume": known._resume,
        }

    @classmethod
    def _from_state(cls, state: dict[str, Any], code: dict[str, Any]) -> Self:
        est: Any = cls()
        est.set_params(**cls._loaded_params(state["params"], code))
        est._validate_params()
        for name, value in state["learned"].items():
            if name.endswith("_") and not name.startswith("_") and not hasattr(cls, name):
                setattr(est, name, value)
        est._loss = loss_settings(est)
        est._restore_targets(state["targets"])
        if state["dtype"] not in ("float32", "float64"):
            raise PersistError(f"A network of {persist.shortened(state['dtype'])} is not trained.")
        est._dtype = state["dtype"]
        est._restore_module(state, code)
        est._rng = random_state(state["rng"])
        est._noise = np.random.Generator(bit_generator(state["noise"]))
        est._connect_noise()
        est._monitor = PlateauDetector(**state["monitor"])
        est._order, est._resume = state["order"], state["resume"]
        est._split_state = state["split_state"]
        if est._split_state is not None:
            random_state(est._split_state)
        est._optimizer = None
        if state["optimizer"] is not None:
            est._settings = settings_of(est)
            est._steps = state["steps"]
            est._rate = make_rate(est, est._steps)
            est._optimizer = make_optimizer(est, est._module, est._rate)
            est._optimizer.load_state_dict(state["optimizer"])
            if state["rate"] is not None:
                est._rate.load_state_dict(state["rate"])
        return est  # type: ignore[no-any-return]

    @classmethod
    def _loaded_params(cls, saved: dict[str, Any], code: dict[str, Any]) -> dict[str, Any]:
        """Return the parameters: those of the file, and before them those of the caller."""
        params = {name: _restored(value) for name, value in saved.items()}
        for name, value in params.items():
            if isinstance(value, Code) and name not in code:
                raise PersistError(
                    f"This {cls.__name__} was saved with {persist.shortened(name)}="
                    f"{persist.shortened(value.name)}, which is code and is not in the file: pass "
                    f"it, load(path, {persist.shortened(name)}=...)."
                )
        for name in code.keys() - params.keys():
            raise PersistError(f"{cls.__name__} has no parameter {name!r}.")
        return {**params, **code}

    def _restore_module(self, state: dict[str, Any], code: dict[str, Any]) -> None:
        """Build the network, no larger than the weights that are there, and load them."""
        est: Any = self
        stored = state["module"]
        numbers = sum(array.size for array in stored.values())
        declared = {"n_features_in_": est.n_features_in_, "n_outputs_": est.n_outputs_}
        saved = {name: value for name, value in est.get_params().items() if name not in code}
        for name, value in {**declared, **saved}.items():
            counts = name in declared or (name.startswith("module__") and type(value) is int)
            if counts and not (type(value) is int and value <= max(numbers, USUAL)):
                raise PersistError(
                    f"It declares {name}={persist.shortened(value)}, and holds {numbers:,} weights."
                    + (
                        ""
                        if name in declared
                        else f" Pass load(path, {name}=...) if that is right."
                    )
                )
        self._check_declared(len(stored), numbers)
        est._rng = np.random.RandomState(0)
        est._module_rng = lambda: Sparing(len(stored), numbers)
        est._build(est._blank_standardizer(state["centred"]))
        del est._module_rng
        est._module.eval().load_state_dict(stored)

    def _check_declared(self, arrays: int, numbers: int) -> None:
        """Raise PersistError if the parameters declare more than so many arrays and numbers."""


class Sparing(np.random.Generator):
    """Draws for a network that is built to be loaded into, and no more than it will hold."""

    def __init__(self, arrays: int, numbers: int) -> None:
        super().__init__(np.random.PCG64(0))
        # A builder may draw what it does not keep. And each array takes memory of its own.
        self.left = USUAL + 2 * (numbers + OVERHEAD * arrays)

    def uniform(self, low: Any = 0.0, high: Any = 1.0, size: Any = None) -> Any:
        """Draw as a Generator does."""
        self._spend(size)
        return super().uniform(low, high, size)

    def normal(self, loc: Any = 0.0, scale: Any = 1.0, size: Any = None) -> Any:
        """Draw as a Generator does."""
        self._spend(size)
        return super().normal(loc, scale, size)

    def standard_normal(self, size: Any = None, dtype: Any = float, out: Any = None) -> Any:
        """Draw as a Generator does."""
        self._spend(size)
        return super().standard_normal(size, dtype, out)

    def _spend(self, size: Any) -> None:
        self.left -= OVERHEAD + math.prod(np.atleast_1d(1 if size is None else size).tolist())
        if self.left < 0:
            raise PersistError("It declares a network that is larger than the weights it holds.")


class Code(NamedTuple):
    """Stands where a parameter was a function or an object."""

    name: str


def _plain(value: Any) -> Any:
    """Give a parameter as it can be saved: dicts as pairs, and code as a mark that it was there."""
    if isinstance(value, np.random.RandomState):
        return {"random_state": value.get_state(legacy=False)}
    if isinstance(value, dict):
        return {"dict": [[key, _plain(part)] for key, part in value.items()]}
    if type(value) in schedules.SCHEDULES.values():
        name = next(name for name, kind in schedules.SCHEDULES.items() if kind is type(value))
        arguments = inspect.signature(schedules.SCHEDULES[name]).parameters
        return {"schedule": name, "with": {x: _plain(getattr(value, x)) for x in arguments}}
    try:
        persist.encode(value, (), {})
    except (TypeError, ValueError):
        return {"code": getattr(value, "__qualname__", None) or repr(value)}
    return value


def _restored(value: Any) -> Any:
    """Give the parameter that `_plain` was given."""
    if not isinstance(value, dict):
        return value
    if "random_state" in value:
        return random_state(value["random_state"])
    if "dict" in value:
        return {key: _restored(part) for key, part in value["dict"]}
    if "schedule" in value:
        arguments = {name: _restored(part) for name, part in value["with"].items()}
        return schedules.SCHEDULES[value["schedule"]](**arguments)
    return Code(value["code"])

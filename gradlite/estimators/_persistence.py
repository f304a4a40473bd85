"""Saving estimators, with or without pickle, and continuing exactly where they were."""

from __future__ import annotations

import inspect
import math
import os
from collections.abc import Callable
from dataclasses import asdict
from types import SimpleNamespace
from typing import Any, NamedTuple, Self

import numpy as np

from gradlite import persist
from gradlite.errors import PersistError, printable
from gradlite.estimators._network import Standardize
from gradlite.estimators._objectives import loss_settings
from gradlite.estimators._random import bit_generator, random_state
from gradlite.estimators._solvers import make_optimizer, make_rate, optimizer_params
from gradlite.estimators._training import TrainingState, check_loaded
from gradlite.nn import Module
from gradlite.optim import schedules
from gradlite.training.loop import PlateauDetector

Path = str | os.PathLike[str]

OVERHEAD = 100  # numbers that take as much memory as an array does beside its own
USUAL = 2**18  # a size up to this needs no weights to prove it: inputs of a convolution, say


class PersistenceMixin:
    """`save` and `load`: arrays and JSON in one file, and no code."""

    def save(self: Any, path: Path) -> None:
        """Save the fitted estimator, with all that a warm start needs.

        Parameters
        ----------
        path : path
            A name ending in ``.safetensors`` selects that format (the extra ``safetensors``);
            otherwise a zip of arrays and JSON is written. An existing file is replaced only once
            the new one is complete.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If parameters that describe the network or the loss were changed after the fit.

        Notes
        -----
        A parameter that is code (your own loss or schedule, a module) is not saved; pass it to
        `load` by keyword. Callbacks are not saved either. If parameters of the optimiser were
        changed since the last fit, it starts again after loading.
        """
        from sklearn.utils.validation import check_is_fitted

        check_is_fitted(self)
        self._check_unchanged("save")
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
            larger than its arrays, or needs a parameter that was not passed.

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
        except Exception as error:  # whatever an invalid state leads to
            said = persist.shortened(f"{type(error).__name__}: {error}", longest=500)
            raise PersistError(
                f"{name}: what it holds does not make a {cls.__name__}. {said}"
            ) from error

    # -- pickle, joblib, copy, skops ------------------------------------------------------------

    def __copy__(self) -> Self:
        twin = object.__new__(type(self))
        vars(twin).update(vars(self))
        return twin

    def __getstate__(self: Any) -> dict[str, Any]:
        """Return the parameters and the learned state as dicts, lists, arrays, numbers and strings.

        The user's own network stays an object.
        """
        parent: Any = super()
        state: dict[str, Any] = dict(parent.__getstate__())
        if self.__sklearn_is_fitted__():
            state.update(self._fitted_state(self._pack_network()))
        return state

    def __setstate__(self: Any, state: dict[str, Any]) -> None:
        parent: Any = super()
        parent.__setstate__(state)
        if self.__sklearn_is_fitted__():
            self._restore(state, self._unpack_network)

    def _pack_network(self: Any) -> Any:
        """Return the state of the network for a pickle."""
        return self._network

    def _unpack_network(self, packed: Any) -> Module:
        """Restore the network from what `_pack_network` returned."""
        network: Module = packed
        return network

    # -- what a fit has left, as plain values -----------------------------------------------------

    def _fitted_state(self: Any, network: Any) -> dict[str, Any]:
        """Return the private attributes of a fitted estimator as plain values."""
        training, optimizer = vars(self._training), self._training.optimizer
        keeps = optimizer is not None and training["settings"]["solver"] != "lbfgs"
        standardize = None if self._module is self._network else self._module[0].state_dict()
        return {
            "_targets": self._targets.state_dict(),
            "_module": {"network": network, "standardize": standardize},
            "_training": {**training, "optimizer": optimizer.state_dict() if keeps else None},
        }

    def _restore(self: Any, state: dict[str, Any], unpack: Callable[[Any], Module]) -> None:
        """Restore the private attributes from what `_fitted_state` returned."""
        self._training = training = TrainingState(**{**state["_training"], "optimizer": None})
        self._restore_targets(state["_targets"])
        network, arrays = unpack(state["_module"]["network"]), state["_module"]["standardize"]
        standardize = None
        if arrays is not None:
            ones = np.ones(self.n_features_in_, training.dtype)
            standardize = Standardize(ones.copy() if "mean" in arrays else None, ones)
            standardize.load_state_dict(arrays)
        self._assemble(network, standardize)
        if state["_training"]["optimizer"] is not None:
            settings = SimpleNamespace(**training.settings)
            training.optimizer = make_optimizer(settings, self._module, training.rate)
            training.optimizer.load_state_dict(state["_training"]["optimizer"])

    def _network_of(self: Any, arrays: dict[str, np.ndarray], rng: Any) -> Module:
        """Build the network that was fitted, and load its arrays."""
        params, dtype = self._training.fitted_with, np.dtype(self._training.dtype)
        made = self._make_module(params, self.n_features_in_, self.n_outputs_, dtype, rng)
        network: Module = made
        network.load_state_dict(arrays)
        return network

    # -- files ----------------------------------------------------------------------------------

    def _state(self: Any) -> dict[str, Any]:
        """Return all of a fitted estimator as a tree of arrays and plain values."""
        params = {**self.get_params(deep=False), "callbacks": None}
        state = self._fitted_state(self._network.state_dict())
        training = state["_training"]
        if training.pop("settings") != optimizer_params(self):
            training["optimizer"] = None
        rate = training["rate"]
        keeps = training["optimizer"] is not None and hasattr(rate, "state_dict")
        training["rate"] = rate.state_dict() if keeps else None
        training["rng"] = training["rng"].get_state(legacy=False)
        training["dropout_rng"] = training["dropout_rng"].bit_generator.state
        del training["fitted_with"]  # as the parameters are
        return {
            "params": {name: _savable(value) for name, value in params.items()},
            "learned": {name: value for name, value in vars(self).items() if name.endswith("_")},
            **state,
        }

    @classmethod
    def _from_state(cls, state: dict[str, Any], code: dict[str, Any]) -> Self:
        """Return the estimator of which `_state` returned this; everything in it is checked."""
        est: Any = cls()
        est.set_params(**cls._loaded_params(state["params"], code))
        est._validate_params()
        for name, value in state["learned"].items():
            if name.endswith("_") and not name.startswith("_") and not hasattr(cls, name):
                setattr(est, name, value)
        training, rate = state["_training"], state["_training"]["rate"]
        check_loaded(state["learned"], training)
        if training["split_state"] is not None:
            random_state(training["split_state"])
        training = {
            **training,
            "fitted_with": loss_settings(est),  # the others once they are known to be small
            "settings": optimizer_params(est),
            "rate": make_rate(est, training["steps"]),
            "rng": random_state(training["rng"]),
            "dropout_rng": np.random.Generator(bit_generator(training["dropout_rng"])),
            "monitor": asdict(PlateauDetector(**training["monitor"])),
        }
        est._restore(
            {**state, "_training": training}, lambda arrays: est._loaded_network(arrays, code)
        )
        if rate is not None:
            est._training.rate.load_state_dict(rate)
        return est  # type: ignore[no-any-return]  # made by the class in the file

    @classmethod
    def _loaded_params(cls, saved: dict[str, Any], code: dict[str, Any]) -> dict[str, Any]:
        """Return the parameters of the file, overridden by those of the caller."""
        params = {name: _loaded(value) for name, value in saved.items()}
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

    def _loaded_network(self: Any, arrays: dict[str, np.ndarray], code: dict[str, Any]) -> Module:
        """Build the network of a file, no larger than the weights in the file."""
        numbers = sum(array.size for array in arrays.values())
        declared = {"n_features_in_": self.n_features_in_, "n_outputs_": self.n_outputs_}
        saved = {name: value for name, value in self.get_params().items() if name not in code}
        for name, value in {**declared, **saved}.items():
            counts = name in declared or (name.startswith("module__") and type(value) is int)
            if counts and not (type(value) is int and value <= max(numbers, USUAL)):
                remedy = f" Pass load(path, {name}=...) if that is right."
                raise PersistError(
                    f"It declares {name}={persist.shortened(value)}, and holds {numbers:,} weights."
                    + ("" if name in declared else remedy)
                )
        self._check_declared(len(arrays), numbers)
        self._training.fitted_with = self._description()
        network: Module = self._network_of(arrays, Sparing(len(arrays), numbers))
        return network

    def _check_declared(self, arrays: int, numbers: int) -> None:
        """Raise PersistError if the parameters declare more than so many arrays and numbers."""


class Sparing(np.random.Generator):
    """Draws the weights of a network to be loaded, but no more than the file holds."""

    def __init__(self, arrays: int, numbers: int) -> None:
        super().__init__(np.random.PCG64(0))
        # A builder may draw what it does not keep, and each array takes additional memory.
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
    """Takes the place of a parameter that is a function or an object."""

    name: str


def _savable(value: Any) -> Any:
    """Return a parameter in a form that can be saved: dicts as pairs, code by name."""
    if isinstance(value, np.random.RandomState):
        return {"random_state": value.get_state(legacy=False)}
    if isinstance(value, dict):
        return {"dict": [[key, _savable(part)] for key, part in value.items()]}
    if type(value) in schedules.SCHEDULES.values():
        name = next(name for name, kind in schedules.SCHEDULES.items() if kind is type(value))
        arguments = inspect.signature(schedules.SCHEDULES[name]).parameters
        return {"schedule": name, "with": {x: _savable(getattr(value, x)) for x in arguments}}
    try:
        persist.encode(value, (), {})
    except (TypeError, ValueError):
        return {"code": getattr(value, "__qualname__", None) or repr(value)}
    return value


def _loaded(value: Any) -> Any:
    """Return the parameter that `_savable` was called with."""
    if not isinstance(value, dict):
        return value
    if "random_state" in value:
        return random_state(value["random_state"])
    if "dict" in value:
        return {key: _loaded(part) for key, part in value["dict"]}
    if "schedule" in value:
        arguments = {name: _loaded(part) for name, part in value["with"].items()}
        return schedules.SCHEDULES[value["schedule"]](**arguments)
    return Code(value["code"])

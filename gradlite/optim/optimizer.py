"""Optimizer, the base of all optimisers: groups of parameters, the step, and the state to save."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self

import numpy as np

from gradlite.autodiff.modes import enable_grad
from gradlite.errors import StateError, compare_names
from gradlite.optim.flat import Array, Lazy, Named, Scratch, Vector
from gradlite.optim.groups import Group, check_ranges, read_group, read_groups

ELSEWHERE = {"foreach", "fused", "capturable", "differentiable"}
"""Options of PyTorch's optimisers that choose among implementations of a step."""


class Optimizer:
    """Base class of the optimisers: packs the parameters and updates them.

    A subclass has its hyperparameters in the signature of ``__init__``, the names of its state's
    arrays in `state_names`, and its formula in `update`.

    Parameters
    ----------
    params : iterable
        Tensors; or pairs of a name and a Tensor, as ``module.named_parameters()`` returns; or
        groups, dicts with such an iterable under ``"params"`` and hyperparameters of their own.
    **hyperparameters
        Defaults for groups without their own. ``lr`` is a number, or a schedule: a function from
        the number of steps taken to the learning rate.

    Attributes
    ----------
    param_groups : list of dict
        The parameters (under "params", their names under "param_names") and hyperparameters,
        which may be changed between steps.
    steps : int
        The number of calls of `step`, which is the argument of a schedule.
    vectors : list of Vector
        The flat vectors in which the parameters lie, one for each group and dtype.

    Raises
    ------
    TypeError
        If something is not a Tensor, or a hyperparameter is unknown; PyTorch's ``foreach``,
        ``fused``, ``capturable`` and ``differentiable`` are.
    ValueError
        If there are no parameters, one is given twice, or a hyperparameter is out of range.
    GraphError
        If a parameter is the result of an operation.

    Notes
    -----
    Creating an optimiser moves the parameters into one array: each ``p.data`` is a view of it from
    then on, and an array taken from ``p.data`` before no longer changes with the parameter. A step
    skips parameters without a gradient, frozen ones (``requires_grad=False``) among them: their
    values, state and step counts stay the same. float16 parameters are updated in float32 and
    rounded after each step; their state is float32.

    Examples
    --------
    >>> import gradlite as gl
    >>> from gradlite.optim import SGD
    >>> w, b = gl.Tensor([1.0, 2.0], requires_grad=True), gl.Tensor(0.0, requires_grad=True)
    >>> optimizer = SGD([{"params": [w]}, {"params": [b], "lr": 1.0}], lr=0.5)
    >>> (w.sum() + b).backward()
    >>> optimizer.step()
    >>> w.data, b.data
    (array([0.5, 1.5]), array(-1.))
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Create the optimiser; raise TypeError for the options in `ELSEWHERE`."""
        if cls.__module__.startswith(f"{__package__}.") and not ELSEWHERE.isdisjoint(kwargs):
            names = ", ".join(name for name in kwargs if name in ELSEWHERE)
            raise TypeError(
                f"{cls.__name__}: omit {names}: there is one implementation, which updates all "
                f"parameters together, in place."
            )
        return super().__new__(cls)

    def __init__(self, params: Any, **hyperparameters: Any) -> None:
        self.defaults = hyperparameters
        self.param_groups: list[Group] = []
        self.steps = 0
        self._pack()
        for group in read_groups(type(self).__name__, params):
            self.add_param_group(group)

    def add_param_group(self, param_group: Mapping[str, Any]) -> None:
        """Add parameters, such as those of a layer that is trained from now on.

        Parameters
        ----------
        param_group : dict
            Tensors, or pairs of a name and a Tensor, under ``"params"``, and the hyperparameters
            that are not the defaults. A Tensor without a name is called by its number.

        Examples
        --------
        >>> import gradlite as gl
        >>> from gradlite.optim import SGD
        >>> head, body = (gl.Tensor([1.0], requires_grad=True) for _ in range(2))
        >>> optimizer = SGD([head], lr=0.1)
        >>> optimizer.add_param_group({"params": [body], "lr": 0.01})
        >>> [group["lr"] for group in optimizer.param_groups]
        [0.1, 0.01]
        """
        names = {
            name: p
            for known in self.param_groups
            for name, p in zip(known["param_names"], known["params"], strict=True)
        }
        group = read_group(type(self).__name__, param_group, self.defaults, names)
        self._check(group)
        self.param_groups.append(group)
        self._pack_group(group)

    def update(
        self, p: Array, g: Array, state: Lazy, scratch: Scratch, group: Group, lr: float, t: int
    ) -> None:
        """Update a part of the parameters in place.

        Parameters
        ----------
        p, g : array, shape (n,)
            The parameters, to be changed, and their gradients, which must not be.
        state : dict of str to array, shape (n,)
            The arrays kept from step to step; initially zero.
        scratch : tuple of two arrays, shape (n,)
            For intermediate results.
        group : dict
            The hyperparameters.
        lr : float
            The learning rate.
        t : int
            The number of this step, counted from 1.
        """
        raise NotImplementedError(f"{type(self).__name__} must define update().")

    def state_names(self, group: Group) -> tuple[str, ...]:
        """Return the names of the state's arrays, given the hyperparameters; () if it has none."""
        raise NotImplementedError(f"{type(self).__name__} must define state_names().")

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient.

        Parameters
        ----------
        closure : callable, optional
            Called first, to empty the gradients, compute the loss and call ``backward()``.

        Returns
        -------
        Tensor or None
            What `closure` returned, the loss.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        for group, vectors in self._packed:
            lr = group["lr"]
            if type(lr) is not float:  # most often a float, which needs no call
                lr = self.rate_of(group)
            for vector in vectors:
                for segment in vector.segments():
                    t = segment.advance()
                    for block in segment.blocks:
                        self.update(*block, group, lr, t)
                    segment.mark_written()
        self.steps += 1
        return loss

    def rate_of(self, group: Group) -> float:
        """Return the learning rate of a group in the next step."""
        schedule: Any = group["lr"]
        rate = schedule(self.steps) if callable(schedule) else schedule
        try:
            return float(rate)
        except (TypeError, ValueError):
            raise TypeError(
                f"{type(self).__name__}: the schedule returned {rate!r} in step {self.steps}. A "
                f"schedule is a function from the step to the learning rate, one number."
            ) from None

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Empty the gradients of all parameters; their memory is reused.

        With ``set_to_none=False`` a gradient that is there becomes zero instead, so that `step`
        does not skip its parameter: momentum and decay still change it.
        """
        for vector in self.vectors:
            if set_to_none:
                vector.zero_grad()
            else:
                vector.fill_grad(0.0)

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value!r}" for name, value in self.defaults.items())
        count = sum(len(group["params"]) for group in self.param_groups)
        return f"<{type(self).__name__}({settings}) of {count} parameters>"

    # -- saving and loading -----------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Return the state needed to resume later: numbers, names and copies of arrays.

        Returns
        -------
        dict
            ``{"step": ..., "groups": [{"lr": ..., "params": [names]}], "state": {name: {"step":
            ..., "exp_avg": array}}}``. A schedule is a function and is not saved: lr is then None.
        """
        groups = []
        state: dict[str, dict[str, Any]] = {}
        for group, vectors in self._packed:
            settings = {name: group[name] for name in self.defaults}
            if callable(settings.get("lr")):
                settings["lr"] = None
            groups.append({**settings, "params": list(group["param_names"])})
            for vector in vectors:
                for view in vector.views:
                    own = state[view.name] = {"step": view.steps}
                    for name in self.state_names(group) if view.steps else ():
                        own[name] = vector.state_of(view, name).copy()
        return {"step": self.steps, "groups": groups, "state": state}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Resume from what `state_dict` returned, in place and exactly.

        Raises
        ------
        StateError
            If names, shapes or hyperparameters do not fit. One message lists all of it, and
            nothing is changed.
        """
        problems = list(self._misfits(state))
        if problems:
            raise StateError(
                f"This state does not fit {type(self).__name__}: {'; '.join(problems)}. "
                f"Nothing was loaded."
            )
        self.steps = state["step"]
        for (group, vectors), saved in zip(self._packed, state["groups"], strict=True):
            for name in self.defaults:
                if name != "lr" or saved[name] is not None:
                    group[name] = saved[name]
            for vector in vectors:
                for view in vector.views:
                    own = state["state"][view.name]
                    view.steps = own["step"]
                    for name in self.state_names(group):
                        vector.state_of(view, name)[...] = own[name] if view.steps else 0

    def _misfits(self, state: Mapping[str, Any]) -> Iterator[str]:
        """Yield the reasons why a state cannot be loaded."""
        if state.keys() != {"step", "groups", "state"}:
            yield f"it has {sorted(state)} in place of 'step', 'groups' and 'state'"
            return
        if len(state["groups"]) != len(self.param_groups):
            yield f"it has {len(state['groups'])} groups, not {len(self.param_groups)}"
            return
        if not _is_count(state["step"]):
            yield f"its step is {state['step']!r}"
        for (group, vectors), saved in zip(self._packed, state["groups"], strict=True):
            found = list(self._compare_settings(group, saved))
            names = list(compare_names(group["param_names"], saved.get("params", ())))
            yield from found + names
            if found or names:
                continue
            for vector in vectors:
                for view in vector.views:
                    own = state["state"].get(view.name, {})
                    yield from _compare_state(
                        view.name, view.data.shape, own, self.state_names(saved)
                    )

    def _compare_settings(self, group: Group, saved: Mapping[str, Any]) -> Iterator[str]:
        settings = {name: value for name, value in saved.items() if name != "params"}
        if settings.keys() != self.defaults.keys():
            yield f"it has the hyperparameters {list(settings)}, not {list(self.defaults)}"
            return
        if settings.get("lr", 0) is None:
            if not callable(group["lr"]):
                yield "its lr was a schedule, which is not saved: create the optimiser with one"
            del settings["lr"]
        try:
            self._check(settings)
        except (TypeError, ValueError) as error:
            yield str(error)

    def __getstate__(self) -> dict[str, Any]:
        state = {k: v for k, v in vars(self).items() if k not in ("vectors", "_packed")}
        return {**state, "_saved": self.state_dict()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        saved = state.pop("_saved")
        vars(self).update(state)
        self._pack()
        self.load_state_dict(saved)

    # -- what it is made of -------------------------------------------------------------------

    def _pack(self) -> None:
        """Pack the parameters of all groups."""
        self._packed: list[tuple[Group, list[Vector]]] = []
        self.vectors: list[Vector] = []
        for group in self.param_groups:
            self._pack_group(group)

    def _pack_group(self, group: Group) -> None:
        """Pack the parameters of a group into vectors, one for each dtype."""
        by_dtype: dict[Any, list[Named]] = {}
        for named in zip(group["param_names"], group["params"], strict=True):
            by_dtype.setdefault(named[1].dtype, []).append(named)
        vectors = [Vector(named) for named in by_dtype.values()]
        self._packed.append((group, vectors))
        self.vectors += vectors

    def _check(self, settings: Mapping[str, Any]) -> None:
        """Raise ValueError if a hyperparameter is out of range."""
        check_ranges(type(self).__name__, settings)


def _is_count(step: Any) -> bool:
    return isinstance(step, int) and step >= 0


def _compare_state(
    name: str, shape: tuple[int, ...], own: Mapping[str, Any], buffers: tuple[str, ...]
) -> Iterator[str]:
    """Yield what is wrong with the state of one parameter."""
    if not _is_count(own.get("step")):
        yield f"{name} has no count of steps"
        return
    for problem in compare_names(("step", *buffers) if own["step"] else ("step",), own):
        yield f"{name}: {problem}"
    for buffer in buffers:
        if buffer in own and np.shape(own[buffer]) != shape:
            yield f"{buffer} of {name} has shape {np.shape(own[buffer])} there and {shape} here"
        elif buffer in own and np.asarray(own[buffer]).dtype.kind not in "fiu":
            yield f"{buffer} of {name} holds {np.asarray(own[buffer]).dtype}, not numbers"

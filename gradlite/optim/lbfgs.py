"""L-BFGS: SciPy's, on the flat vector."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from gradlite.autodiff.writes import mark_written
from gradlite.optim.groups import Group
from gradlite.optim.optimizer import Optimizer

Closure = Callable[[], Any]


class LBFGS(Optimizer):
    """L-BFGS with a line search, for a loss of all the data: ``scipy.optimize``'s L-BFGS-B.

    A call of `step` is a whole minimisation. Liu and Nocedal, "On the limited memory BFGS method
    for large scale optimization", 1989; Byrd, Lu, Nocedal and Zhu, "A limited memory algorithm for
    bound constrained optimization", 1995.

    Parameters
    ----------
    params : iterable
        The parameters: see `Optimizer`. They make one group.
    max_iter : int, default 20
        The largest number of iterations in a step.
    gtol : float, default 1e-5
        Stop when no entry of the gradient is larger.
    ftol : float, default 2.22e-9
        Stop when the relative decrease of the loss in an iteration is smaller.
    maxfun : int, optional
        The largest number of evaluations in a step; by default SciPy's, 15000.
    history_size : int, default 10
        The number of iterations from which the curvature is estimated.

    Attributes
    ----------
    result : scipy.optimize.OptimizeResult or None
        How the last step ended: ``nit`` iterations, ``nfev`` evaluations, the loss ``fun``,
        whether it converged (``success``), and why it stopped (``message``).

    Examples
    --------
    >>> import gradlite as gl
    >>> from gradlite.optim import LBFGS
    >>> p = gl.Tensor([4.0, -1.0], requires_grad=True)
    >>> optimizer = LBFGS([p])
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = ((p - 1) ** 2).sum()
    ...     loss.backward()
    ...     return loss
    >>> optimizer.step(closure) < 1e-12, p.data.round(6)
    (True, array([1., 1.]))
    """

    def __init__(
        self,
        params: Any,
        max_iter: int = 20,
        gtol: float = 1e-5,
        ftol: float = 2.220446049250313e-09,
        maxfun: int | None = None,
        history_size: int = 10,
    ) -> None:
        super().__init__(
            params,
            max_iter=max_iter,
            gtol=gtol,
            ftol=ftol,
            maxfun=maxfun,
            history_size=history_size,
        )
        self.result: Any = None

    def add_param_group(self, param_group: Mapping[str, Any]) -> None:
        """Raise ValueError for a second group."""
        if self.param_groups:
            raise ValueError("LBFGS takes one group of parameters: it minimises over all at once.")
        super().add_param_group(param_group)

    def _check(self, settings: Mapping[str, Any]) -> None:
        super()._check(settings)
        counts = [settings["max_iter"], settings["history_size"]]
        if settings["maxfun"] is not None:
            counts.append(settings["maxfun"])
        for count in counts:
            if not isinstance(count, (int, np.integer)) or count < 1:
                raise ValueError(
                    f"LBFGS: max_iter, history_size and maxfun must be positive integers, not "
                    f"{count!r}."
                )

    def state_names(self, group: Group) -> tuple[str, ...]:
        """Return no names: each step is a separate minimisation, so there is no state."""
        return ()

    def step(  # type: ignore[override]  # it evaluates the loss itself, as in PyTorch
        self, closure: Closure, callback: Callable[[float], Any] | None = None
    ) -> float:
        """Minimise the loss, and set the parameters to the best point.

        Parameters
        ----------
        closure : callable
            Empties the gradients, computes the loss, calls ``backward()`` and returns the loss,
            a Tensor of one element or a number.
        callback : callable, optional
            Called with the loss after each iteration. It may stop the step by returning True or
            raising StopIteration.

        Returns
        -------
        float
            The loss at the best point.
        """
        from scipy.optimize import minimize

        reached: list[float] = []  # the loss at the start and after each iteration

        def evaluate(x: np.ndarray) -> tuple[float, np.ndarray]:
            self._scatter(x)
            loss = float(closure())
            if not reached:
                reached.append(loss)
            return loss, self._gather_gradient()

        def iteration(intermediate_result: Any) -> None:  # SciPy goes by the name
            reached.append(float(intermediate_result.fun))
            if callback is not None and callback(reached[-1]):
                raise StopIteration

        group = self.param_groups[0]
        options = {
            "maxiter": group["max_iter"],
            "gtol": group["gtol"],
            "ftol": group["ftol"],
            "maxcor": group["history_size"],
        }
        if group["maxfun"] is not None:
            options["maxfun"] = group["maxfun"]
        result = minimize(
            evaluate,
            self._gather(),
            method="L-BFGS-B",
            jac=True,
            callback=iteration,
            options=options,
        )
        self._scatter(result.x)
        result.fun = reached[-1]  # SciPy's own value is that of a line search that failed
        for name in ("x", "jac", "hess_inv"):  # long vectors
            del result[name]
        self.result = result
        self.steps += 1
        return reached[-1]

    def _gather(self) -> np.ndarray:
        """Return all parameters as one vector of float64."""
        for vector in self.vectors:
            vector.bind()
        return np.concatenate([vector.data for vector in self.vectors], dtype=np.float64)

    def _gather_gradient(self) -> np.ndarray:
        """Return all gradients as one vector of float64; a missing one counts as zero."""
        for vector in self.vectors:
            vector.bind()
            for view in vector.views:
                if not view.sink.full:
                    view.grad.fill(0)
        return np.concatenate([vector.grad for vector in self.vectors], dtype=np.float64)

    def _scatter(self, x: np.ndarray) -> None:
        """Set all parameters from one vector."""
        start = 0
        for vector in self.vectors:
            vector.bind()
            stop = start + vector.data.size
            np.copyto(vector.data, x[start:stop], casting="same_kind")
            mark_written(vector.data)
            start = stop

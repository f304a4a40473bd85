"""`compile_step`: loss, gradient and step of an optimiser in one call for each batch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from gradlite.errors import CompileError
from gradlite.nn.module import Module
from gradlite.optim import Optimizer
from gradlite.training.loop import Trainer
from gradlite.training.program import StepProgram


def compile_step(module: Module, loss: Callable[..., Any], optimizer: Optimizer) -> CompiledStep:
    """Return the training step of a network, compiled.

    Parameters
    ----------
    module : Module
        The network.
    loss : callable
        ``loss(output, target)`` returns one number; ``loss(output, target, sample_weight=w)``
        where weights are passed.
    optimizer : Optimizer
        Holds all parameters of `module` that require a gradient.

    Returns
    -------
    CompiledStep
        ``step(x, y)`` computes the loss of a batch, moves the parameters in place and returns the
        loss, a float; if that is not finite, nothing is moved. For each kind of batch, loss,
        gradient and the optimiser's step are compiled to one program when the first one comes (see
        `compile`); what no program can do takes the tape, and `why` says so.

    Examples
    --------
    >>> import numpy as np, gradlite as gl
    >>> from gradlite import nn, optim
    >>> rng = np.random.default_rng(0)
    >>> net = nn.Sequential(nn.Linear(2, 16, rng=rng), nn.ReLU(), nn.Linear(16, 1, rng=rng))
    >>> step = gl.compile_step(net, gl.mse, optim.Adam(net.parameters(), lr=0.01))
    >>> x = rng.normal(size=(100, 2)).astype(np.float32)
    >>> losses = [step(x, x[:, :1] * x[:, 1:]) for _ in range(500)]
    >>> losses[-1] < 0.1 * losses[0]
    True
    """
    return CompiledStep(module, loss, optimizer)


class CompiledStep:
    """A training step; see `compile_step`.

    Attributes
    ----------
    source : str
        The text of the program of the first kind of batch.
    why : str
        Why the tape is taken, if it is.
    """

    def __init__(self, module: Module, loss: Callable[..., Any], optimizer: Optimizer) -> None:
        self._trainer = Trainer(module, Weighted(loss), optimizer, compiled=True, patience=0)

    def __call__(self, x: Any, y: Any, sample_weight: Any = None) -> float:
        """Take a step on a batch, and return its loss."""
        x, y = np.asarray(x), np.asarray(y)
        return self._trainer.step(x, y, sample_weight)

    def __getstate__(self) -> dict[str, Any]:
        self._trainer.forget()  # programs are traced again where it is unpickled
        return vars(self)

    @property
    def why(self) -> str:
        """Why the tape is taken; '' if it is not."""
        return self._trainer.why

    @property
    def source(self) -> str:
        """The text of the program of the first kind of batch."""
        return self._first().source

    def save(self, path: Any) -> None:
        """Write the program of the first kind of batch to a file, a module that needs NumPy alone.

        It has the parameters, and what the optimiser remembers, as they are now. Its function
        ``step(x, target, lr, t)`` takes a step with the learning rate `lr`, the step's number `t`,
        counted from 1, and returns the loss. Without `lr` and `t` it moves nothing, and leaves the
        gradient in arrays: that of a step which the optimiser takes itself (Adagrad, dampening,
        float16, parameters that the loss does not use).

        Parameters
        ----------
        path : str or path
            The file; replaced if it exists.

        Raises
        ------
        CompileError
            If there is no program yet, or it calls functions of other packages or draws.
        """
        Path(path).write_text(self._first().module(), encoding="utf-8")

    def _first(self) -> StepProgram:
        for programs in self._trainer.programs.values():
            for program in programs:
                return program
        raise CompileError.here(self.why or "There is no program before the first batch.")


class Weighted:
    """A loss with or without weights, as the trainer calls it."""

    def __init__(self, fn: Callable[..., Any]) -> None:
        self.fn = fn

    def __call__(self, output: Any, target: Any, w: Any) -> Any:
        """Return the loss of a batch."""
        if w is None:
            return self.fn(output, target)
        return self.fn(output, target, sample_weight=w)

"""The training loop: batches, loss, backward, step; epoch by epoch.

`Trainer` holds what a step needs. `train` runs epochs until its callback asks it to stop, such as
on a plateau of the loss or the score (`PlateauDetector`). Nothing here depends on scikit-learn.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gradlite.autodiff.debug import debug
from gradlite.autodiff.modes import RECORDING, current_mode
from gradlite.errors import CompileError, DivergedError, NonFiniteError
from gradlite.nn.module import Module
from gradlite.optim import Optimizer, clip_grad_norm
from gradlite.training.data import Rows, all_finite
from gradlite.training.program import StepProgram
from gradlite.training.update import L2, total_weight

MOST = 8
"""So many ways through network and loss get a program, for each kind of batch."""

MANY, SOON = 150, 4
"""Where at least so many batches of a kind are planned, so many take the tape: tracing will pay."""

KINDS = 16
"""So many kinds of batches have programs at a time."""

Loss = Callable[[Any, Any, Any], Any]
"""``loss(output, target, sample_weight or None)``: the weighted mean, a 0-d Tensor."""


@dataclass
class Trainer:
    """A network, its loss and its optimiser: what a step of training needs.

    Attributes
    ----------
    module : Module
        The network, which takes a batch of rows.
    loss : callable
        ``loss(output, target, sample_weight or None)`` returns the weighted mean, a 0-d Tensor.
    optimizer : Optimizer
        The optimiser of its parameters.
    penalties : sequence of L2
        Penalties added to the loss.
    max_grad_norm : float, optional
        Gradients with a larger norm are scaled down to it.
    compiled : bool, default False
        Whether to compile the step, once for each kind of batch, where that can be done. Changes
        to the module are seen; after one to what its code refers to, `forget` the programs.
    patience : int, default 64
        So many batches of each kind take the tape: tracing takes as long as a hundred steps.
    planned : dict of int to int
        How many batches of so many rows there will be, unless training stops early.
    programs : dict
        For each kind of batch a program for each way through network and loss.
    seen : dict
        How many batches of each kind there were.
    why : str
        Why the tape is taken, if it is.
    """

    module: Module
    loss: Loss
    optimizer: Optimizer
    penalties: Sequence[L2] = ()
    max_grad_norm: float | None = None
    compiled: bool = False
    patience: int = 64
    planned: dict[int, int] = field(default_factory=dict)
    programs: dict[Any, list[StepProgram]] = field(default_factory=dict)
    seen: dict[Any, int] = field(default_factory=dict)
    why: str = ""

    def step(self, x: Any, y: Any, w: Any = None) -> float:
        """Take a step on a batch, and return its loss, penalties included.

        If the loss is not finite, no parameter is changed.
        """
        program = self._program(x, y, w, self.max_grad_norm is None)
        if program is not None and program.update is not None:
            return program.loss
        value = self._penalized(x, y, w, program)
        if math.isfinite(value):
            if self.max_grad_norm is not None:
                clip_grad_norm(self.optimizer, self.max_grad_norm)
            self.optimizer.step()
        self.optimizer.zero_grad()
        return value

    def gradient(self, x: Any, y: Any, w: Any = None) -> float:
        """Compute the loss of a batch, and leave its gradient in the optimiser's vectors."""
        return self._penalized(x, y, w, self._program(x, y, w, False))

    def _penalized(self, x: Any, y: Any, w: Any, program: StepProgram | None) -> float:
        """Compute loss and gradient, if no program did, and add the penalties."""
        if program is None:
            try:
                loss = self.loss(self.module(x), y, w)
                loss.backward()
                value = float(loss.data)
            except Exception:
                self.why = ""  # this batch is why there is no program: the next may be better
                raise
        else:
            value = program.loss
        for penalty in self.penalties:
            value += penalty.add(total_weight(y, w))
        return value

    def _program(self, x: Any, y: Any, w: Any, moves: bool) -> StepProgram | None:
        """Run a program on a batch, and return it; None if there is none.

        Parameters
        ----------
        x, y, w : array
            The batch.
        moves : bool
            Whether the program may take the step, too.
        """
        parts = (x, y) if w is None else (x, y, w)
        plain = all(type(part) is np.ndarray and part.flags.c_contiguous for part in parts)
        if not (self.compiled and plain and current_mode() is RECORDING):
            return None
        key = moves, *((part.shape, part.dtype) for part in parts)
        self.seen[key] = self.seen.get(key, 0) + 1
        many = bool(self.planned) and self.planned.get(len(y), 0) >= MANY
        if self.seen[key] <= (min(self.patience, SOON) if many else self.patience):
            return None
        for vector in self.optimizer.vectors:
            vector.bind()  # someone may have assigned p.data
            for view in vector.views:
                if view.sink.full or view.sink.hooks:
                    return None  # gradients that are there are added to, and hooks are told
        while key not in self.programs and len(self.programs) >= KINDS:
            del self.programs[next(iter(self.programs))]
        programs = self.programs.setdefault(key, [])
        if not all(program.is_current() for program in programs):
            programs.clear()
        for program in programs:
            if program.run(x, y, w):
                return program
        if self.why or len(programs) >= MOST:
            return None
        try:
            program = StepProgram(
                self.module, self.loss, self.optimizer, (x, y, w), self.penalties if moves else None
            )
        except CompileError as error:
            self.why = str(error)
            return None
        except Exception as error:  # a wrong batch, or code that asks for arrays: see the tape
            self.why = f"With symbols in place of arrays, {type(error).__name__}: {error}"
            return None
        programs.append(program)
        return program if program.run(x, y, w) else None

    def forget(self) -> None:
        """Drop the programs: module or loss may have been changed."""
        self.programs.clear()
        self.seen.clear()
        self.why = ""

    def epoch(self, rows: Rows, batch_size: int, order: np.ndarray | None = None) -> float:
        """Take a step on each batch of `rows`, and return the mean loss of a row.

        Raises
        ------
        DivergedError
            At the first batch with a loss that is not finite, or if the parameters are not finite
            after the last step. It names the batch, and the operation or the parameter in which
            NaN or Inf appeared.
        """
        total, count = 0.0, 0
        with np.errstate(over="ignore", invalid="ignore"):  # an error says more
            for number, (x, y, w) in enumerate(rows.batches(batch_size, order), 1):
                value = self.step(x, y, w)
                if not math.isfinite(value):
                    raise DivergedError(f"batch {number}: {self.origin(x, y, w)}")
                total += value * len(y)
                count += len(y)
        # The square is the fastest sum; what is too large for it is looked at closely.
        if not all(
            math.isfinite(vector.data.dot(vector.data)) or all_finite(vector.data)
            for vector in self.optimizer.vectors
        ):
            raise DivergedError(f"batch {number}: {self.origin(x, y, w)}")
        return total / count

    def origin(self, x: Any, y: Any, w: Any) -> str:
        """Return a message on where a loss that is not finite comes from, found in debug mode."""
        for name, p in self.module.named_parameters():
            if not np.all(np.isfinite(p.data)):
                return f"{name} of shape {p.shape} has NaN or Inf after a step."
        try:
            with debug():
                self.loss(self.module(x), y, w)
        except NonFiniteError as error:
            return str(error).partition("\n  at ")[0]
        return "the loss plus its penalty is not finite."


@dataclass
class PlateauDetector:
    """Counts the epochs in a row in which a metric that should decrease has not improved.

    Attributes
    ----------
    tol : float
        An epoch counts as an improvement if its metric is at least this far below the best one.
    best : float
        The lowest metric so far.
    best_epoch : int
        The epoch of the lowest metric, counted from 1 over all epochs seen; 0 before the first.
    bad_epochs : int
        Epochs since the last improvement.
    """

    tol: float = 0.0
    best: float = math.inf
    best_epoch: int = 0
    bad_epochs: int = 0
    seen: int = 0

    def update(self, metric: float) -> bool:
        """Record the metric of an epoch, and return whether it is the lowest so far."""
        self.seen += 1
        self.bad_epochs = self.bad_epochs + 1 if metric > self.best - self.tol else 0
        if metric < self.best:
            self.best, self.best_epoch = metric, self.seen
            return True
        return False


@dataclass
class Snapshot:
    """A copy of everything that a network has learned; its memory is reused for later copies.

    Parameters are an optimiser's flat vectors, so keeping the best epoch costs one copy of each;
    buffers (running statistics) are copied as well.
    """

    module: Module
    optimizer: Optimizer
    kept: list[np.ndarray] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._holders = [part for part in self.module.modules() if part._buffer_names]

    def _views(self) -> list[np.ndarray]:
        buffers = [array for part in self._holders for _, array in part._buffers()]
        return [vector.data for vector in self.optimizer.vectors] + buffers

    def arrays(self) -> list[np.ndarray]:
        """Return copies of the current state."""
        return [array.copy() for array in self._views()]

    def take(self) -> None:
        """Keep a copy of the current state."""
        if not self.kept:
            self.kept = self.arrays()
            return
        for copy, array in zip(self.kept, self._views(), strict=True):
            np.copyto(copy, array)

    def restore(self) -> None:
        """Restore the state that was kept last, if there is one."""
        if self.kept:
            for copy, array in zip(self.kept, self._views(), strict=True):
                np.copyto(array, copy)


def train(
    trainer: Trainer,
    rows: Rows,
    epochs: int,
    batch_size: int,
    next_order: Callable[[], np.ndarray | None],
    at_epoch_end: Callable[[float], bool],
) -> int:
    """Run epochs until `at_epoch_end` returns True, and return their number.

    Parameters
    ----------
    trainer : Trainer
        The network, its loss and its optimiser.
    rows : Rows
        The training data.
    epochs : int
        The maximum number of epochs.
    batch_size : int
        The number of rows in a batch; the last batch of an epoch may have fewer.
    next_order : callable
        Returns the order of the rows in the next epoch; None leaves them as they are.
    at_epoch_end : callable
        Takes the mean loss of the epoch; returns whether to stop.

    Raises
    ------
    DivergedError
        At the first loss that is not finite. It names the epoch, the batch and the operation.
    """
    for epoch in range(1, epochs + 1):
        try:
            loss = trainer.epoch(rows, batch_size, next_order())
        except DivergedError as error:
            raise DivergedError(f"Training diverged in epoch {epoch}, {error}") from None
        if at_epoch_end(loss):
            return epoch
    return epochs

"""The step of an optimiser on its flat vectors, penalties included, as lines of a program."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np

from gradlite.compiler.program import Program
from gradlite.compiler.simplify import simplified
from gradlite.compiler.source import Text
from gradlite.compiler.symbols import as_symbols, to_lines
from gradlite.errors import CompileError
from gradlite.optim import Optimizer


class L2:
    """The penalty ``alpha / 2 * |weights|**2``, on the first entries of a flat vector.

    scikit-learn divides it by the weight of the batch (the number of its samples), so that its
    strength against the loss does not depend on the batch size chosen.

    Parameters
    ----------
    weights, grad : array, shape (n,)
        The penalised part of an optimiser's vector of parameters, and of its gradients.
    alpha : float
        The strength.
    """

    def __init__(self, weights: np.ndarray, grad: np.ndarray, alpha: float) -> None:
        self.weights = weights
        self.grad = grad
        self.alpha = alpha
        self.scratch = np.empty_like(weights)

    def add(self, total_weight: float) -> float:
        """Add the gradient of the penalty to ``grad``, and return its value."""
        strength = self.alpha / total_weight
        return 0.5 * float(add_penalty(self.weights, self.grad, strength, self.scratch))


def add_penalty(weights: Any, grad: Any, strength: Any, s: Any) -> Any:
    """Add the gradient of a penalty to `grad`, and return twice its value; `s` is scratch."""
    np.multiply(weights, strength, out=s)
    grad += s
    return np.dot(s, weights)


def total_weight(y: Any, w: Any) -> float:
    """Return the weight of a batch: the number of its samples, or the sum of their weights."""
    return len(y) if w is None else float(w.sum())


def names_of_numbers(optimizer: Optimizer, penalties: Sequence[L2]) -> list[str]:
    """Return what the numbers of a step are called: strengths, rates and counts."""
    names = [f"strength{mark}" for mark in _marks(penalties)]
    return names + [f"{n}{mark}" for mark in _marks(optimizer.vectors) for n in ("lr", "t")]


class Update:
    """What a step does once the gradients are there, traced: it changes parameters in place.

    Parameters
    ----------
    optimizer : Optimizer
        The optimiser.
    penalties : sequence of L2
        Penalties added to the loss.

    Raises
    ------
    CompileError
        If the optimiser is not one of gradlite's, or what it does depends on numbers.
    """

    def __init__(self, optimizer: Optimizer, penalties: Sequence[L2]) -> None:
        own = type(optimizer).__module__.startswith("gradlite.")
        if not own or type(optimizer).step is not Optimizer.step:
            raise CompileError.here("The optimiser has a step of its own.")
        self.optimizer = optimizer
        self.penalties = penalties
        self._segments = [(group, v.whole()) for group, vs in optimizer._packed for v in vs]
        self._views = [view for _, segment in self._segments for view in segment.views]
        self._settings = [
            (group, name, copy.deepcopy(group[name]))  # a list may be changed in place
            for group in optimizer.param_groups
            for name in optimizer.defaults
            if name != "lr"
        ]
        if any(vector.data.dtype.char == "e" for vector in optimizer.vectors):
            raise CompileError.here("Parameters in float16 are updated in float32.")
        self.numbers = names_of_numbers(optimizer, penalties)

    def add_to(self, text: Text, loss: str) -> None:
        """Add the lines of a step to the text of a loss and its gradient; the loss is ``loss``."""
        text.body.append((f"loss = float({loss})", ""))
        names = iter(self.numbers)
        for penalty in self.penalties:
            arrays = {"weights": penalty.weights, "grad_weights": penalty.grad}
            twice = self._section(
                text, "the penalty", add_penalty, arrays, [next(names)], [penalty.scratch]
            )
            text.body.append((f"loss += 0.5 * float({twice})", ""))
        text.body += [("if not abs(loss) < np.inf:", ""), ("    return loss", "")]
        for group, segment in self._segments:
            numbers = [next(names), next(names)]
            for p, g, state, scratch in segment.blocks:
                kept = {name: state[name] for name in self.optimizer.state_names(group)}

                def update(
                    p: Any, g: Any, *rest: Any, group: Any = group, kept: Any = kept
                ) -> None:
                    *arrays, lr, t, s1, s2 = rest
                    state = dict(zip(kept, arrays, strict=True))
                    self.optimizer.update(p, g, state, (s1, s2), group, lr, t)  # type: ignore

                what = f"a step of {type(self.optimizer).__name__}"
                self._section(
                    text, what, update, {"params": p, "grads": g, **kept}, numbers, scratch
                )

    def _section(
        self,
        text: Text,
        what: str,
        fn: Any,
        arrays: dict[str, np.ndarray],
        numbers: Sequence[str],
        scratch: Sequence[np.ndarray],
    ) -> str:
        """Add the lines of a function that changes arrays, and return what it returns."""
        program = Program()
        program.origin = lambda: what
        inputs = []
        for wish, array in arrays.items():
            name = text.unused(wish)
            text.namespace[name] = array
            inputs.append(program.input(name, array))
        lines = [
            *inputs,
            *(program.input(name, 0.5) for name in numbers),
            *(program.input("scratch", array) for array in scratch),
        ]
        symbols = [as_symbols(program, line) for line in lines]
        with np.errstate(all="ignore"):
            result = fn(*symbols)
        if program.guards:
            raise CompileError.here(f"{what} depends on numbers.")
        new = [symbol.line for symbol in symbols[: len(inputs)]]
        program, results = simplified(program, [to_lines(result), *new])
        given = {x: y for x, y in zip(inputs, results[1:], strict=True) if y is not x}
        text.add(program, results[:1], given=given)
        return text.word(results[0])

    def is_current(self) -> bool:
        """Return whether all parameters are ready, and the settings are those of the trace."""
        steps = self._views[0].steps
        for view in self._views:
            if view.steps != steps:
                return False
        return all(group[name] == value for group, name, value in self._settings)

    def arguments(self, y: Any, w: Any) -> list[float]:
        """Return the numbers of a step on a batch: strengths, rates and counts."""
        values = [penalty.alpha / total_weight(y, w) for penalty in self.penalties]
        for group, segment in self._segments:
            values += [self.optimizer.rate_of(group), segment.views[0].steps + 1]
        return values

    def count(self) -> None:
        """Count a step that was taken."""
        for _, segment in self._segments:
            segment.advance()
            segment.mark_written()
        self.optimizer.steps += 1


def _marks(things: Sequence[Any]) -> list[str]:
    """Return what tells things apart in names: nothing, if there is one."""
    return [""] if len(things) == 1 else [str(i + 1) for i in range(len(things))]

"""The training step of a network as a NumPy program (see gradlite.compiler).

Each run draws its random numbers, from the network's own generators; running statistics
are updated.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from gradlite.autodiff.node import Node
from gradlite.autodiff.precision import wide
from gradlite.autodiff.tape import walk
from gradlite.autodiff.tensor import Tensor
from gradlite.compiler.defined import Defined, Retrace
from gradlite.compiler.program import Line, Program
from gradlite.compiler.simplify import simplified
from gradlite.compiler.source import Text
from gradlite.compiler.symbols import Symbol, as_symbols, to_lines
from gradlite.compiler.tracing import no_global_draws, tracing
from gradlite.compiler.twin import Twin
from gradlite.errors import CompileError
from gradlite.nn.module import Module
from gradlite.optim import Optimizer
from gradlite.training.update import L2, Update, names_of_numbers

ROWS = ("x", "target", "weight_of_rows")


class StepProgram:
    """Computes the loss of batches of one kind, its gradient, and the step of an optimiser.

    Parameters
    ----------
    module : Module
        The network; only read.
    loss : callable
        ``loss(output, target, sample_weight or None)`` returns a 0-d Tensor.
    optimizer : Optimizer
        Holds the parameters.
    batch : tuple of arrays
        A batch to trace with: inputs, targets, and weights or None.
    penalties : sequence of L2, optional
        Penalties added to the loss, if the program is to take the step, too.

    Attributes
    ----------
    loss : float
        The loss of the last batch.
    update : Update or None
        The step that the program takes; None if it leaves the gradient in the optimiser's vectors,
        as it is asked to, or because it cannot take the step: see `Update`.

    Raises
    ------
    CompileError
        If the network or the loss does what no program can.

    Examples
    --------
    >>> import gradlite as gl
    >>> layer = gl.nn.Linear(2, 1, rng=np.random.default_rng(0))
    >>> x, y = np.ones((3, 2), np.float32), np.zeros((3, 1), np.float32)
    >>> mse = lambda z, t, w: gl.mse(z, t, sample_weight=w)
    >>> program = StepProgram(layer, mse, gl.optim.SGD(layer.parameters()), (x, y, None))
    >>> program.run(2 * x, y + 1, None), program.loss == float(gl.mse(layer(2 * x), y + 1).data)
    (True, True)
    """

    def __init__(
        self,
        module: Module,
        loss: Callable[..., Any],
        optimizer: Optimizer,
        batch: tuple[Any, ...],
        penalties: Sequence[L2] | None = None,
    ) -> None:
        for vector in optimizer.vectors:
            vector.bind()  # someone may have assigned p.data
        program = self._program = Program()
        self._taken = {*ROWS, "step", "loss", *names_of_numbers(optimizer, penalties or ())}
        inputs = [
            None if part is None else as_symbols(program, program.input(name, part))
            for name, part in zip(ROWS, batch, strict=True)
        ]
        twin = self._twin = Twin(program, module, self._taken)
        views = {id(v.p): v for vector in optimizer.vectors for v in vector.views}
        for name, p in twin.leaves.values():
            if id(p) not in views or views[id(p)].sink.hooks:
                raise CompileError.here(f"The gradient of {name} goes elsewhere, too.")
        gradients: dict[Node, Any] = {}

        def on_gradient(node: Node, g: Any) -> None:
            if node not in twin.leaves:
                raise CompileError.here("The loss depends on Tensors that are not of the network.")
            g = gradients[node] + g if node in gradients else g
            dtype = twin.leaves[node][1].dtype  # the sums of the tape are of the parameter's type
            gradients[node] = g.astype(dtype, copy=False)

        with (
            twin.watched(loss),
            tracing(program, twin.layers, "the loss") as inspector,
            no_global_draws(loss, *twin.network.modules()),
        ):
            value = loss(twin.network(inputs[0]), inputs[1], inputs[2])
            if not isinstance(value, Tensor) or not isinstance(value._data, Symbol):
                raise CompileError.here("The loss does not depend on the batch.")
            if value.shape:
                raise CompileError.here("The loss is not one number.")
            if value._node is not None:
                walk(value._node, wide(np.ones((), value.dtype)), on_gradient)
        inspector.name_lines()
        found = [(*twin.leaves[node], g) for node, g in gradients.items()]
        stored = [(f"grad_{n}_", views[id(p)].grad, g) for n, p, g in found]
        self.sinks = [(views[id(p)].sink, views[id(p)].grad) for _, p, _ in found]
        self.loss = math.nan
        self.update: Update | None = None
        parts = sum(part is not None for part in batch)
        if penalties is not None and len(found) == len(views):
            with suppress(CompileError):
                update = Update(optimizer, penalties)
                self._write(value, stored, parts, update)
                self.update = update if update.is_current() else None
        if self.update is None:
            self._write(value, stored, parts, None)
        self._flat = [v.data for v in optimizer.vectors], [v.grad for v in optimizer.vectors]
        self._is_current = twin.is_current
        del self._program, self._twin  # and the numbers of the trace with them
        twin.release()

    def _write(self, value: Any, gradients: list[Any], parts: int, update: Update | None) -> None:
        program = self._program
        stored = self._twin.stored()
        stored += [
            (n, array, to_lines(g.astype(array.dtype, copy=False))) for n, array, g in gradients
        ]
        results = [to_lines(value._data), *(result for _, _, result in stored)]
        program, results = simplified(program, results)
        targets: dict[Line, tuple[str, np.ndarray]] = {}
        for (name, array, _), result in zip(stored, results[1:], strict=True):
            # Buffers are written last: a run that meets other numbers must leave them as they are.
            if isinstance(result, Line) and name not in self._twin.arrays:
                targets.setdefault(result, (name, array))
        numbers = [] if update is None else update.numbers
        text = Text([*self._taken])
        text.add(program, results, targets)
        text.namespace.update(self._twin.arrays)
        for (name, array, _), result in zip(stored, results[1:], strict=True):
            text.namespace[name] = array
            written = isinstance(result, Line) and result in text.plan.direct
            if not written or targets[result][0] != name:
                text.body.append((f"np.copyto({name}, {text.word(result)})", ""))
        returned = text.word(results[0])
        after = len(text.body)
        if update is not None:
            update.add_to(text, returned)
            returned = "loss"
        signature = f"step({', '.join([*ROWS[:parts], *numbers])})"
        draws = program.guards and any(line.is_draw for line in program.lines)
        drawn = self._twin.generators if draws else []
        self.defined = Defined(signature, [], text, returned, quiet=after, generators=drawn)

    @property
    def source(self) -> str:
        """The text of the program, with what its arrays are."""
        defined = self.defined
        parts = [defined.head, self._arrays(), defined.allocations, "\n" + defined.function]
        return "\n\n".join(filter(None, parts))

    def module(self) -> str:
        """Return the text of a module that takes the same steps, and needs NumPy alone."""
        does = "leaves the gradient of the loss in its arrays"
        if self.update is not None:
            does = f"moves the parameters with {type(self.update.optimizer).__name__}"
        doc = f"A training step as a NumPy program, written by gradlite: it {does}."
        allocations = f"{self._arrays()}\n\n{self.defined.allocations}"
        return self.defined.module_of(doc, allocations, self.defined.function)

    def _arrays(self) -> str:
        """Return the code that makes parameters, gradients and what the optimiser remembers."""
        namespace = self.defined.namespace
        made = {line.partition(" =")[0] for line in self.defined.allocations.split("\n")}
        arrays = {
            name: x
            for name, x in namespace.items()
            if isinstance(x, np.ndarray) and name not in made
        }
        lines: list[str] = []
        for wish, flats in zip(("params", "grads"), self._flat, strict=True):
            for flat in flats:
                parts = {n: x for n, x in arrays.items() if np.may_share_memory(x, flat)}
                whole = [n for n, x in parts.items() if x.shape == flat.shape]
                name = (whole or [f"all_{wish}{len(lines) or ''}"])[0]
                while not whole and name in namespace:
                    name += "_"
                namespace[name] = flat
                arrays = {n: x for n, x in arrays.items() if n not in parts}
                lines.append(_made(name, flat, wish == "grads"))
                for n, x in parts.items():
                    if n != name:
                        start = (x.ctypes.data - flat.ctypes.data) // flat.itemsize
                        shaped = f".reshape({x.shape})" if x.ndim != 1 else ""
                        lines.append(f"{n} = {name}[{start}:{start + x.size}]{shaped}")
        lines += [_made(name, x, not x.any()) for name, x in arrays.items()]
        return "\n".join(lines)

    def is_current(self) -> bool:
        """Return whether network and optimiser are still as they were traced."""
        return self._is_current() and (self.update is None or self.update.is_current())

    def run(self, x: Any, y: Any, w: Any) -> bool:
        """Run on a batch, and return True.

        If the numbers ask for another way through network and loss, return False: nothing has
        changed then.
        """
        update = self.update
        numbers = () if update is None else update.arguments(y, w)
        try:
            if w is None:
                self.loss = float(self.defined.run(x, y, *numbers))
            else:
                self.loss = float(self.defined.run(x, y, w, *numbers))
        except Retrace:
            return False
        if update is None:
            for sink, grad in self.sinks:
                sink.buffer = grad
                sink.full = True
        elif math.isfinite(self.loss):
            update.count()
        return True


def _made(name: str, array: np.ndarray, zero: bool) -> str:
    """Return the code that makes an array which the program changes."""
    if zero:
        return f"{name} = np.zeros({array.shape}, np.{array.dtype.name})"
    return f"{name} = constant({name!r}).copy()  # {array.shape} {array.dtype}"

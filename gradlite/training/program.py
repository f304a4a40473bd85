"""The loss of a network on a batch, and its gradient, as a NumPy program (see gradlite.compiler).

Random numbers are drawn anew by every run, from the network's own generators; running statistics
are updated.
"""

from __future__ import annotations

from collections.abc import Callable
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

ROWS = ("x", "target", "weight_of_rows")


def is_known(module: Module) -> bool:
    """Return whether a network consists of gradlite's modules alone, none of them changed.

    What others do may depend on anything; gradlite's depends on their arrays, and on settings that
    only callbacks change.

    Examples
    --------
    >>> from gradlite import nn
    >>> is_known(nn.Sequential(nn.Linear(2, 3), nn.Dropout(0.5)))
    True
    """
    return all(
        _is_own(type(part).forward)
        and "forward" not in vars(part)
        and type(part).__call__ is Module.__call__
        and not any(callable(x) and not _is_own(x) for x in vars(part).values())
        for part in module.modules()
    )


def _is_own(x: Any) -> bool:
    home = getattr(x, "__module__", None) or type(x).__module__
    return str(home).startswith(("gradlite.", "numpy")) or isinstance(x, np.ufunc)


class GradientProgram:
    """Computes the loss of batches of one kind, and leaves its gradient in an optimiser's vectors.

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
    >>> program = GradientProgram(layer, mse, gl.optim.SGD(layer.parameters()), (x, y, None))
    >>> program(2 * x, y + 1, None) == float(gl.mse(layer(2 * x), y + 1).data)
    True
    """

    def __init__(
        self, module: Module, loss: Callable[..., Any], optimizer: Optimizer, batch: tuple[Any, ...]
    ) -> None:
        for vector in optimizer.vectors:
            vector.bind()  # someone may have assigned p.data
        program = self._program = Program()
        self._taken = {*ROWS, "step"}
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
            gradients[node] = gradients[node] + g if node in gradients else g

        with twin.watched(loss), tracing(program) as inspector, no_global_draws(loss):
            value = loss(twin.network(inputs[0]), inputs[1], inputs[2])
            if not isinstance(value, Tensor) or not isinstance(value._data, Symbol):
                raise CompileError.here("The loss does not depend on the batch.")
            if value._node is not None:
                walk(value._node, wide(np.ones((), value.dtype)), on_gradient)
        inspector.name_lines()
        found = [(*twin.leaves[node], g) for node, g in gradients.items()]
        stored = [(f"grad_{n}_", views[id(p)].grad, g) for n, p, g in found]
        self._write(value, stored, sum(part is not None for part in batch))
        self.sinks = [(views[id(p)].sink, views[id(p)].grad) for _, p, _ in found]
        self.is_current = twin.is_current
        del self._program, self._twin  # and the numbers of the trace with them
        twin.release()

    def _write(self, value: Any, gradients: list[Any], parts: int) -> None:
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
        text = Text(program, results, [*self._taken], targets)
        text.namespace.update(self._twin.arrays)
        for (name, array, _), result in zip(stored, results[1:], strict=True):
            text.namespace[name] = array
            written = isinstance(result, Line) and result in text.plan.direct
            if not written or targets[result][0] != name:
                text.body.append((f"np.copyto({name}, {text.word(result)})", ""))
        signature = f"step({', '.join(ROWS[:parts])})"
        self.defined = Defined(signature, [], text, text.word(results[0]), quiet=True)
        self.run = self.defined.run
        draws = any(line.is_draw for line in program.lines)
        self._restored = self._twin.generators if draws and program.guards else []

    def __call__(self, x: Any, y: Any, w: Any) -> float:
        """Compute the loss of a batch and its gradient.

        Raises
        ------
        Retrace
            If the numbers ask for another way through network and loss; nothing has changed then.
        """
        before = [generator.bit_generator.state for generator in self._restored]
        try:
            value = self.run(x, y) if w is None else self.run(x, y, w)
        except Retrace:
            for generator, state in zip(self._restored, before, strict=True):
                generator.bit_generator.state = state
            raise
        for sink, grad in self.sinks:
            sink.buffer = grad
            sink.full = True
        return float(value)

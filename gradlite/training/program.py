"""The loss of a network on a batch, and its gradient, as a NumPy program (see gradlite.compiler).

A network is traced through a twin of it, whose parameters and buffers are symbols, so that nothing
of the network itself changes. Random numbers are drawn anew by every run, from the network's own
generators; running statistics are updated.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

from gradlite.autodiff.node import GradAccumulator, Node
from gradlite.autodiff.precision import wide
from gradlite.autodiff.tape import walk
from gradlite.autodiff.tensor import Tensor
from gradlite.compiler.defined import Defined, Retrace
from gradlite.compiler.program import Line, Program
from gradlite.compiler.simplify import simplified
from gradlite.compiler.source import Text
from gradlite.compiler.symbols import Draws, Symbol, as_symbols, to_lines
from gradlite.compiler.tracing import no_global_draws, tracing
from gradlite.errors import CompileError
from gradlite.nn.module import Module
from gradlite.optim import Optimizer
from gradlite.training.memory import Memory, parts_of


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
        self._taken = {"x", "target", "weight_of_rows", "step"}
        self._views = {id(v.p): v for vector in optimizer.vectors for v in vector.views}
        names = ("x", "target", "weight_of_rows")
        inputs = [
            None if part is None else as_symbols(program, program.input(name, part))
            for name, part in zip(names, batch, strict=True)
        ]
        memo, leaves, buffers = self._symbols(module)
        states = [g.bit_generator.state for g in self._generators.values()]
        twin = copy.deepcopy(module, memo)
        memories = [Memory(x) for x in (*twin.modules(), *parts_of(loss))]
        gradients: dict[Node, Any] = {}

        def on_gradient(node: Node, g: Any) -> None:
            if node not in leaves:
                raise CompileError.here("The loss depends on Tensors that are not of the network.")
            gradients[node] = gradients[node] + g if node in gradients else g

        try:
            with tracing(program) as inspector, no_global_draws(loss):
                value = loss(twin(inputs[0]), inputs[1], inputs[2])
                if not isinstance(value, Tensor) or not isinstance(value._data, Symbol):
                    raise CompileError.here("The loss does not depend on the batch.")
                if value._node is not None:
                    walk(value._node, wide(np.ones((), value.dtype)), on_gradient)
        finally:  # what the trace has drawn and counted, the first run draws and counts
            for generator, state in zip(self._generators.values(), states, strict=True):
                generator.bit_generator.state = state
            changed = [name for memory in memories for name in memory.restore()]
        if changed:
            raise CompileError.here(
                f"Network or loss change what they refer to when they are called: "
                f"{', '.join(changed)}."
            )
        # Copies were made of generators inside lists and the like: what they draw is constant.
        if any(isinstance(x, np.random.Generator) for x in memo.values()):
            raise CompileError.here("The network has generators that are not attributes.")
        inspector.name_lines()
        self._write(value, gradients, leaves, buffers, [p for p in batch if p is not None])

    def _symbols(self, module: Module) -> tuple[dict[int, Any], dict[Node, Any], list[Any]]:
        """Return what stands in the twin for parameters, buffers and generators, by identity."""
        memo: dict[int, Any] = {}
        leaves: dict[Node, Any] = {}
        buffers: list[Any] = []
        for name, p in module.named_parameters():
            symbol = self._input(name, p.data)
            twin = object.__new__(type(p))
            twin._data, twin._node = symbol, None
            if p.requires_grad:
                node: Any = p._node
                if id(p) not in self._views or node.sink.hooks:
                    raise CompileError.here(f"The gradient of {name} goes elsewhere, too.")
                twin._node = Node(None, (), (), symbol, symbol.shape)
                twin._node.sink = GradAccumulator(p.dtype)
                leaves[twin._node] = self._views[id(p)]
            memo[id(p)] = twin
        for name, array in module.named_buffers():
            symbol = self._input(name, array)
            buffers.append((symbol, symbol.cell.line, array))
            memo[id(array)] = symbol
        self._generators = {
            id(x): x
            for part in module.modules()
            for x in vars(part).values()
            if isinstance(x, np.random.Generator)
        }
        memo.update((i, Draws(self._program, x)) for i, x in self._generators.items())
        return memo, leaves, buffers

    def _input(self, name: str, array: np.ndarray) -> Symbol:
        word = "_".join(reversed(name.split(".")))
        while word in self._taken:
            word += "_"
        self._taken.add(word)
        symbol: Symbol = as_symbols(self._program, self._program.input(word, array))
        return symbol

    def _write(
        self, value: Any, gradients: Any, leaves: Any, buffers: Any, batch: list[Any]
    ) -> None:
        program = self._program
        stored = [(old.name, array, s.line) for s, old, array in buffers if s.line is not old]
        for node, g in gradients.items():
            view = leaves[node]
            name = f"grad_{'_'.join(reversed(view.name.split('.')))}_"
            stored.append((name, view.grad, to_lines(g.astype(view.grad.dtype, copy=False))))
        results = [to_lines(value._data), *(result for _, _, result in stored)]
        program, results = simplified(program, results)
        program, results = simplified(program, results)
        targets: dict[Line, tuple[str, np.ndarray]] = {}
        for (name, array, _), result in zip(stored, results[1:], strict=True):
            # Buffers are written last: a run that meets other numbers must leave them as they are.
            if isinstance(result, Line) and name.startswith("grad_"):
                targets.setdefault(result, (name, array))
        text = Text(program, results, [*self._taken], targets)
        parameters = ["x", "target", "weight_of_rows"][: len(batch)]
        inputs = {line.name: line.value for line in program.lines if line.fn is None}
        text.namespace.update((n, a) for n, a in inputs.items() if n not in parameters)
        for (name, array, _), result in zip(stored, results[1:], strict=True):
            text.namespace[name] = array
            written = isinstance(result, Line) and result in text.plan.direct
            if not written or targets[result][0] != name:
                text.body.append((f"np.copyto({name}, {text.word(result)})", ""))
        signature = f"step({', '.join(parameters)})"
        self.defined = Defined(signature, [], text, text.word(results[0]), quiet=True)
        self.run = self.defined.run
        views = [leaves[node] for node in gradients]
        self.sinks = [(view.sink, view.grad) for view in views]
        draws = any(line.is_draw for line in program.lines)
        self._restored = list(self._generators.values()) if draws and program.guards else []

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

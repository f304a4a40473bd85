"""Recurrent cells: the steps of RNN, LSTM and GRU, and their weights.

Names, argument orders, weights, initial values and outputs are PyTorch's.
"""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np

from gradlite.autodiff.rules.activations import relu
from gradlite.autodiff.rules.fused import linear
from gradlite.autodiff.rules.recurrent import gru_cell, lstm_cell, step_linear
from gradlite.errors import ShapeError
from gradlite.nn.layers import check_size, uniform_parameter
from gradlite.nn.module import Module, Rng, generator
from gradlite.nn.normalization import options

State = tuple[Any, ...]
"""The arrays that a step hands on: the hidden state, and of an LSTM the cell state."""

ACTIVATIONS: dict[str, Any] = {"tanh": np.tanh, "relu": relu}


class Recurrent(Module):
    """What layers and cells of all kinds share: their weights, and how they take a step.

    Attributes
    ----------
    gates : int
        The number of rows of the weights for each number of the state.
    states : int
        The number of arrays of the state.
    joins_biases : bool
        Whether both biases are added to the products of the inputs, for all steps at once.
    """

    gates = 1
    states = 1
    joins_biases = True
    input_size: int
    hidden_size: int

    def _set_sizes(self, input_size: int, hidden_size: int) -> None:
        self.input_size = check_size(self, "input_size", input_size)
        self.hidden_size = check_size(self, "hidden_size", hidden_size)

    def _add_weights(
        self, inputs: int, mark: str, bias: bool, dtype: Any, rng: np.random.Generator
    ) -> None:
        """Add the weights of a cell, or of a layer in one direction; their names end in `mark`."""
        rows, bound = self.gates * self.hidden_size, 1 / sqrt(self.hidden_size)
        shapes: dict[str, tuple[int, ...]] = {
            "weight_ih": (rows, inputs),
            "weight_hh": (rows, self.hidden_size),
        }
        if bias:
            shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
        for name, shape in shapes.items():
            setattr(self, name + mark, uniform_parameter(shape, bound, dtype, rng))

    def _inputs(self, x: Any, mark: str = "") -> Any:
        """Return what the inputs add to the gates, of all steps in one product."""
        bias = getattr(self, f"bias_ih{mark}", None)
        if bias is not None and self.joins_biases:
            bias = bias + getattr(self, f"bias_hh{mark}")
        rows = linear(np.reshape(x, (-1, x.shape[-1])), getattr(self, f"weight_ih{mark}"), bias)
        return np.reshape(rows, (*x.shape[:-1], rows.shape[1]))

    def _hidden(self, h: Any, mark: str, transpose: Any) -> Any:
        """Return what the state adds to the gates; `transpose` is that of the weight, if known."""
        bias = None if self.joins_biases else getattr(self, f"bias_hh{mark}", None)
        return step_linear(h, getattr(self, f"weight_hh{mark}"), bias, transpose=transpose)

    def _step(self, x: Any, state: State, mark: str = "", transpose: Any = None) -> State:
        """Return the next state, where `x` is what the inputs add to the gates."""
        raise NotImplementedError

    def _initial(self, hx: Any, shape: tuple[int, ...], dtype: Any) -> State:
        """Return the arrays of the state that a call was given, or zeros."""
        if hx is None:
            return (np.zeros(shape, dtype),) * self.states
        arrays = hx if isinstance(hx, (tuple, list)) else (hx,)
        if len(arrays) != self.states:
            takes = "one array" if self.states == 1 else "a tuple (h_0, c_0) of two"
            raise TypeError(f"{self._title()} takes its initial state as {takes}.")
        for array in arrays:
            if np.shape(array) != shape:
                raise ShapeError(
                    f"{self._title()} got an initial state of shape {np.shape(array)}: expected "
                    f"{shape}."
                )
        return tuple(arrays)

    def _returned(self, state: State) -> Any:
        return state[0] if self.states == 1 else state


class PlainStep(Recurrent):
    """The step of a plain network."""

    nonlinearity: str

    def _set_nonlinearity(self, nonlinearity: str) -> None:
        if nonlinearity not in ACTIVATIONS:
            raise ValueError(
                f"{type(self).__name__}: nonlinearity must be 'tanh' or 'relu', not "
                f"{nonlinearity!r}."
            )
        self.nonlinearity = nonlinearity

    def _step(self, x: Any, state: State, mark: str = "", transpose: Any = None) -> State:
        return (ACTIVATIONS[self.nonlinearity](x + self._hidden(state[0], mark, transpose)),)


class LSTMStep(Recurrent):
    """The step of an LSTM."""

    gates = 4
    states = 2

    def _step(self, x: Any, state: State, mark: str = "", transpose: Any = None) -> State:
        h, c = state
        new: State = lstm_cell(x + self._hidden(h, mark, transpose), c)
        return new


class GRUStep(Recurrent):
    """The step of a GRU."""

    gates = 3
    joins_biases = False  # the reset gate multiplies one of them

    def _step(self, x: Any, state: State, mark: str = "", transpose: Any = None) -> State:
        return (gru_cell(x, self._hidden(state[0], mark, transpose), state[0]),)


# -- cells ------------------------------------------------------------------------------------


class Cell(Recurrent):
    """One step of a layer, for loops of your own."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        *,
        dtype: Any = np.float32,
        rng: Rng = None,
    ) -> None:
        self._set_sizes(input_size, hidden_size)
        self.bias = bias
        self._add_weights(input_size, "", bias, dtype, generator(rng))

    def forward(self, x: Any, hx: Any = None) -> Any:
        """Return the state after one step.

        Parameters
        ----------
        x : array_like or Tensor, shape (n, input_size) or (input_size,)
            The inputs.
        hx : array_like or Tensor, shape (n, hidden_size) or (hidden_size,), optional
            The state, zeros by default; of an LSTM a tuple of two.
        """
        shape = np.shape(x)
        if len(shape) not in (1, 2) or shape[-1] != self.input_size:
            raise ShapeError(
                f"{self._title()} got an input of shape {shape}: expected "
                f"(n, {self.input_size}) or ({self.input_size},), a step of each sequence."
            )
        x = self._inputs(x)
        state = self._initial(hx, (*shape[:-1], self.hidden_size), x.dtype)
        return self._returned(self._step(x, state))

    def extra_repr(self) -> str:
        """Return the sizes, and the options that differ from their defaults."""
        usual = {"bias": True, "nonlinearity": "tanh"}
        usual = {name: value for name, value in usual.items() if hasattr(self, name)}
        return f"{self.input_size}, {self.hidden_size}{options(self, usual)}"


class RNNCell(PlainStep, Cell):
    """Take one step of an `RNN`: a call takes ``(x, h=None)`` and returns the new h.

    Parameters
    ----------
    input_size, hidden_size : int
        The lengths of input and state.
    bias : bool, default True
        Whether to add both biases.
    nonlinearity : {"tanh", "relu"}, default "tanh"
        What is applied to the sum.
    dtype : dtype, default float32
        The type of the parameters.
    rng : Generator, optional
        Where the initial values come from.

    Attributes
    ----------
    weight_ih, weight_hh : Parameter, shape (hidden_size, input_size or hidden_size)
        The weights of input and state; drawn as those of `RNN` are.
    bias_ih, bias_hh : Parameter, shape (hidden_size,)
        The biases.

    Examples
    --------
    >>> import numpy as np
    >>> RNNCell(3, 4)(np.ones((2, 3), np.float32)).shape
    (2, 4)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        *,
        dtype: Any = np.float32,
        rng: Rng = None,
    ) -> None:
        self._set_nonlinearity(nonlinearity)
        super().__init__(input_size, hidden_size, bias, dtype=dtype, rng=rng)


class LSTMCell(LSTMStep, Cell):
    """Take one step of an `LSTM`: a call takes ``(x, (h, c))`` and returns the new ``(h, c)``.

    Parameters and attributes are those of `RNNCell`, but that the weights have
    ``4 * hidden_size`` rows.

    Examples
    --------
    >>> import numpy as np
    >>> cell, state = LSTMCell(3, 4), None
    >>> for x in np.ones((5, 2, 3), np.float32):
    ...     state = cell(x, state)
    >>> [part.shape for part in state]
    [(2, 4), (2, 4)]
    """


class GRUCell(GRUStep, Cell):
    """Take one step of a `GRU`: a call takes ``(x, h=None)`` and returns the new h.

    Parameters and attributes are those of `RNNCell`, but that the weights have
    ``3 * hidden_size`` rows.

    Examples
    --------
    >>> import numpy as np
    >>> GRUCell(3, 4)(np.ones((2, 3), np.float32)).shape
    (2, 4)
    """

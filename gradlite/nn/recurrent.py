"""Recurrent layers: RNN, LSTM and GRU, which take the steps of their cells along sequences.

Names, argument orders, weights, initial values and outputs are PyTorch's. In place of
``pack_padded_sequence``, a layer takes the lengths of padded sequences:
``lstm(x, lengths=lengths)`` returns what PyTorch does with packed ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gradlite.autodiff.rule import to_data
from gradlite.autodiff.rules.shape import unstack
from gradlite.errors import ShapeError
from gradlite.nn.cells import GRUStep, LSTMStep, PlainStep, Recurrent, State
from gradlite.nn.layers import Dropout, check_size
from gradlite.nn.module import Rng, generator
from gradlite.nn.normalization import options


class Layers(Recurrent):
    """One or several layers over sequences, in one direction or both."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        dtype: Any = np.float32,
        rng: Rng = None,
    ) -> None:
        self._set_sizes(input_size, hidden_size)
        self.num_layers = check_size(self, "num_layers", num_layers)
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = dropout
        self.bidirectional = bidirectional
        rng = generator(rng)
        for layer in range(num_layers):
            for mark in self._marks(layer):
                width = len(self._marks(layer)) * hidden_size if layer else input_size
                self._add_weights(width, mark, bias, dtype, rng)
        self.between = Dropout(dropout, rng=rng) if dropout else None

    def _marks(self, layer: int) -> tuple[str, ...]:
        """Return what the names of the weights of a layer end in, for each direction."""
        return (f"_l{layer}", f"_l{layer}_reverse")[: 1 + self.bidirectional]

    def forward(self, x: Any, hx: Any = None, lengths: Any = None) -> Any:
        """Return the outputs of all steps, and the state after the last.

        Parameters
        ----------
        x : array_like or Tensor, shape (time, n, input_size)
            The sequences; (n, time, input_size) with `batch_first`, (time, input_size) for one.
        hx : array_like or Tensor, shape (layers * directions, n, hidden_size), optional
            The initial state, zeros by default; of an LSTM a tuple of two. Without the axis of
            the batch for one sequence.
        lengths : array_like of int, shape (n,), optional
            The lengths of sequences that are padded at the end, in place of PyTorch's
            ``pack_padded_sequence``. The outputs of the padding are zero, and the state is that
            after the last step of each sequence; the backward direction begins there.

        Returns
        -------
        output : array or Tensor, shape (time, n, directions * hidden_size)
            The hidden states of the last layer; (n, time, ...) with `batch_first`.
        h_n : array or Tensor, shape (layers * directions, n, hidden_size)
            The last hidden states; of an LSTM a tuple ``(h_n, c_n)``.
        """
        x, single = self._as_batch(x)
        axis = int(self.batch_first and not single)
        x = np.moveaxis(x, axis, 0)
        time, n, _ = x.shape
        count = self.num_layers * len(self._marks(0))
        shape = (count, *([] if single else [n]), self.hidden_size)
        initial = self._initial(hx, shape, np.result_type(x.dtype, self.parameters()[0].dtype))
        initial = tuple(np.reshape(array, (count, n, self.hidden_size)) for array in initial)
        mask = None if lengths is None else self._mask(lengths, time, n)
        ends: list[State] = []
        for layer in range(self.num_layers):
            if layer and self.between is not None:
                x = self.between(x)
            outputs = []
            for mark in self._marks(layer):
                start = tuple(array[len(ends)] for array in initial)
                output, end = self._scan(self._inputs(x, mark), start, mark, mask)
                outputs.append(output)
                ends.append(end)
            x = self._joined(outputs, axis if layer == self.num_layers - 1 else 0, mask)
        state = tuple(np.stack(arrays) for arrays in zip(*ends, strict=True))
        if single:
            x, state = x[:, 0], tuple(array[:, 0] for array in state)
        return x, self._returned(state)

    def _as_batch(self, x: Any) -> tuple[Any, bool]:
        """Return the sequences, and whether it is one without the axis of a batch."""
        if not hasattr(x, "dtype"):
            raise TypeError(
                f"{self._title()} takes an array or a Tensor, not {type(x).__name__}: pad the "
                f"sequences to one length, and pass their lengths: layer(x, lengths=lengths)."
            )
        shape = np.shape(x)
        if len(shape) not in (2, 3) or shape[-1] != self.input_size or 0 in shape[-3:-1]:
            axes = "(n, time, " if self.batch_first else "(time, n, "
            raise ShapeError(
                f"{self._title()} got an input of shape {shape}: expected "
                f"{axes}{self.input_size}), or (time, {self.input_size}) for one sequence."
            )
        return (x[:, None], True) if len(shape) == 2 else (x, False)

    def _mask(self, lengths: Any, time: int, n: int) -> Any:
        """Return which steps are not padding, (time, n, 1)."""
        lengths = lengths if hasattr(lengths, "dtype") else np.asarray(lengths)
        if lengths.shape != (n,):
            raise ShapeError(
                f"{self._title()} got lengths of shape {lengths.shape} for {n} sequences: "
                f"expected ({n},)."
            )
        if lengths.dtype.kind not in "iu" or np.min(lengths) < 1 or np.max(lengths) > time:
            raise ValueError(
                f"{self._title()}: lengths must be integers from 1 to {time}, the number of steps."
            )
        return np.arange(time)[:, None, None] < lengths[:, None]

    def _scan(self, x: Any, state: State, mark: str, mask: Any) -> tuple[list[Any], State]:
        """Take all steps in one direction; return the hidden states, and the last state."""
        transpose = to_data(getattr(self, f"weight_hh{mark}")).T.copy()
        inputs, outputs = unstack(x), []
        order = range(len(inputs))
        for t in reversed(order) if mark.endswith("reverse") else order:
            new = self._step(inputs[t], state, mark, transpose)
            if mask is not None:
                new = tuple(np.where(mask[t], a, b) for a, b in zip(new, state, strict=True))
            state = new
            outputs.append(state[0])
        return (outputs[::-1] if mark.endswith("reverse") else outputs), state

    def _joined(self, outputs: list[list[Any]], axis: int, mask: Any) -> Any:
        """Return the hidden states of all steps and directions in one array, padding as zeros."""
        arrays = [np.stack(parts, axis) for parts in outputs]
        array = arrays[0] if len(arrays) == 1 else np.concatenate(arrays, axis=-1)
        return array if mask is None else np.where(np.moveaxis(mask, 0, axis), array, 0)

    def extra_repr(self) -> str:
        """Return the sizes, and the options that differ from their defaults."""
        usual = {
            "num_layers": 1,
            "nonlinearity": "tanh",
            "bias": True,
            "batch_first": False,
            "dropout": 0.0,
            "bidirectional": False,
        }
        usual = {name: value for name, value in usual.items() if hasattr(self, name)}
        return f"{self.input_size}, {self.hidden_size}{options(self, usual)}"


class RNN(PlainStep, Layers):
    """Apply plain recurrent layers to sequences: ``h = tanh(W x + b + U h + c)`` at each step.

    Elman, "Finding structure in time" (Cognitive Science 14, 1990).

    Parameters
    ----------
    input_size, hidden_size : int
        The lengths of inputs and hidden states.
    num_layers : int, default 1
        Each layer after the first takes the outputs of the one before.
    nonlinearity : {"tanh", "relu"}, default "tanh"
        What is applied to the sum.
    bias : bool, default True
        Whether to add both biases.
    batch_first : bool, default False
        Whether inputs and outputs are (n, time, features) in place of (time, n, features).
    dropout : float, default 0.0
        The probability with which outputs between layers are dropped in training; see `Dropout`.
    bidirectional : bool, default False
        Whether each layer also reads the sequences from their ends. The outputs of both
        directions are joined.
    dtype : dtype, default float32
        The type of the parameters.
    rng : Generator, optional
        Where the initial values and the dropout come from.

    Attributes
    ----------
    weight_ih_l0, weight_hh_l0 : Parameter, shape (hidden_size, input_size or hidden_size)
        The weights of inputs and of states in the first layer; ``_l1`` in the second, and so on,
        and ``_l0_reverse`` in the backward direction. All parameters are at first drawn from
        ``uniform(-b, b)``, where ``b = 1 / sqrt(hidden_size)``.
    bias_ih_l0, bias_hh_l0 : Parameter, shape (hidden_size,)
        The biases.

    Notes
    -----
    A call takes ``(x, hx=None, lengths=None)`` and returns ``(output, h_n)``, where `lengths`
    stands for PyTorch's ``pack_padded_sequence``: `output` is zero, and `h_n` does not change,
    beyond the length of a sequence, and the backward direction begins there.

    Examples
    --------
    >>> import numpy as np
    >>> rnn = RNN(3, 4, rng=np.random.default_rng(0))
    >>> rnn
    RNN(3, 4) (36 parameters)
    >>> output, h_n = rnn(np.ones((5, 2, 3), np.float32), lengths=[5, 2])
    >>> output.shape, h_n.shape
    ((5, 2, 4), (1, 2, 4))
    >>> bool(np.all(output.data[1, 1] == h_n.data[0, 1])), float(np.abs(output.data[2:, 1]).max())
    (True, 0.0)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        dtype: Any = np.float32,
        rng: Rng = None,
    ) -> None:
        self._set_nonlinearity(nonlinearity)
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional,
            dtype=dtype, rng=rng,
        )  # fmt: skip


class LSTM(LSTMStep, Layers):
    """Apply layers of long short-term memory to sequences.

    At each step, a cell state is scaled by a forget gate and added to, and the hidden state is
    read from it: ``c = f * c + i * g``, ``h = o * tanh(c)``. Hochreiter and Schmidhuber, "Long
    short-term memory" (Neural Computation 9, 1997); Gers, Schmidhuber and Cummins, "Learning to
    forget" (Neural Computation 12, 2000).

    Parameters, calls and outputs are those of `RNN`, but that the weights have
    ``4 * hidden_size`` rows, those of i, f, g and o in this order, and the state is a tuple: a
    call takes ``(x, (h_0, c_0), lengths)`` and returns ``(output, (h_n, c_n))``.

    Examples
    --------
    >>> import numpy as np
    >>> lstm = LSTM(3, 4, num_layers=2, batch_first=True)
    >>> lstm
    LSTM(3, 4, num_layers=2, batch_first=True) (304 parameters)
    >>> output, (h_n, c_n) = lstm(np.ones((2, 5, 3), np.float32))
    >>> output.shape, h_n.shape, c_n.shape
    ((2, 5, 4), (2, 2, 4), (2, 2, 4))
    """


class GRU(GRUStep, Layers):
    """Apply layers of gated recurrent units to sequences.

    At each step, an update gate chooses between the state and a new one, for which a reset gate
    scales what comes from the state: ``n = tanh(W x + b + r * (U h + c))``,
    ``h = (1 - z) * n + z * h``. Cho et al., "Learning phrase representations using RNN
    encoder-decoder" (arXiv:1406.1078), with the reset gate where cuDNN and PyTorch have it.

    Parameters, calls and outputs are those of `RNN`, but that the weights have
    ``3 * hidden_size`` rows, those of r, z and n in this order.

    Examples
    --------
    >>> import numpy as np
    >>> output, h_n = GRU(3, 4, bidirectional=True)(np.ones((5, 2, 3), np.float32))
    >>> output.shape, h_n.shape
    ((5, 2, 8), (2, 2, 4))
    """

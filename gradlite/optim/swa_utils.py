"""Averages of a network over its training, which often generalise better: PyTorch's names.

Examples
--------
>>> import gradlite as gl
>>> from gradlite import nn, optim
>>> net = nn.Linear(2, 1)
>>> ema = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(0.999))
>>> optimizer = optim.Adam(net.parameters())
>>> for _ in range(3):
...     optimizer.zero_grad()
...     gl.mse(net([[1.0, 2.0]]), [[3.0]]).backward()
...     optimizer.step()
...     ema.update_parameters(net)
>>> ema.eval()([[1.0, 2.0]]).shape
(1, 1)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from functools import partial
from typing import Any

import numpy as np

from gradlite.autodiff.modes import no_grad
from gradlite.autodiff.writes import mark_written
from gradlite.errors import StateError, compare_names
from gradlite.nn.module import Module
from gradlite.optim.lr_scheduler.factors import _Factor
from gradlite.optim.optimizer import Optimizer
from gradlite.optim.schedules import _cosine, _count, _linear, _number

__all__ = [
    "SWALR",
    "AveragedModel",
    "get_ema_avg_fn",
    "get_ema_multi_avg_fn",
    "get_swa_avg_fn",
    "get_swa_multi_avg_fn",
    "update_bn",
]

Average = Callable[[np.ndarray, np.ndarray, int], Any]
MultiAverage = Callable[[Sequence[np.ndarray], Sequence[np.ndarray], int], Any]


def _arrays(module: Module) -> dict[str, np.ndarray]:
    """Return parameters and buffers by name, each once."""
    parameters = {name: p.data for name, p in module.named_parameters()}
    return {**parameters, **dict(module.named_buffers())}


def _ema(averaged: np.ndarray, current: np.ndarray, count: int, decay: float) -> Any:
    return decay * averaged + (1 - decay) * current


def _swa(averaged: np.ndarray, current: np.ndarray, count: int) -> Any:
    return averaged + (current - averaged) / (count + 1)


def _each(
    averaged: Sequence[np.ndarray], current: Sequence[np.ndarray], count: int, avg_fn: Average
) -> None:
    """Average arrays in place, each by the same formula."""
    for own, new in zip(averaged, current, strict=True):
        own[...] = avg_fn(own, new, count)


def get_ema_avg_fn(decay: float = 0.999) -> Average:
    """Return the formula of an exponential moving average, ``decay * a + (1 - decay) * p``.

    Parameters
    ----------
    decay : float, default 0.999
        From 0 to 1. The average reaches back over about ``1 / (1 - decay)`` updates.

    Examples
    --------
    >>> import numpy as np
    >>> get_ema_avg_fn(0.75)(np.array([1.0]), np.array([3.0]), 7)
    array([1.5])
    """
    if not 0 <= decay <= 1:
        raise ValueError(f"decay must be from 0 to 1, not {decay!r}.")
    return partial(_ema, decay=decay)


def get_ema_multi_avg_fn(decay: float = 0.999) -> MultiAverage:
    """Return `get_ema_avg_fn` for lists of arrays, the first of which is changed in place."""
    return partial(_each, avg_fn=get_ema_avg_fn(decay))


def get_swa_avg_fn() -> Average:
    """Return the formula of the mean of all updates, ``a + (p - a) / (n + 1)``.

    Examples
    --------
    >>> import numpy as np
    >>> get_swa_avg_fn()(np.array([1.0]), np.array([3.0]), 3)
    array([1.5])
    """
    return _swa


def get_swa_multi_avg_fn() -> MultiAverage:
    """Return `get_swa_avg_fn` for lists of arrays, the first of which is changed in place."""
    return partial(_each, avg_fn=_swa)


class AveragedModel(Module):
    """A copy of a network whose parameters are averages of those that the network had.

    By default the mean of all updates (Izmailov et al., "Averaging weights leads to wider optima
    and better generalization", 2018); with `get_ema_multi_avg_fn` an exponential moving average.
    The first update copies. Use it like the network, to predict and evaluate.

    Parameters
    ----------
    model : Module
        The network, which is copied.
    avg_fn : callable, optional
        From the average, a parameter of the network, and the number of updates before, to the new
        average: arrays.
    multi_avg_fn : callable, optional
        The same for lists of all arrays, the first of which it changes in place.
    use_buffers : bool, default False
        Whether floating-point buffers, such as running means, are averaged as well. Otherwise they
        are copied; `update_bn` computes those of batch normalization again.

    Attributes
    ----------
    module : Module
        The copy.
    n_averaged : array of int, shape ()
        The number of updates.

    Raises
    ------
    ValueError
        If `avg_fn` and `multi_avg_fn` are given.

    Examples
    --------
    >>> import numpy as np
    >>> from gradlite import nn
    >>> net = nn.Linear(2, 1)
    >>> average = AveragedModel(net)
    >>> for value in (1.0, 2.0, 6.0):
    ...     net.weight.data[...] = value
    ...     average.update_parameters(net)
    >>> average.module.weight.data
    array([[3., 3.]], dtype=float32)
    """

    n_averaged: Any

    def __init__(
        self,
        model: Module,
        *,
        avg_fn: Average | None = None,
        multi_avg_fn: MultiAverage | None = None,
        use_buffers: bool = False,
    ) -> None:
        if avg_fn is not None and multi_avg_fn is not None:
            raise ValueError("AveragedModel takes avg_fn or multi_avg_fn, not both.")
        self.module = deepcopy(model)
        self.register_buffer("n_averaged", np.zeros((), np.int64))
        average: Any = multi_avg_fn or partial(_each, avg_fn=avg_fn or _swa)
        self.multi_avg_fn: MultiAverage = average
        self.use_buffers = use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Return the output of the averaged network."""
        return self.module(*args, **kwargs)

    def update_parameters(self, model: Module) -> None:
        """Add the present parameters of the network to the average.

        Raises
        ------
        StateError
            If it is not a network with the same parameters. Nothing is changed.
        """
        own, new = _arrays(self.module), _arrays(model)
        problems = list(compare_names(list(own), list(new)))
        problems += [
            f"{name} has shape {new[name].shape}, not {own[name].shape}"
            for name in own
            if name in new and own[name].shape != new[name].shape
        ]
        if problems:
            raise StateError(f"AveragedModel: this is another network: {'; '.join(problems)}.")
        count = int(self.n_averaged)
        copied = set(own) if count == 0 else {name for name in own if not self._averages(name, own)}
        for name in copied:
            np.copyto(own[name], new[name])
        averaged = [name for name in own if name not in copied]
        if averaged:
            self.multi_avg_fn([own[n] for n in averaged], [new[n] for n in averaged], count)
        for array in own.values():
            mark_written(array)
        self.n_averaged += 1

    def _averages(self, name: str, own: dict[str, np.ndarray]) -> bool:
        """Return whether an array is averaged, not copied."""
        is_buffer = any(own[name] is array for array in self.module.buffers())
        return own[name].dtype.kind == "f" and (self.use_buffers or not is_buffer)


def update_bn(loader: Iterable[Any], model: Module) -> None:
    """Compute the running means and variances of batch normalization again, over all batches.

    Those of a network whose parameters are averages are not averages of those it had.

    Parameters
    ----------
    loader : iterable
        Batches: arrays, or tuples that begin with one.
    model : Module
        The network, an `AveragedModel` say.

    Examples
    --------
    >>> import numpy as np
    >>> from gradlite import nn
    >>> net = nn.BatchNorm1d(1)
    >>> update_bn([np.array([[1.0], [3.0]], np.float32), np.array([[5.0], [7.0]], np.float32)], net)
    >>> net.running_mean
    array([4.], dtype=float32)
    """
    layers: list[Any] = [
        layer
        for layer in model.modules()
        if getattr(layer, "num_batches_tracked", None) is not None
    ]
    if not layers:
        return
    momenta = [layer.momentum for layer in layers]
    training = model.training
    model.train()
    for layer in layers:
        layer.running_mean[...] = 0
        layer.running_var[...] = 1
        layer.num_batches_tracked *= 0
        layer.momentum = None  # the mean of all batches
    with no_grad():
        for batch in loader:
            model(batch[0] if isinstance(batch, (list, tuple)) else batch)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
    model.train(training)


class SWALR(_Factor):
    """Move the rate to `swa_lr`, then keep it, for the epochs that are averaged.

    Parameters
    ----------
    optimizer : Optimizer
        The optimiser.
    swa_lr : float
        The rate at the end.
    anneal_epochs : int, default 10
        The number of epochs of the change; 0 makes it at once.
    anneal_strategy : {'cos', 'linear'}
        Along a cosine or a line.
    last_epoch : int, default -1
        See `LRScheduler`.

    Examples
    --------
    >>> import gradlite as gl
    >>> from gradlite.optim import SGD
    >>> optimizer = SGD([gl.Tensor([1.0], requires_grad=True)], lr=1.0)
    >>> scheduler = SWALR(optimizer, swa_lr=0.5, anneal_epochs=3)
    >>> for epoch in range(3):
    ...     optimizer.step()
    ...     scheduler.step()
    >>> scheduler.get_last_lr()
    [0.5]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: float,
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ) -> None:
        _number("SWALR", swa_lr=swa_lr)
        _count("SWALR", least=0, anneal_epochs=anneal_epochs)
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(
                f"SWALR: anneal_strategy must be 'cos' or 'linear', not {anneal_strategy!r}."
            )
        self._lowest = swa_lr
        self.anneal_epochs = anneal_epochs
        self._between = _cosine if anneal_strategy == "cos" else _linear
        super().__init__(optimizer, last_epoch)

    def _factor(self, epoch: int) -> float:
        if epoch >= self.anneal_epochs:
            return 0.0
        return self._between(1.0, 0.0, epoch / self.anneal_epochs)

"""ActivationsDisplay: the outputs of hidden layers, and which of their units are dead."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from gradlite.draw.displays._axes import COLORS, counted, layer_names, network_in, panels, unfit
from gradlite.errors import ShapeError

BINS = 50


class ActivationsDisplay:
    """The distribution of each hidden layer's activations, one panel below the other.

    Layers whose outputs shrink, or saturate, pass little on. A unit is dead if its output is the
    same for every sample. Create one with `from_estimator` or `from_predictions`.

    Parameters
    ----------
    activations : list of array-like, shape (n_samples, units)
        The output of each layer.
    names : list of str, optional
        The names of the layers.

    Attributes
    ----------
    bars_ : list of BarContainer
        The histogram of each layer; the heights are shares of all activations, of which those
        that are not finite are not shown.
    dead_ : list of float
        The share of dead units of each layer.
    axes_ : array of Axes
        One for each layer.
    figure_ : Figure
        Where they are drawn.

    Examples
    --------
    >>> import matplotlib.pyplot as plt, numpy as np
    >>> from gradlite.draw import ActivationsDisplay
    >>> display = ActivationsDisplay.from_predictions([np.array([[0.0, 1.0], [0.0, 2.0]])])
    >>> display.dead_
    [0.5]
    >>> plt.close(display.figure_)
    """

    def __init__(self, *, activations: Sequence[Any], names: Sequence[str] | None = None) -> None:
        self.activations = activations
        self.names = names

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, *, layers: Iterable[int] | None = None, ax: Any = None
    ) -> ActivationsDisplay:
        """Draw the activations of hidden layers for samples.

        Parameters
        ----------
        estimator : estimator
            MLPClassifier or MLPRegressor of gradlite, fitted, or a pipeline that ends in one.
        X : array-like, shape (n_samples, n_features)
            The samples, as the estimator or pipeline takes them.
        layers : iterable of int, optional
            The hidden layers, counted from 0; by default all.
        ax : Axes or array-like of Axes, optional
            Where to draw: a single one is subdivided. By default in a new figure.

        Returns
        -------
        ActivationsDisplay

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        PictureError
            If it has no `hidden_activations`: another kind of estimator.
        IndexError
            If there is no such layer.
        """
        network = network_in(estimator)
        if not hasattr(network, "hidden_activations"):
            raise unfit(
                cls.__name__,
                network,
                "has no hidden_activations",
                "Take MLPClassifier or MLPRegressor of gradlite; draw other activations with "
                "from_predictions.",
            )
        if network is not estimator:
            X = estimator[:-1].transform(X)
        numbers = range(network.n_layers_ - 2) if layers is None else list(layers)
        return cls.from_predictions(
            [network.hidden_activations(X, i) for i in numbers],
            [f"hidden {i % (network.n_layers_ - 2) + 1}" for i in numbers],
            ax=ax,
        )

    @classmethod
    def from_predictions(
        cls, activations: Sequence[Any], names: Sequence[str] | None = None, *, ax: Any = None
    ) -> ActivationsDisplay:
        """Draw given activations; parameters as in the class and `from_estimator`.

        Raise PictureError unless there is a layer, and a name for each; ShapeError if activations
        are not (n_samples, units).
        """
        return cls(activations=activations, names=names).plot(ax)

    def plot(self, ax: Any = None) -> ActivationsDisplay:
        """Draw the distributions on `ax`, as in `from_estimator`, and return the display."""
        names = layer_names(self.names, self.activations, "activations")
        layers = [
            checked_activations(a, name) for a, name in zip(self.activations, names, strict=True)
        ]
        self.dead_ = [float(np.mean((a == a[0]).all(axis=0))) for a in layers]
        self.axes_ = panels(ax, len(layers), 1, (6.4, 1.8), type(self).__name__)
        self.figure_ = self.axes_[0].figure
        self.bars_ = []
        for panel, a, name, dead in zip(self.axes_, layers, names, self.dead_, strict=True):
            finite = a[np.isfinite(a)]
            shares = np.full(finite.size, 1 / a.size)
            self.bars_.append(panel.hist(finite, BINS, weights=shares, color=COLORS[0])[2])
            panel.set_title(f"{name}: {counted(a.shape[1], 'unit')}", loc="left", fontsize="medium")
            panel.set_title(f"{dead:.0%} dead", loc="right", fontsize="medium")
            panel.set(ylabel="Share")
        self.axes_[-1].set(xlabel="Activation")
        return self


def checked_activations(activations: Any, name: str) -> np.ndarray:
    """Return the activations of a layer as an array; raise ShapeError if they are not 2-D."""
    array = np.asarray(activations, float)
    if array.ndim != 2 or not array.size:
        raise ShapeError(
            f"The activations of {name} have the shape {array.shape}: (n_samples, units) is needed."
        )
    return array

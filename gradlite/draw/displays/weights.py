"""WeightsDisplay: the weights of each layer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from gradlite.draw.displays._axes import (
    COLORS,
    counted,
    integer_ticks,
    layer_names,
    network_in,
    panels,
    unfit,
)
from gradlite.draw.picture import PictureError, one_of
from gradlite.nn.module import Module

KINDS = ("heatmap", "hist")
COLUMNS = 3


class WeightsDisplay:
    """The weights of each layer as a heat map, a histogram or, for inputs that are images, images.

    Blue is negative, white is zero, red is positive; NaN is grey. Histograms show finite weights
    only. Create one with `from_estimator` or `from_predictions`.

    Parameters
    ----------
    weights : list of array-like, shape (inputs, units)
        The weights of each layer: a column for each unit.
    names : list of str, optional
        The names of the layers.

    Attributes
    ----------
    images_ : list of AxesImage
        The heat maps, or the images of units.
    bars_ : list of BarContainer
        The histograms.
    axes_ : array of Axes
        One for each layer, or each unit.
    figure_ : Figure
        Where they are drawn.

    Examples
    --------
    >>> import matplotlib.pyplot as plt, numpy as np
    >>> from gradlite.draw import WeightsDisplay
    >>> display = WeightsDisplay.from_predictions([np.array([[1.0, -2.0, 0.5]])], ["output"])
    >>> display.images_[0].get_clim()
    (-2.0, 2.0)
    >>> plt.close(display.figure_)
    """

    def __init__(self, *, weights: Sequence[Any], names: Sequence[str] | None = None) -> None:
        self.weights = weights
        self.names = names

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        ax: Any = None,
        kind: str = "heatmap",
        image_shape: tuple[int, int] | None = None,
        n_units: int = 16,
    ) -> WeightsDisplay:
        """Draw the weights of a fitted estimator.

        Parameters
        ----------
        estimator : estimator
            One of gradlite's, scikit-learn's MLPClassifier or MLPRegressor, or a pipeline that
            ends in one.
        ax : Axes or array-like of Axes, optional
            Where to draw: a single one is subdivided. By default in a new figure.
        kind : {'heatmap', 'hist'}, default='heatmap'
            What to draw of each layer.
        image_shape : tuple of int, optional
            Draw the weights of units of the first layer as images of this shape.
        n_units : int, default=16
            The number of units to draw, with `image_shape`.

        Returns
        -------
        WeightsDisplay

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        PictureError
            If it has no weights of layers, or the inputs do not make such images.
        """
        weights, names = weights_of(network_in(estimator))
        display = cls(weights=weights, names=names)
        return display.plot(ax, kind=kind, image_shape=image_shape, n_units=n_units)

    @classmethod
    def from_predictions(
        cls,
        weights: Sequence[Any],
        names: Sequence[str] | None = None,
        *,
        ax: Any = None,
        kind: str = "heatmap",
        image_shape: tuple[int, int] | None = None,
        n_units: int = 16,
    ) -> WeightsDisplay:
        """Draw given weights; parameters as in the class and `from_estimator`."""
        display = cls(weights=weights, names=names)
        return display.plot(ax, kind=kind, image_shape=image_shape, n_units=n_units)

    def plot(
        self,
        ax: Any = None,
        *,
        kind: str = "heatmap",
        image_shape: tuple[int, int] | None = None,
        n_units: int = 16,
    ) -> WeightsDisplay:
        """Draw the weights, with parameters as in `from_estimator`, and return the display."""
        one_of("kind", kind, KINDS)
        names = layer_names(self.names, self.weights, "weights")
        weights = [np.atleast_2d(np.asarray(w, float)) for w in self.weights]
        self.images_: list[Any] = []
        self.bars_: list[Any] = []
        if image_shape is not None:
            if kind != "heatmap":
                raise PictureError(
                    f"image_shape draws images, not kind={kind!r}: omit one of them."
                )
            self._draw_units(ax, weights[0], image_shape, n_units)
        else:
            size = (4.0, 3.2) if kind == "heatmap" else (4.0, 2.4)
            self.axes_ = panels(ax, len(weights), COLUMNS, size, type(self).__name__)
            draw = self._draw_map if kind == "heatmap" else self._draw_histogram
            for panel, w, name in zip(self.axes_, weights, names, strict=True):
                panel.set_title(name, fontsize="medium")
                draw(panel, w)
        self.figure_ = self.axes_[0].figure
        return self

    def _draw_map(self, panel: Any, w: np.ndarray) -> None:
        image = self._draw_image(panel, w.T, largest(w), aspect="auto")
        panel.set(xlabel=counted(w.shape[0], "input"), ylabel=counted(w.shape[1], "unit"))
        for axis in (panel.xaxis, panel.yaxis):
            integer_ticks(axis)
        panel.figure.colorbar(image, ax=panel)

    def _draw_histogram(self, panel: Any, w: np.ndarray) -> None:
        limit = largest(w)
        edges = np.linspace(-limit, limit, 42)
        _, _, bars = panel.hist(w[np.isfinite(w)], bins=edges, color=COLORS[0])
        panel.axvline(0, color="0.5", linewidth=0.8, linestyle="--")
        panel.set(xlabel="Weight", ylabel="Count", xlim=(-limit, limit))
        self.bars_.append(bars)

    def _draw_units(
        self, ax: Any, w: np.ndarray, image_shape: tuple[int, int], n_units: int
    ) -> None:
        """Draw columns of `w` as images, all in the same colours."""
        if len(image_shape) != 2 or math.prod(image_shape) != len(w):
            raise PictureError(
                f"image_shape={tuple(image_shape)} does not fit: the first layer has {len(w)} "
                f"inputs, and images need as many (rows times columns)."
            )
        if n_units < 1:
            raise PictureError(f"n_units must be 1 or more; not {n_units}.")
        shown = w[:, :n_units]
        count = shown.shape[1]
        columns = math.ceil(math.sqrt(count))
        self.axes_ = panels(ax, count, columns, (1.4, 1.4), type(self).__name__)
        for i, panel in enumerate(self.axes_):
            self._draw_image(panel, shown[:, i].reshape(image_shape), largest(shown))
            panel.set(xticks=[], yticks=[])
            panel.set_title(f"unit {i}", fontsize="small")
        self.axes_[0].figure.colorbar(self.images_[0], ax=list(self.axes_), shrink=0.8)

    def _draw_image(self, panel: Any, pixels: np.ndarray, limit: float, **options: Any) -> Any:
        """Draw an array in colours with zero in the middle."""
        panel.set_facecolor("0.75")  # seen where a pixel is NaN
        image = panel.imshow(
            pixels, cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest", **options
        )
        self.images_.append(image)
        return image


def largest(w: np.ndarray) -> float:
    """Return the largest finite magnitude; 1 if all are zero."""
    return float(np.abs(w[np.isfinite(w)]).max(initial=0)) or 1.0


def weights_of(network: Any) -> tuple[list[np.ndarray], list[str]]:
    """Return the weights of each layer, (inputs, units), and their names.

    Those of a user's network are its parameters of two or more axes, the first that of the units.
    """
    if hasattr(network, "coefs_"):
        hidden = [f"hidden {i}" for i in range(1, len(network.coefs_))]
        return list(network.coefs_), [*hidden, "output"]
    module = getattr(network, "module_", None)
    if not isinstance(module, Module):
        raise unfit(
            "WeightsDisplay",
            network,
            "has no layers (coefs_ or module_)",
            "Take a neural network of gradlite or scikit-learn; other weights can be drawn with "
            "from_predictions.",
        )
    parameters = [(name, p) for name, p in module.named_parameters() if p.ndim > 1]
    return [p.data.reshape(len(p), -1).T for _, p in parameters], [name for name, _ in parameters]

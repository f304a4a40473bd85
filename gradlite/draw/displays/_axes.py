"""What the displays share: axes in and out, colours, and the way to the network in a pipeline.

matplotlib is imported when something is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from gradlite.draw.picture import PictureError
from gradlite.errors import MissingExtraError

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Told apart by the colour-blind. Okabe and Ito, Color Universal Design, 2008."""

LINES = ("-", "--", "-.", ":")
"""Told apart in grey."""


def pyplot(wanted_by: str) -> Any:
    """Import matplotlib's pyplot.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise MissingExtraError(
            f"{wanted_by} draws with matplotlib: pip install 'gradlite[viz]'. "
            f"The import said: {error}."
        ) from None
    return pyplot


def one_axes(ax: Any, wanted_by: str) -> Any:
    """Give `ax`, or those of a new figure."""
    plt = pyplot(wanted_by)
    return plt.subplots(layout="constrained")[1] if ax is None else ax


def panels(
    ax: Any,
    count: int,
    columns: int,
    size: tuple[float, float],
    wanted_by: str,
) -> np.ndarray:
    """Give axes for several panels, row by row.

    Parameters
    ----------
    ax : Axes, array-like of Axes or None
        One is divided, several are taken as they are; None stands for a new figure.
    count, columns : int
        The number of panels, and of those in a row.
    size : tuple of float
        Inches of a panel in a new figure.
    wanted_by : str
        Who draws, for errors.

    Returns
    -------
    array of Axes, shape (count,)

    Raises
    ------
    PictureError
        For too few axes.
    """
    plt = pyplot(wanted_by)
    rows, columns = math.ceil(count / columns), min(count, columns)
    if ax is None:
        width, height = size
        figure = plt.figure(figsize=(columns * width, rows * height), layout="constrained")
        grid = figure.subplots(rows, columns, squeeze=False)
    elif isinstance(ax, plt.Axes):
        ax.set_axis_off()
        place = ax.get_subplotspec() or ax.figure.add_gridspec(1, 1)[0]
        # matplotlib's own layouts find the room that labels need, and without one it is set.
        room = {} if ax.figure.get_layout_engine() else {"wspace": 0.8, "hspace": 0.8}
        grid = place.subgridspec(rows, columns, **room).subplots(squeeze=False)
    else:
        grid = np.asarray(ax, object)
        if grid.size < count:
            raise PictureError(f"{wanted_by} needs {count} axes here, and got {grid.size}.")
        return grid.ravel()[:count]
    for unused in grid.flat[count:]:
        unused.remove()
    axes: np.ndarray = grid.ravel()[:count]
    return axes


def overlaid(ax: Any) -> list[Any]:
    """Give the axes at the same place, `ax` itself among them."""
    return [other for other in ax.figure.axes if other.bbox.bounds == ax.bbox.bounds]


def integer_ticks(axis: Any) -> None:
    """Mark whole numbers alone: there is no epoch 1.2."""
    axis.get_major_locator().set_params(integer=True, min_n_ticks=1)


def free_colors(ax: Any) -> list[str]:
    """Give the colours, those first that no line has yet."""
    used = {line.get_color() for other in overlaid(ax) for line in other.lines}
    return sorted(COLORS, key=lambda color: color in used)


def network_in(estimator: Any) -> Any:
    """Give the fitted network: the estimator itself, or the last step of a pipeline.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        If it is not fitted.
    TypeError
        For what is no estimator.
    """
    from sklearn.utils.validation import check_is_fitted

    check_is_fitted(estimator)
    return estimator.steps[-1][1] if hasattr(estimator, "steps") else estimator


def unfit(display: str, estimator: Any, lacks: str, remedy: str) -> PictureError:
    """Say why an estimator cannot be shown."""
    if hasattr(estimator, "best_estimator_"):
        remedy = "Take its best_estimator_."
    return PictureError(f"{display}: {type(estimator).__name__} {lacks}. {remedy}")


def named(names: Sequence[str] | None, arrays: Sequence[Any], what: str) -> list[str]:
    """Give the names of layers, numbers where there are none.

    Raises
    ------
    PictureError
        If there are no arrays, or not as many as names.
    """
    if not len(arrays):
        raise PictureError(f"There is no layer to draw {what} of.")
    if names is None:
        return [f"layer {i}" for i in range(1, len(arrays) + 1)]
    if len(names) != len(arrays):
        raise PictureError(f"names has {len(names)} entries for {what} of {len(arrays)} layers.")
    return list(names)

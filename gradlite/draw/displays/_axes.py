"""What the displays share: axes, colours, and the network of an estimator or pipeline.

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
"""Safe for the colour-blind. Okabe and Ito, Color Universal Design, 2008."""


def counted(n: int, what: str) -> str:
    """Write a number of things.

    Examples
    --------
    >>> counted(1, "unit"), counted(8, "unit")
    ('1 unit', '8 units')
    """
    return f"{n} {what}{'s' * (n != 1)}"


def pyplot(wanted_by: str) -> Any:
    """Return matplotlib's pyplot. Raise MissingExtraError if it is not installed."""
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise MissingExtraError(
            f"{wanted_by} draws with matplotlib: pip install 'gradlite[viz]'. "
            f"The import said: {error}."
        ) from None
    return pyplot


def one_axes(ax: Any, wanted_by: str) -> Any:
    """Return `ax`, or the axes of a new figure."""
    plt = pyplot(wanted_by)
    return plt.subplots(layout="constrained")[1] if ax is None else ax


def panels(
    ax: Any, count: int, columns: int, size: tuple[float, float], wanted_by: str
) -> np.ndarray:
    """Return axes for `count` panels, row by row; `size` is that of a panel in a new figure.

    A single `ax` is subdivided, several are used as they are. Raise PictureError if they are too
    few.
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
        # A layout engine makes space for labels; without one it is set here.
        space = {} if ax.figure.get_layout_engine() else {"wspace": 0.8, "hspace": 0.8}
        grid = place.subgridspec(rows, columns, **space).subplots(squeeze=False)
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
    """Return the axes at the same place, `ax` itself among them."""
    return [other for other in ax.figure.axes if other.bbox.bounds == ax.bbox.bounds]


def integer_ticks(axis: Any) -> None:
    """Put ticks at whole numbers only: there is no epoch 1.2."""
    axis.get_major_locator().set_params(integer=True, min_n_ticks=1)


def free_colors(ax: Any) -> list[str]:
    """Return the colours, those first that no line has yet."""
    used = {line.get_color() for other in overlaid(ax) for line in other.lines}
    return sorted(COLORS, key=lambda color: color in used)


def network_in(estimator: Any) -> Any:
    """Return the fitted network: the estimator itself, or the last step of a pipeline."""
    from sklearn.utils.validation import check_is_fitted

    check_is_fitted(estimator)
    return estimator.steps[-1][1] if hasattr(estimator, "steps") else estimator


def unfit(display: str, estimator: Any, lacks: str, remedy: str) -> PictureError:
    """Return the error for an estimator that cannot be shown."""
    if hasattr(estimator, "best_estimator_"):
        remedy = "Take its best_estimator_."
    return PictureError(f"{display}: {type(estimator).__name__} {lacks}. {remedy}")


def layer_names(names: Sequence[str] | None, arrays: Sequence[Any], what: str) -> list[str]:
    """Return the names of layers, numbers by default; raise PictureError unless they match."""
    if not len(arrays):
        raise PictureError(f"There is no layer to draw {what} of.")
    if names is None:
        return [f"layer {i}" for i in range(1, len(arrays) + 1)]
    if len(names) != len(arrays):
        raise PictureError(f"names has {len(names)} entries for {what} of {len(arrays)} layers.")
    return list(names)

"""LossCurveDisplay: the losses by epoch, and the epoch at which the network was best."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gradlite.draw.displays._axes import (
    free_colors,
    integer_ticks,
    network_in,
    one_axes,
    overlaid,
    unfit,
)
from gradlite.draw.picture import PictureError, one_of
from gradlite.errors import ShapeError

SCALES = ("auto", "linear", "log")
STEEP = 30  # losses that span a larger factor have a logarithmic axis
BESIDE = {"validation_curve": "validation loss", "validation_scores": "validation score"}
"""What may be drawn beside the training loss: the first that there is."""


class LossCurveDisplay:
    """Training and validation loss by epoch, with the best epoch marked.

    Create one with `from_estimator` or `from_predictions`.

    Parameters
    ----------
    loss_curve : array-like, shape (n_epochs,)
        Training loss of each epoch.
    validation_curve : array-like, shape (n_epochs,), optional
        Validation loss of each epoch.
    validation_scores : array-like, shape (n_epochs,), optional
        Validation score of each epoch. Drawn if there is no `validation_curve`, on an axis at the
        right.
    name : str, optional
        What the legend calls the estimator.

    Attributes
    ----------
    line_ : Line2D
        The training loss.
    validation_line_ : Line2D or None
        The validation loss, or the score.
    best_epoch_ : int
        The first epoch of the best validation score; without scores, of the lowest validation
        loss; without that, of the lowest training loss. Counted from 1.
    best_line_ : Line2D
        Its mark.
    ax_, figure_ : Axes, Figure
        Where they are drawn.
    score_ax_ : Axes or None
        Where the score is drawn.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from gradlite.draw import LossCurveDisplay
    >>> display = LossCurveDisplay.from_predictions([0.9, 0.5, 0.3], [0.8, 0.6, 0.7])
    >>> display.best_epoch_
    2
    >>> plt.close(display.figure_)
    """

    def __init__(
        self,
        *,
        loss_curve: Any,
        validation_curve: Any = None,
        validation_scores: Any = None,
        name: str | None = None,
    ) -> None:
        self.loss_curve = loss_curve
        self.validation_curve = validation_curve
        self.validation_scores = validation_scores
        self.name = name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        ax: Any = None,
        scale: str = "auto",
        name: str | None = None,
        **line_kw: Any,
    ) -> LossCurveDisplay:
        """Draw the losses that a fitted estimator has recorded.

        Parameters
        ----------
        estimator : estimator
            One of gradlite's, scikit-learn's MLPClassifier or MLPRegressor, or a pipeline that
            ends in one.
        ax : Axes, optional
            Where to draw; by default in a new figure.
        scale : {'auto', 'linear', 'log'}, default='auto'
            Axis of the losses: 'auto' is logarithmic if they span more than a factor of 30.
        name : str, optional
            What the legend calls the estimator.
        **line_kw
            matplotlib's options for the lines, such as ``linewidth=2``.

        Returns
        -------
        LossCurveDisplay

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        PictureError
            If it has no loss curve: another kind of estimator, or ``solver='lbfgs'``.
        """
        network = network_in(estimator)
        if not getattr(network, "loss_curve_", None):
            raise unfit(
                cls.__name__,
                network,
                "has no losses by epoch (loss_curve_)",
                "Neural networks record them, with every solver but 'lbfgs'; the values of your "
                "own can be drawn with from_predictions.",
            )
        return cls.from_predictions(
            network.loss_curve_,
            getattr(network, "validation_loss_curve_", None) or None,
            validation_scores=getattr(network, "validation_scores_", None) or None,
            ax=ax,
            scale=scale,
            name=name,
            **line_kw,
        )

    @classmethod
    def from_predictions(
        cls,
        loss_curve: Any,
        validation_curve: Any = None,
        *,
        validation_scores: Any = None,
        ax: Any = None,
        scale: str = "auto",
        name: str | None = None,
        **line_kw: Any,
    ) -> LossCurveDisplay:
        """Draw given losses; parameters as in the class and `from_estimator`.

        Raise ShapeError unless all curves have a value for each of the same epochs.
        """
        display = cls(
            loss_curve=loss_curve,
            validation_curve=validation_curve,
            validation_scores=validation_scores,
            name=name,
        )
        return display.plot(ax, scale=scale, **line_kw)

    def plot(
        self, ax: Any = None, *, scale: str = "auto", name: str | None = None, **line_kw: Any
    ) -> LossCurveDisplay:
        """Draw the curves, with parameters as in `from_estimator`, and return the display."""
        one_of("scale", scale, SCALES)
        loss = np.asarray(self.loss_curve, float)
        beside = self._beside(loss)
        if scale == "log":
            check_positive(loss, beside.get("validation_curve"))
        self.ax_ = ax = one_axes(ax, type(self).__name__)
        if scale == "auto":
            losses = [loss, *(c for kind, c in beside.items() if kind == "validation_curve")]
            scale = suited_scale(ax, losses)
        self.figure_ = ax.figure
        self.score_ax_ = self.validation_line_ = None
        name = self.name if name is None else name
        before = f"{name}: " if name else ""
        first, second, *_ = free_colors(ax)
        self.line_ = line(ax, loss, f"{before}training loss", {"color": first, **line_kw})
        style = {"color": second, "linestyle": "--", **line_kw}
        if beside:
            kind, curve = next(iter(beside.items()))
            place = ax if kind == "validation_curve" else self._score_axes()
            self.validation_line_ = line(place, curve, before + BESIDE[kind], style)
        self._mark_best(best_of(loss, **beside), before)
        ax.set(xlabel="Epoch", ylabel="Loss", yscale=scale)
        if scale == "linear":
            ax.ticklabel_format(axis="y", useOffset=False)
        integer_ticks(ax.xaxis)
        self._write_legend()
        return self

    def _beside(self, loss: np.ndarray) -> dict[str, np.ndarray]:
        """Return the validation curves that there are."""
        if loss.ndim != 1 or not loss.size:
            raise ShapeError(
                f"loss_curve needs one number for each epoch; got the shape {loss.shape}."
            )
        curves = {kind: getattr(self, kind) for kind in BESIDE}
        beside = {kind: np.asarray(c, float) for kind, c in curves.items() if c is not None}
        for kind, curve in beside.items():
            if curve.shape != loss.shape:
                raise ShapeError(
                    f"{kind} has the shape {curve.shape} and loss_curve {loss.shape}: they are "
                    f"not of the same epochs (did only some of the fits have validation data?). "
                    f"LossCurveDisplay.from_predictions(loss_curve) draws the training loss alone."
                )
        return beside

    def _score_axes(self) -> Any:
        """Return the axes of scores, below the legend: those of an earlier curve, or new ones."""
        ax = self.ax_
        there = [other for other in overlaid(ax) if other.get_ylabel() == "Score"]
        self.score_ax_ = score_ax = there[0] if there else ax.twinx()
        score_ax.set(ylabel="Score", zorder=ax.get_zorder() - 1)
        ax.patch.set_visible(False)
        return score_ax

    def _mark_best(self, epoch: int, before: str) -> None:
        self.best_epoch_ = epoch
        curve = self.validation_line_ or self.line_
        (self.best_line_,) = curve.axes.plot(
            [epoch],
            [curve.get_ydata()[epoch - 1]],
            color=curve.get_color(),
            label=f"{before}best epoch {epoch}",
            linestyle="none",
            marker="o",
            markersize=8,
            markerfacecolor="none",
            markeredgewidth=2,
        )

    def _write_legend(self) -> None:
        """List the lines in the legend, after those of earlier curves."""
        earlier = self.ax_.get_legend()
        lines = [self.line_, self.validation_line_, self.best_line_]
        handles = [*(earlier.legend_handles if earlier else []), *filter(None, lines)]
        # Where losses fall and scores rise, the middle of the right side stays free.
        self.ax_.legend(handles=handles, loc="center right" if self.score_ax_ else "best")


def line(ax: Any, curve: np.ndarray, label: str, style: dict[str, Any]) -> Any:
    """Draw a curve over the epochs, counted from 1."""
    return ax.plot(np.arange(1, len(curve) + 1), curve, label=label, **style)[0]


def best_of(
    loss: Sequence[float] | np.ndarray,
    validation_curve: np.ndarray | None = None,
    validation_scores: np.ndarray | None = None,
) -> int:
    """Return the epoch at which the network was best, the first of equals, counted from 1.

    Examples
    --------
    >>> best_of([0.5, 0.3, 0.2])
    3
    """
    losses = np.asarray(loss if validation_curve is None else validation_curve)
    if validation_scores is not None:
        losses = -validation_scores
    return int(np.argmin(np.where(np.isfinite(losses), losses, np.inf))) + 1


def suited_scale(ax: Any, losses: Sequence[np.ndarray]) -> str:
    """Return the scale that suits losses to draw, and those that the axes show already."""
    curves = [*losses, *(np.asarray(line.get_ydata(), float) for line in ax.get_lines())]
    numbers = np.concatenate([curve[np.isfinite(curve)] for curve in curves])
    if not numbers.size or numbers.min() <= 0:
        return "linear"
    return "log" if numbers.max() > STEEP * numbers.min() else "linear"


def check_positive(*curves: np.ndarray | None) -> None:
    """Raise PictureError for losses that a logarithmic axis cannot show."""
    lowest = min(np.fmin.reduce(curve) for curve in curves if curve is not None)
    if lowest <= 0:
        raise PictureError(
            f"scale='log' needs losses above 0, and the lowest is {lowest:g}: use 'linear'."
        )

"""GradientNorms records the gradient of each layer in every epoch; GradientFlowDisplay draws it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from itertools import zip_longest
from typing import Any

import numpy as np

from gradlite.draw.displays._axes import integer_ticks, one_axes, pyplot, unfit
from gradlite.draw.picture import PictureError
from gradlite.errors import ShapeError
from gradlite.nn.module import Module, Parameter

LINES = ("-", "--", "-.", ":")
"""Distinct in greyscale, too."""


class GradientNorms:
    """A callback that records the norm of each layer's gradient, the mean over each epoch.

    It changes no gradient. It follows scikit-learn's callback protocol, and serves one fit at a
    time.

    Attributes
    ----------
    norms_ : dict of str to list of float
        For each trained layer, the norm (of weight and bias together) in each epoch. The gradient
        is that of the loss, without the penalty of ``alpha``. A fit that continues the last one
        (``warm_start``, ``partial_fit``) appends its epochs.

    See Also
    --------
    GradientFlowDisplay : Draws them.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from gradlite import MLPClassifier
    >>> from gradlite.draw import GradientNorms
    >>> X, y = load_iris(return_X_y=True)
    >>> norms = GradientNorms()
    >>> model = MLPClassifier((8,), schedule="cosine", max_iter=20, callbacks=[norms]).fit(X, y)
    >>> {layer: len(curve) for layer, curve in norms.norms_.items()}
    {'0: Linear(4, 8)': 20, '2: Linear(8, 3)': 20}
    """

    def __init__(self) -> None:
        self.norms_: dict[str, list[float]] = {}
        self._squares: dict[str, list[list[float]]] = {}
        self._removers: list[Callable[[], None]] = []

    def __getstate__(self) -> dict[str, Any]:
        # Hooks belong to the network of this process.
        return {**vars(self), "_squares": {}, "_removers": []}

    def setup(self, estimator: Any, context: Any) -> None:
        """Raise PictureError for an estimator without a network."""
        if not isinstance(getattr(estimator, "_network", None), Module):
            raise unfit(
                "GradientNorms",
                estimator,
                "is no network of gradlite",
                "Give it to MLPClassifier, MLPRegressor, NetClassifier or NetRegressor, as "
                "callbacks=[GradientNorms()].",
            )

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        """Register hooks on the parameters when the fit begins."""
        if context.task_name == "epoch":
            return
        self._squares = {}
        for name, parameters in layers(estimator._network):
            squares: list[list[float]] = [[] for _ in parameters]
            self._squares[name] = squares
            for p, seen in zip(parameters, squares, strict=True):
                self._removers.append(p.register_hook(recorder(seen)))
        if not estimator.loss_curve_ or self.norms_.keys() != self._squares.keys():
            self.norms_ = {name: [] for name in self._squares}

    def on_fit_task_end(self, estimator: Any, context: Any) -> None:
        """Append the means when an epoch ends."""
        if context.task_name != "epoch":
            return
        for name, squares in self._squares.items():
            steps = [math.sqrt(sum(parts)) for parts in zip_longest(*squares, fillvalue=0.0)]
            self.norms_[name].append(float(np.mean(steps)) if steps else 0.0)
            for seen in squares:
                seen.clear()

    def teardown(self, estimator: Any, context: Any) -> None:
        """Remove the hooks."""
        while self._removers:
            self._removers.pop()()


def recorder(seen: list[float]) -> Callable[[np.ndarray], None]:
    """Return a hook that records the squared norm of each gradient."""
    return lambda g: seen.append(float(np.vdot(g, g)))


def layers(network: Module) -> Iterator[tuple[str, list[Parameter]]]:
    """Yield the trained parameters of each layer, each once."""
    given: set[int] = set()
    for path, module in network.named_modules():
        own = [p for _, p in module._parts(Parameter) if p.requires_grad and id(p) not in given]
        given.update(map(id, own))
        if own:
            title = f"{type(module).__name__}({module.extra_repr()})"
            yield f"{path}: {title}" if path else title, own


class GradientFlowDisplay:
    """The norm of each layer's gradient over training, a line for each layer.

    Lines far below or above the others show gradients that vanish or explode on the way back.
    Create one with `from_estimator` or `from_predictions`.

    Parameters
    ----------
    norms : dict of str to array-like, shape (n_epochs,)
        For each layer, from the first to the last, the norm in each epoch.

    Attributes
    ----------
    lines_ : list of Line2D
        One for each layer: dark for the first, light for the last.
    ax_, figure_ : Axes, Figure
        Where they are drawn.

    See Also
    --------
    GradientNorms : Records them in a fit of your own.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_iris
    >>> from gradlite import MLPClassifier
    >>> from gradlite.draw import GradientFlowDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> model = MLPClassifier((8, 8), activation="tanh", schedule="cosine", max_iter=20)
    >>> display = GradientFlowDisplay.from_estimator(model, X, y)
    >>> [line.get_label() for line in display.lines_]
    ['0: Linear(4, 8)', '2: Linear(8, 8)', '4: Linear(8, 3)']
    >>> plt.close(display.figure_)
    """

    def __init__(self, *, norms: Mapping[str, Any]) -> None:
        self.norms = norms

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, y: Any, *, ax: Any = None, **fit_params: Any
    ) -> GradientFlowDisplay:
        """Fit a clone of an estimator, and draw the norms of its gradients.

        Parameters
        ----------
        estimator : estimator
            One of gradlite's, or a pipeline that ends in one. It does not change.
        X, y : array-like
            The training data.
        ax : Axes, optional
            Where to draw; by default in a new figure.
        **fit_params
            Further arguments of `fit`, such as ``X_val=X_val``.

        Returns
        -------
        GradientFlowDisplay

        Raises
        ------
        PictureError
            If the estimator takes no callbacks: another kind of estimator.
        """
        from sklearn.base import clone

        pyplot(cls.__name__)  # before the time that a fit takes
        twin = clone(estimator)
        network = twin.steps[-1][1] if hasattr(twin, "steps") else twin
        if "callbacks" not in network.get_params():
            raise unfit(
                cls.__name__,
                network,
                "takes no callbacks",
                "Take MLPClassifier, MLPRegressor, NetClassifier or NetRegressor of gradlite.",
            )
        norms = GradientNorms()
        network.set_params(callbacks=[*(network.callbacks or []), norms])
        twin.fit(X, y, **fit_params)
        return cls.from_predictions(norms.norms_, ax=ax)

    @classmethod
    def from_predictions(cls, norms: Mapping[str, Any], *, ax: Any = None) -> GradientFlowDisplay:
        """Draw recorded norms, the ``norms_`` of `GradientNorms`, on `ax` or in a new figure.

        Raise PictureError if nothing was recorded, ShapeError unless a layer has one number for
        each epoch.
        """
        return cls(norms=norms).plot(ax)

    def plot(self, ax: Any = None, **line_kw: Any) -> GradientFlowDisplay:
        """Draw the lines, with matplotlib's options such as ``linewidth=2``; return the display."""
        curves = {name: np.asarray(curve, float) for name, curve in self.norms.items()}
        if not any(curve.size for curve in curves.values()):
            raise PictureError(
                "No norms were recorded: fit an estimator with callbacks=[GradientNorms()] first."
            )
        for name, curve in curves.items():
            if curve.ndim != 1:
                raise ShapeError(
                    f"The norms of {name} need one number for each epoch; their shape is "
                    f"{curve.shape}."
                )
        self.ax_ = ax = one_axes(ax, type(self).__name__)
        self.figure_ = ax.figure
        depths = pyplot(type(self).__name__).get_cmap("viridis")(np.linspace(0, 0.85, len(curves)))
        self.lines_ = []
        for i, (name, curve) in enumerate(curves.items()):
            style = {"color": depths[i], "linestyle": LINES[i % len(LINES)], "label": name}
            if len(curve) == 1:  # a line of one point is none
                style["marker"] = "o"
            self.lines_ += ax.plot(np.arange(1, len(curve) + 1), curve, **{**style, **line_kw})
        ax.set(xlabel="Epoch", ylabel="Norm of the gradient", yscale="log")
        integer_ticks(ax.xaxis)
        ax.legend(loc="center left", bbox_to_anchor=(1, 0.5), title="Layer")
        return self

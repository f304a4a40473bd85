"""The figures of a report: SVG that takes on the page's colours, and small images."""

from __future__ import annotations

import base64
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Callable
from io import BytesIO, StringIO
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np

from gradlite.errors import MissingExtraError
from gradlite.estimators._solvers import DECOUPLED

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SVG = "http://www.w3.org/2000/svg"
XLINK = "http://www.w3.org/1999/xlink"

INK = "#010203"  # stands for the text colour of the page, light or dark
BLUE = "#3b82f6"  # legible on both
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "gradlite",  # ids that are the same in every run
    "text.parse_math": False,  # a column may be named "cost in $"
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.alpha": 0.2,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "savefig.transparent": True,
    **dict.fromkeys(
        ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), INK
    ),
    "grid.color": INK,
}
NO_METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))

MOST_CLASSES_SHOWN = 12
OTHERS = "all others"
NEWLINE = "\n"
MOST_UNITS = 24
LINE = 16  # characters of a class beside the matrix, in two lines at most

Drawing = tuple[str, str]  # an SVG and its caption


def loss_curve(model: Any) -> Drawing:
    """Draw the loss over the epochs of the training."""
    from gradlite.draw import LossCurveDisplay

    def paint(ax: Axes) -> None:
        LossCurveDisplay.from_estimator(model, ax=ax)

    caption = "The loss, epoch by epoch"
    if model.validation_loss_curve_ and model.alpha and model.solver not in DECOUPLED:
        caption += " (the training loss includes the penalty of alpha)"
    return make_svg("loss", paint), caption


def confusion(y: np.ndarray, prediction: np.ndarray, classes: list[Any]) -> Drawing:
    """Draw the confusion matrix; of many classes, the most frequent ones."""
    from matplotlib.colors import LinearSegmentedColormap, to_rgba
    from sklearn.metrics import ConfusionMatrixDisplay, confusion_matrix

    caption = "Held-out rows of each true class, by predicted class"
    names = distinct([legible(name) for name in classes], classes)
    if len(classes) > MOST_CLASSES_SHOWN:
        most = MOST_CLASSES_SHOWN
        caption += f" (the {most} most frequent of {len(classes)} classes, the others together)"
        rows = [int(np.sum(y == name)) for name in classes]
        kept = sorted(np.argsort(rows, kind="stable")[-most:].tolist())
        names = [*(names[i] for i in kept), OTHERS]
    else:
        kept = list(range(len(classes)))
    place = {classes[i]: k for k, i in enumerate(kept)}
    longest = max(len(line) for name in names for line in name.splitlines())
    tint = LinearSegmentedColormap.from_list("", [to_rgba(BLUE, 0), to_rgba(BLUE, 0.6)])

    def paint(ax: Axes) -> None:
        true, said = ([place.get(c, len(kept)) for c in column] for column in (y, prediction))
        matrix = confusion_matrix(true, said, labels=range(len(names)))
        display = ConfusionMatrixDisplay(matrix, display_labels=names).plot(
            ax=ax,
            cmap=tint,
            colorbar=False,
            values_format="d",
            xticks_rotation="vertical" if longest * len(names) > 40 else "horizontal",
            text_kw={"color": INK},
        )
        for text in display.text_[matrix == 0]:
            text.set_alpha(0.3)
        ax.set(xlabel="Predicted", ylabel="True")
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)

    lines = max(len(name.splitlines()) for name in names)
    side = 1.2 + len(names) * (0.14 + 0.13 * lines)  # a name runs into no other
    return make_svg("confusion", paint, (max(4.0, side + 0.6), max(3.2, side))), caption


def distinct(names: list[str], classes: list[Any]) -> list[str]:
    r"""Return names that were shortened alike by their ends instead, or with a number.

    Examples
    --------
    >>> classes = ["class of a very long name, no 1", "class of a very long name, no 2", "b"]
    >>> distinct(["class of a very …", "class of a very …", "b"], classes)
    ['class of a very…\nlong name, no 1', 'class of a very…\nlong name, no 2', 'b']
    """
    ends = [legible(str(name)[-LINE:].strip()) for name in classes]
    written = [
        f"{name[: LINE - 1].replace(NEWLINE, ' ')}…\n{end}" if names.count(name) > 1 else name
        for name, end in zip(names, ends, strict=True)
    ]
    before = [written[:i].count(name) for i, name in enumerate(written)]
    return [f"{name} ({n + 1})" if n else name for name, n in zip(written, before, strict=True)]


def against_truth(y: np.ndarray, prediction: np.ndarray) -> Drawing:
    """Draw predictions against the true values."""
    drawing = errors("actual_vs_predicted", y, prediction, ylabel="True")
    return drawing, "True values against predictions: on the line, both agree"


def residuals(y: np.ndarray, prediction: np.ndarray) -> Drawing:
    """Draw the residuals: true values minus predictions."""
    drawing = errors("residual_vs_predicted", y, prediction, ylabel="True - predicted")
    return drawing, "What is left to explain: true values minus predictions"


def errors(kind: str, y: np.ndarray, prediction: np.ndarray, ylabel: str) -> str:
    """Draw scikit-learn's display of prediction errors, for at most 1,000 points."""
    from matplotlib.ticker import MaxNLocator
    from sklearn.metrics import PredictionErrorDisplay

    def paint(ax: Axes) -> None:
        PredictionErrorDisplay.from_predictions(
            y,
            prediction,
            kind=kind,
            random_state=0,
            ax=ax,
            scatter_kwargs={"color": BLUE, "alpha": 0.7, "s": 12},
            line_kwargs={"color": INK},
        )
        ax.set(xlabel="Predicted", ylabel=ylabel)
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_locator(MaxNLocator(5))  # the display's own ticks are not round numbers

    return make_svg(kind, paint)


# -- images -----------------------------------------------------------------------------------


def units(model: Any, images: np.ndarray | None) -> list[str]:
    """Show the weights of the first layer's strongest units as images, like their inputs."""
    if images is None or not hasattr(model, "coefs_"):
        return []
    weights = model.coefs_[0]
    strongest = np.argsort(-np.linalg.norm(weights, axis=0))[:MOST_UNITS]
    limit = float(np.abs(weights[:, strongest]).max())
    return [
        thumbnail(weights[:, unit].reshape(images.shape[1:]), "RdBu", limit) for unit in strongest
    ]


def thumbnail(image: np.ndarray, colours: str, limit: float | None = None) -> str:
    """Return an array as a data URL of a PNG, a pixel per entry, from -limit to limit."""
    from matplotlib.image import imsave

    png = BytesIO()
    low = None if limit is None else -limit
    imsave(png, image, cmap=colours, vmin=low, vmax=limit, format="png")
    return f"data:image/png;base64,{base64.b64encode(png.getvalue()).decode()}"


# -- SVG --------------------------------------------------------------------------------------


def make_svg(
    name: str, paint: Callable[[Axes], None], inches: tuple[float, float] = (4.0, 3.2)
) -> str:
    """Call `paint` on new axes, and return the SVG; `name` makes its ids unique on the page."""
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError(
            f"The figures of a report need matplotlib: pip install 'gradlite[cli]'. The import "
            f"said: {error}."
        ) from None
    svg = StringIO()
    with rc_context(STYLE), warnings.catch_warnings():
        # The browser has the letters that matplotlib's font lacks.
        warnings.filterwarnings("ignore", "Glyph")
        canvas = Figure(figsize=inches, layout="constrained")
        paint(canvas.add_subplot())
        canvas.savefig(svg, format="svg", bbox_inches="tight", metadata=NO_METADATA)
    return embedded(svg.getvalue(), name)


def embedded(svg: str, name: str) -> str:
    """Return an SVG file as an element of a page that contains several.

    All ids get the name in front, for matplotlib gives the same to every figure; ink becomes the
    colour of the text around.

    Examples
    --------
    >>> file = f'<svg xmlns="{SVG}"><g id="a" style="fill: {INK}; clip: url(#b)"/></svg>'
    >>> embedded(file, "loss")
    '<svg><g id="loss-a" style="fill: currentColor; clip: url(#loss-b)" /></svg>'
    """
    root = ET.fromstring(svg)
    for element in root.iter():
        element.tag = element.tag.removeprefix(f"{{{SVG}}}")
        element.attrib = {
            key.removeprefix(f"{{{XLINK}}}"): placed(key, value, name)
            for key, value in element.attrib.items()
        }
    return ET.tostring(root, encoding="unicode")


def placed(key: str, value: str, name: str) -> str:
    """Rewrite an attribute of an SVG for the page."""
    if key == "id":
        return f"{name}-{value}"
    if key.endswith("href"):
        return value.replace("#", f"#{name}-", 1) if value.startswith("#") else value
    return value.replace("url(#", f"url(#{name}-").replace(INK, "currentColor")


def legible(name: Any) -> str:
    r"""Return the name of a class in one or two lines, in characters that every font has.

    Examples
    --------
    >>> print(legible("a very long name of a class, and more"))
    a very long name
    of a class, …
    >>> legible("nul\0")
    'nul�'
    """
    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(name))
    return "\n".join(wrap(text, LINE, max_lines=2, placeholder=" …"))

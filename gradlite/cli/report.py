"""The report of a training: one self-contained HTML file, for any browser."""

from __future__ import annotations

import platform
from dataclasses import dataclass, field
from importlib import metadata
from importlib.resources import files
from typing import Any, Literal

import numpy as np

from gradlite.cli import figures
from gradlite.errors import MissingExtraError

PACKAGES = ("gradlite", "numpy", "scipy", "scikit-learn")
MOST_INPUTS = 15
MOST_IMAGES = 12


@dataclass
class Report:
    """The contents of a report.

    Attributes
    ----------
    title : str
        What was trained, in a few words.
    task : {'classification', 'regression'}
        The kind of the target.
    command : str
        The command that reproduces it.
    model : estimator
        The fitted estimator of gradlite.
    y_test, prediction : ndarray of shape (n,)
        The held-out targets, and the network's predictions.
    probability : ndarray of shape (n, classes) or None
        The predicted probability of each class.
    classes : list
        The classes, in the order of the columns of `probability`. Empty for a regression.
    scores : list of (name, {metric: value})
        The scores of the network, then those of the models that it is compared with. The first
        metric is the headline; larger is better.
    importances : list of (column, mean, std)
        How much the score falls when a column is shuffled, in any order.
    settings : dict
        The parameters of the network that were chosen.
    facts : dict
        Facts about the data: the file, rows, columns. (The report adds versions.)
    notes : list of str
        Remarks, of a sentence or two.
    images : ndarray of shape (n, height, width), optional
        The held-out inputs, if they are images.
    """

    title: str
    task: Literal["classification", "regression"]
    command: str
    model: Any
    y_test: np.ndarray
    prediction: np.ndarray
    probability: np.ndarray | None = None
    classes: list[Any] = field(default_factory=list)
    scores: list[tuple[str, dict[str, float]]] = field(default_factory=list)
    importances: list[tuple[str, float, float]] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    images: np.ndarray | None = None


def report_html(report: Report) -> str:
    """Return the report as one self-contained HTML document, without scripts or downloads.

    Nothing in it depends on the time: the same run writes the same bytes, encoded as UTF-8. Raise
    MissingExtraError if jinja2 or matplotlib is not installed.
    """
    page: str = template().render(
        report=report,
        headline=headline(report),
        verdict=verdict(report),
        metrics=list(report.scores[0][1]),
        scores=compared(report),
        drawings=drawings(report),
        inputs=inputs(report),
        mistakes=mistakes(report),
        units=figures.units(report.model, report.images),
        versions=versions(),
    )
    return page.encode(errors="replace").decode()  # a file's name may have bytes that are not text


def template() -> Any:
    """Load the template of the page."""
    try:
        from jinja2 import Environment, StrictUndefined
    except ImportError as error:
        raise MissingExtraError(
            f"A report needs jinja2: pip install 'gradlite[cli]'. The import said: {error}."
        ) from None
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    text = files("gradlite.cli").joinpath("report.html.jinja").read_text(encoding="utf-8")
    return environment.from_string(text)


def versions() -> dict[str, str]:
    """Return the versions on which a result depends."""
    known = {"python": f"{platform.python_implementation()} {platform.python_version()}"}
    return known | {name: metadata.version(name) for name in PACKAGES}


# -- the numbers ------------------------------------------------------------------------------


def figure(value: float, metric: str = "") -> str:
    """Return a number as text for readers: three digits, and an accuracy in percent.

    Examples
    --------
    >>> figure(0.97222, "accuracy"), figure(0.48211, "R2"), figure(1234567.8), figure(-2.0)
    ('97.2 %', '0.482', '1,230,000', '-2')
    """
    if metric == "accuracy":
        return f"{100 * value:.1f} %"
    short = float(f"{value:.3g}")
    return f"{short:,.0f}" if 1000 <= abs(short) < 1e12 else f"{short:g}"


def headline(report: Report) -> dict[str, str]:
    """Return the score of the network, and what it is a score of, with its accuracy."""
    metric, value = next(iter(report.scores[0][1].items()))
    rows = len(report.y_test)
    exact = ""
    if metric == "accuracy":
        # Two standard errors of a proportion (binomial, normal approximation).
        margin = 200 * float(np.sqrt(value * (1 - value) / rows))
        exact = f", give or take {margin:.1f} points"
    return {
        "value": figure(value, metric),
        "text": f"{metric} on {rows:,} held-out row{'s' * (rows > 1)}{exact}",
    }


def verdict(report: Report) -> str:
    """Return a sentence that compares the network with the baselines, by the first metric.

    Examples
    --------
    >>> known = dict(title="", task="regression", command="", model=None, y_test=np.zeros(3))
    >>> scores = [("network", {"R2": 0.5}), ("mean", {"R2": 0.0}), ("linear", {"R2": 0.6})]
    >>> verdict(Report(**known, prediction=np.zeros(3), scores=scores))
    'By R2, the network is ahead of mean and behind linear.'
    """
    (_, own), *others = report.scores
    metric, value = next(iter(own.items()))
    places: dict[str, list[str]] = {"ahead of": [], "level with": [], "behind": []}
    for name, scores in others:
        theirs = scores[metric]
        level = figure(value, metric) == figure(theirs, metric)
        places["level with" if level else "ahead of" if value > theirs else "behind"].append(name)
    clauses = [f"{place} {' and '.join(names)}" for place, names in places.items() if names]
    return f"By {metric}, the network is {' and '.join(clauses)}." if clauses else ""


def compared(report: Report) -> list[dict[str, Any]]:
    """Return the rows of the table of scores, each with the width of a bar for the first metric."""
    first = [next(iter(scores.values())) for _, scores in report.scores]
    most = max(first)
    return [
        {
            "name": name,
            "figures": [figure(value, metric) for metric, value in scores.items()],
            "width": width(value, most),
        }
        for (name, scores), value in zip(report.scores, first, strict=True)
    ]


def inputs(report: Report) -> list[dict[str, Any]]:
    """Return the most important inputs, with bars relative to the first."""
    ranked = sorted(report.importances, key=lambda row: row[1], reverse=True)[:MOST_INPUTS]
    most = max((mean for _, mean, _ in ranked), default=0)
    return [
        {
            "name": name,
            "mean": f"{mean:.3f}",
            "std": f"{std:.3f}",
            "width": width(mean, most),
        }
        for name, mean, std in ranked
    ]


def width(value: float, most: float) -> float:
    """Return the width of a bar in percent."""
    return round(100 * max(0.0, value) / most, 1) if most > 0 else 0.0


# -- the pictures -----------------------------------------------------------------------------


def drawings(report: Report) -> list[tuple[str, str]]:
    """Return the figures of the report: pairs of an SVG and its caption."""
    drawn = []
    if getattr(report.model, "loss_curve_", None):
        drawn.append(figures.loss_curve(report.model))
    if report.task == "classification":
        drawn.append(figures.confusion(report.y_test, report.prediction, report.classes))
    else:
        drawn.append(figures.against_truth(report.y_test, report.prediction))
        drawn.append(figures.residuals(report.y_test, report.prediction))
    return drawn


def mistakes(report: Report) -> list[dict[str, str]]:
    """Return the images that the network got wrong, the most confident errors first."""
    if report.images is None or report.probability is None:
        return []
    wrong = np.flatnonzero(report.prediction != report.y_test)
    sure = report.probability.max(axis=1)
    wrong = wrong[np.argsort(-sure[wrong])]
    return [
        {
            "image": figures.thumbnail(report.images[i], "gray"),
            "true": str(report.y_test[i]),
            "said": str(report.prediction[i]),
            "sure": f"{100 * sure[i]:.0f} %",
        }
        for i in wrong[:MOST_IMAGES]
    ]

"""``gradlite demo``: train on handwritten digits, and compare with scikit-learn's network.

Both networks have the same parameters and the same seed, so they are identical; only the time
differs.
"""

from __future__ import annotations

import math
import sys
import time
import warnings
from dataclasses import dataclass
from typing import Any

import click
import numpy as np

from gradlite.cli.files import OutputError, check_output, write_text
from gradlite.cli.terminal import say


@dataclass
class Settings:
    """The options for the networks."""

    epochs: int
    batch_size: int
    lr: float
    seed: int
    hidden: tuple[int, ...]

    def command(self) -> str:
        """Return the command that has these settings."""
        hidden = ",".join(map(str, self.hidden))
        return (
            f"gradlite demo --epochs {self.epochs} --batch-size {self.batch_size} --lr {self.lr} "
            f"--seed {self.seed} --hidden {hidden}"
        )


# -- the comparison ---------------------------------------------------------------------------


def load(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return images (8 by 8 pixels, a row each) and digits for training, and for testing."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    x, y = load_digits(return_X_y=True)
    x = (x / 8 - 1).astype(np.float32)  # pixels are from 0 to 16
    x, x_test, y, y_test = train_test_split(x, y, test_size=0.2, stratify=y, random_state=seed)
    return x, y, x_test, y_test


def classifier(library: Any, settings: Settings, **display: Any) -> Any:
    """Return the MLPClassifier of `library`, with settings that train it for all epochs."""
    return library.MLPClassifier(
        settings.hidden,
        batch_size=settings.batch_size,
        learning_rate_init=settings.lr,
        max_iter=settings.epochs,
        tol=0.0,
        n_iter_no_change=settings.epochs,
        random_state=settings.seed,
        **display,
    )


def fit_to_the_end(model: Any, x: np.ndarray, y: np.ndarray) -> float:
    """Train a network for all epochs, and return the time in seconds."""
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it has not converged: true, and meant
        model.fit(x, y)
    if model.n_iter_ < model.max_iter:
        raise KeyboardInterrupt  # fit takes Ctrl-C as a wish to stop early, and returns
    return time.perf_counter() - start


class Milestones:
    """A callback that prints a line after 1, 2, 4, 8, ... epochs, in place of a bar."""

    def setup(self, estimator: Any, context: Any) -> None:
        """Do nothing yet."""

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        """Do nothing yet."""

    def on_fit_task_end(self, estimator: Any, context: Any) -> None:
        """Show the progress."""
        epoch, epochs = estimator.n_iter_, estimator.max_iter
        if context.parent is None:
            return
        if epoch.bit_count() == 1 or epoch == epochs:
            say(f"epoch {epoch}/{epochs}, training loss {estimator.loss_:.5f}")

    def teardown(self, estimator: Any, context: Any) -> None:
        """Do nothing."""


def display(quiet: bool) -> dict[str, Any]:
    """Return the parameters that show progress: by a bar in a terminal, otherwise by lines."""
    if quiet:
        return {}
    return {"verbose": True} if sys.stdout.isatty() else {"callbacks": [Milestones()]}


# -- what comes out ---------------------------------------------------------------------------


def table(settings: Settings, images: int, scores: list[tuple[str, dict[str, float]]]) -> str:
    """Return a table of the scores, with the ratio of each time to that of the first row."""
    sizes = "-".join(map(str, [64, *settings.hidden, 10]))
    epochs = f"{settings.epochs} epoch{'s' * (settings.epochs > 1)}"
    lines = [
        f"{sizes} ReLU network, {images} training images, {epochs} in batches of "
        f"{settings.batch_size}",
        "",
        f"{'':26}{'held-out accuracy':>19}{'seconds':>10}{'ratio':>8}",
    ]
    first = scores[0][1]["seconds"]
    for name, row in scores:
        accuracy, seconds = row["accuracy"], row["seconds"]
        lines.append(f"{name:26}{accuracy:19.4f}{seconds:10.2f}{seconds / first:8.2f}")
    return "\n".join(lines)


def place_for_report(out: str, force: bool) -> str | None:
    """Return the path for the report, or None after a message that it cannot be written."""
    try:
        check_output(out, force)
    except OutputError as error:
        say(f"no report will be written: {error}")
        return None
    return out


def page(
    settings: Settings,
    model: Any,
    x: np.ndarray,
    y: np.ndarray,
    scores: list[tuple[str, dict[str, float]]],
    images: int,
) -> str:
    """Return the report of a network trained on `images` images, with the held-out ones."""
    from gradlite.cli.report import Report, report_html

    notes = ["Both networks have the same parameters and the same seed: only the time differs."]
    return report_html(
        Report(
            title="Handwritten digits",
            task="classification",
            command=settings.command(),
            model=model,
            y_test=y,
            prediction=model.predict(x),
            probability=model.predict_proba(x),
            classes=list(model.classes_),
            scores=scores,
            settings={
                "hidden_layer_sizes": settings.hidden,
                "batch_size": settings.batch_size,
                "learning_rate_init": settings.lr,
                "max_iter": settings.epochs,
                "random_state": settings.seed,
            },
            facts={
                "source": "sklearn.datasets.load_digits",
                "training images": images,
                "held-out images": len(x),
                "pixels": "8 by 8",
            },
            notes=notes if len(scores) > 1 else [],
            images=x.reshape(-1, 8, 8),
        )
    )


# -- the command ------------------------------------------------------------------------------


def widths(ctx: click.Context, option: click.Parameter, text: str) -> tuple[int, ...]:
    """Return the widths of layers from the text of an option."""
    parts = text.split(",")
    if not all(part.isdecimal() and 1 <= int(part) <= 10_000 for part in parts):
        raise click.BadParameter(f"{text!r} is not whole numbers from 1 to 10000, such as 128,64.")
    return tuple(map(int, parts))


def no_nan(ctx: click.Context, option: click.Parameter, value: float) -> float:
    """Raise BadParameter for NaN, which click's ranges accept."""
    if math.isnan(value):
        raise click.BadParameter("nan is not a number.")
    return value


COUNT = click.IntRange(1, 100_000)


@click.command(
    context_settings={"show_default": True},
    epilog="Example: gradlite demo --hidden 256,128 --epochs 20 --lr 0.001 --seed 7",
)
@click.option("--epochs", type=COUNT, default=50, metavar="N", help="Passes over the images.")
@click.option("--batch-size", type=COUNT, default=32, metavar="N", help="Images per step.")
@click.option(
    "--lr",
    type=click.FloatRange(1e-6, 1),
    default=0.002,
    callback=no_nan,
    metavar="RATE",
    help="Learning rate of Adam.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    default=0,
    metavar="N",
    help="Seed of the split, the initial weights and the batches.",
)
@click.option(
    "--hidden",
    default="128,64",
    callback=widths,
    metavar="N,N,...",
    help="Widths of the hidden layers.",
)
@click.option("--no-sklearn", is_flag=True, help="Leave out scikit-learn's network.")
@click.option("--quiet", is_flag=True, help="Show no progress.")
@click.option("--out", default="digits.html", metavar="FILE", help="Where to write the report.")
@click.option("--force", is_flag=True, help="Replace FILE if it exists.")
def demo(no_sklearn: bool, quiet: bool, out: str, force: bool, **options: Any) -> None:
    """Train on scikit-learn's handwritten digits, and write a report.

    gradlite's MLPClassifier learns to read them, and so does scikit-learn's, with the same
    parameters and seed. Their accuracy on held-out images and their times are printed, and
    digits.html shows what was learned. An existing file is replaced only with --force.
    """
    settings = Settings(**options)
    x, y, x_test, y_test = load(settings.seed)
    if settings.batch_size > len(x):
        raise click.BadParameter(
            f"there are only {len(x)} training images.", param_hint="'--batch-size'"
        )
    place = place_for_report(out, force)
    import gradlite

    models = {"gradlite": classifier(gradlite, settings, **display(quiet))}
    if not no_sklearn:
        from sklearn import neural_network

        models["scikit-learn"] = classifier(neural_network, settings)
    scores = []
    for name, model in models.items():
        if name != "gradlite" and not quiet:
            say(f"training {name}'s")
        seconds = fit_to_the_end(model, x, y)
        row = {"accuracy": float(model.score(x_test, y_test)), "seconds": seconds}
        scores.append((f"{name} MLPClassifier", row))
    click.echo(table(settings, len(x), scores))
    if place:
        html = page(settings, models["gradlite"], x_test, y_test, scores, images=len(x))
        write_text(place, html)
        if not quiet:
            say(f"open {place} in a browser to see what it has learned")

"""Train the estimator on handwritten digits, beside scikit-learn's: ``python -m gradlite``.

Both networks get the same parameters and the same seed, so they are the same networks: what differs
is the time. ``run script.py`` is for programs written for micrograd.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import os
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np

from gradlite.scalar.run import run

# -- the comparison ---------------------------------------------------------------------------


def load(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Give the images (8 by 8 pixels, a row each) and digits to train on, then those to test on."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    x, y = load_digits(return_X_y=True)
    x = (x / 8 - 1).astype(np.float32)  # pixels are from 0 to 16
    x, x_test, y, y_test = train_test_split(x, y, test_size=0.2, stratify=y, random_state=seed)
    return x, y, x_test, y_test


def classifier(library: Any, args: argparse.Namespace, **display: Any) -> Any:
    """Make the MLPClassifier of `library`, to be trained for all epochs whatever the loss does."""
    return library.MLPClassifier(
        args.hidden,
        batch_size=args.batch_size,
        learning_rate_init=args.lr,
        max_iter=args.epochs,
        tol=0.0,
        n_iter_no_change=args.epochs,
        random_state=args.seed,
        **display,
    )


def fit_to_the_end(model: Any, x: np.ndarray, y: np.ndarray) -> Any:
    """Train a network for all epochs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it has not converged: true, and meant
        model.fit(x, y)
    if model.n_iter_ < model.max_iter:
        raise KeyboardInterrupt  # fit takes Ctrl-C as a wish to stop early, and returns
    return model


class Milestones:
    """A callback that says at some epochs how far the training is: what is shown without a bar."""

    def setup(self, estimator: Any, context: Any) -> None:
        """Do nothing yet."""

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        """Do nothing yet."""

    def on_fit_task_end(self, estimator: Any, context: Any) -> None:
        """Say how far it is."""
        epoch, epochs = estimator.n_iter_, estimator.max_iter
        if context.parent is None:
            return
        if epoch in (1, epochs) or epoch % max(1, epochs // 5) == 0:
            say(f"gradlite: epoch {epoch}/{epochs}, training loss {estimator.loss_:.5f}")

    def teardown(self, estimator: Any, context: Any) -> None:
        """Do nothing more."""


def say(text: str) -> None:
    """Show a line on stderr."""
    print(text, file=sys.stderr, flush=True)


def display(quiet: bool) -> dict[str, Any]:
    """Choose how progress is shown: a bar in a terminal, with rich; lines elsewhere."""
    if quiet:
        return {}
    if sys.stdout.isatty() and importlib.util.find_spec("rich"):
        return {"verbose": True}
    return {"callbacks": [Milestones()]}


def timed(fit: Callable[..., Any], *args: Any) -> tuple[Any, float]:
    """Call a function; give its result and the seconds it took."""
    start = time.perf_counter()
    result = fit(*args)
    return result, time.perf_counter() - start


def compare(args: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """Train both networks on the same images, and print the table."""
    x, y, x_test, y_test = load(args.seed)
    if args.batch_size > len(x):
        parser.error(f"argument --batch-size: there are only {len(x)} training images")
    import gradlite

    contenders = [("gradlite", classifier(gradlite, args, **display(args.quiet)))]
    if not args.no_sklearn:
        from sklearn import neural_network

        contenders.append(("scikit-learn", classifier(neural_network, args)))
    rows = []
    for name, model in contenders:
        if name != "gradlite" and not args.quiet:
            say(f"{name}: training")
        model, seconds = timed(fit_to_the_end, model, x, y)
        rows.append((f"{name} MLPClassifier", model.score(x_test, y_test), seconds))
    sizes = "-".join(map(str, [64, *args.hidden, 10]))
    print(f"{sizes} ReLU network, {len(x)} training images,", end=" ")
    print(f"{args.epochs} epoch{'s' * (args.epochs > 1)} in batches of {args.batch_size}\n")
    print(f"{'':26}{'held-out accuracy':>19}{'seconds':>10}{'ratio':>8}")
    for name, accuracy, seconds in rows:
        print(f"{name:26}{accuracy:19.4f}{seconds:10.2f}{seconds / rows[0][2]:8.2f}")


# -- the command line -------------------------------------------------------------------------


class Parser(argparse.ArgumentParser):
    """A parser that says in one line what is wrong."""

    def error(self, message: str) -> NoReturn:
        """Exit with code 2."""
        self.exit(2, f"gradlite: error: {' '.join(message.split())}\n")


def number(kind: type, low: float, high: float) -> Callable[[str], Any]:
    """Make the reader of a number between two bounds."""

    def read(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if low <= value <= high:
            return value
        noun = "whole number" if kind is int else "number"
        raise argparse.ArgumentTypeError(f"must be a {noun} from {low} to {high}, not {text!r}")

    return read


def make_parser() -> Parser:
    """Describe the options."""
    parser = Parser(
        "python -m gradlite",
        description="Train gradlite's MLPClassifier on scikit-learn's handwritten digits, and "
        "print its accuracy on held-out images and its time beside those of scikit-learn's. "
        "Another command, run script.py, runs a script written for micrograd: see run --help.",
        epilog="example: python -m gradlite --hidden 256 128 --epochs 20 --lr 0.001 --seed 7",
        allow_abbrev=False,
    )
    options: list[tuple[str, Callable[[str], Any], float, str]] = [
        ("--epochs", number(int, 1, 100_000), 50, "passes over the training images"),
        ("--batch-size", number(int, 1, 100_000), 32, "images per gradient step"),
        ("--lr", number(float, 1e-6, 1), 0.002, "learning rate of Adam"),
        ("--seed", number(int, 0, 2**32 - 1), 0, "of the split, first weights and batches"),
    ]
    for option, kind, default, text in options:
        text += " (default: %(default)s)"
        parser.add_argument(option, type=kind, default=default, metavar="N", help=text)
    text = "widths of the hidden layers (default: 128 64)"
    width = number(int, 1, 10_000)
    parser.add_argument(
        "--hidden", type=width, nargs="+", default=[128, 64], metavar="N", help=text
    )
    parser.add_argument("--no-sklearn", action="store_true", help="leave scikit-learn's out")
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    return parser


def make_run_parser() -> Parser:
    """Describe ``run``. What follows the script is the script's."""
    parser = Parser(
        "python -m gradlite run",
        usage="%(prog)s [-h] script.py [args ...]",
        description="Run a script as plain python does, with gradlite's Value, Neuron, Layer and "
        "MLP in place of those that it imports from micrograd (micrograd.engine, micrograd.nn) "
        "or from the two-file version of it (modules engine and nn or neural_net, if missing or "
        "beside the script). A line on stderr says what was replaced.",
        epilog="example: python -m gradlite run train.py --steps 100",
        allow_abbrev=False,
    )
    parser.add_argument("script", metavar="script.py", help="the script")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line, and give its exit code."""
    argv = sys.argv[1:] if argv is None else argv
    if argv[:1] == ["run"]:
        script = make_run_parser().parse_args(argv[1:2]).script
        return run(script, argv[2:])
    parser = make_parser()
    try:
        try:
            compare(parser.parse_args(argv), parser)
        finally:
            sys.stdout.flush()
    except KeyboardInterrupt:
        print("gradlite: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # nobody reads on; let what Python writes at exit go nowhere
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.dup2(nowhere, sys.stderr.fileno())
        return 141
    return 0


if __name__ == "__main__":
    sys.exit(main())

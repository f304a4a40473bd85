"""Train a network on handwritten digits, beside scikit-learn's: ``python -m gradlite``.

The first half of this file is all that training takes: data, parameters, network, optimiser and
loop, in Tensors and NumPy. The second half is the command line, with ``run script.py`` for
programs written for micrograd.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NoReturn

import numpy as np

import gradlite as gl
from gradlite.scalar.run import run

Params = list[tuple[gl.Tensor, gl.Tensor]]  # weights and bias of each layer


def load(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Give the images (8 by 8 pixels, a row each) and digits to train on, then those to test on."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    x, y = load_digits(return_X_y=True)
    x = (x / 8 - 1).astype(np.float32)  # pixels are from 0 to 16
    x, x_test, y, y_test = train_test_split(x, y, test_size=0.2, stratify=y, random_state=seed)
    return x, y, x_test, y_test


def initialise(sizes: Sequence[int], rng: np.random.Generator) -> Params:
    """Draw weights of variance 2 / inputs, which suits ReLU (He et al., 2015)."""
    params = []
    for n, m in pairwise(sizes):
        W = rng.standard_normal((n, m), dtype=np.float32) * math.sqrt(2 / n)
        b = np.zeros(m, dtype=np.float32)
        params.append((gl.Tensor(W, requires_grad=True), gl.Tensor(b, requires_grad=True)))
    return params


def network(params: Params, x: Any) -> Any:
    """Compute the logits: affine layers, with a ReLU after each but the last."""
    for W, b in params[:-1]:
        x = gl.relu(gl.affine(x, W, b))
    W, b = params[-1]
    return gl.affine(x, W, b)


class Adam:
    """Move parameters along their gradients, in steps scaled entry by entry.

    Kingma and Ba, "Adam: a method for stochastic optimization", 2015.
    """

    def __init__(self, params: Params, lr: float) -> None:
        tensors = [tensor for layer in params for tensor in layer]
        self.state = [(p, np.zeros_like(p.data), np.zeros_like(p.data)) for p in tensors]
        self.lr = lr
        self.t = 0

    def step(self) -> None:
        """Take a step, and empty the gradients for the next."""
        self.t += 1
        rate = self.lr * math.sqrt(1 - 0.999**self.t) / (1 - 0.9**self.t)
        for p, mean, square in self.state:
            mean += 0.1 * (p.grad - mean)
            square += 0.001 * (p.grad**2 - square)
            p.data -= rate * mean / (np.sqrt(square) + 1e-8)
            p.zero_grad()


def train(
    x: np.ndarray,
    y: np.ndarray,
    sizes: Sequence[int],
    epochs: int,
    batch_size: int,
    lr: float,
    seed: int,
    show: Callable[[str, bool], None],
) -> Params:
    """Train on mini-batches, drawn anew in every epoch."""
    rng = np.random.default_rng(seed)
    params = initialise(sizes, rng)
    optimiser = Adam(params, lr)
    for epoch in range(1, epochs + 1):
        order = rng.permutation(len(x))
        total = 0.0
        for start in range(0, len(x), batch_size):
            batch = order[start : start + batch_size]
            loss = gl.cross_entropy(network(params, x[batch]), y[batch])
            loss.backward()
            optimiser.step()
            total += loss.item() * len(batch)
        milestone = epoch in (1, epochs) or epoch % max(1, epochs // 5) == 0
        show(f"gradlite: epoch {epoch}/{epochs}, training loss {total / len(x):.5f}", milestone)
    return params


def predict(params: Params, x: np.ndarray) -> np.ndarray:
    """Give the most likely digit for each image; nothing is recorded."""
    with gl.no_grad():
        classes: np.ndarray = network(params, x).argmax(axis=1)
    return classes


# -- the comparison ---------------------------------------------------------------------------


def mlp_classifier(args: argparse.Namespace) -> Any:
    """Make scikit-learn's network of the same sizes, to be trained in the same way."""
    from sklearn.neural_network import MLPClassifier

    return MLPClassifier(
        args.hidden,
        alpha=0.0,  # no weight decay here either
        batch_size=args.batch_size,
        learning_rate_init=args.lr,  # of Adam, its default as ReLU is
        max_iter=args.epochs,
        tol=0.0,
        n_iter_no_change=args.epochs,  # all epochs, whatever the loss does
        random_state=args.seed,
    )


def fit_to_the_end(model: Any, x: np.ndarray, y: np.ndarray) -> Any:
    """Train scikit-learn's network for all epochs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it has not converged: true, and meant
        model.fit(x, y)
    if model.n_iter_ < model.max_iter:
        raise KeyboardInterrupt  # fit takes Ctrl-C as a wish to stop early, and returns
    return model


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
    show = (lambda *_: None) if args.quiet else show_progress
    sizes = [64, *args.hidden, 10]
    settings = sizes, args.epochs, args.batch_size, args.lr, args.seed
    params, seconds = timed(train, x, y, *settings, show)
    rows = [("gradlite", np.mean(predict(params, x_test) == y_test), seconds)]
    if not args.no_sklearn:
        show("scikit-learn: training", True)
        model, seconds = timed(fit_to_the_end, mlp_classifier(args), x, y)
        accuracy = np.mean(model.predict(x_test) == y_test)
        rows.append(("scikit-learn MLPClassifier", accuracy, seconds))
    show("", True)
    print(f"{'-'.join(map(str, sizes))} ReLU network, {len(x)} training images,", end=" ")
    print(f"{args.epochs} epoch{'s' * (args.epochs > 1)} in batches of {args.batch_size}\n")
    print(f"{'':26}{'held-out accuracy':>19}{'seconds':>10}{'ratio':>8}")
    for name, accuracy, seconds in rows:
        print(f"{name:26}{accuracy:19.4f}{seconds:10.2f}{seconds / rows[0][2]:8.2f}")


def show_progress(text: str, milestone: bool) -> None:
    """Show where we are on stderr: in place on a terminal, elsewhere at milestones."""
    if sys.stderr.isatty():
        print(f"\r{text:60}", end="" if text else "\r", file=sys.stderr, flush=True)
    elif text and milestone:
        print(text, file=sys.stderr, flush=True)


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
        description="Train a network on scikit-learn's handwritten digits in plain Tensor code, "
        "and print its accuracy on held-out images and its time beside MLPClassifier's. Another "
        "command, run script.py, runs a script written for micrograd: see run --help.",
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
    parser.add_argument("--no-sklearn", action="store_true", help="leave MLPClassifier out")
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
        print("\n" * sys.stderr.isatty() + "gradlite: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # nobody reads on; let what Python writes at exit go nowhere
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.dup2(nowhere, sys.stderr.fileno())
        return 141
    return 0


if __name__ == "__main__":
    sys.exit(main())

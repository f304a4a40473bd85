"""``gradlite train``: from a table to a model that has been tested, and a report of it."""

from __future__ import annotations

import math
import os
import re
import shlex
import time
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import click
import numpy as np

from gradlite.cli.cells import Kinds, Problem, read_cells
from gradlite.cli.columns import describe, is_whole, learn_kinds, preparation
from gradlite.cli.demo import display
from gradlite.cli.files import check_output, terminable, uninterrupted, write_text
from gradlite.cli.model import SUFFIX, ModelCard, make_pipeline, save_model
from gradlite.cli.report import Report, report_html
from gradlite.cli.scoring import Scores, compare, importances
from gradlite.cli.settings import make_network
from gradlite.cli.tables import TableError, open_table
from gradlite.cli.target import Task, learn_target
from gradlite.cli.terminal import did_you_mean, plural, say, some
from gradlite.errors import GradliteError, printable

if TYPE_CHECKING:
    from pandas import DataFrame

INFINITE = re.compile("[+-]?inf(inity)?", re.IGNORECASE)


@dataclass
class Options:
    """The options of the command line."""

    data: str
    target: str
    task: Task | Literal["auto"] = "auto"
    test: float = 0.2
    out: str = "model"
    settings: tuple[str, ...] = ()
    seed: int = 0
    ignore: tuple[str, ...] = ()
    force: bool = False
    quiet: bool = False

    def command(self) -> str:
        """Return the command that trains the same model again."""
        words = ["gradlite", "train", self.data, "--target", self.target]
        words += ["--task", self.task, "--test", f"{self.test:g}", "--seed", str(self.seed)]
        words += [word for text in self.settings for word in ("--set", text)]
        words += [word for name in self.ignore for word in ("--ignore", name)]
        return shlex.join([*words, "--out", self.out])


@dataclass
class Dataset:
    """The table, read and split."""

    task: Task
    kinds: Kinds
    unused: list[str]
    rows: DataFrame
    y: np.ndarray
    rows_test: DataFrame
    y_test: np.ndarray
    notes: list[str]


# -- the table ----------------------------------------------------------------------------------


def read_dataset(options: Options) -> Dataset:
    """Read the table, and find the kinds of its columns.

    Raises
    ------
    TableError
        If nothing can be learned from it.
    UsageError
        If the table lacks a column that the options name.
    """
    table = open_table(options.data)
    check_columns(options, table.columns)
    raw = table.read()
    task, y, known = learn_target(raw[options.target], options.task, table.place)
    notes = []
    if not known.all():
        gaps = plural(int((~known).sum()), "row")
        notes.append(f"{gaps} without a value of {options.target!r}: left out.")
    inputs = raw.loc[known].drop(columns=[options.target, *options.ignore])
    kinds, remarks = learn_kinds(inputs)
    if not kinds:
        reasons = f" {' '.join(remarks)}" if remarks else ""
        raise TableError(f"{options.data} has no column to learn from.{reasons}")
    rows, problems = read_cells(inputs, kinds)
    notes += [*remarks, *unreadable_cells(problems, table.place)]
    learn, test = split_rows(y, task, options)
    return Dataset(
        task=task,
        kinds=kinds,
        unused=[name for name in table.columns if name not in {*kinds, options.target}],
        rows=rows.iloc[learn],
        y=y[learn],
        rows_test=rows.iloc[test],
        y_test=y[test],
        notes=notes,
    )


def check_columns(options: Options, columns: list[str]) -> None:
    """Raise UsageError if the options name columns that the table does not have."""
    for option, name in [("--target", options.target), *(("--ignore", x) for x in options.ignore)]:
        if name in columns:
            continue
        hint = did_you_mean(name, columns) or f" It has {some(map(repr, columns), 10)}."
        if any(column[:1].isdigit() for column in columns):
            hint += " (The first line of a table must name its columns.)"
        raise click.UsageError(f"{option}: {options.data} has no column {name!r}.{hint}")
    if options.target in options.ignore:
        raise click.UsageError(f"--ignore: {options.target!r} is the target, which is needed.")


def unreadable_cells(problems: list[Problem], place: str) -> list[str]:
    """Return notes on the cells that could not be read and are taken as missing.

    Raises
    ------
    TableError
        If some are infinite numbers.
    """
    for problem in problems:
        if INFINITE.fullmatch(problem.cell):
            raise TableError(
                f"column {problem.column!r} has an infinite value in {place} {problem.place}: "
                f"correct or empty it."
            )
    notes = []
    for column in dict.fromkeys(problem.column for problem in problems):
        cells = [f"{p.cell!r} ({place} {p.place})" for p in problems if p.column == column]
        notes.append(f"Column {column!r}: {some(cells, 3)} cannot be read, taken as missing.")
    return notes


def split_rows(y: np.ndarray, task: str, options: Options) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows for training and for testing, stratified by class.

    Raises
    ------
    TableError
        If one of the two would be too small.
    """
    from sklearn.model_selection import train_test_split

    n_test = math.ceil(options.test * len(y))
    least = 2 if task == "regression" else len(np.unique(y))
    if min(n_test, len(y) - n_test) < least:
        needed = "2 rows" if task == "regression" else f"as many rows as classes, {least}"
        raise TableError(
            f"--test {options.test:g} leaves {len(y) - n_test} rows to learn from and {n_test} to "
            f"test on: both need at least {needed}. Choose another fraction, or add rows."
        )
    strata = y if task == "classification" else None
    learn, test = train_test_split(
        np.arange(len(y)), test_size=n_test, stratify=strata, random_state=options.seed
    )
    return learn, test


# -- training -----------------------------------------------------------------------------------


def fit(network: Any, X: np.ndarray, y: np.ndarray, quiet: bool) -> list[str]:
    """Train the network, and return notes on the training.

    Ctrl-C or SIGTERM ends the training: the network then has the weights of its best epoch.

    Raises
    ------
    KeyboardInterrupt
        If it is interrupted before the end of the first epoch.
    TableError
        If the network cannot be trained on the data or with its settings.
    """
    start = time.perf_counter()
    network.set_params(**display(quiet))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            network.fit(X, y)
        except GradliteError:
            raise
        except ValueError as error:
            raise TableError(f"the network cannot be trained: {error}") from error
    network.set_params(verbose=False, callbacks=None)
    messages = [str(warning.message) for warning in caught]
    interrupted = any("interrupted by user" in message for message in messages)
    if interrupted and not network.loss_curve_:
        raise KeyboardInterrupt
    epochs = plural(network.n_iter_, "epoch")
    if not quiet:
        say(f"trained for {epochs} in {time.perf_counter() - start:.1f} seconds")
    if not interrupted:
        return messages
    note = f"The training was interrupted after {epochs}; the best model so far is kept."
    say(note)
    return [note]


# -- the command --------------------------------------------------------------------------------


def run(options: Options) -> None:
    """Train, test, and write the model and its report."""
    model_file, report_file = outputs(options)
    dataset = read_dataset(options)
    network, settings = make_network(dataset.task, len(dataset.y), options.seed, options.settings)
    introduce(options, dataset)
    columns = preparation(dataset.kinds)
    X, X_test = columns.fit_transform(dataset.rows), columns.transform(dataset.rows_test)
    dataset.notes += fit(network, X, dataset.y, options.quiet)
    scores = compare(network, dataset.task, (X, dataset.y), (X_test, dataset.y_test))
    model = make_pipeline(columns, network)
    card = ModelCard(
        dataset.task, options.target, dataset.kinds, dataset.unused, scores, options.command()
    )
    written = False
    try:
        with uninterrupted():
            save_model(model_file, model, card)
            written = True
        show(scores, len(dataset.y_test))
        page = report_html(make_report(options, dataset, model, X_test, scores, settings))
        write_text(report_file, page)
    except (KeyboardInterrupt, OSError):
        if written:
            say(f"{model_file}, the model, is written; its report is not")
        raise
    click.echo(
        f"\nWrote {printable(model_file)}, the model, and {printable(report_file)}, the report."
    )


def make_report(
    options: Options,
    dataset: Dataset,
    model: Any,
    X_test: np.ndarray,
    scores: Scores,
    settings: dict[str, Any],
) -> Report:
    """Return the contents of the report."""
    network = model["network"]
    classifies = dataset.task == "classification"
    is_sure = hasattr(network, "predict_proba")
    return Report(
        title=f"{options.target} from {os.path.basename(options.data)}",
        task=dataset.task,
        command=options.command(),
        model=network,
        y_test=dataset.y_test,
        prediction=network.predict(X_test),
        probability=network.predict_proba(X_test) if is_sure else None,
        classes=network.classes_.tolist() if classifies else [],
        scores=scores,
        importances=importances(model, dataset.rows_test, dataset.y_test, options.seed),
        settings=settings,
        facts=facts(options, dataset),
        notes=dataset.notes,
    )


def outputs(options: Options) -> tuple[str, str]:
    """Return the paths of model and report, after checking that they can be written."""
    base = options.out.removesuffix(SUFFIX)
    if not os.path.basename(base):
        raise click.UsageError(f"--out {options.out}: the name is missing after the folder.")
    model_file, report_file = base + SUFFIX, base + ".html"
    for path in (model_file, report_file):
        check_output(path, options.force)
    return model_file, report_file


def introduce(options: Options, dataset: Dataset) -> None:
    """Print how the table was read."""
    if options.quiet:
        return
    is_classes = dataset.task == "classification"
    what = f"{dataset.task} of {options.target!r}"
    if options.task == "auto" and dataset.y.dtype.kind in "if" and is_whole(dataset.y):
        what += f" (or --task {'regression' if is_classes else 'classification'})"
    if is_classes:
        what += f", {plural(len(np.unique(dataset.y)), 'class')}"
    say(f"{what}, from {describe(dataset.kinds)}")
    for note in dataset.notes:
        say(note)
    say(f"{plural(len(dataset.y), 'row')} to learn from, {len(dataset.y_test):,} held out to test")


def show(scores: Scores, rows: int) -> None:
    """Print the table of scores."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, header_style="")
    table.add_column(f"on {plural(rows, 'held-out row')}")
    for metric in scores[0][1]:
        table.add_column(metric, justify="right")
    for i, (name, values) in enumerate(scores):
        figures = [f"{value:.4g}" for value in values.values()]
        table.add_row(name, *figures, style="bold" if i == 0 else "")
    Console(highlight=False).print(table)


def facts(options: Options, dataset: Dataset) -> dict[str, Any]:
    """Return the facts about the data for the report."""
    return {
        "table": options.data,
        "target": options.target,
        "columns": describe(dataset.kinds),
        "training rows": len(dataset.y),
        "held-out rows": len(dataset.y_test),
    }


def between(ctx: click.Context, param: click.Parameter, value: float) -> float:
    """Return the fraction of rows of an option; raise BadParameter if it is not one."""
    if not 0 < value < 1:  # not for NaN either
        raise click.BadParameter(
            f"{value:g} is not a fraction of the rows: choose one between 0 and 1."
        )
    return value


@click.command(epilog="Example: gradlite train houses.csv --target price --set alpha=0.1")
@click.argument("data")
@click.option("--target", required=True, metavar="COLUMN", help="The column to predict.")
@click.option(
    "--task",
    type=click.Choice(["auto", "classification", "regression"]),
    default="auto",
    help="Whether to predict classes or numbers; by default, this depends on the target.",
)
@click.option(
    "--test",
    type=float,
    callback=between,
    default=0.2,
    show_default=True,
    metavar="FRACTION",
    help="The fraction of rows to hold out for testing.",
)
@click.option(
    "--out",
    default="model",
    show_default=True,
    metavar="NAME",
    help="Where to write the model, NAME.gl, and its report, NAME.html.",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=VALUE",
    help="A parameter of the network, such as hidden_layer_sizes=64,32. May be repeated.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    default=0,
    show_default=True,
    metavar="N",
    help="Seed of the split, the initial weights and the batches.",
)
@click.option(
    "--ignore", multiple=True, metavar="COLUMN", help="A column to leave out. May be repeated."
)
@click.option("--force", is_flag=True, help="Replace NAME.gl and NAME.html if they exist.")
@click.option("--quiet", is_flag=True, help="Show no progress.")
def train(**given: Any) -> None:
    """Train a network on the table DATA.

    DATA is CSV, TSV (both also as .gz) or Parquet. Columns of numbers, categories and dates are
    recognised, and missing values filled in. The network is tested on held-out rows and compared
    with two simple models. Ctrl-C (or SIGTERM) ends the training and keeps the best network so far.
    """
    with terminable():
        run(Options(**given))

"""``gradlite predict``: predictions for a table of any size, chunk by chunk."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from importlib.metadata import version
from os.path import exists, samefile
from typing import TYPE_CHECKING, Any, TextIO

import click
import numpy as np

from gradlite.cli import tables
from gradlite.cli.cells import CATEGORY, Kinds, Problem, misfit, read_cells
from gradlite.cli.files import OutputError, check_output, replacing
from gradlite.cli.model import ModelCard, model_path, read_model
from gradlite.cli.tables import Table, TableError, open_table
from gradlite.cli.terminal import plural, say, some
from gradlite.errors import printable
from gradlite.persist import shortened

if TYPE_CHECKING:
    from pandas import DataFrame

FORMULAS = ("=", "+", "-", "@", "\t", "\r")  # begin a cell that a spreadsheet runs
NAMED = 5  # cells that are named; the others are counted


class Predictor:
    """Predicts tables chunk by chunk, and counts unreadable cells and unknown categories.

    Attributes
    ----------
    rows : int
        The number of rows predicted so far.
    problems : list of Problem
        The first cells that could not be read.
    unreadable : int
        The number of all such cells.
    unseen : Counter
        For each column, the number of rows with a category that was not in the training data.
    examples : dict of list
        The first of these categories.
    """

    def __init__(self, pipeline: Any, kinds: Kinds) -> None:
        self.kinds = kinds
        self.transformer = pipeline["columns"][-1]
        self.network = pipeline["network"]
        self.rows = self.unreadable = 0
        self.problems: list[Problem] = []
        self.seen = categories(self.transformer, kinds)
        self.unseen: Counter[str] = Counter()
        self.examples: dict[str, list[str]] = {name: [] for name in self.seen}

    def predict(self, raw: DataFrame) -> DataFrame:
        """Return predictions for the rows of a table that has the columns of the model.

        They are the prediction and the probability of each class, (n, 1) or (n, 1 + classes).
        """
        import pandas as pd

        frame, problems = read_cells(raw, self.kinds)
        self._account(frame, problems)
        X = self.transformer.transform(frame)
        predictions: dict[str, Any] = {"prediction": self.network.predict(X)}
        if hasattr(self.network, "predict_proba"):
            names = (f"probability {label}" for label in self.network.classes_)
            predictions |= zip(names, self.network.predict_proba(X).T, strict=True)
        return pd.DataFrame(predictions)

    def _account(self, frame: DataFrame, problems: list[Problem]) -> None:
        self.rows += len(frame)
        self.unreadable += len(problems)
        self.problems += problems[: NAMED - len(self.problems)]
        for name, seen in self.seen.items():
            cells = frame[name].dropna()
            new = cells[~cells.isin(seen)]
            self.unseen[name] += len(new)
            examples = [*self.examples[name], *new.unique()]
            self.examples[name] = list(dict.fromkeys(examples))[:NAMED]

    def remarks(self, place: str) -> Iterator[str]:
        """Return a sentence for each problem; `place` is what the index of the chunks counts."""
        if self.unreadable:
            cells = [f"{p.cell!r} in column {p.column!r}, {place} {p.place}" for p in self.problems]
            shown = "; ".join(cells) + ("; ..." if self.unreadable > len(cells) else "")
            yield f"{plural(self.unreadable, 'cell')} cannot be read, taken as missing: {shown}"
        for name, count in self.unseen.items():
            if count:
                yield (
                    f"column {name!r}: {plural(count, 'row')} with categories that were not in the "
                    f"training, such as {', '.join(map(repr, self.examples[name]))}"
                )


def categories(transformer: Any, kinds: Kinds) -> dict[str, np.ndarray]:
    """Return the categories in the training data of each column that has some."""
    names = [name for name, (kind, _) in kinds.items() if kind == CATEGORY]
    if not names:
        return {}
    return dict(zip(names, transformer.named_transformers_[CATEGORY].categories_, strict=True))


def check_columns(table: Table, card: ModelCard, model: str) -> None:
    """Compare the columns of a table with those that a model takes.

    Raises
    ------
    TableError
        If columns are missing. The message names them all.
    """
    if lacking := misfit(card.kinds, table.columns):
        raise TableError(f"{table.path} does not fit the model {model}: {lacking}")
    known = {*card.kinds, *card.unused, card.target}
    others = [repr(name) for name in table.columns if name not in known]
    if others:
        say(f"{plural(len(others), 'column')} of {table.path} not known to {model}: {some(others)}")


def check_place(out: str | None, force: bool, inputs: list[str]) -> None:
    """Raise OutputError if predictions cannot be written to `out`, or would replace an input."""
    if out is None:
        return
    if out.lower().endswith(tables.PARQUET):
        raise OutputError(f"predictions are written as CSV: call it {out.rpartition('.')[0]}.csv.")
    check_output(out, force)
    for path in inputs:
        if exists(out) and samefile(out, path):
            raise OutputError(f"{out!r} is an input: give another name for the predictions.")


def unlike_formula(text: str) -> str:
    """Return a cell with ' before it if a spreadsheet would take it for a formula.

    Examples
    --------
    >>> unlike_formula("=HYPERLINK(A1)"), unlike_formula("a=1")
    ("'=HYPERLINK(A1)", 'a=1')
    """
    return f"'{text}" if text.startswith(FORMULAS) else text


def with_text(predictions: DataFrame, write: Callable[[str], str]) -> DataFrame:
    """Apply a function to the text of predictions, in cells and column names."""
    import pandas as pd

    predictions = predictions.rename(columns=write)
    for name in predictions.columns:
        if not pd.api.types.is_numeric_dtype(predictions[name]):
            predictions[name] = predictions[name].map(lambda cell: write(str(cell)))
    return predictions


def destination(out: str | None) -> AbstractContextManager[TextIO]:
    """Yield the file for the predictions, or stdout."""
    return nullcontext(sys.stdout) if out is None else replacing(out)


def run(model: str, data: str, out: str | None, force: bool, escape_formulas: bool) -> None:
    """Predict a table, and report problems in it."""
    pipeline, card = read_model(model)
    table = open_table(data)
    check_place(out, force, [model_path(model), data])
    check_columns(table, card, model)
    if card.scikit_learn != version("scikit-learn"):
        say(
            f"{model} was made with scikit-learn {shortened(card.scikit_learn)}, this is "
            f"{version('scikit-learn')}: compare a few predictions before you rely on them"
        )
    predictor = Predictor(pipeline, card.kinds)
    on_screen = out is None and sys.stdout.isatty()
    with destination(out) as file:
        for chunk in table.chunks(tables.CHUNK):
            first = predictor.rows == 0
            predictions = predictor.predict(chunk)
            if escape_formulas:
                predictions = with_text(predictions, unlike_formula)
            if on_screen:
                predictions = with_text(predictions, printable)
            predictions.to_csv(file, index=False, header=first, lineterminator="\n")
        if not predictor.rows:
            raise TableError(f"{data} has a header and no rows: there is nothing to predict.")
    for remark in predictor.remarks(table.place):
        say(remark)
    say(f"{plural(predictor.rows, 'row')} predicted" + (f": {out}" if out else ""))


@click.command(epilog="Example: gradlite predict model houses.csv --out prices.csv")
@click.argument("model")
@click.argument("data")
@click.option("--out", metavar="FILE", help="Where to write the predictions; by default to stdout.")
@click.option("--force", is_flag=True, help="Replace FILE if it exists.")
@click.option(
    "--escape-formulas",
    is_flag=True,
    help="Put ' before predicted classes that begin with = + - @ (formulas to spreadsheets).",
)
def predict(model: str, data: str, out: str | None, force: bool, escape_formulas: bool) -> None:
    """Predict every row of the table DATA.

    MODEL is a file that `gradlite train` has written, with or without its suffix .gl. The
    predictions are in the order of the rows, for a classification with the probability of each
    class. DATA may be larger than memory. Classes are written exactly as in the training table; in
    a terminal, control characters in them are shown escaped.
    """
    run(model, data, out, force, escape_formulas)

"""The column to predict: whether it makes a classification or a regression, and its values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from gradlite.cli.cells import CATEGORY, DATE, LARGEST, as_numbers, as_text
from gradlite.cli.columns import is_whole, kind_of
from gradlite.cli.tables import TableError
from gradlite.cli.terminal import plural, some

if TYPE_CHECKING:
    from pandas import Series

Task = Literal["classification", "regression"]

MOST_CLASSES = 15  # integers with more different values are not classes unless asked for
FEWEST_ROWS = 20
PLAIN, LONGEST = r"[+-]?\d+(?:\.\d+)?", 15  # numbers that float64 tells apart, and their length


def learn_target(
    column: Series, task: Task | Literal["auto"], place: str
) -> tuple[Task, np.ndarray, np.ndarray]:
    """Read the target, and choose the task if it is 'auto'.

    Parameters
    ----------
    column : Series, shape (n,)
        The target, raw.
    task : {'auto', 'classification', 'regression'}
        The requested task.
    place : str
        What the index counts, ``'line'`` or ``'row'``.

    Returns
    -------
    task : {'classification', 'regression'}
        The requested task; for 'auto', regression for numbers, unless they are a few integers.
    y : ndarray, shape (m,)
        float64 for a regression; int64, float64 or str labels for a classification.
    known : ndarray of bool, shape (n,)
        The m rows that have a target.

    Raises
    ------
    TableError
        If nothing can be learned from it.

    Examples
    --------
    >>> import pandas as pd
    >>> answers = pd.Series(["no", "yes", ""] * 10, name="answer")
    >>> task, y, known = learn_target(answers, "auto", "line")
    >>> task, y[:2].tolist(), int(known.sum())
    ('classification', ['no', 'yes'], 20)
    """
    known = as_text(column).notna().to_numpy()
    column = column[known]
    name = f"the target {column.name!r}"
    if len(column) < FEWEST_ROWS:
        raise TableError(
            f"{name} has a value in only {plural(len(column), 'row')}: at least {FEWEST_ROWS} are "
            f"needed for training and testing."
        )
    kind, form = kind_of(column)
    if kind == DATE:
        raise TableError(
            f"{name} holds dates, but only numbers or classes can be predicted. Convert it to a "
            f"number, such as the days since a fixed date."
        )
    numbers = as_numbers(column, form or ".")
    if task == "auto":
        classes = kind == CATEGORY or few_and_whole(numbers)
        task = "classification" if classes else "regression"
    if task == "regression":
        check_numbers(name, column, numbers, place)
        return task, numbers, known
    y = np.asarray(as_text(column), str) if kind == CATEGORY else labels(column, numbers)
    check_classes(name, y, column, place)
    return task, y, known


def few_and_whole(numbers: np.ndarray) -> bool:
    """Return whether numbers are most likely classes: few different ones, without fractions."""
    return is_whole(numbers) and len(np.unique(numbers)) <= min(MOST_CLASSES, len(numbers) / 3)


def labels(column: Series, numbers: np.ndarray) -> np.ndarray:
    """Return the labels of classes: as numbers if all are plain ones, otherwise as in the table.

    Two long numbers may be the same float64, and ``$5``, ``5 %`` or ``0,5`` is not written as 5.
    """
    text = as_text(column)
    if not (text.str.fullmatch(PLAIN) & (text.str.len() <= LONGEST)).all():
        return np.asarray(text, str)
    return numbers.astype(np.int64) if is_whole(numbers) else numbers


def check_numbers(name: str, column: Series, numbers: np.ndarray, place: str) -> None:
    """Raise TableError for a regression target that is not finite, or constant."""
    lost = np.flatnonzero(~(np.abs(numbers) < LARGEST))
    if len(lost):
        where = column.index[lost[0]]
        more = f" (and {len(lost) - 1} more like it)" if len(lost) > 1 else ""
        raise TableError(
            f"{name} has {str(column.iloc[lost[0]])!r} in {place} {where}{more}, which is not a "
            f"finite number, or too large: correct or empty it, or use --task classification."
        )
    if np.ptp(numbers) == 0:
        raise TableError(f"{name} is {numbers[0]:g} in every row: there is nothing to learn.")


def check_classes(name: str, y: np.ndarray, column: Series, place: str) -> None:
    """Raise TableError for a classification target with one class, or with classes of one row."""
    classes, first, counts = np.unique(y, return_index=True, return_counts=True)
    if len(classes) == 1:
        raise TableError(f"{name} is {str(y[0])!r} in every row: there is nothing to learn.")
    single = np.flatnonzero(counts == 1)
    if len(single):
        shown = (f"{str(classes[i])!r} ({place} {column.index[first[i]]})" for i in single)
        raise TableError(
            f"{name} has {plural(len(single), 'class')} of a single row, {some(shown, 3)}: at "
            f"least two rows of each are needed, one to train on and one to test on. Correct, "
            f"join or empty them" + (", or use --task regression." if y.dtype.kind in "if" else ".")
        )

"""The preparation of columns as text: the part of an exported file that reads a table.

It repeats in plain Python and NumPy what `gradlite.cli.cells` and `gradlite.cli.columns` do, with
what was learned from the training table as literals.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from typing import Any

import numpy as np

from gradlite.cli.cells import CATEGORY, DATE, GROUPED, LARGEST, MISSING, NUMBER, UNITS, Kinds
from gradlite.cli.tables import SEPARATORS
from gradlite.export.numpy_alone import Inputs

ISO = "ISO8601"


def inputs_of(kinds: Kinds, learned: Any, doc: str) -> Inputs:
    """Return the part of a file that reads a table.

    Parameters
    ----------
    kinds : Kinds
        The columns.
    learned : dict of (str, list of dict)
        What `gradlite.cli.learned.learned` returned for them.
    doc : str
        What the file is.
    """
    chosen = {
        kind: {name: form for name, (found, form) in kinds.items() if found == kind}
        for kind in learned
    }
    imports = ["import csv", "import sys"]
    parts = [f"GAPS = {wrapped(MISSING)}  # in upper case or lower\n{READ}"]
    if chosen.keys() & {NUMBER, DATE}:
        parts.append(STANDARDIZED)
    if NUMBER in chosen:
        imports.append("import re")
        parts.append(constants("NUMBER", chosen[NUMBER], learned[NUMBER]) + NUMBERS)
    if CATEGORY in chosen:
        parts += [categories(chosen[CATEGORY], learned[CATEGORY][0]), ONE_HOT]
    if DATE in chosen:
        imports.append("from datetime import date, datetime, timezone")
        _, *steps = learned[DATE]
        parts.append(constants("DATE", chosen[DATE], steps))
        forms = set(chosen[DATE].values())
        if ISO in forms:
            imports.append("import re")
            parts.append(ISO_TIME)
        parts.append(DATES.replace("PARSED", parsing(forms)))
    calls = {NUMBER: "numbers(table)", CATEGORY: "one_hot(table)", DATE: "dates(table)"}
    parts.append(INPUTS.format(", ".join(calls[kind] for kind in chosen)))
    functions = "\n\n\n".join(part.strip("\n") for part in parts)
    return Inputs(doc, "table", "inputs(table)", functions, tuple(imports))


def parsing(forms: set[str]) -> str:
    """Return the expression for a date that is written in one of these formats."""
    strptime = "datetime.strptime(written, form)"
    if ISO not in forms:
        return strptime
    return "iso_time(written)" + (f' if form == "{ISO}" else {strptime}' if len(forms) > 1 else "")


def main_of(proba: bool) -> str:
    """Return the part of a file that predicts a CSV file, with probabilities if there are some."""
    main = MAIN.replace("PROBABILITIES\n", PROBABILITIES if proba else "")
    return f"\n\nSEPARATORS = {SEPARATORS!r}  # of columns\n\n{main}"


def wrapped(values: Any) -> str:
    """Return a list or tuple as a literal, on lines that are not too long."""
    text = repr(values)
    if len(text) < 70:
        return text
    inner = textwrap.indent(filled([f"{value!r}," for value in values]), "    ")
    return f"{text[0]}\n{inner}\n{text[-1]}"


def filled(parts: Iterable[str]) -> str:
    """Return text on lines of 95 characters, broken between its parts alone."""
    text = " ".join(part.replace(" ", "\0") for part in parts)
    lines = textwrap.fill(text, 95, break_long_words=False, break_on_hyphens=False)
    return lines.replace("\0", " ")


def constants(name: str, forms: dict[str, str], steps: list[dict[str, Any]]) -> str:
    """Return what was learned from columns of numbers or dates, as assignments."""
    imputer, scaler = steps
    arrays = {
        "MEDIANS": imputer["statistics"],
        "WITH_GAPS": imputer["gaps"],
        "MEANS": scaler["mean"],
        "SCALES": scaler["scale"],
    }
    values = {f"{name}_{what}": wrapped(array.tolist()) for what, array in arrays.items()}
    written = {column: repr(form) for column, form in forms.items()}
    lines = [COMMENTS[name], f"{name}S = {dictionary(written)}"]
    return "\n".join([*lines, *(f"{name} = {text}" for name, text in values.items())])


def dictionary(entries: dict[str, str]) -> str:
    """Return a dict, from the texts of its values, an entry a line."""
    return "".join(["{\n", *(f"    {name!r}: {text},\n" for name, text in entries.items()), "}"])


def categories(names: dict[str, str], state: dict[str, Any]) -> str:
    """Return the categories of each column, as an assignment."""
    found = {}
    for name, known, rare in zip(names, state["categories"], state["rare"], strict=True):
        kept = np.delete(known, [] if rare is None else rare)
        cells = ["" if cell != cell else cell for cell in kept.tolist()]
        found[name] = wrapped(cells if rare is None else [*cells, None])
    comment = "# The categories of each column: '' is a gap, and None all that are not listed.\n"
    return f"{comment}CATEGORIES = {dictionary(found)}"


COMMENTS = {
    "NUMBER": """\
# The decimal mark of each column of numbers. Gaps become the median; a column that had gaps in the
# training gets an input that says where they are. Each input is then standardized.""",
    "DATE": """\
# The format of each column of dates, and, as for numbers, what was learned of its seven inputs.""",
}
READ = '''

def text(cell):
    """Return a cell as text; a gap is ''."""
    written = (cell.decode() if isinstance(cell, bytes) else str(cell)).strip()
    return "" if written.lower() in GAPS else written


def read(table, name, meaning):
    """Return what each cell of a column means."""
    try:
        cells = table[name]
    except (LookupError, ValueError):
        raise KeyError(f"the table has no column {name!r}") from None
    if isinstance(cells, (str, bytes)) or not hasattr(cells, "__iter__"):
        raise TypeError(f"column {name!r} must be a sequence of cells, one for each row")
    values = []
    for row, cell in enumerate(cells, 1):
        try:
            values.append(meaning(cell))
        except (TypeError, ValueError, ArithmeticError):
            raise ValueError(f"cannot read {cell!r} in column {name!r}, row {row}") from None
    return values
'''
STANDARDIZED = '''
def standardized(x, medians, with_gaps, means, scales):
    """Return x with its gaps filled, and where they were, as numbers around 0."""
    gaps = np.isnan(x)
    x = np.hstack([np.where(gaps, medians, x), gaps[:, with_gaps]])
    return (x - means) / scales
'''
NUMBERS = rf'''

UNITS = re.compile(r"{UNITS}")
GROUPED = r"{GROUPED}"
WRITTEN = re.compile(GROUPED + r"|[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)


def number(cell, decimal):
    """Return a cell as a number; a gap is NaN."""
    written = text(cell)
    if not written:
        return np.nan
    if isinstance(cell, (str, bytes)):
        if decimal == ",":
            written = written.translate(str.maketrans(",.", ".,"))
        written = UNITS.sub("", written)
        if not WRITTEN.fullmatch(written):
            raise ValueError
        cell = written.replace(",", "")
    value = float(cell)
    if not abs(value) < {LARGEST:g}:
        raise ValueError
    return value


def numbers(table):
    """Return the columns of numbers."""
    columns = [
        read(table, name, lambda cell, decimal=decimal: number(cell, decimal))
        for name, decimal in NUMBERS.items()
    ]
    x = np.array(columns, float).T
    return standardized(x, NUMBER_MEDIANS, NUMBER_WITH_GAPS, NUMBER_MEANS, NUMBER_SCALES)
'''
ONE_HOT = '''
def one_hot(table):
    """Return a column for each category: 1 where it is in the table, else 0."""
    columns = []
    for name, categories in CATEGORIES.items():
        cells = read(table, name, text)
        cells = [cell if cell in categories else None for cell in cells]
        columns += [[cell == category for cell in cells] for category in categories]
    return np.array(columns, float).T
'''
ISO_TIME = r'''
ISO8601 = re.compile(
    r"(?P<year>\d{4})(?:([-/. ])(?P<month>\d\d?)(?:\2(?P<day>\d\d?)(?:[T ]"
    r"(?P<hour>[01]\d|2[0-3]|\d(?=:))(?::?(?P<minute>\d\d|(?<=:)\d)"
    r"(?::?(?P<second>\d\d|(?<=:)\d)(?P<fraction>\.\d+)?)?)?"
    r" *(?P<zone>Z|[+-]\d\d(?::?\d\d)?)?)?)?)?",
    re.ASCII,
)


def iso_time(written):
    """Return the time of 2026-12-31, 2026-12-31T23:59:59.5+01:00, 20261231, 2026/12 or the like."""
    parts = ISO8601.fullmatch(re.sub(r"^(\d{4})(\d\d)(\d\d)(?!\d)", r"\1-\2-\3", written))
    if not parts:
        raise ValueError
    given = {name: part or "" for name, part in parts.groupdict().items()}
    given["month"], given["day"] = given["month"] or "1", given["day"] or "1"
    form = "{year}-{month:0>2}-{day:0>2}T{hour:0>2}:{minute:0>2}:{second:0>2}{fraction}{zone}"
    return datetime.fromisoformat(form.format(**given))
'''
DATES = '''
def time(cell, form):
    """Return a cell as a time, in UTC if it names a time zone; a gap is NaT."""
    written = text(cell)
    if not written:
        return np.datetime64("NaT", "us")
    if not isinstance(cell, (date, np.datetime64)):  # a datetime is a date
        cell = PARSED
    if getattr(cell, "tzinfo", None):
        cell = cell.astimezone(timezone.utc).replace(tzinfo=None)
    return np.datetime64(cell, "us")


def dates(table):
    """Return the days since 1970 of dates, and points on the circles of year, week and day."""
    columns = []
    for name, form in DATES.items():
        times = read(table, name, lambda cell, form=form: time(cell, form))
        times = np.array(times, "datetime64[us]")
        new_year = times.astype("datetime64[Y]")
        day = np.timedelta64(1, "D")
        days = (times - np.datetime64(0, "D")) / day
        of_year = (times.astype("datetime64[D]") - new_year) / day + 1
        of_week = (np.floor(days) + 3) % 7  # 0 on Mondays
        columns.append(days)
        for turn in (of_year / 365.25, of_week / 7, days % 1):
            columns += [np.sin(2 * np.pi * turn), np.cos(2 * np.pi * turn)]
    x = np.stack(columns, axis=1)
    return standardized(x, DATE_MEDIANS, DATE_WITH_GAPS, DATE_MEANS, DATE_SCALES)
'''
INPUTS = '''
def inputs(table):
    """Return the rows of a table as the numbers that the network takes."""
    return np.hstack([{}])
'''
MAIN = '''
def read_csv(path):
    """Return the columns of a CSV file, as lists of text."""
    with open(path, encoding="utf-8-sig", newline="") as file:
        first = next(filter(str.strip, file), "")
        width = {mark: len(next(csv.reader([first], delimiter=mark), ())) for mark in SEPARATORS}
        file.seek(0)
        reader = csv.reader(file, delimiter=max(SEPARATORS, key=width.get), strict=True)
        rows = [row for row in reader if row]
    if not rows:
        raise ValueError("the file is empty")
    header, *rows = rows
    names = [name.strip() or f"column {i}" for i, name in enumerate(header, 1)]
    if len(set(names)) < len(names):
        raise ValueError("the first line names a column twice")
    for i, row in enumerate(rows, 1):
        if len(row) != len(names):
            raise ValueError(f"row {i} has {len(row)} fields, and the first line {len(names)}")
    return {name: [row[i] for row in rows] for i, name in enumerate(names)}


def main(path):
    """Print the predictions for a CSV file, as CSV."""
    table = read_csv(path)
    columns = {"prediction": predict(table)}
PROBABILITIES
    writer = csv.writer(sys.stdout, lineterminator="\\n")
    writer.writerow(columns)
    writer.writerows(zip(*(column.tolist() for column in columns.values())))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"usage: python {sys.argv[0]} TABLE.csv")
    try:
        main(sys.argv[1])
    except (OSError, ValueError, KeyError, csv.Error) as error:
        sys.exit(f"error: {error}")
'''
PROBABILITIES = """\
    for name, column in zip(CLASSES, predict_proba(table).T):
        columns[f"probability {name}"] = column
"""

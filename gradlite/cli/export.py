"""``gradlite export``: a model as one Python file that needs NumPy alone."""

from __future__ import annotations

from os.path import exists, samefile
from typing import Any

import click
import numpy as np

from gradlite.cli.cells import CATEGORY, LARGEST, NUMBER, Kinds
from gradlite.cli.columns import DATE_FEATURES, describe
from gradlite.cli.files import OutputError, check_output, write_text
from gradlite.cli.learned import learned
from gradlite.cli.model import ModelCard, model_path, read_model
from gradlite.cli.program import ISO, filled, inputs_of, main_of
from gradlite.cli.terminal import say
from gradlite.errors import CompileError
from gradlite.export.numpy_alone import agree, text_of

ROWS = 200  # of the table that a file is tried on before it is written
GAPS = np.array(["", "nan", "N/A", "None"], object)
DAYS = (-354_285, 2_932_896)  # since 1970, of the years 1000 to 9999


def program_of(pipeline: Any, card: ModelCard) -> str:
    """Return the text of a file that predicts what a pipeline does."""
    *others, last = card.kinds
    names = [f"{name!r}," for name in others] + [repr(last)]
    doc = filled(["Predict", repr(card.target), "from the columns", *names, "of a table."]) + ABOUT
    found = learned(pipeline["columns"])
    text = text_of(pipeline["network"], inputs_of(card.kinds, found, doc))
    text += main_of(hasattr(pipeline, "predict_proba"))
    check(text, pipeline, made_up(card.kinds, found))
    return text


def check(text: str, pipeline: Any, table: dict[str, list[str]]) -> None:
    """Raise CompileError unless the text predicts as the pipeline does."""
    import pandas as pd

    names: dict[str, Any] = {"__name__": "program"}
    exec(text, names)
    frame = pd.DataFrame(table)
    for name in ("predict", "predict_proba"):
        if not hasattr(pipeline, name):
            continue
        with np.errstate(all="ignore"):
            ours = names[name](table)
        if not agree(ours, getattr(pipeline, name)(frame)):
            raise CompileError(f"{name} of the file would not be that of the model.")


def made_up(kinds: Kinds, found: dict[str, Any]) -> dict[str, list[str]]:
    """Return a table of cells as in a file: like those of the training, unknown ones, and gaps."""
    import pandas as pd

    rng = np.random.default_rng(0)
    table: dict[str, list[str]] = {}
    places = dict.fromkeys(found, 0)
    for name, (kind, form) in kinds.items():
        i = places[kind]
        places[kind] += 1
        if kind == CATEGORY:
            known = [cell for cell in found[kind][0]["categories"][i] if cell == cell]
            known.append("?" * (1 + max(map(len, known), default=0)))
            cells = rng.choice(np.array(known, object), ROWS).tolist()
        else:
            *_, imputer, scaler = found[kind]
            i *= 1 if kind == NUMBER else len(DATE_FEATURES)
            numbers = imputer["statistics"][i] + scaler["scale"][i] * rng.normal(size=ROWS)
            if kind == NUMBER:
                numbers = np.clip(numbers, -LARGEST / 2, LARGEST / 2)
                cells = [repr(number).replace(".", form) for number in numbers.tolist()]
            else:
                days = np.clip(numbers, *DAYS).astype("timedelta64[D]").astype("timedelta64[s]")
                times = pd.Series(np.datetime64(0, "s") + days)
                cells = [time.isoformat() if form == ISO else time.strftime(form) for time in times]
        gaps = rng.choice(GAPS, ROWS)
        table[name] = np.where(rng.random(ROWS) < 0.2, gaps, np.array(cells, object)).tolist()
    return table


ABOUT = """

Written by gradlite; it needs NumPy alone, and Python 3.11 or newer. predict(table) takes a mapping
from names of columns to sequences of cells, such as a dict of lists or a DataFrame. Cells are
numbers, dates, or text as in the file that the network was trained on; None, NaN, "" and "n/a" are
gaps. From a shell, with the name of a CSV file, this program prints the predictions as CSV.
"""


def check_program(out: str, force: bool, model: str) -> None:
    """Raise OutputError if a program cannot be written to `out`, or would replace the model."""
    if not out.endswith(".py"):
        raise OutputError(f"the model is written as a Python file: call it {out}.py.")
    check_output(out, force)
    if exists(out) and samefile(out, model_path(model)):
        raise OutputError(f"{out!r} is the model: give another name for the program.")


def run(model: str, out: str, force: bool) -> None:
    """Write a model as a program."""
    pipeline, card = read_model(model)
    check_program(out, force, model)
    try:
        text = program_of(pipeline, card)
    except CompileError as error:
        why, _, _ = str(error).partition("\n")  # the next line is a line of code
        raise CompileError(f"{model} cannot be exported: {why}") from error
    write_text(out, text)
    say(f"{out} predicts {card.target!r} from {describe(card.kinds)}, with NumPy alone")


@click.command(epilog="Example: gradlite export model predict.py")
@click.argument("model")
@click.argument("out", metavar="PREDICT.py")
@click.option("--force", is_flag=True, help="Replace PREDICT.py if it exists.")
def export(model: str, out: str, force: bool) -> None:
    """Write a model as one Python file that needs NumPy alone.

    MODEL is a file that `gradlite train` has written, with or without its suffix .gl. The file has
    the functions predict(table) and, for a classification, predict_proba(table); a table is a
    mapping from names of columns to cells, such as a dict of lists or a DataFrame. It is also a
    program: `python PREDICT.py new.csv` prints predictions as `gradlite predict` does.
    """
    run(model, out, force)

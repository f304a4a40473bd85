"""``gradlite train``: on real tables, interrupted, and with the mistakes that people make."""

import os
import re
import shlex
import signal
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn import datasets
from sklearn.compose import ColumnTransformer

from gradlite.cli import train as training
from gradlite.cli.columns import preparation
from gradlite.cli.model import load_model, read_model, save_model
from gradlite.cli.scoring import importances, sources

SEED = ("--seed", "1")


def scores(output):
    """The table: name -> the two figures of each model."""
    rows = re.findall(r"^  (\S.*?)  +(-?[\d.e-]+)  +(-?[\d.e-]+) *$", output, re.MULTILINE)
    return {name: (float(a), float(b)) for name, a, b in rows}


@pytest.mark.parametrize(
    ("name", "load", "task", "least"),
    [
        ("cancer", datasets.load_breast_cancer, "classification", 0.92),
        ("wine", datasets.load_wine, "classification", 0.9),
        ("diabetes", datasets.load_diabetes, "regression", 0.25),
    ],
)
def test_real_tables_are_learned(command, folder, name, load, task, least):
    data = load(as_frame=True)
    if task == "classification":
        data.frame["target"] = data.target_names[data.target]
    data.frame.to_csv(folder / f"{name}.csv", index=False)
    args = ["train", f"{name}.csv", "--target", "target", "--out", name, "--set", "max_iter=50"]
    code, output, errors = command(*args)
    assert code == 0, errors
    found = scores(output)
    plain = "majority class" if task == "classification" else "mean"
    assert len(found) == 3
    assert found["network"][0] > least > found[plain][0]
    assert f"Wrote {name}.gl, the model, and {name}.html, the report." in output
    other = " (or --task classification)" if task == "regression" else ""
    assert f"gradlite: {task} of 'target'{other}, " in errors
    assert re.search(r"epoch 1/50, training loss \d", errors)


def test_fractions_are_not_offered_as_classes(command, write):
    write("a.csv", "x,y\n" + "1,0.5\n2,1.25\n" * 30)
    _, _, errors = command("train", "a.csv", "--target", "y", "--set", "max_iter=1")
    assert errors.startswith("gradlite: regression of 'y', from 1 number\n")


def test_a_table_of_strings_dates_and_gaps(command, folder, flats):
    flats.to_csv(folder / "flats.csv", index=False)
    code, output, errors = command("train", "flats.csv", "--target", "price", *SEED)
    assert code == 0
    assert scores(output)["network"][0] > 0.8
    for words in [
        "regression of 'price' (or --task classification), from 1 category, 1 number, 1 date",
        f"{int((flats['price'] == '').sum())} rows without a value of 'price': left out.",
        "Column 'id' is left out: it numbers the rows.",
        "Column 'country' is left out: every row has the same value, 'CH'.",
        "Column 'comment' is left out: it is free text",
        "Column 'area': 'large' (line 9) cannot be read, taken as missing.",
    ]:
        assert words in errors
    page = (folder / "model.html").read_text()
    for words in ["price", "flats.csv", "linear regression", "it numbers the rows", "area"]:
        assert words in page


def test_the_command_in_the_report_trains_the_same_again(command, folder, flats, trained):
    _, card = read_model(str(trained / "flats"))
    words = shlex.split(card.command)
    words[-1] = "again"
    assert command(*words[1:], "--quiet")[0] == 0
    pipeline, other = read_model("again")
    assert other.scores == card.scores
    rows = flats.drop(index=7)
    expected = load_model(str(trained / "flats")).predict(rows)
    np.testing.assert_array_equal(pipeline.predict(rows), expected)


def test_the_scores_are_those_of_the_saved_model_on_rows_it_has_not_seen(trained):
    data, out = str(trained / "flats.csv"), str(trained / "flats")
    dataset = training.read_dataset(training.Options(data=data, target="price", out=out))
    assert not set(dataset.rows.index) & set(dataset.rows_test.index)
    pipeline, card = read_model(out)
    assert card.scores[0][1]["R2"] == pytest.approx(
        pipeline.score(dataset.rows_test, dataset.y_test)
    )


def test_a_network_without_probabilities_is_scored_by_accuracy(command, write, folder):
    write("a.csv", "x,y\n" + "-1,no\n1,yes\n" * 30)
    args = ("a.csv", "--target", "y", "--set", "loss=hinge", "--quiet")
    code, output, errors = command("train", *args)
    assert (code, errors) == (0, "")
    assert re.search(r"^  network +1 *$", output, re.MULTILINE)
    assert "log loss" not in output
    assert "log loss" not in (folder / "model.html").read_text()
    code, output, _ = command("predict", "model", "a.csv")
    assert (code, output.splitlines()[:3]) == (0, ["prediction", "no", "yes"])


def test_importances_tell_what_the_price_depends_on(trained):
    data = str(trained / "flats.csv")
    dataset = training.read_dataset(training.Options(data=data, target="price"))
    found = importances(
        load_model(str(trained / "flats")), dataset.rows_test, dataset.y_test, seed=0
    )
    means = {name: mean for name, mean, _ in found}
    assert list(means) == ["city", "area", "built"]
    assert means["area"] > means["city"] > abs(means["built"])


def test_importances_prepare_a_table_once(trained, monkeypatch):
    model = load_model(str(trained / "flats"))
    data = str(trained / "flats.csv")
    dataset = training.read_dataset(training.Options(data=data, target="price"))
    transform, calls = ColumnTransformer.transform, []
    monkeypatch.setattr(
        ColumnTransformer, "transform", lambda *args: calls.append(1) or transform(*args)
    )
    importances(model, dataset.rows_test, dataset.y_test, seed=0)
    assert len(calls) == 1  # a wide table takes minutes otherwise


def test_each_column_of_the_matrix_has_its_source():
    table = pd.DataFrame(
        {
            "a_b": ["1", "", "3"] * 3,
            "a": ["b", "b", "b", "c", "c", "c", "d", "e", ""],
            "b": ["2026-01-01", "", "2026-03-01"] * 3,
            "c": ["1", "2", "3"] * 3,
        }
    )
    kinds = {
        "a_b": ("number", "."),
        "a": ("category", ""),
        "b": ("date", "ISO8601"),
        "c": ("number", "."),
    }
    pipeline = preparation(kinds)
    matrix = pipeline.fit_transform(table)
    names = ["a_b", "c", "a_b"]  # the last says where there are gaps
    names += ["a"] * 3  # b, c and the rare ones
    names += ["b"] * 14
    assert sources(pipeline[-1]).tolist() == names
    assert matrix.shape[1] == len(names)


def test_classes_are_held_out_in_proportion():
    y = np.array(["a"] * 90 + ["b"] * 10)
    options = training.Options(data="", target="", test=0.2)
    learn, test = training.split_rows(y, "classification", options)
    assert sorted([*learn, *test]) == list(range(100))
    assert (y[test] == "b").sum() == 2


class Interrupt:
    """A callback that is Ctrl-C at the end of an epoch."""

    def __init__(self, epoch):
        self.epoch = epoch

    def setup(self, estimator, context):
        """Do nothing."""

    on_fit_task_begin = teardown = setup

    def on_fit_task_end(self, estimator, context):
        """Interrupt."""
        if context.parent is not None and estimator.n_iter_ == self.epoch:
            raise KeyboardInterrupt


def test_ctrl_c_keeps_the_best_model_so_far(command, folder, flats, monkeypatch):
    flats.to_csv(folder / "flats.csv", index=False)
    monkeypatch.setattr(training, "display", lambda quiet: {"callbacks": [Interrupt(12)]})
    code, output, errors = command("train", "flats.csv", "--target", "price", "--quiet")
    assert code == 0
    note = "interrupted after 12 epochs; the best model so far is kept"
    assert note in errors
    assert note in (folder / "model.html").read_text()
    network = load_model("model")["network"]
    losses = network.validation_loss_curve_[:11]
    expected = scores(output)["network"][0]
    assert -network.best_validation_score_ == min(losses)
    assert read_model("model")[1].scores[0][1]["R2"] == pytest.approx(expected, abs=1e-3)


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is sent in another way there")
def test_ctrl_c_from_outside(folder, flats):
    flats.to_csv(folder / "flats.csv", index=False)
    more = [x for text in ("max_iter=100000", "early_stopping=false") for x in ("--set", text)]
    heed = (  # a test run in the background ignores SIGINT, and its children would inherit that
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from gradlite.__main__ import main; sys.exit(main(sys.argv[1:]))"
    )
    args = [sys.executable, "-W", "error", "-c", heed, "train", "flats.csv", "--target", "price"]
    pipe = subprocess.PIPE
    with subprocess.Popen([*args, *more], stdout=pipe, stderr=pipe, text=True) as process:
        while "epoch 1/" not in process.stderr.readline():
            pass
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert "the best model so far is kept" in errors
    assert "Traceback" not in errors
    assert "Wrote model.gl" in output
    assert {"model.gl", "model.html"} <= set(os.listdir(folder))


def interrupt(*args):
    raise KeyboardInterrupt


def test_ctrl_c_while_scoring_keeps_the_model(command, folder, flats, monkeypatch):
    flats.to_csv(folder / "flats.csv", index=False)
    monkeypatch.setattr("sklearn.linear_model.Ridge.fit", interrupt)
    code, output, errors = command("train", "flats.csv", "--target", "price", "--quiet")
    assert code == 0
    assert "interrupted: the network is not compared with linear regression" in errors
    assert list(scores(output)) == ["network", "mean"]
    assert read_model("model")[1].scores[0][0] == "network"


def test_ctrl_c_while_the_model_is_written_waits(command, folder, flats, monkeypatch):
    def slow(*args):
        signal.raise_signal(signal.SIGINT)
        save_model(*args)

    flats.to_csv(folder / "flats.csv", index=False)
    monkeypatch.setattr(training, "save_model", slow)
    code, _, errors = command("train", "flats.csv", "--target", "price", "--quiet")
    assert code == 130
    assert "model.gl, the model, is written; its report is not" in errors
    assert read_model("model")[1].target == "price"
    assert "model.html" not in os.listdir(folder)


def test_ctrl_c_while_the_report_is_made_keeps_the_model(command, folder, flats, monkeypatch):
    flats.to_csv(folder / "flats.csv", index=False)
    monkeypatch.setattr(training, "importances", interrupt)
    code, output, errors = command("train", "flats.csv", "--target", "price", "--quiet")
    assert code == 130
    assert "model.gl, the model, is written; its report is not" in errors
    assert "Wrote" not in output
    assert read_model("model")[1].target == "price"


def test_ctrl_c_before_there_is_a_model_ends_it(command, folder, flats, monkeypatch):
    flats.to_csv(folder / "flats.csv", index=False)
    monkeypatch.setattr("gradlite.estimators._fitting.train", interrupt)
    code, _, errors = command("train", "flats.csv", "--target", "price", "--quiet")
    assert (code, errors) == (130, "gradlite: interrupted\n")
    assert os.listdir(folder) == ["flats.csv"]


def test_nothing_is_replaced_without_force_and_nothing_trained(command, write, folder, monkeypatch):
    write("a.csv", "x,y\n" + "1,2\n" * 30)
    monkeypatch.setattr(training, "read_dataset", lambda options: pytest.fail("too late"))
    for taken in ("m.gl", "m.html"):
        write(taken, "mine")
        code, _, errors = command("train", "a.csv", "--target", "y", "--out", "m")
        assert code == 1
        assert f"'{taken}' exists already: --force replaces it" in errors
        assert (folder / taken).read_text() == "mine"
        (folder / taken).unlink()


ROWS = "".join(f"{i % 11 / 2},{'ab'[i % 2]},{i % 30}\n" for i in range(60))
GOOD = f"x,kind,n\n{ROWS}"


@pytest.mark.parametrize(
    ("data", "args", "code", "words"),
    [
        (GOOD, "--target knd", 2, "a.csv has no column 'knd'. Did you mean 'kind'?"),
        (GOOD, "--target zzz", 2, "It has 'x', 'kind', 'n'."),
        (ROWS, "--target kind", 2, "(The first line of a table must name its columns.)"),
        (GOOD, "--target kind --ignore nn", 2, "--ignore: a.csv has no column 'nn'"),
        (GOOD, "--target kind --ignore kind", 2, "'kind' is the target, which is needed"),
        (
            GOOD,
            "--target kind --test 1.5",
            2,
            "1.5 is not a fraction of the rows: choose one between 0 and",
        ),
        (GOOD, "--target kind --test nan", 2, "nan is not a fraction of the rows"),
        (GOOD, "--target kind --task guess", 2, "'guess' is not one of 'auto', 'classification'"),
        (GOOD, "--target kind --seed -1", 2, "Invalid value for '--seed'"),
        (GOOD, "--target kind --set alhpa=1", 2, "no such parameter. Did you mean 'alpha'?"),
        (GOOD, "--target kind --out ./", 2, "the name is missing after the folder"),
        (GOOD, "--target kind --out no/m", 1, "there is no folder 'no' to write 'm.gl' to"),
        (GOOD, "--target kind --test 0.01", 1, "leaves 59 rows to learn from and 1 to test on"),
        (GOOD, "--target kind --task regression", 1, "which is not a finite number"),
        (GOOD, "--target kind --ignore x --ignore n", 1, "has no column to learn from"),
        (GOOD, "--target kind --set activation=['relu']", 1, "1 entries for 2 hidden layers"),
        (GOOD + "inf,a,3\n", "--target kind", 1, "column 'x' has an infinite value in line 62"),
        (GOOD + "3,c,3\n", "--target kind", 1, "1 class of a single row, 'c' (line 62)"),
        (
            "x,y\n" + "1,2\n" * 5,
            "--target y",
            1,
            "a value in only 5 rows: at least 20 are needed",
        ),
        ("x,y\n" + "1,2\n3,2\n" * 20, "--target y", 1, "is '2' in every row"),
        ("x,y\n", "--target y", 1, "has a header and no rows"),
    ],
)
def test_mistakes_are_one_line(command, write, folder, data, args, code, words):
    write("a.csv", data)
    found, output, errors = command("train", "a.csv", "--quiet", *args.split())
    assert (found, output) == (code, "")
    assert re.fullmatch(r"gradlite: error: [^\n]+\n", errors)
    assert words in errors
    assert os.listdir(folder) == ["a.csv"]


def test_words_that_look_like_infinity_are_words():
    problems = [training.Problem(3, "x", "infant")]
    assert training.unreadable_cells(problems, "line") == [
        "Column 'x': 'infant' (line 3) cannot be read, taken as missing."
    ]

"""``gradlite predict``: the rows in order, in any chunks, and what is odd about them is said."""

import csv
import io
import re

import numpy as np
import pandas as pd
import pytest

from gradlite.cli import predict as predicting
from gradlite.cli import tables
from gradlite.cli.model import load_model


@pytest.fixture
def model(trained):
    return str(trained / "flats")


def table(text):
    return pd.read_csv(io.StringIO(text))


def test_it_is_what_the_model_says(command, trained, model):
    code, output, errors = command("predict", model, trained / "flats.csv")
    assert code == 0
    assert errors.splitlines() == [
        "gradlite: 1 cell cannot be read, taken as missing: 'large' in column 'area', line 9",
        "gradlite: 300 rows predicted",
    ]
    raw = pd.read_csv(trained / "flats.csv").replace({"area": {"large": None}})
    expected = load_model(model).predict(raw)
    np.testing.assert_allclose(table(output)["prediction"], expected, rtol=1e-14)


def test_any_chunks_give_the_same(command, trained, model, folder, monkeypatch):
    command("predict", model, trained / "flats.csv", "--out", "whole.csv")
    sizes = []

    class Watched(predicting.Predictor):
        def predict(self, raw):
            sizes.append(len(raw))
            return super().predict(raw)

    monkeypatch.setattr(predicting, "Predictor", Watched)
    monkeypatch.setattr(tables, "CHUNK", 7)
    code, _, errors = command("predict", model, trained / "flats.csv", "--out", "parts.csv")
    assert code == 0
    assert sizes == [7] * 42 + [6]
    assert "line 9" in errors
    whole, parts = pd.read_csv(folder / "whole.csv"), pd.read_csv(folder / "parts.csv")
    pd.testing.assert_frame_equal(whole, parts, rtol=1e-12)


def test_memory_does_not_grow_with_the_table(trained, model, monkeypatch):
    """No more than one chunk is alive, and what is kept of the odd ones is bounded."""
    import weakref

    predictor = predicting.Predictor(load_model(model), predicting.read_model(model)[1].kinds)
    alive = []
    for i in range(5):
        raw = pd.DataFrame(
            {"city": [f"new {i} {j}" for j in range(50)], "area": "?", "built": "1.2.2020"}
        )
        alive.append(weakref.ref(raw))
        predictor.predict(raw)
        del raw
        assert [ref for ref in alive if ref() is not None] == []
    assert predictor.unseen["city"] == 250
    assert predictor.unreadable == 250
    assert len(predictor.examples["city"]) == len(predictor.problems) == predicting.NAMED


def test_classes_have_probabilities(command, write, folder):
    rows = "".join(f"{i % 13},{'no' if i % 13 < 6 else 'yes, sure'!r}\n" for i in range(60))
    write("a.csv", "x,y\n" + rows.replace("'", '"'))
    code, _, errors = command("train", "a.csv", "--target", "y", "--quiet")
    assert (code, errors) == (0, "")
    _, output, _ = command("predict", "model", "a.csv")
    predictions = table(output)
    assert list(predictions) == ["prediction", "probability no", "probability yes, sure"]
    likelier = np.where(predictions["probability no"] > 0.5, "no", "yes, sure")
    assert predictions["prediction"].tolist() == likelier.tolist()
    np.testing.assert_allclose(predictions.iloc[:, 1:].sum(axis=1), 1)
    assert len(list(csv.reader(io.StringIO(output)))) == 61


def test_what_is_odd_is_counted_and_said(command, write, model):
    write("new.csv", "built,city,area,price,colour\n,Chur,50,,red\n1.2.2020,Bern,wide,,red\n,,,,\n")
    code, output, errors = command("predict", model, "new.csv")
    assert code == 0
    assert table(output)["prediction"].notna().sum() == 3
    for words in [
        "1 column of new.csv not known to",
        "'colour'",
        "1 cell cannot be read, taken as missing: 'wide' in column 'area', line 3",
        "column 'city': 1 row with categories that were not in the training, such as 'Chur'",
    ]:
        assert words in errors


def test_the_order_and_type_of_columns_do_not_matter(command, trained, model, folder):
    raw = pd.read_csv(trained / "flats.csv")[["area", "built", "city"]].drop(index=7)
    raw.astype({"area": float}).iloc[:, ::-1].to_parquet(folder / "a.parquet")
    raw.to_csv(folder / "a.tsv", sep="\t", index=False)
    _, one, _ = command("predict", model, "a.parquet")
    _, two, _ = command("predict", model, "a.tsv")
    assert one == two


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("nothing", "a.csv"), "there is no model 'nothing'"),
        (("a.csv", "a.csv"), "a.csv is not a file that gradlite has saved"),
        (("MODEL", "b.csv"), "there is no file 'b.csv'. Did you mean 'a.csv'?"),
        (("MODEL", "a.csv"), "it lacks 2 columns, 'city' (is it 'City'?), 'area'."),
        (("MODEL", "rows.csv"), "has a header and no rows: there is nothing to predict"),
        (("MODEL", "fits.csv", "--out", "a.csv"), "'a.csv' exists already: --force"),
        (("MODEL", "fits.csv", "--out", "fits.csv", "--force"), "is an input: give another name"),
        (("MODEL", "fits.csv", "--out", "a.parquet"), "written as CSV: call it a.csv"),
        (("MODEL", "fits.csv", "--out", "no/a.csv"), "there is no folder 'no'"),
        (("MODEL", "ragged.csv", "--out", "new.csv"), "ragged.csv, line 3: 2 fields"),
    ],
)
def test_mistakes_are_one_line(command, write, model, folder, args, words):
    write("a.csv", "City,built\nBern,1.1.2020\n")
    write("rows.csv", "city,built,area\n")
    write("fits.csv", "city,built,area\nBern,1.1.2020,30\n")
    write("ragged.csv", "city,built,area\nBern,1.1.2020,30\nBern,3\n")
    args = [model if arg == "MODEL" else arg for arg in args]
    code, output, errors = command("predict", *args)
    assert (code, output) == (1, "")
    assert re.fullmatch(r"gradlite: error: [^\n]+\n", errors)
    assert words in errors
    assert not (folder / "new.csv").exists()


def test_another_scikit_learn_is_said(command, write, model, monkeypatch):
    write("fits.csv", "city,built,area\nBern,1.1.2020,30\n")
    monkeypatch.setattr(predicting, "version", lambda name: "99.0")
    code, _, errors = command("predict", model, "fits.csv")
    assert code == 0
    assert "this is 99.0: compare a few predictions" in errors

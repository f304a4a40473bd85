"""The model file: complete, the same after loading, and refused when it is anything else."""

import shutil

import numpy as np
import pandas as pd
import pytest
from sklearn.preprocessing import FunctionTransformer

from gradlite import persist
from gradlite.cli import model as files
from gradlite.cli.model import Card, assemble, load_model, read_model, save_model
from gradlite.errors import PersistError


def test_a_model_answers_from_python_as_it_did(trained, tmp_path):
    pipeline, card = read_model(str(trained / "flats"))
    assert list(pipeline.named_steps) == ["columns", "network"]
    assert (card.task, card.target) == ("regression", "price")
    assert card.kinds == {
        "city": ("category", ""),
        "area": ("number", "."),
        "built": ("date", "%d.%m.%Y"),
    }
    assert card.unused == ["id", "country", "comment"]
    assert [name for name, _ in card.scores] == ["network", "mean", "linear regression"]
    raw = pd.read_csv(trained / "flats.csv").drop(index=7)  # with a cell that cannot be read
    expected = pipeline.predict(raw)
    again = str(tmp_path / "again.gl")
    save_model(again, pipeline, card)
    np.testing.assert_array_equal(load_model(again).predict(raw.astype(str)), expected)
    assert read_model(again)[1] == card


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda data: data[:-200], "is truncated or altered"),
        (lambda data: data[:5000] + bytes([data[5000] ^ 1]) + data[5001:], "altered"),
        (lambda data: b"hello", "is not a file that gradlite has saved"),
        (lambda data: b"", "is not a file that gradlite has saved"),
    ],
)
def test_an_altered_or_foreign_file_is_refused(trained, tmp_path, change, words):
    path = tmp_path / "m.gl"
    path.write_bytes(change((trained / "flats.gl").read_bytes()))
    with pytest.raises(PersistError, match=words):
        load_model(str(path))


def test_another_file_of_gradlite_is_no_model(tmp_path):
    path = str(tmp_path / "m.gl")
    persist.save(path, {"w": np.zeros(2)}, kind="state")
    with pytest.raises(PersistError, match="holds a state, not a model of the command line"):
        load_model(path)


def test_code_that_no_model_needs_is_not_run(trained, tmp_path):
    pipeline, card = read_model(str(trained / "flats"))
    path = str(tmp_path / "m.gl")
    save_model(path, assemble(FunctionTransformer(shutil.rmtree), pipeline["network"]), card)
    with pytest.raises(PersistError, match=r"asks for code that no model needs, shutil\.rmtree"):
        load_model(path)


def test_a_model_of_other_versions_is_refused_in_words(trained, tmp_path, monkeypatch):
    path = str(trained / "flats.gl")

    def fail(data):
        raise AttributeError("no such attribute")

    monkeypatch.setattr(files, "_load_columns", fail)
    with pytest.raises(PersistError, match="train anew, or install the versions that made it"):
        load_model(path)


def test_a_name_without_a_file_is_looked_for_nearby(trained):
    with pytest.raises(PersistError, match=r"no model '.*flat'. Did you mean 'flats'\?"):
        load_model(str(trained / "flat"))
    with pytest.raises(PersistError, match="is a folder"):
        load_model(str(trained))


def test_the_card_knows_its_versions():
    import sklearn

    import gradlite

    card = Card("regression", "y", {}, [], [], "")
    assert (card.scikit_learn, card.gradlite) == (sklearn.__version__, gradlite.__version__)

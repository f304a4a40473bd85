"""The model file: complete, the same after loading, and refused when it is anything else."""

import numpy as np
import pandas as pd
import pytest

from gradlite import persist
from gradlite.cli import model as files
from gradlite.cli.columns import preparation
from gradlite.cli.learned import learned, restored
from gradlite.cli.model import ModelCard, load_model, read_model, save_model
from gradlite.errors import PersistError
from tests import hostile


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


@pytest.mark.parametrize("kind", ["number", "category", "date"])
def test_what_is_learned_comes_back_as_scikit_learn_has_it(kind):
    """All columns of one kind, some with gaps and some without; categories rare and frequent."""
    cells = {
        "number": [[1.5, 2.0, np.nan, 4.0] * 10, [1.0, 2.0] * 20, [np.nan] * 40],
        "category": [
            ["a", "b"] * 20,
            ["x", "y", np.nan, "y"] * 9 + ["p", "q", "q", np.nan],
            [f"v{i}" for i in range(40)],
            [f"v{i % 29}" for i in range(40)],
            ["é"] * 38 + ["", "b"],
        ],
        "date": [pd.date_range("2020-01-01", periods=40), [pd.NaT, pd.Timestamp(0)] * 20],
    }[kind]
    form = {"number": ",", "category": "", "date": "ISO8601"}[kind]
    table = pd.DataFrame({f"c{i}": column for i, column in enumerate(cells)})
    kinds = dict.fromkeys(table, (kind, form))
    columns = preparation(kinds).fit(table)
    again = restored(kinds, learned(columns))
    other = table.iloc[::-3].replace({"a": "new", "v3": "new"})
    for rows in (table, other):
        np.testing.assert_array_equal(again.transform(rows), columns.transform(rows))
    assert again.get_feature_names_out().tolist() == columns.get_feature_names_out().tolist()
    ours, theirs = again[-1], columns[-1]
    assert ours.output_indices_ == theirs.output_indices_
    assert [(kind, names) for kind, _, names in ours.transformers_] == [
        (kind, names) for kind, _, names in theirs.transformers_
    ]
    assert_alike(ours, theirs)


def assert_alike(ours, theirs):
    """Fitted steps have the same attributes, whatever they are called."""
    assert type(ours) is type(theirs)
    assert vars(ours).keys() == vars(theirs).keys()
    for name, value in vars(theirs).items():
        if name in ("transformers_", "steps"):
            for one, other in zip(getattr(ours, name), value, strict=True):
                if not isinstance(one[1], str):
                    assert_alike(one[1], other[1])
        elif hasattr(value, "get_params") and not isinstance(value, type):
            assert_alike(getattr(ours, name), value)
        elif name not in ("transformers", "_name_to_fitted_passthrough"):
            assert repr(getattr(ours, name)) == repr(value), name  # NaN in objects is not equal


def change(path, found, to):
    """Write the model again, with valid checksums and a state that was changed by `to`."""
    state = persist.load(found, files.KIND)
    to(state)
    persist.save(path, state, files.KIND)


def card(**changes):
    return lambda state: state["card"].update(changes)


def step(kind, number, **changes):
    return lambda state: state["columns"][kind][number].update(changes)


CHANGES = [
    card(task="clustering"),
    card(task=["regression"]),
    card(target=3),
    card(unused=[None]),
    card(scikit_learn=[]),
    card(surprise=1),
    card(kinds=[]),
    card(kinds={}),
    card(kinds={"city": ("category", "")}),
    card(kinds={"city": "category"}),
    card(kinds=dict.fromkeys(("city", "area", "built"), ("colour", ""))),
    card(kinds={"city": ("category", ""), "area": ("number", "."), "built": ("date", "%Q")}),
    card(kinds={f"c{i}": ("date", f"%d{i}") for i in range(10_000)}),
    card(kinds={f"c{i}": ("category", "") for i in range(40_000)}),
    lambda state: state["columns"].pop("number"),
    lambda state: state["columns"].update(number=[]),
    lambda state: state["columns"].update(number=[{}, {}]),
    lambda state: state["columns"].update(number=None),
    step("number", 0, statistics=np.zeros(10**5)),
    step("number", 0, statistics=np.zeros((1, 1))),
    step("number", 0, statistics=np.array([np.nan])),
    step("number", 0, statistics=np.array(["x"])),
    step("number", 0, statistics=10**9),
    step("number", 0, gaps=np.array([10**9])),
    step("number", 0, gaps=np.array([-1])),
    step("number", 0, gaps=np.array([0, 0])),
    step("number", 0, gaps=np.array([0.0])),
    step("number", 1, scale=np.zeros(2)),
    step("number", 1, mean=np.zeros((2, 1))),
    step("number", 1, rows="x"),
    step("category", 0, rare=[np.array([10**9])]),
    step("category", 0, rare=[np.array([-1])]),
    step("category", 0, rare=[10**9]),
    step("category", 0, rare=[]),
    step("category", 0, categories=[np.array([], dtype=object)]),
    step("category", 0, categories=[np.array([["a"]], dtype=object)]),
    step("category", 0, categories=[np.array([[1], None], dtype=object)]),
    step("category", 0, categories=[np.array(["more"] * 1000, dtype=object)]),
    step("category", 0, categories=10**9),
    lambda state: state["network"]["params"].update(hidden_layer_sizes=(20000, 20000)),
    lambda state: state["network"]["_training"]["rng"]["state"].update(pos=10**9),
]


def test_models_that_are_changed_are_refused_in_words(trained, tmp_path):
    paths = [str(tmp_path / f"{i}.gl") for i in range(len(CHANGES))]
    for path, to in zip(paths, CHANGES, strict=True):
        change(path, trained / "flats.gl", to)
    report = hostile.in_a_process([(path, "model") for path in paths])
    hostile.check(report)
    loaded = [i for i, (what, *_) in enumerate(report) if what != "PersistError"]
    assert loaded == []
    for path, (_, _, _, said) in zip(paths, report, strict=True):
        assert said.startswith(path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda data: data[:-200], "is damaged"),
        (lambda data: data[:5000] + bytes([data[5000] ^ 1]) + data[5001:], "Bad CRC-32"),
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


def test_a_model_of_other_versions_is_refused_in_words(trained, monkeypatch):
    def fail(*args):
        raise AttributeError("no such attribute")

    monkeypatch.setattr("sklearn.preprocessing.OneHotEncoder._compute_n_features_outs", fail)
    with pytest.raises(PersistError, match="train again, or install the versions that made it"):
        load_model(str(trained / "flats.gl"))


def test_a_name_without_a_file_is_looked_for_nearby(trained):
    with pytest.raises(PersistError, match=r"no model '.*flat'. Did you mean 'flats'\?"):
        load_model(str(trained / "flat"))
    with pytest.raises(PersistError, match="is a folder"):
        load_model(str(trained))


def test_the_card_knows_its_versions():
    import sklearn

    import gradlite

    card = ModelCard("regression", "y", {}, [], [], "")
    assert (card.scikit_learn, card.gradlite) == (sklearn.__version__, gradlite.__version__)

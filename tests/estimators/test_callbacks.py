"""Callbacks in scikit-learn's protocol, and what `verbose` shows."""

import io
import re
import sys
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from gradlite import MLPClassifier, MLPRegressor, NetClassifier

rng = np.random.default_rng(0)
X = rng.normal(size=(60, 3))
Y = (X[:, 0] > 0).astype(int)


@pytest.fixture(autouse=True)
def _short_runs_do_not_converge():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def make(cls=MLPClassifier, **params):
    return cls((4,), **{"max_iter": 3, "random_state": 0, **params})


class Record:
    """Writes down every call; stops after an epoch if told to."""

    def __init__(self, stop_after=None):
        self.calls = []
        self.scores = []
        self.stop_after = stop_after

    def setup(self, estimator, context):
        self.calls.append(("setup", context.task_name, context.max_subtasks))

    def on_fit_task_begin(self, estimator, context):
        self.calls.append(("begin", context.task_name, context.task_id))

    def on_fit_task_end(self, estimator, context, *, X=None, y=None, fitted_estimator=None):
        self.calls.append(("end", context.task_name, context.task_id))
        if context.task_name == "epoch":
            self.scores.append(fitted_estimator.score(X, y))
        return context.task_name == "epoch" and context.task_id == self.stop_after

    def teardown(self, estimator, context):
        self.calls.append(("teardown", context.task_name, context.max_subtasks))


def around(*tasks):
    return [("setup", "fit", 3), ("begin", "fit", 0), *tasks, ("end", "fit", 0),
            ("teardown", "fit", 3)]  # fmt: skip


def epochs(n):
    return [(what, "epoch", i) for i in range(n) for what in ("begin", "end")]


@pytest.mark.parametrize("params", [{}, {"solver": "lbfgs"}, {"early_stopping": True}], ids=str)
def test_the_hooks_are_called_in_order(params):
    given, added = Record(), Record()
    model = make(callbacks=[given], **params).set_callbacks(added)
    model.fit(X, Y)
    assert given.calls == added.calls == around(*epochs(3))
    model.fit(X, Y)
    assert given.calls == 2 * around(*epochs(3))


def test_the_estimator_of_an_epoch_predicts_as_of_then():
    record = Record()
    make(callbacks=[record], learning_rate_init=0.1).fit(X, Y)
    ends = [make(max_iter=n, learning_rate_init=0.1).fit(X, Y).score(X, Y) for n in (1, 2, 3)]
    assert record.scores == ends
    assert len(set(ends)) == 3


@pytest.mark.parametrize("params", [{}, {"solver": "lbfgs"}], ids=str)
def test_true_from_the_end_of_an_epoch_stops(params):
    record = Record(stop_after=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = make(callbacks=[record], max_iter=50, **params).fit(X, Y)
    assert model.n_iter_ == 2
    assert record.calls[-1] == ("teardown", "fit", 50)


def test_partial_fit_is_a_fit_of_one_epoch():
    record = Record()
    model = make(callbacks=[record])
    for _ in range(2):
        model.partial_fit(X, Y, classes=[0, 1])
    once = [("setup", "fit", 1), *around(*epochs(1))[1:-1], ("teardown", "fit", 1)]
    assert record.calls == 2 * once


def test_an_error_in_a_hook_comes_out_after_teardown():
    class Fails(Record):
        def on_fit_task_end(self, estimator, context):
            raise RuntimeError("no more paper")

    fails, beside = Fails(), Record()
    model = make(callbacks=[fails, beside])
    with pytest.raises(RuntimeError, match="no more paper"):
        model.fit(X, Y)
    assert fails.calls[-1][0] == beside.calls[-1][0] == "teardown"
    assert model.predict(X).shape == (60,)


@pytest.mark.parametrize(
    ("bad", "match"),
    [([3], "3 lacks setup, on_fit_task_begin"), ([Record], "a class, not an instance")],
)
def test_what_is_no_callback_is_refused(bad, match):
    with pytest.raises(TypeError, match=match):
        make(callbacks=bad).fit(X, Y)


def test_callbacks_see_every_fit_of_a_search():
    record = Record()
    model = make(callbacks=[record])
    assert clone(model).callbacks[0] is record
    cross_val_score(model, X, Y, cv=2)
    GridSearchCV(model, {"alpha": [0.1, 1.0]}, cv=2).fit(X, Y)
    assert len(record.scores) == 3 * (2 + 4 + 1)


# -- scikit-learn's own -------------------------------------------------------------------------

monitored = pytest.mark.parametrize("way", ["callbacks", "set_callbacks"])


def with_callback(callback, way, **params):
    if way == "callbacks":
        return make(callbacks=[callback], **params)
    return make(**params).set_callbacks(callback)


@pytest.fixture
def theirs():
    return pytest.importorskip("sklearn.callback", reason="needs scikit-learn 1.9")


def logged(monitor):
    return monitor.get_logs("all")[-1].data


@monitored
def test_scoring_monitor_scores_each_epoch(theirs, way):
    monitor = theirs.ScoringMonitor(scoring="accuracy")
    model = with_callback(monitor, way).fit(X, Y)
    scores = [row["accuracy"] for row in logged(monitor) if row["task_name"] == "epoch"]
    assert len(scores) == 3
    assert scores[-1] == model.score(X, Y)


@monitored
def test_scoring_monitor_in_a_pipeline_and_a_search(theirs, way):
    monitor = theirs.ScoringMonitor(scoring="accuracy")
    pipeline = make_pipeline(StandardScaler(), with_callback(monitor, way))
    pipeline.fit(X, Y)
    assert [row["task_name"] for row in logged(monitor)].count("epoch") == 3
    search = GridSearchCV(pipeline, {"mlpclassifier__alpha": [0.1, 1.0]}, cv=2).fit(X, Y)
    assert search.best_score_ > 0
    assert [row["task_name"] for row in logged(monitor)].count("epoch") == 3 * 5


@pytest.mark.parametrize("cls", [MLPRegressor, NetClassifier])
def test_scoring_monitor_on_the_other_estimators(theirs, cls):
    monitor = theirs.ScoringMonitor(scoring="r2")
    model = cls(max_iter=2, random_state=0, callbacks=[monitor])
    model.fit(X, Y, sample_weight=np.ones(60))
    assert len(logged(monitor)) == 3


@monitored
def test_progress_bar_alone(theirs, way, capsys):
    pytest.importorskip("rich", reason="the bar is drawn by rich: extra progress")
    with_callback(theirs.ProgressBar(), way).fit(X, Y)
    assert "MLPClassifier - fit" in capsys.readouterr().out


def test_progress_bar_around(theirs, capsys):
    pytest.importorskip("rich", reason="the bar is drawn by rich: extra progress")
    pipeline = make_pipeline(StandardScaler(), make()).set_callbacks(theirs.ProgressBar())
    pipeline.fit(X, Y)
    assert "MLPClassifier" in capsys.readouterr().out
    search = GridSearchCV(make(), {"alpha": [0.1, 1.0]}, cv=2, n_jobs=2)
    search.set_callbacks(theirs.ProgressBar(max_propagation_depth=None)).fit(X, Y)
    assert "MLPClassifier" in capsys.readouterr().out


def test_progress_bar_inside_names_the_remedy(theirs):
    pytest.importorskip("rich", reason="the bar is drawn by rich: extra progress")
    pipeline = make_pipeline(StandardScaler(), make(callbacks=[theirs.ProgressBar()]))
    with pytest.raises(TypeError, match="on the outermost estimator, with set_callbacks"):
        pipeline.fit(X, Y)


# -- verbose ------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self):
        return True


def shown(monkeypatch, stream, **params):
    monkeypatch.setattr(sys, "stdout", stream)
    make(verbose=True, **params).fit(X, Y, X_val=X, y_val=Y)
    monkeypatch.undo()
    return stream.getvalue()


def test_verbose_shows_a_bar_in_a_terminal(monkeypatch):
    pytest.importorskip("rich", reason="the bar is drawn by rich: extra progress")
    monkeypatch.setenv("TERM", "xterm")
    text = shown(monkeypatch, Terminal(), tol=10.0, n_iter_no_change=1)
    text = " ".join(re.sub(r"\x1b\[[?\d;]*\w", "", text).split())  # no colours, no line ends
    assert "epoch 3/3" in text
    assert "validation 0." in text
    assert "Iteration" not in text
    assert "did not improve more than tol=10.000000" in text


def test_verbose_without_rich_prints_lines(monkeypatch):
    monkeypatch.setitem(sys.modules, "rich", None)
    lines = shown(monkeypatch, Terminal()).splitlines()
    assert [line.split(",")[0] for line in lines[::2]] == [f"Iteration {n}" for n in (1, 2, 3)]
    assert all(line.startswith("Validation score: ") for line in lines[1::2])


def test_verbose_into_a_file_prints_lines(monkeypatch):
    assert shown(monkeypatch, io.StringIO()).startswith("Iteration 1, loss = ")


def test_the_bar_is_closed_after_an_error(monkeypatch):
    pytest.importorskip("rich", reason="the bar is drawn by rich: extra progress")

    class Fails(Record):
        def on_fit_task_end(self, estimator, context):
            raise RuntimeError

    for _ in range(2):  # rich allows one live display at a time
        with pytest.raises(RuntimeError):
            shown(monkeypatch, Terminal(), callbacks=[Fails()])
        monkeypatch.undo()

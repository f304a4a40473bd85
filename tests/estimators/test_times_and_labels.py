"""What is refused by name: columns of dates, times, durations; odd labels; masked entries."""

import builtins
import datetime
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier as Theirs

from gradlite import MLPClassifier, MLPRegressor, NetClassifier, NetRegressor
from gradlite.errors import DtypeError

N = 12
NUMBERS = np.linspace(-1, 1, N)
DAYS = np.datetime64("2024-02-27", "s") + np.arange(N) * np.timedelta64(86400, "s")
ALL = [
    MLPClassifier((4,), max_iter=2, random_state=0),
    MLPRegressor(hidden_layer_sizes=(4,), max_iter=2, random_state=0),
    NetClassifier(max_iter=2, random_state=0),
    NetRegressor(max_iter=2, random_state=0),
]
every = pytest.mark.parametrize("model", ALL, ids=lambda model: type(model).__name__)


@pytest.fixture(autouse=True)
def _short_runs_do_not_converge():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def frame(times, dtype=None):
    return pd.DataFrame({"size": NUMBERS, "when": pd.Series(times, dtype=dtype)})


def cells(times):
    made = np.empty((N, 2), object)
    made[:, 0] = NUMBERS
    made[:, 1] = times
    return made


class Frame:
    """What other libraries of frames have: polars, say."""

    def __init__(self, **columns):
        self.columns, self._arrays = list(columns), list(columns.values())
        self.dtypes = ["Float64", "Datetime(time_unit='us', time_zone=None)"]
        self.shape = (N, len(columns))

    def __len__(self):
        return N

    def __array__(self, dtype=None, copy=None):
        return np.column_stack([a.astype(float) for a in self._arrays]).astype(dtype or float)


def arrow(times):
    pa = pytest.importorskip("pyarrow", reason="pyarrow is part of the extra cli")
    return pa.table({"size": NUMBERS, "when": pa.array(times)})


FRAMES = {
    "dates": lambda: frame(DAYS),
    "dates alone": lambda: frame(DAYS)[["when"]],
    "with a time zone": lambda: frame(pd.Series(DAYS).dt.tz_localize("Europe/Berlin")),
    "durations": lambda: frame(DAYS - DAYS[0]),
    "durations alone": lambda: frame(DAYS - DAYS[0])[["when"]],
    "periods": lambda: frame(pd.period_range("2024", periods=N, freq="D")),
    "categories": lambda: frame(pd.Categorical(DAYS)),
    "objects": lambda: frame(list(DAYS), object),
    "durations as objects": lambda: frame(list(DAYS - DAYS[0]), object),
    "date objects": lambda: frame([datetime.date(2024, 2, 29)] * N, object),
    "a name twice": lambda: pd.DataFrame(np.c_[NUMBERS, NUMBERS], columns=["when"] * 2).assign(
        size=0.0, when=DAYS
    ),
    "arrow": lambda: arrow(DAYS),
    "arrow durations": lambda: arrow(DAYS - DAYS[0]),
    "arrow in pandas": lambda: arrow(DAYS).to_pandas(types_mapper=pd.ArrowDtype),
    "another library": lambda: Frame(size=NUMBERS, when=DAYS),
}
ARRAYS = {
    "dates": lambda: (np.c_[DAYS, DAYS], 0),
    "durations": lambda: ((DAYS - DAYS[0])[:, None], 0),
    "not a time": lambda: (np.full((N, 1), np.datetime64("NaT", "D")), 0),
    "lists of dates": lambda: ([[day] for day in DAYS], 0),
    **{
        f"{type(time).__name__} among numbers": lambda time=time: (cells([0.5] * 5 + [time] * 7), 1)
        for time in (
            np.datetime64("2024-02-29"), np.timedelta64(3, "D"), pd.Timestamp("2024-02-29"),
            pd.Timedelta("3D"), datetime.date(2024, 2, 29), datetime.datetime(2024, 2, 29),
            datetime.time(12), datetime.timedelta(3),
        )
    },
    "lists of numbers and dates": lambda: ([[0.5, day] for day in DAYS.tolist()], 1),
}  # fmt: skip


def y_for(model):
    return np.arange(N) % 2 if hasattr(model, "predict_proba") else NUMBERS


@every
@pytest.mark.parametrize("make", FRAMES.values(), ids=FRAMES)
def test_times_in_a_frame_are_refused_by_name(model, make):
    X = make()
    with pytest.raises(DtypeError, match=r"column 'when' of X holds dates, times or durations \("):
        clone(model).fit(X, y_for(model))


@every
@pytest.mark.parametrize("make", ARRAYS.values(), ids=ARRAYS)
def test_times_in_an_array_are_refused_by_number(model, make):
    X, column = make()
    with pytest.raises(DtypeError, match=f"column {column} of X holds dates, times or durations"):
        clone(model).fit(X, y_for(model))


@every
def test_times_are_refused_wherever_rows_are_taken(model):
    good, bad = np.c_[NUMBERS, NUMBERS], np.c_[DAYS, DAYS]
    fitted = clone(model).fit(good, y_for(model))
    before = fitted.predict(good)
    for call in (
        lambda: fitted.predict(bad),
        lambda: fitted.predict_gradient(bad),
        lambda: fitted.partial_fit(bad, y_for(model)),
        lambda: fitted.fit(good, y_for(model), X_val=bad, y_val=y_for(model)),
        lambda: fitted.fit(bad, y_for(model)),
    ):
        with pytest.raises(DtypeError, match="column 0 of X"):
            call()
    np.testing.assert_array_equal(fitted.predict(good)[0].shape, before[0].shape)
    assert fitted.n_features_in_ == 2


@every
@pytest.mark.parametrize(
    "same",
    [
        lambda X: pd.DataFrame(X, columns=["timeliness", "date"]),  # the name says nothing
        lambda X: pd.DataFrame(X).astype(object),
        lambda X: pd.DataFrame(X).astype("category").astype(object),
        lambda X: pd.DataFrame(X).convert_dtypes(),
        lambda X: X.tolist(),
    ],
)
def test_numbers_are_taken_in_any_frame(model, same):
    X = np.c_[NUMBERS, NUMBERS[::-1]]
    expected = clone(model).fit(X, y_for(model)).predict(X)
    np.testing.assert_array_equal(
        clone(model).fit(same(X), y_for(model)).predict(same(X)), expected
    )


WEIGHTS = {
    "durations": DAYS - DAYS[0],
    "dates": DAYS,
    "a series of durations": pd.Series(DAYS - DAYS[0], index=NUMBERS),
    "objects": (DAYS - DAYS[0]).astype(object),
}


@every
@pytest.mark.parametrize("weight", WEIGHTS.values(), ids=WEIGHTS)
def test_weights_are_no_times(model, weight):
    X, y = NUMBERS[:, None], np.arange(N) % 2
    refusal = pytest.raises(DtypeError, match="sample_weight holds dates, times or durations")
    with refusal:
        clone(model).fit(X, y, weight)
    with refusal:
        clone(model).fit(X, y).partial_fit(X, y, weight)
    with refusal:
        clone(model).fit(X, y, X_val=X, y_val=y, sample_weight_val=weight)
    for fine in (pd.Series(np.ones(N, int)), [1.0] * N, 2.0, None, np.ones(N, object)):
        clone(model).fit(X, y, fine)


def test_targets_of_a_regressor_are_no_times_and_labels_may_be():
    X = NUMBERS[:, None]
    for y in (DAYS, DAYS - DAYS[0], list(DAYS - DAYS[0]), pd.Series(DAYS, dtype=object)):
        with pytest.raises(DtypeError, match="y holds dates, times or durations"):
            clone(ALL[1]).fit(X, y)
    with pytest.raises(DtypeError, match="column 'when' of y"):
        clone(ALL[1]).fit(X, frame(DAYS))
    labels = DAYS[np.arange(N) % 2]
    assert set(clone(ALL[0]).fit(X, labels).predict(X)) <= set(labels)


# -- labels -------------------------------------------------------------------------------------

HALF = N // 2


@pytest.mark.parametrize("model", [ALL[0], ALL[2]], ids=["MLP", "Net"])
@pytest.mark.parametrize(
    ("labels", "named", "remedy"),
    [
        ([0, 1] * HALF, "int", "int"),
        ([True, False] * HALF, "bool", "bool"),
        ([np.True_, np.False_] * HALF, "bool", "bool"),
        ([0.0, 1.0] * HALF, "float", "float"),
        ([0, 1.0] * HALF, "float, int", "float"),
        ([np.int64(3), np.int64(4)] * HALF, "int64", "int"),
        ([None, 1] * HALF, "NoneType, int", "str"),
        ([datetime.date(2024, 1, 1), datetime.date(2024, 1, 2)] * HALF, "date", "str"),
    ],
)
def test_objects_as_labels_are_refused_as_scikit_learn_does(model, labels, named, remedy):
    X, y = NUMBERS[:, None], np.array(labels, dtype=object)
    for other in (Theirs(), LogisticRegression()):
        with pytest.raises((ValueError, TypeError), match=r"Unknown label type|not supported|NaN"):
            other.fit(X, y)
    for given in (y, pd.Series(y, dtype=object)):
        with pytest.raises(ValueError, match="Unknown label type") as caught:
            clone(model).fit(X, given)
        assert f"an array of objects ({named})" in str(caught.value)
        assert f"y.astype({remedy})" in str(caught.value)
    if None not in labels:
        clone(model).fit(X, y.astype(getattr(builtins, remedy)))


def test_labels_in_partial_fit_are_looked_at_too():
    model = clone(ALL[0]).partial_fit(NUMBERS[:, None], np.arange(N) % 2, classes=[0, 1])
    with pytest.raises(ValueError, match=r"y.astype\(int\)"):
        model.partial_fit(NUMBERS[:, None], (np.arange(N) % 2).astype(object))


# -- masked arrays ------------------------------------------------------------------------------


@every
def test_masked_entries_are_refused_and_a_mask_of_nothing_is_not(model):
    y = y_for(model)
    X = np.c_[NUMBERS, NUMBERS**2]
    masked, weight = np.ma.masked_greater(X, 0.5), np.ma.masked_equal(np.arange(float(N)), 7)
    with pytest.raises(DtypeError, match=r"X is a masked array with \d+ masked entries: fill"):
        clone(model).fit(masked, y)
    with pytest.raises(DtypeError, match="y is a masked array with 1 masked"):
        clone(model).fit(X, np.ma.masked_array(y, mask=np.arange(N) == 3))
    with pytest.raises(DtypeError, match="sample_weight is a masked array"):
        clone(model).fit(X, y, sample_weight=weight)
    with pytest.raises(DtypeError, match="X is a masked array"):
        clone(model).fit(X, y, X_val=masked, y_val=y)
    whole = clone(model).fit(X, y)
    with pytest.raises(DtypeError, match="X is a masked array"):
        whole.predict(masked)
    again = clone(model).fit(np.ma.masked_array(X), np.ma.masked_array(y))
    np.testing.assert_array_equal(again.predict(np.ma.masked_array(X)), whole.predict(X))

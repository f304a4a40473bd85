"""What cannot be learned from is refused with a clear error; the rest is learned from."""

import re
import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, DataConversionWarning, NotFittedError

from gradlite import MLPClassifier, MLPRegressor, NetClassifier, NetRegressor
from gradlite.errors import DivergedError, DtypeError
from tests.helpers import unaddressed

rng = np.random.default_rng(0)
X = rng.normal(size=(40, 3))
LABELS = (X[:, 0] > 0).astype(int)
NUMBERS = 2 * X[:, 0]

CLASSIFIER = MLPClassifier((4,), max_iter=2, random_state=0)
REGRESSOR = MLPRegressor(hidden_layer_sizes=(4,), max_iter=2, random_state=0)
ALL = [
    CLASSIFIER,
    REGRESSOR,
    NetClassifier(max_iter=2, random_state=0),
    NetRegressor(max_iter=2, random_state=0),
]
every = pytest.mark.parametrize("model", ALL, ids=lambda model: type(model).__name__)


@pytest.fixture(autouse=True)
def _short_runs_do_not_converge():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def fit(model, X=X, y=None, **known):
    if y is None:
        y = LABELS if hasattr(model, "predict_proba") else NUMBERS
    return clone(model).fit(X, y, **known)


# -- X ------------------------------------------------------------------------------------------


@every
@pytest.mark.parametrize(
    ("bad", "match"),
    [
        (np.full((40, 3), "a"), "could not convert string to float"),
        (np.full((40, 3), np.nan), "Input X contains NaN"),
        (sp.csr_matrix(np.full((40, 3), np.nan)), "Input X contains NaN"),
        (np.full((40, 3), np.inf), "Input X contains infinity"),
        (np.empty((0, 3)), "0 sample"),
        (np.empty((40, 0)), "0 feature"),
        (X[:, 0], "Expected 2D array, got 1D array"),
        (X[:, :, None], "dim 3"),
        (X * 1j, "Complex data not supported"),
        (None, "Expected 2D array, got scalar"),
        (X[:5], "inconsistent numbers of samples"),
        (pd.DataFrame({"a": ["u", "v"] * 20}), "could not convert string to float"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_x_is_refused(model, bad, match):
    with pytest.raises(ValueError, match=match):
        fit(model, bad)


@every
def test_objects_without_numbers_are_refused(model):
    with pytest.raises(TypeError, match="float"):
        fit(model, np.full((40, 3), object()))


def cells(value):
    made = X.astype(object)
    made[2, 0] = None  # counts as NaN, and is not what the message names
    made[3, 1] = value
    return made


def framed(column):
    return pd.DataFrame({"a": X[:, 0], "b": column})


FIELDS = np.zeros(40, [("a", float), ("b", float)])


@every
@pytest.mark.parametrize(
    ("bad", "match"),
    [
        (framed(pd.cut(X[:, 1], 3)), "column 'b' of X holds values of type Interval"),
        (framed(pd.interval_range(0, 40)), "column 'b' of X holds values of type Interval"),
        (framed([{1}] * 40), "column 'b' of X holds values of type set"),
        (
            framed(pd.array([1, 2] * 20, "Int64")).assign(c=[1j] * 39 + [{}]).astype({"c": object}),
            "column 'c' of X holds values of type complex",
        ),
        (cells(1j), "column 1 of X holds values of type complex"),
        (cells({}), "column 1 of X holds values of type dict"),
        ([[1.0, 1j]] * 40, "column 1 of X holds values of type complex"),
        (FIELDS, "X is a structured array with the fields a, b"),
        (FIELDS.view(np.recarray), "X is a structured array with the fields a, b"),
        (np.c_[FIELDS, FIELDS], "X is a structured array with the fields a, b"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_objects_that_are_not_numbers_are_refused_by_name(model, bad, match):
    with pytest.raises(DtypeError, match=match):
        fit(model, bad)
    if hasattr(bad, "columns"):
        good = pd.DataFrame(1.0, bad.index, bad.columns)
    else:
        good = X[:, : np.shape(bad)[-1]]
    with pytest.raises(DtypeError, match=match):
        fit(model, good).predict(bad)


def test_targets_that_are_not_numbers_are_refused_by_name():
    with pytest.raises(DtypeError, match="y holds values of type complex"):
        fit(REGRESSOR, y=np.array([1.0, 1j] * 20, object))


@every
@pytest.mark.parametrize("fill", [1.0, np.nan, pd.NA, 0.0])
def test_sparse_columns_count_with_any_fill_value(model, fill):
    dense = pd.DataFrame(np.where(X > 0, 1.0, X), columns=list("abc"))
    sparse = dense.astype(pd.SparseDtype(float, fill))
    expected = fit(model, dense)
    np.testing.assert_allclose(
        fit(model, sparse).predict(sparse), expected.predict(dense), rtol=1e-9, atol=1e-12
    )
    with pytest.raises(ValueError, match="Input X contains NaN"):
        fit(model, dense.mask(dense == 1).astype(pd.SparseDtype(float)))


def test_sparse_columns_of_dates_are_refused_and_a_column_may_be_called_sparse():
    days = np.datetime64("2024-02-27", "ns") + np.arange(40) * np.timedelta64(1, "D")
    with pytest.raises(DtypeError, match="column 'day' of X holds dates"):
        fit(REGRESSOR, pd.DataFrame({"day": pd.arrays.SparseArray(days)}))
    frame = pd.DataFrame(X, columns=["a", "sparse", "dtype"])
    fit(REGRESSOR, frame).predict(frame.astype(pd.SparseDtype(float)))


def test_sparse_targets_count_with_any_fill_value():
    y = pd.DataFrame(np.where(X > 0, 1.0, X))
    sparse = y.astype(pd.SparseDtype(float, 1.0))
    np.testing.assert_array_equal(
        fit(REGRESSOR, y=sparse).predict(X), fit(REGRESSOR, y=y).predict(X)
    )


@every
@pytest.mark.parametrize(
    "same",
    [X.tolist(), X.astype(object), X.astype(">f8"), X.astype(str), sp.coo_matrix(X), X[:, ::-1].T],
    ids=["lists", "objects", "big endian", "digits in strings", "coo", "transposed"],
)
def test_any_form_of_the_same_numbers_gives_the_same_network(model, same):
    if np.shape(same) == (3, 40):
        same = np.asfortranarray(same[::-1].T)
    expected = fit(model).predict(X)
    np.testing.assert_allclose(fit(model, same).predict(X), expected, rtol=1e-9, atol=1e-12)


@every
@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint64, np.float16, np.longdouble])
def test_other_dtypes_are_taken_as_float64(model, dtype):
    x = (4 * np.abs(X)).astype(dtype)
    fitted = fit(model, x)
    np.testing.assert_array_equal(fitted.predict(x), fitted.predict(x.astype(np.float64)))


@every
def test_read_only_and_memory_mapped_input(model, tmp_path):
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "y.npy", LABELS)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r"), np.load(tmp_path / "y.npy", mmap_mode="r")
    weight = np.ones(40)
    weight.flags.writeable = False
    fitted = clone(model).fit(*mapped, sample_weight=weight, X_val=mapped[0], y_val=mapped[1])
    expected = clone(model).fit(X, LABELS, sample_weight=weight, X_val=X, y_val=LABELS)
    np.testing.assert_array_equal(fitted.predict(mapped[0]), expected.predict(X))
    np.testing.assert_array_equal(X, np.load(tmp_path / "X.npy"))


@every
def test_nan_in_a_memory_mapped_file_is_found(model, tmp_path):
    bad = X.copy()
    bad[17, 2] = np.nan
    np.save(tmp_path / "X.npy", bad)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    with pytest.raises(ValueError, match="Input X contains NaN"):
        fit(model, mapped)
    with pytest.raises(ValueError, match="Input X contains NaN"):
        fit(model).predict(mapped)


@every
@pytest.mark.parametrize(
    ("bad", "match"),
    [
        (X * np.nan, "NaN"),
        (np.full((2, 3), np.inf), "infinity"),
        (X[:, :2], "X has 2 features, but .* is expecting 3"),
        (X[0], "Expected 2D array"),
        (X[:0], "0 sample"),
        (X[None], "dim 3"),
        (None, "Expected 2D array"),
        (np.full((2, 3), "a"), "could not convert"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_predict_refuses_bad_x(model, bad, match):
    fitted = fit(model)
    before = dict(vars(fitted))
    with pytest.raises(ValueError, match=match):
        fitted.predict(bad)
    assert vars(fitted) == before


@every
@pytest.mark.parametrize(
    "method", ["predict", "predict_proba", "decision_function", "score", "predict_gradient"]
)
def test_without_fit_there_is_no_prediction(model, method):
    if not hasattr(model, method):
        pytest.skip("not a method of regressors")
    with pytest.raises(NotFittedError, match="is not fitted yet"):
        getattr(clone(model), method)(*([X, LABELS] if method == "score" else [X]))


# -- y ------------------------------------------------------------------------------------------


@every
@pytest.mark.parametrize(
    ("bad", "match"),
    [
        (np.where(LABELS, np.nan, 0), "Input y contains NaN"),
        (np.where(LABELS, np.inf, 0), "Input y contains infinity"),
        (LABELS[:5], "inconsistent numbers of samples"),
        (LABELS[:, None, None], "dim 3"),
        (np.empty((40, 0), int), "0 feature"),
        (LABELS * 1j, "Complex data not supported"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_y_is_refused(model, bad, match):
    with pytest.raises(ValueError, match=match):
        fit(model, y=bad)


@every
def test_y_must_be_there(model):
    with pytest.raises(ValueError, match="requires y to be passed, but the target y is None"):
        clone(model).fit(X, None)


@every
def test_a_column_is_flattened_with_a_warning(model):
    with pytest.warns(DataConversionWarning, match="column-vector y"):
        fitted = fit(model, y=LABELS[:, None])
    assert fitted.predict(X).shape == (40,)


@pytest.mark.parametrize(
    ("bad", "match"),
    [
        (NUMBERS, "Unknown label type: continuous"),
        (X, "Unknown label type: continuous-multioutput"),
        (np.array(["a", 1] * 20, dtype=object), r"labels of several types \(int, str\)"),
        (np.array(["a", None] * 20, dtype=object), r"labels of several types \(NoneType, str\)"),
    ],
)
def test_bad_labels_are_refused(bad, match):
    with pytest.raises(ValueError, match=match):
        fit(CLASSIFIER, y=bad)
    with pytest.raises(ValueError, match=f"{match[:18]}|shape"):
        fit(CLASSIFIER, X_val=X, y_val=bad)


@pytest.mark.parametrize(
    "labels",
    [
        np.array(["no", "yes"]),
        np.array(["no", "yes"], dtype=object),
        np.array([False, True]),
        np.array([-7.0, 3.0]),
        np.array(["2020", "2021"], dtype="M8[Y]"),
        pd.Series(["no", "yes"], dtype="category").to_numpy(),
    ],
    ids=lambda labels: str(labels.dtype),
)
def test_any_sortable_labels_will_do(labels):
    fitted = fit(CLASSIFIER, y=labels[LABELS])
    expected = fit(CLASSIFIER).predict(X)
    np.testing.assert_array_equal(fitted.predict(X), labels[expected])


@pytest.mark.parametrize("y", [np.zeros(40), np.full(40, "only")], ids=["number", "string"])
@pytest.mark.parametrize("model", [ALL[0], ALL[2]], ids=["MLP", "Net"])
def test_one_class_is_always_predicted(model, y):
    fitted = fit(model, y=y)
    np.testing.assert_array_equal(fitted.predict(X), y)
    np.testing.assert_array_equal(fitted.predict_proba(X), np.ones((40, 1)))


@every
def test_one_row(model):
    assert fit(model, X[:1], LABELS[:1]).predict(X).shape == (40,)


@pytest.mark.filterwarnings("ignore:The number of unique classes is greater")
def test_as_many_classes_as_samples():
    assert fit(CLASSIFIER, y=np.arange(40)).predict_proba(X).shape == (40, 40)


def test_too_many_classes_are_refused_before_memory_is_taken():
    with pytest.raises(ValueError, match="layers of 10,000 and 1,000,000 units"):
        MLPClassifier((10_000,)).partial_fit(X, LABELS, classes=np.arange(10**6))


@pytest.mark.parametrize("sizes", [10**12, (10**6, 10**6)])
def test_a_network_larger_than_memory_is_refused(sizes):
    with pytest.raises(ValueError, match=r"takes about .* GB to train"):
        MLPClassifier(sizes).fit(X, LABELS)


@pytest.mark.parametrize("y", [np.full(40, "a"), X[:, 0].astype(str), np.full(40, b"1")])
def test_a_regressor_needs_numbers(y):
    with pytest.raises(ValueError, match=r"must hold numbers for MLPRegressor.*y.astype\(float\)"):
        fit(REGRESSOR, y=y)


def test_a_target_too_large_to_square_diverges_with_its_place():
    with pytest.raises(DivergedError, match=r"epoch 1, batch 1: .*mse"):
        fit(REGRESSOR, y=NUMBERS * 1e200)


# -- weights ------------------------------------------------------------------------------------


@every
@pytest.mark.parametrize(
    ("bad", "match"),
    [
        (np.where(np.arange(40) == 3, -1, 1), "Negative values"),
        (np.full(40, np.nan), "sample_weight contains NaN"),
        (np.full(40, np.inf), "sample_weight contains infinity"),
        (np.zeros(40), "(?i)weight.*zero"),
        (np.ones(5), r"sample_weight.shape == \(5,\), expected \(40,\)"),
        (np.ones((40, 1)), "Sample weights must be 1D"),
        (np.full(40, "a"), "could not convert string"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_weights_are_refused(model, bad, match):
    with pytest.raises(ValueError, match=match):
        fit(model, sample_weight=bad)
    with pytest.raises(ValueError, match=match):
        fit(model, X_val=X, y_val=LABELS, sample_weight_val=bad)


def test_weights_may_leave_one_class():
    fitted = fit(CLASSIFIER, sample_weight=LABELS)
    assert fitted.classes_.tolist() == [1]


@pytest.mark.parametrize(
    ("weights", "match"),
    [
        ({7: 1.0}, r"weights for \[7\], which are not among the classes \[0, 1\]"),
        ({0: -1.0}, "not negative"),
        ({0: np.nan}, "finite"),
        ({0: 0.0, 1: 0.0}, "every weight is zero"),
    ],
)
def test_bad_class_weights_are_refused(weights, match):
    with pytest.raises(ValueError, match=match):
        fit(clone(CLASSIFIER).set_params(class_weight=weights))


# -- parameters ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "match"),
    [
        ({"hidden_layer_sizes": (4.5,)}, r"must be > 0, got \[4.5\]: integers are expected"),
        ({"hidden_layer_sizes": ("a",)}, "integers are expected"),
        ({"hidden_layer_sizes": ((4,),)}, "integers are expected"),
        ({"hidden_layer_sizes": "ab"}, "must be an array-like or an int"),
        ({"activation": "relo"}, "'activation' parameter of MLPClassifier must be"),
        ({"activation": ["relo"]}, "activation must be a function or one of identity.*not 'relo'"),
        ({"activation": ["relu", "tanh"]}, "has 2 entries for 1 hidden layers"),
        ({"dropout": [0.1, 0.2]}, "has 2 entries for 1 hidden layers"),
        ({"dropout": [1.0]}, r"dropout must be in \[0, 1\)"),
        ({"dropout": 1.0}, "'dropout' parameter of MLPClassifier must be"),
        ({"normalization": "bach"}, "'normalization' parameter of MLPClassifier must be"),
        ({"alpha": np.nan}, "'alpha' parameter of MLPClassifier must be"),
        ({"learning_rate_init": np.inf}, "'learning_rate_init' parameter of MLPClassifier must be"),
        ({"batch_size": 3.0}, "'batch_size' parameter of MLPClassifier must be"),
        ({"n_threads": 0}, "'n_threads' parameter of MLPClassifier must be"),
        ({"n_threads": 2**31}, "'n_threads' parameter of MLPClassifier must be"),
        ({"schedule": "cos"}, "'schedule' parameter of MLPClassifier must be"),
        ({"schedule": lambda step: np.nan}, r"epoch 1, batch 1: 0\.weight .* after a step"),
        ({"loss": "mse"}, "'loss' parameter of MLPClassifier must be"),
        ({"loss": lambda output, target: output}, r"The loss <lambda> returned shape \(40, 2\)"),
        ({"scoring": "acuracy"}, "'acuracy' is not a valid scoring value"),
        ({"callbacks": "progress"}, "'callbacks' parameter of MLPClassifier must be"),
        ({"early_stopping": True, "validation_fraction": 0.99}, "training set is too small"),
        ({"solver": "lbfgs", "dropout": 0.5}, "needs a loss without noise"),
    ],
    ids=unaddressed,
)
def test_bad_parameters_are_refused(params, match):
    with pytest.raises(ValueError, match=match):
        fit(clone(CLASSIFIER).set_params(**params))


@pytest.mark.parametrize("returned", [3, None, "a"])
def test_a_loss_must_give_a_tensor(returned):
    with pytest.raises(
        TypeError, match=re.escape(f"<lambda> returned {returned!r}, which is not a Tensor")
    ):
        fit(clone(CLASSIFIER).set_params(loss=lambda output, target: returned))


def test_sizes_and_rates_may_be_numpys_numbers():
    params = {"hidden_layer_sizes": np.array([4, 3]), "dropout": [np.float32(0.1), 0.2]}
    assert len(fit(clone(CLASSIFIER).set_params(**params)).coefs_) == 3

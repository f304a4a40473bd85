"""The estimators inside what scikit-learn builds around estimators."""

import warnings

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.ensemble import BaggingClassifier, StackingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.inspection import permutation_importance
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score
from sklearn.multioutput import ClassifierChain
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils import estimator_html_repr, get_tags

from gradlite import MLPClassifier, MLPRegressor, NetClassifier, NetRegressor, nn

X, Y = load_iris(return_X_y=True)
FRAME = load_iris(as_frame=True).data
ALL = [MLPClassifier, MLPRegressor, NetClassifier, NetRegressor]


@pytest.fixture(autouse=True)
def _short_runs_do_not_converge():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def make(cls=MLPClassifier, **params):
    fixed = {"max_iter": 30, "random_state": 0, "learning_rate_init": 0.02, "standardize": True}
    return cls(**{**fixed, **params})


def build(in_features, out_features, width=8):
    return nn.Sequential(nn.Linear(in_features, width), nn.Tanh(), nn.Linear(width, out_features))


def test_pipeline():
    pipeline = make_pipeline(StandardScaler(), make(standardize=False)).fit(X, Y)
    assert pipeline.score(X, Y) > 0.95
    alone = make(standardize=False).fit(StandardScaler().fit_transform(X), Y)
    np.testing.assert_array_equal(
        pipeline.predict_proba(X), alone.predict_proba(pipeline[0].transform(X))
    )


@pytest.mark.parametrize(
    ("model", "grid"),
    [
        (make(max_iter=50), {"n_layers": [0, 1, 2], "width": [4, 16]}),
        (make(NetClassifier, module=build, max_iter=10), {"module__width": [4, 16, 64]}),
        (make(max_iter=10), {"solver": ["adam", "sgd", "lbfgs"], "dropout": [0.0]}),
    ],
    ids=["layers", "module", "solver"],
)
def test_grid_search_in_two_processes(model, grid):
    search = GridSearchCV(model, grid, cv=3, n_jobs=2).fit(X, Y)
    alone = GridSearchCV(model, grid, cv=3).fit(X, Y)
    np.testing.assert_allclose(
        search.cv_results_["mean_test_score"], alone.cv_results_["mean_test_score"]
    )
    assert search.best_score_ > 0.9


def test_cross_validation_in_two_processes():
    scores = cross_val_score(make(), X, Y, cv=3, n_jobs=2)
    np.testing.assert_array_equal(scores, cross_val_score(make(), X, Y, cv=3))
    assert scores.min() > 0.9
    proba = cross_val_predict(make(), X, Y, cv=3, method="predict_proba", n_jobs=2)
    assert proba.shape == (150, 3)


@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
def test_calibration(method):
    model = CalibratedClassifierCV(make(), method=method, cv=3).fit(X, Y)
    np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1)
    assert model.score(X, Y) > 0.9


def test_permutation_importance_finds_the_column_that_matters():
    x = np.random.default_rng(0).normal(size=(200, 4))
    model = make(MLPRegressor, max_iter=100).fit(x, 3 * x[:, 2])
    importance = permutation_importance(model, x, 3 * x[:, 2], n_repeats=3, random_state=0)
    assert importance.importances_mean.argmax() == 2


def test_ensembles_and_wrappers():
    bagging = BaggingClassifier(make(), n_estimators=3, random_state=0).fit(X, Y)
    stack = StackingClassifier([("net", make()), ("line", make(n_layers=0))], GaussianNB())
    assert bagging.score(X, Y) > 0.9
    assert stack.fit(X, Y).score(X, Y) > 0.9
    two = np.c_[Y == 0, Y == 1].astype(int)
    assert ClassifierChain(make(), random_state=0).fit(X, two).predict(X).shape == (150, 2)
    target = np.exp(X[:, 0])
    log = TransformedTargetRegressor(make(MLPRegressor), func=np.log, inverse_func=np.exp)
    assert log.fit(X[:, 1:], target).score(X[:, 1:], target) > 0.5


def test_columns_of_a_frame():
    frame = FRAME.assign(kind=np.array(["a", "b", "c"])[Y])
    columns = make_column_transformer((OneHotEncoder(), ["kind"]), remainder="passthrough")
    columns.set_output(transform="default")
    model = make_pipeline(columns, make()).fit(frame, Y)
    assert model.score(frame, Y) > 0.95


def test_set_output_hands_over_frames_with_names():
    pipeline = make_pipeline(StandardScaler(), make()).set_output(transform="pandas")
    pipeline.fit(FRAME, Y)
    assert pipeline[-1].feature_names_in_.tolist() == FRAME.columns.tolist()
    plain = make_pipeline(StandardScaler(), make()).fit(X, Y)
    np.testing.assert_allclose(pipeline.predict_proba(FRAME), plain.predict_proba(X))


@pytest.mark.parametrize("cls", ALL)
def test_feature_names(cls):
    model = make(cls, max_iter=2).fit(FRAME, Y)
    np.testing.assert_array_equal(model.predict(FRAME), make(cls, max_iter=2).fit(X, Y).predict(X))
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        model.predict(X)
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(FRAME.iloc[:, ::-1])


@pytest.mark.parametrize("cls", ALL)
def test_metadata_routing(cls):
    weight = np.random.default_rng(0).uniform(0, 2, 150)
    known = {"sample_weight": weight, "X_val": X[::2], "y_val": Y[::2]}
    direct = make(cls, max_iter=2).fit(X, Y, **known)
    with sklearn.config_context(enable_metadata_routing=True):
        model = make(cls, max_iter=2).set_fit_request(sample_weight=True, X_val=True, y_val=True)
        pipeline = Pipeline([("net", model)]).fit(X, Y, **known)
    np.testing.assert_array_equal(pipeline.predict(X), direct.predict(X))
    assert pipeline[-1].validation_scores_ == direct.validation_scores_


def test_a_pipeline_transforms_the_validation_data():
    with sklearn.config_context(enable_metadata_routing=True):
        model = make(standardize=False, max_iter=3).set_fit_request(X_val=True, y_val=True)
        steps = [("scale", StandardScaler()), ("net", model)]
        pipeline = Pipeline(steps, transform_input=["X_val"]).fit(X, Y, X_val=X, y_val=Y)
    assert pipeline[-1].validation_scores_[-1] == pipeline.score(X, Y)


@pytest.mark.parametrize("cls", ALL)
def test_tags(cls):
    tags = get_tags(make(cls))
    classifies = cls in (MLPClassifier, NetClassifier)
    assert is_classifier(make(cls)) is classifies
    assert is_regressor(make(cls)) is not classifies
    assert tags.input_tags.sparse
    assert tags.target_tags.required
    assert tags.target_tags.multi_output
    assert not tags.non_deterministic
    assert not classifies or tags.classifier_tags.multi_label


@pytest.mark.parametrize("cls", ALL)
def test_html_and_text(cls):
    model = make(cls, max_iter=2)
    for _ in range(2):
        assert cls.__name__ in estimator_html_repr(model)
        assert repr(model).startswith(f"{cls.__name__}(")
        model.fit(X, Y)
    assert cls.__name__ in estimator_html_repr(make_pipeline(StandardScaler(), model))


@pytest.mark.parametrize("cls", ALL)
def test_clone_forgets_what_was_learned(cls):
    model = make(cls, max_iter=2).fit(X, Y)
    twin = clone(model)
    assert twin.get_params() == model.get_params()
    assert not hasattr(twin, "n_features_in_")
    np.testing.assert_array_equal(twin.fit(X, Y).predict(X), model.predict(X))


@pytest.mark.parametrize("cls", ALL)
def test_joblib(cls, tmp_path):
    model = make(cls, max_iter=2).fit(X, Y)
    joblib.dump(model, tmp_path / "model.joblib")
    for mode in (None, "r"):  # weights of a memory-mapped model are read-only
        loaded = joblib.load(tmp_path / "model.joblib", mmap_mode=mode)
        np.testing.assert_array_equal(loaded.predict(X), model.predict(X))


def test_decision_boundary_display():
    import matplotlib

    matplotlib.use("Agg")
    from sklearn.inspection import DecisionBoundaryDisplay

    for labels in (Y, Y > 0):
        model = make(max_iter=5).fit(X[:, :2], labels)
        DecisionBoundaryDisplay.from_estimator(model, X[:, :2], grid_resolution=10)


def test_pandas_targets_and_weights():
    y = pd.Series(np.array(["a", "b", "c"])[Y], index=np.arange(150)[::-1])
    weight = pd.Series(np.ones(150), index=np.arange(150)[::-1])
    model = make(max_iter=3).fit(FRAME, y, sample_weight=weight)
    assert set(model.predict(FRAME)) <= set("abc")


def test_a_search_over_raw_columns_with_weights():
    X, y = load_breast_cancer(return_X_y=True)
    search = GridSearchCV(make(class_weight="balanced"), {"alpha": [1e-4, 1.0]}, cv=3, n_jobs=2)
    assert search.fit(X, y, sample_weight=np.ones(len(y))).best_score_ > 0.95

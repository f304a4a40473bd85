"""Pickle, joblib, skops and deepcopy: the same predictions, and training that goes on."""

import copy
import numbers
import pickle
import warnings

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import cross_val_score

import gradlite as gl
from gradlite import MLPClassifier, MLPRegressor, NetClassifier, NetRegressor, nn, schedules
from tests.estimators.test_persistence import CASES as SAVED
from tests.estimators.test_persistence import assert_identical, custom, digits


@pytest.fixture(autouse=True)
def _short_runs_do_not_converge():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


class Own(nn.Module):
    """A user's network: a projection that is not registered, a counter, a buffer, tied weights."""

    def __init__(self, in_features, out_features, rng, width=8):
        self.first = nn.Linear(in_features, width, rng=rng)
        self.projection = rng.normal(size=(width, width))
        self.middle = self.again = nn.Linear(width, width, rng=rng)
        self.norm, self.drop = nn.BatchNorm1d(width), nn.Dropout(0.2, rng=rng)
        self.last = nn.Linear(width, out_features, rng=rng)
        self.calls = 0
        self.frozen = nn.Parameter(np.ones(width), requires_grad=False)

    def forward(self, x):
        self.calls += self.training
        x = np.tanh(self.first(x)) @ self.projection * self.frozen
        return self.last(self.drop(self.norm(self.again(np.tanh(self.middle(x))))))


class Counts:
    """A callback with a state."""

    def __init__(self):
        self.epochs = 0

    def setup(self, estimator, context): ...
    def teardown(self, estimator, context): ...
    def on_fit_task_begin(self, estimator, context): ...

    def on_fit_task_end(self, estimator, context):
        self.epochs += context.task_name == "epoch"


QUICK = {"random_state": 0, "batch_size": 50}
SMALL = {"hidden_layer_sizes": (8,), **QUICK}
CASES = {
    **SAVED,
    "lbfgs": MLPClassifier((8,), solver="lbfgs", random_state=0),
    "lbfgs regressor": MLPRegressor(solver="lbfgs", normalization="layer", **SMALL),
    "cosine by name": MLPClassifier(schedule="cosine", **SMALL),
    "one_cycle by name": MLPRegressor(schedule="one_cycle", standardize=True, **SMALL),
    "plateau by name": MLPRegressor(schedule="plateau", n_iter_no_change=2, tol=1.0, **SMALL),
    "callbacks": MLPClassifier(callbacks=[Counts()], **SMALL),
    "quantile": MLPRegressor("quantile", quantiles=[0.1, 0.9], dropout=0.1, **SMALL),
    "gaussian": MLPRegressor("gaussian_nll", early_stopping=True, standardize=True, **SMALL),
    "loss of a user": MLPRegressor(custom, activation=np.tanh, **SMALL),
    "own module": NetClassifier(Own, module__width=6, early_stopping=True, **QUICK),
    "own regressor": NetRegressor(Own, standardize=True, schedule="cosine", **QUICK),
    "finished module": NetRegressor(nn.Sequential(nn.Linear(64, 4), nn.Linear(4, 1)), **QUICK),
    "default network": NetClassifier(solver="lbfgs", random_state=0),
}


def by_pickle(model, tmp_path):
    return pickle.loads(pickle.dumps(model))


def by_joblib(model, tmp_path):
    joblib.dump(model, tmp_path / "model")
    return joblib.load(tmp_path / "model")


def by_memory_map(model, tmp_path):
    joblib.dump(model, tmp_path / "model")
    return joblib.load(tmp_path / "model", mmap_mode="r")


def by_skops(model, tmp_path):
    io = pytest.importorskip("skops.io", reason="skops is part of the extra cli")
    data = io.dumps(model)
    return io.loads(data, trusted=io.get_untrusted_types(data=data))


def by_deepcopy(model, tmp_path):
    return copy.deepcopy(model)


WAYS = [by_pickle, by_joblib, by_memory_map, by_skops, by_deepcopy]


def data_for(name):
    X, y = digits(np.float32 if name == "float32" else np.float64)
    return X, (y / 4 if name in ("gaussian", "loss of a user") else y)


def half(name):
    return clone(CASES[name]).set_params(warm_start=True, max_iter=4).fit(*data_for(name))


def readings(model, X):
    names = ("predict", "predict_proba", "predict_gradient", "hidden_activations")
    return {name: getattr(model, name)(X) for name in names if hasattr(model, name)}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", CASES)
def test_a_copy_predicts_the_same_and_goes_on_the_same(name, way, tmp_path):
    model = half(name)
    twin = way(model, tmp_path)
    X, y = data_for(name)
    assert_identical(model, twin)
    first, second = readings(model, X), readings(twin, X)
    for what in first:
        np.testing.assert_array_equal(first[what], second[what], err_msg=what)
    weights = model._module.state_dict()
    twin.fit(X, y)
    for key, array in model._module.state_dict().items():  # nothing is shared
        np.testing.assert_array_equal(array, weights[key])
    assert_identical(model.fit(X, y), twin)
    if name == "own module":
        assert model.module_.calls == twin.module_.calls == 8 * 4  # epochs times batches
        assert twin.module_.again is twin.module_.middle


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["adam", "net regressor"])
def test_what_is_not_fitted_is_not_fitted_after(name, way, tmp_path):
    twin = way(clone(CASES[name]), tmp_path)
    with pytest.raises(NotFittedError):
        twin.predict(data_for(name)[0])
    assert_identical(twin.set_params(max_iter=4).fit(*data_for(name)), half(name))


def kinds(value):
    """The types of all that is in nested dicts, lists and tuples."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield from kinds(key)
            yield from kinds(part)
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from kinds(part)
    else:
        yield type(value)


PLAIN = (numbers.Number, str, bool, type(None), np.ndarray)
STREAMS = (np.random.RandomState, np.random.Generator)


@pytest.mark.parametrize("name", ["adam", "early stopping", "batch norm", "plateau", "quantile"])
def test_the_state_is_plain(name):
    state = half(name).__getstate__()
    odd = {kind for kind in kinds(state) if not issubclass(kind, PLAIN + STREAMS)}
    assert odd == ({schedules.ReduceOnPlateau} if name == "plateau" else set())


@pytest.mark.parametrize("name", ["adam", "early stopping", "regressor", "net", "lbfgs"])
def test_a_fit_leaves_three_private_attributes(name):
    private = {key for key in vars(half(name)) if key.startswith("_")}
    assert private == {"_module", "_targets", "_training"}


def test_skops_needs_no_more_trust_than_the_class():
    io = pytest.importorskip("skops.io", reason="skops is part of the extra cli")
    model = MLPClassifier((8,), dropout=0.2, normalization="batch", max_iter=3).fit(*digits())
    assert io.get_untrusted_types(data=io.dumps(model)) == ["gradlite.estimators.mlp.MLPClassifier"]


def test_parameters_set_after_a_fit_change_no_copy_of_it():
    X, y = digits()
    model = MLPRegressor(hidden_layer_sizes=(8,), dropout=0.2, max_iter=3, random_state=0)
    before = model.fit(X, y / 4).predict(X)
    model.set_params(
        hidden_layer_sizes=(3, 3), loss="poisson", solver="lbfgs", normalization="batch",
        quantiles=[0.5], schedule="cosine", activation="tanh",
    )  # fmt: skip
    twin = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(twin.predict(X), before)
    assert twin.get_params() == model.get_params()
    other = MLPClassifier((8,), max_iter=3, random_state=0).fit(X, y > 1)
    before = other.predict_proba(X)
    other.set_params(loss=custom)
    np.testing.assert_array_equal(copy.deepcopy(other)._targets.proba(other._outputs(X)), before)


def test_a_stream_given_as_an_object_stays_the_streams_own():
    X, y = digits()
    model = MLPClassifier((8,), random_state=np.random.RandomState(3), max_iter=2).fit(X, y)
    twin = pickle.loads(pickle.dumps(model))
    assert twin._training.rng is twin.random_state
    assert twin._training.rng is not model._training.rng
    assert_identical(model.fit(X, y), twin.fit(X, y))


def test_a_shallow_copy_shares_the_network():
    X, y = digits()
    model = MLPClassifier((8,), max_iter=2, random_state=0).fit(X, y)
    twin = copy.copy(model)
    assert twin._module is model._module
    twin.n_iter_ = 99
    assert model.n_iter_ == 2


@pytest.mark.parametrize("name", ["dropout", "own module"])
def test_worker_processes_fit_the_same(name):
    X, y = data_for(name)
    model = clone(CASES[name]).set_params(max_iter=4)
    here = cross_val_score(model, X, y, cv=2)
    np.testing.assert_array_equal(cross_val_score(model, X, y, cv=2, n_jobs=2), here)
    fitted = joblib.Parallel(n_jobs=2)(joblib.delayed(model.fit)(X, y) for _ in range(2))
    for twin in fitted:
        assert_identical(clone(model).fit(X, y), twin)


def test_the_counters_of_early_stopping_are_copied():
    model = half("early stopping")
    twin = pickle.loads(pickle.dumps(model))
    assert twin._training.monitor == model._training.monitor
    assert twin._training.monitor is not model._training.monitor


@pytest.mark.parametrize("way", WAYS)
def test_gradients_that_a_user_left_are_copied_too(way, tmp_path):
    X, y = digits()
    model = NetClassifier(Own, **QUICK, max_iter=2).fit(X, y)
    gl.cross_entropy(model.module_(X), y).backward()
    twin = way(model, tmp_path)
    np.testing.assert_array_equal(twin.predict_proba(X), model.predict_proba(X))
    for p, q in zip(model.module_.parameters(), twin.module_.parameters(), strict=True):
        np.testing.assert_array_equal(p.grad, q.grad)


@pytest.mark.parametrize("way", WAYS)
def test_modules_tensors_and_optimisers_are_copied_by_themselves(way, tmp_path):
    x = np.ones((4, 3), np.float32)
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Residual(nn.Linear(4, 4))).eval()
    optimizer = gl.optim.Adam(network.parameters(), lr=0.1)
    network(x).sum().backward()
    optimizer.step()
    np.testing.assert_array_equal(way(network, tmp_path)(x).data, network(x).data)
    assert way(optimizer, tmp_path).state_dict()["step"] == 1
    tensor = gl.Tensor([1.0, 2.0], requires_grad=True)
    (tensor * tensor).sum().backward()
    np.testing.assert_array_equal(way(tensor, tmp_path).grad, [2.0, 4.0])

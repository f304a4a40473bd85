"""Reading from a model writes nothing to it, also while another thread trains it."""

import copy
import pickle
import threading
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import StandardScaler

import gradlite as gl
from gradlite import MLPClassifier, MLPRegressor, NetClassifier, NetRegressor, nn
from gradlite.nn.module import eval_mode

X, y = load_iris(return_X_y=True)
X = StandardScaler().fit_transform(X)
target = X[:, 3]
QUICK = {"max_iter": 12, "random_state": 0, "batch_size": 40}


class Noisy(nn.Module):
    """A user's layer: it draws, counts and averages in training, and does nothing in eval mode."""

    def __init__(self, rng):
        self.rng = rng
        self.steps = 0
        self.register_buffer("mean", np.zeros(()))

    def forward(self, x):
        if not self.training:
            return x
        self.steps += 1
        self.mean = 0.9 * self.mean + 0.1 * float(np.mean(x.data))
        return x + 0.1 * self.rng.normal(size=x.shape)


class Mixed(nn.Module):
    def __init__(self, in_features, out_features, rng):
        self.layers = [nn.Linear(in_features, 8, rng=rng), nn.BatchNorm1d(8), Noisy(rng)]
        self.drop = nn.Dropout(0.3, rng=rng)
        self.head = nn.Linear(8, out_features, rng=rng)

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return self.head(self.drop(np.tanh(x)))


MODELS = {
    "dropout": MLPClassifier((8, 8), dropout=0.3, **QUICK),
    "batch norm": MLPClassifier((8,), normalization="batch", standardize=True, **QUICK),
    "regressor": MLPRegressor("gaussian_nll", (8,), dropout=0.2, normalization="batch", **QUICK),
    "early stopping": MLPClassifier((8,), dropout=0.3, early_stopping=True, **QUICK),
    "net": NetClassifier(Mixed, **QUICK),
    "net regressor": NetRegressor(Mixed, standardize=True, **QUICK),
}


@pytest.fixture(autouse=True)
def _short_runs_do_not_converge():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def data_for(model):
    return X, (y if hasattr(model, "predict_proba") else target)


def learned(model):
    """Weights and buffers, what user's layers counted, and where the streams have come to."""
    state = dict(model._module.state_dict(), noise=model._training.dropout_rng.random())
    counts = [layer.steps for layer in model._module.modules() if isinstance(layer, Noisy)]
    return {**state, "counts": counts, "losses": model.loss_curve_}


def assert_untouched(model, alone):
    ours, theirs = learned(model), learned(alone)
    assert ours.keys() == theirs.keys()
    for name in ours:
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)


def readings(model):
    """All that can be read from a model, by name."""
    read = {"predict": model.predict(X), "predict_gradient": model.predict_gradient(X[:5])}
    read["score"] = model.score(*data_for(model))
    for name in ("predict_proba", "predict_log_proba", "predict_interval"):
        if hasattr(model, name) and (name != "predict_interval" or model.loss == "gaussian_nll"):
            read[name] = getattr(model, name)(X)
    if hasattr(model, "hidden_activations"):
        read["hidden_activations"] = model.hidden_activations(X, 0)
    return read


def in_a_thread(fn):
    """Call `fn` in a thread of its own, and give its result."""
    results = []
    thread = threading.Thread(target=lambda: results.append(fn()))
    thread.start()
    thread.join()
    return results[0]


class AtEachEpoch:
    """A callback that calls a function of the estimator in training."""

    def __init__(self, fn):
        self.fn = fn

    def setup(self, estimator, context): ...
    def teardown(self, estimator, context): ...
    def on_fit_task_begin(self, estimator, context): ...

    def on_fit_task_end(self, estimator, context):
        if context.task_name == "epoch":
            self.fn(estimator)


@pytest.mark.parametrize("threaded", [False, True], ids=["same thread", "other thread"])
@pytest.mark.parametrize("name", MODELS)
def test_what_is_read_in_training_is_that_of_eval_mode_and_leaves_no_trace(name, threaded):
    seen = []

    def read(model):
        assert model._module.training
        in_use = copy.deepcopy(model)
        in_use._module.eval()
        expected = readings(in_use)
        actual = in_a_thread(lambda: readings(model)) if threaded else readings(model)
        assert actual.keys() == expected.keys()
        for what in actual:
            np.testing.assert_array_equal(actual[what], expected[what], err_msg=what)
        seen.append(expected["predict"])

    alone = clone(MODELS[name]).fit(*data_for(MODELS[name]))
    watched = clone(MODELS[name]).set_params(callbacks=[AtEachEpoch(read)])
    watched.fit(*data_for(watched))
    assert len(seen) == watched.n_iter_ > 5
    assert any((a != seen[0]).any() for a in seen)  # or nothing would have been trained meanwhile
    assert_untouched(watched, alone)


class Saves:
    """Saves and copies a model, in a thread."""

    def __init__(self, path):
        self.path = path

    def __call__(self, model):
        in_a_thread(lambda: self.read(model))

    def read(self, model):
        model.save(self.path)
        repr(model), model._module.state_dict(), model._module.named_buffers()
        return pickle.dumps(model), copy.deepcopy(model)


@pytest.mark.parametrize("name", MODELS)
def test_saving_and_copying_in_training_leaves_no_trace(name, tmp_path):
    alone = clone(MODELS[name]).fit(*data_for(MODELS[name]))
    watched = clone(MODELS[name]).set_params(callbacks=[AtEachEpoch(Saves(tmp_path / "model"))])
    assert_untouched(watched.fit(*data_for(watched)), alone)
    assert (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("name", "solver"), [*((name, "adam") for name in MODELS), ("batch norm", "lbfgs")]
)
def test_a_fit_beside_a_busy_reader_is_a_fit_alone(name, solver):
    model = clone(MODELS[name]).set_params(solver=solver, max_iter=60, n_iter_no_change=60)
    model.set_params(warm_start=True)
    alone = clone(model).fit(*data_for(model)).fit(*data_for(model))
    model.fit(*data_for(model))  # once, so that there is something to read
    stop, errors, reads = threading.Event(), [], []

    def read():
        try:
            while not stop.is_set():
                reads.append(len(readings(model)))
        except Exception as error:
            errors.append(error)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    model.fit(*data_for(model))
    stop.set()
    for reader in readers:
        reader.join()
    assert not errors
    assert reads
    assert_untouched(model, alone)


def test_a_module_stays_in_the_mode_that_its_user_set():
    model = NetClassifier(Mixed, **QUICK).fit(X, y)
    frozen = model.module_.train()
    frozen.layers[1].eval()
    before = [module.training for module in frozen.modules()]
    readings(model)
    assert [module.training for module in frozen.modules()] == before
    assert len(set(before)) == 2


def test_gradients_of_the_user_stay():
    model = NetClassifier(Mixed, **QUICK).fit(X, y)
    network = model.module_.train()
    gl.cross_entropy(network(X), y).backward()
    before = [p.grad.copy() for p in network.parameters()]
    mean = network.layers[1].running_mean.copy()
    readings(model)
    for p, grad in zip(network.parameters(), before, strict=True):
        np.testing.assert_array_equal(p.grad, grad)
    np.testing.assert_array_equal(network.layers[1].running_mean, mean)
    assert network.training


# -- the context around a fit ---------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(
    "context",
    [gl.no_grad, eval_mode, lambda: np.errstate(all="raise")],
    ids=["no_grad", "eval", "np"],
)
def test_a_fit_does_not_depend_on_the_context_that_it_is_called_in(name, context):
    alone = clone(MODELS[name]).fit(*data_for(MODELS[name]))
    with context():
        model = clone(MODELS[name]).fit(*data_for(MODELS[name]))
        read = readings(model)
    assert_untouched(model, alone)
    for what, array in readings(alone).items():
        np.testing.assert_array_equal(read[what], array, err_msg=what)


def test_numbers_that_underflow_raise_nothing():
    wide = 1e3 * X
    with np.errstate(all="raise"):
        for params in ({}, {"solver": "lbfgs", "activation": "logistic"}, {"loss": "hinge"}):
            model = MLPClassifier(**params, **QUICK).fit(wide, y)
            model.predict(wide)
            if "loss" not in params:
                model.predict_proba(wide), model.predict_log_proba(wide)
        MLPRegressor("poisson", **QUICK).fit(X, y).predict(-1000 * X)

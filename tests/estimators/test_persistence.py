"""Saving, loading and going on: bit for bit where an uninterrupted fit would be."""

import copy
import json
import os
import subprocess
import sys
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning, NotFittedError

from gradlite import (
    MLPClassifier,
    MLPRegressor,
    NetClassifier,
    NetRegressor,
    nn,
    persist,
    schedules,
)
from gradlite.errors import PersistError
from tests import hostile


@pytest.fixture(autouse=True)
def _short_runs_do_not_converge():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def digits(dtype=np.float64):
    X, y = load_digits(n_class=4, return_X_y=True)
    return (X[:200] / 16).astype(dtype), y[:200]


def build(in_features, out_features, width=8):
    return nn.Sequential(
        nn.Linear(in_features, width),
        nn.BatchNorm1d(width),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.Linear(width, out_features),
    )


CASES = {
    "adam": MLPClassifier(),
    "float32": MLPClassifier(),
    "sgd adaptive": MLPClassifier(solver="sgd", learning_rate="adaptive", tol=0.1),
    "sgd invscaling": MLPClassifier(solver="sgd", learning_rate="invscaling"),
    "adamw": MLPClassifier(solver="adamw", alpha=0.1),
    "rmsprop": MLPClassifier(solver="rmsprop"),
    "lion": MLPClassifier(solver="lion"),
    "dropout": MLPClassifier(dropout=0.3),
    "batch norm": MLPClassifier(normalization="batch"),
    "early stopping": MLPClassifier(early_stopping=True, learning_rate_init=0.2, solver="sgd"),
    "standardize": MLPClassifier(standardize=True, class_weight={0: 2.0, 3: 0.5}),
    "cosine": MLPClassifier(schedule=schedules.warm_up(schedules.cosine(0.1, 40), 4)),
    "plateau": MLPClassifier(schedule="plateau", n_iter_no_change=2, tol=0, early_stopping=True),
    "regressor": MLPRegressor(standardize=True, dropout=[0.1]),
    "net": NetClassifier(build, module__width=6),
    "net regressor": NetRegressor(build, early_stopping=True),
}
for model in CASES.values():
    model.set_params(random_state=0, batch_size=50)
    if "hidden_layer_sizes" in model.get_params():
        model.set_params(hidden_layer_sizes=(8,))


def data_for(name):
    return digits(np.float32 if name == "float32" else np.float64)


def learned(model):
    """Everything that a fit leaves behind, as plain arrays and lists."""
    attributes = {k: v for k, v in vars(model).items() if k.endswith("_") and k != "n_iter_"}
    return attributes | model._module.state_dict()


def assert_identical(a, b):
    a, b = learned(a), learned(b)
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


def half(name):
    return clone(CASES[name]).set_params(warm_start=True, max_iter=4).fit(*data_for(name))


@pytest.fixture(scope="module")
def resumed(tmp_path_factory):
    """Every case: half the epochs here, saved, and the other half in one other process."""
    folder = tmp_path_factory.mktemp("saved")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for name in CASES:
            half(name).save(folder / name)
    subprocess.run([sys.executable, "-m", __name__, folder], check=True, cwd=hostile.ROOT)
    return folder


def load(name, path):
    code = {"module": build} if name.startswith("net") else {}
    return type(CASES[name]).load(path, **code)


def go_on(folder):
    warnings.simplefilter("ignore", ConvergenceWarning)
    for name in CASES:
        path = os.path.join(folder, name)
        load(name, path).fit(*data_for(name)).save(path)


@pytest.mark.parametrize("name", CASES)
def test_two_halves_in_two_processes_are_the_whole(name, resumed):
    X, y = data_for(name)
    whole = clone(CASES[name]).set_params(max_iter=8).fit(X, y)
    other = load(name, resumed / name)
    assert len(whole.loss_curve_) == 8
    assert_identical(whole, other)
    np.testing.assert_array_equal(whole.predict(X), other.predict(X))


def test_the_best_weights_of_early_stopping_are_not_those_to_go_on_from():
    model = half("early stopping")
    assert model._training.resume["best_epoch"] < 4  # or the case above would not show it
    assert (
        np.abs(model._training.resume["last"][0] - model._training.resume["best"][0]).max() > 0.001
    )


def test_partial_fit_goes_on_after_loading(tmp_path):
    X, y = digits()
    model = MLPClassifier((8,), dropout=0.2, random_state=0)
    model.partial_fit(X, y, classes=range(4)).partial_fit(X, y)
    model.save(tmp_path / "model")
    again = MLPClassifier.load(tmp_path / "model")
    assert_identical(model.partial_fit(X[:50], y[:50]), again.partial_fit(X[:50], y[:50]))


def test_a_schedule_by_name_goes_on_where_it_was_cut_short(tmp_path):
    class StopAt4:
        def setup(self, estimator, context): ...
        def teardown(self, estimator, context): ...
        def on_fit_task_begin(self, estimator, context): ...

        def on_fit_task_end(self, estimator, context):
            return context.task_name == "epoch" and estimator.n_iter_ == 4

    X, y = digits()
    whole = MLPClassifier((8,), random_state=0, schedule="cosine", max_iter=8).fit(X, y)
    part = clone(whole).set_params(callbacks=[StopAt4()], warm_start=True).fit(X, y)
    part.set_params(max_iter=4).save(tmp_path / "model")
    assert_identical(whole, MLPClassifier.load(tmp_path / "model").fit(X, y))


def test_a_schedule_by_name_begins_anew_after_its_end():
    X, y = digits()
    model = MLPClassifier((8,), random_state=0, schedule="cosine", max_iter=5, warm_start=True)
    first = model.fit(X, y).coefs_[0].copy()
    last = model.fit(X, y).coefs_[0]
    assert np.abs(last - first).max() > 0.002  # the rate was 0.001 once more, and not 0


def test_a_warm_start_takes_changed_parameters():
    X, y = digits()
    model = MLPClassifier((8,), random_state=0, warm_start=True, max_iter=3).fit(X, y)
    moments = model._training.optimizer.state_dict()["state"]["0.weight"]
    model.set_params(learning_rate_init=1e-9)
    before = [c.copy() for c in model.coefs_]
    model.fit(X, y)
    np.testing.assert_allclose(model.coefs_[0], before[0], atol=1e-6)
    after = model._training.optimizer.state_dict()["state"]["0.weight"]
    assert after["step"] == moments["step"] + 3  # Adam went on
    model.set_params(solver="sgd", learning_rate_init=0.1).fit(X, y)
    assert np.abs(model.coefs_[0] - before[0]).max() > 1e-3


def test_lbfgs_goes_on_for_as_long_as_it_is_now_told():
    X, y = digits()
    model = MLPClassifier((8,), solver="lbfgs", random_state=0, warm_start=True, max_iter=2)
    model.fit(X, y)
    assert model.set_params(max_iter=7).fit(X, y).n_iter_ == 7


def test_parameters_changed_after_the_fit_are_saved(tmp_path):
    X, y = digits()
    model = MLPClassifier((8,), random_state=0, max_iter=3).fit(X, y)
    model.set_params(solver="sgd", learning_rate_init=0.01, warm_start=True).save(tmp_path / "m")
    again = MLPClassifier.load(tmp_path / "m")
    assert again.get_params() == model.get_params()
    assert len(again.fit(X, y).loss_curve_) == 6


# -- what is in the file ----------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["", ".safetensors"])
def test_labels_names_and_parameters_come_back(suffix, tmp_path):
    pd = pytest.importorskip("pandas", reason="column names need pandas")
    if suffix:
        pytest.importorskip("safetensors", reason="the extra safetensors")
    X, y = digits()
    frame = pd.DataFrame(X, columns=[f"pixel {i}" for i in range(64)])
    names = np.array(["naught", "one", "two", "three"], dtype=object)[y]
    model = MLPClassifier(
        (8, 4),
        activation=["relu", "tanh"],
        class_weight={"one": 2.0},
        random_state=np.random.RandomState(3),
        max_iter=2,
        schedule=schedules.one_cycle(0.1, 20),
    ).fit(frame, names)
    path = tmp_path / f"model{suffix}"
    model.save(path)
    again = MLPClassifier.load(path)
    assert list(again.feature_names_in_) == list(frame.columns)
    assert again.classes_.tolist() == sorted(set(names))
    for name, value in model.get_params().items():
        if name != "random_state":
            assert getattr(again, name) == value, name
    assert again.random_state.randint(10**6) == model.random_state.randint(10**6)
    np.testing.assert_array_equal(model.predict_proba(frame), again.predict_proba(frame))


def test_multioutput_multilabel_and_sparse_come_back(tmp_path):
    import scipy.sparse as sp

    X, y = digits()
    for Y in (np.column_stack([y, y % 2 + 5]), (y[:, None] == range(3)).astype(int)):
        model = MLPClassifier((8,), random_state=0, max_iter=2, standardize=True)
        model.fit(sp.csr_matrix(X), Y).save(tmp_path / "model")
        again = MLPClassifier.load(tmp_path / "model")
        np.testing.assert_array_equal(model.predict(X), again.predict(X))


def custom(output, target):
    return ((output - target) ** 4).mean()


def test_code_is_not_saved_but_asked_for(tmp_path):
    X, y = digits()
    model = MLPRegressor(custom, (8,), random_state=0, max_iter=2).fit(X, y)
    model.save(tmp_path / "model")
    with pytest.raises(PersistError, match=r"loss=custom, which is code.*load\(path, loss=...\)"):
        MLPRegressor.load(tmp_path / "model")
    with pytest.raises(PersistError, match="no parameter 'lose'"):
        MLPRegressor.load(tmp_path / "model", loss=custom, lose=custom)
    again = MLPRegressor.load(tmp_path / "model", loss=custom)
    np.testing.assert_array_equal(model.predict(X), again.predict(X))


def test_a_module_is_code_and_its_weights_are_not(tmp_path):
    X, y = digits()
    model = NetClassifier(nn.Linear(64, 4), random_state=0, max_iter=2).fit(X, y)
    model.save(tmp_path / "model")
    again = NetClassifier.load(tmp_path / "model", module=nn.Linear(64, 4))
    np.testing.assert_array_equal(model.predict_proba(X), again.predict_proba(X))
    with pytest.raises(PersistError, match=r"does not make a NetClassifier.*shape"):
        NetClassifier.load(tmp_path / "model", module=nn.Linear(64, 5))


def test_refusals(tmp_path):
    X, y = digits()
    path = tmp_path / "model"
    with pytest.raises(NotFittedError):
        MLPClassifier().save(path)
    assert not path.exists()
    MLPClassifier((8,), random_state=0, max_iter=2).fit(X, y).save(path)
    with pytest.raises(PersistError, match="holds a MLPClassifier, not a MLPRegressor"):
        MLPRegressor.load(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(PersistError):
        MLPClassifier.load(path)
    path.write_bytes(whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:])
    with pytest.raises(PersistError, match="model is damaged or misleading: Bad CRC-32"):
        MLPClassifier.load(path)


def params(**changes):
    return lambda s: s["params"].update(changes)


def in_state(*path, **changes):
    def change(state):
        for key in path:
            state = state[key]
        state.update(changes)

    return change


def network(weight):
    return in_state("_module", "network", **{"0.weight": weight})


STREAMS = [
    ["_training", "rng"], ["_training", "split_state"], ["params", "random_state", "random_state"]
]  # fmt: skip


MISLEADING = {  # what is declared is larger than what is there, or no state that there can be
    "no module": lambda s: s.pop("_module"),
    "no network": lambda s: s["_module"].pop("network"),
    "no standardization": lambda s: s["_module"].pop("standardize"),
    "standardization of 3": in_state("_module", standardize={"scale": np.ones(3)}),
    "standardization of text": in_state("_module", standardize={"scale": np.full(64, "x")}),
    "standardization of none": in_state("_module", standardize={}),
    "standardization with more": in_state(
        "_module", standardize={"scale": np.ones(64), "more": np.ones(64)}
    ),
    "no training": lambda s: s.pop("_training"),
    "training with more": in_state("_training", more=1),
    "solver": params(solver="gradient ascent"),
    "parameter": params(no_such=1),
    "nested parameter": params(loss__x=1),
    "layers 10**12": params(hidden_layer_sizes=10**12),
    "layers 10**30": params(hidden_layer_sizes=10**30),
    "layers (10**6,)": params(hidden_layer_sizes=(10**6,)),
    "layers (20000, 20000)": params(hidden_layer_sizes=(20000, 20000)),
    "layers (5,) * 200000": params(hidden_layer_sizes=(5,) * 200_000),
    "layers np.full(1, 10**9)": params(hidden_layer_sizes=np.full(1, 10**9)),
    "layers np.ones((10, 10**4))": params(hidden_layer_sizes=np.ones((10, 10**4), int)),
    "layers of text": params(hidden_layer_sizes="9" * 10**6),
    "layers nested": params(hidden_layer_sizes=[[[9] * 100] * 100] * 10),
    "layers -1": params(hidden_layer_sizes=-1),
    "n_layers 10**9": params(n_layers=10**9),
    "n_layers 10**30": params(n_layers=10**30),
    "width 10**9": params(width=10**9),
    "width and n_layers": params(width=10**5, n_layers=1),
    "activation": params(activation=["relu"] * 10**5),
    "dropout": params(dropout=[0.5] * 10**5),
    "features 3 * 10**7": in_state("learned", n_features_in_=3 * 10**7),
    "features 2**18": in_state("learned", n_features_in_=2**18),
    "features and width": lambda s: (
        s["learned"].update(n_features_in_=10**5),
        s["params"].update(hidden_layer_sizes=(10**4,)),
    ),
    "features 10**30": in_state("learned", n_features_in_=10**30),
    "features -1": in_state("learned", n_features_in_=-1),
    "features 3": in_state("learned", n_features_in_=3),
    "features True": in_state("learned", n_features_in_=True),
    "features text": in_state("learned", n_features_in_="64"),
    "no features": lambda s: s["learned"].pop("n_features_in_"),
    "dtype object": in_state("_training", dtype="object"),
    "dtype of fields": in_state("_training", dtype="f8," * 10**5),
    "dtype no text": in_state("_training", dtype=["float32"]),
    "classes": in_state("_targets", columns=[np.arange(10**5)]),
    "classes of two axes": in_state("_targets", columns=[np.zeros((4, 10**4))]),
    "classes of none": in_state("_targets", columns=[None]),
    "no classes": in_state("_targets", columns=[]),
    "weights of two axes more": network(np.zeros((1, 1, 8, 64))),
    "weights of text": network(np.full((8, 64), "x")),
    "rng None": in_state("_training", "rng", state=None),
    "rng of another kind": in_state("_training", "rng", bit_generator="PCG64"),
    "rng of a module": in_state("_training", "rng", bit_generator="__builtins__"),
    "rng of an object": in_state("_training", "rng", bit_generator=["MT19937"]),
    "rng with more": in_state("_training", "rng", more=1),
    "gauss": in_state("_training", "rng", has_gauss=2**40),
    "gauss NaN": in_state("_training", "rng", gauss=float("nan")),
    "dropout without state": in_state("_training", "dropout_rng", state={}),
    "dropout negative": in_state("_training", "dropout_rng", "state", inc=-1),
    "dropout has_uint32": in_state("_training", "dropout_rng", has_uint32=7),
    "dropout uinteger": in_state("_training", "dropout_rng", uinteger=2**32),
    "dropout no number": in_state("_training", "dropout_rng", uinteger=1.0),
    **{
        f"pos {pos} of {path}": in_state(*path, "state", pos=pos)
        for pos in (10**9, -1, 625, 2**31, 2**64, 1.0, None, "0")
        for path in STREAMS
    },
    **{
        f"key {i} of {path}": in_state(*path, "state", key=key)
        for i, key in enumerate(
            [np.zeros(624), np.zeros(625, np.uint32), np.zeros((624, 1), np.uint32), [0] * 624, 0]
        )
        for path in STREAMS
    },
    "optimizer": lambda s: s["_training"]["optimizer"]["state"].pop("0.weight"),
    "optimizer None": in_state("_training", optimizer=3),
    "moments": in_state(
        "_training", "optimizer", "state", "0.weight", exp_avg=np.zeros((10**3, 10**2))
    ),
    **{
        f"moments of {kind}": in_state(
            "_training", "optimizer", "state", "0.weight", exp_avg=np.zeros((8, 64), kind)
        )
        for kind in ("U1", "M8[s]", "m8[s]", "c16")
    },
    "monitor": in_state("_training", "monitor", surprise=1),
    **{
        f"{name} {value!r}": in_state("learned", **{name: value})
        for name in ("t_", "best_loss_", "best_validation_score_", "loss_", "n_iter_")
        for value in ("x", [1.0], {}, np.ones(2), True)
    },
    **{f"{name} None": in_state("learned", **{name: None}) for name in ("t_", "loss_curve_")},
    **{
        f"{name} {value!r}": in_state("learned", **{name: value})
        for name in ("loss_curve_", "validation_scores_", "validation_loss_curve_")
        for value in ("x", 1.0, {}, ["x"], [None])
    },
    **{
        f"no {name}": lambda s, name=name: s["learned"].pop(name)
        for name in ("t_", "best_loss_", "loss_curve_", "validation_scores_")
    },
    "t_ -1": in_state("learned", t_=-1),
    **{
        f"feature names {value!r}": in_state("learned", feature_names_in_=value)
        for value in (3, "x", ["x"], np.ones(64), np.array("x"))
    },
    **{
        f"monitor {name} {value!r}": in_state("_training", "monitor", **{name: value})
        for name in ("best", "best_epoch", "bad_epochs", "seen")
        for value in ("x", [1], {}, None)
    },
    **{
        f"order {value!r}": in_state("_training", order=value)
        for value in (
            1.5, "x", [0, 1], np.array(0), np.arange(180.0), np.full(180, "x"),
            np.zeros(180, "M8[s]"), np.zeros(180, int), np.arange(180) - 1, np.arange(180)[:, None],
        )
    },
    **{
        f"resume {name} {value!r}": in_state("_training", "resume", **{name: value})
        for name, value in (
            ("last", "x"), ("best", [np.full(3, "x")]), ("last", [1.0]), ("best_epoch", "x"),
            ("best_epoch", None), ("more", 1),
        )
    },
    "resume": in_state("_training", resume=3),
    "threads": params(n_threads=10**30),
    "schedule": params(schedule={"schedule": "cosine", "with": {"rate": 0.1, "steps": -1}}),
    "schedule unknown": params(schedule={"schedule": "eval", "with": {}}),
    "params": lambda s: s.update(params=[]),
    "learned": lambda s: s.update(learned=[1]),
    "nothing": lambda s: s.clear(),
}  # fmt: skip


@pytest.fixture(scope="module")
def with_everything():
    """A model with a random state in each place that can have one."""
    X, y = digits()
    common = {"max_iter": 2, "warm_start": True, "early_stopping": True, "dropout": 0.1}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = MLPClassifier((8,), random_state=np.random.RandomState(0), **common)
        return model.fit(X, y)


def test_files_made_to_mislead_are_refused_in_time_and_memory(with_everything, tmp_path):
    jobs = []
    for number, change in enumerate([lambda state: None, *MISLEADING.values()]):
        state = copy.deepcopy(with_everything._state())
        change(state)
        jobs.append((tmp_path / str(number), "MLPClassifier"))
        persist.save(jobs[-1][0], state, kind="MLPClassifier")
    report = hostile.in_a_process(jobs)
    hostile.check(report)
    assert report.pop(0)[0] == "loaded"
    assert [what for what in report if what[0] != "PersistError"] == []
    for (path, _), (*_, said) in zip(jobs[1:], report, strict=True):
        assert said.startswith(str(path))


NETS = {  # a builder of the user's gets numbers from the file
    "width": lambda s: s["params"].update(module__width=10**9),
    "width as 2**18": lambda s: s["params"].update(module__width=2**18),
    "depth": lambda s: s["params"].update(module__depth=10**9),
    "depth as 2**18": lambda s: s["params"].update(module__depth=2**18),
    "features": in_state("learned", n_features_in_=3 * 10**7),
    "features as 2**18": in_state("learned", n_features_in_=2**18),
    "columns": in_state("_targets", columns=10**9),
    "columns as 2**18": in_state("_targets", columns=2**18),
    "columns and width": lambda s: (
        s["_targets"].update(columns=10**5),
        s["params"].update(module__width=10**5),
    ),
    "scaling": in_state("_targets", scaling=(np.zeros((10**4, 1)), np.ones((1, 10**4)))),
}


@pytest.mark.parametrize("how", ["NetRegressor", "NetRegressor build"])
def test_builders_get_no_sizes_that_the_weights_do_not_bear_out(how, tmp_path):
    X, y = digits()
    module = {"module": hostile.build, "module__depth": 2} if how.endswith("build") else {}
    model = NetRegressor(**module, module__width=4, max_iter=2, random_state=0, standardize=True)
    model.fit(X, y)
    jobs = []
    for number, change in enumerate([lambda state: None, *NETS.values()]):
        state = copy.deepcopy(model._state())
        change(state)
        jobs.append((tmp_path / str(number), how))
        persist.save(jobs[-1][0], state, kind="NetRegressor")
    report = hostile.in_a_process(jobs)
    hostile.check(report)
    assert report.pop(0)[0] == "loaded"
    assert [what for what in report if what[0] != "PersistError"] == []


def seeded_net(in_features, out_features, seed):
    return nn.Linear(in_features, out_features, rng=np.random.default_rng(seed))


def test_a_large_number_that_is_no_size_can_be_given_again(tmp_path):
    X, y = digits()
    model = NetClassifier(seeded_net, module__seed=123_456_789, max_iter=2).fit(X, y)
    model.save(tmp_path / "model")
    with pytest.raises(PersistError, match=r"Pass load\(path, module__seed=...\) if that is right"):
        NetClassifier.load(tmp_path / "model", module=seeded_net)
    given = {"module": seeded_net, "module__seed": 123_456_789}
    again = NetClassifier.load(tmp_path / "model", **given)
    np.testing.assert_array_equal(model.predict_proba(X), again.predict_proba(X))


@pytest.mark.parametrize("kind", ["MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64"])
def test_every_random_state_of_numpy_goes_on(kind, tmp_path):
    X, y = digits()
    random = np.random.RandomState(getattr(np.random, kind)(3))
    random.standard_normal(7)  # leaves half of a pair
    random.bytes(3)
    model = MLPClassifier((4,), max_iter=1, random_state=random).fit(X, y)
    random.random(1000)
    model.save(tmp_path / "model")
    again = MLPClassifier.load(tmp_path / "model").random_state
    for draw in ("standard_normal", "random", "bytes"):
        np.testing.assert_array_equal(getattr(again, draw)(5), getattr(random, draw)(5))


def test_damaged_files_are_refused_or_harmless():
    """As many files as some seconds have time for; `python -m tests.hostile` has more of it."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.hostile", "400", "0"],
        cwd=hostile.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    results, wrong = json.loads(done.stdout)
    assert wrong == []
    assert results.keys() == {"PersistError", "loaded"}


def test_a_saved_file_cannot_replace_methods(tmp_path):
    X, y = digits()
    model = MLPClassifier((8,), random_state=0, max_iter=2).fit(X, y)
    state = model._state()
    state["learned"]["predict"] = "mischief"
    persist.save(tmp_path / "model", state, kind="MLPClassifier")
    assert callable(MLPClassifier.load(tmp_path / "model").predict)


if __name__ == "__main__":
    go_on(sys.argv[1])

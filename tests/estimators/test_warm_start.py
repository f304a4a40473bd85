"""What may be changed between two fits of which the second goes on from the first."""

import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from gradlite import MLPClassifier, MLPRegressor, NetClassifier, NetRegressor, nn

X = np.random.default_rng(0).normal(size=(40, 3))
LABELS = (X[:, 0] > 0).astype(int)
NUMBERS = 2 * X[:, 0]
ALL = [
    MLPClassifier((4,), max_iter=2, random_state=0),
    MLPRegressor(hidden_layer_sizes=(4,), max_iter=2, random_state=0),
    NetClassifier(max_iter=2, random_state=0),
    NetRegressor(max_iter=2, random_state=0),
]


@pytest.fixture(autouse=True)
def _short_runs_do_not_converge():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


@pytest.mark.parametrize("mode", ["warm_start", "partial_fit"])
@pytest.mark.parametrize(
    ("model", "change"),
    [
        (ALL[0], {"hidden_layer_sizes": (5,)}),
        (ALL[0], {"n_layers": 2}),
        (ALL[0], {"activation": "tanh"}),
        (ALL[0], {"dropout": [0.5]}),
        (ALL[0], {"normalization": "layer"}),
        (ALL[0], {"standardize": True}),
        (ALL[0], {"loss": "hinge"}),
        (ALL[1], {"loss": "absolute_error"}),
        (ALL[1], {"quantiles": np.array([0.1, 0.9])}),
        (ALL[2], {"module__width": 9}),
        (ALL[3], {"module": nn.Linear(3, 1)}),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else type(value).__name__,
)
def test_a_network_that_is_continued_cannot_become_another(model, change, mode, tmp_path):
    fitted = clone(model).set_params(warm_start=True)
    y = LABELS if hasattr(model, "predict_proba") else NUMBERS
    before = fitted.fit(X, y).predict(X)
    name = {"n_layers": "hidden_layer_sizes"}.get(*change, *change)
    old = {key: fitted.get_params().get(key) for key in change}
    fitted.set_params(**change)
    with pytest.raises(ValueError, match=f"{mode}.* have changed since: {name}"):
        (fitted.fit if mode == "warm_start" else fitted.partial_fit)(X, y)
    with pytest.raises(ValueError, match=f"save refers to .* have changed since: {name}"):
        fitted.save(tmp_path / "model")
    assert not (tmp_path / "model").exists()
    np.testing.assert_array_equal(fitted._forward(X).argmax(axis=1).shape, before.shape)
    clone(fitted).fit(X, y)  # from the beginning it can
    if "module__width" not in change:
        fitted.set_params(**old).fit(X, y)


@pytest.mark.parametrize(
    "same",
    [
        {"hidden_layer_sizes": [4]},
        {"hidden_layer_sizes": 4},
        {"hidden_layer_sizes": np.array([4])},
        {"hidden_layer_sizes": (9,), "width": 4},
        {"activation": ["relu"]},
        {"dropout": [0]},
        {"alpha": 0.5, "batch_size": 7, "learning_rate_init": 0.5, "random_state": 3},
    ],
)
def test_a_network_described_in_other_words_is_the_same(same):
    fitted = clone(ALL[0]).set_params(warm_start=True).fit(X, LABELS)
    assert len(fitted.set_params(**same).fit(X, LABELS).loss_curve_) == 4

"""The flow of the gradient: what is recorded, and that recording changes nothing."""

import copy
import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier as TheirClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from gradlite import MLPClassifier, MLPRegressor, NetClassifier, nn
from gradlite.draw import GradientFlowDisplay, GradientNorms
from gradlite.draw.picture import PictureError
from gradlite.errors import ShapeError
from tests.draw.fits import X, Y, drawn, fitted, legend

pytestmark = pytest.mark.usefixtures("plt")


def recorded(**params):
    norms = GradientNorms()
    return fitted(callbacks=[norms], **params), norms


def test_norms_are_those_of_the_gradient_of_each_layer():
    """One step of plain descent: how far each layer moved is its gradient times the rate."""
    _, norms = recorded(solver="sgd", max_iter=1, alpha=0.0, momentum=0.0, learning_rate_init=1.0)
    other = fitted(solver="sgd", max_iter=1, alpha=0.0, momentum=0.0, learning_rate_init=1.0)
    start = fitted(solver="sgd", max_iter=1, alpha=0.0, momentum=0.0, learning_rate_init=1e-300)
    expected = [
        np.sqrt(np.sum((W1 - W0) ** 2) + np.sum((b1 - b0) ** 2))
        for W0, W1, b0, b1 in zip(
            start.coefs_, other.coefs_, start.intercepts_, other.intercepts_, strict=True
        )
    ]
    assert list(norms.norms_) == ["0: Linear(4, 6)", "2: Linear(6, 5)", "4: Linear(5, 3)"]
    np.testing.assert_allclose([curve[0] for curve in norms.norms_.values()], expected)


def test_the_norm_of_an_epoch_is_the_mean_of_its_steps():
    norms = GradientNorms()
    layer = nn.Linear(1, 1)
    model = fitted(max_iter=1)
    model._module, model.loss_curve_ = layer, []
    context = type("Context", (), {"task_name": "fit"})()
    norms.setup(model, context)
    norms.on_fit_task_begin(model, context)
    for scale in (1.0, 3.0):  # d/dw = 4 scale, d/db = 3 scale: norms 5 and 15
        loss = layer.weight.sum() * (4 * scale) + layer.bias.sum() * (3 * scale)
        loss.backward()
    context.task_name = "epoch"
    norms.on_fit_task_end(model, context)
    assert norms.norms_ == {"Linear(1, 1)": [10.0]}
    norms.teardown(model, context)
    (layer.weight.sum() * 4).backward()
    norms.on_fit_task_end(model, context)
    assert norms.norms_ == {"Linear(1, 1)": [10.0, 0.0]}


def test_every_batch_counts():
    still = {"solver": "sgd", "learning_rate_init": 1e-300, "alpha": 0.0, "max_iter": 1}
    whole, *thirds = (GradientNorms() for _ in range(4))
    fitted(**still, shuffle=False, batch_size=20, callbacks=[whole])
    for i, third in enumerate(thirds):
        fitted(**still, rows=slice(20 * i, 20 * i + 20), callbacks=[third])
    for layer, curve in whole.norms_.items():
        assert curve == pytest.approx([np.mean([third.norms_[layer] for third in thirds])])


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"batch_size": 16, "dropout": 0.2, "normalization": "batch"},
        {"batch_size": 20, "early_stopping": True},
        {"solver": "lbfgs", "max_iter": 500},
    ],
    ids=str,
)
def test_recording_does_not_change_what_is_learned(params):
    model, norms = recorded(**params)
    for ours, plain in zip(model.coefs_, fitted(**params).coefs_, strict=True):
        np.testing.assert_array_equal(ours, plain)
    assert all(len(curve) >= 4 and min(curve) > 0 for curve in norms.norms_.values())


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_every_fit_is_recorded_again_unless_it_goes_on():
    model, norms = recorded()
    first = copy.deepcopy(norms.norms_)
    model.fit(X, Y)
    assert norms.norms_ == first
    model.set_params(warm_start=True).fit(X, Y).partial_fit(X, Y)
    assert [len(curve) for curve in norms.norms_.values()] == [9, 9, 9]
    assert norms.norms_["0: Linear(4, 6)"][:4] == first["0: Linear(4, 6)"]


def test_layers_that_are_not_trained_have_no_norm():
    network = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))
    network[0].requires_grad_(False)
    norms = GradientNorms()
    fitted(NetClassifier, network, callbacks=[norms])
    assert list(norms.norms_) == ["2: Linear(5, 3)"]


class Copies(GradientNorms):
    """Pickles and copies the whole estimator in the middle of a fit."""

    def on_fit_task_end(self, estimator, context):
        super().on_fit_task_end(estimator, context)
        self.twins = [pickle.loads(pickle.dumps(estimator)), copy.deepcopy(estimator)]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_an_estimator_that_is_recorded_can_be_copied():
    model, norms = recorded()
    for twin in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert twin.callbacks[0].norms_ == norms.norms_
        twin.fit(X, Y)
        assert twin.callbacks[0].norms_ == norms.norms_
        assert twin.callbacks[0] is not norms
    assert clone(model).callbacks[0] is norms
    norms = Copies()
    fitted(callbacks=[norms])
    assert all(twin.callbacks[0].norms_ == norms.norms_ for twin in norms.twins)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_the_flow_of_an_estimator():
    other = GradientNorms()
    model = MLPClassifier((6, 5), max_iter=3, random_state=0, callbacks=[other])
    display = GradientFlowDisplay.from_estimator(make_pipeline(StandardScaler(), model), X, Y)
    assert model.callbacks == [other]  # a clone was fitted
    assert [line.get_label() for line in display.lines_] == list(other.norms_)
    assert [drawn(line) for line in display.lines_] == [
        ([1, 2, 3], curve) for curve in other.norms_.values()
    ]
    assert display.ax_.get_yscale() == "log"
    assert len({line.get_linestyle() for line in display.lines_}) == 3
    assert legend(display.ax_) == list(other.norms_)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_further_arguments_of_fit_are_passed_on(plt):
    _, ax = plt.subplots()
    model = MLPRegressor(hidden_layer_sizes=(3,), max_iter=2, random_state=0)
    seen = GradientFlowDisplay.from_estimator(model, X, Y, sample_weight=Y * 5.0)
    plain = GradientFlowDisplay.from_estimator(model, X, Y, ax=ax)
    assert plain.ax_ is ax
    assert drawn(seen.lines_[0]) != drawn(plain.lines_[0])


def test_the_flow_of_one_epoch_is_to_be_seen():
    display = GradientFlowDisplay.from_predictions({"a": [0.5], "b": [0.7]})
    assert [line.get_marker() for line in display.lines_] == ["o", "o"]
    assert set(display.ax_.get_xticks()) <= {0, 1, 2}


@pytest.mark.parametrize(
    ("draw", "error", "match"),
    [
        (
            lambda: GradientFlowDisplay.from_estimator(TheirClassifier(), X, Y),
            PictureError,
            "MLPClassifier takes no callbacks. Take .* of gradlite",
        ),
        (
            lambda: GradientFlowDisplay.from_predictions(GradientNorms().norms_),
            PictureError,
            "fit an estimator with callbacks=",
        ),
        (
            lambda: GradientFlowDisplay.from_predictions({"a": [[1.0]]}),
            ShapeError,
            r"norms of a .* \(1, 1\)",
        ),
        (
            lambda: GradientNorms().setup(LogisticRegression(), None),
            PictureError,
            "LogisticRegression is no network of gradlite",
        ),
    ],
)
def test_flows_that_cannot_be_drawn(draw, error, match):
    with pytest.raises(error, match=match):
        draw()

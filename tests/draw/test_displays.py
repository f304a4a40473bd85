"""The displays: what was drawn, and where."""

import sys
from itertools import pairwise

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier as TheirClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from gradlite import MLPClassifier, NetClassifier, nn
from gradlite.draw import (
    ActivationsDisplay,
    GradientFlowDisplay,
    LossCurveDisplay,
    WeightsDisplay,
)
from gradlite.draw.picture import PictureError
from gradlite.errors import MissingExtraError, ShapeError
from tests.draw.fits import X, Y, drawn, fitted, legend

pytestmark = pytest.mark.usefixtures("plt")


# -- the loss curve -----------------------------------------------------------------------------


@pytest.mark.parametrize("cls", [MLPClassifier, TheirClassifier])
def test_the_training_loss_of_an_estimator(cls):
    model = fitted(cls)
    display = LossCurveDisplay.from_estimator(model)
    assert drawn(display.line_) == ([1, 2, 3, 4], list(model.loss_curve_))
    assert display.validation_line_ is display.score_ax_ is None
    assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == ("Epoch", "Loss")
    assert display.ax_.get_yscale() == "linear"
    assert drawn(display.best_line_) == ([4], [min(model.loss_curve_)])


def test_validation_loss_is_marked_at_the_epoch_of_the_best_score():
    model = fitted(early_stopping=True, max_iter=8)
    model.validation_scores_ = [0.1, 0.5, 0.3, 0.5, 0.2, 0.1, 0.1, 0.1]
    display = LossCurveDisplay.from_estimator(model, name="net", scale="log")
    assert drawn(display.validation_line_)[1] == model.validation_loss_curve_
    assert display.best_epoch_ == 2
    assert drawn(display.best_line_) == ([2], [model.validation_loss_curve_[1]])
    labels = ["net: training loss", "net: validation loss", "net: best epoch 2"]
    assert legend(display.ax_) == labels
    assert display.ax_.get_yscale() == "log"


@pytest.mark.parametrize(
    ("curve", "validation", "scale"),
    [
        ([3.0, 1.0, 0.2], None, "linear"),
        ([3.0, 1.0, 0.09], None, "log"),
        ([3.0, 1.0, 0.2], [4.0, 0.5, 0.1], "log"),
        ([3.0, 1.0, 0.0], None, "linear"),
        ([3.0, -1.0, -9.0], None, "linear"),
        ([np.nan, 3.0, 0.05], None, "log"),
        ([np.nan], None, "linear"),
    ],
)
def test_a_loss_that_falls_far_has_a_logarithmic_axis(curve, validation, scale):
    display = LossCurveDisplay.from_predictions(curve, validation)
    assert display.ax_.get_yscale() == scale
    assert LossCurveDisplay.from_predictions(curve, scale="linear").ax_.get_yscale() == "linear"


def test_a_second_curve_counts_with_the_first():
    display = LossCurveDisplay.from_predictions([3.0, 1.0])
    assert LossCurveDisplay.from_predictions([0.3, 0.05], ax=display.ax_).ax_.get_yscale() == "log"


def test_no_number_is_taken_off_the_axis():
    display = LossCurveDisplay.from_predictions([0.6931473, 0.6931472, 0.6931471])
    display.figure_.canvas.draw()
    assert display.ax_.yaxis.get_offset_text().get_text() == ""


def test_scores_alone_have_an_axis_of_their_own():
    model = fitted(TheirClassifier, early_stopping=True, max_iter=8)
    display = LossCurveDisplay.from_estimator(make_pipeline(StandardScaler(), model))
    assert drawn(display.validation_line_)[1] == model.validation_scores_
    assert display.validation_line_.axes is display.score_ax_ is not display.ax_
    assert display.score_ax_.get_ylabel() == "Score"
    assert display.best_epoch_ == int(np.argmax(model.validation_scores_)) + 1
    assert legend(display.ax_)[1] == "validation score"


def test_curves_in_the_same_axes_are_told_apart(plt):
    _, ax = plt.subplots()
    first = LossCurveDisplay.from_predictions(
        [2.0, 1.0], validation_scores=[0.1, 0.2], ax=ax, name="a"
    )
    second = LossCurveDisplay.from_predictions(
        [3.0, 1.0], validation_scores=[0.3, 0.2], ax=ax, name="b"
    )
    lines = [line for d in (first, second) for line in (d.line_, d.validation_line_)]
    assert len({line.get_color() for line in lines}) == 4
    assert [line.get_linestyle() for line in lines] == ["-", "--"] * 2
    assert first.score_ax_ is second.score_ax_
    assert first.figure_ is second.figure_ is ax.figure
    assert legend(ax)[3:] == ["b: training loss", "b: validation score", "b: best epoch 1"]


@pytest.mark.parametrize("count", [1, 2, 3, 40])
def test_there_are_no_fractions_of_epochs(count):
    ticks = LossCurveDisplay.from_predictions(np.ones(count)).ax_.get_xticks()
    assert ticks.size
    assert (ticks == np.round(ticks)).all()


def test_how_lines_are_drawn_can_be_said():
    display = LossCurveDisplay.from_predictions([2.0, 1.0], linewidth=3, color="red")
    assert (display.line_.get_linewidth(), display.line_.get_color()) == (3, "red")


@pytest.mark.parametrize(
    ("curves", "best"),
    [
        ({"validation_curve": [3.0, 1.0, 2.0]}, 2),
        ({"validation_curve": [np.nan, np.inf, 2.0]}, 3),
        ({"validation_curve": [3.0, 1.0, 2.0], "validation_scores": [0.5, 0.6, 0.7]}, 3),
    ],
)
def test_the_best_epoch(curves, best):
    assert LossCurveDisplay.from_predictions([3.0, 2.0, 1.0], **curves).best_epoch_ == best


@pytest.mark.parametrize(
    ("draw", "error", "match"),
    [
        (lambda: LossCurveDisplay.from_estimator(MLPClassifier()), NotFittedError, "not fitted"),
        (
            lambda: LossCurveDisplay.from_estimator(fitted(solver="lbfgs", max_iter=500)),
            PictureError,
            "MLPClassifier has no losses by epoch .* every solver but 'lbfgs'",
        ),
        (
            lambda: LossCurveDisplay.from_estimator(StandardScaler().fit(X)),
            PictureError,
            "StandardScaler has no losses",
        ),
        (
            lambda: LossCurveDisplay.from_estimator(
                GridSearchCV(GaussianNB(), {"var_smoothing": [0.1]}, cv=2).fit(X, Y)
            ),
            PictureError,
            r"GridSearchCV has no losses .* Take its best_estimator_\.$",
        ),
        (lambda: LossCurveDisplay.from_predictions([]), ShapeError, "one number for each epoch"),
        (
            lambda: LossCurveDisplay.from_predictions([1.0, 2.0], [1.0]),
            ShapeError,
            r"validation_curve has the shape \(1,\) and loss_curve \(2,\)",
        ),
        (
            lambda: LossCurveDisplay.from_predictions([1.0], scale="cubic"),
            PictureError,
            "scale must be auto, linear, log; not 'cubic'",
        ),
        (
            lambda: LossCurveDisplay.from_predictions([np.nan, -0.5], scale="log"),
            PictureError,
            "above 0, and the lowest is -0.5",
        ),
        (
            lambda: LossCurveDisplay.from_predictions([1.0], [-0.5], scale="log"),
            PictureError,
            "above 0, and the lowest is -0.5",
        ),
    ],
)
def test_loss_curves_that_cannot_be_drawn(draw, error, match):
    with pytest.raises(error, match=match):
        draw()


# -- weights ------------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", [MLPClassifier, TheirClassifier])
def test_weights_as_heat_maps(cls):
    model = fitted(cls)
    display = WeightsDisplay.from_estimator(model)
    assert [ax.get_title() for ax in display.axes_] == ["hidden 1", "hidden 2", "output"]
    for image, W in zip(display.images_, model.coefs_, strict=True):
        np.testing.assert_array_equal(image.get_array(), W.T)
        assert image.get_clim() == (-np.abs(W).max(), np.abs(W).max())
    assert display.axes_[0].get_xlabel() == "4 inputs"
    assert display.axes_[0].get_ylabel() == "6 units"
    assert display.axes_[-1].get_ylabel() == "3 units"


def test_one_unit_is_no_units():
    display = WeightsDisplay(weights=[np.ones((1, 1))]).plot()
    assert (display.axes_[0].get_xlabel(), display.axes_[0].get_ylabel()) == ("1 input", "1 unit")
    display = ActivationsDisplay(activations=[np.ones((3, 1))]).plot()
    assert display.axes_[0].get_title(loc="left").endswith("1 unit")


def test_weights_as_histograms():
    model = fitted()
    display = WeightsDisplay.from_estimator(model, kind="hist")
    for ax, bars, W in zip(display.axes_, display.bars_, model.coefs_, strict=True):
        assert sum(bar.get_height() for bar in bars) == W.size
        low, high = ax.get_xlim()
        assert -low == high == np.abs(W).max()


def test_weights_of_an_image_as_images(plt):
    model = fitted()
    _, (left, right) = plt.subplots(1, 2)
    display = WeightsDisplay.from_estimator(model, ax=left, image_shape=(2, 2), n_units=2)
    W = model.coefs_[0]
    assert len(display.images_) == len(display.axes_) == 2
    for i, image in enumerate(display.images_):
        np.testing.assert_array_equal(image.get_array(), W[:, i].reshape(2, 2))
        assert image.get_clim() == (-np.abs(W[:, :2]).max(), np.abs(W[:, :2]).max())
    assert display.figure_ is left.figure
    assert max(ax.get_position().x1 for ax in display.axes_) < right.get_position().x0


@pytest.mark.parametrize("layout", [None, "constrained"])
def test_heat_maps_in_given_axes_do_not_run_into_each_other(plt, layout):
    figure, ax = plt.subplots(layout=layout)
    WeightsDisplay.from_estimator(fitted(), ax=ax)
    figure.draw_without_rendering()
    panels = [part.get_tightbbox() for part in figure.axes if part.axison]
    panels.sort(key=lambda box: box.x0)
    assert len(panels) == 6
    assert all(a.x1 <= b.x0 for a, b in pairwise(panels))


def test_weights_of_a_user_defined_network():
    network = nn.Sequential(
        nn.Linear(4, 8), nn.Residual(nn.Linear(8, 8)), nn.LayerNorm(8), nn.Linear(8, 3)
    )
    model = make_pipeline(StandardScaler(), fitted(NetClassifier, network))
    display = WeightsDisplay.from_estimator(model)
    titles = [ax.get_title() for ax in display.axes_]
    assert titles == ["0.weight", "1.body.0.weight", "3.weight"]
    assert display.images_[2].get_array().shape == (3, 8)


def test_weights_that_are_all_zero_are_white():
    display = WeightsDisplay.from_predictions([np.zeros((2, 3))])
    assert display.axes_[0].get_title() == "layer 1"
    assert display.images_[0].get_clim() == (-1.0, 1.0)


def test_weights_that_are_not_finite_leave_the_others_to_be_seen():
    W = np.array([[np.nan, 2.0], [np.inf, -1.0]])
    assert WeightsDisplay.from_predictions([W]).images_[0].get_clim() == (-2.0, 2.0)
    (bars,) = WeightsDisplay.from_predictions([W], kind="hist").bars_
    assert sum(bar.get_height() for bar in bars) == 2


@pytest.mark.parametrize(
    ("draw", "match"),
    [
        (
            lambda: WeightsDisplay.from_estimator(StandardScaler().fit(X)),
            r"StandardScaler has no layers \(coefs_ or module_\)",
        ),
        (lambda: WeightsDisplay.from_predictions([X], kind="pie"), "kind must be heatmap, hist"),
        (lambda: WeightsDisplay.from_predictions([]), "no layer to draw weights of"),
        (lambda: WeightsDisplay.from_predictions([X], ["a", "b"]), "names has 2 entries"),
        (
            lambda: WeightsDisplay.from_predictions([X], image_shape=(8, 8)),
            r"image_shape=\(8, 8\) does not fit: the first layer has 60 inputs",
        ),
        (
            lambda: WeightsDisplay.from_predictions([X], image_shape=(6, 10), kind="hist"),
            "not kind='hist'",
        ),
        (
            lambda: WeightsDisplay.from_predictions([X], image_shape=(6, 10), n_units=0),
            "n_units must be 1 or more; not 0",
        ),
        (lambda: WeightsDisplay.from_predictions([X, X], ax=[None]), "needs 2 axes"),
    ],
)
def test_weights_that_cannot_be_drawn(draw, match):
    with pytest.raises(PictureError, match=match):
        draw()


# -- activations --------------------------------------------------------------------------------


def test_activations_of_the_hidden_layers():
    model = fitted()
    display = ActivationsDisplay.from_estimator(model, X)
    for layer, (ax, bars) in enumerate(zip(display.axes_, display.bars_, strict=True)):
        a = model.hidden_activations(X, layer)
        assert sum(bar.get_height() for bar in bars) == pytest.approx(1)
        assert bars[0].get_x() == pytest.approx(a.min(), abs=1e-9)
        assert bars[-1].get_x() + bars[-1].get_width() == pytest.approx(a.max())
        assert bars[0].get_height() == pytest.approx(np.mean(a < bars[1].get_x()))
        assert ax.get_title(loc="left") == f"hidden {layer + 1}: {a.shape[1]} units"


def test_dead_units_are_those_that_never_change():
    always = np.array([[0.0, 1.0, -1.0, 0.0], [0.0, 1.0, -2.0, 3.0]])
    display = ActivationsDisplay.from_predictions([always, always[:, 2:]], ["a", "b"])
    assert display.dead_ == [0.5, 0.0]
    assert [ax.get_title(loc="right") for ax in display.axes_] == ["50% dead", "0% dead"]


def test_activations_that_are_not_finite_leave_the_others_to_be_seen():
    a = np.array([[np.nan, 2.0, np.inf, np.inf], [np.inf, -1.0, np.inf, 3.0]])
    (bars,) = ActivationsDisplay.from_predictions([a]).bars_
    assert sum(bar.get_height() for bar in bars) == pytest.approx(3 / 8)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_activations_behind_a_pipeline_in_given_axes(plt):
    model = make_pipeline(StandardScaler(), MLPClassifier((6, 5), max_iter=4)).fit(5 * X + 3, Y)
    _, axes = plt.subplots(2)
    display = ActivationsDisplay.from_estimator(model, 5 * X + 3, layers=[-1], ax=axes)
    assert list(display.axes_) == [axes[0]]
    assert axes[0].get_title(loc="left") == "hidden 2: 5 units"
    inside = model[-1].hidden_activations(StandardScaler().fit_transform(5 * X + 3), 1)
    last = display.bars_[0][-1]
    assert last.get_x() + last.get_width() == pytest.approx(inside.max())


@pytest.mark.parametrize(
    ("draw", "error", "match"),
    [
        (
            lambda: ActivationsDisplay.from_estimator(fitted(TheirClassifier), X),
            PictureError,
            "MLPClassifier has no hidden_activations",
        ),
        (
            lambda: ActivationsDisplay.from_estimator(MLPClassifier(), X),
            NotFittedError,
            "not fitted",
        ),
        (lambda: ActivationsDisplay.from_estimator(fitted(), X, layers=[2]), IndexError, "layer 2"),
        (lambda: ActivationsDisplay.from_predictions([]), PictureError, "no layer"),
        (lambda: ActivationsDisplay.from_predictions([Y]), ShapeError, r"layer 1 .* \(60,\)"),
    ],
)
def test_activations_that_cannot_be_drawn(draw, error, match):
    with pytest.raises(error, match=match):
        draw()


# -- what they have in common -------------------------------------------------------------------


@pytest.mark.parametrize(
    "draw",
    [
        lambda: LossCurveDisplay.from_predictions([1.0]),
        lambda: GradientFlowDisplay.from_estimator(MLPClassifier(max_iter=10**9), X, Y),
        lambda: WeightsDisplay.from_predictions([X]),
        lambda: ActivationsDisplay.from_predictions([X]),
    ],
)
def test_without_matplotlib_the_extra_is_named(draw, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match=r"Display draws .* 'gradlite\[viz\]'"):
        draw()


def test_decision_boundaries_are_those_of_the_predictions():
    from sklearn.inspection import DecisionBoundaryDisplay

    model = MLPClassifier((6,), solver="lbfgs", max_iter=1000, random_state=0)
    model.fit(X[:, :2], X[:, 0] > 0)
    display = DecisionBoundaryDisplay.from_estimator(
        model, X[:, :2], grid_resolution=7, response_method="predict_proba"
    )
    grid = np.column_stack([display.xx0.ravel(), display.xx1.ravel()])
    expected = model.predict_proba(grid)[:, 1].reshape(7, 7)
    np.testing.assert_allclose(display.response, expected)
    assert display.ax_.get_xlim() == (grid[:, 0].min(), grid[:, 0].max())

"""Training that goes wrong: it stops at once, says where, and leaves a usable model."""

import warnings

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import StandardScaler

from gradlite import MLPClassifier, MLPRegressor
from gradlite.errors import DivergedError

X, y = load_iris(return_X_y=True)
X = StandardScaler().fit_transform(X)
target = X[:, 0]
STEPS = {"hidden_layer_sizes": (8,), "batch_size": 50, "random_state": 0}  # three batches an epoch


class Spoiler:
    """A loss that turns into NaN at one of its calls: the logarithm of a negative number."""

    def __init__(self, call):
        self.call = call
        self.calls = 0

    def __call__(self, output, target):
        self.calls += 1
        loss = ((output - target) ** 2).mean()
        return loss if self.calls < self.call else np.log(-1 - loss)


def diverge(model, *data, **known):
    with np.errstate(all="ignore"), pytest.warns(ConvergenceWarning) as caught:
        model.fit(*data, **known)
    (warning,) = caught
    assert warning.filename == __file__
    return str(warning.message)


def test_the_first_epoch_of_all_raises():
    with np.errstate(all="ignore"), pytest.raises(DivergedError) as caught:
        MLPRegressor(Spoiler(2), **STEPS).fit(X, target)
    message = str(caught.value)
    assert message.startswith("Solver produced non-finite parameter weights.")  # scikit-learn's
    assert "epoch 1, batch 2" in message
    assert "log" in message
    assert "standardize=True" in message


def test_a_later_epoch_keeps_the_best_weights_and_says_where():
    message = diverge(MLPRegressor(Spoiler(14), **STEPS), X, target)
    assert "epoch 5, batch 2" in message
    assert "log" in message
    assert "best epoch, 4, are kept" in message
    assert "max_grad_norm" in message
    model = MLPRegressor(Spoiler(14), max_iter=50, **STEPS)
    diverge(model, X, target)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        whole = MLPRegressor(Spoiler(100), max_iter=4, **STEPS).fit(X, target)
    np.testing.assert_array_equal(model.predict(X), whole.predict(X))
    assert model.n_iter_ == 4
    assert len(model.loss_curve_) == 4


def test_too_high_a_rate_names_the_parameter_or_the_operation():
    model = MLPRegressor(
        hidden_layer_sizes=(8,), activation="identity", solver="sgd", learning_rate_init=30.0,
        random_state=0, batch_size=50, momentum=0,
    )  # fmt: skip
    with np.errstate(all="ignore"), pytest.raises((DivergedError, ConvergenceWarning)) as caught:
        model.fit(X * 100, target)
    assert "epoch" in str(caught.value)
    assert "batch" in str(caught.value)


def test_a_parameter_that_a_step_broke_is_named():
    def steep(output, target):
        return (output * 1e200).mean()

    wild = MLPRegressor(steep, hidden_layer_sizes=(), solver="sgd", learning_rate_init=1e200)
    wild.set_params(batch_size=50)
    with np.errstate(all="ignore"), pytest.raises(DivergedError, match=r"batch 2: 0\.weight"):
        wild.fit(X, target)


def test_the_best_weights_by_validation_score_are_kept():
    known = {"X_val": X[::3], "y_val": target[::3]}
    model = MLPRegressor(SpoilerInTraining(31), max_iter=50, **STEPS)
    message = diverge(model, X, target, **known)
    best = int(np.argmax(model.validation_scores_)) + 1
    assert f"best epoch, {best}, are kept" in message
    assert model.score(X[::3], target[::3]) == pytest.approx(max(model.validation_scores_))


class SpoilerInTraining(Spoiler):
    """Counts batches of training only: those of 50."""

    def __call__(self, output, target):
        if len(target) == 75:
            return ((output - target) ** 2).mean()
        return super().__call__(output, target)


def test_partial_fit_raises_and_keeps_the_weights_before():
    model = MLPRegressor(Spoiler(8), **STEPS)
    model.partial_fit(X, target).partial_fit(X, target)
    before = model.predict(X)
    with np.errstate(all="ignore"), pytest.raises(DivergedError, match="batch 2"):
        model.partial_fit(X, target)
    np.testing.assert_array_equal(model.predict(X), before)


def test_what_the_optimiser_remembers_of_a_broken_step_is_forgotten():
    class Steep(Spoiler):
        def __call__(self, output, target):
            self.calls += 1
            if self.calls == self.call:
                return (output * 1e300).mean()
            return ((output - target) ** 2).mean()

    model = MLPRegressor(Steep(8), solver="sgd", **STEPS)
    model.partial_fit(X, target).partial_fit(X, target)
    with np.errstate(all="ignore"), pytest.raises(DivergedError, match="batch 3"):
        model.partial_fit(X, target)
    model.partial_fit(X, target)
    assert model.loss_ < model.loss_curve_[1]


def test_a_warm_start_that_diverges_at_once_keeps_the_weights_before():
    model = MLPRegressor(Spoiler(20), warm_start=True, max_iter=6, **STEPS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(X, target)
    before = model.predict(X)
    message = diverge(model, X, target)
    assert "epoch, 6, are kept" in message
    np.testing.assert_array_equal(model.predict(X), before)


def test_lbfgs_says_so_too():
    with np.errstate(all="ignore"), pytest.raises(DivergedError, match="log"):
        MLPRegressor(Spoiler(1), solver="lbfgs", hidden_layer_sizes=(8,)).fit(X, target)


def test_clipping_and_scaling_are_remedies():
    data = X * 1e4, target
    wild = {"solver": "sgd", "learning_rate_init": 1.0, "max_iter": 30, **STEPS}
    with np.errstate(all="ignore"), pytest.raises((DivergedError, ConvergenceWarning), match="epo"):
        MLPRegressor(**wild).fit(*data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        clipped = MLPRegressor(max_grad_norm=0.001, **{**wild, "learning_rate_init": 0.01})
        assert np.all(np.isfinite(clipped.fit(*data).predict(data[0])))
        scaled = MLPRegressor(standardize=True, **{**wild, "learning_rate_init": 0.05})
        assert scaled.fit(*data).score(*data) > 0.9


def test_what_does_not_converge_is_told_with_figures():
    with pytest.warns(ConvergenceWarning) as caught:
        model = MLPClassifier(max_iter=3, **STEPS).fit(X, y)
    message = str(caught[0].message)
    assert message.startswith("Stochastic Optimizer: Maximum iterations (3) reached")
    assert f"After 3 epochs the training loss is {model.loss_:.6g}" in message
    assert f"{model.loss_curve_[1] - model.loss_curve_[2]:.3g} less than" in message
    assert "best epoch was 3" in message
    assert "max_iter" in message.partition("Raise")[2]
    assert caught[0].filename == __file__


@pytest.mark.parametrize("early", [False, True])
def test_interrupted_training_keeps_the_model(early):
    class Interrupted(Spoiler):
        def __call__(self, output, target):
            self.calls += 1
            if self.calls == self.call:
                raise KeyboardInterrupt
            return ((output - target) ** 2).mean()

    model = MLPRegressor(Interrupted(11), early_stopping=early, **STEPS)
    with pytest.warns(UserWarning, match="interrupted") as caught:
        model.fit(X, target)
    assert len(caught) == 1
    assert model.n_iter_ == len(model.loss_curve_) > 1
    assert np.all(np.isfinite(model.predict(X)))
    assert not model._module.training
    assert all(not p.requires_grad or p.grad is None for p in model._module.parameters())


def test_an_error_in_the_middle_leaves_the_module_in_use():
    def broken(output, target):
        raise RuntimeError("mine")

    model = MLPRegressor(broken, dropout=0.5, **STEPS)
    with pytest.raises(RuntimeError, match="mine"):
        model.fit(X, target)
    assert not model._module.training

"""Few samples, batches of one, odd labels: what scikit-learn's checks met beside their subject."""

import numpy as np
import pytest
from sklearn.datasets import make_blobs

from gradlite import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

FAST = {"max_iter": 60, "tol": 1e-3, "learning_rate_init": 0.01, "random_state": 0}


@pytest.mark.parametrize(("n", "batch_size"), [(201, "auto"), (9, 8), (7, 2), (7, 3)])
def test_batch_norm_never_gets_a_batch_of_one(n, batch_size):
    X, y = make_blobs(n, random_state=0)
    MLPClassifier((10,), normalization="batch", batch_size=batch_size, max_iter=2).fit(X, y)


def test_batch_norm_of_one_sample_says_so():
    with pytest.raises(ValueError, match="two samples to train on, got 1 sample"):
        MLPRegressor(normalization="batch").fit([[1.0]], [1.0])


def test_early_stopping_holds_out_two_of_few():
    X, y = make_blobs(4, centers=2, random_state=0)
    model = MLPRegressor(early_stopping=True, max_iter=2).fit(X, y)
    assert np.all(np.isfinite(model.validation_scores_))
    with pytest.raises(ValueError, match=r"validation set is too small.*1 of 3 samples"):
        MLPRegressor(early_stopping=True).fit(X[:3], y[:3])


def test_early_stopping_with_class_weights_watches_the_loss():
    X, y = make_blobs(60, centers=2, random_state=0)
    model = MLPClassifier((10,), early_stopping=True, class_weight="balanced", **FAST).fit(X, y)
    np.testing.assert_array_equal(
        model.validation_scores_, np.negative(model.validation_loss_curve_)
    )


def test_columns_of_two_classes_other_than_0_and_1_are_no_labels():
    X, y = make_blobs(60, centers=2, random_state=0)
    Y = np.column_stack([2 * y - 1, 1 - 2 * y])  # a matrix of -1 and 1
    model = MLPClassifier((10,), **FAST).fit(X, Y)
    assert [classes.tolist() for classes in model.classes_] == [[-1, 1], [-1, 1]]
    assert model.score(X, Y) > 0.9

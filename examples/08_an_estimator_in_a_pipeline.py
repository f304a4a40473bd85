"""An estimator in a pipeline, with a search.

You learn: MLPClassifier is a scikit-learn estimator like any other. It can be a step of a
Pipeline, its parameters can be searched, and the number and width of its layers are two numbers
among them (n_layers, width). Validation data may go with it, and callbacks see every epoch.
"""

from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from gradlite import MLPClassifier

X, y = load_digits(return_X_y=True)
X, X_test, y, y_test = train_test_split(X, y, test_size=0.25, stratify=y, random_state=0)

# -- a search over the shape of the network -------------------------------------------------------

network = MLPClassifier(
    width=64,
    learning_rate_init=0.01,
    schedule="cosine",
    max_iter=15,
    n_iter_no_change=15,  # the whole schedule, whatever the loss does
    random_state=0,
)
pipeline = make_pipeline(MinMaxScaler(), network)
search = GridSearchCV(
    pipeline,
    {"mlpclassifier__n_layers": [1, 2], "mlpclassifier__dropout": [0.0, 0.2]},
    cv=3,
)
search.fit(X, y)

print("layers  dropout  accuracy in cross-validation")
for params, score in zip(
    search.cv_results_["params"], search.cv_results_["mean_test_score"], strict=True
):
    layers, dropout = params["mlpclassifier__n_layers"], params["mlpclassifier__dropout"]
    print(f"{layers:6}  {dropout:7}  {score:.3f}")
print(f"on digits not seen before: {search.score(X_test, y_test):.3f}")


# -- a callback: anything with these four methods -------------------------------------------------


class Curve:
    """Collects the training loss, and stops at a loss that is small enough."""

    def setup(self, estimator, context):
        """Begin anew."""
        self.losses = []

    def on_fit_task_begin(self, estimator, context):
        """Do nothing."""

    def on_fit_task_end(self, estimator, context):
        """Look at an epoch that has ended."""
        if context.task_name == "epoch":
            self.losses.append(estimator.loss_)
            return estimator.loss_ < 0.05  # True stops the training
        return False

    def teardown(self, estimator, context):
        """Do nothing."""


curve = Curve()
model = MLPClassifier((64,), standardize=True, callbacks=[curve], random_state=0).fit(X, y)
print(f"stopped by the callback after {model.n_iter_} epochs, at a loss of {curve.losses[-1]:.4f}")

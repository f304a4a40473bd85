"""An estimator in a pipeline, with a search.

You learn: that MLPRegressor is a scikit-learn estimator like any other. It is the last step of a
Pipeline that turns words and missing values into numbers; a search varies its parameters (n_layers
and width are the shape of the network); displays show the training and the predictions.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.compose import make_column_transformer
from sklearn.dummy import DummyRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import RidgeCV
from sklearn.metrics import PredictionErrorDisplay
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from gradlite import MLPRegressor
from gradlite.draw import LossCurveDisplay

# 1. A table of flats, made up: square metres, year built (every tenth is unknown), district. The
# rent is not a sum of these: what a square metre costs depends on the district and the age.

rng = np.random.default_rng(0)
n = 1200
area = rng.gamma(6, 12, n)
year = rng.integers(1900, 2025, n).astype(float)
district = rng.choice(["Hill", "Mill", "Port", "Park"], n)
price = np.select([district == "Hill", district == "Park"], [16.0, 13.0], 9.0)
rent = area * price * (1 + ((year - 1960) / 100) ** 2) + 60 + rng.normal(0, 60, n)
year[rng.random(n) < 0.1] = np.nan
X, X_test, y, y_test = train_test_split(
    np.array([*zip(area, year, district, strict=True)], dtype=object), rent, random_state=0
)

# 2. The pipeline: each kind of column is prepared in its own way. (With pandas, columns are chosen
# by their names instead of their numbers.)


def pipeline(regressor):
    """Return a pipeline of the preparation of columns and a regressor."""
    numbers = make_pipeline(SimpleImputer(add_indicator=True), StandardScaler())
    words = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    return make_pipeline(make_column_transformer((numbers, [0, 1]), (words, [2])), regressor)


network = MLPRegressor(
    width=32,
    activation="silu",
    standardize=True,  # the rents too: the network learns numbers about 1
    learning_rate_init=0.01,
    schedule="cosine",
    max_iter=30,
    n_iter_no_change=30,  # the whole schedule, whatever the loss does
    random_state=0,
)

# 3. The search: every combination, each on three parts of the data. A parameter is addressed by
# the name of its step, two underscores, and its own name.

grid = {"mlpregressor__n_layers": [1, 2], "mlpregressor__alpha": [1e-4, 1.0]}
search = GridSearchCV(pipeline(network), grid, cv=3).fit(X, y)
print("layers   alpha   R² in cross-validation")
results = search.cv_results_
for params, score in zip(results["params"], results["mean_test_score"], strict=True):
    print("{1:6} {0:7}   {2:.3f}".format(*params.values(), score))

print("\nR² on flats not seen before")
for model in (DummyRegressor(), RidgeCV()):
    print(f"  {type(model).__name__:14} {pipeline(model).fit(X, y).score(X_test, y_test):6.3f}")
print(f"  {'MLPRegressor':14} {search.score(X_test, y_test):6.3f}")

figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 4.2), layout="constrained")
LossCurveDisplay.from_estimator(search.best_estimator_, ax=left, scale="log", color="#0072B2")
left.set(title="The training of the best one", ylim=(0.01, 1))
PredictionErrorDisplay.from_estimator(
    search,
    X_test,
    y_test,
    kind="actual_vs_predicted",
    ax=right,
    scatter_kwargs={"color": "#0072B2", "alpha": 0.4},
)
right.set(title="Flats not seen before", xlabel="predicted rent", ylabel="rent")
figure.savefig("09_pipeline_and_search.png", dpi=120)
print("09_pipeline_and_search.png shows the training and the predictions.")

"""Small networks to draw, and ways to read what was drawn."""

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from gradlite import MLPClassifier

rng = np.random.default_rng(0)
X = rng.normal(size=(60, 4))
Y = np.arange(60) % 3


def fitted(cls=MLPClassifier, hidden=(6, 5), rows=slice(None), **params):
    model = cls(hidden, **{"max_iter": 4, "random_state": 0, **params})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(X[rows], Y[rows])


def drawn(line):
    return np.asarray(line.get_xdata()).tolist(), np.asarray(line.get_ydata()).tolist()


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]

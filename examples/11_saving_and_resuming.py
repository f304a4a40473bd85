"""Saving a model without pickle, serving it, and going on with the training.

You learn: save writes arrays and JSON in one file, whole or not at all; load runs no code. With
warm_start=True a loaded model goes on exactly where it was: two halves are the whole, bit for bit.
"""

import tempfile
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from gradlite import GradliteError, MLPClassifier

X, y = load_digits(return_X_y=True)
settings = {
    "hidden_layer_sizes": (32,),
    "dropout": 0.1,
    "standardize": True,
    "tol": 0.0,
    "n_iter_no_change": 20,
    "warm_start": True,
    "random_state": 0,
}


def fit(model):
    """Train for as many epochs as the model says; that it has not converged is meant."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(X, y)


with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "digits.gradlite"

    whole = fit(MLPClassifier(max_iter=20, **settings))
    fit(MLPClassifier(max_iter=10, **settings)).save(path)
    print(f"saved {path.stat().st_size:,} bytes after 10 epochs")
    again = fit(MLPClassifier.load(path))

    same = all(np.array_equal(a, b) for a, b in zip(whole.coefs_, again.coefs_, strict=True))
    print(f"10 epochs and 10 more are 20, bit for bit: {same}")

    # Serving: a row takes some tens of microseconds.
    print(f"digit {y[0]} is predicted as {again.predict(X[:1])[0]}")

    # A file that was altered is refused, whichever byte it is.
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    try:
        MLPClassifier.load(path)
    except GradliteError as error:
        print(f"{type(error).__name__}: {str(error).replace(folder, '...')}")

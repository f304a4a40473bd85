"""The model file: everything from a table to predictions, in one file without pickle.

It is a file of `gradlite.persist`, sealed with a SHA-256, that holds a card (what was learned from
which columns, in plain values), the network's own state, and what prepares the columns in the
format of skops. Of the code that the latter names, only scikit-learn's and that of
`gradlite.cli.columns` is ever run.
"""

from __future__ import annotations

import os
import warnings
import zipfile
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

import numpy as np

import gradlite
from gradlite import persist
from gradlite.cli.cells import Kinds
from gradlite.cli.terminal import did_you_mean
from gradlite.errors import MissingExtraError, PersistError

SUFFIX = ".gl"
KIND = "model of the command line"
ESTIMATORS = {"classification": "MLPClassifier", "regression": "MLPRegressor"}
TRUSTED = {
    "numpy.dtype",
    "gradlite.cli.columns.read_table",
    "gradlite.cli.columns.known_names",
    "gradlite.cli.columns.date_features",
    "gradlite.cli.columns.date_feature_names",
    "sklearn.compose._column_transformer._RemainderColsList",  # before scikit-learn 1.7
}


@dataclass
class Card:
    """What a model is, in plain values.

    Attributes
    ----------
    task : {'classification', 'regression'}
        What is predicted.
    target : str
        The column that is predicted.
    kinds : dict of (str, str)
        The columns it is predicted from: the kind of each, and how it is written.
    unused : list of str
        The other columns of the table that it was trained on.
    scores : list of (name, {metric: value})
        On held-out rows, the network first.
    command : str
        The command that trains it again.
    scikit_learn, gradlite : str
        The versions it was made with.
    """

    task: str
    target: str
    kinds: Kinds
    unused: list[str]
    scores: list[tuple[str, dict[str, float]]]
    command: str
    scikit_learn: str = ""
    gradlite: str = ""

    def __post_init__(self) -> None:
        self.scikit_learn = self.scikit_learn or version("scikit-learn")
        self.gradlite = self.gradlite or gradlite.__version__


def assemble(columns: Any, network: Any) -> Any:
    """Put the preparation of columns and a network into one pipeline, fitted if they are."""
    from sklearn.pipeline import Pipeline

    return Pipeline([("columns", columns), ("network", network)])


def save_model(path: str, pipeline: Any, card: Card) -> None:
    """Save a fitted pipeline of `assemble`, with its card.

    Parameters
    ----------
    path : str
        The file. An older one is replaced when the new one is complete.
    pipeline : Pipeline
        Its last step is an estimator of gradlite.
    card : Card
        What it is.

    Raises
    ------
    MissingExtraError
        If the package skops is missing.
    """
    columns = skops_io().dumps(pipeline["columns"], compression=zipfile.ZIP_DEFLATED)
    state = {
        "card": asdict(card),
        "columns": np.frombuffer(columns, np.uint8),
        "network": pipeline["network"]._state(),
    }
    persist.save(path, state, KIND)


def read_model(path: str) -> tuple[Any, Card]:
    """Load what `save_model` has saved.

    Parameters
    ----------
    path : str
        The file, with or without its suffix ``.gl``.

    Returns
    -------
    pipeline : Pipeline
        Ready to predict.
    card : Card
        What it is.

    Raises
    ------
    PersistError
        If there is no such file, or it is no model, is altered, or needs other code.
    MissingExtraError
        If the package skops is missing.
    """
    path = model_path(path)
    state = persist.load(path, KIND)
    try:
        card = Card(**state["card"])
        network = getattr(gradlite, ESTIMATORS[card.task])._from_state(state["network"], {})
        columns = _load_columns(state["columns"].tobytes())
    except PersistError as error:
        raise PersistError(f"{path} {error}") from error
    except Exception as error:  # whatever attributes of another scikit-learn bring about
        raise PersistError(
            f"{path} cannot be used with scikit-learn {version('scikit-learn')} and gradlite "
            f"{gradlite.__version__}: train anew, or install the versions that made it ({error!r})."
        ) from error
    return assemble(columns, network), card


def load_model(path: str) -> Any:
    """Load a model that ``gradlite train`` has written, to use it from Python.

    Parameters
    ----------
    path : str
        The file, with or without its suffix ``.gl``.

    Returns
    -------
    Pipeline
        Of scikit-learn, fitted. It takes a DataFrame with the columns of the table that it was
        trained on, in any order, as pandas reads them or as text.

    Raises
    ------
    PersistError
        If there is no such file, or it is no model, is altered, or needs other code.
    MissingExtraError
        If the package skops is missing.

    Examples
    --------
    >>> import os, tempfile
    >>> import pandas as pd
    >>> from gradlite import MLPRegressor
    >>> from gradlite.cli.columns import preparation
    >>> rooms = pd.DataFrame({"size": [10.0, 20.0, 30.0]})
    >>> kinds = {"size": ("number", ".")}
    >>> network = MLPRegressor(hidden_layer_sizes=(), solver="lbfgs", alpha=0, random_state=0)
    >>> pipeline = assemble(preparation(kinds), network).fit(rooms, [1.0, 2.0, 3.0])
    >>> card = Card("regression", "price", kinds, [], [], "gradlite train rooms.csv --target price")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_model(os.path.join(folder, "rooms.gl"), pipeline, card)
    ...     model = load_model(os.path.join(folder, "rooms"))
    >>> model.predict(pd.DataFrame({"size": ["25", "15"]})).round(3).tolist()
    [2.5, 1.5]
    """
    return read_model(path)[0]


def model_path(path: str) -> str:
    """Find the file of a model, whose suffix may be left away."""
    for candidate in (path, path + SUFFIX):
        if os.path.isfile(candidate):
            return candidate
    what = f"{path!r} is a folder" if os.path.isdir(path) else f"there is no model {path!r}"
    folder = os.path.dirname(path) or "."
    files = os.listdir(folder) if os.path.isdir(folder) else []
    models = [name.removesuffix(SUFFIX) for name in files if name.endswith(SUFFIX)]
    raise PersistError(f"{what}.{did_you_mean(os.path.basename(path), models)}")


def _load_columns(data: bytes) -> Any:
    io = skops_io()
    foreign = sorted(set(io.get_untrusted_types(data=data)) - TRUSTED)
    if foreign:
        raise PersistError(f"asks for code that no model needs, {', '.join(foreign)}: refused.")
    with warnings.catch_warnings():
        from sklearn.exceptions import InconsistentVersionWarning

        warnings.simplefilter("ignore", InconsistentVersionWarning)  # predict says it better
        return io.loads(data, trusted=sorted(TRUSTED))


def skops_io() -> Any:
    """Give skops, or say what it is needed for."""
    try:
        from skops import io
    except ImportError as error:
        raise MissingExtraError(
            "model files need the package skops: pip install 'gradlite[cli]'."
        ) from error
    return io

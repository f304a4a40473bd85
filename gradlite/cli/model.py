"""The model file: everything from a table to predictions, in one file without pickle.

It is a file of `gradlite.persist` with a card (what was learned from which columns, in plain
values), the learned state of the preparation of columns, and the state of the network.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

import gradlite
from gradlite import persist
from gradlite.cli.cells import Kinds
from gradlite.cli.learned import learned, restored
from gradlite.cli.terminal import did_you_mean
from gradlite.errors import PersistError, printable

SUFFIX = ".gl"
KIND = "model of the command line"
ESTIMATOR_NAMES = {"classification": "MLPClassifier", "regression": "MLPRegressor"}


@dataclass
class ModelCard:
    """The description of a model, in plain values.

    Attributes
    ----------
    task : {'classification', 'regression'}
        The kind of the target.
    target : str
        The column that is predicted.
    kinds : dict of (str, str)
        The columns from which it is predicted: the kind of each, and how it is written.
    unused : list of str
        The other columns of the training table.
    scores : list of (name, {metric: value})
        The scores on held-out rows, the network's first.
    command : str
        The command that trains the same model again.
    scikit_learn, gradlite : str
        The versions with which it was made.
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
        texts = (self.task, self.target, self.command, self.scikit_learn, self.gradlite)
        if not all(isinstance(text, str) for text in (*texts, *self.unused)):
            raise PersistError("Its card has a field that is not text.")
        self.scikit_learn = self.scikit_learn or version("scikit-learn")
        self.gradlite = self.gradlite or gradlite.__version__


def make_pipeline(columns: Any, network: Any) -> Any:
    """Return the pipeline of a preparation of columns and a network; it is fitted if they are."""
    from sklearn.pipeline import Pipeline

    return Pipeline([("columns", columns), ("network", network)])


def save_model(path: str, pipeline: Any, card: ModelCard) -> None:
    """Save a fitted pipeline of `make_pipeline`, with its card.

    Parameters
    ----------
    path : str
        The file. An existing one is replaced once the new one is complete.
    pipeline : Pipeline
        A pipeline whose last step is an estimator of gradlite.
    card : ModelCard
        The description of the model.
    """
    state = {
        "card": asdict(card),
        "columns": learned(pipeline["columns"]),
        "network": pipeline["network"]._state(),
    }
    persist.save(path, state, KIND)


def read_model(path: str) -> tuple[Any, ModelCard]:
    """Load what `save_model` has saved.

    Parameters
    ----------
    path : str
        The file, with or without its suffix ``.gl``.

    Returns
    -------
    pipeline : Pipeline
        The fitted pipeline.
    card : ModelCard
        The description of the model.

    Raises
    ------
    PersistError
        If the file does not exist, is not a model, or is damaged.
    """
    path = model_path(path)
    state = persist.load(path, KIND)
    try:
        card = ModelCard(**state["card"])
        network = getattr(gradlite, ESTIMATOR_NAMES[card.task])._from_state(state["network"], {})
        columns = restored(card.kinds, state["columns"])
        width = max(part.stop for part in columns[-1].output_indices_.values())
        if width != network.n_features_in_:
            raise PersistError(f"It makes {width:,} inputs of its columns for another network.")
    except PersistError as error:
        raise PersistError(f"{printable(path)}: {error}") from error
    except Exception as error:  # whatever an invalid state leads to
        said = persist.shortened(f"{type(error).__name__}: {error}")
        raise PersistError(
            f"{printable(path)} cannot be used with scikit-learn {version('scikit-learn')} and "
            f"gradlite {gradlite.__version__}: train again, or install the versions that made it "
            f"({said})."
        ) from error
    return make_pipeline(columns, network), card


def load_model(path: str) -> Any:
    """Load a model that ``gradlite train`` has written, for use in Python.

    Parameters
    ----------
    path : str
        The file, with or without its suffix ``.gl``.

    Returns
    -------
    Pipeline
        A fitted scikit-learn pipeline. It takes a DataFrame with the columns of the training table,
        in any order, as read by pandas or as text.

    Raises
    ------
    PersistError
        If the file does not exist, is not a model, or is damaged.

    Examples
    --------
    >>> import os, tempfile
    >>> import pandas as pd
    >>> from gradlite import MLPRegressor
    >>> from gradlite.cli.columns import preparation
    >>> rooms = pd.DataFrame({"size": [10.0, 20.0, 30.0]})
    >>> kinds = {"size": ("number", ".")}
    >>> network = MLPRegressor(hidden_layer_sizes=(), solver="lbfgs", alpha=0, random_state=0)
    >>> pipeline = make_pipeline(preparation(kinds), network).fit(rooms, [1.0, 2.0, 3.0])
    >>> command = "gradlite train rooms.csv --target price"
    >>> card = ModelCard("regression", "price", kinds, [], [], command)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_model(os.path.join(folder, "rooms.gl"), pipeline, card)
    ...     model = load_model(os.path.join(folder, "rooms"))
    >>> model.predict(pd.DataFrame({"size": ["25", "15"]})).round(3).tolist()
    [2.5, 1.5]
    """
    return read_model(path)[0]


def model_path(path: str) -> str:
    """Return the path of a model's file, whose suffix may be omitted."""
    for candidate in (path, path + SUFFIX):
        if os.path.isfile(candidate):
            return candidate
    what = f"{path!r} is a folder" if os.path.isdir(path) else f"there is no model {path!r}"
    folder = os.path.dirname(path) or "."
    files = os.listdir(folder) if os.path.isdir(folder) else []
    models = [name.removesuffix(SUFFIX) for name in files if name.endswith(SUFFIX)]
    raise PersistError(f"{what}.{did_you_mean(os.path.basename(path), models)}")

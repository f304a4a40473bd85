"""What the preparation of columns has learned, as arrays; and the preparation restored from them.

scikit-learn's steps are not saved. `gradlite.cli.columns.preparation` makes them, as for training,
and they are given the arrays, which are checked against the columns first. So a file contains no
code, and a model does not depend on the internals of a version of scikit-learn.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gradlite.cli.cells import Kinds, read_cells
from gradlite.cli.columns import preparation
from gradlite.errors import PersistError

WAYS = 100  # of writing a cell, among all columns: there are not as many
State = dict[str, Any]


def learned(columns: Any) -> dict[str, list[State]]:
    """Return what each step of a fitted `preparation` has learned, by the kind of its columns.

    Examples
    --------
    >>> import pandas as pd
    >>> rooms = pd.DataFrame({"size": [10.0, 20.0, 30.0]})
    >>> columns = preparation({"size": ("number", ".")}).fit(rooms)
    >>> found = learned(columns)
    >>> found["number"][0]["statistics"]
    array([20.])
    >>> again = restored({"size": ("number", ".")}, found)
    >>> bool((again.transform(rooms) == columns.transform(rooms)).all())
    True
    """
    return {
        kind: [STEPS[type(part).__name__][0](part) for part in parts(step)]
        for kind, step, _ in columns[-1].transformers_
        if step != "drop"
    }


def restored(kinds: Kinds, found: dict[str, list[State]]) -> Any:
    """Return a fitted `preparation` from what `learned` returned.

    Raises
    ------
    PersistError
        If the arrays do not belong to columns of these kinds.
    """
    check_kinds(kinds)
    columns = preparation(kinds)
    transformer = columns[-1]
    chosen = {kind: names for kind, _, names in transformer.transformers}
    if sum(map(len, chosen.values())) != len(kinds) or chosen.keys() != found.keys():
        raise PersistError("It has columns of unknown kinds, or was trained on other columns.")
    learn_places(columns, list(kinds))
    start = 0
    for i, (kind, step, names) in enumerate(transformer.transformers):
        stop = start + restore(step, names, found[kind])
        transformer.transformers_[i] = (kind, step, names)
        transformer.output_indices_[kind] = slice(start, stop)
        start = stop
    return columns


def check_kinds(kinds: Any) -> None:
    """Raise PersistError for kinds of columns that `read_cells` does not know."""
    import pandas as pd

    ways = {(str(kind), str(form)) for kind, form in kinds.values()}
    if len(ways) > WAYS:
        raise PersistError(f"It has columns written in {len(ways):,} ways.")
    cells = pd.DataFrame({str(i): ["1"] for i in range(len(ways))})
    read_cells(cells, {str(i): way for i, way in enumerate(ways)})


def learn_places(columns: Any, names: list[str]) -> None:
    """Fit a preparation to the names of columns alone."""
    import pandas as pd
    from sklearn.preprocessing import FunctionTransformer

    frame = pd.DataFrame(np.zeros((1, len(names))), columns=names)
    reader, transformer = columns[0], columns[-1]
    reader.fit(frame)
    steps = transformer.transformers
    transformer.transformers = [(kind, FunctionTransformer(), of) for kind, _, of in steps]
    transformer.fit(frame)
    transformer.transformers = steps


def parts(step: Any) -> list[Any]:
    """Return the steps of a pipeline; a step that is not a pipeline is the only one."""
    return [part for _, part in getattr(step, "steps", [("", step)])]


def restore(step: Any, names: list[str], states: list[State]) -> int:
    """Restore what the parts of a step have learned, and return the number of output columns."""
    import pandas as pd

    inputs: Any = pd.DataFrame(np.full((1, len(names)), np.nan), columns=names)
    width = len(names)
    for part, state in zip(parts(step), states, strict=True):
        width = STEPS[type(part).__name__][1](part, inputs, state)
        inputs = np.full((1, width), np.nan)
    return width


# -- each kind of step: what it has learned, and how to restore it --------------------------------


def numbers(array: Any, size: int, what: str) -> np.ndarray:
    """Return an array after checking that it holds `size` finite numbers."""
    if not isinstance(array, np.ndarray) or array.dtype != np.float64 or array.shape != (size,):
        raise PersistError(f"It has no {what} for {size:,} columns.")
    if not np.all(np.isfinite(array)):
        raise PersistError(f"It has a {what} that is not finite.")
    return array


def places(array: Any, size: int, what: str) -> np.ndarray:
    """Return an array after checking that it holds indices below `size`, in order."""
    if not isinstance(array, np.ndarray) or array.dtype.kind != "i" or array.ndim != 1:
        raise PersistError(f"It has no places of the {what}.")
    if np.any(np.diff(array) <= 0) or np.any(array < 0) or np.any(array >= size):
        raise PersistError(f"It has places of the {what} that are not indices below {size:,}.")
    return array


def read_imputer(part: Any) -> State:
    """Return the medians, and which columns had missing values."""
    return {"statistics": part.statistics_, "gaps": part.indicator_.features_}


def restore_imputer(part: Any, inputs: Any, state: State) -> int:
    """Fit to columns of missing values, and replace what was learned from them."""
    size: int = inputs.shape[1]
    part.fit(inputs)
    part.statistics_ = numbers(state["statistics"], size, "median")
    part.indicator_.features_ = places(state["gaps"], size, "columns with gaps")
    return size + len(state["gaps"])


def read_scaler(part: Any) -> State:
    """Return means and scales."""
    rows = float(np.max(part.n_samples_seen_))
    return {"mean": part.mean_, "scale": part.scale_, "variance": part.var_, "rows": rows}


def restore_scaler(part: Any, inputs: Any, state: State) -> int:
    """Fit to zeros, and replace what was learned from them."""
    size: int = inputs.shape[1]
    part.fit(np.zeros(inputs.shape))
    part.mean_ = numbers(state["mean"], size, "mean")
    part.scale_ = numbers(state["scale"], size, "scale")
    part.var_ = numbers(state["variance"], size, "variance")
    part.n_samples_seen_ = type(part.n_samples_seen_)(state["rows"])  # a NumPy scalar
    if np.any(part.scale_ <= 0):
        raise PersistError("It has a scale that is not positive.")
    return size


def read_encoder(part: Any) -> State:
    """Return the categories of each column, and which of them are too rare to be kept apart."""
    return {"categories": part.categories_, "rare": part._infrequent_indices}


def restore_encoder(part: Any, inputs: Any, state: State) -> int:
    """Fit to one column of a missing value, and replace what was learned from it."""
    size: int = inputs.shape[1]
    if not len(state["categories"]) == len(state["rare"]) == size:
        raise PersistError(f"It has no categories for {size:,} columns.")
    counts = []
    for known, rare in zip(state["categories"], state["rare"], strict=True):
        if not isinstance(known, np.ndarray) or known.dtype != object or not known.size:
            raise PersistError("It has a column without categories.")
        if known.ndim != 1 or not all(isinstance(name, (str, float)) for name in known):
            raise PersistError("It has categories that are not text.")
        counts.append(np.full(known.size, part.min_frequency))
        if rare is not None:
            counts[-1][places(rare, known.size, "rare categories")] = 0
    part.fit(inputs.iloc[:, :1].astype(object))
    part.n_features_in_, part.feature_names_in_ = size, np.array(inputs.columns, dtype=object)
    part.categories_ = list(state["categories"])
    part._fit_infrequent_category_mapping(1, counts, {})
    part._n_features_outs = part._compute_n_features_outs()
    return int(sum(part._n_features_outs))


def read_function(part: Any) -> State:
    """Return nothing: a function learns nothing."""
    return {}


def restore_function(part: Any, inputs: Any, state: State) -> int:
    """Fit a function to the names of its columns."""
    part.fit(inputs)
    return len(part.get_feature_names_out())


STEPS: dict[str, tuple[Callable[[Any], State], Callable[[Any, Any, State], int]]] = {
    "FunctionTransformer": (read_function, restore_function),
    "OneHotEncoder": (read_encoder, restore_encoder),
    "SimpleImputer": (read_imputer, restore_imputer),
    "StandardScaler": (read_scaler, restore_scaler),
}
"""How to read and to restore each step that `preparation` is made of."""

"""Input: checked as in scikit-learn, with errors that name what is not a number."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Callable, Iterator
from numbers import Real
from typing import Any

import numpy as np
from sklearn.utils.validation import validate_data

from gradlite.errors import DtypeError

FLOATS = (np.float64, np.float32)
TIMES = (datetime.date, datetime.time, datetime.timedelta, np.datetime64, np.timedelta64)
TIME_DTYPES = ("date", "time", "duration", "period")
"""How the names of types of dates, times and durations begin: of NumPy, pandas, polars, pyarrow."""


def check_training(est: Any, X: Any, y: Any, reset: bool, y_numeric: bool) -> tuple[Any, Any]:
    """Check X and y of an estimator; a first fit (`reset`) determines what later calls must have.

    Raises
    ------
    ValueError
        With scikit-learn's messages.
    DtypeError
        If a column holds dates, times, durations or objects that are not numbers, or entries are
        masked.
    """
    X, y = with_dense_columns(X), with_dense_columns(y)
    refuse_times(X, "X")
    refuse_masked(X, "X")
    refuse_masked(y, "y")
    if y_numeric:
        refuse_times(y, "y")
    try:
        X, y = validate_data(
            est,
            X,
            y,
            accept_sparse="csr",
            multi_output=True,
            y_numeric=y_numeric,
            dtype=FLOATS,
            reset=reset,
        )
    except TypeError as error:
        refuse_objects(X, "X", error)
        if y_numeric:
            refuse_objects(y, "y", error)
        raise
    return X, y


def check_rows(est: Any, X: Any) -> Any:
    """Check X against what an estimator has learned, with a shortcut for valid plain arrays."""
    if (
        type(X) is np.ndarray
        and X.dtype in FLOATS
        and X.ndim == 2
        and X.shape[1] == est.n_features_in_
        and len(X)
        and "feature_names_in_" not in est.__dict__
        and math.isfinite(np.vdot(X, X))
    ):
        return X
    X = with_dense_columns(X)
    refuse_times(X, "X")
    refuse_masked(X, "X")
    try:
        with np.errstate(all="ignore"):
            return validate_data(est, X, accept_sparse="csr", dtype=FLOATS, reset=False)
    except TypeError as error:
        refuse_objects(X, "X", error)
        raise


def with_dense_columns(X: Any) -> Any:
    """Return a pandas frame of sparse columns as a dense one where their fill value is not 0.

    scikit-learn would convert such a frame to a sparse matrix, whose missing entries are zeros.
    """
    if not (hasattr(X, "columns") and hasattr(X, "dtypes")):
        return X
    if not all(hasattr(dtype, "fill_value") for dtype in X.dtypes):
        return X
    fills = [dtype.fill_value for dtype in X.dtypes]
    zeros = all(isinstance(fill, Real) and fill == 0 for fill in fills)  # and not pandas.NA
    return X if zeros else X.sparse.to_dense()


def refuse_objects(X: Any, name: str, error: TypeError) -> None:
    """Raise DtypeError for values that are not numbers, naming the first column that has them."""
    if getattr(getattr(X, "dtype", None), "names", None):
        raise DtypeError(
            f"{name} is a structured array with the fields {', '.join(X.dtype.names)}: pass "
            f"columns of numbers, numpy.lib.recfunctions.structured_to_unstructured({name})."
        ) from error
    X = np.array(X, object) if isinstance(X, (list, tuple)) else X
    names, dtypes, cells = column_types(X)
    for i, (column, dtype) in enumerate(zip(names, map(str, dtypes), strict=True)):
        numeric = re.match(r"u?int\d|float|double|bool", dtype.lower())
        found = None if numeric else next(filter(is_object, np.asarray(cells(i), object)), None)
        if found is not None:
            where = name if column is None else f"column {column!r} of {name}"
            raise DtypeError(
                f"{where} holds values of type {type(found).__name__}, and a network takes real "
                f"numbers: derive some from them, or drop the column ({error})."
            ) from error


def is_object(cell: Any) -> bool:
    """Return whether a cell cannot be converted to a float; None, a missing value, can."""
    try:
        float(0 if cell is None else cell)
    except TypeError:
        return True
    except (ValueError, OverflowError):
        return False
    return False


def refuse_masked(array: Any, name: str) -> None:
    """Raise DtypeError for masked entries, as the numbers under the mask would be used."""
    if isinstance(array, np.ma.MaskedArray) and np.ma.is_masked(array):
        count = np.count_nonzero(array.mask)
        raise DtypeError(
            f"{name} is a masked array with {count} masked entries: fill them with "
            f"{name}.filled(...), or drop their rows."
        )


# -- dates, times and durations ---------------------------------------------------------------


def refuse_times(X: Any, name: str) -> None:
    """Raise DtypeError for dates, times and durations, naming the first column that holds them.

    As floats they would be counts of some unit since 1970.
    """
    for column, kind in time_columns(X):
        where = name if column is None else f"column {column!r} of {name}"
        raise DtypeError(
            f"{where} holds dates, times or durations ({kind}), and a network takes numbers: "
            f"derive some, such as the days since a date, the hour, or the weekday."
        )


def time_columns(X: Any) -> Iterator[tuple[Any, str]]:
    """Yield the name and type of each column of dates, times or durations."""
    names, dtypes, cells = column_types(X)
    for i, (name, dtype) in enumerate(zip(names, map(str, dtypes), strict=True)):
        if dtype.lower().startswith(TIME_DTYPES):
            yield name, dtype
        elif dtype.lower().startswith(("object", "category")):
            found = next((cell for cell in np.asarray(cells(i)) if isinstance(cell, TIMES)), None)
            if found is not None:
                yield name, type(found).__name__


def column_types(X: Any) -> tuple[Any, Any, Callable[[int], Any]]:
    """Return the names and types of the columns of a frame or array, and how to get their cells."""
    if hasattr(X, "dtypes") and hasattr(X, "columns"):  # pandas, polars
        return X.columns, X.dtypes, lambda i: X.iloc[:, i] if hasattr(X, "iloc") else X[:, i]
    if hasattr(X, "schema") and hasattr(X, "column_names"):  # pyarrow
        return X.column_names, X.schema.types, X.column
    if isinstance(X, (list, tuple)):
        try:
            X = np.asarray(X)
        except ValueError:  # ragged: scikit-learn says so
            X = None
    kind = str(getattr(X, "dtype", ""))
    if not kind.lower().startswith(("object", *TIME_DTYPES)) or X.ndim not in (1, 2):
        return (), (), lambda i: ()
    if X.ndim == 1:
        return (None,), (kind,), lambda i: X
    return range(X.shape[1]), [kind] * X.shape[1], lambda i: X[:, i]

"""Types of numbers: half precision and small integers hold too little to be added up in."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradlite.errors import DtypeError


def wide(x: Any) -> Any:
    """Return half-precision numbers in float32, for counts and sums that float16 does not hold.

    Other types stay as they are. Cotangents travel in such a wide type.

    Examples
    --------
    >>> wide(np.float16(1)) / 70000 > 0
    np.True_
    """
    return x.astype(np.float32) if x.dtype.char == "e" else x


def as_float(x: Any) -> Any:
    """Return integers and booleans in float64: in 8 bits, differences and sums would overflow.

    Examples
    --------
    >>> as_float(np.array([100], np.int8)) + 100
    array([200.])
    """
    return x.astype(np.float64) if x.dtype.kind in "biu" else x


def narrow(x: Any, dtype: Any) -> Any:
    """Return numbers computed in a `wide` type in the type they came from, float16 or any other."""
    return x.astype(dtype) if dtype.char == "e" else x


def real(x: Any, name: str) -> Any:
    """Return an array as it is; raise DtypeError for dates, words and complex numbers."""
    if x.dtype.kind not in "fiub":
        raise DtypeError(f"{name} needs real numbers, not {x.dtype} data.")
    return x

"""Trees of arrays and plain values as JSON and bytes, and back: what `persist` keeps in files.

JSON's own null, true, numbers, strings and lists mean themselves. Everything else is an object
with one entry that says what it is: ``{"tuple": [1, 2]}``, ``{"float": "inf"}``, and
``{"array": 0}`` for the first of the arrays.
"""

from __future__ import annotations

import hashlib
import math
import re
from typing import Any

import numpy as np

from gradlite.errors import PersistError

DEEPEST = 100  # levels of a tree
ARRAYS = (np.ndarray, np.memmap)
DTYPES = re.compile(r"\|b1|[<|][iu][1248]|<[fc]\d{1,2}|[<|][US]\d{1,9}|<[mM]8(\[\w{1,12}\])?")
REMEDY = "save arrays, numbers, strings, None, and dicts, lists and tuples of these"

Place = tuple[str | int, ...]


class Packer:
    """Turns a tree into JSON and arrays of bytes.

    Attributes
    ----------
    entries : list of dict
        What to tell of each array: a name, dtype, shape, the number of bytes and their SHA-256.
    arrays : list of ndarray
        The arrays, little-endian and C-contiguous; not copied where they were already.
    places : list of tuple
        Where in the tree each is.

    Examples
    --------
    >>> packer = Packer()
    >>> packer.pack({"at": (1, 2), "w": np.zeros(2)})
    {'dict': {'at': {'tuple': [1, 2]}, 'w': {'array': 0}}}
    >>> packer.arrays
    [array([0., 0.])]
    """

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []
        self.arrays: list[np.ndarray] = []
        self.places: list[Place] = []

    def pack(self, x: Any, place: Place = ()) -> Any:
        """Give the JSON of what is at `place` in the tree.

        Raises
        ------
        TypeError
            If it has something that cannot be saved.
        ValueError
            If it is nested too deeply.
        """
        if len(place) > DEEPEST:
            raise ValueError(
                f"{_at(place[:3])}: nested deeper than {DEEPEST} levels, or in itself."
            )
        kind = type(x)
        if x is None or kind in (bool, str):
            return x
        if kind is int:
            return x if abs(x) < 2**63 else {"int": hex(x)}
        if kind is float:
            return x if math.isfinite(x) else {"float": repr(x)}
        if kind is list:
            return self._pack_all(x, place)
        if kind is tuple:
            return {"tuple": self._pack_all(x, place)}
        if kind is dict:
            for key in x:
                if type(key) is not str:
                    raise TypeError(f"{_at(place)}: the key {key!r} is no str: {REMEDY}.")
            return {"dict": {key: self.pack(part, (*place, key)) for key, part in x.items()}}
        if isinstance(x, np.generic):
            return {"scalar": self._add(np.asarray(x), place)}
        if kind in ARRAYS and x.dtype == object:
            return self._pack_objects(x, place)
        if kind in ARRAYS:
            return {"array": self._add(x, place)}
        raise TypeError(f"{_at(place)}: {_what(x)} cannot be saved: {REMEDY}.")

    def _pack_all(self, parts: Any, place: Place) -> list[Any]:
        return [self.pack(part, (*place, i)) for i, part in enumerate(parts)]

    def _pack_objects(self, x: Any, place: Place) -> Any:
        items = x.ravel().tolist()
        for item in items:
            if isinstance(item, (list, tuple, dict, np.ndarray)):
                raise TypeError(f"{_at(place)}: {_what(item)} in an array: {REMEDY}.")
        return {"objects": [list(x.shape), [self.pack(item, place) for item in items]]}

    def _add(self, x: Any, place: Place) -> int:
        array = np.asarray(x, x.dtype.newbyteorder("<"), order="C")
        if not DTYPES.fullmatch(array.dtype.str):
            raise TypeError(f"{_at(place)}: an array of {array.dtype} cannot be saved: {REMEDY}.")
        number = len(self.arrays)
        self.places.append(place)
        self.arrays.append(array)
        self.entries.append(
            {
                "name": f"arrays/{number}",
                "dtype": array.dtype.str,
                "shape": list(array.shape),
                "bytes": array.nbytes,
                "sha256": hashlib.sha256(bytes_of(array)).hexdigest(),
            }
        )
        return number


def _at(place: Place) -> str:
    """Say where in a tree something is."""
    return f"at {''.join(f'[{key!r}]' for key in place)}" if place else "at the top"


def _what(x: Any) -> str:
    """Say what something is."""
    if callable(x) and hasattr(x, "__qualname__"):
        return f"the {type(x).__name__} {x.__module__}.{x.__qualname__}, which is code,"
    return f"a {type(x).__module__}.{type(x).__qualname__}"


def bytes_of(array: Any) -> Any:
    """Give the bytes of a C-contiguous array: a view, not a copy."""
    return array.reshape(-1).view(np.uint8)


def unpacked(arrays: list[np.ndarray], node: Any) -> Any:
    """Make the tree again from its JSON and its arrays.

    Raises
    ------
    PersistError
        If that makes no sense.

    Examples
    --------
    >>> unpacked([np.zeros(2)], {"tuple": [{"array": 0}, {"float": "inf"}]})
    (array([0., 0.]), inf)
    """
    unpacker = _Unpacker(arrays)
    tree = unpacker.unpack(node, 0)
    if unpacker.used != len(arrays):
        raise PersistError(f"is damaged: it has {len(arrays)} arrays and uses {unpacker.used}.")
    return tree


class _Unpacker:
    """Trusts nothing: each array must be there once, in order."""

    def __init__(self, arrays: list[np.ndarray]) -> None:
        self.arrays = arrays
        self.used = 0

    def unpack(self, node: Any, depth: int) -> Any:
        """Give what one piece of JSON means."""
        if depth > DEEPEST:
            raise PersistError(f"is nested deeper than {DEEPEST} levels.")
        if isinstance(node, list):
            return [self.unpack(part, depth + 1) for part in node]
        if not isinstance(node, dict):
            return node
        ((tag, value),) = node.items()
        if tag == "dict":
            return {key: self.unpack(part, depth + 1) for key, part in value.items()}
        if tag == "tuple":
            return tuple([self.unpack(part, depth + 1) for part in value])
        if tag == "array":
            return self._next(value)
        if tag == "scalar":
            return self._next(value)[()]
        if tag == "objects":
            shape, items = value
            return self._objects(shape, items, depth)
        if tag == "int":
            return int(value, 16)
        if tag == "float":
            return float(value)
        raise PersistError(f"is damaged: it has a {tag!r}, which is nothing known.")

    def _next(self, number: Any) -> Any:
        if number != self.used or number >= len(self.arrays):
            raise PersistError(f"is damaged: array {number!r} where {self.used} is due.")
        self.used += 1
        return self.arrays[number]

    def _objects(self, shape: Any, items: Any, depth: int) -> Any:
        if math.prod(shape) != len(items):
            raise PersistError(f"is damaged: {len(items)} objects for the shape {shape}.")
        array = np.empty(len(items), dtype=object)
        array[:] = [self.unpack(item, depth) for item in items]
        return array.reshape(shape)

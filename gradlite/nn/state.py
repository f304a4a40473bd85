"""Loading a state: all of its misfits in one error, before anything is changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from gradlite.autodiff.operands import as_plain
from gradlite.autodiff.tensor import Tensor
from gradlite.autodiff.writes import mark_written
from gradlite.errors import StateError, compare_names


def load(own: dict[str, np.ndarray], state: Mapping[str, Any], strict: bool, owner: str) -> None:
    """Copy the arrays of a state into those of a module; raise StateError if they do not fit."""
    given = {name: _plain(name, value) for name, value in state.items()}
    shared = [name for name in own if name in given]
    problems = list(compare_names(list(own), list(given))) if strict else []
    for name in shared:
        if given[name].shape != own[name].shape:
            problems.append(
                f"{name} has shape {given[name].shape} there and {own[name].shape} here"
            )
        elif given[name].dtype.kind not in "fiub":
            problems.append(f"{name} holds {given[name].dtype} data there, not numbers")
        elif not own[name].flags.writeable:
            problems.append(f"{name} is read-only here (mmap_mode='c' makes it writable)")
    if problems:
        raise StateError(
            f"This state does not fit {owner}: {'; '.join(problems)}. "
            f"Nothing was loaded."
            + (" strict=False loads the names that both have." if strict else "")
        )
    for name in shared:
        np.copyto(own[name], given[name], casting="unsafe")
        mark_written(own[name])


def _plain(name: str, value: Any) -> np.ndarray:
    if isinstance(value, Tensor):
        value._stay_on_tape("load_state_dict()")
        return value.data
    return np.asarray(as_plain(value, f"{name} of the state is"))

"""Every derivative rule as a mathematical formula, written by hand.

`elementwise` and `losses` treat one number each, in Python's syntax; `arrays` and `linalg` are in
LaTeX. A test evaluates each formula against its rule.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gradlite.autodiff.rule import Rule
from gradlite.draw.mathematics.arrays import ARRAYS
from gradlite.draw.mathematics.elementwise import ELEMENTWISE
from gradlite.draw.mathematics.entry import Arraywise, Elementwise, Entries, Entry
from gradlite.draw.mathematics.linalg import LINALG
from gradlite.draw.mathematics.losses import LOSSES

__all__ = ["MATHEMATICS", "Arraywise", "Elementwise", "Entry", "entry_of"]

MATHEMATICS: Entries = {**ELEMENTWISE, **LOSSES, **ARRAYS, **LINALG}
"""By the name of a rule; of two rules by one name, one is listed by that of its function."""


def entry_of(rule: Rule, params: Mapping[str, Any] | None = None) -> Entry | None:
    """Return the formulas of a rule, None if it is not gradlite's."""
    vjps = (*rule.vjps, rule.variadic)
    if not all(vjp is None or str(vjp.__module__).startswith("gradlite.") for vjp in vjps):
        return None
    name = getattr(rule.fn, "__name__", "")
    entry = MATHEMATICS.get(f"gl.{name}") or MATHEMATICS.get(rule.name)
    return entry(params or {}) if callable(entry) else entry

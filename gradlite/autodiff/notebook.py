"""The display of arrays and networks in a notebook: self-contained HTML.

The colours work on light and dark pages: text takes the colour of the page, and tints are
transparent.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any, TypeAlias

import numpy as np

Branch: TypeAlias = tuple[str, str, list["Branch"]]

EDGE = 6
"""The number of entries shown at each end of a longer axis."""

NEGATIVE, POSITIVE = "0, 114, 178", "213, 94, 0"
"""Blue and vermilion, as red, green, blue: colours that the colour-blind can distinguish."""

STYLE = """\
<style>
.gradlite { font-size: 13px; line-height: 1.5; }
.gradlite .facts { margin-bottom: 4px; }
.gradlite .facts span, .gradlite .note { opacity: .7; margin-left: .8em; }
.gradlite .arrays { display: flex; flex-wrap: wrap; gap: 4px 24px; overflow-x: auto; }
.gradlite table { border-collapse: collapse; margin: 0; table-layout: auto; color: inherit; }
.gradlite table tbody tr:nth-child(n) { background: none; }
.gradlite caption { text-align: left; padding: 0; opacity: .7; color: inherit; }
.gradlite th, .gradlite td { padding: 1px 7px; text-align: right; white-space: nowrap; }
.gradlite td { font-family: monospace; border: 1px solid rgba(128, 128, 128, .35); }
.gradlite th { font-weight: normal; font-size: 11px; opacity: .55; border: 0; }
.gradlite details details { margin-left: 1.3em; }
.gradlite details .part { margin-left: 2.4em; }
.gradlite summary { cursor: pointer; }
.gradlite .tree code { background: none; color: inherit; padding: 0; }
</style>
"""


def array_html(title: str, array: np.ndarray, facts: Iterable[str], grad: Any = None) -> str:
    """Return an array as a table, with its gradient beside it.

    Parameters
    ----------
    title : str
        The title.
    array : array
        Real numbers. If it has more than two axes, the first two-dimensional slice is shown.
    facts : iterable of str
        Facts to show after the title.
    grad : array, optional
        The gradient, of the same shape.

    Returns
    -------
    str
        HTML.

    Examples
    --------
    >>> "<td" in array_html("Tensor", np.ones(2), ["shape (2,)"])
    True
    """
    tables = [_table("data", array)] + ([] if grad is None else [_table("grad", grad)])
    said = "".join(f"<span>{escape(fact)}</span>" for fact in facts)
    head = f'<div class="facts"><b>{escape(title)}</b>{said}</div>'
    return _page(f'{head}<div class="arrays">{"".join(tables)}</div>')


def tree_html(root: Branch) -> str:
    """Return a tree whose branches fold; those with only leaves are folded at first.

    Parameters
    ----------
    root : tuple of str, str and list
        The title, a note, and the branches, which are such tuples again.

    Returns
    -------
    str
        HTML.

    Examples
    --------
    >>> "<summary>" in tree_html(("Linear", "6 parameters", [("weight", "(2, 3)", [])]))
    True
    """
    return _page(f'<div class="tree">{_branch(root, unfolded=True)}</div>')


def number_html(title: str, data: Any, grad: Any, facts: Iterable[str]) -> str:
    """Return a single number and its gradient as a table.

    Examples
    --------
    >>> "<td>grad</td><td>0.5</td>" in number_html("x", 2.0, 0.5, [])
    True
    """
    said = "".join(f"<span>{escape(fact)}</span>" for fact in facts)
    head = f'<div class="facts"><b>{escape(title)}</b>{said}</div>'
    rows = "".join(
        f"<tr><td>{name}</td><td>{escape(digits(x))}</td></tr>"
        for name, x in (("data", data), ("grad", grad))
    )
    return _page(f"{head}<table>{rows}</table>")


def digits(x: Any) -> str:
    """Return a number with six digits, anything else as text."""
    try:
        return f"{float(x):.6g}"
    except (TypeError, ValueError, OverflowError):
        return str(x)


def _page(inside: str) -> str:
    return f'{STYLE}<div class="gradlite">{inside}</div>'


def _branch(branch: Branch, unfolded: bool = False) -> str:
    title, note, parts = branch
    line = f"<code>{escape(title)}</code>"
    if note:
        line += f'<span class="note">{escape(note)}</span>'
    if not parts:
        return f'<div class="part">{line}</div>'
    state = ' open=""' if unfolded or any(inner for *_, inner in parts) else ""
    inside = "".join(map(_branch, parts))
    return f"<details{state}><summary>{line}</summary>{inside}</details>"


def _table(name: str, array: np.ndarray) -> str:
    """Return the first two-dimensional slice of an array as a table with row and column numbers."""
    slices = array.ndim - 2
    if slices > 0:
        name = f"{name}[{'0, ' * slices}:, :]"
        array = array[(0,) * slices] if array.size else np.empty((0, 0))
    cells = np.atleast_2d(array)
    rows, columns = map(_shown, cells.shape)
    scale = _scale(cells)
    lines = [[_head(j) for j in columns]]
    lines += [[_cell(cells, i, j, scale) for j in columns] for i in rows]
    if array.ndim > 1:
        lines = [[_head(i), *line] for i, line in zip([None, *rows], lines, strict=True)]
    elif array.ndim == 0:
        del lines[0]
    body = "".join(f"<tr>{''.join(line)}</tr>" for line in lines)
    return f"<table><caption>{escape(name)}</caption>{body}</table>"


def _shown(length: int) -> Sequence[int | None]:
    """Return the indices of an axis that are shown, with None for those omitted."""
    if length <= 2 * EDGE:
        return range(length)
    return [*range(EDGE), None, *range(length - EDGE, length)]


def _scale(cells: np.ndarray) -> float:
    """Return the largest finite magnitude, without temporary arrays where it can."""
    ends = [float(end) for end in (cells.min(initial=0), cells.max(initial=0))]
    if not all(map(math.isfinite, ends)):
        finite = cells[np.isfinite(cells)]
        ends = [float(finite.min(initial=0)), float(finite.max(initial=0))]
    return max(map(abs, ends))


def _head(place: int | None) -> str:
    return f"<th>{'' if place is None else place}</th>"


def _cell(cells: np.ndarray, i: int | None, j: int | None, scale: float) -> str:
    if i is None or j is None:
        return "<td>…</td>"
    x = cells[i, j]
    text = f"{x:.4g}" if cells.dtype.kind == "f" else str(x)
    return f"<td{_tint(float(x), scale)}>{text}</td>"


def _tint(x: float, scale: float) -> str:
    """Return the style of a cell: its colour by sign and size, or that for NaN and infinity."""
    if not math.isfinite(x):
        return ' style="background: rgba(204, 121, 167, .6)"'
    strength = abs(x) / scale if scale else 0.0
    if strength < 0.005:
        return ""
    return f' style="background: rgba({POSITIVE if x > 0 else NEGATIVE}, {0.55 * strength:.2f})"'

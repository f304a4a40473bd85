"""What the tests of the rules share: drawing arguments, calling on them, looking at graphs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import settings

import gradlite as gl


def few(examples: int) -> settings:
    """Try a few random examples (conftest.py: the same ones in every run)."""
    return settings(max_examples=examples)


def unaddressed(case: Any) -> str:
    """Write a case as an id that is the same in every process, where tests run side by side."""
    with np.printoptions(threshold=4, edgeitems=1):
        return re.sub(r" at 0x[0-9a-f]+", "", repr(case))


# -- layouts of memory --------------------------------------------------------------------------

Layout = Callable[[Any], np.ndarray]


def strided(x: Any) -> np.ndarray:
    """Lay out in every second element along each axis of an array whose others are 99."""
    around = np.full([2 * n for n in np.shape(x)], 99).astype(np.asarray(x).dtype)
    view = around[(*[slice(None, None, 2)] * np.ndim(x), ...)]
    view[...] = x
    return view


def reverse_strided(x: Any) -> np.ndarray:
    """Lay out from the end of memory to its beginning."""
    backwards = (*[slice(None, None, -1)] * np.ndim(x), ...)
    return np.array(np.asarray(x)[backwards], order="C")[backwards]


def read_only(x: Any) -> np.ndarray:
    """Lay out in memory that cannot be written to."""
    x = np.array(x)
    x.flags.writeable = False
    return x


LAYOUTS: dict[str, Layout] = {
    "F": lambda x: np.array(x, order="F"),
    "strided": strided,
    "reverse": reverse_strided,
    "read-only": read_only,
}
"""Other ways to hold the same elements in memory."""


def first_row(x: Any) -> np.ndarray:
    """Put the first row in place of all, where the elements are real numbers."""
    return np.broadcast_to(x[:1], x.shape) if x.ndim and x.dtype.kind == "f" else x


def first_column(x: Any) -> np.ndarray:
    """Put the first column in place of all, where the elements are real numbers."""
    return np.broadcast_to(x[..., :1], x.shape) if x.ndim and x.dtype.kind == "f" else x


STRIDE_0: dict[str, Layout] = {"first row": first_row, "first column": first_column}
"""Ways to hold other elements, many of them in one place of memory."""


# -- calls ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Draw:
    """An array yet to be drawn: its shape, and the function that draws it.

    Floating-point arrays are what a test differentiates by; others are constants.
    """

    shape: tuple[int, ...]
    domain: Callable[[np.random.Generator, tuple[int, ...]], Any]

    def __repr__(self) -> str:
        return f"{self.domain.__name__}({','.join(map(str, self.shape))})"


@dataclass(frozen=True)
class Slot:
    """The place of the drawn floating-point array `number` among a call's arguments."""

    number: int


@dataclass(frozen=True)
class Call:
    """One way to call a function: arguments in which `Draw` stands for arrays to be drawn.

    `alone` is the reason why autograd is no witness of this call.
    """

    args: tuple[Any, ...]
    params: dict[str, Any] = field(default_factory=dict)
    alone: str = ""

    def __post_init__(self) -> None:
        if any(isinstance(value, Draw) for value in self.params.values()):
            object.__setattr__(self, "alone", "autograd does not follow keyword arguments")

    def __repr__(self) -> str:
        shown = [brief(arg) for arg in self.args]
        return "; ".join(shown + [f"{k}={brief(v)}" for k, v in self.params.items()]) or "()"

    def draw(
        self, dtype: Any = np.float64, seed: int = 0, layout: Layout = np.asarray
    ) -> tuple[list[np.ndarray], Any]:
        """Draw the arrays; give the floating-point ones, and what makes the call on such.

        All of them, and the constants among the arguments, are laid out in memory by `layout`.
        """
        rng = np.random.default_rng(seed)
        points: list[np.ndarray] = []

        def visit(part: Any) -> Any:
            if isinstance(part, Draw):
                array = np.asarray(part.domain(rng, part.shape))
                if array.dtype.kind != "f":
                    return layout(array)
                points.append(layout(array.astype(dtype)))
                return Slot(len(points) - 1)
            if isinstance(part, np.ndarray):
                return layout(part)
            if isinstance(part, (list, tuple)):
                return type(part)(map(visit, part))
            return part

        args = visit(self.args)
        params = {name: visit(value) for name, value in self.params.items()}

        def run(fn: Callable[..., Any], *xs: Any) -> Any:
            return fn(*fill(args, xs), **{name: fill(value, xs) for name, value in params.items()})

        return points, run


def brief(x: Any) -> str:
    """Show an argument in the name of a test."""
    if isinstance(x, (list, tuple)):
        return ("[{}]" if isinstance(x, list) else "({})").format(",".join(map(brief, x)))
    if isinstance(x, np.ndarray) or hasattr(x, "tocsr"):
        return f"{x.dtype}({','.join(map(str, x.shape))})"
    return f"{x}" if not isinstance(x, slice) else f"{x.start}:{x.stop}:{x.step}"


def fill(part: Any, xs: Any) -> Any:
    """Put arrays in the slots of a structure."""
    if isinstance(part, Slot):
        return xs[part.number]
    if isinstance(part, (list, tuple)):
        return type(part)(fill(inner, xs) for inner in part)
    return part


def as_one(output: Any) -> Any:
    """Put several outputs into one vector, to differentiate them together."""
    if isinstance(output, (tuple, list)):
        return np.concatenate([np.ravel(part) for part in output])
    return output


def leaves(*arrays: Any) -> list[gl.Tensor]:
    """Make Tensors that require a gradient, without copying."""
    return [gl.Tensor(x, requires_grad=True, copy=False) for x in arrays]


def nodes_behind(tensor: gl.Tensor) -> Iterator[Any]:
    """Return every recorded operation behind a Tensor, once."""
    pending, seen = [tensor._node], set()
    while pending:
        node = pending.pop()
        if node is not None and node not in seen and node.rule is not None:
            seen.add(node)
            yield node
            pending.extend(node.parents)


def gradients(f: Callable[..., Any], *arrays: Any, cotangent: Any = None) -> list[Any]:
    """Return the gradient of ``sum(f(*arrays))`` with respect to each array (or of f, weighted)."""
    output, pull = gl.vjp(f, *arrays)
    return list(pull(np.ones_like(output) if cotangent is None else cotangent))

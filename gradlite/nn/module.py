"""Module: what networks are built from. It holds parameters and other modules, and computes.

There is nothing to register: the parts of a module are found among its attributes. A `Parameter`, a
`Module`, and lists, tuples and dicts of them belong to it, in the order of their assignment, under
PyTorch's names for them: ``"layers.0.weight"``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Self, TypeAlias, TypeVar

import numpy as np

from gradlite.autodiff.modes import current_mode
from gradlite.autodiff.operands import as_plain
from gradlite.autodiff.tensor import Tensor
from gradlite.autodiff.writes import mark_written
from gradlite.compiler.tracing import Inspector
from gradlite.errors import CompileError, DtypeError, GraphError, StateError, compare_names

T = TypeVar("T")
Named = tuple[str, T]
Rng: TypeAlias = "np.random.Generator | None"  # a string: NumPy loads its generators on first use

DRAWS: ContextVar[Rng] = ContextVar("gradlite_draws", default=None)
EVAL_MODE: ContextVar[bool] = ContextVar("gradlite_eval_mode", default=False)


def generator(rng: Rng) -> np.random.Generator:
    """Return what a layer draws from: its own `rng`, that of `random_draws`, or a new one."""
    if rng is None:
        rng = DRAWS.get()
        if rng is None and isinstance(current_mode().inspector, Inspector):
            raise CompileError.here("A layer that draws is created in each call: do so before it.")
    return np.random.default_rng(rng)


@contextmanager
def random_draws(rng: np.random.Generator) -> Iterator[None]:
    """Make layers constructed inside the block draw from `rng`, unless they have their own.

    Examples
    --------
    >>> import numpy as np
    >>> from gradlite.nn.layers import Linear
    >>> with random_draws(np.random.default_rng(0)):
    ...     net = Linear(3, 2)
    >>> bool(np.all(net.weight.data == Linear(3, 2, rng=np.random.default_rng(0)).weight.data))
    True
    """
    token = DRAWS.set(rng)
    try:
        yield
    finally:
        DRAWS.reset(token)


class eval_mode:
    """Run every module in eval mode inside the block, in the current context only.

    No module is written to, so a thread that is training one is not affected. With False, modules
    are in the mode that `train` and `eval` set, even within an outer `eval_mode`.

    Examples
    --------
    >>> net = Module()
    >>> with eval_mode():
    ...     net.training
    False
    >>> net.training
    True
    """

    __slots__ = ("mode", "token")

    def __init__(self, mode: bool = True) -> None:
        self.mode = mode

    def __enter__(self) -> None:
        self.token = EVAL_MODE.set(self.mode)

    def __exit__(self, *exc: object) -> None:
        EVAL_MODE.reset(self.token)


class Parameter(Tensor):
    """A Tensor that a module trains.

    Parameters
    ----------
    data : array_like or Tensor
        The initial values. Of a Tensor the data is copied; the parameter is a new leaf.
    requires_grad : bool, default True
        Whether the parameter is trained; it is saved with the module in either case.
    dtype : dtype, optional
        The type of the data; by default that of `data`.
    copy : bool, default True
        False shares memory with `data`.

    Raises
    ------
    GraphError
        If `data` is the result of a recorded operation.
    DtypeError
        If `data` does not consist of numbers, or a gradient is asked of integers.

    Examples
    --------
    >>> import numpy as np
    >>> from gradlite.nn.module import Parameter
    >>> Parameter(np.zeros(2, np.float32))
    Tensor([0., 0.], shape=(2,), dtype=float32, requires_grad=True)
    """

    __slots__ = ()

    def __init__(
        self, data: Any, requires_grad: bool = True, dtype: Any = None, copy: bool = True
    ) -> None:
        if isinstance(data, Tensor) and data.is_leaf:
            data._stay_on_tape("Parameter()")
            data = data.data
        super().__init__(data, requires_grad, dtype, copy)
        if not self.is_leaf:
            raise GraphError(
                "A Parameter is a leaf, but this data is the result of a recorded operation, whose "
                "inputs would not be trained. Pass data.detach() to start from its values, or "
                "compute it in forward() each time."
            )


class Module:
    """Base class of layers and networks.

    A subclass assigns its parameters and modules as attributes and defines `forward`; calling
    the module calls that.

    Examples
    --------
    >>> import numpy as np, gradlite as gl
    >>> from gradlite.nn.module import Module, Parameter
    >>> class Line(Module):
    ...     def __init__(self):
    ...         self.slope = Parameter(2.0)
    ...         self.offset = Parameter(1.0)
    ...
    ...     def forward(self, x):
    ...         return self.slope * x + self.offset
    >>> line = Line()
    >>> line(np.array([0.0, 10.0])).data
    array([ 1., 21.])
    >>> [name for name, _ in line.named_parameters()]
    ['slope', 'offset']
    """

    _buffer_names: tuple[str, ...] = ()

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Create the module; raise TypeError for data in place of settings, and other misuse."""
        name = cls.__name__
        if args and getattr(args[0], "ndim", None) and cls.__module__.startswith(f"{__package__}."):
            raise TypeError(
                f"{name}(...) creates a layer and takes no data. Create it first, then call it: "
                f"layer = nn.{name}(...); layer(x)."
            )
        if (args or kwargs) and cls.__init__ is object.__init__:  # which would ignore them
            raise TypeError(
                f"{name}() takes no arguments. Data is for the call: layer = {name}(); layer(x)."
            )
        return super().__new__(cls)

    @property
    def training(self) -> bool:
        """Whether the module is being trained: dropout and batch normalization depend on it.

        `train` and `eval` set it. While an estimator predicts with the module, it is False there,
        even if another thread is training the module.
        """
        return bool(vars(self).get("training", True)) and not EVAL_MODE.get()

    @training.setter
    def training(self, mode: bool) -> None:
        vars(self)["training"] = mode

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the output; each subclass defines it."""
        name = type(self).__name__
        raise NotImplementedError(
            f"{name} has no forward method: define forward(self, x) in class {name}."
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the output: call `forward`."""
        return self.forward(*args, **kwargs)

    # -- what it consists of ----------------------------------------------------------------

    def _parts(self, kind: type[T]) -> Iterator[Named[T]]:
        """Yield the parameters or the modules that are attributes, with their names."""
        return _found(kind, vars(self))

    def _buffers(self) -> Iterator[Named[np.ndarray]]:
        """Yield the buffers of this module, without those of its parts."""
        for name in self._buffer_names:
            array = vars(self)[name]
            if not isinstance(array, np.ndarray):  # arithmetic turns 0-d arrays into NumPy scalars
                array = vars(self)[name] = np.asarray(array)
            yield name, array

    def _tree(self, prefix: str = "", above: tuple[Module, ...] = ()) -> Iterator[Named[Module]]:
        """Yield this module and all modules in it, each under every name that it has."""
        yield prefix, self
        above = (*above, self)
        for name, child in self._parts(Module):
            if child not in above:  # a module may refer to the one it is part of
                yield from child._tree(_join(prefix, name), above)

    def named_modules(self, prefix: str = "") -> list[Named[Module]]:
        """Return this module and all modules in it, with their names; each is listed once."""
        return _once(self._tree(prefix))

    def modules(self) -> list[Module]:
        """Return this module and all modules in it, each once."""
        return [module for _, module in self.named_modules()]

    def named_children(self) -> list[Named[Module]]:
        """Return the modules that are attributes of this one, with their names."""
        return _once(self._parts(Module))

    def children(self) -> list[Module]:
        """Return the modules that are attributes of this one."""
        return [module for _, module in self.named_children()]

    def named_parameters(self, prefix: str = "") -> list[Named[Parameter]]:
        """Return all parameters with their names; a shared parameter is listed once."""
        return _once(
            (_join(path, name), p)
            for path, module in self.named_modules(prefix)
            for name, p in module._parts(Parameter)
        )

    def parameters(self) -> list[Parameter]:
        """Return all parameters, each once: those of a module come before those of its parts."""
        return [p for _, p in self.named_parameters()]

    def register_buffer(self, name: str, array: Any) -> None:
        """Add an array that belongs to the state but is not trained, such as running statistics.

        It becomes the attribute `name`; change it in place. A read-only array is copied.
        """
        self._buffer_names = (*self._buffer_names, name)
        setattr(self, name, np.require(as_plain(array, "A buffer of"), None, ["W", "E"]))

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        for name in self._buffer_names:  # they are read-only in a memory-mapped pickle
            if isinstance(state[name], np.ndarray):
                setattr(self, name, np.require(state[name], None, ["W", "E"]))

    def named_buffers(self, prefix: str = "") -> list[Named[np.ndarray]]:
        """Return all buffers with their names."""
        return _once(
            (_join(path, name), array)
            for path, module in self.named_modules(prefix)
            for name, array in module._buffers()
        )

    def buffers(self) -> list[np.ndarray]:
        """Return all buffers."""
        return [array for _, array in self.named_buffers()]

    # -- saving and loading -----------------------------------------------------------------

    def _state(self) -> dict[str, np.ndarray]:
        """Return the arrays of parameters and buffers themselves, by name.

        As in PyTorch, a shared parameter appears under each of its names.
        """
        state = {}
        for path, module in self._tree():
            for name, p in module._parts(Parameter):
                state[_join(path, name)] = p.data
            for name, array in module._buffers():
                state[_join(path, name)] = array
        return state

    def state_dict(self) -> dict[str, np.ndarray]:
        """Return copies of all parameters and buffers, by name."""
        return {name: array.copy() for name, array in self._state().items()}

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True) -> None:
        """Copy parameters and buffers from a dict into the arrays of this module.

        Parameters
        ----------
        state : mapping of str to array_like
            What `state_dict` returned: arrays, Tensors, or PyTorch's tensors. Values are converted
            to the types of this module.
        strict : bool, default True
            Whether the names must be exactly those of this module. If False, only the names that
            both have are loaded.

        Raises
        ------
        StateError
            If names are missing or unexpected, or shapes differ. One message lists all of it, and
            nothing is changed.
        """
        own = self._state()
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
                f"This state does not fit {type(self).__name__}: {'; '.join(problems)}. "
                f"Nothing was loaded."
                + (" strict=False loads the names that both have." if strict else "")
            )
        for name in shared:
            np.copyto(own[name], given[name], casting="unsafe")
            mark_written(own[name])

    # -- changing all of it -------------------------------------------------------------------

    def train(self, mode: bool = True) -> Self:
        """Set this module and all modules in it to training mode, or with False to eval mode."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Set this module and all modules in it to eval mode: ``train(False)``."""
        return self.train(False)

    def zero_grad(self) -> None:
        """Empty the gradients of all parameters."""
        for p in self.parameters():
            p.zero_grad()

    def requires_grad_(self, wanted: bool = True) -> Self:
        """Make all parameters trainable, or with False freeze them."""
        for p in self.parameters():
            p.requires_grad = wanted
        return self

    def apply(self, fn: Callable[[Module], Any]) -> Self:
        """Call `fn` with this module and all modules in it, each once."""
        for module in self.modules():
            fn(module)
        return self

    def astype(self, dtype: Any) -> Self:
        """Convert all floating-point parameters and buffers; gradients are dropped.

        Create the optimiser afterwards, because it keeps views of the arrays.
        """
        dtype = np.dtype(dtype)
        if dtype.kind != "f":
            raise DtypeError(f"A network computes in floating point; astype got {dtype}.")
        for p in self.parameters():
            if p.dtype.kind == "f" and p.dtype != dtype:
                trained, p.requires_grad = p.requires_grad, False
                p._data, p._frozen = p.data.astype(dtype), None
                p.requires_grad = trained
        for module in self.modules():
            for name, array in module._buffers():
                if array.dtype.kind == "f":
                    setattr(module, name, array.astype(dtype))
        return self

    # -- how it looks -------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """Return the text in parentheses after the class name in the repr."""
        return ""

    def _title(self) -> str:
        """Return the call that creates this module, as text."""
        name, text = type(self).__name__, self.extra_repr()
        return f"{name}({text})" if text or not self.children() else name

    def _lines(self, above: tuple[Module, ...] = ()) -> Iterator[tuple[str, int]]:
        """Yield the lines of the tree, each with its number of parameters."""
        yield self._title(), sum(p.size for _, p in self.named_parameters())
        above = (*above, self)
        for name, child in self._parts(Module):
            if child not in above:
                for i, (text, count) in enumerate(child._lines(above)):
                    yield f"  {text}" if i else f"  {name}: {text}", count

    def __repr__(self) -> str:
        (title, total), *rest = self._lines()
        lines = [f"{title} ({total:,} parameters)" if total else title]
        lines += [f"{text} ({count:,})" if count else text for text, count in rest]
        return "\n".join(lines)

    def _outline(
        self, name: str = "", above: tuple[Module, ...] = ()
    ) -> tuple[str, str, list[Any]]:
        """Return the title, the number of parameters, and the same for every parameter and part."""
        above = (*above, self)
        count = sum(p.size for _, p in self.named_parameters())
        inside: list[Any] = [
            (name, f"{p.shape} {p.dtype}" + ("" if p.requires_grad else ", frozen"), [])
            for name, p in self._parts(Parameter)
        ]
        for part, child in self._parts(Module):
            if child not in above:
                inside.append(child._outline(part, above))
        title = f"{name}: {self._title()}" if name else self._title()
        return title, f"{count:,} parameters" if count else "", inside

    def _repr_html_(self) -> str:
        from gradlite.autodiff.notebook import tree_html

        return tree_html(self._outline())


def _found(kind: type[T], holder: Any, path: str = "") -> Iterator[Named[T]]:
    """Yield the objects of a type in a dict, list or tuple, nested ones too, with their names."""
    for key, part in holder.items() if isinstance(holder, dict) else enumerate(holder):
        if isinstance(part, kind):
            yield _join(path, key), part
        elif isinstance(part, (list, tuple, dict)):
            yield from _found(kind, part, _join(path, key))


def _join(path: str, name: Any) -> str:
    return f"{path}.{name}" if path else str(name)


def _once(named: Iterable[Named[T]]) -> list[Named[T]]:
    """Return each object once, under the first of its names."""
    first: dict[int, Named[T]] = {}
    for name, part in named:
        first.setdefault(id(part), (name, part))
    return list(first.values())


def _plain(name: str, value: Any) -> np.ndarray:
    if isinstance(value, Tensor):
        value._stay_on_tape("load_state_dict()")
        return value.data
    return np.asarray(as_plain(value, f"{name} of the state is"))

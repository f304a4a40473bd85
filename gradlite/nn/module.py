"""Module: what networks are built from. It holds parameters and other modules, and computes.

There is nothing to register: the parts of a module are found among its attributes. A `Parameter`, a
`Module`, and lists, tuples and dicts of them belong to it, in the order of their assignment, under
PyTorch's names for them: ``"layers.0.weight"``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any, Self, TypeVar

import numpy as np

from gradlite.autodiff.operands import as_plain
from gradlite.errors import DtypeError
from gradlite.nn.hooks import BACKWARD, FORWARD, PRE, Hooks, RemovableHandle, register
from gradlite.nn.modes import EVAL_MODE, Rng, eval_mode, generator, random_draws
from gradlite.nn.parameter import Parameter, check_replacement, short_type
from gradlite.nn.parts import Named, check_name, children_first, found, join, once, writable
from gradlite.nn.state import load

__all__ = ["Module", "Parameter", "Rng", "eval_mode", "generator", "random_draws"]

T = TypeVar("T")


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
    _transient_names: tuple[str, ...] = ()  # of buffers that are not saved
    _hooks: Hooks | None = None

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

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; raise TypeError for numbers in place of a parameter."""
        if isinstance(self.__dict__.get(name), Parameter):
            check_replacement(self, name, value)
        super().__setattr__(name, value)

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
        """Compute the output: call `forward`, and the hooks if there are any."""
        if self._hooks is None:
            return self.forward(*args, **kwargs)
        return self._hooks.call(self, args, kwargs)

    def register_forward_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call ``hook(module, args)`` before `forward`, and return a handle to ``remove()`` it.

        `args` is the tuple of positional arguments. What the hook returns, unless None, takes
        their place: a tuple, or one argument.
        """
        return register(self, PRE, hook)

    def register_forward_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call ``hook(module, args, output)`` after `forward`, and return a handle to remove it.

        What the hook returns, unless None, takes the output's place.

        Examples
        --------
        >>> from gradlite import nn
        >>> net = nn.Sequential(nn.Identity(), nn.ReLU())
        >>> with net[1].register_forward_hook(lambda module, args, output: print(args, output)):
        ...     y = net(-2.0)  # it is removed at the end of the block, or by handle.remove()
        (-2.0,) 0.0
        """
        return register(self, FORWARD, hook)

    def register_full_backward_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call ``hook(module, grad_input, grad_output)`` in ``backward()``.

        Parameters
        ----------
        hook : callable
            Takes the module and two tuples: the gradients with respect to the positional arguments
            (what this call of the module contributes) and to the outputs; None where none flows.
            Do not change them in place. What it returns, unless None, takes the place of
            `grad_input`.

        Returns
        -------
        RemovableHandle
            Its ``remove()`` removes the hook from later calls, as does the end of a with block.
        """
        return register(self, BACKWARD, hook)

    # -- what it consists of ----------------------------------------------------------------

    def _parts(self, kind: type[T]) -> Iterator[Named[T]]:
        """Yield the parameters or the modules that are attributes, with their names."""
        return found(kind, vars(self))

    def _buffers(self) -> Iterator[Named[np.ndarray]]:
        """Yield the buffers of this module, without those of its parts."""
        for name in self._buffer_names:
            array = vars(self).get(name)
            if array is None:
                continue
            if not isinstance(array, np.ndarray):  # arithmetic turns 0-d arrays into NumPy scalars
                array = vars(self)[name] = np.asarray(array)
            yield name, array

    def _tree(self, prefix: str = "", above: tuple[Module, ...] = ()) -> Iterator[Named[Module]]:
        """Yield this module and all modules in it, each under every name that it has."""
        yield prefix, self
        above = (*above, self)
        for name, child in self._parts(Module):
            if child not in above:  # a module may refer to the one it is part of
                yield from child._tree(join(prefix, name), above)

    def named_modules(self, prefix: str = "") -> list[Named[Module]]:
        """Return this module and all modules in it, with their names; each is listed once."""
        return once(self._tree(prefix))

    def modules(self) -> list[Module]:
        """Return this module and all modules in it, each once."""
        return [module for _, module in self.named_modules()]

    def named_children(self) -> list[Named[Module]]:
        """Return the modules that are attributes of this one, with their names."""
        return once(self._parts(Module))

    def children(self) -> list[Module]:
        """Return the modules that are attributes of this one."""
        return [module for _, module in self.named_children()]

    def named_parameters(self, prefix: str = "") -> list[Named[Parameter]]:
        """Return all parameters with their names; a shared parameter is listed once."""
        return once(self._all_parameters(prefix))

    def _all_parameters(self, prefix: str = "") -> Iterator[Named[Parameter]]:
        """Yield all parameters, each under every name that it has."""
        for path, module in self._tree(prefix):
            for name, p in module._parts(Parameter):
                yield join(path, name), p

    def parameters(self) -> list[Parameter]:
        """Return all parameters, each once: those of a module come before those of its parts."""
        return [p for _, p in self.named_parameters()]

    def get_submodule(self, target: str) -> Module:
        """Return the module of a dotted name, ``"layers.0"``; raise AttributeError if none has it.

        The empty name is that of this module.
        """
        return self._at(target, dict(self._tree()))

    def get_parameter(self, target: str) -> Parameter:
        """Return the parameter of a dotted name; raise AttributeError if none has it."""
        return self._at(target, dict(self._all_parameters()))

    def _at(self, target: str, named: dict[str, T]) -> T:
        if target not in named:
            near = get_close_matches(target, named, 1)
            raise AttributeError(
                f"{type(self).__name__} has no {target!r}"
                + (f": did you mean {near[0]!r}?" if near else ".")
            )
        return named[target]

    # -- adding to it -------------------------------------------------------------------------

    def add_module(self, name: str, module: Module | None) -> None:
        """Add a module as the attribute `name`, which may be one that is no word: ``"0"``, say.

        Raises
        ------
        TypeError
            If it is not a Module.
        ValueError
            If the name has a dot, is empty, or is that of another attribute.
        """
        if module is not None and not isinstance(module, Module):
            raise TypeError(f"{type(self).__name__}.{name} is to be a Module, not {module!r}.")
        check_name(self, name, Module)
        setattr(self, name, module)

    register_module = add_module

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter as the attribute `name`; raise as `add_module` does."""
        if param is not None and not isinstance(param, Parameter):
            raise TypeError(
                f"{type(self).__name__}.{name} is to be a Parameter, not {short_type(param)}: "
                f"write nn.Parameter(...)."
            )
        check_name(self, name, Parameter)
        setattr(self, name, param)

    def register_buffer(self, name: str, array: Any, persistent: bool = True) -> None:
        """Add an array that belongs to the state but is not trained, such as running statistics.

        Parameters
        ----------
        name : str
            It becomes this attribute; change it in place.
        array : array_like or None
            The array, copied if it is read-only; with None there is none yet, and it joins the
            state when one is assigned.
        persistent : bool, default True
            False leaves it out of `state_dict`: for what the module can compute again.

        Raises
        ------
        ValueError
            If the name has a dot, is empty, or is that of another attribute.
        """
        if name not in self._buffer_names:
            check_name(self, name, type(None))
            self._buffer_names = (*self._buffer_names, name)
        others = tuple(x for x in self._transient_names if x != name)
        self._transient_names = others if persistent else (*others, name)
        setattr(self, name, None if array is None else writable(as_plain(array, "A buffer of")))

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        for name in self._buffer_names:  # they are read-only in a memory-mapped pickle
            if isinstance(state[name], np.ndarray):
                setattr(self, name, writable(state[name]))

    def named_buffers(self, prefix: str = "") -> list[Named[np.ndarray]]:
        """Return all buffers with their names."""
        return once(
            (join(path, name), array)
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
                state[join(path, name)] = p.data
            for name, array in module._buffers():
                if name not in module._transient_names:
                    state[join(path, name)] = array
        return state

    def state_dict(self) -> dict[str, np.ndarray]:
        """Return copies of all parameters and buffers, by name.

        Later steps leave them as they are, and writing to them changes nothing here: PyTorch's
        are views. To change the module, write to ``p.data``, or use `load_state_dict`. Buffers
        registered with ``persistent=False`` are left out.
        """
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
        load(self._state(), state, strict, type(self).__name__)

    # -- changing all of it -------------------------------------------------------------------

    def train(self, mode: bool = True) -> Self:
        """Set this module and all modules in it to training mode, or with False to eval mode."""
        self._set_mode(mode, set())
        return self

    def _set_mode(self, mode: bool, seen: set[int]) -> None:
        seen.add(id(self))
        self.training = mode
        for child in self.children():
            if id(child) in seen:  # shared, or the one that this is part of
                continue
            if type(child).train is Module.train and "train" not in vars(child):
                child._set_mode(mode, seen)
            else:  # it decides for all that is in it
                seen.add(id(child))
                child.train(mode)

    def eval(self) -> Self:
        """Set this module and all modules in it to eval mode: ``train(False)``."""
        return self.train(False)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Empty the gradients of all parameters, or with False fill those that exist with 0."""
        for p in self.parameters():
            if set_to_none:
                p.zero_grad()
            elif p.grad is not None:
                p.grad = np.zeros(p.shape, p.dtype)

    def requires_grad_(self, wanted: bool = True) -> Self:
        """Make all parameters trainable, or with False freeze them.

        A frozen parameter's ``grad`` is None; made trainable again, it has the one it had.
        """
        for p in self.parameters():
            p.requires_grad = wanted
        return self

    def apply(self, fn: Callable[[Module], Any]) -> Self:
        """Call `fn` with all modules in this one and then with itself, each once.

        As in PyTorch, the parts of a module come before it.
        """
        for module in children_first(self, set()):
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

    def to(self, dtype: Any) -> Self:
        """Convert to a dtype, as `astype` does; there are no devices."""
        try:
            dtype = np.dtype(dtype)
        except TypeError:
            raise TypeError(
                f"to() takes a dtype, not {dtype!r}. There is one device, the CPU: leave it out."
            ) from None
        return self.astype(dtype)

    def double(self) -> Self:
        """Convert to float64, as `astype` does."""
        return self.astype(np.float64)

    def float(self) -> Self:
        """Convert to float32, as `astype` does."""
        return self.astype(np.float32)

    def half(self) -> Self:
        """Convert to float16, as `astype` does."""
        return self.astype(np.float16)

    # -- how it looks -------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """Return the text in parentheses after the class name in the repr."""
        return ""

    def _title(self) -> str:
        """Return the call that creates this module, as text."""
        name, text = type(self).__name__, self.extra_repr()
        return f"{name}({text})" if text or not self.children() else name

    def __repr__(self) -> str:
        from gradlite.nn.outline import text

        return text(self)

    def _repr_html_(self) -> str:
        from gradlite.autodiff.notebook import tree_html
        from gradlite.nn.outline import tree

        return tree_html(tree(self))

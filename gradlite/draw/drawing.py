"""`draw`: the picture of a result, a module at work, or an estimator."""

from __future__ import annotations

import copy
import inspect
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from gradlite.autodiff.modes import enable_grad
from gradlite.autodiff.rule import Traced
from gradlite.autodiff.tensor import Tensor
from gradlite.draw.dot import DETAILED, picture
from gradlite.draw.folding import fold as folded
from gradlite.draw.picture import Picture, PictureError
from gradlite.draw.scene import Kind, scene
from gradlite.errors import DtypeError
from gradlite.nn.module import Module, _found
from gradlite.scalar import Value
from gradlite.scalar.nn import Module as Neurons
from gradlite.scalar.ops import short


def draw(
    root: Any,
    *data: Any,
    names: Mapping[str, Any] | None = None,
    rankdir: str = "LR",
    fold: bool = True,
) -> Picture:
    """Draw how a result came about.

    Parameters
    ----------
    root : Tensor, Value, Module, or estimator of gradlite
        A result: drawn is what is behind it. A module: it is called on `data`, as in use (eval
        mode). A fitted estimator: with X its network on these rows, with X and y everything down
        to the loss of these rows (but for the penalty of ``alpha``, which training adds apart),
        with neither its network on a row of zeros.
    *data : array_like
        What the module takes, or X, or X and y.
    names : mapping of str to Tensor, Value or array, optional
        What to write at what went in. Parameters of modules have their own names.
    rankdir : {'LR', 'TB'}
        From left to right, or from top to bottom.
    fold : bool, default True
        Whether, in a graph of more than 60 boxes, blocks that are repeated are folded: an
        unrolled loop, many samples through one neuron, many equal layers. Shown are the first
        and the last.

    Returns
    -------
    Picture
        Jupyter shows it; ``save('graph.svg')`` writes it, as .png, .pdf or .dot too, and as
        .html a page to step through the backward pass.

    Raises
    ------
    DtypeError
        If `root` is none of these, or `names` is not such a mapping.
    PictureError
        If the module needs sample input, or gives something else than one Tensor or Value, and
        if `rankdir` is unknown.
    GraphError
        If a backward pass has let the graph go: draw before it, or pass it ``retain_graph=True``.
    ValueError
        If an estimator is not fitted, or X has another number of features.

    Notes
    -----
    A box shows shape, dtype, norm and norm of the gradient of an array, data and gradient of a
    single number, and what was recorded in `gl.debug()` the line of code. Gradients are those that
    are there: run ``backward(retain_graph=True)`` first to see them.

    Nothing changes: a module or network is copied before it is called, so that neither running
    statistics nor random streams move, and nothing is added to a gradient.

    Examples
    --------
    >>> import numpy as np
    >>> from gradlite import nn
    >>> from gradlite.draw import draw
    >>> net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    >>> picture = draw(net, np.zeros((5, 3)))
    >>> picture
    <picture of 11 boxes and ovals>
    >>> [box.name for box in picture.scene.boxes.values() if box.kind == "parameter"]
    ['0.weight', '0.bias', '2.weight', '2.bias']
    """
    names = checked(names)
    with enable_grad():
        what = watched(root, data)
    seen = scene(what.result, {**what.names, **names})
    for box in seen.boxes.values():
        if box.id != seen.root and box.name in what.kinds:
            box.kind = what.kinds[box.name]
    return picture(folded(seen) if fold else seen, DETAILED, rankdir)


def checked(names: Any) -> Mapping[str, Any]:
    """Refuse names that are none."""
    names = {} if names is None else names
    if not isinstance(names, Mapping) or not all(isinstance(name, str) for name in names):
        raise DtypeError(
            f"names must be a dict of str to Tensor, Value or array, such as names={{'x': x}}; "
            f"not {short(names)} ({type(names).__name__})."
        )
    return names


class Subject(NamedTuple):
    """A result, the names of what went in, and the kinds of what they name.

    Inputs are on the tape, so that all is recorded that they go through, but no parameters; and
    the buffers of modules are constants, though they have names.
    """

    result: Any
    names: Mapping[str, Any] = {}
    kinds: Mapping[str, Kind] = {}


def watched(root: Any, data: Sequence[Any]) -> Subject:
    """Have a result computed, if `root` is not one itself."""
    if isinstance(root, Module):
        return of_module(root, data)
    if isinstance(root, Neurons):
        return of_neurons(root, data)
    if hasattr(root, "fit"):
        return of_estimator(root, data)
    if not isinstance(root, Traced):
        one = " Draw one of its elements." if isinstance(root, (list, tuple)) and root else ""
        raise DtypeError(
            f"draw takes the result of a computation (a Tensor or a Value), a module with sample "
            f"input, or a fitted estimator of gradlite; not {short(root)} "
            f"({type(root).__name__}).{one}"
        )
    if data:
        raise PictureError(
            f"draw takes data for a module or an estimator, and {short(root)} is a result: "
            f"draw(result) is all."
        )
    return Subject(root)


def of_module(module: Module, data: Sequence[Any]) -> Subject:
    """Call a copy of a module on sample input, as it is in use."""
    check_sample(module, data)
    module = copy.deepcopy(module).eval()
    given = [as_input(x) for x in data]
    result = called(module, *given)
    return subject(result, dict(zip(arguments(module.forward), given, strict=False)), module)


def arguments(function: Callable[..., Any]) -> Iterator[str]:
    """Name the positional arguments of a function, ``*x`` as x[0], x[1] and so on."""
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is not parameter.VAR_POSITIONAL:
            yield name
        else:
            yield from (f"{name}[{i}]" for i in itertools.count())


def of_neurons(module: Neurons, data: Sequence[Any]) -> Subject:
    """Call neurons on sample input: single numbers become Values, x0 and so on."""
    check_sample(module, data)
    x, *rest = data
    inputs = {"x": x}
    if not isinstance(x, Traced) and np.ndim(x) == 1:
        x = [number if isinstance(number, Value) else Value(number) for number in x]
        inputs = {f"x{i}": number for i, number in enumerate(x)}
    return Subject(called(module, x, *rest), {**dict(weights(module)), **inputs})


def of_estimator(model: Any, data: Sequence[Any]) -> Subject:
    """Apply the network of an estimator to rows, and with targets its loss to the outputs."""
    from sklearn.utils.validation import check_is_fitted

    from gradlite.estimators._base import BaseNet

    if not isinstance(model, BaseNet):
        inside = ""
        if hasattr(model, "steps"):
            inside = " Draw its last step, with X as that gets it."
        elif hasattr(model, "best_estimator_"):
            inside = " Draw its best_estimator_."
        raise DtypeError(
            f"draw takes estimators of gradlite, with a network to draw; not "
            f"{type(model).__name__}.{inside}"
        )
    if len(data) > 2:
        raise PictureError(f"draw takes X and y beside an estimator, not {len(data)} arrays.")
    check_is_fitted(model)
    module: Any = copy.deepcopy(model._module).eval()
    parts = [module] if model._module is model._network else list(module)  # without its index
    if len(data) < 2:
        X = model._check_X(*data) if data else np.zeros((1, model.n_features_in_), model._dtype)
        inputs = {"X": as_input(X)}
        return subject(called(module, inputs["X"]), inputs, *parts)
    X, y = data
    X, y = model._check_data(X, y, reset=False)
    model._check_targets(y, exactly=False)
    samples = model._samples(X, y, None)
    inputs = {"X": as_input(samples.X), "y": samples.target, "sample_weight": samples.weight}
    loss = model._objective(called(module, inputs["X"]), samples.target, samples.weight)
    return subject(loss, inputs, *parts)


def subject(result: Any, inputs: Mapping[str, Any], *modules: Module) -> Subject:
    """Name the inputs, and the parameters and buffers of modules."""
    buffers = {name: array for part in modules for name, array in part.named_buffers()}
    parameters = {name: p for part in modules for name, p in part.named_parameters()}
    kinds: dict[str, Kind] = dict.fromkeys(buffers, "constant")
    kinds.update((name, "input") for name in inputs)
    return Subject(result, {**buffers, **parameters, **inputs}, kinds)


def check_sample(module: Any, data: Sequence[Any]) -> None:
    """Refuse to draw a module without input."""
    if not data:
        name = type(module).__name__
        raise PictureError(
            f"A module is drawn at work: draw(module, x), with a sample of what this {name} takes."
        )


def as_input(x: Any) -> Any:
    """Put floating-point data on the tape, so that everything is recorded that it goes through."""
    if isinstance(x, Tensor) and not x.requires_grad:
        x = x.data
    if isinstance(x, Traced) or hasattr(x, "tocsr"):
        return x
    array = np.asarray(x)
    return Tensor(array, requires_grad=True, copy=False) if array.dtype.kind == "f" else x


def called(module: Any, *data: Any) -> Any:
    """Call a module, which is to give one result."""
    result = module(*data)
    if not isinstance(result, Traced):
        raise PictureError(
            f"This {type(module).__name__} gave {short(result)} ({type(result).__name__}), and "
            f"the graph behind one Tensor or Value can be drawn: call it, and draw one of its "
            f"results."
        )
    return result


def weights(module: Neurons, path: str = "") -> Iterator[tuple[str, Value]]:
    """Give the Values among the attributes of neurons, and of what consists of them, by name."""
    public = {name: part for name, part in vars(module).items() if not name.startswith("_")}
    yield from _found(Value, public, path)
    for name, part in _found(Neurons, public, path):
        yield from weights(part, name)

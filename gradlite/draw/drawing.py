"""`draw`: the picture of a result, of a module on sample input, or of an estimator."""

from __future__ import annotations

import copy
import inspect
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from gradlite.autodiff.modes import enable_grad
from gradlite.autodiff.operands import is_sparse
from gradlite.autodiff.rule import Traced
from gradlite.autodiff.tensor import Tensor
from gradlite.draw.dot import DETAILED, picture
from gradlite.draw.folding import fold as folded
from gradlite.draw.picture import Picture, PictureError
from gradlite.draw.scene import Kind, scene
from gradlite.errors import DtypeError
from gradlite.nn.module import Module
from gradlite.nn.parts import found
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
    """Draw how a result was computed.

    Parameters
    ----------
    root : Tensor, Value, Module, or estimator of gradlite
        A result, to draw the graph behind it. A module, to draw its output for `data` in eval
        mode. A fitted estimator, to draw its network on the rows of X; with y as well, down to
        their loss (without the penalty of ``alpha``); without either, on a row of zeros.
    *data : array_like
        The inputs of the module, or X, or X and y.
    names : mapping of str to Tensor, Value or array, optional
        Names of inputs. Parameters of modules have their own.
    rankdir : {'LR', 'TB'}
        From left to right, or from top to bottom.
    fold : bool, default True
        Whether repeated blocks are folded in a graph of more than 60 boxes: an unrolled loop,
        many samples through one neuron, many equal layers. The first and the last are shown.

    Returns
    -------
    Picture
        Jupyter shows it; ``save('graph.svg')`` writes it, also as .png, .pdf or .dot, and as
        .html a page that steps through both passes.

    Raises
    ------
    DtypeError
        If `root` is none of these, or `names` is not such a mapping.
    PictureError
        If the module needs sample input, or its output is not one Tensor or Value, or if
        `rankdir` is unknown.
    GraphError
        If a backward pass has freed the graph: draw before it, or pass it ``retain_graph=True``.
    ValueError
        If an estimator is not fitted, or X has another number of features.

    Notes
    -----
    A box shows shape, dtype, norm and norm of the gradient of an array, data and gradient of a
    single number, and the line of code if it was recorded in `gl.debug()`. To see gradients, run
    ``backward(retain_graph=True)`` first.

    Nothing changes: a module is copied before it is called, so running statistics, random streams
    and gradients stay as they are.

    Examples
    --------
    >>> import numpy as np
    >>> from gradlite import nn
    >>> from gradlite.draw import draw
    >>> net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    >>> picture = draw(net, np.zeros((5, 3), np.float32))
    >>> picture
    <picture of 11 boxes and ovals>
    >>> [box.name for box in picture.scene.boxes.values() if box.kind == "parameter"]
    ['0.weight', '0.bias', '2.weight', '2.bias']
    """
    names = check_names(names)
    with enable_grad():
        subject = subject_of(root, data)
    seen = scene(subject.result, {**subject.names, **names})
    for box in seen.boxes.values():
        if box.id != seen.root and box.name in subject.kinds:
            box.kind = subject.kinds[box.name]
    return picture(folded(seen) if fold else seen, DETAILED, rankdir)


def check_names(names: Any) -> Mapping[str, Any]:
    """Return names as a mapping; raise DtypeError if they are not one."""
    names = {} if names is None else names
    if not isinstance(names, Mapping) or not all(isinstance(name, str) for name in names):
        raise DtypeError(
            f"names must be a dict of str to Tensor, Value or array, such as names={{'x': x}}; "
            f"not {short(names)} ({type(names).__name__})."
        )
    return names


class Subject(NamedTuple):
    """A result, the names of its leaves, and the kinds of named leaves.

    Inputs are put on the tape, so that every operation on them is recorded, yet they are no
    parameters; buffers of modules are constants, though they have names.
    """

    result: Any
    names: Mapping[str, Any] = {}
    kinds: Mapping[str, Kind] = {}


def subject_of(root: Any, data: Sequence[Any]) -> Subject:
    """Return the result to draw, computed if `root` is not one itself."""
    if isinstance(root, (Module, Neurons)):
        if not data:
            raise PictureError(
                f"draw needs sample input for a module: draw(module, x), with an x for this "
                f"{type(root).__name__}."
            )
        return of_module(root, data) if isinstance(root, Module) else of_neurons(root, data)
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
            f"draw takes data for a module or an estimator only, and {short(root)} is a result: "
            f"draw(result)."
        )
    return Subject(root)


def of_module(module: Module, data: Sequence[Any]) -> Subject:
    """Call a copy of a module in eval mode on sample input."""
    module = copy.deepcopy(module).eval()
    given = [as_input(x) for x in data]
    result = called(module, *given)
    return named_subject(
        result, dict(zip(positional_names(module.forward), given, strict=False)), module
    )


def positional_names(function: Callable[..., Any]) -> Iterator[str]:
    """Yield the names of positional arguments, of ``*x`` x[0], x[1] and so on."""
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is not parameter.VAR_POSITIONAL:
            yield name
        else:
            yield from (f"{name}[{i}]" for i in itertools.count())


def of_neurons(module: Neurons, data: Sequence[Any]) -> Subject:
    """Call neurons on sample input, of which single numbers become Values x0, x1 and so on."""
    x, *rest = data
    inputs: dict[str, Any] = {"x": x}
    if not isinstance(x, Traced) and np.ndim(x) == 1:
        x = [number if isinstance(number, Value) else Value(number) for number in x]
        inputs = {f"x{i}": number for i, number in enumerate(x)}
    return Subject(called(module, x, *rest), {**dict(weights(module)), **inputs})


def of_estimator(model: Any, data: Sequence[Any]) -> Subject:
    """Call the network of an estimator on rows and, given targets, its loss on the outputs."""
    from sklearn.utils.validation import check_is_fitted

    from gradlite.estimators._base import BaseNet

    if not isinstance(model, BaseNet):
        inside = ""
        if hasattr(model, "steps"):
            inside = " Draw its last step, with X as that step takes it."
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
        X = (
            model._check_X(*data)
            if data
            else np.zeros((1, model.n_features_in_), model._training.dtype)
        )
        inputs = {"X": as_input(X)}
        return named_subject(called(module, inputs["X"]), inputs, *parts)
    X, y = data
    X, y = model._check_data(X, y, reset=False)
    model._targets.check(y, exactly=False)
    samples = model._samples(X, y, None)
    inputs = {"X": as_input(samples.X), "y": samples.target, "sample_weight": samples.weight}
    loss = model._objective(called(module, inputs["X"]), samples.target, samples.weight)
    return named_subject(loss, inputs, *parts)


def named_subject(result: Any, inputs: Mapping[str, Any], *modules: Module) -> Subject:
    """Name the inputs, and the parameters and buffers of modules."""
    buffers = {name: array for part in modules for name, array in part.named_buffers()}
    parameters = {name: p for part in modules for name, p in part.named_parameters()}
    kinds: dict[str, Kind] = dict.fromkeys(buffers, "constant")
    kinds.update((name, "input") for name in inputs)
    return Subject(result, {**buffers, **parameters, **inputs}, kinds)


def as_input(x: Any) -> Any:
    """Put floating-point data on the tape, so that every operation on it is recorded."""
    if isinstance(x, Tensor) and not x.requires_grad:
        x = x.data
    if isinstance(x, Traced) or is_sparse(x):
        return x
    array = np.asarray(x)
    return Tensor(array, requires_grad=True, copy=False) if array.dtype.kind == "f" else x


def called(module: Any, *data: Any) -> Any:
    """Call a module; raise PictureError unless its output is one Tensor or Value."""
    result = module(*data)
    if not isinstance(result, Traced):
        raise PictureError(
            f"This {type(module).__name__} returned {short(result)} ({type(result).__name__}), but "
            f"draw shows the graph of one Tensor or Value: call the module, and draw one of its "
            f"outputs."
        )
    return result


def weights(module: Neurons, path: str = "") -> Iterator[tuple[str, Value]]:
    """Yield the Values among the attributes of neurons, and of modules of them, by name."""
    public = {name: part for name, part in vars(module).items() if not name.startswith("_")}
    yield from found(Value, public, path)
    for name, part in found(Neurons, public, path):
        yield from weights(part, name)

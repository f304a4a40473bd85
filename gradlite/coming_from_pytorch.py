"""What PyTorch spells otherwise: the table behind the errors, and the page of the documentation.

Networks, losses and optimisers have PyTorch's names here, arrays NumPy's. Each row is what somebody
types who comes from PyTorch, and what to write in its place: code of one line each, in which `t`
and `u` are Tensors of shape (2, 3), `b` has shape (2, 3, 4), `A` is square, `p` is a parameter,
`mask` and the indices `i`, `k` are arrays, and `rng` is ``np.random.default_rng(0)``. Tests run
both, beside PyTorch where it is installed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import ModuleType
from typing import NamedTuple, NoReturn

import numpy as np


class Row(NamedTuple):
    """What PyTorch's users type, what it is here, and what else to know."""

    pytorch: str
    gradlite: str
    note: str = ""

    @property
    def name(self) -> str:
        """The attribute of a Tensor or of the package that does not exist here."""
        return self.pytorch.partition(".")[2].partition("(")[0].partition(".")[0]

    @property
    def advice(self) -> str:
        """The row as a sentence of an error."""
        note = f" ({self.note})" if self.note else ""
        return f"For {self.pytorch}, write {self.gradlite}{note}."


NUMPY: dict[str, ModuleType] = {"np": np, "np.linalg": np.linalg}
Table = dict[str, tuple[Row, ...]]

CPU = "arrays are in the memory of the CPU"
DRAWS = "rng = np.random.default_rng(0)"
WRITES = "or p.data[...] = values"

TENSORS: Table = {
    "Shapes": (
        Row("t.view(3, 2)", "t.reshape(3, 2)"),
        Row("t.view_as(u)", "t.reshape(u.shape)"),
        Row("t.reshape_as(u)", "t.reshape(u.shape)"),
        Row("t.dim()", "t.ndim"),
        Row("t.ndimension()", "t.ndim"),
        Row("t.numel()", "t.size"),
        Row("t.nelement()", "t.size"),
        Row("t.unsqueeze(0)", "np.expand_dims(t, 0)", "or t[None]"),
        Row("t.permute(1, 0)", "t.transpose(1, 0)"),
        Row("t.t()", "t.T"),
        Row("t.swapdims(0, 1)", "t.swapaxes(0, 1)"),
        Row("t.movedim(0, 1)", "np.moveaxis(t, 0, 1)"),
        Row("t.unflatten(1, (3, 1))", "t.reshape(2, 3, 1)"),
        Row("t.expand(4, 2, 3)", "np.broadcast_to(t, (4, 2, 3))", "most operations broadcast"),
        Row("t.expand_as(u)", "np.broadcast_to(t, u.shape)", "most operations broadcast"),
        Row("t.tile(2, 1)", "np.tile(t, (2, 1))"),
        Row("t.repeat_interleave(2, 1)", "t.repeat(2, axis=1)"),
        Row("t.flip(1)", "np.flip(t, 1)"),
        Row("t.roll(1, 0)", "np.roll(t, 1, 0)"),
        Row("t.chunk(3, 1)", "np.array_split(t, 3, axis=1)"),
        Row("t.split(1)", "np.split(t, range(1, len(t), 1))", "np.split takes where to split"),
        Row("t.unbind(0)", "list(t)"),
        Row("t.unfold(1, 2, 1)", "t[:, np.arange(2)[:, None] + np.arange(2)]"),
        Row("t.contiguous()", "t", "every memory layout will do"),
        Row("t.is_contiguous()", "t.data.flags.c_contiguous"),
        Row("t.clone()", "t.copy()"),
    ),
    "Entries": (
        Row("t.narrow(1, 0, 2)", "t[:, 0:2]"),
        Row("t.select(1, 0)", "t[:, 0]"),
        Row("t.index_select(1, k)", "t.take(k, axis=1)", "or t[:, k]"),
        Row("t.gather(1, i)", "np.take_along_axis(t, i, axis=1)"),
        Row("t.scatter(1, i, 1.0)", "np.where(np.arange(3) == i, 1.0, t)", "one for each row"),
        Row(
            "t.scatter_add(1, i, u)",
            "t + np.where(np.arange(3) == i, u[:, :1], 0.0)",
            "one for each row",
        ),
        Row("t.take_along_dim(i, 1)", "np.take_along_axis(t, i, axis=1)"),
        Row("t.index_add(0, k, u)", "t + np.eye(len(t))[:, k] @ u"),
        Row("t.masked_fill(mask, 0.0)", "np.where(mask, 0.0, t)"),
        Row("t.masked_select(mask)", "t[mask]"),
        Row("t.where(mask, u)", "np.where(mask, t, u)"),
        Row(
            "t.topk(2)[0]",
            "np.take_along_axis(t, np.argsort(-t)[:, :2], axis=1)",
            "the indices are np.argsort(-t)[:, :2]",
        ),
        Row("t.sort(1)[0]", "np.sort(t, 1)", "the indices are t.argsort(axis=1)"),
        Row("t.unique()", "np.unique(t.data)"),
        Row("t.clamp(0, 1)", "t.clip(0, 1)"),
        Row("t.clamp_min(1)", "np.maximum(t, 1)"),
        Row("t.clamp_max(1)", "np.minimum(t, 1)"),
    ),
    "Mathematics": (
        Row("t.add(u)", "t + u"),
        Row("t.sub(u)", "t - u"),
        Row("t.mul(u)", "t * u"),
        Row("t.div(u)", "t / u"),
        Row("t.neg()", "-t"),
        Row("t.pow(2)", "t**2"),
        Row("t.matmul(u.T)", "t @ u.T"),
        Row("t.mm(u.T)", "t @ u.T"),
        Row("b.bmm(b.mT)", "b @ b.mT"),
        Row("t.mv(u[0])", "t @ u[0]"),
        Row("A.addmm(t, u.T)", "A + t @ u.T"),
        Row("t.addcmul(u, u)", "t + u * u"),
        Row("t.addcdiv(u, u)", "t + u / u"),
        Row("t.dist(u)", "np.linalg.norm(t - u)"),
        Row("t.norm()", "np.linalg.norm(t)"),
        Row("t.rsqrt()", "1 / np.sqrt(t)"),
        Row("t.lerp(u, 0.5)", "t + 0.5 * (u - t)"),
        Row("t.erf()", "gl.erf(t)"),
        Row("t.softmax(1)", "gl.softmax(t, axis=1)"),
        Row("t.log_softmax(1)", "gl.log_softmax(t, axis=1)"),
        Row("t.logsumexp(1)", "gl.logsumexp(t, axis=1)"),
        Row("t.amax(1)", "t.max(axis=1)"),
        Row("t.amin(1)", "t.min(axis=1)"),
        Row("A.det()", "np.linalg.det(A)"),
        Row("A.logdet()", "np.linalg.slogdet(A)[1]"),
        Row("A.inverse()", "np.linalg.inv(A)"),
        Row("t.eq(u)", "t == u", "comparisons are plain arrays of bool"),
        Row("t.ne(u)", "t != u"),
        Row("t.lt(u)", "t < u"),
        Row("t.le(u)", "t <= u"),
        Row("t.gt(u)", "t > u"),
        Row("t.ge(u)", "t >= u"),
        Row("t.equal(u)", "np.array_equal(t, u)"),
    ),
    "Types and devices": (
        Row("t.float()", "t.astype(np.float32)"),
        Row("t.double()", "t.astype(np.float64)"),
        Row("t.half()", "t.astype(np.float16)"),
        Row("t.long()", "t.astype(np.int64)"),
        Row("t.int()", "t.astype(np.int32)"),
        Row("t.bool()", "t != 0"),
        Row("t.type(np.float32)", "t.astype(np.float32)"),
        Row("t.type_as(u)", "t.astype(u.dtype)"),
        Row("t.to(np.float32)", "t.astype(np.float32)", f"no t.to(device): {CPU}"),
        Row("t.cuda()", "t", CPU),
        Row("t.cpu()", "t", CPU),
        Row("t.pin_memory()", "t", CPU),
        Row("t.device", "'cpu'", CPU),
        Row("t.is_cuda", "False", CPU),
        Row("t.is_floating_point()", "t.dtype.kind == 'f'"),
        Row("t.element_size()", "t.dtype.itemsize"),
        Row("t.new_zeros(3)", "np.zeros(3, t.dtype)"),
        Row("t.new_empty(3)", "np.empty(3, t.dtype)"),
        Row("t.new_ones(3)", "np.ones(3, t.dtype)"),
        Row("t.new_full((3,), 0.5)", "np.full(3, 0.5, t.dtype)"),
        Row("t.new_tensor([1.0])", "np.array([1.0], t.dtype)"),
    ),
    "Gradients, and changes in place": (
        Row("t.requires_grad_()", "t.requires_grad = True"),
        Row("t.detach_()", "t = t.detach()"),
        Row("t.grad_fn", "t.is_leaf", "print(t) names the operation"),
        Row("p.add_(u)", "with gl.no_grad(): p += u", WRITES),
        Row("p.sub_(u)", "with gl.no_grad(): p -= u", WRITES),
        Row("p.mul_(2)", "with gl.no_grad(): p *= 2", WRITES),
        Row("p.div_(2)", "with gl.no_grad(): p /= 2", WRITES),
        Row("p.lerp_(u, 0.1)", "with gl.no_grad(): p += 0.1 * (u - p)"),
        Row("p.addcmul_(u, u)", "with gl.no_grad(): p += u * u"),
        Row("p.addcdiv_(u, u)", "with gl.no_grad(): p += u / u"),
        Row("p.clamp_(0, 1)", "with gl.no_grad(): p.data = p.data.clip(0, 1)"),
        Row("p.copy_(u)", "p.data[...] = u.data"),
        Row("p.zero_()", "p.data[...] = 0", "p.zero_grad() for p.grad.zero_()"),
        Row("p.fill_(1.0)", "p.data[...] = 1.0"),
        Row("p.normal_()", "p.data[...] = rng.standard_normal(p.shape)", DRAWS),
        Row("p.uniform_()", "p.data[...] = rng.random(p.shape)", DRAWS),
        Row("t.masked_fill_(mask, 0.0)", "t = np.where(mask, 0.0, t)"),
        Row("t.scatter_(1, i, 1.0)", "t = np.where(np.arange(3) == i, 1.0, t)", "one for each row"),
        Row("t.unsqueeze_(0)", "t = np.expand_dims(t, 0)"),
        Row("t.squeeze_()", "t = t.squeeze()"),
        Row("t.pow_(2)", "t = t**2"),
        Row("t.neg_()", "t = -t"),
        Row("t.exp_()", "t = np.exp(t)"),
        Row("t.sqrt_()", "t = np.sqrt(t)"),
        Row("t.abs_()", "t = np.abs(t)"),
        Row("t.tanh_()", "t = np.tanh(t)"),
        Row("t.sigmoid_()", "t = gl.sigmoid(t)"),
        Row("t.relu_()", "t = gl.relu(t)"),
    ),
}
"""Attributes of a Tensor, and the same as functions of the package (gl.unsqueeze)."""

KEYWORDS = (
    Row("t.sum(dim=0)", "t.sum(axis=0)"),
    Row("t.mean(1, keepdim=True)", "t.mean(1, keepdims=True)"),
    Row("t.std(unbiased=True)", "t.std(ddof=1)", "without ddof, NumPy divides by n"),
    Row("t.var(correction=1)", "t.var(ddof=1)", "without ddof, NumPy divides by n"),
    Row("t.argsort(descending=True)", "(-t).argsort()"),
)
"""Arguments by name that NumPy's functions do not take, each under one function that does."""

PACKAGE: Table = {
    "Making arrays": (
        Row("gl.tensor([1.0, 2.0])", "gl.Tensor([1.0, 2.0])", "float64; data can stay arrays"),
        Row("gl.as_tensor(x)", "gl.Tensor(x, copy=False)", "data can stay arrays"),
        Row("gl.from_numpy(x)", "gl.Tensor(x, copy=False)", "data can stay arrays"),
        Row("gl.FloatTensor([1.0])", "gl.Tensor([1.0], dtype=np.float32)"),
        Row("gl.LongTensor([1, 0])", "np.array([1, 0])"),
        Row("gl.zeros(2, 3)", "np.zeros((2, 3), np.float32)", "np.zeros((2, 3)) is of float64"),
        Row("gl.ones(2, 3)", "np.ones((2, 3), np.float32)", "np.ones((2, 3)) is of float64"),
        Row("gl.full((2, 3), 0.5)", "np.full((2, 3), 0.5, np.float32)"),
        Row("gl.eye(3)", "np.eye(3, dtype=np.float32)"),
        Row("gl.arange(6)", "np.arange(6)"),
        Row("gl.linspace(0, 1, 5)", "np.linspace(0, 1, 5, dtype=np.float32)"),
        Row("gl.meshgrid(x, x)", "np.meshgrid(x, x, indexing='ij')", "NumPy's default is 'xy'"),
        Row("gl.float", "np.float32"),
        Row("gl.double", "np.float64"),
        Row("gl.half", "np.float16"),
        Row("gl.long", "np.int64"),
        Row("gl.int", "np.int32"),
        Row("gl.bool", "bool"),
        Row("gl.device('cpu')", "'cpu'", CPU),
        Row("gl.cuda.is_available()", "False", CPU),
        Row("gl.is_tensor(t)", "isinstance(t, gl.Tensor)"),
    ),
    "Random numbers": (
        Row("gl.manual_seed(0)", "rng = np.random.default_rng(0)", "layers take it as rng="),
        Row("gl.Generator()", "np.random.default_rng(0)"),
        Row("gl.rand(2, 3)", "rng.random((2, 3), np.float32)", DRAWS),
        Row("gl.rand_like(t)", "rng.random(t.shape, t.dtype)", DRAWS),
        Row("gl.randn(2, 3)", "rng.standard_normal((2, 3), np.float32)", DRAWS),
        Row("gl.randn_like(t)", "rng.standard_normal(t.shape, t.dtype)", DRAWS),
        Row("gl.normal(0.0, 1.0, (2, 3))", "rng.normal(0.0, 1.0, (2, 3))", DRAWS),
        Row("gl.randint(0, 10, (3,))", "rng.integers(0, 10, 3)", DRAWS),
        Row("gl.randperm(5)", "rng.permutation(5)", DRAWS),
        Row("gl.distributions.Normal(0.0, 1.0).sample((3,))", "rng.normal(0.0, 1.0, 3)", DRAWS),
        Row("gl.bernoulli(w)", "rng.random(w.shape) < w", DRAWS),
        Row("gl.multinomial(w, 1)", "rng.choice(len(w), 1, p=w)", DRAWS),
    ),
    "Functions": (
        Row("gl.cat([t, u])", "np.concatenate([t, u])", "axis= for dim="),
        Row("gl.stack([t, u])", "np.stack([t, u])", "axis= for dim="),
        Row("gl.flatten(b, 1)", "b.reshape(len(b), -1)"),
        Row("gl.max(t, 1)[0]", "np.max(t, axis=1)", "the indices are np.argmax(t, axis=1)"),
        Row("gl.min(t, 1)[0]", "np.min(t, axis=1)", "the indices are np.argmin(t, axis=1)"),
        Row("gl.std(t)", "np.std(t, ddof=1)", "without ddof, NumPy divides by n"),
        Row("gl.var(t)", "np.var(t, ddof=1)", "without ddof, NumPy divides by n"),
        Row("gl.cdist(t, u)", "np.linalg.norm(t[:, None] - u, axis=-1)"),
        Row("gl.vmap(f)(t)", "np.stack([f(row) for row in t])", "or an f of whole batches"),
    ),
    "Gradients, data, files": (
        Row("gl.autograd.grad(f(t), t)[0]", "gl.grad(f)(t)", "f may be lambda x: net(x).sum()"),
        Row("gl.autograd.functional.jacobian(f, t)", "gl.jacobian(f)(t)"),
        Row("gl.autograd.functional.hessian(f, t)", "gl.hessian(f)(t)"),
        Row("gl.autograd.Function", "gl.primitive", "with gl.defvjp for its derivative"),
        Row("gl.autograd.set_detect_anomaly(True)", "gl.debug()", "a context manager"),
        Row("gl.func.grad(f)(t)", "gl.grad(f)(t)"),
        Row("gl.inference_mode()", "gl.no_grad()"),
        Row("gl.set_grad_enabled(False)", "gl.no_grad()"),
        Row("gl.set_num_threads(1)", "with threadpoolctl.threadpool_limits(1): f(t)"),
        Row("gl.jit.script(f)", "gl.compile(f)"),
        Row("gl.set_default_dtype(np.float64)", "nn.Linear(2, 3, dtype=np.float64)"),
        Row(
            "gl.utils.data.DataLoader(rows, batch_size=2, shuffle=True)",
            "gl.data.batches(X, y, batch_size=2, rng=rng)",
            "X and y are arrays; call it for each epoch",
        ),
        Row(
            "gl.DataLoader(rows, batch_size=2)",
            "gl.data.batches(X, y, batch_size=2)",
            "X and y are arrays; call it for each epoch",
        ),
        Row("gl.TensorDataset(X, y)", "gl.data.batches(X, y, batch_size=2)", "arrays will do"),
        Row("gl.save(state, path)", "gl.persist.save(path, state, 'state')"),
        Row("gl.load(path)", "gl.persist.load(path)"),
    ),
}
"""Attributes of the package."""


class Meaning(NamedTuple):
    """A spelling that both have with two meanings, and what gives PyTorch's here."""

    code: str
    in_pytorch: str
    here: str
    write: str


MEANINGS = (
    Meaning(
        "t.max(1)[0]",
        "the largest entry of each row",
        "the first row's: `max` returns no indices",
        "t.max(axis=1)",
    ),
    Meaning(
        "b.transpose(0, 1)",
        "exchanges two axes",
        "permutes all axes: an error unless there are two",
        "b.swapaxes(0, 1)",
    ),
    Meaning("t.std()", "divides by n - 1", "divides by n", "t.std(ddof=1)"),
    Meaning("t.var()", "divides by n - 1", "divides by n", "t.var(ddof=1)"),
    Meaning(
        "t.repeat(2, 1)",
        "repeats the whole: shape (4, 3)",
        "repeats entries along axis 1: shape (2, 6)",
        "np.tile(t, (2, 1))",
    ),
    Meaning(
        "t.nonzero()",
        "an array with a row of indices for each entry",
        "a tuple with an array of indices for each axis",
        "np.argwhere(t)",
    ),
    Meaning("t.size()", "the shape", "an error: `size` is the number of entries", "t.shape"),
    Meaning("b.flatten(1)", "keeps the first axis", "an error", "b.reshape(len(b), -1)"),
    Meaning(
        "t.argsort(1, True)",
        "sorts in descending order",
        "an error: the argument after the axis is the kind of sort",
        "(-t).argsort(1)",
    ),
    Meaning(
        "(t > 3).float().mean()",
        "the share of entries",
        "an error: comparisons are arrays, of bool",
        "(t > 3).mean()",
    ),
    Meaning(
        "gl.Tensor([1, 2])",
        "of float32",
        "of integers, as `np.array([1, 2])`",
        "gl.Tensor([1, 2], dtype=np.float32)",
    ),
)
"""The same names with another meaning."""


def missing_from_package(name: str) -> str:
    """Return the message of the AttributeError for a missing attribute of the package."""
    message = f"module 'gradlite' has no attribute '{name}'"
    return message + _advice(name, PACKAGE, TENSORS)


def unknown_keywords(keywords: dict[str, object]) -> str:
    """Return what to write in place of arguments that only PyTorch's functions have, or ''."""
    rows = [row for row in KEYWORDS for name in keywords if re.search(rf"\b{name}=", row.pytorch)]
    return " ".join(row.advice for row in rows)


def meant_by(code: str) -> str:
    """Return what to write in place of a spelling that has another meaning here."""
    return next(f"For PyTorch's {code}, write {m.write}." for m in MEANINGS if m.code == code)


def _advice(name: str, *tables: Table) -> str:
    """Return what to write in place of a name: what its rows say, or NumPy's function, or ''."""
    for table in tables:
        rows = (row for group in table.values() for row in group)
        found = [row.advice for row in rows if row.name == name]
        if found:
            return ". " + " ".join(found)
    for prefix, module in NUMPY.items():
        if name in module.__all__:
            return f": write {prefix}.{name}, as NumPy takes Tensors"
    return ""


class Missing:
    """An attribute that a Tensor does not have: looking it up says what to write in its place."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, instance: object, owner: type) -> NoReturn:
        advice = _advice(self.name, TENSORS)
        raise AttributeError(f"'{owner.__name__}' object has no attribute '{self.name}'{advice}")


class PyTorchSpellings:
    """What PyTorch and NumPy have, and a Tensor has not: a base class, whose names come last.

    A `__getattr__` would slow down the attributes that exist.

    Examples
    --------
    >>> import gradlite as gl
    >>> gl.Tensor([1.0]).numel()
    Traceback (most recent call last):
        ...
    AttributeError: 'Tensor' object has no attribute 'numel'. For t.numel(), write t.size.
    """

    __slots__ = ()

    def __dir__(self) -> list[str]:
        known = {name for kind in type(self).__mro__[:-1] if kind is not PyTorchSpellings
                 for name in vars(kind)}  # fmt: skip
        missing = {name for name, value in vars(PyTorchSpellings).items() if type(value) is Missing}
        return sorted({*object.__dir__(self)} - (missing - known))


def _spellings() -> Iterator[str]:
    """Yield the attributes of the table, and the names of NumPy's functions."""
    for rows in TENSORS.values():
        yield from (row.name for row in rows)
    for module in NUMPY.values():
        for name in module.__all__:
            if callable(vars(module).get(name)) and name.islower():
                yield name


for _name in _spellings():
    setattr(PyTorchSpellings, _name, Missing(_name))


def as_markdown(part: str) -> str:
    """Return the tables of the page for the documentation: 'spellings' or 'meanings'."""
    if part == "meanings":
        lines = ["| | in PyTorch | here | to get PyTorch's |", "|---|---|---|---|"]
        for code, in_pytorch, here, write in MEANINGS:
            lines.append(f"| `{_torch(code)}` | {in_pytorch} | {here} | `{write}` |")
        return "\n".join(lines)
    parts = []
    for heading, rows in {**TENSORS, "Arguments by name": KEYWORDS, **PACKAGE}.items():
        parts += [f"### {heading}", "", "| PyTorch | gradlite | |", "|---|---|---|"]
        for row in rows:
            parts.append(f"| `{_torch(row.pytorch)}` | `{row.gradlite}` | {row.note} |")
        parts.append("")
    return "\n".join(parts)


def _torch(code: str) -> str:
    return re.sub(r"\bgl\.", "torch.", code).replace("np.", "torch.")

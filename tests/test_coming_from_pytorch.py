"""What PyTorch's users type: an error that names ours, and ours does what PyTorch's does."""

import inspect
import re

import numpy as np
import pytest
import threadpoolctl

import gradlite as gl
from gradlite import nn
from gradlite.coming_from_pytorch import (
    KEYWORDS,
    MEANINGS,
    PACKAGE,
    TENSORS,
)

ATTRIBUTES = [row for table in (TENSORS, PACKAGE) for rows in table.values() for row in rows]
ROWS = [*ATTRIBUTES, *KEYWORDS]


def arrays():
    """The arrays of the names in the table."""
    t = np.array([[3.0, 0.5, 5.5], [1.0, 4.0, 2.0]])
    return {
        "t": t,
        "u": np.arange(1.0, 7.0).reshape(2, 3) / 2,
        "b": np.arange(24.0).reshape(2, 3, 4),
        "A": np.array([[2.0, 1.0], [0.5, 3.0]]),
        "p": t + 0.1,
        "x": np.array([0.0, 1.0, 2.0]),
        "w": np.array([0.25, 0.5, 0.25]),
        "X": np.arange(12.0).reshape(4, 3),
        "y": np.array([0, 1, 1, 0]),
        "mask": t > 2,
        "i": np.array([[2], [0]]),
        "k": np.array([1, 0]),
    }


LEAVES = ("t", "u", "b", "A", "p")


@pytest.fixture
def names(tmp_path):
    """What the code of the table may name."""
    made = arrays()
    made.update((name, gl.Tensor(made[name], requires_grad=True)) for name in LEAVES)
    path = str(tmp_path / "state.gradlite")
    gl.persist.save(path, {"weight": np.ones(2)}, "state")
    rows = [(0.0, 1), (1.0, 0)]
    return made | {
        "gl": gl, "np": np, "nn": nn, "f": lambda x: (x**2).sum(), "path": path, "rows": rows,
        "threadpoolctl": threadpoolctl, "state": {"weight": np.ones(2)},
        "rng": np.random.default_rng(0),
    }  # fmt: skip


def outcome(code, names):
    """The value of an expression, or of the name with which a statement does something."""
    try:
        return eval(code, names)
    except SyntaxError:
        exec(code, names)
        return names[re.match(r"(?:with .*: )?(\w+)", code)[1]]


def code(row):
    return row.pytorch


@pytest.mark.parametrize("row", ROWS, ids=code)
def test_an_error_names_what_to_write(row, names):
    if "descending" in row.pytorch and "descending" in inspect.signature(np.argsort).parameters:
        pytest.skip("this NumPy sorts in descending order, too")
    kind = TypeError if row in KEYWORDS else AttributeError
    with pytest.raises(kind) as caught:
        outcome(row.pytorch, names)
    assert row.advice in str(caught.value)
    assert row.gradlite in row.advice


@pytest.mark.parametrize("row", ROWS, ids=code)
def test_what_to_write_works(row, names):
    assert outcome(row.gradlite, names) is not None or "save" in row.pytorch


@pytest.mark.parametrize("row", MEANINGS, ids=lambda row: row.code)
def test_another_meaning_is_not_what_pytorch_gives(row, names):
    meant = np.asarray(gl.Tensor(outcome(row.write, names)).detach())
    try:
        here = outcome(row.code, names)
    except (TypeError, AttributeError, ValueError):
        assert "error" in row.here
    else:
        assert "error" not in row.here
        if isinstance(here, gl.Tensor):
            here = here.detach()
            assert here.dtype != meant.dtype or not np.array_equal(here, meant)
        else:
            assert not isinstance(here, np.ndarray)


@pytest.mark.parametrize(
    "row", [row for row in MEANINGS if row.code.startswith("b.")], ids=lambda row: row.code
)
def test_an_error_of_another_meaning_names_what_to_write(row, names):
    with pytest.raises((TypeError, ValueError), match=re.escape(f"write {row.write}.")):
        outcome(row.code, names)


@pytest.fixture
def torch_names(names):
    torch = pytest.importorskip("torch")
    made = {}
    for name, array in arrays().items():
        made[name] = torch.tensor(array, requires_grad=name in ("t", "u", "b", "A"))
    return names | made | {"gl": torch}


# PyTorch's own are missing (Function), draw at random, or have no value to compare.
DIFFERENT = {
    "t.device", "t.grad_fn", "t.element_size()", "t.new_tensor([1.0])", "t.requires_grad_()",
    "t.pin_memory()", "t.cuda()", "t.is_cuda", "t.detach_()", "p.normal_()", "p.uniform_()",
    "t.type(np.float32)", "t.to(np.float32)", "t.masked_fill_(mask, 0.0)",
    "gl.device('cpu')", "gl.cuda.is_available()", "gl.meshgrid(x, x)", "gl.as_tensor(x)",
    "gl.float", "gl.long", "gl.from_numpy(x)", "t.unfold(1, 2, 1)", "gl.vmap(f)(t)",
    "gl.func.grad(f)(t)", "t.tile(2, 1)", "t.unique()", "t.new_empty(3)",
}  # fmt: skip
"""Rows whose value cannot be compared as it is."""


COMPARED = [
    row
    for table in (TENSORS, {"Arguments": KEYWORDS}, {"Functions": PACKAGE["Functions"]},
                  {"Making": PACKAGE["Making arrays"][:11]})
    for rows in table.values()
    for row in rows
    if row.pytorch not in DIFFERENT
]  # fmt: skip


def plain(value):
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    if hasattr(value, "detach"):
        value = value.detach().numpy()
    return np.asarray(value)


@pytest.mark.parametrize("row", COMPARED, ids=code)
def test_what_to_write_is_what_pytorch_computes(row, names, torch_names):
    torch = torch_names["gl"]
    with torch.no_grad():
        theirs = plain(outcome(row.pytorch, torch_names))
    if row.pytorch.startswith("p.") and row.name.endswith("_"):
        theirs = plain(torch_names[row.pytorch.partition(".")[0]])
    ours = plain(outcome(row.gradlite, names))
    assert len(ours) == len(theirs) if isinstance(ours, list) else ours.shape == theirs.shape
    pairs = zip(ours, theirs, strict=True) if isinstance(ours, list) else [(ours, theirs)]
    for mine, other in pairs:
        np.testing.assert_allclose(mine, other, rtol=1e-6)


def test_what_exists_costs_nothing_more_and_what_does_not_is_not_listed():
    assert gl.Tensor.__getattribute__ is object.__getattribute__
    assert not hasattr(gl.Tensor, "__getattr__")
    t = gl.Tensor([1.0])
    for row in ATTRIBUTES:
        owner = gl if row.pytorch.startswith("gl.") else t
        assert not hasattr(owner, row.name)
    assert not hasattr(t, "nothing_of_the_kind")
    assert not hasattr(gl.Tensor, "view")
    assert {"view", "tan"}.isdisjoint(dir(t))
    assert {"sum", "reshape", "_data"} <= {*dir(t)}


def test_functions_of_numpy_are_named_where_the_table_has_no_row():
    with pytest.raises(AttributeError, match=r": write np.tan, as NumPy takes Tensors"):
        _ = gl.Tensor(1.0).tan
    with pytest.raises(AttributeError, match=r": write np.linalg.svd"):
        _ = gl.svd
    with pytest.raises(AttributeError, match=r"For t.unsqueeze\(0\), write np.expand_dims"):
        _ = gl.unsqueeze
    with pytest.raises(AttributeError, match=r"write np.split\(t, range"):  # not np.split(t, 1)
        _ = gl.split
    with pytest.raises(AttributeError, match=r"^'Parameter' object has no attribute 'no_such'$"):
        _ = nn.Parameter(np.ones(2)).no_such


def test_keywords_of_pytorch_are_told_from_numpys():
    t = gl.Tensor(np.ones((2, 3)))
    with pytest.raises(gl.GradliteError, match=r"^np.max takes .* t.mean\(1, keepdims=True\)\.$"):
        t.max(1, keepdim=True)
    with pytest.raises(TypeError, match="no_such"):
        t.sum(no_such=1)
    assert t.sum(axis=0, keepdims=True).shape == (1, 3)

"""`export_numpy`: a fitted estimator as one Python file that needs NumPy alone."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils.validation import check_is_fitted

from gradlite import nn
from gradlite.autodiff.tensor import Tensor
from gradlite.compiler.compiled import write
from gradlite.compiler.defined import Defined
from gradlite.errors import CompileError, printable
from gradlite.nn.module import eval_mode

SIZES = (17, 23)  # two numbers of rows, which nothing else in a program is likely to be


def export_numpy(estimator: Any, path: Any) -> None:
    """Write a fitted estimator to a Python file that needs NumPy alone.

    The file has ``predict(X)``, and for a classifier ``predict_proba(X)``, for X of shape
    (n_samples, n_features), dense and finite. It is readable: one call per line, with shapes.

    Parameters
    ----------
    estimator : MLPClassifier, MLPRegressor, NetClassifier or NetRegressor
        Fitted.
    path : str or path
        The file; replaced if it exists.

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.
    CompileError
        If its network does what no program can (see `gl.compile`), calls functions of other
        libraries, or behaves differently for another number of rows; or if classes are neither
        numbers nor text.

    Examples
    --------
    >>> import gradlite as gl
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> model = gl.MLPClassifier((8,), random_state=0, max_iter=5, batch_size=30)
    >>> gl.export_numpy(model.fit(X, y), "iris.py")  # doctest: +SKIP
    """
    check_is_fitted(estimator)
    text = text_of(estimator)
    check(text, estimator)
    Path(path).write_text(text, encoding="utf-8")


def check(text: str, estimator: Any) -> None:
    """Raise CompileError unless the text predicts as the estimator does, for few rows and many."""
    names: dict[str, Any] = {}
    exec(text, names)
    rng = np.random.default_rng(1)
    for n in (1, 1000):
        rows = names["rows"](rng.normal(size=(n, estimator.n_features_in_)))
        expected = estimator._targets.predict(estimator._forward(rows))
        with np.errstate(all="ignore"):
            ours = names["predict"](rows)
        if not agree(ours, expected):
            raise CompileError.here(
                f"The network behaves differently for {n} rows than for {SIZES[0]}."
            )


def agree(ours: Any, expected: Any) -> bool:
    """Return whether predictions are the same, but for rounding."""
    if expected.dtype.kind == "f":
        return np.allclose(ours, expected, rtol=1e-4, equal_nan=True)
    return bool(np.mean(ours == expected) > 0.99)  # equal scores may round to either class


class Inputs(NamedTuple):
    """The part of a file that turns the argument of its functions into rows of numbers.

    Attributes
    ----------
    doc : str
        What the file is, its docstring.
    argument : str
        The name of the argument.
    call : str
        The expression for the rows.
    functions : str
        What that expression calls.
    imports : tuple of str
        The lines that import modules of the standard library for it.
    """

    doc: str
    argument: str
    call: str
    functions: str
    imports: tuple[str, ...] = ()


class Predicting(nn.Module):
    """A network, and what its outputs mean."""

    def __init__(self, network: nn.Module, meaning: Any) -> None:
        self.network = network
        self.meaning = meaning

    def forward(self, X: Any) -> Any:
        """Return what the outputs for rows mean."""
        z = self.network(X)
        return self.meaning(z._data if isinstance(z, Tensor) else z)


def text_of(estimator: Any, inputs: Inputs | None = None) -> str:
    """Return the text of the file, whose functions take rows of numbers unless `inputs` says so."""
    targets = estimator._targets
    is_classifier = hasattr(targets, "classes_")
    network = Predicting(estimator._module, (lambda z: z) if is_classifier else targets.predict)
    dtype = next((p.dtype for p in network.parameters()), np.dtype(float))
    features = estimator.n_features_in_
    rng = np.random.default_rng(0)
    defined: list[Defined] = []
    with eval_mode():
        for n in SIZES:
            rows = rng.normal(size=(n, features)).astype(dtype)
            defined.append(write(network, (rows,), {}, buffers=False))
    one, other = defined
    if "raise Retrace" in one.function + other.function:
        raise CompileError.here("The network takes another way for other numbers: use np.where.")
    named: Any = one.namespace.items()
    pairs: Any = [(x, other.namespace.get(name)) for name, x in named]
    arrays = [pair for pair in pairs if isinstance(pair[0], np.ndarray)]
    if one.allocations != other.allocations or not all(np.array_equal(*pair) for pair in arrays):
        raise CompileError.here("The network has constants that depend on the number of rows.")
    program = of_any_rows(one.function, other.function).replace("def forward(", "def outputs(")
    program = program.replace("):\n", '):\n    """Return the outputs for checked rows."""\n', 1)
    program = re.sub(r"_network\b", "", one.module_of("", one.allocations, program.strip()))
    before, head, after = re.sub(r"\n{4,}", "\n\n\n", program).partition(one.head)
    inputs = inputs or plain_rows(estimator, dtype)
    imports = [line for line in before.split("\n") if line.startswith("import ")]
    imports = sorted({*imports, *inputs.imports}, key=lambda line: (line.startswith("from"), line))
    imports = ["\n".join(imports)] if imports else []
    asked = {"argument": inputs.argument, "rows": inputs.call}
    proba = hasattr(estimator, "predict_proba")
    made = classes(targets, proba, asked) if is_classifier else NUMBERS.format(**asked)
    start = "\n\n".join([f'"""{quoted(inputs.doc)}"""', *imports, head])
    parts = [start, inputs.functions, after, made]
    return "\n\n\n".join(part.strip("\n") for part in parts) + "\n"


def plain_rows(estimator: Any, dtype: np.dtype) -> Inputs:
    """Return the part of a file that checks an array of numbers."""
    names = getattr(estimator, "feature_names_in_", None)
    columns = f" of the columns {', '.join(map(str, names))}" if names is not None else ""
    check = CHECK.format(
        n=estimator.n_features_in_, dtype=f"np.{dtype.name}", columns=quoted(columns)
    )
    doc = f"{type(estimator).__name__} fitted with gradlite, as NumPy alone: predict(X)."
    return Inputs(doc, "X", "rows(X)", check)


def quoted(text: str) -> str:
    """Return text, which may come from a table, as it is written inside a docstring."""
    lines = "\n".join(printable(line) for line in text.split("\n"))
    return lines.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')


def of_any_rows(one: str, other: str) -> str:
    """Return the text of a function for any number of rows, from those for two numbers."""
    parts, others = (re.split(r"(\b\d+\b)", text) for text in (one, other))
    if len(parts) != len(others):
        raise CompileError.here("The network behaves differently for another number of rows.")
    text = ""
    for part, twin in zip(parts, others, strict=True):
        if part == twin:
            text += part
            continue
        times, rest = divmod(int(part), SIZES[0]) if part.isdigit() and twin.isdigit() else (0, 1)
        if rest or int(twin) != times * SIZES[1]:
            raise CompileError.here("The network behaves differently for another number of rows.")
        text += "n" if times == 1 else f"{times} * n"
    # The comments that name a line of code name that of the caller.
    lines = [line for line in text.split("\n") if not line.lstrip().startswith("#")]
    if any(re.search(r"\bn\b", line.partition("#")[0]) for line in lines):
        lines.insert(1, "    n = len(X)")
    return "\n".join(lines)


CHECK = '''
def rows(X):
    """Return X as rows of {n} numbers{columns}."""
    X = np.asarray(X, {dtype})
    if X.ndim != 2 or X.shape[1] != {n}:
        raise ValueError(f"X must have shape (n, {n}), not {{X.shape}}")
    if not np.isfinite(X).all():
        raise ValueError("X must be finite")
    return X
'''
NUMBERS = '''
def predict({argument}):
    """Return the prediction of each row."""
    return outputs({rows})
'''
SOFTMAX = '''
def softmax(z):
    """Return probabilities for scores, in each row."""
    p = np.exp(z - z.max(axis=1, keepdims=True))
    return p / p.sum(axis=1, keepdims=True)
'''
SIGMOID = '''
def sigmoid(z):
    """Return the probability for each logit, less than 1."""
    with np.errstate(over="ignore"):
        p = 1 / (1 + np.exp(-z))
    return np.minimum(p, np.nextafter(p.dtype.type(1), p.dtype.type(0)))
'''
PREDICT = '''
def predict({argument}):
    """Return the class of each row."""
    z = outputs({rows})
    return {result}
'''
PROBA = '''
def predict_proba({argument}):
    """Return the probability of each class, in the order of CLASSES."""
    z = outputs({rows})
    return {result}
'''


def classes(targets: Any, proba: bool, asked: dict[str, str]) -> str:
    """Return the functions of a classifier."""
    columns = [labels(column) for column in targets.columns]
    known = f"\nCLASSES = {columns[0] if len(columns) == 1 else '[' + ', '.join(columns) + ']'}\n"
    helper = SIGMOID
    if targets.kind == "multilabel":
        predict, probabilities = "(z > 0).astype(int)", "sigmoid(z)"
    elif targets.kind == "multioutput":
        groups = [f"z[:, {group.start}:{group.stop}]" for group in targets.groups()]
        chosen = [f"CLASSES[{i}][{z}.argmax(axis=1)]" for i, z in enumerate(groups)]
        predict = f"np.column_stack([{', '.join(chosen)}])"
        probabilities = f"[{', '.join(f'softmax({z})' for z in groups)}]"
        helper = SOFTMAX
    elif len(targets.columns[0]) == 1:
        predict, probabilities = "CLASSES[np.zeros(len(z), int)]", "np.ones((len(z), 1), z.dtype)"
        helper = ""
    elif targets.n_outputs == 1:
        predict = "CLASSES[(z[:, 0] > 0).astype(int)]"
        probabilities = "np.stack([1 - sigmoid(z[:, 0]), sigmoid(z[:, 0])], axis=1)"
    else:
        predict, probabilities, helper = "CLASSES[z.argmax(axis=1)]", "softmax(z)", SOFTMAX
    parts = [known, PREDICT.format(result=predict, **asked)]
    if proba:
        parts += [helper, PROBA.format(result=probabilities, **asked)]
    return "\n".join(filter(None, parts))


def labels(column: np.ndarray) -> str:
    """Return how the classes of a column are written."""
    values = column.tolist()
    if not all(isinstance(x, (bool, int, float, str)) for x in values):
        raise CompileError.here("The classes are neither numbers nor text.")
    dtype = "object" if column.dtype == object else repr(column.dtype.str)
    return f"np.array({values!r}, {dtype})"

"""The house: each file imports only from the rooms above it, and importing gradlite is light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import gradlite

HOUSE = Path(gradlite.__file__).parent

# The one place to extend. A file imports only from files above its own line.
ROOMS = [
    "errors",
    "rule",
    "trees",
    "notebook",
    "modes",
    "node",
    "cotangents",
    "tape",
    "conversions",
    "debug",
    "rules/elementwise",
    "rules/activations",
    "rules/reductions",
    "rules/indexing",
    "rules/shape",
    "rules/einsum",
    "rules/products",
    "rules/linalg",
    "rules/fused",
    "rules/losses",
    "rules/class_losses",
    "rules/sparse",
    "rules/convolution",
    "rules/pooling",
    "rules/normalization",
    "rules/__init__",
    "tensor",
    "in_place",
    "operations",
    "transforms",
    "checking",
    "scalar/ops",
    "scalar/walk",
    "scalar/bridge",
    "scalar/engine",
    "scalar/expand",
    "scalar/calls",
    "scalar/network",
    "scalar/nn",
    "scalar/neural_net",
    "scalar/run",
    "scalar/__init__",
    "engine",
    "nn/module",
    "nn/init",
    "nn/layers",
    "nn/embedding",
    "nn/normalization",
    "nn/convolution",
    "nn/weighing",
    "nn/class_losses",
    "nn/losses",
    "nn/__init__",
    "schedules",
    "optim/flat",
    "optim/groups",
    "optim/optimizer",
    "optim/momentum",
    "optim/adaptive",
    "optim/lbfgs",
    "optim/clipping",
    "optim/__init__",
    "data",
    "replay",
    "training",
    "atomic",
    "persist",
    "estimators/_network",
    "estimators/_parameters",
    "estimators/_inputs",
    "estimators/_targets",
    "estimators/_objectives",
    "estimators/_solvers",
    "estimators/_callbacks",
    "estimators/_random",
    "estimators/_samples",
    "estimators/_fitting",
    "estimators/_persistence",
    "estimators/_base",
    "estimators/_classifier",
    "estimators/_regressor",
    "estimators/mlp",
    "estimators/net",
    "estimators/__init__",
    "draw/graph",
    "draw/answers",
    "draw/boxes",
    "draw/scene",
    "draw/folding",
    "draw/names",
    "draw/latex",
    "draw/mathematics/entry",
    "draw/mathematics/elementwise",
    "draw/mathematics/losses",
    "draw/mathematics/arrays",
    "draw/mathematics/linalg",
    "draw/mathematics/__init__",
    "draw/formulas",
    "draw/chain",
    "draw/steps",
    "draw/page",
    "draw/layout",
    "draw/picture",
    "draw/dot",
    "draw/drawing",
    "draw/displays/_axes",
    "draw/displays/loss_curve",
    "draw/displays/gradient_flow",
    "draw/displays/weights",
    "draw/displays/activations",
    "draw/displays/__init__",
    "draw/__init__",
    "__init__",
    "cli/files",
    "cli/terminal",
    "cli/tables",
    "cli/cells",
    "cli/columns",
    "cli/target",
    "cli/learned",
    "cli/model",
    "cli/settings",
    "cli/figures",
    "cli/report",
    "cli/demo",
    "cli/scoring",
    "cli/train",
    "cli/predict",
    "cli/doctor",
    "cli/app",
    "cli/__init__",
    "__main__",
]
FILES = sorted(HOUSE.rglob("*.py"))


def room(path):
    return path.relative_to(HOUSE).with_suffix("").as_posix()


def existing(parts):
    """The room that a dotted name inside gradlite means, or None."""
    for candidate in ("/".join(parts), "/".join([*parts, "__init__"])):
        if candidate and (HOUSE / f"{candidate}.py").exists():
            return candidate
    return None


def imported_rooms(path):
    """Every room that a file imports, anywhere in it, with the line."""
    package = ["gradlite", *path.relative_to(HOUSE).parent.parts]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            modules = [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else []
            base = base + (node.module.split(".") if node.module else [])
            # `from gradlite.rules import shape` imports a file; `from gradlite.tape import walk`
            # a name in one.
            modules = [
                [*base, alias.name] if existing([*base, alias.name][1:]) else base
                for alias in node.names
            ]
        else:
            continue
        for parts in modules:
            if parts[0] == "gradlite":
                found = existing(parts[1:])
                assert found, f"{room(path)}:{node.lineno} imports {'.'.join(parts)}: no such file"
                yield found, node.lineno


@pytest.mark.parametrize("path", FILES, ids=room)
def test_every_file_has_its_place_in_the_list(path):
    assert room(path) in ROOMS, f"Put {room(path)} in ROOMS, below everything it imports."


def test_every_place_in_the_list_has_its_file():
    rooms = {room(path) for path in FILES}
    assert [name for name in ROOMS if name not in rooms and name != "__main__"] == []


@pytest.mark.parametrize("path", FILES, ids=room)
def test_a_file_imports_only_from_the_rooms_above_it(path):
    if room(path) not in ROOMS:
        pytest.skip("not in the list; another test says so")
    below = ROOMS[ROOMS.index(room(path)) :]
    wrong = [f"line {at}: {name}" for name, at in imported_rooms(path) if name in below]
    assert wrong == [], f"{room(path)} imports from its own room or below"


@pytest.mark.parametrize("path", [p for p in FILES if p.parent.name == "rules"], ids=room)
def test_rules_know_neither_the_tape_nor_tensors(path):
    engine = {"node", "tape", "modes", "debug", "tensor", "operations", "transforms", "checking"}
    assert engine.isdisjoint(name for name, _ in imported_rooms(path))


def python(code):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=HOUSE.parent,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_gradlite_loads_numpy_alone():
    heavy = ["scipy", "sklearn", "pandas", "matplotlib", "joblib", "threadpoolctl", "rich"]
    code = f"import gradlite, sys; print([m for m in {heavy} if m in sys.modules])"
    assert python(code).strip() == "[]"


def test_every_file_can_be_imported_first():
    names = [
        "gradlite." + name.removesuffix("/__init__").replace("/", ".")
        for name in ROOMS
        if (HOUSE / f"{name}.py").exists() and name not in ("__init__", "__main__")
    ]
    code = (
        "import importlib, sys\n"
        f"for name in {names}:\n"
        "    for loaded in [m for m in sys.modules if m.split('.')[0] == 'gradlite']:\n"
        "        del sys.modules[loaded]\n"
        "    importlib.import_module(name)\n"
        "    print(name)\n"
    )
    assert python(code).split() == names


def test_what_is_public_is_listed_once_in_order_and_documented():
    public = gradlite.__all__
    assert public == sorted(set(public))
    for name in public:
        assert getattr(gradlite, name).__doc__, name


def test_the_package_says_that_it_is_typed():
    assert (HOUSE / "py.typed").exists()

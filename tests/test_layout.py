"""The layers: imports run strictly downward, and importing gradlite is light."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import gradlite

PACKAGE = Path(gradlite.__file__).parent

# The one place to extend: each folder or file imports only from the layers above its own line.
LAYERS = [
    ("errors", "coming_from_pytorch"),
    ("autodiff",),
    ("compiler",),
    ("scalar",),
    ("engine",),
    ("nn",),
    ("optim",),
    ("training", "persist"),
    ("estimators",),
    ("draw", "export"),
    ("__init__",),
    ("cli",),
    ("__main__",),
]
LAYER_OF = {box: i for i, boxes in enumerate(LAYERS) for box in boxes}
FILES = sorted(PACKAGE.rglob("*.py"))


def module(path):
    """The parts of a file's dotted name inside gradlite."""
    return path.relative_to(PACKAGE).with_suffix("").parts


def exists(parts):
    return (PACKAGE / "/".join(parts)).with_suffix(".py").exists() and parts


def resolve(parts):
    """The file that a dotted name inside gradlite means, or None."""
    return exists(parts) or exists((*parts, "__init__")) if parts else ("__init__",)


def imports(path, tree):
    """Every file of gradlite that a syntax tree imports, with the line."""
    package = ("gradlite", *module(path)[:-1])
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [tuple(alias.name.split(".")) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else ()
            base += tuple(node.module.split(".")) if node.module else ()
            # `from gradlite.autodiff import tape` imports a file, `... import Tensor` a name in one
            names = [
                (*base, alias.name) if resolve((*base, alias.name)[1:]) else base
                for alias in node.names
            ]
        else:
            continue
        for name in names:
            if name[0] == "gradlite":
                found = resolve(name[1:])
                assert found, f"{path}:{node.lineno} imports {'.'.join(name)}: no such file"
                yield found, node.lineno


def dotted(parts):
    return ".".join(parts)


@pytest.mark.parametrize("path", FILES, ids=lambda path: dotted(module(path)))
def test_imports_run_strictly_downward(path):
    box = module(path)[0]
    assert box in LAYER_OF, f"Put {box} into LAYERS, below all that it imports."
    wrong = [
        f"line {line}: {dotted(name)}"
        for name, line in imports(path, ast.parse(path.read_text(encoding="utf-8")))
        if name[0] != box and LAYER_OF[name[0]] >= LAYER_OF[box]
    ]
    assert wrong == [], f"{dotted(module(path))} imports from its own layer or from one above"


def test_no_imports_run_in_a_circle():
    graph = {}
    for path in FILES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        body = ast.Module([n for n in tree.body if isinstance(n, (ast.Import, ast.ImportFrom))], [])
        graph[module(path)] = {name for name, _ in imports(path, body)} - {module(path)}
    while graph:
        free = [name for name, needs in graph.items() if not needs & graph.keys()]
        assert free, f"a circle among {sorted(map(dotted, graph))}"
        for name in free:
            del graph[name]


def test_every_layer_has_its_files():
    assert {module(path)[0] for path in FILES} == LAYER_OF.keys()


RULES = [path for path in FILES if module(path)[:2] == ("autodiff", "rules")]


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.stem)
def test_rules_know_neither_the_tape_nor_tensors(path):
    known = {name[-1] for name, _ in imports(path, ast.parse(path.read_text(encoding="utf-8")))}
    assert known <= {
        "errors",
        "define",
        "operands",
        "precision",
        "rule",
        *(rules.stem for rules in RULES),
    }


def lines(path):
    return len(path.read_text(encoding="utf-8").splitlines())


def test_no_file_is_too_long_to_be_read():
    long = {path.name: lines(path) for path in FILES if lines(path) > 450}
    assert not long


def test_backward_is_explained_in_five_files():
    names = ["rule", "node", "tape", "operations", "tensor"]
    assert sum(lines(PACKAGE / "autodiff" / f"{name}.py") for name in names) <= 1300


def test_readme_lists_the_layers():
    text = (PACKAGE.parent / "README.md").read_text(encoding="utf-8")
    table = text[text.index("## How it is made") :]
    rows = re.findall(r"^\| \d+ \| (.*?) \|", table, flags=re.MULTILINE)
    listed = [tuple(re.findall(r"`(\w+)(?:/|\.py)`", row)) for row in rows]
    assert listed == LAYERS


def python(code):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=PACKAGE.parent,
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
        dotted(("gradlite", *(part for part in module(path) if part != "__init__")))
        for path in FILES
        if module(path) not in (("__init__",), ("__main__",))
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
    assert (PACKAGE / "py.typed").exists()

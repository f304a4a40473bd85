"""A program's own micrograd, or its two files, where they are more than the original."""

import pytest

from gradlite.errors import printable
from tests.scalar.programs import (
    ENGINE,
    MEAN,
    MICROGRAD,
    RELU,
    SGD,
    TANH,
    line,
    network,
    plain,
    run,
    run_code,
    write,
)


def own(name, *what):
    return f"gradlite: {name} is the program's own here: it has {', '.join(what)}\n"


def method(name, of="Value", args="self"):
    return f"\n\nclass {of}({of}):\n    def {name}({args}):\n        return self\n"


SOFTMAX = """
    def softmax(self, others):
        exps = [math.exp(x.data) for x in (self, *others)]
        p = exps[0] / sum(exps)
        return Value(p, ((self, p * (1 - p)),))
"""
WITH_SOFTMAX = ENGINE.replace("    def tanh(self):", SOFTMAX + "\n    def tanh(self):")

USES = """
    import sys
    from micrograd.engine import Value
    from micrograd.nn import MLP
    print(Value.__module__, MLP.__module__, type(MLP(1, [1]).parameters()[0]).__module__)
    """


LEAKY = ENGINE.replace("def relu(self)", "def relu(self, leak=0.1)")
INPUTS = ENGINE.replace("_children", "inputs")
CHOSEN = RELU.replace("nin, nouts)", "nin, nouts, act='relu')")


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"engine": WITH_SOFTMAX}, ["Value.softmax"]),
        ({"engine": ENGINE + MEAN}, ["mean"]),
        ({"engine": ENGINE + "\nsoftmax = lambda xs: xs\n"}, ["softmax"]),
        ({"engine": ENGINE.replace("tanh", "gelu")}, ["Value.gelu"]),
        ({"engine": ENGINE.replace("__neg__", "__matmul__")}, ["Value.__matmul__"]),
        ({"engine": LEAKY}, ["Value.relu(leak=...)"]),
        ({"engine": INPUTS}, ["Value.__init__(inputs=...)"]),
        ({"nn": RELU + SGD}, ["SGD", "count"]),
        ({"nn": CHOSEN}, ["MLP.__init__(act=...)"]),
        ({"nn": RELU.replace("relu", "tanh")}, ["another Neuron"]),
        ({"nn": RELU.replace("v.relu()", "v * v.sigmoid()")}, ["another Neuron"]),
        ({"optim": "class Adam: pass"}, ["optim"]),
        ({"tensor/__init__": ""}, ["tensor"]),
        ({"__init__": "class Tensor: pass"}, ["Tensor"]),
        (
            {"optim": "", "losses": "", "engine": ENGINE + MEAN, "nn": RELU + SGD},
            ["losses", "optim", "mean", "and more"],
        ),
    ],
)
def test_a_package_with_names_of_its_own_is_left_alone(folder, changes, what):
    changed = {f"micrograd/{name}.py": text for name, text in changes.items()}
    write(folder, {"main.py": USES, **MICROGRAD, **changed})
    status, output, errors = plain(folder, "main.py")
    assert (status, errors) == (0, "")
    assert output == "micrograd.engine micrograd.nn micrograd.engine\n"
    assert run(folder, "main.py") == (0, output, own("micrograd", *what))


RENAMED = ENGINE.replace("math", "_math").replace("import _math", "import math as _math")
PRIVATE = "    __slots__ = ('data', 'grad', '_prev')\n\n    def _topo(self): pass\n\n"


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"engine": RENAMED},
        {"engine": ENGINE + "\n__version__ = '1'\n_hidden = 3\n"},
        {"engine": ENGINE + "\nif __name__ == '__main__':\n    a = Value(2.0)\n"},
        {"engine": ENGINE.replace("    def tanh", PRIVATE + "    def tanh")},
        {"engine": ENGINE.replace("other", "right")},
        {"__init__": "from .engine import Value\nfrom .nn import MLP\n"},
        {"tests/__init__": "", "_private": ""},
    ],
)
def test_a_package_that_is_the_original_is_replaced(folder, changes):
    changed = {f"micrograd/{name}.py": text for name, text in changes.items()}
    write(folder, {"main.py": USES, **MICROGRAD, **changed})
    assert plain(folder, "main.py")[0] == 0
    expected = "gradlite.scalar.engine gradlite.scalar.nn gradlite.scalar.network\n"
    status, output, errors = run(folder, "main.py")
    assert (status, output) == (0, expected)
    assert errors == line("micrograd")


def test_the_lectures_networks_in_the_package_are_those_of_the_two_files(folder):
    nn = network("micrograd.engine", "_", "random.uniform(-1, 1)", "Value.tanh")
    write(folder, {**MICROGRAD, "micrograd/nn.py": nn})
    code = """
        import random
        from micrograd.nn import MLP
        random.seed(3)
        print(round(MLP(2, [2, 1])([0.5, -1.0]).data, 12), MLP.__module__.partition(".")[0])
        """
    write(folder, {"main.py": code})
    output = plain(folder, "main.py")[1].replace("micrograd", "gradlite")
    assert output.count("gradlite") == 1
    assert run(folder, "main.py") == (0, output, line("micrograd"))


def test_a_package_of_another_kind_is_left_alone(folder):
    write(folder, {"micrograd/__init__.py": "def simplify(): return 'units of 1e-6'"})
    code = "import micrograd; print(micrograd.simplify(), hasattr(micrograd, 'Value'))"
    expected = ("units of 1e-6 False\n", own("micrograd", "simplify"))
    assert run_code(folder, code) == expected


@pytest.mark.parametrize("name", ["\x1b[31m", "\x07bell", "a\u202eb", "a\nb"])
def test_control_characters_of_a_files_name_are_not_shown_as_they_are(folder, name):
    write(folder, MICROGRAD | {f"micrograd/{name}.py": ""})
    _, said = run_code(folder, USES)
    assert said == own("micrograd", printable(name))


def test_a_single_file_with_names_of_its_own_is_left_alone(folder):
    text = ENGINE + network("micrograd").replace("from micrograd import Value", "") + SGD
    write(folder, {"micrograd.py": text})
    code = "from micrograd import MLP, SGD, Value; print(MLP.__module__, SGD.__module__)"
    assert run_code(folder, code) == ("micrograd micrograd\n", own("micrograd", "SGD", "count"))


def test_the_folder_of_a_repository_is_no_package(folder):
    write(folder, {"micrograd/setup.py": "1 / 0", "micrograd/README.md": ""})
    output, errors = run_code(folder, USES)
    assert output == "gradlite.scalar.engine gradlite.scalar.nn gradlite.scalar.network\n"
    assert errors == line("micrograd")


def test_a_package_without_init_counts_as_one(folder):
    write(folder, {"micrograd/engine.py": WITH_SOFTMAX, "micrograd/nn.py": RELU})
    assert run_code(folder, USES)[1] == own("micrograd", "Value.softmax")


def test_a_package_installed_elsewhere_counts_as_well(folder):
    elsewhere = folder.parent / "elsewhere"
    write(elsewhere, {**MICROGRAD, "micrograd/engine.py": WITH_SOFTMAX})
    errors = run_code(folder, USES, path=[elsewhere])[1]
    assert errors == own("micrograd", "Value.softmax")


def test_it_is_said_once_and_only_of_what_is_imported(folder):
    write(folder, {**MICROGRAD, "micrograd/optim.py": "from .engine import Value"})
    code = """
        import sys
        print("first", file=sys.stderr)
        import micrograd.optim, micrograd.nn
        from micrograd.engine import Value
        """
    assert run_code(folder, code) == ("", "first\n" + own("micrograd", "optim"))
    assert run_code(folder, "def f():\n    import micrograd") == ("", "")


# -- the version in two files -----------------------------------------------------------------

TWO = "from engine import Value\nfrom nn import MLP\nprint(Value.__module__, MLP.__module__)"


DROPPING = TANH.replace("nin, nouts)", "nin, nouts, drop=0.5)")


@pytest.mark.parametrize(
    ("changes", "modules", "said"),
    [
        ({}, "gradlite.scalar.engine gradlite.scalar.neural_net", line("engine", "nn")),
        # Networks compute with the Values that they import.
        ({"engine.py": WITH_SOFTMAX}, "engine nn", own("engine", "Value.softmax")),
        (
            {"nn.py": TANH.replace("tanh", "exp")},
            "gradlite.scalar.engine nn",
            line("engine") + own("nn", "another Neuron"),
        ),
        (
            {"nn.py": "class MLP:\n    pass"},
            "gradlite.scalar.engine nn",
            line("engine") + own("nn", "another Neuron"),
        ),
        (
            {"nn.py": DROPPING},
            "gradlite.scalar.engine nn",
            line("engine") + own("nn", "MLP.__init__(drop=...)"),
        ),
    ],
)
def test_files_with_classes_of_their_own_are_left_alone(folder, changes, modules, said):
    write(folder, {"engine.py": ENGINE, "nn.py": TANH, **changes})
    assert run_code(folder, TWO) == (modules + "\n", said)

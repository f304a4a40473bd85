"""Programs written for micrograd, run as a user runs them: unchanged, beside plain Python.

Each test writes a program into a folder. Where plain Python can run it too, as no redirection is
needed or a plainly written micrograd lies beside it, both must say the same.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.scalar.programs import (
    ENGINE,
    MEAN,
    MICROGRAD,
    ROOT,
    TANH,
    TWO_FILES,
    line,
    network,
    plain,
    python,
    run,
    run_code,
    write,
)  # fmt: skip

MOONS = """
import math
import random
import sys

from micrograd.engine import Value
from micrograd.nn import MLP

random.seed(int(sys.argv[1]))
points, labels = [], []
for i in range(12):
    a = math.pi * i / 11
    points += [(math.cos(a), math.sin(a)), (1 - math.cos(a), 0.5 - math.sin(a))]
    labels += [1, -1]
model = MLP(2, [6, 6, 1])
for step in range(8):
    scores = [model(list(map(Value, point))) for point in points]
    hinges = [(1 + -label * score).relu() for label, score in zip(labels, scores)]
    penalty = 1e-4 * sum(p * p for p in model.parameters())
    loss = sum(hinges) * (1.0 / len(hinges)) + penalty
    model.zero_grad()
    loss.backward()
    for p in model.parameters():
        p.data -= (1.0 - 0.1 * step) * p.grad
    right = sum((label > 0) == (score.data > 0) for label, score in zip(labels, scores))
    print(f"step {step} loss {loss.data:.8f}, accuracy {right / len(points):.0%}")
"""

FOUR_SAMPLES = """
import random

from engine import Value
from {nn} import MLP

random.seed(42)
xs = [[2.0, 3.0, -1.0], [3.0, -1.0, 0.5], [0.5, 1.0, 1.0], [1.0, 1.0, -1.0]]
ys = [1.0, -1.0, -1.0, 1.0]
n = MLP(3, [4, 4, 1])
print(len(n.parameters()))
for k in range(20):
    loss = sum([(out - y) ** 2 for y, out in zip(ys, [n(x) for x in xs])], Value(0.0))
    for p in n.parameters():
        p.grad = 0.0
    loss.backward()
    for p in n.parameters():
        p.data += -0.05 * p.grad
    print(k, f"{{loss.data:.8f}}")
"""


# -- whole programs ---------------------------------------------------------------------------


def test_a_program_for_micrograd_prints_what_it_prints_with_the_original(folder):
    write(folder, {"moons.py": MOONS, **MICROGRAD})
    status, output, errors = plain(folder, "moons.py", "3")
    assert (status, errors) == (0, "")
    assert output.count("\n") == 8
    ours = run(folder, "moons.py", "3")
    assert ours == (0, output, line("micrograd"))
    assert run(folder, "moons.py", "4")[1] != output


@pytest.mark.parametrize("nn", ["nn", "neural_net"])
@pytest.mark.parametrize("beside", [True, False])
def test_a_program_of_two_files_prints_what_it_prints_alone(folder, nn, beside):
    files = {"engine.py": ENGINE, f"{nn}.py": TANH}
    write(folder, {"main.py": FOUR_SAMPLES.format(nn=nn), **files})
    status, output, errors = plain(folder, "main.py")
    assert (status, errors) == (0, "")
    assert output.startswith("41\n")
    if not beside:
        for name in files:
            (folder / name).unlink()
    assert run(folder, "main.py") == (0, output, line("engine", nn))


@pytest.mark.parametrize("files", [MICROGRAD, {}])
def test_micrograd_is_ours(folder, files):
    write(folder, files)
    code = """
        from micrograd.engine import Value
        from micrograd.nn import MLP, Layer, Module, Neuron
        import gradlite.nn, gradlite.scalar as ours
        assert Value is ours.Value is gradlite.scalar.engine.Value
        assert [MLP, Layer, Module, Neuron] == [ours.MLP, ours.Layer, ours.Module, ours.Neuron]
        assert MLP is gradlite.nn.MLP
        """
    assert run_code(folder, code) == ("", line("micrograd"))


def test_a_script_called_micrograd_is_not_taken_for_the_package(folder):
    write(folder, {"micrograd.py": "from micrograd.nn import MLP; print(MLP(1, [1]))"})
    status, output, errors = run(folder, "micrograd.py")
    assert (status, output) == (0, "MLP of [Layer of [LinearNeuron(1)]]\n")
    assert errors == line("micrograd")


def test_micrograd_in_a_single_file(folder):
    text = ENGINE + network("micrograd").replace("from micrograd import Value", "")
    write(folder, {"micrograd.py": text})
    code = "from micrograd import MLP, Value; print(MLP.__module__, Value.__module__)"
    expected = "gradlite.scalar.nn gradlite.scalar.engine\n"
    assert run_code(folder, code) == (expected, line("micrograd"))


@pytest.mark.parametrize("beside", [TWO_FILES, {}])
def test_the_two_file_version_is_ours(folder, beside):
    write(folder, beside)
    code = """
        import engine, nn
        from gradlite.scalar import Module, Value, neural_net
        assert engine.Value is nn.Value is Value
        assert [nn.MLP, nn.Neuron, nn.Layer, nn.Module] == [
            neural_net.MLP, neural_net.Neuron, neural_net.Layer, Module
        ]
        """
    assert run_code(folder, code) == ("", line("engine", "nn"))


def test_a_network_beside_the_script_that_takes_nonlin_is_micrograds(folder):
    write(folder, {"engine.py": ENGINE, "nn.py": network("engine")})
    output, _ = run_code(folder, "from nn import MLP; print(MLP(2, [1, 1]))")
    assert output == "MLP of [Layer of [ReLUNeuron(2)], Layer of [LinearNeuron(1)]]\n"


@pytest.mark.parametrize(
    ("code", "modules"),
    [
        ("import micrograd.engine; micrograd.engine.Value(1.0)", ["micrograd"]),
        ("import micrograd; assert micrograd.__path__ is not None", ["micrograd"]),
        ("from micrograd import engine, nn; nn.Neuron(2)([engine.Value(1.0), 2])", ["micrograd"]),
        ("import micrograd.nn as nn; nn.random.seed(1); nn.Layer(1, 1)", ["micrograd"]),
        ("from micrograd.nn import *; MLP(1, [1]), Value(2.0)", ["micrograd"]),
        ("from engine import *; from neural_net import *; MLP(1, [1])", ["engine", "neural_net"]),
        ("import nn as networks; networks.MLP(1, [1])", ["nn"]),
        ("import importlib; importlib.import_module('micrograd.nn').MLP", ["micrograd"]),
        ("try:\n    import nothing\nexcept ImportError:\n    import engine", ["engine"]),
        ("def f():\n    import engine\nimport micrograd.nn\nf()", ["micrograd", "engine"]),
        ("import math, micrograd.engine, nn", ["micrograd", "nn"]),
    ],
)
def test_every_form_of_import(folder, code, modules):
    write(folder, MICROGRAD)
    assert run_code(folder, code) == ("", line(*modules))


@pytest.mark.parametrize("files", [MICROGRAD, {}])
def test_a_name_that_nobody_has_is_missed_as_ever(folder, files):
    write(folder, {**files, "main.py": "from micrograd.engine import Tensor"})
    status, _, errors = run(folder, "main.py")
    assert status == 1
    assert "ImportError: cannot import name 'Tensor' from 'micrograd.engine' (" in errors
    assert errors.count("File ") == 1


# -- what is left alone -----------------------------------------------------------------------

OTHERS = {
    "engine.py": "class Engine: pass\nclass Car:\n    class Value: pass\nValue = 'of a car'",
    "nn.py": "def neighbours(): return 'nearest'\nMLP = lambda *sizes: sizes",
    "neural_net.py": "print('neural_net of another kind')",
}


def test_modules_that_are_something_else_are_left_alone(folder):
    code = """
        import engine, nn, neural_net
        print(engine.Value, nn.MLP(1, 2), engine.__file__, nn.neighbours())
        """
    write(folder, {"main.py": code, **OTHERS})
    ours = run(folder, "main.py")
    assert ours[0] == 0
    assert ours == plain(folder, "main.py")


@pytest.mark.parametrize("name", ["engine", "nn", "neural_net"])
def test_modules_installed_elsewhere_are_left_alone(folder, name):
    elsewhere = folder.parent / "elsewhere"
    write(elsewhere, {"engine.py": ENGINE, "nn.py": TANH, "neural_net.py": TANH})
    write(folder, {"main.py": f"import {name}; print(list(vars({name})), {name}.Value.__module__)"})
    ours = run(folder, "main.py", path=[elsewhere])
    assert ours[0] == 0
    assert ours == plain(folder, "main.py", path=[elsewhere])


def test_one_may_be_ours_and_the_other_not(folder):
    write(folder, {"engine.py": ENGINE, "nn.py": OTHERS["nn.py"]})
    code = "import engine, nn; print(engine.Value.__module__, nn.__file__)"
    output, errors = run_code(folder, code)
    assert output == f"gradlite.scalar.engine {folder / 'nn.py'}\n"
    assert errors == line("engine")


def test_a_package_counts_by_its_init(folder):
    write(
        folder, {"engine/__init__.py": ENGINE + MEAN, "engine/more.py": "from . import Value, mean"}
    )
    write(folder, {"nn/__init__.py": "from .networks import MLP", "nn/networks.py": TANH})
    code = """
        import engine.more, nn
        print(engine.more.Value.__module__, engine.more.mean([1.0, 2.0]).data, nn.MLP.__module__)
        """
    output, errors = run_code(folder, code)
    assert output == "gradlite.scalar.engine 1.5 nn.networks\n"
    assert errors == line("engine")


@pytest.mark.parametrize("head", ["if True:", "try:\n    import numpy\nexcept ImportError:"])
def test_a_class_counts_wherever_it_is_defined_for_the_module(folder, head):
    write(folder, {"engine.py": f"{head}\n    class Value: pass\nelse:\n    pass"})
    output, _ = run_code(folder, "import engine; print(engine.Value.__module__)")
    assert output == "gradlite.scalar.engine\n"


@pytest.mark.parametrize("text", ["class Value(:\n", b"class Value: '\xe9'\n", b"class Value: 0\0"])
def test_a_broken_file_beside_the_script_fails_as_ever(folder, text):
    write(folder, {"engine.py": text, "main.py": "import engine"})
    ours = run(folder, "main.py")
    assert ours[0] == 1
    assert ours == plain(folder, "main.py")


def test_modules_of_other_packages_with_these_names_are_left_alone(folder):
    write(folder, {"car/__init__.py": "", "car/engine.py": ENGINE, "car/nn.py": TANH})
    code = "from car import engine; print(engine.Value.__module__)"
    assert run_code(folder, code) == ("car.engine\n", "")


# -- what the replaced files have besides -----------------------------------------------------


def test_other_names_of_a_replaced_file_work_on_our_classes(folder):
    write(folder, TWO_FILES)
    code = """
        import pickle
        from engine import Value, _wrap, math, mean
        from nn import *
        model = MLP(2, [2, 1])
        mean([model([1.0, 2.0]), 3.0 * model([0.5, 0.5])]).backward()
        SGD(model.parameters(), 0.5).step()
        assert model.parameters()[0].grad == 0.0
        assert type(_wrap(1.0)) is Value and _wrap(model([0, 0])).data < 100
        assert type(mean([1.0])).__module__ == "gradlite.scalar.engine"
        print(count(model), random.random() < 1, math.pi)
        assert pickle.loads(pickle.dumps(SGD)) is SGD
        """
    output, errors = run_code(folder, code)
    assert output == "9 True 3.141592653589793\n"
    assert errors == line("engine", "nn")


def test_what_a_replaced_file_of_the_package_imports_is_there(folder):
    write(folder, MICROGRAD)
    code = """
        from micrograd.engine import math, _wrap
        from micrograd.nn import MLP, Value, random
        assert type(_wrap(math.pi)) is Value
        """
    assert run_code(folder, code) == ("", line("micrograd"))


def test_a_replaced_file_still_does_what_it_does_when_imported(folder):
    write(folder, {"engine.py": ENGINE + "\nprint('here is', __name__, __file__)\n"})
    write(folder, {"nn.py": TANH + "\nrandom.seed(8)\nclass Wide(Layer): pass\n"})
    code = """
        from nn import MLP, Wide
        print([p.data for p in MLP(2, [2]).parameters()], len(Wide(1, 2, True)([1.0])))
        """
    write(folder, {"main.py": code})
    ours = run(folder, "main.py")
    assert ours[:2] == plain(folder, "main.py")[:2]
    assert ours[2] == line("nn", "engine")


def test_a_replaced_file_fails_with_its_own_traceback(folder):
    bad = "\ndef divide(x):\n    return x / 0\n\ndivide(3)\n"
    write(folder, {"engine.py": ENGINE + bad, "main.py": "'''Imports it.'''\nimport engine"})
    status, output, errors = run(folder, "main.py")
    said, errors = errors.split("\n", 1)
    assert said + "\n" == line("engine")
    assert (status, output, errors) == plain(folder, "main.py")


def test_a_replaced_file_says_in_all_what_a_star_gives(folder):
    write(folder, {"engine.py": ENGINE + "\n__all__ = ['Value', 'mean']\n"})
    write(folder, {"main.py": "from engine import *; print(sorted(globals()))"})
    assert run(folder, "main.py")[:2] == plain(folder, "main.py")[:2]


def test_replaced_files_are_not_cached(folder):
    write(folder, {"main.py": "from engine import Value; print(Value.__module__)", **TWO_FILES})
    options = {"cwd": folder, "env": {**os.environ, "PYTHONPATH": str(ROOT)}, "check": True}
    for module, command in [("engine", []), ("gradlite.scalar.engine", ["-m", "gradlite", "run"])]:
        command = [sys.executable, *command, "main.py"]
        for _ in range(2):
            done = subprocess.run(command, capture_output=True, text=True, timeout=300, **options)
            assert done.stdout == f"{module}\n"


# -- the line on stderr -----------------------------------------------------------------------


def test_a_redirection_is_said_once_and_when_it_happens(folder):
    code = """
        import sys
        print("first", file=sys.stderr)
        import engine
        print("second", file=sys.stderr)
        from nn import MLP
        import engine, micrograd.engine, micrograd.nn
        """
    expected = f"first\n{line('engine')}second\n{line('nn', 'micrograd')}"
    assert run_code(folder, code)[1] == expected


def test_nothing_is_said_of_imports_that_never_happen(folder):
    assert run_code(folder, "def f():\n    import micrograd") == ("", "")


# -- as under plain Python --------------------------------------------------------------------

SAME = {
    "nothing": "",
    "itself": "import sys\nprint(__name__, __file__, sys.argv, sys.path[0], __spec__, __package__)",
    "names": "print(list(globals()))\nprint(__builtins__, __doc__, __cached__, __annotations__)\n"
    "print(type(__loader__), __loader__.name, __loader__.path)",
    "docstring": "'''What it is.'''\nx: int = 1\nprint(__doc__, __annotations__)",
    "main": "import sys, __main__\nprint(vars(__main__) is globals(), vars() is globals())\n"
    "print(sys.modules['__main__'] is __main__)",
    "pickle": "import pickle\nclass A:\n    x = 1\nprint(pickle.loads(pickle.dumps(A())).x)\n"
    "print(pickle.dumps(A))",
    "cookie": "# coding: latin-1\nprint(ascii('\xe9'))".encode("latin-1"),
    "bom": b"\xef\xbb\xbfprint(ascii('\xc3\xa9'))",
    "future": "from __future__ import annotations\ndef f(x: y): pass\nprint(f.__annotations__)",
    "no future": "def f(x: int): pass\nprint(f.__annotations__)",
    "deep": "x = " + "1+" * 2000 + "1\nprint(x)",
    "too deep": "x = " + "-" * 100_000 + "1\nprint(x)",
    "source": "import inspect\ndef f(): return 3\nprint(inspect.getsource(f))",
    "error": "def f(x):\n    return 1 / x\n\nprint('so far')\nf(0)",
    "error of a kind of its own": "class Mine(Exception): pass\nraise Mine('no')",
    "cause": "def f():\n    try:\n        {}['x']\n    except KeyError as e:\n"
    "        raise ValueError('y') from e\nf()",
    "context": "try:\n    1 / 0\nexcept ZeroDivisionError:\n    [][1]",
    "group": "raise ExceptionGroup('g', [ValueError(1), TypeError(2)])",
    "note": "e = ValueError(1)\ne.add_note('mark this')\nraise e",
    "missing module": "import nothing_of_this_name",
    "missing module, dynamically": "import importlib\nimportlib.import_module('nothing_like_it')",
    "assertion": "assert 1 == 2, 'not so'",
    "hint": "class A: blood = 1\nA.bloof",
    "generator": "def g():\n    yield 1\n    raise ValueError('late')\nlist(g())",
    "called back": "sorted([2, 1], key=lambda x: x.nothing)",
    "code of its own": "exec(compile('1 / 0', '<made>', 'exec'))",
    "syntax": "def f(:\n    pass",
    "syntax, later": "print('not shown')\nreturn 3",
    "string without end": 'x = """abc\n',
    "indentation": "if 1:\nx = 1",
    "tabs": "if 1:\n        x = 1\n\tx = 2",
    "bytes": b"print(1)\nx = '\xe9'\n",
    "null": b"print(1)\nx = 1\0\n",
    "unknown coding": "# coding: nothing\nx = 1",
    "warned syntax": "x = 1\nprint(x is 1)",
    "warned escape": "print('\\d')",
    "exit": "import sys\nsys.exit()",
    "exit 3": "import sys\nprint('bye')\nsys.exit(3)",
    "exit True": "raise SystemExit(True)",
    "exit with text": "import sys\nsys.exit('that was all')",
    "exit with two": "raise SystemExit('a', 2)",
    "quit": "quit(4)",
    "os._exit": "import os\nprint('x', flush=True)\nos._exit(7)",
    "aborted": "import os\nos.abort()",
    "atexit": "import atexit\natexit.register(print, 'late')\nprint('early')\n1 / 0",
    "atexit that fails": "import atexit\nclass F:\n    def __repr__(self): return 'F'\n"
    "    def __call__(self): 1 / 0\natexit.register(F())",
    "thread": "import threading, time\ndef f():\n    time.sleep(0.2)\n    print('done')\n"
    "threading.Thread(target=f).start()\nprint('main')",
    "thread that fails": "import threading\nt = threading.Thread(target=lambda: 1 / 0, name='t')\n"
    "t.start()\nt.join()",
    "hook": "import sys\ndef hook(*x):\n    print('hook', x[0], x[1], x[2].tb_frame.f_code.co_name,"
    " x[2] is x[1].__traceback__ is sys.last_traceback, sys.last_value is x[1])\n"
    "sys.excepthook = hook\n1 / 0",
    "hook, asked later": "import sys, atexit\ndef hook(*x): print('hook')\nsys.excepthook = hook\n"
    "atexit.register(lambda: print(sys.excepthook is hook))\n1 / 0",
    "hook that leaves": "import sys\nsys.excepthook = lambda *x: sys.exit(5)\n1 / 0",
    "printed": "import traceback\ntry:\n    1 / 0\nexcept Exception:\n    traceback.print_exc()",
    "order": "import os, sys\nfor i in range(3):\n    os.write(1, b'a')\n    os.write(2, b'b')\n"
    "    print('c', end='')\n    print('d', end='', file=sys.stderr)",
    "finaliser": "class A:\n    def __del__(self): print('gone')\na = A()\nprint('end')",
    "interrupt": "import os, signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
    "import atexit\natexit.register(print, 'at the end')\n"
    "def wait():\n    os.kill(os.getpid(), signal.SIGINT)\nwait()",
    "interrupt, raised": "def f():\n    raise KeyboardInterrupt('x')\nf()",
    "killed": "import os, signal\nos.kill(os.getpid(), signal.SIGTERM)",
    "reads": "print(input() + '!')",
    "forks": "import multiprocessing as m\nc = m.get_context('fork')\ndef f(q): q.put(__name__)\n"
    "q = c.Queue()\np = c.Process(target=f, args=(q,))\np.start()\nprint(q.get())\np.join()",
}


@pytest.mark.parametrize("name", SAME)
def test_all_else_is_as_under_plain_python(folder, name):
    write(folder, {"script.py": SAME[name]})
    args = ["script.py", "--help", "--", "-m", "a b"]
    assert run(folder, *args, input=b"read\n") == plain(folder, *args, input=b"read\n")


@pytest.mark.parametrize("name", [name for name in SAME if name.startswith("warned")])
def test_warnings_about_syntax_are_shown_as_under_plain_python(folder, name):
    write(folder, {"script.py": SAME[name]})
    expected = plain(folder, "script.py", flags=["-W", "always"])
    assert "Warning" in expected[2]
    assert run(folder, "script.py", flags=["-W", "always"]) == expected


def test_deprecations_in_the_script_are_shown(folder):
    write(folder, {"s.py": "import warnings\nwarnings.warn('old', DeprecationWarning)\nprint(1)"})
    expected = plain(folder, "s.py", flags=())
    assert "DeprecationWarning: old" in expected[2]
    assert run(folder, "s.py", flags=()) == expected


@pytest.mark.parametrize("flags", [["-u"], ["-O"], ["-P"], ["-X", "utf8"], ["-B", "-q"]])
def test_options_of_python_hold(folder, flags):
    write(folder, {"s.py": "import sys\nassert False\nprint(sys.flags, __debug__, sys.path[0])"})
    assert run(folder, "s.py", flags=flags) == plain(folder, "s.py", flags=flags)


@pytest.mark.parametrize(
    "way", ["-m gradlite run", "-Bm gradlite run", "-mgradlite run", "-B {} run", "-B {} run --"]
)
def test_gradlite_is_taken_out_of_the_command(folder, way):
    write(folder, {"s.py": "import sys\nprint(sys.argv, sys.flags, sys.orig_argv)\nimport engine"})
    flags = way.format(ROOT / "gradlite" / "__main__.py").split()
    before = flags[: 1 if "B" in way else 0]
    expected = plain(folder, "s.py", "x", flags=[f.replace("m", "") for f in before])[1]
    assert python(folder, *flags, "s.py", "x") == (0, expected, line("engine"))


@pytest.mark.parametrize(
    "way", ["-m cProfile -m", "-m trace --trackcalls --module", "-m pdb -c l -c c -m"]
)
def test_a_program_can_be_profiled_traced_and_debugged(folder, way):
    write(folder, {"s.py": "import engine\ndef chosen(): pass\nchosen()"})
    status, output, errors = plain(folder, *way.split(), "gradlite", "run", "s.py")
    assert (status, errors) == (0, line("engine"))
    assert "chosen" in output


@pytest.mark.parametrize("option", ["-E", "-I"])
def test_options_of_python_that_forbid_a_redirection_get_one_line(folder, option):
    write(folder, {"s.py": "1 / 0"})
    code = f"import sys; sys.path.append({str(ROOT)!r}); from gradlite.__main__ import main; main()"
    errors = python(folder, option, "-c", code, "run", "s.py")[2]
    assert errors.startswith("gradlite: error: imports cannot be redirected under Python's options")
    assert errors.count("\n") == 1


@pytest.mark.parametrize("fault", ["", "1 / 0"])
def test_a_start_up_file_of_the_users_own_runs_as_well(folder, fault):
    elsewhere = folder.parent / "elsewhere"
    write(elsewhere, {"sitecustomize.py": f"print(__name__, __file__)\n{fault}"})
    write(folder, {"s.py": "import engine, sys\nprint('sitecustomize' in sys.modules)"})
    _, output, errors = plain(folder, "-c", "", path=[elsewhere])
    expected = 2 * output + f"{not fault}\n", 2 * errors + line("engine")  # gradlite, the program
    assert run(folder, "s.py", path=[elsewhere])[1:] == expected


def test_another_python_is_left_alone(folder):
    code = """
        import os, subprocess, sys
        import micrograd.engine
        state = os.environ["GRADLITE_RUN"]
        os.environ["GRADLITE_RUN"] = state.replace(sys.prefix, "/another")
        subprocess.run([sys.executable, "child.py"], check=True)
        os.environ["GRADLITE_RUN"] = state
        subprocess.run([sys.executable, "child.py"], check=True)
        """
    write(
        folder,
        {"s.py": code, "child.py": "import micrograd.engine as e; print(e.Value.__module__)"},
    )
    write(folder, MICROGRAD)
    expected = "micrograd.engine\ngradlite.scalar.engine\n"
    assert run(folder, "s.py") == (0, expected, line("micrograd"))


@pytest.mark.parametrize(
    "way", ["./sub/script.py", "sub/../sub/script.py", "link.py", "{}/link.py"]
)
def test_the_script_may_lie_anywhere(folder, way):
    code = "import sys, beside\nprint(__file__, sys.argv, sys.path[0], beside.__file__)\n1 / 0"
    write(folder, {"sub/script.py": code, "sub/beside.py": "", "beside.py": "1 / 0"})
    (folder / "link.py").symlink_to(Path("sub", "script.py"))
    way = way.format(folder)
    assert run(folder, way, "x") == plain(folder, way, "x")


def test_the_files_beside_a_linked_script_count(folder):
    write(folder, {"sub/script.py": "import engine; print(engine._wrap)", "sub/engine.py": ENGINE})
    (folder / "link.py").symlink_to(Path("sub", "script.py"))
    assert run(folder, "link.py")[2] == line("engine")


def test_a_program_that_fails_shows_its_own_traceback_alone(folder):
    code = """
        from micrograd.engine import Value
        from micrograd.nn import MLP

        def train(model):
            return model([1.0, 2.0]).data + nothing

        train(MLP(2, [1]))
        """
    write(folder, {"main.py": code, **MICROGRAD})
    status, output, errors = run(folder, "main.py")
    said, errors = errors.split("\n", 1)
    assert said + "\n" == line("micrograd")
    assert (status, output, errors) == plain(folder, "main.py")
    assert status == 1


@pytest.mark.parametrize("code", ["for i in range(100_000): print(i)", "print(1)"])
def test_a_closed_pipe_is_met_as_under_plain_python(folder, code):
    write(folder, {"script.py": code})
    seen = []
    for way in ([], ["-m", "gradlite", "run"]):
        reading, writing = os.pipe()
        os.close(reading)
        done = subprocess.run(
            [sys.executable, *way, "script.py"],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=writing,
            stderr=subprocess.PIPE,
            timeout=300,
            check=False,
        )
        os.close(writing)
        seen.append((done.returncode, done.stderr))
    assert seen[0] == seen[1]
    assert seen[0][0] != 0


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent in another way there")
def test_ctrl_c_ends_the_process_by_its_signal(folder):
    write(folder, {"script.py": SAME["interrupt"]})
    status, output, errors = run(folder, "script.py")
    assert status == -signal.SIGINT
    assert output == "at the end\n"
    assert errors.endswith("KeyboardInterrupt\n")


# -- the command line -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "what"),
    [
        ("missing.py", "'missing.py': No such file or directory"),
        ("loop.py", "'loop.py': Too many levels of symbolic links"),
        ("", "'': No such file or directory"),
        ("main.py/x", "'main.py/x': Not a directory"),
    ],
)
def test_a_script_that_cannot_be_read_gets_one_line(folder, script, what):
    write(folder, {"main.py": "", "sub/x": ""})
    (folder / "loop.py").symlink_to("loop.py")
    status, output, errors = run(folder, script, "--help")
    assert (status, output) == (2, "")
    assert errors == f"gradlite: error: cannot read {what}\n"


@pytest.mark.parametrize("name", ["x\x1b[31m\ay", "os.x\a", "x\u202ey", "x\ny"])
def test_control_characters_of_a_modules_name_are_not_shown_as_they_are(folder, name):
    status, output, errors = run(folder, "-m", name)
    assert (status, output) == (2, "")
    what = f"a module's name cannot have control characters: {name!r}"
    assert errors == f"gradlite: error: {what}\n"


@pytest.mark.parametrize(
    ("args", "what"),
    [
        ([], "Missing argument 'SCRIPT.py'. See gradlite run --help."),
        (["--steps"], "No such option"),
        (["-x", "main.py"], "No such option"),
        (["--"], "Missing argument 'SCRIPT.py'. See gradlite run --help."),
    ],
)
def test_a_command_without_a_script_gets_one_line(folder, args, what):
    write(folder, {"main.py": "print(1)"})
    status, output, errors = run(folder, *args)
    assert (status, output) == (2, "")
    assert errors.startswith(f"gradlite: error: {what}")
    assert errors.count("\n") == 1


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_explains_the_command(folder, option):
    status, output, errors = run(folder, option, "main.py")
    assert (status, errors) == (0, "")
    assert "Usage: gradlite run [OPTIONS] SCRIPT.py [ARGS]..." in output
    assert "Example: gradlite run train.py" in output
    assert "Run a program written for micrograd" in python(folder, "-m", "gradlite", "--help")[1]


# -- notebooks --------------------------------------------------------------------------------


def test_the_extension_redirects_and_stops_again(folder):
    code = """
        import micrograd.engine
        original = micrograd.engine.Value
        import engine, nn
        import gradlite.scalar as extension, gradlite.scalar
        import sys
        finders = sys.meta_path.copy()
        for _ in range(2):
            extension.load_ipython_extension(object())
            extension.load_ipython_extension(object())
            assert len(sys.meta_path) == len(finders) + 1
            import micrograd.engine, micrograd.nn, engine, nn
            from micrograd.nn import MLP
            Value = gradlite.scalar.Value
            assert micrograd.engine.Value is engine.Value is Value is not original
            assert MLP is micrograd.nn.MLP is gradlite.scalar.MLP is not nn.MLP
            assert engine.mean([1.0, 2.0]).data == 1.5
            extension.unload_ipython_extension(object())
            extension.unload_ipython_extension(object())
            assert sys.meta_path == finders
            import micrograd.engine, micrograd.nn, engine, nn
            assert micrograd.engine.Value.__module__ == "micrograd.engine"
            assert engine.Value.__module__ == "engine" and nn.MLP.__module__ == "nn"
        """
    write(folder, {"notebook.py": code, **MICROGRAD, **TWO_FILES})
    status, output, errors = plain(folder, "notebook.py")
    assert (status, output) == (0, "")
    assert errors == 2 * (line("micrograd") + line("engine") + line("nn"))


def test_the_extension_leaves_other_modules_alone(folder):
    code = """
        import sys, types
        import engine
        sys.modules["nn"] = made = types.ModuleType("nn")
        import gradlite.scalar as extension
        extension.load_ipython_extension(None)
        import nn, neural_net
        assert nn is made and sys.modules["engine"] is engine and engine.Engine
        extension.unload_ipython_extension(None)
        assert nn is sys.modules["nn"] and "neural_net" not in sys.modules
        """
    write(folder, {"notebook.py": code, "engine.py": OTHERS["engine.py"]})
    assert plain(folder, "notebook.py") == (0, "", line("neural_net"))


def test_under_run_the_extension_changes_nothing(folder):
    code = """
        import gradlite.scalar as extension
        from engine import Value
        extension.load_ipython_extension(None)
        import engine, nn
        assert engine.Value is Value is nn.Value
        """
    assert run_code(folder, code) == ("", line("engine", "nn"))


def test_the_scalar_api_is_light_to_import(folder):
    loaded = plain(folder, "-c", "import sys, gradlite.scalar; print(list(sys.modules))")[1]
    for heavy in "IPython", "argparse", "runpy", "subprocess":
        assert f"'{heavy}'" not in loaded

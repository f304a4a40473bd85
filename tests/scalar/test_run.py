"""The runner: scripts written for micrograd run unchanged, and otherwise as under Python."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import gradlite

ROOT = Path(gradlite.__file__).parents[1]
ENV = {**os.environ, "PYTHONPATH": str(ROOT)}
GRADLITE = ("-m", "gradlite", "run")

MICROGRAD = """
    import random
    from micrograd.engine import Value
    from micrograd.nn import MLP, Neuron

    random.seed(3)
    model = MLP(2, [4, 1])
    data = [([0.5, -1.0], 1), ([-0.3, 0.8], -1)]
    for step in range(3):
        loss = sum(((1 + -y * model(list(map(Value, x)))).relu() for x, y in data), Value(0))
        model.zero_grad()
        loss.backward()
        for p in model.parameters():
            p.data -= 0.1 * p.grad
        print(step, f"{loss.data:.9f}")
    print(model, Neuron(2, nonlin=False))
"""

# The engine and the network of somebody's version in two files: slow, and here not to be used.
ENGINE = """
    class Value:
        def __init__(self, data):
            raise RuntimeError("the local Value was used")

    def describe(value):
        return f"described: {value.data}"

    LIMIT = 7
"""
NETWORK = """
    from engine import Value

    class Neuron:
        pass

    class MLP:
        def __init__(self, *sizes):
            raise RuntimeError("the local MLP was used")

    class Trainer:
        kind = Value
"""
TWO_FILES = """
    from engine import Value, describe
    from {network} import MLP

    n = MLP(3, [4, 4, 1])
    out = n([2.0, 3.0, -1.0])
    print(len(n.parameters()), len(n.layer), -1 < out.data < 1, describe(Value(2.0)))
"""


def write(folder, **files):
    for name, text in files.items():
        (folder / f"{name}.py").write_text(textwrap.dedent(text), encoding="utf-8")


def python(folder, *args, runner=(), env=ENV):
    return subprocess.run(
        [sys.executable, *runner, *args],
        cwd=folder, env=env, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def run(folder, *args, **kwargs):
    return python(folder, *args, runner=GRADLITE, **kwargs)


def same(folder, *args, env=ENV):
    """Run a script both ways; everything that is seen must be equal."""
    plain, ours = python(folder, *args, env=env), run(folder, *args, env=env)
    assert ours.stdout == plain.stdout
    assert ours.stderr == plain.stderr
    assert ours.returncode == plain.returncode
    return ours


# -- what is redirected -----------------------------------------------------------------------


def test_a_script_for_micrograd_runs_unchanged(tmp_path):
    write(tmp_path, script=MICROGRAD)
    done = run(tmp_path, "script.py")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == (
        "MLP of [Layer of [ReLUNeuron(2), ReLUNeuron(2), ReLUNeuron(2), ReLUNeuron(2)], "
        "Layer of [LinearNeuron(4)]] LinearNeuron(2)"
    )
    assert done.stderr == "gradlite: micrograd.engine, micrograd.nn are gradlite.scalar here\n"


@pytest.mark.parametrize(
    "lines",
    [
        "import micrograd.nn as nn",
        "from micrograd import nn, engine",
        "import micrograd, micrograd.nn; nn = micrograd.nn",
        "def late():\n    from micrograd import nn\n    return nn\nnn = late()",
    ],
)
def test_every_way_to_import_gives_the_classes_of_gradlite(tmp_path, lines):
    check = "import gradlite.nn\nprint(nn.MLP is gradlite.nn.MLP, nn.Module.__module__)"
    write(tmp_path, script=f"{lines}\n{check}")
    done = run(tmp_path, "script.py")
    assert done.stdout == "True gradlite.scalar.nn\n", done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_micrograd_is_redirected_even_where_it_is_installed(tmp_path):
    (tmp_path / "micrograd").mkdir()
    write(tmp_path / "micrograd", __init__="", engine="class Value: pass", viewer="SEEN = 1")
    write(
        tmp_path,
        script="from micrograd.engine import Value\nfrom micrograd.viewer import SEEN\n"
        "print(Value.__module__, SEEN)",
    )
    assert run(tmp_path, "script.py").stdout == "gradlite.scalar.engine 1\n"


@pytest.mark.parametrize("network", ["nn", "neural_net"])
def test_the_version_in_two_files_runs_with_its_files_beside_the_script(tmp_path, network):
    write(tmp_path, engine=ENGINE, script=TWO_FILES.format(network=network), **{network: NETWORK})
    done = run(tmp_path, "script.py")
    assert done.stdout == "41 3 True described: 2.0\n", done.stderr
    assert done.stderr == f"gradlite: engine, {network} are gradlite.scalar here\n"


def test_the_version_in_two_files_runs_without_its_files(tmp_path):
    write(tmp_path, script="from engine import Value\nfrom nn import MLP\nprint(MLP(2, [1]))")
    done = run(tmp_path, "script.py")
    assert done.stdout == "MLP of [Layer of [TanhNeuron(2)]]\n", done.stderr


def test_a_file_with_micrograds_own_neurons_gets_those(tmp_path):
    neuron = "class Neuron:\n    def __init__(self, nin, nonlin=True): pass\n"
    write(tmp_path, engine=ENGINE, nn=neuron, script="from nn import MLP\nprint(MLP(2, [1]))")
    assert run(tmp_path, "script.py").stdout == "MLP of [Layer of [LinearNeuron(2)]]\n"


def test_everything_else_that_the_local_files_define_is_found(tmp_path):
    script = """
        from engine import *
        import nn
        print(Value.__module__, describe(Value(1.0)), LIMIT, nn.Trainer.kind is Value)
        try:
            nn.nothing
        except AttributeError:
            print("no such name")
    """
    write(tmp_path, engine=ENGINE, nn=NETWORK, script=script)
    done = run(tmp_path, "script.py")
    expected = "gradlite.scalar.engine described: 1.0 7 True\nno such name\n"
    assert done.stdout == expected, done.stderr


def test_an_unrelated_engine_beside_the_script_is_left_alone(tmp_path):
    write(tmp_path, engine="POWER = 90", nn="def layer(): return 'own'",
          script="import engine, nn\nprint(engine.POWER, nn.layer())")  # fmt: skip
    assert same(tmp_path, "script.py").stdout == "90 own\n"


def test_a_module_found_elsewhere_is_left_alone_whatever_it_defines(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "here").mkdir()
    write(tmp_path / "elsewhere", engine="class Value:\n    kind = 'theirs'")
    write(tmp_path / "here", script="from engine import Value\nprint(Value.kind)")
    env = {**ENV, "PYTHONPATH": os.pathsep.join([str(ROOT), str(tmp_path / "elsewhere")])}
    assert same(tmp_path, "here/script.py", env=env).stdout == "theirs\n"


def test_a_local_file_that_does_not_parse_is_left_to_python(tmp_path):
    write(tmp_path, engine="class Value(:", script="import engine")
    assert "SyntaxError" in same(tmp_path, "script.py").stderr


# -- as under plain Python --------------------------------------------------------------------


def test_the_script_sees_what_it_sees_under_python(tmp_path):
    script = """
        '''About this script.'''
        import sys
        print(__name__, __file__, __doc__, __spec__, __package__, type(__loader__).__name__)
        print(sys.argv, sys.path[0], sys.modules["__main__"].__dict__ is globals())
        print(__builtins__.__name__, sorted(k for k in globals() if k.startswith("__")))
    """
    (tmp_path / "sub").mkdir()
    write(tmp_path / "sub", script=script)
    same(tmp_path, "sub/script.py", "a", "--help", "-x=1", "run")
    same(tmp_path / "sub", "script.py")
    same(tmp_path / "sub", "./script.py")
    same(tmp_path, "sub/../sub/script.py")
    same(tmp_path, str(tmp_path / "sub" / "script.py"))


@pytest.mark.parametrize(
    "script",
    [
        "def f():\n    return 1 / 0\n\nf()",
        "raise SystemExit",
        "raise SystemExit(3)",
        "import sys\nsys.exit('in words')",
        "print('before'\n",
        "import no_such_module_anywhere",
        "try:\n    1 / 0\nexcept ZeroDivisionError as e:\n    raise ValueError('second') from e",
        "import sys\nsys.excepthook = lambda *e: print('hook', e[0].__name__)\n1 / 0",
        "import atexit, threading, time\natexit.register(print, 'at exit')\n"
        "threading.Thread(target=lambda: (time.sleep(0.2), print('thread'))).start()\n1 / 0",
        "import pickle\nclass A: pass\nprint(type(pickle.loads(pickle.dumps(A()))) is A)",
        "import warnings\nwarnings.warn('old', DeprecationWarning)",
        "# coding: latin-1\nprint(len('\\xe9'))",
        "x: int = 1\nprint(__annotations__)",
        "raise ExceptionGroup('several', [ValueError(1), TypeError(2)])",
    ],
)
def test_a_script_ends_as_under_python(tmp_path, script):
    (tmp_path / "script.py").write_text(script, encoding="latin-1")
    same(tmp_path, "script.py")


def test_a_failing_script_shows_its_own_traceback_alone(tmp_path):
    write(tmp_path, script="from micrograd.engine import Value\nValue('two')")
    done = run(tmp_path, "script.py")
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert lines[1:3] == [
        "Traceback (most recent call last):",
        f'  File "{tmp_path}/script.py", line 2, in <module>',
    ]
    assert lines[-1].endswith("DtypeError: A Value holds one real number, not 'two' (str).")
    assert not any("scalar/run.py" in line or "__main__.py" in line for line in lines)


def test_a_file_that_is_no_text_is_an_error_that_says_so(tmp_path):
    write(tmp_path, script="print('\0')")
    done = run(tmp_path, "script.py")
    assert done.returncode == 1
    assert "null bytes" in done.stderr


def test_ctrl_c_ends_the_script_as_under_python(tmp_path):
    write(
        tmp_path,
        script="import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nimport time\ntime.sleep(5)",
    )
    assert same(tmp_path, "script.py").returncode == -signal.SIGINT


@pytest.mark.parametrize(
    ("args", "what"),
    [(["missing.py"], "No such file"), (["."], "folder"), ([], "script"), (["--fast"], "script")],
)
def test_without_a_script_there_is_one_line_and_exit_code_2(tmp_path, args, what):
    done = run(tmp_path, *args)
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert what in done.stderr


def test_help_explains_itself(tmp_path):
    done = run(tmp_path, "--help")
    assert done.returncode == 0
    assert "micrograd" in done.stdout
    assert "run" in python(tmp_path, "-m", "gradlite", "--help").stdout


# -- notebooks --------------------------------------------------------------------------------


def test_a_notebook_extension_redirects_until_it_is_unloaded(tmp_path):
    script = """
        import sys
        from gradlite import scalar

        before = len(sys.meta_path)
        scalar.load_ipython_extension(None)
        scalar.load_ipython_extension(None)
        from micrograd.engine import Value
        from engine import Value as other, describe
        print(Value is scalar.Value is other, len(sys.meta_path) - before)
        scalar.unload_ipython_extension(None)
        print("micrograd" in sys.modules, "engine" in sys.modules, len(sys.meta_path) - before)
        import engine
        print(engine.LIMIT, engine.__name__, engine.Value is Value)
    """
    write(tmp_path, engine=ENGINE, notebook=script)
    done = python(tmp_path, "notebook.py")
    assert done.stdout == "True 1\nFalse False 0\n7 engine False\n", done.stderr

"""The ways to name a program, and worker processes: as under plain Python, but redirected."""

import os
import sys
import zipfile
from threading import Thread

import pytest

from tests.scalar.programs import ENGINE, MICROGRAD, STRICT, TANH, line, plain, python, run, write

ITSELF = """
    import sys, micrograd.engine
    print(__name__, __file__, sys.argv, sys.path[0], __package__, __spec__ and __spec__.name)
    print(list(globals()), micrograd.engine.Value.__module__)
    """
SAID = line("micrograd")
FOLDER = {"app/__main__.py": ITSELF, **{f"app/{name}": text for name, text in MICROGRAD.items()}}


def same(ours, theirs):
    """Whether a program printed what it prints under plain Python, on our classes."""
    status, output, errors = theirs
    assert (status, errors) == (0, "")
    assert "micrograd.engine" in output
    expected = output.replace("micrograd.engine\n", "gradlite.scalar.engine\n")
    return ours == (0, expected, SAID)


# -- folders, zip files, modules --------------------------------------------------------------


@pytest.mark.parametrize("flags", [STRICT, (*STRICT, "-P")])
@pytest.mark.parametrize("way", ["app", "./app", "app/", "{}/app"])
def test_a_folder(folder, way, flags):
    write(folder, FOLDER)
    args = [way.format(folder), "--help", "x"]
    assert same(run(folder, *args, flags=flags), plain(folder, *args, flags=flags))


def test_the_folder_one_is_in(folder):
    write(folder, FOLDER)
    assert same(run(folder / "app", "."), plain(folder / "app", "."))


def test_a_zip_file(folder):
    write(folder, FOLDER)
    with zipfile.ZipFile(folder / "app.pyz", "w") as file:
        for path in sorted((folder / "app").rglob("*.py")):
            file.write(path, path.relative_to(folder / "app"))
    assert same(run(folder, "app.pyz", "x"), plain(folder, "app.pyz", "x"))


PACKAGE = {
    "pkg/__init__.py": "",
    "pkg/sub/__init__.py": "from . import data",
    "pkg/sub/data.py": "",
    "pkg/sub/train.py": "from . import data\nfrom .. import sub\n" + ITSELF.replace("    ", ""),
    "pkg/__main__.py": ITSELF,
    "single.py": ITSELF,
    **MICROGRAD,
}


@pytest.mark.parametrize("module", ["single", "pkg", "pkg.sub.train"])
@pytest.mark.parametrize("flags", [STRICT, ("-B", *STRICT)])
def test_a_module(folder, module, flags):
    write(folder, PACKAGE)
    args = ["-m", module, "--help", "-m"]
    assert same(run(folder, *args, flags=flags), plain(folder, *args, flags=flags))


def test_what_a_module_imports_is_said(folder):
    write(folder, {"pkg/__init__.py": "import sys", "pkg/__main__.py": "import engine, nn"})
    assert run(folder, "-m", "pkg") == (0, "", line("engine", "nn"))
    assert run(folder, "pkg") == (0, "", line("engine", "nn"))


def test_the_module_that_is_run_is_itself(folder):
    text = ENGINE + "\nif __name__ == '__main__':\n    print(Value.__module__, Value(2.0).data)\n"
    write(folder, {"engine.py": text, "nn.py": TANH})
    assert run(folder, "-m", "engine") == (0, "__main__ 2.0\n", "")
    assert run(folder, "engine.py") == (0, "__main__ 2.0\n", "")


FAILS = {
    "app/__main__.py": "def f(): raise ValueError('no')\nf()",
    "app/exits.py": "raise SystemExit(3)",
    "app/broken.py": "def f(:",
}


@pytest.mark.parametrize(
    "args",
    [
        ["app"], ["-m", "app"], ["-m", "app.exits"], ["-m", "app.broken"], ["-m", "nothing_such"],
        ["-m", "app.nothing"], ["-m", "app.exits.more"], ["-m", "json"], ["-m", "app."],
    ],
)  # fmt: skip
def test_what_goes_wrong_is_shown_as_under_plain_python(folder, args):
    write(folder, {**FAILS, "app/__init__.py": ""})
    ours, theirs = run(folder, *args), plain(folder, *args)
    assert ours == theirs
    assert theirs[0]


FROM_STDIN = """
import sys, micrograd.engine
print(__name__, sys.argv, __package__)
print(list(globals()), micrograd.engine.Value.__module__)
"""


@pytest.mark.parametrize("way", ["-", "/dev/stdin", "./pipe"])
def test_a_program_that_can_be_read_only_once(folder, way):
    if not hasattr(os, "mkfifo"):
        pytest.skip("this system has no such files")
    write(folder, {**MICROGRAD, "micrograd/__init__.py": ""})
    os.mkfifo(folder / "pipe")

    def piped(start):
        if way != "./pipe":
            return start(folder, way, "--x", path=[folder], input=FROM_STDIN.encode())
        writer = Thread(target=(folder / "pipe").write_text, args=[FROM_STDIN], daemon=True)
        writer.start()
        found = start(folder, way, "--x", path=[folder])
        writer.join()
        return found

    assert same(piped(run), piped(plain))


# -- what is no program -----------------------------------------------------------------------

NOTEBOOK = '{"cells": [{"cell_type": "code", "source": ["1 / 0"]}], "nbformat": 4}'


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        (
            "a.ipynb",
            NOTEBOOK,
            ["'a.ipynb' is a notebook", "%load_ext gradlite.scalar", "nbconvert"],
        ),
        ("A.IPYNB", "not even JSON", ["'A.IPYNB' is a notebook"]),
        ("houses.csv", "a,b\n1,2\n", ["'houses.csv' is not a Python script"]),
        ("houses.tsv", "1\t2\n", ["'houses.tsv' is not a Python script"]),
        ("page.html", "<p>x</p>", ["'page.html' is not a Python script"]),
        ("data.json", '{"a": 1}', ["'data.json' is not a Python script"]),
        ("notes.md", "notes", ["'notes.md' is not a Python script"]),
        ("picture.png", b"\x89PNG\r\n\x1a\n\0", ["'picture.png' is not a Python script"]),
        ("binary", b"\x7fELF\0\0", ["'binary' is not a Python script"]),
        ("main.cpython-311.pyc", b"\xa7\r\r\n\0\0\0\0", ["pyc' is not a Python script"]),
        ("app/x.py", "", ["no __main__.py in 'app'", "script"]),
    ],
)
def test_what_is_no_program_gets_one_clear_line(folder, name, text, words):
    write(folder, {name: text})
    status, output, errors = run(folder, name.partition("/")[0])
    assert (status, output) == (2, "")
    assert errors.startswith("gradlite: error: ")
    assert errors.count("\n") == 1
    for word in words:
        assert word in errors


def test_a_zip_file_without_a_program_gets_one_clear_line(folder):
    with zipfile.ZipFile(folder / "model.gradlite", "w") as file:
        file.writestr("x.npy", b"")
    status, output, errors = run(folder, "model.gradlite")
    assert (status, output) == (2, "")
    assert errors == "gradlite: error: there is no __main__.py in 'model.gradlite': name a script\n"


@pytest.mark.parametrize("name", ["script", "script.txt2", "script.pyw", "script.gradlite"])
def test_a_script_may_have_any_name(folder, name):
    write(folder, {name: "import engine\nprint(engine.Value(1.0).data)"})
    assert run(folder, name) == (0, "1.0\n", line("engine"))


# -- worker processes -------------------------------------------------------------------------

WORKERS = """
    import multiprocessing as m, sys
    from micrograd.engine import Value
    import helper

    class Job:
        def __init__(self, x):
            self.x = x

    def work(job):
        from micrograd.nn import MLP
        v = Value(job.x)
        (v * v).backward()
        return v.grad, Value.__module__, MLP.__module__, helper.Value.__module__, sys.argv[1]

    if __name__ == "__main__":
        with m.get_context(sys.argv[1]).Pool(2) as pool:
            for output in pool.map(work, [Job(1.5), Job(-2.0)]):
                print(*output)
    """
HELPER = "from micrograd.engine import Value"
METHODS = ["fork"] if sys.platform == "linux" else []
METHODS += ["spawn"] if sys.platform == "win32" else ["spawn", "forkserver"]


@pytest.mark.parametrize("files", [MICROGRAD, {}])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("way", [["main.py"], ["-m", "main"], ["-m", "pkg.main"]])
def test_worker_processes_find_what_the_program_finds(folder, method, way, files):
    write(folder, {"main.py": WORKERS, "helper.py": HELPER, "pkg/main.py": WORKERS, **files})
    status, output, errors = run(folder, *way, method, flags=())
    ours = "gradlite.scalar.engine gradlite.scalar.nn gradlite.scalar.engine"
    assert status == 0, errors
    assert output == f"3.0 {ours} {method}\n-4.0 {ours} {method}\n"
    assert errors == line("micrograd")


@pytest.mark.parametrize("method", METHODS)
def test_worker_processes_keep_a_micrograd_of_the_programs_own(folder, method):
    own = {**MICROGRAD, "micrograd/optim.py": ""}
    write(folder, {"main.py": WORKERS, "helper.py": HELPER, **own})
    status, output, errors = run(folder, "main.py", method, flags=())
    assert (status, output) == plain(folder, "main.py", method, flags=())[:2]
    assert errors == "gradlite: micrograd is the program's own here: it has optim\n"


def test_a_worker_of_a_worker_as_well(folder):
    code = """
        import multiprocessing as m
        from engine import Value

        def inner():
            print(Value.__module__, flush=True)

        def outer():
            start(inner)

        def start(work):
            process = m.get_context("spawn").Process(target=work)
            process.start()
            process.join()

        if __name__ == "__main__":
            start(outer)
        """
    write(folder, {"main.py": code})
    assert run(folder, "main.py", flags=()) == (0, "gradlite.scalar.engine\n", line("engine"))


@pytest.mark.skipif("forkserver" not in METHODS, reason="there is no fork server here")
def test_what_a_fork_server_loads_before_is_redirected_too(folder):
    code = WORKERS.replace(
        "with m.get", "m.set_forkserver_preload(['__main__', 'helper'])\n        with m.get"
    )
    write(folder, {"main.py": code, "helper.py": HELPER, **MICROGRAD})
    status, output, errors = run(folder, "main.py", "forkserver", flags=())
    assert (status, errors) == (0, line("micrograd"))
    assert output.count("gradlite.scalar.engine") == 4


def test_jobs_of_joblib(folder):
    code = """
        from joblib import Parallel, delayed
        from helper import work

        if __name__ == "__main__":
            print(Parallel(n_jobs=2)(delayed(work)(x) for x in [1.0, 2.0]))
        """
    helper = """
        from micrograd.engine import Value

        def work(x):
            return (Value(x) * 2).data, Value.__module__
        """
    write(folder, {"main.py": code, "helper.py": helper, **MICROGRAD})
    status, output, errors = run(folder, "main.py", flags=())
    ours = "'gradlite.scalar.engine'"
    assert (status, errors) == (0, line("micrograd"))
    assert output == f"[(2.0, {ours}), (4.0, {ours})]\n"


def test_workers_of_a_notebook_as_well(folder):
    code = """
        import multiprocessing as m
        import gradlite.scalar
        import helper

        if __name__ == "__main__":
            with m.get_context("spawn").Pool(1) as pool:
                print(pool.apply(helper.where))
            gradlite.scalar.load_ipython_extension(None)
            with m.get_context("spawn").Pool(1) as pool:
                print(pool.apply(helper.where))
            gradlite.scalar.unload_ipython_extension(None)
            with m.get_context("spawn").Pool(1) as pool:
                print(pool.apply(helper.where))
        """
    helper = """
        def where():
            from micrograd.engine import Value
            return Value.__module__
        """
    write(folder, {"main.py": code, "helper.py": helper, **MICROGRAD})
    status, output, errors = plain(folder, "main.py", flags=())
    assert status == 0, errors
    assert output.split() == ["micrograd.engine", "gradlite.scalar.engine", "micrograd.engine"]
    assert errors == line("micrograd")


def test_what_no_program_uses_is_not_loaded(folder):
    write(folder, {"main.py": "import sys\nprint([m for m in sys.modules if 'multiproc' in m])"})
    assert run(folder, "main.py")[1] == python(folder, "-c", "print([])")[1]

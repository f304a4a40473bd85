"""The commands as a whole: how they are found, how they end, and what they need."""

import os
import re
import subprocess
import sys

import pytest

from gradlite.cli import app

PYTHON = [sys.executable, "-W", "error"]


def test_options_alone_mean_the_demonstration(command):
    assert command("--epochs", "0") == command("demo", "--epochs", "0")
    assert command("--epochs", "0")[0] == 2


def test_every_command_is_listed_and_shows_an_example(command):
    code, listed, _ = command("--help")
    assert code == 0
    assert "..." not in listed.partition("Commands:")[2]  # as where a sentence was cut
    for name in app.COMMANDS:
        assert re.search(rf"^  {name} +\w", listed, re.MULTILINE)
        code, text, errors = command(name, "--help")
        assert (code, errors) == (0, "")
        assert f"Example: gradlite {name} " in text or name == "doctor"


def test_the_examples_of_train_predict_and_export_work(command, write, flats, folder):
    flats.to_csv(folder / "houses.csv", index=False)
    for name in ("train", "predict", "export"):
        words = command(name, "--help")[1].split()
        assert command(*words[words.index("Example:") + 2 :])[0] == 0
    assert {"model.gl", "model.html", "prices.csv", "predict.py"} <= set(os.listdir(folder))


def test_the_version(command):
    import gradlite

    assert command("--version") == (0, f"gradlite {gradlite.__version__}\n", "")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ("trian x.csv", "no command 'trian'. Did you mean 'train'?"),
        ("xyz", "There are demo, train, predict, export, run, doctor"),
        ("train", "Missing argument 'DATA'. See gradlite train --help."),
        ("train x.csv --traget y", "--traget"),
        ("train x.csv", "Missing option '--target'"),
        ("predict m", "Missing argument 'DATA'"),
        ("run", "Missing argument 'SCRIPT.py'"),
    ],
)
def test_wrong_usage_is_one_line_and_code_2(command, args, words):
    code, output, errors = command(*args.split())
    assert (code, output) == (2, "")
    assert re.fullmatch(r"gradlite: error: [^\n]+\n", errors)
    assert words in errors


def test_a_failure_of_the_system_is_one_line_and_code_1(command, monkeypatch):
    def fail(args):
        raise OSError(28, "No space left on device", "model.gl")

    monkeypatch.setattr(app, "invoke", fail)
    line = "gradlite: error: 'model.gl': No space left on device\n"
    assert command("doctor") == (1, "", line)


def test_ctrl_c_is_one_line_and_code_130(command, monkeypatch):
    def interrupt(args):
        raise KeyboardInterrupt

    monkeypatch.setattr(app, "invoke", interrupt)
    assert command("doctor") == (130, "", "gradlite: interrupted\n")


def test_run_hands_everything_after_the_script_to_it(tmp_path):
    script = tmp_path / "s.py"
    script.write_text(
        "import sys; from micrograd.engine import Value\n"
        "print(sys.argv[1:], Value.__module__, 'click' in sys.modules, 'numpy' in sys.modules)\n"
    )
    args = ["-m", "gradlite", "run", str(script), "--help", "-x"]
    done = subprocess.run([*PYTHON, *args], capture_output=True, text=True, check=True)
    assert done.stdout == "['--help', '-x'] gradlite.scalar.engine False True\n"


def test_without_the_extra_run_works_and_the_rest_says_what_to_install(tmp_path):
    script = tmp_path / "s.py"
    script.write_text("print('ran')")
    code = (
        "import sys; sys.modules['click'] = None\n"
        "from gradlite.__main__ import main\n"
        f"codes = main(['run', {str(script)!r}]), main(['train', 'x.csv']), main([])\n"
        "print(codes)"
    )
    done = subprocess.run([*PYTHON, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "ran\n(0, 1, 1)\n"
    lines = done.stderr.splitlines()
    assert len(lines) == 2
    assert "needs the package click: pip install 'gradlite[cli]'" in lines[0]


def test_a_closed_pipe_ends_quietly(trained):
    reading, writing = os.pipe()
    os.close(reading)
    args = ["-m", "gradlite", "predict", "flats", "flats.csv"]
    with subprocess.Popen(
        [*PYTHON, *args], stdout=writing, stderr=subprocess.PIPE, cwd=trained, text=True
    ) as process:
        os.close(writing)
        errors = process.communicate(timeout=60)[1]
    assert (process.returncode, errors) == (141, "")


def test_loading_the_commands_loads_nothing_heavy():
    code = (
        "import sys, gradlite.cli.app\n"
        "print([m for m in ('pandas', 'sklearn', 'matplotlib', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([*PYTHON, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"

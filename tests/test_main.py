"""The command line: ``python -m gradlite``, run as a user runs it."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
COMMAND = [sys.executable, "-W", "error", "-m", "gradlite"]
PLACE = {"cwd": ROOT, "text": True}
NUMBER = r"(\d+\.\d+)"


def gradlite(*args):
    return subprocess.run([*COMMAND, *args], capture_output=True, timeout=120, check=False, **PLACE)


def row(name, output):
    """Find a line of the table: accuracy, seconds, ratio."""
    found = re.search(rf"^{name} +{NUMBER} +{NUMBER} +{NUMBER}$", output, re.MULTILINE)
    assert found, output
    return [float(text) for text in found.groups()]


def test_a_short_run_compares_both():
    done = gradlite("--epochs", "3", "--hidden", "32", "16", "--batch-size", "50", "--seed", "1")
    assert done.returncode == 0, done.stderr
    title, empty, heading, *rows = done.stdout.splitlines()
    assert title == "64-32-16-10 ReLU network, 1437 training images, 3 epochs in batches of 50"
    assert empty == ""
    assert heading.split() == ["held-out", "accuracy", "seconds", "ratio"]
    assert len(rows) == 2
    assert len({len(line) for line in (heading, *rows)}) == 1
    ours, theirs = (
        row("gradlite MLPClassifier", done.stdout),
        row("scikit-learn MLPClassifier", done.stdout),
    )
    assert ours[0] > 0.5
    assert theirs[0] > 0.5
    assert ours[2] == 1


def test_progress_goes_to_stderr_in_plain_lines():
    done = gradlite("--epochs", "20", "--hidden", "16", "--no-sklearn")
    lines = done.stderr.splitlines()
    found = [re.fullmatch(rf"gradlite: epoch (\d+)/20, training loss {NUMBER}", x) for x in lines]
    assert all(found), done.stderr
    assert [int(x[1]) for x in found] == [1, 4, 8, 12, 16, 20]
    losses = [float(x[2]) for x in found]
    assert losses == sorted(losses, reverse=True)
    assert "scikit-learn" not in done.stdout


def test_quiet_prints_the_table_alone():
    done = gradlite("--epochs", "1", "--hidden", "8", "--quiet")
    assert done.stderr == ""
    row("gradlite MLPClassifier", done.stdout)
    row("scikit-learn MLPClassifier", done.stdout)


def test_the_default_network_recognises_digits():
    done = gradlite("--no-sklearn", "--quiet")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("64-128-64-10 ")
    assert row("gradlite MLPClassifier", done.stdout)[0] >= 0.97


def test_a_seed_repeats_the_run():
    runs = [gradlite("--epochs", "2", "--no-sklearn", "--seed", s).stderr for s in "778"]
    assert runs[0] == runs[1] != runs[2]


@pytest.mark.parametrize(
    ("args", "what"),
    [
        ("--epochs 0", "--epochs: must be a whole number from 1 to 100000, not '0'"),
        ("--epochs -3", "--epochs: "),
        ("--epochs nan", "--epochs: "),
        ("--epochs 1.5", "--epochs: "),
        ("--epochs", "--epochs: expected one argument"),
        ("--batch-size 0", "--batch-size: "),
        ("--batch-size -1", "--batch-size: "),
        ("--batch-size nan", "--batch-size: "),
        ("--batch-size 1438", "--batch-size: there are only 1437 training images"),
        ("--lr 0", "--lr: must be a number from 1e-06 to 1, not '0'"),
        ("--lr -0.1", "--lr: "),
        ("--lr nan", "--lr: "),
        ("--lr inf", "--lr: "),
        ("--lr fast", "--lr: "),
        ("--hidden", "--hidden: "),
        ("--hidden 0", "--hidden: "),
        ("--hidden 16 x", "--hidden: "),
        ("--seed -1", "--seed: "),
        ("--layers 3", "unrecognized arguments: --layers 3"),
        ("--epo 3", "unrecognized arguments: --epo 3"),
        ("digits", "unrecognized arguments: digits"),
    ],
)
def test_bad_arguments_get_one_line_and_exit_code_2(args, what):
    done = gradlite(*args.split())
    assert done.returncode == 2
    assert done.stdout == ""
    assert re.fullmatch(r"gradlite: error: [^\n]+\n", done.stderr)
    assert what in done.stderr


def test_help_describes_every_option_and_gives_an_example():
    done = gradlite("--help")
    assert done.returncode == 0
    described = re.findall(r"^  (--\w[\w-]*) .*\w", done.stdout, re.MULTILINE)
    assert described == [
        "--epochs", "--batch-size", "--lr", "--seed", "--hidden", "--no-sklearn", "--quiet"
    ]  # fmt: skip
    command = re.search(r"example: python -m gradlite (.*)", done.stdout)[1]
    assert gradlite(*command.split(), "--no-sklearn", "--epochs", "1").returncode == 0


@pytest.mark.parametrize("both", [False, True])
def test_a_closed_pipe_ends_the_run_quietly(both):
    reading, writing = os.pipe()
    os.close(reading)
    errors = writing if both else subprocess.PIPE
    args = [*COMMAND, "--epochs", "1", "--no-sklearn"]
    with subprocess.Popen(args, stdout=writing, stderr=errors, **PLACE) as process:
        os.close(writing)
        complaint = process.communicate(timeout=60)[1]
    assert process.returncode == 141
    assert both or complaint.count("\n") == 1  # the one line of progress


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is sent in another way there")
@pytest.mark.parametrize("stage", ["gradlite: epoch 1/", "scikit-learn: training"])
def test_ctrl_c_ends_the_run_with_one_line(stage):
    # No stage may end before the signal comes.
    epochs = "100000" if stage.startswith("gradlite") else "1000"
    args = [*COMMAND, "--epochs", epochs, "--hidden", "8", "--batch-size", "1437"]
    # A test run in the background ignores SIGINT, and its children would inherit that.
    heed = "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); "
    args = [sys.executable, "-c", f"{heed}os.execv(sys.argv[1], sys.argv[1:])", *args]
    pipe = subprocess.PIPE
    with subprocess.Popen(args, stdout=pipe, stderr=pipe, **PLACE) as process:
        while stage not in process.stderr.readline():
            pass
        time.sleep(0.4)  # scikit-learn imports its network first
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert output == ""
    assert errors.splitlines()[-1] == "gradlite: interrupted"
    assert "Traceback" not in errors


def test_a_fit_that_was_cut_short_counts_as_interrupted():
    from gradlite.__main__ import fit_to_the_end

    class Interrupted:
        """What scikit-learn's fit is after Ctrl-C: it has returned, early."""

        max_iter, n_iter_ = 5, 3

        def fit(self, x, y):
            """Do nothing."""

    with pytest.raises(KeyboardInterrupt):
        fit_to_the_end(Interrupted(), None, None)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_on_a_terminal_progress_is_a_live_bar():
    import pty

    ours, theirs = pty.openpty()
    args = [*COMMAND, "--epochs", "7", "--hidden", "8", "--no-sklearn"]
    with subprocess.Popen(args, stdout=theirs, stderr=subprocess.PIPE, **PLACE) as process:
        os.close(theirs)
        errors = process.communicate(timeout=60)[1]
    shown = os.read(ours, 100_000).decode().replace("\r\n", "\n")
    os.close(ours)
    assert errors == ""
    assert "epoch 7/7" in shown
    assert "loss" in shown
    assert "\x1b[" in shown  # drawn in place
    row("gradlite MLPClassifier", shown)


def test_importing_the_module_does_nothing():
    code = (
        "import sys, gradlite, numpy as np\n"
        "before = set(sys.modules), np.geterr(), gradlite.rule.RULES.copy()\n"
        "import gradlite.__main__\n"
        "assert np.geterr() == before[1]\n"
        "assert gradlite.rule.RULES == before[2]\n"
        "print(sorted({m.split('.')[0] for m in set(sys.modules) - before[0]}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True, timeout=60, check=False, **PLACE,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.count("\n") == 1
    assert "sklearn" not in done.stdout


def test_both_contenders_do_the_same_work():
    from sklearn import neural_network

    import gradlite as gl
    from gradlite import __main__ as main

    args = main.make_parser().parse_args(["--epochs", "2", "--hidden", "16"])
    x, y, x_test, y_test = main.load(seed=0)
    assert x.dtype == x_test.dtype == np.float32
    assert [x.min(), x.max()] == [-1, 1]
    assert [len(x), len(x_test), len(y), len(y_test)] == [1437, 360, 1437, 360]
    assert np.bincount(y_test).min() >= 34  # a fifth of every class
    models = [
        main.fit_to_the_end(main.classifier(library, args), x, y)
        for library in (gl, neural_network)
    ]
    assert [model.n_iter_ for model in models] == [2, 2]
    assert [model.t_ for model in models] == [2 * len(x)] * 2
    assert [model.solver for model in models] == ["adam"] * 2
    np.testing.assert_allclose(models[0].loss_curve_, models[1].loss_curve_, rtol=1e-3)

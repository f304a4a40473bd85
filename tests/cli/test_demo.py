"""The demonstration: both networks do the same work, and nobody's file is lost."""

import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from gradlite.cli import demo
from gradlite.cli.app import command_line

NUMBER = r"(\d+\.\d+)"
NO_REPORT = ["--out", "no such folder/digits.html"]  # it takes most of the time
QUICK = ["--epochs", "2", "--hidden", "8", "--no-sklearn"]


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run the demonstration in an empty folder: exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*args):
        code = command_line(args)
        return code, *capsys.readouterr()

    return run


def row(name, output):
    """Find a line of the table: accuracy, seconds, ratio."""
    found = re.search(rf"^{name} +{NUMBER} +{NUMBER} +{NUMBER}$", output, re.MULTILINE)
    assert found, output
    return [float(text) for text in found.groups()]


def test_a_short_run_compares_both_and_writes_a_report(run, tmp_path):
    code, out, err = run("--epochs", "3", "--hidden", "32,16", "--batch-size", "50", "--seed", "1")
    assert code == 0
    title, empty, heading, *rows = out.splitlines()
    assert title == "64-32-16-10 ReLU network, 1437 training images, 3 epochs in batches of 50"
    assert empty == ""
    assert heading.split() == ["held-out", "accuracy", "seconds", "ratio"]
    assert len(rows) == 2
    assert len({len(line) for line in (heading, *rows)}) == 1
    ours, theirs = row("gradlite MLPClassifier", out), row("scikit-learn MLPClassifier", out)
    assert ours[0] > 0.5
    assert theirs[0] > 0.5
    assert ours[2] == 1
    html = (tmp_path / "digits.html").read_text(encoding="utf-8")
    assert f"{100 * ours[0]:.1f} %" in html
    command = "--epochs 3 --batch-size 50 --lr 0.002 --seed 1 --hidden 32,16"
    assert f"<pre>gradlite demo {command}</pre>" in html
    assert "read as" in html
    assert err.endswith("gradlite: open digits.html in a browser to see what it has learned\n")


def test_progress_goes_to_stderr_in_plain_lines(run):
    _, out, err = run("--epochs", "20", "--hidden", "16", "--no-sklearn")
    *lines, last = err.splitlines()
    found = [re.fullmatch(rf"gradlite: epoch (\d+)/20, training loss {NUMBER}", x) for x in lines]
    assert all(found), err
    assert [int(x[1]) for x in found] == [1, 2, 4, 8, 16, 20]
    losses = [float(x[2]) for x in found]
    assert losses == sorted(losses, reverse=True)
    assert "scikit-learn" not in out
    assert "digits.html" in last


def test_quiet_prints_the_table_alone(run, tmp_path):
    _, out, err = run("--epochs", "1", "--hidden", "8", "--quiet")
    assert err == ""
    row("gradlite MLPClassifier", out)
    row("scikit-learn MLPClassifier", out)
    assert (tmp_path / "digits.html").exists()


def test_the_default_network_recognises_digits(run):
    code, out, _ = run("--no-sklearn", "--quiet", *NO_REPORT)
    assert code == 0
    assert out.startswith("64-128-64-10 ")
    assert row("gradlite MLPClassifier", out)[0] >= 0.97


def test_a_seed_repeats_the_run(run):
    runs = [run(*QUICK, *NO_REPORT, "--seed", seed)[2] for seed in "778"]
    assert runs[0] == runs[1] != runs[2]


def test_a_file_that_is_there_is_replaced_with_force_only(run, tmp_path):
    place = tmp_path / "digits.html"
    place.write_text("my own notes", encoding="utf-8")
    code, out, err = run(*QUICK)
    assert code == 0
    assert "no report will be written: 'digits.html' exists already" in err.splitlines()[0]
    row("gradlite MLPClassifier", out)
    assert place.read_text(encoding="utf-8") == "my own notes"
    run(*QUICK, "--force")
    assert "--seed 0" in place.read_text(encoding="utf-8")


def test_a_report_that_cannot_be_written_is_said_first_and_the_rest_goes_on(run, tmp_path):
    code, out, err = run(*QUICK, "--out", "nowhere/digits.html")
    first, second, *_ = err.splitlines()
    assert first.startswith("gradlite: no report will be written: there is no folder 'nowhere'")
    assert "epoch 1/2" in second
    assert code == 0
    row("gradlite MLPClassifier", out)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("args", "what"),
    [
        ("--epochs 0", "'--epochs': 0 is not in the range"),
        ("--epochs -3", "'--epochs'"),
        ("--epochs nan", "'--epochs'"),
        ("--epochs 1.5", "'--epochs'"),
        ("--epochs", "'--epochs' requires an argument"),
        ("--batch-size 0", "'--batch-size'"),
        ("--batch-size 1438", "'--batch-size': there are only 1437 training images"),
        ("--lr 0", "'--lr'"),
        ("--lr -0.1", "'--lr'"),
        ("--lr nan", "'--lr': nan is not a number"),
        ("--lr inf", "'--lr'"),
        ("--lr fast", "'--lr'"),
        ("--hidden", "'--hidden'"),
        ("--hidden 0", "'--hidden': '0' is not whole numbers"),
        ("--hidden 16,x", "'--hidden'"),
        ("--hidden 16,", "'--hidden'"),
        ("--hidden 16 8", "unexpected extra argument (8)"),
        ("--seed -1", "'--seed'"),
        ("--layers 3", "No such option"),
        ("--epo 3", "No such option"),
    ],
)
def test_bad_arguments_get_one_line_and_exit_code_2(run, tmp_path, args, what):
    code, out, err = run(*args.split())
    assert code == 2
    assert out == ""
    assert re.fullmatch(r"gradlite: error: [^\n]+\n", err)
    assert what in err
    assert list(tmp_path.iterdir()) == []


def test_help_describes_every_option_and_gives_an_example(run):
    code, out, _ = run("demo", "--help")
    assert code == 0
    described = re.findall(r"^  (?:-h, )?(--\w[\w-]*) .*\w", out, re.MULTILINE)
    assert described == [
        "--epochs", "--batch-size", "--lr", "--seed", "--hidden", "--no-sklearn", "--quiet",
        "--out", "--force", "--help",
    ]  # fmt: skip
    command = re.search(r"Example: gradlite (.*)", out)[1]
    assert run(*command.split(), "--no-sklearn", "--epochs", "1", *NO_REPORT)[0] == 0


def test_a_fit_that_was_cut_short_counts_as_interrupted():
    class Interrupted:
        """What scikit-learn's fit is after Ctrl-C: it has returned, early."""

        max_iter, n_iter_ = 5, 3

        def fit(self, x, y):
            """Do nothing."""

    with pytest.raises(KeyboardInterrupt):
        demo.fit_to_the_end(Interrupted(), None, None)


def process(*args, folder, **pipes):
    """Start the demonstration as a user does, without a report."""
    # A test run in the background ignores SIGINT, and its children would inherit that.
    heed = "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); "
    command = [sys.executable, "-c", f"{heed}os.execv(sys.executable, sys.argv[1:])"]
    command += [sys.executable, "-W", "error", "-m", "gradlite", *args, *NO_REPORT]
    return subprocess.Popen(command, text=True, cwd=folder, **pipes)


@pytest.mark.parametrize("both", [False, True])
def test_a_closed_pipe_ends_the_run_quietly(tmp_path, both):
    reading, writing = os.pipe()
    os.close(reading)
    errors = writing if both else subprocess.PIPE
    with process(*QUICK, folder=tmp_path, stdout=writing, stderr=errors) as running:
        os.close(writing)
        complaint = running.communicate(timeout=60)[1]
    assert running.returncode == 141
    assert both or complaint.count("\n") == 3  # two of progress, and that there is no report


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is sent in another way there")
@pytest.mark.parametrize("stage", ["epoch 1/", "training scikit-learn's"])
def test_ctrl_c_ends_the_run_with_one_line(tmp_path, stage):
    # No stage may end before the signal comes.
    epochs = "100000" if stage.startswith("epoch") else "200"
    args = ["--epochs", epochs, "--hidden", "8"]
    pipe = subprocess.PIPE
    with process(*args, folder=tmp_path, stdout=pipe, stderr=pipe) as running:
        while stage not in running.stderr.readline():
            pass
        time.sleep(0.2)
        running.send_signal(signal.SIGINT)
        output, errors = running.communicate(timeout=60)
    assert running.returncode == 130, errors
    assert output == ""
    assert errors.splitlines()[-1] == "gradlite: interrupted"
    assert "Traceback" not in errors


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_on_a_terminal_progress_is_a_live_bar(tmp_path):
    import pty

    ours, theirs = pty.openpty()
    with process(*QUICK, folder=tmp_path, stdout=theirs, stderr=subprocess.PIPE) as running:
        os.close(theirs)
        errors = running.communicate(timeout=60)[1]
    shown = os.read(ours, 100_000).decode().replace("\r\n", "\n")
    os.close(ours)
    assert errors.count("\n") == 1  # that there is no report
    assert "epoch 2/2" in shown
    assert "loss" in shown
    assert "\x1b[" in shown  # drawn in place
    row("gradlite MLPClassifier", shown)


def test_both_contenders_do_the_same_work():
    from sklearn import neural_network

    import gradlite as gl

    settings = demo.Settings(epochs=2, batch_size=40, lr=0.002, seed=3, hidden=(16,))
    x, y, x_test, y_test = demo.load(seed=0)
    assert x.dtype == x_test.dtype == np.float32
    assert [x.min(), x.max()] == [-1, 1]
    assert [len(x), len(x_test), len(y), len(y_test)] == [1437, 360, 1437, 360]
    assert np.bincount(y_test).min() >= 34  # a fifth of every class
    models = [demo.classifier(library, settings) for library in (gl, neural_network)]
    for model in models:
        demo.fit_to_the_end(model, x, y)
    assert [model.n_iter_ for model in models] == [2, 2]
    assert [model.t_ for model in models] == [2 * len(x)] * 2
    assert [(model.batch_size, model.random_state) for model in models] == [(40, 3)] * 2
    assert [model.solver for model in models] == ["adam"] * 2
    np.testing.assert_allclose(models[0].loss_curve_, models[1].loss_curve_, rtol=1e-3)

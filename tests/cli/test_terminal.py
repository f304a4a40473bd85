"""What a file, a path or an option holds is shown on a terminal, and never obeyed by it."""

import io
import json
import os
import signal
import subprocess
import sys
import unicodedata
import zipfile

import pandas as pd
import pytest

from gradlite import persist
from gradlite.cli import app
from gradlite.cli import predict as predicting
from gradlite.cli import train as training
from gradlite.cli.model import KIND, load_model
from gradlite.errors import printable

EVIL = "\x1b[31m\x1b]0;title\x07\x9b2J\x7f\x08\r\u202e\u2066\u200f\u2028\u0085\ufeff\U000e0041"
LINES = EVIL + "\ngradlite: 9 rows predicted"


def obeyed(text):
    """The characters that a terminal would not just show, but for the ends of lines."""
    return {
        c for c in text if c != "\n" and unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")
    }


def cell(text):
    return '"' + text.replace('"', '""') + '"'


def test_what_is_escaped_and_what_is_not():
    for text in (
        "naïve café",
        "\u00a0thin\u2009",
        "\u0646\u06cc\u200c\u0645",
        "👩\u200d🔬",
        "日本語",
        "-1.5 %",
    ):
        assert printable(text) == text
    assert printable("a\nb\tc\x1b\x9b\u202e\udcff") == r"a\nb\tc\x1b\x9b\u202e\udcff"
    every = "".join(map(chr, range(0x110000)))
    assert obeyed(printable(every)) == {"\u200c", "\u200d"}
    assert "\n" not in printable(every)


@pytest.fixture
def table(write):
    """A table with everything evil: columns, classes, categories, cells that cannot be read."""
    names = [f"size{EVIL}", f"kind{LINES}", f"{EVIL}same", f"y{LINES}"]
    rows = [
        [str(i % 7) if i else f"9{EVIL}", f"k{i % 2}{EVIL}", EVIL, f"{'ab'[i % 7 > 3]}{LINES}"]
        for i in range(60)
    ]
    lines = [",".join(map(cell, row)) for row in [names, *rows]]
    return write(f"a{EVIL}.csv", "\n".join(lines)), names[-1]


FAST = ("--set", "max_iter=2", "--set", "hidden_layer_sizes=4")


def commands(table, target):
    """Calls of every kind: that work, and that fail by each of their arguments."""
    out = f"m{EVIL}"
    yield 0, ("train", table, "--target", target, "--out", out, *FAST)
    yield 0, ("predict", out, table)
    yield 0, ("predict", out, table, "--out", f"p{EVIL}.csv")
    yield 1, ("predict", out, table, "--out", f"p{EVIL}.csv")
    yield 1, ("predict", out, table, "--out", f"p{EVIL}.parquet")
    yield 0, ("export", out, f"p{EVIL}.py")
    yield 1, ("export", out, f"p{EVIL}.py")
    yield 1, ("export", out, LINES)
    yield 1, ("train", table, "--target", target, "--out", out)
    yield 1, ("train", table, "--target", target, "--out", f"{EVIL}/m")
    yield 1, ("train", table, "--target", target, "--out", "n", "--set", f"scoring={LINES}", *FAST)
    yield 1, ("train", f"{LINES}.csv", "--target", target)
    yield 1, ("predict", LINES, table)
    yield 1, ("predict", table, table)
    yield 2, ("train", table, "--target", LINES)
    yield 2, ("train", table, "--target", target, "--ignore", LINES)
    yield 2, ("train", table, "--target", target, "--out", "n", "--set", LINES)
    yield 2, ("train", table, "--target", target, "--out", "n", "--set", f"{LINES}=3")
    yield 2, ("train", table, "--target", target, "--out", "n", "--set", f"solver={LINES}")
    yield 2, ("train", table, "--target", target, "--test", LINES)
    yield 2, ("train", table, "--target", target, "--task", LINES)
    yield 2, ("train", table, "--target", target, f"--{LINES}")
    yield 2, ("predict", out, table, LINES)
    yield 2, ("demo", "--hidden", LINES)
    yield 2, (f"doctor{LINES}",)
    yield 2, ("doctor", LINES)


def test_no_command_shows_control_characters(command, table, monkeypatch):
    for stream in ("stdout", "stderr"):
        monkeypatch.setattr(f"sys.{stream}.isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "dumb")  # rich writes no escape sequences of its own then
    monkeypatch.setattr("gradlite.cli.demo.display", lambda quiet: {})
    monkeypatch.setattr("gradlite.cli.train.display", lambda quiet: {})
    for code, arguments in commands(*table):
        found, output, errors = command(*arguments)
        assert found == code, (arguments, errors)
        assert obeyed(output + errors) == set(), arguments
        assert output + errors
        if code:
            assert errors.splitlines()[-1].startswith("gradlite: error: ")
        for line in errors.splitlines():
            assert line.startswith("gradlite: ")
            assert line != "gradlite: 9 rows predicted"  # which is a name of the table


def test_classes_are_escaped_on_a_terminal_and_whole_in_a_file(command, table, monkeypatch):
    path, target = table
    assert command("train", path, "--target", target, "--quiet", *FAST)[0] == 0
    classes = {str(name) for name in load_model("model").classes_}
    assert obeyed("".join(classes))
    _, piped, _ = command("predict", "model", path)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    _, shown, _ = command("predict", "model", path)
    read = [pd.read_csv(io.StringIO(text), dtype=str) for text in (piped, shown)]
    assert set(read[0]["prediction"]) <= classes
    assert read[0]["prediction"].map(printable).tolist() == read[1]["prediction"].tolist()
    assert len(shown.splitlines()) == 61


def test_a_model_that_says_evil_things_of_itself(command, trained, write):
    """F3: in the manifest, and on the card."""
    write("new.csv", "city,area,built\nBern,50,1.2.2020\n")
    for field, text in (("kind", LINES), ("gradlite", LINES), ("format", LINES)):
        with zipfile.ZipFile(trained / "flats.gl") as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        manifest = json.loads(members["manifest.json"])
        manifest |= {field: text, "version": 1 + (field == "gradlite")}
        members["manifest.json"] = json.dumps(manifest)
        with zipfile.ZipFile("evil.gl", "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        code, output, errors = command("predict", "evil", "new.csv")
        assert (code, output) == (1, "")
        assert obeyed(errors) == set()
        assert errors.count("\n") == 1
    state = persist.load(trained / "flats.gl", KIND)
    state["card"] |= {"scikit_learn": LINES * 1000, "target": LINES, "unused": [LINES]}
    persist.save("evil.gl", state, KIND)
    code, output, errors = command("predict", "evil", "new.csv")
    assert code == 0
    assert obeyed(output + errors) == set()
    assert len(errors) < 1000
    assert "gradlite: 9 rows predicted\n" not in errors


def test_names_of_bytes_that_are_no_text(command, folder):
    name = os.fsdecode(b"a\xff\x1b.csv")
    try:
        (folder / name).write_text("x,y\n" + "1,2\n" * 5)
    except OSError:
        pytest.skip("this file system has no such names")
    code, _, errors = command("train", name, "--target", "y")
    assert code == 1
    assert obeyed(errors) == set()
    code, _, errors = command("train", name + "x", "--target", "y")
    assert "a\\udcff\\x1b.csvx" in errors


def test_a_fault_of_ours_is_shown_escaped_too(command, write, monkeypatch):
    def fail(path):
        raise ZeroDivisionError(LINES)

    monkeypatch.setattr(predicting, "read_model", fail)
    code, output, errors = command("predict", "m", "a.csv")
    assert (code, output) == (1, "")
    assert "ZeroDivisionError" in errors
    assert "Traceback" in errors
    assert obeyed(errors) == set()


def test_warnings_are_escaped(capsys):
    app.in_one_line(LINES, UserWarning, "x.py", 1)
    assert obeyed(capsys.readouterr().err) == set()


# -- formulas in predictions ---------------------------------------------------------------------


FORMULAS = ["=1+1", "+1-1x", "-2+3x", "@SUM(A1)", "=cmd|' /C calc'!A0", "plain", "a=b"]


def test_formulas_are_data_unless_they_are_to_be_escaped(command, write):
    rows = [f"{i % 7},{cell(FORMULAS[i % 7])}" for i in range(70)]
    write("a.csv", "x,y\n" + "\n".join(rows))
    args = ("--set", "solver=lbfgs", "--set", "max_iter=300", "--quiet")
    assert command("train", "a.csv", "--target", "y", *args)[0] == 0
    for more in ((), ("--escape-formulas",)):
        command("predict", "model", "a.csv", "--out", "p.csv", "--force", *more)
        found = pd.read_csv("p.csv")
        named = [name.removeprefix("probability ") for name in found.columns[1:]]
        assert sorted(named) == sorted(FORMULAS)
        expected = {("'" if more and text[0] in "=+-@" else "") + text for text in FORMULAS}
        assert set(found["prediction"]) <= expected
        assert len(set(found["prediction"])) > 3


def test_negative_numbers_are_no_formulas(command, write):
    write("a.csv", "x,y\n" + "".join(f"{i % 9},{i % 9 - 8.5}\n" for i in range(60)))
    assert command("train", "a.csv", "--target", "y", "--quiet", *FAST)[0] == 0
    plain = command("predict", "model", "a.csv")[1]
    assert command("predict", "model", "a.csv", "--escape-formulas")[1] == plain
    assert "\n-" in plain


# -- signals and repeatability --------------------------------------------------------------------


HEED = (  # a test run in the background ignores signals, and its children would inherit that
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "signal.signal(signal.SIGTERM, signal.SIG_DFL); "
    "from gradlite.__main__ import main; sys.exit(main(sys.argv[1:]))"
)


@pytest.mark.skipif(sys.platform == "win32", reason="SIGTERM ends a process there")
def test_sigterm_keeps_the_best_model(folder, flats):
    flats.to_csv(folder / "flats.csv", index=False)
    more = [x for text in ("max_iter=100000", "early_stopping=false") for x in ("--set", text)]
    args = [sys.executable, "-W", "error", "-c", HEED, "train", "flats.csv", "--target", "price"]
    pipe = subprocess.PIPE
    with subprocess.Popen([*args, *more], stdout=pipe, stderr=pipe, text=True) as process:
        while "epoch 1/" not in process.stderr.readline():
            pass
        process.send_signal(signal.SIGTERM)
        output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert "the best model so far is kept" in errors
    assert "Traceback" not in errors
    assert "Wrote model.gl" in output
    assert {"model.gl", "model.html"} <= set(os.listdir(folder))
    assert load_model("model")


def terminate(*args):
    signal.raise_signal(signal.SIGTERM)


@pytest.mark.parametrize(
    ("where", "files", "words"),
    [
        ("gradlite.cli.train.read_dataset", set(), "terminated"),
        ("gradlite.estimators._fitting.train", set(), "terminated"),
        (
            "gradlite.cli.train.importances",
            {"model.gl"},
            "the model, is written; its report is not",
        ),
        (
            "gradlite.cli.train.report_html",
            {"model.gl"},
            "the model, is written; its report is not",
        ),
        ("gradlite.persist._write_zip", {"model.gl"}, "the model, is written; its report is not"),
    ],
)
def test_sigterm_at_any_time(command, folder, flats, monkeypatch, where, files, words):
    flats.to_csv(folder / "flats.csv", index=False)
    module, _, name = where.rpartition(".")
    known = getattr(sys.modules[module], name)

    def failing(*args):
        terminate()
        return known(*args)

    monkeypatch.setattr(where, failing)
    before = signal.getsignal(signal.SIGTERM)
    code, _, errors = command("train", "flats.csv", "--target", "price", "--quiet")
    assert code == 143
    assert words in errors
    assert errors.endswith("gradlite: terminated\n")
    assert set(os.listdir(folder)) == {"flats.csv"} | files
    assert signal.getsignal(signal.SIGTERM) is before
    if files:
        assert load_model("model")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    ("where", "code"),
    [
        ("gradlite.cli.scoring.score", 0),
        ("gradlite.cli.scoring.baselines", 0),
        ("gradlite.cli.train.save_model", 128),
        ("gradlite.cli.train.show", 128),
    ],
)
def test_no_signal_after_the_training_loses_the_model(
    command, folder, flats, monkeypatch, where, code, number
):
    flats.to_csv(folder / "flats.csv", index=False)
    module, _, name = where.rpartition(".")
    known, sent = getattr(sys.modules[module], name), []

    def signalled(*args):
        if not sent:
            sent.append(number)
            signal.raise_signal(number)
        return known(*args)

    monkeypatch.setattr(where, signalled)
    found, _, errors = command("train", "flats.csv", "--target", "price", "--quiet", *FAST)
    assert found == (code + number if code else 0), errors
    assert load_model("model")
    assert sent == [number]


def test_a_reader_that_is_gone_does_not_lose_the_model(folder, flats, monkeypatch):
    def show(*args):
        raise BrokenPipeError

    flats.to_csv(folder / "flats.csv", index=False)
    monkeypatch.setattr("gradlite.cli.train.show", show)
    with pytest.raises(BrokenPipeError):
        training.run(training.Options("flats.csv", "price", settings=FAST[1::2], quiet=True))
    assert load_model("model")


def test_sigterm_that_is_ignored_stays_ignored(folder, flats):
    flats.to_csv(folder / "flats.csv", index=False)
    ignore = HEED.replace("SIG_DFL", "SIG_IGN").replace(
        "sys.exit", "signal.raise_signal(signal.SIGTERM); sys.exit"
    )
    args = ["train", "flats.csv", "--target", "price", "--quiet", *FAST]
    done = subprocess.run([sys.executable, "-c", ignore, *args], timeout=120, check=False)
    assert done.returncode == 0


@pytest.mark.parametrize("target", ["price", "city"])
def test_the_same_run_writes_the_same_bytes(tmp_path, flats, target):
    written = []
    for number, seed in enumerate(("1", "2")):
        folder = tmp_path / str(number)
        folder.mkdir()
        flats.to_csv(folder / "flats.csv", index=False)
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        args = [sys.executable, "-m", "gradlite", "train", "flats.csv", "--target", target, *FAST]
        subprocess.run(args, cwd=folder, env=environment, check=True, capture_output=True)
        for suffix in ("gl", "html"):
            os.utime(folder / f"model.{suffix}", (0, 0))
        written.append([(folder / f"model.{suffix}").read_bytes() for suffix in ("gl", "html")])
    assert written[0][0] == written[1][0]
    assert written[0][1] == written[1][1]

"""``gradlite export``: a file that predicts as the model does, from NumPy alone."""

import datetime
import decimal
import io
import re
import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
from sklearn import datasets

from gradlite.cli import program
from gradlite.cli.cells import as_dates, as_numbers
from gradlite.cli.columns import FORMATS, date_features
from gradlite.cli.export import made_up, program_of
from gradlite.cli.learned import learned
from gradlite.cli.model import load_model, read_model

N = 160
ALONE = """\
import sys
for name in ("gradlite", "sklearn", "scipy", "pandas", "click"):
    sys.modules[name] = None
import runpy
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
QUICK = ("--set", "max_iter=3", "--set", "hidden_layer_sizes=6", "--quiet", "--force")


def alone(*args):
    """Run a program in a Python that has NumPy alone; its stdout."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", ALONE, *map(str, args)],
        capture_output=True, encoding="utf-8", check=False,
    )  # fmt: skip
    assert not done.stderr
    assert not done.returncode
    return done.stdout


def module(path):
    """The names in an exported file."""
    text = Path(path).read_text(encoding="utf-8")
    names = {"__name__": "exported", "__source__": text}
    exec(compile(text, str(path), "exec"), names)
    return names


def times(rng):
    days = np.datetime64("2019-01-01") + rng.integers(0, 2000, N)
    return pd.Series(days.astype("datetime64[s]") + rng.integers(0, 86400, N))


def numbers(rng):
    x = rng.normal(0, 30, (3, N))
    y = x[0] - 2 * x[1]
    return {"a": x[0].round(2), "b": x[1], "c": np.exp(x[2] / 10).round(8), "target": y.round(3)}


def commas(rng):
    x = rng.uniform(0, 9000, (2, N)).round(2)
    german = [f"{v:,.2f}".translate(str.maketrans(",.", ".,")) for v in x[0]]
    swiss = [f"{v} €".replace(".", ",") for v in x[1]]
    return {"x": german, "y": swiss, "share": [f"{v:.0f}%" for v in x[1] / 90], "target": x[0]}


def categories(rng):
    city = rng.choice(
        ["Bern", "Genève", "Zürich", "Chur", "Sils"], N, p=[0.4, 0.3, 0.28, 0.01, 0.01]
    )
    kind = rng.choice(["new", "old"], N)
    return {"city": city, "kind": kind, "target": np.where(city == "Bern", kind, "neither")}


def booleans(rng):
    a, b = rng.random((2, N)) < 0.5
    return {"a": a, "b": np.where(b, "yes", "no"), "target": a & b}


def dates(rng):
    t = [times(rng) for _ in range(4)]
    return {
        "german": t[0].dt.strftime("%d.%m.%Y"),
        "american": t[1].dt.strftime("%b %d, %Y"),
        "iso": t[2].dt.strftime("%Y-%m-%dT%H:%M:%S+02:00"),
        "clock": t[3].dt.strftime("%m/%d/%Y %I:%M %p"),
        "target": t[0].dt.year,
    }


def months(rng):
    return {"month": times(rng).dt.strftime("%Y-%m"), "x": rng.random(N), "target": rng.random(N)}


def everything(rng):
    return {
        "size": numbers(rng)["a"], **categories(rng), "price": commas(rng)["x"],
        "built": dates(rng)["german"], "target": rng.permutation(np.arange(N) % 5),
    }  # fmt: skip


ODD = [
    'say "hi"',
    "it's",
    '"""',
    "back\\slash",
    "a,b",
    "größe",
    "{x}",
    "class",
    "1",
    "_network",
    ".",
]


def odd_names(rng):
    return {**dict(zip(ODD, rng.normal(size=(len(ODD), N)), strict=True)), "target": rng.random(N)}


def places(rng):
    """Categories that a line of a file could break in."""
    words = np.array(
        ["New York", "two  blanks", "a, b", "it's", 'the "old"', "tab\there", "\\n", "-"]
    )
    places = [f"{a} {b}" for a in words[:5] for b in words]
    return {
        "place": rng.choice(places[:25], N),
        "sort": rng.choice(words, N),
        "target": rng.random(N),
    }


TABLES = [numbers, commas, categories, places, booleans, dates, months, everything, odd_names]


def with_gaps(table, rng):
    """The table with gaps of several spellings."""
    table = pd.DataFrame(table).astype(str)
    for name in table.columns.drop("target"):
        gaps = rng.random(N) < 0.06
        table.loc[gaps, name] = rng.choice(["", "n/a", "NaN", " "], gaps.sum())
    return table


@pytest.fixture
def export(command, folder):
    """Train a model on table.csv, export it, and predict new.csv by both."""

    def export(table, new, target="target", settings=()):
        table.to_csv(folder / "table.csv", index=False)
        new.to_csv(folder / "new.csv", index=False, sep=";")
        code, _, errors = command("train", "table.csv", "--target", target, *QUICK, *settings)
        assert code == 0, errors
        code, output, errors = command("export", "model", "predict.py", "--force")
        assert (code, output) == (0, ""), errors
        assert errors.startswith(f"gradlite: predict.py predicts '{target}' from ")
        ours = pd.read_csv(io.StringIO(alone("predict.py", "new.csv")))
        _, theirs, _ = command("predict", "model", "new.csv")
        theirs = pd.read_csv(io.StringIO(theirs))
        pd.testing.assert_frame_equal(ours, theirs, rtol=1e-5)
        assert len(ours) == len(new)
        return module("predict.py")

    return export


@pytest.mark.parametrize("made", TABLES, ids=lambda made: made.__name__)
@pytest.mark.parametrize("trained_on_gaps", [False, True])
def test_it_predicts_as_the_model_does(made, trained_on_gaps, export):
    rng = np.random.default_rng(0)
    complete = pd.DataFrame(made(rng)).astype(str)
    new = with_gaps(complete, rng).drop(columns="target")
    if "city" in new:
        new.loc[:5, "city"] = "Unknown"
    exported = export(with_gaps(complete, rng) if trained_on_gaps else complete, new.iloc[::-1])
    expected = load_model("model").predict(new)
    for table in (new, new.to_dict("list"), {name: new[name].to_numpy() for name in new}):
        found = exported["predict"](table)
        assert found.dtype == expected.dtype
        equal = np.isclose(found, expected, 1e-9) if found.dtype == float else found == expected
        assert equal.all()


SKLEARN = {
    "iris": datasets.load_iris, "wine": datasets.load_wine, "diabetes": datasets.load_diabetes,
    "breast_cancer": datasets.load_breast_cancer,
}  # fmt: skip
STOCKS = Path(matplotlib.get_data_path(), "sample_data", "Stocks.csv")


@pytest.mark.parametrize("name", [*SKLEARN, "stocks"])
def test_tables_of_others(name, export):
    if name == "stocks":  # a date, and columns with gaps
        table = pd.read_csv(STOCKS, comment="#")
        target = "AAPL"
    else:
        data = SKLEARN[name](as_frame=True)
        table, target = data.frame, "target"
        if name != "diabetes":
            table = table.assign(target=data.target_names[data.target])
    new = table.copy()
    new[::7] = None
    export(table, new, target)


def test_cells_of_any_type(export):
    """What the columns of a DataFrame, an array or a list hold, in place of text."""
    rng = np.random.default_rng(0)
    text = with_gaps(everything(rng), rng)
    exported = export(text, text)
    expected = load_model("model").predict(text)
    number = {"size": ".", "price": ","}
    table = pd.DataFrame({name: as_numbers(text[name], mark) for name, mark in number.items()})
    built = text["built"].where(~text["built"].isin(["", " ", "n/a", "NaN"]))
    table["built"] = pd.to_datetime(built, format="%d.%m.%Y")
    for name in ("city", "kind"):
        table[name] = text[name].where(~text[name].isin(["", " ", "n/a", "NaN"]))
    zoned = table["built"].dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo")
    lists = {name: table[name].tolist() for name in table}
    days = [None if pd.isna(cell) else cell.date() for cell in lists["built"]]
    exact = [decimal.Decimal(repr(cell)) for cell in lists["price"]]
    coded = [pd.NA if cell != cell else cell.encode() for cell in lists["kind"]]
    for cells in (
        table,
        table.assign(built=zoned, city=table["city"].astype("category")),
        table.assign(size=table["size"].astype("Float64"), kind=table["kind"].astype(object)),
        {name: table[name].to_numpy() for name in table},
        lists,
        {**lists, "built": days, "price": exact, "kind": coded},
    ):
        np.testing.assert_array_equal(exported["predict"](cells), expected)
    assert exported["predict"](table[:0]).shape == (0,)
    assert exported["predict_proba"](table[:0]).shape == (0, 5)


@pytest.fixture(scope="session")
def written(tmp_path_factory, trained):
    """The names in the exported file of the model of flats."""
    pipeline, card = read_model(str(trained / "flats"))
    text = program_of(pipeline, card)
    path = tmp_path_factory.mktemp("exported") / "flats.py"
    path.write_text(text, encoding="utf-8")
    return module(path)


FLAT = {"city": ["Bern", None], "area": ["50.5", 61], "built": ["1.2.2020", ""]}


@pytest.mark.parametrize(
    ("cells", "error", "words"),
    [
        ({"area": [1, "wide"]}, ValueError, "cannot read 'wide' in column 'area', row 2"),
        ({"area": ["inf", 1]}, ValueError, "cannot read 'inf' in column 'area', row 1"),
        ({"area": [1, 1e101]}, ValueError, "cannot read 1e+101 in column 'area', row 2"),
        ({"area": [10**400, 1]}, ValueError, "in column 'area', row 1"),
        ({"area": [1j, 1]}, ValueError, "cannot read 1j in column 'area'"),
        ({"area": [datetime.date(2020, 1, 1), 1]}, ValueError, "in column 'area', row 1"),
        ({"built": ["1.2.2020", "31.2.2020"]}, ValueError, "'31.2.2020' in column 'built', row 2"),
        ({"built": ["2020-01-01", ""]}, ValueError, "'2020-01-01' in column 'built', row 1"),
        ({"city": "ab"}, TypeError, "column 'city' must be a sequence of cells"),
        ({"area": 5}, TypeError, "column 'area' must be a sequence of cells"),
        ({"area": [1, 2, 3]}, ValueError, "dimension"),
    ],
)
def test_unreadable_cells_are_named(written, cells, error, words):
    assert written["predict"](FLAT).shape == (2,)
    with pytest.raises(error, match=re.escape(words)):
        written["predict"](FLAT | cells)


@pytest.mark.parametrize("kind", [dict, pd.DataFrame, lambda table: np.zeros(2, [("city", "U4")])])
def test_a_missing_column_is_named(written, kind):
    with pytest.raises(KeyError, match="the table has no column 'area'"):
        written["predict"](kind({"city": FLAT["city"], "built": FLAT["built"]}))


NUMBERS = """1_000 1e5 1E+5 inf nan 0x10 1e400 1e-400 +5 5. .5 . - -- --1 1e 1,5 12,34 1,234 1,234.5
    -1,234,567 1,234e5 1.234,5 1.234.567 $5 5% $-5 -$5 5€ £5% $ $1,234 1L 1.5.2 ٣ True"""


@pytest.mark.parametrize("decimal", [".", ","])
@pytest.mark.parametrize("cell", [*NUMBERS.split(), "1 000", "$ 5", "5 $", "\xa05 ", "n/a", "NONE"])
def test_text_is_a_number_where_the_model_says_so(written, cell, decimal):
    (expected,) = as_numbers(pd.Series([cell]), decimal)
    try:
        found = written["number"](cell, decimal)
    except ValueError:
        found = np.nan
    np.testing.assert_equal(found, expected if abs(expected) < 1e100 else np.nan)


TIMES = """2020-01-02 2020-1-2 20200102 2020-01 2020/1 2020 2020.01.02 2020-01-02T03:04:05Z
    2020-01-02T03:04:05+02:00 2020-01-02T03:04+02 2020-01-02T03 2020-01-02T030405 20200102T0304
    2020-01-02T3:4:5 2020-01-02T03:04:05.123456 2020-01-02T23:59:59.999999999 1500-01-01 2020-13-01
    2020-W01-1 2020-002 01/02/2020 2020-01/02 2020-01-02T24:00:00 2020-01-02T03:04:60 202001
    2020-01-02T03:04.5 2020-01-02T30405 2020-01-02+02:00 2020T03:04 20-01-02 02020-01-02 2020-00-02
    2020-01-02t03:04 2021-02-29 2020-02-29"""


@pytest.mark.parametrize("mark", ["T", " ", "  "])
@pytest.mark.parametrize("cell", [*TIMES.split(), "2020 01 02", "2020-01-02T03:04:05 +0200"])
def test_iso_dates_are_read_as_the_model_reads_them(cell, mark):
    names: dict = {}
    exec(f"import re\nfrom datetime import datetime\n{program.ISO_TIME}", names)
    cell = cell.replace("T", mark, 1)
    expected = pd.to_datetime(pd.Series([cell]), format="ISO8601", errors="coerce", utc=True)[0]
    try:
        found = pd.Timestamp(names["iso_time"](cell))
    except ValueError:
        assert pd.isna(expected)
        return
    if found.tzinfo is None:
        found = found.tz_localize("UTC")
    assert abs(found - expected) < pd.Timedelta(1, "us")


def test_dates_of_every_format_are_the_same_numbers():
    moments = times(np.random.default_rng(0))
    names: dict = {"standardized": lambda x, *learned: x}
    names |= dict.fromkeys(f"DATE_{what}" for what in ("MEDIANS", "WITH_GAPS", "MEANS", "SCALES"))
    start = (
        "import re\nimport numpy as np\nfrom datetime import date, datetime, timezone\nGAPS = ()"
    )
    code = program.DATES.replace("PARSED", program.parsing({*FORMATS}))
    exec("\n".join([start, program.READ, program.ISO_TIME, code]), names)
    for form in FORMATS:
        cells = moments.dt.strftime("%Y-%m-%d %H:%M:%S" if form == program.ISO else form)
        names["DATES"] = {"when": form}
        expected = date_features(pd.DataFrame({"when": as_dates(cells, form)}))
        assert not np.isnan(expected).any()
        np.testing.assert_allclose(names["dates"]({"when": cells}), expected, atol=1e-12)


@pytest.mark.parametrize(
    ("part", "right", "wrong"),
    [
        ("NUMBERS", "float(cell)", "float(cell) + 1"),
        ("ONE_HOT", "cell == category", "cell != category"),
        ("DATES", "+ 3) % 7", "+ 4) % 7"),
        ("STANDARDIZED", "- means", "+ means"),
    ],
)
def test_a_file_that_would_differ_is_not_written(command, trained, monkeypatch, part, right, wrong):
    text = getattr(program, part)
    assert right in text
    monkeypatch.setattr(program, part, text.replace(right, wrong))
    code, _, errors = command("export", trained / "flats", "predict.py")
    assert code == 1
    assert "cannot be exported: predict of the file would not be that of the model" in errors
    assert not Path("predict.py").exists()


def test_the_table_it_is_tried_on_has_all_that_counts(trained):
    pipeline, card = read_model(str(trained / "flats"))
    table = made_up(card.kinds, learned(pipeline["columns"]))
    assert {"Bern", "Genève", "Zürich", "???????"} < set(table["city"])
    assert all({"", "nan", "N/A", "None"} < set(cells) for cells in table.values())


def test_a_function_of_another_library_is_named(command, write):
    write("a.csv", "x,y\n" + "".join(f"{i % 11},{i % 7}.5\n" for i in range(60)))
    assert command("train", "a.csv", "--target", "y", *QUICK, "--set", "activation=gelu")[0] == 0
    code, _, errors = command("export", "model", "predict.py")
    assert code == 1
    assert re.fullmatch(
        r"gradlite: error: model cannot be exported: .* scipy[^\n]*have\.\n", errors
    )


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("nothing", "a.py"), "there is no model 'nothing'"),
        (("MODEL", "a.txt"), "call it a.txt.py"),
        (("MODEL", "old.py"), "'old.py' exists already: --force replaces it"),
        (("MODEL", "no/a.py"), "there is no folder 'no'"),
        (("model.py", "model.py", "--force"), "'model.py' is the model"),
    ],
)
def test_mistakes_are_one_line(command, write, trained, folder, args, words):
    write("old.py", "old")
    write("model.py", (trained / "flats.gl").read_bytes())
    args = [str(trained / "flats") if arg == "MODEL" else arg for arg in args]
    code, output, errors = command("export", *args)
    assert (code, output) == (1, "")
    assert re.fullmatch(r"gradlite: error: [^\n]+\n", errors)
    assert words in errors
    assert (folder / "old.py").read_text() == "old"
    assert not (folder / "a.py").exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the file is empty"),
        ("a,a\n1,2\n", "names a column twice"),
        ("city,area,built\nBern,3\n", "row 1 has 2 fields, and the first line 3"),
        ("city,built\nBern,\n", "no column 'area'"),
        ("city,area,built\nBern,wide,\n", "cannot read 'wide' in column 'area', row 1"),
        ("city,area,built\nBern,\xff,\n".encode("latin-1"), "decode"),
        (None, "No such file"),
    ],
)
def test_the_program_ends_with_one_line(written, write, folder, text, words):
    if text is not None:
        write("new.csv", text)
    (folder / "p.py").write_text(written["__source__"])
    done = subprocess.run(
        [sys.executable, "p.py", "new.csv"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(r"error: [^\n]+\n", done.stderr)
    assert words in done.stderr


def test_the_program_reads_what_predict_reads(written, write):
    """A byte order mark, blank lines, quotation marks, other columns, any separator."""
    for mark in ",;\t|":
        lines = [["area", "x", "city", "built"], ['"50.5"', f'"a{mark}b"', "Bern", "1.2.2020"]]
        text = "\n\n".join(mark.join(fields) for fields in lines)
        write("new.csv", f"\ufeff\n{text}\n\n")
        table = written["read_csv"]("new.csv")
        assert table == {
            "area": ["50.5"], "x": [f"a{mark}b"], "city": ["Bern"], "built": ["1.2.2020"]
        }  # fmt: skip
        assert written["predict"](table) == written["predict"](FLAT)[0]


def test_the_file_can_be_read(written):
    text = written["__source__"]
    assert text.startswith(
        "\"\"\"Predict 'price' from the columns 'city', 'area', 'built' of a table.\n"
    )
    assert "'city': ['Bern', 'Genève', 'Zürich', ''],\n" in text
    assert "'built': '%d.%m.%Y',\n" in text
    assert "iso_time" not in text  # no date is written so
    assert "predict_proba" not in text.partition("\n")[2]

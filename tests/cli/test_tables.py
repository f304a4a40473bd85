"""Reading tables: what is read, where its rows are, and one line for every bad file."""

import gzip

import pandas as pd
import pytest

from gradlite.cli.tables import TableError, open_table

ROWS = [["1.5", "red, dark", "x"], ["2", "blue", ""], ["3", 'a "b"', "z"]]
NAMES = ["size", "colour", "note"]


def text(separator=",", end="\n"):
    quoted = [[f'"{cell}"'.replace('a "b"', 'a ""b""') for cell in row] for row in [NAMES, *ROWS]]
    return "".join(separator.join(row) + end for row in quoted)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.csv", text()),
        ("semicolons.CSV", text(";")),
        ("bars.txt", text("|")),
        ("tabs.csv", text("\t")),
        ("a.tsv", text("\t")),
        ("windows.csv", text(end="\r\n")),
        ("mac.csv", text(end="\r")),
        ("bom.csv", b"\xef\xbb\xbf" + text().encode()),
        ("utf16.csv", text().encode("utf-16")),
        ("a.csv.gz", gzip.compress(text().encode(), mtime=0)),
        ("a.tsv.gz", gzip.compress(text("\t").encode(), mtime=0)),
    ],
)
def test_text_is_read_as_it_stands(write, name, data):
    table = open_table(write(name, data))
    assert table.columns == NAMES
    frame = table.read()
    assert frame.to_numpy().tolist() == ROWS
    assert frame.index.tolist() == [2, 3, 4]


def test_rows_know_their_lines(write):
    table = open_table(write("a.csv", 'a,b\n\n1,"two\nlines"\n3,4\n'))
    assert table.read().index.tolist() == [3, 5]
    assert table.place == "line"


def test_a_column_without_a_name_gets_one(write):
    assert open_table(write("a.csv", ",b\n0,1\n")).columns == ["column 1", "b"]


def test_parquet_keeps_types_and_leaves_the_index_out(tmp_path):
    path = tmp_path / "a.parquet"
    frame = pd.DataFrame({"x": [1.5, None], "yes": [True, False]}, index=[7, 8])
    frame.to_parquet(path)
    table = open_table(str(path))
    read = table.read()
    assert read["x"].dtype == float
    assert read["yes"].tolist() == [True, False]
    assert read.index.tolist() == [1, 2]
    assert table.place == "row"


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_chunks_together_are_the_table(tmp_path, name):
    path = tmp_path / name
    frame = pd.DataFrame({"x": range(10), "y": range(10)})
    frame.to_parquet(path) if name == "a.parquet" else frame.to_csv(path, index=False)
    table = open_table(str(path))
    chunks = list(table.chunks(rows=4))
    assert [len(chunk) for chunk in chunks] == [4, 4, 2]
    pd.testing.assert_frame_equal(pd.concat(chunks), table.read())


GOOD = "a,b\n1,2\n"


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("empty.csv", "", "is empty"),
        ("blank.csv", "\n\n", "blank lines only"),
        ("header.csv", "a,b\n", "has a header and no rows"),
        ("picture.csv", bytes(range(256)), "is not text"),
        ("windows.csv", "a,b\n1,é\n".encode("latin-1"), "not UTF-8 text .*0xe9.*iconv -f WINDOWS"),
        ("short.csv", GOOD + "3\n", "line 3: 1 fields where the header names 2 columns"),
        ("long.csv", GOOD + "3,4,5\n", "line 3: 3 fields where the header names 2 columns"),
        ("open.csv", GOOD + '3,"4\n', "line 3: .*quotation mark"),
        ("twice.csv", "a,b,a\n1,2,3\n", "more than one column named 'a'"),
        ("book.xlsx", "PK", "is a spreadsheet: save the sheet as CSV"),
        ("a.json", "{}", "suffix '.json' is not known. Tables are read from CSV"),
        ("table", GOOD, "its name has no suffix"),
        ("text.csv.gz", GOOD, "not a complete gzip file"),
        ("cut.csv.gz", gzip.compress(GOOD.encode(), mtime=0)[:-9], "not a complete gzip file"),
        ("a.parquet", "PAR1 or not", "is not a Parquet file"),
    ],
)
def test_a_bad_file_is_refused_with_its_remedy(write, name, data, words):
    write(name, data)
    with pytest.raises(TableError, match=words) as caught:
        open_table(name).read()
    assert name in str(caught.value)


def test_what_is_no_file_is_looked_for_nearby(write, tmp_path):
    write("houses.csv", GOOD)
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(TableError, match=r"no file 'house.csv'. Did you mean 'houses.csv'\?"):
        open_table("house.csv")
    with pytest.raises(TableError, match="Nor is there a folder 'nowhere'"):
        open_table("nowhere/a.csv")
    with pytest.raises(TableError, match="is a folder: give the path of a table in it"):
        open_table("folder.csv")
    with pytest.raises(TableError, match=r"in it, of folder\.csv, houses\.csv"):
        open_table(".")

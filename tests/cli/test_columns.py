"""What columns are understood to be, and what the network sees of them."""

import numpy as np
import pandas as pd
import pytest

from gradlite.cli.cells import as_text, read_cells
from gradlite.cli.columns import (
    MOST_CATEGORIES,
    date_features,
    learn_kinds,
    preparation,
)
from gradlite.cli.tables import TableError

N = 40


def column(*cells):
    """A column of 40 rows, in which the cells come again and again."""
    return [cells[i % len(cells)] for i in range(N)]


@pytest.mark.parametrize(
    ("cells", "kind", "first"),
    [
        (column("1", "2.5", "-3e2"), ("number", "."), 1),
        (column("1,234", "5,678.5"), ("number", "."), 1234),
        (column("1.234,5", "2"), ("number", ","), 1234.5),
        (column("0,5", "12,25"), ("number", ","), 0.5),
        (column(" 5 ", "$1,200", "n/a"), ("number", "."), 5),
        (column("7 %", "8%"), ("number", "."), 7),
        (column(1.5, np.nan), ("number", "."), 1.5),
        (column("01234", "98765"), ("category", ""), "01234"),
        (column("red", " blue", ""), ("category", ""), "red"),
        (column("true", "false"), ("category", ""), "true"),
        (column(True, False), ("category", ""), "True"),
        (column("yes", ""), ("category", ""), "yes"),
        (column("2020-01-31", "2021-12-01", ""), ("date", "ISO8601"), "2020-01-31"),
        (column("2020-01-31T06:30Z", "2021-12-01"), ("date", "ISO8601"), "2020-01-31T06:30"),
        (column("31.1.2020", "1.12.2021"), ("date", "%d.%m.%Y"), "2020-01-31"),
        (column("1/31/2020", "12/1/2021"), ("date", "%m/%d/%Y"), "2020-01-31"),
        (column("31/1/2020 6:30", "1/2/2021 7:00"), ("date", "%d/%m/%Y %H:%M"), "2020-01-31T06:30"),
        (column("Jan 31, 2020", "Dec 1, 2021"), ("date", "%b %d, %Y"), "2020-01-31"),
        (column("31-Jan-2020", "1-Dec-2021"), ("date", "%d-%b-%Y"), "2020-01-31"),
        (column("January 31, 2020", "May 1, 2021"), ("date", "%B %d, %Y"), "2020-01-31"),
        (column("31.01.20", "01.12.21"), ("date", "%d.%m.%y"), "2020-01-31"),
        (column("1/31/20 6:30 PM", "12/1/21 7:00 AM"), ("date", "%m/%d/%y %I:%M %p"),
         "2020-01-31T18:30"),
        (column(pd.Timestamp("2020-01-31"), pd.NaT), ("date", "ISO8601"), "2020-01-31"),
    ],
)  # fmt: skip
def test_each_kind_is_found_and_read(cells, kind, first):
    frame = pd.DataFrame({"x": cells})
    kinds, _ = learn_kinds(frame)
    assert kinds == {"x": kind}
    read, problems = read_cells(frame, kinds)
    assert problems == []
    expected = np.datetime64(first) if kind[0] == "date" else first
    assert read["x"].iloc[0] == expected
    again, _ = read_cells(read, kinds)
    pd.testing.assert_frame_equal(again, read)


@pytest.mark.parametrize(
    ("name", "cells", "reason"),
    [
        ("x", column("", "NA"), "it is empty"),
        ("x", column("CH"), "every row has the same value, 'CH'"),
        ("x", column(3), "every row has the same value, '3'"),
        ("x", range(N), "it numbers the rows"),
        ("x", [str(i) for i in range(N, 0, -1)], "it numbers the rows"),
        ("customer_id", range(500, 500 + 3 * N, 3), "it numbers the rows"),
        ("x", [f"a text of its own, {i}" for i in range(N)], "it is free text"),
    ],
)
def test_what_says_nothing_is_left_out_with_the_reason(name, cells, reason):
    kinds, notes = learn_kinds(pd.DataFrame({name: list(cells)}))
    assert kinds == {}
    assert len(notes) == 1
    assert notes[0].startswith(f"Column {name!r} is left out: {reason}")


def test_distinct_numbers_are_not_left_out_for_that():
    kinds, notes = learn_kinds(pd.DataFrame({"year": range(1980, 2020), "x": np.arange(N) / 2}))
    assert list(kinds) == ["year", "x"]
    assert notes == []


def test_a_date_that_could_be_read_in_two_ways_is_said():
    _, notes = learn_kinds(pd.DataFrame({"x": column("1/2/2020", "3/4/2021")}))
    assert "read as day/month/year" in notes[0]


def test_rare_categories_are_one():
    cells = [f"c{i // 4}" for i in range(4 * (MOST_CATEGORIES + 10))]
    frame = pd.DataFrame({"x": [*cells, *["once"] * 2]})
    kinds, notes = learn_kinds(frame)
    assert f"the {MOST_CATEGORIES - 1} most frequent" in notes[0]
    assert preparation(kinds).fit_transform(frame).shape == (len(frame), MOST_CATEGORIES)


def test_cells_that_cannot_be_read_are_named_and_missing():
    frame = pd.DataFrame({"x": [*column("1", "2"), "many", "inf", ""]}, index=range(2, N + 5))
    kinds, _ = learn_kinds(frame)
    read, problems = read_cells(frame, kinds)
    assert [tuple(p) for p in problems] == [(N + 2, "x", "many"), (N + 3, "x", "inf")]
    assert read["x"].isna().sum() == 3


def test_the_pipeline_refuses_what_it_cannot_read_and_what_is_missing():
    frame = pd.DataFrame({"size": column("1", "2"), "kind": column("a", "b")})
    kinds, _ = learn_kinds(frame)
    fitted = preparation(kinds).fit(frame)
    with pytest.raises(TableError, match="'many' in column 'size', row 3"):
        fitted.transform(frame.replace({"size": {"2": "many"}}).iloc[3:])
    with pytest.raises(TableError, match=r"it lacks 1 column, 'size' \(is it 'Size'\?\)"):
        fitted.transform(frame.rename(columns={"size": "Size"}))


def test_the_pipeline_takes_whole_numbers_as_names_too():
    frame = pd.DataFrame({"0": column("1", "2"), "y": column("a", "b")})
    kinds, _ = learn_kinds(frame)
    fitted = preparation(kinds).fit(frame)
    same = fitted.transform(frame.rename(columns={"0": 0}))
    assert np.array_equal(same, fitted.transform(frame))


def test_the_matrix_by_hand():
    """Median and indicator of a gap, standardized; a category a column; unseen is none of them."""
    frame = pd.DataFrame({"x": ["1", "3", "5", ""] * 3, "c": ["a", "b", "b", ""] * 3})
    pipeline = preparation({"x": ("number", "."), "c": ("category", "")}).fit(frame)
    raw = np.array([[1, 0], [3, 0], [5, 0], [3, 1]])
    expected = np.hstack([(raw - raw.mean(0)) / raw.std(0), np.eye(3)[[0, 1, 1, 2]]])
    np.testing.assert_allclose(pipeline.transform(frame[:4]), expected)
    new = pipeline.transform(pd.DataFrame({"x": ["3"], "c": ["unseen"]}))
    np.testing.assert_allclose(new[0], [0, expected[0, 1], 0, 0, 0])
    names = pipeline.get_feature_names_out().tolist()
    assert names == ["x", "missingindicator_x", "c_a", "c_b", "c_nan"]


def test_dates_become_days_and_points_on_circles():
    dates = pd.DataFrame({"d": np.array(["1970-01-02T06", "NaT", "2020-01-05"], "M8[s]")})
    features = date_features(dates)
    assert features.shape == (3, 7)
    assert features[0, 0] == 1.25
    assert features[2, 0] == 18266
    np.testing.assert_allclose(features[0, 5:], [1, 0], atol=1e-12)  # a quarter of the day
    assert np.isnan(features[1]).all()
    np.testing.assert_allclose(features[2, 3:5], [np.sin(12 * np.pi / 7), np.cos(12 * np.pi / 7)])


def test_a_time_zone_is_no_other_time():
    frame = pd.DataFrame({"d": ["2020-01-01T00:00:00+02:00", "2020-06-01T00:00:00+00:00"]})
    read, _ = read_cells(frame, {"d": ("date", "ISO8601")})
    assert read["d"].tolist() == [pd.Timestamp("2019-12-31 22:00"), pd.Timestamp("2020-06-01")]


def test_bytes_that_are_no_text_are_refused():
    assert as_text(pd.Series([b"red", b" blue"])).tolist() == ["red", "blue"]
    with pytest.raises(TableError, match=r"column 'x' has cells of bytes.*--ignore"):
        as_text(pd.Series([b"red", b"\xff"], name="x"))

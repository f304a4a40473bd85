"""The target: which task it makes, its labels or numbers, and what cannot be learned."""

import numpy as np
import pandas as pd
import pytest

from gradlite.cli.tables import TableError
from gradlite.cli.target import learn_target

N = 60


def learn(cells, task="auto"):
    repeated = [cells[i % len(cells)] for i in range(N)]
    return learn_target(pd.Series(repeated, index=range(2, N + 2), name="y"), task, "line")


@pytest.mark.parametrize(
    ("cells", "task", "first"),
    [
        (["yes", "no"], "classification", "yes"),
        (["0", "1"], "classification", 0),
        (["0.0", "1.0"], "classification", 0),
        ([True, False], "classification", "True"),
        ([str(i) for i in range(3, 9)], "classification", 3),
        ([str(i) for i in range(30)], "regression", 0.0),
        (["0.5", "1.5"], "regression", 0.5),
        (["1,234.5", "2"], "regression", 1234.5),
        (["1,5", "2"], "regression", 1.5),
    ],
)
def test_the_task_is_found(cells, task, first):
    found, y, known = learn(cells)
    assert found == task
    assert y[0] == first
    assert known.all()
    assert y.dtype.kind == ("f" if task == "regression" else "U" if type(first) is str else "i")


def test_the_task_that_is_asked_for_is_taken():
    assert learn(["0", "1"], "regression")[0] == "regression"
    task, y, _ = learn(["0.5", "1.5"], "classification")
    assert task == "classification"
    assert np.unique(y).tolist() == [0.5, 1.5]


@pytest.mark.parametrize(
    "cells",
    [
        ["9007199254740992", "9007199254740993"],  # 2 ** 53 + 1 is no float64
        [2**60, 2**60 + 1],
        [2**64 - 1, 2**64 - 2],
        ["-12345678901234567890", "-12345678901234567891"],
        ["0.12345678901234567890", "0.12345678901234567891"],
        ["1e300", "2e300"],  # no int64
        ["$1", "$2"],
        ["5 %", "10 %"],
        ["0,5", "1,5"],
        ["1,000", "2,000"],
    ],
)
def test_classes_that_are_no_plain_numbers_are_as_in_the_table(cells):
    task, y, _ = learn(cells, "classification")
    assert task == "classification"
    assert y.tolist() == [str(cells[i % 2]) for i in range(N)]


def test_plain_numbers_are_one_class_however_they_are_written():
    assert np.unique(learn(["1", "1.0", "+1", "-3"])[1]).tolist() == [-3, 1]
    assert learn(["1" * 14, "1" * 13 + "2"])[1][0] == int("1" * 14)


def test_rows_without_a_target_are_left_out():
    _, y, known = learn(["a", "", "b", "NA"])
    assert y.tolist() == ["a", "b"] * 15
    assert known[:4].tolist() == [True, False, True, False]


@pytest.mark.parametrize(
    ("cells", "task", "words"),
    [
        (["a", "", "", "", ""], "auto", "has a value in only 12 rows: at least 20"),
        (["a"], "auto", "is 'a' in every row"),
        (["5"], "regression", "is 5 in every row"),
        (["2020-01-01", "2020-05-01"], "auto", "holds dates"),
        (["a", "1"], "regression", "has 'a' in line 2 (and 29 more like it)"),
        ([*"1234567", "inf"] * 3 + ["1.5"], "auto", "has 'inf' in line 9"),
        ([*"1234567", "1e200"] * 3 + ["1.5"], "auto", "has '1e200' in line 9"),
        ([f"c{i}" for i in range(N - 1)], "auto", "58 classes of a single row, 'c1' (line 3)"),
    ],
)
def test_what_cannot_be_learned_is_said(cells, task, words):
    with pytest.raises(TableError) as caught:
        learn(cells, task)
    assert words in str(caught.value)

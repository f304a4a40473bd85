"""Minibatches: which rows come, what is copied and what is not; statistics in blocks."""

import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp

from gradlite import data
from gradlite.errors import ShapeError
from gradlite.training.data import (
    Rows,
    all_finite,
    batches,
    blocks,
    mean_and_scale,
    take_rows,
)
from tests.helpers import LAYOUTS, STRIDE_0

X = np.arange(20.0).reshape(10, 2)
y = np.arange(10)


@pytest.fixture
def mapped(tmp_path):
    """Save an array and map it into memory."""

    def make(array, mode="r"):
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.npy"
        np.save(path, array)
        return np.load(path, mmap_mode=mode)

    return make


def test_batches_in_order_are_views_of_everything_once():
    xs, ys = zip(*batches(X, y, batch_size=4), strict=True)
    assert [len(x) for x in xs] == [4, 4, 2]
    assert all(np.shares_memory(x, X) for x in xs)
    assert all(np.shares_memory(part, y) for part in ys)
    np.testing.assert_array_equal(np.concatenate(xs), X)
    np.testing.assert_array_equal(np.concatenate(ys), y)


@pytest.mark.parametrize("rng", [np.random.default_rng(0), np.random.RandomState(0)])
def test_shuffled_batches_are_a_fresh_permutation_that_keeps_rows_together(rng):
    epochs = []
    for _ in range(2):
        got = list(batches(X, y, 3, rng, sample_weight=y / 10))
        order = np.concatenate([part for _, part, _ in got])
        epochs.append(order.tolist())
        assert sorted(order) == list(range(10))
        np.testing.assert_array_equal(np.concatenate([x for x, _, _ in got]), X[order])
        np.testing.assert_array_equal(np.concatenate([w for _, _, w in got]), order / 10)
    assert epochs[0] != epochs[1] != list(range(10))


def test_the_same_seed_gives_the_same_batches():
    first, second = (
        [part.tolist() for _, part in batches(X, y, 4, np.random.default_rng(7))] for _ in "ab"
    )
    assert first == second


def test_drop_last_and_no_targets():
    assert [x.shape for x, nothing in batches(X, batch_size=4) if nothing is None] == [
        (4, 2),
        (4, 2),
        (2, 2),
    ]
    assert len(list(batches(X, batch_size=4, drop_last=True))) == 2
    assert len(list(batches(X, batch_size=5, drop_last=True))) == 2
    assert len(list(batches(X, y, 4, np.random.default_rng(0), y, drop_last=True))) == 2


def test_rows_go_in_any_order_and_as_a_whole():
    rows = Rows(X, y)
    order = np.array([3, 1, 4, 1, 5, 9, 2, 6, 5, 3])
    got = [part for _, part, nothing in rows.batches(3, order) if nothing is None]
    assert [part.tolist() for part in got] == [[3, 1, 4], [1, 5, 9], [2, 6, 5], [3]]
    assert len(rows) == 10
    assert all(part is given for part, given in zip(rows.all(), (X, y, None), strict=True))


@pytest.mark.parametrize("shuffled", [False, True])
@pytest.mark.parametrize("make", [sp.csr_array, sp.csr_matrix, sp.csc_array, sp.coo_matrix])
def test_sparse_rows(make, shuffled):
    dense = np.where(X % 3 == 0, X, 0)
    rng = np.random.default_rng(1) if shuffled else None
    for x, part in batches(make(dense), y, 4, rng):
        assert x.format == "csr"
        np.testing.assert_array_equal(x.toarray(), dense[part])


@pytest.mark.parametrize(
    ("make", "kind", "words"),
    [
        (lambda: batches(X, y[:9]), ShapeError, "X has 10 rows but y has 9"),
        (lambda: batches(X, y, sample_weight=[1.0]), ShapeError, "sample_weight has 1"),
        (lambda: batches(X[:0], y[:0]), ShapeError, r"shape \(0, 2\) has no rows"),
        (lambda: batches(3.0), ShapeError, "array of rows, not the single value"),
        (lambda: batches(X, batch_size=0), ValueError, "1 or more, not 0"),
        (lambda: batches(X, batch_size=2.0), TypeError, "must be an integer, not 2.0"),
        (lambda: batches(X, rng=3), TypeError, r"not 3: pass np.random.default_rng\(seed\)"),
        (lambda: batches(X, batch_size=11, drop_last=True), ValueError, "no batch of 11 out of 10"),
    ],
)
def test_what_cannot_be_batched_says_so_at_once(make, kind, words):
    with pytest.raises(kind, match=words):
        make()


@pytest.mark.parametrize("order", ["C", "F"])
def test_rows_of_any_layout(order):
    array = np.asarray(np.arange(24.0).reshape(4, 3, 2), order=order)
    np.testing.assert_array_equal(take_rows(array, np.array([2, 0, 2])), array[[2, 0, 2]])
    assert np.shares_memory(take_rows(array, slice(1, 3)), array)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("mode", ["r", "r+", "c"])
def test_rows_of_a_map_come_as_plain_arrays(mapped, mode, order):
    array = np.asarray(np.random.default_rng(0).normal(size=(30, 2)), order=order)
    file = mapped(array, mode)
    if mode != "r":
        file[0] = array[0] = 99  # with "c" it is not in the file
    index = np.random.default_rng(0).permutation(30)
    for chosen, expected in ((None, array), (index, array[index])):
        got = [x for x, _, _ in Rows(file).batches(7, chosen)]
        assert {type(x) for x in got} == {np.ndarray}
        np.testing.assert_array_equal(np.concatenate(got), expected)
    np.testing.assert_array_equal(np.concatenate(list(blocks(file, rows=4))), array)


def test_a_map_is_walked_through_without_a_copy(monkeypatch, mapped):
    monkeypatch.setattr(data, "BLOCK_BYTES", 2**18)
    large = mapped(np.ones((200_000, 20), np.float32))
    tracemalloc.start()
    try:
        for rng in (None, np.random.default_rng(0)):
            for x, _ in batches(large, batch_size=512, rng=rng):
                x.sum()
        assert all_finite(large)
        mean_and_scale(large)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < large.nbytes / 3  # a permutation of the rows is a tenth of it


def test_shuffled_epochs_keep_the_pages_of_a_map(mapped):
    resource = pytest.importorskip("resource", reason="Windows does not count page faults")
    array = np.ones((200_000, 100), np.float32)
    file = mapped(array)

    def faults(x):
        """Count the pages that the second of two epochs brings in."""
        for seed in range(2):
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
            for rows, _ in batches(x, batch_size=500, rng=np.random.default_rng(seed)):
                rows.sum()
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    assert faults(file) < faults(array) + array.nbytes / resource.getpagesize() / 10


def test_blocks_go_through_everything():
    for rows in (None, 1, 4, 100):
        np.testing.assert_array_equal(np.concatenate(list(blocks(X, rows))), X)
        dense = [block.toarray() for block in blocks(sp.csr_array(X), rows)]
        np.testing.assert_array_equal(np.concatenate(dense), X)
    assert list(blocks(X[:0])) == []


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["f4", "f8", "c16"])
def test_all_finite_finds_one_bad_entry_anywhere(monkeypatch, mapped, dtype, bad):
    monkeypatch.setattr(data, "BLOCK_BYTES", 64)
    for place in range(20):
        array = X.astype(dtype)
        assert all_finite(array)
        array.flat[place] = bad
        same = (array, array.T, mapped(array), array.ravel(), sp.csc_array(array))
        assert not any(all_finite(x) for x in same)


def test_all_finite_of_large_numbers_opposite_infinities_and_integers():
    assert all_finite(np.array([1e308, 1e308, -1e308]))
    assert all_finite(np.full(100, 60000, np.float16))
    assert not all_finite(np.array([np.inf, -np.inf]))
    assert all_finite(y)
    assert all_finite(X[:0])


def plain_statistics(x, w):
    mean = np.average(x, axis=0, weights=w)
    return mean, np.sqrt(np.average((x - mean) ** 2, axis=0, weights=w))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_mean_and_scale_are_those_of_the_whole(monkeypatch, mapped, dtype, weighted):
    monkeypatch.setattr(data, "BLOCK_BYTES", 200)
    rng = np.random.default_rng(0)
    array = (rng.normal(size=(101, 3)) * [1, 10, 100] + [50, 0, -7]).astype(dtype)
    w = rng.integers(0, 4, 101) * 0.5 if weighted else None
    if weighted:
        w[:20] = 0  # whole blocks
    mean, scale = plain_statistics(array.astype(np.float64), w)
    for same in (array, mapped(array)):
        got = mean_and_scale(same, w)
        np.testing.assert_allclose(got[0], mean, rtol=1e-12)
        np.testing.assert_allclose(got[1], scale, rtol=1e-12)
    sparse = array * (rng.random(array.shape) < 0.3)
    for make in (sp.csr_array, sp.csc_array):
        got = mean_and_scale(make(sparse), w)
        np.testing.assert_array_equal(got[0], 0)
        expected = plain_statistics(sparse.astype(np.float64), w)[1]
        np.testing.assert_allclose(got[1], expected, rtol=1e-12)


def test_scale_survives_a_large_mean(monkeypatch):
    monkeypatch.setattr(data, "BLOCK_BYTES", 4096)
    column = np.random.default_rng(0).normal(size=(10000, 1))
    _, scale = mean_and_scale(column + 1e8)
    assert scale == pytest.approx(column.std(), rel=1e-7)


def test_columns_constant_up_to_rounding_are_not_scaled():
    array = np.column_stack([np.full(1000, 0.1), np.zeros(1000), np.arange(1000) / 1e3])
    _, scale = mean_and_scale(array)
    assert scale[:2].tolist() == [1, 1]
    assert scale[2] == pytest.approx(array[:, 2].std())


def test_duplicate_sparse_entries_count_as_their_sum():
    doubled = sp.csr_array(([1.0, 2.0, 4.0], ([0, 0, 0]), ([0, 2, 3])), shape=(2, 1))
    assert mean_and_scale(doubled)[1] == pytest.approx(np.array([3.0, 4.0]).std())
    assert doubled.nnz == 3


@pytest.mark.parametrize(
    ("make", "kind", "words"),
    [
        (lambda: mean_and_scale(y), ShapeError, r"\(rows, columns\), not of shape \(10,\)"),
        (lambda: mean_and_scale(X[:0]), ShapeError, r"not of shape \(0, 2\)"),
        (lambda: mean_and_scale(X, np.ones(3)), ShapeError, "sample_weight has 3"),
        (lambda: mean_and_scale(X, np.zeros(10)), ValueError, "one of them positive"),
        (lambda: mean_and_scale(X, -np.ones(10)), ValueError, "0 or more"),
        (lambda: mean_and_scale(X * [1, 1e300]), ValueError, "column 1 are too large"),
        (lambda: mean_and_scale([[-1.7e308], [1.7e308]]), ValueError, "column 0 are too large"),
    ],
)
def test_what_has_no_statistics(make, kind, words):
    with pytest.raises(kind, match=words):
        make()


def test_an_order_may_name_a_part_of_the_rows():
    rows = Rows(np.arange(7), np.arange(7) * 10)
    seen = [(x.tolist(), y.tolist()) for x, y, _ in rows.batches(2, np.array([6, 1, 3]))]
    assert seen == [([6, 1], [60, 10]), ([3], [30])]


# -- memory layout ------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", [*LAYOUTS, *STRIDE_0])
@pytest.mark.parametrize("shuffled", [False, True])
def test_batches_of_every_memory_layout(layout, shuffled):
    change = (LAYOUTS | STRIDE_0)[layout]
    many, few = change(X), change(y.astype(float))
    known = many.copy(), few.copy()
    rng = np.random.default_rng(0) if shuffled else None
    order = np.random.default_rng(0).permutation(10) if shuffled else np.arange(10)
    xs, ys, ws = zip(*batches(many, few, 3, rng, sample_weight=change(y + 1.0)), strict=True)
    np.testing.assert_array_equal(np.concatenate(xs), known[0][order])
    np.testing.assert_array_equal(np.concatenate(ys), known[1][order])
    np.testing.assert_array_equal(np.concatenate(ws), change(y + 1.0)[order])
    np.testing.assert_array_equal(np.concatenate(list(blocks(many, rows=4))), known[0])
    for one, other in zip(mean_and_scale(many), mean_and_scale(known[0].copy("C")), strict=True):
        np.testing.assert_allclose(one, other)
    np.testing.assert_array_equal(many, known[0])
    np.testing.assert_array_equal(few, known[1])


@pytest.mark.parametrize("largest", [1e308, 1e200, 2.0**-1000, 5e-324, np.float32(1e38), 2**62])
def test_only_the_ratios_of_weights_matter_to_mean_and_scale(largest):
    weight = np.full(10, largest)
    weight[3] = 0
    for x in (X * 1e9, sp.csr_array(X * 1e9)):
        np.testing.assert_allclose(mean_and_scale(x, weight), mean_and_scale(x, weight > 0))


def test_columns_whose_squares_underflow_count_as_constant():
    tiny = X * [1.0, 1e-300]
    mean, scale = mean_and_scale(tiny)
    np.testing.assert_allclose(scale, [X[:, 0].std(), 1.0])
    np.testing.assert_allclose(mean, tiny.mean(axis=0))


def test_rows_of_other_types_and_of_parts_of_structures():
    big = X.astype(">f8")
    records = np.zeros(10, [("name", "S3"), ("x", "<f4", 2), ("y", ">i2")])
    records["x"], records["y"] = X, y
    for given in (big, records["x"], np.frombuffer(X.tobytes()).reshape(10, 2)):
        for rng in (None, np.random.default_rng(0)):
            found = [x for x, _ in batches(given, records["y"], 3, rng)]
            assert all(x.dtype == given.dtype for x in found)
            np.testing.assert_array_equal(np.sort(np.concatenate(found), axis=0), X)
        np.testing.assert_allclose(mean_and_scale(given), mean_and_scale(X))

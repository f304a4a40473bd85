"""X in a memory-mapped file, which may be larger than memory: fitted and predicted, not copied."""

import tracemalloc

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from gradlite import MLPClassifier, data


@pytest.fixture
def mapped(tmp_path):
    """Map a training file of 40 MB."""
    X = np.lib.format.open_memmap(tmp_path / "X.npy", "w+", np.float32, (20_000, 500))
    rng = np.random.default_rng(0)
    for block in np.split(X, 20):
        block[...] = rng.standard_normal(block.shape, np.float32)
    X.flush()
    return np.load(tmp_path / "X.npy", mmap_mode="r")


def test_a_mapped_file_is_not_copied_and_fits_as_from_memory(monkeypatch, mapped):
    monkeypatch.setattr(data, "BLOCK_BYTES", 2**20)
    y = (mapped[:, 0] > 0).astype(int)

    def fitted_predictions(X):
        model = MLPClassifier(
            (8,), max_iter=1, random_state=0, standardize=True, early_stopping=True
        )
        with pytest.warns(ConvergenceWarning):
            model.fit(X, y)
        return model.predict_proba(X)

    tracemalloc.start()
    try:
        got = fitted_predictions(mapped)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < mapped.nbytes / 2  # a tenth is held out; weights and blocks are small
    np.testing.assert_array_equal(got, fitted_predictions(np.array(mapped)))

"""X in a file larger than what may be resident: fitted and predicted in bounded memory."""

import subprocess
import sys

import numpy as np
import pytest

PROGRAM = """
import warnings
import numpy as np
from gradlite import MLPClassifier

def peak():
    return int(next(x for x in open("/proc/self/status") if x.startswith("VmHWM")).split()[1]) >> 10

X, y = np.load("X.npy", mmap_mode="r"), np.load("y.npy")
model = MLPClassifier(
    (8,), max_iter=1, random_state=0, standardize=True, early_stopping=True
)
model.fit(X[:100], y[:100])
before = peak()
warnings.simplefilter("ignore")
model.fit(X, y)
fitted = peak()
score = model.score(X, y)
print(fitted - before, peak() - before, score)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("mapped")
    rng = np.random.default_rng(0)
    X = np.lib.format.open_memmap(path / "X.npy", "w+", np.float32, (50_000, 1024))
    for block in np.split(X, 20):
        block[...] = rng.standard_normal(block.shape, np.float32)
    np.save(path / "y.npy", (X[:, 0] > 0).astype(int))
    X.flush()
    return path


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_mapped_file_stays_out_of_memory(folder):
    answer = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM],
        cwd=folder, capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    fit, predict, score = answer.stdout.split()
    assert int(fit) < 150
    assert int(predict) < 150
    assert float(score) > 0.65

"""Every example runs, without a warning, and prints the result that it promises."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))

# What the output of each example must contain: a regular expression.
KEY = {
    "01_tensor_and_numpy": r"agrees with finite differences: they differ by \de-\d\d",
    "02_your_own_rule": r"wrong rule is found: derivative of order 1 of place",
    "03_newton": r"1000 numbers, \d+ steps: f = .* x = 1 up to \de-\d\d",
    "04_train_a_network": r"accuracy on 100 points not seen before: (0\.9[5-9]|1\.00)",
    "05_debugging": r"(?s)np\.log gave Inf .* in entropy\n    log_p = np\.log\(p\).*"
    r"Mended, the entropy is 0\.58.*MutationError: Argument 0 of np\.power",
    "06_a_scalar_graph": r"(?s)by w1 1\.5729.*says 1\.5729.*10 numbers, 5 .*by w \[1\.5729, -0\.78",
    "08_an_estimator_in_a_pipeline": r"(?s)not seen before: 0\.9[5-9].*stopped by the callback",
    "09_your_own_network": r"(?s)not seen before: 0\.9[4-9].*decide\.weight   \(10, 256\)",
    "10_intervals_and_gradients": r"(?s)quantile +0\.(8[6-9]|9[0-4])"
    r".*gaussian_nll +0\.(8[6-9]|9[0-4]).*slope at 1\.5: -(1\.[89]|2\.[01])",
    "11_saving_and_resuming": r"(?s)are 20, bit for bit: True.*PersistError: .* is truncated",
    "07_from_one_to_many": r"(?s)loss_of_samples +(loss 0\.\d{9}), accuracy 1\.00.*"
    r"loss_of_batch +\1, accuracy 1\.00.*one score .* is made by 640 operations",
}


def test_every_example_has_a_key_phrase():
    assert [path.stem for path in EXAMPLES] == sorted(KEY)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_example_runs_and_prints_its_result(path, tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "error", str(path)],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=tmp_path,  # where it may leave files
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert re.search(KEY[path.stem], done.stdout), done.stdout


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_example_is_a_page_that_says_what_one_learns(path):
    text = path.read_text(encoding="utf-8")
    assert re.match(r'"""[A-Z][^\n]*\.\n\nYou learn: ', text)
    assert len(text.splitlines()) <= 90

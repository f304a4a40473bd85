"""Every example runs without a warning, prints what it promises, and leaves its picture alone."""

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from xml.etree import ElementTree

import matplotlib.font_manager  # lists the fonts once, which it would say on stderr in an example
import matplotlib.image
import pytest

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))

NOBODY = "http://127.0.0.1:9"  # a proxy that does not answer: an example asks itself at most

# What the output of each example must contain: a regular expression.
KEY = {
    "00_the_engine_on_one_page": r"dy/dx = 6\n(norms of the gradients: [\d. ]+)\n\1\n",
    "01_a_scalar_expression": r"(?s)by hand: +df/da = -2\.0, df/db = 4\.0\n.*df/da = -2\.0, df/db"
    r" = 4\.0\n.*df/da = -2\.0000, df/db = 4\.0000",
    "02_a_neuron": r"(?s)w1 1\.5729, w2 -0\.7864, b 0\.7864.*step 30: out = -0\.79.*"
    r"gives -0\.7996",
    "03_moons_per_sample": r"(?s)\(16 \+ 1\) = 337\n.*in the end: loss 0\.0\d+, accuracy 1\.00",
    "04_moons_batched": r"(?s)sample: loss (0\.\d{9}),.*batch: loss \1,.*up to (0e\+00|\de-1\d)\."
    r"\nThe batch takes 1/\d+ of",
    "05_tensors_and_numpy": r"(?s)agrees with finite differences: they differ by \de-(0[89]|1\d) .*"
    r"np\.log gave Inf .*np\.sum\(p \* np\.log\(p\)\)\n.*Fixed, the entropy is 0\.5822",
    "06_your_own_rule": r"(?s)is at most \de-1\d.*E is 1\.5997, and changes with e by 0\.9825"
    r".*wrong rule is found: derivative of order 1 of",
    "07_newton": r"(?s)descent: 2000 steps, .*method: 6 steps, f = \d\.\de-\d\d at \[1\.0, 1\.0\]"
    r"\n1000 numbers: \d+ steps, f = .* x = 1 up to \de-(0[7-9]|1\d)",
    "08_module_and_training_loop": r"(?s)Classifier \(1,251 .*300 new points: (0\.9[7-9]|1\.00)",
    "09_pipeline_and_search": r"(?s)Dummy\w+ +-?0\.0.*RidgeCV +0\.8.*MLPRegressor +0\.9[5-7]",
    "10_your_own_network": r"(?s)stopped by the callback after \d+ epochs, .* loss of 0\.00.*"
    r"not seen before: 0\.9[5-9].*decide\.weight   \(10, 256\)",
    "11_intervals_and_gradients": r"(?s)gaussian_nll +0\.(8[6-9]|9[0-4])"
    r".*quantile +0\.(8[6-9]|9[0-4]).*slope at 1\.5: -(1\.[789]|2\.[01])",
    "12_saving_and_serving": r"(?s)PersistError: .* is damaged.*more are 60, bit for bit: True\n"
    r'the server says of a 0: {"digit": 0, "sure": 0\.9',
}


def run(path, folder):
    """Run an example in a folder of its own."""
    folder.mkdir()
    return subprocess.run(
        [sys.executable, "-W", "error", str(path)],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "MPLBACKEND": "agg", "http_proxy": NOBODY},
        check=False,
    )


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Run all examples, two at a time; give the folder and the result to come of each."""
    base = tmp_path_factory.mktemp("examples")
    with ThreadPoolExecutor(2) as pool:
        runs = {p.stem: (base / p.stem, pool.submit(run, p, base / p.stem)) for p in EXAMPLES}
        yield runs
        pool.shutdown(cancel_futures=True)


def test_every_example_has_a_key_phrase():
    assert [path.stem for path in EXAMPLES] == sorted(KEY)


@pytest.mark.parametrize("name", KEY)
def test_the_example_runs_prints_its_result_and_leaves_its_picture(name, runs):
    folder, running = runs[name]
    done = running.result()
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert re.search(KEY[name], done.stdout), done.stdout
    if name.startswith("00"):
        return  # it draws nothing, to stay on one page
    (picture,) = folder.iterdir()
    assert picture.stem == name
    assert f"{picture.name} shows " in done.stdout  # or one would not know that it is there
    if picture.suffix == ".svg":
        texts = [text for text in ElementTree.parse(picture).iter() if text.tag.endswith("}text")]
        assert len(texts) > 10
    else:
        pixels = matplotlib.image.imread(picture)
        assert min(pixels.shape[:2]) > 300
        assert pixels[..., :3].std() > 0.05  # not a blank page


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_example_is_a_page_that_says_what_one_learns(path):
    text = path.read_text(encoding="utf-8")
    assert re.match(r'"""[A-Z][^\n]*\.\n\nYou learn: ', text)
    assert len(text.splitlines()) <= 90

"""An estimator as one file: the predictions of the estimator, from NumPy alone."""

import subprocess
import sys

import numpy as np
import pytest
from sklearn.datasets import load_iris, make_moons, make_multilabel_classification
from sklearn.exceptions import NotFittedError

import gradlite as gl
from gradlite import MLPClassifier, MLPRegressor, NetClassifier, nn
from gradlite.errors import CompileError

IRIS = load_iris()
X, Y = IRIS.data, IRIS.target
NAMES = IRIS.target_names[Y]
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
QUICK = {"hidden_layer_sizes": (6, 5), "max_iter": 5, "random_state": 0}


def run(folder, model, rows, functions):
    """What the functions of the exported file return, in a Python that has no gradlite."""
    gl.export_numpy(model, folder / "exported.py")
    np.save(folder / "rows.npy", rows)
    code = "import sys; sys.modules['gradlite'] = sys.modules['sklearn'] = None\n"
    code += "import numpy as np, exported\nrows = np.load('rows.npy')\n"
    code += "".join(f"np.save('{f}.npy', exported.{f}(rows))\n" for f in functions)
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert not ran.returncode, ran.stderr
    return [np.load(folder / f"{f}.npy") for f in functions]


def build(in_features, out_features):
    rng = np.random.default_rng(0)
    return nn.Sequential(
        nn.Linear(in_features, 8, rng=rng), nn.BatchNorm1d(8), nn.SiLU(), nn.Dropout(0.2),
        nn.Residual(nn.Linear(8, 8, rng=rng), nn.LayerNorm(8)), nn.Linear(8, out_features, rng=rng),
    )  # fmt: skip


MULTILABEL = make_multilabel_classification(random_state=0, n_classes=3)


@pytest.mark.parametrize(
    ("model", "X", "y"),
    [
        (MLPClassifier(**QUICK), X, Y),
        (MLPClassifier(**QUICK), X.astype("f"), NAMES),
        (MLPClassifier(**QUICK, standardize=True, normalization="batch"), X, NAMES),
        (MLPClassifier(**QUICK, activation="tanh", dropout=0.1), X[:100], Y[:100] > 0),
        (MLPClassifier(**QUICK), *MULTILABEL),
        (NetClassifier(build, max_iter=3, random_state=0), X.astype("f"), Y),
    ],
    ids=lambda case: type(case).__name__ if hasattr(case, "fit") else f"{np.shape(case)}",
)
def test_classifiers(model, X, y, tmp_path):
    model.fit(X, y)
    for n in (len(X), 1):
        classes, probabilities = run(tmp_path, model, X[:n], ["predict", "predict_proba"])
        np.testing.assert_array_equal(classes, model.predict(X[:n]))
        np.testing.assert_allclose(probabilities, model.predict_proba(X[:n]), rtol=1e-6)
        assert probabilities.dtype == model.predict_proba(X[:n]).dtype


@pytest.mark.parametrize("loss", ["squared_error", "quantile", "poisson", "gaussian_nll"])
def test_regressors(loss, tmp_path):
    model = MLPRegressor(**QUICK, loss=loss, standardize=True).fit(X[:, :3], X[:, 3])
    (values,) = run(tmp_path, model, X[:, :3], ["predict"])
    np.testing.assert_array_equal(values, model.predict(X[:, :3]))


def test_several_targets(tmp_path):
    model = MLPRegressor(**QUICK).fit(X[:, :2], X[:, 2:])
    (values,) = run(tmp_path, model, X[:, :2], ["predict"])
    np.testing.assert_array_equal(values, model.predict(X[:, :2]))


def test_the_file_can_be_read(tmp_path):
    pandas = pytest.importorskip("pandas", reason="column names need pandas")
    frame = pandas.DataFrame(X, columns=["sl", "sw", "pl", "pw"])
    model = MLPClassifier(**QUICK).fit(frame, NAMES)
    gl.export_numpy(model, tmp_path / "exported.py")
    text = (tmp_path / "exported.py").read_text()
    assert '"""Return X as rows of 4 numbers of the columns sl, sw, pl, pw."""' in text
    assert "CLASSES = np.array(['setosa', 'versicolor', 'virginica']" in text
    assert "t1 = dot(X, weight" in text
    assert "gradlite" not in text.partition("\n")[2]


TEXTS = [
    'a"""\nraise SystemExit\n"""', "C:\\new\\users", 'quoted"', "{rows}", "\x1b[31m",
    "neural_network", "\n\n\n\n\n'", "'{argument}\"",
]  # fmt: skip


def test_text_of_a_table_cannot_change_the_program(tmp_path):
    """Names of columns and classes that would end a docstring, or be taken for a template's."""
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(np.tile(X[:80, :1], len(TEXTS)), columns=TEXTS)
    labels = np.array(TEXTS)[np.arange(80) % len(TEXTS)]
    model = MLPClassifier(**QUICK).fit(frame, labels)
    (classes,) = run(tmp_path, model, frame.to_numpy(), ["predict"])
    np.testing.assert_array_equal(classes, model.predict(frame))
    assert (tmp_path / "exported.py").read_text().replace("\n", "").isprintable()
    names: dict = {}
    exec((tmp_path / "exported.py").read_text(), names)
    assert names["CLASSES"].tolist() == sorted(TEXTS)
    for text in ("C:\\new\\users", 'a"""', "{rows}", 'quoted"'):
        assert text in names["rows"].__doc__


def test_wrong_rows_are_refused(tmp_path):
    gl.export_numpy(MLPClassifier(**QUICK).fit(X, Y), tmp_path / "exported.py")
    names: dict = {}
    exec((tmp_path / "exported.py").read_text(), names)
    with pytest.raises(ValueError, match=r"shape \(n, 4\), not \(150, 3\)"):
        names["predict"](X[:, :3])
    with pytest.raises(ValueError, match="finite"):
        names["predict"](np.full((1, 4), np.nan))


def test_what_cannot_be_exported_says_why(tmp_path):
    with pytest.raises(NotFittedError):
        gl.export_numpy(MLPClassifier(), tmp_path / "no.py")

    class Centred(nn.Linear):
        def forward(self, x):
            return super().forward(x) * np.arange(len(x))[:, None]

    model = NetClassifier(
        lambda in_features, out_features: Centred(in_features, out_features), max_iter=1,
        batch_size=150,
    ).fit(X, Y)  # fmt: skip
    with pytest.raises(CompileError, match="number of rows"):
        gl.export_numpy(model, tmp_path / "no.py")

    class Branching(nn.Linear):
        def forward(self, x):
            return super().forward(x) * (1 if len(x) < 200 else -1)

    def build_branching(in_features, out_features):
        return Branching(in_features, out_features)

    model = NetClassifier(build_branching, max_iter=1, batch_size=150).fit(X, Y)
    with pytest.raises(CompileError, match="for 1000 rows"):
        gl.export_numpy(model, tmp_path / "no.py")
    moons, sides = make_moons(50, random_state=0)
    model = MLPClassifier(**QUICK, activation=gl.erf).fit(moons, sides)
    with pytest.raises(CompileError, match="needs NumPy alone"):
        gl.export_numpy(model, tmp_path / "no.py")
    assert not (tmp_path / "no.py").exists()


@pytest.mark.parametrize(
    "change",
    [
        lambda z: z if np.mean(z) > 0 else -z,
        lambda z: z * 2 if z[0, 0] > 0 else z,
        lambda z: z if np.all(np.abs(z) < 3) else z / 3,
    ],
)
def test_a_network_with_ways_that_depend_on_numbers_is_refused(change, tmp_path):
    class Choosing(nn.Linear):
        def forward(self, x):
            return change(super().forward(x))

    def build(in_features, out_features):
        return Choosing(in_features, out_features, rng=np.random.default_rng(0))

    model = NetClassifier(build, max_iter=1, random_state=0).fit(X, Y)
    with pytest.raises(CompileError, match="another way"):
        gl.export_numpy(model, tmp_path / "no.py")

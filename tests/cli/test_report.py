"""The report: what it says and draws, that names of users mean nothing in it, and how it looks."""

import base64
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from io import BytesIO

import numpy as np
import pytest
from matplotlib.image import imread
from sklearn.exceptions import ConvergenceWarning

from gradlite import MLPClassifier, MLPRegressor
from gradlite.cli.figures import confusion, distinct, legible, loss_curve
from gradlite.cli.report import Report, report_html
from tests.draw.browser import chromium, complaints, requests, resize

EVIL = '<script>alert("1")</script> & \0 end'


class Page(HTMLParser):
    """A report taken apart: its elements, its text, and the texts by element."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.texts, self.open = [], [], []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in ("br", "img", "meta"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        self.open.pop()

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        if data.strip() and "style" not in self.open:
            self.texts.append((self.open[-1], data))

    def text(self, tag=None):
        return " ".join(text for at, text in self.texts if tag in (None, at))

    def attributes(self, name):
        return [attrs[name] for _, attrs in self.elements if name in attrs]


def report(task="classification", classes=("no", "yes"), **changes):
    """Make a report of 40 rows of which one class is mistaken 5 times."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 4)), np.arange(40) % len(classes or "ab")
    if task == "classification":
        y = np.array(classes, object)[y]
        model = MLPClassifier((4,), max_iter=3, schedule="cosine", random_state=0)
        scores = {"accuracy": 0.875, "log loss": 0.31}
    else:
        model = MLPRegressor(hidden_layer_sizes=(4,), max_iter=3, schedule="cosine")
        scores = {"R2": 0.5, "mean absolute error": 1234.5}
    prediction = y.copy()
    prediction[:10:2] = y[1]
    known = {
        "title": "will it rain, from weather.csv",
        "task": task,
        "command": "gradlite train weather.csv --target rain",
        "model": model.fit(x, y),
        "y_test": y,
        "prediction": prediction,
        "classes": list(classes),
        "scores": [("network", scores)],
    }
    return Report(**{**known, **changes})


@pytest.fixture(scope="module")
def binary():
    return Page(report_html(report()))


def test_it_is_whole_and_runs_nothing(binary):
    assert {tag for tag, _ in binary.elements}.isdisjoint({"script", "link", "iframe"})
    addresses = [*binary.attributes("src"), *binary.attributes("href")]
    assert addresses
    assert all(address.startswith(("data:image/", "#")) for address in addresses)


def test_ids_are_there_once_and_references_lead_to_them(binary):
    ids = binary.attributes("id")
    assert len(ids) == len(set(ids)) > 10
    styles = " ".join(v for _, attrs in binary.elements for v in attrs.values() if v)
    links = {v[1:] for v in binary.attributes("href") if v.startswith("#")}
    assert links | set(re.findall(r"url\(#([^)]+)\)", styles)) <= set(ids)
    assert links


def test_figures_take_on_the_colour_of_the_page(binary):
    styles = " ".join(binary.attributes("style"))
    assert "currentColor" in styles
    assert "#000000" not in styles
    assert "#010203" not in styles


def test_it_says_what_was_found(binary):
    text = binary.text()
    assert binary.text("h1") == "will it rain, from weather.csv"
    assert "accuracy on 40 held-out rows, give or take 10.5 points" in text  # 2 sqrt(.875 .125/40)
    assert binary.text("pre") == "gradlite train weather.csv --target rain"
    assert {"python", "gradlite", "numpy", "scikit-learn"} <= set(binary.text("dt").split())


def test_the_confusion_matrix_counts(binary):
    cells = [text for tag, text in binary.texts if tag == "text"]
    after = cells[cells.index("True") + 1 :]
    assert after[:4] == ["15", "5", "0", "20"]  # 5 of the 20 rows of "no" are taken for "yes"


def matrix_of(y, prediction, classes):
    """Read the confusion matrix of a figure: the names of its columns, and its counts."""
    svg, caption = confusion(np.array(y), np.array(prediction), classes)
    texts = ["".join(text.itertext()) for text in ET.fromstring(svg).iter("text")]
    counts = [int(text) for text in texts if text.isdigit()]
    size = int(np.sqrt(len(counts)))
    return np.reshape(counts, (size, size)), texts, caption


def test_of_many_classes_no_prediction_is_lost():
    classes = [f"class {i:02} x" for i in range(20)]
    y = np.repeat(classes, range(1, 21))
    prediction = np.roll(y, 3)
    counts, texts, caption = matrix_of(y, prediction, classes)
    assert counts.shape == (13, 13)
    assert counts.sum() == len(y)
    assert counts[-1].sum() == sum(range(1, 9))  # of the eight classes that are rare
    assert texts.count("all others") == 2
    assert "the 12 most frequent of 20 classes, the others together" in caption


@pytest.mark.parametrize(
    "classes",
    [
        [f"Department of Applied Physics and Chemistry {letter}" for letter in "AB"],
        [f"{'x' * 40}{i}{'y' * 40}" for i in range(3)],
        ["same", "same "],
    ],
)  # fmt: skip
def test_classes_that_are_shortened_have_different_names(classes):
    names = distinct([legible(name) for name in classes], classes)
    assert len(set(names)) == len(classes)
    assert all(len(line) <= 22 for name in names for line in name.splitlines())


@pytest.mark.parametrize(("alpha", "said"), [(10.0, True), (0.0, False)])
def test_the_loss_of_training_is_said_to_have_a_penalty(alpha, said):
    x = np.random.default_rng(0).normal(size=(100, 4))
    model = MLPClassifier((4,), alpha=alpha, max_iter=5, early_stopping=True, random_state=0)
    with pytest.warns(ConvergenceWarning):
        model.fit(x, x[:, 0] > 0)
    assert ("(the training loss includes the penalty of alpha)" in loss_curve(model)[1]) == said
    assert (model.loss_curve_[0] > 1.5 * model.validation_loss_curve_[0]) == said


def test_scores_stand_beside_others():
    scores = [
        ("network", {"accuracy": 0.875}),
        ("logistic regression", {"accuracy": 0.8751}),
        ("most frequent class", {"accuracy": 0.5}),
        ("oracle", {"accuracy": 1.0}),
    ]
    page = Page(report_html(report(scores=scores)))
    assert (
        "By accuracy, the network is ahead of most frequent class and level with logistic "
        "regression and behind oracle." in page.text()
    )
    widths = [s for s in page.attributes("style") if s.startswith("width")]
    assert widths == ["width: 87.5%", "width: 87.5%", "width: 50.0%", "width: 100.0%"]


def test_the_inputs_that_matter_most_come_first():
    importances = [(f"column {i}", i / 100, 0.005) for i in range(-5, 20)]
    page = Page(report_html(report(importances=importances)))
    names = [text for tag, text in page.texts if tag == "th" and text.startswith("column")]
    assert names == [f"column {i}" for i in range(19, 4, -1)]
    assert "0.190 " in page.text("td")


def test_inputs_that_help_nothing_have_no_bar():
    page = Page(report_html(report(importances=[("a", -0.1, 0.0), ("b", 0.0, 0.0)])))
    assert page.attributes("style").count("width: 0.0%") == 2


def test_names_of_users_are_text_and_nothing_else():
    hostile = report(
        classes=(f"no {EVIL}", f"yes {EVIL}"),
        title=EVIL,
        command=EVIL,
        scores=[(EVIL, {EVIL: 0.5})],
        importances=[(EVIL, 0.1, 0.1)],
        settings={EVIL: EVIL},
        facts={EVIL: EVIL},
        notes=[EVIL],
    )
    page = Page(report_html(hostile))
    assert "script" not in {tag for tag, _ in page.elements}
    assert page.text().count(EVIL) >= 9


def test_bytes_that_are_no_text_can_be_written():
    html = report_html(report(command="gradlite train caf\udce9.csv", classes=("a\ud800", "b")))
    assert "train caf?.csv" in html.encode().decode()


def test_a_dollar_in_a_name_is_no_formula():
    page = Page(report_html(report(classes=("in $x^2$", r"in $\nonsense$"))))
    assert r"in $x^2$ in $\nonsense$" in page.text("text")


def test_letters_that_matplotlib_lacks_are_left_to_the_browser():
    page = Page(report_html(report(classes=("良性", "悪性"))))
    assert "良性" in page.text("text")


def test_of_many_classes_the_most_frequent_are_drawn():
    classes = tuple(f"c{i:02}" for i in range(15))  # 40 rows: c00 to c09 have 3, the others 2
    page = Page(report_html(report(classes=classes)))
    drawn = re.findall(r"c\d\d", page.text("text"))
    assert len(drawn) == 24
    assert set(classes[:10]) <= set(drawn)
    assert drawn[:12] == sorted(drawn[:12])
    assert "the 12 most frequent of 15 classes" in page.text()


def test_a_regression_shows_its_errors():
    y = np.arange(2000.0)
    page = Page(report_html(report("regression", (), y_test=y, prediction=y + 1)))
    assert "R2 on 2,000 held-out rows" in page.text()
    assert "1,230" in page.text("td")
    assert {"Predicted", "True", "True - predicted"} <= {
        t for tag, t in page.texts if tag == "text"
    }
    points = [tag for tag, _ in page.elements].count("use")
    assert 2000 < points < 2100  # 1000 of them in each figure, and ticks


def test_without_a_loss_curve_there_is_no_figure_of_it():
    x, y = np.eye(4), np.array(["no", "yes", "no", "yes"])
    model = MLPClassifier((2,), solver="lbfgs", random_state=0).fit(x, y)
    page = Page(report_html(report(model=model)))
    assert page.text("figcaption").startswith("Held-out rows")


def test_images_show_mistakes_and_what_the_first_layer_looks_for():
    made = report(images=np.arange(160.0).reshape(40, 2, 2))
    made.probability = np.full((40, 2), 0.5)
    made.probability[4] = 0.1, 0.9
    page = Page(report_html(made))
    pictures = page.attributes("src")
    assert len(pictures) == 5 + 4  # mistakes, and neurons
    assert "0.9" not in page.text()
    first = imread(BytesIO(base64.b64decode(pictures[0].partition(",")[2])))
    np.testing.assert_allclose(first[..., 0].ravel(), np.arange(4) / 3, atol=0.01)
    assert page.text("div").index("90 % sure") < page.text("div").index("50 % sure")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("profile")) as started:
        yield started


@pytest.mark.parametrize("count", [2, 12, 40])
def test_no_name_in_the_confusion_matrix_runs_into_another(browser, tmp_path, count):
    classes = [f"a class with a rather long name, number {i}" for i in range(count)]
    y = np.repeat(classes, 150)
    svg, _ = confusion(y, np.roll(y, 7), classes)
    path = tmp_path / "matrix.html"
    path.write_text(f"<!DOCTYPE html><meta charset='utf-8'>{svg}")
    browser.get(f"file://{path}")
    met = browser.execute_script("""
        const texts = [...document.querySelectorAll('svg text')].filter((x) => x.textContent);
        const box = (x) => x.getBoundingClientRect();
        return texts.flatMap((a, i) => texts.slice(i + 1).filter((b) =>
            box(a).left < box(b).right - 1 && box(b).left < box(a).right - 1 &&
            box(a).top < box(b).bottom - 3 && box(b).top < box(a).bottom - 3  // the leading
        ).map((b) => `${a.textContent} / ${b.textContent}`));
    """)
    assert met == []


@pytest.mark.parametrize("width", [390, 1280])
def test_a_browser_shows_it_without_scrolling_sideways(browser, tmp_path, width):
    long = "a_rather_long_name_of_a_column_or_class_without_any_space_in_it" * 2
    made = report(
        classes=(long, long[::-1]),
        title=long,
        command=long,
        scores=[(long, {"accuracy": 0.5, "log loss": 0.3, "mean squared error": 1.0})],
        importances=[(long, 0.1, 0.1)],
        settings={long: long},
        notes=[long],
    )
    path = tmp_path / "report.html"
    path.write_text(report_html(made), encoding="utf-8")
    resize(browser, width, 800)
    browser.get(path.as_uri())
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert [address for address in requests(browser) if address.startswith("http")] == []
    assert complaints(browser) == []

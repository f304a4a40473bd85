"""A place to draw that nobody sees, and a browser."""

import pytest

from tests.draw.browser import chromium, complaints, requests
from tests.draw.screen import Screen


@pytest.fixture
def plt():
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    yield pyplot
    pyplot.close("all")


@pytest.fixture
def graphviz():
    pytest.importorskip("pygraphviz", reason="pygraphviz draws the pictures: extra viz")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    pytest.importorskip("pygraphviz", reason="pygraphviz draws the pictures: extra viz")
    with chromium(tmp_path_factory.mktemp("profile")) as started:
        started.get("about:blank")
        requests(started)
        yield started


@pytest.fixture
def show(browser, tmp_path):
    complaints(browser)
    requests(browser)
    yield lambda root, *make: Screen(browser, root, tmp_path / "graph.html", *make)
    assert complaints(browser) == []

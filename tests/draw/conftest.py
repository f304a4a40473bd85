"""A place to draw that nobody sees."""

import pytest


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

"""Where the programs of the tests are."""

import pytest


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "program"
    place.mkdir()
    return place

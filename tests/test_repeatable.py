"""Tests that draw without a seed draw the same numbers in every run."""

import random

import numpy as np
import pytest

from gradlite import nn


def drawn():
    streams = [np.random.default_rng(), np.random.RandomState()]
    streams += [np.random.Generator(np.random.PCG64()), np.random]
    numbers = [stream.standard_normal() for stream in streams]
    return [*numbers, random.random(), *nn.Linear(1, 1).weight.data[0].tolist()]


@pytest.fixture(scope="module")
def shared():
    return drawn()


EARLIER = []


def test_unseeded_generators_differ_from_each_other():
    assert len(set(drawn())) == 6


@pytest.mark.parametrize("time", ["first", "second"])
def test_every_test_begins_with_the_same_seeds(time, seeded):
    EARLIER.append(drawn())
    assert EARLIER[-1] == EARLIER[0]
    assert drawn() != EARLIER[0]
    seeded()
    assert drawn() == EARLIER[0]


def test_so_do_fixtures_that_tests_share(shared, seeded):
    seeded()
    assert drawn() == shared

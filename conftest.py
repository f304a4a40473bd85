"""What is random in a test is the same in every run, whatever ran before it."""

import random
from collections.abc import Callable

import hypothesis
import numpy as np
import pytest

ENTROPY = random.Random()
# Generators without a seed begin with what the operating system gives: here with this.
np.random.bit_generator.randbits = ENTROPY.getrandbits

hypothesis.settings.register_profile("repeatable", derandomize=True, database=None, deadline=None)
hypothesis.settings.load_profile("repeatable")


def seed_all() -> None:
    """Seed what tests may draw from without a word: the global streams, and new generators."""
    random.seed(0)
    np.random.seed(0)
    ENTROPY.seed(0)


@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[object]) -> None:
    """Seed everything for a fixture that tests share, whichever test asks for it first."""
    if fixturedef.scope != "function":
        seed_all()


@pytest.fixture(autouse=True)
def seeded() -> Callable[[], None]:
    """Seed everything, and give the function that does."""
    seed_all()
    return seed_all

"""Schedules: their formulas at chosen steps, pickling, and errors that say what is wrong."""

import inspect
import math
import pickle

import pytest

from gradlite import schedules
from gradlite.optim.schedules import SCHEDULES, ReduceOnPlateau, one_cycle, warm_up

RATES = [
    (schedules.constant(0.3), {0: 0.3, 10**9: 0.3}),
    (schedules.step_decay(1.0, every=3, factor=0.5), {0: 1, 2: 1, 3: 0.5, 5: 0.5, 6: 0.25}),
    (schedules.step_decay(1.0, every=2), {1: 1, 2: 0.1, 4: 0.01}),
    (schedules.exponential(2.0, factor=0.5), {0: 2, 1: 1, 3: 0.25}),
    (schedules.cosine(1.0, steps=6), {0: 1, 2: 0.75, 3: 0.5, 4: 0.25, 6: 0, 7: 0}),
    (schedules.cosine(1.0, steps=3, end=0.2), {0: 1, 1: 0.8, 2: 0.4, 3: 0.2, 99: 0.2}),
    # 10 steps, the top at step 4: halfway up at 2, a quarter of the way down a cosine at 4 + 5/3.
    (
        one_cycle(1.0, steps=10, warmup=0.5, div_factor=2.0, final_div_factor=5.0),
        {0: 0.5, 2: 0.75, 4: 1.0, 9: 0.1, 50: 0.1},
    ),
    (one_cycle(1.0, steps=4, warmup=0.25), {0: 1.0, 3: 4e-6}),
    (one_cycle(1.0, steps=4, warmup=1), {0: 0.04, 3: 1.0, 9: 1.0}),
    (warm_up(0.8, steps=4), {0: 0, 1: 0.2, 3: 0.6, 4: 0.8, 100: 0.8}),
    (
        warm_up(schedules.exponential(1.0, factor=0.5), steps=2, start=0.5),
        {0: 0.5, 1: 0.75, 2: 1, 3: 0.5},
    ),
    (schedules.inverse_scaling(3.0), {0: 3, 3: 1.5, 8: 1}),
    (schedules.inverse_scaling(1.0, power=1), {0: 1, 9: 0.1}),
    (ReduceOnPlateau(0.5), {0: 0.5, 100: 0.5}),
]


@pytest.mark.parametrize(("schedule", "rates"), RATES, ids=lambda x: type(x).__name__)
def test_rates(schedule, rates):
    assert {step: schedule(step) for step in rates} == pytest.approx(rates)


@pytest.mark.parametrize("schedule", [s for s, _ in RATES], ids=lambda x: type(x).__name__)
def test_they_pickle_and_print_what_makes_them_again(schedule):
    again = pickle.loads(pickle.dumps(schedule))
    printed = eval(repr(schedule), vars(schedules))
    for step in (0, 1, 5, 20):
        assert again(step) == printed(step) == schedule(step)


def test_every_schedule_has_its_name_and_is_tested():
    classes = {s for s in vars(schedules).values() if inspect.isclass(s)}
    defined = {s for s in classes if s.__module__ == schedules.__name__}
    assert defined == set(SCHEDULES.values()) == {type(s) for s, _ in RATES}


@pytest.mark.parametrize(
    ("make", "kind", "words"),
    [
        (lambda: schedules.constant(-0.1), ValueError, "constant: rate .* not -0.1"),
        (lambda: schedules.constant(math.nan), ValueError, "rate must be finite"),
        (lambda: schedules.constant("0.1"), TypeError, "rate must be a number, not '0.1'"),
        (lambda: schedules.step_decay(0.1, every=0), ValueError, "every must be 1 or more"),
        (lambda: schedules.step_decay(0.1, every=2.5), TypeError, "every must be an integer"),
        (lambda: schedules.exponential(0.1, factor=0), ValueError, "factor must be positive"),
        (lambda: schedules.cosine(0.1, steps=True), TypeError, "steps must be an integer"),
        (lambda: one_cycle(0.1, steps=1), ValueError, "steps must be 2 or more, not 1"),
        (lambda: one_cycle(0.1, steps=9, warmup=30), ValueError, "warmup must be from 0 to 1"),
        (lambda: warm_up("cosine", steps=9), TypeError, "schedule must be a number, not 'cosine'"),
        (lambda: ReduceOnPlateau(0.1, factor=1.0), ValueError, "factor must be below 1, not 1.0"),
        (lambda: ReduceOnPlateau(0.1, mode="low"), ValueError, "'min' or 'max', not 'low'"),
    ],
)
def test_wrong_arguments(make, kind, words):
    with pytest.raises(kind, match=words):
        make()


def rates_after(schedule, metrics):
    rates = []
    for metric in metrics:
        schedule.update(metric)
        rates.append(schedule(0))
    return rates


def test_plateau_waits_for_more_than_its_patience():
    schedule = ReduceOnPlateau(1.0, factor=0.5, patience=2)
    assert rates_after(schedule, [3, 3, 3, 3, 3, 3, 3]) == [1, 1, 1, 0.5, 0.5, 0.5, 0.25]


def test_plateau_counts_only_epochs_in_a_row_and_only_real_improvements():
    schedule = ReduceOnPlateau(1.0, patience=1, threshold=0.1)
    assert rates_after(schedule, [1.0, 0.95, 0.85, 0.8, 0.7]) == [1, 1, 1, 1, 1]
    assert rates_after(schedule, [0.65, math.nan]) == [1, 0.1]


def test_plateau_of_a_score_and_the_least_rate():
    schedule = ReduceOnPlateau(1.0, patience=0, mode="max", min_rate=0.05)
    assert rates_after(schedule, [0.5, 0.6, 0.6, 0.5, 0.5]) == [1, 1, 0.1, 0.05, 0.05]


def test_plateau_goes_on_from_its_state():
    metrics = [1.0, 0.9, 0.9, 0.9, 0.9, 0.5, 0.6, 0.6, 0.6]
    whole, first, second = (ReduceOnPlateau(1.0, patience=1) for _ in range(3))
    expected = rates_after(whole, metrics)
    rates_after(first, metrics[:4])
    second.load_state_dict(first.state_dict())
    assert second(0) == 0.1
    assert rates_after(second, metrics[4:]) == expected[4:]
    with pytest.raises(ValueError, match=r"keys \['bad_epochs', 'best', 'current'\], not \['x'\]"):
        second.load_state_dict({"x": 1})

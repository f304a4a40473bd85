"""Schedules against PyTorch's schedulers, where PyTorch is installed."""

import numpy as np
import pytest

from gradlite import schedules

torch = pytest.importorskip("torch", reason="compares with PyTorch's schedulers")
schedulers = torch.optim.lr_scheduler
STEPS = 50

PAIRS = [
    (
        schedules.step_decay(0.3, every=7, factor=0.5),
        lambda optimizer: schedulers.StepLR(optimizer, step_size=7, gamma=0.5),
    ),
    (
        schedules.exponential(0.3, factor=0.9),
        lambda optimizer: schedulers.ExponentialLR(optimizer, gamma=0.9),
    ),
    (
        schedules.cosine(0.3, steps=STEPS, end=0.01),
        lambda optimizer: schedulers.CosineAnnealingLR(optimizer, T_max=STEPS, eta_min=0.01),
    ),
    *(
        (
            schedules.one_cycle(0.3, steps=STEPS + 1, warmup=warmup, div_factor=10.0),
            lambda optimizer, warmup=warmup: schedulers.OneCycleLR(
                optimizer, max_lr=0.3, total_steps=STEPS + 1, pct_start=warmup, div_factor=10.0
            ),
        )
        for warmup in (0.0, 0.3, 0.55, 1.0)
    ),
    (
        schedules.warm_up(0.3, steps=9, start=0.03),
        lambda optimizer: schedulers.LinearLR(optimizer, start_factor=0.1, total_iters=9),
    ),
]


def optimizer_at(rate):
    return torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=rate)


@pytest.mark.parametrize(("schedule", "peer"), PAIRS)
def test_same_rates(schedule, peer):
    optimizer = optimizer_at(0.3)
    scheduler = peer(optimizer)
    theirs = []
    for _ in range(STEPS + 1):
        theirs.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if len(theirs) <= STEPS:
            scheduler.step()
    np.testing.assert_allclose([schedule(step) for step in range(STEPS + 1)], theirs, rtol=1e-9)


@pytest.mark.parametrize("mode", ["min", "max"])
def test_same_plateaus(mode):
    rng = np.random.default_rng(3)
    metrics = np.round(rng.random(200), 2)
    metrics[50] = np.nan
    options = {"factor": 0.7, "patience": 3, "threshold": 0.05}
    ours = schedules.ReduceOnPlateau(0.3, min_rate=1e-3, mode=mode, **options)
    optimizer = optimizer_at(0.3)
    theirs = schedulers.ReduceLROnPlateau(optimizer, mode=mode, min_lr=1e-3, **options)
    rates = []
    for metric in metrics:
        ours.update(metric)
        theirs.step(metric)
        rates.append(optimizer.param_groups[0]["lr"])
        assert ours(0) == pytest.approx(rates[-1])
    assert len(set(rates)) > 10

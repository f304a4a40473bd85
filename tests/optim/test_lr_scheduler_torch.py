"""Schedulers side by side with PyTorch's, where PyTorch is installed."""

import numpy as np
import pytest

import gradlite as gl
from gradlite import optim
from tests.optim.schedulers import CASES, EPOCHS, momentum_of, rates_of

torch = pytest.importorskip("torch", reason="compares with PyTorch's schedulers")


def pair(kind="SGD", rates=(0.3, 0.05), **settings):
    """The same optimiser twice, with a group for each rate."""
    ours = [{"params": [gl.Tensor([1.0], requires_grad=True)], "lr": rate} for rate in rates]
    theirs = [{"params": [torch.ones(1, requires_grad=True)], "lr": rate} for rate in rates]
    return getattr(optim, kind)(ours, **settings), getattr(torch.optim, kind)(theirs, **settings)


@pytest.mark.parametrize("make", CASES.values(), ids=CASES)
def test_same_rates(make):
    ours, theirs = pair(momentum=0.5)
    got = rates_of(make(optim.lr_scheduler, ours), ours)
    expected = rates_of(make(torch.optim.lr_scheduler, theirs), theirs)
    np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("kind", ["SGD", "Adam"])
@pytest.mark.parametrize("name", [name for name in CASES if name.startswith(("One", "Cyclic"))])
def test_same_momentum(name, kind):
    momenta = []
    settings = {"momentum": 0.5} if kind == "SGD" else {}
    for optimizer, of in zip(
        pair(kind, **settings), (optim.lr_scheduler, torch.optim.lr_scheduler), strict=True
    ):
        scheduler = CASES[name](of, optimizer)
        momenta.append([])
        for _ in range(EPOCHS):
            momenta[-1].append(momentum_of(optimizer))
            optimizer.step()
            scheduler.step()
    np.testing.assert_allclose(*momenta, rtol=1e-12)
    if name != "OneCycleLR, rates only":
        assert len(set(momenta[0])) > 4


def test_a_rate_set_by_hand_is_respected():
    for make in (
        lambda of, o: of.StepLR(o, 3),
        lambda of, o: of.ExponentialLR(o, 0.9),
        lambda of, o: of.CosineAnnealingLR(o, 20, 0.01),
        lambda of, o: of.LinearLR(o, 0.1, 1.0, 10),
    ):
        ends = []
        for optimizer, of in zip(
            pair(), (optim.lr_scheduler, torch.optim.lr_scheduler), strict=True
        ):
            scheduler = make(of, optimizer)
            for epoch in range(8):
                optimizer.step()
                scheduler.step()
                if epoch == 4:
                    optimizer.param_groups[0]["lr"] = 1.0
            ends.append(scheduler.get_last_lr())
        np.testing.assert_allclose(*ends, rtol=1e-9)


def test_two_schedulers_may_change_one_rate():
    ends = []
    for optimizer, of in zip(pair(), (optim.lr_scheduler, torch.optim.lr_scheduler), strict=True):
        one, two = of.ExponentialLR(optimizer, 0.9), of.StepLR(optimizer, 3, 0.5)
        for _ in range(8):
            optimizer.step()
            one.step()
            two.step()
        ends.append([group["lr"] for group in optimizer.param_groups])
    np.testing.assert_allclose(*ends, rtol=1e-9)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"mode": "max"},
        {"threshold_mode": "abs", "cooldown": 2},
        {"threshold_mode": "abs", "mode": "max", "min_lr": [0.01, 0.02]},
        {"cooldown": 3, "min_lr": 1e-3, "eps": 1e-3},
    ],
)
@pytest.mark.parametrize("shift", [0.0, -0.5])
def test_same_plateaus(settings, shift):
    metrics = np.round(np.random.default_rng(3).random(200), 2) + shift
    metrics[50] = np.nan
    found = []
    for optimizer, of in zip(pair(), (optim.lr_scheduler, torch.optim.lr_scheduler), strict=True):
        scheduler = of.ReduceLROnPlateau(
            optimizer, factor=0.7, patience=3, **{"threshold": 0.05, **settings}
        )
        found.append([])
        for metric in metrics:
            scheduler.step(metric)
            found[-1].append((*scheduler.get_last_lr(), scheduler.best, scheduler.num_bad_epochs))
    np.testing.assert_allclose(*found, rtol=1e-9)
    assert len({row[0] for row in found[0]}) > 3

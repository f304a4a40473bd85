"""Schedulers: PyTorch's numbers, saving and resuming, joining, and what they refuse."""

import copy
import pickle

import numpy as np
import pytest

import gradlite as gl
from gradlite import optim, schedules
from gradlite.optim import lr_scheduler
from tests.optim.schedulers import CASES, EPOCHS, momentum_of, rates_of

# PyTorch 2.13: the rates of two groups, 0.3 and 0.05 at first, in epochs 1, 4, 7, 12 and 24.
RATES = {
    "StepLR": [[0.3, 0.05], [0.3, 0.05], [0.15, 0.025], [0.15, 0.025], [0.0375, 0.00625]],
    "StepLR, defaults": [[0.3, 0.05], [0.3, 0.05], [0.3, 0.05], [0.03, 0.005], [0.003, 0.0005]],
    "MultiStepLR": [
        [0.3, 0.05],
        [0.075, 0.0125],
        [0.075, 0.0125],
        [0.0375, 0.00625],
        [0.01875, 0.003125],
    ],
    "ExponentialLR": [
        [0.27, 0.045],
        [0.19683, 0.032805],
        [0.14348907, 0.023914845],
        [0.0847288609, 0.0141214768],
        [0.0239299329, 0.00398832215],
    ],
    "ConstantLR": [[0.1, 0.0166666667], [0.1, 0.0166666667], [0.3, 0.05], [0.3, 0.05], [0.3, 0.05]],
    "ConstantLR, longer": [[0.15, 0.025], [0.15, 0.025], [0.15, 0.025], [0.3, 0.05], [0.3, 0.05]],
    "LinearLR": [[0.14, 0.0233333333], [0.26, 0.0433333333], [0.3, 0.05], [0.3, 0.05], [0.3, 0.05]],
    "LinearLR, down": [[0.285, 0.0475], [0.24, 0.04], [0.195, 0.0325], [0.12, 0.02], [0, 0]],
    "PolynomialLR": [[0.24, 0.04], [0.06, 0.01], [0, 0], [0, 0], [0, 0]],
    "PolynomialLR, square": [
        [0.27075, 0.045125],
        [0.192, 0.032],
        [0.12675, 0.021125],
        [0.048, 0.008],
        [0, 0],
    ],
    "LambdaLR": [
        [0.15, 0.025],
        [0.06, 0.01],
        [0.0375, 0.00625],
        [0.0230769231, 0.00384615385],
        [0.012, 0.002],
    ],
    "LambdaLR, two": [
        [0.27, 0.1],
        [0.19683, 0.25],
        [0.14348907, 0.4],
        [0.0847288609, 0.65],
        [0.0239299329, 1.25],
    ],
    "CosineAnnealingLR": [
        [0.298153251, 0.0496922085],
        [0.271352549, 0.0452254249],
        [0.218098575, 0.0363497625],
        [0.103647451, 0.0172745751],
        [0.0286474508, 0.00477457514],
    ],
    "CosineAnnealingLR, again": [
        [0.257530483, 0.0441421356],
        [0.01, 0.01],
        [0.257530483, 0.0441421356],
        [0.01, 0.01],
        [0.3, 0.05],
    ],
    "CosineAnnealingLR, to zero": [
        [0.225, 0.0375],
        [0.075, 0.0125],
        [0.225, 0.0375],
        [0.3, 0.05],
        [0.3, 0.05],
    ],
    "WarmRestarts": [
        [0.272307464, 0.0461803399],
        [0.0376925358, 0.0138196601],
        [0.199807464, 0.0361803399],
        [0.199807464, 0.0361803399],
        [0.0376925358, 0.0138196601],
    ],
    "WarmRestarts, longer": [
        [0.225, 0.0375],
        [0.279903811, 0.0466506351],
        [0.075, 0.0125],
        [0.256066017, 0.0426776695],
        [0.28858193, 0.0480969883],
    ],
    "OneCycleLR": [
        [0.0382689122, 0.0382689122],
        [0.26, 0.26],
        [0.481731088, 0.481731088],
        [0.456559867, 0.456559867],
        [0.0667387651, 0.0667387651],
    ],
    "OneCycleLR, linear": [
        [0.0636363636, 0.0127272727],
        [0.194545455, 0.0389090909],
        [0.325454545, 0.0650909091],
        [0.472222333, 0.0944444667],
        [0.138890333, 0.0277780667],
    ],
    "OneCycleLR, three": [
        [0.033279418, 0.033279418],
        [0.204363164, 0.204363164],
        [0.426846183, 0.426846183],
        [0.414950684, 0.414950684],
        [0.00313088045, 0.00313088045],
    ],
    "OneCycleLR, rates only": [
        [0.0451608101, 0.0451608101],
        [0.325679118, 0.325679118],
        [0.499851036, 0.499851036],
        [0.405872827, 0.405872827],
        [0.00371723788, 0.00371723788],
    ],
    "CyclicLR": [[0.2, 0.2], [0.5, 0.5], [0.2, 0.2], [0.5, 0.5], [0.1, 0.1]],
    "CyclicLR, triangular2": [
        [0.2, 0.275],
        [0.5, 0.5],
        [0.1, 0.2],
        [0.233333333, 0.3],
        [0.1375, 0.228125],
    ],
    "CyclicLR, exp_range": [
        [0.172, 0.172],
        [0.309952, 0.309952],
        [0.214791256, 0.214791256],
        [0.145188726, 0.145188726],
        [0.125525262, 0.125525262],
    ],
    "CyclicLR, own": [
        [0.172, 0.172],
        [0.309952, 0.309952],
        [0.214791256, 0.214791256],
        [0.145188726, 0.145188726],
        [0.125525262, 0.125525262],
    ],
    "SequentialLR": [
        [0.0975, 0.01625],
        [0.3, 0.05],
        [0.225, 0.0375],
        [0.00904610688, 0.00150768448],
        [0.00029296875, 4.8828125e-05],
    ],
    "SequentialLR, others": [[0.03, 0.005], [0.03, 0.005], [0.03, 0.005], [0.3, 0.05], [0.3, 0.05]],
    "ChainedScheduler": [
        [0.027, 0.0045],
        [0.0098415, 0.00164025],
        [0.071744535, 0.0119574225],
        [0.0105911076, 0.0017651846],
        [0.000373905202, 6.23175337e-05],
    ],
}


def two_groups(**settings):
    groups = [{"params": [gl.Tensor([1.0], requires_grad=True)], "lr": r} for r in (0.3, 0.05)]
    return optim.SGD(groups, momentum=0.5, **settings)


@pytest.mark.parametrize("name", CASES)
def test_rates_of_pytorch(name):
    optimizer = two_groups()
    rates = rates_of(CASES[name](lr_scheduler, optimizer), optimizer)
    np.testing.assert_allclose(
        [rates[epoch] for epoch in (1, 4, 7, 12, 24)], RATES[name], rtol=1e-6, atol=1e-12
    )


@pytest.mark.parametrize(
    ("make", "schedule"),
    [
        (lambda o: lr_scheduler.StepLR(o, 7, 0.5), schedules.step_decay(0.3, 7, 0.5)),
        (lambda o: lr_scheduler.ExponentialLR(o, 0.5), schedules.exponential(0.3, 0.5)),
        (lambda o: lr_scheduler.LinearLR(o, 0.1, 1, 9), schedules.warm_up(0.3, 9, 0.03)),
        (lambda o: lr_scheduler.CosineAnnealingLR(o, 30), schedules.cosine(0.3, 30)),
        (lambda o: lr_scheduler.OneCycleLR(o, 0.3, 30), schedules.one_cycle(0.3, 30)),
    ],
)
def test_rates_are_those_of_the_schedules(make, schedule):
    optimizer = two_groups()
    rates = [rate for rate, _ in rates_of(make(optimizer), optimizer)]
    np.testing.assert_allclose(rates, [schedule(step) for step in range(EPOCHS)], rtol=1e-12)


def test_momentum_goes_the_other_way():
    optimizer = optim.Adam([gl.Tensor([1.0], requires_grad=True)])
    scheduler = lr_scheduler.OneCycleLR(optimizer, 0.3, 11, pct_start=0.5)
    momenta = []
    for _ in range(11):
        momenta.append(momentum_of(optimizer))
        optimizer.step()
        if len(momenta) < 11:
            scheduler.step()
    # Up at 4.5: base_momentum lies between two steps.
    assert momenta[0] == momenta[-1] == pytest.approx(0.95)
    assert momenta[4] == pytest.approx(0.9 + 0.05 * np.cos(np.pi * 4 / 4.5))
    assert optimizer.param_groups[0]["betas"][1] == 0.999


def test_momentum_of_a_triangle():
    optimizer = two_groups()
    scheduler = lr_scheduler.CyclicLR(optimizer, 0.1, 0.2, 2, base_momentum=[0.5, 0.7])
    momenta = []
    for _ in range(5):
        momenta.append([group["momentum"] for group in optimizer.param_groups])
        optimizer.step()
        scheduler.step()
    assert momenta == pytest.approx(
        np.array([[0.9, 0.9], [0.7, 0.8], [0.5, 0.7], [0.7, 0.8], [0.9, 0.9]])
    )


@pytest.mark.parametrize("way", ["state_dict", "pickle", "deepcopy"])
@pytest.mark.parametrize("name", [name for name in CASES if not name.startswith("Lambda")])
def test_resume(name, way):
    if way == "pickle" and name in ("CyclicLR, own", "SequentialLR, others"):
        pytest.skip("it has a lambda")
    optimizer = two_groups()
    scheduler = CASES[name](lr_scheduler, optimizer)
    for _ in range(13):
        optimizer.step()
        scheduler.step()
    if way == "pickle":
        again, resumed = pickle.loads(pickle.dumps((optimizer, scheduler)))
    elif way == "deepcopy":
        again, resumed = copy.deepcopy((optimizer, scheduler))
    else:
        again = two_groups()
        resumed = CASES[name](lr_scheduler, again)
        state = copy.deepcopy(scheduler.state_dict())
        resumed.load_state_dict(state)
        again.load_state_dict(optimizer.state_dict())
        assert resumed.state_dict() == state
    assert resumed.get_last_lr() == scheduler.get_last_lr()
    for _ in range(10):
        for o, s in ((optimizer, scheduler), (again, resumed)):
            o.step()
            s.step()
        assert [g["lr"] for g in again.param_groups] == [g["lr"] for g in optimizer.param_groups]


def test_a_plateau_resumes():
    optimizer, again = two_groups(), two_groups()
    make = lambda o: lr_scheduler.ReduceLROnPlateau(o, factor=0.5, patience=2, cooldown=1)
    scheduler, resumed = make(optimizer), make(again)
    metrics = [1.0, 0.5, 0.6, 0.5, 0.5, 0.4, 0.4, 0.4, 0.4, 0.4, 0.4, 0.4]
    for metric in metrics[:6]:
        scheduler.step(metric)
    assert scheduler.get_last_lr() == [0.15, 0.025]
    resumed.load_state_dict(scheduler.state_dict())
    again.load_state_dict(optimizer.state_dict())
    for metric in metrics[6:]:
        scheduler.step(gl.Tensor(metric))
        resumed.step(metric)
    assert resumed.state_dict() == scheduler.state_dict()
    assert scheduler.get_last_lr() == [0.075, 0.0125]


def test_resume_from_an_epoch_with_initial_rates():
    groups = [{"params": [gl.Tensor([1.0])], "lr": 0.05, "initial_lr": 0.1}]
    scheduler = lr_scheduler.StepLR(optim.SGD(groups), 5, 0.5, last_epoch=8)
    assert scheduler.last_epoch == 9
    assert scheduler.get_last_lr() == [0.05]
    scheduler.step()
    assert scheduler.get_last_lr() == [0.025]


def test_a_group_added_later_has_its_own_rate():
    optimizer = two_groups()
    scheduler = lr_scheduler.LinearLR(optimizer, 0.5, 1.0, 4)
    optimizer.step()
    scheduler.step()
    optimizer.add_param_group({"params": [gl.Tensor(1.0)], "lr": 0.8})
    scheduler.step()
    assert scheduler.get_last_lr() == pytest.approx([0.225, 0.0375, 0.8 * 0.75 / 0.625])
    assert scheduler.base_lrs == [0.3, 0.05, 0.8]


def test_schedulers_join_schedulers_that_join():
    optimizer = two_groups()
    inner = lr_scheduler.SequentialLR(
        optimizer,
        [lr_scheduler.ConstantLR(optimizer, 0.5, 9), lr_scheduler.ExponentialLR(optimizer, 0.5)],
        [2],
    )
    chained = lr_scheduler.ChainedScheduler(
        [lr_scheduler.ConstantLR(optimizer, 0.1, 2), lr_scheduler.StepLR(optimizer, 1, 0.5)]
    )
    scheduler = lr_scheduler.SequentialLR(optimizer, [inner, chained], [5])
    rates = [rate / 0.3 for rate, _ in rates_of(scheduler, optimizer)]
    assert rates[:9] == pytest.approx([0.5, 0.5, 1, 0.5, 0.25, 0.1, 0.05, 0.25, 0.125])


def test_warm_restarts_at_fractions_of_an_epoch():
    optimizer = two_groups()
    scheduler = lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 2, T_mult=2)
    for epoch, part in [(0.5, 0.25), (2.0, 0.0), (5.0, 0.75), (6.0, 0.0), (13.0, 7 / 8)]:
        scheduler.step(epoch)
        assert scheduler.get_last_lr()[0] == pytest.approx(0.15 * (1 + np.cos(np.pi * part)))
    scheduler.step()
    assert scheduler.last_epoch == 14
    assert scheduler.get_last_lr() == [0.3, 0.05]


def test_a_step_before_the_first_of_the_optimizer_warns():
    optimizer = two_groups()
    scheduler = lr_scheduler.StepLR(optimizer, 3)
    with pytest.warns(UserWarning, match=r"StepLR.step\(\) was called before optimizer.step\(\)"):
        scheduler.step()
    scheduler.step()


def test_a_scheduler_drives_a_compiled_step():
    ends = []
    for compiled in (True, False):
        net = gl.nn.Linear(3, 1, rng=np.random.default_rng(0))
        optimizer = optim.Adam(net.parameters(), lr=0.1)
        scheduler = lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=12)
        step = gl.compile_step(net, gl.mse, optimizer)
        rng = np.random.default_rng(1)
        for _ in range(8):
            x, y = (rng.normal(size=(4, n)).astype(np.float32) for n in (3, 1))
            if compiled:
                step(x, y)
            else:
                optimizer.zero_grad()
                gl.mse(net(x), y).backward()
                optimizer.step()
            scheduler.step()
        ends.append(net.weight.data)
    np.testing.assert_allclose(*ends, rtol=1e-6)


P = gl.Tensor([1.0], requires_grad=True)


def sgd():
    return optim.SGD([P], lr=0.1)


def joined(*optimizers, kind="SequentialLR"):
    made = [lr_scheduler.StepLR(o, 3) for o in optimizers]
    if kind == "SequentialLR":
        return lr_scheduler.SequentialLR(optimizers[0], made, [2] * (len(made) - 1))
    return lr_scheduler.ChainedScheduler(made)


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda: lr_scheduler.StepLR(P, 3), TypeError, "StepLR takes an optimiser, not Tensor"),
        (
            lambda: lr_scheduler.StepLR(optim.SGD([P], lr=schedules.cosine(0.1, 9)), 3),
            TypeError,
            r"StepLR: lr is the schedule cosine\(.*\) already",
        ),
        (lambda: lr_scheduler.StepLR(optim.LBFGS([P]), 3), TypeError, "LBFGS has no lr to change"),
        (lambda: lr_scheduler.StepLR(sgd(), 3, last_epoch=4), ValueError, "'initial_lr'"),
        (lambda: lr_scheduler.LambdaLR(P, abs), TypeError, "LambdaLR takes an optimiser"),
        (
            lambda: lr_scheduler.LambdaLR(sgd(), [abs, abs]),
            ValueError,
            "LambdaLR: lr_lambda has 2 values for 1 groups",
        ),
        (lambda: lr_scheduler.CosineAnnealingLR(sgd(), 0), ValueError, "T_max must be 1 or more"),
        (lambda: lr_scheduler.PolynomialLR(sgd(), 2.5), TypeError, "must be an integer"),
        (lambda: lr_scheduler.OneCycleLR(sgd(), 0.1), ValueError, "pass total_steps, or epochs"),
        (lambda: lr_scheduler.OneCycleLR(sgd(), 0.1, 9, pct_start=2), ValueError, "from 0 to 1"),
        (
            lambda: lr_scheduler.OneCycleLR(sgd(), 0.1, 9, anneal_strategy="exp"),
            ValueError,
            "'cos' or 'linear', not 'exp'",
        ),
        (
            lambda: lr_scheduler.OneCycleLR(optim.Adagrad([P]), 0.1, 9),
            ValueError,
            "Adagrad has no momentum to change: pass cycle_momentum=False",
        ),
        (lambda: lr_scheduler.CyclicLR(sgd(), 0.1, 1, mode="sine"), ValueError, "not 'sine'"),
        (
            lambda: lr_scheduler.CosineAnnealingWarmRestarts(sgd(), 3).step(-1),
            ValueError,
            "epoch must be 0 or more",
        ),
        (
            lambda: lr_scheduler.ReduceLROnPlateau(sgd(), "low"),
            ValueError,
            "mode must be 'min' or 'max'",
        ),
        (lambda: lr_scheduler.ReduceLROnPlateau(sgd(), factor=1), ValueError, "below 1, not 1"),
        (lambda: joined(sgd(), sgd()), ValueError, "belong to different optimisers"),
        (lambda: joined(sgd(), sgd(), kind="Chained"), ValueError, "different optimisers"),
        (
            lambda: lr_scheduler.SequentialLR(sgd(), [], []),
            ValueError,
            "takes at least one scheduler",
        ),
        (
            lambda: lr_scheduler.ChainedScheduler([lr_scheduler.ReduceLROnPlateau(sgd())]),
            TypeError,
            "ReduceLROnPlateau cannot be joined",
        ),
        (
            lambda: lr_scheduler.StepLR(sgd(), 3).load_state_dict({"best": 1}),
            ValueError,
            r"StepLR: a state has the keys \['last_epoch', .*, not \['best'\]",
        ),
    ],
)
def test_refused(make, kind, message):
    with pytest.raises(kind, match=message):
        make()


def test_milestones_lie_between_the_schedulers():
    optimizer = sgd()
    with pytest.raises(ValueError, match="1 schedulers have 0 milestones between them, not 1"):
        lr_scheduler.SequentialLR(optimizer, [lr_scheduler.StepLR(optimizer, 3)], [2])


def test_one_cycle_ends():
    optimizer = sgd()
    scheduler = lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=2)
    optimizer.step()
    scheduler.step()
    with pytest.raises(ValueError, match="this is step 3 of a cycle of 2 steps"):
        scheduler.step()

"""Averages of a network: their numbers, buffers, copies, and batch normalization for them."""

import copy
import pickle

import numpy as np
import pytest

import gradlite as gl
from gradlite import nn, optim
from gradlite.errors import MutationError, StateError
from gradlite.optim import swa_utils
from gradlite.optim.swa_utils import AveragedModel


def network(seed=0):
    rng = np.random.default_rng(seed)
    return nn.Sequential(nn.Linear(3, 4, rng=rng), nn.BatchNorm1d(4), nn.Linear(4, 2, rng=rng))


def train(net, average, count=6):
    """Train, update the average in each step, and give all the states that the network had."""
    optimizer = optim.SGD(net.parameters(), lr=0.1)
    rng = np.random.default_rng(1)
    states = []
    for _ in range(count):
        optimizer.zero_grad()
        x, y = (rng.normal(size=(8, n)).astype(np.float32) for n in (3, 2))
        gl.mse(net(x), y).backward()
        optimizer.step()
        average.update_parameters(net)
        states.append(net.state_dict())
    return states


def is_buffer(name):
    return "running" in name or "tracked" in name


@pytest.mark.parametrize("use_buffers", [False, True])
def test_the_mean_of_all_updates(use_buffers):
    net = network()
    average = AveragedModel(net, use_buffers=use_buffers)
    states = train(net, average)
    assert average.n_averaged == 6
    for name, array in average.module.state_dict().items():
        last = is_buffer(name) and (not use_buffers or "tracked" in name)
        expected = states[-1][name] if last else np.mean([s[name] for s in states], axis=0)
        np.testing.assert_allclose(array, expected, rtol=1e-5, atol=1e-7)
        assert array.dtype == states[0][name].dtype


@pytest.mark.parametrize("kind", ["avg_fn", "multi_avg_fn", "own"])
def test_an_exponential_moving_average(kind):
    net = network()
    settings = {
        "avg_fn": {"avg_fn": swa_utils.get_ema_avg_fn(0.75)},
        "multi_avg_fn": {"multi_avg_fn": swa_utils.get_ema_multi_avg_fn(0.75)},
        "own": {"avg_fn": lambda average, p, count: 0.75 * average + 0.25 * p},
    }[kind]
    average = AveragedModel(net, **settings)
    states = train(net, average)
    for name, array in average.module.state_dict().items():
        expected = states[0][name]
        for state in states[1:]:
            expected = state[name] if is_buffer(name) else 0.75 * expected + 0.25 * state[name]
        np.testing.assert_allclose(array, expected, rtol=1e-5, atol=1e-7)


def test_a_shared_parameter_is_averaged_once():
    class Tied(nn.Module):
        def __init__(self):
            self.one = nn.Linear(1, 1)
            self.two = nn.Linear(1, 1)
            self.two.weight = self.one.weight

    net = Tied()
    average = AveragedModel(net, avg_fn=swa_utils.get_ema_avg_fn(0.5))
    for value in (0.0, 1.0):
        net.one.weight.data[...] = value
        average.update_parameters(net)
    assert average.module.one.weight is average.module.two.weight
    assert average.module.one.weight.data == 0.5


def test_it_evaluates_and_leaves_the_network_alone():
    net = network()
    before = net.state_dict()
    average = AveragedModel(net)
    x = np.random.default_rng(2).normal(size=(5, 3)).astype(np.float32)
    np.testing.assert_array_equal(average.eval()(x).data, net.eval()(x).data)
    average.update_parameters(network(1))
    assert repr(net.state_dict()) == repr(before)
    np.testing.assert_array_equal(average(x).data, network(1).eval()(x).data)
    assert average.n_averaged.dtype == np.int64


@pytest.mark.parametrize("way", ["state_dict", "pickle", "deepcopy"])
def test_resume(way):
    net = network()
    average = AveragedModel(net, multi_avg_fn=swa_utils.get_ema_multi_avg_fn(0.9))
    train(net, average)
    if way == "state_dict":
        again = AveragedModel(network(5), multi_avg_fn=swa_utils.get_ema_multi_avg_fn(0.9))
        again.load_state_dict(average.state_dict())
    else:
        again = copy.deepcopy(average) if way == "deepcopy" else pickle.loads(pickle.dumps(average))
    assert list(again.state_dict())[:2] == ["n_averaged", "module.0.weight"]
    for one in (average, again):
        one.update_parameters(network(7))
    assert repr(again.state_dict()) == repr(average.state_dict())


def test_what_is_refused():
    average = AveragedModel(network())
    before = repr(average.state_dict())
    with pytest.raises(StateError, match=r"this is another network: .*2\.weight"):
        average.update_parameters(nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)))
    with pytest.raises(StateError, match=r"0.weight has shape \(4, 5\), not \(4, 3\)"):
        average.update_parameters(
            nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
        )
    assert repr(average.state_dict()) == before
    with pytest.raises(ValueError, match="avg_fn or multi_avg_fn, not both"):
        AveragedModel(network(), avg_fn=max, multi_avg_fn=max)
    with pytest.raises(ValueError, match="decay must be from 0 to 1, not 999"):
        swa_utils.get_ema_multi_avg_fn(999)


def test_an_update_between_forward_and_backward_is_an_error():
    average = AveragedModel(nn.Linear(3, 1))
    loss = (average.module.weight**2).sum()
    average.update_parameters(nn.Linear(3, 1))
    with pytest.raises(MutationError):
        loss.backward()


@pytest.mark.parametrize("tuples", [False, True])
def test_batch_normalization_is_computed_again(tuples):
    net = network().eval()
    batches = [np.random.default_rng(i).normal(size=(8, 3)).astype(np.float32) for i in range(3)]
    swa_utils.update_bn([(x, None) for x in batches] if tuples else batches, net)
    hidden = [net[0](x).data for x in batches]
    np.testing.assert_allclose(
        net[1].running_mean, np.mean([h.mean(0) for h in hidden], axis=0), rtol=1e-5, atol=1e-6
    )
    np.testing.assert_allclose(
        net[1].running_var, np.mean([h.var(0, ddof=1) for h in hidden], axis=0), rtol=1e-5
    )
    assert net[1].num_batches_tracked == 3
    assert net[1].momentum == 0.1
    assert not net.training
    assert not net[1].training
    swa_utils.update_bn([1], nn.Linear(2, 1))  # nothing to do


@pytest.mark.parametrize(
    ("settings", "expected"),
    [  # PyTorch 2.13, from 0.3
        (
            {"anneal_epochs": 5},
            [0.3, 0.276127124, 0.213627124, 0.136372876, 0.073872876, 0.05, 0.05],
        ),
        (
            {"anneal_epochs": 4, "anneal_strategy": "linear"},
            [0.3, 0.2375, 0.175, 0.1125, 0.05, 0.05],
        ),
        ({"anneal_epochs": 0}, [0.05, 0.05, 0.05]),
    ],
)
def test_the_rate_of_the_averaged_epochs(settings, expected):
    optimizer = optim.SGD([gl.Tensor([1.0], requires_grad=True)], lr=0.3)
    scheduler = swa_utils.SWALR(optimizer, 0.05, **settings)
    rates = scheduler.get_last_lr()
    for _ in expected[1:]:
        optimizer.step()
        scheduler.step()
        rates += scheduler.get_last_lr()
    np.testing.assert_allclose(rates, expected, rtol=1e-6)
    with pytest.raises(ValueError, match="'cos' or 'linear', not 'exp'"):
        swa_utils.SWALR(optimizer, 0.05, anneal_strategy="exp")


def test_the_module_is_loaded_on_first_access():
    assert optim.swa_utils is swa_utils
    with pytest.raises(AttributeError, match=r"'gradlite\.optim' has no attribute 'swa'"):
        optim.swa  # noqa: B018

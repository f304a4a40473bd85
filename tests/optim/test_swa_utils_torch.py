"""Averages of a network side by side with PyTorch's, where PyTorch is installed."""

import numpy as np
import pytest

import gradlite as gl
from gradlite import nn, optim

torch = pytest.importorskip("torch", reason="compares with PyTorch's averages")


def network(of, **dtype):
    return of.Sequential(
        of.Linear(3, 4, **dtype), of.BatchNorm1d(4, **dtype), of.Linear(4, 2, **dtype)
    )


@pytest.mark.parametrize("use_buffers", [False, True])
@pytest.mark.parametrize("kind", [None, "get_ema_multi_avg_fn"])
def test_same_averages_through_a_training(kind, use_buffers):
    theirs, ours = network(torch.nn, dtype=torch.float64), network(nn, dtype=np.float64)
    ours.load_state_dict(theirs.state_dict())
    averages, schedulers, optimizers = [], [], []
    for net, of in ((ours, optim), (theirs, torch.optim)):
        swa = of.swa_utils
        settings = {} if kind is None else {"multi_avg_fn": getattr(swa, kind)()}
        averages.append(swa.AveragedModel(net, use_buffers=use_buffers, **settings))
        optimizers.append(of.SGD(net.parameters(), lr=0.5))
        cosine = of.lr_scheduler.CosineAnnealingLR(optimizers[-1], 6)
        schedulers.append((cosine, swa.SWALR(optimizers[-1], 0.1, anneal_epochs=3)))
    rng = np.random.default_rng(0)
    batches = [[rng.normal(size=(8, n)) for n in (3, 2)] for _ in range(9)]
    for epoch, (x, y) in enumerate(batches):
        optimizers[0].zero_grad()
        gl.mse(ours(x), y).backward()
        optimizers[1].zero_grad()
        torch.nn.functional.mse_loss(theirs(torch.tensor(x)), torch.tensor(y)).backward()
        for optimizer, average, pair, net in zip(
            optimizers, averages, schedulers, (ours, theirs), strict=True
        ):
            optimizer.step()
            if epoch >= 3:
                average.update_parameters(net)
            pair[epoch >= 3].step()
        rates = [optimizer.param_groups[0]["lr"] for optimizer in optimizers]
        assert rates[0] == pytest.approx(rates[1])
    optim.swa_utils.update_bn([x for x, _ in batches], averages[0])
    torch.optim.swa_utils.update_bn([torch.tensor(x) for x, _ in batches], averages[1])
    state = averages[0].state_dict()
    assert list(state) == list(averages[1].state_dict())
    for name, array in averages[1].state_dict().items():
        np.testing.assert_allclose(state[name], array.numpy(), rtol=1e-10, atol=1e-12)
    averages[0].load_state_dict(averages[1].state_dict())

"""Optimisers and clipping against PyTorch's, where PyTorch is installed."""

import numpy as np
import pytest

import gradlite as gl
from gradlite import optim
from gradlite.optim import OPTIMIZERS
from tests.optim.helpers import cases, draw, fresh, interesting, send

torch = pytest.importorskip("torch", reason="compares with PyTorch's optimisers")
KINDS = {
    kind.lower(): getattr(torch.optim, kind)
    for kind in (
        "SGD", "Adam", "AdamW", "NAdam", "RAdam", "Adamax", "RMSprop", "Adagrad", "Adadelta",
    )
}  # fmt: skip


@pytest.fixture(autouse=True)
def double():
    """PyTorch keeps the numbers of an optimiser, NAdam's product, in its default type."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def twins(params):
    return [torch.tensor(p.data, requires_grad=True) for p in params]


def step_both(optimizer, other, params, tensors, grads):
    for row in grads:
        optimizer.zero_grad()
        other.zero_grad()
        for p, q, g in zip(params, tensors, row, strict=True):
            if g is not None:
                send(p, g)
                q.grad = torch.tensor(g, dtype=q.dtype)
        optimizer.step()
        other.step()


def assert_close(params, tensors, rtol):
    for p, q in zip(params, tensors, strict=True):
        np.testing.assert_allclose(p.data, q.detach().numpy(), rtol=rtol, atol=rtol / 100)


def assert_same_state(optimizer, other, tensors):
    """Compare the state of each parameter that took a step; PyTorch's SGD does not count them."""
    kept = optimizer.state_dict()["state"].values()
    for own, known in zip(kept, map(other.state.get, tensors), strict=True):
        if own["step"] == 0:
            assert own == {"step": 0}
            continue
        known = {name: value for name, value in (known or {}).items() if value is not None}
        if "mu_product" in known:  # one number there
            known["mu_weight"] = (1 - known.pop("mu_product")).expand(own["mu_weight"].shape)
        assert own.keys() - {"step"} == known.keys() - {"step"}
        for name, value in known.items():
            np.testing.assert_allclose(own[name], value.numpy(), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(("dtype", "rtol"), [(np.float64, 1e-12), (np.float32, 2e-5)])
@pytest.mark.parametrize(
    ("formula", "settings"), [case for case in cases() if case.values[0].__name__ in KINDS]
)
def test_trajectory(formula, settings, dtype, rtol):
    params, grads = fresh(dtype=dtype), draw()
    grads[0][1] = grads[5][2] = grads[6][2] = None
    tensors = twins(params)
    optimizer = OPTIMIZERS[formula.__name__](params, **settings)
    step_both(optimizer, KINDS[formula.__name__](tensors, **settings), params, tensors, grads)
    assert_close(params, tensors, rtol)


@pytest.mark.parametrize(
    ("formula", "settings"), [case for case in cases() if case.values[0].__name__ in KINDS]
)
def test_the_state_is_pytorchs(formula, settings):
    params, grads = fresh(), draw()
    for row in grads:
        row[1] = None
    grads[0][2] = grads[5][2] = None
    tensors = twins(params)
    optimizer = OPTIMIZERS[formula.__name__](params, **settings)
    other = KINDS[formula.__name__](tensors, **settings)
    for rows in (grads[:1], grads[1:]):
        step_both(optimizer, other, params, tensors, rows)
        assert_same_state(optimizer, other, tensors)


@pytest.mark.parametrize("name", KINDS)
def test_settings_changed_between_steps(name):
    params, grads = fresh(), draw()
    tensors = twins(params)
    settings = interesting(name)
    optimizer, other = OPTIMIZERS[name](params, **settings), KINDS[name](tensors, **settings)
    step_both(optimizer, other, params, tensors, grads[:9])
    for changed in (optimizer, other):
        changed.param_groups[0].update(lr=0.03, weight_decay=0.2)
        if "betas" in settings:
            changed.param_groups[0]["betas"] = (0.6, 0.8)
    step_both(optimizer, other, params, tensors, grads[9:])
    assert_close(params, tensors, 1e-12)


@pytest.mark.parametrize("name", KINDS)
def test_defaults(name):
    p = gl.Tensor([1.0], requires_grad=True)
    (known,) = KINDS[name]([torch.ones(1, requires_grad=True)]).param_groups
    assert {"maximize", "weight_decay", "lr"} <= OPTIMIZERS[name]([p]).defaults.keys()
    ours = OPTIMIZERS[name]([p]).defaults
    assert ours == {setting: known[setting] for setting in ours}


@pytest.mark.parametrize("order", [1.0, 2.0, 3.0, float("inf")])
def test_clip_grad_norm(order):
    params = fresh()
    tensors = twins(params)
    for p, q, g in zip(params, tensors, draw()[0], strict=True):
        send(p, g)
        q.grad = torch.tensor(g)
    norm = torch.nn.utils.clip_grad_norm_(tensors, 0.7, norm_type=order)
    assert optim.clip_grad_norm(optim.SGD(params), 0.7, order) == pytest.approx(float(norm))
    for p, q in zip(params, tensors, strict=True):
        np.testing.assert_allclose(p.grad, q.grad.numpy(), rtol=1e-12)


def test_zeroed_gradients_take_a_step():
    params = fresh()
    tensors = twins(params)
    ours = optim.SGD(params, lr=0.1, momentum=0.9)
    theirs = torch.optim.SGD(tensors, lr=0.1, momentum=0.9)
    step_both(ours, theirs, params[:2], tensors[:2], [row[:2] for row in draw()[:2]])
    ours.zero_grad(set_to_none=False)
    theirs.zero_grad(set_to_none=False)
    ours.step()
    theirs.step()
    assert params[2].grad is tensors[2].grad is None
    assert not params[0].grad.any()
    assert_close(params, tensors, 1e-12)


def test_groups_added_later_and_frozen_parameters():
    params = fresh()
    tensors = twins(params)
    params[1].requires_grad = tensors[1].requires_grad = False
    ours, theirs = optim.Adam(params[:2], lr=0.1), torch.optim.Adam(tensors[:2], lr=0.1)
    step_both(ours, theirs, params[:1], tensors[:1], [row[:1] for row in draw()[:3]])
    params[1].requires_grad = tensors[1].requires_grad = True
    for optimizer, last in ((ours, params[2]), (theirs, tensors[2])):
        optimizer.add_param_group({"params": last, "lr": 0.5, "weight_decay": 0.1})
    step_both(ours, theirs, params, tensors, draw()[3:])
    assert_close(params, tensors, 1e-12)
    assert_same_state(ours, theirs, tensors)


def test_the_closure_of_a_step():
    params = fresh()
    tensors = twins(params)
    ours, theirs = optim.Adam(params, lr=0.1), torch.optim.Adam(tensors, lr=0.1)

    def closure(optimizer, of):
        optimizer.zero_grad()
        loss = sum((p**2).sum() for p in of)
        loss.backward()
        return loss

    for _ in range(3):
        with gl.no_grad():
            loss = ours.step(lambda: closure(ours, params))
        assert loss.item() == pytest.approx(theirs.step(lambda: closure(theirs, tensors)).item())
    assert_close(params, tensors, 1e-12)

"""nn.utils and nn.init side by side with PyTorch's, where PyTorch is installed."""

import inspect

import numpy as np
import pytest

import gradlite as gl
from gradlite import nn
from gradlite.nn import init

torch = pytest.importorskip("torch", reason="compares with PyTorch's utilities")


@pytest.mark.filterwarnings("ignore:.*weight_norm.*is deprecated")
@pytest.mark.parametrize("dim", [0, 1, -1, None])
def test_weight_norm(dim):
    theirs = torch.nn.utils.weight_norm(torch.nn.Conv1d(2, 3, 3).double(), dim=dim)
    ours = nn.utils.weight_norm(nn.Conv1d(2, 3, 3, dtype=np.float64), dim=dim)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict())
    with torch.no_grad():
        theirs.weight_v *= 2  # g is no longer the norm of v
    ours.load_state_dict(theirs.state_dict())
    x = np.random.default_rng(0).normal(size=(4, 2, 6))
    out, other = ours(x), theirs(torch.tensor(x))
    np.testing.assert_allclose(out.data, other.detach().numpy(), rtol=1e-12)
    (out**2).sum().backward()
    (other**2).sum().backward()
    for name in ("weight_g", "weight_v", "bias"):
        expected = getattr(theirs, name).grad.numpy()
        np.testing.assert_allclose(getattr(ours, name).grad, expected, rtol=1e-10, atol=1e-12)
    nn.utils.remove_weight_norm(ours)
    torch.nn.utils.remove_weight_norm(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    np.testing.assert_allclose(ours.weight.data, theirs.weight.detach().numpy(), rtol=1e-12)


def test_clipping_and_vectors():
    rng = np.random.default_rng(0)
    ours = [gl.Tensor(rng.normal(size=s), requires_grad=True) for s in ((2, 3), (), (4,))]
    theirs = [torch.tensor(p.data, requires_grad=True) for p in ours]
    for p, q in zip(ours, theirs, strict=True):
        g = rng.normal(size=p.shape)
        p.grad, q.grad = g, torch.tensor(g)
    for clip, value in (("clip_grad_value_", 0.5), ("clip_grad_norm_", 0.7)):
        getattr(nn.utils, clip)(ours, value)
        getattr(torch.nn.utils, clip)(theirs, value)
        for p, q in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(p.grad, q.grad.numpy(), rtol=1e-12)
    vector = nn.utils.parameters_to_vector(ours)
    other = torch.nn.utils.parameters_to_vector(theirs)
    np.testing.assert_array_equal(vector.data, other.detach().numpy())
    nn.utils.vector_to_parameters(3 * vector, ours)
    torch.nn.utils.vector_to_parameters(3 * other, theirs)
    for p, q in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(p.data, q.detach().numpy())


UNDERSCORED = [name for name in vars(init) if name.endswith("_") and not name.startswith("_")]


@pytest.mark.parametrize("name", UNDERSCORED)
def test_initial_values_have_the_arguments_of_pytorch(name):
    ours = inspect.signature(getattr(init, name)).parameters
    theirs = inspect.signature(getattr(torch.nn.init, name)).parameters
    assert list(ours) == list(theirs)
    for parameter in theirs:
        assert ours[parameter].default == theirs[parameter].default


@pytest.mark.parametrize("name", UNDERSCORED)
@pytest.mark.parametrize("shape", [(40, 30), (40, 30, 3)])
def test_initial_values_are_distributed_as_pytorchs(name, shape):
    if (name in ("eye_", "sparse_") and len(shape) != 2) or (name == "dirac_" and len(shape) == 2):
        return
    settings = {"constant_": (0.3,), "sparse_": (0.4, 0.5), "trunc_normal_": (0.1, 0.5, -0.7, 1.2)}
    tensor = torch.empty(*shape, dtype=torch.float64)
    torch.manual_seed(0)
    getattr(torch.nn.init, name)(tensor, *settings.get(name, ()))
    array = np.empty(shape)
    draws = "generator" in inspect.signature(getattr(init, name)).parameters
    rng = {"generator": np.random.default_rng(0)} if draws else {}
    getattr(init, name)(array, *settings.get(name, ()), **rng)
    ours, theirs = np.sort(array.ravel()), np.sort(tensor.numpy().ravel())
    if not draws:
        np.testing.assert_array_equal(array, tensor.numpy())
    scale = np.abs(theirs).max()
    gap = np.abs(ours - theirs)[len(ours) // 20 : -len(ours) // 20]  # quantiles, without the tails
    assert gap.max() <= 0.1 * scale


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("shape", [(4, 2, 3), (4, 6, 3, 5), (6, 2, 1, 3, 3)])
def test_dirac(shape, groups):
    expected = torch.nn.init.dirac_(torch.empty(*shape), groups).numpy()
    np.testing.assert_array_equal(init.dirac_(np.empty(shape), groups), expected)


@pytest.mark.parametrize("name", init.GAINS)
def test_gains(name):
    assert init.calculate_gain(name) == pytest.approx(torch.nn.init.calculate_gain(name))

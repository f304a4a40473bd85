"""Layers side by side with PyTorch's: outputs, gradients, states carried over both ways."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gradlite as gl
from gradlite import nn
from gradlite.nn import init
from gradlite.nn.embedding import Bilinear, Embedding
from tests.nn.test_activations import MAKERS as ACTIVATIONS
from tests.nn.test_convolution_torch import MADE
from tests.nn.torch_numbers import CASES
from tests.nn.torch_numbers import make as call

torch = pytest.importorskip("torch", reason="torch is not installed: no peer to compare with")

X, Y = np.random.default_rng(0).standard_normal((2, 5, 4, 3))
INDICES = np.array([[0, 3, 3], [1, 0, 3]])


def deep(of: Any) -> Any:
    return of.Sequential(
        of.Linear(3, 8), of.ReLU(), of.Sequential(of.Linear(8, 8, bias=False), of.Tanh()),
        of.Flatten(), of.Linear(32, 2), of.LogSoftmax(1),
    )  # fmt: skip


PAIRS = {
    "Linear": (lambda: nn.Linear(3, 2), lambda: torch.nn.Linear(3, 2), (X,)),
    "Linear without bias": (
        lambda: nn.Linear(3, 2, False), lambda: torch.nn.Linear(3, 2, False), (X,),
    ),
    "Bilinear": (lambda: Bilinear(3, 3, 2), lambda: torch.nn.Bilinear(3, 3, 2), (X, Y)),
    "Embedding": (lambda: Embedding(4, 2), lambda: torch.nn.Embedding(4, 2), (INDICES,)),
    "Embedding with padding": (
        lambda: Embedding(4, 2, -1), lambda: torch.nn.Embedding(4, 2, -1), (INDICES,),
    ),
    "Identity": (lambda: nn.Identity(), lambda: torch.nn.Identity(), (X,)),
    "deep": (lambda: deep(nn), lambda: deep(torch.nn), (X,)),
    **{
        name: (lambda make=make: make(nn), lambda make=make: make(torch.nn), (X,))
        for name, make in {
            "LeakyReLU": lambda of: of.LeakyReLU(0.3),
            "ELU": lambda of: of.ELU(0.7),
            "Sigmoid": lambda of: of.Sigmoid(),
            "Softplus": lambda of: of.Softplus(),
            "SiLU": lambda of: of.SiLU(),
            "GELU": lambda of: of.GELU(),
            "Softmax": lambda of: of.Softmax(1),
        }.items()
    },
}  # fmt: skip


def test_every_layer_is_compared() -> None:
    made = [make() for make, _, _ in PAIRS.values()]
    made += [make(gl.nn) for make, _ in MADE.values()]
    made += [make(gl.nn) for make in ACTIVATIONS.values()]
    made += [call(gl.nn, text) for text, *_ in CASES]
    compared = {type(part) for module in made for part in module.modules()}
    exported = {x for x in vars(gl.nn).values() if isinstance(x, type) and issubclass(x, nn.Module)}
    elsewhere = {
        x for x in exported if x.__module__.rpartition(".")[2] in
        ("containers", "criteria", "recurrent", "cells", "attention", "transformer")
    }  # fmt: skip
    # Dropout draws from another generator.
    assert exported - compared - elsewhere == {nn.Module, nn.Dropout, nn.Dropout1d, nn.Dropout2d}


@pytest.mark.parametrize("name", PAIRS)
def test_outputs_and_gradients_are_torchs(name: str) -> None:
    make, make_peer, inputs = PAIRS[name]
    ours, peer = make().astype(float), make_peer().double()
    assert {k: v.shape for k, v in ours.state_dict().items()} == {
        k: tuple(v.shape) for k, v in peer.state_dict().items()
    }
    ours.load_state_dict(peer.state_dict())
    floating = inputs[0].dtype.kind == "f"
    xs = [gl.Tensor(x, requires_grad=True) if floating else x for x in inputs]
    ts = [torch.tensor(x, requires_grad=floating) for x in inputs]
    y, t = ours(*xs), peer(*ts)
    np.testing.assert_allclose(y.data, t.detach().numpy(), rtol=1e-10, atol=1e-12)
    g = np.random.default_rng(1).standard_normal(y.shape)
    y.backward(g)
    t.backward(torch.tensor(g))
    for (_, mine), its in zip(ours.named_parameters(), peer.parameters(), strict=True):
        np.testing.assert_allclose(mine.grad, its.grad.numpy(), rtol=1e-10, atol=1e-12)
    for mine, its in zip(xs if floating else (), ts, strict=False):
        np.testing.assert_allclose(mine.grad, its.grad.numpy(), rtol=1e-10, atol=1e-12)


def test_a_state_is_carried_to_torch() -> None:
    ours, peer = deep(nn), deep(torch.nn)
    peer.load_state_dict({k: torch.tensor(v) for k, v in ours.state_dict().items()})
    x = X.astype(np.float32)
    np.testing.assert_allclose(
        ours(x).data, peer(torch.tensor(x)).detach().numpy(), rtol=1e-5, atol=1e-6
    )


def test_a_state_with_tied_weights_is_carried_over() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            self.first, self.second = nn.Linear(3, 3), nn.Linear(3, 3)
            self.second.weight = self.first.weight

    class Peer(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = torch.nn.Linear(3, 3), torch.nn.Linear(3, 3)
            self.second.weight = self.first.weight

    ours, peer = Tied(), Peer()
    assert list(ours.state_dict()) == list(peer.state_dict())
    ours.load_state_dict(peer.state_dict())
    np.testing.assert_array_equal(ours.second.weight.data, peer.first.weight.detach().numpy())
    assert len(ours.parameters()) == len(list(peer.parameters()))


@pytest.mark.parametrize("shape", [(40, 30), (40, 30, 3, 3)])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("xavier_uniform", {"gain": 2.0}),
        ("xavier_normal", {}),
        ("kaiming_uniform", {"a": 0.5, "mode": "fan_out"}),
        ("kaiming_normal", {"nonlinearity": "relu"}),
    ],
)
def test_initial_values_are_as_large_as_torchs(name: str, options: Any, shape: Any) -> None:
    ours = getattr(init, name)(np.empty(shape), **options, rng=np.random.default_rng(0))
    its = getattr(torch.nn.init, f"{name}_")(torch.empty(shape), **options).numpy()
    assert ours.std() == pytest.approx(its.std(), rel=0.1)


def test_layers_start_as_large_as_torchs() -> None:
    for make, make_peer in (
        (lambda: nn.Linear(50, 40), lambda: torch.nn.Linear(50, 40)),
        (lambda: Bilinear(50, 4, 30), lambda: torch.nn.Bilinear(50, 4, 30)),
        (lambda: Embedding(50, 40), lambda: torch.nn.Embedding(50, 40)),
    ):
        for mine, its in zip(make().parameters(), make_peer().parameters(), strict=True):
            assert mine.data.std() == pytest.approx(its.detach().numpy().std(), rel=0.4)
            assert mine.dtype == np.float32

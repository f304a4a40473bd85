"""Containers: lists and dicts of modules and parameters, and Sequential as a list."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import gradlite as gl
from gradlite import nn

X = np.random.default_rng(0).standard_normal((5, 3))


def names(module: nn.Module) -> list[str]:
    return [name for name, _ in module.named_children()]


def kinds(parts: Any) -> list[str]:
    return [type(part).__name__ for part in parts]


def series(kind: Any) -> Any:
    parts = [nn.ReLU(), nn.Tanh(), nn.Sigmoid()]
    return nn.Sequential(*parts) if kind is nn.Sequential else kind(parts)


@pytest.mark.parametrize("kind", [nn.Sequential, nn.ModuleList])
def test_a_series_is_indexed_as_a_list_is(kind: Any) -> None:
    net = series(kind)
    parts = list(net)
    assert len(net) == 3
    assert kinds(parts) == ["ReLU", "Tanh", "Sigmoid"]
    assert kinds(reversed(net)) == ["Sigmoid", "Tanh", "ReLU"]
    assert [net[i] for i in (0, -1, np.int64(1))] == [parts[0], parts[2], parts[1]]
    assert type(net[:2]) is kind
    assert list(net[::-2]) == [parts[2], parts[0]]
    assert parts[1] in net
    for index in (3, -4):
        with pytest.raises(IndexError):
            net[index]


@pytest.mark.parametrize("kind", [nn.Sequential, nn.ModuleList])
def test_a_series_changes_as_a_list_does(kind: Any) -> None:
    net = series(kind)
    first, second, third = net
    new = nn.Identity()
    assert net.append(new) is net
    assert list(net) == [first, second, third, new]
    assert net.pop() is new
    assert net.insert(0, new) is net
    assert list(net) == [new, first, second, third]
    assert net.pop(-2) is second
    assert net.extend([second, nn.GELU()]) is net
    assert kinds(net) == ["Identity", "ReLU", "Sigmoid", "Tanh", "GELU"]
    del net[1:3]
    assert kinds(net) == ["Identity", "Tanh", "GELU"]
    del net[-1]
    net += [third]
    net[1] = first
    assert list(net) == [new, first, third]
    assert names(net) == ["0", "1", "2"]
    net.insert(-1, second)
    assert list(net) == [new, first, second, third]
    with pytest.raises(IndexError):
        net[4] = first
    with pytest.raises(TypeError, match=r"nn\.ReLU\(\)"):
        net[0] = gl.relu
    with pytest.raises(TypeError, match=r"extend|spread"):
        net.append([first])


def test_a_slice_of_a_sequential_shares_modules_and_names() -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    behind = net[1:]
    assert behind[-1] is net[2]
    assert list(behind.state_dict()) == ["2.weight", "2.bias"]
    behind.append(nn.Tanh())
    assert names(behind) == ["1", "2", "3"]
    assert names(nn.Sequential({"a": nn.ReLU(), "b": nn.Tanh()})[1:]) == ["b"]
    assert len(net[3:]) == 0


def test_a_sequential_applies_what_was_inserted() -> None:
    net = nn.Sequential(nn.Identity(), nn.Identity())
    net.insert(1, nn.ReLU())
    np.testing.assert_array_equal(net(X), np.maximum(X, 0))


def test_names_are_checked() -> None:
    for name in ("", "a.b", "forward", "training", 3):
        with pytest.raises(ValueError, match="not a valid name"):
            nn.Sequential({name: nn.ReLU()})  # type: ignore[dict-item]
        with pytest.raises(ValueError, match="not a valid name"):
            nn.ModuleDict({name: nn.ReLU()})  # type: ignore[dict-item]
    for name in ("pop", "keys"):
        with pytest.raises(ValueError, match="not a valid name"):
            nn.ParameterDict({name: 1.0})


class Branches(nn.Module):
    """Uses every container."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(3, 3, rng=i, dtype=float) for i in range(2)])
        self.heads = nn.ModuleDict({"a-1": nn.Linear(3, 1, rng=5, dtype=float), "for": nn.Tanh()})
        self.scales = nn.ParameterList([np.ones(3), np.full(3, 2.0)])
        self.extra = nn.ParameterDict({"shift": np.zeros(1)})

    def forward(self, x: Any) -> Any:
        for layer, scale in zip(self.layers, self.scales, strict=True):
            x = scale * layer(x)
        return self.heads["a-1"](self.heads["for"](x)) + self.extra["shift"]


STATE = [
    "layers.0.weight", "layers.0.bias", "layers.1.weight", "layers.1.bias",
    "heads.a-1.weight", "heads.a-1.bias", "scales.0", "scales.1", "extra.shift",
]  # fmt: skip


def test_what_containers_hold_is_found() -> None:
    net = Branches()
    assert list(net.state_dict()) == STATE
    assert [name for name, _ in net.named_parameters()] == STATE
    assert repr(net).splitlines()[4:] == [
        "  heads: ModuleDict (4)",
        "    a-1: Linear(3, 1) (4)",
        "    for: Tanh()",
        "  scales: ParameterList(0: (3,) float64, 1: (3,) float64) (6)",
        "  extra: ParameterDict(shift: (1,) float64) (1)",
    ]


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_containers_are_copied(duplicate: Any) -> None:
    net = Branches()
    other = duplicate(net)
    np.testing.assert_array_equal(other(X).data, net(X).data)
    other.scales[0].data[:] = 7.0
    assert net.scales[0].data[0] == 1.0


def test_containers_are_compiled() -> None:
    net = Branches()
    fast = gl.compile(net)
    np.testing.assert_allclose(fast(X).data, net(X).data, rtol=1e-12)
    net.scales[1] = np.zeros(3)
    np.testing.assert_allclose(fast(X).data, net(X).data, rtol=1e-12)


def test_a_module_dict_is_a_dict() -> None:
    relu, tanh = nn.ReLU(), nn.Tanh()
    choices = nn.ModuleDict([("relu", relu)])
    choices["tanh"] = tanh
    assert (len(choices), list(choices), "tanh" in choices) == (2, ["relu", "tanh"], True)
    assert choices.keys() == ["relu", "tanh"]
    assert choices.values() == [relu, tanh]
    choices.update({"relu": tanh})
    assert choices.items() == [("relu", tanh), ("tanh", tanh)]
    assert choices.pop("relu") is tanh
    for name in ("relu", "training", "pop"):
        with pytest.raises(KeyError):
            choices[name]
        with pytest.raises(KeyError):
            del choices[name]
    choices.training = False
    choices.clear()
    assert len(choices) == 0
    assert not choices.training


def test_parameters_are_made_of_arrays() -> None:
    own = nn.Parameter(np.ones(2, np.float32))
    weights = nn.ParameterList([own, gl.Tensor([1.0])])
    weights.append(np.zeros(3)).extend([2.0])
    assert weights[0] is own
    weights[1] = [4.0, 5.0]
    assert [p.shape for p in weights] == [(2,), (2,), (3,), ()]
    assert all(isinstance(p, nn.Parameter) for p in weights)
    with pytest.raises(gl.errors.DtypeError):
        weights.append([1, 2])
    named = nn.ParameterDict({"w": own})
    named["w"] = np.zeros(4)
    assert named["w"].shape == (4,)
    assert isinstance(weights[:2], nn.ParameterList)


@pytest.mark.parametrize("kind", [nn.ModuleList, nn.ModuleDict, nn.ParameterList])
def test_containers_are_not_called(kind: Any) -> None:
    with pytest.raises(NotImplementedError, match=f"{kind.__name__} holds its parts"):
        kind()(X)


def test_containers_are_torchs() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed: nothing to compare with")

    def state(of: Any, values: Any) -> list[str]:
        net = of.Sequential(of.Linear(3, 3), of.ReLU(), of.Linear(3, 3), of.Linear(3, 1))
        del net[1]
        net.insert(1, of.Linear(3, 3))
        whole = of.ModuleDict({"net": net, "slice": net[1:3]})
        whole["list"] = of.ModuleList([of.Linear(2, 2)]).extend([of.Tanh(), of.Linear(2, 1)])[1:]
        whole.add_module("w", of.ParameterList(values))
        whole.add_module("d", of.ParameterDict({"x": values[0]}))
        return list(whole.state_dict())

    values = [np.ones(2), np.ones(3)]
    assert state(nn, values) == state(torch.nn, [torch.tensor(x) for x in values])

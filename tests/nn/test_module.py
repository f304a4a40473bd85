"""Modules: what they consist of, saving and loading, switches, how they look, common mistakes."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array

import gradlite as gl
from gradlite.errors import DtypeError, GraphError, StateError
from gradlite.nn import Dropout, Linear, ReLU, Sequential, Softmax, Tanh
from gradlite.nn.module import Module, Parameter, random_draws
from gradlite.scalar.engine import Value


class Scale(Module):
    """One parameter, one buffer; no call of super().__init__()."""

    def __init__(self, n: int = 2) -> None:
        self.factor = Parameter(np.arange(1.0, n + 1))
        self.register_buffer("count", np.zeros((), int))

    def forward(self, x: Any) -> Any:
        self.count += 1
        return x * self.factor


class Deep(Module):
    """Parameters and modules in lists, tuples and dicts, one of each shared."""

    def __init__(self) -> None:
        self.layers = [Scale(2), Scale(3)]
        self.bias = Parameter([0.5])
        self.by_name = {"left": (Scale(1), [Parameter([1.0])])}
        self.tied = self.layers[0]
        self.same_bias = self.bias
        self.numbers = [1, 2.0, "three", None]


NAMES = ["bias", "layers.0.factor", "layers.1.factor", "by_name.left.0.factor"]


def test_parameters_are_found_in_attributes_and_containers_and_once() -> None:
    net = Deep()
    names = [name for name, _ in net.named_parameters()]
    assert names == ["bias", "by_name.left.1.0", *NAMES[1:]]
    assert [p.size for p in net.parameters()] == [1, 1, 2, 3, 1]
    assert net.named_parameters("net")[0][0] == "net.bias"


def test_modules_are_found_in_containers_and_once() -> None:
    net = Deep()
    names = ["layers.0", "layers.1", "by_name.left.0"]
    assert [name for name, _ in net.named_modules()] == ["", *names]
    assert [name for name, _ in net.named_children()] == names
    assert net.modules() == [net, *net.children()]


def test_a_module_may_know_the_one_it_is_part_of() -> None:
    net = Sequential(Scale())
    net[0].owner = net
    assert list(net.state_dict()) == ["0.factor", "0.count"]
    assert net.modules() == [net, net[0]]
    assert repr(net).count("Scale") == 1


def test_buffers_are_in_the_state_and_not_trained() -> None:
    net = Deep()
    names = ["layers.0.count", "layers.1.count", "by_name.left.0.count"]
    assert [name for name, _ in net.named_buffers()] == names
    net.layers[0].count = net.layers[0].count + 7  # a NumPy scalar takes the array's place
    assert [int(array) for array in net.buffers()] == [7, 0, 0]
    assert net.state_dict()["layers.0.count"] == 7
    net.layers[0].count = net.layers[0].count + 1
    net.load_state_dict({"layers.0.count": 3}, strict=False)
    assert net.layers[0].count == 3


def test_a_buffer_may_be_none_at_first() -> None:
    net = Scale()
    net.register_buffer("mean", None)
    assert net.mean is None
    assert list(net.state_dict()) == ["factor", "count"]
    net.mean = np.ones(2)
    assert list(net.astype(np.float32).state_dict()) == ["factor", "count", "mean"]
    assert net.mean.dtype == np.float32


def test_a_buffer_may_be_left_out_of_the_state() -> None:
    net = Sequential(Scale())
    net[0].register_buffer("table", np.ones(2), persistent=False)
    assert [name for name, _ in net.named_buffers()] == ["0.count", "0.table"]
    assert list(net.state_dict()) == ["0.factor", "0.count"]
    net.load_state_dict(net.state_dict())
    net[0].register_buffer("table", np.zeros(2))
    assert list(net.state_dict()) == ["0.factor", "0.count", "0.table"]
    assert len(net.buffers()) == 2
    for name in ("factor", "forward", "a.b", ""):
        with pytest.raises(ValueError, match="not a valid name"):
            net[0].register_buffer(name, np.ones(2))


def test_parts_are_added_by_name() -> None:
    net = Module()
    relu, p = ReLU(), Parameter([1.0])
    net.add_module("0", relu)
    net.register_parameter("w", p)
    net.register_module("inner", Sequential(Linear(2, 1)))
    net.register_parameter("bias", None)
    assert [name for name, _ in net.named_children()] == ["0", "inner"]
    assert net.bias is None
    assert net.w is p
    net.register_parameter("bias", Parameter([2.0]))
    net.add_module("0", Dropout())  # replaces it
    assert list(net.state_dict()) == ["w", "bias", "inner.0.weight", "inner.0.bias"]
    for name in ("w", "forward", "training", "a.b", "", 3):
        with pytest.raises(ValueError, match="not a valid name"):
            net.add_module(name, relu)
    with pytest.raises(TypeError, match=r"Module\.x is to be a Module"):
        net.add_module("x", np.ones(2))
    with pytest.raises(TypeError, match=r"nn\.Parameter"):
        net.register_parameter("x", np.ones(2))


def test_parts_are_found_by_name() -> None:
    net = Deep()
    assert net.get_submodule("") is net
    assert net.get_submodule("by_name.left.0") is net.by_name["left"][0]
    assert net.get_submodule("tied") is net.layers[0]
    assert net.get_parameter("tied.factor") is net.layers[0].factor
    assert net.get_parameter("by_name.left.1.0") is net.by_name["left"][1][0]
    with pytest.raises(AttributeError, match=r"has no 'layer\.0': did you mean 'layers\.0'"):
        net.get_submodule("layer.0")
    with pytest.raises(AttributeError, match="has no 'xyz'"):
        net.get_parameter("xyz")


@pytest.mark.parametrize("value", [np.ones(2), 1.0, [1.0, 2.0], gl.Tensor([1.0, 2.0])])
def test_numbers_do_not_take_the_place_of_a_parameter(value: Any) -> None:
    net = Scale()
    with pytest.raises(TypeError, match=r"Scale\.factor is a Parameter.*factor\.data = "):
        net.factor = value
    assert list(net.state_dict()) == ["factor", "count"]


def test_what_may_take_the_place_of_a_parameter() -> None:
    net = Scale()
    w = gl.Tensor([1.0, 2.0], requires_grad=True)
    with gl.no_grad():
        net.factor -= 1.0
    np.testing.assert_array_equal(net.factor.data, [0.0, 1.0])
    for value in (Parameter([1.0]), ReLU(), None):
        net.factor = Parameter([3.0])
        net.factor = value
        assert net.factor is value
    net.factor = Parameter([3.0])
    net.factor = 2 * w  # computed: gradients reach w
    net(np.ones(2)).sum().backward()
    np.testing.assert_array_equal(w.grad, [2.0, 2.0])


# -- saving and loading -------------------------------------------------------------------------


def test_the_state_is_a_copy_under_every_name() -> None:
    net = Deep()
    state = net.state_dict()
    assert {"tied.factor", "layers.0.factor", "bias", "same_bias"} <= state.keys()
    state["bias"][0] = 9.0
    assert net.bias.data[0] == 0.5


def test_a_state_is_loaded_in_place_and_converted() -> None:
    net = Sequential(Linear(2, 3), Scale(3))
    weight, count = net[0].weight.data, net[1].count
    net.load_state_dict(
        {
            "0.weight": [[1, 2], [3, 4], [5, 6]],
            "0.bias": gl.Tensor(np.ones(3), requires_grad=True),
            "1.factor": np.full(3, 2.0, np.float32),
            "1.count": np.float64(5.0),
        }
    )
    np.testing.assert_array_equal(weight, [[1, 2], [3, 4], [5, 6]])
    assert weight.dtype == np.float32
    assert count == 5
    np.testing.assert_array_equal(net(np.ones((1, 2), np.float32)).data, [[8, 16, 24]])


def test_a_state_is_of_plain_arrays():
    layer = Linear(2, 1, rng=0)
    before = layer.state_dict()
    weight = np.ma.array([[1.0, 2.0]], mask=[[False, True]])
    with pytest.raises(DtypeError, match="weight of the state is a masked array"):
        layer.load_state_dict({**before, "weight": weight})
    np.testing.assert_array_equal(layer.weight.data, before["weight"])


def test_what_does_not_fit_is_told_at_once_and_nothing_changes() -> None:
    net = Sequential(Linear(2, 3), Linear(3, 1))
    before = net.state_dict()
    state = {name: array + 1 for name, array in before.items()}
    state["0.wieght"] = state.pop("0.weight")
    state["1.weight"] = np.zeros((3, 1))
    del state["1.bias"]
    state["0.bias"] = np.array(["a", "b", "c"])
    with pytest.raises(StateError) as refusal:
        net.load_state_dict(state)
    for part in (
        "0.weight is missing",
        "1.bias is missing",
        "0.wieght is unexpected (did you mean 0.weight?)",
        "1.weight has shape (3, 1) there and (1, 3) here",
        "0.bias holds <U1 data",
    ):
        assert part in str(refusal.value)
    for name, array in net.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_loading_what_both_have() -> None:
    net = Sequential(Linear(2, 3), Linear(3, 1))
    net.load_state_dict({"0.bias": np.ones(3), "9.bias": np.ones(1)}, strict=False)
    np.testing.assert_array_equal(net[0].bias.data, 1)
    with pytest.raises(StateError, match=r"0.bias has shape \(4,\) there"):
        net.load_state_dict({"0.bias": np.ones(4)}, strict=False)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies_are_apart_and_keep_what_is_shared(duplicate: Any) -> None:
    net = Deep().eval()
    net.bias.grad = np.array([3.0])
    other = duplicate(net)
    assert other.same_bias is other.bias
    assert other.tied is other.layers[0]
    assert isinstance(other.bias, Parameter)
    assert not other.layers[1].training
    np.testing.assert_array_equal(other.bias.grad, [3.0])
    other.bias.data[0] = 7.0
    assert net.bias.data[0] == 0.5


# -- changing all of it -----------------------------------------------------------------------


def mapped(thing: Any, folder: Any) -> Any:
    joblib.dump(thing, folder / "thing")
    return joblib.load(folder / "thing", mmap_mode="r")


def test_buffers_of_a_mapped_pickle_can_be_changed(tmp_path: Any) -> None:
    x = np.arange(12, dtype=np.float32).reshape(4, 3) ** 2
    nets = (
        gl.nn.BatchNorm1d(3),
        Sequential(Linear(3, 3, rng=0), gl.nn.BatchNorm1d(3, momentum=None, affine=False)),
        Scale(3),
    )
    for net in nets:
        other = mapped(net, tmp_path)
        for _ in range(2):
            np.testing.assert_array_equal(other(x).data, net(x).data)
        for key, value in net.state_dict().items():
            np.testing.assert_array_equal(other.state_dict()[key], value)


def test_a_mapped_pickle_of_a_module_trains_as_the_original(tmp_path: Any) -> None:
    net = Sequential(Linear(2, 3, rng=0), gl.nn.BatchNorm1d(3), Linear(3, 1, rng=1))
    other = mapped(net, tmp_path)
    for each in (net, other):
        optimizer = gl.optim.Adam(each.parameters())
        for _ in range(3):
            optimizer.zero_grad()
            (each(np.eye(2, dtype=np.float32)) ** 2).sum().backward()
            optimizer.step()
    for key, value in net.state_dict().items():
        np.testing.assert_array_equal(other.state_dict()[key], value)


def test_read_only_buffers_are_copied_and_read_only_parameters_refused(tmp_path: Any) -> None:
    layer = Linear(2, 1, rng=0)
    layer.register_buffer("zeros", np.broadcast_to(0.0, 3))
    layer.zeros += 1  # type: ignore[attr-defined]
    np.testing.assert_array_equal(layer.zeros, 1.0)  # type: ignore[attr-defined]
    other = mapped(layer, tmp_path)
    with pytest.raises(StateError, match=r"weight is read-only here.*Nothing was loaded"):
        other.load_state_dict({**layer.state_dict(), "zeros": np.zeros(3)})
    np.testing.assert_array_equal(other.zeros, 1.0)


def test_train_and_eval_reach_every_module() -> None:
    net = Sequential(Dropout(), Sequential(Dropout()))
    assert all(module.training for module in net.modules())
    assert net.eval() is net
    assert not any(module.training for module in net.modules())
    assert net.train() is net
    assert all(module.training for module in net.modules())
    assert Dropout().training


def test_zero_grad_empties_the_gradients_of_parameters() -> None:
    net = Linear(2, 1)
    net(np.ones((1, 2), np.float32)).sum().backward()
    net.zero_grad()
    assert [p.grad for p in net.parameters()] == [None, None]


def test_zero_grad_of_a_module_of_values() -> None:
    class Neuron(Module):
        def __init__(self) -> None:
            self.w = [Value(1.0), Value(2.0)]

        def parameters(self) -> Any:
            return self.w

    neuron = Neuron()
    (neuron.w[0] * neuron.w[1]).backward()
    assert neuron.w[0].grad == 2.0
    neuron.zero_grad()
    assert [p.grad for p in neuron.w] == [0, 0]


def test_frozen_parameters_get_no_gradient() -> None:
    net = Sequential(Linear(2, 2), Linear(2, 1))
    net[0].requires_grad_(False)
    net(np.ones((1, 2), np.float32)).sum().backward()
    assert [p.grad is None for p in net.parameters()] == [True, True, False, False]
    assert net.requires_grad_() is net
    assert all(p.requires_grad for p in net.parameters())


def test_apply_visits_each_module_once_and_parts_first() -> None:
    net, seen = Deep(), []
    net.layers[0].owner = net
    assert net.apply(seen.append) is net
    assert seen == [*net.children(), net]
    seen.clear()
    outer = Sequential(Sequential(ReLU(), ReLU()))
    outer.apply(seen.append)
    assert seen == [outer[0][0], outer[0][1], outer[0], outer]  # type: ignore[index]


class Fixed(Sequential):
    """Stays in eval mode, with all that is in it."""

    def train(self, mode: bool = True) -> Any:
        return super().train(False)


def test_the_train_of_a_part_is_called() -> None:
    net = Sequential(Dropout(), Fixed(Dropout(), Sequential(Dropout())), Sequential(Dropout()))
    net[0].owner = net
    net.eval()
    assert net.train() is net
    modes = {name: module.training for name, module in net.named_modules()}
    assert [name for name, mode in modes.items() if not mode] == ["1", "1.0", "1.1", "1.1.0"]
    net.layer = Dropout()
    net.layer.train = lambda mode=True: None
    assert net.eval().layer.training


def test_zero_grad_may_fill_with_zeros() -> None:
    net = Sequential(Linear(2, 1), Linear(1, 1))
    net[0](np.ones((1, 2), np.float32)).sum().backward()
    net.zero_grad(set_to_none=False)
    grads = [p.grad for p in net.parameters()]
    assert [g is None for g in grads] == [False, False, True, True]
    np.testing.assert_array_equal(grads[0], np.zeros((1, 2)))
    net.zero_grad(set_to_none=True)
    assert [p.grad for p in net.parameters()] == [None] * 4


def test_a_gradient_that_was_kept_stays() -> None:
    layer, x = Linear(2, 1), np.ones((1, 2), np.float32)
    layer(x).sum().backward()
    kept = layer.weight.grad
    layer.zero_grad()
    layer(3 * x).sum().backward()
    np.testing.assert_array_equal(kept, [[1, 1]])
    np.testing.assert_array_equal(layer.weight.grad, [[3, 3]])


def test_freezing_and_back_keeps_the_gradient() -> None:
    layer = Linear(2, 1)
    layer(np.ones((1, 2), np.float32)).sum().backward()
    layer.requires_grad_(False)
    assert layer.weight.grad is None
    layer.requires_grad_()
    np.testing.assert_array_equal(layer.weight.grad, [[1, 1]])


def test_conversions_by_name() -> None:
    net = Sequential(Scale())
    for convert, name in (
        (net.float, "float32"),
        (net.half, "float16"),
        (net.double, "float64"),
        (lambda: net.to(np.float32), "float32"),
        (lambda: net.to("float16"), "float16"),
    ):
        assert convert() is net
        assert net.state_dict()["0.factor"].dtype == name
        assert net.state_dict()["0.count"].dtype.kind == "i"
    net.double()[0](np.ones(2)).sum().backward()
    assert net.float().parameters()[0].grad is None
    for device in ("cuda", "cpu"):
        with pytest.raises(TypeError, match=f"'{device}'. There is one device"):
            net.to(device)
    with pytest.raises(DtypeError, match="int32"):
        net.to(np.int32)


def test_astype_converts_floating_parameters_and_buffers() -> None:
    net = Sequential(Scale())
    net[0].register_buffer("mean", np.ones(2))
    net[0].factor.requires_grad = False
    assert net.astype(np.float32) is net
    assert {k: v.dtype.name for k, v in net.state_dict().items()} == {
        "0.factor": "float32",
        "0.count": "int64",
        "0.mean": "float32",
    }
    assert not net.parameters()[0].requires_grad
    layer = Linear(2, 1).astype(np.float64)
    layer(np.ones((1, 2))).sum().backward()
    assert layer.weight.grad.dtype == np.float64
    with pytest.raises(DtypeError, match="int64"):
        net.astype(int)


def test_random_draws_are_for_layers_without_their_own() -> None:
    source = np.random.default_rng(0)
    with random_draws(source):
        first, own = Linear(2, 2), Linear(2, 2, rng=np.random.default_rng(1))
        second = Linear(2, 2)
    rng = np.random.default_rng(0)
    for layer in (first, second):
        np.testing.assert_array_equal(layer.weight.data, Linear(2, 2, rng=rng).weight.data)
    expected = Linear(2, 2, rng=np.random.default_rng(1))
    np.testing.assert_array_equal(own.weight.data, expected.weight.data)
    assert not np.array_equal(Linear(2, 2).weight.data, Linear(2, 2).weight.data)
    assert source.bit_generator.state == rng.bit_generator.state  # nothing was drawn after that


# -- how it looks -----------------------------------------------------------------------------


def test_the_tree_counts_parameters() -> None:
    net = Sequential(Linear(64, 32), ReLU(), Sequential(Linear(32, 10, bias=False)))
    assert repr(net).splitlines() == [
        "Sequential (2,400 parameters)",
        "  0: Linear(64, 32) (2,080)",
        "  1: ReLU()",
        "  2: Sequential (320)",
        "    0: Linear(32, 10, bias=False) (320)",
    ]
    assert repr(ReLU()) == "ReLU()"
    assert repr(Linear(2, 1)) == "Linear(2, 1) (3 parameters)"


# -- common mistakes ----------------------------------------------------------------------------


def test_a_module_without_forward_says_so() -> None:
    class Forgetful(Module):
        pass

    with pytest.raises(NotImplementedError, match=r"Forgetful.*forward\(self, x\)"):
        Forgetful()(1.0)


class Square(Module):
    def forward(self, x: Any) -> Any:
        return x * x


ROWS = np.ones((3, 2))
IN_PLACE_OF_A_CALL = {
    "array": (lambda: ReLU(ROWS), r"layer = nn\.ReLU\(\.\.\.\); layer\(x\)"),
    "Tensor": (lambda: Softmax(gl.Tensor(ROWS)), "Softmax.*takes no data"),
    "table": (lambda: Dropout(pd.DataFrame(ROWS)), "Dropout.*takes no data"),
    "sparse matrix": (lambda: Linear(csr_array(ROWS), 3), "Linear.*takes no data"),
    "list": (lambda: ReLU(ROWS.tolist()), r"ReLU\(\) takes no data.*layer\(x\)"),
    "option": (lambda: Tanh(dim=1), r"Tanh\(\) takes no arguments"),
    "one's own": (lambda: Square(ROWS), r"Square\(\) takes no arguments.*layer = Square\(\)"),
}


@pytest.mark.parametrize(
    ("make", "message"), IN_PLACE_OF_A_CALL.values(), ids=list(IN_PLACE_OF_A_CALL)
)
def test_a_class_takes_no_data_and_ignores_no_argument(make: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        make()


def test_sizes_may_be_numpy_integers() -> None:
    assert Linear(np.int64(3), np.uint8(2)).weight.shape == (2, 3)


def test_a_call_reaches_the_forward_of_a_subclass() -> None:
    class Doubled(Linear):
        def forward(self, x: Any) -> Any:
            return 2 * super().forward(x)

    layer, x = Doubled(2, 1), np.ones((1, 2), np.float32)
    np.testing.assert_array_equal(layer(x).data, 2 * Linear.forward(layer, x).data)


def test_a_parameter_is_a_leaf() -> None:
    w = gl.Tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(GraphError, match="detach"):
        Parameter(w * 2)
    with pytest.raises(GraphError, match="detach"):
        Parameter([w, w])
    for data in (w, (w * 2).detach(), Parameter([1.0, 2.0])):
        p = Parameter(data)
        assert p.is_leaf
        assert p.requires_grad
        p.data[0] = 9.0
    assert w.data[0] == 1.0


def test_a_parameter_of_integers_is_refused() -> None:
    with pytest.raises(DtypeError, match=r"1\.0"):
        Parameter([1, 2])
    assert Parameter([1, 2], requires_grad=False).dtype.kind == "i"
    assert Parameter([1, 2], dtype=np.float32).requires_grad


def test_a_parameter_may_share_memory() -> None:
    array = np.zeros(2)
    assert Parameter(array, copy=False).data is array
    assert Parameter(array).data is not array

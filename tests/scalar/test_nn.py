"""Neuron, Layer and MLP in both dialects: as arrays underneath, and as the original to the eye."""

import abc
import copy
import gc
import math
import pickle
import random
import threading
import weakref
from collections import Counter

import numpy as np
import pytest

import gradlite as gl
import gradlite.nn
import gradlite.scalar
from gradlite.engine import Value
from gradlite.errors import DtypeError, GradliteError, NonFiniteError, ShapeError
from gradlite.nn import MLP, Layer, Neuron
from gradlite.scalar import Module, neural_net
from tests.scalar import reference
from tests.scalar.reference import nodes, picture, results, seeded_first, seeded_last

CLASSES = {"micrograd": gradlite.nn, "neural_net": neural_net}
both_dialects = pytest.mark.parametrize("dialect", list(CLASSES))


def twins(dialect, nin, nouts, seed=833):
    """The same network here and in the reference, drawn from the same seed."""
    random.seed(seed)
    model = CLASSES[dialect].MLP(nin, nouts)
    random.seed(seed)
    return model, reference.MLP(nin, nouts, dialect)


def listed(out):
    return out if isinstance(out, list) else [out]


def numbers(out):
    return [y.data for y in listed(out)]


def gradients(model):
    return [p.grad for p in model.parameters()]


def close(found, expected, rel=1e-9):
    np.testing.assert_allclose(found, expected, rtol=rel, atol=1e-14)


def loss_of(out):
    """A loss with a different weight for each of a call's results."""
    return sum((y - i) ** 2 * (i + 1) for i, y in enumerate(listed(out)))


def assert_same_behaviour(model, twin, x, xt=None):
    """Compare results, and the gradients of a loss, with the reference's."""
    out, expected = model(x), twin(x if xt is None else xt)
    assert isinstance(out, list) == isinstance(expected, list)
    close(numbers(out), numbers(expected))
    loss_of(out).backward()
    loss_of(expected).backward()
    close(gradients(model), gradients(twin))


# -- construction -----------------------------------------------------------------------------


def test_gradlite_nn_has_the_classes_of_the_home():
    for name in ("Neuron", "Layer", "MLP"):
        assert getattr(gradlite.nn, name) is getattr(gradlite.scalar, name)
        assert getattr(neural_net, name) is not None


@both_dialects
@pytest.mark.parametrize(
    ("nin", "nouts", "count"),
    [(3, [4, 4, 1], 41), (2, [16, 16, 1], 337), (1, [1], 2), (2, [3], 9), (5, (2, 1, 3), 21)],
)
def test_a_network_has_the_parameters_of_the_original(dialect, nin, nouts, count):
    model, twin = twins(dialect, nin, nouts)
    assert len(model.parameters()) == count
    assert [p.data for p in model.parameters()] == [p.data for p in twin.parameters()]
    assert all(isinstance(p, Value) and p.grad == 0.0 for p in model.parameters())


@both_dialects
def test_a_network_leaves_the_random_numbers_that_follow_as_they_were(dialect):
    draws = []
    for make in (CLASSES[dialect].MLP, lambda n, m: reference.MLP(n, m, dialect)):
        random.seed(3)
        make(3, [4, 4, 1])
        draws.append(random.random())
    assert draws[0] == draws[1]


@both_dialects
def test_parameters_come_in_order_weights_then_bias_neuron_by_neuron_layer_by_layer(dialect):
    model, _ = twins(dialect, 3, [4, 2])
    expected = [p for layer in model.layers for n in layer.neurons for p in [*n.w, n.b]]
    for _ in range(2):
        assert list(map(id, model.parameters())) == list(map(id, expected))
        model([1.0, 2.0, 3.0])
    assert list(map(id, model.layers[0].parameters())) == list(map(id, expected[:16]))
    assert list(map(id, model.layers[0].neurons[1].parameters())) == list(map(id, expected[4:8]))


def test_what_parameters_returns_is_the_callers_to_change():
    model, _ = twins("micrograd", 2, [2, 1])
    model.parameters().clear()
    assert len(model.parameters()) == 9


@both_dialects
def test_layers_neurons_weights_and_biases_are_attributes(dialect):
    model, _ = twins(dialect, 3, [4, 2])
    assert [len(layer.neurons) for layer in model.layers] == [4, 2]
    assert model.layer is model.layers
    assert [len(n.w) for layer in model.layers for n in layer.neurons] == [3] * 4 + [4] * 2
    assert [n.nonlin for layer in model.layers for n in layer.neurons] == [True] * 4 + [False] * 2
    assert all(isinstance(n.b, Value) for layer in model.layers for n in layer.neurons)


def test_biases_are_zero_in_one_dialect_and_drawn_in_the_other():
    assert {n.b.data for n in MLP(2, [3]).layers[0].neurons} == {0.0}
    assert 0.0 not in {n.b.data for n in neural_net.MLP(2, [3]).layers[0].neurons}


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        (Neuron(2), "ReLUNeuron(2)"),
        (Neuron(3, nonlin=False), "LinearNeuron(3)"),
        (Neuron(3, False), "LinearNeuron(3)"),
        (neural_net.Neuron(2), "TanhNeuron(2)"),
        (Layer(2, 2), "Layer of [ReLUNeuron(2), ReLUNeuron(2)]"),
        (Layer(2, 1, nonlin=False), "Layer of [LinearNeuron(2)]"),
        (
            MLP(2, [2, 1]),
            "MLP of [Layer of [ReLUNeuron(2), ReLUNeuron(2)], Layer of [LinearNeuron(2)]]",
        ),
        (neural_net.MLP(1, [1]), "MLP of [Layer of [TanhNeuron(1)]]"),
        (Neuron(2, dialect="neural_net"), "TanhNeuron(2)"),
    ],
    ids=repr,
)
def test_reprs_are_those_of_the_original(module, expected):
    assert repr(module) == expected


@pytest.mark.parametrize("dialect", CLASSES)
@pytest.mark.parametrize("source", CLASSES)
@pytest.mark.parametrize(("name", "args"), [("Neuron", (3,)), ("Layer", (3, 2)), ("MLP", (3, [2]))])
def test_the_dialect_can_be_chosen_by_keyword(name, args, source, dialect):
    made = []
    for classes, how in ((CLASSES[source], {"dialect": dialect}), (CLASSES[dialect], {})):
        random.seed(5)
        made.append(getattr(classes, name)(*args, **how))
    chosen, expected = made
    assert [p.data for p in chosen.parameters()] == [p.data for p in expected.parameters()]
    x = [0.5, -1.0, 2.0]
    assert numbers(chosen(x)) == numbers(expected(x))
    assert repr(chosen) == repr(expected)


@both_dialects
def test_zero_grad_sets_every_gradient_to_zero(dialect):
    model, _ = twins(dialect, 2, [3, 1])
    model([1.0, 2.0]).backward()
    assert any(gradients(model))
    model.zero_grad()
    assert gradients(model) == [0.0] * len(model.parameters())


# -- training ---------------------------------------------------------------------------------


def moons(count, seed=0):
    """Two half circles that reach into each other, and labels -1 and 1."""
    rng = random.Random(seed)
    points, labels = [], []
    for i in range(count):
        angle, upper = math.pi * rng.random(), i % 2
        x = math.cos(angle) if upper else 1 - math.cos(angle)
        y = math.sin(angle) if upper else 0.5 - math.sin(angle)
        points.append([x + rng.gauss(0, 0.1), y + rng.gauss(0, 0.1)])
        labels.append(2 * upper - 1)
    return points, labels


def max_margin(model, value):
    points, labels = moons(16)
    inputs = [list(map(value, row)) for row in points]
    scores = list(map(model, inputs))
    losses = [(1 + -yi * si).relu() for yi, si in zip(labels, scores, strict=True)]
    data_loss = sum(losses) * (1.0 / len(losses))
    return scores, data_loss + 1e-3 * sum(p * p for p in model.parameters())


def squared_error(model, value):
    xs = [[2.0, 3.0], [3.0, -1.0], [0.5, 1.0], [1.0, 1.0]]
    ys = [1.0, -1.0, -1.0, 1.0]
    scores = [model(x) for x in xs]
    return scores, sum((score - y) ** 2 for y, score in zip(ys, scores, strict=True))


@both_dialects
@pytest.mark.parametrize("program", [max_margin, squared_error])
def test_20_steps_of_training_have_the_numbers_of_the_reference(dialect, program):
    model, twin = twins(dialect, 2, [5, 4, 1])
    first = None
    for step in range(20):
        found = []
        for net, value in ((model, Value), (twin, reference.Value)):
            scores, loss = program(net, value)
            for p in net.parameters():
                p.grad = 0.0
            loss.backward()
            found.append((loss.data, numbers(scores), gradients(net)))
            for p in net.parameters():
                p.data -= (0.05 - 0.001 * step) * p.grad
        for a, b in zip(*found, strict=True):
            close(a, b)
        first = first or found[0][0]
    assert found[0][0] < first
    close([p.data for p in model.parameters()], [p.data for p in twin.parameters()])


@both_dialects
def test_a_network_that_forgets_to_zero_its_gradients_goes_wrong_as_the_original(dialect):
    model, twin = twins(dialect, 2, [3, 1])
    for _ in range(5):
        for net, value in ((model, Value), (twin, reference.Value)):
            _, loss = squared_error(net, value)
            loss.backward()
            for p in net.parameters():
                p.data += -0.01 * p.grad
        close(gradients(model), gradients(twin))


# -- parameters are live ----------------------------------------------------------------------

X = [0.75, -1.5]
BATCH = [[0.75, -1.5], [2.0, 0.25], [-0.5, -0.125], [1.0, 1.0], [0.0, 3.0]]


def write_through_parameters(net):
    for i, p in enumerate(net.parameters()):
        p.data -= 0.01 * i


def write_a_weight(net):
    net.layers[0].neurons[1].w[0].data = 0.625


def write_a_bias(net):
    net.layers[1].neurons[0].b.data += 0.5


def write_all_in_turn(net):
    for layer in net.layers:
        for neuron in layer.neurons:
            neuron.b.data = neuron.w[0].data * 0.5
            for w in neuron.w:
                w.data *= 1.25


def write_other_kinds_of_numbers(net):
    for p, x in zip(net.parameters(), (1, np.float32(0.5), np.int64(-2), True), strict=False):
        p.data = x


@both_dialects
@pytest.mark.parametrize(
    "write",
    [
        write_through_parameters,
        write_a_weight,
        write_a_bias,
        write_all_in_turn,
        write_other_kinds_of_numbers,
    ],
)
def test_what_is_written_to_a_parameter_shows_in_the_next_call(dialect, write):
    model, twin = twins(dialect, 2, [3, 1])
    before = model(X).data
    write(model)
    write(twin)
    assert model(X).data != before
    assert_same_behaviour(model, twin, X)
    for net in (model, twin):
        write_through_parameters(net)
        write(net)
    assert_same_behaviour(model, twin, X)
    assert [p.data for p in model.parameters()] == [p.data for p in twin.parameters()]


def test_gradients_can_be_written():
    model, _ = twins("micrograd", 2, [1])
    p, q, b = model.parameters()
    p.grad, q.grad = 0, 10.0
    model([2.0, 3.0]).backward()
    assert (p.grad, q.grad, b.grad) == (2.0, 13.0, 1.0)


@both_dialects
def test_parameters_take_part_in_expressions(dialect):
    model, twin = twins(dialect, 2, [3, 1])
    for net in (model, twin):
        ps = net.parameters()
        regulariser = sum(p * p for p in ps) + abs(ps[0] - ps[1] / 2)
        (net(X) * ps[0] + 0.1 * regulariser).backward()
    close(gradients(model), gradients(twin))


def test_parameters_can_be_labelled_and_shown():
    model, _ = twins("micrograd", 2, [1])
    for i, p in enumerate(model.parameters()):
        p.label = f"p{i}"
        p.data = float(i)
    assert list(map(repr, model.parameters()[1:])) == [
        "Value(data=1.0, grad=0.0)",
        "Value(data=2.0, grad=0.0)",
    ]
    assert [p.label for p in model.layers[0].neurons[0].w] == ["p0", "p1"]


# -- what goes in and comes out ---------------------------------------------------------------


@both_dialects
def test_a_single_result_is_bare_and_others_are_lists(dialect):
    classes = CLASSES[dialect]
    assert isinstance(classes.Neuron(2)(X), Value)
    assert isinstance(classes.Layer(2, 1)(X), Value)
    assert isinstance(classes.MLP(2, [3, 1])(X), Value)
    for out in (classes.Layer(2, 3)(X), classes.MLP(2, [4, 3])(X)):
        assert type(out) is list
        assert all(isinstance(y, Value) for y in out)
        assert len(out) == 3


@both_dialects
@pytest.mark.parametrize("nouts", [[1], [3], [4, 1], [1, 1], [3, 1, 2], [2, 3, 4, 2]], ids=str)
def test_networks_of_all_shapes_behave_as_in_the_reference(dialect, nouts):
    model, twin = twins(dialect, 2, nouts)
    assert_same_behaviour(model, twin, X)
    assert_same_behaviour(model.layers[0], twin.layers[0], X)
    assert_same_behaviour(model.layers[0].neurons[0], twin.layers[0].neurons[0], X)


@pytest.mark.parametrize(
    ("x", "plain"),
    [
        ([0.5, -2.0], [0.5, -2.0]),
        ((0.5, -2.0), [0.5, -2.0]),
        ([1, -2], [1, -2]),
        ([True, 0.5], [1, 0.5]),
        (range(2), [0, 1]),
        (np.array([0.5, -2.0]), [0.5, -2.0]),
        (np.array([0.5, -2.0], np.float32), [0.5, -2.0]),
        (np.array([1, -2]), [1, -2]),
        (np.array([0.5, -2.0])[::-1], [-2.0, 0.5]),
        ([np.float32(0.5), np.int64(-2)], [0.5, -2]),
        ([np.array(0.5), np.float64(-2)], [0.5, -2]),
        ([Value(0.5), Value(-2)], [0.5, -2.0]),
        ([Value(0.5), -2], [0.5, -2.0]),
        ((0.5, Value(-2.0)), [0.5, -2.0]),
        (np.array([Value(0.5), Value(-2.0)]), [0.5, -2.0]),
        ([gl.Tensor(0.5), -2.0], [0.5, -2.0]),
        (list(gl.Tensor([0.5, -2.0])), [0.5, -2.0]),
    ],
    ids=lambda x: str(x).replace("grad=0.0", ""),
)
@both_dialects
def test_inputs_may_be_numbers_of_any_kind_in_sequences_of_any_kind(dialect, x, plain):
    model, twin = twins(dialect, 2, [3, 1])
    assert_same_behaviour(model, twin, x, plain)


def test_inputs_may_be_of_a_subclass_of_value():
    class Feature(Value):
        """A Value with something of its own."""

    model, twin = twins("neural_net", 2, [3, 1])
    xs = [Feature(x) for x in X]
    twin_xs = [reference.Value(x) for x in X]
    assert_same_behaviour(model, twin, xs, twin_xs)
    close([x.grad for x in xs], [x.grad for x in twin_xs])


def test_inputs_may_come_from_an_iterator():
    model, twin = twins("micrograd", 2, [3, 1])
    assert_same_behaviour(model, twin, map(float, "12"), [1.0, 2.0])
    assert_same_behaviour(model, twin, (x for x in X), X)
    assert_same_behaviour(model, twin, dict.fromkeys([1.0, 2.0]), [1.0, 2.0])


def leaves(x, y):
    return [x, y]


def the_same_twice(x, y):
    return [x, x]


def with_a_number(x, y):
    return [x, 2.0]


def operated_on(x, y):
    return [x * y, y - x]


def partly_operated_on(x, y):
    return [x, (x / y).tanh()]


@both_dialects
@pytest.mark.parametrize("nouts", [[3, 1], [3, 2]], ids=str)
@pytest.mark.parametrize(
    "prepare", [leaves, the_same_twice, with_a_number, operated_on, partly_operated_on]
)
def test_values_that_go_in_get_their_gradients(dialect, nouts, prepare):
    model, twin = twins(dialect, 2, nouts)
    found = []
    for net, value in ((model, Value), (twin, reference.Value)):
        x, y = value(0.75), value(-1.5)
        inputs = prepare(x, y)
        loss = loss_of(net(inputs)) + loss_of(net([x, y])) * x
        for _ in range(2):
            loss.backward()
        found.append([x.grad, y.grad, *(v.grad for v in inputs if isinstance(v, value))])
        found[-1] += gradients(net)
    close(*found)


@both_dialects
def test_parameters_may_go_in(dialect):
    model, twin = twins(dialect, 2, [3, 1])
    for net in (model, twin):
        loss_of(net([net.parameters()[0], net.layers[1].neurons[0].b])).backward()
    close(gradients(model), gradients(twin))


@both_dialects
def test_values_from_tensors_carry_gradients_back_to_the_tensor(dialect):
    model, twin = twins(dialect, 2, [3, 1])
    t = gl.Tensor(X, requires_grad=True)
    model(list(map(Value, t))).backward()
    xs = [reference.Value(x) for x in X]
    twin(xs).backward()
    close(t.grad, [x.grad for x in xs])
    close(gradients(model), gradients(twin))


# -- changes of structure ---------------------------------------------------------------------


class Ours:
    """How the changes below make parts, here and in the reference."""

    def __init__(self, dialect):
        self.classes = CLASSES[dialect]

    value = Value

    def neuron(self, nin, nonlin):
        return self.classes.Neuron(nin, nonlin)

    def layer(self, nin, nout, nonlin):
        return self.classes.Layer(nin, nout, nonlin)

    def flip(self, neuron):
        neuron.nonlin = not neuron.nonlin


class Theirs:
    value = reference.Value

    def __init__(self, dialect):
        self.activations = {True: "relu", False: ""}
        if dialect == "neural_net":
            self.activations = {True: "tanh", False: "tanh"}
        self.random_bias = dialect == "neural_net"

    def neuron(self, nin, nonlin):
        return reference.Neuron(nin, self.activations[nonlin], self.random_bias)

    def layer(self, nin, nout, nonlin):
        return reference.Layer(nin, nout, self.activations[nonlin], self.random_bias)

    def flip(self, neuron):
        neuron.activation = self.activations[neuron.activation != self.activations[True]]


def replace_a_layer(net, make):
    net.layers[1] = make.layer(3, 2, True)


def replace_all_layers(net, make):
    net.layers = [make.layer(2, 2, True), make.layer(2, 1, False)]


def put_a_layer_between(net, make):
    net.layers.insert(1, make.layer(3, 3, True))


def take_the_last_layer_away(net, make):
    net.layers.pop()


def put_layers_in_place_of_a_slice(net, make):
    net.layers[1:] = [make.layer(3, 1, False)]


def add_layers(net, make):
    net.layers += [make.layer(1, 3, True), make.layer(3, 2, False)]


def delete_a_slice_of_layers(net, make):
    del net.layers[1:]


def replace_a_neuron(net, make):
    net.layers[0].neurons[1] = make.neuron(2, True)


def append_a_neuron(net, make):
    net.layers[-1].neurons.append(make.neuron(2, False))


def replace_the_neurons(net, make):
    net.layers[-1].neurons = [make.neuron(2, False), make.neuron(2, False)]


def reverse_the_neurons(net, make):
    net.layers[0].neurons.reverse()


def swap_two_neurons(net, make):
    neurons = net.layers[0].neurons
    neurons[0], neurons[2] = neurons[2], neurons[0]


def sort_the_neurons(net, make):
    net.layers[0].neurons.sort(key=lambda n: n.w[0].data)


def remove_a_neuron_and_what_it_fed(net, make):
    net.layers[0].neurons.remove(net.layers[0].neurons[1])
    for neuron in net.layers[1].neurons:
        del neuron.w[1]


def put_a_value_among_the_weights(net, make):
    net.layers[0].neurons[1].w[0] = make.value(0.375)


def put_a_value_for_a_bias(net, make):
    net.layers[1].neurons[0].b = make.value(0.375)


def put_a_result_among_the_weights(net, make):
    neuron = net.layers[0].neurons[1]
    neuron.w[0] = neuron.w[1] * 2 + neuron.b


def put_values_for_all_weights(net, make):
    for neuron in net.layers[0].neurons:
        neuron.w = [make.value(0.1 * i - 0.15) for i in range(2)]


def rebind_a_bias_and_a_weight(net, make):
    neuron = net.layers[0].neurons[1]
    neuron.b -= 0.125
    neuron.w[0] += 0.5


def exchange_weights(net, make):
    first, second, _ = net.layers[0].neurons
    first.w, second.w = second.w, first.w
    first.b, second.b = second.b, first.b


def tie_two_weights(net, make):
    net.layers[0].neurons[1].w[0] = net.layers[0].neurons[0].w[1]


def tie_two_neurons(net, make):
    net.layers[0].neurons[2] = net.layers[0].neurons[0]


def tie_two_layers(net, make):
    net.layers[:] = [make.layer(2, 2, True)] * 2 + [make.layer(2, 1, False)]


def drop_a_weight_everywhere(net, make):
    for neuron in net.layers[1].neurons:
        neuron.w.pop()
    net.layers[0].neurons.pop()


def turn_negative(neuron):
    """Make the weighted sum negative for X, where ReLU and no activation differ."""
    neuron.b.data = -5.0


def make_one_hidden_neuron_linear(net, make):
    turn_negative(net.layers[0].neurons[1])
    make.flip(net.layers[0].neurons[1])


def make_all_hidden_neurons_linear(net, make):
    for layer in net.layers[:-1]:
        for neuron in layer.neurons:
            turn_negative(neuron)
            make.flip(neuron)


def make_the_output_nonlinear(net, make):
    turn_negative(net.layers[-1].neurons[0])
    make.flip(net.layers[-1].neurons[0])


CHANGES = [
    replace_a_layer, replace_all_layers, put_a_layer_between, take_the_last_layer_away,
    put_layers_in_place_of_a_slice, add_layers, delete_a_slice_of_layers, replace_a_neuron,
    append_a_neuron, replace_the_neurons, reverse_the_neurons, swap_two_neurons,
    sort_the_neurons, remove_a_neuron_and_what_it_fed, put_a_value_among_the_weights,
    put_a_value_for_a_bias, put_a_result_among_the_weights, put_values_for_all_weights,
    rebind_a_bias_and_a_weight, exchange_weights, tie_two_weights, tie_two_neurons, tie_two_layers,
    drop_a_weight_everywhere, make_one_hidden_neuron_linear, make_all_hidden_neurons_linear,
    make_the_output_nonlinear,
]  # fmt: skip


def changed_twins(dialect, change, call_first=True):
    model, twin = twins(dialect, 2, [3, 2, 1])
    if call_first:
        assert_same_behaviour(model, twin, X)
        model.zero_grad()
        for p in twin.parameters():
            p.grad = 0.0
    for net, make in ((model, Ours(dialect)), (twin, Theirs(dialect))):
        random.seed(11)
        change(net, make)
    return model, twin


@both_dialects
@pytest.mark.parametrize("call_first", [False, True], ids=["never called", "called before"])
@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_structure_is_seen_by_the_next_call(dialect, change, call_first):
    model, twin = changed_twins(dialect, change, call_first)
    assert [p.data for p in model.parameters()] == [p.data for p in twin.parameters()]
    assert_same_behaviour(model, twin, X)
    for net in (model, twin):
        for p in net.parameters():
            p.data -= 0.1 * p.grad
    assert_same_behaviour(model, twin, X)


def assert_right_or_refused(model, rows):
    """A batch, as an array or a Tensor, gives the numbers of single calls or a clear error."""
    expected = [numbers(model(row)) for row in rows]
    for batch in (np.array(rows), gl.Tensor(rows)):
        try:
            out = model(batch)
        except GradliteError:
            continue
        close(np.reshape(out.data, (len(rows), -1)), expected)


@both_dialects
@pytest.mark.parametrize("rows", [2, 3])
@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_structure_computes_batches_right_or_not_at_all(dialect, change, rows):
    model, _ = changed_twins(dialect, change)
    assert_right_or_refused(model, BATCH[:rows])


@pytest.mark.parametrize("rows", [2, 3])
def test_a_neuron_with_a_value_among_its_weights_computes_batches_right_or_not_at_all(rows):
    neuron = Neuron(2, nonlin=False)
    neuron.w[0] = Value(0.5)
    assert_right_or_refused(neuron, BATCH[:rows])


def test_a_layer_outside_of_a_network_can_be_changed():
    layer = Layer(2, 2)
    before = numbers(layer(X))
    layer.neurons.append(Neuron(2))
    assert numbers(layer(X))[:2] == before
    assert len(layer(X)) == 3
    layer.neurons.clear()
    assert layer(X) == []


def test_a_neuron_outside_of_a_network_can_be_changed():
    neuron = Neuron(2, nonlin=False)
    neuron(X)
    neuron.w[:] = [Value(2.0), Value(3.0)]
    neuron.b = Value(0.5)
    out = neuron([10.0, 1.0])
    out.backward()
    assert out.data == 23.5
    assert gradients(neuron) == [10.0, 1.0, 1.0]
    neuron.w.append(Value(1.0))
    assert neuron([1.0, 1.0, 1.0]).data == 6.5


@both_dialects
def test_a_network_may_take_a_weight_of_another(dialect):
    model, twin = twins(dialect, 2, [3, 1], seed=1)
    other, other_twin = twins(dialect, 2, [2, 1], seed=2)
    for net in (model, other):
        net(X)
    for net, source in ((model, other), (twin, other_twin)):
        net.layers[0].neurons[1].w[0] = source.layers[0].neurons[0].w[1]
    for _ in range(3):
        assert_same_behaviour(model, twin, X)
        assert_same_behaviour(other, other_twin, X)
        for net in (model, twin, other, other_twin):
            for p in net.parameters():
                p.data -= 0.01 * p.grad


def test_a_weight_may_be_a_plain_number():
    neuron = Neuron(2, nonlin=False)
    neuron.w[0] = 2.0
    neuron.w[1].data = 3.0
    out = neuron([5.0, 7.0])
    out.backward()
    assert (out.data, neuron.w[1].grad) == (31.0, 7.0)


class Parts(list):
    """A list of one's own."""


@pytest.mark.parametrize("call_first", [False, True], ids=["never called", "called before"])
@pytest.mark.parametrize("kind", [list, Parts])
@pytest.mark.parametrize("what", ["w", "neurons", "layers"])
def test_a_list_that_was_assigned_can_be_changed_by_its_old_name(what, kind, call_first):
    def program(net, make):
        owner = {"w": net.layers[0].neurons[0], "neurons": net.layers[0], "layers": net}[what]
        parts = kind(getattr(owner, what))
        setattr(owner, what, parts)
        net(X)
        parts.reverse()
        if what == "layers":
            parts.reverse()
            parts.append(make.layer(1, 2, True))

    model, twin = changed_twins("neural_net", program, call_first)
    assert_same_behaviour(model, twin, X)


@pytest.mark.parametrize("value", [lambda i: [i], lambda i: np.full(3, float(i))])
def test_attributes_of_ones_own_may_change_at_any_time(value):
    model, twin = twins("neural_net", 2, [3, 1])
    for i in range(3):
        for part in (model, model.layers[0], model.layers[0].neurons[0]):
            part.own = value(i)
            assert_same_behaviour(model, twin, X)
            part.own[0] = 5
            assert_same_behaviour(model, twin, X)


@pytest.mark.parametrize("change", [tie_two_weights, put_a_value_among_the_weights])
def test_an_updated_network_of_plain_values_has_the_numbers_of_the_reference(change):
    model, twin = changed_twins("neural_net", change)
    for _ in range(3):
        for net in (model, twin):
            for p in net.parameters():
                p.data -= 0.1
        assert_same_behaviour(model, twin, X)
        close(model(np.array([X])).data, [model(X).data])


# -- classes of one's own ---------------------------------------------------------------------


class SigmoidNeuron(Neuron):
    def __call__(self, x):
        return sum((w * xi for w, xi in zip(self.w, x, strict=True)), self.b).sigmoid()


class SigmoidNeuronOfTheReference(reference.Neuron):
    def __call__(self, x):
        return sum((w * xi for w, xi in zip(self.w, x, strict=True)), self.b).sigmoid()


class ResidualLayer(Layer):
    def __call__(self, x):
        return [y + xi for y, xi in zip(super().__call__(x), x, strict=True)]


class ResidualLayerOfTheReference(reference.Layer):
    def __call__(self, x):
        return [y + xi for y, xi in zip(super().__call__(x), x, strict=True)]


class Shifted(MLP):
    def __call__(self, x):
        return super().__call__([xi - 0.5 for xi in x]) * 2


class ShiftedOfTheReference(reference.MLP):
    def __call__(self, x):
        return super().__call__([xi - 0.5 for xi in x]) * 2


def with_a_class_of_ones_own(kind):
    random.seed(7)
    model = Shifted(2, [2, 2, 1]) if kind == "MLP" else MLP(2, [2, 2, 1])
    random.seed(7)
    twin = (ShiftedOfTheReference if kind == "MLP" else reference.MLP)(2, [2, 2, 1], "micrograd")
    random.seed(8)
    if kind == "Neuron":
        model.layers[1].neurons[0] = SigmoidNeuron(2)
    if kind == "Layer":
        model.layers[1] = ResidualLayer(2, 2)
    random.seed(8)
    if kind == "Neuron":
        twin.layers[1].neurons[0] = SigmoidNeuronOfTheReference(2, "relu", False)
    if kind == "Layer":
        twin.layers[1] = ResidualLayerOfTheReference(2, 2, "relu", False)
    return model, twin


@pytest.mark.parametrize("kind", ["Neuron", "Layer", "MLP"])
def test_a_class_with_a_call_of_its_own_is_called(kind):
    model, twin = with_a_class_of_ones_own(kind)
    for _ in range(2):
        assert_same_behaviour(model, twin, X)
    assert picture(model(X)) == picture(twin(X)) or kind == "MLP"


@both_dialects
@pytest.mark.parametrize("call_first", [False, True], ids=["never called", "called before"])
@pytest.mark.parametrize(("name", "calls"), [("Neuron", 3), ("Layer", 2), ("MLP", 1)])
def test_a_call_that_replaces_that_of_a_class_is_called(
    name, calls, call_first, dialect, monkeypatch
):
    model, _ = twins(dialect, 2, [2, 1])
    if call_first:
        model(X)
    kind = getattr(CLASSES[dialect], name)
    original, seen = kind.__call__, []

    def call(self, x):
        seen.append(self)
        return original(self, x)

    monkeypatch.setattr(kind, "__call__", call)
    model(X)
    assert len(seen) == calls


@both_dialects
@pytest.mark.parametrize("name", ["Neuron", "Layer"])
def test_parameters_that_replace_those_of_a_class_are_given(name, dialect, monkeypatch):
    model, _ = twins(dialect, 2, [2, 1])
    model(X)
    monkeypatch.setattr(getattr(CLASSES[dialect], name), "parameters", lambda self: [])
    assert model.parameters() == []


@both_dialects
@pytest.mark.parametrize("name", ["__mul__", "__add__"])
def test_an_operator_that_replaces_that_of_values_is_used(name, dialect, monkeypatch):
    model, _ = twins(dialect, 2, [2, 1])
    model(X)
    original, seen = getattr(Value, name), []

    def operator(self, other):
        seen.append(self)
        return original(self, other)

    monkeypatch.setattr(Value, name, operator)
    model(X)
    assert len(seen) == 6


def test_an_activation_that_replaces_that_of_values_is_used(monkeypatch):
    model, _ = twins("micrograd", 2, [3, 1])
    for p in model.parameters():
        p.data = -1.0
    monkeypatch.setattr(Value, "relu", lambda self: self * 0.5)
    assert model([1.0, 1.0]).data == 3 * 1.5 - 1


def test_a_class_with_an_activation_of_its_own_uses_it():
    class Sigmoid(Neuron):
        activation = "sigmoid"

    neuron = Sigmoid(2)
    total = neuron.w[0].data * X[0] + neuron.w[1].data * X[1]
    expected = 1 / (1 + math.exp(-total))
    assert neuron(X).data == pytest.approx(expected)
    model = MLP(2, [1, 1])
    model.layers[0].neurons[0] = neuron
    assert model(X).data == pytest.approx(expected * model.parameters()[-2].data)


def test_a_class_with_parameters_of_its_own_is_asked_for_them():
    class Scaled(MLP):
        def __init__(self, nin, nouts):
            super().__init__(nin, nouts)
            self.scale = Value(2.0)

        def __call__(self, x):
            return super().__call__(x) * self.scale

        def parameters(self):
            return [*super().parameters(), self.scale]

    model = Scaled(2, [3, 1])
    plain = model(X).data / 2
    model(X).backward()
    assert len(model.parameters()) == 3 * 3 + 4 + 1
    assert model.scale.grad == pytest.approx(plain)
    model.zero_grad()
    assert not any(gradients(model))


def test_a_layer_with_parameters_of_its_own_trains_those_alone():
    class Frozen(Layer):
        def parameters(self):
            return []

    model = MLP(2, [2, 1])
    model.layers[0] = Frozen(2, 2)
    assert len(model.parameters()) == 3
    model(X).backward()
    assert len(gradients(model)) == 3


def test_a_neuron_with_a_constructor_of_its_own_keeps_its_values():
    class Gaussian(Neuron):
        def __init__(self, nin, nonlin=True):
            self.w = [Value(random.gauss(0, 1)) for _ in range(nin)]
            self.b = Value(0.5)
            self.nonlin = nonlin

    neuron = Gaussian(2)
    w, v = neuron.w
    out = neuron([1.0, 2.0])
    assert out.data == pytest.approx(max(0.0, w.data + 2 * v.data + 0.5))
    assert neuron.parameters() == [w, v, neuron.b]
    assert repr(neuron) == "ReLUNeuron(2)"


def test_a_network_with_a_constructor_of_its_own_is_made_of_its_layers():
    class Tower(MLP):
        def __init__(self, width):
            self.layers = [Layer(2, width)]
            self.layers.append(Layer(width, 1, nonlin=False))
            self.name = "tower"

    random.seed(7)
    model = Tower(3)
    random.seed(7)
    expected = MLP(2, [3, 1])
    assert model(X).data == expected(X).data
    assert repr(model) == repr(expected)


def test_a_module_of_ones_own_has_zero_grad():
    class Line(Module):
        def __init__(self):
            self.a, self.b = Value(2.0), Value(1.0)

        def __call__(self, x):
            return self.a * x + self.b

        def parameters(self):
            return [self.a, self.b]

    line = Line()
    line(3.0).backward()
    assert gradients(line) == [3.0, 1.0]
    line.zero_grad()
    assert gradients(line) == [0.0, 0.0]
    assert Module().parameters() == []


def test_a_module_may_be_an_abstract_class():
    class Abstract(Module, abc.ABC):
        @abc.abstractmethod
        def __call__(self, x):
            """Compute the output."""

    class Doubled(Abstract):
        def __call__(self, x):
            return 2 * x

    with pytest.raises(TypeError, match="abstract"):
        Abstract()
    assert Doubled()(Value(3.0)).data == 6.0
    with pytest.raises(NotImplementedError, match="Module has no __call__"):
        Module()([1.0])


def test_a_module_made_of_networks_trains_them_all():
    class Pair(Module):
        def __init__(self):
            self.first, self.second = MLP(2, [3, 2]), MLP(2, [1])

        def __call__(self, x):
            return self.second(self.first(x))

        def parameters(self):
            return self.first.parameters() + self.second.parameters()

    pair = Pair()
    pair(X).backward()
    assert len(pair.parameters()) == 3 * 3 + 2 * 4 + 3
    assert pair.second.parameters()[-1].grad == 1.0


# -- networks together ------------------------------------------------------------------------


@both_dialects
def test_networks_may_share_layers(dialect):
    model, twin = twins(dialect, 2, [3, 2])
    heads, others = [], []
    for seed in (1, 2):
        head, other = twins(dialect, 2, [3, 1], seed)
        head.layers[0], other.layers[0] = model.layers[0], twin.layers[0]
        heads.append(head)
        others.append(other)
    for _ in range(3):
        for trunk, tops in ((model, heads), (twin, others)):
            loss = loss_of(trunk(X)) + sum(loss_of(top(X)) for top in tops)
            loss.backward()
        for net, expected in zip([model, *heads], [twin, *others], strict=True):
            close(gradients(net), gradients(expected))
            close(numbers(net(X)), numbers(expected(X)))
        for net in (model, twin):
            for p in net.parameters():
                p.data -= 0.05 * p.grad


@both_dialects
@pytest.mark.parametrize("nouts", [[3, 2], [1], [2]], ids=str)
def test_a_network_may_be_fed_by_another(dialect, nouts):
    first, first_twin = twins(dialect, 2, nouts, seed=1)
    second, second_twin = twins(dialect, nouts[-1], [3, 1], seed=2)
    for _ in range(3):
        for a, b in ((first, second), (first_twin, second_twin)):
            h = listed(a(X))
            loss = loss_of(b(h)) + loss_of(h) * 0.5
            for p in a.parameters() + b.parameters():
                p.grad = 0.0
            loss.backward()
            for p in a.parameters() + b.parameters():
                p.data -= 0.01 * p.grad
        close(gradients(first), gradients(first_twin))
        close(gradients(second), gradients(second_twin))


@both_dialects
def test_a_network_may_be_fed_by_itself(dialect):
    model, twin = twins(dialect, 2, [3, 2])
    found = []
    for net, value in ((model, Value), (twin, reference.Value)):
        start = [value(0.5), value(-0.25)]
        states = [start]
        for _ in range(5):
            states.append(net(states[-1]))
        loss = sum(loss_of(state) for state in states[1:])
        loss.backward()
        found.append([x.grad for x in start] + gradients(net) + [x.grad for x in states[3]])
    close(*found)


def test_a_network_may_be_fed_by_itself_many_thousand_times():
    model = neural_net.MLP(1, [1])
    w, b = model.parameters()
    w.data, b.data = 1.0, 0.0
    x = Value(1e-9)
    state = x
    for _ in range(20_000):
        state = model([state])
    state.backward()
    assert x.grad == pytest.approx(1.0)
    assert b.grad == pytest.approx(20_000)
    del state
    assert model([x]).data == pytest.approx(1e-9)


def test_one_of_a_calls_results_may_go_in_elsewhere_while_others_are_dropped():
    model, twin = twins("neural_net", 2, [3, 3], seed=1)
    second, second_twin = twins("neural_net", 2, [2, 1], seed=2)
    for a, b in ((model, second), (twin, second_twin)):
        y = a(X)[1]
        z = b([y, a(X)[2] * y])
        (z * y).backward()
    close(gradients(model), gradients(twin))
    close(gradients(second), gradients(second_twin))


# -- batches ----------------------------------------------------------------------------------


@both_dialects
@pytest.mark.parametrize("nouts", [[1], [3], [3, 1], [1, 1], [4, 3, 2]], ids=str)
def test_a_batch_gives_a_tensor_with_the_numbers_of_single_calls(dialect, nouts):
    model, _ = twins(dialect, 2, nouts)
    out = model(np.array(BATCH))
    assert type(out) is gl.Tensor
    assert out.shape == ((5,) if nouts[-1] == 1 else (5, nouts[-1]))
    assert out.requires_grad
    close(out.data.reshape(5, -1), [numbers(model(row)) for row in BATCH])


@both_dialects
def test_neurons_and_layers_take_batches(dialect):
    classes, batch = CLASSES[dialect], np.array(BATCH)
    for module, shape in (
        (classes.Neuron(2), (5,)),
        (classes.Layer(2, 1), (5,)),
        (classes.Layer(2, 3), (5, 3)),
    ):
        out = module(batch)
        assert out.shape == shape
        close(out.data.reshape(5, -1), [numbers(module(row)) for row in BATCH])


@pytest.mark.parametrize(
    "batch",
    [
        np.array(BATCH, np.float32),
        np.array(BATCH).astype(int),
        np.array(BATCH)[::2],
        np.asfortranarray(BATCH),
        np.array(BATCH)[:1],
        np.array(BATCH) > 0,
        gl.Tensor(BATCH),
        gl.Tensor(BATCH, requires_grad=True),
    ],
    ids=lambda x: f"{type(x).__name__} {x.dtype} {x.shape}",
)
def test_a_batch_may_be_an_array_or_a_tensor_of_any_kind_of_numbers(batch):
    model, _ = twins("neural_net", 2, [3, 1])
    rows = np.array(batch.data.tolist(), float)
    close(model(batch).data, [model(row).data for row in rows], rel=1e-6)


def test_an_empty_batch_gives_an_empty_tensor():
    model, _ = twins("micrograd", 2, [3, 1])
    out = model(np.zeros((0, 2)))
    assert out.shape == (0,)
    out.sum().backward()
    assert gradients(model) == [0.0] * len(model.parameters())


def test_a_batch_of_one_column_goes_to_a_network_of_one_input():
    model, _ = twins("neural_net", 1, [3, 1])
    close(model(np.array([[0.5], [2.0]])).data, [model([0.5]).data, model([2.0]).data])


def test_a_tensor_of_one_sample_gives_a_tensor():
    model, _ = twins("neural_net", 2, [3, 1])
    x = gl.Tensor(X, requires_grad=True)
    out = model(x)
    assert out.shape == ()
    close(out.data, model(X).data)
    xs = [Value(v) for v in X]
    model(xs).backward()
    out.backward()
    close(x.grad, [v.grad for v in xs])
    assert twins("neural_net", 2, [3, 2])[0](x).shape == (2,)


@both_dialects
@pytest.mark.parametrize("nouts", [[3, 1], [3, 2]], ids=str)
def test_a_batch_fills_the_gradients_that_single_calls_fill(dialect, nouts):
    model, _ = twins(dialect, 2, nouts)
    targets = np.linspace(-1, 1, 5 * nouts[-1]).reshape(5, -1)
    loss = sum(
        (y - t) ** 2
        for row, ts in zip(BATCH, targets.tolist(), strict=True)
        for y, t in zip(listed(model(row)), ts, strict=True)
    ) + 0.1 * sum(p * p for p in model.parameters())
    loss.backward()
    once = gradients(model)

    batch = gl.Tensor(BATCH, requires_grad=True)
    out = model(batch)
    total = ((out - targets.reshape(out.shape)) ** 2).sum()
    total = total + 0.1 * sum(p * p for p in model.parameters())
    assert type(total) is gl.Tensor
    close(total.data, loss.data)
    total.backward()
    close(gradients(model), 2 * np.array(once))
    assert all(type(g) is float for g in gradients(model))

    rows = [list(map(Value, row)) for row in BATCH]
    outs = [y for row in rows for y in listed(model(row))]
    sum((y - t) ** 2 for y, t in zip(outs, targets.ravel().tolist(), strict=True)).backward()
    close(batch.grad, [[x.grad for x in row] for row in rows])


@both_dialects
def test_gradient_descent_by_batches_has_the_losses_of_the_scalar_loop(dialect):
    points, labels = moons(16)
    losses = []
    for vectorised in (False, True):
        model, _ = twins(dialect, 2, [5, 4, 1])
        losses.append([])
        for _ in range(10):
            if vectorised:
                loss = gl.relu(1 - np.array(labels) * model(np.array(points))).mean()
            else:
                scores = [model(p) for p in points]
                loss = sum((1 - y * s).relu() for y, s in zip(labels, scores, strict=True)) / 16
            loss = loss + 1e-3 * sum(p * p for p in model.parameters())
            model.zero_grad()
            loss.backward()
            for p in model.parameters():
                p.data -= 0.1 * p.grad
            losses[-1].append(float(loss))
    close(*losses)
    assert losses[0][-1] < losses[0][0]


def test_single_calls_and_batches_mix_in_one_loss():
    model, twin = twins("neural_net", 2, [3, 1])
    loss = model(np.array(BATCH)).sum() * model(X) + model(gl.Tensor(BATCH[:2])).mean()
    loss.backward()
    (sum(map(twin, BATCH)) * twin(X) + (twin(BATCH[0]) + twin(BATCH[1])) / 2).backward()
    close(gradients(model), gradients(twin))


def test_networks_in_a_chain_take_batches():
    first, _ = twins("micrograd", 2, [3, 2], seed=1)
    second, _ = twins("neural_net", 2, [3, 1], seed=2)
    second(first(np.array(BATCH))).sum().backward()
    found = gradients(first) + gradients(second)
    first.zero_grad()
    second.zero_grad()
    sum(second(first(row)) for row in BATCH).backward()
    close(found, gradients(first) + gradients(second))


def test_a_batch_remembers_the_weights_of_its_time():
    model, _ = twins("neural_net", 2, [3, 1])
    expected = [model(row).data for row in BATCH]
    sum(map(model, BATCH)).backward()
    slopes = gradients(model)
    model.zero_grad()
    out = model(np.array(BATCH))
    for p in model.parameters():
        p.data += 1.0
    close(out.data, expected)
    out.sum().backward()
    close(gradients(model), slopes)


def test_retain_graph_lets_a_batch_go_back_twice():
    model, _ = twins("neural_net", 2, [3, 1])
    loss = model(np.array(BATCH)).sum()
    loss.backward(retain_graph=True)
    once = gradients(model)
    loss.backward()
    close(gradients(model), 2 * np.array(once))


def test_values_in_the_rows_of_a_batch_get_their_gradients_or_are_refused():
    model, _ = twins("neural_net", 2, [3, 1])
    rows = [[Value(x) for x in row] for row in BATCH]
    model(gl.Tensor(rows)).sum().backward()
    expected = [[x.grad for x in row] for row in rows]
    assert all(map(any, expected))
    with pytest.raises(DtypeError, match="object"):
        model(np.array(rows))


# -- the weights and inputs of a call's time ------------------------------------------------


@both_dialects
@pytest.mark.parametrize("nouts", [[3, 1], [3, 2]], ids=str)
def test_results_are_those_of_the_weights_of_the_calls_time(dialect, nouts):
    model, twin = twins(dialect, 2, nouts)
    later, now = [], []
    for i in range(6):
        later.append(model(BATCH[i % 5]))
        now.append(numbers(twin(BATCH[i % 5])))
        if i % 2:
            for net in (model, twin):
                net.parameters()[i].data += 0.25
                net.layers[1].neurons[0].b.data -= 0.125
    close([numbers(out) for out in reversed(later)][::-1], now)


@both_dialects
@pytest.mark.parametrize("nouts", [[3, 1], [3, 2]], ids=str)
@pytest.mark.parametrize("look", [False, True], ids=["unseen", "seen"])
def test_weights_changed_before_backward_carry_gradients_back_as_in_the_reference(
    dialect, nouts, look
):
    model, twin = twins(dialect, 2, nouts)
    for net in (model, twin):
        loss = loss_of(net(X))
        if look and net is model:
            nodes(loss)
        for p in net.parameters():
            p.data *= 1.5
        loss.backward()
    close(gradients(model), gradients(twin))


def test_results_are_those_of_the_inputs_of_the_calls_time():
    model, twin = twins("neural_net", 2, [3, 1])
    expected = twin(X).data
    x, array, values = list(X), np.array(X), [Value(v) for v in X]
    outs = [model(x), model(array), model(values)]
    x[0], array[0], values[0].data = 9.0, 9.0, 9.0
    close(numbers(outs), [expected] * 3)


def test_results_are_those_of_the_structure_of_the_calls_time():
    model, twin = twins("neural_net", 2, [3, 1])
    outs = model(X)
    removed = model.layers[0]
    model.layers[0] = neural_net.Layer(2, 3)
    model(X)
    close(outs.data, twin(X).data)
    outs.backward()
    twin(X).backward()
    close(gradients(removed), gradients(twin.layers[0]))


@both_dialects
def test_many_calls_go_back_together(dialect):
    model, twin = twins(dialect, 2, [2, 1])
    rows = [[math.sin(i), math.cos(3 * i)] for i in range(700)]
    outs, expected = [model(row) for row in rows], [twin(row) for row in rows]
    sum(outs).backward()
    sum(expected).backward()
    close(gradients(model), gradients(twin))
    close(numbers(outs), numbers(expected))


@both_dialects
def test_differences_of_results_around_a_weight_approximate_its_gradient(dialect):
    model, _ = twins(dialect, 2, [3, 1])
    model(X).backward()
    h = 1e-6
    for p in model.parameters():
        p.data += h
        above = model(X)
        p.data -= 2 * h
        below = model(X)
        p.data += h
        assert (above.data - below.data) / (2 * h) == pytest.approx(p.grad, abs=1e-7)


def test_results_that_are_never_read_contribute_nothing():
    model, twin = twins("neural_net", 2, [3, 1])
    for row in BATCH:
        model(row)
    dropped = [model(row) for row in BATCH]
    model(X).backward()
    twin(X).backward()
    close(gradients(model), gradients(twin))
    assert [y.grad for y in dropped] == [0.0] * 5


def test_backward_needs_no_look_at_the_result():
    model, twin = twins("neural_net", 2, [3, 1])
    out, expected = model(X), twin(X)
    for _ in range(2):
        out.backward()
        expected.backward()
        assert out.grad == 1.0
        close(gradients(model), gradients(twin))


def test_backwards_from_several_results_of_calls_add_up():
    model, twin = twins("neural_net", 2, [3, 2])
    for net in (model, twin):
        outs = [net(row) for row in BATCH]
        outs[3][1].backward()
        (outs[0][0] * outs[3][1]).backward()
        outs[3][0].backward()
    close(gradients(model), gradients(twin))


def test_a_result_serves_wherever_a_value_does():
    model, twin = twins("neural_net", 2, [3, 1])
    expected = twin(X).data
    assert float(model(X)) == pytest.approx(expected)
    assert repr(model(X)) == f"Value(data={model(X).data}, grad=0.0)"
    assert f"{model(X):.6f}" == f"{expected:.6f}"
    assert model(X) > expected - 1e-9
    assert expected - 1e-9 < model(X)
    assert isinstance(model(X), Value)
    assert copy.deepcopy(model(X)).data == pytest.approx(expected)
    assert pickle.loads(pickle.dumps(model(X))).data == pytest.approx(expected)
    assert gl.Tensor([model(X), 1.0]).data[0] == pytest.approx(expected)
    assert (model(X) + model(X)).data == pytest.approx(2 * expected)
    named = model(X)
    named.label = "out"
    assert (named.label, named.data) == ("out", pytest.approx(expected))


def test_a_result_can_be_written_to():
    model, _ = twins("neural_net", 2, [3, 1])
    unseen, seen = model(X), model(X)
    expected = seen.data
    unseen.data = 5.0
    seen.data += 1
    assert (unseen.data, seen.data) == (5.0, expected + 1)


@both_dialects
@pytest.mark.parametrize("nouts", [[3, 1], [3, 2]], ids=str)
def test_results_get_the_gradients_that_arrive_at_them(dialect, nouts):
    model, twin = twins(dialect, 2, nouts)
    found = []
    for net in (model, twin):
        outs = [y for row in BATCH for y in listed(net(row))]
        sum((y - 1) ** 2 * i for i, y in enumerate(outs)).backward()
        found.append([y.grad for y in outs])
    close(*found)


@both_dialects
def test_numbers_that_are_not_finite_go_through_without_a_warning(dialect):
    model, _ = twins(dialect, 2, [3, 1])
    for x in ([math.nan, 1.0], [math.inf, 1.0], [math.inf, -math.inf], [1e308, 1e308]):
        out = model(x)
        assert isinstance(out.data, float)
        out.backward()
    assert math.isnan(model([math.nan, math.nan]).data) or dialect == "micrograd"


@both_dialects
def test_two_threads_may_call_one_network(dialect):
    model, twin = twins(dialect, 2, [3, 2])
    rows = [[math.sin(i), math.cos(3 * i)] for i in range(400)]
    expected = [numbers(twin(row)) for row in rows]
    found, start = {}, threading.Barrier(2)

    def call(name, order):
        start.wait()
        outs = {}
        for k, i in enumerate(order):
            outs[i] = model(rows[i])
            if k % 7 == 0:
                outs[i][0].data  # noqa: B018  # who looks inside changes nothing
        found[name] = [numbers(outs[i]) for i in range(len(rows))]

    orders = range(len(rows)), range(len(rows) - 1, -1, -1)
    threads = [threading.Thread(target=call, args=pair) for pair in enumerate(orders)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    close(found[0], expected)
    close(found[1], expected)


def test_debug_mode_looks_at_every_value_of_a_network():
    model, twin = twins("micrograd", 2, [3, 1])
    model.layers[1].neurons[0].w[0].data = 1e200
    model.layers[0].neurons[0].b.data = 1e200
    with gl.debug():
        with pytest.raises(NonFiniteError, match=r"\* gave Inf"):
            model(X)
        model.layers[0].neurons[0].b.data = 0.0
        model.layers[1].neurons[0].w[0].data = twin.layers[1].neurons[0].w[0].data
        assert_same_behaviour(model, twin, X)


def test_nothing_is_recorded_under_no_grad():
    model, twin = twins("neural_net", 2, [3, 2])
    with gl.no_grad():
        a, b = model([Value(X[0]), X[1]])
        chained = twins("neural_net", 2, [1])[0]([a, b])
        out = model(np.array(BATCH))
    close([a.data, b.data], numbers(twin(X)))
    assert [v._prev for v in (a, b, chained)] == [set()] * 3
    assert not out.requires_grad
    (a + b).backward()
    assert not any(gradients(model))


# -- the white box ----------------------------------------------------------------------------


def one(net, value):
    return [net(X)]


def with_values(net, value):
    return [net([value(0.75), value(-1.5)])]


def with_results(net, value):
    x = value(0.75)
    return [net([x * 2, x - 1])]


def several_calls(net, value):
    return [net(row) for row in BATCH[:3]]


def looked_at_out_of_order(net, value):
    outs = [net(row) for row in BATCH[:3]]
    for out in (outs[2], outs[0]):
        for y in listed(out):
            assert y.data is not None
    return outs[::-1]


def chained(net, value):
    h = net(X)
    return [net(h if isinstance(h, list) and len(h) == 2 else [listed(h)[0], 0.5])]


PROGRAMS = [one, with_values, with_results, several_calls, looked_at_out_of_order, chained]
SHAPES = [[1], [3, 1], [2, 2], [3, 2, 2]]


def losses(program, dialect, nouts):
    """The same program here and in the reference: networks, and losses."""
    pairs = zip(twins(dialect, 2, nouts), (Value, reference.Value), strict=True)
    return [(net, sum(map(loss_of, program(net, value)))) for net, value in pairs]


@both_dialects
@pytest.mark.parametrize("nouts", SHAPES, ids=str)
@pytest.mark.parametrize("program", PROGRAMS)
class TestTheGraphOfANetwork:
    def test_has_the_nodes_of_the_reference_before_backward(self, program, nouts, dialect):
        (_, loss), (_, expected) = losses(program, dialect, nouts)
        assert Counter(node.op for node in nodes(loss)) == Counter(
            node.op for node in nodes(expected)
        )
        assert picture(loss) == picture(expected)

    def test_has_the_gradients_of_the_reference_after_backward(self, program, nouts, dialect):
        (model, loss), (twin, expected) = losses(program, dialect, nouts)
        loss.backward()
        expected.backward()
        assert picture(loss) == picture(expected)
        close(gradients(model), gradients(twin))

    def test_can_be_looked_at_before_backward(self, program, nouts, dialect):
        (model, loss), (twin, expected) = losses(program, dialect, nouts)
        nodes(loss)
        loss.backward()
        expected.backward()
        assert picture(loss) == picture(expected)
        close(gradients(model), gradients(twin))

    def test_can_be_looked_at_between_two_backwards(self, program, nouts, dialect):
        (model, loss), (twin, expected) = losses(program, dialect, nouts)
        for _ in range(2):
            loss.backward()
            expected.backward()
            assert results(loss) == results(expected)
        close(gradients(model), gradients(twin))

    def test_keeps_its_numbers_when_parameters_are_updated_before_anybody_looks(
        self, program, nouts, dialect
    ):
        (model, loss), (twin, expected) = losses(program, dialect, nouts)
        loss.backward()
        expected.backward()
        for net in (model, twin):
            for p in net.parameters():
                p.data -= 0.5 * p.grad + 0.125
        assert results(loss) == results(expected)

    @pytest.mark.parametrize("by_hand", [seeded_last, seeded_first])
    def test_has_the_same_gradients_when_every_backward_is_called_by_hand(
        self, program, nouts, dialect, by_hand
    ):
        (model, loss), (twin, expected) = losses(program, dialect, nouts)
        by_hand(loss)
        expected.backward()
        close(gradients(model), gradients(twin))
        assert picture(loss) == picture(expected)


@both_dialects
@pytest.mark.parametrize("by_hand", [seeded_last, seeded_first])
def test_a_result_has_the_same_gradients_when_every_backward_is_called_by_hand(dialect, by_hand):
    model, twin = twins(dialect, 2, [3, 1])
    by_hand(model(X))
    twin(X).backward()
    close(gradients(model), gradients(twin))


@both_dialects
def test_weights_changed_before_backward_give_the_nodes_the_gradients_of_the_reference(dialect):
    (model, loss), (twin, expected) = losses(one, dialect, [3, 2, 1])
    for net in (model, twin):
        for p in net.parameters():
            p.data *= 1.5
    loss.backward()
    expected.backward()
    close(gradients(model), gradients(twin))
    assert results(loss) == results(expected)


@both_dialects
@pytest.mark.parametrize("nouts", [[3, 1], [3, 2]], ids=str)
def test_calls_that_go_back_before_and_after_an_update_have_the_nodes_of_the_reference(
    dialect, nouts
):
    model, twin = twins(dialect, 2, nouts)
    found = []
    for net in (model, twin):
        before, after = loss_of(net(X)), loss_of(net(BATCH[1]))
        before.backward()
        for p in net.parameters():
            p.data *= 1.5
        after.backward()
        found.append((results(before), results(after)))
    close(gradients(model), gradients(twin))
    assert found[0] == found[1]


@pytest.mark.parametrize("nouts", [[1], [3, 2]], ids=str)
def test_inputs_changed_before_anybody_looks_leave_the_graph_its_numbers(nouts):
    model, twin = twins("neural_net", 2, nouts)
    found = []
    for net, value in ((model, Value), (twin, reference.Value)):
        xs = [value(x) for x in X]
        loss = loss_of(net(xs))
        xs[0].data = 9.0
        found.append(results(loss))
    assert found[0] == found[1]


@both_dialects
def test_the_graph_ends_in_the_parameters_and_inputs_themselves(dialect):
    model, _ = twins(dialect, 2, [3, 2])
    x, y = Value(0.5), Value(2.0)
    seen = nodes(*model([x, y]))
    assert {*model.parameters(), x, y} <= set(seen)
    assert {v for v in seen if not v._prev} == {*model.parameters(), x, y}


def test_results_of_one_call_share_their_hidden_neurons():
    model, _ = twins("neural_net", 2, [3, 2])
    first, second = model(X)
    assert Counter(v.op for v in nodes(first, second))["tanh"] == 3 + 2
    assert Counter(v.op for v in nodes(first))["tanh"] == 3 + 1


@pytest.mark.parametrize(
    ("module", "op"),
    [(MLP(2, [1]), "+"), (Neuron(2), "ReLU"), (neural_net.Neuron(2), "tanh")],
    ids=repr,
)
def test_a_result_shows_its_operation(module, op):
    assert module(X)._op == op
    assert len(module(X)._prev) == (2 if op == "+" else 1)


def test_looking_at_one_result_leaves_the_gradients_through_the_others():
    model, twin = twins("neural_net", 2, [3, 3])
    for net in (model, twin):
        a, b, c = net(X)
        if net is model:
            nodes(b)
        (a * b + c).backward()
    close(gradients(model), gradients(twin))


def test_looking_at_one_result_leaves_the_nodes_behind_the_others_their_gradients():
    model, twin = twins("neural_net", 2, [3, 3])
    hidden = []
    for net, look in ((model, nodes), (twin, lambda y: None)):
        a, b, c = net(X)
        look(b)
        for loss in (a * b + c, a * a):
            loss.backward()
        hidden.append(results(a, b, c))
    assert hidden[0] == hidden[1]


def test_children_that_were_assigned_to_a_result_stay():
    model, _ = twins("neural_net", 2, [3, 1])
    child = Value(1.0)
    out = model(X)
    out._prev = {child}
    assert out._prev == {child}


def test_a_renamed_result_still_shows_what_it_is_made_of():
    model, twin = twins("neural_net", 2, [3, 1])
    out = model(X)
    out._op = "mine"
    out.backward()
    twin(X).backward()
    close(gradients(model), gradients(twin))
    assert len(out._prev) == 1


def test_the_backward_of_a_result_can_be_wrapped():
    model, twin = twins("neural_net", 2, [3, 1])
    out, seen = model(X), []
    before = out._backward

    def _backward():
        seen.append(out.grad)
        before()

    out._backward = _backward
    (out * 2).backward()
    (twin(X) * 2).backward()
    assert seen == [2.0]
    close(gradients(model), gradients(twin))


@pytest.mark.parametrize("look", [False, True], ids=["unseen", "looked at"])
@pytest.mark.parametrize("inputs", [X, [Value(0.5), Value(1.0)], [Value(0.5) * 2, 1.0]], ids=str)
def test_the_graph_of_a_network_is_freed_by_reference_counting_alone(look, inputs):
    model, _ = twins("neural_net", 2, [3, 2])
    gc.collect()
    gc.disable()
    try:
        outs = model(inputs)
        loss = loss_of(outs)
        loss.backward()
        if look:
            nodes(loss)
        refs = [weakref.ref(v) for v in (*outs, loss)]
        del outs, loss
        assert [ref() for ref in refs] == [None] * 3
    finally:
        gc.enable()


@pytest.mark.parametrize("look", [False, True], ids=["unseen", "looked at"])
def test_training_leaves_no_object_behind(look):
    model, _ = twins("neural_net", 2, [3, 1])

    def step():
        loss = sum((model(x) - 1) ** 2 for x in BATCH) + sum(p * p for p in model.parameters())
        model.zero_grad()
        loss.backward()
        if look:
            nodes(loss)
        for p in model.parameters():
            p.data -= 0.01 * p.grad

    gc.collect()
    gc.disable()
    try:
        for _ in range(3):
            step()
        before = len(gc.get_objects())
        for _ in range(20):
            step()
        assert len(gc.get_objects()) <= before
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_a_network_is_freed_by_reference_counting_alone():
    gc.collect()
    gc.disable()
    try:
        model, _ = twins("neural_net", 2, [3, 2])
        loss_of(model(X)).backward()
        model(np.array(BATCH)).sum().backward()
        model.layers.pop()
        model(X)
        refs = [weakref.ref(x) for x in (model, *model.layers, *model.parameters())]
        del model
        assert [ref() for ref in refs] == [None] * len(refs)
    finally:
        gc.enable()


# -- copies -----------------------------------------------------------------------------------

COPIES = {"deepcopy": copy.deepcopy, "pickle": lambda model: pickle.loads(pickle.dumps(model))}


@both_dialects
@pytest.mark.parametrize("way", COPIES)
@pytest.mark.parametrize("call_first", [False, True], ids=["never called", "called before"])
def test_a_copy_of_a_network_is_a_network_apart(dialect, way, call_first):
    model, twin = twins(dialect, 2, [3, 1])
    if call_first:
        loss_of(model(X)).backward()
    model.parameters()[0].label = "first"
    clone = COPIES[way](model)
    assert type(clone) is type(model)
    assert repr(clone) == repr(model)
    assert [p.data for p in clone.parameters()] == [p.data for p in model.parameters()]
    assert gradients(clone) == gradients(model)
    assert clone.parameters()[0].label == "first"
    assert not set(clone.parameters()) & set(model.parameters())
    for p in model.parameters():
        p.data += 1.0
    clone.zero_grad()
    assert_same_behaviour(clone, twin, X)
    for p in clone.parameters():
        p.data -= 0.5
    close(clone(X).data, clone(np.array([X])).data)


def test_parameters_can_be_put_aside_and_put_back():
    model, _ = twins("neural_net", 2, [3, 1])
    before = model(X).data
    kept = copy.deepcopy(model.parameters())
    for p in model.parameters():
        p.data *= 2
    assert model(X).data != before
    for p, then in zip(model.parameters(), kept, strict=True):
        p.data = then.data
    assert model(X).data == before


def test_a_shallow_copy_shares_the_layers():
    model, _ = twins("neural_net", 2, [3, 1])
    clone = copy.copy(model)
    assert clone.layers is model.layers
    clone.layers.pop()
    assert len(model(X)) == len(clone(X)) == 3


@pytest.mark.parametrize("way", COPIES)
def test_the_structure_of_a_copy_can_be_changed(way):
    model, _ = twins("neural_net", 2, [3, 2])
    model(X)
    clone = COPIES[way](model)
    clone(X)
    clone.layers.pop()
    clone.layers[0].neurons[1].w[0] = Value(0.5)
    assert len(clone(X)) == 3
    assert len(model(X)) == 2


@pytest.mark.parametrize("way", COPIES)
def test_layers_that_networks_share_are_shared_by_their_copies(way):
    first, second = MLP(2, [3, 1]), MLP(2, [3, 1])
    second.layers[0] = first.layers[0]
    a, b = COPIES[way]([first, second])
    assert a.layers[0] is b.layers[0]
    a.layers[0].neurons[0].w[0].data = 5.0
    assert b.parameters()[0].data == 5.0
    before = b(X).data
    a.layers[0].neurons[0].b.data = 50.0
    assert b(X).data != before


# -- bad input --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("x", "kind", "named"),
    [
        ([1.0], ShapeError, "MLP takes 2 inputs, not 1"),
        ([1.0, 2.0, 3.0], ShapeError, "MLP takes 2 inputs, not 3"),
        ([], ShapeError, "MLP takes 2 inputs, not 0"),
        ("ab", ShapeError, "sequence of 2 numbers.*'ab'"),
        (b"ab", ShapeError, "sequence of 2 numbers.*b'ab'"),
        (None, ShapeError, "sequence of 2 numbers.*None"),
        (3.0, ShapeError, r"sequence of 2 numbers.*3\.0"),
        (Value(3.0), ShapeError, "sequence of 2 numbers.*Value"),
        (["a", "b"], DtypeError, "one real number, not 'a'"),
        ([1.0, None], DtypeError, "one real number, not None"),
        ([1.0, 1j], DtypeError, "one real number, not 1j"),
        ([1.0, np.array([1.0, 2.0])], DtypeError, r"array of shape \(2,\)"),
        (["a"], DtypeError, "one real number, not 'a'"),
        ([[1.0, 2.0], [3.0, 4.0]], ShapeError, r"takes 2 numbers, not \[1.0, 2.0\].*np.array"),
        ([(1.0, 2.0)], ShapeError, r"takes 2 numbers, not \(1.0, 2.0\).*np.array"),
        (np.array(["a", "b"]), DtypeError, "one real number, not 'a'"),
        (np.zeros((4, 3)), ShapeError, r"2 inputs: a batch has the shape \(n, 2\), not \(4, 3\)"),
        (np.zeros((4, 3, 2)), ShapeError, r"shape \(n, 2\), not \(4, 3, 2\)"),
        (np.array(1.0), ShapeError, r"shape \(n, 2\), not array\(1\.\)"),
        (np.array([["a", "b"]]), DtypeError, "real numbers"),
        (np.array([[1j, 2.0]]), DtypeError, "real numbers"),
        (gl.Tensor([1.0, 2.0, 3.0]), ShapeError, r"shape \(n, 2\), not \(3,\)"),
        (gl.Tensor(np.zeros((4, 3))), ShapeError, r"shape \(n, 2\), not \(4, 3\)"),
    ],
    ids=str,
)
def test_bad_input_is_an_error_that_names_what_was_expected(x, kind, named):
    model, twin = twins("micrograd", 2, [3, 1])
    earlier = model(X)
    with pytest.raises(kind, match=named):
        model(x)
    close(earlier.data, twin(X).data)
    assert_same_behaviour(model, twin, X)


@pytest.mark.parametrize(
    ("module", "named"),
    [(Neuron(2), "Neuron takes 2 inputs, not 3"), (Layer(2, 2), "Layer takes 2 inputs, not 3")],
    ids=repr,
)
def test_neurons_and_layers_name_themselves_in_errors(module, named):
    with pytest.raises(ShapeError, match=named):
        module([1.0, 2.0, 3.0])


@pytest.mark.parametrize("change", [put_a_value_among_the_weights, make_one_hidden_neuron_linear])
@pytest.mark.parametrize(
    "x",
    [[1.0], [1.0, 2.0, 3.0], "ab", None, 3.0, ["a", "b"], [1.0, None], [[1.0, 2.0], [3.0, 4.0]]],
)
def test_bad_input_to_a_network_of_changed_structure_is_a_clear_error_too(change, x):
    model, _ = changed_twins("micrograd", change)
    with pytest.raises(GradliteError):
        model(x)


@pytest.mark.parametrize(
    ("make", "kind", "named"),
    [
        (lambda: MLP(2, 4), ShapeError, r"list of layer widths, as in MLP\(3, .*not 4"),
        (lambda: MLP(2, None), ShapeError, "list of layer widths.*not None"),
        (lambda: MLP(0, [1]), ShapeError, "nin must be a positive integer, not 0"),
        (lambda: MLP(-1, [1]), ShapeError, "nin must be a positive integer, not -1"),
        (lambda: MLP(2, []), ShapeError, "at least one layer"),
        (lambda: MLP(2, [3, 0]), ShapeError, "nout must be a positive integer, not 0"),
        (lambda: MLP(2, [1.5]), ShapeError, r"nout must be a positive integer, not 1\.5"),
        (lambda: MLP("2", [1]), ShapeError, "nin must be a positive integer, not '2'"),
        (lambda: MLP(2, "34"), ShapeError, "nout must be a positive integer, not '3'"),
        (lambda: MLP(None, [1]), ShapeError, "nin must be a positive integer, not None"),
        (lambda: Neuron(0), ShapeError, "nin must be a positive integer, not 0"),
        (lambda: Neuron(math.nan), ShapeError, "nin must be a positive integer, not nan"),
        (lambda: Neuron(math.inf), ShapeError, "nin must be a positive integer, not inf"),
        (lambda: Layer(2, 0), ShapeError, "nout must be a positive integer, not 0"),
        (lambda: Layer(0, 2), ShapeError, "nin must be a positive integer, not 0"),
        (
            lambda: MLP(2, [1], dialect="relu"),
            ValueError,
            "'micrograd' or 'neural_net', not 'relu'",
        ),
        (lambda: Neuron(2, dialect=3), ValueError, "'micrograd' or 'neural_net', not 3"),
    ],
)
def test_a_network_that_cannot_be_built_is_an_error_that_names_the_size(make, kind, named):
    with pytest.raises(kind, match=named):
        make()


@pytest.mark.parametrize(
    ("data", "named"),
    [
        ("x", "one real number, not 'x'"),
        (None, "one real number, not None"),
        (1j, "one real number, not 1j"),
        ([1.0], r"one real number, not \[1.0\]"),
        (np.array([1.0, 2.0]), r"array of shape \(2,\)"),
        (Value(1.0), "one real number, not Value"),
    ],
    ids=str,
)
def test_a_parameter_that_holds_no_number_is_an_error_at_the_next_call(data, named):
    model, twin = twins("micrograd", 2, [3, 1])
    p = model.parameters()[0]
    before = p.data
    for x in (X, np.array([X])):
        model(X)
        p.data = data
        with pytest.raises(DtypeError, match=named):
            model(x)
        p.data = before
    assert_same_behaviour(model, twin, X)

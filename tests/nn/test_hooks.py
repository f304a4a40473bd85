"""Hooks of modules: before and after a call, on the way back, and their removal."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import gradlite as gl
from gradlite import nn
from gradlite.errors import CompileError, GraphError, ShapeError
from gradlite.training.known import is_known

X = np.array([[1.0, -2.0, 3.0], [0.5, 1.0, -1.0]])


def net() -> nn.Sequential:
    layers = nn.Linear(3, 2, rng=0, dtype=float), nn.Tanh(), nn.Linear(2, 1, rng=1, dtype=float)
    return nn.Sequential(*layers)


def test_forward_hooks_see_and_replace() -> None:
    layer, seen = nn.Tanh(), []
    pre = layer.register_forward_pre_hook(lambda module, args: seen.append((module, args)))
    first = layer.register_forward_hook(lambda module, args, output: seen.append((args, output)))
    layer.register_forward_pre_hook(lambda module, args: 2 * args[0])
    layer.register_forward_pre_hook(lambda module, args: (args[0] + 1,))
    layer.register_forward_hook(lambda module, args, output: -output)
    y = layer(X)
    np.testing.assert_array_equal(y, -np.tanh(2 * X + 1))
    (module, args), (changed, output) = seen
    assert module is layer
    assert args[0] is X
    np.testing.assert_array_equal(changed[0], 2 * X + 1)
    np.testing.assert_array_equal(output, -y)
    pre.remove()
    first.remove()
    first.remove()
    layer(X)
    assert len(seen) == 2


def test_a_with_block_removes_a_hook() -> None:
    layer, seen = nn.Tanh(), []
    with layer.register_forward_hook(lambda *args: seen.append(args)) as handle:
        layer(X)
    layer(X)
    assert len(seen) == 1
    assert layer._hooks is None
    handle.remove()
    with pytest.raises(TypeError, match="A hook is a function"):
        layer.register_forward_hook(3)  # type: ignore[arg-type]


def test_a_hook_may_remove_itself() -> None:
    layer, seen = nn.Tanh(), []

    def once(module: Any, args: Any, output: Any) -> None:
        seen.append(output)
        handle.remove()

    handle = layer.register_forward_hook(once)
    layer.register_forward_hook(lambda *args: seen.append(args))
    layer(X)
    layer(X)
    assert len(seen) == 3


def test_backward_hooks_see_the_gradients_of_their_own_call() -> None:
    model, seen = net(), []
    model[1].register_full_backward_hook(lambda module, gi, go: seen.append((module, gi, go)))
    x = gl.Tensor(X, requires_grad=True)
    h = model[0](x)
    y = model[1](h)
    (y * y).sum().backward()
    ((module, grad_input, grad_output),) = seen
    assert module is model[1]
    np.testing.assert_allclose(grad_output[0], 2 * y.data)
    np.testing.assert_allclose(grad_input[0], 2 * y.data * (1 - y.data**2))
    # An input that is used elsewhere, too, gets more than that.
    h.retain_grad()
    x.zero_grad()
    h = model[0](x)
    h.retain_grad()
    (model[1](h) + 5 * h).sum().backward()
    np.testing.assert_allclose(seen[-1][1][0], h.grad - 5)


def test_backward_hooks_replace_gradients() -> None:
    model = net()
    x = gl.Tensor(X, requires_grad=True)
    model(x).sum().backward()
    expected, weights = x.grad.copy(), [p.grad.copy() for p in model.parameters()]
    x.zero_grad()
    model.zero_grad()
    model[1].register_full_backward_hook(lambda module, gi, go: (3 * gi[0],))
    model[1].register_full_backward_hook(lambda module, gi, go: 2 * gi[0])
    model(x).sum().backward()
    np.testing.assert_allclose(x.grad, 6 * expected)
    for p, g, factor in zip(model.parameters(), weights, (6, 6, 1, 1), strict=True):
        np.testing.assert_allclose(p.grad, factor * g)


class Pair(nn.Module):
    """Several arguments and results, not all of which have gradients."""

    def forward(self, x: Any, n: Any, y: Any, *, factor: float = 1.0) -> Any:
        return {"sum": x + y, "rest": (n, factor * x)}


def test_backward_hooks_of_several_inputs_and_outputs() -> None:
    pair, seen = Pair(), []
    pair.register_full_backward_hook(lambda module, gi, go: seen.append((gi, go)))
    x, y = gl.Tensor(X, requires_grad=True), gl.Tensor(X, requires_grad=True)
    result = pair(x, 3, y, factor=2.0)
    (result["sum"] * 5 + result["rest"][1]).sum().backward()
    ((grad_input, grad_output),) = seen
    assert grad_input[1] is None
    assert grad_output[1] is None
    np.testing.assert_array_equal(grad_input[0], np.full_like(X, 7))
    np.testing.assert_array_equal(grad_input[2], np.full_like(X, 5))
    np.testing.assert_array_equal(grad_output[0], np.full_like(X, 5))
    np.testing.assert_array_equal(grad_output[2], np.ones_like(X))
    np.testing.assert_array_equal(x.grad, grad_input[0])
    pair.register_full_backward_hook(lambda module, gi, go: (gi[0], None))
    with pytest.raises(ShapeError, match="2 gradients for 3 inputs"):
        pair(x, 3, y)["sum"].sum().backward()


def test_a_gradient_may_be_replaced_by_none() -> None:
    pair = Pair()
    pair.register_full_backward_hook(lambda module, gi, go: (gi[0], None, None))
    x, y = gl.Tensor(X, requires_grad=True), gl.Tensor(X, requires_grad=True)
    pair(x, 3, y)["sum"].sum().backward()
    np.testing.assert_array_equal(x.grad, np.ones_like(X))
    np.testing.assert_array_equal(y.grad, np.zeros_like(X))


def test_backward_hooks_without_a_trained_input() -> None:
    layer, seen = nn.Linear(3, 2, rng=0, dtype=float), []
    layer.register_full_backward_hook(lambda module, gi, go: seen.append((gi, go)))
    layer(X).sum().backward()
    ((grad_input, grad_output),) = seen
    assert grad_input == (None,)
    np.testing.assert_array_equal(grad_output[0], np.ones((2, 2)))
    layer.register_full_backward_hook(lambda module, gi, go: go)
    y = layer(X).sum()
    with pytest.raises(GraphError, match="Linear returned a gradient"):
        y.backward()


def test_backward_hooks_without_a_tape_do_nothing() -> None:
    model = net()
    model.register_full_backward_hook(lambda module, gi, go: 1 / 0)
    with gl.no_grad():
        np.testing.assert_array_equal(model(X).data, net()(X).data)


def test_backward_hooks_on_a_recorded_pass() -> None:
    layer, seen = nn.Tanh(), []
    layer.register_full_backward_hook(lambda module, gi, go: seen.append(gi[0]))
    x = gl.Tensor(X, requires_grad=True)
    layer(x).sum().backward(create_graph=True)
    first = x.grad
    x.grad = None
    (first * first).sum().backward()
    t = np.tanh(X)
    assert isinstance(seen[0], gl.Tensor)
    np.testing.assert_allclose(x.grad, -4 * t * (1 - t**2) ** 2)


def test_a_second_backward_pass_calls_them_again() -> None:
    layer, seen = nn.Tanh(), []
    layer.register_full_backward_hook(lambda module, gi, go: seen.append((gi, go)))
    y = layer(gl.Tensor(X, requires_grad=True)).sum()
    y.backward(retain_graph=True)
    y.backward()
    assert len(seen) == 2
    np.testing.assert_array_equal(seen[0][1][0], seen[1][1][0])


def test_float32_stays() -> None:
    layer, seen = nn.Linear(3, 2, rng=0), []
    layer.register_full_backward_hook(lambda module, gi, go: seen.extend([*gi, *go]))
    x = gl.Tensor(X.astype(np.float32), requires_grad=True)
    y = layer(x)
    y.sum().backward()
    assert {a.dtype for a in (y, x.grad, *seen)} == {np.dtype(np.float32)}


def test_copies_have_the_hooks_and_estimators_leave_them_uncompiled() -> None:
    model, seen = net(), []
    assert is_known(model)
    handle = model[0].register_forward_hook(lambda *args: seen.append(args))
    assert not is_known(model)
    other = copy.deepcopy(model)
    handle.remove()
    assert is_known(model)
    other(X)
    assert len(seen) == 1


def test_hooks_are_compiled() -> None:
    model = net()
    fast = gl.compile(model)
    plain = fast(X).data.copy()
    handle = model[0].register_forward_hook(lambda module, args, output: 2 * output)
    model[2].register_forward_pre_hook(lambda module, args: args[0] + 1)
    np.testing.assert_allclose(fast(X).data, model(X).data, rtol=1e-12)
    assert not np.allclose(fast(X).data, plain)
    handle.remove()
    np.testing.assert_allclose(fast(X).data, model(X).data, rtol=1e-12)


def test_backward_hooks_are_compiled() -> None:
    def train(compiled: bool) -> list[np.ndarray]:
        model = net()
        model[1].register_full_backward_hook(lambda module, gi, go: np.clip(gi[0], -0.1, 0.1))
        optimizer = gl.optim.SGD(model.parameters(), lr=0.1)

        def loss(y: Any, target: Any) -> Any:
            return gl.mse(y, target)

        step = gl.compile_step(model, loss, optimizer) if compiled else None
        for _ in range(3):
            if step is not None:
                step(X, np.ones((2, 1)))
            else:
                optimizer.zero_grad()
                loss(model(X), np.ones((2, 1))).backward()
                optimizer.step()
        return [p.data.copy() for p in model.parameters()]

    for a, b in zip(train(True), train(False), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10)


def test_a_hook_that_remembers_is_no_program() -> None:
    model, seen = net(), []
    model[0].register_forward_hook(lambda module, args, output: seen.append(output))
    with pytest.raises(CompileError, match="seen"):
        gl.compile(model)(X)
    assert seen == []


def test_a_module_with_hooks_is_drawn() -> None:
    pytest.importorskip("pygraphviz")
    model = net()
    model[1].register_full_backward_hook(lambda module, gi, go: None)
    gl.draw.draw(model(gl.Tensor(X, requires_grad=True)).sum())


def test_hooks_are_torchs() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed: nothing to compare with")

    def run(model: Any, x: Any) -> list[Any]:
        log: list[Any] = []
        model[0].register_forward_pre_hook(lambda m, args: log.append(("pre", args[0])))
        model[1].register_forward_hook(lambda m, args, y: log.append(("forward", y)))
        model[1].register_full_backward_hook(lambda m, gi, go: log.append(("back", gi[0], go[0])))
        model[2].register_full_backward_hook(lambda m, gi, go: (10 * gi[0],))
        model(x).sum().backward()
        log.append(("grad", x.grad))
        return log

    ours, peer = (
        net(),
        torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Tanh(), torch.nn.Linear(2, 1)).double(),
    )
    peer.load_state_dict({name: torch.tensor(x) for name, x in ours.state_dict().items()})
    mine = run(ours, gl.Tensor(X, requires_grad=True))
    its = run(peer, torch.tensor(X, requires_grad=True))
    assert [entry[0] for entry in mine] == [entry[0] for entry in its]
    for a, b in zip(mine, its, strict=True):
        for x, y in zip(a[1:], b[1:], strict=True):
            x = x.data if isinstance(x, gl.Tensor) else x
            np.testing.assert_allclose(x, y.detach().numpy(), rtol=1e-10)

"""Recurrent layers and cells: PyTorch's numbers, padding, options, compiled, and what they refuse.

The fixed numbers are those of PyTorch 2.13 in float64; where torch is installed, both run side by
side.
"""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import gradlite as gl
from gradlite import nn, optim
from gradlite.errors import ShapeError
from tests.helpers import LAYOUTS

KINDS = {"RNN": nn.RNN, "LSTM": nn.LSTM, "GRU": nn.GRU}
CELLS = {"RNN": nn.RNNCell, "LSTM": nn.LSTMCell, "GRU": nn.GRUCell}
OPTIONS: list[dict[str, Any]] = [
    {},
    {"bias": False},
    {"batch_first": True},
    {"num_layers": 2, "bidirectional": True},
    {"num_layers": 3, "batch_first": True},
    {"bidirectional": True, "batch_first": True, "bias": False},
]


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def layer(kind: str, *args: Any, **options: Any) -> Any:
    return KINDS[kind](*args, dtype=float, rng=np.random.default_rng(0), **options)


def parts(state: Any) -> tuple[Any, ...]:
    return state if isinstance(state, tuple) else (state,)


def plain(x: Any) -> np.ndarray:
    return x.data if isinstance(x, gl.Tensor) else x


def waves(module: Any) -> Any:
    """Fill the parameters with numbers that are easy to write in any language."""
    n = 0
    for p in module.parameters():
        p.data[...] = 0.6 * np.reshape(np.sin(0.7 * np.arange(n, n + p.size)), p.shape)
        n += p.size
    return module


def seeded_torch() -> Any:
    """Return the module, or skip the test where it is not installed."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    return torch


# -- PyTorch's numbers ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "last", "grads"),
    [
        (
            layer("RNN", 2, 2),
            [0.1691573556, 0.0913859373, -0.1984830363, 0.7554353872],
            [4.8665266104, 1.7965095228, 0.1627421874, 0.1627421874],
        ),
        (
            layer("RNN", 2, 2, nonlinearity="relu"),
            [0.1799027637, 0.2182887023, 0.0, 0.9706631935],
            [6.1542545434, 2.0643600399, 4.8166505462, 4.8166505462],
        ),
        (
            layer("LSTM", 2, 2),
            [-0.0907064169, 0.2214241241, -0.2244342654, 0.1809448281],
            [0.4892146769, -0.0052392252, 0.3974466701, 0.3974466701],
        ),
        (
            layer("GRU", 2, 2),
            [0.3312484359, 0.6198074281, -0.0267905739, 0.4147261898],
            [0.814479514, 0.3332418918, 2.3634555641, 0.7337959768],
        ),
    ],
    ids=["tanh", "relu", "LSTM", "GRU"],
)
def test_outputs_and_gradients_are_torchs_numbers(module: Any, last: Any, grads: Any) -> None:
    module = waves(copy.deepcopy(module))
    output, _ = module(np.reshape(np.cos(1.3 * np.arange(12)), (3, 2, 2)))
    np.testing.assert_allclose(output.data[-1].ravel(), last, atol=1e-9)
    np.sum(output * output).backward()
    np.testing.assert_allclose([p.grad.sum() for p in module.parameters()], grads, atol=1e-9)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_a_state_of_torch_gives_torchs_outputs_and_gradients(
    kind: str, options: Any, dtype: Any
) -> None:
    torch = seeded_torch()
    near = {"atol": 1e-12} if dtype is np.float64 else {"rtol": 1e-6, "atol": 1e-6}
    peer = getattr(torch.nn, kind)(3, 4, **options).to(getattr(torch, np.dtype(dtype).name))
    ours = layer(kind, 3, 4, **options).astype(dtype)
    assert {k: v.shape for k, v in ours.state_dict().items()} == {
        k: tuple(v.shape) for k, v in peer.state_dict().items()
    }
    assert list(ours.state_dict()) == list(peer.state_dict())
    ours.load_state_dict(peer.state_dict())
    count = options.get("num_layers", 1) * (1 + options.get("bidirectional", False))
    x = normal(5, 5, 3).astype(dtype)
    start = [normal(count, 5, 4, seed=1 + i).astype(dtype) for i in range(ours.states)]
    leaves = [gl.Tensor(a, requires_grad=True) for a in (x, *start)]
    peers = [torch.tensor(a, requires_grad=True) for a in (x, *start)]
    for given in (False, True):
        hx = [tuple(xs[1:]) if ours.states > 1 else xs[1] for xs in (leaves, peers)]
        mine = ours(leaves[0], hx[0]) if given else ours(leaves[0])
        its = peer(peers[0], hx[1]) if given else peer(peers[0])
        mine, its = (mine[0], *parts(mine[1])), (its[0], *parts(its[1]))
        for a, b in zip(mine, its, strict=True):
            assert a.dtype == dtype
            np.testing.assert_allclose(a.data, b.detach().numpy(), **near)
    sum(np.sum(a * a) for a in mine).backward()
    sum((b * b).sum() for b in its).backward()
    for p, q in zip((*ours.parameters(), *leaves), (*peer.parameters(), *peers), strict=True):
        np.testing.assert_allclose(
            p.grad, q.grad.numpy(), rtol=near.get("rtol", 0), atol=5 * near["atol"]
        )


@pytest.mark.parametrize("shape", [(5, 3), (3,)])
@pytest.mark.parametrize("kind", KINDS)
def test_cells_are_torchs(kind: str, shape: Any) -> None:
    torch = seeded_torch()
    peer = getattr(torch.nn, f"{kind}Cell")(3, 4).double()
    ours = CELLS[kind](3, 4, dtype=float)
    ours.load_state_dict(peer.state_dict())
    x = normal(2, *shape)
    state = its = None
    for a in x:
        state, its = ours(a, state), peer(torch.tensor(a), its)
    for a, b in zip(parts(state), parts(its), strict=True):
        np.testing.assert_allclose(a.data, b.detach().numpy(), atol=1e-14)
    np.sum(parts(state)[0]).backward()
    parts(its)[0].sum().backward()
    for p, q in zip(ours.parameters(), peer.parameters(), strict=True):
        np.testing.assert_allclose(p.grad, q.grad.numpy(), atol=1e-13)


@pytest.mark.parametrize("kind", KINDS)
def test_padding_by_lengths_is_what_packed_sequences_are_in_torch(kind: str) -> None:
    torch = seeded_torch()
    utils = torch.nn.utils.rnn
    peer = getattr(torch.nn, kind)(3, 4, 2, bidirectional=True, batch_first=True).double()
    ours = layer(kind, 3, 4, 2, bidirectional=True, batch_first=True)
    ours.load_state_dict(peer.state_dict())
    x, lengths = normal(3, 5, 3), [2, 5, 3]
    packed = utils.pack_padded_sequence(
        torch.tensor(x), lengths, batch_first=True, enforce_sorted=False
    )
    its, state = peer(packed)
    its, _ = utils.pad_packed_sequence(its, batch_first=True)
    output, end = ours(x, lengths=lengths)
    np.testing.assert_allclose(output.data, its.detach().numpy(), atol=1e-14)
    for a, b in zip(parts(end), parts(state), strict=True):
        np.testing.assert_allclose(a.data, b.detach().numpy(), atol=1e-14)
    np.sum(output * output).backward()
    (its * its).sum().backward()
    for p, q in zip(ours.parameters(), peer.parameters(), strict=True):
        np.testing.assert_allclose(p.grad, q.grad.numpy(), atol=1e-13)


@pytest.mark.parametrize("kind", KINDS)
def test_all_parameters_start_uniform_by_the_hidden_size(kind: str) -> None:
    for module in (KINDS[kind](9, 16, 2), CELLS[kind](9, 16)):
        for p in module.parameters():
            assert p.dtype == np.float32
            assert 0.2 < np.abs(p.data).max() <= 0.25
            assert abs(p.data.mean()) < 0.1


# -- a layer is its cell, step by step ----------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_layer_takes_the_steps_of_its_cell(kind: str) -> None:
    module, cell = layer(kind, 3, 4), CELLS[kind](3, 4, dtype=float)
    cell.load_state_dict({k.removesuffix("_l0"): v for k, v in module.state_dict().items()})
    x, state, steps = normal(5, 2, 3), None, []
    for a in x:
        state = cell(a, state)
        steps.append(parts(state)[0])
    output, end = module(x)
    np.testing.assert_allclose(output.data, np.stack([s.data for s in steps]), rtol=1e-12)
    for a, b in zip(parts(end), parts(state), strict=True):
        np.testing.assert_allclose(a.data[0], b.data, rtol=1e-12)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_padded_sequences_are_as_each_one_alone(kind: str, options: Any) -> None:
    module = layer(kind, 3, 4, **options)
    x, lengths = normal(5, 3, 3), np.array([2, 5, 3])
    padded = x.copy()
    for i, n in enumerate(lengths):
        padded[n:, i] = np.nan  # what is there must not matter
    first = options.get("batch_first", False)
    output, end = module(np.swapaxes(padded, 0, 1) if first else padded, lengths=lengths)
    output = np.swapaxes(output.data, 0, 1) if first else output.data
    for i, n in enumerate(lengths):
        alone, last = module(x[:n, i])
        np.testing.assert_allclose(output[:n, i], alone.data, rtol=1e-10)
        np.testing.assert_array_equal(output[n:, i], 0)
        for a, b in zip(parts(end), parts(last), strict=True):
            np.testing.assert_allclose(a.data[:, i], b.data, rtol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_one_sequence_needs_no_batch(kind: str) -> None:
    module = layer(kind, 3, 4, 2, bidirectional=True, batch_first=True)
    x, start = normal(5, 3), tuple(normal(2, 4, 4, seed=1))[: module.states]
    start = start if module.states > 1 else start[0]
    output, end = module(x, start)
    batch = tuple(a[:, None] for a in parts(start))
    expected, last = module(x[None], batch if module.states > 1 else batch[0])
    np.testing.assert_array_equal(output.data, expected.data[0])
    for a, b in zip(parts(end), parts(last), strict=True):
        assert a.shape == (4, 4)
        np.testing.assert_array_equal(a.data, b.data[:, 0])


# -- modes, programs, copies --------------------------------------------------------------------


def test_dropout_is_between_the_layers_in_training() -> None:
    module = layer("GRU", 3, 4, 2, dropout=0.5)
    x = normal(5, 2, 3)
    once, again = module(x)[0].data, module(x)[0].data
    assert np.any(once != again)
    quiet = layer("GRU", 3, 4, 2)
    quiet.load_state_dict(module.state_dict())
    np.testing.assert_array_equal(module.eval()(x)[0].data, quiet(x)[0].data)
    single = layer("GRU", 3, 4, 1, dropout=0.5)  # the outputs of the last layer are kept
    np.testing.assert_array_equal(single(x)[0].data, single.eval()(x)[0].data)


@pytest.mark.parametrize("kind", KINDS)
def test_a_compiled_layer_gives_the_same(kind: str) -> None:
    module = layer(kind, 3, 4, 2, bidirectional=True, batch_first=True).eval()
    fast = gl.compile(module)
    for seed in (0, 1):
        x = normal(2, 5, 3, seed=seed)
        for mine, right in zip(fast(x), module(x), strict=True):
            for a, b in zip(parts(mine), parts(right), strict=True):
                np.testing.assert_allclose(plain(a), plain(b), rtol=1e-12)
    for lengths in (np.array([5, 2]), np.array([1, 4])):
        output, _ = fast(x, lengths=lengths)
        np.testing.assert_allclose(output.data, module(x, lengths=lengths)[0].data, rtol=1e-12)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_a_compiled_step_trains_as_the_plain_one(kind: str, training: bool) -> None:
    class Last(nn.Module):
        def __init__(self) -> None:
            self.body = KINDS[kind](3, 4, 2, dropout=0.25, rng=np.random.default_rng(0))
            self.head = nn.Linear(4, 2, rng=np.random.default_rng(1))

        def forward(self, x: Any) -> Any:
            return self.head(self.body(x)[0][-1])

    x, y = normal(5, 6, 3).astype(np.float32), np.array([0, 1, 1, 0, 1, 0])
    compiled, plain_net = Last().train(training), Last().train(training)
    step = gl.compile_step(compiled, gl.cross_entropy, optim.Adam(compiled.parameters(), lr=0.05))
    optimizer = optim.Adam(plain_net.parameters(), lr=0.05)
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = gl.cross_entropy(plain_net(x), y)
        loss.backward()
        optimizer.step()
        losses.append(float(loss))
        assert step(x, y) == pytest.approx(losses[-1], rel=1e-4)
    assert losses[-1] < 0.5 * losses[0]
    for p, q in zip(compiled.parameters(), plain_net.parameters(), strict=True):
        np.testing.assert_allclose(p.data, q.data, atol=1e-3)
        assert p.dtype == np.float32


@pytest.mark.parametrize("kind", KINDS)
def test_second_derivatives_flow_through_the_steps(kind: str) -> None:
    module = layer(kind, 2, 2).requires_grad_(False)
    gl.check_grads(lambda x: module(x)[0], (normal(3, 2, 2),), order=2)


@pytest.mark.parametrize("make", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
@pytest.mark.parametrize("kind", KINDS)
def test_copies_compute_the_same(kind: str, make: Any) -> None:
    module = layer(kind, 3, 4, 2, dropout=0.5)
    x = normal(5, 2, 3)
    np.testing.assert_array_equal(make(module)(x)[0].data, module(x)[0].data)


@pytest.mark.parametrize("kind", KINDS)
def test_float32_stays_float32(kind: str) -> None:
    module = KINDS[kind](3, 4, 2, bidirectional=True)
    output, end = module(normal(5, 2, 3).astype(np.float32), lengths=[5, 2])
    assert {a.dtype for a in (output, *parts(end))} == {np.dtype(np.float32)}


def test_the_repr_says_what_differs() -> None:
    assert repr(nn.GRU(3, 4, batch_first=True)).startswith("GRU(3, 4, batch_first=True)")
    assert repr(nn.RNN(3, 4, nonlinearity="relu")).startswith("RNN(3, 4, nonlinearity='relu')")
    assert repr(nn.LSTMCell(3, 4, bias=False)).startswith("LSTMCell(3, 4, bias=False)")


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_memory_layout_gives_the_same(kind: str, layout: str) -> None:
    def results(change: Any) -> list[np.ndarray]:
        module = layer(kind, 3, 4, 2, batch_first=True)
        for p in module.parameters():
            p.data = change(p.data)
        x = gl.Tensor(change(normal(2, 5, 3)), requires_grad=True, copy=False)
        output, _ = module(x, lengths=[5, 3])
        output.backward(change(normal(2, 5, 4, seed=1)))
        return [output.data, x.grad, *(p.grad for p in module.parameters())]

    for a, b in zip(results(LAYOUTS[layout]), results(np.asarray), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


# -- what they refuse ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: nn.RNN(3, 4, nonlinearity="gelu"), ValueError, "'tanh' or 'relu'"),
        (lambda: nn.LSTM(0, 4), ValueError, "LSTM: input_size"),
        (lambda: nn.GRU(3, 4)(np.ones((5, 2, 4))), ShapeError,
         r"GRU\(3, 4\) got an input of shape \(5, 2, 4\): expected \(time, n, 3\)"),
        (lambda: nn.GRU(3, 4, batch_first=True)(np.ones((2, 2, 5, 3))), ShapeError,
         r"expected \(n, time, 3\)"),
        (lambda: nn.GRU(3, 4)(np.ones((0, 2, 3))), ShapeError, r"\(0, 2, 3\)"),
        (lambda: nn.GRU(3, 4)([np.ones((5, 3)), np.ones((2, 3))]), TypeError, "lengths="),
        (lambda: nn.GRU(3, 4)(np.ones((5, 2, 3)), np.ones((2, 4))), ShapeError,
         r"initial state of shape \(2, 4\): expected \(1, 2, 4\)"),
        (lambda: nn.LSTM(3, 4)(np.ones((5, 2, 3)), np.ones((1, 2, 4))), TypeError, "h_0, c_0"),
        (lambda: nn.GRU(3, 4)(np.ones((5, 2, 3)), (np.ones((1, 2, 4)),) * 2), TypeError,
         "one array"),
        (lambda: nn.GRU(3, 4)(np.ones((5, 2, 3)), lengths=[5]), ShapeError, "for 2 sequences"),
        (lambda: nn.GRU(3, 4)(np.ones((5, 2, 3)), lengths=[5, 6]), ValueError, "1 to 5"),
        (lambda: nn.GRU(3, 4)(np.ones((5, 2, 3)), lengths=[0, 5]), ValueError, "1 to 5"),
        (lambda: nn.GRU(3, 4)(np.ones((5, 2, 3)), lengths=[1.0, 5.0]), ValueError, "integers"),
        (lambda: nn.GRUCell(3, 4)(np.ones((5, 2, 3))), ShapeError,
         r"GRUCell\(3, 4\) got an input of shape \(5, 2, 3\)"),
        (lambda: nn.LSTMCell(3, 4)(np.ones((2, 3)), np.ones((2, 4))), TypeError, "h_0, c_0"),
    ],
)  # fmt: skip
def test_misuse_is_refused(call: Any, error: Any, words: str) -> None:
    with pytest.raises(error, match=words):
        call()

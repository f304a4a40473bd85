"""Attention and transformers: PyTorch's numbers, masks, compiled, and what they refuse.

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
from gradlite.errors import DtypeError, ShapeError
from tests.helpers import LAYOUTS
from tests.nn.test_recurrent import normal, seeded_torch, waves

RNG = np.random.default_rng
MASK = nn.Transformer.generate_square_subsequent_mask
WAVE = np.reshape(np.cos(1.3 * np.arange(24)), (3, 2, 4))
FIXED: dict[str, Any] = {"dropout": 0.0, "dtype": float}
PRE = {"norm_first": True, "activation": "gelu"}


def attention(**options: Any) -> Any:
    return nn.MultiheadAttention(4, 2, dtype=float, rng=RNG(0), **options)


# -- PyTorch's numbers ------------------------------------------------------------------------


def test_attention_gives_torchs_numbers() -> None:
    module = waves(attention())
    output, weights = module(WAVE, WAVE, WAVE, attn_mask=MASK(3))
    np.testing.assert_allclose(
        output.data[-1].ravel(),
        [-0.5862694879, 0.3601297628, -1.0617240667, -0.2633310597,
         -0.5150269074, 0.2461576318, -0.9181924711, -0.4198362805],
        atol=1e-9,
    )  # fmt: skip
    np.testing.assert_allclose(
        weights.data[0],
        [[1, 0, 0], [0.4201906226, 0.5798093774, 0], [0.221171714, 0.2235058485, 0.5553224375]],
        atol=1e-9,
    )
    np.sum(output * output).backward()
    np.testing.assert_allclose(
        [p.grad.sum() for p in module.parameters()],
        [4.5065405569, 29.2176451361, -14.9038055273, -19.249873712],
        atol=1e-8,
    )


@pytest.mark.parametrize(
    ("options", "last", "grads"),
    [
        (
            {},
            [-1.3616126142, -0.5258030598, -0.1592355628, 0.2161423181,
             -1.279123927, -0.7476585492, -0.1544950153, 0.1172039379],
            [2.314498792, 2.210081644, 7.0562193205, 4.2950155641, 7.4062319419, 4.5542230327,
             27.4741332825, 14.5085513675, 7.8486856051, 13.5542679117, 53.4485865123,
             43.5158340426],
        ),
        (
            PRE,
            [-1.6164915237, -0.4059454824, -0.4691229523, 0.8587676664,
             -0.5257400645, -0.079833696, -1.2250544369, 0.0872831625],
            [80.9815000104, 52.12769985, 121.8150800937, 74.0716276571, 86.965810351,
             42.8533499885, 88.8543256008, 74.0716276571, 3.5266774551, 18.4733143642,
             22.7526183003, 31.8660946823],
        ),
    ],
)  # fmt: skip
def test_encoder_layers_give_torchs_numbers(options: Any, last: Any, grads: Any) -> None:
    module = waves(nn.TransformerEncoderLayer(4, 2, 3, **FIXED, **options))
    output = module(WAVE)
    np.testing.assert_allclose(output.data[-1].ravel(), last, atol=1e-9)
    np.sum(output**3).backward()
    np.testing.assert_allclose(
        [np.abs(p.grad).sum() for p in module.parameters()], grads, rtol=1e-7
    )


@pytest.mark.parametrize(
    ("options", "last", "grads"),
    [
        (
            {},
            [-0.4032722239, -0.1929786758, -0.0064792432, -0.4105462395,
             -0.414657794, -0.1311505398, -0.1247686076, -0.3609484312],
            22.151640581337787,
        ),
        (
            PRE,
            [-2.8077083308, 0.0822548235, -1.3691420609, 0.1404970292,
             -1.0289303917, -0.0463706083, -1.8357718097, -0.7542932782],
            3178.815473444832,
        ),
    ],
)  # fmt: skip
def test_decoder_layers_give_torchs_numbers(options: Any, last: Any, grads: Any) -> None:
    module = waves(nn.TransformerDecoderLayer(4, 2, 3, **FIXED, **options))
    output = module(WAVE, 2 * WAVE[:2])
    np.testing.assert_allclose(output.data[-1].ravel(), last, atol=1e-9)
    np.sum(output**3).backward()
    found = sum(np.abs(p.grad).sum() for p in module.parameters())
    np.testing.assert_allclose(found, grads, rtol=1e-7)


def compare(ours: Any, peer: Any, call: Any, *arrays: np.ndarray, rounding: float = 1e-6) -> None:
    """Compare outputs and all gradients of a module with those of its peer, in both types."""
    torch = pytest.importorskip("torch")
    assert {k: v.shape for k, v in ours.state_dict().items()} == {
        k: tuple(v.shape) for k, v in peer.state_dict().items()
    }
    assert list(ours.state_dict()) == list(peer.state_dict())
    for dtype in (np.float64, np.float32):
        near = dict.fromkeys(("rtol", "atol"), 1e-12 if dtype is np.float64 else rounding)
        peer = copy.deepcopy(peer).to(getattr(torch, dtype.__name__)).train()
        peer.zero_grad()
        ours = copy.deepcopy(ours).astype(dtype)
        ours.load_state_dict(peer.state_dict())
        xs = [gl.Tensor(a.astype(dtype), requires_grad=True) for a in arrays]
        ts = [torch.tensor(a.astype(dtype), requires_grad=True) for a in arrays]
        mine, its = call(ours, *xs), call(peer, *ts)
        mine, its = (x if isinstance(x, tuple) else (x,) for x in (mine, its))
        for a, b in zip(mine, its, strict=True):
            if b is None:
                assert a is None
                continue
            assert a.dtype == dtype
            np.testing.assert_allclose(a.data, b.detach().numpy(), **near)
        sum(np.sum(a**2) for a in mine if a is not None).backward()
        sum((b**2).sum() for b in its if b is not None).backward()
        for p, q in zip((*ours.parameters(), *xs), (*peer.parameters(), *ts), strict=True):
            scale = max(1, np.abs(q.grad.numpy()).max())
            np.testing.assert_allclose(p.grad / scale, q.grad.numpy() / scale, **near)


def in_kind(x: Any, mask: np.ndarray) -> Any:
    """Return a mask for gradlite, or for PyTorch, whichever `x` is of."""
    if isinstance(x, gl.Tensor):
        return mask
    import torch

    return torch.tensor(mask).to(x.dtype if mask.dtype.kind == "f" else torch.bool)


HIDDEN = np.triu(np.ones((5, 5), bool), 1)
PADDED = np.array([[False] * 5, [False] * 3 + [True] * 2])
CALLS = {
    "self": lambda m, x: m(x, x, x),
    "no weights": lambda m, x: m(x, x, x, need_weights=False),
    "each head": lambda m, x: m(x, x, x, average_attn_weights=False),
    "causal": lambda m, x: m(x, x, x, attn_mask=in_kind(x, HIDDEN)),
    "causal numbers": lambda m, x: m(x, x, x, attn_mask=in_kind(x, MASK(5)), is_causal=False),
    "padding": lambda m, x: m(x, x, x, in_kind(x, PADDED)),
    "both": lambda m, x: m(x, x, x, in_kind(x, PADDED), attn_mask=in_kind(x, HIDDEN)),
    "a mask for each head": lambda m, x: m(
        x, x, x, attn_mask=in_kind(x, normal(4, 5, 5, seed=3))
    ),
}  # fmt: skip


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("name", CALLS)
@pytest.mark.filterwarnings("ignore")
def test_self_attention_is_torchs(name: str, batch_first: bool) -> None:
    torch = seeded_torch()
    x = normal(2, 5, 4)
    x = x if batch_first else np.swapaxes(x, 0, 1)
    ours, peer = attention(batch_first=batch_first), torch.nn.MultiheadAttention(4, 2, 0, True)
    peer.batch_first = batch_first
    torch.nn.init.normal_(peer.in_proj_bias)
    compare(ours, peer, CALLS[name], x)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("widths", [(4, 4), (3, 6)])
def test_attention_to_others_is_torchs(widths: Any, bias: bool) -> None:
    torch = seeded_torch()
    options = {"kdim": widths[0], "vdim": widths[1], "bias": bias}
    ours, peer = attention(**options), torch.nn.MultiheadAttention(4, 2, **options)
    arrays = normal(3, 2, 4), normal(5, 2, widths[0], seed=1), normal(5, 2, widths[1], seed=2)
    compare(ours, peer, lambda m, q, k, v: m(q, k, v), *arrays)
    compare(ours, peer, lambda m, q, k, v: m(q, k, v), *(a[:, 0] for a in arrays))


@pytest.mark.parametrize("options", [{}, PRE, {"batch_first": True, "bias": False}], ids=str)
@pytest.mark.filterwarnings("ignore")
def test_transformers_are_torchs(options: Any) -> None:
    torch = seeded_torch()
    of = (4, 2, 6, 0.0)
    near = {"rounding": 5e-5}  # float32 rounds in every layer, in both libraries
    x, memory = normal(5, 2, 4), normal(3, 2, 4, seed=1)
    if options.get("batch_first"):
        x, memory = np.swapaxes(x, 0, 1), np.swapaxes(memory, 0, 1)
    layer, peer_layer = (m.TransformerEncoderLayer(*of, **options) for m in (nn, torch.nn))
    compare(layer, peer_layer, lambda m, x: m(x), x, rounding=5e-6)
    encoder, peer_encoder = (
        m.TransformerEncoder(m.TransformerEncoderLayer(*of, **options), 2, m.LayerNorm(4))
        for m in (nn, torch.nn)
    )
    compare(encoder, peer_encoder, lambda m, x: m(x), x, **near)
    compare(
        encoder, peer_encoder, lambda m, x: m(x, in_kind(x, HIDDEN), in_kind(x, PADDED)), x, **near
    )
    decoder, peer_decoder = (
        m.TransformerDecoder(m.TransformerDecoderLayer(*of, **options), 2) for m in (nn, torch.nn)
    )
    compare(
        decoder,
        peer_decoder,
        lambda m, x, memory: m(
            x, memory, in_kind(x, HIDDEN), memory_key_padding_mask=in_kind(x, PADDED[:, 1:4])
        ),
        x,
        memory,
        **near,
    )
    whole, peer = (m.Transformer(4, 2, 1, 2, 6, 0.0, **options) for m in (nn, torch.nn))
    compare(
        whole,
        peer,
        lambda m, memory, x: m(memory, x, tgt_mask=in_kind(x, MASK(5))),
        memory,
        x,
        **near,
    )


def test_initial_values_are_torchs() -> None:
    module = nn.MultiheadAttention(48, 4)
    weight = module.in_proj_weight.data
    bound = (6 / (48 + 3 * 48)) ** 0.5
    assert 0.98 * bound < np.abs(weight).max() <= bound
    assert not module.in_proj_bias.data.any()
    assert not module.out_proj.bias.data.any()
    assert 0.98 / 48**0.5 < np.abs(module.out_proj.weight.data).max() <= 1 / 48**0.5
    separate = nn.MultiheadAttention(48, 4, kdim=24)
    assert separate.in_proj_weight is None
    assert separate.k_proj_weight.shape == (48, 24)
    assert 0.98 * (6 / 72) ** 0.5 < np.abs(separate.k_proj_weight.data).max() <= (6 / 72) ** 0.5


# -- what follows from the definition -----------------------------------------------------------


def test_attention_is_the_formula() -> None:
    module, x = attention(batch_first=True), normal(1, 5, 4)
    output, weights = module(x, x, x, average_attn_weights=False)
    rows = x[0] @ module.in_proj_weight.data.T
    heads = []
    for head in range(2):
        q, k, v = (rows[:, 4 * i + 2 * head : 4 * i + 2 * head + 2] for i in range(3))
        e = np.exp(q @ k.T / 2**0.5)
        e /= e.sum(1, keepdims=True)
        np.testing.assert_allclose(weights.data[0, head], e)
        heads.append(e @ v)
    expected = np.concatenate(heads, 1) @ module.out_proj.weight.data.T
    np.testing.assert_allclose(output.data[0], expected)


def test_hidden_positions_have_no_influence() -> None:
    module, x = attention(batch_first=True), normal(2, 5, 4)
    other = x.copy()
    other[:, 3:] += 1
    for mask in (HIDDEN, MASK(5)):
        a, b = (module(y, y, y, attn_mask=mask, is_causal=True)[0].data for y in (x, other))
        np.testing.assert_allclose(a[:, :3], b[:, :3])
        assert np.all(np.abs(a[:, 3:] - b[:, 3:]).max(-1) > 1e-3)
    a, b = (module(x, y, y, PADDED | [False] * 3 + [True] * 2)[0].data for y in (x, other))
    np.testing.assert_allclose(a, b)


def test_one_sequence_needs_no_batch() -> None:
    for batch_first in (True, False):
        module, x = attention(batch_first=batch_first), normal(5, 4)
        output, weights = module(x, x, x, PADDED[1])
        batch = np.expand_dims(x, 0 if batch_first else 1)
        expected, of_batch = module(batch, batch, batch, PADDED[1:])
        np.testing.assert_allclose(output.data, np.squeeze(expected.data, 0 if batch_first else 1))
        np.testing.assert_allclose(weights.data, of_batch.data[0])


def test_a_mask_in_float64_leaves_a_float32_network_as_it_is() -> None:
    layer = nn.TransformerEncoderLayer(4, 2, 3)
    mask = np.triu(np.full((5, 5), -np.inf), 1)
    assert layer(normal(5, 2, 4).astype(np.float32), mask).dtype == np.float32


def test_a_learned_mask_has_a_gradient() -> None:
    module, x = attention(), normal(5, 2, 4)
    module.requires_grad_(False)
    gl.check_grads(lambda m: module(x, x, x, attn_mask=m)[0], (normal(5, 5),))


def test_second_derivatives_flow_through_a_layer() -> None:
    module = nn.TransformerDecoderLayer(4, 2, 3, **FIXED, **PRE).requires_grad_(False)
    gl.check_grads(module, (normal(3, 1, 4), normal(2, 1, 4, seed=1)), order=2, rtol=1e-4)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_memory_layout_gives_the_same(layout: str) -> None:
    def results(change: Any) -> list[np.ndarray]:
        module = nn.TransformerDecoderLayer(4, 2, 3, **FIXED, rng=RNG(0))
        for p in module.parameters():
            p.data = change(p.data)
        x = gl.Tensor(change(normal(5, 2, 4)), requires_grad=True, copy=False)
        output = module(x, change(normal(3, 2, 4, seed=1)), change(HIDDEN))
        output.backward(change(normal(5, 2, 4, seed=2)))
        return [output.data, x.grad, *(p.grad for p in module.parameters())]

    for a, b in zip(results(LAYOUTS[layout]), results(np.asarray), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


# -- modes, programs, copies --------------------------------------------------------------------


def test_dropout_is_at_work_in_training_only() -> None:
    x = normal(5, 2, 4)
    for module in (attention(dropout=0.5), nn.TransformerEncoderLayer(4, 2, 3, 0.5, dtype=float)):

        def run(module: Any = module) -> Any:
            output = module(x, x, x)[0] if hasattr(module, "num_heads") else module(x)
            return output.data

        assert np.any(run() != run())
        module.eval()
        np.testing.assert_array_equal(run(), run())


def test_the_copies_of_a_stack_start_alike_and_drop_differently() -> None:
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 3, 0.5, dtype=float), 2)
    first, second = encoder.layers
    np.testing.assert_array_equal(first.linear1.weight.data, second.linear1.weight.data)
    assert first.linear1.weight is not second.linear1.weight
    x = normal(5, 2, 4)
    assert np.any(first(x).data != second(x).data)
    np.testing.assert_array_equal(first.eval()(x).data, second.eval()(x).data)


@pytest.mark.parametrize("training", [True, False])
def test_a_compiled_step_trains_as_the_plain_one(training: bool) -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            layer = nn.TransformerEncoderLayer(
                8, 2, 16, 0.1, batch_first=True, norm_first=True, rng=RNG(0)
            )
            self.body = nn.TransformerEncoder(layer, 2)
            self.head = nn.Linear(8, 2, rng=RNG(1))

        def forward(self, x: Any) -> Any:
            return self.head(self.body(x, mask=MASK(5), is_causal=True)[:, -1])

    x, y = normal(6, 5, 8).astype(np.float32), np.array([0, 1, 1, 0, 1, 0])
    compiled, plain = Model().train(training), Model().train(training)
    step = gl.compile_step(compiled, gl.cross_entropy, optim.Adam(compiled.parameters(), lr=0.01))
    optimizer = optim.Adam(plain.parameters(), lr=0.01)
    losses = []
    for _ in range(15):
        optimizer.zero_grad()
        loss = gl.cross_entropy(plain(x), y)
        loss.backward()
        optimizer.step()
        losses.append(float(loss))
        assert step(x, y) == pytest.approx(losses[-1], rel=1e-2, abs=1e-4)
    assert losses[-1] < 0.5 * losses[0]
    assert {p.dtype for p in compiled.parameters()} == {np.dtype(np.float32)}


def test_compiled_attention_gives_the_same() -> None:
    module = attention(batch_first=True)
    fast = gl.compile(module)
    for seed in (0, 1):
        x, padding = normal(2, 5, 4, seed=seed), PADDED[:: 1 - 2 * seed]
        for a, b in zip(fast(x, x, x, padding), module(x, x, x, padding), strict=True):
            np.testing.assert_allclose(a.data, b.data, rtol=1e-12)


@pytest.mark.parametrize("make", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_compute_the_same(make: Any) -> None:
    module = nn.Transformer(4, 2, 1, 1, 6, 0.5, dtype=float)
    x = normal(5, 2, 4)
    np.testing.assert_array_equal(make(module)(x, x).data, module(x, x).data)


# -- what they refuse ---------------------------------------------------------------------------


def attend(*shapes: tuple[int, ...], **masks: Any) -> Any:
    return lambda: nn.MultiheadAttention(4, 2)(*map(np.ones, shapes), **masks)


SELF = ((5, 2, 4),) * 3


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: nn.MultiheadAttention(4, 3), ValueError, "4 is not a multiple of num_heads 3"),
        (lambda: nn.MultiheadAttention(4, 2, add_bias_kv=True), ValueError, "append the row"),
        (lambda: nn.TransformerEncoderLayer(4, 2, activation="swish"), ValueError, "'swish'"),
        (lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer, 2), TypeError, "make one"),
        (attend((5, 2, 3), (5, 2, 4), (5, 2, 4)), ShapeError,
         r"MultiheadAttention\(4, 2\) got query, key and value of shapes \(5, 2, 3\)"),
        (attend((5, 2, 4), (5, 3, 4), (5, 3, 4)), ShapeError, r"expected \(time, n, 4\)"),
        (attend((5, 2, 4), (6, 2, 4), (5, 2, 4)), ShapeError, "got query, key and value"),
        (attend(*SELF, attn_mask=np.zeros((5, 4))), ShapeError, r"\(5, 5\) or \(4, 5, 5\)"),
        (attend(*SELF, key_padding_mask=np.zeros((5, 2))), ShapeError, r"expected \(2, 5\)"),
        (attend(*SELF, attn_mask=np.zeros((5, 5), int)), DtypeError, r"astype\(bool\)"),
        (attend(*SELF, is_causal=True), ValueError, "generate_square_subsequent_mask"),
    ],
)  # fmt: skip
def test_misuse_is_refused(call: Any, error: Any, words: str) -> None:
    with pytest.raises(error, match=words):
        call()

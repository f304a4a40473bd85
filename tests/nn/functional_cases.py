"""Calls of nn.functional and of the loss classes, for gradlite and for PyTorch alike.

Arrays come of formulas, so that numbers computed with PyTorch once hold for ever. A result is
told by its fingerprint: its elements, added up with weights that no two of them share.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def wave(*shape: int, phase: float = 0.0, scale: float = 2.0) -> np.ndarray:
    """Make numbers of both signs."""
    return scale * np.sin(1.7 * np.arange(1, np.prod(shape, dtype=int) + 1) + phase).reshape(shape)


def share(*shape: int, phase: float = 0.0) -> np.ndarray:
    """Make numbers between 0 and 1."""
    return 0.5 + 0.45 * wave(*shape, phase=phase, scale=1.0)


def rows(*shape: int, phase: float = 0.0) -> np.ndarray:
    """Make probabilities along the last axis."""
    p = share(*shape, phase=phase)
    return np.asarray(p / p.sum(axis=-1, keepdims=True))


def fingerprint(x: Any) -> float:
    """Add the elements up, each with a weight of its own."""
    x = np.asarray(x, np.float64)
    return float(np.sum(x.reshape(-1) * np.cos(np.arange(1, x.size + 1))))


Z, Z3, Z4 = wave(4, 3), wave(2, 3, 5), wave(2, 3, 2, 2)
Y = np.array([2, 0, 1, 2])
Y3, HOLES = np.arange(10).reshape(2, 5) % 3, np.array([2, -100, 1, 2])
W = np.array([0.5, 2.0, 1.25])
X, T = wave(4, 3, phase=0.3), wave(4, 3, phase=1.1)
SIGNS = np.array([1.0, -1.0, -1.0, 1.0])
COUNTS = np.array([[0.0, 1.0, 2.0], [3.0, 0.0, 7.0], [1.0, 4.0, 2.0], [0.0, 0.0, 5.0]])
LOG_P = np.log(rows(4, 3))
REDUCTIONS = ("mean", "sum", "none")

# The name, arguments by position, arguments by name, and which are differentiated by.
Case = tuple[str, tuple[Any, ...], dict[str, Any], int]


def with_reductions(name: str, *args: Any, first: int = 1, **options: Any) -> list[Case]:
    return [(name, args, {**options, "reduction": r}, first) for r in REDUCTIONS]


LOSSES: list[Case] = [
    *with_reductions("cross_entropy", Z, Y),
    *with_reductions("cross_entropy", Z, Y, weight=W),
    *with_reductions("cross_entropy", Z, HOLES, weight=W, ignore_index=-100),
    *with_reductions("cross_entropy", Z, Y, ignore_index=2),
    *with_reductions("cross_entropy", Z, HOLES, weight=W, label_smoothing=0.2),
    *with_reductions("cross_entropy", Z, rows(4, 3, phase=1.0), weight=W, label_smoothing=0.2),
    *with_reductions("cross_entropy", Z3, Y3, weight=W, ignore_index=1),
    *with_reductions("cross_entropy", Z3, share(2, 3, 5, phase=1.0)),
    *with_reductions("cross_entropy", Z4, Y3[:, :4].reshape(2, 2, 2)),
    *with_reductions("cross_entropy", Z[0], Y[0]),
    *with_reductions("nll_loss", LOG_P, Y),
    *with_reductions("nll_loss", LOG_P, HOLES, weight=W),
    *with_reductions("nll_loss", Z3, Y3, ignore_index=1),
    *with_reductions("nll_loss", LOG_P[0], Y[0]),
    *with_reductions("binary_cross_entropy", share(4, 3), share(4, 3, phase=1.0)),
    *with_reductions("binary_cross_entropy", share(4, 3), share(4, 3, phase=1.0), weight=W),
    *with_reductions("binary_cross_entropy_with_logits", Z, share(4, 3)),
    *with_reductions(
        "binary_cross_entropy_with_logits", Z, share(4, 3), weight=share(4, 1), pos_weight=W
    ),
    *with_reductions("multilabel_soft_margin_loss", Z, share(4, 3), weight=W),
    *with_reductions("multi_margin_loss", Z, Y),
    *with_reductions("multi_margin_loss", Z, Y, p=2, margin=0.5, weight=W),
    *with_reductions("mse_loss", X, T, first=2),
    *with_reductions("mse_loss", X, T, first=2, weight=share(4, 3)),
    *with_reductions("l1_loss", X, T, first=2),
    *with_reductions("l1_loss", X, T, first=2, weight=share(4, 3)),
    *with_reductions("smooth_l1_loss", X, T, first=2, beta=0.7),
    *with_reductions("smooth_l1_loss", X, T, first=2, beta=0.0),
    *with_reductions("huber_loss", X, T, first=2, delta=0.7),
    *with_reductions("huber_loss", X, T, first=2, weight=share(4, 3)),
    *with_reductions("kl_div", LOG_P, rows(4, 3, phase=1.0), first=2),
    *with_reductions("kl_div", LOG_P, np.log(rows(4, 3, phase=1.0)), first=2, log_target=True),
    ("kl_div", (LOG_P, rows(4, 3, phase=1.0)), {"reduction": "batchmean"}, 2),
    *with_reductions("poisson_nll_loss", X, COUNTS),
    *with_reductions("poisson_nll_loss", share(4, 3), COUNTS, log_input=False, full=True, eps=0.1),
    *with_reductions("gaussian_nll_loss", X, T, share(4, 3), first=3, full=True),
    *with_reductions("gaussian_nll_loss", X, T, share(4, 1), first=3),
    *with_reductions("gaussian_nll_loss", X, T, share(4), first=3),
    *with_reductions("gaussian_nll_loss", X, T, 0.5, first=2),
    *with_reductions("hinge_embedding_loss", X[:, 0], SIGNS, margin=1.5),
    *with_reductions("triplet_margin_loss", X, T, Z, first=3),
    *with_reductions("triplet_margin_loss", X, T, Z, first=3, margin=2.0, p=3.0, swap=True),
    *with_reductions("cosine_embedding_loss", X, T, SIGNS, first=2, margin=0.1),
    *with_reductions("margin_ranking_loss", X[:, 0], T[:, 0], SIGNS, first=2, margin=0.5),
]
ROW = np.array([-4.0, -2.9, -0.9, -0.1, 0.2, 0.8, 1.3, 3.2])
Q, K, V = wave(2, 3, 4), wave(2, 5, 4, phase=0.5), wave(2, 5, 2, phase=0.9)
MASK = np.array([[True, False, True, True, False], [False] * 5, [True] * 5])
OTHERS: list[Case] = [
    *((name, (ROW,), {}, 1) for name in (
        "relu", "elu", "selu", "leaky_relu", "silu", "mish", "gelu", "softplus", "softsign",
        "sigmoid", "tanh", "logsigmoid", "hardtanh", "hardswish")),
    ("elu", (ROW, 0.5), {}, 1),
    ("leaky_relu", (ROW, 0.3), {}, 1),
    ("relu", (ROW, False), {}, 1),
    ("gelu", (ROW,), {"approximate": "tanh"}, 1),
    ("softplus", (ROW, 2.0), {}, 1),
    ("hardtanh", (ROW, -1.5, 0.5), {}, 1),
    ("prelu", (Z3, W), {}, 2),
    ("prelu", (ROW, np.array([0.3])), {}, 2),
    ("softmax", (Z3,), {"dim": 1}, 1),
    ("log_softmax", (Z3, 0), {}, 1),
    ("normalize", (X,), {}, 1),
    ("normalize", (X, 3.0, 0), {}, 1),
    ("cosine_similarity", (X, T), {}, 2),
    ("cosine_similarity", (Z3, Z3[1]), {"dim": -1}, 2),
    ("pairwise_distance", (X, T), {}, 2),
    ("pairwise_distance", (X, T[0], 1.0), {"keepdim": True}, 2),
    ("one_hot", (Y,), {}, 0),
    ("one_hot", (Y3, 4), {}, 0),
    ("pad", (Z4, (1, 2)), {"value": 3.0}, 1),
    ("pad", (Z3, (2, -1, 0, 1)), {}, 1),
    ("pad", (Z3, (2, 1)), {"mode": "reflect"}, 1),
    ("pad", (Z3, (2, 1)), {"mode": "replicate"}, 1),
    ("pad", (Z3, (2, 1), "circular"), {}, 1),
    ("linear", (Z, wave(2, 3), wave(2)), {}, 3),
    ("linear", (Z[0], wave(2, 3)), {}, 2),
    ("bilinear", (X, wave(4, 2), wave(5, 3, 2), wave(5)), {}, 4),
    ("embedding", (Y, wave(3, 2), 1), {}, 2),
    ("conv1d", (Z3, wave(4, 3, 2), wave(4)), {"stride": 2, "padding": 1}, 3),
    ("conv1d", (Z3[0], wave(3, 1, 2)), {"groups": 3, "padding": "same"}, 2),
    ("conv2d", (wave(2, 2, 4, 5), wave(3, 2, 2, 2), wave(3), 1, 1, 2), {}, 3),
    ("conv2d", (wave(2, 4, 5), wave(3, 2, 2, 2)), {}, 2),
    ("max_pool2d", (wave(2, 2, 4, 5), 2), {}, 1),
    ("max_pool2d", (wave(2, 4, 5), (2, 3), 1, 1), {}, 1),
    ("avg_pool2d", (wave(2, 2, 4, 5), 2, 1), {}, 1),
    ("avg_pool2d", (wave(2, 4, 5), 2), {}, 1),
    ("layer_norm", (Z3, (5,), wave(5), wave(5, phase=2.0)), {}, 1),
    ("batch_norm", (Z, share(3), share(3, phase=1.0), wave(3), wave(3, phase=2.0)), {}, 1),
    ("batch_norm", (Z4, None, None, wave(3)), {"training": True}, 1),
    ("scaled_dot_product_attention", (Q, K, V), {}, 3),
    ("scaled_dot_product_attention", (Q, K, V), {"is_causal": True, "scale": 0.3}, 3),
    ("scaled_dot_product_attention", (Q, K, V, MASK), {}, 3),
    ("scaled_dot_product_attention", (Q, K, V, wave(2, 3, 5)), {}, 4),
    ("interpolate", (Z4,), {"scale_factor": 2}, 1),
    ("interpolate", (Z3, 7), {}, 1),
    ("interpolate", (wave(1, 1, 5, 7), (3, 4)), {}, 1),
    ("interpolate", (Z3,), {"scale_factor": 0.6}, 1),
]  # fmt: skip
CASES = LOSSES + OTHERS


def label(case: Case) -> str:
    """Name a case."""
    name, args, options, _ = case
    shown = [
        *("x".join(map(str, a.shape)) if isinstance(a, np.ndarray) else str(a) for a in args),
        *(f"{k}={'x'.join(map(str, v.shape)) if isinstance(v, np.ndarray) else v}"
          for k, v in options.items()),
    ]  # fmt: skip
    return f"{name}({', '.join(shown)})"


def torch_results(case: Case, dtype: Any = np.float64) -> list[np.ndarray]:
    """Return PyTorch's result, and its gradients for a cotangent of cosines."""
    import torch

    name, args, options, first = case
    return results_of(getattr(torch.nn.functional, name), args, options, first, dtype)


def results_of(fn: Any, args: Any, options: Any, first: int, dtype: Any) -> list[np.ndarray]:
    """Call a function of PyTorch, or a module, and differentiate."""
    import torch

    def tensor(a: Any, free: bool = False) -> Any:
        if not isinstance(a, (np.ndarray, np.integer)):
            return a
        a = np.array(a)  # an own copy
        t = torch.tensor(a.astype(dtype) if a.dtype.kind == "f" else a)
        return t.requires_grad_(free and a.dtype.kind == "f")

    xs = [tensor(a, i < first) for i, a in enumerate(args)]
    ans = fn(*xs, **{k: tensor(v) for k, v in options.items()})
    found = [ans.detach().numpy()]
    if first:
        ans.backward(torch.tensor(cotangent(found[0])))
        found += [x.grad.numpy() for x in xs if torch.is_tensor(x) and x.requires_grad]
    return found


def cotangent(ans: np.ndarray) -> np.ndarray:
    """Return a cotangent for a result, of its type."""
    return np.cos(np.arange(2, ans.size + 2)).reshape(ans.shape).astype(ans.dtype)

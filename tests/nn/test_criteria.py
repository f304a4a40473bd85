"""The loss classes: PyTorch's numbers, arguments, and state."""

from __future__ import annotations

import copy
import inspect
import pickle
from typing import Any

import numpy as np
import pytest

import gradlite as gl
from gradlite import nn
from gradlite.errors import ShapeError
from gradlite.nn import functional as F
from tests.helpers import leaves
from tests.nn.functional_cases import (
    COUNTS,
    HOLES,
    LOG_P,
    SIGNS,
    Y3,
    Z3,
    T,
    W,
    X,
    Y,
    Z,
    cotangent,
    fingerprint,
    results_of,
    rows,
    share,
)

# A class, its arguments by position and by name, what it is called with, how many of that are free.
CASES: list[Any] = [
    ("CrossEntropyLoss", (), {}, (Z, Y), 1),
    ("CrossEntropyLoss", (W,), {"label_smoothing": 0.1, "reduction": "sum"}, (Z, HOLES), 1),
    ("CrossEntropyLoss", (W, None, 1), {}, (Z3, Y3), 1),
    ("CrossEntropyLoss", (), {"weight": W}, (Z, rows(4, 3)), 1),
    ("NLLLoss", (), {}, (LOG_P, Y), 1),
    ("NLLLoss", (W, None, 2, None, "none"), {}, (LOG_P, Y), 1),
    ("BCELoss", (), {}, (share(4, 3), share(4, 3, phase=1.0)), 1),
    ("BCELoss", (W,), {"reduction": "none"}, (share(4, 3), share(4, 3, phase=1.0)), 1),
    ("BCEWithLogitsLoss", (), {}, (Z, share(4, 3)), 1),
    ("BCEWithLogitsLoss", (W,), {"pos_weight": 2 * W, "reduction": "sum"}, (Z, share(4, 3)), 1),
    ("MultiLabelSoftMarginLoss", (W,), {}, (Z, share(4, 3)), 1),
    ("MultiMarginLoss", (2, 0.5, W), {}, (Z, Y), 1),
    ("MSELoss", (), {}, (X, T), 2),
    ("MSELoss", (None, None, "sum"), {}, (X, T), 2),
    ("L1Loss", (), {"reduction": "none"}, (X, T), 2),
    ("SmoothL1Loss", (), {"beta": 0.3}, (X, T), 2),
    ("HuberLoss", ("sum", 0.3), {}, (X, T), 2),
    ("KLDivLoss", (), {"reduction": "batchmean"}, (LOG_P, rows(4, 3, phase=1.0)), 2),
    ("KLDivLoss", (), {"reduction": "sum", "log_target": True}, (LOG_P, Z), 2),
    ("PoissonNLLLoss", (), {}, (X, COUNTS), 1),
    ("PoissonNLLLoss", (False, True), {"eps": 0.1}, (share(4, 3), COUNTS), 1),
    ("GaussianNLLLoss", (), {}, (X, T, share(4, 3)), 3),
    ("GaussianNLLLoss", (), {"full": True, "eps": 0.5}, (X, T, share(4, 1)), 3),
    ("HingeEmbeddingLoss", (1.5,), {}, (X[:, 0], SIGNS), 1),
    ("TripletMarginLoss", (), {}, (X, T, Z), 3),
    ("TripletMarginLoss", (2.0, 1.0, 1e-3, True), {}, (X, T, Z), 3),
    ("CosineEmbeddingLoss", (0.2,), {}, (X, T, SIGNS), 2),
    ("MarginRankingLoss", (0.5,), {"reduction": "none"}, (X[:, 0], T[:, 0], SIGNS), 2),
]
CLASSES = sorted({case[0] for case in CASES})


def label(case: Any) -> str:
    name, args, options, given, _ = case
    shown = [*args, *(f"{k}={v}" for k, v in options.items()), given[1].dtype]
    return f"{name}({', '.join(map(str, shown))})"


every_case = pytest.mark.parametrize("case", CASES, ids=label)


def results(case: Any, dtype: Any = np.float64, change: Any = lambda loss: loss) -> list[Any]:
    """Return the loss, and the gradients for a cotangent of cosines."""
    name, args, options, given, first = case
    loss = change(getattr(nn, name)(*args, **options).astype(dtype))
    xs = [np.array(x, dtype if x.dtype.kind == "f" else x.dtype) for x in given]
    for i in range(first):
        (xs[i],) = leaves(xs[i])
    ans = loss(*xs)
    ans.backward(cotangent(ans.data))
    return [ans.data, *(x.grad for x in xs[:first])]


@every_case
def test_numbers_are_pytorchs(case: Any) -> None:
    found = [fingerprint(x) for x in results(case)]
    np.testing.assert_allclose(found, EXPECTED[label(case)], rtol=1e-8, atol=1e-9)


@every_case
@pytest.mark.parametrize(("dtype", "rtol"), [(np.float64, 1e-11), (np.float32, 2e-4)])
@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides:UserWarning")
def test_pytorch_agrees(case: Any, dtype: Any, rtol: float) -> None:
    torch = pytest.importorskip("torch", reason="compares with PyTorch: pip install torch")
    name, args, options, given, first = case
    tensor = lambda a: torch.tensor(a.astype(dtype)) if isinstance(a, np.ndarray) else a
    theirs = getattr(torch.nn, name)(
        *map(tensor, args), **{k: tensor(v) for k, v in options.items()}
    )
    for x, y in zip(results(case, dtype), results_of(theirs, given, {}, first, dtype), strict=True):
        assert x.dtype == y.dtype
        np.testing.assert_allclose(x, y, rtol=rtol, atol=rtol * max(1.0, abs(y).max()))
    mine = getattr(nn, name)(*args, **options).astype(dtype)
    state = {k: v.numpy() for k, v in theirs.state_dict().items()}
    assert list(mine.state_dict()) == list(state)
    mine.load_state_dict(state)


@pytest.mark.parametrize("name", CLASSES)
def test_arguments_are_pytorchs(name: str) -> None:
    torch = pytest.importorskip("torch", reason="compares with PyTorch: pip install torch")
    arguments = [
        [(n, p.default, p.kind) for n, p in inspect.signature(home).parameters.items()]
        for home in (getattr(nn, name), getattr(torch.nn, name))
    ]
    assert arguments[0] == arguments[1]


@every_case
def test_copies_compute_the_same(case: Any) -> None:
    expected = results(case)
    for change in (copy.deepcopy, lambda loss: pickle.loads(pickle.dumps(loss))):
        for x, y in zip(results(case, change=change), expected, strict=True):
            np.testing.assert_array_equal(x, y)


@every_case
def test_programs_give_the_same(case: Any) -> None:
    name, args, options, given, _ = case
    loss = getattr(nn, name)(*args, **options).astype(np.float64)
    np.testing.assert_allclose(gl.compile(loss)(*given), loss(*given), rtol=1e-12)


@every_case
def test_a_class_is_its_function(case: Any) -> None:
    name, args, options, given, _ = case
    loss = getattr(nn, name)(*args, **options)
    words = {n: getattr(loss, n) for n in inspect.signature(type(loss)).parameters
             if n not in ("size_average", "reduce")}  # fmt: skip
    fn = getattr(F, FUNCTIONS[name])
    np.testing.assert_array_equal(loss(*given), fn(*given, **words))


FUNCTIONS = {
    "CrossEntropyLoss": "cross_entropy",
    "NLLLoss": "nll_loss",
    "BCELoss": "binary_cross_entropy",
    "BCEWithLogitsLoss": "binary_cross_entropy_with_logits",
    "MultiLabelSoftMarginLoss": "multilabel_soft_margin_loss",
    "MultiMarginLoss": "multi_margin_loss",
    "MSELoss": "mse_loss",
    "L1Loss": "l1_loss",
    "SmoothL1Loss": "smooth_l1_loss",
    "HuberLoss": "huber_loss",
    "KLDivLoss": "kl_div",
    "PoissonNLLLoss": "poisson_nll_loss",
    "GaussianNLLLoss": "gaussian_nll_loss",
    "HingeEmbeddingLoss": "hinge_embedding_loss",
    "TripletMarginLoss": "triplet_margin_loss",
    "CosineEmbeddingLoss": "cosine_embedding_loss",
    "MarginRankingLoss": "margin_ranking_loss",
}


def test_every_class_has_a_case() -> None:
    classes = {
        name
        for name in nn.__all__
        if getattr(getattr(nn, name), "__module__", "") == "gradlite.nn.criteria"
    }
    assert classes == set(CLASSES) == set(FUNCTIONS)


def test_weights_are_state() -> None:
    loss = nn.BCEWithLogitsLoss(pos_weight=[1, 2, 3])
    assert list(loss.state_dict()) == ["pos_weight"]
    assert loss.pos_weight.dtype == np.float32
    assert not nn.CrossEntropyLoss().state_dict()
    assert nn.CrossEntropyLoss(W).astype(np.float32).weight.dtype == np.float32


def test_a_text_shows_the_options() -> None:
    assert repr(nn.MSELoss()) == "MSELoss()"
    assert repr(nn.CrossEntropyLoss(W, ignore_index=0)) == "CrossEntropyLoss(ignore_index=0)"
    assert repr(nn.TripletMarginLoss(p=1.0, reduction="sum")) == (
        "TripletMarginLoss(p=1.0, reduction='sum')"
    )


@pytest.mark.parametrize("name", CLASSES)
def test_old_words_for_reduction_are_refused(name: str) -> None:
    if name not in ("HuberLoss", "GaussianNLLLoss"):
        with pytest.raises(TypeError, match=f"{name}: size_average and reduce"):
            getattr(nn, name)(size_average=False)
    if name in ("MSELoss", "L1Loss", "SmoothL1Loss", "KLDivLoss"):
        with pytest.raises(TypeError, match=f"{name}: .*reduction='sum' by name"):
            getattr(nn, name)("sum")


@pytest.mark.parametrize("name", ["CrossEntropyLoss", "NLLLoss"])
def test_data_in_place_of_options_is_refused(name: str) -> None:
    with pytest.raises(ShapeError, match=rf"{name}: weight .*\(4, 3\).*loss\(scores, target\)"):
        getattr(nn, name)(Z)
    with pytest.raises(TypeError, match="takes no data"):
        nn.MSELoss(X, T)


def test_a_network_learns_with_a_loss_of_its_own() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((200, 2)).astype(np.float32)
    y = (x[:, 0] * x[:, 1] > 0).astype(int)
    model = nn.Sequential(nn.Linear(2, 16, rng=rng), nn.Tanh(), nn.Linear(16, 2, rng=rng))
    criterion = nn.CrossEntropyLoss(np.array([1.0, 1.0]))
    optimizer = gl.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(150):
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
    assert loss.dtype == np.float32
    assert float(loss) < 0.1


# Fingerprints of PyTorch's result, and of its gradients.
EXPECTED: dict[str, list[float]] = {
    "CrossEntropyLoss(int64)": [0.7420065679, -0.1857220317],
    "CrossEntropyLoss([0.5  2.   1.25], label_smoothing=0.1, reduction=sum, int64)": [
        3.201881796,
        -0.5620950705,
    ],
    "CrossEntropyLoss([0.5  2.   1.25], None, 1, int64)": [1.060568272, 0.06894980185],
    "CrossEntropyLoss(weight=[0.5  2.   1.25], float64)": [0.7668105905, -0.07019505112],
    "NLLLoss(int64)": [0.6550539028, -0.09834404852],
    "NLLLoss([0.5  2.   1.25], None, 2, None, none, int64)": [-1.573808642, -0.5137614779],
    "BCELoss(float64)": [0.3933901735, -0.3503394051],
    "BCELoss([0.5  2.   1.25], reduction=none, float64)": [-0.8103818786, 5.588760773],
    "BCEWithLogitsLoss(float64)": [0.242074897, 0.006713939356],
    "BCEWithLogitsLoss([0.5  2.   1.25], pos_weight=[1.  4.  2.5], reduction=sum, float64)": [
        8.093967339,
        -0.141428842,
    ],
    "MultiLabelSoftMarginLoss([0.5  2.   1.25], float64)": [0.3194162536, 0.006039542569],
    "MultiMarginLoss(2, 0.5, [0.5  2.   1.25], int64)": [1.275969578, -0.7027375743],
    "MSELoss(float64)": [0.6520710664, -0.09190395512, 0.09190395512],
    "MSELoss(None, None, sum, float64)": [7.824852797, -1.102847461, 1.102847461],
    "L1Loss(reduction=none, float64)": [-0.8216403259, 2.494184536, -2.494184536],
    "SmoothL1Loss(beta=0.3, float64)": [0.4555175856, -0.08386062315, 0.08386062315],
    "HuberLoss(sum, 0.3, float64)": [1.639863308, -0.3018982434, 0.3018982434],
    "KLDivLoss(reduction=batchmean, float64)": [0.1268530015, 0.0007469701856, 0.2435196733],
    "KLDivLoss(reduction=sum, log_target=True, float64)": [38.38534766, 2.875326043, -10.69754023],
    "PoissonNLLLoss(float64)": [1.190534299, -0.006761644929],
    "PoissonNLLLoss(False, True, eps=0.1, float64)": [1.839756411, 0.4695096754],
    "GaussianNLLLoss(float64)": [0.9820061939, -0.6685872374, 0.6685872374, -5.117426904],
    "GaussianNLLLoss(full=True, eps=0.5, float64)": [
        0.9004794565,
        -0.01020471636,
        0.01020471636,
        -0.2613455563,
    ],
    "HingeEmbeddingLoss(1.5, float64)": [0.2806284894, -0.1344984514],
    "TripletMarginLoss(float64)": [1.184248755, -0.1221682355, 0.09979706197, 0.02237117349],
    "TripletMarginLoss(2.0, 1.0, 0.001, True, float64)": [
        2.097430118,
        -0.4548526129,
        0.2995832024,
        0.1552694105,
    ],
    "CosineEmbeddingLoss(0.2, float64)": [0.2022315755, -0.03592496994, 0.09550484612],
    "MarginRankingLoss(0.5, reduction=none, float64)": [-0.7431413755, 0.185413978, -0.185413978],
}

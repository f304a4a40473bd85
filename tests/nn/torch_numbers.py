"""Layers beside PyTorch's: how to call each, and one number for each of its results there.

`observed` fills a layer and its input with cosines, and projects output and gradients onto others.
The numbers in `CASES` are what PyTorch 2.13 gave for its own layers, in float64; where torch is
installed, tests/nn/test_convolution_torch.py compares every entry instead.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import gradlite as gl
from gradlite import nn


def wave(shape: tuple[int, ...], step: float, phase: float = 0.0) -> np.ndarray:
    return np.cos(step * np.arange(np.prod(shape, dtype=int)) + phase).reshape(shape)


def filled(state: dict[str, Any]) -> dict[str, np.ndarray]:
    """Return new values for a state; variances stay positive, counts as they are."""
    return {
        name: np.asarray(array) if "num" in name else
        wave(np.shape(array), 1.3, i) * 0.4 + (0.6 if "var" in name else 0.0)
        for i, (name, array) in enumerate(state.items())
    }  # fmt: skip


def make(namespace: Any, call: str) -> Any:
    """Make the layer that a call means in this namespace."""
    return eval(call, dict(vars(namespace)))


def observed(call: str, shape: tuple[int, ...]) -> list[float]:
    """Return the projections of output, gradient by the input, gradients by the parameters."""
    layer = make(nn, call).astype(float)
    layer.load_state_dict(filled(layer.state_dict()))
    x = gl.Tensor(wave(shape, 0.7), requires_grad=True)
    y = layer(x)
    y.backward(wave(y.shape, 0.3))
    results = [y.data, x.grad, *(p.grad for p in layer.parameters())]
    return [float((wave(a.shape, 0.5, 1.0) * a).sum()) for a in results]


Case = tuple[str, tuple[int, ...], list[float]]
CONVOLUTION: list[Case] = [
    (
        "Conv1d(2, 4, 3, 2, 1, 1, 2)",
        (3, 2, 7),
        [-0.670116648, -1.0607826167, -1.9301704969, 4.1490691779],
    ),
    ("Conv1d(2, 3, 3)", (2, 7), [-1.2822628461, 0.8301189232, -0.7329742085, 3.5733685164]),
    (
        "Conv2d(2, 4, (3, 2), (1, 2), (0, 1))",
        (2, 2, 5, 6),
        [0.2914690779, -0.0753793887, 1.4111427649, -4.3536902221],
    ),
    (
        "Conv2d(2, 3, 3, 1, 'same', 2)",
        (2, 5, 6),
        [-0.9269683144, -0.8862548359, -7.7791054507, -1.6235922887],
    ),
    (
        "Conv2d(2, 3, 3, padding=(1, 2), padding_mode='reflect')",
        (2, 2, 4, 5),
        [29.5471225415, -18.870289708, 3.0299602043, 0.7147664712],
    ),
    (
        "Conv2d(2, 3, 3, 2, 2, padding_mode='replicate')",
        (2, 2, 4, 5),
        [0.1292581941, 4.9684284911, -5.4181394291, 3.4079907964],
    ),
    (
        "Conv2d(2, 3, 3, padding='same', padding_mode='circular')",
        (2, 4, 5),
        [4.206862848, -1.5367193314, -0.0107531171, -0.2877525728],
    ),
    (
        "Conv1d(2, 3, 5, padding='same', padding_mode='reflect')",
        (2, 2, 6),
        [-0.5137220644, -0.1143851779, -1.815611772, 7.3763510381],
    ),
    (
        "Conv1d(2, 3, 2, padding='same', padding_mode='replicate')",
        (2, 2, 6),
        [-0.4745577618, 2.557796811, -0.8927255004, 7.3763510381],
    ),
    (
        "Conv2d(32, 5, 3, 1, 1)",
        (2, 32, 4, 5),
        [-1.8549055549, -0.0020899731, 72.2795852697, -1.517203226],
    ),
    (
        "Conv2d(48, 4, (2, 3), 2, 1, groups=2)",
        (2, 48, 5, 6),
        [-3.8609706012, 5.5368205742, 16.2574147299, 4.3060066079],
    ),
    (
        "Conv1d(40, 3, 3, 2, 2, 2)",
        (2, 40, 9),
        [-3.2873951866, -6.929857164, -0.7760648141, 5.2737882359],
    ),
    (
        "ConvTranspose1d(2, 3, 4, 2, 1)",
        (2, 2, 5),
        [7.5274470392, -0.2189505834, -2.8242722009, -0.3297301807],
    ),
    (
        "ConvTranspose1d(4, 6, 3, 3, 2, 1, 2, False, 2)",
        (4, 5),
        [-0.098388359, 0.2420491961, -10.2373709326],
    ),
    (
        "ConvTranspose2d(2, 3, 3)",
        (2, 2, 4, 3),
        [-1.7608160197, 0.1137946511, 8.0430421212, -3.083201004],
    ),
    (
        "ConvTranspose2d(4, 6, (3, 2), (2, 3), (1, 0), (1, 2), 2)",
        (2, 4, 3, 4),
        [1.3103632474, 2.4710508436, -11.774019257, -1.9720627055],
    ),
    (
        "ConvTranspose2d(4, 24, 3, 2, 1, 1, dilation=2)",
        (4, 3, 4),
        [0.5224878577, -0.1356101725, -2.7917387543, -4.1079945396],
    ),
]
POOLING: list[Case] = [
    ("MaxPool1d(2)", (2, 2, 7), [-0.4269152727, -0.3393588953]),
    ("MaxPool1d(3, 2, 1, 1, False, True)", (2, 8), [-1.6236704123, 0.1235250995]),
    ("MaxPool2d(3, 2, 1, ceil_mode=True)", (2, 2, 6, 7), [3.4537510542, -1.1379526616]),
    ("MaxPool2d(2, 3, 1, 1, ceil_mode=True)", (2, 4, 6), [1.1429302256, -2.1550315448]),
    ("MaxPool2d(2, 2, dilation=2, ceil_mode=True)", (2, 2, 6, 7), [-3.0265346187, 1.4728389841]),
    ("AvgPool1d(2)", (2, 2, 7), [-0.3195271094, -1.5376657705]),
    ("AvgPool1d(3, 2, 1, True, False)", (2, 8), [-0.7499862679, -1.1315208177]),
    ("AvgPool2d(3, 2, 1, ceil_mode=True)", (2, 2, 6, 8), [-0.7784373611, -0.218555485]),
    (
        "AvgPool2d((2, 3), 2, 1, count_include_pad=False)",
        (2, 2, 5, 6),
        [0.2385247852, 1.8585091282],
    ),
    ("AvgPool2d(2, 3, 1, True, False)", (2, 4, 6), [1.506282436, -0.1854286926]),
    ("AdaptiveAvgPool1d(3)", (2, 2, 7), [-0.0828871699, -1.5570127526]),
    ("AdaptiveAvgPool2d((3, None))", (2, 2, 7, 4), [0.2453359324, -0.0512067753]),
    ("AdaptiveAvgPool2d(1)", (2, 3, 5), [-0.0055716024, -0.0916961093]),
    ("AdaptiveAvgPool2d((5, 3))", (1, 2, 4, 6), [-0.9882845005, -1.6884204701]),
    ("AdaptiveMaxPool1d(3)", (2, 7), [-1.1781650936, 0.3696559481]),
    ("AdaptiveMaxPool2d((3, None))", (2, 2, 7, 4), [-1.7090925827, 2.5634970572]),
    ("AdaptiveMaxPool2d((2, 5))", (2, 2, 6, 4), [0.3806800839, 0.2622802129]),
    ("Upsample(scale_factor=2)", (2, 2, 3, 4), [1.0370882878, 2.6679507248]),
    ("Upsample(7)", (2, 2, 3), [-1.1662167494, 10.2224574401]),
    ("Upsample((5, 6), mode='bilinear')", (2, 2, 3, 4), [-1.1192103077, -2.2116951919]),
    ("Upsample(scale_factor=2.5, mode='bilinear')", (2, 2, 3, 4), [3.5827831003, 3.1030913172]),
    (
        "Upsample(scale_factor=(2, 3), mode='bilinear', align_corners=True)",
        (2, 2, 3, 4),
        [-3.5562639971, -0.7227494736],
    ),
    ("Upsample(scale_factor=2, mode='linear')", (2, 2, 3), [-5.5735273436, 10.9030068363]),
    ("Upsample(scale_factor=1.7)", (2, 2, 3, 4), [-5.9191470439, -5.8452296417]),
    ("Upsample((2, 3), mode='bilinear')", (2, 2, 5, 4), [0.3477752636, -2.1399388511]),
    ("Unflatten(1, (2, -1))", (3, 6), [3.5540759135, -4.354505162]),
    ("Unflatten(-2, (2, 3))", (2, 6, 2), [0.3787442231, -3.180722141]),
    ("Flatten(0, 1)", (2, 3, 2), [4.8212379213, -3.1684058893]),
    ("Flatten(1, -2)", (2, 3, 2, 2), [0.3787442231, -3.180722141]),
]
NORMALIZATION: list[Case] = [
    ("BatchNorm1d(3)", (4, 3, 2), [-0.220759416, 0.4675955882, 4.1710228168, 0.3675049283]),
    ("BatchNorm2d(3)", (2, 3, 2, 4), [1.7919888866, 1.7651590303, 2.2826777639, -4.8465620903]),
    (
        "BatchNorm2d(3).eval()",
        (2, 3, 2, 4),
        [2.2511135646, 3.061132021, 2.0134441891, -4.8465620903],
    ),
    ("BatchNorm2d(2, 1e-3, None, False)", (2, 2, 3, 2), [-1.3027828762, -5.6992075355]),
    ("BatchNorm3d(2)", (2, 2, 2, 3, 2), [3.3583946333, -1.0859619838, 0.6470073428, -2.5398926799]),
    ("GroupNorm(2, 6)", (2, 6, 3), [-1.3770040869, -1.3278581734, -0.4733498693, 13.4557780369]),
    ("GroupNorm(3, 6, 1e-2, False)", (2, 6, 2, 2), [6.3668946955, 1.7300532328]),
    ("GroupNorm(2, 4)", (3, 4), [0.1144492401, -0.4685865246, 0.7636697022, 1.2069389221]),
    ("InstanceNorm1d(2)", (2, 2, 5), [7.1623695071, 0.0444242717]),
    (
        "InstanceNorm1d(2, affine=True)",
        (2, 5),
        [1.2830673474, -0.0124573871, 0.4996759278, 1.8711515884],
    ),
    (
        "InstanceNorm2d(3, 1e-2, 0.1, True)",
        (2, 3, 2, 3),
        [-0.6307102034, 0.5134262045, -0.8238276979, 7.3763510381],
    ),
    ("InstanceNorm2d(2)", (2, 3, 3), [5.0278627515, -4.8056782723]),
    ("RMSNorm(4)", (3, 4), [0.5317872527, 0.8692839196, 1.0040309364]),
    ("RMSNorm((2, 3), 1e-2)", (2, 2, 3), [0.8804597651, -0.6290025706, 4.4318889689]),
    ("RMSNorm(3, None, False)", (2, 2, 3), [6.5119302807, -1.0063994265]),
    ("LayerNorm((2, 3))", (2, 2, 3), [0.9793211454, -0.7497146832, 3.0435315539, 2.1189503372]),
]
CASES = [*CONVOLUTION, *POOLING, *NORMALIZATION]

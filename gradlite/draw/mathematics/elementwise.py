"""The formulas of elementwise functions, in Python's syntax, one number each.

`g` is dL/d of the result, which is y of one argument x, or z of several. At a corner or a step, the
formula gives the subgradient that the rule takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gradlite.draw.mathematics.entry import Elementwise, Entries

DENSITY = "$\\Phi$ is the standard normal distribution, $\\varphi$ its density."
NOTHING = "A step is flat: its slope is 0."


def unary(definition: str, x: str, *words: str, **params: str) -> Elementwise:
    """Write a function of one argument, y = f(x)."""
    return Elementwise("y", ("x",), definition, {"x": x}, words, params)


def binary(definition: str, x: str, y: str, *words: str) -> Elementwise:
    """Write a function of two arguments, z = f(x, y)."""
    return Elementwise("z", ("x", "y"), definition, {"x": x, "y": y}, words)


def extreme(name: str, relation: str) -> Elementwise:
    """Write a maximum or minimum; equal arguments get half each."""
    return binary(
        f"{name}(x, y)",
        f"g * ((x {relation} y) + 1 / 2 * (x == y))",
        f"g * ((y {relation} x) + 1 / 2 * (x == y))",
    )


ARITHMETIC: Entries = {
    "np.add": binary("x + y", "g", "g"),
    "np.subtract": binary("x - y", "g", "-g"),
    "np.multiply": binary("x * y", "g * y", "g * x"),
    "np.divide": binary("x / y", "g * (1 / y)", "-g * (x / y**2)"),
    "np.negative": unary("-x", "-g"),
    "np.positive": unary("x", "g"),
    "np.reciprocal": unary("1 / x", "-g * (1 / x**2)"),
    "np.square": unary("x**2", "g * 2 * x"),
    "np.remainder": binary("x - y * floor(x / y)", "g", "-g * floor(x / y)"),
    "np.fmod": binary("x - y * trunc(x / y)", "g", "-g * trunc(x / y)"),
    "np.power": binary(
        "x**y",
        "g * y * x**(y - 1)",
        "g * x**y * log(x)",
        "At $x = 0$, where the first is infinite for $0 < y < 1$: 0.",
    ),
    "np.sqrt": unary("sqrt(x)", "g * (1 / (2 * sqrt(x)))", "At 0, where it is infinite: 0."),
    "np.cbrt": unary("cbrt(x)", "g * (1 / (3 * y**2))"),
    "np.hypot": binary("sqrt(x**2 + y**2)", "g * (x / z)", "g * (y / z)"),
    "np.copy": unary("x", "g"),
    "gl.astype": unary("x", "g", "In the type of x."),
    "np.deg2rad": unary("pi / 180 * x", "g * (pi / 180)"),
    "np.radians": unary("pi / 180 * x", "g * (pi / 180)"),
    "np.rad2deg": unary("180 / pi * x", "g * (180 / pi)"),
    "np.degrees": unary("180 / pi * x", "g * (180 / pi)"),
}

EXPONENTIALS: Entries = {
    "np.exp": unary("exp(x)", "g * exp(x)"),
    "np.exp2": unary("2**x", "g * 2**x * log(2)"),
    "np.expm1": unary("exp(x) - 1", "g * exp(x)"),
    "np.log": unary("log(x)", "g * (1 / x)"),
    "np.log2": unary("log2(x)", "g * (1 / (x * log(2)))"),
    "np.log10": unary("log10(x)", "g * (1 / (x * log(10)))"),
    "np.log1p": unary("log(1 + x)", "g * (1 / (1 + x))"),
    "np.logaddexp": binary("log(exp(x) + exp(y))", "g * exp(x - z)", "g * exp(y - z)"),
    "np.logaddexp2": binary("log2(2**x + 2**y)", "g * 2**(x - z)", "g * 2**(y - z)"),
}

TRIGONOMETRY: Entries = {
    "np.sin": unary("sin(x)", "g * cos(x)"),
    "np.cos": unary("cos(x)", "-g * sin(x)"),
    "np.tan": unary("tan(x)", "g * (1 + y**2)"),
    "np.arcsin": unary("arcsin(x)", "g * (1 / sqrt(1 - x**2))"),
    "np.arccos": unary("arccos(x)", "-g * (1 / sqrt(1 - x**2))"),
    "np.arctan": unary("arctan(x)", "g * (1 / (1 + x**2))"),
    "np.sinh": unary("sinh(x)", "g * cosh(x)"),
    "np.cosh": unary("cosh(x)", "g * sinh(x)"),
    "np.tanh": unary("tanh(x)", "g * (1 - y**2)"),
    "np.arcsinh": unary("arsinh(x)", "g * (1 / sqrt(x**2 + 1))"),
    "np.arccosh": unary("arcosh(x)", "g * (1 / sqrt(x**2 - 1))"),
    "np.arctanh": unary("artanh(x)", "g * (1 / (1 - x**2))"),
    "np.arctan2": Elementwise(
        "z",
        ("y", "x"),
        "atan2(y, x)",
        {"y": "g * (x / (x**2 + y**2))", "x": "-g * (y / (x**2 + y**2))"},
    ),
    "np.sinc": unary(
        "sin(pi * x) / (pi * x)", "g * ((cos(pi * x) - y) / x)", "At 0: y is 1, its slope 0."
    ),
}

CORNERS: Entries = {
    "np.absolute": unary("abs(x)", "g * sign(x)", "At 0 the slope is taken as 0."),
    "np.fabs": unary("abs(x)", "g * sign(x)", "At 0 the slope is taken as 0."),
    "np.maximum": extreme("max", ">"),
    "np.fmax": extreme("max", ">"),
    "np.minimum": extreme("min", "<"),
    "np.fmin": extreme("min", "<"),
    "np.sign": unary("sign(x)", "0", NOTHING),
    "np.floor": unary("floor(x)", "0", NOTHING),
    "np.ceil": unary("ceil(x)", "0", NOTHING),
    "np.trunc": unary("trunc(x)", "0", NOTHING),
    "np.rint": unary("round(x)", "0", NOTHING),
    "np.round": unary("round(x)", "0", NOTHING),
    "np.around": unary("round(x)", "0", NOTHING),
    "np.floor_divide": binary("floor(x / y)", "0", "0", NOTHING),
    "np.nan_to_num": unary("x", "g * (abs(x) < inf)", "NaN and infinity become numbers."),
    "np.where": Elementwise(
        "z",
        ("c", "x", "y"),
        "x * indicator(c) + y * (1 - indicator(c))",
        {"x": "g * indicator(c)", "y": "g * (1 - indicator(c))"},
        ("[c] is 1 where the condition holds, and 0 elsewhere.",),
    ),
    "np.clip": Elementwise(
        "z",
        ("x", "a", "b"),
        "min(max(x, a), b)",
        {"x": "g * (x == z)", "a": "g * (x < z)", "b": "g * (x > z)"},
        ("Where $a > b$, so that $z = b$, all of it belongs to $b$.",),
    ),
}


def softplus(params: Mapping[str, Any]) -> Elementwise:
    """Write log(1 + exp(x)), with its parameters where they are given."""
    known = {name: name[0] for name in ("beta", "threshold") if name in params}
    bx = "b * x" if "beta" in known else "x"
    slope = f"sigmoid({bx})"
    words: tuple[str, ...] = ()
    if "threshold" in known:
        slope = f"max({slope}, ({bx} > t))"
        words = (f"Where ${bx.replace(' * ', '')} > t$, the result is x.",)
    over = " / b" if "beta" in known else ""
    return unary(f"log(1 + exp({bx})){over}", f"g * {slope}", *words, **known)


def gelu(params: Mapping[str, Any]) -> Elementwise:
    """Write x times the normal distribution, or its approximation."""
    if params.get("approximate", "none") == "none":
        return unary("x * Phi(x)", "g * (Phi(x) + x * phi(x))", DENSITY)
    s = "sigmoid(2 * sqrt(2 / pi) * (x + 0.044715 * x**3))"
    return unary(
        f"x * {s}",
        f"g * {s} * (1 + x * (1 - {s}) * 2 * sqrt(2 / pi) * (1 + 3 * 0.044715 * x**2))",
    )


ACTIVATIONS: Entries = {
    "gl.relu": unary("max(x, 0)", "g * (x > 0)"),
    "gl.leaky_relu": unary(
        "x * (x > 0) + a * x * (x <= 0)", "g * ((x > 0) + a * (x <= 0))", negative_slope="a"
    ),
    "gl.elu": unary(
        "x * (x > 0) + a * (exp(x) - 1) * (x <= 0)",
        "g * ((x > 0) + a * exp(x) * (x <= 0))",
        alpha="a",
    ),
    "gl.hardtanh": unary("min(max(x, a), b)", "g * (a < x) * (x < b)", min_val="a", max_val="b"),
    "gl.prelu": binary(
        "x * (x > 0) + y * x * (x <= 0)",
        "g * ((x > 0) + y * (x <= 0))",
        "g * x * (x <= 0)",
        "y is the weight.",
    ),
    "gl.sigmoid": unary("1 / (1 + exp(-x))", "g * y * (1 - y)"),
    "gl.softplus": softplus,
    "gl.silu": unary("x * sigmoid(x)", "g * sigmoid(x) * (1 + x * (1 - sigmoid(x)))"),
    "gl.erf": unary("erf(x)", "g * (2 / sqrt(pi)) * exp(-x**2)"),
    "gl.normal_cdf": unary("Phi(x)", "g * phi(x)", DENSITY),
    "gl.gelu": gelu,
}

ELEMENTWISE: Entries = {
    **ARITHMETIC, **EXPONENTIALS, **TRIGONOMETRY, **CORNERS, **ACTIVATIONS,
}  # fmt: skip

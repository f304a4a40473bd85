"""The formulas of losses: x is the prediction, t the target, n the number of losses averaged.

The derivative of a loss is its slope times the share that one element has in the result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gradlite.draw.mathematics.entry import Arraywise, Elementwise, Entries, Entry

Params = Mapping[str, Any]
Maker = Callable[[Params], Entry]

PROBABILITIES = "$p = \\operatorname{softmax}(x)$ along the last axis"


def shared(slope: str, params: Params) -> str:
    """Return dL/d of an argument, given the slope of the loss of one element."""
    mean = params.get("reduction", "mean") == "mean"
    if params.get("factor") is not None:
        return f"g * (w / n) * ({slope})" if mean else f"g * w * ({slope})"
    if not mean:
        return f"g * ({slope})"
    return f"g * (1 / n) * ({slope})" if "/" in slope else f"g * (({slope}) / n)"


def reduction(params: Params) -> str:
    """Write the reduction of single losses to the result in LaTeX."""
    weight = r"w \cdot " if params.get("factor") is not None else ""
    return {"mean": r"\frac{1}{n} \sum ", "sum": r"\sum ", "none": ""}[
        params.get("reduction", "mean")
    ] + weight


def loss(
    definition: str,
    *words: str,
    arguments: str = "xt",
    symbols: Params | None = None,
    **slopes: str,
) -> Maker:
    """Write a loss: its definition for one element, and its slope in each argument."""

    def entry(params: Params) -> Elementwise:
        return Elementwise(
            "y",
            tuple(arguments),
            definition,
            {name: shared(slope, params) for name, slope in slopes.items()},
            words,
            {**(symbols or {}), "factor": "w"},
            reduction(params),
        )

    return entry


def bce(params: Params) -> Entry:
    """Write binary cross-entropy, with the weight q of the positive class if there is one."""
    if params.get("pos_weight") is None:
        made = loss("log(1 + exp(x)) - t * x", x="sigmoid(x) - t", t="-x")
    else:
        made = loss(
            "(1 - t) * log(1 + exp(x)) + q * t * log(1 + exp(-x))",
            x="(1 - t) * sigmoid(x) - q * t * (1 - sigmoid(x))",
            t="(q - 1) * log(1 + exp(-x)) - x",
            symbols={"pos_weight": "q"},
        )
    return made(params)


def poisson(params: Params) -> Entry:
    """Write the Poisson loss of a rate, or of its logarithm."""
    stirling = " + (t > 1) * (log(t) + 1 / (2 * t))" if params.get("full") else ""
    if params.get("log_input", True):
        made = loss("exp(x) - t * x", x="exp(x) - t", t=f"-x{stirling}")
    else:
        rate = f"x + {params.get('eps', 1e-8):g}".replace("e-0", "e-")
        made = loss(f"x - t * log({rate})", x=f"1 - t / ({rate})", t=f"-log({rate}){stirling}")
    return made(params)


def kl(params: Params) -> Entry:
    """Write the Kullback-Leibler divergence from log-probabilities x."""
    if params.get("log_target"):
        made = loss("exp(t) * (t - x)", x="-exp(t)", t="exp(t) * (t - x + 1)")
    else:
        made = loss("t * (log(t) - x)", x="-t", t="log(t) - x + 1")
    return made(params)


def of_rows(
    definition: str, slopes: Mapping[str, str], *words: str, arguments: str = "xt"
) -> Maker:
    """Write a loss of rows in LaTeX, where `SHARE` is the weight of a row in the result."""

    def entry(params: Params) -> Arraywise:
        g = "g_i" if params.get("reduction") == "none" else "g"
        mean = params.get("reduction", "mean") == "mean"
        weighted = params.get("factor") is not None
        share = {
            (True, True): rf"{g} \cdot \frac{{w_i}}{{n}} \cdot",
            (True, False): rf"{g} \cdot \frac{{1}}{{n}} \cdot",
            (False, True): rf"{g} \cdot w_i \cdot",
            (False, False): rf"{g} \cdot",
        }[mean, weighted]
        total = reduction(params).replace(r"\sum", r"\sum_i").replace(r"w \cdot", r"w_i \cdot")
        return Arraywise(
            "y",
            tuple(arguments),
            ("y_i = " if g == "g_i" else "y = ") + total + definition,
            {name: slope.replace("SHARE", share) for name, slope in slopes.items()},
            words,
        )

    return entry


LOSSES: Entries = {
    "gl.mse": loss("(x - t)**2", x="2 * (x - t)", t="2 * (t - x)"),
    "gl.mae": loss("abs(x - t)", "At 0 the slope is taken as 0.", x="sign(x - t)", t="sign(t - x)"),
    "gl.huber": loss(
        "1 / 2 * d**2 * (abs(d) <= delta) + delta * (abs(d) - delta / 2) * (abs(d) > delta)",
        "with $d = x - t$",
        x="max(-delta, min(x - t, delta))",
        t="max(-delta, min(t - x, delta))",
        symbols={"delta": "delta"},
    ),
    "gl.quantile": loss(
        "(x - t) * ((x > t) - q)",
        "At 0 the slope is taken as 0.",
        x="(x > t) - q",
        t="q - (x > t)",
        symbols={"quantiles": "q"},
    ),
    "gl.poisson_nll": poisson,
    "gl.gaussian_nll": loss(
        "1 / 2 * (log(v) + (x - t)**2 / v)",
        "v is not below eps.",
        x="(x - t) / v",
        t="(t - x) / v",
        v="1 / 2 * (1 / v - (x - t)**2 / v**2)",
        arguments="xtv",
    ),
    "gl.kl_div": kl,
    "gl.bce_with_logits": bce,
    "gl.binary_cross_entropy": loss(
        "-t * log(x) - (1 - t) * log(1 - x)",
        "The logarithms are not below -100, and the divisor not below 1e-12.",
        x="(x - t) / (x * (1 - x))",
        t="log(1 - x) - log(x)",
    ),
    "gl.hinge": loss("max(0, 1 - t * x)", x="-t * (t * x < 1)"),
    "gl.cross_entropy": of_rows(
        r"\left( -\sum_j t_{ij} \ln p_{ij} \right)",
        {"x_{ij}": r"SHARE (p_{ij} - t_{ij})", "t_{ij}": r"SHARE (-\ln p_{ij})"},
        PROBABILITIES,
        "$t_{ij}$ is 1 for the class of row i, 0 elsewhere; or probabilities that sum to one.",
    ),
    "gl.multiclass_hinge": of_rows(
        r"\frac{1}{k} \sum_{j \ne t_i} \max(0, 1 + x_{ij} - x_{i t_i})",
        {"x_{ij}": r"SHARE \frac{1}{k} \cdot [x_{ij} > x_{i t_i} - 1]"},
        "for $j \\ne t_i$; the class $t_i$ itself gets minus the sum of these.",
    ),
}  # fmt: skip

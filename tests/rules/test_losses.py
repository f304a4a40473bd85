"""Losses as operations: what `loss` makes of the vjps of single elements."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

import gradlite as gl
from gradlite.autodiff.rule import RULES
from gradlite.autodiff.rules import class_losses, losses
from gradlite.draw.boxes import roles
from gradlite.draw.formulas import formulas
from gradlite.errors import MissingRuleError
from tests.helpers import leaves

X, T, V = np.array([0.5, -1.0]), np.array([1.0, 2.0]), np.array([1.0, 4.0])
LOGITS, CLASSES = np.array([[0.5, -1.0], [2.0, 0.0]]), np.array([0, 1])


@pytest.mark.parametrize(
    ("loss", "arrays", "arguments", "options"),
    [
        (losses.mse, (X, T), "x t", ""),
        (losses.huber, (X, T), "x t", "delta"),
        (losses.poisson_nll, (X, T), "x t", "log_input full eps"),
        (losses.gaussian_nll, (X, T, V), "x t var", "full eps"),
        (class_losses.cross_entropy, (LOGITS, CLASSES), "logits target", ""),
        (losses.hinge, (X, np.array([1.0, -1.0])), "x t", ""),
    ],
)
def test_a_loss_shows_its_own_arguments_and_options(
    loss: Any, arrays: Any, arguments: str, options: str
) -> None:
    rule, common = RULES[loss], {"reduction", "factor"}
    assert rule.params == {*options.split(), *common}
    assert list(inspect.signature(loss).parameters)[len(arrays) :] == [
        *options.split(), "reduction", "factor",
    ]  # fmt: skip
    (x,) = leaves(arrays[0])
    assert roles(loss(x, *arrays[1:])._node) == arguments.split()
    assert [f.argument for f in formulas(rule)] == arguments.split()[: len(formulas(rule))]


def test_the_python_shown_is_the_vjp_of_one_element() -> None:
    assert [f.source for f in formulas(RULES[losses.mse])] == [
        "lambda g, d, x, t: 2.0 * g * d",
        "lambda g, d, x, t: -2.0 * g * d",
    ]


def test_an_option_of_another_loss_is_refused() -> None:
    for x, error in ((X, TypeError), (*leaves(X), MissingRuleError)):
        with pytest.raises(error, match="delta"):
            losses.mse(x, T, delta=2.0)


def test_a_loss_of_ones_own_takes_part_to_order_two() -> None:
    @losses.loss(
        lambda g, r, x, t, power=4: power * g * r, lambda g, r, x, t, power=4: -power * g * r
    )
    def power_error(prediction: Any, target: Any, power: int = 4) -> Any:
        r = (prediction - target) ** (power - 1)
        return r * (prediction - target), r

    try:
        for options in ({}, {"power": 6}, {"reduction": "sum", "factor": V}):
            f = lambda x, t, options=options: power_error(x, t, **options)
            gl.check_grads(f, (X, T), order=2)
        np.testing.assert_allclose(power_error(X, T), np.mean((X - T) ** 4))
    finally:
        del RULES[power_error]

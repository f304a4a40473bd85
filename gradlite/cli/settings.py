"""The parameters of the network: sensible defaults, and those given with ``--set``."""

from __future__ import annotations

import ast
import math
from collections.abc import Iterable
from typing import Any

import click

import gradlite
from gradlite.cli.model import ESTIMATOR_NAMES
from gradlite.cli.terminal import did_you_mean

DEFAULTS: dict[str, Any] = {
    "hidden_layer_sizes": (64, 32),
    "alpha": 0.3,
    "learning_rate_init": 0.003,
    "max_iter": 500,
    "early_stopping": True,
    "scoring": "loss",
    "n_iter_no_change": 20,
}
ELSEWHERE = {
    "random_state": "use --seed.",
    "verbose": "see --quiet.",
    "callbacks": "it takes objects of Python.",
    "warm_start": "every training starts from new weights.",
}
WORDS = {"none": None, "true": True, "false": False, "inf": math.inf}


def make_network(
    task: str, rows: int, seed: int, given: Iterable[str]
) -> tuple[Any, dict[str, Any]]:
    """Return the estimator for a task.

    Parameters
    ----------
    task : {'classification', 'regression'}
        The task.
    rows : int
        The number of rows to train on.
    seed : int
        The seed of weights, batches and validation rows.
    given : iterable of str
        Parameters as ``name=value``, which override the defaults.

    Returns
    -------
    network : MLPClassifier or MLPRegressor
        The estimator, not fitted.
    settings : dict
        The parameters that were chosen.

    Raises
    ------
    UsageError
        If a parameter does not exist, or does not take the given value.

    Examples
    --------
    >>> network, _ = make_network("regression", 100, 0, ["hidden_layer_sizes=8,4", "alpha=1e-3"])
    >>> network.hidden_layer_sizes, network.alpha
    ((8, 4), 0.001)
    """
    network = getattr(gradlite, ESTIMATOR_NAMES[task])()
    settings = {
        **DEFAULTS,
        "batch_size": min(max(16, rows // 40), 256),
        "standardize": task == "regression",  # its target, that is: the inputs are already
        **dict(parameter(text, network.get_params()) for text in given),
        "random_state": seed,
    }
    network.set_params(**settings)
    try:
        network._validate_params()
    except ValueError as error:
        raise click.UsageError(f"--set: {error}") from error
    return network, settings


def parameter(text: str, known: Iterable[str]) -> tuple[str, Any]:
    """Return the name and the value of ``name=value``.

    Examples
    --------
    >>> parameter("solver=lbfgs", ["solver"])
    ('solver', 'lbfgs')
    """
    name, equals, value = text.partition("=")
    name = name.strip()
    if not equals:
        raise click.UsageError(
            f"--set {text}: a parameter is set as NAME=VALUE, such as hidden_layer_sizes=64,32."
        )
    if name in ELSEWHERE:
        raise click.UsageError(f"--set {name}: {ELSEWHERE[name]}")
    if name not in known:
        others = sorted(set(known) - set(ELSEWHERE))
        hint = did_you_mean(name, others) or f" There are {', '.join(others)}."
        raise click.UsageError(f"--set {name}: the network has no such parameter.{hint}")
    return name, read_value(value.strip())


def read_value(text: str) -> Any:
    """Return a value written as a Python literal; other text is a string.

    Examples
    --------
    >>> [read_value(text) for text in ("64,32", "1e-3", "none", "tanh")]
    [(64, 32), 0.001, None, 'tanh']
    """
    if text.lower() in WORDS:
        return WORDS[text.lower()]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text

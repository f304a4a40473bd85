"""``--set``: how values are read, and that wrong ones are refused in words."""

import math

import click
import pytest

from gradlite.cli.settings import make_network, read_value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("64,32", (64, 32)),
        ("64", 64),
        ("(64,)", (64,)),
        ("1e-3", 1e-3),
        ("None", None),
        ("none", None),
        ("TRUE", True),
        ("false", False),
        ("inf", math.inf),
        ("tanh", "tanh"),
        ("'tanh'", "tanh"),
        ("['relu', 'tanh']", ["relu", "tanh"]),
        ("{'yes': 2.0}", {"yes": 2.0}),
        ("__import__('os')", "__import__('os')"),
    ],
)
def test_values_are_read_as_python_writes_them(text, value):
    assert read_value(text) == value
    assert type(read_value(text)) is type(value)


def test_given_parameters_go_before_the_defaults():
    network, settings = make_network("classification", 4000, 3, ["alpha=1", "max_iter = 7"])
    assert type(network).__name__ == "MLPClassifier"
    for values in (network.get_params(), settings):
        assert values["alpha"] == 1
        assert values["max_iter"] == 7
        assert values["early_stopping"] is True
        assert values["random_state"] == 3
        assert values["batch_size"] == 100


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("alpha", "NAME=VALUE, such as hidden_layer_sizes=64,32"),
        ("alhpa=1", "no such parameter. Did you mean 'alpha'?"),
        ("zzz=1", "There are activation, alpha, "),
        ("alpha=-1", "'alpha' parameter of MLPRegressor must be a float in the range"),
        ("solver=adm", "must be a str among"),
        ("random_state=1", "use --seed"),
        ("callbacks=1", "it takes objects of Python"),
    ],
)
def test_wrong_settings_are_usage_errors(text, words):
    with pytest.raises(click.UsageError) as caught:
        make_network("regression", 100, 0, [text])
    assert words in caught.value.message

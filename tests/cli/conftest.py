"""The command line in this process, and a table such as people have."""

import numpy as np
import pandas as pd
import pytest

from gradlite.__main__ import main


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The folder that the test runs in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def command(folder, capsys):
    """Run commands: gives the exit code, stdout and stderr."""

    def run(*args):
        code = main([str(arg) for arg in args])
        output = capsys.readouterr()
        return code, output.out, output.err

    return run


@pytest.fixture
def write(folder):
    """Write a file into that folder."""

    def write(name, text):
        data = text if isinstance(text, bytes) else text.encode()
        (folder / name).write_bytes(data)
        return name

    return write


@pytest.fixture(scope="session")
def flats():
    """Prices of flats, with strings, dates, gaps, a grouped number and columns that say nothing."""
    rng = np.random.default_rng(0)
    n = 300
    city = rng.choice(["Bern", "Genève", "Zürich"], n)
    area = rng.uniform(20, 200, n).round(1)
    built = pd.Timestamp("2000-01-01") + pd.to_timedelta(rng.integers(0, 8000, n), "D")
    price = 40 * area + 2000 * (city == "Zürich") + rng.normal(0, 100, n)
    table = pd.DataFrame(
        {
            "id": np.arange(1, n + 1),
            "city": city,
            "area": area.astype(str),
            "built": built.strftime("%d.%m.%Y"),
            "country": "CH",
            "comment": [f"flat {x}" for x in rng.permutation(10 * n)[:n]],
            "price": [f"{p:,.0f}" for p in price],
        }
    )
    for name in ("city", "area", "built", "price"):
        table.loc[rng.random(n) < 0.05, name] = ""
    table.loc[7, "area"] = "large"
    return table


FAST = ("--set", "max_iter=30", "--set", "hidden_layer_sizes=16", "--quiet")


@pytest.fixture(scope="session")
def trained(tmp_path_factory, flats):
    """A folder with flats.csv and the model flats.gl of it."""
    folder = tmp_path_factory.mktemp("trained")
    flats.to_csv(folder / "flats.csv", index=False)
    data, out = str(folder / "flats.csv"), str(folder / "flats")
    assert main(["train", data, "--target", "price", "--out", out, *FAST]) == 0
    return folder

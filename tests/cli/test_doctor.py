"""The doctor: versions, the BLAS library, the speed of a product, and the extras."""

import itertools
import re
import tomllib
from pathlib import Path

import pytest

from gradlite.cli import doctor
from gradlite.cli.app import command_line

ROOT = Path(__file__).parents[2]
OPENBLAS = {
    "user_api": "blas", "internal_api": "openblas", "version": "0.3.31", "num_threads": 4,
    "architecture": "Haswell", "filepath": "/lib/numpy.libs/libscipy_openblas64_.so",
}  # fmt: skip
MKL = {
    "user_api": "blas", "internal_api": "mkl", "version": "2025.1", "num_threads": 8,
    "filepath": "/conda/lib/libmkl_rt.so.2",
}  # fmt: skip
OPENMP = {**MKL, "user_api": "openmp", "internal_api": "openmp", "version": None}


@pytest.fixture
def shown(monkeypatch, capsys):
    """Run the doctor quickly, with all lines on a wide terminal."""
    monkeypatch.setattr(doctor, "SIZE", 16)
    monkeypatch.setattr(doctor, "SECONDS", 0.01)
    monkeypatch.setenv("COLUMNS", "200")

    def run():
        assert command_line(["doctor"]) == 0
        out, err = capsys.readouterr()
        assert err == ""
        return out

    return run


def test_it_runs_here(shown):
    out = shown()
    for expected in ("python", "numpy", "BLAS", "threads", "GFLOP/s", "safetensors"):
        assert expected in out


@pytest.mark.parametrize(
    ("loaded", "lines"),
    [
        ([OPENBLAS], ["openblas 0.3.31 Haswell, 4 threads (numpy.libs)"]),
        ([OPENMP, MKL], ["mkl 2025.1, 8 threads (lib)"]),
        ([MKL, OPENBLAS], ["mkl 2025.1", "openblas 0.3.31"]),
        ([OPENMP], ["none that threadpoolctl knows"]),
        ([], ["none that threadpoolctl knows"]),
    ],
)
def test_libraries_are_shown_as_threadpoolctl_finds_them(monkeypatch, shown, loaded, lines):
    monkeypatch.setattr(doctor, "threadpool_info", lambda: loaded)
    rows = [row for row in shown().splitlines() if "BLAS" in row]
    assert len(rows) == len(lines)
    assert all(line in row for row, line in zip(rows, lines, strict=True))


def test_the_fastest_product_counts(monkeypatch):
    monkeypatch.setattr(doctor, "SIZE", 100)
    monkeypatch.setattr(doctor, "SECONDS", 1.0)
    ticks = itertools.accumulate([0.0, 0.0, 0.5, 0.0, 0.1, 1.0])  # takes 0.5 s, then 0.1 s
    monkeypatch.setattr(doctor, "perf_counter", lambda: next(ticks))
    assert doctor.gflops() == pytest.approx(2 * 100**3 / 0.1 / 1e9)


def test_an_extra_that_is_missing_comes_with_its_command(monkeypatch, shown):
    assert "pip install" not in shown()
    monkeypatch.setattr(doctor, "find_spec", lambda name: None if name == "pygraphviz" else name)
    out = shown()
    assert re.findall(r"pip install '[^']*'", out) == [
        "pip install 'gradlite[viz]'",
        "pip install 'gradlite[cli]'",
    ]
    assert out.count("installed") == 2


def packages(offered, extra):
    """Name what an extra brings, those of other extras in it included."""
    for line in offered[extra]:
        name, extras = re.match(r"([\w-]+)(?:\[([\w,]+)\])?", line).groups()
        if name != "gradlite":
            yield name
        else:
            for other in extras.split(","):
                yield from packages(offered, other)


def test_the_extras_are_those_of_the_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    offered = project["optional-dependencies"]
    for_users = offered.keys() - {"test", "dev", "bench", "docs"}
    assert {extra: set(known) for extra, (_, known) in doctor.EXTRAS.items()} == {
        extra: set(packages(offered, extra)) for extra in for_users
    }

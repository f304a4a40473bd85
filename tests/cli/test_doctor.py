"""The doctor: what it concludes from CPUs and libraries of all kinds, and that it runs here."""

import platform
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from gradlite.cli import doctor
from gradlite.cli.app import command_line
from gradlite.cli.doctor import AVX512, Blas, Cpu

ROOT = Path(__file__).parents[2]
HASWELL = Blas("openblas", "0.3.31", "Haswell", 2)
AVX2 = frozenset({"avx", "avx2", "fma"})


@pytest.mark.parametrize(
    ("flags", "blas", "better"),
    [
        (AVX2 | AVX512, HASWELL, "SkylakeX"),
        (AVX2 | AVX512, Blas("openblas", kernel="Zen"), "SkylakeX"),
        (AVX2 | AVX512, Blas("openblas", kernel="Prescott"), "SkylakeX"),
        (AVX2 | AVX512, Blas("openblas", kernel="SkylakeX"), None),
        (AVX2 | AVX512, Blas("openblas", kernel="SapphireRapids"), None),
        (AVX2 | AVX512 - {"avx512vl"}, HASWELL, None),  # such as Knights Landing
        (AVX2, HASWELL, None),
        (frozenset(), HASWELL, None),  # no /proc/cpuinfo
        (AVX2 | AVX512, Blas("mkl"), None),
        (AVX2 | AVX512, Blas("openblas"), None),  # an old threadpoolctl: no kernel
        (frozenset({"asimd", "sve"}), Blas("openblas", kernel="neoversev1"), None),
    ],
)
def test_a_better_kernel_is_named_where_there_may_be_one(flags, blas, better):
    assert doctor.better_kernel(flags, blas) == better


@pytest.mark.parametrize(
    ("flags", "blas", "says"),
    [
        (AVX2, HASWELL, "The kernel in use, Haswell, suits this CPU."),
        (frozenset(), HASWELL, "unknown"),
        (AVX2, Blas("scipy-openblas"), "unknown"),
        (AVX2, Blas(), "unknown"),
        (frozenset(), Blas("accelerate"), "accelerate chooses its kernels itself."),
    ],
)
def test_where_there_is_none_it_says_so(flags, blas, says):
    assert says in doctor.judge(flags, blas)


def test_advice_is_given_only_if_it_pays():
    assert "nothing to gain" in doctor.advise("SkylakeX", 1.05)
    assert "OPENBLAS_CORETYPE" not in doctor.advise("SkylakeX", 1.05)
    advice = doctor.advise("SkylakeX", 1.8)
    assert "1.80 times as fast" in advice
    assert advice.endswith("OPENBLAS_CORETYPE=SkylakeX")


def test_one_rate_out_of_line_does_not_decide():
    rates = dict.fromkeys("abcd", 10.0)
    others = {"a": 18.0, "b": 18.0, "c": 18.0, "d": 1.0}
    assert doctor.how_much_faster(rates, others) == 1.8


@pytest.mark.parametrize(
    ("text", "cpu"),
    [
        (
            "processor\t: 0\nmodel name\t: AMD EPYC: 9B14\nflags\t\t: fpu avx2\n\n"
            "processor\t: 1\nmodel name\t: another\nflags\t\t: fpu\n",
            Cpu("AMD EPYC: 9B14", frozenset({"fpu", "avx2"})),
        ),
        ("processor\t: 0\nFeatures\t: fp asimd\n", Cpu(flags=frozenset({"fp", "asimd"}))),
        ("", Cpu()),
    ],
)
def test_the_cpu_is_read(text, cpu):
    assert doctor.read_cpu(text) == cpu


def test_a_system_that_tells_nothing_about_its_cpu(monkeypatch):
    def refuse(*args, **kwargs):
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", refuse)
    monkeypatch.setattr(subprocess, "run", refuse)
    monkeypatch.setattr(doctor.platform, "processor", lambda: "")
    assert doctor.find_cpu() == Cpu("unknown", frozenset())


SCIPYS = {
    "user_api": "blas", "internal_api": "openblas", "version": "0.3.30", "num_threads": 4,
    "architecture": "Haswell", "filepath": "/lib/scipy.libs/libscipy_openblas.so",
}  # fmt: skip
NUMPYS = {**SCIPYS, "version": "0.3.31", "filepath": "/lib/numpy.libs/libscipy_openblas64_.so"}
MKL = {
    "user_api": "blas", "internal_api": "mkl", "version": "2025.1", "num_threads": 8,
    "filepath": "/conda/lib/libmkl_rt.so.2", "threading_layer": "intel",
}  # fmt: skip
OPENMP = {"user_api": "openmp", "internal_api": "openmp", "num_threads": 8, "version": None}


@pytest.mark.parametrize(
    ("loaded", "built", "blas"),
    [
        ([OPENMP, SCIPYS, NUMPYS], {}, Blas("openblas", "0.3.31", "Haswell", 4)),
        ([OPENMP, MKL], {}, Blas("mkl", "2025.1", "unknown", 8)),
        ([OPENMP], {"name": "accelerate", "version": "unknown"}, Blas("accelerate")),
        ([], {}, Blas()),
    ],
)
def test_the_blas_of_numpy_is_found(loaded, built, blas):
    assert doctor.read_blas(loaded, built) == blas


def test_it_runs_here(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "SIZE", 16)
    monkeypatch.setattr(doctor, "SECONDS", 0.01)
    monkeypatch.setattr(doctor, "measure_with", lambda kernel: None)
    assert command_line(["doctor"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    for expected in ("python", "numpy", "BLAS", "kernel", "float32, one thread", "safetensors"):
        assert expected in out


def test_another_kernel_is_measured_and_recommended(monkeypatch, capsys):
    slow = {"float32, one thread": 10.0, "float64, one thread": 5.0}
    fast = {"float32, one thread": 20.0, "float64, one thread": 10.0}
    monkeypatch.setattr(doctor, "find_cpu", lambda: Cpu("Some CPU", AVX2 | AVX512))
    monkeypatch.setattr(doctor, "find_blas", lambda: HASWELL)
    monkeypatch.setattr(doctor, "measure", lambda: slow)
    monkeypatch.setattr(doctor, "measure_with", {"SkylakeX": fast}.get)
    assert command_line(["doctor"]) == 0
    out = capsys.readouterr().out
    assert "OPENBLAS_CORETYPE=SkylakeX" in out
    assert "2.00" in out
    monkeypatch.setattr(doctor, "measure_with", lambda kernel: None)
    assert command_line(["doctor"]) == 0
    assert "did not run here" in capsys.readouterr().out


def test_another_kernel_is_measured_in_a_process_of_its_own():
    known = doctor.find_blas()
    if known.name != "openblas" or platform.machine() not in ("x86_64", "AMD64"):
        pytest.skip("OpenBLAS lets its kernel be chosen; Sandy Bridge's runs on most of these CPUs")
    rates = doctor.measure_with("Sandybridge", seconds=0.01)
    assert rates.keys() == doctor.measure(0.01).keys()
    assert min(rates.values()) > 0
    assert doctor.measure_with("No such kernel", seconds=0.01) is None


def test_a_measurement_that_fails_gives_nothing(monkeypatch):
    monkeypatch.setattr(doctor.sys, "executable", "/no such python")
    assert doctor.measure_with("SkylakeX") is None


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

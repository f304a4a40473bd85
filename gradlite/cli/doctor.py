"""``gradlite doctor``: what gradlite runs on here, how fast that is, and what would be faster.

Nearly all the time of training goes into matrix products, which NumPy leaves to a BLAS library. It
has kernels for several kinds of CPU and picks one when it is loaded. OpenBLAS does not know
every CPU, and takes kernels for AVX2 on some that have AVX-512.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.table import Column, Table
from threadpoolctl import threadpool_info, threadpool_limits

from gradlite.cli.report import versions

UNKNOWN = "unknown"

AVX512 = frozenset({"avx512f", "avx512dq", "avx512bw", "avx512vl", "avx512cd"})
AVX512_KERNEL = "SkylakeX"  # needs these and no more
AVX512_KERNELS = ("skylakex", "cooperlake", "sapphirerapids")
PAYS = 1.1  # less than a tenth is noise

SIZE = 768  # of the matrices: enough work for all threads, done often enough to be timed well
SECONDS = 0.25  # for each of up to four rates, and again with another kernel

EXTRAS = {
    "viz": ("pictures of graphs and of training", ("matplotlib", "pygraphviz")),
    "cli": (
        "the command line",
        ("click", "rich", "jinja2", "pandas", "pyarrow", "matplotlib", "pygraphviz"),
    ),
    "progress": ("a bar while fit runs", ("rich",)),
    "safetensors": ("files that other libraries read", ("safetensors",)),
}


# -- what is there ----------------------------------------------------------------------------


@dataclass
class Cpu:
    """A processor: its name, and the names of what it can do (empty where that is unknown)."""

    model: str = UNKNOWN
    flags: frozenset[str] = frozenset()


@dataclass
class Blas:
    """The library for matrix products: its name, version, kernel and threads."""

    name: str = UNKNOWN
    version: str = UNKNOWN
    kernel: str = UNKNOWN
    threads: int | None = None


def read_cpu(text: str) -> Cpu:
    r"""Read the first processor in Linux's /proc/cpuinfo.

    Examples
    --------
    >>> read_cpu("model name : Some CPU @ 3 GHz\nflags : fpu avx2 avx512f\n").model
    'Some CPU @ 3 GHz'
    """
    facts: dict[str, str] = {}
    for line in text.splitlines():
        key, _, value = line.partition(":")
        facts.setdefault(key.strip().lower(), value.strip())
    flags = facts.get("flags") or facts.get("features") or ""  # Arm says Features
    return Cpu(facts.get("model name") or UNKNOWN, frozenset(flags.split()))


def find_cpu() -> Cpu:
    """Find out about the processor, as far as the system tells."""
    try:
        cpu = read_cpu(Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace"))
    except OSError:
        cpu = Cpu()
    if cpu.model == UNKNOWN:
        cpu.model = named_by_macos() or platform.processor() or UNKNOWN
    return cpu


def named_by_macos() -> str:
    """Ask macOS for the name of the processor; elsewhere there is no answer."""
    command = ["sysctl", "-n", "machdep.cpu.brand_string"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def find_blas() -> Blas:
    """Find the library that NumPy multiplies matrices with."""
    built = np.show_config(mode="dicts") or {}
    return read_blas(threadpool_info(), built.get("Build Dependencies", {}).get("blas", {}))


def read_blas(loaded: list[dict[str, Any]], built: Mapping[str, Any]) -> Blas:
    """Tell NumPy's BLAS among the loaded libraries; else it is what NumPy was built with.

    Parameters
    ----------
    loaded : list of dict
        What threadpoolctl finds. (It does not see Apple's Accelerate.)
    built : mapping
        What NumPy says of its own build.
    """
    found = [library for library in loaded if library.get("user_api") == "blas"]
    if not found:
        return Blas(str(built.get("name") or UNKNOWN), str(built.get("version") or UNKNOWN))
    own = next((library for library in found if "numpy" in str(library.get("filepath"))), found[0])
    return Blas(
        str(own.get("internal_api") or UNKNOWN),
        str(own.get("version") or UNKNOWN),
        str(own.get("architecture") or UNKNOWN),
        own.get("num_threads"),
    )


# -- the judgement ----------------------------------------------------------------------------


def better_kernel(flags: frozenset[str], blas: Blas) -> str | None:
    """Name a kernel of the library that the CPU can run and that may be faster, or None.

    Examples
    --------
    >>> better_kernel(AVX512, Blas("openblas", kernel="Haswell"))
    'SkylakeX'
    >>> better_kernel(frozenset({"avx2"}), Blas("openblas", kernel="Haswell"))
    """
    if "openblas" not in blas.name or blas.kernel == UNKNOWN or not flags >= AVX512:
        return None
    return None if blas.kernel.lower() in AVX512_KERNELS else AVX512_KERNEL


def judge(flags: frozenset[str], blas: Blas) -> str:
    """Say whether the kernel in use is the right one, where no better one is known."""
    if blas.name != UNKNOWN and "openblas" not in blas.name:
        return f"{blas.name} chooses its kernels itself."
    if not flags or blas.kernel == UNKNOWN:
        return "Whether another kernel would be faster is unknown here."
    return f"The kernel in use, {blas.kernel}, suits this CPU."


def advise(kernel: str, ratio: float) -> str:
    """Say whether another kernel pays, by how many times as fast it was.

    Examples
    --------
    >>> advise("SkylakeX", 1.02)
    'The SkylakeX kernel is 1.02 times as fast as the one in use: there is nothing to gain.'
    """
    measured = f"The {kernel} kernel is {ratio:.2f} times as fast as the one in use"
    if ratio < PAYS:
        return f"{measured}: there is nothing to gain."
    set_it = "set" if sys.platform == "win32" else "export"
    return f"{measured}. Take it, before Python starts: {set_it} OPENBLAS_CORETYPE={kernel}"


# -- the measurement --------------------------------------------------------------------------

Rates = dict[str, float]


def measure(seconds: float = SECONDS) -> Rates:
    """Measure GFLOP/s of matrix products in two precisions, with one thread and with all."""
    several = (find_blas().threads or os.cpu_count() or 1) > 1
    rates = {}
    for dtype in (np.float32, np.float64):
        a = np.random.default_rng(0).normal(size=(SIZE, SIZE)).astype(dtype)
        name = np.dtype(dtype).name
        with threadpool_limits(1, user_api="blas"):
            rates[f"{name}, one thread"] = rate(a, seconds)
        if several:
            rates[f"{name}, all threads"] = rate(a, seconds)
    return rates


def rate(a: np.ndarray, seconds: float) -> float:
    """Give the GFLOP/s of the fastest product of `a` with itself."""
    out = np.empty_like(a)
    end = time.perf_counter() + seconds
    fastest = np.inf
    while (start := time.perf_counter()) < end:
        np.matmul(a, a, out=out)
        fastest = min(fastest, time.perf_counter() - start)
    return float(2 * len(a) ** 3 / fastest / 1e9)


def measure_with(kernel: str, seconds: float = SECONDS) -> Rates | None:
    """Measure the same with another kernel of OpenBLAS, in a process of its own.

    Gives None where that cannot be done: OpenBLAS may have been built with one kernel alone.
    """
    code = (
        "import json; from gradlite.cli import doctor; "
        f"print(json.dumps([doctor.find_blas().kernel, doctor.measure({seconds})]))"
    )
    try:
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "OPENBLAS_CORETYPE": kernel},
            capture_output=True,
            timeout=60,
            check=True,
        )
        taken, rates = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    return rates if taken.lower() == kernel.lower() else None


def how_much_faster(rates: Rates, others: Rates) -> float:
    """Give the median of the ratios."""
    return median(others[name] / rates[name] for name in rates)


# -- what is shown ----------------------------------------------------------------------------


def place_table(cpu: Cpu, blas: Blas) -> Table:
    """Lay out what gradlite runs on."""
    table = Table("this machine", "")
    for name, version in versions().items():
        table.add_row(name, version)
    table.add_row("platform", platform.platform())
    table.add_row("CPU", f"{cpu.model}, {os.cpu_count() or UNKNOWN} cores")
    table.add_row("BLAS", f"{blas.name} {blas.version}")
    table.add_row("kernel", blas.kernel)
    table.add_row("threads", str(blas.threads or UNKNOWN))
    return table


def speed_table(rates: Rates, kernel: str | None = None, others: Rates | None = None) -> Table:
    """Lay out the rates, beside those with another kernel."""
    table = Table("matrix products, GFLOP/s", Column("in use", justify="right"))
    if others:
        table.add_column(str(kernel), justify="right")
        table.add_column("ratio", justify="right")
    for name, value in rates.items():
        beside = [f"{others[name]:.0f}", f"{others[name] / value:.2f}"] if others else []
        table.add_row(name, f"{value:.0f}", *beside)
    return table


def extras_table() -> Table:
    """Lay out the optional parts."""
    table = Table("extra", "for", "")
    for extra, (purpose, packages) in EXTRAS.items():
        lacking = [package for package in packages if find_spec(package) is None]
        state = f"pip install 'gradlite[{extra}]'" if lacking else "installed"
        table.add_row(extra, purpose, state)
    return table


# -- the command ------------------------------------------------------------------------------


@click.command(
    short_help="Show what gradlite runs on here, and how fast that is.",
    epilog="Example: gradlite doctor",
)
def doctor() -> None:
    """Show what gradlite runs on here, how fast that is, and what would be faster.

    Versions, the processor, the library for matrix products with its kernel and threads, a
    measurement of two seconds, and the optional parts that are installed.
    """
    console = Console(highlight=False)
    cpu, blas = find_cpu(), find_blas()
    console.print(place_table(cpu, blas))
    kernel = better_kernel(cpu.flags, blas)
    with console.status("measuring matrix products"):
        rates = measure()
        others = measure_with(kernel) if kernel else None
    console.print(speed_table(rates, kernel, others))
    if kernel and others:
        verdict = advise(kernel, how_much_faster(rates, others))
    elif kernel:
        verdict = f"The {kernel} kernel may be faster than {blas.kernel}, but did not run here."
    else:
        verdict = judge(cpu.flags, blas)
    console.print(verdict, soft_wrap=True)
    console.print(extras_table())

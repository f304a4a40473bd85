"""``gradlite doctor``: versions, extras, and how fast this machine multiplies matrices.

Training spends nearly all its time in matrix products, which NumPy leaves to a BLAS library.
"""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_info

from gradlite.cli.report import versions
from gradlite.errors import printable

SIZE = 1024  # of the matrices: enough work for all threads
SECONDS = 0.25  # how long products are repeated; the fastest counts

EXTRAS = {
    "viz": ("pictures of graphs and of training", ("matplotlib", "pygraphviz", "latex2mathml")),
    "cli": (
        "the command line",
        (
            "click",
            "rich",
            "jinja2",
            "pandas",
            "pyarrow",
            "matplotlib",
            "pygraphviz",
            "latex2mathml",
        ),
    ),
    "progress": ("a bar while fit runs", ("rich",)),
    "safetensors": ("files that other libraries read", ("safetensors",)),
}


def describe(library: Mapping[str, Any]) -> str:
    """Return a description of a library found by threadpoolctl: version, kernel, threads, folder.

    Examples
    --------
    >>> path = "site-packages/numpy.libs/libscipy_openblas64_.so"
    >>> describe({"internal_api": "mkl", "version": "2025.1", "num_threads": 2, "filepath": path})
    'mkl 2025.1, 2 threads (numpy.libs)'
    """
    words = (library.get(key) for key in ("internal_api", "version", "architecture"))
    name = " ".join(str(word) for word in words if word)
    return f"{name}, {library['num_threads']} threads ({Path(library['filepath']).parent.name})"


def gflops() -> float:
    """Measure the GFLOP/s of a matrix product in float32, with all threads."""
    a = np.random.default_rng(0).random((SIZE, SIZE), np.float32)
    out = np.empty_like(a)
    fastest, end = math.inf, perf_counter() + SECONDS
    while (start := perf_counter()) < end:
        np.matmul(a, a, out=out)
        fastest = min(fastest, perf_counter() - start)
    return 2 * SIZE**3 / fastest / 1e9


def machine_table() -> Table:
    """Return a table of versions, libraries and the speed of a matrix product."""
    table = Table("this machine", "")
    for name, version in versions().items():
        table.add_row(name, version)
    table.add_row("platform", f"{platform.platform()}, {os.cpu_count()} cores")
    libraries = [library for library in threadpool_info() if library["user_api"] == "blas"]
    found = [printable(describe(library)) for library in libraries]
    for line in found or ["none that threadpoolctl knows"]:  # as Apple's Accelerate
        table.add_row("BLAS", line)
    table.add_row(f"{SIZE} x {SIZE} product, float32", f"{gflops():.0f} GFLOP/s")
    return table


def extras_table() -> Table:
    """Return a table of the extras: what each is for, and whether it is installed."""
    table = Table("extra", "for", "")
    for extra, (purpose, packages) in EXTRAS.items():
        missing = any(find_spec(package) is None for package in packages)
        state = f"pip install 'gradlite[{extra}]'" if missing else "installed"
        table.add_row(extra, purpose, state)
    return table


@click.command(
    short_help="Show versions, extras and the speed of matrix products here.",
    epilog="Example: gradlite doctor",
)
def doctor() -> None:
    """Show versions, extras and the speed of matrix products here.

    It lists the versions, the library for matrix products with its kernel and threads, the speed of
    one product, and the extras that are installed.
    """
    console = Console(highlight=False, markup=False)  # gradlite[viz] is not markup
    with console.status("measuring a matrix product"):
        machine = machine_table()
    console.print(machine, extras_table())

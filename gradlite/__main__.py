"""``gradlite`` and ``python -m gradlite``: the commands are in `gradlite.cli`."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line, and return its exit code.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments; those of the process by default.
    """
    argv = sys.argv[1:] if argv is None else argv
    if argv[:1] == ["run"]:
        is_module = argv[1:2] == ["-m"]
        program = argv[2:] if is_module else argv[1:]
        if program and not program[0].startswith("-"):
            from gradlite.scalar.run import run  # sooner, and without click

            return run(program[0], program[1:], is_module)
    try:
        from gradlite.cli.app import command_line
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("gradlite"):
            raise
        print(
            f"gradlite: error: the command line needs the package {error.name}: "
            f"pip install 'gradlite[cli]'. (`run script.py` works without it.)",
            file=sys.stderr,
        )
        return 1
    return command_line(argv)


if __name__ == "__main__":
    sys.exit(main())

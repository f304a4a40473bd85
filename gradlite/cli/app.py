"""The group of commands, and how each ends: with an exit code, and one line for an error."""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from importlib import import_module
from typing import TextIO

import click

import gradlite as package
from gradlite.cli.files import Terminated
from gradlite.cli.terminal import did_you_mean, say
from gradlite.errors import GradliteError, printable

COMMANDS = ("demo", "train", "predict", "export", "run", "doctor")


class Commands(click.Group):
    """The commands, each imported on first use. Options without a command belong to the demo."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command:
        """Import a command and return it."""
        if name == "run":
            return run
        if name not in COMMANDS:
            hint = did_you_mean(name, COMMANDS) or f" There are {', '.join(COMMANDS)}."
            raise click.UsageError(f"there is no command {name!r}.{hint}")
        command: click.Command = getattr(import_module(f"gradlite.cli.{name}"), name)
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments, as those of the demo if no command is named."""
        own = [name for option in self.get_params(ctx) for name in option.opts]
        if not args or (args[0].startswith("-") and args[0] not in own):
            args = ["demo", *args]
        return super().parse_args(ctx, args)


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Without a command, gradlite runs the demonstration, `gradlite demo`.\n\n"
    "Example: gradlite train houses.csv --target price",
)
@click.version_option(package.__version__, message="gradlite %(version)s")
def gradlite() -> None:
    """Train neural networks on your tables, and see what their predictions depend on."""


@click.command(
    context_settings={"allow_interspersed_args": False},  # what follows the script is the script's
    epilog="Example: gradlite run train.py --steps 100",
)
@click.option("-m", "module", is_flag=True, help="SCRIPT.py is the name of a module.")
@click.argument("script", metavar="SCRIPT.py")
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
def run(module: bool, script: str, args: tuple[str, ...]) -> int:
    """Run a program written for micrograd, on gradlite's scalar API.

    The program is a script, or a folder with a __main__.py. It runs as under plain Python, with
    gradlite's Value, Neuron, Layer and MLP in place of those that it imports from micrograd
    (micrograd.engine, micrograd.nn) or from its two-file version (modules engine and nn or
    neural_net, if missing or beside the script). A line on stderr says what was replaced. The
    program's own micrograd is not replaced if it has what the original lacks; the line says so.
    """
    from gradlite.scalar.run import run as run_program

    return run_program(script, args, module)


def command_line(argv: Sequence[str]) -> int:
    """Run one command, and return its exit code.

    Parameters
    ----------
    argv : sequence of str
        The command and its arguments.

    Returns
    -------
    int
        0 for success; 1 for a failure, after a line on stderr that says what to do; 2 for wrong
        arguments; 130 after Ctrl-C; 143 after SIGTERM; 141 if the reader of a pipe has closed it.

    Examples
    --------
    >>> command_line(["--version"])
    gradlite ...
    0
    """
    try:
        with warnings.catch_warnings():
            warnings.showwarning = in_one_line
            code = invoke(list(argv))
        sys.stdout.flush()
        return code
    except click.UsageError as error:
        hint = ""
        if isinstance(error, click.MissingParameter) and error.ctx is not None:
            hint = f" See {error.ctx.command_path} --help."
        say(f"error: {error.format_message()}{hint}")
        return error.exit_code
    except Terminated:
        say("terminated")
        return 143
    except (KeyboardInterrupt, click.Abort):
        say("interrupted")
        return 130
    except BrokenPipeError:  # discard what Python writes at exit
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.dup2(nowhere, sys.stderr.fileno())
        return 141
    except GradliteError as error:
        say(f"error: {error}")
    except OSError as error:
        place = "" if error.filename is None else f"{error.filename!r}: "
        say(f"error: {place}{error.strerror or error}")
    except MemoryError:
        say("error: there is not enough memory for this table: train on a part of it.")
    except Exception:  # a fault of gradlite; its text may come from a file
        click.echo("\n".join(map(printable, traceback.format_exc().splitlines())), err=True)
    return 1


def invoke(args: list[str]) -> int:
    """Run one command; errors are raised."""
    try:
        with gradlite.make_context("gradlite", args) as ctx:
            return gradlite.invoke(ctx) or 0
    except click.exceptions.Exit as end:  # --help and --version
        return end.exit_code


def in_one_line(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Show a warning in the form of the other messages."""
    say(f"warning: {message}")

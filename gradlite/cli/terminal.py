"""Messages of the commands: lines on stderr, as stdout is for results.

Text from files, paths and options passes through `gradlite.errors.printable` to a terminal.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

import click

from gradlite.errors import printable


def say(text: str) -> None:
    r"""Print one line on stderr, without control characters.

    Examples
    --------
    >>> import contextlib, sys
    >>> with contextlib.redirect_stderr(sys.stdout):
    ...     say("no column 'red\x1b[31m'\n in a.csv")
    gradlite: no column 'red\x1b[31m' in a.csv
    """
    click.echo(f"gradlite: {printable(' '.join(text.split()))}", err=True)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that was probably meant, or None.

    Examples
    --------
    >>> nearest("SIZE", ["price", "size"])
    'size'
    """
    by_lower = {other.lower(): other for other in known}
    near = get_close_matches(name.lower(), by_lower, 1)
    return by_lower[near[0]] if near else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the question at the end of an error, or '' if no known name is similar.

    Examples
    --------
    >>> did_you_mean("prise", ["price", "size"])
    " Did you mean 'price'?"
    """
    near = nearest(name, known)
    return f" Did you mean {near!r}?" if near else ""


def some(names: Iterable[object], most: int = 5) -> str:
    """Return the first few of some things, as a list in words.

    Examples
    --------
    >>> some("abc"), some("abcdefgh", most=3)
    ('a, b, c', 'a, b, c and 5 more')
    """
    shown = [str(name) for name in names]
    rest = len(shown) - most
    return ", ".join(shown[:most]) + (f" and {rest} more" if rest > 0 else "")


def plural(count: int, noun: str) -> str:
    """Return a number of things, in words.

    Examples
    --------
    >>> plural(1, "row"), plural(1234, "row"), plural(2, "category"), plural(3, "class")
    ('1 row', '1,234 rows', '2 categories', '3 classes')
    """
    if count == 1:
        return f"1 {noun}"
    if noun.endswith("y"):
        return f"{count:,} {noun[:-1]}ies"
    return f"{count:,} {noun}{'es' if noun.endswith('s') else 's'}"

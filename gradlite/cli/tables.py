"""Tables in files, read in chunks: CSV and TSV, also compressed with gzip, and Parquet.

The cells of a text file stay text here; `gradlite.cli.cells` interprets them. The index of every
chunk says where its rows are in the file: the line of a text file, counting the header, or the row
of a Parquet file.
"""

from __future__ import annotations

import csv
import gzip
import os
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from typing import IO, TYPE_CHECKING, Any

from gradlite.cli.terminal import did_you_mean, some
from gradlite.errors import GradliteError

if TYPE_CHECKING:
    from pandas import DataFrame

CHUNK = 50_000  # rows
TEXT = {".csv": "", ".tsv": "\t", ".tab": "\t", ".txt": ""}  # the separator; '' is found out
PARQUET = (".parquet", ".pq")
READ = "CSV (.csv), TSV (.tsv), both also compressed (.csv.gz), and Parquet (.parquet)"
SEPARATORS = ",;\t|"
MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}  # at the start of a file


class TableError(GradliteError, ValueError):
    """A file is not a readable table, or not the expected one."""


class Table:
    """A table in a file; `open_table` returns the right kind.

    Attributes
    ----------
    path : str
        The file.
    columns : list of str
        The names in its header.
    place : str
        What the index of its chunks counts: ``'line'`` or ``'row'``.
    """

    path: str
    columns: list[str]
    place: str

    def chunks(self, rows: int = CHUNK) -> Iterator[DataFrame]:
        """Yield the table in chunks of `rows` rows.

        Raises
        ------
        TableError
            If a later part of the file is not a table.
        """
        raise NotImplementedError

    def read(self) -> DataFrame:
        """Return the whole table.

        Raises
        ------
        TableError
            If the file is not a table, or has no rows.
        """
        import pandas as pd

        parts = list(self.chunks())
        if not parts:
            raise TableError(f"{self.path} has a header and no rows: there is nothing to learn.")
        return pd.concat(parts)


def open_table(path: str) -> Table:
    r"""Open a table, in the format of its suffix.

    Parameters
    ----------
    path : str
        The file.

    Raises
    ------
    TableError
        If the file does not exist or is not a table. The message says what to do.

    Examples
    --------
    >>> import os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "houses.csv")
    ...     with open(path, "w") as file:
    ...         _ = file.write("rooms;price\n3;200\n4;270\n")
    ...     table = open_table(path)
    ...     table.columns
    ...     table.read()
    ['rooms', 'price']
      rooms price
    2     3   200
    3     4   270
    """
    suffix = os.path.splitext(path.lower().removesuffix(".gz"))[1]
    if not os.path.exists(path):
        raise TableError(f"there is no file {path!r}.{nearby(path)}")
    if os.path.isdir(path):
        tables = sorted(filter(is_table, os.listdir(path)))
        inside = f", of {some(tables)}" if tables else ""
        raise TableError(f"{path!r} is a folder: give the path of a table in it{inside}.")
    if suffix in (".xlsx", ".xls", ".ods"):
        raise TableError(f"{path} is a spreadsheet: save the sheet as CSV, and pass that file.")
    if not is_table(path):
        given = os.path.splitext(path)[1]
        known = f"the suffix {given!r} is not known" if given else "its name has no suffix"
        raise TableError(f"cannot read {path!r}: {known}. Tables are read from {READ}.")
    if not os.path.getsize(path):
        raise TableError(f"{path} is empty: a table with column names in its first line is needed.")
    with in_words(path):
        table = TextTable(path, TEXT[suffix]) if suffix in TEXT else ParquetTable(path)
    check_names(path, table.columns)
    return table


def is_table(path: str) -> bool:
    """Return whether a file name is that of a table."""
    name = path.lower()
    return name.removesuffix(".gz").endswith(tuple(TEXT)) or name.endswith(PARQUET)


def nearby(path: str) -> str:
    """Return a hint at the file that might have been meant."""
    folder = os.path.dirname(path)
    if folder and not os.path.isdir(folder):
        return f" Nor is there a folder {folder!r}."
    files = [name for name in os.listdir(folder or ".") if is_table(name)]
    return did_you_mean(os.path.basename(path), files)


def check_names(path: str, columns: list[str]) -> None:
    """Raise TableError if a name occurs twice in the header."""
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        raise TableError(
            f"{path} has more than one column named {some(map(repr, twice))}: give each column its "
            f"own name in the first line."
        )


@contextmanager
def in_words(path: str) -> Iterator[None]:
    """Turn errors of decoding and decompression into a TableError."""
    try:
        yield
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise TableError(
            f"{path} is not UTF-8 text (it has the byte 0x{byte:02x}): save it as UTF-8, from "
            f"Windows with iconv -f WINDOWS-1252 -t UTF-8."
        ) from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise TableError(
            f"{path} is not a complete gzip file ({error}): download or create it again."
        ) from error


# -- text ---------------------------------------------------------------------------------------


class TextTable(Table):
    """A table in a text file, its columns separated by commas, semicolons, tabs or bars."""

    place = "line"

    def __init__(self, path: str, separator: str) -> None:
        self.path = path
        self.encoding = self._encoding()
        with self._open() as file:
            first = next((line for line in file if line.strip()), "")
        if not first:
            raise TableError(f"{path} has blank lines only: a table with a header is needed.")
        self.separator = separator or max(SEPARATORS, key=lambda mark: len(split_line(first, mark)))
        with self._open() as file:
            _, header = next(self._records(file))
        names = [name.strip() for name in header]
        self.columns = [name or f"column {i}" for i, name in enumerate(names, 1)]

    def _encoding(self) -> str:
        with self._bytes() as file:
            start = file.read(4096)
        encoding = MARKS.get(start[:2], "utf-8-sig")
        if encoding != "utf-16" and b"\0" in start:
            raise TableError(f"{self.path} is not text. Tables are read from {READ}.")
        return encoding

    def _bytes(self) -> IO[bytes]:
        opened: Any = gzip.open if self.path.lower().endswith(".gz") else open
        file: IO[bytes] = opened(self.path, "rb")
        return file

    def _open(self) -> TextIOWrapper:
        return TextIOWrapper(self._bytes(), encoding=self.encoding, newline="")

    def _records(self, file: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
        """Yield the fields of each record that is not blank, with its first line."""
        reader = csv.reader(file, delimiter=self.separator, strict=True)
        line = 1
        try:
            for fields in reader:
                if fields:
                    yield line, fields
                line = reader.line_num + 1
        except csv.Error as error:
            raise TableError(
                f"{self.path}, line {line}: {error}. Is a quotation mark missing or too many?"
            ) from error

    def chunks(self, rows: int = CHUNK) -> Iterator[DataFrame]:
        """Read the table, so many rows at a time; the cells are text."""
        with in_words(self.path), self._open() as file:
            records = self._records(file)
            next(records)
            lines: list[int] = []
            cells: list[list[str]] = []
            for line, fields in records:
                self._check_length(line, fields)
                lines.append(line)
                cells.append(fields)
                if len(cells) == rows:
                    yield self._frame(lines, cells)
                    lines, cells = [], []
            if cells:
                yield self._frame(lines, cells)

    def _check_length(self, line: int, fields: list[str]) -> None:
        if len(fields) == len(self.columns):
            return
        raise TableError(
            f"{self.path}, line {line}: {len(fields)} fields where the header names "
            f"{len(self.columns)} columns. Is a {separator_name(self.separator)} missing, or one "
            f"inside a text without quotation marks around it?"
        )

    def _frame(self, lines: list[int], cells: list[list[str]]) -> DataFrame:
        import pandas as pd

        return pd.DataFrame(cells, index=lines, columns=self.columns, dtype=str)


def split_line(line: str, separator: str) -> list[str]:
    """Split one line into fields, which may be in quotation marks."""
    return next(csv.reader([line], delimiter=separator))


def separator_name(separator: str) -> str:
    """Return the name of a separator, for a sentence."""
    return {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}[separator]


# -- Parquet ------------------------------------------------------------------------------------


class ParquetTable(Table):
    """A table in a Parquet file; its cells have types already."""

    place = "row"

    def __init__(self, path: str) -> None:
        self.path = path
        with self._open() as file:
            self.columns = list(file.schema_arrow.names)

    def _open(self) -> Any:
        from pyarrow import ArrowInvalid, parquet

        try:
            return parquet.ParquetFile(self.path)
        except ArrowInvalid as error:
            raise TableError(
                f"{self.path} is not a Parquet file, or is damaged: get it or create it again."
            ) from error

    def chunks(self, rows: int = CHUNK) -> Iterator[DataFrame]:
        """Read the table, so many rows at a time."""
        row = 1
        with self._open() as file:
            for batch in file.iter_batches(batch_size=rows):
                frame = batch.to_pandas(ignore_metadata=True)
                frame.index += row
                row += len(frame)
                yield frame

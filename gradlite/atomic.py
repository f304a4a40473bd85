"""Files that are complete or not there at all."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from gradlite.errors import FolderError, PersistError, printable

try:
    from fcntl import LOCK_EX, LOCK_NB, flock
except ImportError:  # Windows, where a file that is open cannot be deleted
    flock = None  # type: ignore[assignment]

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextlib.contextmanager
def replacing_file(target: str) -> Iterator[BinaryIO]:
    """Yield a new file to write to, which replaces `target` when all has gone well."""
    mode = os.stat(target).st_mode if os.path.exists(target) else None
    if mode is not None and not stat.S_ISREG(mode):
        raise PersistError(f"{printable(target)} is no regular file: save to another path.")
    folder, name = os.path.split(target)
    if not os.path.isdir(folder):
        raise FolderError(f"There is no folder {folder!r} to write {target!r} to: make it.")
    prefix = os.path.join(folder, f".gradlite-{zlib.crc32(os.fsencode(name)):08x}-")
    _delete_left_over(prefix)
    temporary = ""
    try:
        with _new_file(prefix) as file:
            temporary = file.name
            if mode is not None:
                os.chmod(temporary, stat.S_IMODE(mode))
            yield file
            file.flush()
            os.fsync(file.fileno())
            if flock is None:
                file.close()
            os.replace(temporary, target)
    except BaseException as error:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        if isinstance(error, OSError) and (
            error.errno in FULL or str(error.filename).startswith(prefix)
        ):
            error.filename, error.filename2 = target, None  # the name that the user knows
        raise


def _new_file(prefix: str) -> BinaryIO:
    while True:
        file = open(f"{prefix}{secrets.token_hex(8)}.tmp", "x+b")  # noqa: SIM115  the caller does
        _lock(file)
        if os.path.exists(file.name):
            return file
        file.close()  # another process took it for left over, just before it was locked


def _lock(file: BinaryIO) -> bool:
    """Lock a new file as long as it is open, and tell whether nobody else had it locked."""
    with contextlib.suppress(OSError):
        if flock is not None:
            flock(file, LOCK_EX | LOCK_NB)
        return True
    return False


def _delete_left_over(prefix: str) -> None:
    """Delete new files that nobody writes to any more: a process was killed."""
    folder, start = os.path.split(prefix)
    with contextlib.suppress(OSError):
        for name in filter(lambda name: name.startswith(start), os.listdir(folder)):
            path = os.path.join(folder, name)
            with contextlib.suppress(OSError), open(path, "rb") as file:
                if _lock(file):
                    os.unlink(path)

"""Saving trees of arrays and plain values in one file, without pickle.

A file is a zip without compression: a manifest in JSON, which describes the tree, and the arrays in
NumPy's own format (``numpy.load`` reads them, too), each with a checksum. Loading creates arrays,
numbers, strings and containers, no more of them than the file has bytes for, and runs no code.
Files named ``.safetensors`` have that format instead, which has no checksums, with the manifest as
metadata. In the manifest, null, booleans, numbers, strings and lists stand for themselves, and
anything else is an object with one entry: ``{"tuple": [1, 2]}``, ``{"float": "inf"}``,
``{"array": "w"}``.

Examples
--------
>>> import os, tempfile
>>> with tempfile.TemporaryDirectory() as folder:
...     path = os.path.join(folder, "state")
...     save(path, {"step": 3, "w": np.array([1.0, 2.0])}, kind="example")
...     load(path, kind="example")
{'step': 3, 'w': array([1., 2.])}
"""

from __future__ import annotations

import contextlib
import errno
import io
import json
import math
import os
import re
import secrets
import stat
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import numpy as np

from gradlite.errors import FolderError, MissingExtraError, PersistError, printable

try:
    from fcntl import LOCK_EX, LOCK_NB, flock
except ImportError:  # Windows, where a file that is open cannot be deleted
    flock = None  # type: ignore[assignment]  # tested for before each call

Path = str | os.PathLike[str]
Arrays = dict[str, np.ndarray]

VERSION = 1
MANIFEST = "manifest.json"
NPY = ".npy"
CHUNK = 2**20
HEADER = 1024  # bytes of the header of an array, at most
DEEPEST = 100  # levels of a tree
LIMITS = {int: 2**128, float: math.inf}  # the state of a random generator has 128 bits
ARRAY_TYPES = (np.ndarray, np.memmap)
DTYPES = re.compile(r"\|b1|[<|][iu][1248]|<[fc]\d{1,2}|[<|][US][1-9]\d{0,8}|<[mM]8(\[\w{1,12}\])?")
FOREIGN = "is not a file that gradlite has saved."
REMEDY = "save arrays, numbers, strings, None, and dicts, lists and tuples of these"


def save(path: Path, state: Any, kind: str) -> None:
    """Save a tree in one file, which replaces an existing one only once it is complete.

    Parameters
    ----------
    path : path
        A name ending in ``.safetensors`` selects that format, which needs the package; otherwise a
        zip is written. Symbolic links are followed, and an existing file's permissions are kept.
    state : tree
        Dicts with str keys, lists and tuples of None, bool, int, float, str, NumPy scalars and
        arrays: of bools, numbers, fixed-width strings, times, or objects that are such trees.
    kind : str
        What the state belongs to; `load` checks it.

    Raises
    ------
    TypeError, ValueError
        If something in the tree cannot be saved; the message says where. Nothing is written.
    PersistError, FolderError, MissingExtraError
        If the path is not a regular file, its folder does not exist, or the package safetensors is
        missing.
    """
    name = os.fsdecode(path)
    arrays: Arrays = {}
    manifest = {
        "format": "gradlite",
        "version": VERSION,
        "gradlite": sys.modules["gradlite"].__version__,
        "kind": kind,
        "tree": encode(state, (), arrays),
    }
    text = json.dumps(manifest, allow_nan=False, separators=(",", ":"))
    with replacing_file(os.path.realpath(name)) as file:
        write = _write_safetensors if name.endswith(".safetensors") else _write_zip
        write(file, text, arrays)


def load(path: Path, kind: str | None = None) -> Any:
    """Load a tree that `save` has written.

    Parameters
    ----------
    path : path
        The file; its format is recognised from its contents.
    kind : str, optional
        The kind that the file must have.

    Returns
    -------
    tree
        The saved tree, bit for bit. Arrays are C-contiguous, writeable and in native byte order.

    Raises
    ------
    PersistError
        If the file is not one that `save` wrote, is damaged, comes from a newer gradlite, or is of
        another kind. (A missing file is an OSError, as usual.)
    MissingExtraError
        If the package safetensors is needed and missing.
    """
    name = os.fsdecode(path)
    if os.path.exists(name) and not os.path.isfile(name):  # reading a pipe would block
        raise PersistError(f"{printable(name)} is not a regular file: load from another path.")
    with open(name, "rb") as file:
        try:
            start = file.read(9)
            if start.startswith(b"PK\x03\x04"):
                return _read_zip(file, kind)
            if start[8:] == b"{":
                return _read_safetensors(name, kind)
            raise PersistError(FOREIGN)
        except MissingExtraError:
            raise
        except PersistError as error:
            raise PersistError(f"{printable(name)} {error}") from error.__cause__
        except Exception as error:  # whatever invalid bytes lead to
            said = shortened(str(error) or type(error).__name__)
            raise PersistError(f"{printable(name)} is damaged or misleading: {said}") from error


def shortened(text: object, longest: int = 100) -> str:
    """Return a value from a file so that an error can quote it: in one line, not too long."""
    said = printable(str(text)[: longest + 1])
    return said if len(said) <= longest else f"{said[:longest]}..."


def encode(x: Any, place: tuple[str | int, ...], arrays: Arrays) -> Any:
    """Return the JSON of the part of a tree at `place`, and put its arrays into `arrays`."""
    kind = type(x)
    if len(place) > DEEPEST:
        raise _refusal(ValueError, place, f"nested deeper than {DEEPEST} levels, or in itself")
    if kind is int and abs(x) >= LIMITS[int]:
        raise _refusal(ValueError, place, "an integer of more than 128 bits cannot be saved")
    if kind in (type(None), bool, int, str):
        return x
    if kind is float:
        return x if math.isfinite(x) else {"float": repr(x)}
    if kind in (list, tuple):
        parts = [encode(part, (*place, i), arrays) for i, part in enumerate(x)]
        return parts if kind is list else {"tuple": parts}
    if kind is dict:
        if odd := [*filter(lambda key: type(key) is not str, x)]:
            raise _refusal(TypeError, place, f"the key {odd[0]!r} is not a str: {REMEDY}")
        return {"dict": {key: encode(part, (*place, key), arrays) for key, part in x.items()}}
    if kind in ARRAY_TYPES or isinstance(x, np.generic):
        return _encode_array(x, place, arrays)
    what = f"a {kind.__module__}.{kind.__qualname__}"
    if hasattr(x, "__qualname__"):
        what = f"the {kind.__name__} {x.__module__}.{x.__qualname__}, which is code,"
    raise _refusal(TypeError, place, f"{what} cannot be saved: {REMEDY}")


def _encode_array(x: Any, place: tuple[str | int, ...], arrays: Arrays) -> Any:
    is_array = type(x) in ARRAY_TYPES
    if is_array and x.dtype == object:
        items = [encode(item, (*place, "object"), arrays) for item in x.ravel().tolist()]
        return {"objects": [list(x.shape), items]}
    array = np.asarray(x, x.dtype.newbyteorder("<"), order="C")
    if not DTYPES.fullmatch(array.dtype.str):
        what = "an array" if is_array else "a scalar"
        raise _refusal(TypeError, place, f"{what} of {x.dtype} cannot be saved: {REMEDY}")
    name = re.sub(r"[^\w.-]", "_", ".".join(map(str, place)), flags=re.ASCII)[:100]
    if name in arrays or name.endswith(NPY) or name in ("", "__metadata__"):
        name += f"#{len(arrays)}"
    arrays[name] = array
    return {"array" if is_array else "scalar": name}


def _refusal(error: type[Exception], place: tuple[str | int, ...], what: str) -> Exception:
    at = "".join(f"[{key!r}]" for key in place[:5]) or "the top"
    return error(f"at {at}: {what}.")


def _decode(node: Any, arrays: Arrays, depth: int = 0) -> Any:
    """Return the tree of a piece of JSON. An array occurs once, so it is removed from `arrays`."""
    if depth > DEEPEST:
        raise PersistError(f"is nested deeper than {DEEPEST} levels.")
    kind = type(node)
    if kind is list:
        return [_decode(part, arrays, depth + 1) for part in node]
    if kind is not dict:
        if kind in LIMITS and not abs(node) < LIMITS[kind]:
            raise PersistError("is damaged: it has a number that is not finite, or too large.")
        return node
    ((tag, value),) = node.items()
    if tag == "dict":
        return {key: _decode(part, arrays, depth + 1) for key, part in value.items()}
    if tag == "tuple":
        return tuple(_decode(list(value), arrays, depth))
    if tag in ("array", "scalar"):
        return arrays.pop(value) if tag == "array" else arrays.pop(value)[()]
    if tag == "objects" and math.prod(value[0]) == len(value[1]):
        items = _decode(list(value[1]), arrays, depth)
        return np.fromiter(items, object, len(items)).reshape(value[0])
    if tag == "float" and value in ("inf", "-inf", "nan"):
        return float(value)
    raise PersistError(f"is damaged: unknown tag {shortened(tag)!r} in its manifest.")


def _read(text: str, kind: str | None, read_arrays: Callable[[], Arrays]) -> Any:
    """Return the tree of a manifest. The arrays are read only after its kind has been checked."""
    manifest = json.loads(text)
    if type(manifest) is not dict or manifest.get("format") != "gradlite":
        raise PersistError(FOREIGN)
    version, writer, found = (manifest[name] for name in ("version", "gradlite", "kind"))
    if type(version) is not int or version > VERSION:
        raise PersistError(
            f"has format version {shortened(version)}, written by gradlite {shortened(writer)}; "
            f"this gradlite reads up to {VERSION}: upgrade it, pip install -U gradlite."
        )
    if kind is not None and found != kind:
        raise PersistError(f"holds a {shortened(found)}, not a {kind}.")
    arrays = read_arrays()
    tree = _decode(manifest["tree"], arrays)
    if arrays:
        raise PersistError(f"is damaged: {len(arrays)} of its arrays are not in its manifest.")
    return tree


def _npy(array: np.ndarray) -> memoryview:
    memory = io.BytesIO()
    np.lib.format.write_array(memory, array, version=(1, 0), allow_pickle=False)
    return memory.getbuffer()


def _read_array(data: np.ndarray) -> np.ndarray:
    """Return the array in the bytes of an .npy file: a view of them."""
    head = io.BytesIO(data[:HEADER].tobytes())
    known = np.lib.format.read_magic(head) == (1, 0)
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(head, HEADER)
    size = data.size - head.tell()
    if not known or fortran or not DTYPES.fullmatch(dtype.str):
        raise PersistError(
            f"is damaged: an array of {shortened(dtype)} that gradlite does not save."
        )
    if math.prod(shape) * dtype.itemsize != size:
        raise PersistError(f"is damaged: an array of {dtype} and shape {shape} in {size} bytes.")
    return _native(np.ndarray(shape, dtype, data, head.tell()))


def _native(array: np.ndarray) -> np.ndarray:
    """Return an array in native byte order; raise PersistError for invalid bools or characters."""
    flat, largest = array.reshape(-1), {"U": sys.maxunicode, "b": 1}.get(array.dtype.kind, 0)
    if largest and array.nbytes and flat.view("<u4" if largest > 1 else "u1").max() > largest:
        raise PersistError(f"is damaged: bytes that are not a {array.dtype}.")
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _write_zip(file: BinaryIO, manifest: str, arrays: Arrays) -> None:
    with zipfile.ZipFile(file, "w") as archive:  # a ZipInfo always has the same date
        archive.writestr(zipfile.ZipInfo(MANIFEST), manifest)
        for name, array in arrays.items():
            archive.writestr(zipfile.ZipInfo(name + NPY), _npy(array))


def _read_zip(file: BinaryIO, kind: str | None) -> Any:
    with zipfile.ZipFile(file) as archive:
        manifest, *members = archive.infolist()
        if manifest.filename != MANIFEST:
            raise PersistError(FOREIGN)
        file.seek(-22, os.SEEK_END)
        if manifest.header_offset or file.read(4) != b"PK\x05\x06":
            raise PersistError("is damaged: it has bytes before its start or after its end.")
        end = 0  # of the members so far
        for member in (manifest, *members):
            if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1:
                raise PersistError("is compressed or encrypted, unlike what gradlite saves.")
            if member.header_offset < end or member.file_size != member.compress_size:
                raise PersistError("is damaged: its members overlap.")
            end = member.header_offset + 30 + len(member.filename) + member.file_size
        if end > archive.start_dir or len({member.filename for member in members}) < len(members):
            raise PersistError("is damaged: its members are larger than itself, or there twice.")

        def read(member: zipfile.ZipInfo) -> np.ndarray:
            data = np.empty(member.file_size, np.uint8)
            with archive.open(member) as stream:  # which compares the checksum at the end
                for start in range(0, data.size, CHUNK):
                    data[start : start + CHUNK] = np.frombuffer(stream.read(CHUNK), np.uint8)
            return data

        return _read(
            read(manifest).tobytes().decode(),
            kind,
            lambda: {m.filename.removesuffix(NPY): _read_array(read(m)) for m in members},
        )


def _safetensors() -> Any:
    try:
        import safetensors.numpy
    except ImportError as error:
        raise MissingExtraError(
            "Files that end in .safetensors need the package safetensors: "
            "pip install 'gradlite[safetensors]'. Another ending needs nothing."
        ) from error
    return safetensors


def _write_safetensors(file: BinaryIO, manifest: str, arrays: Arrays) -> None:
    tensors: Arrays = {}
    for name, array in arrays.items():
        if array.dtype.kind in "biuf" and array.dtype.itemsize <= 8:
            tensors[name] = array
        else:  # the format does not know the type
            tensors[name + NPY] = np.frombuffer(_npy(array), np.uint8)
    file.write(_safetensors().numpy.save(tensors, {"gradlite": manifest}))


def _read_safetensors(name: str, kind: str | None) -> Any:
    with _safetensors().safe_open(name, framework="numpy") as file:

        def read(name: str) -> np.ndarray:
            array = np.require(file.get_tensor(name), requirements=["C", "W"])
            return _read_array(array) if name.endswith(NPY) else _native(array)

        manifest = (file.metadata() or {}).get("gradlite", "null")
        arrays = file.keys()
        return _read(manifest, kind, lambda: {n.removesuffix(NPY): read(n) for n in arrays})


# -- files that are complete or not there at all -----------------------------------------------

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextlib.contextmanager
def replacing_file(target: str) -> Iterator[BinaryIO]:
    """Yield a new file to write to, which replaces `target` if no error is raised."""
    mode = os.stat(target).st_mode if os.path.exists(target) else None
    if mode is not None and not stat.S_ISREG(mode):
        raise PersistError(f"{printable(target)} is not a regular file: save to another path.")
    folder, name = os.path.split(target)
    if not os.path.isdir(folder):
        raise FolderError(f"There is no folder {folder!r} to write {target!r} to: create it.")
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
        file.close()  # another process deleted it, just before it was locked


def _lock(file: BinaryIO) -> bool:
    """Lock a new file while it is open, and return whether no other process had locked it."""
    with contextlib.suppress(OSError):
        if flock is not None:
            flock(file, LOCK_EX | LOCK_NB)
        return True
    return False


def _delete_left_over(prefix: str) -> None:
    """Delete temporary files that no process has locked, because their writer was killed."""
    folder, start = os.path.split(prefix)
    with contextlib.suppress(OSError):
        for name in filter(lambda name: name.startswith(start), os.listdir(folder)):
            path = os.path.join(folder, name)
            with contextlib.suppress(OSError), open(path, "rb") as file:
                if _lock(file):
                    os.unlink(path)
